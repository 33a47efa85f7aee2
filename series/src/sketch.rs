//! DDSketch: quantiles with a fixed relative error, mergeable without loss.
//!
//! Masson, Rim, Lee: "DDSketch: A Fast and Fully-Mergeable Quantile Sketch with Relative-Error Guarantees", VLDB 2019.
//! With gamma = (1 + a) / (1 - a), a value x > 0 falls into the bin `ceil(ln(x) / ln(gamma))`, whose representative
//! `2 gamma^i / (gamma + 1)` is within the fraction a of every value of the bin. Negative values have bins of their own
//! by |x|; values nearer to zero than [`MIN_MAGNITUDE`] share the zero bin. Bins are never collapsed: the same bins come
//! out of SQL (`CEIL(LN(x) / LN(gamma))`, grouped and counted) and a merge equals the sketch of all values together.
//! The range of f64 bounds the bins: at 1 % a series that spans six decades has 690 of them, any data under 73 000.

mod bins;
mod sum;

use crate::bytes::{DecodeError, Reader, put_f64, put_varint};
use bins::Bins;
pub use sum::SketchSum;

pub const DEFAULT_RELATIVE_ERROR: f64 = 0.01;

/// Values with |x| below this count as zero.
pub const MIN_MAGNITUDE: f64 = 1e-9;

/// The bin of ±infinity, beyond that of every finite value.
pub const INFINITY_BIN: i32 = i32::MAX;

const VERSION: u8 = 1;

#[derive(Debug, Clone, PartialEq)]
pub struct DdSketch {
    relative_error: f64,
    ln_gamma: f64,
    zeros: u64,
    positive: Bins,
    negative: Bins,
}

/// Which half of the axis a bin covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sign {
    Negative,
    Zero,
    Positive,
}

/// One occupied bin; `index` is 0 for the zero bin and belongs to |x| otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bin {
    pub sign: Sign,
    pub index: i32,
    pub count: u64,
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SketchError {
    #[error("a relative error must be between 0.0001 and 0.5, not {0}")]
    RelativeError(f64),
    #[error("sketches of relative error {0} and {1} cannot be merged")]
    Mismatch(f64, f64),
}

#[inline]
fn bin_index(magnitude: f64, ln_gamma: f64) -> i32 {
    if magnitude.is_infinite() { INFINITY_BIN } else { (magnitude.ln() / ln_gamma).ceil() as i32 }
}

impl Default for DdSketch {
    fn default() -> Self {
        DdSketch::with_error(DEFAULT_RELATIVE_ERROR)
    }
}

impl DdSketch {
    /// An empty sketch whose quantiles are within `relative_error` (0.0001..=0.5) of a true sample.
    pub fn new(relative_error: f64) -> Result<DdSketch, SketchError> {
        if (0.0001..=0.5).contains(&relative_error) {
            Ok(DdSketch::with_error(relative_error))
        } else {
            Err(SketchError::RelativeError(relative_error))
        }
    }

    fn with_error(relative_error: f64) -> DdSketch {
        let gamma = (1.0 + relative_error) / (1.0 - relative_error);
        DdSketch {
            relative_error,
            ln_gamma: gamma.ln(),
            zeros: 0,
            positive: Bins::default(),
            negative: Bins::default(),
        }
    }

    pub fn relative_error(&self) -> f64 {
        self.relative_error
    }

    /// `(1 + a) / (1 - a)`, the ratio of neighbouring bin bounds.
    pub fn gamma(&self) -> f64 {
        (1.0 + self.relative_error) / (1.0 - self.relative_error)
    }

    /// Number of values.
    pub fn count(&self) -> u64 {
        self.zeros.saturating_add(self.positive.count()).saturating_add(self.negative.count())
    }

    pub fn is_empty(&self) -> bool {
        self.zeros == 0 && self.positive.0.is_empty() && self.negative.0.is_empty()
    }

    fn index(&self, magnitude: f64) -> i32 {
        bin_index(magnitude, self.ln_gamma)
    }

    /// Adds a value; NaN is missing and changes nothing.
    pub fn update(&mut self, value: f64) {
        if value >= MIN_MAGNITUDE {
            let index = self.index(value);
            self.positive.add(index, 1);
        } else if value <= -MIN_MAGNITUDE {
            let index = self.index(-value);
            self.negative.add(index, 1);
        } else if !value.is_nan() {
            self.zeros = self.zeros.saturating_add(1);
        }
    }

