//! The client of the Redis module against the module itself.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bridge::hot::{HotClient, HotConfig, HotErrorKind, NewSample};
use bridge::wait::{BlockingWait, Wait};
use strata_servers::{RedisCluster, RedisServer, redis_kind};

fn redis_with_module() -> RedisServer {
    RedisServer::builder(redis_kind()).start().unwrap()
}

/// Runs `question` with a client of this server.
fn ask<T>(server: &RedisServer, question: impl AsyncFnOnce(&HotClient) -> T) -> T {
    let client = HotClient::new(HotConfig::new(server.url())).unwrap();
    BlockingWait::new().unwrap().wait("a test's question", question(&client))
}

#[test]
fn what_is_added_is_pending_until_it_is_acknowledged() {
    let redis = redis_with_module();
    ask(&redis, async |hot| {
        let values = [("flow", 1.5), ("pressure", f64::NAN)];
        let samples: Vec<NewSample<'_>> = (0..1000)
            .map(|row| NewSample {
                key: if row % 2 == 0 { "A" } else { "{B}" },
                time: row * 1_000_001,
                values: &values,
            })
            .collect();
        let report = hot.add_many("readings", &samples).await.unwrap();
        assert_eq!((report.accepted, report.refused.len()), (1000, 0));

        let mut seen = BTreeMap::new();
        for flush_id in 1.. {
            let pending = hot.pending("readings", None, None, None, Some(300)).await.unwrap();
            assert_eq!(pending.flush_id, flush_id - 1);
            for series in &pending.series {
                for (&time, &value) in series.batch.times.iter().zip(&series.batch.columns[0]) {
                    assert_eq!(seen.insert((series.key.clone(), time), value), None, "handed out twice");
                }
            }
            hot.ack(flush_id, &pending.series).await.unwrap();
            if !pending.more {
                break;
            }
        }
        assert_eq!(seen.len(), 1000);
        assert_eq!(seen[&("{B}".to_owned(), 1_000_001)], 1.5);
        assert_eq!(hot.info_source("readings").await.unwrap().pending, 0);
    });
}

#[test]
fn ranges_and_keys_limit_what_is_read() {
    let redis = redis_with_module();
    ask(&redis, async |hot| {
        let values = [("x", 1.0)];
        let sample = |key, time| NewSample { key, time, values: &values };
        hot.add_many("s", &[sample("A", 1_000), sample("A", 2_500), sample("A", 4_000), sample("B", 2_500)])
            .await
            .unwrap();
        let times = async |from, to, keys: Option<&[String]>| -> Vec<i64> {
            let pending = hot.pending("s", from, to, keys, None).await.unwrap();
            pending.series.iter().flat_map(|series| series.batch.times.clone()).collect()
        };
        assert_eq!(times(Some(2_500), Some(2_500), None).await, [2_500, 2_500]);
        assert_eq!(times(Some(2_501), None, None).await, [4_000]);
        assert_eq!(times(None, None, Some(&["B".to_owned()])).await, [2_500]);
        assert_eq!(times(None, None, Some(&["C".to_owned()])).await, [0_i64; 0]);
        assert_eq!(times(None, None, Some(&[])).await, [0_i64; 0]);
    });
}

#[test]
fn the_latest_sample_is_found_by_key_and_for_the_whole_source() {
    let redis = redis_with_module();
    ask(&redis, async |hot| {
        let (one, two) = ([("x", 1.0)], [("x", 2.0), ("y", -0.5)]);
        let samples = [
            NewSample { key: "A", time: 1_000, values: &two },
            NewSample { key: "A", time: 500, values: &one },
            NewSample { key: "zone:1", time: 2_500, values: &one },
        ];
        hot.add_many("s", &samples).await.unwrap();
        let latest = hot.latest("s", Some(&["nobody".to_owned(), "A".to_owned()])).await.unwrap();
        assert_eq!(latest.len(), 1);
        assert_eq!((latest[0].key.as_str(), latest[0].time), ("A", 1_000));
        assert_eq!(latest[0].values, [("x".to_owned(), 2.0), ("y".to_owned(), -0.5)]);
        let mut keys: Vec<String> = hot.latest("s", None).await.unwrap().into_iter().map(|latest| latest.key).collect();
        keys.sort();
        assert_eq!(keys, ["A", "zone:1"]);
        assert_eq!(hot.info().await.unwrap().sources, ["s"]);
    });
}

#[test]
fn a_redis_that_is_restarted_is_found_again_without_an_error() {
    let mut redis = redis_with_module();
    let wait = BlockingWait::new().unwrap();
    let hot = HotClient::new(HotConfig::new(redis.url())).unwrap();
    let sample = NewSample { key: "A", time: 1, values: &[("x", 1.0)] };
    wait.wait("add", hot.add_many("s", &[sample])).unwrap();
    redis.crash_and_restart().unwrap();
    assert_eq!(wait.wait("info", hot.info_source("s")).unwrap().pending, 1);
}

#[test]
fn a_frozen_redis_costs_one_timeout_and_then_nothing() {
    let redis = redis_with_module();
    let wait = BlockingWait::new().unwrap();
    let quick = Duration::from_millis(300);
    let config = HotConfig { connect_timeout: quick, response_timeout: quick, ..HotConfig::new(redis.url()) };
    let hot = HotClient::new(config).unwrap();
    wait.wait("ping", hot.ping()).unwrap();
    redis.freeze();
    let kind = |hot: &HotClient| wait.wait("ping", hot.ping()).unwrap_err().kind;
    assert_eq!(kind(&hot), HotErrorKind::Timeout);
    assert_eq!(kind(&hot), HotErrorKind::Timeout, "the connect is tried once more");
    let started = Instant::now();
    assert_eq!(kind(&hot), HotErrorKind::Unreachable);
    assert!(started.elapsed() < Duration::from_millis(100));
    redis.thaw();
}

#[test]
fn a_user_of_the_module_alone_is_served_by_a_single_server_and_told_what_a_cluster_needs() {
    let serve = |server: &RedisServer| {
        let user = ["SETUSER", "meter", "on", ">pw", "~*", "+@all", "-cluster"];
        redis::cmd("ACL").arg(&user).exec(&mut server.connection().unwrap()).unwrap();
        let url = format!("redis://meter:pw@127.0.0.1:{}/", server.port());
        let (hot, wait) = (HotClient::new(HotConfig::new(url)).unwrap(), BlockingWait::new().unwrap());
        wait.wait("pending", hot.pending("readings", None, None, None, None))
    };
    assert_eq!(serve(&redis_with_module()).unwrap().rows(), 0);
    let cluster = RedisCluster::start(|| RedisServer::builder(redis_kind()).append_only(None)).unwrap();
    let error = serve(&cluster.nodes()[0]).unwrap_err();
    assert_eq!(error.kind, HotErrorKind::Refused);
    assert!(error.hint.as_deref().unwrap().contains("+cluster|shards"), "{error:?}");
}
