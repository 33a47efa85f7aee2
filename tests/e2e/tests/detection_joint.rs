//! The joint detector over arrays: one judgement per row, in order, without a look ahead.

use series::detect::{JointDetector, JointSettings};
use series::time::MICROS_PER_MINUTE;
use strata_e2e::{Database, postgres as server};

const START: i64 = 1_767_225_600_000_000;
const TRAINING: usize = 500;
const ROWS: usize = 1500;

/// A pump that is on and off, its flow, and two pressures; late in the series the pressures part, and a burst comes. Some
/// values are missing, one is infinite.
fn recording() -> Database {
    let database = Database::create(server());
    database.run(&format!(
        "CREATE TABLE readings (n bigint, t timestamptz, pump float8, flow float8, p1 float8, p2 float8);
         INSERT INTO readings
         SELECT n, 'epoch'::timestamptz + {START} * interval '1 us' + n * interval '1 min', pump,
                pump * 20 + n * 7919 % 100 / 50.0 + CASE WHEN n BETWEEN 900 AND 940 THEN 15 ELSE 0 END,
                CASE WHEN n % 311 = 17 THEN NULL WHEN n = 1100 THEN 'Infinity'
                     ELSE 3 + pump + n * 104729 % 97 / 100.0 END,
                3 + pump + n * 104729 % 97 / 100.0 + CASE WHEN n >= 1200 THEN 2 ELSE 0 END
         FROM (SELECT n, (n / 30 % 2)::float8 AS pump FROM generate_series(0, {ROWS} - 1) n) r"
    ));
    database
}

fn detect(condition: &str, options: &str) -> String {
    format!(
        "SELECT d.* FROM (SELECT array_agg(t ORDER BY n) AS times,
                                 array_agg(ARRAY[pump, flow, p1, p2] ORDER BY n) AS values
                          FROM readings WHERE {condition}) r,
             strata.detect_joint(times, values, {TRAINING}, '{options}') d"
    )
}

