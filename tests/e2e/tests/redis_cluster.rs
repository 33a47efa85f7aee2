//! A cluster of three masters: keys with hash tags, commands over several keys, and totals over all shards.

#[path = "redis_support/mod.rs"]
mod redis_support;

use std::time::{Duration, Instant};

use bridge::hot::{HotClient, HotConfig, HotError, HotErrorKind, MeasureTotals, NewSample, SourceTotals, TotalsEnd};
use bridge::wait::{BlockingWait, Wait};
use redis_support::{Client, Random, builder, eventually, show};
use series::aggregate::Aggregate;
use series::time::Micros;
use series::wire::Batch;
use strata_servers::{RedisCluster, RedisServer};

const NOW: Micros = 1_700_000_000_000_000;
const HOUR: Micros = 3_600_000_000;

fn cluster() -> RedisCluster {
    RedisCluster::start(|| builder().append_only(None)).expect("a cluster")
}

fn client(cluster: &RedisCluster, node: usize) -> Client {
    Client::new(&cluster.nodes()[node])
}

/// The node that serves this key.
fn owner(cluster: &RedisCluster, key: &str) -> usize {
    let slot = client(cluster, 0).run(&format!("CLUSTER KEYSLOT {key}"));
    cluster.owner_of(slot.parse().expect("a slot"))
}

fn batch(time: Micros, value: f64) -> Vec<u8> {
    Batch { measures: vec!["x".to_owned()], times: vec![time], columns: vec![vec![value]] }.encode()
}

#[test]
fn commands_over_several_keys_stay_in_one_slot() {
    let cluster = cluster();
    let (one, two) = ("s:{A}", "s:{B}");
    let mut node = client(&cluster, owner(&cluster, one));
    for line in [
        format!("STRATA.MADD {one} 1000 1 x 1 {two} 1000 1 x 2"),
        format!("STRATA.MGET {one} {two}"),
        format!("STRATA.ACK 1 {one} 1:1:1 {two} 1:1:1"),
    ] {
        assert!(node.error(&line).starts_with("CROSSSLOT"), "{line}");
    }
    let (first, second) = (batch(500_000, 5.0), batch(600_000, 6.0));
    let words = [b"STRATA.FILL".as_slice(), one.as_bytes(), &first, two.as_bytes(), &second];
    assert!(node.send(&words).unwrap_err().starts_with("CROSSSLOT"));
}

#[test]
fn commands_over_several_keys_with_one_hash_tag_work() {
    let cluster = cluster();
    let (one, two) = ("{s}:A", "{s}:B");
    let mut node = client(&cluster, owner(&cluster, one));
    assert_eq!(node.run(&format!("STRATA.MADD {one} 1000 1 x 1 {two} 1000 1 x 2")), "[1000, 1000]");
    assert_eq!(node.run(&format!("STRATA.MGET {one} {two}")), "[[1000, [x, 1]], [1000, [x, 2]]]");
    let (first, second) = (batch(500_000, 5.0), batch(600_000, 6.0));
    let words = [b"STRATA.FILL".as_slice(), one.as_bytes(), &first, two.as_bytes(), &second];
    assert_eq!(show(&node.send(&words).unwrap()), "2");
    let pending = node.pending("s");
    assert_eq!(pending.rows(), 2);
    assert_eq!(node.ack(1, &pending), "2");
    assert_eq!(node.pending("s").rows(), 0);
}

#[test]
fn the_keys_of_every_command_are_found() {
    let cluster = cluster();
    let mut node = client(&cluster, 0);
    for (line, keys) in [
        ("STRATA.ADD s:A * x 1", "[s:A]"),
        ("STRATA.MADD s:A 1 2 x 1 y 2 s:B * 1 x 1", "[s:A, s:B]"),
        ("STRATA.MGET s:A s:B s:C", "[s:A, s:B, s:C]"),
        ("STRATA.ACK 1 s:A 1:1:1 s:B 1:1:1", "[s:A, s:B]"),
        ("STRATA.FILL s:A batch s:B batch", "[s:A, s:B]"),
        ("STRATA.RANGE s:A - +", "[s:A]"),
    ] {
        assert_eq!(node.run(&format!("COMMAND GETKEYS {line}")), keys, "{line}");
    }
    assert!(node.error("COMMAND GETKEYS STRATA.SOURCE s 1h").contains("no key arguments"));
}

