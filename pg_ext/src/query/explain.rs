//! `strata.explain`: which tier answers which part of a range, with which statement and at which cost.

use super::rows::NoRows;
use super::scan::{Request, Scan};
use crate::failure::{OrRaise, Result};
use crate::interrupts::BackendWait;
use crate::pg_time;
use crate::shape::TableColumns;
use crate::source::Source;
use crate::tiers;
use bridge::cold::estimate_rows;
use bridge::wait::Wait;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;
use pgrx::{PgRelation, default};
use series::plan::{Segment, Tier};

type Line = (String, TimestampWithTimeZone, TimestampWithTimeZone, Option<i64>, Option<i64>, String);

/// One line per tier and range: rows and bytes are estimates where the tier has not been read.
#[pg_extern(volatile, parallel_unsafe, requires = ["catalog"])]
#[search_path(pg_catalog, pg_temp)]
#[allow(clippy::type_complexity)]
fn explain(
    relation: PgRelation,
    from: TimestampWithTimeZone,
    to: TimestampWithTimeZone,
    keys: default!(Option<Vec<String>>, "NULL"),
) -> TableIterator<
    'static,
    (
        name!(tier, String),
        name!(range_start, TimestampWithTimeZone),
        name!(range_end, TimestampWithTimeZone),
        name!(rows, Option<i64>),
        name!(bytes, Option<i64>),
        name!(statement, String),
    ),
> {
    let source = Source::of_relation(relation.oid()).or_raise();
    TableIterator::new(lines(&source, from, to, keys).or_raise())
}

fn lines(
    source: &Source,
    from: TimestampWithTimeZone,
    to: TimestampWithTimeZone,
    keys: Option<Vec<String>>,
) -> Result<Vec<Line>> {
    let columns = TableColumns::of(source)?;
    let request = Request {
        source,
        columns: &columns,
        from: pg_time::from_bound(from),
        to: pg_time::to_bound(to),
        keys: keys.as_deref(),
    };
    let scan = Scan::open(request)?;
    let mut lines = Vec::new();
    for segment in &scan.plan.segments {
        let (tier, rows, bytes, statement) = match segment.tier {
            Tier::Hot => ("hot", Some(scan.pending_samples() as i64), None, hot_statement(source, *segment)),
            Tier::Warm => {
                let statement = scan.warm_statement(*segment, &NoRows);
                ("warm", scan.snapshot().estimate(&statement)?, None, statement)
            }
            Tier::Cold => {
                let (rows, bytes, statement) = cold(source, &columns, &scan, *segment, keys.as_deref())?;
                ("cold", rows, bytes, statement)
            }
        };
        let (start, end) = (pg_time::timestamptz(segment.from), pg_time::timestamptz(segment.to));
        lines.push((tier.to_owned(), start, end, rows, bytes, statement));
    }
    Ok(lines)
}

fn hot_statement(source: &Source, segment: Segment) -> String {
    let millis = |micros: i64| micros.div_euclid(1000);
    format!("STRATA.PENDING {} FROM {} TO {}", source.name, millis(segment.from), millis(segment.to - 1))
}

fn cold(
    source: &Source,
    columns: &TableColumns,
    scan: &Scan,
    segment: Segment,
    keys: Option<&[String]>,
) -> Result<(Option<i64>, Option<i64>, String)> {
    let client = tiers::cold()?;
    let table = tiers::archive_table(&client, source)?;
    let request = tiers::read_request(&table, columns, segment, keys);
    let estimate = BackendWait.wait("estimating a BigQuery statement", estimate_rows(&client, &request));
    let bytes = tiers::or_partial("cold", estimate.map_err(Into::into))?;
    Ok((scan.archived_rows(segment)?, bytes.map(|bytes| bytes as i64), request.sql()))
}
