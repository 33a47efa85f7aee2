//! The rollup: aggregates of every changed day, at 5 minutes, an hour and a day.

use super::Result;
use crate::attach::check_columns_of;
use crate::dirty_log::{self, Consumer, DirtyDay};
use crate::failure::Failure;
use crate::pg_time;
use crate::query::measures::MeasureSink;
use crate::query::scan::{Request, Scan};
use crate::shape::TableColumns;
use crate::source::Source;
use crate::workers::{JobError, JobOutcome, transaction};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;
use series::bucket::BucketRow;
use series::time::{Day, MICROS_PER_SECOND, Micros, bucket_start};
use std::collections::{BTreeMap, HashMap};

/// Widths in seconds. A quantile over five minutes comes from the readings themselves, so only the wider buckets carry
/// sketches.
const WIDTHS: [(i32, bool); 3] = [(300, false), (3_600, true), (86_400, true)];

pub fn rollup(source: &Source) -> Result<JobOutcome> {
    let days =
        transaction("strata: rollup", || dirty_log::pending(source.id, Consumer::Rollup).map_err(JobError::from))?;
    let mut buckets = 0;
    for dirty in &days {
        buckets += transaction("strata: rollup", || rollup_day(source, *dirty).map_err(JobError::from))?;
    }
    let message = (!days.is_empty()).then(|| format!("{} days", days.len()));
    Ok(JobOutcome { rows: buckets, message, ..JobOutcome::default() })
}

fn rollup_day(source: &Source, dirty: DirtyDay) -> std::result::Result<i64, Failure> {
    check_columns_of(source)?;
    let states = day_states(source, dirty.day)?;
    let count = replace(source, dirty.day, states)?;
    dirty_log::done(source.id, Consumer::Rollup, &[dirty])?;
    Ok(count)
}

type States = HashMap<String, [BTreeMap<Micros, BucketRow>; WIDTHS.len()]>;

/// Reads the day over table and archive, so that a late row of a day that has left the table adds to what is there.
fn day_states(source: &Source, day: Day) -> std::result::Result<States, Failure> {
    let columns = TableColumns::of(source)?.reduced_to(source, &source.measures)?;
    let request = Request { source, columns: &columns, from: day.start(), to: day.end(), keys: None };
    let mut states = States::new();
    let mut sink = MeasureSink::new(source, &columns, &source.measures, |time, key: &str, values: &[f64]| {
        let series = match states.get_mut(key) {
            Some(series) => series,
            None => states.entry(key.to_owned()).or_default(),
        };
        for ((width, sketch), buckets) in WIDTHS.iter().zip(series.iter_mut()) {
            buckets
                .entry(bucket_start(time, i64::from(*width) * MICROS_PER_SECOND))
                .or_insert_with(|| BucketRow::new(values.len(), *sketch))
                .update(time, values);
        }
    });
    Scan::open_stored(request)?.run(&mut sink)?;
    Ok(states)
}

fn replace(source: &Source, day: Day, states: States) -> std::result::Result<i64, Failure> {
    let (mut widths, mut starts, mut keys, mut encoded) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (key, series) in states {
        for ((width, _), buckets) in WIDTHS.iter().zip(series) {
            for (start, row) in buckets {
                widths.push(*width);
                starts.push(pg_time::timestamptz(start));
                keys.push(key.clone());
                encoded.push(row.encode());
            }
        }
    }
    let (from, to): (TimestampWithTimeZone, _) = (pg_time::timestamptz(day.start()), pg_time::timestamptz(day.end()));
    Spi::run_with_args(
        "DELETE FROM strata.rollup_states WHERE source_id = $1 AND width = ANY ('{300,3600,86400}') AND bucket >= $2 AND bucket < $3",
        &[source.id.into(), from.into(), to.into()],
    )?;
    let count = widths.len() as i64;
    Spi::run_with_args(
        "INSERT INTO strata.rollup_states (source_id, width, bucket, key, state)
         SELECT $1, * FROM unnest($2::integer[], $3::timestamptz[], $4::text[], $5::bytea[])",
        &[source.id.into(), widths.into(), starts.into(), keys.into(), encoded.into()],
    )?;
    Ok(count)
}
