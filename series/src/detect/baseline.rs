//! What several detectors learn of a series: its mean and standard deviation, such that a few samples cannot spoil them.
//!
//! They start as the median and the scaled median absolute deviation of the first samples and go on as exponentially
//! fading moments of deviations that count for at most three standard deviations: Huber, "Robust Estimation of a Location
//! Parameter" (1964), with his ψ taken recursively.

use crate::bytes::{DecodeError, Reader, put_f64s, put_varint};

/// Samples that make the start.
const FIRST: usize = 20;
/// Deviations count for at most this many standard deviations.
const CLIP: f64 = 3.0;
/// Makes the median absolute deviation of normal data their standard deviation: 1 / Φ⁻¹(3/4).
pub(super) const MAD_TO_SIGMA: f64 = 1.482_602_218_505_602;
/// The same for the mean absolute deviation: √(π/2).
pub(super) const MEAN_DEVIATION_TO_SIGMA: f64 = 1.253_314_137_315_500_3;
/// Standard deviations below this fraction of the mean are rounding errors.
const ROUNDING: f64 = 1e-9;

#[derive(Debug, Clone)]
pub(super) struct Baseline {
    /// Weight of the newest sample once many were seen.
    gain: f64,
    samples: u64,
    /// The first samples in order of arrival, until there are enough.
    first: [f64; FIRST],
    mean: f64,
    variance: f64,
    sigma: f64,
    /// The last sample's deviation, unclipped.
    deviation: f64,
}

/// The weight of the newest of many samples such that a sample's weight has halved after `half_life` further ones.
pub(super) fn gain(half_life: f64) -> f64 {
    1.0 - 0.5_f64.powf(1.0 / half_life)
}

impl Baseline {
    /// What is learned fades with a half-life in samples.
    pub(super) fn new(half_life: f64) -> Baseline {
        Baseline {
            gain: gain(half_life),
            samples: 0,
            first: [0.0; FIRST],
            mean: f64::NAN,
            variance: 0.0,
            sigma: 0.0,
            deviation: 0.0,
        }
    }

    pub(super) fn samples(&self) -> u64 {
        self.samples
    }

    /// There are a mean and a standard deviation.
    pub(super) fn is_known(&self) -> bool {
        self.samples >= FIRST as u64
    }

    /// NaN until it is known.
    pub(super) fn mean(&self) -> f64 {
        self.mean
    }

    /// The standard deviation, at least `min` and what rounding makes of the mean.
    pub(super) fn scale(&self, min: f64) -> f64 {
        self.sigma.max(min).max(ROUNDING * self.mean.abs())
    }

    /// `x` moved to within `widths` standard deviations of the mean. While these are 0 a deviation is believed as far as
    /// the one before it went, so that a single value far off means nothing and a changed series something.
    pub(super) fn clipped(&self, x: f64, widths: f64) -> f64 {
        if !self.is_known() {
            return x;
        }
        let limit = if self.sigma > 0.0 { widths * self.sigma } else { self.deviation.abs() };
        self.mean + (x - self.mean).clamp(-limit, limit)
    }

    pub(super) fn learn(&mut self, x: f64) {
        let before = self.samples;
        self.samples += 1;
        if before < FIRST as u64 {
            self.first[before as usize] = x;
            if self.is_known() {
                self.start();
            }
            return;
        }
        let deviation = self.clipped(x, CLIP) - self.mean;
        self.deviation = x - self.mean;
        let gain = (1.0 / self.samples as f64).max(self.gain);
        self.mean += gain * deviation;
        self.variance += gain * (deviation * deviation - self.variance);
        self.sigma = self.variance.sqrt();
    }

    fn start(&mut self) {
        let median = |values: &mut [f64; FIRST]| {
            values.sort_unstable_by(f64::total_cmp);
            0.5 * values[FIRST / 2 - 1] + 0.5 * values[FIRST / 2]
        };
        self.mean = median(&mut self.first.clone());
        self.sigma = MAD_TO_SIGMA * median(&mut self.first.map(|x| (x - self.mean).abs()));
        self.variance = self.sigma * self.sigma;
    }

    pub(super) fn save(&self, out: &mut Vec<u8>) {
        put_varint(out, self.samples);
        if self.is_known() {
            put_f64s(out, &[self.mean, self.variance, self.deviation]);
        } else {
            put_f64s(out, &self.first[..self.samples as usize]);
        }
    }

    pub(super) fn restore(half_life: f64, reader: &mut Reader<'_>) -> Result<Baseline, DecodeError> {
        let mut baseline = Baseline::new(half_life);
        baseline.samples = reader.counter()?;
        if baseline.is_known() {
            baseline.mean = reader.finite()?;
            baseline.variance = reader.finite()?;
            baseline.deviation = reader.finite()?;
            if baseline.variance < 0.0 {
                return Err(DecodeError::Invalid("a variance is negative"));
            }
            baseline.sigma = baseline.variance.sqrt();
        } else {
            for x in &mut baseline.first[..baseline.samples as usize] {
                *x = reader.finite()?;
            }
        }
        Ok(baseline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nearly normal: the sum of twelve uniform deviates (Irwin and Hall), in standard deviations.
    fn noise(i: u64) -> f64 {
        let uniform = |i: u64| {
            let mut z = i.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            ((z ^ (z >> 27)) >> 11) as f64 / (1_u64 << 53) as f64
        };
        (0..12).map(|j| uniform(12 * i + j)).sum::<f64>() - 6.0
    }

    fn learned(values: impl IntoIterator<Item = f64>) -> Baseline {
        let mut baseline = Baseline::new(1000.0);
        values.into_iter().for_each(|x| baseline.learn(x));
        baseline
    }

    #[test]
    fn it_finds_mean_and_standard_deviation() {
        let baseline = learned((0..20_000).map(|i| 5.0 + 2.0 * noise(i)));
        assert!((baseline.mean() - 5.0).abs() < 0.2, "{}", baseline.mean());
        assert!((baseline.scale(0.0) - 2.0).abs() < 0.2, "{}", baseline.scale(0.0));
    }

    #[test]
    fn neither_a_bad_start_nor_a_few_huge_values_spoil_it() {
        let baseline = learned((0..20_000).map(|i| if i == 0 || i % 100 == 50 { 1e150 } else { noise(i) }));
        assert!(baseline.mean().abs() < 0.3, "{}", baseline.mean());
        assert!((baseline.scale(0.0) - 1.0).abs() < 0.3, "{}", baseline.scale(0.0));
    }

    #[test]
    fn one_huge_value_after_a_constant_teaches_nothing() {
        let constant = (0..50).map(|_| 3.0);
        let baseline = learned(constant.chain([1e150]).chain((0..50).map(|_| 3.0)));
        assert_eq!((baseline.mean(), baseline.sigma), (3.0, 0.0));
    }

    #[test]
    fn a_constant_that_becomes_another_is_learned() {
        let baseline = learned((0..20_000).map(|i| if i < 50 { 3.0 } else { 4.0 }));
        assert!((baseline.mean() - 4.0).abs() < 0.01, "{}", baseline.mean());
    }
}
