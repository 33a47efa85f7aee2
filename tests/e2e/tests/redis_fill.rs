//! STRATA.FILL takes back samples that the table has, as after a restart without persistence, while sensors go on writing.

mod redis_support;

use std::time::Instant;

use redis_support::{Client, Random, builder, eventually, server, show};
use series::wire::Batch;

fn batch(times: &[i64], measures: &[(&str, &[f64])]) -> Vec<u8> {
    Batch {
        measures: measures.iter().map(|(name, _)| (*name).to_owned()).collect(),
        times: times.iter().map(|time| time * 1000).collect(),
        columns: measures.iter().map(|(_, values)| values.to_vec()).collect(),
    }
    .encode()
}

fn fill(redis: &mut Client, series: &[(&str, Vec<u8>)]) -> Result<String, String> {
    let mut words: Vec<&[u8]> = vec![b"STRATA.FILL"];
    for (key, batch) in series {
        words.extend([key.as_bytes(), batch]);
    }
    redis.send(&words).map(|reply| show(&reply))
}

/// Pending times of r:A in milliseconds.
fn pending(redis: &mut Client) -> Vec<i64> {
    let pending = redis.pending("r KEYS 1 A");
    pending.series.iter().flat_map(|series| series.batch.times.iter().map(|time| time / 1000)).collect()
}

#[test]
fn samples_that_the_table_has_are_not_pending() {
    let server = server();
    let mut redis = Client::new(&server);
    let one = batch(&[1000, 2000, 3000], &[("flow", &[1.0, 2.0, 3.0]), ("pressure", &[f64::NAN, 5.0, f64::NAN])]);
    let other = batch(&[1500], &[("flow", &[9.0])]);
    assert_eq!(fill(&mut redis, &[("r:A", one), ("r:B", other)]).unwrap(), "4");
    assert_eq!(
        redis.run("STRATA.RANGE r:A - +"),
        "[[time, flow, pressure], [[1000, 1, nil], [2000, 2, 5], [3000, 3, nil]], nil]"
    );
    assert_eq!(redis.pending("r").rows(), 0);
    assert_eq!(redis.info("", "pending"), "0");
    assert_eq!(redis.info("SOURCE r", "samples"), "4");
    // What comes after them is pending as ever.
    redis.run("STRATA.ADD r:A 4000 flow 4");
    redis.run("STRATA.ADD r:A 2500 flow 2.5");
    assert_eq!(pending(&mut redis), [2500, 4000]);
}

#[test]
fn live_samples_stay_pending_whether_older_or_newer_than_the_filled_ones() {
    let server = server();
    let mut redis = Client::new(&server);
    for time in [500, 1500, 2000, 9000] {
        redis.run(&format!("STRATA.ADD r:A {time} flow {time}"));
    }
    let filled = batch(&[1000, 2000, 3000], &[("flow", &[1.0, -2.0, 3.0])]);
    assert_eq!(fill(&mut redis, &[("r:A", filled)]).unwrap(), "2");
    assert_eq!(pending(&mut redis), [500, 1500, 2000, 9000]);
    assert_eq!(redis.info("r:A", "pending"), "4");
    assert_eq!(redis.info("r:A", "oldest_pending"), "500");
    let all = redis.pending("r");
    redis.ack(7, &all);
    assert_eq!(redis.info("r:A", "pending"), "0");
    assert_eq!(redis.info("r:A", "samples"), "6");
}

#[test]
fn a_token_from_before_a_fill_clears_no_sample_written_since() {
    let server = server();
    let mut redis = Client::new(&server);
    redis.run("STRATA.ADD r:A 5000 flow 5");
    let before = redis.pending("r");
    redis.run("STRATA.ADD r:A 6000 flow 6");
    fill(&mut redis, &[("r:A", batch(&[1000, 8000], &[("flow", &[1.0, 8.0])]))]).unwrap();
    redis.run("STRATA.ADD r:A 7000 flow 7");
    redis.ack(1, &before);
    let left = pending(&mut redis);
    assert!(left.contains(&6000) && left.contains(&7000), "{left:?}");
}

