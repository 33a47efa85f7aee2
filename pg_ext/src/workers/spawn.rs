//! Starts a process of Strata and follows it.

use super::process;
use pgrx::bgworkers::BackgroundWorkerBuilder;
use pgrx::pg_sys;
use std::time::Duration;

/// The library's name as PostgreSQL finds it in its library directory.
pub const LIBRARY: &str = "strata";

/// Who to start.
pub struct Spec<'a> {
    /// Shown as `backend_type` in `pg_stat_activity` and in the process list.
    pub title: &'a str,
    pub function: &'a str,
    pub database: pg_sys::Oid,
    pub extra: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    NotYetStarted,
    Running(i32),
    Stopped,
}

/// A process this one registered. The postmaster sets our latch when it starts or ends.
pub struct Spawned {
    handle: *mut pg_sys::BackgroundWorkerHandle,
}

/// Registers the process; `None` if `max_worker_processes` leaves no slot.
pub fn spawn(spec: &Spec) -> Option<Spawned> {
    let builder = BackgroundWorkerBuilder::new(spec.title)
        .set_type(spec.title)
        .set_library(LIBRARY)
        .set_function(spec.function)
        .set_argument(Some(pg_sys::Datum::from(spec.database)))
        .set_extra(spec.extra)
        .set_restart_time(None::<Duration>)
        .set_notify_pid(process::my_pid())
        .enable_spi_access();
    let mut worker = pg_sys::BackgroundWorker::from(&builder);
    let mut handle = std::ptr::null_mut();
    // SAFETY: both pointers are valid for the call. The handle must outlive the transaction, so it
    // is allocated in the memory that lives as long as the process.
    let registered = unsafe {
        let context = pg_sys::MemoryContextSwitchTo(pg_sys::TopMemoryContext);
        let registered = pg_sys::RegisterDynamicBackgroundWorker(&mut worker, &mut handle);
        pg_sys::MemoryContextSwitchTo(context);
        registered
    };
    registered.then(|| Spawned { handle })
}

impl Spawned {
    pub fn status(&self) -> Status {
        let mut pid = 0;
        // SAFETY: the handle is valid as long as `self`.
        let status = unsafe { pg_sys::GetBackgroundWorkerPid(self.handle, &mut pid) };
        match status {
            pg_sys::BgwHandleStatus::BGWH_STARTED => Status::Running(pid),
            pg_sys::BgwHandleStatus::BGWH_NOT_YET_STARTED => Status::NotYetStarted,
            _ => Status::Stopped,
        }
    }

    pub fn is_stopped(&self) -> bool {
        self.status() == Status::Stopped
    }

    /// Sends SIGTERM, or keeps the process from starting at all.
    pub fn terminate(&self) {
        // SAFETY: the handle is valid as long as `self`.
        unsafe { pg_sys::TerminateBackgroundWorker(self.handle) }
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        // SAFETY: allocated by `spawn`, in memory that nothing else frees.
        unsafe { pg_sys::pfree(self.handle.cast()) }
    }
}
