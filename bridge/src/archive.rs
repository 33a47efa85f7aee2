//! Days of a source into BigQuery, proved.
//!
//! load (Parquet into a staging table) → MERGE (bounded to the days) → read back → remove what the days no longer have,
//! if there is something → compare. Each step is a job with an id derived from what it does, so dying anywhere and
//! repeating finds the steps that are done and does the rest. When the archive is not what was written, or what a
//! finished step left behind is gone (the day may have changed and changed back since), everything runs once more under
//! fresh ids.

use std::collections::HashSet;

use gcp_bigquery_client::model::job_configuration::JobConfiguration;
use gcp_bigquery_client::model::job_configuration_load::JobConfigurationLoad;
use ring::digest::{SHA256, digest};
use series::hash::ContentHash;
use series::time::Day;

use crate::cold::{
    ColdClient, ColdError, ErrorKind, Existing, Found, JobDone, JobRun, MergeMode, OwnerId, TableRef, check_rows,
    labels, merge_sql, mismatch, name_part, parquet_file, read_back, remove_sql, schema,
};
use crate::table::{Row, TableShape};
use crate::wait::Wait;

/// The archive of one source: a BigQuery table that exists, fits and belongs to this database.
pub struct ArchiveTable<'a> {
    client: &'a ColdClient,
    table: TableRef,
    shape: TableShape,
    source: String,
}

/// A day that is proved to be in the archive.
#[derive(Debug, Clone)]
pub struct Archived {
    pub day: Day,
    /// Of the rows that were written.
    pub content: ContentHash,
    /// Of everything the archive holds for the day: more than `content` only in [`MergeMode::Upsert`].
    pub day_content: ContentHash,
    /// Size of the uploaded file. Of days written together, the first one counts it.
    pub bytes_uploaded: u64,
    /// Bytes that the statements were billed for, reading back excluded. Counted like `bytes_uploaded`.
    pub bytes_billed: u64,
    /// The load job and the statements, as far as there was something to do.
    pub job_ids: Vec<String>,
}

/// The rows of one day.
#[derive(Debug, Clone, Copy)]
pub struct DayRows<'a> {
    pub day: Day,
    /// In any order; each has a cell per column of the shape, a time within `day`, and a (key, time) of its own.
    pub rows: &'a [Row],
}

impl<'a> ArchiveTable<'a> {
    /// Opens the archive of a source: creates dataset and table if they are not there, adds columns that the source got
    /// since, and checks whose it is. `take_over` claims an archive that another database has written.
    ///
    /// # Errors
    /// [`ErrorKind::NotOwner`]; [`ErrorKind::Permanent`] when a column has another type there.
    pub fn open(
        wait: &impl Wait,
        client: &'a ColdClient,
        table: TableRef,
        shape: TableShape,
        source: &str,
        owner: &OwnerId,
        take_over: bool,
    ) -> Result<ArchiveTable<'a>, ColdError> {
        shape.check_names().map_err(|error| ColdError::permanent(error.to_string()))?;
        let open = async {
            let remote = match client.get_table(&table).await? {
                Some(remote) => remote,
                None => {
                    client.ensure_dataset(&table.project, &table.dataset).await?;
                    client.create_table(&table, &shape, &labels(owner, source)).await?;
                    client.get_table(&table).await?.ok_or_else(|| {
                        ColdError::new(ErrorKind::NotFound, format!("{table} vanished while it was created"))
                    })?
                }
            };
            client.claim(&table, &remote, owner, source, take_over).await?;
            for column in shape.columns() {
                if let Some(there) = remote.column(&column.name)
                    && there.column_kind() != Some(column.kind)
                {
                    return Err(ColdError::permanent(format!(
                        "column \"{}\" is {} in the archive {table} but {} in the source",
                        column.name,
                        there.kind,
                        column.kind.schema_type()
                    ))
                    .with_hint("A column whose type changed needs an archive table of its own."));
                }
            }
            client.add_columns(&table, &shape, &remote).await
        };
        wait.wait("opening the archive", open)?;
        Ok(ArchiveTable { client, table, shape, source: source.to_owned() })
    }

    pub fn table(&self) -> &TableRef {
        &self.table
    }

    pub fn shape(&self) -> &TableShape {
        &self.shape
    }

    /// Named after source and days, and after the target: two sources of one dataset may share their name.
    fn staging(&self, days: (Day, Day)) -> TableRef {
        self.table.sibling(format!("_strata_{}_{}_{}", self.table.table, name_part(&self.source), days_part(days)))
    }
}

