//! The run that a job is executed in.

use super::kind::JobKind;

/// Given to the job by the worker that runs it.
#[derive(Debug, Clone, Copy)]
pub struct RunHandle {
    run_id: i64,
    kind: JobKind,
}

impl RunHandle {
    pub(super) fn new(run_id: i64, kind: JobKind) -> Self {
        Self { run_id, kind }
    }

    /// Number of the run in `strata.job_runs`.
    pub fn run_id(&self) -> i64 {
        self.run_id
    }

    pub fn kind(&self) -> JobKind {
        self.kind
    }
}
