//! Dropping what is older than the retention and safely in the table.

use super::Series;
use super::read::Rows;
use series::block::Block;
use series::bytes::DecodeError;
use series::rollup::Rollups;
use series::time::Micros;

impl Series {
    /// Drops whole blocks that ended more than `retention` before the newest sample, oldest first, as far as the table
    /// has all their samples. A series without closed blocks drops open rows instead, so that one that reports once a
    /// day keeps to its retention too. Returns the time of the newest sample dropped.
    pub fn trim(&mut self, retention: Micros) -> Option<Micros> {
        let cutoff = self.last()?.saturating_sub(retention);
        let flushed_to = self.flushed_to();
        let droppable = |last: Micros| last < cutoff && last <= flushed_to;

        let blocks = self.blocks.iter().take_while(|block| droppable(block.last())).count();
        let mut newest = self.drop_blocks(blocks);
        if self.blocks.is_empty() {
            let rows = (0..self.open.len()).take_while(|&row| droppable(self.open.time(row))).count();
            newest = rows.checked_sub(1).map(|row| self.open.time(row)).or(newest);
            self.open.remove(0..rows);
        }
        self.trim_rollups();
        newest
    }

    /// Drops the samples up to `time`, as far as the table has them, wherever blocks end. Returns their number.
    pub fn trim_to(&mut self, time: Micros) -> Result<usize, DecodeError> {
        let to = time.min(self.flushed_to());
        let before = self.rows();
        let whole = self.blocks.iter().take_while(|block| block.last() <= to).count();
        if let Some(block) = self.blocks.get(whole).filter(|block| block.first() <= to) {
            let mut rows = Rows::default();
            rows.read_block(block, &self.measures.all())?;
            let gone = rows.range(Micros::MIN, to);
            self.closed_rows -= gone.len();
            rows.remove(gone);
            self.blocks.replace(whole, Block::encode(&rows.times, &rows.columns));
        }
        self.drop_blocks(whole);
        self.open.remove(self.open.range(Micros::MIN, to));
        if self.rows() < before {
            self.trim_rollups();
        }
        Ok(before - self.rows())
    }

    /// Drops the first blocks; returns the time of the newest sample in them.
    fn drop_blocks(&mut self, count: usize) -> Option<Micros> {
        let newest = self.blocks[..count].last().map(Block::last);
        self.closed_rows -= self.blocks.drop_first(count);
        newest
    }

    fn trim_rollups(&mut self) {
        match self.first() {
            Some(first) => self.rollups.trim(first),
            None => self.rollups = Rollups::default(),
        }
    }

    /// A time up to which the table has every sample.
    fn flushed_to(&self) -> Micros {
        match self.late.first() {
            Some(&(time, _)) => self.mark.min(time - 1),
            None => self.mark,
        }
    }

    /// Whether [`Series::trim`] would find something: a cheap test for every write.
    #[inline]
    pub fn may_trim(&self, retention: Micros) -> bool {
        let Some(oldest) = self.blocks.first_end().or_else(|| self.open.first()) else { return false };
        oldest <= self.mark && self.last().is_some_and(|newest| oldest < newest.saturating_sub(retention))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hot::{PendingQuery, WindowQuery};
    use series::bucket::Bucket;
    use series::rolling::Windows;
    use series::rollup::Needs;
    use series::time::MICROS_PER_MINUTE;

    fn sum(series: &Series) -> f64 {
        let mut windows = Windows::<Bucket>::one(0, 1, Needs::default());
        series.fold(&WindowQuery { from: 0, to: Micros::MAX, picks: &[0] }, &mut windows).unwrap();
        windows.finish().into_one()[0].sum
    }

    #[test]
    fn a_series_that_lost_all_samples_has_no_buckets_either() {
        let mut series = Series::default();
        for minute in 0..1000 {
            series.add(minute * MICROS_PER_MINUTE, &[(b"flow", 1.0)]).unwrap();
        }
        let query = PendingQuery { from: Micros::MIN, to: Micros::MAX, count: usize::MAX };
        let pending = series.pending(&query).unwrap().unwrap();
        series.acknowledge(1, pending.token).unwrap();
        assert_eq!((series.trim_to(Micros::MAX), sum(&series)), (Ok(1000), 0.0));
        series.add(1000 * MICROS_PER_MINUTE, &[(b"flow", 7.0)]).unwrap();
        assert_eq!(sum(&series), 7.0);
    }
}
