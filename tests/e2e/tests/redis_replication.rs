//! Replicas hold what the primary holds, also what the primary's clock decided.

mod redis_support;

use redis_support::{Client, builder, eventually, server};
use strata_servers::RedisServer;

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
