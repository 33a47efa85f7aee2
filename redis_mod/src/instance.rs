//! Names for series in memory: each gets a number when it is made, loaded or copied, which no other has, in this process or
//! another. A token of STRATA.PENDING carries it, so that an acknowledgement clears nothing in a series that came later:
//! one that was loaded again after Redis lost its last second, or a replica's after a failover, may count its writes as the
//! lost one did.

use crate::api::random_bytes;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

static COUNT: AtomicU64 = AtomicU64::new(0);

/// A number that no series has had.
pub fn next() -> u64 {
    process().wrapping_add(COUNT.fetch_add(1, Relaxed))
}

/// A number that differs from process to process.
pub fn process() -> u64 {
    static PROCESS: OnceLock<u64> = OnceLock::new();
    *PROCESS.get_or_init(|| u64::from_le_bytes(random_bytes()))
}
