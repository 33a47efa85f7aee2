//! Jobs run when they are due, fail without harm to each other, and stop when they are told to.

mod workers_support;

use std::process::Command;

use strata_servers::pg_version;
use workers_support::*;

fn succeeded(job: &str) -> String {
    format!("SELECT count(*) FROM strata.job_runs WHERE job = '{job}' AND status = 'succeeded'")
}

#[test]
fn a_job_runs_on_its_schedule() {
    let server = server();
    run(&server, "SELECT strata.alter_job('rollup', '1 second')");
    eventually("three runs", || count(&server, &succeeded("rollup")) >= 3);
    let shortest = "SELECT min(gap) >= interval '900 ms' FROM (
        SELECT started_at - lag(started_at) OVER (ORDER BY run_id) AS gap FROM strata.job_runs WHERE job = 'rollup') AS g";
    assert_eq!(ask(&server, shortest), "true");
    assert_eq!(ask(&server, "SELECT count(*) FROM strata.job_runs WHERE job <> 'rollup'"), "0");
}

#[test]
fn jobs_that_never_ran_are_shown_with_their_next_run() {
    let server = server();
    let scheduled = "SELECT count(*) FROM strata.job_status WHERE last_status = 'never run' AND next_run_at > now()";
    eventually("all jobs are scheduled", || count(&server, scheduled) == 7);
    let archive = "SELECT next_run_at = strata.next_run('0 2 * * *') FROM strata.jobs WHERE name = 'archive'";
    assert_eq!(ask(&server, archive), "true");
}

#[test]
fn a_failing_job_backs_off_and_does_not_stop_another() {
    let server = server_without_redis();
    run(&server, "SELECT strata.alter_job('flush', '1 second'), strata.alter_job('rollup', '1 second')");
    eventually("other jobs run", || count(&server, &succeeded("rollup")) >= 4);

    let failed = "SELECT count(*) FROM strata.job_runs WHERE job = 'flush' AND status = 'failed'
                  AND sqlstate IS NOT NULL AND message <> '' AND hint <> ''";
    assert_eq!(ask(&server, failed), "1");
    let wait = "SELECT round(extract(epoch FROM next_run_at - last_finished_at)) FROM strata.jobs WHERE name = 'flush'";
    assert_eq!(ask(&server, wait), "30");

    run(&server, "UPDATE strata.jobs SET next_run_at = now() WHERE name = 'flush'; SELECT strata.wake_scheduler()");
    eventually("a second failure", || ask(&server, failed) == "2");
    assert_eq!(ask(&server, wait), "60");
    assert_eq!(ask(&server, "SELECT failures FROM strata.jobs WHERE name = 'flush'"), "2");
    assert_eq!(server.log().matches("strata job flush failed").count(), 2);

    // An alteration is a new beginning.
    run(&server, "SELECT strata.alter_job('flush', '1 hour')");
    assert_eq!(ask(&server, "SELECT failures FROM strata.jobs WHERE name = 'flush'"), "0");
}

#[test]
fn a_success_ends_the_back_off() {
    let server = server_without_redis();
    run(&server, "SELECT strata.alter_job('flush', '1 second')");
    eventually("a failure", || ask(&server, "SELECT failures FROM strata.jobs WHERE name = 'flush'") == "1");
    run(&server, "SELECT strata.detach('readings', force => true)");
    run(&server, "UPDATE strata.jobs SET next_run_at = now() WHERE name = 'flush'; SELECT strata.wake_scheduler()");
    eventually("runs on its schedule again", || count(&server, &succeeded("flush")) >= 2);
    assert_eq!(ask(&server, "SELECT failures FROM strata.jobs WHERE name = 'flush'"), "0");
}

#[test]
fn a_job_never_overlaps_itself() {
    let server = server();
    hang_in_cleanup(&server);
    sleep(3.0);
    assert_eq!(ask(&server, "SELECT count(*) FROM strata.job_runs WHERE job = 'cleanup'"), "1");
    let (code, message) = error_of(&server, "SELECT strata.run_job('cleanup')");
    assert_eq!((code.as_str(), message.as_str()), ("55006", "job \"cleanup\" is running already"));
    assert_eq!(ask(&server, "SELECT count(*) FROM strata.job_runs WHERE job = 'cleanup'"), "1");
}

