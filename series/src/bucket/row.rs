//! The buckets of all measures of a series over the same time, and their byte format.

use super::{Bucket, Point};
use crate::bytes::{DecodeError, Reader, put_f64, put_varint, put_zigzag};
use crate::sketch::DdSketch;
use crate::time::Micros;

const VERSION: u8 = 1;
const SHAPE_EMPTY: u8 = 0;
const SHAPE_SINGLE: u8 = 1;
const SHAPE_FULL: u8 = 2;
const WITH_SKETCH: u8 = 0x80;

/// The buckets of all measures of one series over the same time, in the order of the source's measures.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BucketRow {
    pub buckets: Vec<Bucket>,
}

impl BucketRow {
    /// `measures` empty buckets, with a quantile sketch each if `sketches`.
    pub fn new(measures: usize, sketches: bool) -> BucketRow {
        let bucket = if sketches { Bucket::with_sketch() } else { Bucket::new() };
        BucketRow { buckets: vec![bucket; measures] }
    }

    /// Adds one sample: `values[i]` to the i-th bucket, NaN for a missing one.
    ///
    /// # Panics
    /// If there is not one value per bucket.
    pub fn update(&mut self, time: Micros, values: &[f64]) {
        assert_eq!(values.len(), self.buckets.len(), "one value per measure");
        for (bucket, &value) in self.buckets.iter_mut().zip(values) {
            bucket.update(time, value);
        }
    }

    /// Merges measure by measure; a row with fewer measures is taken as one without values in the missing ones.
    pub fn merge(&mut self, other: &BucketRow) {
        if self.buckets.len() < other.buckets.len() {
            self.buckets.resize_with(other.buckets.len(), Bucket::new);
        }
        for (bucket, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            bucket.merge(theirs);
        }
    }

    /// Version byte, number of buckets, then each bucket: a shape byte (empty, single value, full; top bit: a sketch
    /// follows) and its fields. A bucket of one value takes 17 bytes or fewer.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(2 + 72 * self.buckets.len());
        out.push(VERSION);
        put_varint(&mut out, self.buckets.len() as u64);
        for bucket in &self.buckets {
            bucket.encode_into(&mut out);
        }
        out
    }

    /// The inverse of [`BucketRow::encode`]; garbage gives an error.
    pub fn decode(bytes: &[u8]) -> Result<BucketRow, DecodeError> {
        let mut reader = Reader::new(bytes);
        match reader.u8()? {
            VERSION => {}
            other => return Err(DecodeError::Version(other)),
        }
        let count = reader.count(1)?;
        // an empty bucket takes one byte but well over a hundred in memory, so the list grows as buckets are read
        let mut buckets = Vec::with_capacity(count.min(64));
        for _ in 0..count {
            buckets.push(Bucket::decode_from(&mut reader)?);
        }
        reader.finish()?;
        Ok(BucketRow { buckets })
    }
}

impl Bucket {
    fn encode_into(&self, out: &mut Vec<u8>) {
        let shape = match self.count {
            0 => SHAPE_EMPTY,
            // a merged or read-back bucket of one value could differ from what a single update makes
            1 if self.is_single_value() => SHAPE_SINGLE,
            _ => SHAPE_FULL,
        };
        out.push(shape | if self.sketch.is_some() { WITH_SKETCH } else { 0 });
        match shape {
            SHAPE_EMPTY => {}
            SHAPE_SINGLE => {
                put_zigzag(out, self.first.time);
                put_f64(out, self.first.value);
            }
            _ => {
                put_varint(out, self.count);
                for value in [self.sum, self.min, self.max, self.mean, self.m2] {
                    put_f64(out, value);
                }
                put_zigzag(out, self.first.time);
                put_f64(out, self.first.value);
                put_zigzag(out, self.last.time.wrapping_sub(self.first.time));
                put_f64(out, self.last.value);
            }
        }
        if let Some(sketch) = &self.sketch {
            sketch.encode_into(out);
        }
    }

    fn is_single_value(&self) -> bool {
        let value = self.first.value;
        self.first == self.last
            && [self.sum, self.min, self.max, self.mean].iter().all(|v| v.to_bits() == value.to_bits())
            && self.m2.to_bits() == 0
    }

    fn decode_from(reader: &mut Reader<'_>) -> Result<Bucket, DecodeError> {
        let tag = reader.u8()?;
        let mut bucket = Bucket::new();
        match tag & !WITH_SKETCH {
            SHAPE_EMPTY => {}
            SHAPE_SINGLE => {
                let time = reader.zigzag()?;
                let value = reader.f64()?;
                if value.is_nan() {
                    return Err(DecodeError::Invalid("a bucket holds NaN as its only value"));
                }
                bucket.update(time, value);
            }
            SHAPE_FULL => {
                bucket.count = reader.varint()?;
                if bucket.count == 0 {
                    return Err(DecodeError::Invalid("a full bucket counts no values"));
                }
                bucket.sum = reader.f64()?;
                bucket.min = reader.f64()?;
                bucket.max = reader.f64()?;
                bucket.mean = reader.f64()?;
                bucket.m2 = reader.f64()?;
                bucket.first = Point { time: reader.zigzag()?, value: reader.f64()? };
                let last_time = bucket.first.time.wrapping_add(reader.zigzag()?);
                bucket.last = Point { time: last_time, value: reader.f64()? };
            }
            _ => return Err(DecodeError::Invalid("unknown shape of a bucket")),
        }
        if tag & WITH_SKETCH != 0 {
            bucket.sketch = Some(Box::new(DdSketch::decode_from(reader)?));
        }
        Ok(bucket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bucket::tests::samples;
    use proptest::prelude::*;

    #[test]
    fn a_bucket_of_one_value_is_short() {
        let mut row = BucketRow::new(3, false);
        row.update(1_700_000_000_000_000, &[1.5, f64::NAN, 2.5]);
        let bytes = row.encode();
        assert!(bytes.len() <= 2 + 17 + 1 + 17, "{}", bytes.len());
        assert_eq!(BucketRow::decode(&bytes).unwrap(), row);
    }

    #[test]
    fn rows_of_different_width_merge() {
        let mut row = BucketRow::new(1, false);
        row.update(1, &[1.0]);
        let mut wide = BucketRow::new(2, false);
        wide.update(2, &[2.0, 3.0]);
        row.merge(&wide);
        assert_eq!(row.buckets.iter().map(|b| b.count).collect::<Vec<_>>(), [2, 1]);
    }

    proptest! {
        #[test]
        fn rows_round_trip(a in samples(), b in samples(), sketches: bool) {
            let mut row = BucketRow::new(2, sketches);
            a.iter().for_each(|&(t, v)| row.update(t, &[v, 0.0]));
            b.iter().for_each(|&(t, v)| row.update(t, &[f64::NAN, v]));
            let back = BucketRow::decode(&row.encode()).unwrap();
            prop_assert_eq!(back.encode(), row.encode());
            for (x, y) in back.buckets.iter().zip(&row.buckets) {
                prop_assert_eq!((x.count, x.sum, x.mean, x.m2, &x.sketch), (y.count, y.sum, y.mean, y.m2, &y.sketch));
            }
        }

        #[test]
        fn garbage_is_an_error_and_not_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = BucketRow::decode(&bytes);
        }

        #[test]
        fn a_damaged_row_never_panics(a in samples(), at in any::<prop::sample::Index>(), byte: u8) {
            let mut row = BucketRow::new(1, true);
            a.iter().for_each(|&(t, v)| row.update(t, &[v]));
            let mut bytes = row.encode();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = BucketRow::decode(&bytes);
        }
    }
}
