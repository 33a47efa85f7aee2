//! How far a statistic has usually gone: the second-largest value that it reached, fading.
//!
//! The second, so that one incident does not make the next one usual, and the largest rather than a spread, so that a
//! series whose habit is a rare but regular excursion (a pump that starts) is allowed it.

use crate::bytes::{DecodeError, Reader, put_f64s, put_varint};

#[derive(Debug, Clone)]
pub(super) struct Peaks {
    /// Fraction that one sample leaves.
    keep: f64,
    largest: f64,
    second: f64,
    /// Samples during which nothing beyond the limit is learned any more.
    rest: u32,
}

impl Peaks {
    /// What is remembered fades with a half-life in samples.
    pub(super) fn new(half_life: f64) -> Peaks {
        Peaks { keep: 0.5_f64.powf(1.0 / half_life), largest: 0.0, second: 0.0, rest: 0 }
    }

    /// The second-largest value remembered, at least 0.
    pub(super) fn usual(&self) -> f64 {
        self.second
    }

    /// Lets one sample pass.
    pub(super) fn fade(&mut self) {
        self.largest *= self.keep;
        self.second *= self.keep;
        self.rest = self.rest.saturating_sub(1);
    }

    /// Learns a value that was reached. Beyond `limit` it counts as the limit, and once in `rest` samples: an incident of
    /// any length teaches as much as one sample.
    pub(super) fn learn(&mut self, value: f64, limit: f64, rest: u32) {
        let mut value = value;
        if value > limit {
            if self.rest > 0 {
                return;
            }
            self.rest = rest;
            value = limit;
        }
        if value > self.largest {
            (self.largest, self.second) = (value, self.largest);
        } else if value > self.second {
            self.second = value;
        }
    }

    pub(super) fn save(&self, out: &mut Vec<u8>) {
        put_f64s(out, &[self.largest, self.second]);
        put_varint(out, u64::from(self.rest));
    }

    pub(super) fn restore(half_life: f64, reader: &mut Reader<'_>) -> Result<Peaks, DecodeError> {
        let peaks = Peaks {
            largest: reader.finite()?,
            second: reader.finite()?,
            rest: reader.small()?,
            ..Peaks::new(half_life)
        };
        let in_order = 0.0 <= peaks.second && peaks.second <= peaks.largest;
        if in_order { Ok(peaks) } else { Err(DecodeError::Invalid("the peaks of a detector are not in order")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_incident_does_not_make_the_next_one_usual() {
        let mut peaks = Peaks::new(1e6);
        [1.0, 2.0, 3.0, 2.5].into_iter().for_each(|v| peaks.learn(v, 6.0, 100));
        assert_eq!(peaks.usual(), 2.5);
        for _ in 0..50 {
            peaks.fade();
            peaks.learn(1e9, 6.0, 100);
        }
        assert!(peaks.usual() <= 3.0 && peaks.usual() > 2.9);
    }

    #[test]
    fn what_is_not_seen_again_fades() {
        let mut peaks = Peaks::new(100.0);
        [8.0, 8.0].into_iter().for_each(|v| peaks.learn(v, 10.0, 100));
        (0..200).for_each(|_| peaks.fade());
        assert!((peaks.usual() - 2.0).abs() < 1e-9);
    }
}
