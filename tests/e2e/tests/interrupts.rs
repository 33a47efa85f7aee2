//! A remote store that hangs does not hold the database: every way to end a statement, a session or the server ends a
//! wait for Redis or BigQuery within a second. A long computation does not either.

use std::time::{Duration, Instant};

use postgres::Client;
use strata_e2e::stack::builder;
use strata_e2e::{Database, Refusal, postgres as server};
use strata_servers::{PROJECT, Postgres, Request, Response, ScriptedHttp, SilentServer};

/// The promised second, and some for a machine that is busy with other tests.
const LIMIT: Duration = Duration::from_millis(1_500);
const TIMEOUT: Duration = Duration::from_millis(500);

/// A tier that hangs, with a statement that waits for it and a job that does.
#[derive(Clone, Copy, Debug)]
enum Tier {
    Redis,
    BigQuery,
}

use Tier::{BigQuery, Redis};

impl Tier {
    fn job(self) -> &'static str {
        match self {
            Redis => "flush",
            BigQuery => "archive",
        }
    }

    /// The settings that make the silent server this tier.
    fn settings(self, silent: &SilentServer) -> Vec<(&'static str, String)> {
        match self {
            Redis => vec![
                ("strata.redis_url", format!("redis://{}/", silent.address())),
                ("strata.redis_timeout", "10min".into()),
            ],
            BigQuery => vec![
                ("strata.redis_url", String::new()),
                ("strata.bigquery_project", PROJECT.into()),
                ("strata.bigquery_endpoint", format!("http://{}", silent.address())),
            ],
        }
    }
}

/// A source whose days are in BigQuery only, as the manifest says, and one old day that waits for the archive.
fn database(server: &Postgres) -> Database {
    let database = Database::create(server);
    database.create_readings();
    database.attach(&format!("warm => '3 days', cold => '{}'", database.cold()));
    database.fill(5, 5);
    database.run(&format!(
        "INSERT INTO strata.manifest (source_id, day, rows, content_hash, state, bytes, dropped_at)
         SELECT source_id, '{}', 1, '1-{:032x}', 'dropped', 1, now() FROM strata.sources",
        database.date(9),
        1
    ));
    database
}

/// A statement that hangs in the silent server, in a thread of its own.
struct Hanging {
    thread: std::thread::JoinHandle<Option<Refusal>>,
    pid: i32,
}

impl Hanging {
    fn start(mut client: Client, sql: &str, silent: &SilentServer) -> Hanging {
        let pid = client.query_one("SELECT pg_backend_pid()", &[]).unwrap().get(0);
        let sql = sql.to_owned();
        let thread = std::thread::spawn(move || {
            let error = client.batch_execute(&sql).expect_err(&sql);
            error.as_db_error().is_some().then(|| Refusal::of(&error))
        });
        assert!(silent.wait_for_request(Duration::from_secs(20)), "nobody asks the silent server");
        Hanging { thread, pid }
    }

    /// strata.rows in a session.
    fn in_session(database: &Database, tier: Tier, silent: &SilentServer) -> Hanging {
        let mut client = database.connect();
        for (setting, value) in tier.settings(silent) {
            client.batch_execute(&format!("SET {setting} = '{value}'")).unwrap();
        }
        Hanging::start(client, "SELECT * FROM strata.rows(NULL::readings, '-infinity', 'infinity')", silent)
    }

    /// A job in its worker; the pid is the worker's.
    fn in_worker(database: &Database, tier: Tier, silent: &SilentServer) -> Hanging {
        for (setting, value) in tier.settings(silent) {
            database.run(&format!("ALTER DATABASE {} SET {setting} = '{value}'", database.name));
        }
        let hanging = Hanging::start(database.connect(), &format!("SELECT strata.run_job('{}')", tier.job()), silent);
        let pid = database.count("SELECT pid FROM strata.job_runs WHERE status = 'running'");
        Hanging { pid: pid as i32, ..hanging }
    }

