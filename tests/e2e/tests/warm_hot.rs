//! A Redis that was restarted without its data gets the newest samples of the table again, and nothing is counted twice.

use std::sync::OnceLock;

use series::time::{MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND};
use strata_e2e::stack::builder;
use strata_e2e::{Database, Readings, Sensors};
use strata_servers::{Postgres, RedisServer, redis_kind};

const SERIES: i64 = 3;
const SAMPLES: i64 = 1_200;

/// A PostgreSQL and a Redis of a test's own.
struct Servers {
    postgres: Postgres,
    redis: RedisServer,
}

impl Servers {
    fn start(redis: strata_servers::RedisBuilder) -> Servers {
        let redis = redis.start().unwrap();
        let postgres = builder().durable(false).conf("strata.redis_url", &redis.url()).start().unwrap();
        Servers { postgres, redis }
    }

    fn without_persistence() -> Servers {
        Servers::start(RedisServer::builder(redis_kind()).append_only(None).conf("save", "\"\""))
    }

    fn restart_redis(&mut self) {
        self.redis.kill9();
        self.redis.start().unwrap();
    }
}

/// Servers that the tests which restart nothing share.
fn servers() -> &'static Servers {
    static SERVERS: OnceLock<Servers> = OnceLock::new();
    SERVERS.get_or_init(Servers::without_persistence)
}

/// Readings of the last 20 hours that came through Redis and are in the table now.
fn flushed(servers: &Servers) -> (Database, Sensors, i64) {
    let database = Database::create(&servers.postgres);
    database.create_readings();
    database.attach("warm => NULL");
    let mut sensors = Sensors::of(&servers.redis, &database);
    let start = database.midnight(0) - 20 * MICROS_PER_HOUR;
    for key in 0..SERIES {
        sensors.send_many(&format!("S{key}"), start, MICROS_PER_MINUTE, SAMPLES);
    }
    database.job("flush");
    (database, sensors, start)
}

fn latest(database: &Database) -> Readings {
    Readings::of(database, "SELECT * FROM strata.latest(NULL::readings)")
}

fn newest_of(readings: &Readings) -> Readings {
    readings.only(|key, time| !readings.0.keys().any(|(other, later)| other == key && *later > time))
}

#[test]
fn an_empty_redis_is_filled_once_and_live_samples_reach_the_table_once() {
    let mut servers = Servers::without_persistence();
    let (database, mut sensors, start) = flushed(&servers);
    assert_eq!(database.job("warm_hot").0, 0, "Redis has all samples");
    servers.restart_redis();
    sensors.reconnect(&servers.redis);
    assert_eq!(sensors.info("samples"), 0);
    database.all_tiers().assert_same(&sensors.sent, "while Redis is empty");

    // live samples that come before the fill: one between the table's, one newer, and a correction
    sensors.send("S0", start + 90 * MICROS_PER_SECOND, 1.5);
    sensors.send("S0", start + SAMPLES * MICROS_PER_MINUTE, 2.5);
    sensors.send("S1", start + 5 * MICROS_PER_MINUTE, -7.0);
    latest(&database).assert_same(&newest_of(&sensors.sent), "the newest, before the fill");
    let (rows, message) = database.job("warm_hot");
    assert_eq!(rows, SERIES * SAMPLES - 1, "all but the corrected one, which Redis has");
    assert!(message.contains(&rows.to_string()), "{message}");
    assert_eq!(sensors.info("samples"), SERIES * SAMPLES + 2);
    assert_eq!(sensors.pending(), 3, "only the live ones are pending");
    database.all_tiers().assert_same(&sensors.sent, "after the fill");
    assert_eq!(database.job("warm_hot").0, 0, "once for a start of Redis");
    assert_eq!(database.count("SELECT strata.warm_hot('readings')"), 0, "filling again adds nothing");

    database.job("flush");
    assert_eq!(sensors.pending(), 0);
    assert_eq!(database.count("SELECT sum(rows) FROM strata.flushes"), SERIES * SAMPLES + 3);
    database.stored().assert_same(&sensors.sent, "in the table");
    latest(&database).assert_same(&newest_of(&sensors.sent), "the newest, in the end");
    let runs = "SELECT count(*) FROM strata.job_runs WHERE job = 'warm_hot' AND status = 'succeeded'";
    assert_eq!(database.count(runs), 3);
}

