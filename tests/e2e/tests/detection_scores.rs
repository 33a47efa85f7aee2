//! Scores of rows and arrays: one judgement per reading, in order, without a look ahead.

use series::detect::{AnyDetector, Method, Options};
use series::time::MICROS_PER_MINUTE;
use strata_e2e::{Database, postgres as server};

const START: i64 = 1_767_225_600_000_000;

/// Options without which a method cannot work.
fn options(method: Method) -> &'static str {
    match method {
        Method::Limits => r#"{"lower": 0, "upper": 80}"#,
        _ => "{}",
    }
}

fn pairs(method: Method) -> Options {
    match method {
        Method::Limits => Options::from_pairs([("lower", "0"), ("upper", "80")]).unwrap(),
        _ => Options::new(),
    }
}

/// Two series of a daily rhythm every five minutes, with a burst, a hole in time, a stuck stretch, missing and infinite
/// values.
fn series() -> Database {
    let database = Database::create(server());
    database.run(&format!(
        "CREATE TABLE readings (n bigint, key text, t timestamptz, v float8);
         INSERT INTO readings
         SELECT n, key, 'epoch'::timestamptz + {START} * interval '1 us' + n * interval '5 min'
                    + CASE WHEN n > 1500 THEN interval '7 h' ELSE interval '0' END,
                CASE WHEN n % 311 = 17 THEN NULL
                     WHEN n = 1234 THEN 'Infinity'
                     WHEN n BETWEEN 900 AND 930 THEN 190
                     WHEN n BETWEEN 1700 AND 1800 THEN 51.25
                     ELSE 50 + 10 * sin(n * pi() / 144 + ascii(key)) + (n * 7919 % 100) / 100.0 END
         FROM generate_series(0, 1999) n, unnest(ARRAY['A', 'B']) key"
    ));
    database
}

fn detect(method: Method, condition: &str) -> String {
    format!(
        "SELECT d.* FROM (SELECT array_agg(t ORDER BY n) AS times, array_agg(v ORDER BY n) AS values FROM readings
                          WHERE key = 'A' AND {condition}) r, strata.detect(times, values, '{method}', '{}') d",
        options(method)
    )
}

#[test]
fn the_scores_of_a_prefix_are_those_of_the_whole_bit_for_bit() {
    let database = series();
    let mut client = database.connect();
    for method in Method::ALL {
        let mut scores = |sql: &str| -> Vec<[Option<u64>; 4]> {
            let rows = client.query(sql, &[]).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
            let bits = |row: &postgres::Row, name: &str| row.get::<_, Option<f64>>(name).map(f64::to_bits);
            rows.iter().map(|row| ["score", "expected", "lower", "upper"].map(|name| bits(row, name))).collect()
        };
        let whole = scores(&detect(method, "true"));
        assert_eq!(whole.len(), 2000, "{method}");
        for length in [1, 2, 99, 901, 1235, 1750] {
            assert_eq!(scores(&detect(method, &format!("n < {length}"))), whole[..length], "{method}, {length}");
        }
        let window = |condition: &str| {
            format!(
                "SELECT strata.anomaly_score(v, t, '{method}', '{}') OVER (PARTITION BY key ORDER BY t, n) AS score,
                        NULL::float8 AS expected, NULL::float8 AS lower, NULL::float8 AS upper
                 FROM readings WHERE key = 'A' AND {condition} ORDER BY n",
                options(method)
            )
        };
        let windowed = scores(&window("true"));
        assert_eq!(windowed.len(), 2000);
        assert!(windowed.iter().zip(&whole).all(|(one, other)| one[0] == other[0]), "{method}");
        for length in [1, 99, 1235] {
            assert_eq!(scores(&window(&format!("n < {length}"))), windowed[..length], "{method}, {length}");
        }
    }
}

