//! Anomaly detection: every changed day of every series is judged again from the state at its start.
//!
//! A day that changed (new readings, late ones, corrections) is replayed from the newest stored state at or before its
//! start, up to the newest reading. Replaying finds the same incidents again, which keep their numbers; an event that the
//! changed readings no longer support goes, unless somebody has acknowledged or resolved it. A detector that was set anew
//! learns from where `strata.set_detector` said, and is then one among the others.

mod detector;
mod events;
mod matching;
mod replay;
mod states;

use super::Result;
use super::each_source::Backlog;
use crate::as_user::AsUser;
use crate::attach::check_columns_of;
use crate::dirty_log::{self, Consumer};
use crate::failure::Failure;
use crate::source::{self, Source};
use crate::workers::{JobError, JobOutcome, transaction};
use detector::Detector;
use replay::Replay;

/// How much there is to do, by source.
pub fn backlog() -> std::result::Result<Backlog, Failure> {
    let mut backlog = dirty_log::backlog(Consumer::AnomalyDetection)?;
    for source_id in Detector::sources_with_work_of_its_own()? {
        *backlog.entry(source_id).or_default() += 1;
    }
    Ok(backlog)
}

/// Ends the events of detectors that were dropped or switched off. Each run does it; whoever drops one need not wait for that.
pub fn end_unwatched(source: &Source) -> std::result::Result<(), Failure> {
    let _owner = AsUser::catalog_owner();
    events::end_unwatched(source, &Detector::of(source)?)
}

pub fn detect(source: &Source) -> Result<JobOutcome> {
    transaction("strata: anomaly detection", || detect_source(source).map_err(JobError::from))
}

fn detect_source(source: &Source) -> std::result::Result<JobOutcome, Failure> {
    check_columns_of(source)?;
    let days = dirty_log::pending(source.id, Consumer::AnomalyDetection)?;
    let detectors = Detector::of(source)?;
    events::end_unwatched(source, &detectors)?;
    states::forget_unwatched(source, &detectors)?;
    let (mut rows, mut opened) = (0, 0);
    if !days.is_empty() || detectors.iter().any(Detector::has_work_of_its_own) {
        let span = source::span_of_days(source.relation, &source.time_column)?;
        let plans = states::plan(source, detectors, days.first().map(|dirty| dirty.day), span)?;
        let mut replay = Replay::load(source, plans)?;
        if let Some((_, newest)) = span {
            rows = replay.run(newest)?;
        }
        opened = replay.store()?;
    }
    dirty_log::done(source.id, Consumer::AnomalyDetection, &days)?;
    events::announce(source)?;
    let message = (opened > 0).then(|| format!("{opened} new anomalies"));
    Ok(JobOutcome { rows, message, ..JobOutcome::default() })
}