#[test]
fn a_redis_that_kept_its_data_is_given_nothing() {
    let mut servers = Servers::start(RedisServer::builder(redis_kind()));
    let (database, mut sensors, _) = flushed(&servers);
    database.job("warm_hot");
    sensors.send("S0", database.midnight(0) + 1, 1.0);
    servers.restart_redis();
    sensors.reconnect(&servers.redis);
    assert_eq!(database.job("warm_hot"), (0, String::new()));
    assert_eq!(sensors.info("samples"), SERIES * SAMPLES + 1);
    assert_eq!(sensors.pending(), 1);
}

#[test]
fn a_source_that_was_attached_with_rows_is_filled_from_its_newest_row() {
    let database = Database::create(&servers().postgres);
    // no hypertable: it would not take the infinities
    database.run(&format!(
        "CREATE TABLE readings (time timestamptz NOT NULL, key text NOT NULL, value float8, UNIQUE (key, time));
         INSERT INTO readings SELECT {} + i * interval '1 hour', 'A', i FROM generate_series(1, 72) i;
         INSERT INTO readings VALUES ('infinity', 'A', 1), ('-infinity', 'A', 1), ({d}, 'none', NULL),
             ({d}, 'infinite', 'Infinity'), ({d}, '', 1)",
        database.day(40),
        d = database.day(37),
    ));
    database.attach("warm => NULL");
    let mut sensors = Sensors::of(&servers().redis, &database);
    assert_eq!(database.count("SELECT strata.warm_hot('readings', '10 hours')"), 11, "ten hours back from the newest");
    assert_eq!(sensors.info("pending"), 0);
    assert_eq!(database.count("SELECT strata.warm_hot('readings', '7 days')"), 14, "Redis keeps a day");
    database.job("flush");
    assert_eq!(database.count("SELECT count(*) FROM readings"), 77);
}

#[test]
fn a_key_of_another_type_is_named_and_keeps_nothing_from_the_other_series() {
    let mut servers = Servers::without_persistence();
    let (database, mut sensors, start) = flushed(&servers);
    servers.restart_redis();
    sensors.reconnect(&servers.redis);
    let text = format!("{}:S1", database.name);
    redis::cmd("SET").arg(&text).arg("x").exec(sensors.connection()).unwrap();
    let (rows, message) = database.job("warm_hot");
    assert_eq!(rows, (SERIES - 1) * SAMPLES);
    assert!(message.contains(&format!("{text:?} (Operation against a key")), "{message}");
    assert_eq!(sensors.info("series"), SERIES - 1);
    assert_eq!(database.job("warm_hot"), (0, String::new()), "it was said");

    let (mut client, warnings) = database.session();
    let added: i64 = client.query_one("SELECT strata.warm_hot('readings')", &[]).unwrap().get(0);
    assert_eq!(added, 0);
    let warnings = warnings.lock().unwrap();
    let [warning] = warnings.as_slice() else { panic!("{warnings:?}") };
    assert!(warning.starts_with("WARNING: ") && warning.contains(&text) && warning.contains("RENAME"), "{warning}");

    // neither reading nor the flush minds the key
    sensors.send("S0", start + SAMPLES * MICROS_PER_MINUTE, 2.5);
    sensors.send("S2", start + SAMPLES * MICROS_PER_MINUTE, 3.5);
    database.all_tiers().assert_same(&sensors.sent, "beside a key of another type");
    let newest = Readings::of(&database, "SELECT * FROM strata.latest(NULL::readings, ARRAY['S0', 'S1', 'S2'])");
    newest.assert_same(&newest_of(&sensors.sent), "the newest");
    assert_eq!(database.job("flush"), (2, String::new()));
    database.stored().assert_same(&sensors.sent, "in the table");

    // a series that is overwritten while its samples are pending
    sensors.send("S0", start + (SAMPLES + 1) * MICROS_PER_MINUTE, 4.5);
    redis::cmd("SET").arg(format!("{}:S2", database.name)).arg("x").exec(sensors.connection()).unwrap();
    assert_eq!(database.job("flush").0, 1);
    assert_eq!(sensors.pending(), 0);
}

