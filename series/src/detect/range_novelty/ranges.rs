//! The slowly shrinking remembered ranges of the streams, one column per number, so that the processor learns two streams at a
//! time.

use std::array::from_fn;

use super::compare::{greater, lesser};
use crate::bytes::{DecodeError, Reader, put_f64s};

/// Excursions well below this fraction of the range are damped quadratically.
const TAIL: f64 = 0.1;
/// One stream contributes at most this much novelty.
const CAP: f64 = 0.3;
/// One sample pushes a bound out by at most this many widths of the range.
const GROWTH: f64 = 3.0;
/// The first samples set the range without restraint.
const UNBOUNDED_SAMPLES: u64 = 20;

/// Lowest and highest remembered value of each stream. Both shrink towards the running mean, so that a level which was last
/// reached long ago counts as slightly new again.
#[derive(Debug, Clone)]
pub(super) struct Ranges<const N: usize> {
    lo: [f64; N],
    hi: [f64; N],
    mean: [f64; N],
}

impl<const N: usize> Ranges<N> {
    pub(super) fn new(first: [f64; N]) -> Self {
        Ranges { lo: first, hi: first, mean: first }
    }

    /// The lowest and the highest remembered value of a stream.
    pub(super) fn of(&self, stream: usize) -> (f64, f64) {
        (self.lo[stream], self.hi[stream])
    }

    /// Whether any stream has left its range; if not, no novelty is above 0.
    #[inline]
    pub(super) fn any_left(&self, values: &[f64; N]) -> bool {
        let mut left = false;
        for (stream, &x) in values.iter().enumerate() {
            left |= (x > self.hi[stream]) | (x < self.lo[stream]);
        }
        left
    }

    /// How far `x` lies outside the range of a stream, in widths of the range: v becomes `min(v² / (v + TAIL), CAP)`.
    pub(super) fn novelty(&self, stream: usize, x: f64) -> f64 {
        let (lo, hi) = self.of(stream);
        let width = hi - lo;
        if width > 0.0 {
            let beyond = (x - hi).max(lo - x);
            if beyond <= 0.0 {
                return 0.0;
            }
            let v = beyond / width;
            (v * v / (v + TAIL)).min(CAP)
        } else if x != hi {
            CAP
        } else {
            0.0
        }
    }

    /// Learns sample number `i` (from 1), whose share of all samples is 1 / (i + 1). `keep` is the fraction of a range that one
    /// sample leaves.
    #[inline]
    pub(super) fn learn(&mut self, i: u64, share: f64, values: &[f64; N], keep: f64) {
        if i > UNBOUNDED_SAMPLES {
            self.learn_within::<true>(share, values, keep);
        } else {
            self.learn_within::<false>(share, values, keep);
        }
    }

    /// Without branches, step by step for all streams: so the compiler makes it two streams at a time.
    #[inline]
    fn learn_within<const BOUNDED: bool>(&mut self, share: f64, values: &[f64; N], keep: f64) {
        let gain = greater(share, 0.001);
        let Ranges { lo, hi, mean } = self;
        let width: [f64; N] = from_fn(|stream| hi[stream] - lo[stream]);
        let seen: [f64; N] = from_fn(|stream| {
            let (x, width) = (values[stream], width[stream]);
            if BOUNDED { lesser(greater(x, lo[stream] - width), hi[stream] + width) } else { x }
        });
        *mean = from_fn(|stream| mean[stream] + gain * (seen[stream] - mean[stream]));
        *hi = from_fn(|stream| mean[stream] + (hi[stream] - mean[stream]) * keep);
        *lo = from_fn(|stream| mean[stream] + (lo[stream] - mean[stream]) * keep);
        let limit: [f64; N] = width.map(|width| if BOUNDED && width > 0.0 { GROWTH * width } else { f64::INFINITY });
        *hi = from_fn(|stream| hi[stream] + lesser(greater(values[stream] - hi[stream], 0.0), limit[stream]));
        *lo = from_fn(|stream| lo[stream] - lesser(greater(lo[stream] - values[stream], 0.0), limit[stream]));
    }

    pub(super) fn save(&self, out: &mut Vec<u8>) {
        for stream in 0..N {
            put_f64s(out, &[self.lo[stream], self.hi[stream], self.mean[stream]]);
        }
    }

    pub(super) fn restore(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut ranges = Ranges::new([0.0; N]);
        for stream in 0..N {
            ranges.lo[stream] = reader.finite()?;
            ranges.hi[stream] = reader.finite()?;
            ranges.mean[stream] = reader.finite()?;
        }
        Ok(ranges)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: f64 = 0.999_97;

    fn learned(values: impl IntoIterator<Item = f64>) -> Ranges<1> {
        let mut values = values.into_iter();
        let mut range = Ranges::new([values.next().unwrap()]);
        values.enumerate().for_each(|(i, x)| range.learn(i as u64 + 1, 1.0 / (i + 2) as f64, &[x], KEEP));
        range
    }

    #[test]
    fn what_was_seen_is_not_new_and_what_lies_outside_is() {
        let range = learned((0..200).map(|i| f64::from(i % 10)));
        assert_eq!(range.novelty(0, 5.0), 0.0);
        assert!(range.novelty(0, 9.5) > 0.0 && range.novelty(0, 9.5) < 0.05);
        assert_eq!(range.novelty(0, 100.0), CAP);
        assert_eq!(range.novelty(0, -100.0), CAP);
    }

    #[test]
    fn one_huge_value_widens_the_range_by_a_bounded_factor() {
        let mut range = learned((0..200).map(|i| f64::from(i % 10)));
        range.learn(200, 1.0 / 201.0, &[1e100], KEEP);
        let (lo, hi) = range.of(0);
        assert!(hi - lo < 37.0);
    }

    #[test]
    fn any_change_of_a_constant_is_new() {
        let range = learned([3.0; 50]);
        assert_eq!(range.novelty(0, 3.0), 0.0);
        assert_eq!(range.novelty(0, 3.1), CAP);
    }
}
