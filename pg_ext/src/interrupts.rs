//! The one place that waits for a remote store: it runs a future and stays cancellable.
//!
//! A wait is cut into slices. Between two slices PostgreSQL's interrupts are looked at, so that cancel,
//! `statement_timeout`, termination and shutdown end a wait within a fraction of a second, whatever the remote does.

use bridge::wait::Wait;
use pgrx::{check_for_interrupts, pg_sys};
use std::cell::OnceCell;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;
use tokio::runtime::Runtime;

const SLICE: Duration = Duration::from_millis(25);
/// Long enough for one request to a healthy service, short enough to end within a second.
const CANCEL_BOUND: Duration = Duration::from_millis(500);

thread_local! {
    static RUNTIME: OnceCell<Runtime> = const { OnceCell::new() };
}

/// Waits as a backend of PostgreSQL must.
#[derive(Clone, Copy, Default)]
pub struct BackendWait;

impl Wait for BackendWait {
    fn wait<F: Future>(&self, what: &str, future: F) -> F::Output {
        self.wait_cancel(what, future, std::future::ready(()))
    }

    fn wait_cancel<F: Future, C: Future>(&self, _what: &str, future: F, cancel: C) -> F::Output {
        RUNTIME.with(|cell| {
            let runtime = cell.get_or_init(runtime);
            let _event = WaitEvent::begin();
            let mut future = pin!(future);
            let mut cancel = Some(cancel);
            loop {
                let slice = runtime.block_on(async { tokio::time::timeout(SLICE, future.as_mut()).await });
                if let Ok(output) = slice {
                    return output;
                }
                if ends_the_statement()
                    && let Some(cancel) = cancel.take()
                {
                    // an unreachable service cannot cancel either, and the statement ends all the same
                    let _ = runtime.block_on(async { tokio::time::timeout(CANCEL_BOUND, cancel).await });
                }
                leave_with_the_postmaster();
                check_for_interrupts!();
            }
        })
    }
}

/// A backend that outlives its postmaster holds on to the shared memory, and the server could not start again.
fn leave_with_the_postmaster() {
    // SAFETY: reads what the backend knows of its parent; proc_exit runs the backend's own exit callbacks.
    unsafe {
        if pg_sys::IsUnderPostmaster && libc::getppid() != pg_sys::PostmasterPid as libc::pid_t {
            pg_sys::proc_exit(1);
        }
    }
}

/// Whether the next look at the interrupts raises an error.
fn ends_the_statement() -> bool {
    // SAFETY: reads flags that signal handlers of this process set.
    unsafe {
        (pg_sys::QueryCancelPending != 0 || pg_sys::ProcDiePending != 0)
            && pg_sys::InterruptHoldoffCount == 0
            && pg_sys::CritSectionCount == 0
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_start(leave_signals_to_the_main_thread)
        .build()
        .expect("a runtime needs an epoll descriptor")
}

/// Name look-ups run in threads of the runtime, and PostgreSQL's signal handlers must never run there.
fn leave_signals_to_the_main_thread() {
    // SAFETY: fills a local set and applies it to the calling thread only.
    unsafe {
        let mut all = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_BLOCK, &all, std::ptr::null_mut());
    }
}

/// Shows the wait as `Extension` in pg_stat_activity.
struct WaitEvent;

impl WaitEvent {
    fn begin() -> Self {
        Self::set(pg_sys::PG_WAIT_EXTENSION);
        Self
    }

    fn set(event: u32) {
        // SAFETY: the pointer is valid in every backend from its start.
        unsafe { pg_sys::my_wait_event_info.write_volatile(event) }
    }
}

impl Drop for WaitEvent {
    fn drop(&mut self) {
        Self::set(0);
    }
}