#[test]
fn the_scores_of_a_prefix_are_those_of_the_whole_bit_for_bit() {
    let database = recording();
    let mut client = database.connect();
    for preset in ["default", "hourly", "benchmark"] {
        let mut scores = |condition: &str| -> Vec<[Option<u64>; 3]> {
            let sql = detect(condition, &format!(r#"{{"preset": "{preset}"}}"#));
            let rows = client.query(&sql, &[]).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
            let bits = |row: &postgres::Row, name: &str| row.get::<_, Option<f64>>(name).map(f64::to_bits);
            let names = ["score", "change_score", "reason_value"];
            rows.iter().map(|row| names.map(|name| bits(row, name))).collect()
        };
        let whole = scores("true");
        assert_eq!(whole.len(), ROWS, "{preset}");
        assert!(whole[..TRAINING].iter().all(|row| row[0].is_none()), "training is not judged");
        assert!(whole[TRAINING..].iter().all(|row| row[0].is_some()), "{preset}");
        for length in [TRAINING, TRAINING + 1, 901, 1101, 1300] {
            assert_eq!(scores(&format!("n < {length}")), whole[..length], "{preset}, {length}");
        }
    }
}

#[test]
fn sql_gives_what_the_detector_says() {
    let database = recording();
    let mut client = database.connect();
    let readings = client.query("SELECT pump, flow, p1, p2 FROM readings ORDER BY n", &[]).unwrap();
    let values: Vec<f64> = readings
        .iter()
        .flat_map(|row| (0..4).map(|i| row.get::<_, Option<f64>>(i).unwrap_or(f64::NAN)).collect::<Vec<_>>())
        .collect();
    let times: Vec<i64> = (0..ROWS as i64).map(|n| START + n * MICROS_PER_MINUTE).collect();
    let settings = JointSettings { level_line: 9.0, ..JointSettings::default() };
    let (first, rest) = values.split_at(TRAINING * 4);
    let mut detector = JointDetector::train(&times[..TRAINING], first, 4, &settings).unwrap();
    let judged = client.query(&detect("true", r#"{"level_line": 9}"#), &[]).unwrap();
    let (mut anomalies, mut changes) = (0, 0);
    for ((row, values), time) in judged[TRAINING..].iter().zip(rest.chunks_exact(4)).zip(&times[TRAINING..]) {
        let expected = detector.update(*time, values);
        assert_eq!(row.get::<_, f64>("score"), expected.score);
        assert_eq!(row.get::<_, f64>("change_score"), expected.change_score);
        assert_eq!(row.get::<_, bool>("is_anomaly"), expected.is_anomaly);
        assert_eq!(row.get::<_, bool>("is_change"), expected.is_change);
        let reason = expected.reason;
        assert_eq!(row.get::<_, Option<&str>>("reason"), reason.map(|reason| reason.view.code()));
        assert_eq!(row.get::<_, Option<i32>>("sensor"), reason.map(|reason| reason.sensor as i32 + 1));
        let number = |name: &str| row.get::<_, Option<f64>>(name);
        let known = |number: f64| (!number.is_nan()).then_some(number);
        assert_eq!(number("reason_value"), reason.and_then(|reason| known(reason.value)));
        assert_eq!(number("reason_lower"), reason.and_then(|reason| known(reason.lower)));
        assert_eq!(number("reason_upper"), reason.and_then(|reason| known(reason.upper)));
        assert_eq!(number("expected"), reason.and_then(|reason| known(reason.expected)));
        let change_sensor = expected.change_reason.map(|reason| reason.sensor as i32 + 1);
        assert_eq!(row.get::<_, Option<i32>>("change_sensor"), change_sensor);
        anomalies += u32::from(expected.is_anomaly);
        changes += u32::from(expected.is_change);
    }
    assert!(anomalies > 20 && changes > 0, "{anomalies} {changes}");
}

#[test]
fn what_cannot_be_judged_is_refused_with_a_reason() {
    let database = recording();
    let refused = |sql: &str, sqlstate: &str, part: &str| {
        let refusal = database.refusal(sql);
        assert_eq!(refusal.sqlstate, sqlstate, "{sql}: {refusal:?}");
        assert!(format!("{refusal:?}").contains(part), "{sql}: {refusal:?}");
    };
    let call = |times: &str, values: &str, training: i32, options: &str| {
        format!(
            "SELECT * FROM (SELECT {times} AS times, {values} AS values FROM readings) r,
                 strata.detect_joint(times, values, {training}, '{options}')"
        )
    };
    let (times, values) = ("array_agg(t ORDER BY n)", "array_agg(ARRAY[flow, p1] ORDER BY n)");
    refused(&call("(array_agg(t ORDER BY n))[2:]", values, 500, "{}"), "2202E", "1499 times and 1500 rows");
    refused(&call(times, "array_agg(flow ORDER BY n)", 500, "{}"), "2202E", "two dimensions");
    refused(
        &call("array_agg(nullif(t, to_timestamp(1767225660)) ORDER BY n)", values, 500, "{}"),
        "22004",
        "element 2",
    );
    refused(&call("array_agg(CASE n WHEN 3 THEN 'infinity' ELSE t END ORDER BY n)", values, 500, "{}"), "22008", "4");
    refused(&call(times, values, 99, "{}"), "22023", "training needs 100 rows with a value, there are 99");
    refused(&call(times, "array_agg(ARRAY[NULL, NULL]::float8[] ORDER BY n)", 500, "{}"), "22023", "there are 0");
    refused(&call(times, values, -1, "{}"), "22023", "training must be");
    refused(&call(times, values, 1501, "{}"), "22023", "there are 1500 rows");
    refused(&call(times, values, 500, r#"{"lines": 1}"#), "22023", "level_line");
    refused(&call(times, values, 500, r#"{"preset": "best"}"#), "22023", "benchmark");
    refused(&call(times, values, 500, r#"{"hold": 0.5}"#), "22023", "hold");
    refused(&call(times, values, 500, "[]"), "22023", "JSON object");
    refused("SELECT strata.detect_joint('{2026-01-01}', '{{1}}', 1)", "22023", "there are 1");
    assert_eq!(database.ask("SELECT count(*) FROM strata.detect_joint('{}', '{}', 0)"), "0");
    assert_eq!(database.ask("SELECT count(*) FROM strata.detect_joint('{}', NULL, 0)"), "0");
}
