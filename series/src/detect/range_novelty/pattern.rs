//! How unlike everything lately seen the newest shape of the series is: the distance from the pattern of the last bucket
//! means to the nearest stored one.

use super::compare::lesser;
use crate::bytes::{DecodeError, Reader, put_f64s, put_varint};
use crate::prefetch;

/// Samples per bucket mean.
const BUCKET: u64 = 24;
/// Bucket means per pattern.
const LENGTH: usize = 4;
/// Stored patterns.
const RING: usize = 100;
/// The newest patterns are not compared, since they share buckets with the current one or touch it.
const EXCLUDE: usize = 8;

/// Bucket means that the stored patterns and the newest one are made of.
const MEANS: usize = RING + LENGTH;

type Shape = [f64; LENGTH];

/// What every sample needs; what is needed once per bucket lies apart.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    /// Of the bucket that is going on.
    total: f64,
    /// As of the beginning of the bucket.
    distance: f64,
}

/// The last bucket means, newest last. Each pattern begins one bucket after the one before, so four means that follow each
/// other are one.
#[derive(Debug, Clone)]
pub(super) struct Means([f64; MEANS]);

/// Patterns stored after so many samples.
fn stored(samples: u64) -> u64 {
    (samples / BUCKET).saturating_sub(LENGTH as u64 - 1)
}

impl Means {
    pub(super) fn new() -> Means {
        Means([0.0; MEANS])
    }

    /// Asks for the memory that sample number `i` needs, if it ends a bucket.
    #[inline]
    pub(super) fn prefetch(&self, i: u64) {
        if (i + 1).is_multiple_of(BUCKET) {
            prefetch::value(self);
        }
    }

    /// The mean absolute distance of the newest pattern to the nearest of the `stored` ones before it; 0 while there is none
    /// to compare with.
    fn nearest(&self, stored: u64) -> f64 {
        let newest = &self.0[RING..];
        let oldest = RING - stored.min(RING as u64) as usize;
        let end = RING - EXCLUDE;
        let compared = self.0[oldest.min(end)..end + LENGTH - 1].windows(LENGTH);
        let distances = compared.map(|past| newest.iter().zip(past).fold(0.0, |sum, (a, b)| sum + (a - b).abs()));
        let nearest = distances.fold(f64::INFINITY, lesser);
        if nearest < f64::INFINITY { nearest / LENGTH as f64 } else { 0.0 }
    }

    /// Where each of the newest patterns begins, in the order in which they are saved: pattern number c at place c mod RING.
    fn saved_order(stored: u64) -> impl Iterator<Item = usize> {
        let ring = RING as u64;
        (0..stored.min(ring)).map(move |place| RING - ((stored - 1 - place) % ring) as usize)
    }

    fn shape(&self, start: usize) -> &[f64] {
        &self.0[start..start + LENGTH]
    }
}

impl Pattern {
    pub(super) fn new() -> Pattern {
        Pattern { total: 0.0, distance: 0.0 }
    }

    /// Adds sample number `i`. The distance, computed once per bucket and held in between.
    #[inline]
    pub(super) fn push(&mut self, means: &mut Means, i: u64, x: f64) -> f64 {
        self.total += x;
        if (i + 1).is_multiple_of(BUCKET) {
            self.end_bucket(means, i);
        }
        self.distance
    }

    #[cold]
    fn end_bucket(&mut self, means: &mut Means, i: u64) {
        means.0.copy_within(1.., 0);
        means.0[MEANS - 1] = self.total / BUCKET as f64;
        self.distance = means.nearest(stored(i + 1 - BUCKET));
        self.total = 0.0;
    }

    /// The patterns are saved whole, with counts that follow from the number of samples.
    pub(super) fn save(&self, means: &Means, samples: u64, out: &mut Vec<u8>) {
        let stored = stored(samples);
        for count in [stored, samples / BUCKET, samples % BUCKET] {
            put_varint(out, count);
        }
        put_f64s(out, &[self.total, self.distance]);
        put_f64s(out, means.shape(RING));
        for start in Means::saved_order(stored) {
            put_f64s(out, means.shape(start));
        }
    }

    pub(super) fn restore(means: &mut Means, samples: u64, reader: &mut Reader<'_>) -> Result<Pattern, DecodeError> {
        let stored = stored(samples);
        if [reader.counter()?, reader.counter()?, reader.counter()?] != [stored, samples / BUCKET, samples % BUCKET] {
            return Err(DecodeError::Invalid("the counts of a pattern stream do not fit the samples"));
        }
        let pattern = Pattern { total: reader.finite()?, distance: reader.finite()? };
        for mean in &mut means.0[RING..] {
            *mean = reader.finite()?;
        }
        let mut shapes = Vec::with_capacity(RING);
        for start in Means::saved_order(stored) {
            let mut shape: Shape = [0.0; LENGTH];
            for mean in &mut shape {
                *mean = reader.finite()?;
            }
            means.0[start..start + LENGTH].copy_from_slice(&shape);
            shapes.push((start, shape));
        }
        if shapes.iter().any(|(start, shape)| means.shape(*start) != shape) {
            return Err(DecodeError::Invalid("the patterns of a pattern stream do not fit each other"));
        }
        Ok(pattern)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_shape_is_near_and_a_new_one_is_far() {
        let (mut pattern, mut means) = (Pattern::new(), Means::new());
        let day = |i: u64| (i % 288) as f64 / 288.0;
        let mut distance = 0.0;
        for i in 0..288 * 6 {
            distance = pattern.push(&mut means, i, day(i));
        }
        assert!(distance < 1e-12);
        for i in 0..96 {
            distance = pattern.push(&mut means, 288 * 6 + i, day(i) + 2.0);
        }
        assert!(distance > 0.5);
    }
}
