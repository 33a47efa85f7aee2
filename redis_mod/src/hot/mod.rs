//! The state of one hot series, free of Redis: what a key of the module's type holds.
//!
//! Closed blocks, oldest first, then the open rows: every open row is newer than every closed block. New samples go to
//! the open rows; when those are [`BLOCK_ROWS`], they are closed into a block. A sample older than the newest goes where
//! it belongs, and its block is encoded again.

mod add;
mod blocks;
mod delete;
mod fill;
mod measures;
mod open;
mod pending;
mod persist;
mod put;
mod read;
mod retention;
mod rollups;
mod watches;
mod windows;

#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod model_tests;

pub use add::AddError;
pub use measures::{MAX_MEASURES, MAX_NAME};
pub use pending::{PendingQuery, Token};
pub use persist::FORMAT as STATE_FORMAT;
pub use read::Rows;
pub use watches::Alarm;
use watches::Watches;
pub use windows::WindowQuery;

use blocks::Blocks;
use measures::Measures;
use open::OpenRows;
use series::block::Block;
use series::bytes::DecodeError;
use series::rollup::Rollups;
use series::time::Micros;

/// Rows of a closed block: about an hour of readings at 30 seconds. More would pack no better but make a late sample dearer.
/// With 124 the block of three measures of full doubles stays below 2560 bytes, after which the server's allocator gives 3072.
pub const BLOCK_ROWS: usize = 124;

/// Rows that close the open rows, which take eight bytes a value. They fill up the last block first.
const OPEN_ROWS: usize = BLOCK_ROWS / 2;

/// Times between years 1 and 9999, the range of BigQuery's TIMESTAMP, which is the narrowest of the tiers.
pub const TIME_RANGE: std::ops::RangeInclusive<Micros> = -62_135_596_800_000_000..=253_402_300_799_999_999;

/// A mark before any sample: nothing was flushed yet.
const NOTHING_FLUSHED: Micros = Micros::MIN;

/// One series: its samples, and which of them the table does not have yet.
///
/// Pending are all samples newer than the mark, and those in the late list. There is no second copy of them.
#[derive(Debug, Clone)]
pub struct Series {
    open: OpenRows,
    measures: Measures,
    /// Every sample up to this time that was written in order is in the table.
    mark: Micros,
    /// Counts the writes that changed the series.
    seq: u64,
    /// Rows that are pending; kept so that totals need no walk.
    pending_rows: usize,
    closed_rows: usize,
    blocks: Blocks,
    rollups: Rollups,
    watches: Watches,
    /// Times not newer than the newest sample at the time of writing, each with the number of its last write. Sorted.
    late: Vec<(Micros, u64)>,
    /// The greatest flush that was acknowledged.
    flush_id: i64,
}

impl Default for Series {
    fn default() -> Self {
        Series {
            open: OpenRows::default(),
            measures: Measures::default(),
            mark: NOTHING_FLUSHED,
            seq: 0,
            pending_rows: 0,
            closed_rows: 0,
            blocks: Blocks::default(),
            rollups: Rollups::default(),
            watches: Watches::default(),
            late: Vec::new(),
            flush_id: 0,
        }
    }
}

impl Series {
    /// Number of samples.
    pub fn rows(&self) -> usize {
        self.closed_rows + self.open.len()
    }

    /// Number of samples that the table does not have.
    pub fn pending_rows(&self) -> usize {
        self.pending_rows
    }

    pub fn first(&self) -> Option<Micros> {
        self.blocks.first_time().or_else(|| self.open.first())
    }

    /// Time of the newest sample.
    pub fn last(&self) -> Option<Micros> {
        self.open.last().or_else(|| self.blocks.last_time())
    }

    /// Names of the measures in the order in which they first appeared.
    pub fn measures(&self) -> impl ExactSizeIterator<Item = &str> {
        self.measures.names()
    }

    /// Position of a measure by name.
    pub fn measure(&self, name: &[u8]) -> Option<usize> {
        self.measures.find(name, 0)
    }

    /// The mark, or None before the first flush.
    pub fn mark(&self) -> Option<Micros> {
        (self.mark != NOTHING_FLUSHED).then_some(self.mark)
    }

    pub fn seq(&self) -> u64 {
        self.seq
    }

    pub fn flush_id(&self) -> i64 {
        self.flush_id
    }

    /// Length of the late list.
    pub fn late(&self) -> usize {
        self.late.len()
    }

    /// Number of closed blocks.
    pub fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// Bytes of memory; `allocated` says what the allocator spends on a slice.
    pub fn bytes(&self, allocated: impl Fn(&[u8]) -> usize + Copy) -> usize {
        size_of::<Series>()
            + self.measures.heap_bytes()
            + self.open.heap_bytes()
            + self.blocks.heap_bytes(allocated)
            + self.late.capacity() * size_of::<(Micros, u64)>()
            + self.rollup_bytes(allocated)
            + self.watches.heap_bytes()
    }

    /// Bytes of memory of the kept buckets, a part of [`Series::bytes`].
    pub fn rollup_bytes(&self, allocated: impl Fn(&[u8]) -> usize) -> usize {
        self.rollups.heap_bytes(allocated)
    }

    /// The large allocations, for whoever defragments memory.
    pub fn allocations_mut(&mut self) -> impl Iterator<Item = &mut Box<[u8]>> {
        self.blocks.data_mut().chain(self.rollups.allocations_mut())
    }

    /// Closes the open rows into the last block, or into a new one if that is full.
    fn close(&mut self) -> Result<(), DecodeError> {
        let all = self.measures.all();
        let mut rows = Rows::default();
        self.open.read(0..self.open.len(), &all, &mut rows);
        let last = self.blocks.len().wrapping_sub(1);
        match self.blocks.get(last) {
            Some(block) if block.rows() + rows.times.len() <= BLOCK_ROWS => {
                let mut whole = Rows::default();
                whole.read_block(block, &all)?;
                whole.append(&mut rows);
                self.blocks.replace(last, Block::encode(&whole.times, &whole.columns));
            }
            _ => self.blocks.push(Block::encode(&rows.times, &rows.columns)),
        }
        self.closed_rows += self.open.len();
        self.open.clear();
        Ok(())
    }
}
