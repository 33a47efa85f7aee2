//! Detection makes one event of one incident, and keeps to it whatever comes later.

use std::time::Duration;

use postgres::fallible_iterator::FallibleIterator;
use strata_e2e::{Database, postgres as server, tools};

/// The water network, with two weeks of a daily rhythm for one node; days 4 to now are added by the test.
fn network() -> Database {
    let database = Database::create(server());
    let script = strata_servers::paths::project().join("sql/water_infrastructure.sql");
    tools::psql(server(), &database.name, std::fs::File::open(&script).unwrap());
    // safe to run again
    tools::psql(server(), &database.name, std::fs::File::open(&script).unwrap());
    database.run(&readings(&database, 14, 5));
    database
}

/// Readings every five minutes of the days `[first, last]` ago.
fn readings(database: &Database, first: i32, last: i32) -> String {
    format!(
        "INSERT INTO water_infrastructure.sensor_readings (timestamp, node_id, flow_rate, pressure)
         SELECT t, 'NODE_1', 50 + 10 * sin(extract(epoch FROM t) * 2 * pi() / 86400) + ((extract(epoch FROM t) / 300)::bigint * 7919 % 100) / 100.0, 4
         FROM generate_series({}, {} - interval '1 s', interval '5 min') t ON CONFLICT DO NOTHING",
        database.day(first),
        database.day(last - 1)
    )
}

/// Two hours of three times the flow, from noon of a day.
fn burst(database: &Database, day: i32) -> String {
    format!(
        "UPDATE water_infrastructure.sensor_readings SET flow_rate = flow_rate * 4
         WHERE timestamp BETWEEN {d} + interval '12 h' AND {d} + interval '14 h'",
        d = database.day(day)
    )
}

/// The events of the days that the test adds: what a detector raises before it knows the rhythm does not matter.
fn events(database: &Database) -> String {
    database.ask(&format!(
        "SELECT string_agg(concat_ws(' ', key, measure, (started_at AT TIME ZONE 'UTC')::date,
                extract(hour FROM started_at AT TIME ZONE 'UTC')), ', ' ORDER BY started_at)
         FROM strata.anomalies WHERE started_at >= {}",
        database.day(4)
    ))
}

fn number(database: &Database) -> i64 {
    database.count(&format!("SELECT anomaly_id FROM strata.anomalies WHERE started_at >= {}", database.day(4)))
}

/// The burst turns out to be an error of the sensor.
const CORRECTION: &str =
    "UPDATE water_infrastructure.sensor_readings SET flow_rate = flow_rate / 4 WHERE flow_rate > 70";

#[test]
fn a_burst_is_one_event_that_keeps_its_number_and_its_notes() {
    let database = network();
    database.job("anomaly_detection");
    database.run(&readings(&database, 4, 1));
    database.run(&burst(&database, 3));
    let mut listener = database.connect();
    listener.batch_execute("LISTEN strata_anomaly").unwrap();
    database.job("anomaly_detection");
    let found = events(&database);
    assert_eq!(found, format!("NODE_1 flow_rate {} 12", database.date(3)));

    let id = number(&database);
    let mut notifications = listener.notifications();
    let first = notifications.timeout_iter(Duration::from_secs(5)).next().unwrap().expect("a notification");
    let payload: serde_json::Value = serde_json::from_str(first.payload()).unwrap();
    assert_eq!((&payload["anomaly_id"], &payload["key"]), (&id.into(), &"NODE_1".into()), "{payload}");
    assert_eq!(payload["source"], "sensor_readings", "{payload}");
    assert!(payload["score"].as_f64().unwrap() >= 1.0 && payload["started_at"].is_string(), "{payload}");

    // the handbook's way to resolve one
    database.run(&format!(
        "UPDATE water_infrastructure.anomalies
         SET resolved_at = CURRENT_TIMESTAMP, metadata = jsonb_set(metadata, '{{resolution}}', '\"valve repaired\"')
         WHERE anomaly_id = {id}"
    ));
    let resolved = "SELECT anomaly_id || ' ' || (metadata ->> 'resolution') FROM water_infrastructure.anomalies WHERE resolved_at IS NOT NULL";
    assert_eq!(database.ask(resolved), format!("{id} valve repaired"));

    // the same days again, noted in full: the same event, and nobody is told twice
    database.run("UPDATE water_infrastructure.sensor_readings SET pressure = 4");
    database.job("anomaly_detection");
    assert_eq!(events(&database), found);
    assert_eq!(database.ask(resolved), format!("{id} valve repaired"));
    assert!(notifications.timeout_iter(Duration::from_millis(300)).next().unwrap().is_none());
    assert_eq!(database.job("anomaly_detection").0, 0, "nothing changed");
}

