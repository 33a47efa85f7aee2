//! The module behaves as a part of the server: documentation, rights, memory, settings, cluster.

mod redis_support;

use redis_support::{Client, builder, node, server};
use strata_servers::{RedisKind, redis_kind};

const COMMANDS: [&str; 18] = [
    "ADD",
    "MADD",
    "GET",
    "MGET",
    "RANGE",
    "ROLL",
    "SOURCE",
    "PENDING",
    "ACK",
    "DEL",
    "TRIM",
    "INFO",
    "LOAD",
    "WATCH",
    "WATCHES",
    "ANOMALIES",
    "FILL",
    "PUT",
];

const WRITING: [&str; 9] = ["ADD", "MADD", "ACK", "DEL", "TRIM", "LOAD", "WATCH", "FILL", "PUT"];

#[test]
fn these_are_all_commands_of_the_module() {
    let server = server();
    let mut redis = Client::new(&server);
    let listed = redis.run("COMMAND LIST FILTERBY MODULE strata").to_uppercase();
    let mut listed: Vec<&str> = listed.trim_matches(['[', ']']).split(", ").collect();
    listed.sort_unstable();
    let mut known = COMMANDS.map(|command| format!("STRATA.{command}"));
    known.sort_unstable();
    assert_eq!(listed, known);
}

#[test]
fn every_command_is_documented() {
    let server = server();
    let mut redis = Client::new(&server);
    for command in COMMANDS {
        let docs = redis.run(&format!("COMMAND DOCS STRATA.{command}"));
        for field in ["summary", "since", "complexity"] {
            assert!(docs.contains(field), "{command} lacks {field}: {docs}");
        }
        let info = redis.run(&format!("COMMAND INFO STRATA.{command}"));
        let writes = WRITING.contains(&command);
        assert!(info.contains(if writes { "write" } else { "readonly" }), "{command}: {info}");
    }
}

#[test]
fn the_server_knows_which_arguments_are_keys() {
    let server = server();
    let mut redis = Client::new(&server);
    for (line, keys) in [
        ("STRATA.ADD r:A * flow 1", "[r:A]"),
        ("STRATA.MADD r:A * 2 flow 1 x:y 2 r:B 5 1 flow 2", "[r:A, r:B]"),
        ("STRATA.MGET r:A r:B r:C", "[r:A, r:B, r:C]"),
        ("STRATA.ACK 1 r:A 1:1:0 r:B 2:2:0", "[r:A, r:B]"),
        ("STRATA.INFO r:A", "[r:A]"),
        ("STRATA.DEL r:A - +", "[r:A]"),
        ("STRATA.TRIM r:A +", "[r:A]"),
        ("STRATA.WATCH r:A flow - range_novelty", "[r:A]"),
        ("STRATA.FILL r:A batch r:B batch", "[r:A, r:B]"),
        ("STRATA.PUT r:A sample", "[r:A]"),
    ] {
        assert_eq!(redis.run(&format!("COMMAND GETKEYS {line}")), keys, "{line}");
    }
    for line in
        ["STRATA.MGET SOURCE r", "STRATA.INFO SOURCE r", "STRATA.PENDING r", "STRATA.ANOMALIES r", "STRATA.WATCHES r"]
    {
        let error = redis.error(&format!("COMMAND GETKEYS {line}"));
        let none = error.contains("no key") || error.contains("Invalid arguments");
        assert!(none, "{line}: {error}");
    }
}

