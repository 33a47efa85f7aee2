//! Gaps: no data for much longer than the series usually takes.
//!
//! The detector remembers the last intervals between samples. Allowed is `factor` times the second-longest of them: the
//! second, so that one outage does not make the next one usual, and the longest rather than the median, so that a sensor
//! that reports on change is allowed its pauses.

use std::collections::VecDeque;

use crate::bytes::{DecodeError, put_f64, put_varint, put_zigzag};
use crate::detect::contract::{Band, begin_restore, begin_save};
use crate::detect::{Detector, Method, OptionError, Options, Reading, Reason};
use crate::time::{MICROS_PER_SECOND, Micros};

const VERSION: u8 = 1;
/// Keeps the state below 1 KiB at intervals of up to nine hours.
const MAX_WINDOW: u32 = 160;
/// Intervals needed before a gap can be judged.
const WARM: usize = 16;

/// Options: `factor` (of the usual longest interval, default 3), `window` (remembered intervals, 16 to 160, default 64),
/// `interval` (a duration: the known interval, in which case nothing is learned and the first gap is judged).
///
/// The score is the time since the last value over the allowed time. A sample gets the score of the gap that it ends; a
/// NaN that of the gap so far, so that a caller may ask at any time by sending one. Values are not judged, and expected
/// value and band stay unknown; a reason's numbers are seconds.
#[derive(Debug, Clone)]
pub struct Gap {
    factor: f64,
    window: usize,
    interval: Option<Micros>,
    last: Option<Micros>,
    /// The last intervals in microseconds, oldest first.
    intervals: VecDeque<Micros>,
    longest: Longest,
}

/// The two longest of the remembered intervals.
#[derive(Debug, Clone, Copy, Default)]
struct Longest {
    first: Micros,
    second: Micros,
}

impl Longest {
    fn add(&mut self, interval: Micros) {
        if interval > self.first {
            (self.first, self.second) = (interval, self.first);
        } else if interval > self.second {
            self.second = interval;
        }
    }
}

impl Gap {
    fn new(factor: f64, window: u32, interval: Option<Micros>) -> Gap {
        Gap {
            factor,
            window: window as usize,
            interval,
            last: None,
            intervals: VecDeque::new(),
            longest: Longest::default(),
        }
    }

    /// The longest pause, in microseconds, that is still usual.
    fn allowed(&self) -> Option<f64> {
        if let Some(interval) = self.interval {
            return Some(self.factor * interval as f64);
        }
        if self.intervals.len() < WARM {
            return None;
        }
        Some(self.factor * self.longest.second as f64)
    }

    fn learn(&mut self, interval: Micros) {
        let forgotten = if self.intervals.len() == self.window { self.intervals.pop_front() } else { None };
        self.intervals.push_back(interval);
        match forgotten {
            Some(old) if old == interval => {}
            Some(old) if old >= self.longest.second => {
                self.longest = Longest::default();
                self.intervals.iter().for_each(|&interval| self.longest.add(interval));
            }
            _ => self.longest.add(interval),
        }
    }
}

impl Detector for Gap {
    const METHOD: Method = Method::Gap;

    fn from_options(options: &Options) -> Result<Gap, OptionError> {
        let mut reader = options.of(Method::Gap);
        let factor = reader.number("factor", 3.0, 1.0..=1e6)?;
        let window = reader.integer("window", 64, WARM as u32..=MAX_WINDOW)?;
        let interval = reader.optional_duration("interval")?;
        reader.finish()?;
        Ok(Gap::new(factor, window, interval))
    }

    fn update(&mut self, time: Micros, value: f64) -> Reading {
        let arrived = !value.is_nan();
        let passed = self.last.map_or(0, |last| time.saturating_sub(last));
        if arrived {
            self.last = Some(self.last.map_or(time, |last| last.max(time)));
        }
        if passed <= 0 {
            return Band::UNKNOWN.as_usual();
        }
        let allowed = self.allowed();
        if arrived && self.interval.is_none() {
            // an outage is remembered as the longest pause that would have been usual
            let usual = allowed.map_or(passed, |allowed| passed.min(allowed as Micros));
            self.learn(usual);
        }
        let Some(allowed) = allowed else { return Band::UNKNOWN.as_usual() };
        // up to the allowed pause everything is as usual, so the score starts there and not at the first microsecond
        let score = if passed as f64 > allowed { passed as f64 / allowed } else { 0.0 };
        let seconds = |micros: f64| micros / MICROS_PER_SECOND as f64;
        Band::UNKNOWN.reading(score, Reason::new("gap", seconds(passed as f64), 0.0, seconds(allowed)))
    }

    fn warmed_up(&self) -> bool {
        self.last.is_some() && (self.interval.is_some() || self.intervals.len() >= WARM)
    }

    fn heap_bytes(&self) -> usize {
        self.intervals.capacity() * size_of::<Micros>()
    }

    fn save(&self) -> Vec<u8> {
        let mut out = begin_save(Self::METHOD, VERSION, 48 + 6 * self.intervals.len());
        put_f64(&mut out, self.factor);
        put_varint(&mut out, self.window as u64);
        for time in [self.interval, self.last] {
            out.push(u8::from(time.is_some()));
            put_zigzag(&mut out, time.unwrap_or(0));
        }
        put_varint(&mut out, self.intervals.len() as u64);
        for &interval in &self.intervals {
            put_varint(&mut out, interval as u64);
        }
        out
    }

