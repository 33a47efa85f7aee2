//! Samples that wait in Redis, as rows a statement can join.

use crate::pg_time;
use crate::source::Source;
use bridge::hot::Pending;
use pgrx::datum::{DatumWithOid, TimestampWithTimeZone};
use series::time::Micros;

/// Pending samples of a source, one entry per sample in every column.
#[derive(Default, Debug)]
pub struct HotRows {
    pub flush_id: i64,
    pub times: Vec<Micros>,
    pub keys: Vec<String>,
    /// One column per measure of the source; `None` where the sample has none.
    pub measures: Vec<Vec<Option<f64>>>,
}

impl HotRows {
    /// Samples of `pending` in the order of the source's measures. A measure that the source does not have is left to the
    /// flush, which keeps it in strata.rejected_samples.
    pub fn of(pending: Pending, source: &Source) -> Self {
        let mut rows = Self { flush_id: pending.flush_id, ..Self::none(source) };
        for series in pending.series {
            let count = series.batch.times.len();
            rows.keys.extend(std::iter::repeat_n(series.key, count));
            rows.times.extend_from_slice(&series.batch.times);
            for (column, name) in rows.measures.iter_mut().zip(&source.measures) {
                match series.batch.measures.iter().position(|measure| measure == name) {
                    Some(at) => column.extend(series.batch.columns[at].iter().map(|v| (!v.is_nan()).then_some(*v))),
                    None => column.extend(std::iter::repeat_n(None, count)),
                }
            }
        }
        rows
    }

    /// No samples, with a column for each measure of the source.
    pub fn none(source: &Source) -> Self {
        Self { measures: vec![Vec::new(); source.measures.len()], ..Self::default() }
    }

    /// Some of the samples.
    pub fn slice(&self, range: std::ops::Range<usize>) -> Self {
        Self {
            flush_id: self.flush_id,
            times: self.times[range.clone()].to_vec(),
            keys: self.keys[range.clone()].to_vec(),
            measures: self.measures.iter().map(|column| column[range.clone()].to_vec()).collect(),
        }
    }

    /// First and last time within `[from, to)`; `None` if no sample lies there.
    pub fn span_within(&self, from: Micros, to: Micros) -> Option<(Micros, Micros)> {
        let inside = || self.times.iter().copied().filter(|time| (from..to).contains(time));
        inside().min().zip(inside().max())
    }

    /// Arguments for [`HotRows::relation`]: times, keys, one array per measure.
    pub fn arguments(&self) -> Vec<DatumWithOid<'static>> {
        let times: Vec<TimestampWithTimeZone> = self.times.iter().map(|time| pg_time::timestamptz(*time)).collect();
        let mut arguments: Vec<DatumWithOid> = vec![times.into(), self.keys.clone().into()];
        arguments.extend(self.measures.iter().map(|column| DatumWithOid::from(column.clone())));
        arguments
    }

    /// The samples as a relation `h(t, k, m0, m1, …)` over the arguments `$1…`.
    pub fn relation(&self) -> String {
        let arrays: String = (0..self.measures.len()).map(|i| format!(", ${}::float8[]", i + 3)).collect();
        let columns: String = (0..self.measures.len()).map(|i| format!(", m{i}")).collect();
        format!("unnest($1::timestamptz[], $2::text[]{arrays}) AS h(t, k{columns})")
    }
}