#[test]
fn values_in_redis_win_over_those_of_the_table() {
    let server = server();
    let mut redis = Client::new(&server);
    redis.run("STRATA.ADD r:A 1000 flow 1");
    redis.run("STRATA.ADD r:A 2000 pressure 2");
    let filled = batch(&[1000, 2000], &[("flow", &[-1.0, -2.0]), ("pressure", &[-3.0, -4.0])]);
    assert_eq!(fill(&mut redis, &[("r:A", filled)]).unwrap(), "0");
    assert_eq!(
        redis.run("STRATA.RANGE r:A - + MEASURES 2 flow pressure"),
        "[[time, flow, pressure], [[1000, 1, -3], [2000, -2, 2]], nil]"
    );
}

#[test]
fn aggregates_count_filled_samples_at_once_like_added_ones() {
    let server = server();
    let mut redis = Client::new(&server);
    let mut random = Random(3);
    let (mut times, mut values) = (Vec::new(), Vec::new());
    let mut rest = Vec::new();
    for time in (0..86_400_000).step_by(30_000) {
        let value = random.below(10_000) as f64 / 16.0;
        redis.run(&format!("STRATA.ADD m:A {time} flow {value}"));
        if random.below(5) == 0 {
            rest.push((time, value));
        } else {
            times.push(time);
            values.push(value);
        }
    }
    for (time, value) in &rest {
        redis.run(&format!("STRATA.ADD r:A {time} flow {value}"));
    }
    fill(&mut redis, &[("r:A", batch(&times, &[("flow", &values)]))]).unwrap();
    assert_eq!(redis.info("r:A", "pending"), rest.len().to_string());
    for command in [
        "STRATA.RANGE # - + BUCKET 5m AGG 7 avg min max sum count first last",
        "STRATA.RANGE # 100000 80000000 BUCKET 1h AGG 3 count p50 p99",
        "STRATA.ROLL # 24h AT + AGG 6 avg min max count p50 p99",
        "STRATA.ROLL # 1h AT 50000000 AGG 4 avg stddev count p99",
    ] {
        assert_eq!(redis.run(&command.replace('#', "r:A")), redis.run(&command.replace('#', "m:A")), "{command}");
    }
}

#[test]
fn filling_again_changes_nothing() {
    let server = server();
    let mut redis = Client::new(&server);
    redis.run("STRATA.ADD r:A 1500 flow 7");
    let filled = batch(&[1000, 2000], &[("flow", &[1.0, 2.0])]);
    assert_eq!(fill(&mut redis, &[("r:A", filled.clone())]).unwrap(), "2");
    let (rows, waiting) = (redis.run("STRATA.RANGE r:A - +"), pending(&mut redis));
    assert_eq!(fill(&mut redis, &[("r:A", filled)]).unwrap(), "0");
    assert_eq!((redis.run("STRATA.RANGE r:A - +"), pending(&mut redis)), (rows, waiting));
    assert_eq!(fill(&mut redis, &[("r:none", batch(&[], &[("flow", &[])]))]).unwrap(), "0");
    assert_eq!(redis.run("EXISTS r:none"), "0");
}

