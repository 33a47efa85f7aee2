//! Redis judges a sample as it comes, as PostgreSQL judges it afterwards; events are made in PostgreSQL alone, each once.

use std::sync::OnceLock;

use series::time::MICROS_PER_MINUTE;
use strata_e2e::sensors::milliseconds;
use strata_e2e::stack::builder;
use strata_e2e::{Database, Sensors, eventually};
use strata_servers::{Postgres, RedisServer, redis_kind};

const STEP: i64 = 5 * MICROS_PER_MINUTE;

fn servers() -> &'static (Postgres, RedisServer) {
    static SERVERS: OnceLock<(Postgres, RedisServer)> = OnceLock::new();
    SERVERS.get_or_init(|| {
        let redis = RedisServer::builder(redis_kind()).append_only(None).start().unwrap();
        let postgres = builder().durable(false).conf("strata.redis_url", &redis.url()).start().unwrap();
        (postgres, redis)
    })
}

/// A daily rhythm with noise; nothing at every 311th sample and in a gap of some hours.
fn value(n: i64) -> f64 {
    if n % 311 == 17 || (1_900..1_930).contains(&n) {
        return f64::NAN;
    }
    50.0 + 10.0 * (n as f64 * std::f64::consts::PI / 144.0).sin() + (n * 7919 % 100) as f64 / 100.0
}

fn values(range: std::ops::Range<i64>, jump: i64) -> Vec<f64> {
    range.map(|n| if (jump..jump + 12).contains(&n) { value(n) + 140.0 } else { value(n) }).collect()
}

/// Writes one sample of `value`, or of another measure where that is missing; gives the score.
fn add(sensors: &mut Sensors, name: &str, time: i64, value: f64) -> f64 {
    let mut command = redis::cmd("STRATA.ADD");
    command.arg(format!("{name}:A")).arg(milliseconds(time)).arg("SCORE").arg("other").arg(1);
    if !value.is_nan() {
        command.arg("value").arg(value);
    }
    let (_, score): (String, Option<f64>) = command.query(sensors.connection()).unwrap();
    score.unwrap_or(f64::NAN)
}

/// The scores that SQL gives, of every reading with a value.
fn scores_in_sql(database: &Database, start: i64, values: &[f64]) -> Vec<f64> {
    let micros: Vec<i64> = (0..values.len() as i64).map(|n| start + n * STEP).collect();
    let rows = database
        .connect()
        .query(
            "SELECT score FROM strata.detect((SELECT array_agg('epoch'::timestamptz + m * interval '1 us' ORDER BY n)
                 FROM unnest($1::bigint[]) WITH ORDINALITY u(m, n)), $2, 'range_novelty', '{\"refractory\": 0}')",
            &[&micros, &values],
        )
        .unwrap();
    assert_eq!(rows.len(), values.len());
    rows.iter().map(|row| row.get::<_, Option<f64>>(0).unwrap_or(f64::NAN)).collect()
}

fn assert_same_scores(redis: &[f64], sql: &[f64], values: &[f64]) {
    assert_eq!(redis.len(), sql.len());
    let mut compared = 0;
    for (i, value) in values.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
        assert_eq!(redis[i].to_bits(), sql[i].to_bits(), "sample {i} ({value}): {} and {}", redis[i], sql[i]);
        compared += 1;
    }
    assert!(compared > values.len() / 2);
}

/// A table with `value` and `other`, of which the first is attached.
fn attached(server: &Postgres) -> Database {
    attached_with(server, "'value'")
}

fn attached_with(server: &Postgres, measures: &str) -> Database {
    let database = Database::create(server);
    database.create_readings();
    database.run("ALTER TABLE readings ADD COLUMN other float8");
    database.attach(&format!("warm => NULL, measures => ARRAY[{measures}]"));
    database
}

fn insert(database: &Database, start: i64, values: &[f64]) {
    let micros: Vec<i64> = (0..values.len() as i64).map(|n| start + n * STEP).collect();
    database
        .connect()
        .execute(
            "INSERT INTO readings SELECT 'epoch'::timestamptz + m * interval '1 us', 'A', nullif(v, 'NaN'), 1
             FROM unnest($1::bigint[], $2::float8[]) u(m, v)",
            &[&micros, &values],
        )
        .unwrap();
}