#[test]
fn late_readings_are_judged_in_their_place() {
    let database = network();
    database.run(&readings(&database, 4, 1));
    database.job("anomaly_detection");
    assert_eq!(events(&database), "");
    database.run(&burst(&database, 2));
    database.job("anomaly_detection");
    assert_eq!(events(&database), format!("NODE_1 flow_rate {} 12", database.date(2)));
    // the readings turn out to be wrong: what nobody took notice of goes
    database.run(CORRECTION);
    database.job("anomaly_detection");
    assert_eq!(events(&database), "");
}

#[test]
fn an_event_that_somebody_took_notice_of_stays() {
    let database = network();
    database.run(&readings(&database, 4, 1));
    database.run(&burst(&database, 2));
    database.job("anomaly_detection");
    let id = number(&database);
    database.run(&format!("SELECT strata.acknowledge_anomaly({id})"));
    database.run(CORRECTION);
    database.job("anomaly_detection");
    assert_eq!(events(&database), format!("NODE_1 flow_rate {} 12", database.date(2)));
    let of_event = |what: &str| database.ask(&format!("SELECT {what} FROM strata.anomalies WHERE anomaly_id = {id}"));
    assert_eq!(of_event("acknowledged_by = current_user"), "true");
    database.run(&format!("SELECT strata.resolve_anomaly({id}, 'sensor exchanged')"));
    assert_eq!(of_event("resolution || ' ' || (resolved_at IS NOT NULL)"), "sensor exchanged true");
    for sql in ["SELECT strata.acknowledge_anomaly(7777)", "SELECT strata.resolve_anomaly(7777, 'x')"] {
        assert_eq!(database.refusal(sql).sqlstate, "P0002", "{sql}");
    }
}

#[test]
fn the_water_network_comes_with_hard_limits() {
    let database = network();
    database.run(&format!(
        "INSERT INTO water_infrastructure.sensor_readings (timestamp, node_id, flow_rate, pressure)
         VALUES ({0}, 'NODE_2', -1, 4), ({0} + interval '5 min', 'NODE_2', 0, 50.5)",
        database.day(3)
    ));
    database.job("anomaly_detection");
    let found = "SELECT string_agg(concat_ws(' ', measurement_type, anomaly_type, severity, explain ->> 'text'), ', ')
         FROM (SELECT * FROM water_infrastructure.anomalies WHERE node_id = 'NODE_2' ORDER BY measurement_type) a";
    assert_eq!(
        database.ask(found),
        "flow_rate limits critical value -1 below the limit 0, pressure limits critical value 50.5 above the limit 50"
    );
}

#[test]
fn the_views_of_the_water_network_follow_the_jobs() {
    let database = network();
    database.job("rollup");
    let view = |view: &str| database.count(&format!("SELECT count(*) FROM water_infrastructure.{view}"));
    assert_eq!(view("sensor_readings_daily"), 10);
    assert_eq!(view("sensor_readings_hourly"), 240);
    assert_eq!(view("sensor_readings_5min"), 2880);
    assert_eq!(view("computed_metrics"), 3130);
    assert!(view("etl_jobs") > 0 && view("processing_jobs") > 0);
    let wrong = "SELECT count(*) FROM water_infrastructure.sensor_readings_hourly h
         JOIN (SELECT date_trunc('hour', timestamp) AS bucket, avg(flow_rate) AS flow, min(pressure) AS pressure
               FROM water_infrastructure.sensor_readings GROUP BY 1) r USING (bucket)
         WHERE abs(h.avg_flow_rate - r.flow) > 1e-9 OR h.min_pressure <> r.pressure OR h.readings <> 12";
    assert_eq!(database.count(wrong), 0);
}
