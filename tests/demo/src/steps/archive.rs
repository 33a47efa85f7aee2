use anyhow::Result;
use postgres::Client;

use super::jobs;
use crate::data::Source;
use crate::report::{self, count};

/// Days older than the warm limit go to BigQuery, are read back and compared, and leave the table.
pub fn run(client: &mut Client, watcher: &mut Client, sources: &[Source]) -> Result<()> {
    report::step("SELECT strata.run_job('archive')", |progress| {
        let mut days = 0;
        for source in sources {
            days += old_days(client, source)?;
        }
        jobs::run_watched(client, watcher, "archive", progress, |watcher| {
            let done = watcher.query_one("SELECT count(*) FROM strata.manifest", &[])?.get::<_, i64>(0);
            Ok((done.unsigned_abs(), days))
        })?;
        let row = watcher.query_one(
            "SELECT count(*), coalesce(sum(rows), 0)::bigint, count(*) FILTER (WHERE state = 'dropped')
             FROM strata.manifest",
            &[],
        )?;
        let [archived, rows, dropped] = [0, 1, 2].map(|column| count(row.get::<_, i64>(column)));
        Ok(format!(
            "{archived} days with {rows} rows are in BigQuery, read back and compared; {dropped} of them left the tables"
        ))
    })
}

/// Days of the table that are older than the warm limit.
fn old_days(client: &mut Client, source: &Source) -> Result<u64> {
    let sql = format!(
        "SELECT count(DISTINCT date_trunc('day', {0})) FROM {1}
         WHERE {0} < date_trunc('day', now() - interval '30 days')",
        source.time_column, source.table
    );
    Ok(client.query_one(&sql, &[])?.get::<_, i64>(0).unsigned_abs())
}
