//! The pure core that every Strata server links: aggregates, sketches, detectors, the tier plan and the formats in which
//! samples and states travel. No I/O, no PostgreSQL, no Redis, so that the same input gives the same answer everywhere.

pub mod aggregate;
pub mod average;
pub mod block;
pub mod bucket;
pub mod bytes;
pub mod codec;
pub mod detect;
pub mod event;
pub mod hash;
pub mod plan;
pub mod prefetch;
pub mod rolling;
pub mod rollup;
pub mod series_name;
pub mod sketch;
pub mod time;
pub mod watch;
pub mod wire;