/// `20260131`, or `20260131_20260209` for more than one day.
fn days_part((first, last): (Day, Day)) -> String {
    let part = |day: Day| day.to_string().replace('-', "");
    match first == last {
        true => part(first),
        false => format!("{}_{}", part(first), part(last)),
    }
}

/// Writes `rows` as the given day of the archive and proves that they are there. See [`archive_days`].
///
/// # Errors
/// See [`archive_days`].
pub fn archive_day(
    wait: &impl Wait,
    archive: &ArchiveTable<'_>,
    day: Day,
    rows: &[Row],
    mode: MergeMode,
) -> Result<Archived, ColdError> {
    let mut archived = archive_days(wait, archive, &[DayRows { day, rows }], mode)?;
    archived.pop().ok_or_else(|| ColdError::permanent("no day was archived"))
}

/// Writes days that follow one another, and proves each. Days written together share the jobs and their latency, which
/// is what a backlog of many small days costs.
///
/// Repeating the call with the same rows does no harm, wherever the last one ended.
///
/// # Errors
/// [`ErrorKind::Permanent`] for rows that BigQuery cannot hold exactly, and for days that do not follow one another;
/// [`ErrorKind::Mismatch`] when a day of the archive still is not what was written after a second try; else what
/// BigQuery failed with.
pub fn archive_days(
    wait: &impl Wait,
    archive: &ArchiveTable<'_>,
    days: &[DayRows<'_>],
    mode: MergeMode,
) -> Result<Vec<Archived>, ColdError> {
    let (Some(first), Some(last)) = (days.first(), days.last()) else {
        return Ok(Vec::new());
    };
    if days.windows(2).any(|pair| pair[1].day != pair[0].day.next()) {
        return Err(ColdError::permanent("days archived together must follow one another"));
    }
    let mut written = HashSet::new();
    let contents = days
        .iter()
        .map(|day| check_rows(&archive.shape, day.day, day.rows, &mut written))
        .collect::<Result<Vec<_>, _>>()?;
    let writing = Writing { archive, days, mode, contents, written, span: (first.day, last.day) };
    let mut done = Done::default();
    let mut found = writing.attempt(wait, Existing::Reuse, &mut done);
    let wrong = found.as_ref().is_ok_and(|found| writing.first_wrong(found).is_some());
    // an earlier job was taken for this one, or something else wrote meanwhile
    let reuse_failed = found.is_err() && done.jobs.iter().any(|job| job.reused);
    if wrong || reuse_failed {
        done = Done::default();
        found = writing.attempt(wait, Existing::Skip, &mut done);
    }
    let found = found?;
    if let Some(error) = writing.first_wrong(&found) {
        return Err(error);
    }
    if writing.has_rows() {
        let staging = archive.staging(writing.span);
        wait.wait("removing a staging table", archive.client.delete_table(&staging))?;
    }
    Ok(writing.archived(&found, done))
}

struct Writing<'a> {
    archive: &'a ArchiveTable<'a>,
    days: &'a [DayRows<'a>],
    mode: MergeMode,
    /// Of each day.
    contents: Vec<ContentHash>,
    /// Hash of each row.
    written: HashSet<u128>,
    span: (Day, Day),
}

#[derive(Default)]
struct Done {
    jobs: Vec<JobDone>,
    bytes_uploaded: u64,
}

