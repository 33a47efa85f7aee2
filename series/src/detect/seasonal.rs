//! Seasonal residual: the value differs from what this hour of a weekday or weekend usually brings.
//!
//! [`crate::detect::profile`] learns level and spread of each hour; the residual is judged in standard deviations of its
//! own hour, so that a night with little spread is judged more strictly than a morning.

use crate::bytes::{DecodeError, put_f64s, put_varint, put_zigzag};
use crate::detect::contract::{Admission, Admitted, Band, begin_restore, begin_save};
use crate::detect::profile::{Expectation, Profile};
use crate::detect::{Detector, MAX_SCORE, Method, OptionError, Options, Reading, Reason};
use crate::time::Micros;

const VERSION: u8 = 1;

#[derive(Debug, Clone, Copy, PartialEq)]
struct Settings {
    line: f64,
    half_life: f64,
    warm: u32,
    utc_offset: Micros,
    min_scale: f64,
}

/// Options: `line` (distance of the alarm line in standard deviations of the hour, default 7), `half_life` (of what an
/// hour has learned, in days on which it occurs, default 7), `warm` (such days before an hour is judged, default 3),
/// `utc_offset` (hours of local time before UTC, -14 to 14, fractions allowed, default 0), `min_scale` (the least standard
/// deviation, in the unit of the series, that is believed; default 0).
///
/// The score is |residual| / (line σ) with the hour's σ, at least 1 % of that of the series. A day of nonsense moves an
/// hour by little; a level that lasts is accepted within some two weeks. Hours of weekdays are judged from the fourth
/// weekday on, those of weekends from the second Sunday on. Summer time is not known: the hours move by one when it begins.
#[derive(Debug, Clone)]
pub struct Seasonal {
    settings: Settings,
    admission: Admission,
    profile: Profile,
}

impl Seasonal {
    fn new(settings: Settings) -> Seasonal {
        let profile = Profile::new(settings.half_life, settings.utc_offset);
        Seasonal { settings, admission: Admission::default(), profile }
    }
}

impl Detector for Seasonal {
    const METHOD: Method = Method::Seasonal;

    fn from_options(options: &Options) -> Result<Seasonal, OptionError> {
        let mut reader = options.of(Method::Seasonal);
        let settings = Settings {
            line: reader.number("line", 7.0, 0.1..=1e6)?,
            half_life: reader.number("half_life", 7.0, 0.5..=100.0)?,
            warm: reader.integer("warm", 3, 1..=250)?,
            utc_offset: reader.utc_offset()?,
            min_scale: reader.number("min_scale", 0.0, 0.0..=1e150)?,
        };
        reader.finish()?;
        Ok(Seasonal::new(settings))
    }

    fn update(&mut self, time: Micros, value: f64) -> Reading {
        let Settings { line, warm, min_scale, .. } = self.settings;
        let expectation = self.profile.expect(time, min_scale);
        let judged = expectation.filter(|e| u32::from(e.visits) >= warm);
        let band = judged.map_or(Band::UNKNOWN, |Expectation { level, sigma, .. }| Band {
            expected: level,
            lower: level - line * sigma,
            upper: level + line * sigma,
        });
        let x = match self.admission.admit(value) {
            Admitted::Missing => return band.as_usual(),
            Admitted::Infinite(value) => return band.infinite(value),
            Admitted::Value(x) => x,
        };
        self.profile.learn(time, x, expectation);
        let Some(Expectation { level, sigma, .. }) = judged else { return band.as_usual() };
        let residual = (x - level).abs();
        if residual == 0.0 {
            return band.as_usual();
        }
        let score = if sigma > 0.0 { residual / (line * sigma) } else { MAX_SCORE };
        band.reading(score, Reason::new("seasonal", x, band.lower, band.upper))
    }

    fn warmed_up(&self) -> bool {
        u32::from(self.profile.visits()) >= self.settings.warm
    }

