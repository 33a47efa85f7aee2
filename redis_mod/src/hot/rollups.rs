//! Keeping the kept buckets in step with the samples.

use super::Series;
use super::add::Changes;
use super::read::Rows;
use series::bytes::DecodeError;
use series::rollup::{Change, FINE, Rollups};
use series::time::{Micros, bucket_start};
use smallvec::SmallVec;

impl Series {
    /// Closes the filling 5-minute bucket if a sample at `time`, which is the newest, belongs to a later one.
    #[inline]
    pub(super) fn turn_bucket(&mut self, time: Micros) -> Result<(), DecodeError> {
        if self.rollups.ends_before(time) { self.close_bucket(time) } else { Ok(()) }
    }

    #[cold]
    fn close_bucket(&mut self, next: Micros) -> Result<(), DecodeError> {
        let rows = self.rows_between(self.rollups.open_start(), Micros::MAX, &self.measures.all())?;
        self.rollups.close(&rows.times, &rows.slices(), next);
        Ok(())
    }

    /// Makes the bucket of a late sample, which is not written yet, anew. `around` are rows with the sample and what it
    /// changes in them, if they are at hand; they serve if the bucket lies within them. On an error nothing was changed.
    pub(super) fn amend_bucket(
        &mut self,
        time: Micros,
        targets: &[(usize, f64)],
        around: Option<(&Rows, &[Change])>,
    ) -> Result<(), DecodeError> {
        if time >= self.rollups.open_start() {
            return Ok(());
        }
        let (start, end) = (bucket_start(time, FINE), bucket_start(time, FINE) + FINE);
        let within = |(rows, _): &(&Rows, &[Change])| {
            rows.times.first().is_some_and(|&first| first < start) && rows.times.last().is_some_and(|&last| last >= end)
        };
        let (mut read, mut changed);
        let (rows, changes) = match around.filter(within) {
            Some(at_hand) => at_hand,
            None => {
                changed = Changes::new();
                read = self.rows_between(start, end - 1, &self.measures.all())?;
                read.put(time, targets, &mut changed);
                (&read, &changed[..])
            }
        };
        if changes.is_empty() {
            return Ok(());
        }
        let range = rows.range(start, end - 1);
        let columns: SmallVec<[&[f64]; 8]> = rows.columns.iter().map(|column| &column[range.clone()]).collect();
        self.rollups.amend(time, &rows.times[range.clone()], &columns, changes)
    }

    /// Makes all kept buckets anew.
    pub(super) fn rebuild_rollups(&mut self) -> Result<(), DecodeError> {
        let mut rollups = Rollups::default();
        if let Some(last) = self.last() {
            let open_start = bucket_start(last, FINE);
            // all rows at once, so that a bucket that spans two blocks comes out as when it was closed
            let rows = self.rows_between(Micros::MIN, open_start - 1, &self.measures.all())?;
            rollups.absorb(&rows.times, &rows.slices());
            rollups.open_at(open_start);
        }
        self.rollups = rollups;
        Ok(())
    }
}
