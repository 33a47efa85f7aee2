//! Series that earlier versions of the module saved are read as they were written. The files are DUMP payloads of a key
//! `r:A`, which hold the encoding of RDB files too.

mod redis_support;

use redis_support::{Client, server};
use strata_servers::RedisServer;

fn restored(name: &str) -> (RedisServer, Client) {
    let payload = std::fs::read(strata_servers::paths::project().join("tests/data/redis").join(name)).unwrap();
    let server = server();
    let mut redis = Client::new(&server);
    redis.send(&[b"RESTORE", &b"r:A"[..], b"0", &payload]).unwrap();
    (server, redis)
}

fn has(redis: &mut Client, fields: &[(&str, &str)]) {
    for (field, value) in fields {
        assert_eq!(redis.info("r:A", field), *value, "{field}");
    }
}

#[test]
fn a_series_in_format_1_is_read() {
    let (_server, mut redis) = restored("series_v1.dump");
    has(
        &mut redis,
        &[
            ("samples", "398"),
            ("measures", "[flow, pressure, temperature]"),
            ("first", "0"),
            ("last", "11970000"),
            ("pending", "102"),
            ("oldest_pending", "17.125"),
            ("mark", "8970000"),
            ("late", "2"),
            ("seq", "403"),
            ("flush_id", "5"),
            ("watched", "[]"),
            ("alarms", "0"),
        ],
    );
    assert_eq!(
        redis.run("STRATA.ROLL r:A 24h AT + AGG 3 count avg p99"),
        "[-74430000, 11970000, [flow, [count, 397, avg, 20.08375314861461, p99, 39.254745374189085], \
         pressure, [count, 397, avg, 2.9974811083123427, p99, 5.989510371172621], \
         temperature, [count, 1, avg, 0.1, p99, 0.1]]]"
    );
    assert_eq!(redis.pending("r").rows(), 102);
    assert_eq!(redis.run("STRATA.ADD r:A 12000000 SCORE flow 1"), "[12000000, nil]");
}

#[test]
fn a_series_in_format_2_is_read_with_its_watches_and_alarms() {
    let (_server, mut redis) = restored("series_v2.dump");
    has(
        &mut redis,
        &[
            ("samples", "301"),
            ("measures", "[flow, pressure, temperature]"),
            ("first", "0"),
            ("last", "89700000"),
            ("pending", "100"),
            ("oldest_pending", "17.125"),
            ("mark", "60000000"),
            ("late", "1"),
            ("seq", "301"),
            ("flush_id", "12"),
            ("watched", "[flow, pressure]"),
            ("alarms", "1"),
        ],
    );
    assert_eq!(
        redis.run("STRATA.ROLL r:A 1w AT + AGG 3 count avg p99"),
        "[-515100000, 89700000, [flow, [count, 300, avg, 21.4375, p99, 22.875], \
         pressure, [count, 300, avg, 3.9833333333333334, p99, 4.0148353330285875], \
         temperature, [count, 1, avg, 0.1, p99, 0.1]]]"
    );
    let alarm = "[r:A, A, pressure, 87000000, 75.5, 1.51, nil, 0, 50, limits, above_limit]";
    assert_eq!(redis.run("STRATA.ANOMALIES r"), format!("[{alarm}]"));
    // Both detectors go on with what they had learned: the flow's is warm, the pressure's event is open.
    assert_eq!(redis.run("STRATA.ADD r:A 90000000 SCORE flow 60 pressure 3"), "[90000000, 8.571443342398751]");
    assert_eq!(redis.run("STRATA.ADD r:A 90300000 SCORE pressure 76"), "[90300000, 1.52]");
    assert_eq!(
        redis.run("STRATA.ANOMALIES r"),
        format!(
            "[{alarm}, [r:A, A, flow, 90000000, 60, 8.571443342398751, 21.4335876229756, 20.00045455618286, 22.875, \
             range_novelty, level]]"
        )
    );
}
