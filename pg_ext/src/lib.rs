//! The Strata PostgreSQL extension: catalog, tier-aware queries, detection, background workers.
//!
//! Thin over `bridge` (the other stores) and `series` (aggregates, detectors, the tier plan).

mod as_user;
mod attach;
mod coverage;
mod detect;
mod dirty_log;
mod failure;
mod gucs;
mod health;
mod hot_detection;
mod import;
mod interrupts;
mod iso_dates;
mod jobs;
mod manifest;
mod partitions;
mod pg_time;
mod query;
mod quote;
mod rollup_value;
mod shape;
mod snapshot;
mod source;
mod stored_day;
mod subtransaction;
mod tiers;
mod v1_function;
mod warm_hot;
mod watch;
mod workers;

use pgrx::prelude::*;

::pgrx::pg_module_magic!(name, version);

extension_sql_file!("../../sql/roles_and_schema.sql", name = "roles_and_schema", bootstrap);
extension_sql_file!("../../sql/catalog.sql", name = "catalog", requires = ["roles_and_schema"]);
extension_sql_file!("../../sql/detectors.sql", name = "detectors", requires = ["catalog"]);
extension_sql_file!("../../sql/jobs.sql", name = "jobs", requires = ["catalog"]);
extension_sql_file!("../../sql/hot.sql", name = "hot", requires = ["catalog"]);
extension_sql_file!("../../sql/functions.sql", name = "functions", requires = ["jobs"]);
extension_sql_file!("../../sql/detection.sql", name = "detection", requires = ["functions"]);
extension_sql_file!("../../sql/views.sql", name = "views", requires = ["functions", "jobs", "detectors"]);
extension_sql_file!("../../sql/privileges.sql", name = "privileges", finalize);

/// Runs when the library is loaded: by the postmaster, or by the first backend that needs it.
#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    hide_backtraces();
    gucs::define();
    workers::define_gucs();
    gucs::reserve_prefix();
    coverage::init();
    dirty_log::init();
    workers::init();
}

/// pgrx puts the backtrace of an error into its DETAIL where the environment asks for backtraces; users of SQL get facts.
fn hide_backtraces() {
    // SAFETY: backends and the postmaster have one thread while they load libraries.
    unsafe { std::env::set_var("RUST_BACKTRACE", "0") }
}

#[cfg(any(test, feature = "pg_test"))]
mod server_tests;

/// Required by `cargo pgrx test` at the root of the crate.
#[cfg(test)]
pub mod pg_test {
    pub fn setup(_options: Vec<&str>) {}

    #[must_use]
    pub fn postgresql_conf_options() -> Vec<&'static str> {
        if cfg!(feature = "pg17") {
            vec!["shared_preload_libraries = 'timescaledb,strata'", "timescaledb.telemetry_level = off"]
        } else {
            vec!["shared_preload_libraries = 'strata'"]
        }
    }
}
