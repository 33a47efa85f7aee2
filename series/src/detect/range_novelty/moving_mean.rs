//! The mean of the last K samples, by a running total.

use crate::bytes::{DecodeError, Reader, put_f64, put_f64s};

#[derive(Debug, Clone)]
pub(super) struct MovingMean<const K: usize> {
    /// Sample number i at place i mod K.
    ring: [f64; K],
    total: f64,
}

impl<const K: usize> MovingMean<K> {
    pub(super) fn new() -> Self {
        MovingMean { ring: [0.0; K], total: 0.0 }
    }

    /// Adds sample number `i`; before K samples the mean is over those there are.
    pub(super) fn push(&mut self, i: u64, x: f64) -> f64 {
        let place = (i % K as u64) as usize;
        self.total += x;
        if i >= K as u64 {
            self.total -= self.ring[place];
        }
        self.ring[place] = x;
        self.total / (i + 1).min(K as u64) as f64
    }

    pub(super) fn save(&self, out: &mut Vec<u8>) {
        put_f64s(out, &self.ring);
        put_f64(out, self.total);
    }

    pub(super) fn restore(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut mean = MovingMean::new();
        for slot in &mut mean.ring {
            *slot = reader.finite()?;
        }
        mean.total = reader.finite()?;
        Ok(mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_mean_of_the_window() {
        let mut mean = MovingMean::<3>::new();
        let means: Vec<f64> = (0..6).map(|i| mean.push(i, i as f64)).collect();
        assert_eq!(means, [0.0, 0.5, 1.0, 2.0, 3.0, 4.0]);
    }
}
