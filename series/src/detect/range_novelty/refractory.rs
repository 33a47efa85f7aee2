//! One alarm per event: after an emitted score only a much higher one passes for a while.

use crate::bytes::{DecodeError, Reader, put_f64, put_varint};

#[derive(Debug, Clone, Default)]
pub(super) struct Refractory {
    /// Number of the sample after the last emitted one, 0 if there was none.
    after_last: u64,
    level: f64,
}

impl Refractory {
    /// The score of sample number `i`, or 0 if within `samples` of the last emitted score it is not above `ratio` times it.
    pub(super) fn pass(&mut self, i: u64, score: f64, samples: u64, ratio: f64) -> f64 {
        if score <= 0.0 {
            return 0.0;
        }
        let rested = self.after_last == 0 || i - (self.after_last - 1) > samples;
        if !rested && score <= self.level * ratio {
            return 0.0;
        }
        self.after_last = i + 1;
        self.level = score;
        score
    }

    pub(super) fn save(&self, out: &mut Vec<u8>) {
        put_varint(out, self.after_last);
        put_f64(out, self.level);
    }

    pub(super) fn restore(samples: u64, reader: &mut Reader<'_>) -> Result<Refractory, DecodeError> {
        let refractory = Refractory { after_last: reader.varint()?, level: reader.finite()? };
        if refractory.after_last > samples {
            return Err(DecodeError::Invalid("the last alarm of a detector lies in its future"));
        }
        Ok(refractory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_much_higher_score_passes_soon_after_another() {
        let mut refractory = Refractory::default();
        let scores = [0.0, 1.0, 1.5, 2.5, 4.0, 0.0, 0.0, 1.0];
        let passed: Vec<f64> = scores.iter().enumerate().map(|(i, &s)| refractory.pass(i as u64, s, 3, 2.0)).collect();
        assert_eq!(passed, [0.0, 1.0, 0.0, 2.5, 0.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn without_a_refractory_time_everything_passes() {
        let mut refractory = Refractory::default();
        assert!((0..9).all(|i| refractory.pass(i, 1.0, 0, 2.0) == 1.0));
    }
}
