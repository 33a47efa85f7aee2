//! The rows of `strata.jobs` and `strata.job_runs`. All functions need a transaction of a worker.

use super::job_lock::JobLock;
use super::kind::JobKind;
use super::outcome::{JobError, JobOutcome};
use super::schedule::{Schedule, retry_delay};
use super::{process, settings, wake_at_commit};
use crate::pg_time::{micros, timestamptz};
use pgrx::datum::{DatumWithOid, TimestampWithTimeZone};
use pgrx::{PgSqlErrorCode, Spi};
use series::time::Micros;

/// A job that runs on its schedule.
pub struct Job {
    pub id: i32,
    pub kind: JobKind,
    pub schedule: Schedule,
    pub next_run_at: Option<Micros>,
}

/// How a run ended.
pub enum End {
    Succeeded(JobOutcome),
    Failed(JobError),
    Cancelled(JobError),
    Crashed,
}

impl End {
    fn status(&self) -> &'static str {
        match self {
            End::Succeeded(_) => "succeeded",
            End::Failed(_) => "failed",
            End::Cancelled(_) => "cancelled",
            End::Crashed => "crashed",
        }
    }

    fn is_failure(&self) -> bool {
        matches!(self, End::Failed(_) | End::Crashed)
    }
}

pub fn now() -> Micros {
    chrono::Utc::now().timestamp_micros()
}

/// The enabled jobs.
pub fn enabled_jobs() -> Result<Vec<Job>, JobError> {
    Spi::connect(|client| {
        let sql = "SELECT job_id, name, schedule, next_run_at FROM strata.jobs WHERE enabled";
        let mut jobs = Vec::new();
        for row in client.select(sql, None, &[])? {
            let name: String = row.get(2)?.unwrap_or_default();
            let schedule: String = row.get(3)?.unwrap_or_default();
            jobs.push(Job {
                id: row.get(1)?.unwrap_or_default(),
                kind: name.parse().map_err(catalog_error)?,
                schedule: Schedule::parse(&schedule).map_err(catalog_error)?,
                next_run_at: row.get::<TimestampWithTimeZone>(4)?.and_then(micros),
            });
        }
        Ok(jobs)
    })
}

/// Sets the first due time of a job that has none.
pub fn set_next_run(job_id: i32, next: Option<Micros>) -> Result<(), JobError> {
    Spi::connect_mut(|client| {
        let sql = "UPDATE strata.jobs SET next_run_at = $2 WHERE job_id = $1 AND next_run_at IS NULL";
        client.update(sql, None, &[job_id.into(), next.map(timestamptz).into()])?;
        Ok(())
    })
}

/// Has an enabled job run as soon as the transaction at hand has committed, instead of when its schedule says.
pub fn make_due(kind: JobKind) -> Result<(), JobError> {
    Spi::connect_mut(|client| {
        let sql = "UPDATE strata.jobs SET next_run_at = clock_timestamp()
                   WHERE name = $1 AND enabled AND next_run_at > clock_timestamp()";
        client.update(sql, None, &[kind.as_str().into()]).map(|_| ())
    })?;
    wake_at_commit::wake_database();
    Ok(())
}

/// Records that a run of the job is about to start. `None` if the job runs already.
pub fn record_starting(job: &Job) -> Result<Option<i64>, JobError> {
    if !JobLock::of(job.id)?.try_for_transaction() {
        return Ok(None);
    }
    mark_running_crashed(job.kind)?;
    insert_run(job.kind, "starting", None).map(Some)
}

/// What became of the attempt to begin a run.
pub enum Begun {
    Run(i64),
    /// The job runs already.
    Busy,
    /// The run was given up before its process came up.
    GivenUp,
}

