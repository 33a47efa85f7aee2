//! A source knows its series whatever becomes of their keys.

mod redis_support;

use redis_support::{Client, builder, eventually, server};
use series::wire::Batch;

fn keys(redis: &mut Client, source: &str) -> String {
    let reply = redis.run(&format!("STRATA.MGET SOURCE {source} MEASURES 1 none"));
    let names: Vec<&str> = reply.split(['[', ',']).map(str::trim).filter(|word| word.contains(':')).collect();
    names.join(" ")
}

#[test]
fn copied_renamed_and_moved_series_are_found() {
    let server = server();
    let mut redis = Client::new(&server);
    redis.run("STRATA.ADD r:A 1 flow 1");
    redis.run("COPY r:A r:B");
    redis.run("RENAME r:A s:A");
    assert_eq!(keys(&mut redis, "r"), "r:B");
    assert_eq!(keys(&mut redis, "s"), "s:A");
    redis.run("STRATA.ADD r:B 2 flow 2");
    assert_eq!(redis.info("s:A", "samples"), "1");
    redis.run("MOVE r:B 1");
    assert_eq!(keys(&mut redis, "r"), "");
    redis.run("COPY s:A r:C DB 1");
    redis.run("SELECT 1");
    assert_eq!(keys(&mut redis, "r"), "r:B r:C");
    assert_eq!(keys(&mut redis, "s"), "");
}

#[test]
fn moving_and_copying_to_another_database_leaves_the_client_where_it_is() {
    let server = server();
    let mut redis = Client::new(&server);
    redis.run("SELECT 3");
    redis.run("STRATA.ADD r:A 1 flow 1");
    redis.run("COPY r:A r:B DB 1");
    assert_eq!(redis.run("EXISTS r:A r:B"), "1");
    redis.run("MOVE r:A 2");
    redis.run("SET here text");
    redis.run("MOVE here 2");
    assert_eq!(redis.run("DBSIZE"), "0");
    redis.run("SELECT 2");
    assert_eq!(redis.run("DBSIZE"), "2");
}

#[test]
fn a_series_under_a_name_without_a_source_is_kept_but_belongs_to_none() {
    let server = server();
    let mut redis = Client::new(&server);
    redis.run("STRATA.ADD r:A 1 flow 1");
    redis.run("RENAME r:A plain");
    assert_eq!(keys(&mut redis, "r"), "");
    assert_eq!(redis.run("STRATA.GET plain"), "[1, [flow, 1]]");
    redis.run("RENAME plain r:A");
    assert_eq!(keys(&mut redis, "r"), "r:A");
}

#[test]
fn emptied_and_exchanged_databases_are_known() {
    let server = server();
    let mut redis = Client::new(&server);
    redis.run("STRATA.ADD r:A 1 flow 1");
    redis.run("SELECT 1");
    redis.run("STRATA.ADD r:B 1 flow 1");
    redis.run("SWAPDB 0 1");
    assert_eq!(keys(&mut redis, "r"), "r:A");
    redis.run("FLUSHDB");
    assert_eq!(keys(&mut redis, "r"), "");
    redis.run("SELECT 0");
    assert_eq!(keys(&mut redis, "r"), "r:B");
    redis.run("FLUSHALL");
    assert_eq!(keys(&mut redis, "r"), "");
    eventually("the background to free the series", || (redis.info("", "series") == "0").then_some(()));
}

#[test]
fn deleted_overwritten_and_expired_series_disappear() {
    let server = server();
    let mut redis = Client::new(&server);
    for key in ["A", "B", "C", "D", "E"] {
        redis.run(&format!("STRATA.ADD r:{key} 1 flow 1"));
    }
    redis.run("DEL r:A");
    redis.run("UNLINK r:B");
    redis.run("SET r:C text");
    redis.run("PEXPIRE r:D 1");
    eventually("r:D to expire", || (redis.run("EXISTS r:D") == "0").then_some(()));
    assert_eq!(keys(&mut redis, "r"), "r:E");
    assert_eq!(redis.pending("r").rows(), 1);
    redis.run("DEL r:C");
    redis.run("STRATA.ADD r:C 1 flow 1");
    assert_eq!(keys(&mut redis, "r"), "r:C r:E");
}

