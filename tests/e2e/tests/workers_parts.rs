//! A run shares its sources among several processes, and is one run all the same.

mod workers_support;

use std::time::{Duration, Instant};

use postgres::Client;
use strata_servers::{Postgres, pg_version};
use workers_support::*;

const LEADER: &str = "strata worker: anomaly_detection";
const PART: &str = "strata part: anomaly_detection";
const DETECT: &str = "SELECT strata.run_job('anomaly_detection')";

/// Whoever comes to a gate stays there.
const STAY_AT_GATES: &str = "CREATE OR REPLACE FUNCTION public.gate() RETURNS trigger LANGUAGE plpgsql
    AS 'BEGIN PERFORM pg_sleep(600); RETURN OLD; END'";

/// Sources s1, s2, …, each with two hundred readings of a day more than the one after it. A process that has judged one
/// waits at the source's gate before it commits.
fn with_sources(server: Postgres, count: i32) -> Postgres {
    for source in 1..=count {
        run(
            &server,
            &format!(
                "CREATE TABLE s{source} (time timestamptz, key text, value float8, PRIMARY KEY (key, time));
                 SELECT strata.attach('s{source}', 'time', 'key', hot => NULL);
                 INSERT INTO s{source} SELECT '2026-01-01 00:00+00'::timestamptz + n * interval '1 min', 'A', n % 7
                     FROM generate_series(1, 200 * ({count} - {source} + 1)) n"
            ),
        );
    }
    run(
        &server,
        "CREATE FUNCTION public.gate() RETURNS trigger LANGUAGE plpgsql
             AS 'BEGIN PERFORM pg_advisory_xact_lock_shared(OLD.source_id); RETURN OLD; END';
         CREATE TRIGGER gate BEFORE DELETE ON strata.dirty_days FOR EACH ROW
             WHEN (OLD.consumer = 'anomaly_detection') EXECUTE FUNCTION public.gate()",
    );
    server
}

fn server_with(settings: &[(&str, &str)], sources: i32) -> Postgres {
    let builder = settings.iter().fold(builder(), |builder, (name, value)| builder.conf(name, value));
    with_sources(start(builder), sources)
}

/// Keeps the gates of some sources shut.
struct Gates(Client);

impl Gates {
    fn shut(server: &Postgres, sources: impl IntoIterator<Item = i32>) -> Self {
        let mut client = server.connect(DATABASE).unwrap();
        for source in sources {
            client.execute("SELECT pg_advisory_lock($1::int::bigint)", &[&source]).unwrap();
        }
        Self(client)
    }

    fn open(&mut self, source: i32) {
        self.0.execute("SELECT pg_advisory_unlock($1::int::bigint)", &[&source]).unwrap();
    }
}

fn process_waits_at(server: &Postgres, source: i32) -> bool {
    count(
        server,
        &format!("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = {source} AND NOT granted"),
    ) > 0
}

/// The process that waits at the gate of a source.
fn process_at(server: &Postgres, source: i32) -> i32 {
    let sql = format!("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = {source} AND NOT granted");
    eventually(&format!("somebody waits at gate {source}"), || {
        ask(server, &format!("SELECT count(*) FROM ({sql}) w")) == "1"
    });
    ask(server, &sql).parse().unwrap()
}

/// Waits until a process is at each of these gates; gives the parts among them.
fn parts_at(server: &Postgres, sources: &[i32]) -> Vec<(i32, i32)> {
    let at: Vec<(i32, i32)> = sources.iter().map(|&source| (source, process_at(server, source))).collect();
    let parts = pids(server, PART);
    at.into_iter().filter(|(_, pid)| parts.contains(pid)).collect()
}

fn processes(server: &Postgres) -> (usize, usize) {
    (pids(server, LEADER).len(), pids(server, PART).len())
}

/// Starts a run that nobody waits for.
fn start_detection(server: &Postgres) {
    run(
        server,
        "UPDATE strata.jobs SET next_run_at = now() WHERE name = 'anomaly_detection'; SELECT strata.wake_scheduler()",
    );
}