#[test]
fn every_sample_has_the_same_score_in_redis_and_in_sql() {
    let (server, redis) = servers();
    let database = attached(server);
    let mut sensors = Sensors::of(redis, &database);
    let (start, values) = (database.midnight(20), values(0..4_000, 3_200));
    add(&mut sensors, &database.name, start - STEP, f64::NAN);
    let name = format!("{}:A", database.name);
    // the measure must be there to be watched, and the detector is to begin with the first reading
    redis::cmd("STRATA.ADD")
        .arg(&name)
        .arg(milliseconds(start - STEP))
        .arg("value")
        .arg(50)
        .exec(sensors.connection())
        .unwrap();
    let taken: i64 = redis::cmd("STRATA.WATCH")
        .arg(&name)
        .arg("value")
        .arg(milliseconds(start - STEP))
        .arg("range_novelty")
        .query(sensors.connection())
        .unwrap();
    assert_eq!(taken, 1);
    let scores: Vec<f64> = values
        .iter()
        .enumerate()
        .map(|(n, v)| add(&mut sensors, &database.name, start + n as i64 * STEP, *v))
        .collect();
    assert_same_scores(&scores, &scores_in_sql(&database, start, &values), &values);
    assert!(scores[3_200] >= 1.0, "the jump scores {}", scores[3_200]);
}

#[test]
fn redis_goes_on_from_the_job_and_an_alarm_becomes_one_event_after_the_flush() {
    let (server, redis) = servers();
    let database = attached(server);
    let mut sensors = Sensors::of(redis, &database);
    let start = database.midnight(14);
    // the table has 13 days and six hours, and Redis goes on
    let (stored, jump) = (13 * 288 + 72, 13 * 288 + 172);
    let all = values(0..stored + 200, jump);
    insert(&database, start, &all[..stored as usize]);
    assert!(database.count("SELECT strata.warm_hot('readings')") > 72);
    database.job("anomaly_detection");
    let handed = "SELECT watched_at FROM strata.hot_state";
    let first = database.ask(handed);
    assert_ne!(first, "", "the job hands the detectors over");
    let states = database
        .count("SELECT count(*) FROM strata.detector_states WHERE day = (SELECT max(day) FROM strata.detector_states)");
    assert_eq!(states, 1);

    let live = &all[stored as usize..];
    let scores: Vec<f64> =
        (stored..).zip(live).map(|(n, value)| add(&mut sensors, &database.name, start + n * STEP, *value)).collect();
    let expected = scores_in_sql(&database, start, &all);
    assert_same_scores(&scores, &expected[stored as usize..], live);

    let alarm_at = format!("'epoch'::timestamptz + {} * interval '1 us'", start + jump * STEP);
    let of_alarm =
        format!("key = 'A' AND measure = 'value' AND method = 'range_novelty' AND time = {alarm_at} AND score >= 1");
    assert_eq!(database.count(&format!("SELECT count(*) FROM strata.hot_anomalies('readings') WHERE {of_alarm}")), 1);
    let events = format!("SELECT count(*) FROM strata.anomalies WHERE started_at >= {alarm_at} - interval '1 hour'");
    assert_eq!(database.count(&events), 0, "Redis makes no events");

    let due = "SELECT next_run_at <= now() FROM strata.jobs WHERE name = 'anomaly_detection'";
    assert_eq!(database.ask(due), "false", "before the flush");
    database.job("flush");
    assert_eq!(database.ask(due), "true", "the flush brought an alarm");
    assert_eq!(database.count("SELECT count(*) FROM strata.hot_anomalies('readings')"), 0, "the table has it now");
    database.job("anomaly_detection");
    assert_eq!(database.count(&events), 1);
    assert_eq!(
        database.ask(&format!("SELECT started_at = {alarm_at} FROM strata.anomalies ORDER BY started_at DESC LIMIT 1")),
        "true"
    );
    database.job("anomaly_detection");
    assert_eq!(database.count(&events), 1);
    assert_eq!(database.ask(handed), first, "the states of the newest day are the same");
    add(&mut sensors, &database.name, start + (stored + 200) * STEP, value(stored + 200));
    database.job("flush");
    assert_eq!(database.ask(due), "false", "a flush without alarms lets the job wait");
}

