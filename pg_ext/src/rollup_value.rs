//! Aggregates out of a stored rollup state.

use crate::failure::{Failure, OrRaise, Result};
use pgrx::PgSqlErrorCode;
use pgrx::prelude::*;
use series::aggregate::Aggregate;
use series::bucket::BucketRow;

/// One aggregate of one measure (counted from 1, in the order of the source's measures); NULL where there is none.
#[pg_extern(immutable, strict, parallel_safe, requires = ["catalog"])]
#[search_path(pg_catalog, pg_temp)]
fn rollup_value(state: &[u8], measure: i32, aggregate: &str) -> Option<f64> {
    value(state, measure, aggregate).or_raise()
}

fn value(state: &[u8], measure: i32, aggregate: &str) -> Result<Option<f64>> {
    let aggregate: Aggregate = aggregate.parse().map_err(|_| {
        Failure::new(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, format!("\"{aggregate}\" is not an aggregate"))
            .hint("Aggregates are avg, min, max, sum, count, stddev, first, last, rate and quantiles such as p99.")
    })?;
    let row = BucketRow::decode(state).map_err(|error| {
        Failure::new(PgSqlErrorCode::ERRCODE_DATA_CORRUPTED, format!("a rollup state cannot be read: {error}"))
    })?;
    let bucket = usize::try_from(measure - 1).ok().and_then(|i| row.buckets.get(i));
    Ok(bucket.filter(|bucket| !bucket.is_empty()).and_then(|bucket| aggregate.value(bucket)))
}