#[test]
fn a_user_sees_only_the_series_that_he_may_read() {
    let server = server();
    let mut redis = Client::new(&server);
    redis.run("STRATA.MADD r:A 1 1 flow 1 r:B 1 1 flow 10 s:A 1 1 flow 100");
    redis.run("ACL SETUSER reader on >secret ~r:A +@all -@dangerous");
    redis.run("AUTH reader secret");
    assert_eq!(redis.run("STRATA.MGET SOURCE r"), "[[r:A, 1, [flow, 1]]]");
    assert_eq!(redis.run("STRATA.SOURCE r 1h AT 1 AGG 1 sum"), "[-3599999, 1, 1, [flow, [sum, 1]]]");
    assert_eq!(redis.pending("r").rows(), 1);
    assert_eq!(redis.pending("s").rows(), 0);
    assert_eq!(redis.info("SOURCE s", "series"), "0");
    for line in [
        "STRATA.GET r:B",
        "STRATA.MGET r:A r:B",
        "STRATA.MADD r:A 2 1 flow 1 r:B 2 1 flow 1",
        "STRATA.ACK 1 r:B 1:1:0",
        "STRATA.WATCH r:B flow - range_novelty",
        "STRATA.FILL r:A x r:B x",
    ] {
        assert!(redis.error(line).contains("NOPERM"), "{line}");
    }
}

#[test]
fn the_commands_have_a_category_of_their_own_where_the_server_knows_such_and_are_in_no_other() {
    let server = server();
    let mut redis = Client::new(&server);
    redis.run("ACL SETUSER other on >secret ~* +@read +@write +@fast");
    let given = if redis_kind() == RedisKind::Redis7 {
        "+strata.add"
    } else {
        let category = redis.run("ACL CAT strata").to_uppercase();
        for command in COMMANDS {
            assert!(category.contains(&format!("STRATA.{command}")), "{category}");
        }
        "+@strata"
    };
    redis.run(&format!("ACL SETUSER sensor on >secret ~* {given}"));
    redis.run("AUTH sensor secret");
    redis.run("STRATA.ADD r:A * flow 1");
    assert!(redis.error("SET a b").contains("NOPERM"));
    redis.run("AUTH other secret");
    assert!(redis.error("STRATA.GET r:A").contains("NOPERM"));
}

#[test]
fn writes_are_refused_when_memory_is_full_but_acknowledging_is_not() {
    let server = server();
    let mut redis = Client::new(&server);
    redis.run("STRATA.ADD r:A 1 flow 1");
    redis.run("CONFIG SET maxmemory 100kb");
    assert!(redis.error("STRATA.ADD r:A 2 flow 1").contains("OOM"));
    assert!(redis.error("STRATA.MADD r:A 2 1 flow 1").contains("OOM"));
    assert!(redis.error("STRATA.WATCH r:A flow - range_novelty").contains("OOM"));
    assert!(redis.error("STRATA.FILL r:A batch").contains("OOM"));
    let pending = redis.pending("r");
    assert!(redis.info("", "warnings").contains("maxmemory with 1 samples pending"));
    assert_eq!(redis.ack(1, &pending), "1");
    assert_eq!(redis.run("STRATA.DEL r:A - +"), "1");
}

#[test]
fn dangerous_settings_show_as_warnings() {
    let server = builder().start().unwrap();
    let mut redis = Client::new(&server);
    assert_eq!(redis.info("", "warnings"), "[]");
    assert!(redis.run("INFO strata").contains("strata_warnings:0"));
    redis.run("CONFIG SET maxmemory-policy allkeys-lru");
    redis.run("CONFIG SET appendonly no");
    let warnings = redis.info("", "warnings");
    assert!(warnings.contains("allkeys-lru") && warnings.contains("appendonly yes"), "{warnings}");
    let info = redis.run("INFO strata");
    assert!(info.contains("strata_warnings:2") && info.contains("allkeys-lru"), "{info}");
    assert!(redis.run("INFO everything").contains("strata_series:0"));
}

#[test]
fn the_retention_is_a_setting() {
    let server = builder().append_only(None).conf("strata.retention", "2h").start().unwrap();
    let mut redis = Client::new(&server);
    assert_eq!(redis.run("CONFIG GET strata.retention"), "[strata.retention, 2h]");
    redis.run("CONFIG SET strata.retention 90m");
    assert_eq!(redis.run("CONFIG GET strata.retention"), "[strata.retention, 90m]");
    assert!(redis.error("CONFIG SET strata.retention soon").contains("not a duration"));
    assert_eq!(redis.info("", "retention"), "90m");
}

