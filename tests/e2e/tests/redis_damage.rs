//! A series that cannot be read does not keep the server from starting, a replica from following, or the other series from
//! anything; it keeps what it has, and says so.

mod redis_support;

use redis_support::{Client, builder, eventually};
use strata_e2e::damage::{damage, state_of};
use strata_servers::RedisServer;

/// Series A, B and C of one source; B is damaged.
fn with_a_damaged_series() -> RedisServer {
    let mut server = builder().start().unwrap();
    let mut redis = Client::new(&server);
    for (n, key) in ["r:A", "r:B", "r:C"].into_iter().enumerate() {
        for i in 0..400 {
            let (flow, pressure) = (f64::from(i) / 10.0, i % (7 + n as i32));
            redis.run(&format!("STRATA.ADD {key} {} flow {flow} pressure {pressure}", i * 1000));
        }
    }
    damage(&mut server, "r:B");
    server
}

#[test]
fn the_server_starts_and_says_which_series_is_damaged() {
    let server = with_a_damaged_series();
    assert!(server.log().contains("strata: series \"r:B\" is damaged: "), "{}", server.log());
    let mut redis = Client::new(&server);
    for key in ["r:A", "r:C"] {
        assert_eq!(redis.info(key, "samples"), "400");
        redis.run(&format!("STRATA.ADD {key} 500000 flow 1"));
    }
    for field in ["first", "last"] {
        assert_eq!(redis.info("r:B", field), "nil");
    }
    assert_eq!(redis.info("SOURCE r", "last"), "500000", "the newest sample that is known");
    redis.run("DEBUG RELOAD");
    assert_eq!(redis.info("r:A", "samples"), "401");
}

#[test]
fn its_commands_are_refused_and_it_stays_as_it_came() {
    let mut server = with_a_damaged_series();
    let mut redis = Client::new(&server);
    let state = state_of(&mut redis.connection, "r:B");
    for line in [
        "STRATA.ADD r:B 500000 flow 1",
        "STRATA.ADD r:B * flow 1",
        "STRATA.ADD r:B 1000 flow 1",
        "STRATA.GET r:B",
        "STRATA.GET r:B MEASURES 1 flow",
        "STRATA.RANGE r:B - +",
        "STRATA.RANGE r:B 0 1000 MEASURES 1 flow",
        "STRATA.RANGE r:B - + MEASURES 1 flow BUCKET 1d AGG 1 avg",
        "STRATA.ROLL r:B 1h",
        "STRATA.ROLL r:B 1h AT 100000 MEASURES 1 flow AGG 1 count",
        "STRATA.SOURCE r 1h AT 100000 AGG 1 count",
        "STRATA.DEL r:B - +",
    ] {
        assert!(redis.error(line).contains("damaged"), "{line}: {}", redis.error(line));
    }
    assert_eq!(redis.run("STRATA.TRIM r:B +"), "0");
    assert_eq!(state_of(&mut redis.connection, "r:B"), state);
    for preamble in ["yes", "no"] {
        redis.run(&format!("CONFIG SET aof-use-rdb-preamble {preamble}"));
        redis.run("BGREWRITEAOF");
        eventually("the rewrite", || redis.run("INFO persistence").contains("aof_rewrite_in_progress:0").then_some(()));
        server.crash_and_restart().unwrap();
        redis = Client::new(&server);
        assert_eq!(state_of(&mut redis.connection, "r:B"), state, "preamble {preamble}");
    }

    redis.run("RENAME r:B damaged");
    redis.run("STRATA.ADD r:B 500000 flow 1");
    assert_eq!(redis.run("STRATA.GET r:B"), "[500000, [flow, 1]]");
    assert_eq!(state_of(&mut redis.connection, "damaged"), state);
}

#[test]
fn the_other_series_are_flushed_and_it_is_named() {
    let server = with_a_damaged_series();
    let mut redis = Client::new(&server);
    let pending = redis.pending("r");
    let keys: Vec<&str> = pending.series.iter().map(|series| series.redis_key.as_str()).collect();
    assert_eq!((keys, pending.rows(), pending.more), (vec!["r:A", "r:C"], 800, false));
    let named = |pending: &redis_support::Pending| {
        let [(key, reason)] = pending.left_out.as_slice() else { panic!("{pending:?}") };
        assert!(reason.starts_with("the series is damaged: "), "{reason}");
        key.clone()
    };
    assert_eq!(named(&pending), "r:B");
    assert_eq!(named(&redis.pending("r COUNT 0")), "r:B", "without any samples");
    assert_eq!(named(&redis.pending("r KEYS 1 B")), "r:B");
    assert!(redis.pending("r KEYS 2 A C").left_out.is_empty());

    redis.run("CONFIG SET strata.retention 1s");
    assert_eq!(redis.ack(7, &pending), "2");
    for key in ["r:A", "r:C"] {
        redis.run(&format!("STRATA.ADD {key} 900000 flow 1"));
        assert_eq!(redis.info(key, "pending"), "1");
        assert!(redis.info(key, "samples").parse::<i64>().unwrap() < 200, "the retention drops what was acknowledged");
    }
    assert_eq!(redis.info("SOURCE r", "pending"), "3", "it counts as one sample");
    assert_eq!(redis.info("SOURCE r", "oldest_pending"), "900000");
    let token = redis.pending("r").series[0].token.clone();
    assert_eq!(redis.run(&format!("STRATA.ACK 8 r:B {token}")), "0");
    assert_eq!(redis.info("r:B", "flush_id"), "0");
}

#[test]
fn a_replica_follows_and_keeps_it_too() {
    let primary = with_a_damaged_series();
    let replica = builder().append_only(None).replica_of(&primary).start().unwrap();
    let (mut primary, mut replica) = (Client::new(&primary), Client::new(&replica));
    eventually("the replica's link", || {
        replica.run("INFO replication").contains("master_link_status:up").then_some(())
    });
    primary.run("STRATA.ADD r:A 500000 flow 1");
    assert_eq!(primary.run("WAIT 1 20000"), "1");
    assert_eq!(replica.digest(), primary.digest());
    let (theirs, ours) = (state_of(&mut replica.connection, "r:B"), state_of(&mut primary.connection, "r:B"));
    assert_eq!(theirs, ours);
}

#[test]
fn it_is_refused_where_somebody_brings_it() {
    let server = with_a_damaged_series();
    let mut redis = Client::new(&server);
    let Ok(redis::Value::BulkString(dump)) = redis.send(&["DUMP", "r:B"]) else { panic!("DUMP") };
    let error = redis.send(&[b"RESTORE", &b"r:X"[..], b"0", &dump]).unwrap_err();
    assert!(error.to_lowercase().contains("bad data format"), "{error}");
    let state = state_of(&mut redis.connection, "r:B");
    assert!(redis.send(&[b"STRATA.LOAD", &b"r:X"[..], &state]).is_err());
    assert_eq!(redis.run("EXISTS r:X"), "0");
}