#[test]
fn a_key_of_another_node_is_redirected() {
    let cluster = cluster();
    let owner = owner(&cluster, "s:A");
    let port = cluster.nodes()[owner].port();
    for node in (0..3).filter(|node| *node != owner) {
        for line in ["STRATA.ADD s:A 1000 x 1", "STRATA.GET s:A", "STRATA.ROLL s:A 1h"] {
            let error = client(&cluster, node).error(line);
            assert!(error.starts_with("MOVED") && error.ends_with(&format!("127.0.0.1:{port}")), "{error}");
        }
    }
    assert_eq!(client(&cluster, owner).run("STRATA.ADD s:A 1000 x 1"), "1000");
}

/// Samples of the last two hours before `NOW` on the cluster and on one server. Values are quarters, so that sums are
/// exact in every order. Every third key has a second measure; a key of a far past does not contribute.
fn fill(cluster: &RedisCluster, single: &RedisServer) -> [usize; 3] {
    let mut random = Random(7);
    let mut keys = [0; 3];
    let mut nodes: Vec<Client> = (0..3).map(|node| client(cluster, node)).collect();
    let mut single = Client::new(single);
    for key in 0..40 {
        let name = if key % 2 == 0 { format!("readings:K{key}") } else { format!("readings:{{K{key}}}") };
        let node = owner(cluster, &name);
        keys[node] += 1;
        for sample in 0..60 {
            let time = NOW / 1000 - 7_200_000 + sample * 119_000 + key * 7 + if key == 39 { -20_000_000 } else { 0 };
            let value = |random: &mut Random| random.below(400_000) as f64 / 4.0 + 1.0;
            let mut line = format!("STRATA.ADD {name} {time} flow {}", value(&mut random));
            if key % 3 == 0 {
                line += &format!(" pressure {}", value(&mut random));
            }
            nodes[node].run(&line);
            single.run(&line);
        }
    }
    keys
}

fn totals(server: &RedisServer, at: TotalsEnd, aggregates: &[Aggregate]) -> Result<SourceTotals, HotError> {
    let hot = HotClient::new(HotConfig::new(server.url())).unwrap();
    let wait = BlockingWait::new().unwrap();
    wait.wait("totals", hot.source_totals("readings", HOUR, at, None, aggregates))
}

fn aggregates() -> Vec<Aggregate> {
    let names = ["count", "sum", "min", "max", "stddev", "p99", "p50", "first", "last", "rate", "avg"];
    names.iter().map(|name| name.parse().unwrap()).collect()
}

/// Equal but for the rounding of the mean and of the squared deviations, which depends on the order of merging.
fn assert_same(merged: &[MeasureTotals], single: &[MeasureTotals], aggregates: &[Aggregate]) {
    assert_eq!(merged.len(), single.len());
    for expected in single {
        let found = merged.iter().find(|found| found.measure == expected.measure).expect("the measure");
        for ((aggregate, a), b) in aggregates.iter().zip(&found.values).zip(&expected.values) {
            let (a, b) = (a.expect("a value"), b.expect("a value"));
            match aggregate {
                Aggregate::Stddev | Aggregate::Avg => assert!((a - b).abs() <= 1e-12 * b.abs(), "{aggregate}: {a} {b}"),
                _ => assert_eq!(a, b, "{aggregate} of {}", expected.measure),
            }
        }
    }
}

