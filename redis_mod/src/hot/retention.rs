//! Dropping what is older than the retention and safely in the table.

use super::Series;
use series::time::Micros;

impl Series {
    /// Drops whole blocks that ended more than `retention` before the newest sample, oldest first, as far as the table
    /// has all their samples. A series without closed blocks drops open rows instead, so that one that reports once a
    /// day keeps to its retention too. Returns the number of samples dropped.
    pub fn trim(&mut self, retention: Micros) -> usize {
        let Some(newest) = self.last() else { return 0 };
        let cutoff = newest.saturating_sub(retention);
        let flushed_to = match self.late.first() {
            Some(&(time, _)) => self.mark.min(time - 1),
            None => self.mark,
        };
        let droppable = |last: Micros| last < cutoff && last <= flushed_to;

        let blocks = self.blocks.iter().take_while(|block| droppable(block.last())).count();
        let mut dropped = 0;
        for block in self.blocks.drain(..blocks) {
            dropped += block.rows();
        }
        self.closed_rows -= dropped;
        if self.blocks.is_empty() {
            let rows = (0..self.open.len()).take_while(|&row| droppable(self.open.time(row))).count();
            self.open.remove(0..rows);
            dropped += rows;
        }
        if let Some(first) = self.first() {
            self.rollups.trim(first);
        }
        dropped
    }

    /// Whether [`Series::trim`] would find something: a cheap test for every write.
    #[inline]
    pub fn may_trim(&self, retention: Micros) -> bool {
        let oldest = match self.blocks.first() {
            Some(block) => block.last(),
            None => match self.open.first() {
                Some(first) => first,
                None => return false,
            },
        };
        oldest <= self.mark && self.last().is_some_and(|newest| oldest < newest.saturating_sub(retention))
    }
}
