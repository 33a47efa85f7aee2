//! The minimum of the last K samples: what the series has kept up for that long.

use crate::bytes::{DecodeError, Reader, put_f64, put_varint};
use crate::prefetch;

/// So many candidates there usually are at most.
const FEW: usize = 8;

/// A monotonic queue: candidates for the minimum, oldest and smallest first. Amortised constant time.
///
/// In the order of C, and a few candidates lie at the front, so that they are in the first cache lines.
#[derive(Debug, Clone)]
#[repr(C)]
pub(super) struct MovingMin<const K: usize> {
    head: u32,
    size: u32,
    candidates: [Candidate; K],
}

#[derive(Debug, Clone, Copy, Default)]
struct Candidate {
    value: f64,
    sample: u64,
}

impl<const K: usize> MovingMin<K> {
    pub(super) fn new() -> Self {
        MovingMin { head: 0, size: 0, candidates: [Candidate::default(); K] }
    }

    fn place(&self, position: u32) -> usize {
        let place = (self.head + position) as usize;
        if place >= K { place - K } else { place }
    }

    /// Asks for the memory in which all candidates usually are.
    #[inline]
    pub(super) fn prefetch(&self) {
        prefetch::front(self, 192);
    }

    /// Adds sample number `i` and returns the minimum of samples `i - K + 1 ..= i`.
    #[inline]
    pub(super) fn push(&mut self, i: u64, x: f64) -> f64 {
        self.drop_from(x);
        if self.size > 0 && self.candidates[self.head as usize].sample + K as u64 <= i {
            self.drop_oldest();
        }
        let place = self.place(self.size);
        self.candidates[place] = Candidate { value: x, sample: i };
        self.size += 1;
        self.candidates[self.head as usize].value
    }

    /// Drops the candidates that are not below `x`. How many of a few these are is counted without a branch, since no
    /// processor can foresee it.
    #[inline]
    fn drop_from(&mut self, x: f64) {
        let size = self.size;
        if size as usize <= FEW {
            let few = self.candidates.iter().take(FEW).zip(0..);
            self.size = few.map(|(candidate, place)| u32::from((place < size) & (candidate.value < x))).sum();
        } else {
            while self.size > 0 && self.candidates[self.place(self.size - 1)].value >= x {
                self.size -= 1;
            }
            self.gather();
        }
    }

    #[inline]
    fn drop_oldest(&mut self) {
        if self.size as usize <= FEW {
            for place in 1..K.min(FEW) {
                self.candidates[place - 1] = self.candidates[place];
            }
            self.size -= 1;
        } else {
            self.head = self.place(1) as u32;
            self.size -= 1;
            self.gather();
        }
    }

    /// Moves the candidates to the front once they are a few.
    fn gather(&mut self) {
        let size = self.size as usize;
        if size <= FEW {
            let mut few = [Candidate::default(); FEW];
            for (position, candidate) in (0..self.size).zip(&mut few) {
                *candidate = self.candidates[self.place(position)];
            }
            self.candidates[..size].copy_from_slice(&few[..size]);
            self.head = 0;
        }
    }

    /// The candidates from the oldest on, each with its age at the sample count `samples`.
    pub(super) fn save(&self, samples: u64, out: &mut Vec<u8>) {
        put_varint(out, u64::from(self.size));
        for Candidate { value, sample } in (0..self.size).map(|position| self.candidates[self.place(position)]) {
            put_varint(out, samples - sample);
            put_f64(out, value);
        }
    }

    pub(super) fn restore(samples: u64, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut queue = MovingMin::new();
        let size = reader.count(9)?;
        if size > K {
            return Err(DecodeError::Invalid("a moving minimum has more candidates than its window"));
        }
        queue.size = size as u32;
        for candidate in &mut queue.candidates[..size] {
            let age = reader.varint()?;
            if age == 0 || age > K as u64 || age > samples {
                return Err(DecodeError::Invalid("a candidate of a moving minimum lies outside its window"));
            }
            *candidate = Candidate { sample: samples - age, value: reader.finite()? };
        }
        if queue.candidates[..size].windows(2).any(|pair| pair[0].sample >= pair[1].sample) {
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
        fn it_equals_the_minimum_of_the_window(
            values in prop::collection::vec(-20_i32..20, 1..200),
            // rising values make many candidates
            slope in 0_i32..5,
        ) {
            let values: Vec<f64> = values.into_iter().zip(0..).map(|(value, i)| f64::from(value + i * slope)).collect();
            let (mut short, mut long) = (MovingMin::<6>::new(), MovingMin::<40>::new());
            for (i, &x) in values.iter().enumerate() {
                let least = |window: usize| values[(i + 1).saturating_sub(window)..=i].iter().copied().fold(f64::INFINITY, f64::min);
                prop_assert_eq!(short.push(i as u64, x), least(6));
                prop_assert_eq!(long.push(i as u64, x), least(40));
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
