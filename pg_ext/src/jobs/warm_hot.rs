//! The look every minute whether Redis was started anew, and the fill that follows.

use super::Result;
use crate::attach::check_columns_of;
use crate::failure::Failure;
use crate::hot_detection::{self, Handover};
use crate::interrupts::BackendWait;
use crate::manifest;
use crate::source::Source;
use crate::warm_hot::{AFTER_A_START, fill, left_out_notice, start};
use crate::workers::{JobError, JobOutcome, transaction};
use bridge::hot::{HotClient, LeftOut};
use bridge::wait::Wait;
use pgrx::prelude::*;

pub fn warm(source: &Source, client: Option<&HotClient>) -> Result<JobOutcome> {
    let Some(client) = client else { return Ok(JobOutcome::default()) };
    transaction("strata: filling Redis", || warm_source(source, client).map_err(JobError::from))
}

fn warm_source(source: &Source, client: &HotClient) -> std::result::Result<JobOutcome, Failure> {
    // a copy of a database leaves the Redis of the original alone
    if manifest::check_owner(source).is_err() {
        return Ok(JobOutcome::default());
    }
    check_columns_of(source)?;
    let instance = BackendWait.wait("asking Redis for its instance", client.instance())?;
    if filled(source.id)?.as_ref() == Some(&instance) {
        return Ok(JobOutcome::default());
    }
    let (rows, mut left_out) = match start(source, client, AFTER_A_START)? {
        // also after a restart with persistence: a snapshot may lack the last hour, and filling changes nothing else
        Some(from) => fill(source, client, from)?,
        None => (0, LeftOut::default()),
    };
    left_out.extend(hot_detection::hand_over(source, client, &instance, Handover::Always)?);
    // a Redis that was started again meanwhile is filled by the next run
    if BackendWait.wait("asking Redis for its instance", client.instance())? == instance {
        note_filled(source.id, &instance)?;
    }
    let given = (rows > 0).then(|| format!("Redis was given {rows} samples that it did not have"));
    let notice = (!left_out.is_empty()).then(|| left_out_notice(&left_out));
    let said: Vec<String> = given.into_iter().chain(notice).collect();
    let message = (!said.is_empty()).then(|| said.join("; "));
    Ok(JobOutcome { rows, message, ..JobOutcome::default() })
}

fn filled(source_id: i32) -> std::result::Result<Option<String>, Failure> {
    let sql = "SELECT (SELECT filled_instance FROM strata.hot_state WHERE source_id = $1)";
    Ok(Spi::get_one_with_args::<String>(sql, &[source_id.into()])?)
}

fn note_filled(source_id: i32, instance: &str) -> std::result::Result<(), Failure> {
    Spi::run_with_args(
        "INSERT INTO strata.hot_state (source_id, filled_instance, filled_at) VALUES ($1, $2, now())
         ON CONFLICT (source_id) DO UPDATE SET filled_instance = excluded.filled_instance, filled_at = excluded.filled_at",
        &[source_id.into(), instance.into()],
    )?;
    Ok(())
}
