//! A client that sends garbage gets errors; the server lives on.

mod redis_support;

use std::time::{Duration, Instant};

use redis_support::{Client, Random, server};

const TIME: Duration = Duration::from_secs(10);

const COMMANDS: [&str; 18] = [
    "STRATA.ADD",
    "STRATA.MADD",
    "STRATA.GET",
    "STRATA.MGET",
    "STRATA.RANGE",
    "STRATA.ROLL",
    "STRATA.SOURCE",
    "STRATA.PENDING",
    "STRATA.ACK",
    "STRATA.DEL",
    "STRATA.TRIM",
    "STRATA.INFO",
    "STRATA.LOAD",
    "STRATA.WATCH",
    "STRATA.WATCHES",
    "STRATA.ANOMALIES",
    "STRATA.FILL",
    "STRATA.PUT",
];

const WORDS: [&str; 60] = [
    "r:A",
    "r:B",
    "{r}:C",
    "r:text",
    "r",
    "nocolon",
    "",
    ":",
    "{}:x",
    "*",
    "-",
    "+",
    "0",
    "1",
    "2",
    "3",
    "-1",
    "1700000000000",
    "1700000000000.5",
    "1.0005",
    "253402300799999.999",
    "-62135596800000",
    "99999999999999999999",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "flow",
    "pressure",
    "nan",
    "inf",
    "1e308",
    "-1e308",
    "4.9e-324",
    "-0.0",
    "MEASURES",
    "BUCKET",
    "AGG",
    "ALIGN",
    "EMPTY",
    "COUNT",
    "REV",
    "AT",
    "FROM",
    "TO",
    "KEYS",
    "SOURCE",
    "1us",
    "5m",
    "100000d",
    "avg",
    "p99",
    "stddev",
    "SCORE",
    "PACKED",
    "GRID",
    "BY",
    "KEY",
    "PREFIX",
    "range_novelty",
    "limits",
];

fn words(random: &mut Random) -> Vec<Vec<u8>> {
    let mut words = vec![COMMANDS[random.below(COMMANDS.len() as u64) as usize].as_bytes().to_vec()];
    for _ in 0..random.below(14) {
        words.push(match random.below(20) {
            0 => (0..random.below(40)).map(|_| random.next() as u8).collect(),
            1 => vec![b'9'; random.below(400) as usize],
            _ => WORDS[random.below(WORDS.len() as u64) as usize].as_bytes().to_vec(),
        });
    }
    words
}

/// Commands that are right but for one word.
fn nearly_right(random: &mut Random) -> Vec<Vec<u8>> {
    let lines = [
        "STRATA.ADD r:A 1000 flow 1 pressure 2",
        "STRATA.MADD r:A 1000 1 flow 1 r:B 2000 2 flow 1 pressure 2",
        "STRATA.RANGE r:A - + MEASURES 1 flow BUCKET 5m AGG 2 avg p99 ALIGN 3 EMPTY COUNT 10 REV PACKED",
        "STRATA.RANGE r:A - + BUCKET 5m AGG 3 avg count p99 ALIGN 3 EMPTY COUNT 10 GRID",
        "STRATA.SOURCE r 1h AT 1000 AGG 1 avg BUCKET 5m BY KEY GRID",
        "STRATA.ROLL r:A 1h AT + MEASURES 1 flow AGG 3 avg rate p50",
        "STRATA.ROLL r:A 5m 1h 1d AT + AGG 2 avg p99",
        "STRATA.SOURCE r 1h AT 1000 AGG 2 count p99.9",
        "STRATA.SOURCE r 1h AT 1000 AGG 1 avg BUCKET 5m ALIGN 7 BY PREFIX - PACKED",
        "STRATA.ADD r:A 2000 SCORE flow 1",
        "STRATA.WATCH r:A flow - range_novelty pressure 1000 gap",
        "STRATA.ANOMALIES r COUNT 3",
        "STRATA.PENDING r FROM 1 TO 5000 KEYS 2 A B COUNT 10",
        "STRATA.ACK 5 r:A 1000000:2:0 r:B 3:4:ff",
        "STRATA.DEL r:A 10 20",
        "STRATA.TRIM r:A 1500",
    ];
    let line = lines[random.below(lines.len() as u64) as usize];
    let mut words: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
    let at = 1 + random.below(words.len() as u64 - 1) as usize;
    words[at] = WORDS[random.below(WORDS.len() as u64) as usize].as_bytes().to_vec();
    words
}

#[test]
fn garbage_gets_errors_and_the_server_lives() {
    let server = server();
    let mut redis = Client::new(&server);
    let seed = std::env::var("STRATA_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let mut random = Random(seed);
    redis.run("SET r:text x");
    let started = Instant::now();
    let (mut sent, mut refused) = (0u64, 0u64);
    while started.elapsed() < TIME {
        let words = if random.below(2) == 0 { words(&mut random) } else { nearly_right(&mut random) };
        sent += 1;
        if let Err(error) = redis.send(&words) {
            refused += 1;
            let shown: Vec<_> = words.iter().map(|word| String::from_utf8_lossy(word)).collect();
            let expected = ["STRATAERR", "WRONGTYPE", "wrong number of arguments", "CROSSSLOT"];
            assert!(expected.iter().any(|code| error.contains(code)), "{shown:?}: {error}");
            assert!(!error.contains("internal error"), "{shown:?}: {error}");
        }
        if sent % 500 == 0 {
            redis.run("DEL r:A r:B");
        }
    }
    assert!(sent > 1000 && refused > 100 && refused < sent, "{refused} of {sent} refused");
    assert_eq!(redis.run("PING"), "PONG");
    assert!(!server.log().contains("internal error"), "{}", server.log());
    redis.run("DEBUG RELOAD");
}
