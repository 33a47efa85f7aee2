//! The trait through which the flush reaches PostgreSQL. The extension implements it with SPI, tests in memory.

use std::fmt;

use crate::hot::Pending;

/// The source a flush works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlushSource {
    /// Its name in Redis: what stands before the first colon of the keys.
    pub name: String,
}

/// What one [`FlushStore::write`] committed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Identity of the committed flush, greater than that of every earlier flush.
    pub flush_id: i64,
    /// Samples that are in the table now, whether or not they changed a row.
    pub rows: u64,
    /// Samples that the table will never take (they break one of its constraints). The store has reported them; they
    /// count as flushed, or one of them would block its series for ever.
    pub rejected: u64,
}

/// Where the flush puts samples.
pub trait FlushStore {
    /// Upserts all samples and records the flush, in one transaction that is committed when this returns `Ok`.
    ///
    /// It is called again with the same samples after a failure at any point, also after a commit whose
    /// acknowledgement got lost, and must then leave the table as it is.
    ///
    /// `pending.flush_id` is the last flush that Redis knows of; the identity returned must be greater.
    fn write(&mut self, source: &FlushSource, pending: &Pending) -> Result<Written, StoreError>;
}

/// An error of PostgreSQL, with the parts its own error reports have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreError {
    /// Five characters, for example `40001`.
    pub sqlstate: String,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (SQLSTATE {})", self.message, self.sqlstate)
    }
}

impl std::error::Error for StoreError {}
