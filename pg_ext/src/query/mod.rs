//! Tier-aware queries.

pub mod access;
pub mod hot_rows;
pub mod measures;
pub mod scan;
mod tuples;
mod vanished;

mod buckets;
mod explain;
mod latest;
mod rows;

pub use measures::checked_measures;
pub use rows::argument;