#[test]
fn a_bad_batch_is_refused_and_no_series_is_changed() {
    let server = server();
    let mut redis = Client::new(&server);
    redis.run("STRATA.ADD r:A 1500 flow 7");
    redis.run("SET r:text x");
    let good = batch(&[1000, 2000], &[("flow", &[1.0, 2.0])]);
    let before = redis.digest();
    let many: Vec<(String, [f64; 1])> = (0..300).map(|i| (format!("m{i}"), [1.0])).collect();
    let many: Vec<(&str, &[f64])> = many.iter().map(|(name, values)| (name.as_str(), &values[..])).collect();
    let long = "x".repeat(200);
    for (bad, reason) in [
        (("r:B", b"garbage".to_vec()), "not a batch"),
        (("r:B", good[..good.len() - 1].to_vec()), "not a batch"),
        (("r:B", [good.clone(), vec![0]].concat()), "not a batch"),
        (("r:B", batch(&[2000, 1000], &[("flow", &[1.0, 2.0])])), "must ascend"),
        (("r:B", batch(&[1000, 1000], &[("flow", &[1.0, 2.0])])), "must ascend"),
        (("r:B", batch(&[1000, 2000], &[("flow", &[1.0, f64::INFINITY])])), "infinite"),
        (("r:B", batch(&[i64::MAX / 1000], &[("flow", &[1.0])])), "years 1 to 9999"),
        (("r:B", batch(&[1000], &[])), "no measure"),
        (("r:B", batch(&[1000], &[("", &[1.0])])), "name"),
        (("r:B", batch(&[1000], &[(&long, &[1.0])])), "name"),
        (("r:B", batch(&[1000], &many)), "at most 256 measures"),
        (("nocolon", good.clone()), "<source>:<key>"),
        (("r:A", good.clone()), "named twice"),
        (("r:text", good.clone()), "WRONGTYPE"),
    ] {
        let error = fill(&mut redis, &[("r:A", good.clone()), bad]).expect_err(reason);
        assert!(error.contains(reason), "{reason}: {error}");
        assert_eq!(redis.digest(), before, "{reason}");
        assert_eq!(pending(&mut redis), [1500]);
    }
    assert!(redis.error("STRATA.FILL r:A").contains("wrong number of arguments"));
    assert!(redis.error("STRATA.FILL r:A x r:B").contains("wrong number of arguments"));
}

#[test]
fn a_fill_is_replicated_and_survives_a_crash() {
    let mut primary = builder().start().unwrap();
    let replica = builder().append_only(None).replica_of(&primary).start().unwrap();
    let (mut redis, mut other) = (Client::new(&primary), Client::new(&replica));
    eventually("the link", || other.run("INFO replication").contains("master_link_status:up").then_some(()));
    redis.run("STRATA.ADD r:A 1500 flow 7");
    let times: Vec<i64> = (0..1000).map(|i| i * 100).collect();
    let values: Vec<f64> = (0..1000).map(f64::from).collect();
    fill(&mut redis, &[("r:A", batch(&times, &[("flow", &values)])), ("r:B", batch(&[1], &[("flow", &[1.0])]))])
        .unwrap();
    redis.run("STRATA.ADD r:A 50 flow 0.5");
    assert_eq!(redis.run("WAIT 1 20000"), "1");
    assert_eq!(other.digest(), redis.digest());
    let before = (redis.digest(), redis.run("STRATA.ROLL r:A 1h AT + AGG 2 avg p99"));
    primary.crash_and_restart().unwrap();
    let mut redis = Client::new(&primary);
    assert_eq!((redis.digest(), redis.run("STRATA.ROLL r:A 1h AT + AGG 2 avg p99")), before);
    assert_eq!(pending(&mut redis), [50, 1500]);
}

#[test]
fn a_million_samples_are_filled_within_a_minute() {
    let server = server();
    let mut redis = Client::new(&server);
    let times: Vec<i64> = (0..2880).map(|i| i * 30_000).collect();
    let values: Vec<f64> = (0..2880).map(|i| f64::from((i * 37) % 900) / 10.0).collect();
    let filled = batch(&times, &[("flow", &values)]);
    let started = Instant::now();
    let mut added = 0;
    // Each series' day comes in four parts, as from a table that is read in pages.
    for series in 0..348 {
        let key = format!("r:{series}");
        if series % 4 == 0 {
            for part in 0..4 {
                let range = part * 720..(part + 1) * 720;
                let part = batch(&times[range.clone()], &[("flow", &values[range])]);
                added += fill(&mut redis, &[(&key, part)]).unwrap().parse::<u64>().unwrap();
            }
        } else {
            added += fill(&mut redis, &[(&key, filled.clone())]).unwrap().parse::<u64>().unwrap();
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("{added} samples in {seconds:.1} s");
    assert!(added > 1_000_000 && seconds < 60.0, "{added} samples took {seconds} s");
}
