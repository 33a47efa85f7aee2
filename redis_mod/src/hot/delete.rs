//! Removing samples of a time range.

use super::Series;
use super::blocks::Blocks;
use super::read::Rows;
use series::block::Block;
use series::bytes::DecodeError;
use series::time::Micros;

impl Series {
    /// Removes the samples in `from..=to`, pending or not, and returns how many there were. The mark stays.
    ///
    /// # Errors
    /// If a block is damaged; the series is then as it was.
    pub fn delete(&mut self, from: Micros, to: Micros) -> Result<usize, DecodeError> {
        if from > to {
            return Ok(0);
        }
        let mut rest = self.clone();
        let removed = rest.remove(from, to)?;
        if removed > 0 {
            // Without a change nothing is replicated, and writes are counted the same everywhere.
            *self = rest;
        }
        Ok(removed)
    }

    fn remove(&mut self, from: Micros, to: Micros) -> Result<usize, DecodeError> {
        let mut removed = 0;
        let mut kept = Vec::with_capacity(self.blocks.len());
        let mut rows = Rows::default();
        let all = self.measures.all();
        for block in self.blocks.iter() {
            if block.last() < from || block.first() > to {
                kept.push(block.clone());
                continue;
            }
            rows.read_block(block, &all)?;
            let range = rows.range(from, to);
            removed += range.len();
            rows.remove(range);
            if !rows.times.is_empty() {
                kept.push(Block::encode(&rows.times, &rows.columns));
            }
        }
        self.closed_rows -= removed;
        self.blocks = Blocks::from(kept);
        let open = self.open.range(from, to);
        removed += open.len();
        self.open.remove(open);
        self.rebuild_rollups()?;
        self.watches.forget(|time| (from..=to).contains(&time));
        self.late.retain(|&(time, _)| time < from || time > to);
        self.seq += 1;
        self.count_pending()?;
        Ok(removed)
    }
}
