//! strata.run_job runs a job in a process of its own and tells its caller what came of it.

mod workers_support;

use std::time::{Duration, Instant};

use strata_servers::{SilentServer, pg_version};
use workers_support::*;

#[test]
fn it_returns_the_row_of_the_run() {
    let server = server();
    let row =
        ask(&server, "SELECT concat_ws(' ', job, status, finished_at >= started_at) FROM strata.run_job('rollup')");
    assert_eq!(row, "rollup succeeded t");
    // Also where the snapshot is older than the run.
    let mut client = server.connect(DATABASE).unwrap();
    client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1").unwrap();
    for _ in 0..2 {
        let row = client.query_one("SELECT status FROM strata.run_job('rollup')", &[]).unwrap();
        assert_eq!(row.get::<_, String>(0), "succeeded");
    }
    client.batch_execute("COMMIT").unwrap();
    assert_eq!(ask(&server, "SELECT count(*) FROM strata.job_runs WHERE status = 'succeeded'"), "3");
}

#[test]
fn it_raises_the_error_of_the_run() {
    let server = server_without_redis();
    let mut client = server.connect(DATABASE).unwrap();
    let error = client.batch_execute("SELECT strata.run_job('flush')").unwrap_err();
    let error = error.as_db_error().unwrap();
    let recorded = ask(&server, "SELECT sqlstate || ' ' || message FROM strata.job_runs WHERE status = 'failed'");
    assert_eq!(format!("{} {}", error.code().code(), error.message()), recorded);
    let about = "This was run 1 of job \"flush\"; its row is in strata.job_runs.";
    assert!(error.detail().unwrap().ends_with(about), "{error:?}");
    let shown = format!("{} {:?} {:?}", error.message(), error.detail(), error.hint());
    assert!(!shown.contains("panic") && !shown.contains(".rs:"), "{shown}");
}

#[test]
fn it_is_refused_in_a_transaction_that_has_written() {
    let server = server();
    let (code, _) = error_of(&server, "BEGIN; CREATE TABLE t (); SELECT strata.run_job('rollup')");
    assert_eq!(code, "25001");
    assert_eq!(ask(&server, "SELECT count(*) FROM strata.job_runs"), "0");
}

#[test]
fn a_timeout_of_the_caller_cancels_the_run() {
    let redis = SilentServer::start();
    let server = server_with_silent_redis(&redis);
    let start = Instant::now();
    let (code, _) = error_of(&server, "SET statement_timeout = '500ms'; SELECT strata.run_job('flush')");
    assert_eq!(code, "57014");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    let cancelled = "SELECT count(*) FROM strata.job_runs WHERE status = 'cancelled' AND sqlstate = '57014'";
    eventually("the run is cancelled", || ask(&server, cancelled) == "1");
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}

#[test]
fn it_works_where_the_library_is_not_preloaded() {
    let server = start(builder().preload(false));
    assert_eq!(pids(&server, "strata launcher"), [0; 0]);
    assert_eq!(ask(&server, "SELECT status FROM strata.run_job('rollup')"), "succeeded");
    assert_eq!(ask(&server, "SELECT status FROM strata.run_job('cleanup')"), "succeeded");
}

#[test]
fn it_marks_the_runs_that_died_where_there_is_no_scheduler() {
    let redis = SilentServer::start();
    let builder = builder().preload(false);
    let server = start(builder.conf("strata.redis_url", &format!("redis://{}/", redis.address())));
    run(
        &server,
        "CREATE TABLE readings (time timestamptz NOT NULL, key text NOT NULL, value float8, UNIQUE (key, time))",
    );
    run(&server, "SELECT strata.attach('readings', 'time', 'key', warm => NULL)");
    std::thread::scope(|scope| {
        let caller = scope.spawn(|| error_of(&server, "SELECT strata.run_job('flush')"));
        signal(wait_for_worker(&server, "flush"), "TERM");
        let (code, message) = caller.join().unwrap();
        assert_eq!((code.as_str(), message.as_str()), ("57P02", "the process of job \"flush\" ended without a result"));
    });
    run(&server, "SELECT strata.detach('readings', force => true)");
    assert_eq!(ask(&server, "SELECT status FROM strata.run_job('flush')"), "succeeded");
    let all = "SELECT string_agg(status, ' ' ORDER BY run_id) FROM strata.job_runs";
    assert_eq!(ask(&server, all), "crashed succeeded");
}

#[test]
fn without_a_free_worker_slot_it_says_what_to_raise() {
    // For the launchers of Strata, logical replication and TimescaleDB.
    let slots = if pg_version().has_timescaledb() { "3" } else { "2" };
    let server = builder().conf("max_worker_processes", slots).start().unwrap();
    run_in(&server, "postgres", "CREATE EXTENSION strata");
    let mut client = server.connect("postgres").unwrap();
    let error = client.batch_execute("SELECT strata.run_job('rollup')").unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(error.code().code(), "53400");
    assert!(error.hint().unwrap().contains("max_worker_processes"), "{error:?}");
    sleep(3.0);
    // The launcher goes without, too, and says so once.
    assert_eq!(server.log().matches("strata cannot start a scheduler").count(), 1, "{}", server.log());
    assert!(!server.log().contains("terminated by signal"), "{}", server.log());
}

#[test]
fn only_operators_may_run_and_alter_jobs() {
    let server = server();
    run(
        &server,
        "CREATE ROLE analyst; GRANT strata_reader TO analyst; CREATE ROLE keeper; GRANT strata_operator TO keeper",
    );
    for sql in [
        "SELECT strata.run_job('rollup')",
        "SELECT strata.pause_job('rollup')",
        "UPDATE strata.jobs SET enabled = false",
    ] {
        let (code, message) = error_of(&server, &format!("SET ROLE analyst; {sql}"));
        assert_eq!(code, "42501", "{sql}: {message}");
    }
    run(
        &server,
        "SET ROLE analyst; SELECT * FROM strata.jobs; SELECT * FROM strata.job_runs; SELECT * FROM strata.job_status",
    );
    run(
        &server,
        "SET ROLE keeper; SELECT strata.run_job('rollup'); SELECT strata.pause_job('rollup'); SELECT strata.reset_job('rollup')",
    );
    assert_eq!(error_of(&server, "SET ROLE keeper; UPDATE strata.jobs SET enabled = false").0, "42501");
}

#[test]
fn a_job_that_does_not_exist_is_named() {
    let server = server();
    let (code, message) = error_of(&server, "SELECT strata.run_job('nap')");
    assert_eq!((code.as_str(), message.as_str()), ("42704", "job \"nap\" does not exist"));
}