    fn restore(bytes: &[u8]) -> Result<Gap, DecodeError> {
        let mut reader = begin_restore(bytes, Self::METHOD, VERSION)?;
        let (factor, window) = (reader.positive()?, reader.small()?);
        if !(WARM as u32..=MAX_WINDOW).contains(&window) {
            return Err(DecodeError::Invalid("the window of a detector is out of range"));
        }
        let mut gap = Gap::new(factor, window, None);
        let mut time = || -> Result<Option<Micros>, DecodeError> {
            let (given, micros) = (reader.bool()?, reader.zigzag()?);
            Ok(given.then_some(micros))
        };
        gap.interval = time()?;
        gap.last = time()?;
        if gap.interval.is_some_and(|interval| interval <= 0) {
            return Err(DecodeError::Invalid("the interval of a detector is not positive"));
        }
        let held = reader.count(1)?;
        if held > gap.window {
            return Err(DecodeError::Invalid("a detector holds more intervals than its window"));
        }
        for _ in 0..held {
            match i64::try_from(reader.varint()?) {
                Ok(interval) if interval > 0 => gap.learn(interval),
                _ => return Err(DecodeError::Invalid("an interval is out of range")),
            }
        }
        reader.finish()?;
        Ok(gap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{MICROS_PER_HOUR, MICROS_PER_MINUTE};

    const STEP: Micros = 5 * MICROS_PER_MINUTE;

    fn regular(pairs: &[(&str, &str)]) -> Gap {
        let mut gap = Gap::from_options(&Options::from_pairs(pairs.iter().copied()).unwrap()).unwrap();
        assert!((0..=100).all(|i| gap.update(i * STEP, 1.0).score == 0.0));
        gap
    }

    #[test]
    fn the_sample_after_an_outage_tells_of_it() {
        let mut gap = regular(&[]);
        assert_eq!(gap.update(102 * STEP, 1.0).score, 0.0);
        let reading = gap.update(102 * STEP + 2 * MICROS_PER_HOUR, 1.0);
        assert!((reading.score - 8.0).abs() < 1e-12);
        let reason = reading.reason.unwrap();
        assert_eq!((reason.code, reason.value, reason.upper), ("gap", 7200.0, 900.0));
        assert_eq!(gap.update(103 * STEP + 2 * MICROS_PER_HOUR, 1.0).score, 0.0);
    }

    #[test]
    fn asking_with_nan_tells_of_the_gap_so_far_and_does_not_end_it() {
        let mut gap = regular(&[]);
        assert_eq!(gap.update(101 * STEP, f64::NAN).score, 0.0);
        assert!(gap.update(110 * STEP, f64::NAN).is_anomaly);
        assert!(gap.update(111 * STEP, 1.0).is_anomaly);
    }

    #[test]
    fn what_is_allowed_is_the_second_longest_of_the_window() {
        let mut gap = Gap::new(1.0, 16, None);
        for i in 0..500_i64 {
            gap.learn(1 + i * i * 31 % 23);
            let mut sorted: Vec<Micros> = gap.intervals.iter().copied().collect();
            sorted.sort_unstable_by(|a, b| b.cmp(a));
            assert_eq!(gap.longest.first, sorted[0]);
            assert_eq!(gap.longest.second, sorted.get(1).copied().unwrap_or(0));
        }
    }

    #[test]
    fn an_outage_does_not_make_the_next_one_usual() {
        let mut gap = regular(&[]);
        let mut time = 100 * STEP;
        for _ in 0..5 {
            time += MICROS_PER_HOUR;
            assert!(gap.update(time, 1.0).is_anomaly);
            for _ in 0..64 {
                time += STEP;
                gap.update(time, 1.0);
            }
        }
    }

    #[test]
    fn a_sensor_that_reports_on_change_is_allowed_its_pauses() {
        let mut gap = Gap::from_options(&Options::new()).unwrap();
        let mut time = 0;
        let alarms = (0..2000_i64)
            .filter(|i| {
                time += MICROS_PER_MINUTE * (1 + (i * i * 31) % 47);
                gap.update(time, 1.0).is_anomaly
            })
            .count();
        assert_eq!(alarms, 0);
        assert!(gap.update(time + 5 * MICROS_PER_HOUR, 1.0).is_anomaly);
    }

    #[test]
    fn a_known_interval_needs_no_learning() {
        let mut gap = Gap::from_options(&Options::from_pairs([("interval", "5m"), ("factor", "2")]).unwrap()).unwrap();
        assert_eq!(gap.update(0, 1.0).score, 0.0);
        assert!(gap.update(3 * STEP, 1.0).is_anomaly);
    }

    #[test]
    fn backward_and_repeated_times_are_no_intervals() {
        let mut gap = regular(&[]);
        assert_eq!(gap.update(50 * STEP, 1.0).score, 0.0);
        assert_eq!(gap.update(50 * STEP, 1.0).score, 0.0);
        assert_eq!(gap.update(101 * STEP, 1.0).score, 0.0);
        assert_eq!(gap.intervals.len(), 64);
        assert!(gap.intervals.iter().all(|&i| i == STEP));
    }
}
