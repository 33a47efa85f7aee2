//! What each STRATA command replies.

mod redis_support;

use redis_support::{Client, server};

#[test]
fn a_sample_is_added_and_read() {
    let server = server();
    let mut redis = Client::new(&server);
    assert_eq!(redis.run("STRATA.ADD r:A 1000 flow 12.5 pressure 3.1"), "1000");
    assert_eq!(redis.run("STRATA.ADD r:A 2000.125 flow 13"), "2000.125");
    assert_eq!(redis.run("STRATA.GET r:A"), "[2000.125, [flow, 13]]");
    assert_eq!(redis.run("STRATA.GET r:A MEASURES 1 pressure"), "[2000.125, []]");
    assert_eq!(redis.run("STRATA.GET r:none"), "nil");
    assert_eq!(
        redis.run("STRATA.RANGE r:A - +"),
        "[[time, flow, pressure], [[1000, 12.5, 3.1], [2000.125, 13, nil]], nil]"
    );
}

#[test]
fn the_server_clock_gives_each_sample_a_time_of_its_own() {
    let server = server();
    let mut redis = Client::new(&server);
    let before: f64 = redis.run("TIME").trim_matches('[').split(',').next().unwrap().parse().unwrap();
    for _ in 0..500 {
        redis.run("STRATA.ADD r:A * flow 1");
    }
    assert_eq!(redis.info("r:A", "samples"), "500");
    let last: f64 = redis.info("r:A", "last").parse().unwrap();
    assert!((last / 1000.0 - before).abs() < 30.0, "{last} is not now");
}

#[test]
fn late_and_repeated_samples_find_their_place() {
    let server = server();
    let mut redis = Client::new(&server);
    for i in 0..500 {
        redis.run(&format!("STRATA.ADD r:A {} flow {i}", i * 1000));
    }
    redis.run("STRATA.ADD r:A 1500 flow 0.5");
    redis.run("STRATA.ADD r:A 2000 flow 7.25 pressure 1");
    redis.run("STRATA.ADD r:A -1000.001 flow -1");
    assert_eq!(redis.info("r:A", "samples"), "502");
    assert_eq!(
        redis.run("STRATA.RANGE r:A - 3000"),
        "[[time, flow, pressure], [[-1000.001, -1, nil], [0, 0, nil], [1000, 1, nil], [1500, 0.5, nil], \
         [2000, 7.25, 1], [3000, 3, nil]], nil]"
    );
    assert_eq!(redis.info("r:A", "late"), "3");
}

#[test]
fn many_series_are_written_and_read_at_once() {
    let server = server();
    let mut redis = Client::new(&server);
    assert_eq!(
        redis.run("STRATA.MADD r:A 1000 1 flow 1 r:B 1000.5 2 flow 2 pressure 3 {r}:C 1000 1 flow 4"),
        "[1000, 1000.500, 1000]"
    );
    assert_eq!(redis.run("STRATA.MGET r:B r:none r:A"), "[[1000.500, [flow, 2, pressure, 3]], nil, [1000, [flow, 1]]]");
    redis.run("SET r:text x");
    assert_eq!(redis.run("STRATA.MGET r:text r:A"), "[nil, [1000, [flow, 1]]]", "as by MGET");
    assert_eq!(
        redis.run("STRATA.MGET SOURCE r MEASURES 1 flow"),
        "[[r:A, 1000, [flow, 1]], [r:B, 1000.500, [flow, 2]], [{r}:C, 1000, [flow, 4]]]"
    );
}

#[test]
fn a_bad_item_of_many_does_not_stop_the_others() {
    let server = server();
    let mut redis = Client::new(&server);
    redis.run("SET r:text x");
    let reply = redis.run(
        "STRATA.MADD r:A 1000 1 flow 1 r:text 1000 1 flow 1 nocolon 1000 1 flow 1 r:B * 1 flow inf r:C 5 1 flow 2",
    );
    assert!(reply.starts_with("[1000, error"), "{reply}");
    assert!(reply.ends_with("5]"), "{reply}");
    assert!(reply.contains("WRONGTYPE") && reply.contains("<source>:<key>") && reply.contains("infinite"), "{reply}");
    assert_eq!(redis.run("EXISTS r:A r:B r:C nocolon"), "2");
    assert!(redis.error("STRATA.MADD r:D 1000 1 flow 1 r:E x 1 flow 1").contains("not a time"));
    assert_eq!(redis.run("EXISTS r:D r:E"), "0");
}

