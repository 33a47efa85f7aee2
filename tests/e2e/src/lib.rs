//! End-to-end tests of Strata; the tests themselves are in `tests/`, one file per behaviour.
//!
//! Here is what they share: the servers, a database with the extension, sensors that write to Redis, and readings to
//! compare.

pub mod damage;
pub mod database;
pub mod emulator;
pub mod readings;
pub mod sensors;
pub mod stack;
pub mod tools;

pub use database::{Database, Refusal};
pub use readings::Readings;
pub use sensors::Sensors;
pub use stack::{Stack, postgres, stack};

use std::time::{Duration, Instant};

/// Waits until the question is answered with yes.
pub fn eventually(what: &str, mut yes: impl FnMut() -> bool) {
    let start = Instant::now();
    while !yes() {
        assert!(start.elapsed() < Duration::from_secs(30), "not within 30 seconds: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