#[test]
fn the_number_of_workers_is_limited_and_a_reload_raises_it() {
    let server = start(builder().conf("strata.max_workers", "1"));
    hang_in_cleanup(&server);
    run(&server, "SELECT strata.alter_job('rollup', '1 second')");
    sleep(3.0);
    assert_eq!(count(&server, &succeeded("rollup")), 0);

    server.set("strata.max_workers", "2").unwrap();
    server.reload();
    eventually("the second place is used", || count(&server, &succeeded("rollup")) >= 2);
}

#[test]
fn the_kill_switch_stops_the_schedule_but_not_run_job() {
    let server = server();
    run(&server, "SELECT strata.alter_job('rollup', '1 second')");
    eventually("a run", || count(&server, &succeeded("rollup")) >= 1);
    server.set("strata.scheduler_enabled", "off").unwrap();
    server.reload();
    sleep(1.0);
    let before = count(&server, &succeeded("rollup"));
    sleep(3.0);
    assert_eq!(count(&server, &succeeded("rollup")), before);

    run(&server, "SELECT strata.run_job('rollup')");
    assert_eq!(count(&server, &succeeded("rollup")), before + 1);

    server.set("strata.scheduler_enabled", "on").unwrap();
    server.reload();
    eventually("goes on", || count(&server, &succeeded("rollup")) >= before + 3);
}

#[test]
fn a_paused_job_waits_until_it_is_resumed() {
    let server = server();
    run(&server, "SELECT strata.alter_job('rollup', '1 second')");
    eventually("a run", || count(&server, &succeeded("rollup")) >= 1);
    run(&server, "SELECT strata.pause_job('rollup')");
    sleep(1.0);
    let before = count(&server, &succeeded("rollup"));
    sleep(3.0);
    assert_eq!(count(&server, &succeeded("rollup")), before);
    run(&server, "SELECT strata.resume_job('rollup')");
    eventually("goes on", || count(&server, &succeeded("rollup")) >= before + 2);
    run(&server, "SELECT strata.reset_job('rollup')");
    let settings = "SELECT row(schedule, enabled, altered) FROM strata.jobs WHERE name = 'rollup'";
    assert_eq!(ask(&server, settings), "(\"5 minutes\",t,f)");
}

#[test]
fn an_alteration_that_rolls_back_changes_nothing() {
    let server = server();
    run(&server, "BEGIN; SELECT strata.alter_job('rollup', '1 second'); SELECT pg_sleep(2); ROLLBACK");
    sleep(1.0);
    assert_eq!(ask(&server, "SELECT count(*) FROM strata.job_runs"), "0");
}

#[test]
fn what_is_no_schedule_is_refused() {
    let server = server();
    for schedule in ["often", "5", "61 * * * *", "0 0 31 2 *", "0 seconds"] {
        let (code, message) = error_of(&server, &format!("SELECT strata.alter_job('rollup', '{schedule}')"));
        assert_eq!(code, "22023", "{schedule}: {message}");
        assert!(message.contains("is not a schedule"), "{message}");
    }
    assert_eq!(error_of(&server, "UPDATE strata.jobs SET schedule = 'often'").0, "22023");
    assert_eq!(error_of(&server, "SELECT strata.alter_job('nap', '5 minutes')").0, "42704");
}

#[test]
fn altered_jobs_survive_a_dump() {
    let server = server();
    run(&server, "SELECT strata.alter_job('flush', '7 minutes'), strata.pause_job('archive')");
    run_in(&server, "postgres", "CREATE DATABASE restored");
    let program = |name: &str| {
        let mut command = Command::new("chroot");
        command.arg(server.root()).arg(format!("/usr/lib/postgresql/{}/bin/{name}", pg_version().major()));
        command.args(["-h", "127.0.0.1", "-p", &server.port().to_string(), "-U", "postgres", "-d"]);
        command
    };
    let dump = program("pg_dump").arg(DATABASE).output().unwrap();
    assert!(dump.status.success(), "{dump:?}");
    let restored = server.execute_script("restored", "CREATE SCHEMA IF NOT EXISTS scratch");
    restored.unwrap();
    let file = server.write_file("dump.sql", &dump.stdout).unwrap();
    let restore =
        program("psql").args(["restored", "-q", "-X", "-v", "ON_ERROR_STOP=1", "-f"]).arg(file).output().unwrap();
    assert!(restore.status.success(), "{restore:?}");
    let changed =
        "SELECT string_agg(concat_ws(' ', name, schedule, enabled), ', ' ORDER BY name) FROM strata.jobs WHERE altered";
    assert_eq!(ask_in(&server, "restored", changed), "archive 0 2 * * * f, flush 7 minutes t");
    assert_eq!(ask_in(&server, "restored", "SELECT count(*) FROM strata.jobs"), "7");
}
