//! Replicas hold what the primary holds, also what the primary's clock decided.

mod redis_support;

use redis_support::{Client, builder, eventually, server};
use series::wire::Batch;
use strata_servers::{AppendFsync, RedisServer};

fn pair() -> (RedisServer, RedisServer) {
    let primary = server();
    let replica = builder().append_only(None).replica_of(&primary).start().unwrap();
    let mut client = Client::new(&replica);
    eventually("the replica's link", || client.run("INFO replication").contains("master_link_status:up").then_some(()));
    (primary, replica)
}

fn wait_for(primary: &mut Client) {
    assert_eq!(primary.run("WAIT 1 20000"), "1");
}

#[test]
fn a_replica_takes_the_time_that_the_primary_resolved() {
    let (primary, replica) = pair();
    let (mut primary, mut replica) = (Client::new(&primary), Client::new(&replica));
    for i in 0..200 {
        primary.run(&format!("STRATA.ADD r:A * flow {i}"));
        primary.run(&format!("STRATA.MADD r:B * 1 flow {i} nocolon * 1 flow 1 r:C * 2 flow {i} pressure 2"));
    }
    wait_for(&mut primary);
    for key in ["r:A", "r:B", "r:C"] {
        assert_eq!(replica.run(&format!("STRATA.RANGE {key} - +")), primary.run(&format!("STRATA.RANGE {key} - +")));
    }
    assert_eq!(replica.digest(), primary.digest());
}

#[test]
fn acknowledgements_and_deletions_are_replicated() {
    let (primary, replica) = pair();
    let (mut primary, mut replica) = (Client::new(&primary), Client::new(&replica));
    for i in 0..500 {
        primary.run(&format!("STRATA.ADD r:A {i} flow {i}"));
    }
    let pending = primary.pending("r COUNT 300");
    primary.run("STRATA.ADD r:A 7 flow 0.5");
    primary.ack(3, &pending);
    primary.run("STRATA.DEL r:A 400 410");
    wait_for(&mut primary);
    assert_eq!(replica.digest(), primary.digest());
    assert_eq!(replica.info("r:A", "pending"), primary.info("r:A", "pending"));
    assert_eq!(replica.pending("r").flush_id, 3);
    let pending = |client: &mut Client| format!("{:?}", client.pending("r").without_instances());
    assert_eq!(pending(&mut replica), pending(&mut primary));
}

#[test]
fn a_replica_that_joins_later_gets_everything_and_knows_the_sources() {
    let primary = server();
    let mut client = Client::new(&primary);
    for i in 0..300 {
        client.run(&format!("STRATA.ADD r:A {i} flow {i}"));
    }
    let replica = builder().append_only(None).replica_of(&primary).start().unwrap();
    let mut replica = Client::new(&replica);
    eventually("the first synchronisation", || {
        replica.run("INFO replication").contains("master_link_status:up").then_some(())
    });
    assert_eq!(replica.digest(), client.digest());
    assert_eq!(replica.info("SOURCE r", "samples"), "300");
    assert!(replica.error("STRATA.ADD r:A 1000 flow 1").contains("READONLY"));
}

#[test]
fn transactions_and_scripts_are_replicated_with_their_resolved_times() {
    let (primary, replica) = pair();
    let (mut primary, mut replica) = (Client::new(&primary), Client::new(&replica));
    primary.run("MULTI");
    primary.run("STRATA.ADD r:A * flow 1");
    primary.run("STRATA.ADD r:A * flow 2");
    assert_eq!(primary.run("EXEC").matches(", ").count(), 1);
    let script = "redis.call('STRATA.ADD', KEYS[1], '*', 'flow', 3); return redis.call('STRATA.GET', KEYS[1])[2]";
    let reply = primary.send(&["EVAL", script, "1", "r:A"]).unwrap();
    assert_eq!(redis_support::show(&reply), "[flow, 3]");
    wait_for(&mut primary);
    assert_eq!(primary.info("r:A", "samples"), "3");
    assert_eq!(replica.digest(), primary.digest());
}

