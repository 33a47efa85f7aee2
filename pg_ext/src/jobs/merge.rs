//! What became of the parts of a run makes what becomes of the run.

use super::Result;
use crate::workers::{JobError, JobOutcome};

/// What a job worked on: what it did with it, and what such a thing is called.
#[derive(Clone, Copy)]
pub struct Work {
    pub what: &'static str,
    pub noun: &'static str,
}

/// Adds up what became of each thing, by its name. One that failed makes the run fail, a cancel request makes it cancelled.
pub fn merge(work: Work, outcomes: Vec<(String, Result<JobOutcome>)>) -> Result<JobOutcome> {
    let mut total = JobOutcome::default();
    let mut messages = Vec::new();
    let mut failed: Vec<(String, JobError)> = Vec::new();
    for (name, outcome) in outcomes {
        match outcome {
            Ok(outcome) => {
                total.rows += outcome.rows;
                total.bytes += outcome.bytes;
                total.bigquery_job_id = outcome.bigquery_job_id.or(total.bigquery_job_id);
                messages.extend(outcome.message.map(|message| format!("{name}: {message}")));
            }
            Err(error) if error.is_cancel() => return Err(error),
            Err(error) => failed.push((name, error)),
        }
    }
    if failed.is_empty() {
        total.message = (!messages.is_empty()).then(|| messages.join("; "));
        return Ok(total);
    }
    let (name, error) = failed.remove(0);
    let Work { what, noun } = work;
    let others = if failed.is_empty() { String::new() } else { format!(" (and {} more {noun}s)", failed.len()) };
    let lines = error
        .detail
        .into_iter()
        .chain(failed.iter().map(|(name, error)| format!("{noun} \"{name}\": {}", error.message)));
    let detail: Vec<String> = lines.collect();
    Err(JobError {
        message: format!("{what} of {noun} \"{name}\"{others}: {}", error.message),
        detail: (!detail.is_empty()).then(|| detail.join("\n")),
        ..error
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgrx::PgSqlErrorCode;

    const WORK: Work = Work { what: "rollup", noun: "source" };

    fn done(rows: i64, message: &str) -> Result<JobOutcome> {
        Ok(JobOutcome { rows, message: Some(message.into()), ..JobOutcome::default() })
    }

    fn failed(message: &str) -> Result<JobOutcome> {
        Err(JobError::new(PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE, message))
    }

    #[test]
    fn what_was_done_is_added_up() {
        let total = merge(WORK, vec![("a".into(), done(3, "x")), ("b".into(), done(4, "y"))]).unwrap();
        assert_eq!((total.rows, total.message.as_deref()), (7, Some("a: x; b: y")));
        assert_eq!(merge(WORK, Vec::new()), Ok(JobOutcome::default()));
    }

    #[test]
    fn every_failure_is_named() {
        let outcomes =
            vec![("a".into(), failed("no table")), ("b".into(), done(4, "y")), ("c".into(), failed("no column"))];
        let error = merge(WORK, outcomes).unwrap_err();
        assert_eq!(error.message, "rollup of source \"a\" (and 1 more sources): no table");
        assert_eq!(error.detail.as_deref(), Some("source \"c\": no column"));
        assert_eq!(error.sqlstate, "42P01");
    }

    #[test]
    fn a_cancel_request_cancels_the_run() {
        let cancelled = JobError::new(PgSqlErrorCode::ERRCODE_QUERY_CANCELED, "stop");
        let outcomes = vec![("a".into(), failed("no table")), ("b".into(), Err(cancelled.clone()))];
        assert_eq!(merge(WORK, outcomes), Err(cancelled));
    }
}