    /// The error it ends with, and how long that took; no error where the connection was lost.
    fn end(self, by: impl FnOnce(i32)) -> (Option<Refusal>, Duration) {
        let start = Instant::now();
        by(self.pid);
        let refusal = self.thread.join().unwrap();
        (refusal, start.elapsed())
    }
}

fn assert_prompt(took: Duration, what: &str) {
    assert!(took < LIMIT, "{what} took {took:?}");
}

fn code(refusal: &Option<Refusal>) -> &str {
    refusal.as_ref().map_or("connection lost", |refusal| &refusal.sqlstate)
}

#[test]
fn statement_timeout_ends_a_query_that_hangs() {
    let database = database(server());
    for tier in [Redis, BigQuery] {
        let silent = SilentServer::start();
        let mut client = database.connect();
        for (setting, value) in tier.settings(&silent) {
            client.batch_execute(&format!("SET {setting} = '{value}'")).unwrap();
        }
        client.batch_execute(&format!("SET statement_timeout = {}", TIMEOUT.as_millis())).unwrap();
        let start = Instant::now();
        let error =
            client.batch_execute("SELECT * FROM strata.rows(NULL::readings, '-infinity', 'infinity')").unwrap_err();
        assert_prompt(start.elapsed().saturating_sub(TIMEOUT), &format!("{tier:?}"));
        assert_eq!(Refusal::of(&error).sqlstate, "57014");
        assert!(silent.received_bytes() > 0, "{tier:?} was not asked");
        // the session lives
        client.batch_execute("SELECT 1").unwrap();
    }
}

#[test]
fn cancel_and_terminate_end_a_query_that_hangs() {
    let database = database(server());
    for tier in [Redis, BigQuery] {
        // the client may see the end of its connection before it has read the reason
        let ways = [("pg_cancel_backend", ["57014", "57014"]), ("pg_terminate_backend", ["57P01", "connection lost"])];
        for (function, expected) in ways {
            let silent = SilentServer::start();
            let hanging = Hanging::in_session(&database, tier, &silent);
            let (refusal, took) = hanging.end(|pid| database.run(&format!("SELECT {function}({pid})")));
            assert_prompt(took, &format!("{function} of {tier:?}"));
            assert!(expected.contains(&code(&refusal)), "{function} of {tier:?}: {refusal:?}");
        }
    }
}

#[test]
fn cancel_and_terminate_end_a_job_that_hangs() {
    let database = database(server());
    for tier in [Redis, BigQuery] {
        for (function, expected) in
            [("pg_cancel_backend", ["57014", "57014"]), ("pg_terminate_backend", ["57P01", "57P02"])]
        {
            let silent = SilentServer::start();
            let hanging = Hanging::in_worker(&database, tier, &silent);
            let (refusal, took) = hanging.end(|pid| database.run(&format!("SELECT {function}({pid})")));
            assert_prompt(took, &format!("{function} of {tier:?}"));
            assert!(expected.contains(&code(&refusal)), "{function} of {tier:?}: {refusal:?}");
        }
    }
}

#[test]
fn statement_timeout_of_the_caller_ends_a_job_that_hangs() {
    let database = database(server());
    for tier in [Redis, BigQuery] {
        let silent = SilentServer::start();
        for (setting, value) in tier.settings(&silent) {
            database.run(&format!("ALTER DATABASE {} SET {setting} = '{value}'", database.name));
        }
        let start = Instant::now();
        let sql = format!("SET statement_timeout = {}; SELECT strata.run_job('{}')", TIMEOUT.as_millis(), tier.job());
        assert_eq!(database.refusal(&sql).sqlstate, "57014");
        assert_prompt(start.elapsed().saturating_sub(TIMEOUT), &format!("{tier:?}"));
        let workers = "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'strata worker%' AND datname = current_database()";
        strata_e2e::eventually("the worker is gone", || database.count(workers) == 0);
        assert_prompt(start.elapsed().saturating_sub(TIMEOUT), &format!("the worker of {tier:?}"));
    }
}

