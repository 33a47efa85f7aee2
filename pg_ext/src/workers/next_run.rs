//! `strata.next_run`: what a schedule means, and whether it is one.

use super::schedule::Schedule;
use crate::failure::{Failure, OrRaise, Result};
use crate::pg_time::{micros, timestamptz};
use pgrx::prelude::*;

/// Declared in sql/jobs.sql, which uses it to check the table of jobs.
#[pg_extern(sql = false)]
fn next_run(schedule: &str, after: TimestampWithTimeZone) -> Option<TimestampWithTimeZone> {
    next(schedule, after).or_raise()
}

fn next(schedule: &str, after: TimestampWithTimeZone) -> Result<Option<TimestampWithTimeZone>> {
    let schedule = Schedule::parse(schedule).map_err(|error| {
        Failure::new(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, error.to_string()).hint(
            "Write an interval ('5 minutes', '1 hour 30 minutes') or a cron expression in UTC ('0 2 * * *': minute, hour, day, month, weekday).",
        )
    })?;
    Ok(micros(after).and_then(|after| schedule.next(after, after)).map(timestamptz))
}
