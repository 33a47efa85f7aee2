//! A tier that cannot be reached is an error with a way out, or a warning and a partial answer, as the reader chooses.

use strata_e2e::{Database, Sensors, stack};

const COUNT: &str = "SELECT count(*) FROM strata.rows(NULL::readings, '-infinity', 'infinity')";

/// 288 rows in BigQuery, 288 in the table, 10 in Redis.
fn database() -> Database {
    let database = stack().database();
    database.attach_three_tiers();
    database.fill(5, 5);
    database.fill(1, 1);
    database.job("archive");
    let mut sensors = Sensors::of(&stack().redis, &database);
    sensors.send_many("A", database.midnight(0), 1, 10);
    assert_eq!(database.count(COUNT), 586);
    database
}

fn check(setting: &str, tier: &str, rest: i64) {
    let database = database();
    let refusal = database.refusal(&format!("SET {setting}; {COUNT}"));
    assert_eq!(refusal.sqlstate, "08001", "{refusal:?}");
    assert!(refusal.message.starts_with(&format!("the {tier} tier cannot be read: ")), "{refusal:?}");
    assert!(refusal.hint.contains("SET strata.on_tier_error = 'warning'"), "{refusal:?}");

    let (mut client, warnings) = database.session();
    client.batch_execute(&format!("SET {setting}; SET strata.on_tier_error = 'warning'")).unwrap();
    assert_eq!(client.query_one(COUNT, &[]).unwrap().get::<_, i64>(0), rest);
    let warnings = warnings.lock().unwrap();
    let [warning] = warnings.as_slice() else { panic!("{warnings:?}") };
    assert!(warning.starts_with(&format!("WARNING: the {tier} tier cannot be read: ")), "{warning}");
    assert!(warning.ends_with(&format!("(The answer is without the {tier} tier.)")), "{warning}");
}

#[test]
fn without_redis() {
    check("strata.redis_url = 'redis://127.0.0.1:1/'", "hot", 576);
}

#[test]
fn without_bigquery() {
    check("strata.bigquery_endpoint = 'http://127.0.0.1:1'; SET strata.cold_timeout = 2000", "cold", 298);
}

#[test]
fn a_range_that_needs_nothing_of_a_tier_does_not_ask_it() {
    let database = database();
    let warm = format!(
        "SET strata.bigquery_endpoint = 'http://127.0.0.1:1'; SELECT count(*) FROM strata.rows(NULL::readings, {}, {})",
        database.day(1),
        database.day(0)
    );
    database.run(&warm);
    database.run("CREATE TABLE plain (time timestamptz, key text, value float8, PRIMARY KEY (key, time))");
    database.run(&format!("SELECT strata.attach('plain', 'time', 'key', hot => NULL, name => '{}_p')", database.name));
    database.run("SET strata.redis_url = 'redis://127.0.0.1:1/'; SELECT * FROM strata.rows(NULL::plain, '-infinity', 'infinity')");
}

#[test]
fn health_names_what_is_down_and_what_to_do() {
    let database = database();
    let health = |component: &str, settings: &str| {
        let mut client = database.connect();
        client.batch_execute(settings).unwrap();
        let sql = "SELECT concat_ws('|', status, detail, hint) FROM strata.health() WHERE component = $1";
        client.query_one(sql, &[&component]).unwrap().get::<_, String>(0)
    };
    assert!(health("redis", "").starts_with("ok|"), "{}", health("redis", ""));
    assert!(health("bigquery", "").starts_with("ok|"), "{}", health("bigquery", ""));
    let redis = health("redis", "SET strata.redis_url = 'redis://127.0.0.1:1/'");
    assert!(redis.starts_with("error|") && redis.contains("127.0.0.1:1"), "{redis}");
    let bigquery =
        health("bigquery", "SET strata.bigquery_endpoint = 'http://127.0.0.1:1'; SET strata.cold_timeout = 2000");
    assert!(bigquery.starts_with("error|"), "{bigquery}");
}
