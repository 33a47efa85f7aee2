//! Adding up many sketches of the default relative error: counts in one array over the range of bins, so that a sketch is
//! added without searching or allocating.

use super::bins::Bins;
use super::{DEFAULT_RELATIVE_ERROR, DdSketch, INFINITY_BIN, MIN_MAGNITUDE, bin_index};
use crate::bytes::{DecodeError, Reader};

/// A sum of sketches and values.
#[derive(Debug, Clone)]
pub struct SketchSum {
    ln_gamma: f64,
    zeros: u64,
    positive: Counts,
    negative: Counts,
}

impl Default for SketchSum {
    fn default() -> SketchSum {
        let ln_gamma = ((1.0 + DEFAULT_RELATIVE_ERROR) / (1.0 - DEFAULT_RELATIVE_ERROR)).ln();
        SketchSum { ln_gamma, zeros: 0, positive: Counts::default(), negative: Counts::default() }
    }
}

impl SketchSum {
    /// Adds a value; NaN is missing and changes nothing.
    #[inline]
    pub fn add(&mut self, value: f64) {
        if value >= MIN_MAGNITUDE {
            self.positive.add(bin_index(value, self.ln_gamma), 1);
        } else if value <= -MIN_MAGNITUDE {
            self.negative.add(bin_index(-value, self.ln_gamma), 1);
        } else if !value.is_nan() {
            self.zeros = self.zeros.saturating_add(1);
        }
    }

    /// Adds a sketch of the default relative error.
    pub fn add_sketch(&mut self, sketch: &DdSketch) {
        self.zeros = self.zeros.saturating_add(sketch.zeros);
        sketch.positive.0.iter().for_each(|&(index, count)| self.positive.add(index, count));
        sketch.negative.0.iter().for_each(|&(index, count)| self.negative.add(index, count));
    }

    /// Adds a sketch from its packed bytes.
    pub(crate) fn add_packed(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        let mut reader = Reader::new(bytes);
        self.zeros = self.zeros.saturating_add(reader.varint()?);
        Bins::visit(&mut reader, |index, count| self.positive.add(index, count))?;
        Bins::visit(&mut reader, |index, count| self.negative.add(index, count))
    }

    /// The sum as a sketch.
    pub fn finish(self) -> DdSketch {
        DdSketch {
            zeros: self.zeros,
            positive: self.positive.bins(),
            negative: self.negative.bins(),
            ..DdSketch::default()
        }
    }
}

/// Counts of neighbouring bins; the bin of infinity lies too far away and has a place of its own.
#[derive(Debug, Clone, Default)]
struct Counts {
    base: i32,
    counts: Vec<u64>,
    infinities: u64,
}

/// Room left on both sides of the bins seen so far.
const MARGIN: i32 = 32;

impl Counts {
    #[inline]
    fn add(&mut self, index: i32, count: u64) {
        if index == INFINITY_BIN {
            self.infinities = self.infinities.saturating_add(count);
            return;
        }
        let at = index.wrapping_sub(self.base) as u32 as usize;
        if at >= self.counts.len() {
            return self.add_beyond(index, count);
        }
        self.counts[at] = self.counts[at].saturating_add(count);
    }

    #[cold]
    fn add_beyond(&mut self, index: i32, count: u64) {
        let (low, high) = if self.counts.is_empty() {
            (index, index)
        } else {
            (self.base.min(index), (self.base + self.counts.len() as i32 - 1).max(index))
        };
        let (low, high) = (low.saturating_sub(MARGIN), high.saturating_add(MARGIN));
        let mut counts = vec![0; (high - low + 1) as usize];
        if !self.counts.is_empty() {
            counts[(self.base - low) as usize..][..self.counts.len()].copy_from_slice(&self.counts);
        }
        counts[(index - low) as usize] += count;
        self.base = low;
        self.counts = counts;
    }

    fn bins(self) -> Bins {
        let finite = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        let mut bins: Vec<(i32, u64)> = finite.map(|(at, &count)| (self.base + at as i32, count)).collect();
        if self.infinities > 0 {
            bins.push((INFINITY_BIN, self.infinities));
        }
        Bins(bins)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values() -> impl Strategy<Value = Vec<f64>> {
        let value = prop_oneof![
            6 => -1e3..1e3_f64,
            1 => prop::num::f64::NORMAL,
            1 => prop::sample::select(vec![0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, 1e-9]),
        ];
        prop::collection::vec(value, 0..80)
    }

    proptest! {
        #[test]
        fn a_sum_equals_the_sketch_of_all_values(a in values(), b in values(), c in values()) {
            let sketch = |values: &[f64]| {
                let mut sketch = DdSketch::default();
                values.iter().for_each(|&value| sketch.update(value));
                sketch
            };
            let mut sum = SketchSum::default();
            a.iter().for_each(|&value| sum.add(value));
            sum.add_sketch(&sketch(&b));
            let mut packed = Vec::new();
            sketch(&c).pack(&mut packed);
            sum.add_packed(&packed).unwrap();
            prop_assert_eq!(DdSketch::unpack(&packed).unwrap(), sketch(&c));
            prop_assert_eq!(sum.finish(), sketch(&[a, b, c].concat()));
        }
    }
}