#[test]
fn restoring_over_a_series_keeps_it_found() {
    let server = server();
    let mut redis = Client::new(&server);
    redis.run("STRATA.ADD r:A 1 flow 1");
    redis.run("STRATA.ADD r:B 2 flow 2");
    let Ok(redis::Value::BulkString(dump)) = redis.send(&["DUMP", "r:B"]) else { panic!("DUMP") };
    redis.send(&[b"RESTORE", &b"r:A"[..], b"0", &dump, b"REPLACE"]).unwrap();
    assert_eq!(redis.run("STRATA.MGET SOURCE r"), "[[r:A, 2, [flow, 2]], [r:B, 2, [flow, 2]]]");
    redis.run("COPY r:B r:A REPLACE");
    assert_eq!(keys(&mut redis, "r"), "r:A r:B");
}

#[test]
fn watchers_and_subscribers_hear_of_a_write() {
    let server = builder().append_only(None).conf("notify-keyspace-events", "Kd").start().unwrap();
    let (mut one, mut other) = (Client::new(&server), Client::new(&server));
    one.run("STRATA.ADD r:A 1 flow 1");
    one.run("WATCH r:A");
    other.run("STRATA.ADD r:A 2 flow 2");
    one.run("MULTI");
    one.run("PING");
    assert_eq!(one.run("EXEC"), "nil");

    let mut listener = server.connection().unwrap();
    let mut subscription = listener.as_pubsub();
    subscription.psubscribe("__keyspace@0__:r:*").unwrap();
    one.run("STRATA.ADD r:B * flow 1");
    let message = subscription.get_message().unwrap();
    assert_eq!(message.get_channel_name(), "__keyspace@0__:r:B");
    assert_eq!(message.get_payload::<String>().unwrap(), "strata.add");
}

#[test]
fn subscribers_hear_which_command_changed_a_series() {
    let server = builder().append_only(None).conf("notify-keyspace-events", "Ed").start().unwrap();
    let mut redis = Client::new(&server);
    let mut listener = server.connection().unwrap();
    let mut subscription = listener.as_pubsub();
    subscription.psubscribe("__keyevent@0__:strata.*").unwrap();

    redis.run("STRATA.ADD r:A 1 flow 1");
    redis.run("STRATA.MADD r:B 1 1 flow 1 nocolon 1 1 flow 1 r:C 1 1 flow 1");
    redis.run("STRATA.WATCH r:A flow - range_novelty");
    redis.run("STRATA.WATCH r:none flow - range_novelty");
    let batch = Batch { measures: vec!["flow".to_owned()], times: vec![5], columns: vec![vec![1.0]] };
    redis.send(&[b"STRATA.FILL", &b"r:D"[..], &batch.encode(), b"r:A", &batch.encode()]).unwrap();
    redis.run("STRATA.DEL r:A - 0.5");
    redis.run("STRATA.DEL r:A 100 200");
    redis.run("CONFIG SET rdbcompression no");
    let Ok(redis::Value::BulkString(dump)) = redis.send(&["DUMP", "r:C"]) else { panic!("DUMP") };
    // The module's string follows the type byte, its id (9 bytes), the code of a string and a length below 64.
    let length = usize::from(dump[11]);
    assert!(length < 64);
    redis.send(&[b"STRATA.LOAD", &b"r:L"[..], &dump[12..12 + length]]).unwrap();
    redis.run("STRATA.ADD r:end 1 flow 1");

    let mut heard = Vec::new();
    while heard.last().is_none_or(|(_, key)| key != "r:end") {
        let message = subscription.get_message().unwrap();
        let event = message.get_channel_name().rsplit(':').next().unwrap().to_owned();
        heard.push((event, message.get_payload::<String>().unwrap()));
    }
    let heard: Vec<String> = heard.iter().map(|(event, key)| format!("{event} {key}")).collect();
    assert_eq!(
        heard,
        [
            "strata.add r:A",
            "strata.add r:B",
            "strata.add r:C",
            "strata.watch r:A",
            "strata.fill r:D",
            "strata.fill r:A",
            "strata.del r:A",
            "strata.load r:L",
            "strata.add r:end",
        ]
    );
}
