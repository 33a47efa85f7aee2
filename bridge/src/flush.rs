//! The flush: pending samples from Redis into the source's table, at least once, each counted once.
//!
//! Per batch: read from Redis, commit to PostgreSQL, acknowledge. Redis forgets nothing before the acknowledgement
//! and the table takes a sample twice without harm, so a flush that dies at any point is simply run again.

use std::fmt;

use crate::hot::{HotClient, HotError, LeftOut, Pending, PendingSeries};
use crate::store::{FlushSource, FlushStore, StoreError};
use crate::wait::Wait;

/// What a flush did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FlushReport {
    /// Samples that are in the table now.
    pub rows: u64,
    /// Samples that the table will never take.
    pub rejected: u64,
    pub batches: u64,
    /// Series of which nothing was flushed: they keep what they have.
    pub left_out: LeftOut,
}

/// Why a flush stopped. What it had committed stays committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FlushError {
    Hot(HotError),
    Store(StoreError),
    /// Redis hands out the same samples again after it acknowledged them.
    NoProgress {
        source: String,
    },
}

impl fmt::Display for FlushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hot(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::NoProgress { source } => {
                write!(f, "Redis hands out the same samples of source {source:?} again after they were acknowledged")
            }
        }
    }
}

impl std::error::Error for FlushError {}

impl From<HotError> for FlushError {
    fn from(error: HotError) -> Self {
        Self::Hot(error)
    }
}

impl From<StoreError> for FlushError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// The two commands of the hot tier that a flush needs.
pub trait FlushFrom {
    fn pending(&self, source: &str, count: usize) -> impl Future<Output = Result<Pending, HotError>>;
    fn ack(&self, flush_id: i64, series: &[PendingSeries]) -> impl Future<Output = Result<u64, HotError>>;
}

impl FlushFrom for HotClient {
    fn pending(&self, source: &str, count: usize) -> impl Future<Output = Result<Pending, HotError>> {
        self.pending(source, None, None, None, Some(count))
    }

    fn ack(&self, flush_id: i64, series: &[PendingSeries]) -> impl Future<Output = Result<u64, HotError>> {
        self.ack(flush_id, series)
    }
}

/// Flushes until nothing is pending, in transactions of about `batch_rows` samples.
pub fn flush_source(
    wait: &impl Wait,
    hot: &impl FlushFrom,
    store: &mut impl FlushStore,
    source: &FlushSource,
    batch_rows: usize,
) -> Result<FlushReport, FlushError> {
    let mut report = FlushReport::default();
    let mut previous = Vec::new();
    loop {
        let mut pending =
            wait.wait("reading pending samples from Redis", hot.pending(&source.name, batch_rows.max(1)))?;
        report.left_out.extend(std::mem::take(&mut pending.left_out));
        if pending.series.is_empty() {
            return Ok(report);
        }
        let tokens = tokens_of(&pending);
        if tokens == previous {
            return Err(FlushError::NoProgress { source: source.name.clone() });
        }
        let written = store.write(source, &pending)?;
        wait.wait("acknowledging samples in Redis", hot.ack(written.flush_id, &pending.series))?;
        report.rows += written.rows;
        report.rejected += written.rejected;
        report.batches += 1;
        // without this, sensors that write faster than one round trip would keep the flush here for ever
        if !pending.more {
            return Ok(report);
        }
        previous = tokens;
    }
}

fn tokens_of(pending: &Pending) -> Vec<(String, String)> {
    pending.series.iter().map(|series| (series.redis_key.clone(), series.token.clone())).collect()
}

#[cfg(test)]
#[path = "flush_tests.rs"]
mod tests;
