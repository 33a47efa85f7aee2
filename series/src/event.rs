//! Events: the readings of one series folded into one event per incident.
//!
//! An event opens at the first reading on or above the alarm line and stays open as long as readings on or above the
//! (lower) closing line follow each other within `hold`. So a score that swings around the line, or a detector that
//! reports an incident only now and then, makes one event and not many.

mod sentence;
mod settings;

pub use sentence::{JointPart, joint_sentence, sentence};
pub use settings::{EventSettings, EventSettingsError, Severity, SeverityError};

use crate::bytes::{DecodeError, Reader, put_f64, put_f64s, put_text, put_varint, put_zigzag};
use crate::detect::Reading;
use crate::time::Micros;

const VERSION: u8 = 1;

/// One incident of one series.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Time of the reading that opened it.
    pub start: Micros,
    /// Time of the last reading that kept it open: its end, once it is closed.
    pub last: Micros,
    /// The reading of the highest score, the first of them.
    pub peak: Peak,
    /// Readings on or above the alarm line.
    pub alarms: u64,
    pub severity: Severity,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Peak {
    pub time: Micros,
    pub score: f64,
    pub value: f64,
    /// NaN where the detector had no expectation, as in [`Reading`].
    pub expected: f64,
    pub lower: f64,
    pub upper: f64,
    /// The detector's reason and its numbers.
    pub reason: String,
    pub reason_value: f64,
    pub reason_lower: f64,
    pub reason_upper: f64,
}

impl Peak {
    fn of(time: Micros, value: f64, reading: &Reading) -> Peak {
        let reason = reading.reason;
        Peak {
            time,
            score: reading.score,
            value,
            expected: reading.expected,
            lower: reading.lower,
            upper: reading.upper,
            reason: reason.map_or_else(String::new, |r| r.code.to_owned()),
            reason_value: reason.map_or(f64::NAN, |r| r.value),
            reason_lower: reason.map_or(f64::NAN, |r| r.lower),
            reason_upper: reason.map_or(f64::NAN, |r| r.upper),
        }
    }
}

/// What a reading did to the events of its series.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Changes {
    /// The event that ended before this reading.
    pub closed: Option<Event>,
    /// This reading opened an event.
    pub opened: bool,
    /// This reading opened the open event, kept it open or raised its peak.
    pub touched: bool,
}

/// Folds the readings of one series, in order, into events.
#[derive(Debug, Clone, PartialEq)]
pub struct EventFold {
    settings: EventSettings,
    /// Time of the newest reading.
    now: Micros,
    /// Apart, since it takes more than the rest and most readings leave it as it is.
    open: Option<Box<Event>>,
    /// Time of the last reading that kept the open event open; without one, that of no reading.
    last: Micros,
}

impl EventFold {
    pub fn new(settings: EventSettings) -> Result<EventFold, EventSettingsError> {
        settings.check()?;
        Ok(EventFold { settings, now: Micros::MIN, open: None, last: Micros::MIN })
    }

    pub fn settings(&self) -> &EventSettings {
        &self.settings
    }

    /// The event that is going on.
    pub fn open(&self) -> Option<&Event> {
        self.open.as_deref()
    }

    /// Takes the next reading. A time before that of an earlier reading counts as no time passed.
    #[inline]
    pub fn update(&mut self, time: Micros, value: f64, reading: &Reading) -> Changes {
        self.now = self.now.max(time);
        let line = if self.open.is_some() { self.settings.close } else { 1.0 };
        if reading.score < line && !self.is_over() {
            return Changes::default();
        }
        self.take_in(time, value, reading)
    }

    /// Whether an event is open that has not been kept open for too long.
    #[inline]
    fn is_over(&self) -> bool {
        self.open.is_some() && self.now.saturating_sub(self.last) > self.settings.hold
    }

    fn take_in(&mut self, time: Micros, value: f64, reading: &Reading) -> Changes {
        let mut changes = Changes { closed: self.advance(time), ..Changes::default() };
        match &mut self.open {
            Some(event) if reading.score >= self.settings.close => {
                event.last = self.now;
                self.last = self.now;
                event.alarms += u64::from(reading.is_anomaly);
                if reading.score > event.peak.score {
                    event.peak = Peak::of(time, value, reading);
                    event.severity = self.settings.severity(reading.score);
                }
                changes.touched = true;
            }
            None if reading.is_anomaly => {
                self.open = Some(Box::new(Event {
                    start: self.now,
                    last: self.now,
                    peak: Peak::of(time, value, reading),
                    alarms: 1,
                    severity: self.settings.severity(reading.score),
                }));
                self.last = self.now;
                changes.opened = true;
                changes.touched = true;
            }
            _ => {}
        }
        changes
    }

