//! Wakes launcher and scheduler when the transaction that changed something commits, not before:
//! they would look and find nothing changed.

use super::{process, shared};
use pgrx::{PgXactCallbackEvent, pg_extern, register_xact_callback};

/// Has the extension and the jobs of this database looked at when the transaction commits.
pub fn wake_database() {
    if shared::available() {
        let database = process::my_database();
        register_xact_callback(PgXactCallbackEvent::Commit, move || shared::wake(database));
    }
}

/// Has the list of databases looked at when the transaction commits.
pub fn wake_launcher() {
    if shared::available() {
        register_xact_callback(PgXactCallbackEvent::Commit, shared::wake_launcher);
    }
}

/// Ends this session's holds with the transaction, however it ends.
pub fn release_holds() {
    register_xact_callback(PgXactCallbackEvent::Commit, shared::release_holds);
    register_xact_callback(PgXactCallbackEvent::Abort, shared::release_holds);
}

/// `strata.wake_scheduler`; declared in sql/jobs.sql, which uses it.
#[pg_extern(sql = false)]
fn wake_scheduler() {
    wake_database();
}
