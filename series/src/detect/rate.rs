//! Rate of change: the series moves faster than it does on its own, or than it may.
//!
//! The rate is the difference to an earlier value over the time between them, so that irregular times and missing samples do
//! not matter. Allowed is a multiple of the second-fastest change remembered, a given limit, or both.

use crate::bytes::{DecodeError, put_f64, put_f64s, put_varint, put_zigzag};
use crate::detect::contract::{Admission, Admitted, Band, begin_restore, begin_save};
use crate::detect::peaks::Peaks;
use crate::detect::{Detector, MAX_SCORE, Method, OptionError, Options, Reading, Reason};
use crate::time::{MICROS_PER_HOUR, MICROS_PER_MINUTE, Micros};

const VERSION: u8 = 1;
/// Samples in which what lies beyond the usual is learned at most once.
const REST: u32 = 288;

#[derive(Debug, Clone, Copy, PartialEq)]
struct Settings {
    limit: Option<f64>,
    /// Of the usual rate; none if only the limit counts.
    ratio: Option<f64>,
    per: Micros,
    over: Micros,
    half_life: f64,
    warm: u32,
}

/// Options: `limit` (fastest allowed change, in the unit of the series per `per`; none by default), `per` (the unit of time
/// of `limit` and of the reasons, default `1h`), `ratio` (allowed rate over the usual one, default 1.5; with a `limit` nothing
/// is learned unless `ratio` is given too), `over` (shortest time over which a change is measured, default `1m`),
/// `half_life` (of what is remembered, in samples, default 24 000), `warm` (samples before learned rates count, default 288).
///
/// A sample is compared with the newest one that was at least `over` old when the next arrived, over at least `over`: the
/// noise of samples that follow each other within milliseconds is no rate. The score is the rate over the allowed one; a
/// given limit judges from the second sample on. The expected value is the value compared with, the band what the allowed
/// rate could have made of it since. A time that is not after the last one leaves the sample unjudged. A reason's numbers
/// are rates per `per`. A change after a past without any scores [`MAX_SCORE`].
#[derive(Debug, Clone)]
pub struct RateOfChange {
    settings: Settings,
    admission: Admission,
    samples: u64,
    compared: Option<(Micros, f64)>,
    /// Time of the newest sample.
    last: Micros,
    /// Of rates per microsecond.
    peaks: Peaks,
}

impl RateOfChange {
    fn new(settings: Settings) -> RateOfChange {
        RateOfChange {
            settings,
            admission: Admission::default(),
            samples: 0,
            compared: None,
            last: Micros::MIN,
            peaks: Peaks::new(settings.half_life),
        }
    }

    fn learns(&self) -> bool {
        self.settings.ratio.is_some()
    }

    /// The fastest usual change per microsecond by what was learned.
    fn learned(&self) -> Option<f64> {
        let ratio = self.settings.ratio?;
        (self.samples >= u64::from(self.settings.warm)).then(|| ratio * self.peaks.usual())
    }

    /// The fastest allowed change per microsecond.
    fn allowed(&self) -> Option<f64> {
        let limit = self.settings.limit.map(|limit| limit / self.settings.per as f64);
        match (limit, self.learned()) {
            (Some(limit), Some(learned)) => Some(limit.min(learned)),
            (limit, learned) => limit.or(learned),
        }
    }
}

impl Detector for RateOfChange {
    const METHOD: Method = Method::RateOfChange;

    fn from_options(options: &Options) -> Result<RateOfChange, OptionError> {
        let mut reader = options.of(Method::RateOfChange);
        let limit = reader.optional_number("limit", 1e-150..=1e150)?;
        let ratio = reader.optional_number("ratio", 1.0..=1e6)?;
        let settings = Settings {
            limit,
            ratio: ratio.or(if limit.is_some() { None } else { Some(1.5) }),
            per: reader.optional_duration("per")?.unwrap_or(MICROS_PER_HOUR),
            over: reader.optional_duration("over")?.unwrap_or(MICROS_PER_MINUTE),
            half_life: reader.number("half_life", 24_000.0, 10.0..=1e9)?,
            warm: reader.integer("warm", 288, 16..=1_000_000)?,
        };
        reader.finish()?;
        Ok(RateOfChange::new(settings))
    }