#[test]
fn a_fast_shutdown_does_not_wait_for_what_hangs() {
    let mut server = builder().durable(false).start().unwrap();
    let database = database(&server);
    for tier in [Redis, BigQuery] {
        for worker in [false, true] {
            let silent = SilentServer::start();
            let hanging = match worker {
                false => Hanging::in_session(&database, tier, &silent),
                true => Hanging::in_worker(&database, tier, &silent),
            };
            let took = server.stop_fast().unwrap();
            assert_prompt(took, &format!("shutdown during {tier:?}, in a worker: {worker}"));
            hanging.thread.join().unwrap();
            server.start().unwrap();
        }
    }
}

/// A service that takes every job and finishes none.
fn never_finishing(request: &Request) -> Response {
    let is = |method: &str, part: &str| request.method == method && request.path.contains(part);
    if is("POST", "/cancel") {
        return Response::json(200, r#"{"kind": "bigquery#jobCancelResponse"}"#);
    }
    if is("POST", "/jobs") {
        let mut job: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        job["status"] = serde_json::json!({ "state": "RUNNING" });
        return Response::json(200, &job.to_string());
    }
    let job = request.path.rsplit('/').next().unwrap();
    let reply = serde_json::json!({
        "jobReference": { "projectId": PROJECT, "jobId": job }, "jobComplete": false, "status": { "state": "RUNNING" },
    });
    Response::json(200, &reply.to_string())
}

#[test]
fn the_bigquery_job_of_a_cancelled_query_is_cancelled_too() {
    let database = database(server());
    let service = ScriptedHttp::start(never_finishing);
    let mut client = database.connect();
    client
        .batch_execute(&format!(
            "SET strata.bigquery_project = '{PROJECT}'; SET strata.bigquery_endpoint = '{}'; SET statement_timeout = 500",
            service.endpoint()
        ))
        .unwrap();
    let start = Instant::now();
    let error = client.batch_execute("SELECT * FROM strata.rows(NULL::readings, '-infinity', 'infinity')").unwrap_err();
    assert_prompt(start.elapsed().saturating_sub(TIMEOUT), "the statement");
    assert_eq!(Refusal::of(&error).sqlstate, "57014", "{error:?}");
    let requests = service.requests();
    let job = requests.iter().find(|request| request.method == "POST" && request.path.ends_with("/jobs"));
    let job: serde_json::Value = serde_json::from_slice(&job.expect("a job was submitted").body).unwrap();
    let id = job["jobReference"]["jobId"].as_str().unwrap();
    let cancel = format!("/jobs/{id}/cancel");
    assert!(requests.iter().any(|request| request.path.ends_with(&cancel)), "{id} was not cancelled");
}

#[test]
fn the_fit_of_a_joint_model_ends_with_the_statement() {
    let database = Database::create(server());
    // a fit to half a million values takes some seconds in a release build
    database.run(
        "CREATE TABLE network AS
         SELECT array_agg(time ORDER BY time) AS times, array_agg(\"values\" ORDER BY time) AS \"values\"
         FROM (SELECT 'epoch'::timestamptz + n * interval '1 min' AS time,
                      (SELECT array_agg(((n * 7919 + s * 104729) % 1009)::float8 ORDER BY s) FROM generate_series(1, 150) s) AS \"values\"
               FROM generate_series(1, 3000) n) rows",
    );
    let mut client = database.connect();
    let fit = "SELECT count(*) FROM network, strata.detect_joint(times, \"values\", 3000)";
    client.batch_execute("SET statement_timeout = '1s'").unwrap();
    let start = Instant::now();
    let error = client.batch_execute(fit).unwrap_err();
    assert_eq!(Refusal::of(&error).sqlstate, "57014");
    assert_prompt(start.elapsed() - Duration::from_secs(1), "a fit at statement_timeout");
}