impl Writing<'_> {
    /// One pass through the steps; `done` notes how far it came.
    fn attempt(&self, wait: &impl Wait, existing: Existing, done: &mut Done) -> Result<Vec<Found>, ColdError> {
        let ArchiveTable { client, table, shape, .. } = self.archive;
        let staging = self.archive.staging(self.span);
        if self.has_rows() {
            let file = parquet_file(shape, self.days.iter().flat_map(|day| day.rows))?;
            done.bytes_uploaded = file.len() as u64;
            let job = JobRun::new(client, self.job_name("load"), self.load(&staging), Some(file), existing);
            done.jobs.push(wait.wait_cancel("loading into BigQuery", job.run(), job.cancel())?);
            let sql = merge_sql(table, &staging, shape, self.span);
            self.statement(wait, "merge", sql, existing, done)?;
        }
        let found = read_back(wait, client, table, shape, self.span, &self.written)?;
        let surplus = found.iter().zip(&self.contents).any(|(found, content)| found.has_surplus(*content));
        if self.mode == MergeMode::Upsert || !surplus {
            return Ok(found);
        }
        let sql = remove_sql(table, self.has_rows().then_some(&staging), shape, self.span);
        self.statement(wait, "remove", sql, existing, done)?;
        read_back(wait, client, table, shape, self.span, &self.written)
    }

    fn statement(
        &self,
        wait: &impl Wait,
        step: &str,
        sql: String,
        existing: Existing,
        done: &mut Done,
    ) -> Result<(), ColdError> {
        let client = self.archive.client;
        let job = JobRun::new(client, self.job_name(step), client.statement(sql, "archive"), None, existing);
        done.jobs.push(wait.wait_cancel("writing to BigQuery", job.run(), job.cancel())?);
        Ok(())
    }

    fn has_rows(&self) -> bool {
        !self.written.is_empty()
    }

    /// The error of the first day that is not what was written.
    fn first_wrong(&self, found: &[Found]) -> Option<ColdError> {
        let days = self.days.iter().zip(&self.contents).zip(found);
        days.map(|((day, content), found)| (day.day, *content, *found))
            .find(|(_, content, found)| !found.proves(self.mode, *content))
            .map(|(day, content, found)| mismatch(&self.archive.table, day, self.mode, content, found))
    }

    fn archived(&self, found: &[Found], done: Done) -> Vec<Archived> {
        let job_ids: Vec<String> = done.jobs.iter().map(|job| job.job_id.clone()).collect();
        let bytes_billed = done.jobs.iter().map(|job| job.bytes_billed).sum();
        let days = self.days.iter().zip(&self.contents).zip(found).enumerate();
        days.map(|(position, ((day, content), found))| Archived {
            day: day.day,
            content: *content,
            day_content: found.day,
            bytes_uploaded: if position == 0 { done.bytes_uploaded } else { 0 },
            bytes_billed: if position == 0 { bytes_billed } else { 0 },
            job_ids: job_ids.clone(),
        })
        .collect()
    }

    fn load(&self, staging: &TableRef) -> JobConfiguration {
        JobConfiguration {
            load: Some(JobConfigurationLoad {
                source_format: Some("PARQUET".to_owned()),
                create_disposition: Some("CREATE_IF_NEEDED".to_owned()),
                write_disposition: Some("WRITE_TRUNCATE".to_owned()),
                destination_table: Some(staging.reference()),
                schema: Some(schema(&self.archive.shape)),
                ..JobConfigurationLoad::default()
            }),
            ..self.archive.client.job_configuration("archive")
        }
    }

    /// `strata_<step>_<source>_<days>_<content>_<place>`: the same for the same work, different for any other.
    fn job_name(&self, step: &str) -> String {
        let mut content = ContentHash::default();
        self.contents.iter().for_each(|day| content += *day);
        let columns: Vec<&str> = self.archive.shape.columns().iter().map(|c| c.name.as_str()).collect();
        let place = format!("{} {:?} {}", self.archive.table, self.mode, columns.join(" "));
        let place: String =
            digest(&SHA256, place.as_bytes()).as_ref()[..6].iter().map(|byte| format!("{byte:02x}")).collect();
        let source = name_part(&self.archive.source);
        format!("strata_{step}_{source}_{}_{content}_{place}", days_part(self.span))
    }
}
