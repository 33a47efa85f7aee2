//! Archived days whose rows left the table by another way than Strata's: somebody dropped their chunk or partition. The
//! archive has them, and the next archive run writes that into the manifest; until then queries find it out themselves.

use super::access::Access;
use crate::coverage;
use crate::dirty_log;
use crate::failure::Result;
use crate::pg_time::{self, sql_time};
use crate::snapshot::Snapshot;
use crate::source::Source;
use pgrx::datum::Date;
use series::time::Day;
use std::collections::BTreeSet;

/// A day that the manifest has in the table and in the archive, and that nobody deleted rows of since.
struct Archived {
    day: Day,
    rows: i64,
    /// Rows came or changed since.
    touched: bool,
}

/// Those of the days `[first, last]` that are in the archive only, whatever the manifest says.
///
/// Rows leave a table unnoticed with the part that holds them, so a day is looked at if it lacks a part of its time, or if
/// rows came late, which may have made its part anew.
pub fn vanished_days(
    snapshot: &Snapshot,
    source: &Source,
    access: Access,
    (first, last): (Day, Day),
) -> Result<BTreeSet<Day>> {
    let archived = archived_days(snapshot, source, first, last)?;
    if archived.is_empty() {
        return Ok(BTreeSet::new());
    }
    let Some(coverage) = coverage::of_table(source)? else { return Ok(BTreeSet::new()) };
    let mut vanished = BTreeSet::new();
    for Archived { day, rows, touched } in archived {
        let gone = match access.sees_all_rows() {
            true if touched || !coverage.is_whole(day) => rows_in_table(snapshot, source, day)? < rows,
            true => false,
            // whoever sees some of the rows cannot tell how many there are
            false => !coverage.is_possible(day),
        };
        // what the transaction at hand deleted is not in the log yet
        if gone && !dirty_log::is_removing(source.id, day) {
            vanished.insert(day);
        }
    }
    Ok(vanished)
}

fn archived_days(snapshot: &Snapshot, source: &Source, first: Day, last: Day) -> Result<Vec<Archived>> {
    let mut days = Vec::new();
    snapshot.select(
        "SELECT m.day, m.rows, n.day IS NOT NULL FROM strata.manifest m
         LEFT JOIN (
             SELECT day, bool_or(removes) AS removes FROM (
                 SELECT day, removes FROM strata.dirty_days
                 WHERE source_id = $1 AND consumer = 'archive' AND day BETWEEN $2 AND $3
                 UNION ALL
                 SELECT day, removes FROM strata.dirty_log WHERE source_id = $1 AND day BETWEEN $2 AND $3) noted
             GROUP BY day) n USING (day)
         WHERE m.source_id = $1 AND m.state = 'archived' AND m.rows > 0 AND m.day BETWEEN $2 AND $3
           AND n.removes IS NOT TRUE",
        &[source.id.into(), pg_time::date(first).into(), pg_time::date(last).into()],
        |row| {
            if let (Some(day), Some(rows)) = (row.get::<Date>(1), row.get::<i64>(2)) {
                days.push(Archived { day: pg_time::day(day), rows, touched: row.get::<bool>(3) == Some(true) });
            }
            Ok(())
        },
    )?;
    Ok(days)
}

fn rows_in_table(snapshot: &Snapshot, source: &Source, day: Day) -> Result<i64> {
    let sql = format!(
        "SELECT count(*) FROM {} t WHERE t.{time} >= {} AND t.{time} < {}",
        source.table,
        sql_time(day.start()),
        sql_time(day.end()),
        time = source.time(),
    );
    let mut rows = 0;
    snapshot.select(&sql, &[], |row| {
        rows = row.get::<i64>(1).unwrap_or(0);
        Ok(())
    })?;
    Ok(rows)
}
