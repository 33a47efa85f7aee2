//! Transactions of a background worker, with the abort path that pgrx's own lacks: an ERROR or a
//! panic inside ends the transaction, not the process.

use pgrx::pg_sys::panic::CaughtError;
use pgrx::{PgTryBuilder, pg_sys};
use std::ffi::CString;
use std::panic::AssertUnwindSafe;

/// Runs `body` in a transaction of its own, with a snapshot, so that SPI can be used.
///
/// `Ok` commits. `Err`, a PostgreSQL ERROR and a Rust panic abort, and come back as an error; an
/// error raised by the commit itself (a deferred constraint, a pre-commit callback) too. FATAL
/// (SIGTERM) does not come back: it ends the process.
///
/// `activity` is shown in `pg_stat_activity` for as long as it takes.
///
/// Only for background workers, where no transaction is open; inside one it returns an error.
/// Nothing that PostgreSQL allocated inside may be returned: its memory ends with the transaction.
pub fn transaction<R, E>(activity: &str, body: impl FnOnce() -> Result<R, E>) -> Result<R, E>
where
    E: From<CaughtError>,
{
    caught(|| {
        if is_open() {
            pgrx::error!("a worker's transaction cannot contain another one");
        }
    })?;
    report_running(activity);
    let result = caught(|| {
        begin();
        let result = body();
        if result.is_ok() {
            commit();
        }
        result
    });
    // `is_open` does not tell here: it is false within a transaction that failed.
    let result = match result {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => {
            abort();
            Err(error)
        }
        Err(error) => {
            abort();
            Err(E::from(error))
        }
    };
    report_idle();
    result
}

/// Runs `body`; a PostgreSQL ERROR or a Rust panic comes back as an error.
///
/// Whatever transaction the error hit is still open then and must be aborted by the caller.
#[expect(clippy::result_large_err, reason = "the type is pgrx's; errors are rare")]
pub fn caught<R>(body: impl FnOnce() -> R) -> Result<R, CaughtError> {
    PgTryBuilder::new(AssertUnwindSafe(|| Ok(body()))).catch_others(Err).execute()
}

/// Aborts whatever transaction is open, with its subtransactions, locks and SPI connections.
pub fn abort() {
    // SAFETY: meant for exactly this: it cleans up from any state and does nothing where no
    // transaction is open.
    unsafe { pg_sys::AbortOutOfAnyTransaction() }
}

fn is_open() -> bool {
    // SAFETY: reads the state of this backend.
    unsafe { pg_sys::IsTransactionOrTransactionBlock() }
}

fn begin() {
    // SAFETY: no transaction is open (checked by the caller); the snapshot is popped by `commit`,
    // or released with everything else by `abort`.
    unsafe {
        pg_sys::SetCurrentStatementStartTimestamp();
        pg_sys::StartTransactionCommand();
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
    }
}

fn commit() {
    // SAFETY: undoes `begin` in reverse order; an ERROR inside unwinds to the caller, who aborts.
    unsafe {
        pg_sys::PopActiveSnapshot();
        pg_sys::CommitTransactionCommand();
    }
}

fn report_running(activity: &str) {
    let text = CString::new(activity.replace('\0', " ")).unwrap_or_default();
    // SAFETY: the text is copied.
    unsafe {
        pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_RUNNING, text.as_ptr());
    }
}

fn report_idle() {
    // SAFETY: called outside a transaction, as table statistics must be; a null text is allowed.
    unsafe {
        pg_sys::pgstat_report_stat(false);
        pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_IDLE, std::ptr::null());
    }
}
