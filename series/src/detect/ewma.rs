//! EWMA control chart: an exponentially weighted moving average leaves the limits that its own past suggests.
//!
//! Roberts, "Control Chart Tests Based on Geometric Moving Averages" (1959): z_i = z_(i-1) + λ (x_i - z_(i-1)) is compared
//! with μ ± L σ_z. Roberts takes σ_z from the standard deviation of independent samples, λ / (2 - λ) σ²; readings of a
//! sensor are not independent, so here σ_z is learned from z itself (as Zhang, "A Statistical Control Chart for Stationary
//! Process Data", 1998, corrects it for the autocorrelation).

use crate::bytes::{DecodeError, put_f64, put_f64s, put_varint};
use crate::detect::baseline::Baseline;
use crate::detect::contract::{Admission, Admitted, Band, begin_restore, begin_save};
use crate::detect::{Detector, MAX_SCORE, Method, OptionError, Options, Reading, Reason};
use crate::time::Micros;

const VERSION: u8 = 1;
/// While the limits are not known, values count for at most this many standard deviations.
const CLIP: f64 = 10.0;
/// A single value moves the average by at most this many times the distance of a limit.
const MOST: f64 = 2.0;

#[derive(Debug, Clone, Copy, PartialEq)]
struct Settings {
    lambda: f64,
    line: f64,
    half_life: f64,
    warm: u32,
    min_scale: f64,
}

/// Options: `lambda` (weight of the newest value in the average, default 0.2), `line` (distance of the limits in standard
/// deviations of the average, default 4), `half_life` (of the learned mean and standard deviations, in samples, default
/// 4032, a fortnight at five minutes), `warm` (samples before the score is above 0, default 288), `min_scale` (the least
/// standard deviation, in the unit of the series, that is believed; default 0).
///
/// The score is |z - μ| / (line σ_z). A single value of whatever size moves the average to at most twice the limit, so the
/// score falls back with the average, and what is learned is bounded by three standard deviations. The expected value is
/// μ; the band holds the values that would keep the average within its limits. A reason's numbers are the average and its
/// limits. A value that differs from a wholly constant past scores up to [`MAX_SCORE`] unless `min_scale` says what a
/// difference is worth.
#[derive(Debug, Clone)]
pub struct Ewma {
    settings: Settings,
    admission: Admission,
    values: Baseline,
    averages: Baseline,
    /// NaN until the values are known.
    average: f64,
}

impl Ewma {
    fn new(settings: Settings) -> Ewma {
        Ewma {
            settings,
            admission: Admission::default(),
            values: Baseline::new(settings.half_life),
            averages: Baseline::new(settings.half_life),
            average: f64::NAN,
        }
    }

    /// Distance of the limits from the mean of the averages.
    fn reach(&self) -> f64 {
        self.settings.line * self.averages.scale(self.settings.min_scale)
    }

    fn band(&self) -> Band {
        if !self.warmed_up() {
            return Band::UNKNOWN;
        }
        let Settings { lambda, .. } = self.settings;
        let (mean, reach, carried) = (self.averages.mean(), self.reach(), (1.0 - lambda) * self.average);
        Band { expected: mean, lower: (mean - reach - carried) / lambda, upper: (mean + reach - carried) / lambda }
    }
}

impl Detector for Ewma {
    const METHOD: Method = Method::Ewma;

    fn from_options(options: &Options) -> Result<Ewma, OptionError> {
        let mut reader = options.of(Method::Ewma);
        let settings = Settings {
            lambda: reader.number("lambda", 0.2, 0.001..=1.0)?,
            line: reader.number("line", 4.0, 0.1..=1e6)?,
            half_life: reader.number("half_life", 4032.0, 10.0..=1e9)?,
            warm: reader.integer("warm", 288, 40..=1_000_000)?,
            min_scale: reader.number("min_scale", 0.0, 0.0..=1e150)?,
        };
        reader.finish()?;
        Ok(Ewma::new(settings))
    }

