//! The minimum of the last 96 samples, of which a sample touches one small block.
//!
//! Samples lie in blocks of eight. The window of a sample is the end of the oldest block, the blocks between, and the block
//! that is going on; the least of each is known when the sample comes. Once per block the next oldest one is prepared.

use super::candidates;
use super::compare::lesser;
use crate::bytes::{DecodeError, Reader};
use crate::prefetch;

/// Samples per block.
const BLOCK: usize = 8;
const BLOCKS: usize = 12;
const WINDOW: usize = BLOCKS * BLOCK;

/// What every sample needs. Infinity stands for no sample.
#[derive(Debug, Clone)]
pub(super) struct LongMin {
    /// The samples of the block that is going on, then for each sample that will come the least of those after its place in
    /// the oldest block.
    places: [f64; BLOCK],
    /// The least of the blocks between.
    between: f64,
    /// The least of the block that is going on.
    newest: f64,
}

/// Samples and their least by block; block number b at place b mod BLOCKS.
#[derive(Debug, Clone)]
pub(super) struct Blocks {
    samples: [[f64; BLOCK]; BLOCKS],
    least: [f64; BLOCKS],
}

/// Places of the block of sample number `i` and of the sample in it.
#[inline]
fn place(i: u64) -> (usize, usize) {
    ((i / BLOCK as u64 % BLOCKS as u64) as usize, (i % BLOCK as u64) as usize)
}

fn least(samples: &[f64]) -> f64 {
    samples.iter().copied().fold(f64::INFINITY, lesser)
}

impl Blocks {
    pub(super) fn new() -> Blocks {
        Blocks { samples: [[f64::INFINITY; BLOCK]; BLOCKS], least: [f64::INFINITY; BLOCKS] }
    }

    /// Asks for the memory that sample number `i` needs, if it ends a block.
    #[inline]
    pub(super) fn prefetch(&self, i: u64) {
        let (block, sample) = place(i);
        if sample == BLOCK - 1 {
            prefetch::value(&self.samples[block]);
            prefetch::value(&self.samples[(block + 1) % BLOCKS]);
            prefetch::value(&self.least);
        }
    }
}

impl LongMin {
    pub(super) fn new() -> LongMin {
        LongMin { places: [f64::INFINITY; BLOCK], between: f64::INFINITY, newest: f64::INFINITY }
    }

    /// Adds sample number `i` and returns the least of samples `i - 95 ..= i`.
    #[inline]
    pub(super) fn push(&mut self, blocks: &mut Blocks, i: u64, x: f64) -> f64 {
        let (block, sample) = place(i);
        self.newest = lesser(self.newest, x);
        let oldest = std::mem::replace(&mut self.places[sample], x);
        let min = lesser(lesser(oldest, self.between), self.newest);
        if sample == BLOCK - 1 {
            blocks.samples[block] = self.places;
            blocks.least[block] = self.newest;
            *self = LongMin::within(blocks, i + 1);
        }
        min
    }

    /// Before sample number `i`.
    fn within(blocks: &Blocks, i: u64) -> LongMin {
        let (block, sample) = place(i);
        let mut places = blocks.samples[block];
        let mut after = f64::INFINITY;
        for place in places[sample..].iter_mut().rev() {
            let oldest = std::mem::replace(place, after);
            after = lesser(oldest, after);
        }
        let (newer, older) = blocks.least.split_at(block);
        LongMin { newest: least(&places[..sample]), between: lesser(least(&older[1..]), least(newer)), places }
    }

    pub(super) fn save(&self, blocks: &Blocks, samples: u64, out: &mut Vec<u8>) {
        let (current, going_on) = place(samples);
        let sample = |age| {
            let (block, sample) = place(samples.checked_sub(age)?);
            Some(if block == current && sample < going_on {
                self.places[sample]
            } else {
                blocks.samples[block][sample]
            })
        };
        candidates::save((1..=WINDOW as u64).map_while(sample), out);
    }

    pub(super) fn restore(blocks: &mut Blocks, samples: u64, reader: &mut Reader<'_>) -> Result<LongMin, DecodeError> {
        let window: [f64; WINDOW] = candidates::restore(samples, reader)?;
        for (value, i) in window.into_iter().zip((0..samples).rev()) {
            let (block, sample) = place(i);
            blocks.samples[block][sample] = value;
        }
        blocks.least = blocks.samples.map(|samples| least(&samples));
        Ok(LongMin::within(blocks, samples))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_equals_the_minimum_of_the_window_and_goes_on_the_same_when_restored(
            values in prop::collection::vec(-20_i32..20, 1..400),
            // rising values make many candidates
            slope in 0_i32..5,
            restored_at in 0_usize..400,
        ) {
            let values: Vec<f64> = values.into_iter().zip(0..).map(|(value, i)| f64::from(value + i * slope)).collect();
            let (mut min, mut blocks) = (LongMin::new(), Blocks::new());
            for (i, &x) in values.iter().enumerate() {
                if i == restored_at && i > 0 {
                    let (mut bytes, mut again) = (Vec::new(), Vec::new());
                    min.save(&blocks, i as u64, &mut bytes);
                    blocks = Blocks::new();
                    min = LongMin::restore(&mut blocks, i as u64, &mut Reader::new(&bytes)).unwrap();
                    min.save(&blocks, i as u64, &mut again);
                    prop_assert_eq!(bytes, again);
                }
                let window = &values[(i + 1).saturating_sub(WINDOW)..=i];
                prop_assert_eq!(min.push(&mut blocks, i as u64, x), least(window));
            }
        }
    }
}
