//! What the jobs do. Each works on every source; one that fails does not keep the others from their turn.

mod anomalies;
mod archive;
mod cleanup;
mod drop_days;
mod flush;
mod rollup;

use crate::dirty_log;
use crate::source::Source;
use crate::workers::transaction::caught;
use crate::workers::{JobError, JobKind, JobOutcome, RunHandle, transaction};

type Result<T> = std::result::Result<T, JobError>;

/// Runs a job in a background worker, where no transaction is open.
pub fn run(kind: JobKind, _run: &RunHandle) -> Result<JobOutcome> {
    match kind {
        JobKind::Flush => for_each_source("flush", |source| source.hot.is_some(), flush::flush),
        JobKind::Rollup => {
            drain()?;
            for_each_source("rollup", |_| true, rollup::rollup)
        }
        JobKind::AnomalyDetection => {
            drain()?;
            for_each_source("anomaly detection", |_| true, anomalies::detect)
        }
        JobKind::Archive => {
            drain()?;
            for_each_source("archive", |source| source.cold.is_some(), archive::archive)
        }
        JobKind::Cleanup => cleanup::cleanup(),
    }
}

fn drain() -> Result<()> {
    transaction("strata: draining the dirty log", || dirty_log::drain().map_err(JobError::from))
}

fn for_each_source(
    what: &str,
    wanted: impl Fn(&Source) -> bool,
    work: impl Fn(&Source) -> Result<JobOutcome>,
) -> Result<JobOutcome> {
    let sources = transaction("strata: reading the sources", || Source::all().map_err(JobError::from))?;
    let mut total = JobOutcome::default();
    let mut messages = Vec::new();
    let mut first_error: Option<(String, JobError)> = None;
    let mut failed = 0;
    for source in sources.iter().filter(|source| wanted(source)) {
        // an ERROR between two transactions must end the source's turn, not the worker
        match caught(|| work(source)).map_err(JobError::from).and_then(|outcome| outcome) {
            Ok(outcome) => {
                total.rows += outcome.rows;
                total.bytes += outcome.bytes;
                total.bigquery_job_id = outcome.bigquery_job_id.or(total.bigquery_job_id);
                messages.extend(outcome.message.map(|message| format!("{}: {message}", source.name)));
            }
            Err(error) if error.is_cancel() => return Err(error),
            Err(error) => {
                failed += 1;
                first_error.get_or_insert((source.name.clone(), error));
            }
        }
    }
    match first_error {
        None => {
            total.message = (!messages.is_empty()).then(|| messages.join("; "));
            Ok(total)
        }
        Some((name, error)) => {
            let others = if failed > 1 { format!(" (and {} more sources)", failed - 1) } else { String::new() };
            Err(JobError { message: format!("{what} of source \"{name}\"{others}: {}", error.message), ..error })
        }
    }
}