fn first_run(server: &Postgres, what: &str) -> String {
    ask(server, &format!("SELECT {what} FROM strata.job_runs WHERE job = 'anomaly_detection' ORDER BY run_id LIMIT 1"))
}

/// The sources that detection still has to look at.
fn left(server: &Postgres) -> String {
    ask(
        server,
        "SELECT string_agg(name, ' ' ORDER BY name) FROM strata.dirty_days JOIN strata.sources USING (source_id)
         WHERE consumer = 'anomaly_detection'",
    )
}

#[test]
fn a_run_is_shared_among_the_places_that_are_free() {
    let server = server_with(&[("strata.max_workers", "3")], 5);
    let mut gates = Gates::shut(&server, 1..=5);
    std::thread::scope(|scope| {
        let caller = scope.spawn(|| {
            ask(&server, "SELECT concat_ws(' ', status, rows, message) FROM strata.run_job('anomaly_detection')")
        });
        assert_eq!(parts_at(&server, &[1, 2, 3]).len(), 2);
        assert_eq!(processes(&server), (1, 2));
        let titles = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = application_name
                      AND query = 'strata: anomaly detection' AND backend_type LIKE 'strata %'";
        assert_eq!(ask(&server, titles), "3");
        (1..=5).for_each(|source| gates.open(source));
        let said: Vec<String> = (1..=4).map(|source| format!("s{source}: 1 new anomalies")).collect();
        assert_eq!(caller.join().unwrap(), format!("succeeded 3000 {}", said.join("; ")));
    });
    assert_eq!(left(&server), "");
    assert_eq!(processes(&server), (0, 0));
    assert_eq!(ask(&server, "SELECT count(*) FROM strata.job_runs WHERE job = 'anomaly_detection'"), "1");
}

#[test]
fn the_rollup_is_shared_as_well() {
    let server = server_with(&[], 3);
    run(
        &server,
        "CREATE TRIGGER gate_of_rollup BEFORE DELETE ON strata.dirty_days FOR EACH ROW
             WHEN (OLD.consumer = 'rollup') EXECUTE FUNCTION public.gate()",
    );
    let gates = Gates::shut(&server, 1..=3);
    std::thread::scope(|scope| {
        let caller = scope.spawn(|| ask(&server, "SELECT message FROM strata.run_job('rollup')"));
        let at: Vec<i32> = (1..=3).map(|source| process_at(&server, source)).collect();
        let parts = pids(&server, "strata part: rollup");
        assert_eq!((parts.len(), at.iter().filter(|pid| parts.contains(pid)).count()), (2, 2));
        drop(gates);
        assert_eq!(caller.join().unwrap(), "s1: 1 days; s2: 1 days; s3: 1 days");
    });
    for source in 1..=3 {
        let rolled = format!(
            "SELECT count(*) = (SELECT count(DISTINCT date_bin('5 min', time, '2026-01-01 00:00+00')) FROM s{source})
             FROM strata.rollups WHERE relation = 's{source}'::regclass AND width = interval '5 min'"
        );
        assert_eq!(ask(&server, &rolled), "true", "s{source}");
    }
}

#[test]
fn with_one_place_or_one_source_with_work_the_worker_is_alone() {
    let server = server_with(&[("strata.max_workers", "1")], 2);
    let gates = Gates::shut(&server, [1]);
    std::thread::scope(|scope| {
        let caller = scope.spawn(|| run(&server, DETECT));
        process_at(&server, 1);
        assert_eq!(processes(&server), (1, 0));
        drop(gates);
        caller.join().unwrap();
    });
    run(&server, "ALTER SYSTEM SET strata.max_workers = 4");
    run(&server, "SELECT pg_reload_conf()");
    eventually("the setting is there", || ask(&server, "SELECT current_setting('strata.max_workers')") == "4");
    run(&server, "UPDATE s2 SET value = 1");
    let gates = Gates::shut(&server, [2]);
    std::thread::scope(|scope| {
        let caller = scope.spawn(|| run(&server, DETECT));
        process_at(&server, 2);
        assert_eq!(processes(&server), (1, 0));
        drop(gates);
        caller.join().unwrap();
    });
}

