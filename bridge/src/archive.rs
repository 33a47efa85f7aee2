//! One UTC day of a source into BigQuery, proved.
//!
//! load (Parquet into a staging table) → MERGE (bounded to the day) → read back → compare. Each step is a job with an
//! id derived from what it does, so dying anywhere and repeating finds the steps that are done and does the rest.
//! When the archive is not what was written, or what a finished step left behind is gone (the day may have changed and
//! changed back since), everything runs once more under fresh ids.

use std::collections::HashSet;

use gcp_bigquery_client::model::job_configuration::JobConfiguration;
use gcp_bigquery_client::model::job_configuration_load::JobConfigurationLoad;
use ring::digest::{SHA256, digest};
use series::hash::{ContentHash, RowHasher};
use series::time::{Day, Micros};

use crate::cold::{
    ColdClient, ColdError, ErrorKind, Existing, FIRST_TIME, Found, JobDone, JobRun, LAST_TIME, MergeMode, OwnerId,
    TableRef, compare, empty_day_sql, labels, merge_sql, name_part, parquet_file, read_back, row_hash, scaled_numeric,
    schema,
};
use crate::table::{Cell, ColumnKind, Row, TableShape};
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
    /// Of the rows that were written.
    pub content: ContentHash,
    /// Of everything the archive holds for the day: more than `content` only in [`MergeMode::Upsert`].
    pub day_content: ContentHash,
    /// Size of the uploaded file.
    pub bytes_uploaded: u64,
    pub bytes_billed: u64,
    /// The load job, if there were rows, and the MERGE.
    pub job_ids: Vec<String>,
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

    fn staging(&self, day: Day) -> TableRef {
        let day = day.to_string().replace('-', "");
        // the target's name too: two sources of one dataset may share theirs
        self.table.sibling(format!("_strata_{}_{}_{day}", self.table.table, name_part(&self.source)))
    }
}

/// Writes `rows` as the given day of the archive and proves that they are there.
///
/// `rows` may be in any order; each has a cell per column of the shape, a time within `day`, and a (key, time) of its
/// own. Repeating the call with the same rows does no harm, wherever the last one ended.
///
/// # Errors
/// [`ErrorKind::Permanent`] for rows that BigQuery cannot hold exactly; [`ErrorKind::Mismatch`] when the archive still
/// is not what was written after a second try; else what BigQuery failed with.
pub fn archive_day(
    wait: &impl Wait,
    archive: &ArchiveTable<'_>,
    day: Day,
    rows: &[Row],
    mode: MergeMode,
) -> Result<Archived, ColdError> {
    let written = check_rows(&archive.shape, day, rows)?;
    let mut content = ContentHash::default();
    written.iter().for_each(|hash| content.add_row(*hash));
    let writing = Writing { archive, day, rows, mode, content, written };
    let mut done = Done::default();
    let mut found = writing.attempt(wait, Existing::Reuse, &mut done);
    let mismatch = found.as_ref().is_ok_and(|found| writing.compare(*found).is_err());
    // an earlier job was taken for this one, or something else wrote meanwhile
    let reuse_failed = found.is_err() && done.jobs.iter().any(|job| job.reused);
    if mismatch || reuse_failed {
        done = Done::default();
        found = writing.attempt(wait, Existing::Skip, &mut done);
    }
    let found = found?;
    writing.compare(found)?;
    if !rows.is_empty() {
        let staging = archive.staging(day);
        wait.wait("removing a staging table", archive.client.delete_table(&staging))?;
    }
    Ok(Archived {
        content,
        day_content: found.day,
        bytes_uploaded: done.bytes_uploaded,
        bytes_billed: done.jobs.iter().map(|job| job.bytes_billed).sum(),
        job_ids: done.jobs.into_iter().map(|job| job.job_id).collect(),
    })
}

struct Writing<'a> {
    archive: &'a ArchiveTable<'a>,
    day: Day,
    rows: &'a [Row],
    mode: MergeMode,
    content: ContentHash,
    /// Hash of each row.
    written: HashSet<u128>,
}

#[derive(Default)]
struct Done {
    jobs: Vec<JobDone>,
    bytes_uploaded: u64,
}

