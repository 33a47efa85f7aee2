//! A token of STRATA.PENDING names a series as it is in memory: in any other it clears nothing, since what was written there
//! after a crash or a failover may have the same times and the same count of writes.

mod redis_support;

use redis_support::{Client, Pending, builder, eventually, server};
use strata_servers::RedisServer;

fn write(redis: &mut Client, value: i64) {
    for time in 1..=10 {
        redis.run(&format!("STRATA.ADD r:A {time} flow {value}"));
    }
}

fn pair() -> (RedisServer, RedisServer) {
    let primary = server();
    let replica = builder().append_only(None).replica_of(&primary).start().unwrap();
    let mut client = Client::new(&replica);
    eventually("the replica's link", || client.run("INFO replication").contains("master_link_status:up").then_some(()));
    (primary, replica)
}

fn clears_nothing(redis: &mut Client, token: &Pending) {
    assert_eq!(redis.ack(9, token), "0");
    let pending = redis.pending("r KEYS 1 A");
    assert_eq!((pending.rows(), pending.flush_id), (10, 0));
    assert_eq!(redis.ack(10, &pending), "1", "its own token does");
    assert_eq!(redis.info("r:A", "pending"), "0");
}

#[test]
fn a_token_from_before_a_restart_clears_nothing() {
    let mut server = server();
    let mut redis = Client::new(&server);
    write(&mut redis, 1);
    let token = redis.pending("r");
    // Nothing was saved: the sensors write other values with the same times.
    server.crash_and_restart().unwrap();
    let mut redis = Client::new(&server);
    write(&mut redis, 2);
    clears_nothing(&mut redis, &token);
}

#[test]
fn a_token_from_before_a_restart_clears_nothing_in_what_was_loaded() {
    let mut server = builder().start().unwrap();
    let mut redis = Client::new(&server);
    write(&mut redis, 1);
    let token = redis.pending("r");
    server.crash_and_restart().unwrap();
    clears_nothing(&mut Client::new(&server), &token);
}

#[test]
fn a_sample_that_was_removed_and_written_anew_is_not_acknowledged_with_the_old_one() {
    let server = server();
    let mut redis = Client::new(&server);
    write(&mut redis, 1);
    let token = redis.pending("r");
    redis.run("STRATA.DEL r:A 10 10");
    redis.run("STRATA.ADD r:A 10 flow 99");
    clears_nothing(&mut redis, &token);
}

#[test]
fn a_replica_counts_writes_as_its_primary_when_a_deletion_finds_nothing() {
    let (primary, replica) = pair();
    let (mut primary, mut replica) = (Client::new(&primary), Client::new(&replica));
    write(&mut primary, 1);
    primary.run("STRATA.DEL r:A 500 600");
    primary.run("STRATA.ADD r:A 3 flow 7");
    let seq = primary.info("r:A", "seq");
    assert_eq!(primary.run("WAIT 1 20000"), "1");
    assert_eq!((replica.info("r:A", "late"), replica.info("r:A", "seq")), ("1".to_owned(), seq));
}

#[test]
fn a_token_from_before_the_key_was_deleted_clears_nothing() {
    let server = server();
    let mut redis = Client::new(&server);
    write(&mut redis, 1);
    let token = redis.pending("r");
    redis.run("DEL r:A");
    write(&mut redis, 2);
    clears_nothing(&mut redis, &token);
}

#[test]
fn a_token_of_the_primary_clears_nothing_on_a_promoted_replica() {
    let (primary, replica) = pair();
    let (mut primary, mut replica) = (Client::new(&primary), Client::new(&replica));
    write(&mut primary, 1);
    let token = primary.pending("r");
    assert_eq!(primary.run("WAIT 1 20000"), "1");
    replica.run("REPLICAOF NO ONE");
    clears_nothing(&mut replica, &token);
}

#[test]
fn a_replica_takes_from_an_acknowledgement_what_its_primary_took() {
    let (primary, replica) = pair();
    let (mut primary, mut replica) = (Client::new(&primary), Client::new(&replica));
    write(&mut primary, 1);
    primary.run("STRATA.ADD r:B 1 flow 1");
    let token = primary.pending("r");
    primary.run("DEL r:A");
    write(&mut primary, 2);
    // Of r:A the token is stale, of r:B it is not.
    assert_eq!(primary.ack(5, &token), "1");
    assert_eq!(primary.run("WAIT 1 20000"), "1");
    for redis in [&mut primary, &mut replica] {
        assert_eq!(redis.info("r:A", "pending"), "10");
        assert_eq!(redis.info("r:B", "pending"), "0");
    }
    assert_eq!(replica.digest(), primary.digest());
}

#[test]
fn the_aof_keeps_what_a_stale_token_did_not_clear() {
    let mut server = builder().start().unwrap();
    let mut redis = Client::new(&server);
    write(&mut redis, 1);
    redis.run("STRATA.ADD r:B 1 flow 1");
    let token = redis.pending("r");
    redis.run("DEL r:A");
    write(&mut redis, 2);
    assert_eq!(redis.ack(5, &token), "1");
    server.crash_and_restart().unwrap();
    let mut redis = Client::new(&server);
    assert_eq!(redis.info("r:A", "pending"), "10");
    assert_eq!(redis.info("r:B", "pending"), "0");
}

#[test]
fn servers_are_told_apart() {
    let mut server = server();
    let before = Client::new(&server).info("", "instance");
    assert_eq!(before, Client::new(&server).info("", "instance"));
    server.crash_and_restart().unwrap();
    assert_ne!(Client::new(&server).info("", "instance"), before);
}
