//! The minimum of the last K samples, for a small K: what the series has kept up for that long.

use super::candidates;
use super::compare::lesser;
use crate::bytes::{DecodeError, Reader};

/// The last samples, newest first; infinity where there was none yet.
#[derive(Debug, Clone)]
pub(super) struct MovingMin<const K: usize>([f64; K]);

impl<const K: usize> MovingMin<K> {
    pub(super) fn new() -> Self {
        MovingMin([f64::INFINITY; K])
    }

    /// Adds a sample and returns the least of the last K.
    #[inline]
    pub(super) fn push(&mut self, x: f64) -> f64 {
        self.0.copy_within(..K - 1, 1);
        self.0[0] = x;
        self.0.iter().rev().copied().fold(f64::INFINITY, lesser)
    }

    pub(super) fn save(&self, out: &mut Vec<u8>) {
        candidates::save(self.0.iter().copied(), out);
    }

    pub(super) fn restore(samples: u64, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        candidates::restore(samples, reader).map(MovingMin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_equals_the_minimum_of_the_window(values in prop::collection::vec(-20_i32..20, 1..100)) {
            let values: Vec<f64> = values.into_iter().map(f64::from).collect();
            let mut min = MovingMin::<6>::new();
            for (i, &x) in values.iter().enumerate() {
                let window = &values[(i + 1).saturating_sub(6)..=i];
                prop_assert_eq!(min.push(x), window.iter().copied().fold(f64::INFINITY, f64::min));
            }
        }

        #[test]
        fn a_restored_window_goes_on_the_same(values in prop::collection::vec(-1e3..1e3_f64, 2..80)) {
            let mut min = MovingMin::<6>::new();
            let (before, after) = values.split_at(values.len() / 2);
            before.iter().for_each(|&x| { min.push(x); });
            let mut bytes = Vec::new();
            min.save(&mut bytes);
            let mut restored = MovingMin::<6>::restore(before.len() as u64, &mut Reader::new(&bytes)).unwrap();
            for &x in after {
                prop_assert_eq!(restored.push(x), min.push(x));
            }
        }
    }
}
