//! `strata.run_job`: runs a job now and waits for it.

use super::kind::JobKind;
use super::mailbox::{Mailbox, Message};
use super::process;
use super::scheduler::no_worker_slot;
use super::spawn::{Spawned, Status};
use super::worker::Order;
use crate::failure::{Failure, OrRaise, Result};
use pgrx::heap_tuple::PgHeapTuple;
use pgrx::prelude::*;
use pgrx::{AllocatedByRust, Spi};
use std::time::Duration;

/// Declared in sql/jobs.sql, with the row type that it returns.
#[pg_extern(sql = false)]
fn run_job(job: &str) -> pgrx::composite_type!('static, "strata.job_runs") {
    run_and_wait(job).or_raise()
}

fn run_and_wait(job: &str) -> Result<PgHeapTuple<'static, AllocatedByRust>> {
    let kind = parse(job)?;
    check_transaction()?;
    let mailbox = Mailbox::create().ok_or_else(no_shared_memory)?;
    let order = Order { kind, run_id: 0, mailbox: mailbox.handle(), ticket: 0 };
    let worker = order.start().ok_or_else(|| no_worker_slot().into_failure())?;
    wait(CancelOnDrop(worker));
    match mailbox.read() {
        Message::Run(run_id) => result_of(kind, run_id),
        Message::Busy => Err(busy(kind)),
        Message::NotInstalled => Err(not_installed()),
        Message::Silence => Err(Failure::new(
            PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
            format!("the process for job \"{kind}\" ended before the run began"),
        )
        .hint("The server log says why.")),
    }
}

fn parse(job: &str) -> Result<JobKind> {
    job.parse().map_err(|unknown: super::kind::UnknownJob| {
        let names: Vec<_> = JobKind::ALL.iter().map(|kind| kind.as_str()).collect();
        Failure::new(PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT, unknown.to_string())
            .hint(format!("The jobs are: {}.", names.join(", ")))
    })
}

/// The worker cannot see what this transaction wrote, and could wait for its locks for ever: a
/// deadlock that PostgreSQL cannot see, since this session waits for a process, not for a lock.
fn check_transaction() -> Result<()> {
    // SAFETY: both read the state of this backend.
    let (recovering, wrote) = unsafe {
        let xid = pg_sys::GetTopTransactionIdIfAny();
        (pg_sys::RecoveryInProgress(), xid != pg_sys::InvalidTransactionId)
    };
    if recovering {
        return Err(Failure::new(PgSqlErrorCode::ERRCODE_READ_ONLY_SQL_TRANSACTION, "jobs cannot run on a standby"));
    }
    if wrote {
        return Err(Failure::new(
            PgSqlErrorCode::ERRCODE_ACTIVE_SQL_TRANSACTION,
            "strata.run_job cannot run in a transaction that has changed something",
        )
        .detail("The job runs in a process of its own, which would not see the changes and could wait for their locks.")
        .hint("Commit first, then run the job."));
    }
    Ok(())
}

/// Cancels the run if this session stops waiting for it.
struct CancelOnDrop(Spawned);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        match self.0.status() {
            Status::Running(pid) => process::cancel(pid),
            Status::NotYetStarted => self.0.terminate(),
            Status::Stopped => {}
        }
    }
}

fn wait(worker: CancelOnDrop) {
    while !worker.0.is_stopped() {
        process::sleep(Duration::from_secs(10));
        pgrx::check_for_interrupts!();
    }
}

fn result_of(kind: JobKind, run_id: i64) -> Result<PgHeapTuple<'static, AllocatedByRust>> {
    let run = read(run_id)?.ok_or_else(|| {
        Failure::new(
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            format!("run {run_id} of job \"{kind}\" is not in strata.job_runs any more"),
        )
    })?;
    if run.status == "succeeded" {
        return Ok(run.row);
    }
    let about = format!("This was run {run_id} of job \"{kind}\"; its row is in strata.job_runs.");
    let error = if ["starting", "running"].contains(&run.status.as_str()) {
        Failure::new(
            PgSqlErrorCode::ERRCODE_CRASH_SHUTDOWN,
            format!("the process of job \"{kind}\" ended without a result"),
        )
        .hint("The server log says whether it was terminated or killed.")
    } else {
        run.error
    };
    let detail = match &error.detail {
        Some(detail) => format!("{detail}\n{about}"),
        None => about,
    };
    Err(error.detail(detail))
}

struct Run {
    status: String,
    row: PgHeapTuple<'static, AllocatedByRust>,
    error: Failure,
}

/// Reads the run with a new snapshot: this statement's, or in REPEATABLE READ this transaction's,
/// is older than the run.
fn read(run_id: i64) -> Result<Option<Run>> {
    let _snapshot = LatestSnapshot::push();
    Spi::connect(|client| {
        let sql = "SELECT r.status, r, r.sqlstate, r.message, r.detail, r.hint
                   FROM strata.job_runs AS r WHERE r.run_id = $1";
        let rows = client.select(sql, Some(1), &[run_id.into()])?;
        if rows.is_empty() {
            return Ok(None);
        }
        let row = rows.first();
        let error = super::outcome::JobError {
            sqlstate: row.get(3)?.unwrap_or_else(|| "XX000".into()),
            message: row.get(4)?.unwrap_or_default(),
            detail: row.get(5)?,
            hint: row.get(6)?,
        };
        let tuple = row.get::<PgHeapTuple<'static, AllocatedByRust>>(2)?;
        Ok(row.get_one::<String>()?.zip(tuple).map(|(status, row)| Run { status, row, error: error.into_failure() }))
    })
}

/// A snapshot of this moment, in force until it is dropped.
struct LatestSnapshot;

impl LatestSnapshot {
    fn push() -> Self {
        // SAFETY: popped by `drop`.
        unsafe { pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot()) };
        Self
    }
}

impl Drop for LatestSnapshot {
    fn drop(&mut self) {
        // After an ERROR the abort of the transaction pops it.
        if !std::thread::panicking() {
            // SAFETY: pushed by `push`; whoever pushed another one since has popped it.
            unsafe { pg_sys::PopActiveSnapshot() }
        }
    }
}

fn busy(kind: JobKind) -> Failure {
    Failure::new(
        PgSqlErrorCode::ERRCODE_OBJECT_IN_USE,
        format!("job \"{kind}\" is running already"),
    )
    .hint("SELECT * FROM strata.job_runs WHERE finished_at IS NULL shows the run; try again when it has ended, or cancel it with pg_cancel_backend(pid).")
}

fn no_shared_memory() -> Failure {
    Failure::new(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_RESOURCES,
        "the server has no dynamic shared memory segment left",
    )
    .hint("Try again when fewer parallel queries and runs are under way, or raise max_connections; it takes a restart of the server.")
}

fn not_installed() -> Failure {
    Failure::new(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        "the extension in this database and the library of the server differ in version",
    )
    .detail(format!("The library is version {}.", super::extension::LIBRARY_VERSION))
    .hint("ALTER EXTENSION strata UPDATE;")
}