#[test]
fn other_runs_and_the_slots_of_the_server_limit_the_parts() {
    let server = server_with(&[("strata.max_workers", "3")], 4);
    hang_in_cleanup(&server);
    let _gates = Gates::shut(&server, 1..=4);
    start_detection(&server);
    parts_at(&server, &[1, 2]);
    assert_eq!(processes(&server), (1, 1));
    drop(server);

    // The launchers of Strata, logical replication and TimescaleDB, TimescaleDB's scheduler, and one for the run.
    let slots = if pg_version().has_timescaledb() { "4" } else { "2" };
    let server = builder().conf("max_worker_processes", slots).conf("strata.scheduler_enabled", "off").preload(false);
    let server = with_sources(start(server), 3);
    let gates = Gates::shut(&server, [1]);
    std::thread::scope(|scope| {
        let caller = scope.spawn(|| run(&server, DETECT));
        process_at(&server, 1);
        assert_eq!(processes(&server).0, 1);
        drop(gates);
        caller.join().unwrap();
    });
    assert_eq!(left(&server), "");
}

#[test]
fn a_part_leaves_its_place_to_a_job_that_is_due() {
    let server = server_with(&[("strata.max_workers", "2")], 4);
    let mut gates = Gates::shut(&server, 1..=4);
    start_detection(&server);
    let parts = parts_at(&server, &[1, 2]);
    let [(at, part)] = parts[..] else { panic!("{parts:?}") };
    run(&server, "SELECT strata.alter_job('cleanup', '1 second')");
    let cleanups = "SELECT count(*) FROM strata.job_runs WHERE job = 'cleanup'";
    let asked = Instant::now();
    while asked.elapsed() < Duration::from_secs(3) {
        assert_eq!(count(&server, cleanups), 0, "both places are taken");
        sleep(0.1);
    }
    gates.open(at);
    eventually("the cleanup runs", || count(&server, cleanups) > 0);
    assert!(!pids(&server, PART).contains(&part));
    assert_eq!(processes(&server), (1, 0));
    assert_eq!(first_run(&server, "status"), "running");
    drop(gates);
    eventually("the worker does the rest", || first_run(&server, "status") == "succeeded");
    assert_eq!((left(&server), first_run(&server, "rows")), (String::new(), "2000".to_owned()));
}

#[test]
fn what_a_terminated_part_had_taken_fails_and_nothing_else() {
    let server = server_with(&[("strata.retry_max", "30s")], 4);
    let mut gates = Gates::shut(&server, 1..=4);
    start_detection(&server);
    let parts = parts_at(&server, &[1, 2, 3, 4]);
    let (taken, pid) = parts[0];
    run(&server, &format!("SELECT pg_terminate_backend({pid})"));
    eventually("it is gone", || pids(&server, PART).len() == 2);
    (1..=4).for_each(|source| gates.open(source));
    eventually("the run has failed", || first_run(&server, "status") == "failed");
    let error =
        format!("57P02 anomaly detection of source \"s{taken}\": the process that worked on it ended without a result");
    assert_eq!(first_run(&server, "sqlstate || ' ' || message"), error);
    assert_eq!(left(&server), format!("s{taken}"));
    run(&server, DETECT);
    assert_eq!(left(&server), "");
}