/// Makes this process the one that executes the job: takes its lock, and marks the recorded run as
/// running, or records one if there is none (`run_id` 0).
pub fn begin(kind: JobKind, run_id: i64) -> Result<Begun, JobError> {
    let job_id = job_id(kind)?;
    if !JobLock::of(job_id)?.try_to_lead() {
        return Ok(Begun::Busy);
    }
    if run_id == 0 {
        mark_running_crashed(kind)?;
        return insert_run(kind, "running", Some(process::my_pid())).map(Begun::Run);
    }
    let marked = Spi::connect_mut(|client| {
        let sql = "UPDATE strata.job_runs SET status = 'running', pid = $2
                   WHERE run_id = $1 AND status = 'starting'";
        client.update(sql, None, &[run_id.into(), process::my_pid().into()]).map(|rows| rows.len())
    })?;
    Ok(if marked == 1 { Begun::Run(run_id) } else { Begun::GivenUp })
}

/// Makes this process a part of a run that another one leads; false if that run has ended.
///
/// Whoever begins the next run marks this one as finished before anybody can take part again, so a row that says `running`
/// while the lock is held is of a run that no other has followed.
pub fn take_part(kind: JobKind, run_id: i64) -> Result<bool, JobError> {
    if !JobLock::of(job_id(kind)?)?.try_to_take_part() {
        return Ok(false);
    }
    // `update`, because the snapshot of a `select` is that of the transaction, which is older than the lock
    let running = Spi::connect_mut(|client| {
        let sql = "SELECT EXISTS (SELECT FROM strata.job_runs WHERE run_id = $1 AND status = 'running')";
        client.update(sql, Some(1), &[run_id.into()])?.first().get_one::<bool>()
    })?;
    Ok(running == Some(true))
}

/// Records the end of a run, and when its job is due next. Does nothing if the end is recorded.
pub fn finish(run_id: i64, end: &End) -> Result<(), JobError> {
    let (outcome, error) = match end {
        End::Succeeded(outcome) => (Some(outcome), None),
        End::Failed(error) | End::Cancelled(error) => (None, Some(error.clone())),
        End::Crashed => (None, Some(crash_error())),
    };
    let text = |value: Option<&str>| DatumWithOid::from(value.map(str::to_owned));
    let message = outcome.map_or(error.as_ref().map(|e| e.message.as_str()), |o| o.message.as_deref());
    let arguments = [
        run_id.into(),
        end.status().into(),
        outcome.map(|o| o.rows).into(),
        outcome.map(|o| o.bytes).into(),
        text(outcome.and_then(|o| o.bigquery_job_id.as_deref())),
        text(message),
        text(error.as_ref().map(|e| e.sqlstate.as_str())),
        text(error.as_ref().and_then(|e| e.detail.as_deref())),
        text(error.as_ref().and_then(|e| e.hint.as_deref())),
    ];
    let finished = Spi::connect_mut(|client| -> Result<_, JobError> {
        let sql = "UPDATE strata.job_runs
                   SET finished_at = clock_timestamp(), status = $2, rows = $3, bytes = $4,
                       bigquery_job_id = coalesce($5, bigquery_job_id), message = $6,
                       sqlstate = $7, detail = $8, hint = $9
                   WHERE run_id = $1 AND finished_at IS NULL
                   RETURNING job, started_at";
        let rows = client.update(sql, None, &arguments)?;
        if rows.is_empty() {
            return Ok(None);
        }
        let row = rows.first();
        Ok(row.get_one::<String>()?.zip(row.get::<TimestampWithTimeZone>(2)?.and_then(micros)))
    })?;
    match finished {
        Some((job, started)) => update_job(&job, run_id, started, end),
        None => Ok(()),
    }
}