#[test]
fn ranges_are_limited_and_reversed() {
    let server = server();
    let mut redis = Client::new(&server);
    for i in 0..300 {
        redis.run(&format!("STRATA.ADD r:A {i} flow {i} pressure 1"));
    }
    let rows = |text: &str| format!("[[time, flow], [{text}], nil]");
    assert_eq!(
        redis.run("STRATA.RANGE r:A 126 129 MEASURES 1 flow"),
        rows("[126, 126], [127, 127], [128, 128], [129, 129]")
    );
    assert_eq!(redis.run("STRATA.RANGE r:A 126 129 MEASURES 1 flow COUNT 1"), rows("[126, 126]"));
    assert_eq!(
        redis.run("STRATA.RANGE r:A 126 129 MEASURES 1 flow COUNT 3 REV"),
        rows("[129, 129], [128, 128], [127, 127]")
    );
    assert_eq!(redis.run("STRATA.RANGE r:A 400 + MEASURES 1 flow"), rows(""));
    assert_eq!(redis.run("STRATA.RANGE r:A 10 5 MEASURES 1 flow"), rows(""));
    assert_eq!(redis.run("STRATA.RANGE r:none - +"), "[[time], [], nil]");
    assert_eq!(redis.run("STRATA.RANGE r:A 1 1 MEASURES 2 nosuch flow"), "[[time, nosuch, flow], [[1, nil, 1]], nil]");
}

#[test]
fn buckets_hold_what_their_samples_say() {
    let server = server();
    let mut redis = Client::new(&server);
    for i in 0..600 {
        redis.run(&format!("STRATA.ADD r:A {} flow {}", i * 1000, i % 60));
    }
    assert_eq!(
        redis.run("STRATA.RANGE r:A - + BUCKET 5m AGG 7 avg min max sum count first last"),
        "[[time, flow:avg, flow:min, flow:max, flow:sum, flow:count, flow:first, flow:last], \
         [[0, 29.5, 0, 59, 8850, 300, 0, 59], [300000, 29.5, 0, 59, 8850, 300, 0, 59]], nil]"
    );
    assert_eq!(
        redis.run("STRATA.RANGE r:A 0 179999 BUCKET 1m AGG 2 sum count ALIGN 30000 REV COUNT 2"),
        "[[time, flow:sum, flow:count], [[150000, 1335, 30], [90000, 1770, 60]], nil]"
    );
    assert_eq!(
        redis.run("STRATA.RANGE r:A 10000 + AGG 2 count first"),
        "[[time, flow:count, flow:first], [[10000, 590, 10]], nil]"
    );
    let p50 = redis.run("STRATA.RANGE r:A - + BUCKET 1h AGG 1 p50");
    let value: f64 = p50.trim_end_matches("]], nil]").rsplit(", ").next().unwrap().parse().unwrap();
    assert!((value - 29.0).abs() <= 1.3, "{p50}");
}

#[test]
fn empty_buckets_are_shown_when_asked_for() {
    let server = server();
    let mut redis = Client::new(&server);
    redis.run("STRATA.ADD r:A 1000 flow 1");
    redis.run("STRATA.ADD r:A 4000 flow 4");
    assert_eq!(
        redis.run("STRATA.RANGE r:A - + BUCKET 1s AGG 2 avg count EMPTY"),
        "[[time, flow:avg, flow:count], [[1000, 1, 1], [2000, nil, 0], [3000, nil, 0], [4000, 4, 1]], nil]"
    );
    redis.run("STRATA.ADD r:A 1700000000000 flow 4");
    for option in ["EMPTY", "GRID"] {
        let error = redis.error(&format!("STRATA.RANGE r:A - + BUCKET 1ms {option}"));
        assert!(error.contains(&format!("{option} would return 1699999999001 windows of 1 measures")), "{error}");
    }
}

#[test]
fn a_grid_is_one_list_per_column() {
    let server = server();
    let mut redis = Client::new(&server);
    redis.run("STRATA.ADD r:A 1000 flow 1 pressure 2.5");
    redis.run("STRATA.ADD r:A 4000 flow 4.12345");
    assert_eq!(
        redis.run("STRATA.RANGE r:A - + BUCKET 1s AGG 2 avg count GRID"),
        "[[time, flow:avg, flow:count, pressure:avg, pressure:count], \
         [[1000, 1000], [1, nil, nil, 4.12345], [1, 0, 0, 1], [2.5, nil, nil, nil], [1, 0, 0, 0]], nil]"
    );
    assert_eq!(
        redis.run("STRATA.RANGE r:A - + MEASURES 1 flow BUCKET 1s AGG 1 max ALIGN 500.5 COUNT 2 GRID"),
        "[[time, flow:max], [[500.500, 1000], [1, nil]], nil]"
    );
    assert_eq!(
        redis.run("STRATA.RANGE r:A 4000 + MEASURES 2 none flow BUCKET 1500us AGG 1 sum GRID"),
        "[[time, none:sum, flow:sum], [[3999, 1.500], [nil], [4.12345]], nil]"
    );
    assert_eq!(
        redis.run("STRATA.RANGE r:A 5000 + BUCKET 1s AGG 1 avg GRID"),
        "[[time, flow:avg, pressure:avg], [[], [], []], nil]"
    );
    assert_eq!(redis.run("STRATA.RANGE r:none - + BUCKET 1s GRID"), "[[time], [[]], nil]");
}

