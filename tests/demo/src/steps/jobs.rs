use anyhow::{Context, Result};
use postgres::Client;

use crate::report::{self, count};

/// What a run left in `strata.job_runs`.
pub struct Run {
    pub rows: u64,
    pub message: Option<String>,
}

/// Runs a job in a process of its own and waits for it.
pub fn run(client: &mut Client, job: &str) -> Result<Run> {
    let row = client
        .query_one("SELECT rows, message FROM strata.run_job($1)", &[&job])
        .with_context(|| format!("job {job}"))?;
    Ok(Run { rows: row.get::<_, Option<i64>>(0).unwrap_or(0).unsigned_abs(), message: row.get(1) })
}

/// The flush: pending samples from Redis into the tables.
pub fn flush(client: &mut Client) -> Result<()> {
    report::step("SELECT strata.run_job('flush')", |_| {
        let run = run(client, "flush")?;
        Ok(format!("{} pending samples are in their tables now{}", count(run.rows), said(&run)))
    })
}

/// The rollup: 5 minutes, hours and days.
pub fn rollup(client: &mut Client) -> Result<()> {
    report::step("SELECT strata.run_job('rollup')", |_| {
        let done = run(client, "rollup")?;
        let row = client.query_one(
            "SELECT count(*) FILTER (WHERE width = 300), count(*) FILTER (WHERE width = 3600), count(*) FILTER (WHERE width = 86400)
             FROM strata.rollup_states",
            &[],
        )?;
        let [five, hours, days] = [0, 1, 2].map(|column| count(row.get::<_, i64>(column)));
        Ok(format!("{five} aggregates of 5 minutes, {hours} of an hour, {days} of a day{}", said(&done)))
    })
}

fn said(run: &Run) -> String {
    run.message.as_ref().map(|message| format!(" ({message})")).unwrap_or_default()
}
