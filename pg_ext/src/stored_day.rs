//! The rows of one day as they are in the table.

use crate::failure::Result;
use crate::pg_time::sql_time;
use crate::shape::{self, TableColumns};
use crate::snapshot::Snapshot;
use crate::source::Source;
use bridge::cold::{content_hash, row_hash};
use bridge::table::Row;
use series::hash::{ContentHash, RowHasher};
use series::time::Day;

/// All rows of the day.
pub fn rows(source: &Source, columns: &TableColumns, day: Day) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    each(source, columns, day, |row| rows.push(row))?;
    Ok(rows)
}

/// Row count and order-independent hash of what is in the table.
pub fn content_in_table(source: &Source, columns: &TableColumns, day: Day) -> Result<ContentHash> {
    let mut hasher = RowHasher::new();
    each(source, columns, day, |row| {
        row_hash(&mut hasher, &columns.shape, &row);
    })?;
    Ok(hasher.content())
}

/// Row count and order-independent hash of rows.
pub fn content(columns: &TableColumns, rows: &[Row]) -> ContentHash {
    content_hash(&columns.shape, rows.iter().map(Vec::as_slice))
}

fn each(source: &Source, columns: &TableColumns, day: Day, mut each: impl FnMut(Row)) -> Result<()> {
    let sql = format!(
        "SELECT {} FROM {} t WHERE t.{time} >= {} AND t.{time} < {}",
        columns.select_list(),
        source.table,
        sql_time(day.start()),
        sql_time(day.end()),
        time = source.time(),
    );
    Snapshot::take().select(&sql, &[], |view| {
        each(shape::read_row(view, &columns.shape)?);
        Ok(())
    })
}