    fn update(&mut self, time: Micros, value: f64) -> Reading {
        let x = match self.admission.admit(value) {
            Admitted::Missing => return Band::UNKNOWN.as_usual(),
            Admitted::Infinite(value) => return Band::UNKNOWN.infinite(value),
            Admitted::Value(x) => x,
        };
        let Some((since, before)) = self.compared else {
            self.compared = Some((time, x));
            self.last = time;
            self.samples = 1;
            return Band::UNKNOWN.as_usual();
        };
        if time <= self.last {
            if time < self.last {
                // one wrong time in the future must not stop the detector until then
                self.compared = Some((time, x));
                self.last = time;
            }
            return Band::UNKNOWN.as_usual();
        }
        let Settings { per, over, .. } = self.settings;
        let passed = time.saturating_sub(since);
        let span = passed.max(over) as f64;
        let rate = (x - before) / span;
        let allowed = self.allowed();
        if self.learns() {
            self.peaks.fade();
            // after a constant any change is beyond the usual, and would stay so if it could not be learned
            let limit = self.learned().filter(|&learned| learned > 0.0).unwrap_or(f64::INFINITY);
            self.peaks.learn(rate.abs(), limit, REST);
        }
        self.samples += 1;
        self.last = time;
        if passed >= over {
            self.compared = Some((time, x));
        }
        let Some(allowed) = allowed else { return Band::UNKNOWN.as_usual() };
        let band = Band { expected: before, lower: before - allowed * span, upper: before + allowed * span };
        if rate == 0.0 {
            return band.as_usual();
        }
        let score = if allowed > 0.0 { rate.abs() / allowed } else { MAX_SCORE };
        let unit = per as f64;
        band.reading(score, Reason::new("rate_of_change", rate * unit, -allowed * unit, allowed * unit))
    }

    fn warmed_up(&self) -> bool {
        self.samples > 0 && self.allowed().is_some()
    }

    fn save(&self) -> Vec<u8> {
        let mut out = begin_save(Self::METHOD, VERSION, 128);
        let Settings { limit, ratio, per, over, half_life, warm } = self.settings;
        for number in [limit, ratio] {
            out.push(u8::from(number.is_some()));
            put_f64(&mut out, number.unwrap_or(0.0));
        }
        put_varint(&mut out, per as u64);
        put_varint(&mut out, over as u64);
        put_f64(&mut out, half_life);
        put_varint(&mut out, u64::from(warm));
        self.admission.save(&mut out);
        put_varint(&mut out, self.samples);
        if let Some((time, x)) = self.compared {
            put_zigzag(&mut out, time);
            put_f64s(&mut out, &[x]);
            put_zigzag(&mut out, self.last);
            self.peaks.save(&mut out);
        }
        out
    }

