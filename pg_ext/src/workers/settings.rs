//! The settings of launcher, schedulers and workers.

use super::shared::MAX_PLACES;
use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};
use std::time::Duration;

static SCHEDULER_ENABLED: GucSetting<bool> = GucSetting::<bool>::new(true);
static MAX_WORKERS: GucSetting<i32> = GucSetting::<i32>::new(4);
static LAUNCHER_POLL_SECONDS: GucSetting<i32> = GucSetting::<i32>::new(60);
static RETRY_MAX_SECONDS: GucSetting<i32> = GucSetting::<i32>::new(15 * 60);
static RUN_HISTORY_MINUTES: GucSetting<i32> = GucSetting::<i32>::new(30 * 24 * 60);

/// Defines the settings. Called once, from `_PG_init`.
pub fn define_gucs() {
    GucRegistry::define_bool_guc(
        c"strata.scheduler_enabled",
        c"Whether jobs are started on their schedule.",
        c"The kill switch for all databases of the server; runs under way end by themselves. strata.run_job works in spite of it.",
        &SCHEDULER_ENABLED,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"strata.max_workers",
        c"Most processes that work on scheduled runs at the same time in one database.",
        c"Each takes a slot of max_worker_processes. A job that can share out its sources uses the places that no other job needs, so the default keeps four processors busy, or lets four jobs run side by side.",
        &MAX_WORKERS,
        1,
        MAX_PLACES as i32,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"strata.launcher_poll",
        c"How often the launcher looks for new and dropped databases.",
        c"CREATE EXTENSION and CREATE DATABASE wake it; this is for what reaches the server past them.",
        &LAUNCHER_POLL_SECONDS,
        1,
        3600,
        GucContext::Sighup,
        GucFlags::UNIT_S,
    );
    GucRegistry::define_int_guc(
        c"strata.retry_max",
        c"Longest wait before a failing job is tried again.",
        c"The wait starts at 30 seconds and doubles with every failure. The default picks up soon after a store is back, at four tries an hour.",
        &RETRY_MAX_SECONDS,
        30,
        86_400,
        GucContext::Sighup,
        GucFlags::UNIT_S,
    );
    GucRegistry::define_int_guc(
        c"strata.run_history",
        c"How long strata.job_runs keeps finished runs.",
        c"The cleanup job deletes older ones. The default holds about 20 000 rows.",
        &RUN_HISTORY_MINUTES,
        60,
        10 * 366 * 24 * 60,
        GucContext::Sighup,
        GucFlags::UNIT_MIN,
    );
}

pub fn scheduler_enabled() -> bool {
    SCHEDULER_ENABLED.get()
}

pub fn max_workers() -> usize {
    usize::try_from(MAX_WORKERS.get()).unwrap_or(1)
}

pub fn launcher_poll() -> Duration {
    seconds(LAUNCHER_POLL_SECONDS.get())
}

pub fn retry_max() -> Duration {
    seconds(RETRY_MAX_SECONDS.get())
}

/// How long finished runs are kept.
pub fn run_history() -> Duration {
    seconds(RUN_HISTORY_MINUTES.get()) * 60
}

fn seconds(value: i32) -> Duration {
    Duration::from_secs(u64::try_from(value).unwrap_or(0))
}