    /// Lets time pass without a reading; returns the event that ended by it.
    pub fn advance(&mut self, time: Micros) -> Option<Event> {
        self.now = self.now.max(time);
        if self.is_over() { self.finish() } else { None }
    }

    /// Ends the open event, if there is one: nothing more will come.
    pub fn finish(&mut self) -> Option<Event> {
        self.last = Micros::MIN;
        self.open.take().map(|event| *event)
    }

    pub fn heap_bytes(&self) -> usize {
        self.open.as_ref().map_or(0, |event| size_of::<Event>() + event.peak.reason.capacity())
    }

    /// Version byte, settings, and the open event.
    pub fn save(&self) -> Vec<u8> {
        let EventSettings { hold, close, warning, critical } = self.settings;
        let mut out = vec![VERSION];
        put_zigzag(&mut out, hold);
        put_f64s(&mut out, &[close, warning, critical]);
        put_zigzag(&mut out, self.now);
        out.push(u8::from(self.open.is_some()));
        if let Some(event) = &self.open {
            let peak = &event.peak;
            for time in [event.start, event.last, peak.time] {
                put_zigzag(&mut out, time);
            }
            put_varint(&mut out, event.alarms);
            put_f64(&mut out, peak.score);
            put_f64s(&mut out, &[peak.value, peak.expected, peak.lower, peak.upper]);
            put_f64s(&mut out, &[peak.reason_value, peak.reason_lower, peak.reason_upper]);
            put_text(&mut out, &peak.reason);
        }
        out
    }

    /// The inverse of [`EventFold::save`]. Garbage gives an error.
    pub fn restore(bytes: &[u8]) -> Result<EventFold, DecodeError> {
        let mut reader = Reader::new(bytes);
        match reader.u8()? {
            VERSION => {}
            other => return Err(DecodeError::Version(other)),
        }
        let settings = EventSettings {
            hold: reader.zigzag()?,
            close: reader.f64()?,
            warning: reader.f64()?,
            critical: reader.f64()?,
        };
        let mut fold =
            EventFold::new(settings).map_err(|_| DecodeError::Invalid("the settings of events make no sense"))?;
        fold.now = reader.zigzag()?;
        if reader.bool()? {
            let event = restore_event(&settings, &mut reader)?;
            fold.last = event.last;
            fold.open = Some(Box::new(event));
        }
        reader.finish()?;
        Ok(fold)
    }
}