#[test]
fn averages_are_as_short_as_they_can_be() {
    let server = server();
    let mut redis = Client::new(&server);
    let thirds = [(3000, "0.1"), (3001, "0.1"), (3002, "0.2")];
    for (time, value) in
        [(0, "0.05"), (1, "0.1"), (1000, "-12.5"), (1001, "-12.25"), (2000, "1e-6")].into_iter().chain(thirds)
    {
        redis.run(&format!("STRATA.ADD r:A {time} flow {value}"));
    }
    assert_eq!(
        redis.run("STRATA.RANGE r:A - + BUCKET 1s AGG 1 avg GRID"),
        "[[time, flow:avg], [[0, 1000], [0.075, -12.375, 1e-6, 0.13333333333333333]], nil]"
    );
}

#[test]
fn the_running_bucket_is_marked() {
    let server = server();
    let mut redis = Client::new(&server);
    redis.run("STRATA.ADD r:A * flow 1");
    let reply = redis.run("STRATA.RANGE r:A - + BUCKET 1d AGG 1 count");
    let start = reply.split("[[").nth(2).unwrap().split(',').next().unwrap();
    assert!(reply.ends_with(&format!(", {start}]")), "{reply}");
    redis.run("STRATA.ADD r:B 1000 flow 1");
    assert!(redis.run("STRATA.RANGE r:B - + BUCKET 1d AGG 1 count").ends_with("nil]"));
}

#[test]
fn rolling_aggregates_cover_the_last_time() {
    let server = server();
    let mut redis = Client::new(&server);
    for i in 0..1000 {
        redis.run(&format!("STRATA.ADD r:A {} flow {i} pressure 2", i * 1000));
    }
    assert_eq!(
        redis.run("STRATA.ROLL r:A 5m AT + MEASURES 1 flow AGG 4 count first last avg"),
        "[699000, 999000, [flow, [count, 300, first, 700, last, 999, avg, 849.5]]]"
    );
    assert_eq!(
        redis.run("STRATA.ROLL r:A 10s AT 19000.5 MEASURES 1 flow AGG 2 min max"),
        "[9000.500, 19000.500, [flow, [min, 10, max, 19]]]"
    );
    assert!(redis.run("STRATA.ROLL r:A 1h MEASURES 1 flow AGG 2 count avg").ends_with("[flow, [count, 0, avg, nil]]]"));
    assert_eq!(
        redis.run("STRATA.ROLL r:A 5m 10s AT 19000.5 MEASURES 1 flow AGG 2 min max"),
        format!(
            "[{}, {}]",
            redis.run("STRATA.ROLL r:A 5m AT 19000.5 MEASURES 1 flow AGG 2 min max"),
            redis.run("STRATA.ROLL r:A 10s AT 19000.5 MEASURES 1 flow AGG 2 min max")
        )
    );
    assert_eq!(redis.run("STRATA.ROLL r:none 1h"), "nil");
    assert_eq!(redis.run("STRATA.ROLL r:none 1h 1d"), "nil");
    redis.run("STRATA.ADD r:B * flow 5");
    assert!(redis.run("STRATA.ROLL r:B 1h AGG 1 sum").ends_with("[flow, [sum, 5]]]"));
}

#[test]
fn a_source_is_the_merge_of_its_series() {
    let server = server();
    let mut redis = Client::new(&server);
    for key in 0..10 {
        for i in 0..200 {
            redis.run(&format!("STRATA.ADD r:{key} {} flow {}", i * 1000, key * 1000 + i));
        }
    }
    redis.run("STRATA.ADD r:late 199500 level 3");
    redis.run("STRATA.ADD other:0 199500 flow 1e9");
    assert_eq!(
        redis.run("STRATA.SOURCE r 100s AT + AGG 4 count min max avg"),
        "[99500, 199500, 11, [flow, [count, 1000, min, 100, max, 9199, avg, 4649.5], level, [count, 1, min, 3, max, 3, avg, 3]]]"
    );
    assert_eq!(redis.run("STRATA.SOURCE none 1h AT 1000 AGG 1 count"), "[-3599000, 1000, 0, []]");
}

