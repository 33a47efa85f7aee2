//! The means of the last twelve samples of two streams, by running totals. Every sample needs the totals, and of the last samples
//! one place: the places of four samples that follow each other are at hand, the others apart.

use crate::bytes::{DecodeError, Reader, put_f64};
use crate::prefetch;

const WINDOW: usize = 12;
/// Places at hand.
const GROUP: usize = 4;

type Group = [[f64; 2]; GROUP];

/// What every sample needs.
#[derive(Debug, Clone, Default)]
pub(super) struct MovingMeans {
    totals: [f64; 2],
    at_hand: Group,
}

/// Samples number i of both streams at place i mod WINDOW, by group; the group that is going on is as it was before.
#[derive(Debug, Clone, Default)]
pub(super) struct Groups([Group; WINDOW / GROUP]);

/// Places of the group of sample number `i` and of the sample in it.
#[inline]
fn place(i: u64) -> (usize, usize) {
    let place = (i % WINDOW as u64) as usize;
    (place / GROUP, place % GROUP)
}

impl Groups {
    /// Asks for the memory that sample number `i` needs, if it ends a group.
    #[inline]
    pub(super) fn prefetch(&self, i: u64) {
        let (group, sample) = place(i);
        if sample == GROUP - 1 {
            prefetch::value(&self.0[group]);
            prefetch::value(&self.0[(group + 1) % self.0.len()]);
        }
    }
}

impl MovingMeans {
    /// Adds samples number `i`; before there are enough, the means are over those there are.
    #[inline]
    pub(super) fn push(&mut self, groups: &mut Groups, i: u64, new: [f64; 2]) -> [f64; 2] {
        let (group, sample) = place(i);
        let old = std::mem::replace(&mut self.at_hand[sample], new);
        let count = (i + 1).min(WINDOW as u64) as f64;
        let mut means = [0.0; 2];
        for stream in 0..2 {
            let total = &mut self.totals[stream];
            *total += new[stream];
            if i >= WINDOW as u64 {
                *total -= old[stream];
            }
            means[stream] = *total / count;
        }
        if sample == GROUP - 1 {
            groups.0[group] = self.at_hand;
            self.at_hand = groups.0[(group + 1) % groups.0.len()];
        }
        means
    }

    /// The places of one stream and its total.
    pub(super) fn save(&self, groups: &Groups, samples: u64, stream: usize, out: &mut Vec<u8>) {
        let mut groups = groups.clone();
        groups.0[place(samples).0] = self.at_hand;
        groups.0.as_flattened().iter().for_each(|both| put_f64(out, both[stream]));
        put_f64(out, self.totals[stream]);
    }

    pub(super) fn restore(
        &mut self,
        groups: &mut Groups,
        samples: u64,
        stream: usize,
        reader: &mut Reader<'_>,
    ) -> Result<(), DecodeError> {
        for both in groups.0.as_flattened_mut() {
            both[stream] = reader.finite()?;
        }
        self.totals[stream] = reader.finite()?;
        self.at_hand = groups.0[place(samples).0];
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_the_mean_of_the_window() {
        let (mut means, mut groups) = (MovingMeans::default(), Groups::default());
        for i in 0..100_u64 {
            let window = (i + 1).saturating_sub(WINDOW as u64)..=i;
            let mean = window.clone().sum::<u64>() as f64 / window.count() as f64;
            assert_eq!(means.push(&mut groups, i, [i as f64, 1.0]), [mean, 1.0]);
        }
    }
}
