//! `kill -9` while sensors write and the flush runs: what was acknowledged is in Redis or in the table.

mod redis_support;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use redis_support::{Client, Random, Table, builder};
use strata_servers::{AppendFsync, RedisServer};

/// An acknowledged sample, and when its reply came.
struct Acknowledged {
    key: String,
    time: i64,
    value: f64,
    at: Instant,
}

/// Writes samples of four series until the server dies, some of them late and some together.
fn ingest(server: &RedisServer, first: i64, acknowledged: &Mutex<Vec<Acknowledged>>) {
    let mut redis = Client::new(server);
    let mut random = Random(first as u64);
    let mut times = first..;
    loop {
        let group: Vec<(String, i64, f64)> = times
            .by_ref()
            .take(1 + random.below(3) as usize)
            // Neighbours change places, so that some samples are late.
            .map(|time| (format!("{}", random.below(4)), time ^ 1, (time % 1000) as f64 / 8.0))
            .collect();
        let mut words = vec!["STRATA.MADD".to_owned()];
        for (key, time, value) in &group {
            words.extend([format!("r:{key}"), time.to_string(), "1".into(), "flow".into(), value.to_string()]);
        }
        let Ok(reply) = redis.send(&words) else { return };
        assert!(!redis_support::show(&reply).contains("error"), "{reply:?}");
        let at = Instant::now();
        let mut acknowledged = acknowledged.lock().unwrap();
        acknowledged.extend(group.into_iter().map(|(key, time, value)| Acknowledged { key, time, value, at }));
    }
}

/// Moves pending samples into the table until the server dies; now and then a flush dies before it acknowledges.
fn flush(server: &RedisServer, table: &mut Table, flush_id: &mut i64, stop: &AtomicBool) {
    let mut redis = Client::new(server);
    let mut random = Random(*flush_id as u64);
    while !stop.load(Relaxed) {
        let count = (1 + random.below(60)).to_string();
        let Ok(reply) = redis.send(&["STRATA.PENDING", "r", "COUNT", &count]) else { return };
        let pending = redis_support::Pending::parse(&reply);
        table.upsert(&pending);
        *flush_id += 1;
        if pending.series.is_empty() || random.below(5) == 0 {
            continue;
        }
        let mut words = vec!["STRATA.ACK".to_owned(), flush_id.to_string()];
        for series in &pending.series {
            words.extend([series.redis_key.clone(), series.token.clone()]);
        }
        if redis.send(&words).is_err() {
            return;
        }
    }
}

fn kill(server: &RedisServer) -> Instant {
    let status = std::process::Command::new("kill").args(["-9", &server.pid().to_string()]).status();
    assert!(status.is_ok_and(|status| status.success()));
    Instant::now()
}

/// Lets sensors and the flush work for a while, kills the server, starts it again. Returns when it was killed.
fn crash(
    server: &mut RedisServer,
    life: Duration,
    first: i64,
    (table, flush_id): (&mut Table, &mut i64),
    acknowledged: &Mutex<Vec<Acknowledged>>,
) -> Instant {
    let stop = AtomicBool::new(false);
    let killed = std::thread::scope(|scope| {
        scope.spawn(|| ingest(server, first, acknowledged));
        scope.spawn(|| flush(server, table, flush_id, &stop));
        std::thread::sleep(life);
        let killed = kill(server);
        stop.store(true, Relaxed);
        killed
    });
    server.crash_and_restart().unwrap();
    killed
}

fn drain(server: &RedisServer, table: &mut Table, flush_id: i64) {
    let mut redis = Client::new(server);
    loop {
        let pending = redis.pending("r COUNT 1000");
        table.upsert(&pending);
        if pending.series.is_empty() {
            return;
        }
        redis.ack(flush_id, &pending);
    }
}

#[test]
fn under_appendfsync_always_no_acknowledged_sample_is_lost() {
    let mut server = builder().append_only(Some(AppendFsync::Always)).start().unwrap();
    let (mut table, mut flush_id) = (Table::default(), 0);
    let acknowledged = Mutex::new(Vec::new());
    let mut random = Random(41);
    for round in 0..5 {
        let life = Duration::from_millis(200 + random.below(400));
        crash(&mut server, life, round * 1_000_000, (&mut table, &mut flush_id), &acknowledged);
        let mut redis = Client::new(&server);
        assert!(redis.pending("r").flush_id <= flush_id);
    }
    drain(&server, &mut table, flush_id + 1);
    let acknowledged = acknowledged.into_inner().unwrap();
    assert!(acknowledged.len() > 100 && flush_id > 10, "{} samples, {flush_id} flushes", acknowledged.len());
    let mut redis = Client::new(&server);
    for Acknowledged { key, time, value, .. } in &acknowledged {
        assert_eq!(table.get(key, time * 1000, "flow"), Some(*value), "r:{key} {time} in the table");
    }
    let held: usize = (0..4).map(|key| redis.info(&format!("r:{key}"), "samples").parse::<usize>().unwrap()).sum();
    assert!(held >= acknowledged.len(), "{held} of {} samples in Redis", acknowledged.len());
}

#[test]
fn under_appendfsync_everysec_what_is_older_than_two_seconds_is_not_lost() {
    let mut server = builder().append_only(Some(AppendFsync::EverySecond)).start().unwrap();
    let (mut table, mut flush_id) = (Table::default(), 0);
    let acknowledged = Mutex::new(Vec::new());
    let life = Duration::from_secs(4);
    let killed = crash(&mut server, life, 0, (&mut table, &mut flush_id), &acknowledged);
    drain(&server, &mut table, flush_id + 1);
    let acknowledged = acknowledged.into_inner().unwrap();
    let safe: Vec<_> = acknowledged.iter().filter(|sample| sample.at + Duration::from_secs(2) < killed).collect();
    assert!(safe.len() > 100, "only {} samples", safe.len());
    for Acknowledged { key, time, value, .. } in safe {
        assert_eq!(table.get(key, time * 1000, "flow"), Some(*value), "r:{key} {time}");
    }
}
