//! The nightly refit of stored joint models whose trainers asked for it.

use super::Result;
use super::merge::{Work, merge};
use crate::detect::joint::refit::Wish;
use crate::workers::{JobError, JobOutcome, transaction};

pub fn refit() -> Result<JobOutcome> {
    let wishes = transaction("strata: reading the joint models", || Wish::all().map_err(JobError::from))?;
    let mut outcomes = Vec::with_capacity(wishes.len());
    for wish in wishes {
        match transaction("strata: joint refit", || refit_name(&wish)) {
            Err(error) if error.is_cancel() => return Err(error),
            outcome => outcomes.push((wish.name, outcome)),
        }
    }
    merge(Work { what: "refit", noun: "joint model" }, outcomes)
}

fn refit_name(wish: &Wish) -> Result<JobOutcome> {
    let refitted = wish.fulfil()?;
    let kept = match refitted.kept.as_slice() {
        [] => String::new(),
        keys => format!(", those of {} stay as they were", keys.join(", ")),
    };
    let message = Some(format!("{} models{kept}", refitted.models));
    Ok(JobOutcome { rows: refitted.rows, message, ..JobOutcome::default() })
}
