//! A part of a transaction that may fail by itself.

use crate::workers::JobError;
use crate::workers::transaction::caught;
use pgrx::pg_sys;

/// Runs `body` in a subtransaction; an error rolls back what it did and comes back as a value.
pub fn subtransaction<R>(body: impl FnOnce() -> R) -> Result<R, JobError> {
    let before = Surroundings::begin();
    let result = caught(body).map_err(JobError::from);
    before.end(result.is_ok());
    result
}

/// What a subtransaction changes for the code around it.
struct Surroundings {
    context: pg_sys::MemoryContext,
    owner: pg_sys::ResourceOwner,
}

impl Surroundings {
    fn begin() -> Self {
        // SAFETY: a transaction is in progress; context and owner are put back by `end`.
        unsafe {
            let before = Self { context: pg_sys::CurrentMemoryContext, owner: pg_sys::CurrentResourceOwner };
            pg_sys::BeginInternalSubTransaction(std::ptr::null());
            pg_sys::CurrentMemoryContext = before.context;
            before
        }
    }

    fn end(self, commit: bool) {
        // SAFETY: ends the subtransaction that `begin` started, which is the innermost one.
        unsafe {
            if commit {
                pg_sys::ReleaseCurrentSubTransaction();
            } else {
                pg_sys::RollbackAndReleaseCurrentSubTransaction();
            }
            pg_sys::CurrentMemoryContext = self.context;
            pg_sys::CurrentResourceOwner = self.owner;
        }
    }
}
