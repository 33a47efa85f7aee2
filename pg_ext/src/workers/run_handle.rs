//! The run that a job is executed in.

use super::kind::JobKind;
use super::outcome::JobError;
use super::transaction::transaction;
use pgrx::Spi;

/// Given to the job by the worker that runs it.
#[derive(Debug)]
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

    /// Records at once which BigQuery job the run has started, so that it can be found after a
    /// crash. In a transaction of its own: not to be called inside one.
    pub fn note_bigquery_job(&self, bigquery_job_id: &str) -> Result<(), JobError> {
        transaction("note a BigQuery job", || {
            Spi::connect_mut(|client| {
                let sql = "UPDATE strata.job_runs SET bigquery_job_id = $2 WHERE run_id = $1";
                client.update(sql, None, &[self.run_id.into(), bigquery_job_id.into()])?;
                Ok(())
            })
        })
    }
}
