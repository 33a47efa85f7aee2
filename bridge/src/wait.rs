//! How synchronous code waits for a remote store.
//!
//! Everything in this crate that talks to a store is a future; the code that decides what to do next is plain
//! synchronous Rust, because it runs inside a PostgreSQL backend. [`Wait`] is the one door between the two.

use std::future::Future;

/// Runs a future to its end on the calling thread.
///
/// An implementation may give up (PostgreSQL: cancel, `statement_timeout`, shutdown). It then drops `future` at
/// whatever await point it has reached and does not return to the caller, so every future of this crate is safe to
/// drop at any point: what it started remotely is either finished by its deterministic job id on the next try or
/// harmless.
///
/// All futures of one client must be run by the same `Wait`: its connections belong to that runtime.
pub trait Wait {
    /// `what` names the wait for people (`pg_stat_activity`, logs): no secrets, no row values.
    fn wait<F: Future>(&self, what: &str, future: F) -> F::Output;

    /// Like [`Wait::wait`], but when it gives up it first runs `cancel`, for a bounded short time.
    fn wait_cancel<F, C>(&self, what: &str, future: F, cancel: C) -> F::Output
    where
        F: Future,
        C: Future<Output = ()>;
}

/// Waits by blocking the thread: for the command line and the tests, which are ended by a signal.
pub struct BlockingWait {
    runtime: tokio::runtime::Runtime,
}

impl BlockingWait {
    /// # Errors
    /// When the operating system refuses the runtime's file descriptors.
    pub fn new() -> std::io::Result<BlockingWait> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(BlockingWait { runtime })
    }
}

impl Wait for BlockingWait {
    fn wait<F: Future>(&self, _what: &str, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    fn wait_cancel<F, C>(&self, _what: &str, future: F, _cancel: C) -> F::Output
    where
        F: Future,
        C: Future<Output = ()>,
    {
        self.runtime.block_on(future)
    }
}
