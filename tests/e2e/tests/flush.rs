//! The flush brings what Redis acknowledged into the table, each sample once, and keeps what the table refuses.

use series::time::{MICROS_PER_HOUR, MICROS_PER_MINUTE};
use strata_e2e::{Database, Readings, Sensors, stack};

fn database_with_sensors() -> (Database, Sensors) {
    let database = stack().database();
    database.create_readings();
    database.attach("warm => NULL");
    let sensors = Sensors::of(&stack().redis, &database);
    (database, sensors)
}

#[test]
fn samples_reach_the_table_and_leave_nothing_pending() {
    let (database, mut sensors) = database_with_sensors();
    let start = database.midnight(1);
    sensors.send_many("A", start, MICROS_PER_MINUTE, 100);
    sensors.send_many("B", start, MICROS_PER_MINUTE, 50);
    sensors.send("A", start + 1, 1.5);
    let waiting = sensors.pending();
    assert_eq!(waiting, 151);
    assert_eq!(database.job("flush").0, 151);
    database.stored().assert_same(&sensors.sent, "the table");
    assert_eq!(sensors.pending(), 0);
    assert_eq!(database.job("flush").0, 0);
    let recorded = database.ask("SELECT sum(rows) || ' ' || sum(rejected) FROM strata.flushes");
    assert_eq!(recorded, "151 0");
}

#[test]
fn late_samples_and_overwrites_replace_what_the_table_has() {
    let (database, mut sensors) = database_with_sensors();
    let start = database.midnight(1);
    sensors.send_many("A", start, MICROS_PER_HOUR, 5);
    database.job("flush");
    sensors.send("A", start + 2 * MICROS_PER_HOUR, 99.0);
    sensors.send("A", start + MICROS_PER_MINUTE, 98.0);
    sensors.send("A", start - MICROS_PER_HOUR, 97.0);
    assert_eq!(sensors.pending(), 3);
    assert_eq!(database.job("flush").0, 3);
    database.stored().assert_same(&sensors.sent, "the table");
}

#[test]
fn a_measure_that_a_sample_lacks_keeps_its_value() {
    let database = stack().database();
    database
        .run("CREATE TABLE readings (time timestamptz, key text, value float8, level int, PRIMARY KEY (key, time))");
    database.attach("warm => NULL");
    let mut sensors = Sensors::of(&stack().redis, &database);
    let start = database.midnight(1);
    sensors.send_measure("A", start, "value", 1.0);
    database.job("flush");
    sensors.send_measure("A", start, "level", 7.0);
    database.job("flush");
    assert_eq!(database.ask("SELECT value || ' ' || level FROM readings"), "1 7");
}

#[test]
fn a_sample_that_the_table_refuses_is_kept_and_blocks_no_other() {
    let (database, mut sensors) = database_with_sensors();
    database.run("ALTER TABLE readings ADD CHECK (value < 1000)");
    let start = database.midnight(1);
    sensors.send_many("A", start, MICROS_PER_MINUTE, 20);
    sensors.send_many("C", start, MICROS_PER_MINUTE, 20);
    let accepted = sensors.sent.clone();
    sensors.send("B", start, 5000.0);
    sensors.send("B", start + MICROS_PER_MINUTE, 6000.0);
    let (rows, message) = database.job("flush");
    assert_eq!(rows, 40);
    assert!(message.contains("2 samples were refused"), "{message}");
    database.stored().assert_same(&accepted, "the table");
    let rejected = Readings::of(
        &database,
        "SELECT key, time, (measures ->> 'value')::float8 AS value FROM strata.rejected_samples WHERE sqlstate = '23514'",
    );
    rejected.assert_same(&sensors.sent.only(|key, _| key == "B"), "strata.rejected_samples");
    assert_eq!(sensors.pending(), 0);
}

