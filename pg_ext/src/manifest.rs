//! The manifest: days proved to be in the archive, and whose archive it is.

use crate::failure::{Failure, Result};
use crate::pg_time;
use crate::quote;
use crate::source::Source;
use bridge::archive::Archived;
use bridge::cold::OwnerId;
use pgrx::datum::Date;
use pgrx::prelude::*;
use pgrx::{PgSqlErrorCode, pg_sys};
use series::hash::ContentHash;
use series::time::Day;
use std::collections::HashMap;
use std::ffi::CStr;

/// Where the rows of an archived day are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// In the table and in the archive.
    Archived,
    /// In the archive only.
    Dropped,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Archived => "archived",
            Self::Dropped => "dropped",
        }
    }
}

/// What the archive was proved to hold for a day.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub content: ContentHash,
    pub state: State,
}

/// The entries of some days.
pub fn of_days(source_id: i32, days: impl Iterator<Item = Day>) -> Result<HashMap<Day, Entry>> {
    let dates: Vec<Date> = days.map(pg_time::date).collect();
    Spi::connect(|client| {
        let rows = client.select(
            "SELECT day, content_hash, state FROM strata.manifest WHERE source_id = $1 AND day = ANY ($2)",
            None,
            &[source_id.into(), dates.into()],
        )?;
        let mut entries = HashMap::new();
        for row in rows {
            let (Some(day), Some(hash), Some(state)) =
                (row.get::<Date>(1)?, row.get::<String>(2)?, row.get::<String>(3)?)
            else {
                continue;
            };
            let state = if state == "dropped" { State::Dropped } else { State::Archived };
            entries.insert(pg_time::day(day), Entry { content: parse(&hash)?, state });
        }
        Ok(entries)
    })
}

pub fn parse(hash: &str) -> Result<ContentHash> {
    hash.parse().map_err(|_| {
        Failure::new(
            PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
            format!("\"{hash}\" in strata.manifest is not a content hash"),
        )
    })
}

/// Writes what was proved; a day that has left the table keeps the time when it did.
pub fn record(source_id: i32, day: Day, entry: &Entry, done: &Archived) -> Result<()> {
    Spi::run_with_args(
        "INSERT INTO strata.manifest AS m (source_id, day, rows, content_hash, state, dropped_at, bytes, bigquery_job_id)
         VALUES ($1, $2, $3, $4, $5, CASE WHEN $5 = 'dropped' THEN now() END, $6, $7)
         ON CONFLICT (source_id, day) DO UPDATE SET rows = excluded.rows, content_hash = excluded.content_hash,
             bytes = excluded.bytes, bigquery_job_id = excluded.bigquery_job_id, archived_at = now()",
        &[
            source_id.into(),
            pg_time::date(day).into(),
            (entry.content.rows as i64).into(),
            entry.content.to_string().into(),
            entry.state.as_str().into(),
            (done.bytes_uploaded as i64).into(),
            done.job_ids.last().map(String::as_str).into(),
        ],
    )?;
    Ok(())
}

/// Notes that the rows of days have left the table.
pub fn mark_dropped(source_id: i32, days: &[Day]) -> Result<()> {
    let dates: Vec<Date> = days.iter().copied().map(pg_time::date).collect();
    Spi::run_with_args(
        "UPDATE strata.manifest SET state = 'dropped', dropped_at = now(), keep_until = NULL
         WHERE source_id = $1 AND day = ANY ($2) AND state = 'archived'",
        &[source_id.into(), dates.into()],
    )?;
    Ok(())
}

/// This database as the owner of an archive. Needs a transaction: the name is looked up in a catalog.
pub fn owner() -> OwnerId {
    // SAFETY: both functions read values that are fixed for the life of the backend; the name is palloc'd and copied.
    let (system, database) = unsafe {
        let name = pg_sys::get_database_name(pg_sys::MyDatabaseId);
        let database = if name.is_null() { String::new() } else { CStr::from_ptr(name).to_string_lossy().into_owned() };
        (pg_sys::GetSystemIdentifier(), database)
    };
    OwnerId::new(system, &database)
}

/// A copy of a database must neither take the original's samples out of Redis nor write to its archive.
///
/// # Errors
/// `55000` in a copy.
pub fn check_owner(source: &Source) -> Result<()> {
    if source.owner_id == owner().as_str() {
        return Ok(());
    }
    Err(Failure::new(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("source \"{}\" belongs to another database, of which this one is a copy", source.name),
    )
    .hint(format!(
        "If this database is to take its place: SELECT strata.take_over_archive({}); otherwise detach the table here.",
        quote::literal(&source.table)
    )))
}

/// Notes this database as the owner.
pub fn become_owner(source_id: i32, owner: &OwnerId) -> Result<()> {
    Spi::run_with_args(
        "UPDATE strata.sources SET owner = $2 WHERE source_id = $1",
        &[source_id.into(), owner.as_str().into()],
    )?;
    Ok(())
}
