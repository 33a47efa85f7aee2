//! The means of the last K samples of two streams, by running totals.
//!
//! Totals and samples are held apart by whoever has them: every sample needs the totals, and of the samples one place.

use crate::bytes::{DecodeError, Reader, put_f64, put_f64s};
use crate::prefetch;

/// The running totals of both streams.
#[derive(Debug, Clone, Default)]
pub(super) struct MovingMeans {
    totals: [f64; 2],
}

/// Samples number i of both streams at place i mod K.
#[derive(Debug, Clone)]
pub(super) struct Samples<const K: usize>([[f64; 2]; K]);

impl<const K: usize> Samples<K> {
    pub(super) fn new() -> Self {
        Samples([[0.0; 2]; K])
    }

    /// Asks for the memory of all, since the number of the sample lies in memory that may still have to come itself.
    #[inline]
    pub(super) fn prefetch(&self) {
        prefetch::value(self);
    }
}

impl MovingMeans {
    /// Adds samples number `i`; before K samples the means are over those there are.
    #[inline]
    pub(super) fn push<const K: usize>(&mut self, samples: &mut Samples<K>, i: u64, new: [f64; 2]) -> [f64; 2] {
        let place = &mut samples.0[(i % K as u64) as usize];
        let count = (i + 1).min(K as u64) as f64;
        let mut means = [0.0; 2];
        for stream in 0..2 {
            let total = &mut self.totals[stream];
            *total += new[stream];
            if i >= K as u64 {
                *total -= place[stream];
            }
            means[stream] = *total / count;
        }
        *place = new;
        means
    }

    /// The samples and the total of one stream.
    pub(super) fn save<const K: usize>(&self, samples: &Samples<K>, stream: usize, out: &mut Vec<u8>) {
        put_f64s(out, &samples.0.map(|both| both[stream]));
        put_f64(out, self.totals[stream]);
    }

    pub(super) fn restore<const K: usize>(
        &mut self,
        samples: &mut Samples<K>,
        stream: usize,
        reader: &mut Reader<'_>,
    ) -> Result<(), DecodeError> {
        for both in &mut samples.0 {
            both[stream] = reader.finite()?;
        }
        self.totals[stream] = reader.finite()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_the_mean_of_the_window() {
        let (mut means, mut samples) = (MovingMeans::default(), Samples::<3>::new());
        let found: Vec<[f64; 2]> = (0..6).map(|i| means.push(&mut samples, i, [i as f64, 1.0])).collect();
        assert_eq!(found, [[0.0, 1.0], [0.5, 1.0], [1.0, 1.0], [2.0, 1.0], [3.0, 1.0], [4.0, 1.0]]);
    }
}