#[test]
fn a_value_takes_little_memory_with_and_without_the_kept_buckets() {
    let server = server();
    let mut redis = Client::new(&server);
    for i in 0..2880 {
        let (a, b, c) = (1200 + (i * 37) % 90, 310 + (i * 17) % 23, 1800 + (i * 7) % 60);
        redis.run(&format!(
            "STRATA.ADD r:A {} flow {}.{:02} pressure {}.{:02} temperature {}.{:02}",
            i * 30_000,
            a / 100,
            a % 100,
            b / 100,
            b % 100,
            c / 100,
            c % 100
        ));
    }
    let bytes: f64 = redis.run("MEMORY USAGE r:A").parse().unwrap();
    let kept: f64 = redis.info("r:A", "rollup_bytes").parse().unwrap();
    let per_value = |bytes: f64| bytes / (2880.0 * 3.0);
    assert!(per_value(bytes) < 8.0, "{} bytes per value with all buckets", per_value(bytes));
    assert!(per_value(bytes - kept) < 2.0, "{} bytes per value", per_value(bytes - kept));
}

#[test]
fn defragmentation_moves_series_without_harm() {
    let server = server();
    let mut redis = Client::new(&server);
    if redis.send(&["CONFIG", "SET", "activedefrag", "yes"]).is_err() {
        return; // This build of the server has an allocator that cannot defragment.
    }
    redis.run("CONFIG SET active-defrag-ignore-bytes 1");
    redis.run("CONFIG SET active-defrag-threshold-lower 0");
    redis.run("CONFIG SET active-defrag-cycle-min 60");
    redis.run("CONFIG SET active-defrag-cycle-max 75");
    for key in 0..60 {
        for i in 0..300 {
            redis.run(&format!("STRATA.ADD r:{key} {i} flow {} pressure {}", i % 17, i * key));
        }
    }
    for key in (0..60).step_by(2) {
        redis.run(&format!("DEL r:{key}"));
    }
    let before = redis.digest();
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(redis.digest(), before);
    redis.run("STRATA.ADD r:1 1000 flow 1");
    assert_eq!(redis.info("r:1", "samples"), "301");
}

#[test]
fn a_cluster_refuses_keys_of_different_slots() {
    let node = node();
    let mut redis = Client::new(&node.server);
    let slots: Vec<String> = (0..16384).map(|slot| slot.to_string()).collect();
    let words: Vec<&str> = ["CLUSTER", "ADDSLOTS"].into_iter().chain(slots.iter().map(String::as_str)).collect();
    redis.send(&words).unwrap();
    redis_support::eventually("the cluster", || redis.run("CLUSTER INFO").contains("cluster_state:ok").then_some(()));
    assert!(redis.error("STRATA.MADD r:A 1 1 flow 1 r:B 1 1 flow 1").to_uppercase().contains("CROSSSLOT"));
    assert!(redis.error("STRATA.MGET r:A r:B").to_uppercase().contains("CROSSSLOT"));
    assert_eq!(redis.run("STRATA.MADD {r}:A 1 1 flow 1 {r}:B 1 1 flow 2"), "[1, 1]");
    assert_eq!(redis.run("STRATA.MGET SOURCE r"), "[[{r}:A, 1, [flow, 1]], [{r}:B, 1, [flow, 2]]]");
}

#[test]
fn resp3_clients_get_doubles() {
    let server = server();
    let mut redis = Client::new(&server);
    redis.run("STRATA.ADD r:A 1 flow 3.1");
    redis.run("HELLO 3");
    let reply = redis.send(&["STRATA.GET", "r:A"]).unwrap();
    assert!(format!("{reply:?}").contains("double(3.1)") || format!("{reply:?}").contains("Double(3.1)"), "{reply:?}");
}

#[test]
fn a_wrong_loadmodule_line_is_explained() {
    let started = builder().module_argument("retention=1h").start();
    let message = format!("{:#}", started.expect_err("the server refuses to start"));
    assert!(message.contains("takes no arguments"), "{message}");
}