#[test]
fn deleting_takes_what_is_in_the_range() {
    let server = server();
    let mut redis = Client::new(&server);
    for i in 0..400 {
        redis.run(&format!("STRATA.ADD r:A {i} flow {i}"));
    }
    assert_eq!(redis.run("STRATA.DEL r:A 100 299.999"), "200");
    assert_eq!(redis.info("r:A", "samples"), "200");
    assert_eq!(redis.info("r:A", "pending"), "200");
    assert_eq!(redis.run("STRATA.RANGE r:A 99 301"), "[[time, flow], [[99, 99], [300, 300], [301, 301]], nil]");
    assert_eq!(redis.run("STRATA.DEL r:A - +"), "200");
    assert_eq!(redis.run("STRATA.GET r:A"), "nil");
    assert_eq!(redis.run("STRATA.ADD r:A 5 flow 1"), "5");
    assert_eq!(redis.run("STRATA.DEL r:none - +"), "0");
}

#[test]
fn info_counts_series_samples_and_what_is_pending() {
    let server = server();
    let mut redis = Client::new(&server);
    redis.run("STRATA.MADD r:A 1000 1 flow 1 r:A 2000.5 1 flow 1 {r}:B 500 1 flow 1 s:A 1 1 flow 1");
    assert_eq!(redis.info("SOURCE r", "series"), "2");
    assert_eq!(redis.info("SOURCE r", "samples"), "3");
    assert_eq!(redis.info("SOURCE r", "pending"), "3");
    assert_eq!(redis.info("SOURCE r", "oldest_pending"), "500");
    assert_eq!(redis.info("SOURCE r", "last"), "2000.500");
    assert_eq!(redis.info("SOURCE none", "oldest_pending"), "nil");
    assert_eq!(redis.info("", "samples"), "4");
    assert_eq!(redis.info("", "sources"), "[r, s]");
    assert_eq!(redis.info("{r}:B", "key"), "B");
    assert_eq!(redis.info("r:A", "measures"), "[flow]");
    assert!(redis.error("STRATA.INFO r:none").contains("no such key"));
    redis.run("DEL r:A s:A");
    assert_eq!(redis.info("", "samples"), "1");
    assert_eq!(redis.info("", "pending"), "1");
}

