//! `strata ingest`: good files, bad rows, repetition, and servers that are not as they should be.

use crate::support::{Scratch, ask, redis_with_module, strata};
use strata_servers::{RedisServer, paths, redis_kind};

const GOOD: &str = "timestamp,node_id,flow_rate,pressure
2026-01-31T10:00:00Z,NODE_001,12.5,3.1
2026-01-31T10:05:00Z,NODE_001,12.75,
2026-01-31T10:00:00Z,NODE_002,7,2.9
";

const BAD: &str = "timestamp,node_id,flow_rate,pressure
2026-01-31T10:00:00Z,NODE_001,12.5,3.1
yesterday,NODE_001,1,1
2026-01-31T10:05:00Z,NODE_001,wet,1
2026-01-31T10:10:00Z,NODE_001
2026-01-31T10:15:00Z,,1,1

2026-01-31T10:20:00Z,NODE_001,,
2026-01-31T10:25:00Z,NODE_001,13,3.2
";

#[test]
fn a_good_file_goes_in_as_it_is() {
    let (redis, scratch) = (redis_with_module(), Scratch::new());
    let file = scratch.file("sensor_readings.csv", GOOD);
    let run = strata(&["ingest", &file, "--redis-url", &redis.url()], &[]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stdout.contains("3 samples of 2 series into source sensor_readings"), "{}", run.stdout);
    assert!(!scratch.has("sensor_readings.rejected.csv"));

    let pending = ask(&redis, async |hot| hot.pending("sensor_readings", None, None, None, None).await).unwrap();
    assert_eq!((pending.rows(), pending.series.len()), (3, 2));
    let one = pending.series.iter().find(|series| series.key == "NODE_001").unwrap();
    assert_eq!(one.batch.times, [1_769_853_600_000_000, 1_769_853_900_000_000]);
    let column =
        |name: &str| &one.batch.columns[one.batch.measures.iter().position(|measure| measure == name).unwrap()];
    assert_eq!(column("flow_rate"), &[12.5, 12.75]);
    assert!(column("pressure")[0] == 3.1 && column("pressure")[1].is_nan());
}