#[test]
fn an_error_in_a_part_is_the_error_of_the_run() {
    let server = server_with(&[], 4);
    let mut gates = Gates::shut(&server, 1..=4);
    // fires after the gate, whose name comes before
    run(
        &server,
        "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql
             AS $$BEGIN RAISE EXCEPTION 'refused %', OLD.source_id USING DETAIL = 'fact', HINT = 'hint'; END$$;
         CREATE TRIGGER refuse BEFORE DELETE ON strata.dirty_days FOR EACH ROW
             WHEN (OLD.consumer = 'anomaly_detection' AND OLD.source_id > 1) EXECUTE FUNCTION public.refuse()",
    );
    std::thread::scope(|scope| {
        let caller = scope.spawn(|| server.connect(DATABASE).unwrap().batch_execute(DETECT).unwrap_err());
        assert_eq!(parts_at(&server, &[1, 2, 3, 4]).len(), 3);
        (1..=4).for_each(|source| gates.open(source));
        let error = caller.join().unwrap();
        let error = error.as_db_error().unwrap();
        assert_eq!(error.message(), "anomaly detection of source \"s2\" (and 2 more sources): refused 2");
        assert!(error.detail().unwrap().starts_with("fact\nsource \"s3\": refused 3\nsource \"s4\": refused 4\n"));
        assert_eq!((error.code().code(), error.hint()), ("P0001", Some("hint")));
    });
    assert_eq!(left(&server), "s2 s3 s4");
}

#[test]
fn a_cancelled_run_ends_its_parts() {
    let server = server_with(&[], 4);
    let mut gates = Gates::shut(&server, 1..=4);
    // by the session that waits for it, and by somebody who cancels one of its processes
    let (code, _) = error_of(&server, &format!("SET statement_timeout = '3s'; {DETECT}"));
    assert_eq!(code, "57014");
    eventually("cancelled", || first_run(&server, "status") == "cancelled" && processes(&server) == (0, 0));
    for victim in [LEADER, PART] {
        run(&server, "DELETE FROM strata.job_runs");
        start_detection(&server);
        parts_at(&server, &[1, 2, 3, 4]);
        let start = Instant::now();
        run(&server, &format!("SELECT pg_cancel_backend({})", pids(&server, victim)[0]));
        eventually("the parts are gone", || pids(&server, PART).is_empty());
        if victim == PART {
            // the worker learns of it when it has done its source
            let at = (1..=4).find(|source| process_waits_at(&server, *source)).unwrap();
            gates.open(at);
        }
        eventually("cancelled", || first_run(&server, "status") == "cancelled" && processes(&server) == (0, 0));
        assert!(start.elapsed() < Duration::from_secs(3), "{victim}: {:?}", start.elapsed());
    }
    assert_eq!(left(&server).split(' ').count(), 3);
    drop(gates);
    run(&server, DETECT);
    assert_eq!(left(&server), "");
}

#[test]
fn a_terminated_worker_ends_its_parts_and_no_run_begins_before_they_have_ended() {
    let server = server_with(&[], 3);
    let gates = Gates::shut(&server, 1..=3);
    start_detection(&server);
    let parts = parts_at(&server, &[1, 2, 3]);
    let (_, stopped) = parts[0];
    signal(stopped, "STOP");
    signal(pids(&server, LEADER)[0], "TERM");
    eventually("the others are gone", || processes(&server) == (0, 1));
    eventually("crashed", || first_run(&server, "status") == "crashed");
    assert_eq!(error_of(&server, DETECT).0, "55006");
    signal(stopped, "CONT");
    eventually("the last is gone", || processes(&server) == (0, 0));
    assert_eq!(left(&server), "s1 s2 s3");
    drop(gates);
    run(&server, DETECT);
    assert_eq!(left(&server), "");
}