fn update_job(job: &str, run_id: i64, started: Micros, end: &End) -> Result<(), JobError> {
    Spi::connect_mut(|client| {
        let sql = "SELECT schedule, failures, next_run_at FROM strata.jobs WHERE name = $1 FOR NO KEY UPDATE";
        let rows = client.update(sql, Some(1), &[job.into()])?;
        if rows.is_empty() {
            return Ok(());
        }
        let row = rows.first();
        let (schedule, failures) = row.get_two::<String, i32>()?;
        let due = row.get::<TimestampWithTimeZone>(3)?.and_then(micros);
        let schedule = Schedule::parse(&schedule.unwrap_or_default()).map_err(catalog_error)?;
        let failures = if end.is_failure() {
            failures.unwrap_or(0).saturating_add(1)
        } else if matches!(end, End::Succeeded(_)) {
            0
        } else {
            failures.unwrap_or(0)
        };
        let now = now();
        let next = if end.is_failure() {
            let delay = retry_delay(failures, settings::retry_max());
            Some(now + i64::try_from(delay.as_micros()).unwrap_or(i64::MAX / 2))
        } else if due.is_some_and(|due| due > started && due <= now) {
            // it became due while it ran, as by `make_due`, and may have missed what made it so
            due
        } else {
            schedule.next(started, now)
        };
        let sql = "UPDATE strata.jobs
                   SET next_run_at = $2, failures = $3, last_run_id = $4, last_status = $5,
                       last_started_at = $6, last_finished_at = clock_timestamp()
                   WHERE name = $1";
        let arguments = [
            job.into(),
            next.map(timestamptz).into(),
            failures.into(),
            run_id.into(),
            end.status().into(),
            timestamptz(started).into(),
        ];
        client.update(sql, None, &arguments)?;
        Ok(())
    })
}

/// Marks the runs of this database that have no process as crashed. `own` are the runs whose
/// processes the calling scheduler follows.
pub fn mark_dead_crashed(own: &[i64]) -> Result<(), JobError> {
    for (run_id, job, status) in unfinished(None)? {
        if own.contains(&run_id) {
            continue;
        }
        // The worker of a run that is still starting gives up when it finds its row finished.
        let dead = status == "starting" || {
            let kind: JobKind = job.parse().map_err(catalog_error)?;
            JobLock::of(job_id(kind)?)?.try_for_transaction()
        };
        if dead {
            finish(run_id, &End::Crashed)?;
        }
    }
    Ok(())
}

/// For the holder of the job's lock: nobody else can be running it.
fn mark_running_crashed(kind: JobKind) -> Result<(), JobError> {
    for (run_id, _, status) in unfinished(Some(kind))? {
        if status == "running" {
            finish(run_id, &End::Crashed)?;
        }
    }
    Ok(())
}

fn unfinished(kind: Option<JobKind>) -> Result<Vec<(i64, String, String)>, JobError> {
    Spi::connect(|client| {
        let sql = "SELECT run_id, job, status FROM strata.job_runs
                   WHERE finished_at IS NULL AND job = coalesce($1, job) ORDER BY run_id";
        let mut runs = Vec::new();
        for row in client.select(sql, None, &[kind.map(JobKind::as_str).into()])? {
            let run = (row.get(1)?, row.get(2)?, row.get(3)?);
            if let (Some(run_id), Some(job), Some(status)) = run {
                runs.push((run_id, job, status));
            }
        }
        Ok(runs)
    })
}

fn job_id(kind: JobKind) -> Result<i32, JobError> {
    let id = Spi::connect(|client| {
        let sql = "SELECT job_id FROM strata.jobs WHERE name = $1";
        let rows = client.select(sql, Some(1), &[kind.as_str().into()])?;
        if rows.is_empty() { Ok(None) } else { rows.first().get_one::<i32>() }
    })?;
    id.ok_or_else(|| catalog_error(format!("strata.jobs has no row for \"{kind}\"")))
}

fn insert_run(kind: JobKind, status: &str, pid: Option<i32>) -> Result<i64, JobError> {
    let run_id = Spi::connect_mut(|client| {
        let sql = "INSERT INTO strata.job_runs (job, status, pid) VALUES ($1, $2, $3) RETURNING run_id";
        let arguments = [kind.as_str().into(), status.into(), pid.into()];
        client.update(sql, None, &arguments)?.first().get_one::<i64>()
    })?;
    run_id.ok_or_else(|| catalog_error("strata.job_runs gave no number for a run"))
}

fn crash_error() -> JobError {
    JobError::new(PgSqlErrorCode::ERRCODE_CRASH_SHUTDOWN, "the process of this run ended without a result")
        .hint("The server log says whether it was terminated, killed or shut down with the server.")
}

fn catalog_error(problem: impl ToString) -> JobError {
    JobError::new(PgSqlErrorCode::ERRCODE_DATA_CORRUPTED, problem.to_string())
        .hint("strata.reset_job returns a job to the schedule it was installed with.")
}
