//! The same samples in RedisTimeSeries and in Strata give the same samples, buckets and aggregates.
//!
//! RedisTimeSeries 1.12 serves as an oracle that shares no code with us: both modules run in one server and are asked over
//! the wire. Where the two differ on purpose, a test below says how; this is the register of those differences:
//!
//! | | RedisTimeSeries | Strata |
//! |---|---|---|
//! | deviation of one value | 0 | null: n - 1 is 0 |
//! | average of an empty bucket | NaN | null |
//! | deviation far from zero | sums of squares lose the digits | Welford's recurrence keeps them |
//! | NaN as a value | refused | says nothing about its measure |
//! | times | whole milliseconds from 1970 on | also before, also microseconds |
//! | a bucket that began before 1970 | starts at 0 | starts where it starts |
//! | a sample older than the retention | refused | taken: the table may not have it yet |

mod redis_support;

use redis::Value;
use redis_support::{Client, Random, show};
use strata_servers::{RedisKind, RedisServer, paths};

/// Both modules in one server; the same series is `peer` in one and `r:ours` in the other.
fn both() -> (RedisServer, Client) {
    let peer = paths::redis_time_series();
    let server = RedisServer::builder(RedisKind::Stack)
        .append_only(None)
        .conf("loadmodule", peer.to_str().expect("a path in UTF-8"))
        .start()
        .expect("a server with both modules");
    let mut redis = Client::new(&server);
    redis.run("TS.CREATE peer DUPLICATE_POLICY LAST");
    (server, redis)
}

/// The first random sample, in milliseconds.
const START: u64 = 1_700_000_000_000;

fn add_to_both(redis: &mut Client, time: u64, value: f64) {
    redis.run(&format!("TS.ADD peer {time} {value}"));
    redis.run(&format!("STRATA.ADD r:ours {time} v {value}"));
}

/// A time and a number, none where the reply has null or NaN.
type Row = (i64, Option<f64>);

fn number(value: &Value) -> Option<f64> {
    let number: f64 = match value {
        Value::Nil => return None,
        other => show(other).parse().expect("a number"),
    };
    (!number.is_nan()).then_some(number)
}

fn rows(items: &Value) -> Vec<Row> {
    let Value::Array(items) = items else { panic!("not a list of rows: {}", show(items)) };
    let row = |item: &Value| match item {
        Value::Array(cells) => match cells.as_slice() {
            [Value::Int(time), value] => (*time, number(value)),
            _ => panic!("not a row: {}", show(item)),
        },
        _ => panic!("not a row: {}", show(item)),
    };
    items.iter().map(row).collect()
}

