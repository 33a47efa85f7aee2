//! What every background process of Strata does: signals, connection, sleep.

use pgrx::pg_sys;
use std::ffi::{CStr, c_int};
use std::time::Duration;

/// The function PostgreSQL calls when the process exits.
pub type ExitCallback = unsafe extern "C-unwind" fn(i32, pg_sys::Datum);

pub fn my_pid() -> i32 {
    // SAFETY: set once, when the process starts.
    unsafe { pg_sys::MyProcPid }
}

pub fn my_database() -> pg_sys::Oid {
    // SAFETY: set once, when the process connects.
    unsafe { pg_sys::MyDatabaseId }
}

/// Has `callback` called at exit. Registered before the process connects, it runs after the
/// process has left the list of backends, so that whoever waits for it to be gone can go on.
pub fn at_exit(callback: ExitCallback) {
    // SAFETY: the callback is a static function.
    unsafe { pg_sys::on_shmem_exit(Some(callback), pg_sys::Datum::from(0)) }
}

// PostgreSQL's own signal handlers; the bindings of pgrx cannot be passed on as C functions.
unsafe extern "C-unwind" {
    fn die(signal: c_int);
    #[link_name = "SignalHandlerForConfigReload"]
    fn note_sighup(signal: c_int);
}

/// SIGTERM ends the process at its next interrupt check, SIGINT cancels its query, SIGHUP asks it
/// to read the configuration again.
pub fn handle_signals() {
    // SAFETY: the handlers are PostgreSQL's; SIGINT and SIGUSR1 have theirs already.
    unsafe {
        pg_sys::pqsignal(pg_sys::SIGTERM as i32, Some(die));
        pg_sys::pqsignal(pg_sys::SIGHUP as i32, Some(note_sighup));
        pg_sys::BackgroundWorkerUnblockSignals();
    }
}

/// Connects as bootstrap superuser: to a database by its oid, since names change; without one to
/// the shared catalogs only.
pub fn connect(database: Option<pg_sys::Oid>) {
    // SAFETY: called once, first thing after the signals; no memory is handed over.
    unsafe {
        match database {
            Some(oid) => {
                pg_sys::BackgroundWorkerInitializeConnectionByOid(oid, pg_sys::Oid::INVALID, 0);
            }
            None => pg_sys::BackgroundWorkerInitializeConnection(std::ptr::null(), std::ptr::null(), 0),
        }
    }
}

/// Sets a parameter for the life of the process, whatever role or database say.
pub fn pin(name: &CStr, value: &CStr) {
    // SAFETY: both strings are copied; an unknown name raises an ERROR, which unwinds.
    unsafe {
        pg_sys::SetConfigOption(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            pg_sys::GucSource::PGC_S_OVERRIDE,
        );
    }
}

/// Reads the configuration again if SIGHUP came.
pub fn reload_configuration() {
    // SAFETY: the flag is only set by the signal handler; called outside a transaction.
    unsafe {
        if pg_sys::ConfigReloadPending != 0 {
            pg_sys::ConfigReloadPending = 0;
            pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP);
        }
    }
}

/// SIGTERM came. A process that sleeps asks here and leaves without the FATAL line in the log that
/// an interrupt check would write.
pub fn terminating() -> bool {
    // SAFETY: the flag is only set by the signal handler.
    unsafe { pg_sys::ProcDiePending != 0 }
}

/// Waits until something happens, at most for `timeout`. Ends the process with the postmaster.
pub fn sleep(timeout: Duration) {
    let events = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
    let millis = timeout.as_millis().clamp(1, i32::MAX as u128) as std::ffi::c_long;
    // SAFETY: the latch is this process's own.
    unsafe {
        pg_sys::WaitLatch(pg_sys::MyLatch, events as i32, millis, pg_sys::PG_WAIT_EXTENSION);
        pg_sys::ResetLatch(pg_sys::MyLatch);
    }
}

/// Wakes another process of this server; 0 and the pid of a process that is gone are ignored.
pub fn wake(pid: i32) {
    if pid == 0 {
        return;
    }
    // SAFETY: PGPROC entries are never freed, only used again; the worst that a process which just
    // ended can cause is that its successor wakes for nothing.
    unsafe {
        let backend = pg_sys::BackendPidGetProc(pid);
        if !backend.is_null() {
            pg_sys::SetLatch(&raw mut (*backend).procLatch);
        }
    }
}

unsafe extern "C" {
    fn kill(pid: i32, signal: i32) -> i32;
}

/// Asks a process to exit.
pub fn terminate(pid: i32) {
    signal(pid, pg_sys::SIGTERM as i32);
}

/// Asks a process to cancel its query.
pub fn cancel(pid: i32) {
    signal(pid, pg_sys::SIGINT as i32);
}

fn signal(pid: i32, signal: i32) {
    // 0 and negative numbers would name process groups.
    if pid > 0 {
        // SAFETY: `kill` of the C library takes plain numbers.
        unsafe { kill(pid, signal) };
    }
}