    fn update(&mut self, _time: Micros, value: f64) -> Reading {
        let band = self.band();
        let x = match self.admission.admit(value) {
            Admitted::Missing => return band.as_usual(),
            Admitted::Infinite(value) => return band.infinite(value),
            Admitted::Value(x) => x,
        };
        let judged = self.warmed_up();
        let (mean, reach) = (self.averages.mean(), self.reach());
        let believed = if judged && reach > 0.0 {
            let most = MOST * reach / self.settings.lambda;
            mean + (x - mean).clamp(-most, most)
        } else {
            self.values.clipped(x, CLIP)
        };
        self.values.learn(x);
        if self.average.is_nan() {
            self.average = self.values.mean();
            return band.as_usual();
        }
        self.average += self.settings.lambda * (believed - self.average);
        self.averages.learn(self.average);
        let deviation = (self.average - mean).abs();
        // what differs from a constant does so even if it is not believed yet
        if !judged || (deviation == 0.0 && x == mean) {
            return band.as_usual();
        }
        let score = if reach > 0.0 { deviation / reach } else { MAX_SCORE };
        band.reading(score, Reason::new("ewma", self.average, mean - reach, mean + reach))
    }

    fn warmed_up(&self) -> bool {
        self.averages.is_known() && self.values.samples() >= u64::from(self.settings.warm)
    }

    fn save(&self) -> Vec<u8> {
        let mut out = begin_save(Self::METHOD, VERSION, 400);
        let Settings { lambda, line, half_life, warm, min_scale } = self.settings;
        put_f64s(&mut out, &[lambda, line, half_life, min_scale]);
        put_varint(&mut out, u64::from(warm));
        self.admission.save(&mut out);
        self.values.save(&mut out);
        if self.values.is_known() {
            put_f64(&mut out, self.average);
            self.averages.save(&mut out);
        }
        out
    }

    fn restore(bytes: &[u8]) -> Result<Ewma, DecodeError> {
        let mut reader = begin_restore(bytes, Self::METHOD, VERSION)?;
        let settings = Settings {
            lambda: reader.positive()?,
            line: reader.positive()?,
            half_life: reader.positive()?,
            min_scale: reader.finite()?,
            warm: reader.small()?,
        };
        let mut detector = Ewma::new(settings);
        detector.admission = Admission::restore(&mut reader)?;
        detector.values = Baseline::restore(settings.half_life, &mut reader)?;
        if detector.values.is_known() {
            detector.average = reader.finite()?;
            detector.averages = Baseline::restore(settings.half_life, &mut reader)?;
        }
        reader.finish()?;
        Ok(detector)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detector(pairs: &[(&str, &str)]) -> Ewma {
        Ewma::from_options(&Options::from_pairs(pairs.iter().copied()).unwrap()).unwrap()
    }

    fn wobble(i: u64) -> f64 {
        (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f64 / (1_u64 << 24) as f64 - 0.5
    }

    #[test]
    fn a_small_shift_that_lasts_is_noticed_and_one_value_of_its_size_is_not() {
        let run = |shifted: std::ops::Range<u64>| -> Vec<f64> {
            let mut chart = detector(&[]);
            (0..2100).map(|i| chart.update(0, wobble(i) + if shifted.contains(&i) { 1.0 } else { 0.0 }).score).collect()
        };
        assert!(run(2000..2001).iter().all(|&s| s < 1.0));
        let lasting = run(2000..2100);
        assert!(lasting[..2000].iter().all(|&s| s < 1.0));
        assert!(lasting[2003..2030].iter().any(|&s| s >= 1.0));
    }

    #[test]
    fn the_band_holds_exactly_the_values_that_do_not_ring() {
        let mut chart = detector(&[]);
        (0..2000).for_each(|i| {
            chart.update(0, wobble(i));
        });
        let band = chart.band();
        for (x, rings) in [
            (band.upper - 1e-9, false),
            (band.upper + 1e-9, true),
            (band.lower + 1e-9, false),
            (band.lower - 1e-9, true),
        ] {
            assert_eq!(chart.clone().update(0, x).is_anomaly, rings, "{x} of {band:?}");
        }
    }

    #[test]
    fn a_huge_value_is_forgotten_within_a_few_samples() {
        let mut chart = detector(&[]);
        (0..2000).for_each(|i| {
            chart.update(0, wobble(i));
        });
        assert!(chart.update(0, 1e300).is_anomaly);
        let after: Vec<f64> = (0..10).map(|i| chart.update(0, wobble(i)).score).collect();
        assert!(after[5..].iter().all(|&s| s < 1.0), "{after:?}");
        assert!(chart.update(0, 100.0).is_anomaly);
    }

    #[test]
    fn a_level_that_stays_is_accepted() {
        let mut chart = detector(&[("half_life", "500")]);
        let scores: Vec<f64> =
            (0..20_000).map(|i| chart.update(0, wobble(i) + if i < 2000 { 0.0 } else { 10.0 }).score).collect();
        assert!(scores[2000] >= 1.0 || scores[2001] >= 1.0);
        assert!(scores[15_000..].iter().all(|&s| s < 1.0));
    }
}
