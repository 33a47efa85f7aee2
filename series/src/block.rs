//! A closed block: up to [`MAX_ROWS`] samples of one series, compressed. Aggregates are not kept per block but per time
//! ([`crate::rollup`]): a window asks for buckets, and blocks begin where they happen to.
//!
//! Data: number of rows, number of columns, then the timestamp column and each measure's column, every section with its
//! length in front (all LEB128). [`crate::codec`] says how a column is encoded and where the encodings come from.

use crate::bytes::{DecodeError, Reader, put_varint};
use crate::codec::{column, timestamps};
use crate::time::Micros;

/// No block holds more rows; bounds what decoding a block may allocate.
pub const MAX_ROWS: usize = 4096;

/// No block holds more columns.
pub const MAX_COLUMNS: usize = 1024;

/// A compressed run of samples with strictly increasing times. One without rows is [`Block::unreadable`].
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    first: Micros,
    last: Micros,
    rows: u32,
    columns: u32,
    data: Box<[u8]>,
}

impl Block {
    /// Compresses the rows: `columns[measure][row]` belongs to `times[row]`, NaN is missing.
    ///
    /// # Panics
    /// If there are no rows, more than [`MAX_ROWS`], or a column of another length.
    pub fn encode<C: AsRef<[f64]>>(times: &[Micros], columns: &[C]) -> Block {
        assert!(
            !times.is_empty() && times.len() <= MAX_ROWS && columns.len() <= MAX_COLUMNS,
            "a block has 1 to {MAX_ROWS} rows and at most {MAX_COLUMNS} columns"
        );
        let mut data = Vec::with_capacity(32 + times.len() * (1 + columns.len()));
        put_varint(&mut data, times.len() as u64);
        put_varint(&mut data, columns.len() as u64);
        let mut section = Vec::with_capacity(times.len() * 2);
        timestamps::encode(times, &mut section);
        put_section(&mut data, &section);
        for values in columns.iter().map(AsRef::as_ref) {
            assert_eq!(values.len(), times.len(), "one value per time");
            section.clear();
            column::encode(values, &mut section);
            put_section(&mut data, &section);
        }
        Block {
            first: times[0],
            last: times[times.len() - 1],
            rows: times.len() as u32,
            columns: columns.len() as u32,
            data: data.into(),
        }
    }

    /// Reads the bytes of [`Block::data`], and decodes all of it to be sure that it can be.
    /// Infinities are refused, as they are when a sample is added.
    pub fn from_data(data: &[u8]) -> Result<Block, DecodeError> {
        let mut reader = Reader::new(data);
        let (rows, columns) = take_shape(&mut reader)?;
        let mut times = Vec::with_capacity(rows);
        timestamps::decode(take_section(&mut reader)?, rows, &mut times)?;
        let mut values = Vec::with_capacity(rows);
        for _ in 0..columns {
            column::decode(take_section(&mut reader)?, rows, &mut values)?;
            if values.iter().any(|v| v.is_infinite()) {
                return Err(DecodeError::Invalid("an infinite value"));
            }
        }
        reader.finish()?;
        let (first, last) = (times[0], times[rows - 1]);
        Ok(Block { first, last, rows: rows as u32, columns: columns as u32, data: data.into() })
    }

    /// Bytes that are no block, kept in the place of one: whoever reads it gets an error.
    pub fn unreadable(data: &[u8], first: Micros, last: Micros) -> Block {
        Block { first, last, rows: 0, columns: 0, data: data.into() }
    }

    pub fn is_unreadable(&self) -> bool {
        self.rows == 0
    }

    /// The compressed bytes; everything else follows from them.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    pub fn first(&self) -> Micros {
        self.first
    }

    pub fn last(&self) -> Micros {
        self.last
    }

    pub fn rows(&self) -> usize {
        self.rows as usize
    }

    /// Number of measures the block knows; later ones are missing in all its rows.
    pub fn columns(&self) -> usize {
        self.columns as usize
    }

    /// Heap bytes behind the block.
    pub fn heap_bytes(&self) -> usize {
        self.data.len()
    }

    /// Replaces `out` by the times.
    pub fn decode_times(&self, out: &mut Vec<Micros>) -> Result<(), DecodeError> {
        let mut reader = self.reader()?;
        out.clear();
        timestamps::decode(take_section(&mut reader)?, self.rows(), out)
    }

    /// Replaces `out` by one value per row, NaN where missing; all missing for a measure the block does not know.
    pub fn decode_measure(&self, measure: usize, out: &mut Vec<f64>) -> Result<(), DecodeError> {
        let mut reader = self.reader()?;
        if measure >= self.columns() {
            out.clear();
            out.resize(self.rows(), f64::NAN);
            return Ok(());
        }
        for _ in 0..=measure {
            take_section(&mut reader)?;
        }
        column::decode(take_section(&mut reader)?, self.rows(), out)
    }

    /// At the first section.
    fn reader(&self) -> Result<Reader<'_>, DecodeError> {
        if self.is_unreadable() {
            return Err(DecodeError::Invalid("it could not be read when the server loaded it"));
        }
        let mut reader = Reader::new(&self.data);
        take_shape(&mut reader)?;
        Ok(reader)
    }

    /// The compressed data, for whoever defragments memory.
    pub fn data_mut(&mut self) -> &mut Box<[u8]> {
        &mut self.data
    }
}

