//! `strata.buckets`: aggregates per bucket, key and measure over all tiers.

use super::measures::{MeasureSink, checked_measures};
use super::scan::{Request, Scan};
use crate::failure::{Failure, OrRaise, Result};
use crate::pg_time;
use crate::shape::TableColumns;
use crate::source::Source;
use pgrx::datum::{Interval, TimestampWithTimeZone};
use pgrx::prelude::*;
use pgrx::{PgRelation, PgSqlErrorCode, default};
use series::bucket::{Bucket, BucketRow};
use series::time::{Micros, bucket_start};
use std::collections::{BTreeMap, HashMap};

type Line = (
    TimestampWithTimeZone,
    String,
    String,
    i64,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Vec<Option<f64>>,
);

/// Buckets are aligned to the UTC epoch; quantiles have a relative error of 1 %.
#[pg_extern(volatile, parallel_unsafe, requires = ["catalog"])]
#[search_path(pg_catalog, pg_temp)]
#[allow(clippy::type_complexity, clippy::too_many_arguments)]
fn buckets(
    relation: PgRelation,
    width: Interval,
    from: TimestampWithTimeZone,
    to: TimestampWithTimeZone,
    keys: default!(Option<Vec<String>>, "NULL"),
    measures: default!(Option<Vec<String>>, "NULL"),
    quantiles: default!(Vec<f64>, "'{0.5,0.95,0.99}'"),
) -> TableIterator<
    'static,
    (
        name!(bucket, TimestampWithTimeZone),
        name!(key, String),
        name!(measure, String),
        name!(count, i64),
        name!(sum, Option<f64>),
        name!(min, Option<f64>),
        name!(max, Option<f64>),
        name!(mean, Option<f64>),
        name!(stddev, Option<f64>),
        name!(first, Option<f64>),
        name!(last, Option<f64>),
        name!(quantiles, Vec<Option<f64>>),
    ),
> {
    let source = Source::of_relation(relation.oid()).or_raise();
    let lines = lines(&source, &width, from, to, keys, measures, &quantiles).or_raise();
    TableIterator::new(lines)
}

fn lines(
    source: &Source,
    width: &Interval,
    from: TimestampWithTimeZone,
    to: TimestampWithTimeZone,
    keys: Option<Vec<String>>,
    measures: Option<Vec<String>>,
    quantiles: &[f64],
) -> Result<Vec<Line>> {
    let width = checked_width(width)?;
    check_quantiles(quantiles)?;
    let measures = checked_measures(source, measures)?;
    let columns = TableColumns::of(source)?.reduced_to(source, &measures)?;
    let request = Request {
        source,
        columns: &columns,
        from: pg_time::from_bound(from),
        to: pg_time::to_bound(to),
        keys: keys.as_deref(),
    };
    let mut states: HashMap<String, BTreeMap<Micros, BucketRow>> = HashMap::new();
    let mut sink = MeasureSink::new(source, &columns, &measures, |time, key: &str, values: &[f64]| {
        let row = match states.get_mut(key) {
            Some(buckets) => buckets,
            None => states.entry(key.to_owned()).or_default(),
        };
        row.entry(bucket_start(time, width))
            .or_insert_with(|| BucketRow::new(values.len(), !quantiles.is_empty()))
            .update(time, values);
    });
    Scan::open(request)?.run(&mut sink)?;
    Ok(sorted_lines(states, &measures, quantiles))
}

fn sorted_lines(
    states: HashMap<String, BTreeMap<Micros, BucketRow>>,
    measures: &[String],
    quantiles: &[f64],
) -> Vec<Line> {
    let mut rows: Vec<(Micros, String, BucketRow)> = states
        .into_iter()
        .flat_map(|(key, buckets)| buckets.into_iter().map(move |(start, row)| (start, key.clone(), row)))
        .collect();
    rows.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    rows.into_iter()
        .flat_map(|(start, key, row)| {
            let lines: Vec<Line> = measures
                .iter()
                .zip(&row.buckets)
                .filter(|(_, bucket)| !bucket.is_empty())
                .map(|(measure, bucket)| line(start, &key, measure, bucket, quantiles))
                .collect();
            lines
        })
        .collect()
}

fn line(start: Micros, key: &str, measure: &str, bucket: &Bucket, quantiles: &[f64]) -> Line {
    let quantile = |q: &f64| bucket.sketch.as_ref().and_then(|sketch| sketch.quantile(*q));
    (
        pg_time::timestamptz(start),
        key.to_owned(),
        measure.to_owned(),
        bucket.count as i64,
        Some(bucket.sum),
        Some(bucket.min),
        Some(bucket.max),
        Some(bucket.average().value()),
        bucket.stddev(),
        Some(bucket.first.value),
        Some(bucket.last.value),
        quantiles.iter().map(quantile).collect(),
    )
}

fn checked_width(width: &Interval) -> Result<Micros> {
    if width.months() != 0 {
        return Err(Failure::new(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, "a bucket cannot be months wide")
            .detail("Months differ in length, and buckets are aligned to the UTC epoch.")
            .hint("Ask for days and group them by date_trunc('month', bucket)."));
    }
    let micros = pg_time::interval_micros(width);
    if micros <= 0 {
        return Err(Failure::new(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            "the width of a bucket must be positive",
        ));
    }
    Ok(micros)
}

fn check_quantiles(quantiles: &[f64]) -> Result<()> {
    match quantiles.iter().find(|q| !(0.0..=1.0).contains(*q)) {
        None => Ok(()),
        Some(wrong) => {
            Err(Failure::new(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, format!("{wrong} is not a quantile"))
                .hint("Quantiles lie between 0 and 1: the median is 0.5."))
        }
    }
}
