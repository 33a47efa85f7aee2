//! The flush protocol: PENDING says what the table lacks, ACK what it has got, and no sample falls between the two.

mod redis_support;

use redis_support::{Client, Random, Table, server};

#[test]
fn pending_samples_are_those_that_no_flush_acknowledged() {
    let server = server();
    let mut redis = Client::new(&server);
    redis.run("STRATA.MADD {r}:A 1000 2 flow 1 pressure 2 {r}:A 2000.5 1 flow 3 r:B 1500 1 flow 4 s:A 1 1 flow 1");
    let pending = redis.pending("r");
    assert_eq!((pending.flush_id, pending.more, pending.rows()), (0, false, 3));
    let series = pending.series.iter().find(|series| series.key == "A").unwrap();
    assert_eq!(series.redis_key, "{r}:A");
    assert_eq!(series.batch.measures, ["flow", "pressure"]);
    assert_eq!(series.batch.times, [1_000_000, 2_000_500]);
    assert!(series.batch.columns[1][1].is_nan());

    assert_eq!(redis.ack(41, &pending), "2");
    let after = redis.pending("r");
    assert_eq!((after.flush_id, after.rows()), (41, 0));
    assert_eq!(redis.info("{r}:A", "mark"), "2000.500");
    assert_eq!(redis.info("{r}:A", "flush_id"), "41");
    assert_eq!(redis.pending("s").rows(), 1);
    assert_eq!(redis.info("{r}:A", "samples"), "2");
}

#[test]
fn a_write_between_pending_and_ack_stays_pending() {
    let server = server();
    let mut redis = Client::new(&server);
    for time in 1..=300 {
        redis.run(&format!("STRATA.ADD r:A {time} flow {time}"));
    }
    let pending = redis.pending("r");
    redis.run("STRATA.ADD r:A 301 flow 301");
    redis.run("STRATA.ADD r:A 50 flow 0.5");
    redis.run("STRATA.ADD r:A 60.5 flow 60.5");
    redis.run("STRATA.ADD r:A 70 pressure 9");
    redis.ack(1, &pending);
    let rest = redis.pending("r");
    assert_eq!(rest.series[0].batch.times, [50_000, 60_500, 70_000, 301_000]);
    redis.ack(2, &rest);
    assert_eq!(redis.pending("r").rows(), 0);
}

#[test]
fn an_acknowledgement_may_come_twice_or_late() {
    let server = server();
    let mut redis = Client::new(&server);
    redis.run("STRATA.ADD r:A 1 flow 1");
    let first = redis.pending("r");
    redis.run("STRATA.ADD r:A 2 flow 2");
    let second = redis.pending("r");
    redis.ack(2, &second);
    redis.ack(1, &first);
    redis.ack(2, &second);
    let after = redis.pending("r");
    assert_eq!((after.flush_id, after.rows()), (2, 0));
    redis.run("DEL r:A");
    assert_eq!(redis.ack(3, &second), "0");
    redis.run("SET r:A text");
    assert_eq!(redis.ack(3, &second), "0");
}

#[test]
fn a_count_cuts_the_answer_and_says_so() {
    let server = server();
    let mut redis = Client::new(&server);
    for key in ["A", "B", "C"] {
        for time in 0..40 {
            redis.run(&format!("STRATA.ADD r:{key} {time} flow {time}"));
        }
    }
    let mut rounds = 0;
    loop {
        let pending = redis.pending("r COUNT 50");
        assert!(pending.rows() <= 50);
        assert_eq!(pending.more, rounds < 2, "round {rounds}");
        redis.ack(rounds + 1, &pending);
        rounds += 1;
        if !pending.more {
            break;
        }
    }
    assert_eq!((rounds, redis.pending("r").rows()), (3, 0));
}

#[test]
fn a_reader_can_ask_for_a_range_and_for_keys() {
    let server = server();
    let mut redis = Client::new(&server);
    for key in ["r:A", "{r}:B", "r:{C}"] {
        for time in 0..10 {
            redis.run(&format!("STRATA.ADD {key} {time} flow {time}"));
        }
    }
    let pending = redis.pending("r FROM 3 TO 5 KEYS 2 A B");
    assert_eq!(pending.series.iter().map(|series| series.key.as_str()).collect::<Vec<_>>(), ["A", "B"]);
    assert!(pending.series.iter().all(|series| series.batch.times == [3000, 4000, 5000]));
    assert_eq!(redis.pending("r KEYS 1 r:{C}").rows(), 10);
    assert_eq!(redis.pending("r FROM 8 TO +").rows(), 6);
    // The samples before 3 were not in the answer: acknowledging it must not lose them.
    redis.ack(1, &pending);
    assert_eq!(redis.pending("r KEYS 1 A").rows(), 10);
}

#[test]
fn retention_never_takes_a_pending_sample() {
    let server = server();
    let mut redis = Client::new(&server);
    redis.run("CONFIG SET strata.retention 10s");
    for second in 0..1000 {
        redis.run(&format!("STRATA.ADD r:A {} flow {second}", second * 1000));
    }
    assert_eq!(redis.info("r:A", "samples"), "1000");
    let pending = redis.pending("r COUNT 600");
    redis.ack(1, &pending);
    let kept: u64 = redis.info("r:A", "samples").parse().unwrap();
    assert!((400..700).contains(&kept), "{kept}");
    redis.run("STRATA.ADD r:A 1 flow 0.5");
    assert_eq!(redis.info("r:A", "pending"), "401");
    let pending = redis.pending("r");
    assert_eq!(pending.series[0].batch.times[0], 1000);
    redis.ack(2, &pending);
    let kept: u64 = redis.info("r:A", "samples").parse().unwrap();
    assert!(kept < 200, "{kept}");
    assert_eq!(redis.run("STRATA.GET r:A"), "[999000, [flow, 999]]");
}

#[test]
fn whatever_happens_between_flushes_the_table_gets_every_value() {
    let server = server();
    let mut redis = Client::new(&server);
    let mut random = Random(7);
    let (mut written, mut table) = (Table::default(), Table::default());
    let write = |redis: &mut Client, random: &mut Random, written: &mut Table, newest: u64| {
        let key = random.below(3);
        let late = random.below(4) == 0;
        let time = if late { random.below(newest + 1) } else { newest };
        let measure = ["flow", "pressure", "temperature"][random.below(3) as usize];
        let value = random.below(1000) as f64 / 100.0;
        redis.run(&format!("STRATA.ADD r:{key} {time} {measure} {value}"));
        written.set(&key.to_string(), time as i64 * 1000, measure, value);
    };
    for newest in 0..3000 {
        write(&mut redis, &mut random, &mut written, newest);
        if random.below(40) == 0 {
            let pending = redis.pending(&format!("r COUNT {}", 1 + random.below(200)));
            for _ in 0..random.below(4) {
                write(&mut redis, &mut random, &mut written, newest);
            }
            table.upsert(&pending);
            // A flush may also die before it acknowledges.
            if !pending.series.is_empty() && random.below(4) != 0 {
                redis.ack(newest as i64, &pending);
            }
        }
    }
    loop {
        let pending = redis.pending("r COUNT 500");
        table.upsert(&pending);
        if pending.series.is_empty() {
            break;
        }
        redis.ack(9999, &pending);
    }
    assert_eq!(table, written);
}