#[test]
fn sql_gives_what_the_detectors_say() {
    let database = series();
    let mut client = database.connect();
    let readings = client.query("SELECT n, v FROM readings WHERE key = 'A' ORDER BY n", &[]).unwrap();
    for method in Method::ALL {
        let mut detector = AnyDetector::new(method, &pairs(method)).unwrap();
        let mut anomalies = 0;
        for (row, reading) in client.query(&detect(method, "true"), &[]).unwrap().iter().zip(&readings) {
            let (n, value) = (reading.get::<_, i64>(0), reading.get::<_, Option<f64>>(1));
            let pause = if n > 1500 { 7 * 60 } else { 0 };
            let expected = detector.update(START + (5 * n + pause) * MICROS_PER_MINUTE, value.unwrap_or(f64::NAN));
            let known = |number: f64| (!number.is_nan()).then_some(number);
            let column = |name: &str| row.get::<_, Option<f64>>(name);
            assert_eq!(row.get::<_, f64>("score"), expected.score, "{method} {n}");
            assert_eq!(column("value"), value);
            assert_eq!(column("expected"), known(expected.expected), "{method} {n}");
            assert_eq!((column("lower"), column("upper")), (known(expected.lower), known(expected.upper)));
            assert_eq!(row.get::<_, bool>("is_anomaly"), expected.is_anomaly);
            let reason = row.get::<_, Option<&str>>("reason");
            assert_eq!(reason, expected.reason.map(|reason| reason.code), "{method} {n}");
            assert_eq!(column("reason_value"), expected.reason.and_then(|reason| known(reason.value)));
            anomalies += u32::from(expected.is_anomaly);
        }
        assert!(anomalies > 0, "{method} sees nothing in what was made for it");
    }
}

#[test]
fn each_partition_is_a_series_of_its_own() {
    let database = series();
    let different = |over: &str| {
        database.count(&format!(
            "SELECT count(*) FROM (
                 SELECT key, n, strata.anomaly_score(v, t) OVER ({over}) AS score FROM readings) together
             JOIN (SELECT 'B' AS key, n, strata.anomaly_score(v, t) OVER (ORDER BY n) AS score
                   FROM readings WHERE key = 'B') alone USING (key, n)
             WHERE together.score <> alone.score"
        ))
    };
    assert_eq!(different("PARTITION BY key ORDER BY t"), 0);
    assert!(different("ORDER BY key, t") > 0);
}

#[test]
fn readings_of_the_same_time_are_judged_one_after_the_other() {
    let database = Database::create(server());
    let scores = database.ask(
        "SELECT string_agg((score >= 1)::int::text, '' ORDER BY n) FROM (
             SELECT n, strata.anomaly_score(CASE n WHEN 3 THEN -1 ELSE 1 END, '2026-01-01', 'limits', '{\"lower\": 0}')
                       OVER (ORDER BY t ROWS UNBOUNDED PRECEDING) AS score
             FROM (SELECT n, '2026-01-01'::timestamptz AS t FROM generate_series(1, 5) n) r) s",
    );
    assert_eq!(scores, "00100");
}

#[test]
fn a_window_restarts_for_every_outer_row() {
    let database = series();
    let sums = database.ask(
        "SELECT count(DISTINCT total) FROM generate_series(1, 4) i, LATERAL (
             SELECT sum(score) + 0 * i AS total FROM (
                 SELECT strata.anomaly_score(v, t) OVER (PARTITION BY key ORDER BY n) AS score
                 FROM readings WHERE i > 0) s) x",
    );
    assert_eq!(sums, "1");
}

#[test]
fn method_and_options_may_be_left_out_or_named() {
    let database = series();
    let total = |call: &str| {
        database.ask(&format!(
            "SELECT sum(score) FROM (SELECT {call} OVER (PARTITION BY key ORDER BY n) AS score FROM readings) s"
        ))
    };
    let usual = total("strata.anomaly_score(v, t)");
    assert_eq!(usual, total("strata.anomaly_score(v, t, 'Range-Novelty')"));
    assert_eq!(usual, total("strata.anomaly_score(v, t, NULL, NULL)"));
    assert_eq!(usual, total("strata.anomaly_score(v, t, options => '{\"line\": \"0.02\"}')"));
    assert_ne!(usual, total("strata.anomaly_score(v, t, options => '{\"line\": 0.05}')"));
}

#[test]
fn a_reading_without_a_time_has_no_score() {
    let database = Database::create(server());
    let row = database.ask(
        "SELECT string_agg(coalesce(score::text, 'none'), ' ' ORDER BY n) FROM (
             SELECT n, strata.anomaly_score(-1, t, 'limits', '{\"lower\": 0}') OVER (ORDER BY n) >= 1 AS score
             FROM (VALUES (1, now()), (2, NULL), (3, 'infinity'), (4, now())) r(n, t)) s",
    );
    assert_eq!(row, "true none none true");
}

