//! `strata totals`: one table over all series of a source.

use crate::support::{Scratch, redis_with_module, strata};
use strata_servers::{RedisCluster, RedisServer, redis_kind};

#[test]
fn all_series_of_a_source_are_taken_together() {
    let (redis, scratch) = (redis_with_module(), Scratch::new());
    let file = scratch.file("readings.csv", "time,key,x\n2026-01-31,A,9\n2026-02-01T00:00:00,A,1\n2026-02-01,B,2.5\n");
    assert_eq!(strata(&["ingest", &file, "--redis-url", &redis.url()], &[]).code, 0);
    let run = strata(
        &["totals", "readings", "1h", "--newest", "--agg", "count,sum,max,stddev", "--redis-url", &redis.url()],
        &[],
    );
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stdout.contains("1 shard): 2 contributing keys later than 2026-01-31 23:00:00Z"), "{}", run.stdout);
    let lines: Vec<Vec<&str>> = run.stdout.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["measure", "count", "sum", "max", "stddev"]);
    assert_eq!(lines[1][..4], ["x", "2", "3.5", "2.5"]);
    assert!((lines[1][4].parse::<f64>().unwrap() - 1.125_f64.sqrt()).abs() < 1e-12, "{}", run.stdout);
}

#[test]
fn a_cluster_with_a_dead_master_gives_an_error_and_no_table() {
    let mut cluster = RedisCluster::start(|| RedisServer::builder(redis_kind()).append_only(None)).unwrap();
    let url = cluster.nodes()[0].url();
    let run = strata(&["totals", "readings", "1h", "--redis-url", &url], &[]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stdout.contains("(3 shards)") && run.stdout.contains("no series"), "{}", run.stdout);
    cluster.node_mut(2).kill9();
    let run = strata(&["totals", "readings", "1h", "--redis-url", &url], &[]);
    assert_eq!((run.code, run.stdout.as_str()), (2, ""));
    let dead = format!("127.0.0.1:{} cannot be reached", cluster.nodes()[2].port());
    assert!(run.stderr.contains(&dead) && run.stderr.contains("hint: "), "{}", run.stderr);
}

#[test]
fn a_wrong_duration_or_aggregate_is_refused_before_anything_is_asked() {
    for arguments in [["totals", "s", "soon", "--agg", "avg"], ["totals", "s", "1h", "--agg", "avg,p101"]] {
        let run = strata(&arguments, &[]);
        assert_eq!(run.code, 2);
        assert!(run.stderr.contains("is not a duration") || run.stderr.contains("unknown aggregate"), "{}", run.stderr);
    }
}
