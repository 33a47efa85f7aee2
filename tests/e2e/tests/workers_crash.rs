//! Whatever dies, its run is known to have died and the rest goes on.

mod workers_support;

use std::time::{Duration, Instant};

use strata_servers::{Postgres, SilentServer};
use workers_support::*;

fn status_of_first(server: &Postgres, job: &str) -> String {
    ask(server, &format!("SELECT status FROM strata.job_runs WHERE job = '{job}' ORDER BY run_id LIMIT 1"))
}

fn connects(server: &Postgres) -> bool {
    server.connect(DATABASE).is_ok_and(|mut client| client.batch_execute("SELECT 1").is_ok())
}

#[test]
fn a_killed_worker_leaves_a_crashed_run_and_the_others_go_on() {
    let server = server();
    run(&server, "SELECT strata.alter_job('rollup', '1 second')");
    let worker = hang_in_cleanup(&server);
    signal(worker, "KILL");
    // PostgreSQL restarts all its processes.
    eventually("the server is back", || is_back_without(&server, worker));
    eventually("the run is known to have crashed", || status_of_first(&server, "cleanup") == "crashed");
    let wait = "SELECT failures = 1 AND next_run_at > now() + interval '20 s' FROM strata.jobs WHERE name = 'cleanup'";
    assert_eq!(ask(&server, wait), "true");
    let after = count(&server, "SELECT max(run_id) FROM strata.job_runs");
    let on = format!(
        "SELECT count(*) FROM strata.job_runs WHERE job = 'rollup' AND status = 'succeeded' AND run_id > {after}"
    );
    eventually("others go on", || count(&server, &on) >= 2);
}

/// Any answer may be cut off by the restart that is still to come.
fn is_back_without(server: &Postgres, worker: i32) -> bool {
    let Ok(mut client) = server.connect("postgres") else { return false };
    let gone = client.query_one("SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $1", &[&worker]);
    gone.is_ok_and(|row| row.get(0)) && connects(server)
}

#[test]
fn a_terminated_worker_leaves_a_crashed_run_a_cancelled_one_a_cancelled_run() {
    let redis = SilentServer::start();
    let server = server_with_silent_redis(&redis);
    let worker = hang_in_flush(&server);
    signal(worker, "TERM");
    let start = Instant::now();
    eventually("crashed", || status_of_first(&server, "flush") == "crashed");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());

    run(&server, "DELETE FROM strata.job_runs");
    let worker = hang_in_flush(&server);
    signal(worker, "INT");
    let start = Instant::now();
    eventually("cancelled", || status_of_first(&server, "flush") == "cancelled");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(ask(&server, "SELECT failures FROM strata.jobs WHERE name = 'flush'"), "0");
}

#[test]
fn a_scheduler_that_dies_is_replaced_and_its_runs_go_on() {
    let server = server();
    let worker = hang_in_cleanup(&server);
    let first = pids(&server, "strata scheduler")[0];
    signal(first, "TERM");
    eventually("another scheduler", || pids(&server, "strata scheduler").first().is_some_and(|pid| *pid != first));
    sleep(1.0);
    assert_eq!(status_of_first(&server, "cleanup"), "running");
    assert_eq!(pids(&server, "strata worker: cleanup"), [worker]);
    signal(worker, "TERM");
    eventually("the new scheduler settles the run", || status_of_first(&server, "cleanup") == "crashed");
}

#[test]
fn a_launcher_that_dies_is_replaced_and_takes_over_the_schedulers() {
    let server = server();
    eventually("a scheduler", || has_scheduler(&server, DATABASE));
    let launcher = pids(&server, "strata launcher")[0];
    let scheduler = pids(&server, "strata scheduler");
    signal(launcher, "TERM");
    eventually("another launcher", || pids(&server, "strata launcher").first().is_some_and(|pid| *pid != launcher));
    sleep(2.0);
    assert_eq!(pids(&server, "strata scheduler"), scheduler);
    signal(scheduler[0], "TERM");
    eventually("it restarts what it took over", || {
        pids(&server, "strata scheduler").first().is_some_and(|pid| *pid != scheduler[0])
    });
}

#[test]
fn a_fast_shutdown_does_not_wait_for_a_running_job() {
    let redis = SilentServer::start();
    let mut server = server_with_silent_redis(&redis);
    hang_in_flush(&server);
    // So that no later run of the job can find out what became of this one.
    run(&server, "SELECT strata.pause_job('flush')");
    let took = server.stop_fast_within(Duration::from_secs(10)).unwrap();
    assert!(took < Duration::from_secs(2), "{took:?}");
    server.start().unwrap();
    eventually("the run is known to have crashed", || status_of_first(&server, "flush") == "crashed");
}

#[test]
fn a_standby_has_no_scheduler_until_it_is_promoted() {
    let mut server = server();
    eventually("a scheduler", || has_scheduler(&server, DATABASE));
    server.stop_fast().unwrap();
    std::fs::write(server.data_dir().join("standby.signal"), "").unwrap();
    server.start().unwrap();
    assert_eq!(ask(&server, "SELECT pg_is_in_recovery()"), "true");
    sleep(3.0);
    assert_eq!(pids(&server, "strata launcher"), [0; 0]);
    assert!(!has_scheduler(&server, DATABASE));
    assert_eq!(error_of(&server, "SELECT strata.run_job('rollup')").0, "25006");

    run(&server, "SELECT pg_promote()");
    eventually("a scheduler", || has_scheduler(&server, DATABASE));
}
