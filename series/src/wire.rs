//! Samples of one series on their way between the servers.
//!
//! Format, version 1: version byte; number of measures (LEB128) and their names (length and UTF-8 each); number of rows
//! (LEB128); the times, the first as zigzag LEB128, each further one as the zigzag LEB128 of its difference from the one
//! before; then one column per measure of little-endian f64, NaN for a missing value.

use crate::bytes::{DecodeError, Reader, put_f64s, put_text, put_varint, put_zigzag};
use crate::time::Micros;

const VERSION: u8 = 1;

pub type WireError = DecodeError;

/// Samples of one series: `columns[measure][row]` belongs to `measures[measure]` and `times[row]`; NaN is missing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    pub measures: Vec<String>,
    pub times: Vec<Micros>,
    pub columns: Vec<Vec<f64>>,
}

impl Batch {
    pub fn rows(&self) -> usize {
        self.times.len()
    }

    /// # Panics
    /// If there is not one column per measure with one value per time.
    pub fn encode(&self) -> Vec<u8> {
        assert_eq!(self.columns.len(), self.measures.len(), "one column per measure");
        assert!(self.columns.iter().all(|c| c.len() == self.times.len()), "one value per time in every column");
        let names: usize = self.measures.iter().map(|m| m.len() + 2).sum();
        let mut out = Vec::with_capacity(16 + names + self.rows() * (4 + 8 * self.measures.len()));
        out.push(VERSION);
        put_varint(&mut out, self.measures.len() as u64);
        for measure in &self.measures {
            put_text(&mut out, measure);
        }
        put_varint(&mut out, self.times.len() as u64);
        let mut previous = 0_i64;
        for &time in &self.times {
            put_zigzag(&mut out, time.wrapping_sub(previous));
            previous = time;
        }
        for column in &self.columns {
            put_f64s(&mut out, column);
        }
        out
    }

    /// The inverse of [`Batch::encode`]. Garbage gives an error; memory stays in proportion to `bytes.len()`.
    pub fn decode(bytes: &[u8]) -> Result<Batch, WireError> {
        let mut reader = Reader::new(bytes);
        match reader.u8()? {
            VERSION => {}
            other => return Err(DecodeError::Version(other)),
        }
        let measure_count = reader.count(1)?;
        let measures = (0..measure_count).map(|_| reader.text().map(str::to_owned)).collect::<Result<Vec<_>, _>>()?;
        let rows = reader.count(1)?;
        let mut time = 0_i64;
        let times = (0..rows)
            .map(|_| {
                time = time.wrapping_add(reader.zigzag()?);
                Ok(time)
            })
            .collect::<Result<Vec<_>, DecodeError>>()?;
        let columns = (0..measure_count).map(|_| reader.f64s(rows)).collect::<Result<Vec<_>, _>>()?;
        reader.finish()?;
        Ok(Batch { measures, times, columns })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn batches() -> impl Strategy<Value = Batch> {
        (0_usize..4, 0_usize..20).prop_flat_map(|(measures, rows)| {
            (
                prop::collection::vec(".{0,12}", measures),
                prop::collection::vec(any::<i64>(), rows),
                prop::collection::vec(prop::collection::vec(any::<u64>().prop_map(f64::from_bits), rows), measures),
            )
                .prop_map(|(measures, times, columns)| Batch { measures, times, columns })
        })
    }

    fn bits(batch: &Batch) -> Vec<Vec<u64>> {
        batch.columns.iter().map(|c| c.iter().map(|v| v.to_bits()).collect()).collect()
    }

    #[test]
    fn evenly_spaced_rows_cost_a_few_bytes_beside_their_values() {
        let batch = Batch {
            measures: vec!["flow_rate".into()],
            times: (0..1000).map(|i| 1_700_000_000_000_000 + i * 300_000_000).collect(),
            columns: vec![vec![1.5; 1000]],
        };
        assert!(batch.encode().len() < 1000 * (8 + 5) + 40);
    }

    #[test]
    fn another_version_is_named_in_the_error() {
        assert_eq!(Batch::decode(&[9, 0, 0]), Err(DecodeError::Version(9)));
    }

    proptest! {
        #[test]
        fn batches_round_trip_bit_for_bit(batch in batches()) {
            let decoded = Batch::decode(&batch.encode()).unwrap();
            prop_assert_eq!(&decoded.measures, &batch.measures);
            prop_assert_eq!(&decoded.times, &batch.times);
            prop_assert_eq!(bits(&decoded), bits(&batch));
        }

        #[test]
        fn garbage_is_an_error_and_not_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Batch::decode(&bytes);
        }

        #[test]
        fn a_cut_batch_is_an_error(batch in batches(), cut in any::<prop::sample::Index>()) {
            let bytes = batch.encode();
            prop_assert!(Batch::decode(&bytes[..cut.index(bytes.len())]).is_err());
        }
    }
}