#[test]
fn parts_that_come_up_after_their_worker_is_gone_leave() {
    let server = server_with(&[], 3);
    let gates = Gates::shut(&server, 1..=3);
    // a postmaster that stands still starts nobody, and takes no connection either
    let (mut locker, mut client) = (server.connect(DATABASE).unwrap(), server.connect(DATABASE).unwrap());
    let mut is = |sql: &str| client.query_one(&format!("SELECT {sql}"), &[]).unwrap().get::<_, bool>(0);
    locker.batch_execute("BEGIN; LOCK TABLE strata.dirty_log").unwrap();
    start_detection(&server);
    let leader = wait_for_worker(&server, "anomaly_detection");
    let waits = "EXISTS (SELECT FROM pg_locks WHERE pid = {} AND locktype = '{}' AND NOT granted)";
    let waits_for = |what: &str| waits.replacen("{}", &leader.to_string(), 1).replacen("{}", what, 1);
    eventually("it waits", || is(&waits_for("relation")));
    signal(server.pid() as i32, "STOP");
    locker.batch_execute("COMMIT").unwrap();
    eventually("it has started its parts", || is(&waits_for("advisory")));
    signal(leader, "TERM");
    eventually("it is gone", || !is(&format!("EXISTS (SELECT FROM pg_stat_activity WHERE pid = {leader})")));
    signal(server.pid() as i32, "CONT");
    eventually("crashed", || first_run(&server, "status") == "crashed");
    eventually("nobody is left", || processes(&server) == (0, 0));
    assert!(is("true"), "the server has not started anew");
    assert_eq!(count(&server, "SELECT count(*) FROM strata.job_runs"), 1, "nobody has tried again at once");
    drop(gates);
    run(&server, DETECT);
    assert_eq!(left(&server), "");
}

#[test]
fn a_fast_shutdown_does_not_wait_for_parts() {
    let mut server = server_with(&[], 4);
    run(&server, STAY_AT_GATES);
    start_detection(&server);
    eventually("all work", || processes(&server) == (1, 3));
    run(&server, "SELECT strata.pause_job('anomaly_detection')");
    let took = server.stop_fast_within(Duration::from_secs(10)).unwrap();
    assert!(took < Duration::from_secs(2), "{took:?}");
    server.start().unwrap();
    eventually("the run is known to have crashed", || first_run(&server, "status") == "crashed");
}

#[test]
fn a_database_is_dropped_at_once_while_parts_work() {
    let server = server_with(&[], 4);
    run(
        &server,
        "CREATE OR REPLACE FUNCTION public.gate() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(600); RETURN OLD; END'",
    );
    start_detection(&server);
    eventually("all work", || processes(&server) == (1, 3));
    let start = Instant::now();
    run_in(&server, "postgres", "DROP DATABASE sensors");
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    assert_eq!(processes(&server), (0, 0));
}

/// A part that begins its next source may want what the command has locked already, and has what the command waits for. The
/// server then ends one of them; if that was the command, it is for its caller to repeat it.
fn drop_extension(server: &Postgres) {
    while let Err(error) = server.execute_script(DATABASE, "DROP EXTENSION strata CASCADE") {
        let text = format!("{error:#}");
        assert!(text.contains("deadlock detected"), "{text}");
    }
}

#[test]
fn the_extension_is_dropped_when_its_parts_have_done_their_sources() {
    let server = server_with(&[], 6);
    let gates = Gates::shut(&server, 1..=6);
    start_detection(&server);
    eventually("all work", || processes(&server) == (1, 3));
    std::thread::scope(|scope| {
        let caller = scope.spawn(|| drop_extension(&server));
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'DROP EXT%' AND wait_event_type = 'Lock'";
        eventually("it waits", || count(&server, waits) == 1);
        drop(gates);
        caller.join().unwrap();
    });
    eventually("all leave", || processes(&server) == (0, 0) && !has_scheduler(&server, DATABASE));
}

#[test]
fn parts_need_no_preloaded_library() {
    let server = with_sources(start(builder().preload(false).conf("strata.max_workers", "3")), 4);
    let gates = Gates::shut(&server, 1..=4);
    std::thread::scope(|scope| {
        let caller = scope.spawn(|| ask(&server, "SELECT rows FROM strata.run_job('anomaly_detection')"));
        parts_at(&server, &[1, 2, 3]);
        assert_eq!(processes(&server), (1, 2));
        drop(gates);
        assert_eq!(caller.join().unwrap(), "2000");
    });
}
