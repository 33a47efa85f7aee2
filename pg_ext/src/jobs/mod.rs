//! What the jobs do. Each works on every source; one that fails does not keep the others from their turn.

mod anomalies;
mod archive;
mod cleanup;
mod drop_days;
mod flush;
mod rollup;
mod warm_hot;

use crate::dirty_log;
use crate::failure::Failure;
use crate::hot_detection::{self, Handover};
use crate::interrupts::BackendWait;
use crate::source::Source;
use crate::tiers;
use crate::warm_hot::left_out_notice;
use crate::workers::transaction::caught;
use crate::workers::{JobError, JobKind, JobOutcome, RunHandle, transaction};
use bridge::hot::HotClient;
use bridge::wait::Wait;

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
            let client = tiers::hot();
            for_each_source(
                "anomaly detection",
                |_| true,
                |source| {
                    let outcome = anomalies::detect(source)?;
                    let handed_over = client
                        .as_ref()
                        .map_err(|failure| failure.clone().into())
                        .and_then(|client| client.as_ref().map_or(Ok(None), |client| hand_over(source, client)));
                    with_notice(outcome, handed_over)
                },
            )
        }
        JobKind::Archive => {
            drain()?;
            for_each_source("archive", |source| source.cold.is_some(), archive::archive)
        }
        JobKind::Cleanup => cleanup::cleanup(),
        JobKind::WarmHot => {
            let client = tiers::hot()?;
            for_each_source("warm_hot", |source| source.hot.is_some(), |source| warm_hot::warm(source, client.as_ref()))
        }
    }
}

/// Returns what there is to say of keys that took no detector.
fn hand_over(source: &Source, client: &HotClient) -> Result<Option<String>> {
    if source.hot.is_none() {
        return Ok(None);
    }
    transaction("strata: handing detectors to Redis", || {
        if crate::manifest::check_owner(source).is_err() {
            return Ok(None);
        }
        let instance = BackendWait.wait("asking Redis for its instance", client.instance()).map_err(Failure::from)?;
        let left_out = hot_detection::hand_over(source, client, &instance, Handover::WhereNew)?;
        Ok((!left_out.is_empty()).then(|| left_out_notice(&left_out)))
    })
}

/// Events do not need Redis, so that a run of the detection succeeds without it, and says so.
fn with_notice(mut outcome: JobOutcome, handed_over: Result<Option<String>>) -> Result<JobOutcome> {
    let notice = match handed_over {
        Err(error) if error.is_cancel() => return Err(error),
        Err(error) => Some(format!("the detectors were not handed to Redis: {}", error.message)),
        Ok(notice) => notice,
    };
    let said: Vec<String> = outcome.message.take().into_iter().chain(notice).collect();
    outcome.message = (!said.is_empty()).then(|| said.join("; "));
    Ok(outcome)
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