#[test]
fn filling_is_refused_to_those_who_may_not_read_the_table_and_where_there_is_no_hot_tier() {
    let (database, _, _) = flushed(servers());
    database.run(&format!(
        "CREATE ROLE \"{n}_op\" IN ROLE strata_operator; CREATE ROLE \"{n}_reader\" IN ROLE strata_reader;
         GRANT SELECT ON readings TO \"{n}_reader\"",
        n = database.name
    ));
    for role in ["op", "reader"] {
        let refusal =
            database.refusal(&format!("SET ROLE \"{}_{role}\"; SELECT strata.warm_hot('readings')", database.name));
        assert_eq!(refusal.sqlstate, "42501", "{role}: {refusal:?}");
    }
    database.run("UPDATE strata.sources SET hot = NULL");
    let refusal = database.refusal("SELECT strata.warm_hot('readings')");
    assert!(refusal.hint.contains("alter_source"), "{refusal:?}");
}

#[test]
fn a_fill_that_waits_for_redis_can_be_cancelled() {
    let servers = Servers::without_persistence();
    let (database, _, _) = flushed(&servers);
    servers.redis.freeze();
    let start = std::time::Instant::now();
    let refusal = database.refusal(
        "SET strata.redis_timeout = '10 min'; SET statement_timeout = '500 ms'; SELECT strata.warm_hot('readings')",
    );
    assert_eq!(refusal.sqlstate, "57014", "{refusal:?}");
    assert!(start.elapsed() < std::time::Duration::from_millis(2_000), "{:?}", start.elapsed());
    servers.redis.thaw();
}

#[test]
fn health_names_samples_that_wait_for_a_source_without_a_hot_tier() {
    let (database, mut sensors, _) = flushed(servers());
    let line = "SELECT string_agg(status || ': ' || detail || coalesce(' ' || hint, ''), '; ') FROM strata.health()
                WHERE component LIKE 'hot tier of %'";
    database.run("UPDATE strata.sources SET hot = NULL");
    assert_eq!(database.ask(line), "", "nothing is pending");
    sensors.send("S0", database.midnight(0), 1.0);
    let said = database.ask(line);
    assert!(said.starts_with("warning: ") && said.contains(" 1 not yet in the table"), "{said}");
    assert!(said.contains("hot => '24 hours'"), "{said}");
}

/// The promise is for a server without debugging code; this figure is printed to be read.
#[test]
fn a_million_samples_fit_into_a_minute() {
    let database = Database::create(&servers().postgres);
    database.create_readings();
    database.run(&format!(
        "INSERT INTO readings SELECT {} + i * interval '10 s', 'S' || s, i
         FROM generate_series(1, 8000) i, generate_series(1, 25) s",
        database.day(1)
    ));
    database.attach("warm => NULL");
    let start = std::time::Instant::now();
    let samples = database.count("SELECT strata.warm_hot('readings')");
    let seconds = start.elapsed().as_secs_f64();
    println!("{samples} samples in {seconds:.1} s, {:.0} a minute", samples as f64 / seconds * 60.0);
    assert_eq!(samples, 200_000);
    assert!(samples as f64 / seconds * 60.0 > 1e6, "{samples} samples took {seconds} s");
}