#[test]
fn totals_over_all_shards_are_those_of_one_server_with_all_keys() {
    let (cluster, single) = (cluster(), builder().append_only(None).start().unwrap());
    let keys = fill(&cluster, &single);
    assert!(keys.iter().all(|keys| *keys > 3), "a shard is almost empty: {keys:?}");
    let aggregates = aggregates();
    for at in [TotalsEnd::At(NOW - HOUR / 3 + 1), TotalsEnd::Newest] {
        let expected = totals(&single, at, &aggregates).unwrap();
        assert_eq!((expected.shards, expected.contributing), (1, 39));
        for node in cluster.nodes() {
            let merged = totals(node, at, &aggregates).unwrap();
            assert_eq!((merged.shards, merged.contributing), (3, 39));
            assert_eq!((merged.after, merged.to), (expected.after, expected.to));
            assert_same(&merged.measures, &expected.measures, &aggregates);
        }
    }
    // what one server says itself is what its merged states say
    let reply = Client::new(&single).run("STRATA.SOURCE readings 1h AT + MEASURES 1 flow AGG 2 sum p99");
    let said = totals(&single, TotalsEnd::Newest, &aggregates).unwrap();
    let flow = said.measures.iter().find(|measure| measure.measure == "flow").unwrap();
    let text = format!("[flow, [sum, {}, p99, {}]]]", flow.values[1].unwrap(), flow.values[5].unwrap());
    assert!(reply.ends_with(&text), "{reply} does not end with {text}");
}

#[test]
fn samples_given_to_any_node_reach_the_master_of_their_key() {
    let cluster = cluster();
    let keys: Vec<String> = (0..500).map(|key| format!("K{key}")).collect();
    let values = [("x", 1.5)];
    let infinite = [("x", f64::INFINITY)];
    let mut samples: Vec<NewSample<'_>> =
        keys.iter().map(|key| NewSample { key, time: NOW, values: &values }).collect();
    samples[7].values = &infinite;
    let hot = HotClient::new(HotConfig::new(cluster.nodes()[2].url())).unwrap();
    let wait = BlockingWait::new().unwrap();
    let report = wait.wait("adding", hot.add_many("readings", &samples)).unwrap();
    assert_eq!((report.accepted, report.refused.len(), report.refused[0].index), (499, 1, 7));
    let series: Vec<u64> =
        (0..3).map(|node| client(&cluster, node).info("SOURCE readings", "series").parse().unwrap()).collect();
    assert!(series.iter().all(|series| *series > 100), "{series:?}");
    assert_eq!(wait.wait("totals", hot.info_source("readings")).unwrap().series, 499);
    assert_eq!(wait.wait("the newest", hot.latest("readings", Some(&keys))).unwrap().len(), 499);
}

#[test]
fn now_is_one_moment_for_all_shards() {
    let cluster = cluster();
    let before = totals(&cluster.nodes()[0], TotalsEnd::Now, &[Aggregate::Count]).unwrap();
    assert!(before.measures.is_empty() && before.contributing == 0 && before.to - before.after == HOUR);
    let owner = owner(&cluster, "readings:A");
    client(&cluster, owner).run("STRATA.ADD readings:A * x 1");
    let after = totals(&cluster.nodes()[(owner + 1) % 3], TotalsEnd::Now, &[Aggregate::Count]).unwrap();
    assert_eq!((after.contributing, after.measures[0].values[0]), (1, Some(1.0)));
}

#[test]
fn a_shard_that_is_down_is_an_error_that_names_it() {
    let mut cluster = cluster();
    let port = cluster.nodes()[1].port();
    client(&cluster, 0).run("STRATA.SOURCE readings 1h");
    cluster.node_mut(1).kill9();
    for node in [0, 2] {
        let error = totals(&cluster.nodes()[node], TotalsEnd::Now, &[Aggregate::Count]).unwrap_err();
        assert_eq!(error.kind, HotErrorKind::Unreachable);
        assert!(error.message.contains(&format!("127.0.0.1:{port} cannot be reached")), "{error}");
        assert!(error.detail.as_deref().unwrap().contains("slots 5462-10922"), "{error}");
        assert!(error.hint.unwrap().contains("cluster-announce-ip"));
    }
}