fn restore_event(settings: &EventSettings, reader: &mut Reader<'_>) -> Result<Event, DecodeError> {
    let (start, last, time) = (reader.zigzag()?, reader.zigzag()?, reader.zigzag()?);
    let alarms = reader.counter()?;
    let score = reader.positive()?;
    let peak = Peak {
        time,
        score,
        value: reader.f64()?,
        expected: reader.f64()?,
        lower: reader.f64()?,
        upper: reader.f64()?,
        reason_value: reader.f64()?,
        reason_lower: reader.f64()?,
        reason_upper: reader.f64()?,
        reason: reader.text()?.to_owned(),
    };
    Ok(Event { start, last, peak, alarms, severity: settings.severity(score) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Reason;
    use crate::time::MICROS_PER_MINUTE;
    use proptest::prelude::*;

    const STEP: Micros = 5 * MICROS_PER_MINUTE;

    fn reading(score: f64) -> Reading {
        let is_anomaly = score >= 1.0;
        let reason = is_anomaly.then_some(Reason { code: "level", value: 9.0, lower: 1.0, upper: 2.0 });
        Reading { score, expected: 1.5, lower: 1.0, upper: 2.0, is_anomaly, reason }
    }

    /// One reading every five minutes, hold half an hour.
    fn fold(scores: &[f64]) -> (Vec<Event>, EventFold) {
        let settings = EventSettings { hold: 30 * MICROS_PER_MINUTE, ..EventSettings::default() };
        let mut fold = EventFold::new(settings).unwrap();
        let closed = scores
            .iter()
            .enumerate()
            .filter_map(|(i, &score)| fold.update(i as i64 * STEP, i as f64, &reading(score)).closed)
            .collect();
        (closed, fold)
    }

    #[test]
    fn readings_below_the_line_open_nothing() {
        let (closed, fold) = fold(&[0.0, 0.99, 0.5, 0.0]);
        assert!(closed.is_empty() && fold.open().is_none());
    }

    #[test]
    fn a_score_that_swings_around_the_line_is_one_event() {
        let mut scores = vec![0.0, 1.2, 0.3, 2.0, 0.6, 0.1, 0.1, 1.0];
        scores.extend([0.0; 10]);
        let (closed, fold) = fold(&scores);
        assert_eq!(closed.len(), 1);
        assert!(fold.open().is_none());
        let event = &closed[0];
        assert_eq!((event.start, event.last, event.alarms), (STEP, 7 * STEP, 3));
        assert_eq!((event.peak.time, event.peak.score, event.peak.value), (3 * STEP, 2.0, 3.0));
        assert_eq!((event.peak.reason.as_str(), event.severity), ("level", Severity::Warning));
    }

    #[test]
    fn a_score_above_the_closing_line_keeps_an_event_open() {
        let mut scores = vec![1.0];
        scores.extend([0.5; 20]);
        let (closed, kept) = fold(&scores);
        assert!(closed.is_empty());
        assert_eq!(kept.open().unwrap().last, 20 * STEP);
        scores[1..].fill(0.49);
        assert_eq!(fold(&scores).0.len(), 1);
    }

    #[test]
    fn incidents_further_apart_than_the_hold_are_two_events() {
        let mut scores = vec![1.0; 20];
        scores[1..7].fill(0.0);
        assert_eq!(fold(&scores).0.len(), 1, "seven steps are longer than the hold");
        scores[6] = 1.0;
        assert_eq!(fold(&scores).0.len(), 0, "six are not");
    }

    #[test]
    fn one_reading_may_close_an_event_and_open_the_next() {
        let (_, mut fold) = fold(&[1.0]);
        let changes = fold.update(100 * STEP, 5.0, &reading(1.0));
        assert!(changes.closed.is_some() && changes.opened && changes.touched);
        assert_eq!(fold.open().unwrap().start, 100 * STEP);
    }

    #[test]
    fn time_alone_closes_an_event() {
        let (_, mut fold) = fold(&[1.0]);
        assert_eq!(fold.advance(6 * STEP), None);
        assert_eq!(fold.advance(7 * STEP).unwrap().last, 0);
        assert_eq!(fold.finish(), None);
    }

    #[test]
    fn a_late_reading_counts_as_no_time_passed() {
        let (_, mut fold) = fold(&[0.0, 0.0, 0.0, 1.0]);
        let changes = fold.update(0, 5.0, &reading(3.0));
        assert_eq!(changes, Changes { closed: None, opened: false, touched: true });
        let event = fold.open().unwrap();
        assert_eq!((event.start, event.last, event.severity), (3 * STEP, 3 * STEP, Severity::Critical));
    }

    proptest! {
        #[test]
        fn a_restored_fold_goes_on_the_same(
            scores in prop::collection::vec(prop_oneof![3 => Just(0.0), 1 => 0.0..4.0_f64], 1..80),
            cut in any::<prop::sample::Index>(),
        ) {
            let cut = cut.index(scores.len());
            let (mut closed, whole) = fold(&scores[..cut]);
            let mut restored = EventFold::restore(&whole.save()).unwrap();
            prop_assert_eq!(&restored, &whole);
            for (i, &score) in scores.iter().enumerate().skip(cut) {
                closed.extend(restored.update(i as i64 * STEP, i as f64, &reading(score)).closed);
            }
            prop_assert_eq!((closed, restored), fold(&scores));
        }

        #[test]
        fn every_alarm_lies_in_exactly_one_event(
            scores in prop::collection::vec(prop_oneof![3 => Just(0.0), 1 => 0.0..4.0_f64], 1..200),
        ) {
            let (mut events, mut rest) = fold(&scores);
            events.extend(rest.finish());
            let alarms = scores.iter().filter(|&&s| s >= 1.0).count() as u64;
            prop_assert_eq!(events.iter().map(|e| e.alarms).sum::<u64>(), alarms);
            prop_assert!(events.windows(2).all(|pair| pair[0].last < pair[1].start));
            for (i, _) in scores.iter().enumerate().filter(|(_, s)| **s >= 1.0) {
                let time = i as i64 * STEP;
                prop_assert_eq!(events.iter().filter(|e| e.start <= time && time <= e.last).count(), 1);
            }
        }

        #[test]
        fn garbage_is_an_error_and_not_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = EventFold::restore(&bytes);
        }
    }
}
