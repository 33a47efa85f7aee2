//! How a worker that a session started tells it which run it is: a few bytes of dynamic shared memory.

use super::segment::Segment;
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

/// One side of the mailbox.
pub struct Mailbox {
    segment: Segment,
}

impl Mailbox {
    /// `None` if the server has no shared memory left for it.
    pub fn create() -> Option<Self> {
        Segment::create(size_of::<AtomicI64>()).map(|segment| Self { segment })
    }

    /// `None` if the session that created it is gone.
    pub fn attach(handle: u32) -> Option<Self> {
        Segment::attach(handle).map(|segment| Self { segment })
    }

    pub fn handle(&self) -> u32 {
        self.segment.handle()
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
        // SAFETY: zero, as a new segment is, is an atomic; mapped as long as `self`, only accessed as an atomic.
        unsafe { &*self.segment.address().cast::<AtomicI64>() }
    }
}
