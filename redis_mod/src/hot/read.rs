//! Reading samples: the segments (blocks and open rows) of a time range, and their rows.

use super::Series;
use super::add::Changes;
use super::open::OpenRows;
use series::block::Block;
use series::bytes::DecodeError;
use series::rollup::Change;
use series::time::Micros;
use smallvec::SmallVec;

/// Decoded samples: `columns[measure][row]` belongs to `times[row]`; NaN is missing.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    pub times: Vec<Micros>,
    pub columns: Vec<Vec<f64>>,
}

impl Rows {
    pub const EMPTY: Rows = Rows { times: Vec::new(), columns: Vec::new() };

    /// The rows with a time in `from..=to`.
    pub fn range(&self, from: Micros, to: Micros) -> std::ops::Range<usize> {
        let start = self.times.partition_point(|&time| time < from);
        let end = self.times.partition_point(|&time| time <= to);
        start..end.max(start)
    }

    /// The columns as slices.
    pub fn slices(&self) -> SmallVec<[&[f64]; 8]> {
        self.columns.iter().map(Vec::as_slice).collect()
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

    /// Forgets the rows with a time outside `from..=to`.
    fn keep(&mut self, from: Micros, to: Micros) {
        let range = self.range(from, to);
        if range.len() < self.times.len() {
            self.times.truncate(range.end);
            self.times.drain(..range.start);
            for column in &mut self.columns {
                column.truncate(range.end);
                column.drain(..range.start);
            }
        }
    }

    /// Appends the rows of `other`, which are newer and have the same columns.
    pub(super) fn append(&mut self, other: &mut Rows) {
        self.times.append(&mut other.times);
        self.columns.iter_mut().zip(&mut other.columns).for_each(|(mine, theirs)| mine.append(theirs));
    }

    pub(super) fn remove(&mut self, rows: std::ops::Range<usize>) {
        self.times.drain(rows.clone());
        for column in &mut self.columns {
            column.drain(rows.clone());
        }
    }

    /// Writes values at a time and notes what changed; says whether there was no sample of that time.
    pub(super) fn put(&mut self, time: Micros, targets: &[(usize, f64)], changes: &mut Changes) -> bool {
        let found = self.times.binary_search(&time);
        let row = found.unwrap_or_else(|row| {
            self.times.insert(row, time);
            self.columns.iter_mut().for_each(|column| column.insert(row, f64::NAN));
            row
        });
        for &(measure, new) in targets {
            let old = std::mem::replace(&mut self.columns[measure][row], new);
            if old.to_bits() != new.to_bits() {
                changes.push(Change { measure, old, new });
            }
        }
        found.is_err()
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

    /// Replaces `rows` by the segment's samples, one column per picked measure.
    pub fn read(&self, picks: &[usize], rows: &mut Rows) -> Result<(), DecodeError> {
        match self {
            Segment::Block(block) => rows.read_block(block, picks),
            Segment::Open(open) => {
                open.read(0..open.len(), picks, rows);
                Ok(())
            }
        }
    }

    /// As [`Segment::read`], but only the samples in `from..=to`.
    pub fn read_between(
        &self,
        (from, to): (Micros, Micros),
        picks: &[usize],
        rows: &mut Rows,
    ) -> Result<(), DecodeError> {
        match self {
            Segment::Block(block) => {
                rows.read_block(block, picks)?;
                rows.keep(from, to);
            }
            Segment::Open(open) => open.read(open.range(from, to), picks, rows),
        }
        Ok(())
    }
}

impl Series {
    /// The segments that may hold samples in `from..=to`, oldest first.
    pub fn segments(&self, from: Micros, to: Micros) -> impl DoubleEndedIterator<Item = Segment<'_>> {
        let open = (!self.open.is_empty()
            && self.open.last().is_some_and(|last| last >= from)
            && self.open.first().is_some_and(|first| first <= to))
        .then_some(Segment::Open(&self.open));
        self.blocks.between(from, to).iter().map(Segment::Block).chain(open)
    }

    /// All samples in `from..=to`.
    pub fn rows_between(&self, from: Micros, to: Micros, picks: &[usize]) -> Result<Rows, DecodeError> {
        let mut segments = self.segments(from, to);
        let mut all = Rows::default();
        match segments.next() {
            Some(first) => first.read_between((from, to), picks, &mut all)?,
            None => all.columns.resize_with(picks.len(), Vec::new),
        }
        let mut more = Rows::default();
        for segment in segments {
            segment.read_between((from, to), picks, &mut more)?;
            all.append(&mut more);
        }
        Ok(all)
    }

    /// Time of the newest sample; calls `visit` with each position in `picks` and its value, NaN where missing.
    pub fn latest(&self, picks: &[usize], mut visit: impl FnMut(usize, f64)) -> Result<Option<Micros>, DecodeError> {
        let Some(last) = self.last() else {
            return Ok(None);
        };
        if let Some(row) = self.open.len().checked_sub(1) {
            for (pick, &measure) in picks.iter().enumerate() {
                visit(pick, if measure < self.open.width() { self.open.value(row, measure) } else { f64::NAN });
            }
            return Ok(Some(last));
        }
        let rows = self.rows_between(last, last, picks)?;
        for (pick, column) in rows.columns.iter().enumerate() {
            visit(pick, column.last().copied().unwrap_or(f64::NAN));
        }
        Ok(Some(last))
    }
}
