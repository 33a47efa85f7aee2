//! Labels from SQL: a table of them, or ranges for all series.

use super::outcome::Label;
use crate::failure::{Failure, Result};
use crate::pg_time;
use crate::query::argument;
use crate::quote;
use crate::snapshot::{RowView, Snapshot};
use crate::source::{qualified_name, relation_name};
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::{PgSqlErrorCode, pg_sys};

/// Where the labels of a backtest are.
pub struct LabelArguments {
    /// A table or view whose first three columns are key, start and end.
    pub table: Option<pg_sys::Oid>,
    /// An array of tstzrange.
    pub ranges: Option<pg_sys::Datum>,
}

impl LabelArguments {
    /// The arguments with these numbers.
    ///
    /// # Safety
    /// `fcinfo` is what PostgreSQL passed, and they are a regclass and an array of tstzrange.
    pub unsafe fn of_call(fcinfo: pg_sys::FunctionCallInfo, table: usize, ranges: usize) -> Self {
        // SAFETY: as promised by the caller.
        unsafe {
            let ranges = &*(*fcinfo).args.as_ptr().add(ranges);
            Self { table: argument(fcinfo, table), ranges: (!ranges.isnull).then_some(ranges.value) }
        }
    }

    /// The labels of both, `None` if there are neither. They are read with the rights of the caller.
    ///
    /// # Errors
    /// `42P16` for a table with fewer than three columns.
    pub fn read(&self, snapshot: &Snapshot) -> Result<Option<Vec<Label>>> {
        if self.table.is_none() && self.ranges.is_none() {
            return Ok(None);
        }
        let mut labels = Vec::new();
        if let Some(table) = self.table {
            let [key, start, end] = first_columns(table)?;
            let from = format!("l.{key}::text, l.{start}::timestamptz, l.{end}::timestamptz");
            select(snapshot, &format!("SELECT {from} FROM {} l", qualified_name(table)?), &[], &mut labels)?;
        }
        if let Some(ranges) = self.ranges {
            // SAFETY: the datum is the argument of that type in detection.sql and lives through the call.
            let argument = unsafe { DatumWithOid::new(ranges, pg_sys::TSTZRANGEARRAYOID) };
            let sql = "SELECT NULL::text, lower(r), upper(r) FROM unnest($1) r WHERE NOT isempty(r)";
            select(snapshot, sql, &[argument], &mut labels)?;
        }
        Ok(Some(labels))
    }
}

fn select(snapshot: &Snapshot, sql: &str, arguments: &[DatumWithOid], labels: &mut Vec<Label>) -> Result<()> {
    snapshot.select(sql, arguments, |row| {
        labels.push(label(row));
        Ok(())
    })
}

/// A label without a start or an end has none.
fn label(row: &RowView) -> Label {
    let time = |column: usize| row.raw_timestamptz(column).and_then(pg_time::micros_of_raw);
    Label {
        key: row.get::<String>(1),
        start: time(2).unwrap_or(pg_time::MIN_TIME),
        end: time(3).unwrap_or(pg_time::MAX_TIME),
    }
}

fn first_columns(table: pg_sys::Oid) -> Result<[String; 3]> {
    let names = Spi::get_one_with_args::<Vec<String>>(
        "SELECT array_agg(attname::text ORDER BY attnum) FROM pg_attribute
         WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped",
        &[table.into()],
    )?;
    match names.as_deref() {
        Some([key, start, end, ..]) => Ok([key, start, end].map(|name| quote::ident(name))),
        _ => Err(Failure::new(
            PgSqlErrorCode::ERRCODE_INVALID_TABLE_DEFINITION,
            format!("{} has too few columns to hold labels", relation_name(table)),
        )
        .detail("Its first three columns must be the key, the start and the end of an incident.")
        .hint("Make a view with these three and give its name.")),
    }
}
