//! One slowly shrinking remembered range of a stream.

use crate::bytes::{DecodeError, Reader, put_f64s};

/// Excursions well below this fraction of the range are damped quadratically.
const TAIL: f64 = 0.1;
/// One stream contributes at most this much novelty.
pub(super) const CAP: f64 = 0.3;
/// One sample pushes a bound out by at most this many widths of the range.
const GROWTH: f64 = 3.0;
/// The first samples set the range without restraint.
const UNBOUNDED_SAMPLES: u64 = 20;

/// Lowest and highest remembered value. Both shrink towards the running mean, so that a level which was last reached
/// long ago counts as slightly new again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    pub(super) lo: f64,
    pub(super) hi: f64,
    mean: f64,
}

impl Range {
    pub(super) fn new(first: f64) -> Range {
        Range { lo: first, hi: first, mean: first }
    }

    /// How far `x` lies outside, in widths of the range: v becomes `min(v² / (v + TAIL), CAP)`.
    pub(super) fn novelty(&self, x: f64) -> f64 {
        let width = self.hi - self.lo;
        if width > 0.0 {
            let beyond = (x - self.hi).max(self.lo - x);
            if beyond <= 0.0 {
                return 0.0;
            }
            let v = beyond / width;
            (v * v / (v + TAIL)).min(CAP)
        } else if x != self.hi {
            CAP
        } else {
            0.0
        }
    }

    /// Learns `x`, the sample number `i` (from 1), whose share of all samples is 1 / (i + 1). `keep` is the fraction of the
    /// range that one sample leaves.
    #[inline]
    pub(super) fn learn(&mut self, i: u64, share: f64, x: f64, keep: f64) {
        let width = self.hi - self.lo;
        if i > UNBOUNDED_SAMPLES {
            let clipped = x.max(self.lo - width).min(self.hi + width);
            self.mean += share.max(0.001) * (clipped - self.mean);
        } else {
            self.mean += (x - self.mean) / (i + 1) as f64;
        }
        self.hi = self.mean + (self.hi - self.mean) * keep;
        self.lo = self.mean + (self.lo - self.mean) * keep;
        let limit = if width > 0.0 && i > UNBOUNDED_SAMPLES { GROWTH * width } else { f64::INFINITY };
        if x > self.hi {
            self.hi += (x - self.hi).min(limit);
        }
        if x < self.lo {
            self.lo -= (self.lo - x).min(limit);
        }
    }

    pub(super) fn save(&self, out: &mut Vec<u8>) {
        put_f64s(out, &[self.lo, self.hi, self.mean]);
    }

    pub(super) fn restore(reader: &mut Reader<'_>) -> Result<Range, DecodeError> {
        Ok(Range { lo: reader.finite()?, hi: reader.finite()?, mean: reader.finite()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: f64 = 0.999_97;

    fn learned(values: impl IntoIterator<Item = f64>) -> Range {
        let mut values = values.into_iter();
        let mut range = Range::new(values.next().unwrap());
        values.enumerate().for_each(|(i, x)| range.learn(i as u64 + 1, 1.0 / (i + 2) as f64, x, KEEP));
        range
    }

    #[test]
    fn what_was_seen_is_not_new_and_what_lies_outside_is() {
        let range = learned((0..200).map(|i| f64::from(i % 10)));
        assert_eq!(range.novelty(5.0), 0.0);
        assert!(range.novelty(9.5) > 0.0 && range.novelty(9.5) < 0.05);
        assert_eq!(range.novelty(100.0), CAP);
        assert_eq!(range.novelty(-100.0), CAP);
    }

    #[test]
    fn one_huge_value_widens_the_range_by_a_bounded_factor() {
        let mut range = learned((0..200).map(|i| f64::from(i % 10)));
        range.learn(200, 1.0 / 201.0, 1e100, KEEP);
        assert!(range.hi - range.lo < 37.0);
    }

    #[test]
    fn any_change_of_a_constant_is_new() {
        let range = learned([3.0; 50]);
        assert_eq!(range.novelty(3.0), 0.0);
        assert_eq!(range.novelty(3.1), CAP);
    }
}
