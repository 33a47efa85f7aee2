//! What the jobs do.

mod anomalies;
mod archive;
mod cleanup;
mod drop_days;
mod each_source;
mod flush;
mod joint_refit;
mod merge;
mod rollup;
mod warm_hot;

pub use anomalies::end_unwatched;

use crate::dirty_log::{self, Consumer};
use crate::failure::Failure;
use crate::hot_detection::{self, Handover};
use crate::interrupts::BackendWait;
use crate::source::Source;
use crate::tiers;
use crate::warm_hot::left_out_notice;
use crate::workers::{JobError, JobKind, JobOutcome, RunHandle, WorkList, transaction};
use bridge::hot::HotClient;
use bridge::wait::Wait;
use each_source::EachSource;

type Result<T> = std::result::Result<T, JobError>;
/// Redis, if one is configured.
type HotResult = crate::failure::Result<Option<HotClient>>;

/// Runs a job in a background worker, where no transaction is open.
pub fn run(kind: JobKind, run: &RunHandle) -> Result<JobOutcome> {
    if matches!(kind, JobKind::Rollup | JobKind::AnomalyDetection | JobKind::Archive) {
        drain()?;
    }
    match kind {
        JobKind::Cleanup => cleanup::cleanup(),
        JobKind::Flush => flush_each().run(run),
        JobKind::Rollup => rollup_each().run(run),
        JobKind::AnomalyDetection => detect_each(&tiers::hot()).run(run),
        JobKind::Archive => archive_each().run(run),
        JobKind::WarmHot => warm_each(&tiers::hot()?).run(run),
        JobKind::JointRefit => joint_refit::refit(),
    }
}

/// Works on sources of a run that another process leads.
pub fn run_part(kind: JobKind, list: &WorkList) -> Result<()> {
    match kind {
        JobKind::Rollup => rollup_each().run_part(list),
        JobKind::AnomalyDetection => detect_each(&tiers::hot()).run_part(list),
        JobKind::Flush | JobKind::Archive | JobKind::Cleanup | JobKind::WarmHot | JobKind::JointRefit => Ok(()),
    }
}

fn flush_each() -> EachSource<'static> {
    EachSource { what: "flush", wanted: |source| source.hot.is_some(), backlog: None, work: Box::new(flush::flush) }
}

fn rollup_each() -> EachSource<'static> {
    let backlog = || Ok(dirty_log::backlog(Consumer::Rollup)?);
    EachSource { what: "rollup", wanted: |_| true, backlog: Some(backlog), work: Box::new(rollup::rollup) }
}

fn detect_each(client: &HotResult) -> EachSource<'_> {
    let work = move |source: &Source| {
        let outcome = anomalies::detect(source)?;
        let handed_over = client
            .as_ref()
            .map_err(|failure| failure.clone().into())
            .and_then(|client| client.as_ref().map_or(Ok(None), |client| hand_over(source, client)));
        with_notice(outcome, handed_over)
    };
    let backlog = || Ok(anomalies::backlog()?);
    EachSource { what: "anomaly detection", wanted: |_| true, backlog: Some(backlog), work: Box::new(work) }
}

fn archive_each() -> EachSource<'static> {
    EachSource {
        what: "archive",
        wanted: |source| source.cold.is_some(),
        backlog: None,
        work: Box::new(archive::archive),
    }
}

fn warm_each(client: &Option<HotClient>) -> EachSource<'_> {
    let work = |source: &Source| warm_hot::warm(source, client.as_ref());
    EachSource { what: "warm_hot", wanted: |source| source.hot.is_some(), backlog: None, work: Box::new(work) }
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