#[test]
fn a_late_sample_counts_in_redis_after_the_next_run_of_the_job() {
    let (server, redis) = servers();
    let database = attached(server);
    let mut sensors = Sensors::of(redis, &database);
    let start = database.midnight(14);
    let stored = 13 * 288 + 72;
    let mut all = values(0..stored + 60, 10_000);
    let (late, corrected) = (stored + 10, stored + 20);
    for n in [late, stored + 45, stored + 55] {
        all[n as usize] = 140.0;
    }
    insert(&database, start, &all[..stored as usize]);
    database.count("SELECT strata.warm_hot('readings')");
    database.job("anomaly_detection");
    let handed = database.ask("SELECT watched_at FROM strata.hot_state");

    // two come late: one between others, and one that stands for a value that was judged already
    let mut send = |n: i64, value: f64| add(&mut sensors, &database.name, start + n * STEP, value);
    let mut live = all.clone();
    live[corrected as usize] = 95.0;
    for n in (stored..stored + 40).filter(|n| *n != late) {
        send(n, live[n as usize]);
    }
    send(late, live[late as usize]);
    send(corrected, all[corrected as usize]);
    let before: Vec<f64> = (stored + 40..stored + 50).map(|n| send(n, all[n as usize])).collect();
    database.job("flush");
    database.job("anomaly_detection");
    let after: Vec<f64> = (stored + 50..stored + 60).map(|n| send(n, all[n as usize])).collect();
    let expected = scores_in_sql(&database, start, &all);
    let part = |from: i64, to: i64| &expected[from as usize..to as usize];
    assert_ne!(before, part(stored + 40, stored + 50), "Redis has judged without them");
    assert_same_scores(&after, part(stored + 50, stored + 60), &all[stored as usize + 50..]);
    assert_eq!(database.ask("SELECT watched_at FROM strata.hot_state"), handed, "the states of the day are the same");
}

#[test]
fn an_alarm_is_an_event_soon_after_its_flush_without_waiting_for_the_schedule() {
    let redis = &servers().1;
    let postgres = builder()
        .durable(false)
        .conf("strata.redis_url", &redis.url())
        .conf("strata.scheduler_enabled", "on")
        .start()
        .unwrap();
    let database = attached(&postgres);
    database.run("SELECT strata.alter_job(name, enabled => name = 'anomaly_detection') FROM strata.jobs");
    let mut sensors = Sensors::of(redis, &database);
    let (start, stored) = (database.midnight(14), 13 * 288 + 72);
    let all = values(0..stored + 12, stored);
    insert(&database, start, &all[..stored as usize]);
    database.job("warm_hot");
    database.job("anomaly_detection");
    for n in stored..stored + 12 {
        add(&mut sensors, &database.name, start + n * STEP, all[n as usize]);
    }
    assert!(database.count("SELECT count(*) FROM strata.hot_anomalies('readings')") > 0);
    let event = format!(
        "SELECT count(*) FROM strata.anomalies WHERE started_at = 'epoch'::timestamptz + {} * interval '1 us'",
        start + stored * STEP
    );
    assert_eq!(database.count(&event), 0);
    database.job("flush");
    eventually("the scheduler runs the detection", || database.count(&event) == 1);
}

#[test]
fn the_watch_ends_where_detection_in_redis_is_switched_off() {
    let (server, redis) = servers();
    let database = attached(server);
    let mut sensors = Sensors::of(redis, &database);
    let start = database.midnight(3);
    insert(&database, start, &values(0..700, 10_000));
    database.job("anomaly_detection");
    database.count("SELECT strata.warm_hot('readings')");
    let mut score = |n: i64| add(&mut sensors, &database.name, start + n * STEP, value(n));
    assert!(!score(700).is_nan());
    database.run(&format!("ALTER DATABASE \"{}\" SET strata.hot_detection = off", database.name));
    database.job("anomaly_detection");
    assert!(score(701).is_nan());
    database.run(&format!("ALTER DATABASE \"{}\" RESET strata.hot_detection", database.name));
    database.job("anomaly_detection");
    assert!(!score(702).is_nan());
}

/// What Redis watches of the source: Redis key and measures with their methods.
fn watches(sensors: &mut Sensors, name: &str) -> Vec<(String, Vec<String>)> {
    redis::cmd("STRATA.WATCHES").arg(name).query(sensors.connection()).unwrap()
}

#[test]
fn a_key_of_another_type_is_named_and_keeps_no_detector_from_the_other_series() {
    let (server, redis) = servers();
    let database = attached(server);
    let mut sensors = Sensors::of(redis, &database);
    let start = database.midnight(3);
    insert(&database, start, &values(0..700, 10_000));
    database.run("INSERT INTO readings SELECT time, k, value, other FROM readings, (VALUES ('0'), ('B')) AS names(k)");
    database.count("SELECT strata.warm_hot('readings')");
    let text = format!("{}:0", database.name);
    redis::cmd("SET").arg(&text).arg("x").exec(sensors.connection()).unwrap();
    let (_, message) = database.job("anomaly_detection");
    assert!(message.contains(&format!("{text:?} (Operation against a key")), "{message}");
    let method = vec!["value".to_owned(), "range_novelty".to_owned()];
    let of = |key: &str| (format!("{}:{key}", database.name), method.clone());
    assert_eq!(watches(&mut sensors, &database.name), [of("A"), of("B")]);
}

