//! What the tests of the workers share: a server, questions to it, and waiting for an answer.

#![allow(dead_code)] // each test program uses a part of it

use std::time::{Duration, Instant};

use strata_servers::{Postgres, PostgresBuilder, SilentServer, pg_version};

pub const DATABASE: &str = "sensors";

/// A server that looks after its databases every second, so that no test has to wait a minute.
pub fn builder() -> PostgresBuilder {
    Postgres::builder(pg_version()).conf("strata.launcher_poll", "1s")
}

/// A server with the extension in one database.
pub fn server() -> Postgres {
    start(builder())
}

/// A server whose Redis cannot be reached, with a source that is flushed from it.
pub fn server_without_redis() -> Postgres {
    let server = start(builder().conf("strata.redis_url", "redis://127.0.0.1:1/"));
    attach_source(&server);
    server
}

/// A server whose Redis accepts connections and never answers: its flush hangs.
pub fn server_with_silent_redis(redis: &SilentServer) -> Postgres {
    let url = format!("redis://{}/", redis.address());
    let server = start(builder().conf("strata.redis_url", &url).conf("strata.redis_timeout", "10min"));
    attach_source(&server);
    server
}

pub fn start(builder: PostgresBuilder) -> Postgres {
    let server = builder.start().unwrap();
    server.create_database(DATABASE).unwrap();
    server
}

fn attach_source(server: &Postgres) {
    run(
        server,
        "CREATE TABLE readings (time timestamptz NOT NULL, key text NOT NULL, value float8, UNIQUE (key, time))",
    );
    run(server, "SELECT strata.attach('readings', 'time', 'key', warm => NULL)");
}

/// Runs statements in the database of the test.
pub fn run(server: &Postgres, sql: &str) {
    run_in(server, DATABASE, sql);
}

pub fn run_in(server: &Postgres, database: &str, sql: &str) {
    server.execute_script(database, sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

/// The only value of a query, as text; NULL is the empty text.
pub fn ask(server: &Postgres, sql: &str) -> String {
    ask_in(server, DATABASE, sql)
}

pub fn ask_in(server: &Postgres, database: &str, sql: &str) -> String {
    let sql = format!("SELECT ({sql})::text");
    let mut client = server.connect(database).unwrap();
    let row = client.query_one(&sql, &[]).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    row.get::<_, Option<String>>(0).unwrap_or_default()
}

pub fn count(server: &Postgres, sql: &str) -> u64 {
    ask(server, sql).parse().unwrap()
}

/// SQLSTATE and message of a statement that must fail.
pub fn error_of(server: &Postgres, sql: &str) -> (String, String) {
    let mut client = server.connect(DATABASE).unwrap();
    client.batch_execute("SET statement_timeout = '20s'").unwrap();
    let error = client.batch_execute(sql).expect_err(sql);
    let error = error.as_db_error().unwrap_or_else(|| panic!("{sql}: {error:?}"));
    (error.code().code().to_owned(), error.message().to_owned())
}

/// Waits until the question is answered with yes.
pub fn eventually(what: &str, mut yes: impl FnMut() -> bool) {
    let start = Instant::now();
    while !yes() {
        assert!(start.elapsed() < Duration::from_secs(30), "not within 30 seconds: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub fn sleep(seconds: f64) {
    std::thread::sleep(Duration::from_secs_f64(seconds));
}

/// The pids of the background processes of this type, in the database of the test.
pub fn pids(server: &Postgres, backend_type: &str) -> Vec<i32> {
    pids_in(server, DATABASE, backend_type)
}

pub fn pids_in(server: &Postgres, database: &str, backend_type: &str) -> Vec<i32> {
    let sql = format!(
        "SELECT string_agg(pid::text, ' ') FROM pg_stat_activity
         WHERE backend_type = '{backend_type}' AND coalesce(datname, '{database}') = '{database}'"
    );
    ask_in(server, "postgres", &sql).split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

pub fn has_scheduler(server: &Postgres, database: &str) -> bool {
    !pids_in(server, database, "strata scheduler").is_empty()
}

/// Waits for a scheduled run of the job to be under way, and gives the pid of its worker.
pub fn wait_for_worker(server: &Postgres, job: &str) -> i32 {
    let title = format!("strata worker: {job}");
    eventually(&format!("{job} runs"), || {
        let running = format!("SELECT count(*) FROM strata.job_runs WHERE job = '{job}' AND status = 'running'");
        count(server, &running) == 1 && !pids(server, &title).is_empty()
    });
    pids(server, &title)[0]
}

/// Has the cleanup hang in its worker, in SQL, until somebody ends it.
pub fn hang_in_cleanup(server: &Postgres) -> i32 {
    run(
        server,
        "CREATE OR REPLACE FUNCTION public.hang() RETURNS trigger LANGUAGE plpgsql
             AS 'BEGIN PERFORM pg_sleep(600); RETURN OLD; END';
         CREATE OR REPLACE TRIGGER hang BEFORE DELETE ON strata.job_runs FOR EACH ROW EXECUTE FUNCTION public.hang();
         INSERT INTO strata.job_runs (job, status, started_at, finished_at)
             VALUES ('archive', 'succeeded', now() - interval '1 year', now() - interval '1 year');
         SELECT strata.alter_job('cleanup', '1 second')",
    );
    wait_for_worker(server, "cleanup")
}

/// Has the flush hang in its worker, in a remote wait, until its client gives up.
pub fn hang_in_flush(server: &Postgres) -> i32 {
    run(server, "SELECT strata.alter_job('flush', '1 second')");
    wait_for_worker(server, "flush")
}

pub fn signal(pid: i32, signal: &str) {
    let status = std::process::Command::new("kill").args(["-s", signal, &pid.to_string()]).status();
    assert!(status.unwrap().success(), "cannot send {signal} to {pid}");
}
