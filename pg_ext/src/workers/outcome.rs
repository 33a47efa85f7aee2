//! What one run of a job gives back.

use crate::failure::Failure;
use pgrx::pg_sys::panic::{CaughtError, ErrorReport, ErrorReportWithLevel};
use pgrx::{PgLogLevel, PgSqlErrorCode};
use std::fmt;

/// What a run that succeeded did; the numbers go to its row in `strata.job_runs`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobOutcome {
    pub rows: i64,
    pub bytes: i64,
    pub bigquery_job_id: Option<String>,
    pub message: Option<String>,
}

/// Why a run failed, in the parts PostgreSQL shows an error in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobError {
    pub sqlstate: String,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

impl JobError {
    pub fn new(code: PgSqlErrorCode, message: impl Into<String>) -> Self {
        Self { sqlstate: sqlstate_text(code as i32), message: message.into(), detail: None, hint: None }
    }

    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Someone asked the run to stop; that is not a failure of the job.
    pub fn is_cancel(&self) -> bool {
        self.sqlstate == "57014"
    }

    /// Something is not there, or not as it was: what a statement meets that waited for the lock of
    /// a DROP or ALTER EXTENSION. A second look sees the change.
    pub fn is_passing(&self) -> bool {
        self.sqlstate.starts_with("42") || self.sqlstate.starts_with("3F")
    }

    /// Writes the error to the server log, after a few words about what failed.
    pub fn log(&self, what: &str) {
        let code = PgSqlErrorCode::from(sqlstate_code(&self.sqlstate));
        let mut report = ErrorReport::new(code, format!("{what}: {}", self.message), "strata");
        if let Some(detail) = &self.detail {
            report = report.set_detail(detail);
        }
        if let Some(hint) = &self.hint {
            report = report.set_hint(hint);
        }
        report.report(PgLogLevel::LOG);
    }

    /// The error as something SQL functions raise.
    pub fn into_failure(self) -> Failure {
        let code = PgSqlErrorCode::from(sqlstate_code(&self.sqlstate));
        Failure { code, message: self.message, detail: self.detail, hint: self.hint }
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (SQLSTATE {})", self.message, self.sqlstate)
    }
}

impl std::error::Error for JobError {}

impl From<Failure> for JobError {
    fn from(failure: Failure) -> Self {
        Self {
            sqlstate: sqlstate_text(failure.code as i32),
            message: failure.message,
            detail: failure.detail,
            hint: failure.hint,
        }
    }
}

impl From<CaughtError> for JobError {
    fn from(caught: CaughtError) -> Self {
        match caught {
            CaughtError::PostgresError(report) | CaughtError::ErrorReport(report) => from_report(&report),
            // The text of a panic is for the developer; the user gets a sentence, the text is detail.
            CaughtError::RustPanic { ereport, .. } => {
                JobError::new(PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, "the job ended in an internal error")
                    .detail(format!("{} ({}:{})", ereport.message(), ereport.file(), ereport.line_number()))
                    .hint("This is a bug in Strata; please report it with the server log of that minute.")
            }
        }
    }
}

impl From<pgrx::spi::Error> for JobError {
    fn from(error: pgrx::spi::Error) -> Self {
        Failure::from(error).into()
    }
}

fn from_report(report: &ErrorReportWithLevel) -> JobError {
    JobError {
        sqlstate: sqlstate_text(report.sql_error_code() as i32),
        message: report.message().to_owned(),
        detail: report.detail().map(str::to_owned),
        hint: report.hint().map(str::to_owned),
    }
}

/// PostgreSQL packs the five characters of a SQLSTATE into six bits each.
fn sqlstate_text(packed: i32) -> String {
    (0..5).map(|place| char::from(((packed >> (6 * place)) & 0x3f) as u8 + b'0')).collect()
}

fn sqlstate_code(text: &str) -> i32 {
    text.bytes()
        .take(5)
        .enumerate()
        .map(|(place, byte)| (i32::from(byte.wrapping_sub(b'0')) & 0x3f) << (6 * place))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_sqlstate_is_unpacked_to_its_five_characters() {
        for (code, text) in [
            (PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, "XX000"),
            (PgSqlErrorCode::ERRCODE_QUERY_CANCELED, "57014"),
            (PgSqlErrorCode::ERRCODE_OBJECT_IN_USE, "55006"),
            (PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE, "42P01"),
        ] {
            assert_eq!(sqlstate_text(code as i32), text);
            assert_eq!(PgSqlErrorCode::from(sqlstate_code(text)), code);
        }
    }

    #[test]
    fn only_a_cancelled_query_counts_as_cancelled() {
        assert!(JobError::new(PgSqlErrorCode::ERRCODE_QUERY_CANCELED, "stop").is_cancel());
        assert!(!JobError::new(PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, "broken").is_cancel());
    }
}