/// What a flush after a failover goes by.
fn books(client: &mut Client, key: &str) -> Vec<String> {
    ["samples", "pending", "late", "seq", "mark", "first", "blocks"].map(|field| client.info(key, field)).to_vec()
}

/// Writes that the retention of the primary makes drop samples, in every command that drops them, each followed by samples
/// that were dropped already and are sent again.
fn write_and_resend(primary: &mut Client) {
    let flush = |primary: &mut Client, id| {
        let pending = primary.pending("r");
        primary.ack(id, &pending);
    };
    // negative times too, and blocks and open rows
    let time = |i: i64| (i - 300) * 1_000;
    for i in 0..600 {
        primary.run(&format!("STRATA.ADD r:A {} flow {i}", time(i)));
    }
    flush(primary, 1);
    for i in 0..5 {
        primary.run(&format!("STRATA.ADD r:A {} flow {i}", time(i)));
        primary.run(&format!("STRATA.MADD r:A {} 1 flow {i} r:B {} 1 flow 1", time(i + 5), i * 60_000));
    }
    flush(primary, 2);
    for i in 600..900 {
        primary.run(&format!("STRATA.MADD r:A {} 1 flow {i} r:A {} 1 flow 0", time(i), time(i - 600)));
    }
    let old =
        Batch { measures: vec!["flow".to_owned()], times: vec![1, 2, 3_600_000_000], columns: vec![vec![1.0; 3]] };
    for key in ["r:A", "r:C"] {
        primary.send(&[b"STRATA.FILL", key.as_bytes(), &old.encode()]).unwrap();
    }
    flush(primary, 3);
    primary.run(&format!("STRATA.ADD r:A {} flow 1", time(10)));
}

#[test]
fn a_replica_drops_what_its_primary_dropped_whatever_its_own_retention() {
    for (of_primary, of_replica) in [("5m", "1m"), ("1m", "5m"), ("1m", "52w")] {
        let (primary, replica) = pair();
        let (mut primary, mut replica) = (Client::new(&primary), Client::new(&replica));
        primary.run(&format!("CONFIG SET strata.retention {of_primary}"));
        replica.run(&format!("CONFIG SET strata.retention {of_replica}"));
        write_and_resend(&mut primary);
        wait_for(&mut primary);
        for key in ["r:A", "r:B", "r:C"] {
            assert_eq!(books(&mut replica, key), books(&mut primary, key), "{key}, {of_primary} and {of_replica}");
        }
        assert_eq!(replica.digest(), primary.digest());
        let pending = |client: &mut Client| format!("{:?}", client.pending("r").without_instances());
        assert_eq!(pending(&mut replica), pending(&mut primary));
        // once it is the primary, its own retention counts
        replica.run("REPLICAOF NO ONE");
        replica.run("CONFIG SET strata.retention 1s");
        let before: u64 = replica.info("r:A", "samples").parse().unwrap();
        let pending = replica.pending("r");
        replica.ack(9, &pending);
        assert!(replica.info("r:A", "samples").parse::<u64>().unwrap() < before);
    }
}

#[test]
fn an_aof_drops_what_was_dropped_when_it_was_written() {
    let mut server = builder().append_only(Some(AppendFsync::Always)).start().unwrap();
    let mut redis = Client::new(&server);
    redis.run("CONFIG SET strata.retention 1m");
    write_and_resend(&mut redis);
    let keys = ["r:A", "r:B", "r:C"];
    let before = (redis.digest(), keys.map(|key| books(&mut redis, key)));
    server.kill9();
    server.start().unwrap();
    let mut redis = Client::new(&server);
    assert_eq!(redis.run("CONFIG GET strata.retention"), "[strata.retention, 1d]");
    assert_eq!((redis.digest(), keys.map(|key| books(&mut redis, key))), before);
}
