//! What was acknowledged survives: RDB, AOF, a rewritten AOF, kill -9.

mod redis_support;

use redis_support::{Client, Random, builder, server, show};
use strata_servers::{AppendFsync, RedisServer};

/// Three series with closed blocks, late samples, a mark and pending samples.
fn fill(redis: &mut Client) {
    for key in ["r:A", "{r}:B", "r:C"] {
        for i in 0..400 {
            redis.run(&format!("STRATA.ADD {key} {} flow {} pressure {}", i * 1000, f64::from(i) / 10.0, i % 7));
        }
    }
    let pending = redis.pending("r COUNT 700");
    redis.ack(5, &pending);
    redis.run("STRATA.ADD r:A 17.125 temperature 0.1");
    redis.run("STRATA.ADD r:A 5000 flow -0.25");
    redis.run("STRATA.DEL r:C 100000 110000");
}

fn state(redis: &mut Client) -> String {
    let mut parts = vec![redis.digest()];
    for key in ["r:A", "{r}:B", "r:C"] {
        for field in ["samples", "pending", "late", "seq", "mark", "flush_id", "first", "last"] {
            parts.push(redis.info(key, field));
        }
    }
    parts.push(redis.run("STRATA.SOURCE r 1h AT + AGG 4 count avg stddev p99"));
    parts.push(format!("{:?}", redis.pending("r").without_instances()));
    parts.join("\n")
}

#[test]
fn an_rdb_file_brings_everything_back() {
    let mut server = server();
    let mut redis = Client::new(&server);
    fill(&mut redis);
    let before = state(&mut redis);
    redis.run("SAVE");
    server.crash_and_restart().unwrap();
    assert_eq!(state(&mut Client::new(&server)), before);
}

#[test]
fn a_reload_changes_nothing() {
    let server = server();
    let mut redis = Client::new(&server);
    fill(&mut redis);
    let before = state(&mut redis);
    redis.run("DEBUG RELOAD");
    assert_eq!(state(&mut redis), before);
}

fn with_aof(preamble: &str) -> RedisServer {
    builder().append_only(Some(AppendFsync::Always)).conf("aof-use-rdb-preamble", preamble).start().unwrap()
}

#[test]
fn the_aof_replays_to_the_same_state() {
    let mut server = with_aof("yes");
    let mut redis = Client::new(&server);
    fill(&mut redis);
    redis.run("STRATA.ADD r:clock * flow 1");
    redis.run("STRATA.MADD r:clock * 1 flow 2 nocolon * 1 flow 2 r:C * 1 flow 3");
    let before = state(&mut redis);
    server.crash_and_restart().unwrap();
    assert_eq!(state(&mut Client::new(&server)), before);
}

#[test]
fn a_rewritten_aof_of_commands_brings_everything_back() {
    let mut server = with_aof("no");
    let mut redis = Client::new(&server);
    fill(&mut redis);
    redis.run("STRATA.ADD r:D 1 flow 1");
    redis.run("RENAME r:D elsewhere");
    let before = state(&mut redis);
    redis.run("BGREWRITEAOF");
    redis_support::eventually("the rewrite", || {
        let info = redis.run("INFO persistence");
        (info.contains("aof_rewrite_in_progress:0") && info.contains("aof_rewrite_scheduled:0")).then_some(())
    });
    let files: Vec<String> = std::fs::read_dir(server.data_dir().join("appendonlydir"))
        .unwrap()
        .map(|file| file.unwrap().path().display().to_string())
        .collect();
    let base = files.iter().find(|name| name.ends_with(".2.base.aof")).unwrap_or_else(|| panic!("{files:?}"));
    let text = std::fs::read(base).unwrap();
    assert!(text.windows(11).any(|word| word == b"STRATA.LOAD"), "the rewritten file holds the bulk command");
    server.crash_and_restart().unwrap();
    let mut redis = Client::new(&server);
    assert_eq!(state(&mut redis), before);
    assert_eq!(redis.run("STRATA.GET elsewhere"), "[1, [flow, 1]]", "a name that no source has");
}