#[test]
fn a_measure_that_the_source_does_not_have_is_kept_beside_the_rest_of_its_sample() {
    let (database, mut sensors) = database_with_sensors();
    let start = database.midnight(1);
    sensors.send("A", start, 1.0);
    sensors.send_measure("A", start, "humidity", 40.0);
    sensors.send("A", start + MICROS_PER_MINUTE, 2.0);
    database.job("flush");
    database.stored().assert_same(&sensors.sent, "the table");
    let rejected = database.ask("SELECT concat_ws(' ', key, sqlstate, measures, reason) FROM strata.rejected_samples");
    assert!(rejected.starts_with("A 42703 {\"humidity\": 40.0} "), "{rejected}");
    assert!(rejected.contains("humidity") && rejected.contains(&database.name), "{rejected}");
    assert_eq!(sensors.pending(), 0);
}

#[test]
fn a_key_that_the_key_column_cannot_hold_is_kept_and_blocks_no_other() {
    let database = stack().database();
    database.run("CREATE TABLE readings (time timestamptz, key int, value float8, PRIMARY KEY (key, time))");
    database.attach("warm => NULL");
    let mut sensors = Sensors::of(&stack().redis, &database);
    let start = database.midnight(1);
    sensors.send("17", start, 1.0);
    let accepted = sensors.sent.clone();
    sensors.send("seventeen", start, 2.0);
    database.job("flush");
    database.stored().assert_same(&accepted, "the table");
    assert_eq!(database.ask("SELECT key || ' ' || sqlstate FROM strata.rejected_samples"), "seventeen 22P02");
    assert_eq!(sensors.pending(), 0);
}

#[test]
fn without_redis_the_run_fails_clearly_and_the_next_one_has_everything() {
    let (database, mut sensors) = database_with_sensors();
    sensors.send_many("A", database.midnight(1), MICROS_PER_MINUTE, 30);
    database.run(&format!("ALTER DATABASE {} SET strata.redis_url = 'redis://127.0.0.1:1/'", database.name));
    let refusal = database.job_refusal("flush");
    assert_eq!(refusal.sqlstate, "08001", "{refusal:?}");
    assert!(refusal.message.contains(&database.name) && refusal.message.contains("127.0.0.1:1"), "{refusal:?}");
    assert!(!refusal.hint.is_empty(), "{refusal:?}");
    let recorded = database.ask("SELECT status || ' ' || sqlstate FROM strata.job_runs ORDER BY run_id DESC LIMIT 1");
    assert_eq!(recorded, "failed 08001");
    assert!(database.stored().is_empty());
    database.run(&format!("ALTER DATABASE {} RESET strata.redis_url", database.name));
    assert_eq!(database.job("flush").0, 30);
    database.stored().assert_same(&sensors.sent, "the table");
}

#[test]
fn a_source_that_fails_does_not_keep_the_others_from_their_flush() {
    let (database, mut sensors) = database_with_sensors();
    database.run("CREATE TABLE broken (time timestamptz, key text, value float8, PRIMARY KEY (key, time))");
    database
        .run(&format!("SELECT strata.attach('broken', 'time', 'key', name => '{}_b', warm => NULL)", database.name));
    let name = format!("{}_b:A", database.name);
    redis::cmd("STRATA.ADD").arg(name).arg("*").arg("value").arg(1).exec(sensors.connection()).unwrap();
    database.run("ALTER TABLE broken DROP CONSTRAINT broken_pkey");
    sensors.send("A", database.midnight(1), 1.0);
    let refusal = database.job_refusal("flush");
    assert!(refusal.message.contains(&format!("{}_b", database.name)), "{refusal:?}");
    database.stored().assert_same(&sensors.sent, "the table of the other source");
    database.run("ALTER TABLE broken ADD PRIMARY KEY (key, time)");
    database.job("flush");
    assert_eq!(database.count("SELECT count(*) FROM broken"), 1);
}

#[test]
fn two_spellings_of_a_redis_key_are_one_key_of_the_table() {
    let (database, mut sensors) = database_with_sensors();
    let start = database.midnight(1);
    sensors.send("A", start, 1.0);
    sensors.send("{A}", start + MICROS_PER_MINUTE, 2.0);
    sensors.send("{A}", start, 3.0);
    assert_eq!(database.job("flush").0, 3);
    assert_eq!(database.ask("SELECT count(*) || ' ' || count(DISTINCT key) FROM readings"), "2 1");
}