#[test]
fn bad_rows_are_named_and_collected_and_the_rest_goes_in() {
    let (redis, scratch) = (redis_with_module(), Scratch::new());
    let file = scratch.file("readings.csv", BAD);
    let run = strata(&["ingest", &file], &[("REDIS_URL", &redis.url())]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    for line in [
        "line 3: \"yesterday\" is not a time",
        "line 4: flow_rate: \"wet\" is not a number",
        "line 5: 2 fields instead of 4",
        "line 6: the key is empty",
        "line 8: no measure has a value",
    ] {
        assert!(run.stderr.contains(line), "{line} is not in\n{}", run.stderr);
    }
    assert!(run.stdout.contains("2 samples of 1 series"), "{}", run.stdout);
    assert!(run.stdout.contains("5 rows rejected, see "), "{}", run.stdout);
    let rejected = scratch.read("readings.rejected.csv");
    let mut lines = rejected.lines();
    assert_eq!(lines.next().unwrap(), "rejected_line,rejected_reason,timestamp,node_id,flow_rate,pressure");
    assert_eq!(lines.next().unwrap().split(',').next().unwrap(), "3");
    assert_eq!(lines.count(), 4);
    assert_eq!(ask(&redis, async |hot| hot.info_source("readings").await).unwrap().samples, 2);
}

#[test]
fn a_corrected_file_of_rejected_rows_goes_in_as_it_is() {
    let (redis, scratch) = (redis_with_module(), Scratch::new());
    let file = scratch.file("readings.csv", BAD);
    strata(&["ingest", &file, "--redis-url", &redis.url()], &[]);
    let corrected: String = scratch
        .read("readings.rejected.csv")
        .lines()
        .filter(|line| line.starts_with("rejected_line") || line.contains("wet"))
        .map(|line| line.replace("wet", "12.6") + "\n")
        .collect();
    let file = scratch.file("corrected.csv", &corrected);
    let run = strata(&["ingest", &file, "--source", "readings", "--redis-url", &redis.url()], &[]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(ask(&redis, async |hot| hot.info_source("readings").await).unwrap().samples, 3);
}

#[test]
fn strict_puts_nothing_in_if_a_row_is_bad() {
    let (redis, scratch) = (redis_with_module(), Scratch::new());
    let file = scratch.file("readings.csv", BAD);
    let elsewhere = scratch.path("elsewhere.csv");
    let run = strata(&["ingest", &file, "--strict", "--rejected", &elsewhere, "--redis-url", &redis.url()], &[]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("nothing was put in: 5 bad rows"), "{}", run.stderr);
    assert!(scratch.has("elsewhere.csv"));
    assert_eq!(ask(&redis, async |hot| hot.info_source("readings").await).unwrap().samples, 0);

    let file = scratch.file("good.csv", GOOD);
    assert_eq!(strata(&["ingest", &file, "--strict", "--redis-url", &redis.url()], &[]).code, 0);
    assert_eq!(ask(&redis, async |hot| hot.info_source("good").await).unwrap().samples, 3);
}

#[test]
fn a_real_file_goes_in_twice_and_counts_once() {
    let redis = redis_with_module();
    let file = paths::project().join("tests/data/nab/data/realKnownCause/nyc_taxi.csv").display().to_string();
    let arguments =
        ["ingest", &file, "--source", "measurements", "--key", "taxi", "--batch", "1000", "--redis-url", &redis.url()];
    for _ in 0..2 {
        let run = strata(&arguments, &[]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        assert!(run.stdout.contains("10 320 samples of 1 series"), "{}", run.stdout);
    }
    let info = ask(&redis, async |hot| hot.info_source("measurements").await).unwrap();
    assert_eq!((info.series, info.samples, info.pending), (1, 10_320, 10_320));
    let latest = ask(&redis, async |hot| hot.latest("measurements", None).await).unwrap();
    assert_eq!(latest[0].values, [("value".to_owned(), 26_288.0)]);
}

#[test]
fn a_sample_that_only_redis_refuses_is_rejected_with_its_line() {
    let (redis, scratch) = (redis_with_module(), Scratch::new());
    let name = "m".repeat(300);
    let file = scratch.file("readings.csv", &format!("time,key,{name},x\n1769853600,A,1,\n1769853600,B,,2\n"));
    let run = strata(&["ingest", &file, "--redis-url", &redis.url()], &[]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(run.stderr.contains("line 2: a measure's name is 1 to"), "{}", run.stderr);
    assert_eq!(ask(&redis, async |hot| hot.info_source("readings").await).unwrap().samples, 1);
}

#[test]
fn a_full_redis_is_a_failure_and_no_row_is_called_bad() {
    let (redis, scratch) = (RedisServer::builder(redis_kind()).conf("maxmemory", "1").start().unwrap(), Scratch::new());
    let file = scratch.file("readings.csv", GOOD);
    let run = strata(&["ingest", &file, "--redis-url", &redis.url()], &[]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("maxmemory"), "{}", run.stderr);
    assert!(!scratch.has("readings.rejected.csv"));
}

#[test]
fn a_redis_that_is_down_or_lacks_the_module_is_explained() {
    let scratch = Scratch::new();
    let file = scratch.file("readings.csv", GOOD);
    let run = strata(&["ingest", &file, "--redis-url", "redis://127.0.0.1:1"], &[]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("redis://127.0.0.1:1 cannot be reached"), "{}", run.stderr);

    let plain = RedisServer::builder(redis_kind()).module(false).start().unwrap();
    let run = strata(&["ingest", &file, "--redis-url", &plain.url()], &[]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("does not have the Strata module"), "{}", run.stderr);
    assert!(run.stderr.contains("loadmodule"), "{}", run.stderr);
}

#[test]
fn a_password_comes_from_its_file_and_never_shows() {
    let redis = RedisServer::builder(redis_kind()).conf("user", "ann on >s3cret ~* &* +@all").start().unwrap();
    let scratch = Scratch::new();
    let file = scratch.file("readings.csv", GOOD);
    let (right, wrong) = (scratch.file("right", "s3cret\n"), scratch.file("wrong", "guess\n"));
    let url = format!("redis://ann@127.0.0.1:{}", redis.port());
    let run = strata(&["ingest", &file, "--redis-url", &url, "--redis-password-file", &right], &[]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let run = strata(&["ingest", &file, "--redis-url", &url, "--redis-password-file", &wrong], &[]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("refused this client"), "{}", run.stderr);
    let url = format!("redis://ann:s3cret-no@127.0.0.1:{}", redis.port());
    let run = strata(&["ingest", &file], &[("REDIS_URL", &url)]);
    assert!(!run.stderr.contains("s3cret") && !run.stdout.contains("s3cret"), "{}{}", run.stdout, run.stderr);
}
