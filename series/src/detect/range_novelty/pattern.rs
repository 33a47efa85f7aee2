//! How unlike everything lately seen the newest shape of the series is: the distance from the pattern of the last bucket
//! means to the nearest stored one.

use crate::bytes::{DecodeError, Reader, put_f64s, put_varint};

/// Samples per bucket mean.
const BUCKET: u64 = 24;
/// Bucket means per pattern.
const LENGTH: usize = 4;
/// Stored patterns.
const RING: usize = 100;
/// The newest patterns are not compared, since they share buckets with the current one or touch it.
const EXCLUDE: u64 = 8;

type Shape = [f64; LENGTH];

/// The bucket that is going on, which every sample needs; what is needed once per bucket lies apart.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    total: f64,
    in_bucket: u64,
    /// As of the beginning of the bucket.
    distance: f64,
    past: Box<Past>,
}

#[derive(Debug, Clone)]
struct Past {
    window: Shape,
    stored: u64,
    buckets: u64,
    /// Pattern number c at place c mod RING.
    ring: [Shape; RING],
}

impl Pattern {
    pub(super) fn new() -> Pattern {
        let past = Past { window: [0.0; LENGTH], stored: 0, buckets: 0, ring: [[0.0; LENGTH]; RING] };
        Pattern { total: 0.0, in_bucket: 0, distance: 0.0, past: Box::new(past) }
    }

    /// Adds a sample. The mean absolute distance, computed once per bucket and held in between; 0 while there is nothing
    /// to compare with.
    pub(super) fn push(&mut self, x: f64) -> f64 {
        self.total += x;
        self.in_bucket += 1;
        if self.in_bucket == BUCKET {
            if let Some(distance) = self.past.push(self.total / BUCKET as f64) {
                self.distance = distance;
            }
            self.total = 0.0;
            self.in_bucket = 0;
        }
        self.distance
    }

    pub(super) fn heap_bytes(&self) -> usize {
        size_of::<Past>()
    }

    pub(super) fn save(&self, out: &mut Vec<u8>) {
        let Past { window, stored, buckets, ring } = &*self.past;
        put_varint(out, *stored);
        put_varint(out, *buckets);
        put_varint(out, self.in_bucket);
        put_f64s(out, &[self.total, self.distance]);
        put_f64s(out, window);
        for shape in &ring[..(*stored).min(RING as u64) as usize] {
            put_f64s(out, shape);
        }
    }

    pub(super) fn restore(reader: &mut Reader<'_>) -> Result<Pattern, DecodeError> {
        let mut pattern = Pattern::new();
        let past = &mut *pattern.past;
        past.stored = reader.counter()?;
        past.buckets = reader.counter()?;
        pattern.in_bucket = reader.counter()?;
        if pattern.in_bucket >= BUCKET || past.stored > past.buckets {
            return Err(DecodeError::Invalid("the counts of a pattern stream do not fit each other"));
        }
        pattern.total = reader.finite()?;
        pattern.distance = reader.finite()?;
        for mean in &mut past.window {
            *mean = reader.finite()?;
        }
        for mean in past.ring[..past.stored.min(RING as u64) as usize].as_flattened_mut() {
            *mean = reader.finite()?;
        }
        Ok(pattern)
    }
}

impl Past {
    /// Adds the mean of a bucket; the distance of the pattern that it ends, None before the first.
    #[cold]
    fn push(&mut self, mean: f64) -> Option<f64> {
        self.window.copy_within(1.., 0);
        self.window[LENGTH - 1] = mean;
        self.buckets += 1;
        (self.buckets >= LENGTH as u64).then(|| {
            let distance = self.nearest().map_or(0.0, |best| best / LENGTH as f64);
            self.ring[(self.stored % RING as u64) as usize] = self.window;
            self.stored += 1;
            distance
        })
    }

    fn nearest(&self) -> Option<f64> {
        let end = self.stored.checked_sub(EXCLUDE)?;
        let compared = self.stored.saturating_sub(RING as u64)..end;
        let distances = compared.map(|c| {
            let past = &self.ring[(c % RING as u64) as usize];
            self.window.iter().zip(past).fold(0.0, |sum, (a, b)| sum + (a - b).abs())
        });
        distances.reduce(f64::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_shape_is_near_and_a_new_one_is_far() {
        let mut pattern = Pattern::new();
        let day = |i: u64| (i % 288) as f64 / 288.0;
        let mut distance = 0.0;
        for i in 0..288 * 6 {
            distance = pattern.push(day(i));
        }
        assert!(distance < 1e-12);
        for i in 0..96 {
            distance = pattern.push(day(i) + 2.0);
        }
        assert!(distance > 0.5);
    }
}
