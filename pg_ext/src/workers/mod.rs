//! Everything from the schedule of a job to its execution. The state machine of the processes is
//! written down in `pg_ext/README.md`.

mod backoff;
mod crew;
mod databases;
mod due;
mod extension;
mod job_lock;
pub mod kind;
mod launcher;
mod mailbox;
mod next_run;
pub mod outcome;
mod part;
mod process;
mod run_handle;
mod run_now;
mod runs;
pub mod schedule;
mod scheduler;
mod segment;
mod settings;
mod shared;
mod spawn;
pub mod transaction;
mod utility_hook;
mod wake_at_commit;
mod work_list;
mod worker;

pub use crew::Crew;
pub use extension::LIBRARY_VERSION;
pub use kind::JobKind;
pub use outcome::{JobError, JobOutcome};
pub use run_handle::RunHandle;
pub use runs::make_due;
pub use settings::{define_gucs, run_history, scheduler_enabled};
pub use transaction::transaction;
pub use work_list::WorkList;

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

/// Whether this process, a part of a run, shall leave its place to a job that is due and has none.
pub fn give_way() -> bool {
    shared::give_way(process::my_database())
}

/// Whether the library was preloaded, so that jobs run on their schedule.
pub fn preloaded() -> bool {
    shared::available()
}