    fn save(&self) -> Vec<u8> {
        let mut out = begin_save(Self::METHOD, VERSION, 800);
        let Settings { line, half_life, warm, utc_offset, min_scale } = self.settings;
        put_f64s(&mut out, &[line, half_life, min_scale]);
        put_varint(&mut out, u64::from(warm));
        put_zigzag(&mut out, utc_offset);
        self.admission.save(&mut out);
        self.profile.save(&mut out);
        out
    }

    fn restore(bytes: &[u8]) -> Result<Seasonal, DecodeError> {
        let mut reader = begin_restore(bytes, Self::METHOD, VERSION)?;
        let settings = Settings {
            line: reader.positive()?,
            half_life: reader.positive()?,
            min_scale: reader.finite()?,
            warm: reader.small()?,
            utc_offset: reader.zigzag()?,
        };
        let mut detector = Seasonal::new(settings);
        detector.admission = Admission::restore(&mut reader)?;
        detector.profile = Profile::restore(settings.half_life, settings.utc_offset, &mut reader)?;
        reader.finish()?;
        Ok(detector)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{MICROS_PER_DAY, MICROS_PER_MINUTE};

    const STEP: Micros = 5 * MICROS_PER_MINUTE;
    /// A Monday.
    const START: Micros = 4 * MICROS_PER_DAY;

    fn usual(i: i64) -> f64 {
        let noise = (i * 7919 % 1009) as f64 / 1009.0 - 0.5;
        30.0 + 20.0 * (i as f64 / 288.0 * std::f64::consts::TAU).sin() + noise
    }

    fn after(days: i64, pairs: &[(&str, &str)]) -> Seasonal {
        let mut detector = Seasonal::from_options(&Options::from_pairs(pairs.iter().copied()).unwrap()).unwrap();
        (0..288 * days).for_each(|i| {
            detector.update(START + i * STEP, usual(i));
        });
        detector
    }

    #[test]
    fn what_is_usual_at_noon_is_an_anomaly_at_midnight() {
        let mut detector = after(14, &[]);
        let at = |hour: i64| 288 * 14 + 12 * hour;
        let morning = usual(at(6));
        assert_eq!(detector.clone().update(START + at(6) * STEP, morning).reason, None);
        let reading = detector.update(START + at(18) * STEP, morning);
        assert!(reading.is_anomaly, "{reading:?}");
        assert!((reading.expected - usual(at(18))).abs() < 2.0);
        assert_eq!(reading.reason.unwrap().code, "seasonal");
    }

    #[test]
    fn the_band_holds_exactly_the_values_that_do_not_ring() {
        let mut detector = after(9, &[]);
        let time = START + 288 * 9 * STEP;
        let band = detector.update(time, f64::NAN);
        for (x, rings) in [
            (band.upper - 1e-9, false),
            (band.upper + 1e-9, true),
            (band.lower + 1e-9, false),
            (band.lower - 1e-9, true),
        ] {
            assert_eq!(detector.clone().update(time, x).is_anomaly, rings);
        }
    }

    #[test]
    fn hours_are_judged_after_three_days_and_those_of_weekends_apart() {
        let judges = |days: i64| {
            let mut detector = after(days, &[]);
            !detector.update(START + 288 * days * STEP, f64::NAN).expected.is_nan()
        };
        assert_eq!([2, 3, 4, 5, 12, 13].map(judges), [false, true, true, false, false, true]);
    }

    #[test]
    fn a_level_that_lasts_is_accepted_within_two_weeks() {
        let mut detector = after(14, &[]);
        let scores: Vec<f64> =
            (288 * 14..288 * 50).map(|i| detector.update(START + i * STEP, usual(i) + 40.0).score).collect();
        assert!(scores[150] >= 1.0);
        let weekday = &scores[288 * 15..288 * 16];
        assert!(weekday.iter().filter(|&&s| s >= 1.0).count() < 29, "{weekday:?}");
    }
}