#[test]
fn wrong_arguments_are_refused_in_the_style_of_redis() {
    let server = server();
    let mut redis = Client::new(&server);
    redis.run("SET s:text x");
    redis.run("STRATA.ADD r:A 1 flow 1");
    for line in [
        "STRATA.ADD",
        "STRATA.ADD r:A",
        "STRATA.ADD r:A 1",
        "STRATA.ADD r:A 1 flow",
        "STRATA.ADD r:A 1 flow 1 pressure",
        "STRATA.MADD",
        "STRATA.MADD r:A 1 1 flow",
        "STRATA.GET",
        "STRATA.MGET",
        "STRATA.RANGE r:A -",
        "STRATA.ROLL r:A",
        "STRATA.SOURCE r",
        "STRATA.PENDING",
        "STRATA.ACK 1",
        "STRATA.ACK 1 r:A",
        "STRATA.ACK 1 r:A 1:1:0 r:B",
        "STRATA.DEL r:A -",
        "STRATA.DEL r:A - + x",
        "STRATA.TRIM r:A",
        "STRATA.INFO a b c",
        "STRATA.LOAD r:A",
        "STRATA.ADD r:A 1 SCORE",
        "STRATA.ADD r:A 1 NOSCORE flow 1",
        "STRATA.WATCH r:A flow -",
        "STRATA.WATCH r:A flow - range_novelty pressure",
        "STRATA.WATCHES",
        "STRATA.WATCHES r BEHIND x",
        "STRATA.ANOMALIES",
        "STRATA.FILL r:A",
        "STRATA.FILL r:A x r:B",
        "STRATA.PUT r:A",
    ] {
        let error = redis.error(line);
        assert!(error.to_lowercase().contains("wrong number of arguments"), "{line}: {error}");
    }
    for line in [
        "STRATA.ADD s:text 1 flow 1",
        "STRATA.GET s:text",
        "STRATA.RANGE s:text - +",
        "STRATA.ROLL s:text 1h",
        "STRATA.DEL s:text - +",
        "STRATA.TRIM s:text +",
        "STRATA.INFO s:text",
        "STRATA.WATCH s:text flow - range_novelty",
        "STRATA.PUT s:text sample",
    ] {
        assert!(redis.error(line).contains("WRONGTYPE"), "{line}");
    }
    let many_durations = format!("STRATA.ROLL r:A{}", " 1h".repeat(33));
    for (line, reason) in [
        ("STRATA.ADD r:A now flow 1", "not a time"),
        ("STRATA.ADD r:A 1.2345 flow 1", "not a time"),
        ("STRATA.ADD r:A 1 flow high", "not a number"),
        ("STRATA.ADD r:A 1 flow -inf", "infinite"),
        ("STRATA.ADD r:A 1 flow nan", "no measure"),
        ("STRATA.ADD nocolon 1 flow 1", "<source>:<key>"),
        ("STRATA.ADD :A 1 flow 1", "source"),
        ("STRATA.MADD r:A 1 2 flow 1", "2 items are announced"),
        ("STRATA.MADD r:A 1 0 flow 1", "number of items"),
        ("STRATA.GET r:A MEASURES 2 flow", "2 items are announced"),
        ("STRATA.RANGE r:A - + BUCKET 5", "not a duration"),
        ("STRATA.RANGE r:A - + BUCKET 2562047788h ALIGN -3600000", "must not be longer"),
        ("STRATA.RANGE r:A - + BUCKET 5m AGG 1 total", "unknown aggregate"),
        ("STRATA.RANGE r:A - + COUNT 0", "positive integer"),
        ("STRATA.RANGE r:A - + EMPTY", "need BUCKET"),
        ("STRATA.RANGE r:A - + LIMIT 1", "unknown option"),
        ("STRATA.RANGE r:A - + GRID", "GRID needs BUCKET"),
        ("STRATA.RANGE r:A - + AGG 1 avg GRID", "GRID needs BUCKET"),
        ("STRATA.RANGE r:A - + AGG 1 avg EMPTY", "need BUCKET"),
        ("STRATA.RANGE r:A - + AGG 1 avg ALIGN 5", "need BUCKET"),
        ("STRATA.RANGE r:A - + BUCKET 5m REV GRID", "GRID and REV exclude"),
        ("STRATA.RANGE r:A - + BUCKET 5m GRID PACKED", "GRID and PACKED exclude"),
        ("STRATA.SOURCE r 1h GRID", "GRID needs BUCKET"),
        ("STRATA.SOURCE r 1h BUCKET 5m GRID STATE", "GRID and STATE exclude"),
        ("STRATA.SOURCE r 1h BUCKET 5m GRID PACKED", "GRID and PACKED exclude"),
        ("STRATA.ROLL r:A 1h GRID", "unknown option"),
        ("STRATA.RANGE r:A - + MEASURES 2 flow flow", "named twice"),
        ("STRATA.ROLL r:A 1h AGG 2 avg avg", "named twice"),
        ("STRATA.SOURCE r 1d BUCKET 1ms", "at most 100000"),
        ("STRATA.ROLL r:A 0s", "not a duration"),
        ("STRATA.ROLL r:A 1h 0s", "not a duration"),
        (many_durations.as_str(), "more than 32 durations"),
        ("STRATA.ROLL r:A 1h AT x", "neither a time"),
        ("STRATA.SOURCE r:A 1h", "not the name of a source"),
        ("STRATA.PENDING r LIMIT 1", "unknown option"),
        ("STRATA.ACK x r:A 1:1:0", "not an integer"),
        ("STRATA.ACK 1 r:A 1:-1:0", "not a token"),
        ("STRATA.LOAD r:B garbage", "not the state"),
        ("STRATA.WATCH r:A flow - nosuch", "neither a detection method"),
        ("STRATA.WATCHES r:A", "not the name of a source"),
        ("STRATA.WATCHES r x", "allowed here: BEHIND"),
        ("STRATA.ANOMALIES r:A", "not the name of a source"),
        ("STRATA.ANOMALIES r COUNT 0", "positive integer"),
        ("STRATA.FILL r:A garbage", "not a batch"),
        ("STRATA.PUT r:A garbage", "other measures"),
        ("STRATA.PUT r:none garbage", "no such key"),
        ("STRATA.SOURCE r 1h BY ZONE", "neither KEY nor PREFIX"),
    ] {
        let error = redis.error(line);
        assert!(error.contains("STRATAERR") && error.contains(reason), "{line}: {error}");
    }
    assert_eq!(redis.run("STRATA.RANGE r:A - +"), "[[time, flow], [[1, 1]], nil]");
}
