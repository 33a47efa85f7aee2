//! Speed and size: a million readings through SQL, beside the z-score that people write by hand.

use std::time::Instant;

use postgres::Client;
use series::detect::{AnyDetector, Method, Options};
use series::time::MICROS_PER_MINUTE;
use strata_e2e::Database;

use crate::report::{Figure, Must};

const READINGS: i64 = 1_000_000;
const ROUNDS: usize = 3;

/// The textbook's z-score: how far a value lies from the mean of the thousand before it.
const Z_SCORE: &str = "abs(v - avg(v) OVER w) / nullif(stddev_samp(v) OVER w, 0)";
const FRAME: &str = "ROWS BETWEEN 1000 PRECEDING AND 1 PRECEDING";

pub fn figures(database: &Database) -> Vec<Figure> {
    let mut client = database.connect();
    prepare(&mut client);
    let mut figures = vec![array(&mut client)];
    // of 1, 3, 5, … 1999 rows
    figures.push(window(&mut client, "unequal", "floor(sqrt(n))::bigint", Must::Times(5.0)));
    // of 1000 rows each: a frame of a thousand never slides there, and the plain SQL adds each row to it once
    figures.push(window(&mut client, "of 1000", "n / 1000", Must::Nothing));
    for method in Method::ALL {
        figures.extend(of_method(&mut client, method));
    }
    figures
}

/// One core for both sides; everything else as PostgreSQL has it.
fn prepare(client: &mut Client) {
    client
        .batch_execute(&format!(
            "SET max_parallel_workers_per_gather = 0;
             CREATE TABLE one AS
                 SELECT i - 1 AS n, '2020-01-01 00:00:00+00'::timestamptz + i * interval '5 min' AS t,
                        50 + 10 * sin(i * 2 * pi() / 288) + (i * 7919 % 1009) / 500.0 AS v
                 FROM generate_series(1::bigint, {READINGS}) i;
             CREATE TABLE arrays AS SELECT array_agg(t ORDER BY t) AS times, array_agg(v ORDER BY t) AS values FROM one"
        ))
        .expect("tables to work with");
    client.batch_execute("VACUUM ANALYZE").expect("statistics");
}

fn array(client: &mut Client) -> Figure {
    let detect = "SELECT sum(score) FROM (SELECT array_agg(t ORDER BY t) AS times, array_agg(v ORDER BY t) AS values FROM one) r,
                  strata.detect(times, values)";
    let plain = format!("SELECT sum(z) FROM (SELECT {Z_SCORE} AS z FROM one WINDOW w AS (ORDER BY t {FRAME})) s");
    Figure {
        figure: "strata.detect, one series of 1 M rows".to_owned(),
        unit: "rows/s",
        strata: READINGS as f64 / median(client, detect),
        peer: Some(READINGS as f64 / seconds(client, &plain)),
        must: Must::Times(10.0),
    }
}

/// `key` makes a thousand partitions of the numbers of the readings.
fn window(client: &mut Client, sizes: &str, key: &str, must: Must) -> Figure {
    client
        .batch_execute(&format!("CREATE TABLE many AS SELECT {key} AS key, t, v FROM one; ANALYZE many"))
        .expect("a table to work with");
    let score = "SELECT sum(score) FROM (
                     SELECT strata.anomaly_score(v, t) OVER (PARTITION BY key ORDER BY t) AS score FROM many) s";
    let plain = format!(
        "SELECT sum(z) FROM (SELECT {Z_SCORE} AS z FROM many WINDOW w AS (PARTITION BY key ORDER BY t {FRAME})) s"
    );
    let partitions = client.query_one("SELECT count(DISTINCT key)::float8 FROM many", &[]).expect("a count");
    assert_eq!(partitions.get::<_, f64>(0), 1000.0, "{sizes}");
    let figure = Figure {
        figure: format!("anomaly_score OVER, 1 M rows, 1000 partitions {sizes}"),
        unit: "rows/s",
        strata: READINGS as f64 / median(client, score),
        peer: Some(READINGS as f64 / seconds(client, &plain)),
        must,
    };
    client.batch_execute("DROP TABLE many").expect("a table that is there");
    figure
}

/// Time per reading through SQL and of the detector alone, and what its state takes after a million of them.
fn of_method(client: &mut Client, method: Method) -> [Figure; 3] {
    let (options, json) = match method {
        Method::Limits => (Options::from_pairs([("lower", "0")]).expect("an option"), r#"{"lower": 0}"#),
        _ => (Options::new(), "{}"),
    };
    let sql = format!("SELECT sum(score) FROM arrays, strata.detect(times, values, '{method}', '{json}')");
    let through_sql = median(client, &sql);
    let values: Vec<f64> = client.query_one("SELECT values FROM arrays", &[]).expect("the values").get(0);
    let mut detector = AnyDetector::new(method, &options).expect("options that the method takes");
    let started = Instant::now();
    let mut total = 0.0;
    for (i, value) in (0..).zip(&values) {
        total += detector.update(i * 5 * MICROS_PER_MINUTE, *value).score;
    }
    let alone = started.elapsed().as_secs_f64();
    assert!(total.is_finite());
    let per_point = |seconds: f64| seconds * 1e6 / READINGS as f64;
    let most = if method == Method::RangeNovelty { 16.0 * 1024.0 } else { 1024.0 };
    let figure =
        |what: &str, unit, strata, must| Figure { figure: format!("{method}, {what}"), unit, strata, peer: None, must };
    [
        figure("a reading through strata.detect", "us", per_point(through_sql), Must::Nothing),
        figure("a reading in the detector alone", "us", per_point(alone), Must::Nothing),
        figure("stored state", "bytes", detector.save().len() as f64, Must::AtMost(most)),
    ]
}

fn median(client: &mut Client, sql: &str) -> f64 {
    let mut times: Vec<f64> = (0..ROUNDS).map(|_| seconds(client, sql)).collect();
    times.sort_by(f64::total_cmp);
    times[ROUNDS / 2]
}

fn seconds(client: &mut Client, sql: &str) -> f64 {
    let started = Instant::now();
    let row = client.query_one(sql, &[]).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    assert!(row.get::<_, Option<f64>>(0).is_some(), "{sql}");
    started.elapsed().as_secs_f64()
}