#[test]
fn series_with_a_hash_tag_are_filled_and_watched_like_others() {
    let (server, redis) = servers();
    let database = attached(server);
    let mut sensors = Sensors::of(redis, &database);
    let start = database.midnight(3);
    insert(&database, start, &values(0..700, 10_000));
    let name = &database.name;
    let tagged = format!("{{{name}}}:A");
    let time = milliseconds(start + 701 * STEP);
    redis::cmd("STRATA.ADD").arg(&tagged).arg(time).arg("value").arg(50).exec(sensors.connection()).unwrap();
    assert!(database.count("SELECT strata.warm_hot('readings')") > 0);
    assert_eq!(sensors.info("series"), 1, "not once more without the tag");
    database.job("anomaly_detection");
    let method = vec!["value".to_owned(), "range_novelty".to_owned()];
    assert_eq!(watches(&mut sensors, name), [(tagged, method)]);
}

#[test]
fn the_watch_ends_with_the_detector() {
    let (server, redis) = servers();
    let database = attached_with(server, "'value', 'other'");
    let mut sensors = Sensors::of(redis, &database);
    let start = database.midnight(3);
    insert(&database, start, &values(0..700, 10_000));
    database.count("SELECT strata.warm_hot('readings')");
    let watched = |sensors: &mut Sensors| {
        database.job("anomaly_detection");
        let mut watches = watches(sensors, &database.name);
        assert!(watches.len() <= 1);
        watches.pop().map_or_else(String::new, |(_, measures)| measures.join(" "))
    };
    assert_eq!(watched(&mut sensors), "value range_novelty other range_novelty");
    database.run("SELECT strata.set_detector('readings', 'value', 'cusum'), strata.drop_detector('readings', 'value')");
    assert_eq!(watched(&mut sensors), "value cusum other range_novelty");
    database.run("SELECT strata.drop_detector('readings', 'other')");
    assert_eq!(watched(&mut sensors), "value cusum");
    database.run("SELECT strata.drop_detector('readings', 'value', 'cusum')");
    assert_eq!(watched(&mut sensors), "", "the last one");
    assert!(add(&mut sensors, &database.name, start + 701 * STEP, value(701)).is_nan());
    database.run("SELECT strata.set_detector('readings', 'value', 'cusum')");
    assert_eq!(watched(&mut sensors), "value cusum");

    // a Redis that is put back has the watches of then
    let name = format!("{}:A", database.name);
    let dump: Vec<u8> = redis::cmd("DUMP").arg(&name).query(sensors.connection()).unwrap();
    database.run("SELECT strata.drop_detector('readings', 'value', 'cusum')");
    database.job("anomaly_detection");
    redis::cmd("RESTORE").arg(&name).arg(0).arg(dump).arg("REPLACE").exec(sensors.connection()).unwrap();
    assert_eq!(watches(&mut sensors, &database.name).len(), 1);
    database.count("SELECT strata.warm_hot('readings')");
    assert_eq!(watches(&mut sensors, &database.name), []);
}

#[test]
fn the_watch_ends_with_the_source() {
    let (server, redis) = servers();
    let database = attached(server);
    let mut sensors = Sensors::of(redis, &database);
    insert(&database, database.midnight(3), &values(0..700, 10_000));
    database.count("SELECT strata.warm_hot('readings')");
    database.job("anomaly_detection");
    assert_eq!(watches(&mut sensors, &database.name).len(), 1);
    let (mut client, warnings) = database.session();
    let unreachable =
        "BEGIN; SET LOCAL strata.redis_url = 'redis://127.0.0.1:1'; SELECT strata.detach('readings', true); ROLLBACK";
    client.batch_execute(unreachable).unwrap();
    let warnings = warnings.lock().unwrap();
    assert!(warnings[0].contains("goes on watching") && warnings[0].contains("STRATA.WATCH"), "{warnings:?}");
    client.batch_execute("BEGIN; SELECT strata.detach('readings'); ROLLBACK").unwrap();
    assert_eq!(watches(&mut sensors, &database.name), []);
    database.job("anomaly_detection");
    assert_eq!(watches(&mut sensors, &database.name).len(), 1, "the source is not let go");
    client.batch_execute("SELECT strata.detach('readings')").unwrap();
    assert_eq!(watches(&mut sensors, &database.name), []);
}

#[test]
fn detection_does_without_redis_and_says_so() {
    let postgres = builder().durable(false).conf("strata.redis_url", "redis://127.0.0.1:1").start().unwrap();
    let database = attached(&postgres);
    insert(&database, database.midnight(3), &values(0..700, 10_000));
    let (rows, message) = database.job("anomaly_detection");
    assert_eq!(rows, 700);
    assert!(message.contains("not handed to Redis") && message.contains("cannot be reached"), "{message}");
}
