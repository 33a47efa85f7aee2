//! Everything from the schedule of a job to its execution. The state machine of the processes is
//! written down in `pg_ext/README.md`.

mod backoff;
mod databases;
mod due;
mod extension;
mod job_lock;
pub mod kind;
mod launcher;
mod mailbox;
mod next_run;
pub mod outcome;
mod process;
mod run_handle;
mod run_now;
mod runs;
pub mod schedule;
mod scheduler;
mod settings;
mod shared;
mod spawn;
pub mod transaction;
mod utility_hook;
mod wake_at_commit;
mod worker;

pub use extension::LIBRARY_VERSION;
pub use kind::JobKind;
pub use outcome::{JobError, JobOutcome};
pub use run_handle::RunHandle;
pub use runs::make_due;
pub use settings::{define_gucs, run_history, scheduler_enabled};
pub use transaction::transaction;

use pgrx::pg_sys;

/// Called from `_PG_init`, in the postmaster and in sessions that load the library by themselves.
/// Launcher, shared memory and hook need the postmaster; `strata.run_job` does without.
pub fn init() {
    // SAFETY: read in the main thread of the process that sets them.
    let (preloading, upgrading) =
        unsafe { (pg_sys::process_shared_preload_libraries_in_progress, pg_sys::IsBinaryUpgrade) };
    // pg_upgrade starts servers whose contents nobody may change.
    if preloading && !upgrading {
        shared::init();
        launcher::register();
        utility_hook::install();
    }
}

/// Whether the library was preloaded, so that jobs run on their schedule.
pub fn preloaded() -> bool {
    shared::available()
}
