//! How a worker that a session started tells it which run it is: a few bytes of dynamic shared
//! memory, which also work where the library is not preloaded.

use pgrx::pg_sys;
use std::sync::atomic::{AtomicI64, Ordering};

/// What the worker says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// Nothing: the process ended before the run began.
    Silence,
    Run(i64),
    /// The job runs already.
    Busy,
    /// The extension is gone, or is not the one the library was built for.
    NotInstalled,
}

const BUSY: i64 = -1;
const NOT_INSTALLED: i64 = -2;

/// One side of the mailbox. The memory lives as long as one of the two sides.
pub struct Mailbox {
    segment: *mut pg_sys::dsm_segment,
}

impl Mailbox {
    pub fn create() -> Self {
        // SAFETY: raises an ERROR rather than return null; memory of a segment is page aligned,
        // and nobody else knows it yet.
        unsafe {
            let segment = pg_sys::dsm_create(size_of::<AtomicI64>(), 0);
            pg_sys::dsm_segment_address(segment).cast::<AtomicI64>().write(AtomicI64::new(0));
            Self { segment }
        }
    }

    /// `None` if the session that created it is gone.
    pub fn attach(handle: u32) -> Option<Self> {
        // SAFETY: takes a number; a segment that is gone gives null.
        let segment = unsafe { pg_sys::dsm_attach(handle) };
        (!segment.is_null()).then(|| Self { segment })
    }

    pub fn handle(&self) -> u32 {
        // SAFETY: the segment is attached as long as `self`.
        unsafe { pg_sys::dsm_segment_handle(self.segment) }
    }

    pub fn send(&self, message: Message) {
        let value = match message {
            Message::Silence => 0,
            Message::Run(run_id) => run_id,
            Message::Busy => BUSY,
            Message::NotInstalled => NOT_INSTALLED,
        };
        self.word().store(value, Ordering::Release);
    }

    pub fn read(&self) -> Message {
        match self.word().load(Ordering::Acquire) {
            BUSY => Message::Busy,
            NOT_INSTALLED => Message::NotInstalled,
            run_id if run_id > 0 => Message::Run(run_id),
            _ => Message::Silence,
        }
    }

    fn word(&self) -> &AtomicI64 {
        // SAFETY: initialised by `create`, mapped as long as `self`, only accessed as an atomic.
        unsafe { &*pg_sys::dsm_segment_address(self.segment).cast::<AtomicI64>() }
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        // SAFETY: attached by this value and detached once.
        unsafe { pg_sys::dsm_detach(self.segment) }
    }
}