#[test]
fn kill_9_loses_nothing_that_was_acknowledged() {
    let mut server = with_aof("yes");
    let mut random = Random(99);
    let mut acknowledged = 0i64;
    for round in 0..4 {
        let pid = server.pid();
        let kill_after = std::time::Duration::from_millis(150 + random.below(200));
        let killer = std::thread::spawn(move || {
            std::thread::sleep(kill_after);
            let status = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status();
            assert!(status.is_ok_and(|status| status.success()));
        });
        let mut redis = Client::new(&server);
        loop {
            let time = acknowledged;
            match redis.send(&["STRATA.ADD", "r:A", &time.to_string(), "flow", &(time % 100).to_string()]) {
                Ok(_) => acknowledged += 1,
                Err(_) => break,
            }
            if time % 50 == 49 {
                let Ok(reply) = redis.send(&["STRATA.PENDING", "r"]) else { break };
                drop(reply);
            }
        }
        killer.join().unwrap();
        server.crash_and_restart().unwrap();
        let mut redis = Client::new(&server);
        let samples: i64 = redis.info("r:A", "samples").parse().unwrap();
        // The sample whose reply the kill cut off may be there.
        assert!((acknowledged..=acknowledged + 1).contains(&samples), "round {round}: {samples} of {acknowledged}");
        assert_eq!(redis.info("r:A", "pending"), samples.to_string());
        acknowledged = samples;
    }
    assert!(acknowledged > 50, "only {acknowledged} samples went in");
}

#[test]
fn an_acknowledged_flush_is_remembered_after_kill_9() {
    let mut server = with_aof("yes");
    let mut redis = Client::new(&server);
    fill(&mut redis);
    let pending = redis.pending("r");
    redis.ack(77, &pending);
    server.crash_and_restart().unwrap();
    let after = Client::new(&server).pending("r");
    assert_eq!((after.flush_id, after.rows()), (77, 0));
}

#[test]
fn dump_and_restore_carry_a_series_to_another_server() {
    let (one, other) = (server(), server());
    let (mut one, mut other) = (Client::new(&one), Client::new(&other));
    fill(&mut one);
    let Ok(redis::Value::BulkString(dump)) = one.send(&["DUMP", "r:A"]) else { panic!("DUMP") };
    other.send(&[b"RESTORE", &b"r:A"[..], b"0", &dump]).unwrap();
    assert_eq!(other.run("DEBUG DIGEST-VALUE r:A"), one.run("DEBUG DIGEST-VALUE r:A"));
    assert_eq!(other.info("SOURCE r", "pending"), one.info("r:A", "pending"));
}

#[test]
fn a_damaged_payload_is_refused() {
    let server = server();
    let mut redis = Client::new(&server);
    // Without this, the check of the payload's checksum would find the damage before the module sees it.
    let skip = redis.send(&["DEBUG", "SET-SKIP-CHECKSUM-VALIDATION", "1"]).is_ok();
    assert!(skip, "the server can skip the checksum");
    fill(&mut redis);
    let Ok(redis::Value::BulkString(dump)) = redis.send(&["DUMP", "r:A"]) else { panic!("DUMP") };
    let mut random = Random(3);
    let mut refused = 0;
    for _ in 0..500 {
        let mut damaged = dump.clone();
        // The frame around the module's string is the server's own, and so is its end.
        let at = 20 + random.below(dump.len() as u64 - 40) as usize;
        damaged[at] ^= 1 << random.below(8);
        match redis.send(&[b"RESTORE", &b"r:X"[..], b"0", &damaged]) {
            Ok(_) => {
                redis.run("STRATA.RANGE r:X - +");
                redis.pending("r");
                redis.run("DEL r:X");
            }
            Err(error) => {
                assert!(error.to_lowercase().contains("bad data format"), "{error}");
                refused += 1;
            }
        }
    }
    assert!(refused > 0);
    assert_eq!(redis.run("PING"), "PONG");
}

#[test]
fn a_newer_encoding_is_refused_with_a_clear_message() {
    let server = server();
    let mut redis = Client::new(&server);
    redis.send(&["DEBUG", "SET-SKIP-CHECKSUM-VALIDATION", "1"]).unwrap();
    redis.run("STRATA.ADD r:A 1 flow 1");
    let Ok(redis::Value::BulkString(mut dump)) = redis.send(&["DUMP", "r:A"]) else { panic!("DUMP") };
    // Type byte, then the type's id as a 64-bit length (0x81): its last ten bits are the encoding version.
    assert_eq!(dump[1], 0x81, "{dump:?}");
    dump[9] += 1;
    let error = redis.send(&[b"RESTORE", &b"r:B"[..], b"0", &dump]).unwrap_err();
    assert!(error.to_lowercase().contains("bad data format"), "{error}");
    assert!(server.log().contains("series in encoding 3; this module reads up to 2"), "{}", server.log());
    assert_eq!(show(&redis.send(&["STRATA.GET", "r:A"]).unwrap()), "[1, [flow, 1]]");
}
