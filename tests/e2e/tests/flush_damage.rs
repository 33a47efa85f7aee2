//! A series that Redis cannot read keeps nothing of its source from the table, keeps what it has, and is named by the flush,
//! by strata.health() and by every query that it concerns.

use series::time::MICROS_PER_MINUTE;
use strata_e2e::damage::damage;
use strata_e2e::{Sensors, Stack};

const ROWS: &str = "SELECT count(*) FROM strata.rows(NULL::readings, '-infinity', 'infinity')";

#[test]
fn the_other_series_of_its_source_are_flushed_and_it_is_named() {
    let mut stack = Stack::for_faults();
    let database = stack.database();
    database.create_readings();
    database.attach("warm => NULL");
    let mut sensors = Sensors::of(&stack.redis, &database);
    let start = database.midnight(1);
    sensors.send_many("A", start, MICROS_PER_MINUTE, 300);
    sensors.send_many("B", start, MICROS_PER_MINUTE, 300);
    let name = format!("{}:B", database.name);
    damage(&mut stack.redis, &name);
    sensors.reconnect(&stack.redis);
    let sound = sensors.sent.only(|key, _| key != "B");

    let component = format!("hot tier of {}", database.name);
    let health =
        |what: &str| database.ask(&format!("SELECT {what} FROM strata.health() WHERE component = '{component}'"));
    for round in ["the first flush", "the next one"] {
        let (_, message) = database.job("flush");
        assert!(message.contains(&format!("\"{name}\" (the series is damaged: ")), "{round}: {message}");
        let recorded = database.ask("SELECT message FROM strata.job_runs ORDER BY run_id DESC LIMIT 1");
        assert_eq!(recorded, message);
        database.stored().assert_same(&sound, round);
        assert_eq!(health("status"), "error");
        assert!(health("detail").contains(&name), "{}", health("detail"));
        assert!(health("hint").contains("RENAME"), "{}", health("hint"));
    }
    let refusal = database.refusal(ROWS);
    assert_eq!(refusal.sqlstate, "XX001", "{refusal:?}");
    assert!(refusal.message.contains(&name) && refusal.hint.contains("RENAME"), "{refusal:?}");
    let (mut client, warnings) = database.session();
    client.batch_execute("SET strata.on_tier_error = 'warning'").unwrap();
    assert_eq!(client.query_one(ROWS, &[]).unwrap().get::<_, i64>(0), 300);
    let warnings = warnings.lock().unwrap();
    let [warning] = warnings.as_slice() else { panic!("{warnings:?}") };
    assert!(
        warning.contains(&name) && warning.ends_with("(The answer is without what these series have.)"),
        "{warning}"
    );

    // what it keeps stands in the way of detaching; put aside, it does not
    let refusal = database.refusal("SELECT strata.detach('readings')");
    assert_eq!(refusal.sqlstate, "55006", "{refusal:?}");
    redis::cmd("RENAME").arg(&name).arg("aside").exec(sensors.connection()).unwrap();
    sensors.send("B", start, 1.0);
    let (rows, message) = database.job("flush");
    assert_eq!((rows, message.as_str()), (1, ""));
    assert_eq!(health("status"), "ok");
    assert_eq!(database.count(ROWS), 301);
}
