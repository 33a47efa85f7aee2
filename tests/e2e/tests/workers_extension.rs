//! Schedulers come and go with the extension, and stand in the way of no command on a database.

mod workers_support;

use std::time::{Duration, Instant};

use strata_servers::Postgres;
use workers_support::*;

#[test]
fn the_scheduler_comes_with_the_commit_of_create_extension() {
    let mut server = builder().conf("strata.launcher_poll", "1h").start().unwrap();
    run_in(&server, "postgres", "CREATE DATABASE sensors");
    // The launcher finds nothing in the database and will not look again for an hour by itself.
    server.stop_fast().unwrap();
    server.start().unwrap();
    sleep(2.0);
    run(&server, "BEGIN; CREATE EXTENSION strata; SELECT pg_sleep(1); ROLLBACK");
    sleep(1.0);
    assert!(!has_scheduler(&server, DATABASE));

    let mut client = server.connect(DATABASE).unwrap();
    client.batch_execute("BEGIN; CREATE EXTENSION strata; SELECT pg_sleep(1)").unwrap();
    assert!(!has_scheduler(&server, DATABASE));
    client.batch_execute("COMMIT").unwrap();
    let start = Instant::now();
    eventually("a scheduler", || has_scheduler(&server, DATABASE));
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn the_scheduler_goes_with_the_commit_of_drop_extension() {
    let server = server();
    eventually("a scheduler", || has_scheduler(&server, DATABASE));
    let before = pids(&server, "strata scheduler");
    run(&server, "BEGIN; DROP EXTENSION strata; SELECT pg_sleep(2); ROLLBACK");
    assert_eq!(pids(&server, "strata scheduler"), before);

    run(&server, "DROP EXTENSION strata");
    eventually("the scheduler leaves", || !has_scheduler(&server, DATABASE));
    run(&server, "CREATE EXTENSION strata");
    eventually("another one comes", || has_scheduler(&server, DATABASE));
    run(&server, "DROP EXTENSION strata CASCADE");
    eventually("it leaves as well", || !has_scheduler(&server, DATABASE));
    assert!(!server.log().contains("strata scheduler"), "{}", server.log());
}

#[test]
fn a_database_without_the_extension_costs_neither_a_process_nor_a_log_line() {
    let server = builder().start().unwrap();
    run_in(&server, "postgres", "CREATE DATABASE other");
    sleep(4.0);
    let started =
        ask_in(&server, "postgres", "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'strata scheduler'");
    assert_eq!(started, "0");
    assert!(!server.log().contains("strata "), "{}", server.log());
}

#[test]
fn a_database_is_dropped_at_once_while_a_job_runs() {
    let server = server();
    hang_in_cleanup(&server);
    let start = Instant::now();
    run_in(&server, "postgres", "DROP DATABASE sensors");
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    sleep(2.0);
    assert!(!server.log().contains("does not exist"), "{}", server.log());
}

/// TimescaleDB restarts its own scheduler when a database is copied or renamed; about every second
/// time it is connected again before the command looks who is.
fn server_without_timescaledb() -> Postgres {
    let server = builder().conf("shared_preload_libraries", "strata").start().unwrap();
    run_in(&server, "postgres", "CREATE DATABASE sensors");
    run(&server, "CREATE EXTENSION strata");
    server
}

#[test]
fn a_database_with_a_scheduler_can_be_copied() {
    let server = server_without_timescaledb();
    hang_in_cleanup(&server);
    let start = Instant::now();
    run_in(&server, "postgres", "CREATE DATABASE copy TEMPLATE sensors");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    for database in [DATABASE, "copy"] {
        eventually("a scheduler in both", || has_scheduler(&server, database));
    }
    let crashed = "SELECT count(*) FROM strata.job_runs WHERE job = 'cleanup' AND status = 'crashed'";
    eventually("the copied run has no process", || ask_in(&server, "copy", crashed) == "1");
}

#[test]
fn a_database_with_a_scheduler_can_be_renamed() {
    let server = server_without_timescaledb();
    eventually("a scheduler", || has_scheduler(&server, DATABASE));
    run_in(&server, "postgres", "ALTER DATABASE sensors RENAME TO renamed");
    eventually("a scheduler", || has_scheduler(&server, "renamed"));
}

#[test]
fn who_does_not_own_the_database_cannot_disturb_its_jobs() {
    let server = server();
    let worker = hang_in_cleanup(&server);
    run_in(&server, "postgres", "CREATE ROLE stranger LOGIN CREATEDB");
    for sql in
        ["DROP DATABASE sensors", "ALTER DATABASE sensors RENAME TO mine", "CREATE DATABASE mine TEMPLATE sensors"]
    {
        let mut client = server.connect("postgres").unwrap();
        client.batch_execute("SET SESSION AUTHORIZATION stranger").unwrap();
        client.batch_execute(sql).expect_err(sql);
    }
    assert_eq!(pids(&server, "strata worker: cleanup"), [worker]);
}

#[test]
fn a_database_that_accepts_no_connections_has_no_scheduler() {
    let server = server();
    eventually("a scheduler", || has_scheduler(&server, DATABASE));
    run_in(&server, "postgres", "ALTER DATABASE sensors ALLOW_CONNECTIONS false");
    eventually("it leaves", || !has_scheduler(&server, DATABASE));
    run_in(&server, "postgres", "ALTER DATABASE sensors ALLOW_CONNECTIONS true");
    eventually("it comes back", || has_scheduler(&server, DATABASE));
    run_in(&server, "postgres", "ALTER DATABASE sensors IS_TEMPLATE true");
    eventually("a template has none", || !has_scheduler(&server, DATABASE));
}

#[test]
fn another_version_of_the_catalog_stops_the_jobs_with_one_log_line() {
    let server = server();
    eventually("a scheduler", || has_scheduler(&server, DATABASE));
    let set_version = |version: &str| {
        let sql = format!("UPDATE pg_extension SET extversion = '{version}' WHERE extname = 'strata'");
        run(&server, &sql);
        run(&server, "SELECT strata.wake_scheduler()");
    };
    let version = ask(&server, "SELECT extversion FROM pg_extension WHERE extname = 'strata'");
    set_version("0.0.1");
    eventually("it leaves", || !has_scheduler(&server, DATABASE));
    let (code, _) = error_of(&server, "SELECT strata.run_job('rollup')");
    assert_eq!(code, "55000");
    sleep(3.0);
    assert_eq!(server.log().matches("extension and library differ in version").count(), 1, "{}", server.log());
    set_version(&version);
    eventually("it comes back", || has_scheduler(&server, DATABASE));
}
