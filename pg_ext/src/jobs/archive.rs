//! The archive: days older than the warm limit into BigQuery, proved, and then out of the table if the source says so.

use super::{Result, drop_days};
use crate::dirty_log::{self, Consumer, DirtyDay};
use crate::failure::Failure;
use crate::interrupts::BackendWait;
use crate::manifest::{self, Entry, State};
use crate::shape::TableColumns;
use crate::source::Source;
use crate::stored_day;
use crate::tiers;
use crate::workers::{JobError, JobOutcome, transaction};
use bridge::archive::{ArchiveTable, Archived, archive_day};
use bridge::cold::{MergeMode, OwnerId};
use bridge::table::Row;
use series::time::{Day, Micros};
use std::collections::HashMap;

const ACTIVITY: &str = "strata: archive";

pub fn archive(source: &Source) -> Result<JobOutcome> {
    let Some(warm) = source.warm else { return Ok(JobOutcome::default()) };
    let limit = Limit { newest_end: chrono::Utc::now().timestamp_micros() - warm };
    let mut outcome = archive_dirty_days(source, limit)?;
    if source.drop_archived {
        let dropped = drop_days::drop_archived(source, limit)?;
        let message = outcome.message.take().into_iter().chain(dropped).collect::<Vec<_>>().join(", ");
        outcome.message = (!message.is_empty()).then_some(message);
    }
    Ok(outcome)
}

/// Days that end no later than this are old enough for the archive.
#[derive(Clone, Copy)]
pub struct Limit {
    newest_end: Micros,
}

impl Limit {
    pub fn admits(self, day: Day) -> bool {
        day.end() <= self.newest_end
    }
}

struct Work {
    days: Vec<DirtyDay>,
    manifest: HashMap<Day, Entry>,
    columns: TableColumns,
    owner: OwnerId,
}

fn archive_dirty_days(source: &Source, limit: Limit) -> Result<JobOutcome> {
    let work = transaction(ACTIVITY, || {
        let mut days = dirty_log::pending(source.id, Consumer::Archive)?;
        days.retain(|dirty| limit.admits(dirty.day));
        let manifest = manifest::of_days(source.id, days.iter().map(|dirty| dirty.day))?;
        Ok::<_, JobError>(Work { days, manifest, columns: TableColumns::of(source)?, owner: manifest::owner() })
    })?;
    let mut outcome = JobOutcome::default();
    if work.days.is_empty() {
        return Ok(outcome);
    }
    let client = tiers::cold()?;
    let table = tiers::archive_table(&client, source)?;
    let shape = work.columns.shape.clone();
    let archive = ArchiveTable::open(&BackendWait, &client, table, shape, &source.name, &work.owner, false)
        .map_err(Failure::from)?;
    transaction(ACTIVITY, || manifest::remember_owner(source.id, &work.owner).map_err(JobError::from))?;
    let mut archived = 0;
    for dirty in &work.days {
        let known = work.manifest.get(&dirty.day);
        if let Some(done) = archive_one(source, &work.columns, &archive, *dirty, known)? {
            archived += 1;
            outcome.rows += done.content.rows as i64;
            outcome.bytes += done.bytes_uploaded as i64;
            outcome.bigquery_job_id = done.job_ids.last().cloned().or(outcome.bigquery_job_id);
        }
    }
    outcome.message = (archived > 0).then(|| format!("{archived} days archived"));
    Ok(outcome)
}

/// Archives one day; `None` where the archive holds it already.
///
/// No transaction is open while BigQuery works, so a slow day holds neither locks nor a snapshot.
fn archive_one(
    source: &Source,
    columns: &TableColumns,
    archive: &ArchiveTable,
    dirty: DirtyDay,
    known: Option<&Entry>,
) -> Result<Option<Archived>> {
    let day = dirty.day;
    let rows = transaction(ACTIVITY, || stored_day::rows(source, columns, day).map_err(JobError::from))?;
    let dropped = known.is_some_and(|entry| entry.state == State::Dropped);
    let nothing_to_add = rows.is_empty() && (dropped || known.is_none());
    if nothing_to_add || (!dropped && known.is_some_and(|entry| entry.content == stored_day::content(columns, &rows))) {
        transaction(ACTIVITY, || dirty_log::done(source.id, Consumer::Archive, &[dirty]).map_err(JobError::from))?;
        return Ok(None);
    }
    let mode = if dropped { MergeMode::Upsert } else { MergeMode::Replace };
    let done = archive_day(&BackendWait, archive, day, &rows, mode).map_err(Failure::from)?;
    transaction(ACTIVITY, || record(source, columns, dirty, dropped, &done, &rows).map_err(JobError::from))?;
    Ok(Some(done))
}

fn record(
    source: &Source,
    columns: &TableColumns,
    dirty: DirtyDay,
    dropped: bool,
    done: &Archived,
    rows: &[Row],
) -> std::result::Result<(), Failure> {
    let entry = Entry { content: done.day_content, state: if dropped { State::Dropped } else { State::Archived } };
    if dropped && !drop_days::remove_late_rows(source, columns, dirty.day, stored_day::content(columns, rows))? {
        // the rows changed meanwhile: the archive has what was read, the day stays noted and its turn comes again
        return manifest::record(source.id, dirty.day, &entry, done);
    }
    manifest::record(source.id, dirty.day, &entry, done)?;
    dirty_log::done(source.id, Consumer::Archive, &[dirty])
}
