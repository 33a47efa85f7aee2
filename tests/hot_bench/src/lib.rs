//! The Redis module against RedisTimeSeries: the same readings and the same questions, on the same redis-server.
//!
//! A measurement asks both systems in turn, round by round, so that whatever else the machine does meets both. Server time
//! is what the server itself counts for a command (`INFO commandstats`), without network and event loop.

pub mod dialect;
pub mod figures;
pub mod measure;
pub mod phases;
pub mod pipe;
pub mod report;
pub mod system;
pub mod workload;