#[test]
fn a_frozen_shard_costs_one_timeout_and_is_an_error() {
    let cluster = cluster();
    let quick = Duration::from_millis(400);
    let config =
        HotConfig { connect_timeout: quick, response_timeout: quick, ..HotConfig::new(cluster.nodes()[0].url()) };
    let (hot, wait) = (HotClient::new(config).unwrap(), BlockingWait::new().unwrap());
    let ask = || wait.wait("totals", hot.source_totals("readings", HOUR, TotalsEnd::Now, None, &[Aggregate::Count]));
    ask().unwrap();
    cluster.nodes()[2].freeze();
    assert_eq!(ask().unwrap_err().kind, HotErrorKind::Timeout);
    assert_eq!(ask().unwrap_err().kind, HotErrorKind::Timeout, "the connect is tried once more");
    let started = Instant::now();
    assert_eq!(ask().unwrap_err().kind, HotErrorKind::Unreachable);
    assert!(started.elapsed() < quick, "the breaker of the shard is open");
    cluster.nodes()[2].thaw();
}

#[test]
fn a_master_at_an_unreachable_address_is_an_error_with_a_hint() {
    let cluster = cluster();
    let ask = || totals(&cluster.nodes()[0], TotalsEnd::Now, &[Aggregate::Count]).unwrap_err();
    client(&cluster, 0).run("CONFIG SET cluster-preferred-endpoint-type hostname");
    let unnamed = ask();
    assert_eq!(unnamed.kind, HotErrorKind::Settings);
    assert!(unnamed.message.contains("announces no host name") && unnamed.hint.is_some(), "{unnamed:?}");
    for node in 0..3 {
        client(&cluster, node).run("CONFIG SET cluster-announce-hostname node.invalid");
    }
    // the nodes tell each other of their names
    let error = eventually("the names of all nodes", || Some(ask()).filter(|error| *error != unnamed));
    assert_eq!(error.kind, HotErrorKind::Unreachable);
    assert!(error.message.contains("node.invalid"), "{error}");
    assert!(error.hint.as_deref().unwrap().contains("cluster-announce-hostname"), "{error:?}");
}

#[test]
fn the_password_goes_to_every_shard() {
    let cluster = RedisCluster::start(|| builder().append_only(None)).unwrap();
    for node in cluster.nodes() {
        redis::cmd("CONFIG").arg("SET").arg("requirepass").arg("p@ss").exec(&mut node.connection().unwrap()).unwrap();
    }
    let url = format!("redis://:p%40ss@127.0.0.1:{}/", cluster.nodes()[1].port());
    let hot = HotClient::new(HotConfig::new(url)).unwrap();
    let wait = BlockingWait::new().unwrap();
    let totals = wait.wait("totals", hot.source_totals("readings", HOUR, TotalsEnd::Now, None, &[Aggregate::Count]));
    assert_eq!(totals.unwrap().shards, 3);
}

#[test]
fn states_come_in_place_of_aggregates() {
    let server = redis_support::server();
    let mut client = Client::new(&server);
    client.run("STRATA.ADD s:A 1000 x 1");
    client.run("STRATA.ADD s:B 400000 x 3");
    for refused in ["STRATA.SOURCE s 1h STATE BUCKET 5m PACKED", "STRATA.ROLL s:A 1h STATE"] {
        client.error(refused);
    }
    let words: Vec<&str> = "STRATA.SOURCE s 1h AT + STATE BUCKET 5m AGG 1 p50".split(' ').collect();
    let redis::Value::Array(parts) = client.send(&words).unwrap() else { panic!("not a table") };
    assert_eq!(show(&parts[0]), "[time, x:state]");
    let redis::Value::Array(rows) = &parts[1] else { panic!("no rows") };
    let counts: Vec<(String, u64, bool)> = rows
        .iter()
        .map(|row| {
            let redis::Value::Array(cells) = row else { panic!("not a row") };
            let redis::Value::BulkString(bytes) = &cells[1] else { panic!("not a state") };
            let state = series::bucket::BucketRow::decode(bytes).unwrap();
            (show(&cells[0]), state.buckets[0].count, state.buckets[0].sketch.is_some())
        })
        .collect();
    assert_eq!(counts, [("0".to_owned(), 1, true), ("300000".to_owned(), 1, true)]);
}
