//! The archive: days older than the warm limit into BigQuery, proved, and then out of the table if the source says so.

use super::{Result, drop_days};
use crate::attach::check_columns_of;
use crate::dirty_log::{self, Consumer, DirtyDay};
use crate::failure::Failure;
use crate::interrupts::BackendWait;
use crate::manifest::{self, Entry, State};
use crate::shape::TableColumns;
use crate::source::Source;
use crate::stored_day;
use crate::tiers;
use crate::workers::{JobError, JobOutcome, transaction};
use bridge::archive::{ArchiveTable, Archived, DayRows, archive_day, archive_days};
use bridge::cold::{ErrorKind, MergeMode, OwnerId};
use bridge::table::Row;
use series::time::{Day, Micros};
use std::collections::HashMap;

const ACTIVITY: &str = "strata: archive";
/// What one batch may hold in memory, and lose to a failure.
const MOST_DAYS: usize = 25;
const MOST_ROWS: usize = 100_000;

pub fn archive(source: &Source) -> Result<JobOutcome> {
    let Some(warm) = source.warm else { return Ok(JobOutcome::default()) };
    transaction(ACTIVITY, || manifest::check_owner(source).map_err(JobError::from))?;
    let limit = Limit { newest_end: chrono::Utc::now().timestamp_micros() - warm };
    transaction(ACTIVITY, || drop_days::notice_vanished_days(source).map_err(JobError::from))?;
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
    let mut batch = Batch::new(source, &work.columns, &archive);
    for dirty in &work.days {
        if let Some(day) = load(source, &work.columns, *dirty, work.manifest.get(&dirty.day))? {
            batch.push(day)?;
        }
    }
    batch.flush()?;
    for done in &batch.archived {
        outcome.rows += done.content.rows as i64;
        outcome.bytes += done.bytes_uploaded as i64;
    }
    outcome.bigquery_job_id = batch.archived.last().and_then(|done| done.job_ids.last().cloned());
    outcome.message = (!batch.archived.is_empty()).then(|| format!("{} days archived", batch.archived.len()));
    Ok(outcome)
}

/// A day that the archive does not hold as it is.
struct LoadedDay {
    dirty: DirtyDay,
    rows: Vec<Row>,
    mode: MergeMode,
    /// Its rows have left the table before; these came late.
    dropped: bool,
}

/// Reads a day; `None`, and the day is done, where the archive holds it already.
fn load(source: &Source, columns: &TableColumns, dirty: DirtyDay, known: Option<&Entry>) -> Result<Option<LoadedDay>> {
    transaction(ACTIVITY, || {
        check_columns_of(source)?;
        let rows = stored_day::rows(source, columns, dirty.day)?;
        let archived = known.filter(|entry| entry.state == State::Archived);
        let vanished = archived.is_some_and(|entry| !dirty.removes && (rows.len() as u64) < entry.content.rows);
        if vanished {
            manifest::mark_dropped(source.id, &[dirty.day])?;
        }
        let dropped = vanished || known.is_some_and(|entry| entry.state == State::Dropped);
        let nothing_to_add = rows.is_empty() && (dropped || known.is_none());
        let unchanged = !dropped && archived.is_some_and(|entry| entry.content == stored_day::content(columns, &rows));
        if nothing_to_add || unchanged {
            dirty_log::done(source.id, Consumer::Archive, &[dirty])?;
            return Ok(None);
        }
        // what this attachment has not archived itself, and what nobody deleted, is not its to remove
        let mode = if archived.is_some() && dirty.removes { MergeMode::Replace } else { MergeMode::Upsert };
        Ok(Some(LoadedDay { dirty, rows, mode, dropped }))
    })
}

/// Days that go to BigQuery together: a job there costs the same for one day as for ten.
///
/// No transaction is open while BigQuery works, so a slow batch holds neither locks nor a snapshot.
struct Batch<'a> {
    source: &'a Source,
    columns: &'a TableColumns,
    archive: &'a ArchiveTable<'a>,
    days: Vec<LoadedDay>,
    archived: Vec<Archived>,
}

impl<'a> Batch<'a> {
    fn new(source: &'a Source, columns: &'a TableColumns, archive: &'a ArchiveTable<'a>) -> Self {
        Self { source, columns, archive, days: Vec::new(), archived: Vec::new() }
    }

    fn push(&mut self, day: LoadedDay) -> Result<()> {
        let rows: usize = self.days.iter().map(|day| day.rows.len()).sum();
        let fits = self.days.len() < MOST_DAYS
            && rows + day.rows.len() <= MOST_ROWS
            && self.days.last().is_none_or(|last| last.mode == day.mode);
        if !fits {
            self.flush()?;
        }
        self.days.push(day);
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let days = std::mem::take(&mut self.days);
        let Some(mode) = days.first().map(|day| day.mode) else { return Ok(()) };
        let rows: Vec<DayRows> = days.iter().map(|day| DayRows { day: day.dirty.day, rows: &day.rows }).collect();
        match archive_days(&BackendWait, self.archive, &rows, mode) {
            Ok(done) => days.iter().zip(done).try_for_each(|(day, done)| self.record(day, done)),
            // a day that BigQuery cannot take must not hold up the others
            Err(error) if days.len() > 1 && matches!(error.kind, ErrorKind::Permanent | ErrorKind::Mismatch) => {
                days.iter().try_for_each(|day| self.archive_alone(day))
            }
            Err(error) => Err(Failure::from(error).into()),
        }
    }

    fn archive_alone(&mut self, day: &LoadedDay) -> Result<()> {
        let done =
            archive_day(&BackendWait, self.archive, day.dirty.day, &day.rows, day.mode).map_err(Failure::from)?;
        self.record(day, done)
    }

    fn record(&mut self, day: &LoadedDay, done: Archived) -> Result<()> {
        transaction(ACTIVITY, || record(self.source, self.columns, day, &done).map_err(JobError::from))?;
        self.archived.push(done);
        Ok(())
    }
}

fn record(
    source: &Source,
    columns: &TableColumns,
    loaded: &LoadedDay,
    done: &Archived,
) -> std::result::Result<(), Failure> {
    let day = loaded.dirty.day;
    let entry =
        Entry { content: done.day_content, state: if loaded.dropped { State::Dropped } else { State::Archived } };
    manifest::record(source.id, day, &entry, done)?;
    if loaded.dropped
        && source.drop_archived
        && !drop_days::remove_late_rows(source, columns, day, stored_day::content(columns, &loaded.rows))?
    {
        // the rows changed meanwhile: the archive has what was read, the day stays noted and its turn comes again
        return Ok(());
    }
    dirty_log::done(source.id, Consumer::Archive, &[loaded.dirty])
}
