//! The command line against real servers.

mod ingest;
mod status;
mod support;
mod tls;
mod totals;
