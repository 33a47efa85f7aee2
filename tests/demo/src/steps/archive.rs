use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use postgres::Client;

use super::jobs;
use crate::data::Source;
use crate::report::{self, Progress, count};

/// Days older than the warm limit go to BigQuery, are read back and compared, and leave the table.
pub fn run(client: &mut Client, watcher: &mut Client, sources: &[Source]) -> Result<()> {
    report::step("SELECT strata.run_job('archive')", |progress| {
        let mut days = 0;
        for source in sources {
            let sql = format!(
                "SELECT count(DISTINCT date_trunc('day', {0})) FROM {1} WHERE {0} < date_trunc('day', now() - interval '30 days')",
                source.time_column, source.table
            );
            days += client.query_one(&sql, &[])?.get::<_, i64>(0).unsigned_abs();
        }
        thread::scope(|scope| -> Result<()> {
            let job = scope.spawn(|| jobs::run(client, "archive"));
            while !job.is_finished() {
                show(watcher, progress, days)?;
                thread::sleep(Duration::from_millis(300));
            }
            match job.join() {
                Ok(result) => result.map(|_| ()),
                Err(_) => bail!("the connection that runs the archive job broke"),
            }
        })?;
        let row = watcher.query_one(
            "SELECT count(*), coalesce(sum(rows), 0)::bigint, count(*) FILTER (WHERE state = 'dropped') FROM strata.manifest",
            &[],
        )?;
        let [archived, rows, dropped] = [0, 1, 2].map(|column| count(row.get::<_, i64>(column)));
        Ok(format!(
            "{archived} days with {rows} rows in BigQuery, read back and compared; {dropped} of them dropped from the tables"
        ))
    })
}

fn show(watcher: &mut Client, progress: &Progress, days: u64) -> Result<()> {
    let done = watcher.query_one("SELECT count(*) FROM strata.manifest", &[])?.get::<_, i64>(0);
    progress.set(done.unsigned_abs(), days);
    Ok(())
}
