//! Reading samples: the segments (blocks and open rows) of a time range, and their rows.

use super::Series;
use super::add::Change;
use super::open::OpenRows;
use series::block::Block;
use series::bucket::Bucket;
use series::bytes::DecodeError;
use series::time::Micros;

/// Decoded samples: `columns[measure][row]` belongs to `times[row]`; NaN is missing.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    pub times: Vec<Micros>,
    pub columns: Vec<Vec<f64>>,
}

impl Rows {
    /// The rows with a time in `from..=to`.
    pub fn range(&self, from: Micros, to: Micros) -> std::ops::Range<usize> {
        let start = self.times.partition_point(|&time| time < from);
        let end = self.times.partition_point(|&time| time <= to);
        start..end.max(start)
    }

    /// Replaces the contents by those of a block.
    pub(super) fn read_block(&mut self, block: &Block, picks: &[usize]) -> Result<(), DecodeError> {
        block.decode_times(&mut self.times)?;
        self.columns.resize_with(picks.len(), Vec::new);
        for (column, &measure) in self.columns.iter_mut().zip(picks) {
            block.decode_measure(measure, column)?;
        }
        Ok(())
    }

    pub(super) fn insert(&mut self, row: usize, time: Micros) {
        self.times.insert(row, time);
        for column in &mut self.columns {
            column.insert(row, f64::NAN);
        }
    }

    pub(super) fn remove(&mut self, rows: std::ops::Range<usize>) {
        self.times.drain(rows.clone());
        for column in &mut self.columns {
            column.drain(rows.clone());
        }
    }

    pub(super) fn fill(&mut self, row: usize, targets: &[(usize, f64)]) -> Change {
        let mut change = Change::None;
        for &(measure, value) in targets {
            let slot = &mut self.columns[measure][row];
            if slot.to_bits() != value.to_bits() {
                *slot = value;
                change = Change::Filled;
            }
        }
        change
    }

    pub(super) fn split_off(&mut self, row: usize) -> Rows {
        Rows {
            times: self.times.split_off(row),
            columns: self.columns.iter_mut().map(|column| column.split_off(row)).collect(),
        }
    }
}

/// A run of samples as it is stored.
#[derive(Clone, Copy)]
pub enum Segment<'a> {
    Block(&'a Block),
    Open(&'a OpenRows),
}

impl Segment<'_> {
    /// Times of the first and the last sample.
    pub fn span(&self) -> (Micros, Micros) {
        match self {
            Segment::Block(block) => (block.first(), block.last()),
            Segment::Open(open) => (open.first().unwrap_or(Micros::MAX), open.last().unwrap_or(Micros::MIN)),
        }
    }

    pub fn rows(&self) -> usize {
        match self {
            Segment::Block(block) => block.rows(),
            Segment::Open(open) => open.len(),
        }
    }

    /// The aggregates of a measure over the whole segment, if they are known without decoding it.
    pub fn bucket(&self, measure: usize) -> Option<Bucket> {
        match self {
            Segment::Block(block) => block.bucket(measure),
            Segment::Open(_) => None,
        }
    }

    /// Replaces `rows` by the segment's samples, one column per picked measure.
    pub fn read(&self, picks: &[usize], rows: &mut Rows) -> Result<(), DecodeError> {
        match self {
            Segment::Block(block) => rows.read_block(block, picks),
            Segment::Open(open) => {
                open.read(picks, rows);
                Ok(())
            }
        }
    }
}

impl Series {
    /// The segments that may hold samples in `from..=to`, oldest first.
    pub fn segments(&self, from: Micros, to: Micros) -> impl DoubleEndedIterator<Item = Segment<'_>> {
        let start = self.blocks.partition_point(|block| block.last() < from);
        let end = self.blocks.partition_point(|block| block.first() <= to);
        let open = (!self.open.is_empty()
            && self.open.last().is_some_and(|last| last >= from)
            && self.open.first().is_some_and(|first| first <= to))
        .then_some(Segment::Open(&self.open));
        self.blocks[start..end.max(start)].iter().map(Segment::Block).chain(open)
    }

    /// The newest sample: its time and the picked measures' values, NaN where missing.
    pub fn latest(&self, picks: &[usize]) -> Result<Option<(Micros, Vec<f64>)>, DecodeError> {
        let Some(last) = self.last() else {
            return Ok(None);
        };
        let mut rows = Rows::default();
        let Some(segment) = self.segments(last, last).next_back() else {
            return Ok(None);
        };
        if let Segment::Open(open) = segment {
            let row = open.len() - 1;
            let value = |&measure: &usize| {
                if measure < open.width() { open.value(row, measure) } else { f64::NAN }
            };
            return Ok(Some((last, picks.iter().map(value).collect())));
        }
        segment.read(picks, &mut rows)?;
        let values = rows.columns.iter().map(|column| column.last().copied().unwrap_or(f64::NAN)).collect();
        Ok(Some((last, values)))
    }
}
