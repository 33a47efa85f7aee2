//! Totals over all series of all databases. Atomic, because Redis may free a large series in a background thread.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

static SERIES: AtomicI64 = AtomicI64::new(0);
static SAMPLES: AtomicI64 = AtomicI64::new(0);
static PENDING: AtomicI64 = AtomicI64::new(0);

/// What the module holds.
#[derive(Debug, Clone, Copy)]
pub struct Totals {
    pub series: i64,
    pub samples: i64,
    /// Samples that no flush has acknowledged.
    pub pending: i64,
}

pub fn totals() -> Totals {
    Totals { series: SERIES.load(Relaxed), samples: SAMPLES.load(Relaxed), pending: PENDING.load(Relaxed) }
}

pub fn series(change: i64) {
    SERIES.fetch_add(change, Relaxed);
}

pub fn samples(change: i64) {
    SAMPLES.fetch_add(change, Relaxed);
}

pub fn pending(change: i64) {
    PENDING.fetch_add(change, Relaxed);
}