impl Writing<'_> {
    fn attempt(&self, wait: &impl Wait, existing: Existing, done: &mut Done) -> Result<Found, ColdError> {
        let ArchiveTable { client, table, shape, .. } = self.archive;
        if !self.rows.is_empty() {
            let file = parquet_file(shape, self.rows)?;
            done.bytes_uploaded = file.len() as u64;
            let job = JobRun::new(client, self.job_name("load"), self.load(), Some(file), existing);
            done.jobs.push(wait.wait_cancel("loading a day into BigQuery", job.run(), job.cancel())?);
        }
        if !self.rows.is_empty() || self.mode == MergeMode::Replace {
            let sql = match self.rows.is_empty() {
                true => empty_day_sql(table, shape, self.day),
                false => merge_sql(table, &self.archive.staging(self.day), shape, self.day, self.mode),
            };
            let merge = client.statement(sql, "archive");
            let job = JobRun::new(client, self.job_name(self.mode.word()), merge, None, existing);
            done.jobs.push(wait.wait_cancel("merging a day in BigQuery", job.run(), job.cancel())?);
        }
        read_back(wait, client, table, shape, self.day, &self.written)
    }

    fn compare(&self, found: Found) -> Result<(), ColdError> {
        compare(&self.archive.table, self.day, self.mode, self.content, found)
    }

    fn load(&self) -> JobConfiguration {
        let archive = self.archive;
        JobConfiguration {
            load: Some(JobConfigurationLoad {
                source_format: Some("PARQUET".to_owned()),
                create_disposition: Some("CREATE_IF_NEEDED".to_owned()),
                write_disposition: Some("WRITE_TRUNCATE".to_owned()),
                destination_table: Some(archive.staging(self.day).reference()),
                schema: Some(schema(&archive.shape)),
                ..JobConfigurationLoad::default()
            }),
            ..archive.client.job_configuration("archive")
        }
    }

    /// `strata_<step>_<source>_<day>_<content>_<target>`: the same for the same work, different for any other.
    fn job_name(&self, step: &str) -> String {
        let day = self.day.to_string().replace('-', "");
        let columns: Vec<&str> = self.archive.shape.columns().iter().map(|c| c.name.as_str()).collect();
        let place = format!("{} {}", self.archive.table, columns.join(" "));
        let place: String =
            digest(&SHA256, place.as_bytes()).as_ref()[..6].iter().map(|byte| format!("{byte:02x}")).collect();
        format!("strata_{step}_{}_{day}_{}_{place}", name_part(&self.archive.source), self.content)
    }
}

/// Checks that BigQuery can hold every row exactly, and hashes them.
fn check_rows(shape: &TableShape, day: Day, rows: &[Row]) -> Result<HashSet<u128>, ColdError> {
    let (from, to) = day.range();
    let mut hasher = RowHasher::new();
    let mut hashes = HashSet::with_capacity(rows.len());
    let mut named: HashSet<(Micros, &str)> = HashSet::new();
    let mut numbered: HashSet<(Micros, i64)> = HashSet::new();
    for row in rows {
        if row.len() != shape.columns().len() {
            return Err(ColdError::permanent("a row has another number of cells than the table has columns"));
        }
        for (column, cell) in shape.columns().iter().zip(row) {
            check_cell(column.kind, cell)
                .map_err(|why| ColdError::permanent(format!("column \"{}\" of {day}: {why}", column.name)))?;
        }
        let time = match row[shape.time_index()] {
            Cell::Timestamp(time) if from <= time && time < to => time,
            _ => return Err(ColdError::permanent(format!("a row of {day} has a time outside that day"))),
        };
        let alone = match &row[shape.key_index()] {
            Cell::Text(key) => named.insert((time, key)),
            Cell::Int(key) => numbered.insert((time, *key)),
            _ => return Err(ColdError::permanent(format!("a row of {day} has no key"))),
        };
        if !alone {
            return Err(ColdError::permanent(format!("two rows of {day} have the same key and time")));
        }
        hashes.insert(row_hash(&mut hasher, shape, row));
    }
    Ok(hashes)
}

fn check_cell(kind: ColumnKind, cell: &Cell) -> Result<(), &'static str> {
    if !cell.fits(kind) {
        return Err("a value is of another type than the column");
    }
    match cell {
        Cell::Timestamp(time) if !(FIRST_TIME..=LAST_TIME).contains(time) => {
            Err("a timestamp is outside the years 1 to 9999 (or infinite), which BigQuery cannot hold")
        }
        Cell::Date(day) => {
            let (first, last) = (Day::of(FIRST_TIME).0, Day::of(LAST_TIME).0);
            match (first..=last).contains(day) {
                true => Ok(()),
                false => Err("a date is outside the years 1 to 9999 (or infinite), which BigQuery cannot hold"),
            }
        }
        Cell::Numeric(text) if scaled_numeric(text).is_none() => {
            Err("a numeric is NaN, which BigQuery cannot hold, or has more digits than NUMERIC")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Column;

    fn shape() -> TableShape {
        let columns = vec![
            Column::new("t", ColumnKind::Timestamp, true),
            Column::new("k", ColumnKind::Text, true),
            Column::new("n", ColumnKind::Numeric, false),
            Column::new("d", ColumnKind::Date, false),
        ];
        TableShape::new(columns, 0, 1).unwrap()
    }

    fn row(time: Micros, key: &str, numeric: &str, date: i32) -> Row {
        vec![Cell::Timestamp(time), Cell::Text(key.into()), Cell::Numeric(numeric.into()), Cell::Date(date)]
    }

    #[test]
    fn rows_that_bigquery_cannot_hold_are_refused_by_column_not_by_value() {
        let day = Day(1);
        let good = row(day.start(), "a", "1.5", 0);
        assert_eq!(check_rows(&shape(), day, std::slice::from_ref(&good)).unwrap().len(), 1);
        for (bad, part) in [
            (row(day.end(), "a", "1", 0), "outside that day"),
            (row(day.start(), "b", "NaN", 0), "\"n\""),
            (row(day.start(), "b", "1", i32::MAX), "\"d\""),
            (good.clone(), "same key and time"),
            (good[..3].to_vec(), "number of cells"),
            (vec![good[0].clone(), Cell::Null, Cell::Null, Cell::Null], "no key"),
        ] {
            let error = check_rows(&shape(), day, &[good.clone(), bad]).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Permanent);
            assert!(error.message.contains(part), "{error}");
        }
    }
}
