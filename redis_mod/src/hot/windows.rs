//! Aggregates of a time range: kept buckets where they fit, samples for the rest.

use super::Series;
use super::read::Rows;
use series::bucket::Summary;
use series::bytes::DecodeError;
use series::rolling::{Fit, Windows};
use series::time::Micros;
use std::cell::Cell;

thread_local! {
    /// Room for decoded samples: a question takes microseconds, of which allocating would be a good part.
    static SCRATCH: Cell<Rows> = const { Cell::new(Rows::EMPTY) };
}

/// What is aggregated.
#[derive(Debug, Clone, Copy)]
pub struct WindowQuery<'a> {
    /// Inclusive.
    pub from: Micros,
    /// Inclusive.
    pub to: Micros,
    /// Positions of the measures.
    pub picks: &'a [usize],
}

impl Series {
    /// Folds the samples of the range into `windows`, which has a bucket per picked measure.
    pub fn fold<S: Summary>(&self, query: &WindowQuery<'_>, windows: &mut Windows<S>) -> Result<(), DecodeError> {
        let WindowQuery { from, to, picks } = *query;
        let fit = windows.fit();
        self.open.prefetch();
        self.rollups.prefetch(picks, windows.needs(), fit == Fit::Hours);
        let (start, end) = match fit {
            Fit::None => (from, from),
            _ => self.rollups.kept((from, to.saturating_add(1)), windows.needs().sketch),
        };
        let mut rows = SCRATCH.take();
        let folded = self.fold_pieces(query, windows, fit, (start, end), &mut rows);
        SCRATCH.set(rows);
        folded
    }

    fn fold_pieces<S: Summary>(
        &self,
        query: &WindowQuery<'_>,
        windows: &mut Windows<S>,
        fit: Fit,
        (start, end): (Micros, Micros),
        rows: &mut Rows,
    ) -> Result<(), DecodeError> {
        let WindowQuery { from, to, picks } = *query;
        let needs = windows.needs();
        if start >= end {
            return self.fold_samples((from, to), picks, windows, rows);
        }
        self.fold_samples((from, start - 1), picks, windows, rows)?;
        windows.reserve(end - start, self.rollups.len_bound());
        let mut result = Ok(());
        self.rollups.visit((start, end), picks, needs, fit == Fit::Hours, |time, pick, bucket, sketch| {
            if let Err(error) = windows.add_state(time, pick, bucket, sketch) {
                result = Err(error);
            }
        })?;
        result?;
        self.fold_samples((end, to), picks, windows, rows)
    }

    fn fold_samples<S: Summary>(
        &self,
        (from, to): (Micros, Micros),
        picks: &[usize],
        windows: &mut Windows<S>,
        rows: &mut Rows,
    ) -> Result<(), DecodeError> {
        if from > to {
            return Ok(());
        }
        for segment in self.segments(from, to) {
            segment.read_between((from, to), picks, rows)?;
            windows.add_rows(&rows.times, &rows.slices());
        }
        Ok(())
    }
}
