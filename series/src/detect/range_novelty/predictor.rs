//! A linear one-step-ahead predictor, trained as samples arrive (normalised least mean squares: Haykin, "Adaptive Filter
//! Theory", chapter 6). It starts as "same as the last sample".

use crate::bytes::{DecodeError, Reader, put_f64, put_f64s};

const ORDER: usize = 6;
const STEP: f64 = 0.05;

#[derive(Debug, Clone)]
pub(super) struct Predictor {
    weight: [f64; ORDER],
    /// The last samples, newest first.
    last: [f64; ORDER],
    mean: f64,
}

impl Predictor {
    pub(super) fn new(first: f64) -> Predictor {
        let mut weight = [0.0; ORDER];
        weight[0] = 1.0;
        Predictor { weight, last: [first; ORDER], mean: first }
    }

    /// The absolute error of the prediction of sample number `i`; 0 until there are enough samples. Then learns it.
    /// `share` is its share of all samples, 1 / (i + 1).
    #[inline]
    pub(super) fn push(&mut self, i: u64, share: f64, x: f64) -> f64 {
        let mut distance = 0.0;
        if i >= ORDER as u64 {
            let lag = self.last.map(|past| past - self.mean);
            let mut predicted = 0.0;
            let mut energy = 1e-12;
            for (weight, lag) in self.weight.iter().zip(lag) {
                predicted += weight * lag;
                energy += lag * lag;
            }
            let error = (x - self.mean) - predicted;
            distance = error.abs();
            let gain = STEP * error / energy;
            for (weight, lag) in self.weight.iter_mut().zip(lag) {
                *weight += gain * lag;
            }
        }
        if i > 0 {
            self.mean += share.max(0.002) * (x - self.mean);
        }
        self.last.copy_within(..ORDER - 1, 1);
        self.last[0] = x;
        distance
    }

    pub(super) fn save(&self, out: &mut Vec<u8>) {
        put_f64s(out, &self.weight);
        put_f64s(out, &self.last);
        put_f64(out, self.mean);
    }

    pub(super) fn restore(reader: &mut Reader<'_>) -> Result<Predictor, DecodeError> {
        let mut predictor = Predictor::new(0.0);
        for slot in predictor.weight.iter_mut().chain(&mut predictor.last) {
            *slot = reader.finite()?;
        }
        predictor.mean = reader.finite()?;
        Ok(predictor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regular_series_becomes_predictable() {
        let mut predictor = Predictor::new(0.0);
        let errors: Vec<f64> =
            (0..5000).map(|i| predictor.push(i, 1.0 / (i + 1) as f64, (i as f64 * 0.3).sin())).collect();
        let mean = |errors: &[f64]| errors.iter().sum::<f64>() / errors.len() as f64;
        assert!(mean(&errors[4000..]) < 0.2 * mean(&errors[..100]));
    }

    #[test]
    fn a_constant_series_has_no_error() {
        let mut predictor = Predictor::new(0.1);
        assert!((0..1000).all(|i| predictor.push(i, 1.0 / (i + 1) as f64, 0.1) == 0.0));
    }
}
