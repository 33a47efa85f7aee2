use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use postgres::Client;

use crate::report::{self, Progress, count};

const LOOK_EVERY: Duration = Duration::from_millis(300);

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

/// Runs a job and meanwhile asks over the second connection how much is done: `look` gives done and total.
pub fn run_watched(
    client: &mut Client,
    watcher: &mut Client,
    job: &str,
    progress: &Progress,
    mut look: impl FnMut(&mut Client) -> Result<(u64, u64)>,
) -> Result<Run> {
    thread::scope(|scope| {
        let running = scope.spawn(|| run(client, job));
        while !running.is_finished() {
            let (done, total) = look(watcher)?;
            progress.set(done, total);
            thread::sleep(LOOK_EVERY);
        }
        match running.join() {
            Ok(run) => run,
            Err(_) => bail!("the connection that runs job {job} broke"),
        }
    })
}

/// The flush: pending samples from Redis into the tables.
pub fn flush(client: &mut Client) -> Result<()> {
    report::step("SELECT strata.run_job('flush')", |_| {
        let run = run(client, "flush")?;
        Ok(format!("{} pending samples are in their tables now{}", count(run.rows), said(&run)))
    })
}

/// The rollup: 5 minutes, hours and days.
pub fn rollup(client: &mut Client, watcher: &mut Client) -> Result<()> {
    report::step("SELECT strata.run_job('rollup')", |progress| {
        let mut total = 0;
        let done = run_watched(client, watcher, "rollup", progress, |watcher| {
            let left = watcher.query_one("SELECT count(*) FROM strata.dirty_days WHERE consumer = 'rollup'", &[])?;
            let left = left.get::<_, i64>(0).unsigned_abs();
            total = total.max(left);
            Ok((total - left, total))
        })?;
        let row = watcher.query_one(
            "SELECT count(*) FILTER (WHERE width = 300), count(*) FILTER (WHERE width = 3600),
                    count(*) FILTER (WHERE width = 86400)
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
