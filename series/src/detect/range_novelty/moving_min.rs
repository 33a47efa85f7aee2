//! The minimum of the last K samples: what the series has kept up for that long.

use crate::bytes::{DecodeError, Reader, put_f64, put_varint};

/// A monotonic queue: candidates for the minimum, oldest and smallest first. Amortised constant time.
#[derive(Debug, Clone)]
pub(super) struct MovingMin<const K: usize> {
    value: [f64; K],
    sample: [u64; K],
    head: usize,
    size: usize,
}

impl<const K: usize> MovingMin<K> {
    pub(super) fn new() -> Self {
        MovingMin { value: [0.0; K], sample: [0; K], head: 0, size: 0 }
    }

    fn place(&self, position: usize) -> usize {
        let place = self.head + position;
        if place >= K { place - K } else { place }
    }

    /// Adds sample number `i` and returns the minimum of samples `i - K + 1 ..= i`.
    pub(super) fn push(&mut self, i: u64, x: f64) -> f64 {
        while self.size > 0 && self.value[self.place(self.size - 1)] >= x {
            self.size -= 1;
        }
        if self.size > 0 && self.sample[self.head] + K as u64 <= i {
            self.head = self.place(1);
            self.size -= 1;
        }
        let place = self.place(self.size);
        self.value[place] = x;
        self.sample[place] = i;
        self.size += 1;
        self.value[self.head]
    }

    /// The candidates from the oldest on, each with its age at the sample count `samples`.
    pub(super) fn save(&self, samples: u64, out: &mut Vec<u8>) {
        put_varint(out, self.size as u64);
        for place in (0..self.size).map(|position| self.place(position)) {
            put_varint(out, samples - self.sample[place]);
            put_f64(out, self.value[place]);
        }
    }

    pub(super) fn restore(samples: u64, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut queue = MovingMin::new();
        queue.size = reader.count(9)?;
        if queue.size > K {
            return Err(DecodeError::Invalid("a moving minimum has more candidates than its window"));
        }
        for place in 0..queue.size {
            let age = reader.varint()?;
            if age == 0 || age > K as u64 || age > samples {
                return Err(DecodeError::Invalid("a candidate of a moving minimum lies outside its window"));
            }
            queue.sample[place] = samples - age;
            queue.value[place] = reader.finite()?;
        }
        if queue.sample[..queue.size].windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(DecodeError::Invalid("the candidates of a moving minimum are not in order"));
        }
        Ok(queue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_equals_the_minimum_of_the_window(values in prop::collection::vec(-20_i32..20, 1..80)) {
            let values: Vec<f64> = values.into_iter().map(f64::from).collect();
            let mut queue = MovingMin::<6>::new();
            for (i, &x) in values.iter().enumerate() {
                let expected = values[i.saturating_sub(5)..=i].iter().copied().fold(f64::INFINITY, f64::min);
                prop_assert_eq!(queue.push(i as u64, x), expected);
            }
        }

        #[test]
        fn a_restored_queue_goes_on_the_same(values in prop::collection::vec(-1e3..1e3_f64, 2..80)) {
            let mut queue = MovingMin::<6>::new();
            let half = values.len() / 2;
            values[..half].iter().enumerate().for_each(|(i, &x)| { queue.push(i as u64, x); });
            let mut bytes = Vec::new();
            queue.save(half as u64, &mut bytes);
            let mut restored = MovingMin::<6>::restore(half as u64, &mut Reader::new(&bytes)).unwrap();
            for (i, &x) in values.iter().enumerate().skip(half) {
                prop_assert_eq!(restored.push(i as u64, x), queue.push(i as u64, x));
            }
        }
    }
}