    fn restore(bytes: &[u8]) -> Result<RateOfChange, DecodeError> {
        let mut reader = begin_restore(bytes, Self::METHOD, VERSION)?;
        let mut given = || -> Result<Option<f64>, DecodeError> {
            match (reader.bool()?, reader.finite()?) {
                (true, number) if number > 0.0 => Ok(Some(number)),
                (true, _) => Err(DecodeError::Invalid("a number is not positive")),
                (false, _) => Ok(None),
            }
        };
        let (limit, ratio) = (given()?, given()?);
        let mut duration = || match i64::try_from(reader.varint()?) {
            Ok(micros) if micros > 0 => Ok(micros),
            _ => Err(DecodeError::Invalid("a duration is out of range")),
        };
        let (per, over) = (duration()?, duration()?);
        let settings = Settings { limit, ratio, per, over, half_life: reader.positive()?, warm: reader.small()? };
        let mut detector = RateOfChange::new(settings);
        detector.admission = Admission::restore(&mut reader)?;
        detector.samples = reader.counter()?;
        if detector.samples > 0 {
            detector.compared = Some((reader.zigzag()?, reader.finite()?));
            detector.last = reader.zigzag()?;
            detector.peaks = Peaks::restore(settings.half_life, &mut reader)?;
        }
        reader.finish()?;
        Ok(detector)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::MICROS_PER_SECOND;

    const STEP: Micros = 5 * MICROS_PER_MINUTE;

    fn detector(pairs: &[(&str, &str)]) -> RateOfChange {
        RateOfChange::from_options(&Options::from_pairs(pairs.iter().copied()).unwrap()).unwrap()
    }

    #[test]
    fn a_limit_is_a_change_per_unit_of_time_whatever_the_times() {
        let mut rate = detector(&[("limit", "6"), ("per", "1h")]);
        assert_eq!(rate.update(0, 10.0).score, 0.0);
        assert!((rate.update(STEP, 10.25).score - 0.5).abs() < 1e-12);
        let fast = rate.update(2 * STEP, 11.25);
        let reason = fast.reason.unwrap();
        assert!((fast.score - 2.0).abs() < 1e-12 && reason.code == "rate_of_change");
        assert!((reason.value - 12.0).abs() < 1e-9 && (reason.upper - 6.0).abs() < 1e-9);
        assert!((fast.expected - 10.25).abs() < 1e-12 && (fast.upper - 10.75).abs() < 1e-9);
        // the same change over a pause ten times as long is slow
        assert!(rate.update(12 * STEP, 12.25).score < 0.3);
    }

    #[test]
    fn a_ramp_of_many_small_steps_has_its_rate() {
        let mut rate = detector(&[("limit", "30"), ("per", "1m")]);
        let scores: Vec<f64> =
            (0..300).map(|second| rate.update(second * MICROS_PER_SECOND, second as f64).score).collect();
        assert!((scores[299] - 2.0).abs() < 0.1, "{}", scores[299]);
    }

    #[test]
    fn noise_within_milliseconds_is_no_rate() {
        let mut rate = detector(&[("limit", "1"), ("per", "1m")]);
        assert!((0..100).all(|i| rate.update(i * 1000, f64::from(i as u32 % 2) * 0.5).score < 1.0));
    }

    #[test]
    fn a_pump_that_starts_every_day_is_usual_and_one_that_bursts_is_not() {
        let flow = |i: i64| if (72..264).contains(&(i % 288)) { 30.0 } else { 0.0 };
        let mut rate = detector(&[]);
        let alarms = (0..288 * 20).filter(|&i| rate.update(i * STEP, flow(i)).is_anomaly).count();
        assert!(alarms <= 1, "{alarms}");
        assert!(rate.update(288 * 20 * STEP, 100.0).is_anomaly);
    }

    #[test]
    fn a_time_in_the_future_does_not_stop_the_detector() {
        let mut rate = detector(&[("limit", "6"), ("per", "1h")]);
        for (time, value) in [(0, 1.0), (1 << 60, 1.0), (STEP, 1.0)] {
            assert_eq!(rate.update(time, value).score, 0.0);
        }
        assert!(rate.update(2 * STEP, 9.0).is_anomaly);
    }

    #[test]
    fn a_series_that_was_constant_at_first_is_learned_when_it_moves() {
        let mut rate = detector(&[]);
        let flow = |i: i64| if i < 500 || !(72..264).contains(&(i % 288)) { 0.0 } else { 30.0 + (i % 3) as f64 };
        let rings: Vec<bool> = (0..288 * 20).map(|i| rate.update(i * STEP, flow(i)).is_anomaly).collect();
        assert!(rings[500..].contains(&true) && !rings[288 * 12..].contains(&true));
    }

    #[test]
    fn a_limit_and_a_learned_rate_count_together_if_both_are_asked_for() {
        let mut both = detector(&[("limit", "1000"), ("ratio", "3")]);
        let mut one = detector(&[("limit", "1000")]);
        for i in 0..500 {
            let value = f64::from(i as u32 % 3);
            both.update(i * STEP, value);
            one.update(i * STEP, value);
        }
        assert!(both.update(500 * STEP, 50.0).is_anomaly);
        assert!(!one.update(500 * STEP, 50.0).is_anomaly);
    }
}