fn send(redis: &mut Client, line: &str) -> Value {
    let words: Vec<&str> = line.split_whitespace().collect();
    redis.send(&words).unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn peers(redis: &mut Client, line: &str) -> Vec<Row> {
    rows(&send(redis, line))
}

fn ours(redis: &mut Client, line: &str) -> Vec<Row> {
    match send(redis, line) {
        Value::Array(parts) => rows(&parts[1]),
        other => panic!("{line}: {}", show(&other)),
    }
}

/// Sums are added up in another order; what selects a value must have the very same.
fn assert_alike(what: &str, tolerance: f64, peers: &[Row], ours: &[Row]) {
    assert_eq!(peers.len(), ours.len(), "{what}: number of rows");
    for (peer, our) in peers.iter().zip(ours) {
        let alike = match (peer.1, our.1) {
            (Some(a), Some(b)) => (a - b).abs() <= tolerance * a.abs().max(1.0),
            (a, b) => a == b,
        };
        assert!(peer.0 == our.0 && alike, "{what}: theirs {peer:?}, ours {our:?}");
    }
}

/// Six hours of a sensor: late samples, samples written again, gaps, two decimals or all digits.
fn write_random_samples(redis: &mut Client, random: &mut Random) {
    let full = random.below(2) == 0;
    let mut value = || -> f64 {
        let number = (random.below(2_000_000) as f64 - 1e6) / 1e4;
        if full { number * 1.000_000_123_4 } else { (number * 100.0).round() / 100.0 }
    };
    let mut written = Vec::new();
    for step in 0..900 {
        written.push((START + step * 24_000 + 1_000 * (step / 300), value()));
    }
    for turn in 0..200 {
        let at = (turn * 7_919) % written.len();
        let (time, _) = written[at];
        // Every other one hits the time of another sample.
        written.insert((at + 150).min(written.len()), (time + 7 * (turn as u64 % 2), value()));
    }
    for (time, value) in written {
        add_to_both(redis, time, value);
    }
}

#[test]
fn samples_are_the_same_after_late_repeated_and_deleted_ones() {
    let (_server, mut redis) = both();
    let mut random = Random(7);
    write_random_samples(&mut redis, &mut random);
    for _ in 0..20 {
        let from = START + random.below(22_000_000);
        let to = from + random.below(200_000);
        let deleted = redis.run(&format!("TS.DEL peer {from} {to}"));
        assert_eq!(deleted, redis.run(&format!("STRATA.DEL r:ours {from} {to}")));
        let from = START + random.below(12_000_000);
        let to = START + 10_000_000 + random.below(12_000_000);
        for options in ["", "COUNT 37"] {
            let theirs = peers(&mut redis, &format!("TS.RANGE peer {from} {to} {options}"));
            let mine = ours(&mut redis, &format!("STRATA.RANGE r:ours {from} {to} {options}"));
            assert_alike("samples", 0.0, &theirs, &mine);
            let theirs = peers(&mut redis, &format!("TS.REVRANGE peer {from} {to} {options}"));
            let mine = ours(&mut redis, &format!("STRATA.RANGE r:ours {from} {to} {options} REV"));
            assert_alike("samples backwards", 0.0, &theirs, &mine);
        }
    }
    let peers_last = redis.run("TS.GET peer");
    assert_eq!(
        ours(&mut redis, "STRATA.RANGE r:ours - + COUNT 1 REV"),
        peers(&mut redis, "TS.REVRANGE peer - + COUNT 1")
    );
    let our_last = redis.run("STRATA.GET r:ours").replace("[v, ", "").replace("]]", "]");
    assert_eq!(our_last, peers_last);
}

#[test]
fn buckets_are_the_same_for_each_aggregate_width_alignment_and_range() {
    for seed in 0..4 {
        let (_server, mut redis) = both();
        let mut random = Random(seed);
        write_random_samples(&mut redis, &mut random);
        for (width, name) in [(7_000, "7s"), (60_000, "1m"), (300_000, "5m"), (3_600_000, "1h"), (86_400_000, "1d")] {
            let from = START + random.below(12_000_000);
            let to = START + 10_000_000 + random.below(12_000_000);
            let align = random.below(width);
            for range in ["- +".to_owned(), format!("{from} {to}")] {
                for align in [String::new(), format!("ALIGN {align}")] {
                    compare_aggregates(&mut redis, &range, &align, width, name);
                }
            }
        }
    }
}

fn compare_aggregates(redis: &mut Client, range: &str, align: &str, width: u64, name: &str) {
    for (peer, our, tolerance) in [
        ("avg", "avg", 1e-12),
        ("sum", "sum", 1e-12),
        ("min", "min", 0.0),
        ("max", "max", 0.0),
        ("count", "count", 0.0),
        ("first", "first", 0.0),
        ("last", "last", 0.0),
        ("std.s", "stddev", 1e-9),
    ] {
        let theirs = peers(redis, &format!("TS.RANGE peer {range} {align} AGGREGATION {peer} {width}"));
        let mut mine = ours(redis, &format!("STRATA.RANGE r:ours {range} BUCKET {name} AGG 1 {our} {align}"));
        if our == "stddev" {
            // The register: nothing is said of the deviation of a single value.
            mine.iter_mut().for_each(|row| row.1 = row.1.or(Some(0.0)));
        }
        assert_alike(&format!("{our} of {name}, range {range}, {align}"), tolerance, &theirs, &mine);
    }
    let theirs = peers(redis, &format!("TS.RANGE peer {range} {align} AGGREGATION count {width} EMPTY"));
    let mine = ours(redis, &format!("STRATA.RANGE r:ours {range} BUCKET {name} AGG 1 count {align} EMPTY"));
    assert_alike(&format!("count of {name} with empty ones, range {range}, {align}"), 0.0, &theirs, &mine);
}

#[test]
fn one_value_has_no_deviation_and_an_empty_bucket_no_average() {
    let (_server, mut redis) = both();
    add_to_both(&mut redis, 1_000, 5.0);
    add_to_both(&mut redis, 121_000, 6.0);
    assert_eq!(redis.run("TS.RANGE peer - + AGGREGATION std.s 60000"), "[[0, 0], [120000, 0]]");
    assert_eq!(
        redis.run("STRATA.RANGE r:ours - + BUCKET 1m AGG 1 stddev"),
        "[[time, v:stddev], [[0, nil], [120000, nil]], nil]"
    );
    assert_eq!(redis.run("TS.RANGE peer - + AGGREGATION avg 60000 EMPTY"), "[[0, 5], [60000, NaN], [120000, 6]]");
    assert_eq!(
        redis.run("STRATA.RANGE r:ours - + BUCKET 1m AGG 1 avg EMPTY"),
        "[[time, v:avg], [[0, 5], [60000, nil], [120000, 6]], nil]"
    );
}

#[test]
fn a_deviation_far_from_zero_keeps_its_digits() {
    let (_server, mut redis) = both();
    for i in 0..60 {
        add_to_both(&mut redis, i * 1_000, 1e9 + (i % 3) as f64 / 4.0);
    }
    // Thirds at 0, 1/4 and 1/2: the squares of the distances sum up to 60 / 24.
    let right = (60.0 / 24.0 / 59.0_f64).sqrt();
    let mine = ours(&mut redis, "STRATA.RANGE r:ours - + BUCKET 1m AGG 1 stddev");
    assert_alike("stddev", 1e-9, &[(0, Some(right))], &mine);
    let theirs = peers(&mut redis, "TS.RANGE peer - + AGGREGATION std.s 60000");
    assert!(theirs[0].1.is_none_or(|peer| (peer - right).abs() > 1e-3), "no difference any more: {theirs:?}");
}

#[test]
fn a_bucket_that_began_before_1970_starts_there() {
    let (_server, mut redis) = both();
    add_to_both(&mut redis, 1_000, 5.0);
    assert_eq!(redis.run("TS.RANGE peer - + ALIGN 30000 AGGREGATION sum 60000"), "[[0, 5]]");
    assert_eq!(
        redis.run("STRATA.RANGE r:ours - + BUCKET 1m AGG 1 sum ALIGN 30000"),
        "[[time, v:sum], [[-30000, 5]], nil]"
    );
}

#[test]
fn strata_takes_times_and_values_that_the_peer_refuses() {
    let (_server, mut redis) = both();
    for (time, value) in [("-5", "1"), ("1000.125", "1"), ("1000", "nan")] {
        assert!(redis.error(&format!("TS.ADD peer {time} {value}")).contains("TSDB"));
        redis.run(&format!("STRATA.ADD r:ours {time} v {value} w 1"));
    }
    assert_eq!(
        redis.run("STRATA.RANGE r:ours - +"),
        "[[time, v, w], [[-5, 1, 1], [1000, nil, 1], [1000.125, 1, 1]], nil]"
    );
    redis.run("TS.ALTER peer RETENTION 60000");
    add_to_both(&mut redis, 100_000_000, 1.0);
    assert!(redis.error("TS.ADD peer 2000 1").contains("older than retention"));
    assert_eq!(redis.run("STRATA.ADD r:ours 2000 v 1"), "2000");
    assert_eq!(redis.run("STRATA.RANGE r:ours 2000 2000 MEASURES 1 v"), "[[time, v], [[2000, 1]], nil]");
}
