//! `strata status`: each half is shown also when the other one cannot be had.

use crate::support::{Scratch, ask, redis_with_module, strata};
use strata_servers::{Postgres, RedisServer, pg_version, redis_kind};

const NOWHERE: (&str, &str) = ("PGHOST", "/nonexistent");

#[test]
fn both_servers_down_are_both_explained() {
    let run = strata(&["status", "--redis-url", "redis://127.0.0.1:1"], &[NOWHERE]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("redis://127.0.0.1:1 cannot be reached"), "{}", run.stderr);
    assert!(run.stderr.contains("PostgreSQL cannot be reached at /nonexistent"), "{}", run.stderr);
    assert!(run.stderr.contains("hint: "), "{}", run.stderr);
}

#[test]
fn redis_is_shown_when_postgresql_is_down() {
    let (redis, scratch) = (redis_with_module(), Scratch::new());
    let file = scratch.file("readings.csv", "time,key,x\n2026-01-31,A,1\n2026-02-01,A,2\n2026-02-01,B,2\n");
    assert_eq!(strata(&["ingest", &file, "--redis-url", &redis.url()], &[]).code, 0);
    let run = strata(&["status"], &[("REDIS_URL", &redis.url()), NOWHERE]);
    assert_eq!(run.code, 2);
    let row: Vec<&str> =
        run.stdout.lines().find(|line| line.trim_start().starts_with("readings")).unwrap().split_whitespace().collect();
    assert_eq!(row[..4], ["readings", "2", "3", "3"], "{}", run.stdout);
    assert_eq!(row[4..6], ["2026-01-31", "00:00:00Z"], "{}", run.stdout);
    assert!(!run.stdout.contains("warning"), "{}", run.stdout);
}

#[test]
fn a_redis_that_may_lose_samples_is_warned_about() {
    let redis =
        RedisServer::builder(redis_kind()).append_only(None).conf("maxmemory-policy", "allkeys-lru").start().unwrap();
    let run = strata(&["status", "--redis-url", &redis.url()], &[NOWHERE]);
    assert!(run.stdout.contains("warning: maxmemory-policy is allkeys-lru"), "{}", run.stdout);
    assert!(run.stdout.contains("warning: the AOF is off"), "{}", run.stdout);
    ask(&redis, async |hot| assert_eq!(hot.warnings().await.unwrap().len(), 2));
}

#[test]
fn postgresql_is_shown_when_redis_is_down() {
    let postgres = Postgres::builder(pg_version()).durable(false).start().unwrap();
    postgres.create_database("water").unwrap();
    postgres
        .execute_script(
            "water",
            "CREATE TABLE readings (time timestamptz, key text, x float8, PRIMARY KEY (key, time));
             SELECT strata.attach('readings', 'time', 'key')",
        )
        .unwrap();
    let run = strata(&["status", "--redis-url", "redis://127.0.0.1:1", "--pg", &postgres.url("water")], &[]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("redis://127.0.0.1:1 cannot be reached"), "{}", run.stderr);
    assert!(!run.stderr.contains("PostgreSQL"), "{}", run.stderr);
    for word in ["health", "sources", "readings", "jobs", "anomaly_detection", "never run", "no day is archived yet"] {
        assert!(run.stdout.contains(word), "{word} is not in\n{}", run.stdout);
    }
}

#[test]
fn a_database_without_the_extension_says_what_to_run() {
    let postgres = Postgres::builder(pg_version()).preload(false).durable(false).start().unwrap();
    let port = postgres.port().to_string();
    let variables =
        [("PGHOST", "127.0.0.1"), ("PGPORT", port.as_str()), ("PGUSER", "postgres"), ("PGDATABASE", "postgres")];
    let run = strata(&["status", "--redis-url", "redis://127.0.0.1:1"], &variables);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("CREATE EXTENSION strata"), "{}", run.stderr);
}
