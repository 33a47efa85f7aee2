//! Time per row and size of the joint detector, through SQL and alone.

use std::time::Instant;

use postgres::Client;
use series::detect::{JointDetector, JointSettings};
use series::time::MICROS_PER_MINUTE;
use strata_e2e::Database;

use crate::report::{Figure, Must};

const TRAINING: usize = 2000;
const ROUNDS: usize = 3;

pub fn figures(database: &Database) -> Vec<Figure> {
    let mut client = database.connect();
    let mut figures = Vec::new();
    for (sensors, rows, most) in [(8, 200_000, 2.0), (43, 50_000, 12.0)] {
        figures.extend(of_sensors(&mut client, sensors, rows, most));
    }
    figures
}

/// Sensors with a daily rhythm and noise that they share in part.
fn of_sensors(client: &mut Client, sensors: usize, rows: usize, most: f64) -> [Figure; 3] {
    client
        .batch_execute(&format!(
            "CREATE TABLE joint AS
             SELECT array_agg(t ORDER BY i) AS times, array_agg(row ORDER BY i) AS values
             FROM (SELECT i, 'epoch'::timestamptz + i * interval '1 min' AS t,
                          (SELECT array_agg(50 + 10 * sin(i * pi() / 720 + s) + (i * 7919 % 1009) / 500.0 * s
                                            + (i * (104729 + s * 7907) % 997) / 300.0 ORDER BY s)
                           FROM generate_series(1, {sensors}) s) AS row
                   FROM generate_series(1::bigint, {rows}) i) r"
        ))
        .expect("rows to judge");
    let sql = |training: usize, rows: usize| {
        format!("SELECT sum(score) FROM joint, strata.detect_joint(times[:{rows}], values[:{rows}][:], {training})")
    };
    // the fit and the array's way into the function are not what a row costs
    let fit = median(client, &sql(TRAINING, TRAINING + 1));
    let whole = median(client, &sql(TRAINING, rows));
    let through_sql = (whole - fit) * 1e6 / (rows - TRAINING) as f64;
    let values: Vec<f64> =
        client.query_one("SELECT array_agg(v) FROM joint, unnest(values) v", &[]).expect("the values").get(0);
    let times: Vec<i64> = (1..=rows as i64).map(|i| i * MICROS_PER_MINUTE).collect();
    let (first, rest) = values.split_at(TRAINING * sensors);
    let settings = JointSettings::default();
    let mut detector = JointDetector::train(&times[..TRAINING], first, sensors, &settings).expect("rows to train on");
    let started = Instant::now();
    let mut total = 0.0;
    for (time, row) in times[TRAINING..].iter().zip(rest.chunks_exact(sensors)) {
        total += detector.update(*time, row).score;
    }
    let alone = started.elapsed().as_secs_f64() * 1e6 / (rows - TRAINING) as f64;
    assert!(total.is_finite());
    client.batch_execute("DROP TABLE joint").expect("a table that is there");
    let figure = |what: &str, unit, strata, must| Figure {
        figure: format!("joint, {sensors} sensors, {what}"),
        unit,
        strata,
        peer: None,
        must,
    };
    [
        figure("a row through strata.detect_joint", "us", through_sql, Must::AtMost(most)),
        figure("a row in the detector alone", "us", alone, Must::AtMost(most)),
        figure("stored model and state", "bytes", detector.save().len() as f64, Must::AtMost(64.0 * 1024.0)),
    ]
}

fn median(client: &mut Client, sql: &str) -> f64 {
    let mut seconds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            let row = client.query_one(sql, &[]).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
            assert!(row.get::<_, Option<f64>>(0).is_some(), "{sql}");
            started.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    seconds[ROUNDS / 2]
}
