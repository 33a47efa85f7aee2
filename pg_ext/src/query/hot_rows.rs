//! Samples that wait in Redis, as rows a statement can join.

use crate::pg_time;
use crate::source::Source;
use bridge::hot::Pending;
use pgrx::datum::{DatumWithOid, TimestampWithTimeZone};
use series::time::Micros;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

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

    /// The samples as readers must see them: under the key that the table gives them, each key and time once. A key that
    /// the table cannot hold is left to the flush, which keeps its samples in strata.rejected_samples.
    pub fn for_readers(mut pending: Pending, source: &Source) -> Self {
        pending.series.retain_mut(|series| match table_key(&source.key_type, &series.key) {
            Some(key) => {
                series.key = key;
                true
            }
            None => false,
        });
        let mut keys = HashSet::new();
        let distinct = pending.series.iter().all(|series| keys.insert(series.key.clone()));
        let rows = Self::of(pending, source);
        if distinct { rows } else { rows.merged() }
    }

    /// Redis can hold one key of the table under two names. As in the flush, the later one wins measure by measure.
    fn merged(self) -> Self {
        let mut first: HashMap<(&str, Micros), usize> = HashMap::new();
        let mut kept = Vec::new();
        let mut measures = self.measures.clone();
        for (i, time) in self.times.iter().enumerate() {
            let place = *first.entry((&self.keys[i], *time)).or_insert_with(|| {
                kept.push(i);
                i
            });
            for column in &mut measures {
                column[place] = column[i].or(column[place]);
            }
        }
        Self {
            flush_id: self.flush_id,
            times: kept.iter().map(|i| self.times[*i]).collect(),
            keys: kept.iter().map(|i| self.keys[*i].clone()).collect(),
            measures: measures.iter().map(|column| kept.iter().map(|i| column[*i]).collect()).collect(),
        }
    }

    /// No samples, with a column for each measure of the source.
    pub fn none(source: &Source) -> Self {
        Self { measures: vec![Vec::new(); source.measures.len()], ..Self::default() }
    }

    /// Some of the samples.
    pub fn slice(&self, range: Range<usize>) -> Self {
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

/// A key of Redis as the key column's type writes it: `007` is the integer `7`. `None` if it is none of that type.
fn table_key(key_type: &str, key: &str) -> Option<String> {
    match key_type {
        "smallint" => key.trim().parse::<i16>().ok().map(|number| number.to_string()),
        "integer" => key.trim().parse::<i32>().ok().map(|number| number.to_string()),
        "bigint" => key.trim().parse::<i64>().ok().map(|number| number.to_string()),
        "uuid" => {
            let digits: String = key.chars().filter(|c| !matches!(c, '-' | '{' | '}')).collect();
            let valid = digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            let part = |range: Range<usize>| digits[range].to_ascii_lowercase();
            valid.then(|| [part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)].join("-"))
        }
        _ => Some(key.to_owned()),
    }
}