    /// Takes back a value that was added before (a rolling window's oldest). Returns whether its bin held one.
    pub fn remove(&mut self, value: f64) -> bool {
        if value >= MIN_MAGNITUDE {
            let index = self.index(value);
            self.positive.remove(index)
        } else if value <= -MIN_MAGNITUDE {
            let index = self.index(-value);
            self.negative.remove(index)
        } else if !value.is_nan() && self.zeros > 0 {
            self.zeros -= 1;
            true
        } else {
            false
        }
    }

    /// Adds all values of `other`; refused if the relative errors differ.
    pub fn merge(&mut self, other: &DdSketch) -> Result<(), SketchError> {
        if self.relative_error.to_bits() != other.relative_error.to_bits() {
            return Err(SketchError::Mismatch(self.relative_error, other.relative_error));
        }
        self.zeros = self.zeros.saturating_add(other.zeros);
        self.positive.merge(&other.positive);
        self.negative.merge(&other.negative);
        Ok(())
    }

    fn representative(&self, index: i32) -> f64 {
        if index == INFINITY_BIN {
            return f64::INFINITY;
        }
        // the logarithm first: gamma^index overflows for the topmost finite bins before the division brings it back
        (f64::from(index) * self.ln_gamma + (2.0 / (self.gamma() + 1.0)).ln()).exp().min(f64::MAX)
    }

