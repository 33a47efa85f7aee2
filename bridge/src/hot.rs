//! The client of the Redis module: what PostgreSQL, the command line and the demo say to the hot tier.
//!
//! One [`HotClient`] holds at most one connection and opens it on the first command. A failed connect opens a
//! circuit breaker: for [`HotConfig::retry_after`] every call fails at once instead of waiting for the timeout
//! again, so a query over a table whose Redis is down stays fast.

mod ack;
mod add;
mod anomalies;
mod breaker;
mod client;
mod cluster;
mod config;
mod error;
mod fill;
mod info;
mod latest;
mod left_out;
mod pending;
mod reply;
mod route;
mod time_arg;
mod totals;
mod watch;

pub use add::{AddReport, NewSample, RefusedSample};
pub use anomalies::HotAnomaly;
pub use client::HotClient;
pub use config::HotConfig;
pub use error::{HotError, HotErrorKind};
pub use fill::Filled;
pub use info::{ModuleInfo, SourceInfo};
pub use latest::LatestSample;
pub use left_out::LeftOut;
pub use pending::{Pending, PendingSeries};
pub use totals::{MeasureTotals, SourceTotals, TotalsEnd};
pub use watch::{WatchState, Watched};