fn put_section(data: &mut Vec<u8>, section: &[u8]) {
    put_varint(data, section.len() as u64);
    data.extend_from_slice(section);
}

fn take_section<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
    let length = reader.count(1)?;
    reader.take(length)
}

fn take_shape(reader: &mut Reader<'_>) -> Result<(usize, usize), DecodeError> {
    let bounded = |value: u64, limit: usize| {
        usize::try_from(value)
            .ok()
            .filter(|&value| value <= limit)
            .ok_or(DecodeError::Invalid("more rows or columns than a block holds"))
    };
    let rows = bounded(reader.varint()?, MAX_ROWS)?;
    let columns = bounded(reader.varint()?, MAX_COLUMNS)?;
    if rows == 0 {
        return Err(DecodeError::Invalid("a block without rows"));
    }
    Ok((rows, columns))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn same(a: &[f64], b: &[f64]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()))
    }

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            6 => (-100_000i32..100_000).prop_map(|n| f64::from(n) / 100.0),
            1 => any::<f64>().prop_filter("finite", |v| !v.is_infinite()),
            2 => Just(f64::NAN),
        ]
    }

    fn rows() -> impl Strategy<Value = (Vec<Micros>, Vec<Vec<f64>>)> {
        (1usize..150, 0usize..4).prop_flat_map(|(rows, columns)| {
            (
                -1_000_000_000_000_000i64..1_000_000_000_000_000,
                prop::collection::vec(1i64..1_000_000_000, rows),
                prop::collection::vec(prop::collection::vec(value(), rows), columns),
            )
                .prop_map(|(start, steps, columns)| {
                    let times = steps.iter().scan(start, |time, step| {
                        *time += step;
                        Some(*time)
                    });
                    (times.collect(), columns)
                })
        })
    }

    proptest! {
        #[test]
        fn a_block_comes_back((times, columns) in rows()) {
            let block = Block::encode(&times, &columns);
            let again = Block::from_data(block.data()).unwrap();
            prop_assert_eq!(again.data(), block.data());
            prop_assert_eq!((again.first(), again.last(), again.rows()), (times[0], times[times.len() - 1], times.len()));
            let mut back = Vec::new();
            again.decode_times(&mut back).unwrap();
            prop_assert_eq!(back, times);
            let mut values = Vec::new();
            for (measure, column) in columns.iter().enumerate() {
                again.decode_measure(measure, &mut values).unwrap();
                prop_assert!(same(&values, column));
            }
        }

        #[test]
        fn garbage_is_an_error_or_a_block(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(block) = Block::from_data(&bytes) {
                prop_assert!(block.rows() <= MAX_ROWS);
            }
        }

        #[test]
        fn a_damaged_block_is_an_error_or_a_block((times, columns) in rows(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut data = Block::encode(&times, &columns).data().to_vec();
            let at = at.index(data.len());
            data[at] = byte;
            let _ = Block::from_data(&data);
        }
    }

    #[test]
    fn sensor_readings_take_about_a_byte_per_value() {
        let times: Vec<Micros> = (0..128).map(|i| 1_700_000_000_000_000 + i * 30_000_000).collect();
        let noise = |i: i64, seed: i64| ((i * 7919 + seed * 104_729) % 41 - 20) as f64;
        let columns: Vec<Vec<f64>> = (0..3)
            .map(|seed| (0..128).map(|i| (1250.0 + i as f64 * 0.5 + noise(i, seed)).round() / 100.0).collect())
            .collect();
        let block = Block::encode(&times, &columns);
        assert!(block.data().len() <= 128 * 3, "{} bytes", block.data().len());
    }
}