    /// The value at rank `floor(q (n - 1))` (0-based) of the sorted values, within the relative error.
    /// `None` if the sketch is empty or `q` is not in 0..=1.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let count = self.count();
        if count == 0 || !(0.0..=1.0).contains(&q) {
            return None;
        }
        let rank = (q * (count - 1) as f64).floor() as u64;
        let mut seen = 0_u64;
        for bin in self.bins() {
            seen = seen.saturating_add(bin.count);
            if seen > rank {
                return Some(match bin.sign {
                    Sign::Negative => -self.representative(bin.index),
                    Sign::Zero => 0.0,
                    Sign::Positive => self.representative(bin.index),
                });
            }
        }
        None
    }

    /// The occupied bins in ascending order of the values they stand for.
    pub fn bins(&self) -> impl Iterator<Item = Bin> + '_ {
        let negative = self.negative.0.iter().rev().map(|&(index, count)| Bin { sign: Sign::Negative, index, count });
        let zero = (self.zeros > 0).then_some(Bin { sign: Sign::Zero, index: 0, count: self.zeros });
        let positive = self.positive.0.iter().map(|&(index, count)| Bin { sign: Sign::Positive, index, count });
        negative.chain(zero).chain(positive)
    }

    /// A sketch from counted bins in any order; counts of a repeated bin add up, a count of zero is skipped.
    pub fn from_bins(relative_error: f64, bins: impl IntoIterator<Item = Bin>) -> Result<DdSketch, SketchError> {
        let mut sketch = DdSketch::new(relative_error)?;
        for bin in bins {
            match bin.sign {
                _ if bin.count == 0 => {}
                Sign::Negative => sketch.negative.add(bin.index, bin.count),
                Sign::Zero => sketch.zeros = sketch.zeros.saturating_add(bin.count),
                Sign::Positive => sketch.positive.add(bin.index, bin.count),
            }
        }
        Ok(sketch)
    }

    /// Bytes held on the heap.
    pub fn heap_bytes(&self) -> usize {
        (self.positive.0.capacity() + self.negative.0.capacity()) * size_of::<(i32, u64)>()
    }

    /// Version byte, relative error (f64), zero count, then positive and negative bins: how many, and for each the
    /// zigzag difference of its index from the one before and its count (all LEB128).
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(16 + 3 * (self.positive.0.len() + self.negative.0.len()));
        self.encode_into(&mut out);
        out
    }

    pub(crate) fn encode_into(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        put_f64(out, self.relative_error);
        put_varint(out, self.zeros);
        self.positive.encode(out);
        self.negative.encode(out);
    }

    /// Forgets all values and keeps the memory.
    pub fn clear(&mut self) {
        self.zeros = 0;
        self.positive.0.clear();
        self.negative.0.clear();
    }

    /// As [`DdSketch::encode`], without version and relative error: for sketches of the default error that stay in the
    /// process.
    pub(crate) fn pack(&self, out: &mut Vec<u8>) {
        put_varint(out, self.zeros);
        self.positive.encode(out);
        self.negative.encode(out);
    }

    /// The inverse of [`DdSketch::pack`].
    pub(crate) fn unpack(bytes: &[u8]) -> Result<DdSketch, DecodeError> {
        let mut reader = Reader::new(bytes);
        let zeros = reader.varint()?;
        let (positive, negative) = (Bins::decode(&mut reader)?, Bins::decode(&mut reader)?);
        reader.finish()?;
        Ok(DdSketch { zeros, positive, negative, ..DdSketch::default() })
    }

    /// The inverse of [`DdSketch::encode`]; garbage gives an error.
    pub fn decode(bytes: &[u8]) -> Result<DdSketch, DecodeError> {
        let mut reader = Reader::new(bytes);
        let sketch = DdSketch::decode_from(&mut reader)?;
        reader.finish()?;
        Ok(sketch)
    }

    pub(crate) fn decode_from(reader: &mut Reader<'_>) -> Result<DdSketch, DecodeError> {
        match reader.u8()? {
            VERSION => {}
            other => return Err(DecodeError::Version(other)),
        }
        let mut sketch = DdSketch::new(reader.f64()?)
            .map_err(|_| DecodeError::Invalid("the relative error of a sketch is out of range"))?;
        sketch.zeros = reader.varint()?;
        sketch.positive = Bins::decode(reader)?;
        sketch.negative = Bins::decode(reader)?;
        Ok(sketch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sketch(values: &[f64]) -> DdSketch {
        let mut sketch = DdSketch::default();
        values.iter().for_each(|&v| sketch.update(v));
        sketch
    }

    #[test]
    fn an_empty_sketch_has_no_quantile() {
        assert_eq!(DdSketch::default().quantile(0.5), None);
        assert_eq!(sketch(&[f64::NAN]).quantile(0.5), None);
        assert_eq!(sketch(&[1.0]).quantile(1.5), None);
        assert_eq!(sketch(&[1.0]).quantile(f64::NAN), None);
    }

    #[test]
    fn bins_follow_the_published_formula() {
        let gamma: f64 = 1.01 / 0.99;
        for x in [1e-6, 0.5, 1.0, 2.0, 12.5, 9_999.0] {
            let bins: Vec<Bin> = sketch(&[x]).bins().collect();
            let index = (x.ln() / gamma.ln()).ceil() as i32;
            assert_eq!(bins, [Bin { sign: Sign::Positive, index, count: 1 }], "{x}");
        }
    }

    #[test]
    fn infinities_and_the_largest_values_have_a_place() {
        let s = sketch(&[f64::NEG_INFINITY, -f64::MAX, 0.0, f64::MAX, f64::INFINITY]);
        assert_eq!(s.quantile(0.0), Some(f64::NEG_INFINITY));
        assert_eq!(s.quantile(1.0), Some(f64::INFINITY));
        let top = s.quantile(0.75).unwrap();
        assert!(top.is_finite() && top > 0.98 * f64::MAX);
    }

    #[test]
    fn different_relative_errors_do_not_merge() {
        let mut a = DdSketch::default();
        assert!(a.merge(&DdSketch::new(0.02).unwrap()).is_err());
        assert!(DdSketch::new(0.0).is_err());
        assert!(DdSketch::new(f64::NAN).is_err());
    }

    fn values() -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec(
            prop_oneof![-1e6..1e6_f64, -1.0..1.0_f64, Just(0.0), Just(-0.0), 1e-12..1e-3_f64, 1e200..1e300_f64],
            1..200,
        )
    }

    proptest! {
        #[test]
        fn quantiles_are_within_the_relative_error(mut values in values(), q in 0.0..=1.0_f64) {
            let estimate = sketch(&values).quantile(q).unwrap();
            values.sort_by(f64::total_cmp);
            let exact = values[(q * (values.len() - 1) as f64).floor() as usize];
            let tolerance = exact.abs() * (DEFAULT_RELATIVE_ERROR + 1e-9) + MIN_MAGNITUDE;
            prop_assert!((estimate - exact).abs() <= tolerance, "{} for {}", estimate, exact);
        }

        #[test]
        fn merging_equals_sketching_everything_together(a in values(), b in values()) {
            let mut merged = sketch(&a);
            merged.merge(&sketch(&b)).unwrap();
            prop_assert_eq!(merged, sketch(&[a, b].concat()));
        }

        #[test]
        fn removing_what_was_added_leaves_the_rest(a in values(), b in values()) {
            let mut s = sketch(&[a.clone(), b.clone()].concat());
            for v in &b {
                prop_assert!(s.remove(*v));
            }
            prop_assert_eq!(s, sketch(&a));
        }

        #[test]
        fn sketches_round_trip_through_bytes_and_bins(values in values()) {
            let s = sketch(&values);
            prop_assert_eq!(&DdSketch::decode(&s.encode()).unwrap(), &s);
            prop_assert_eq!(&DdSketch::from_bins(DEFAULT_RELATIVE_ERROR, s.bins()).unwrap(), &s);
        }

        #[test]
        fn garbage_is_an_error_and_not_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(sketch) = DdSketch::decode(&bytes) {
                let _ = sketch.quantile(0.5);
            }
        }
    }
}
