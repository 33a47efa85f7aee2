//! Aggregates of a time range: whole blocks by what they keep, the rest by decoding.

use super::Series;
use super::read::Rows;
use series::bytes::DecodeError;
use series::rolling::Windows;
use series::time::Micros;

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
    pub fn fold(&self, query: &WindowQuery<'_>, windows: &mut Windows) -> Result<(), DecodeError> {
        let WindowQuery { from, to, picks } = *query;
        let mut rows = Rows::default();
        for segment in self.segments(from, to) {
            let (first, last) = segment.span();
            let inside = first >= from && last <= to;
            if inside && windows.add_whole((first, last), |pick| segment.bucket(picks[pick])) {
                continue;
            }
            segment.read(picks, &mut rows)?;
            let range = rows.range(from, to);
            let columns: Vec<&[f64]> = rows.columns.iter().map(|column| &column[range.clone()]).collect();
            windows.add_rows(&rows.times[range.clone()], &columns);
        }
        Ok(())
    }
}