#[test]
fn arrays_are_judged_in_parallel_workers() {
    let database = series();
    let mut client = database.connect();
    for setting in ["force_parallel_mode", "debug_parallel_query"] {
        // its name up to PostgreSQL 15, and from 16 on
        let _ = client.batch_execute(&format!("SET {setting} = on"));
    }
    let sql = format!("SELECT sum(score) FROM ({}) s", detect(Method::RangeNovelty, "true"));
    let plan: Vec<String> =
        client.query(&format!("EXPLAIN {sql}"), &[]).unwrap().iter().map(|row| row.get(0)).collect();
    assert!(plan.join("\n").contains("Gather"), "{plan:#?}");
    let parallel: f64 = client.query_one(&sql, &[]).unwrap().get(0);
    let alone: f64 = database.connect().query_one(&sql, &[]).unwrap().get(0);
    assert_eq!(parallel, alone);
}

#[test]
fn a_long_detection_can_be_cancelled() {
    let database = Database::create(server());
    database.run("CREATE TABLE long AS SELECT array_agg(now() + i * interval '1 s') AS t, array_agg(i::float8) AS v FROM generate_series(1, 300000) i");
    let started = std::time::Instant::now();
    let refusal =
        database.refusal("SET statement_timeout = '100ms'; SELECT count(*) FROM long, generate_series(1, 1000) n, strata.detect(t, v, 'range_novelty', jsonb_build_object('half_life', 10 + n)) d");
    assert_eq!(refusal.sqlstate, "57014");
    assert!(started.elapsed().as_secs() < 10);
}

#[test]
fn what_cannot_be_judged_is_refused_with_what_to_do() {
    let database = Database::create(server());
    let detect = |arguments: &str| database.refusal(&format!("SELECT * FROM strata.detect({arguments})"));
    let cases = [
        ("'{now,now,now}', '{1,2}'", "2202E", "times and values differ in length", "There are 3 times and 2 values."),
        (
            "'{now,NULL}', '{1,2}'",
            "22004",
            "element 2 of times is NULL",
            "A value may be missing, the time of a reading may not.",
        ),
        ("'{infinity}', '{1}'", "22008", "element 1 of times is infinite", "A reading belongs to a moment."),
        (
            "'{now}', '{1}', 'z_score'",
            "22023",
            "unknown detection method \"z_score\"",
            "The methods are range_novelty, ",
        ),
        (
            "'{now}', '{1}', options => '{\"lines\": 1}'",
            "22023",
            "unknown option \"lines\" of range_novelty",
            "The options of range_novelty are interval, line, ",
        ),
        (
            "'{now}', '{1}', options => '{\"warm\": 1}'",
            "22023",
            "option \"warm\" must be between 21 and 1000000, not 1",
            "The method is range_novelty.",
        ),
        ("'{now}', '{1}', options => '[1]'", "22023", "options must be a JSON object", "They are an array."),
        (
            "'{now}', '{1}', options => '{\"warm\": {}}'",
            "22023",
            "option \"warm\" has a value of the wrong kind",
            "It is an object.",
        ),
    ];
    for (arguments, sqlstate, message, detail) in cases {
        let refusal = detect(arguments);
        assert_eq!((refusal.sqlstate.as_str(), refusal.message.as_str()), (sqlstate, message), "{arguments}");
        assert!(refusal.detail.starts_with(detail) && !refusal.hint.is_empty(), "{arguments}: {refusal:?}");
    }
    let window = database.refusal("SELECT strata.anomaly_score(1, now(), 'z_score') OVER ()");
    assert_eq!((window.sqlstate.as_str(), window.message.as_str()), ("22023", "unknown detection method \"z_score\""));
    assert!(!window.detail.is_empty() && !window.hint.is_empty(), "{window:?}");
}

#[test]
fn nothing_in_gives_nothing_and_a_missing_value_is_not_judged() {
    let database = Database::create(server());
    let count = |arguments: &str| database.count(&format!("SELECT count(*) FROM strata.detect({arguments})"));
    assert_eq!(count("'{}', '{}'"), 0);
    assert_eq!(count("NULL, '{}'"), 0);
    assert_eq!(count("'{now}', '{1}', NULL"), 0);
    assert_eq!(
        database
            .ask("SELECT (value IS NULL) || ' ' || score || ' ' || is_anomaly FROM strata.detect('{now}', '{NULL}')"),
        "true 0 false"
    );
}
