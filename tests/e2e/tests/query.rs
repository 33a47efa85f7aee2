//! strata.rows, strata.latest and strata.explain over three tiers: every row once, whatever holds it.

use series::time::{MICROS_PER_DAY, MICROS_PER_MINUTE};
use strata_e2e::{Database, Readings, Sensors, stack};

/// A source whose rows are in all tiers: days 8 to 6 in the archive alone, day 5 archived and late again, days 2 and 1 in
/// the table, and samples in Redis, some of them for rows that the table or the archive has too.
fn three_tiers() -> (Database, Sensors, Readings) {
    let database = stack().database();
    database.attach_three_tiers();
    let mut expected = database.fill(8, 5).and(&database.fill(2, 1));
    let (rows, message) = database.job("archive");
    assert_eq!(rows, 4 * 288);
    assert!(message.ends_with(": 4 days archived, 4 days dropped from the table"), "{message}");
    assert_eq!(database.count("SELECT count(*) FROM readings"), 2 * 288);
    // late rows of a dropped day: a new one, and one that the archive has with another value
    let late = database.midnight(5);
    database.run(&format!(
        "INSERT INTO readings VALUES ({day}, 'A', -1), ({day} + interval '1 us', 'C', -2)",
        day = database.day(5)
    ));
    expected.put("A", late, -1.0);
    expected.put("C", late + 1, -2.0);
    let mut sensors = Sensors::of(&stack().redis, &database);
    sensors.send_many("A", database.midnight(0), MICROS_PER_MINUTE / 100, 60);
    sensors.send("B", database.midnight(1), -3.0);
    sensors.send("B", database.midnight(7), -4.0);
    sensors.send("D", database.midnight(6) + 7, -5.0);
    expected = expected.and(&sensors.sent);
    (database, sensors, expected)
}

fn rows(from: &str, to: &str, more: &str) -> String {
    format!("SELECT * FROM strata.rows(NULL::readings, {from}, {to}{more})")
}

#[test]
fn rows_over_three_tiers_are_the_rows_that_were_sent() {
    let (database, mut sensors, expected) = three_tiers();
    database.all_tiers().assert_same(&expected, "with samples in Redis");
    let keys = Readings::of(&database, &rows("'-infinity'", "'infinity'", ", ARRAY['B', 'D', 'nobody']"));
    keys.assert_same(&expected.only(|key, _| key == "B" || key == "D"), "keys B and D");
    let none = Readings::of(&database, &rows("'-infinity'", "'infinity'", ", ARRAY[]::text[]"));
    assert!(none.is_empty());

    database.job("flush");
    assert_eq!(sensors.pending(), 0);
    database.all_tiers().assert_same(&expected, "after a flush");
    database.job("archive");
    assert_eq!(database.count(&format!("SELECT count(*) FROM readings WHERE time < {}", database.day(4))), 0);
    database.all_tiers().assert_same(&expected, "after late rows were archived");
}

#[test]
fn the_first_bound_belongs_to_the_range_and_the_second_does_not() {
    let (database, _, expected) = three_tiers();
    let bounds = [8, 7, 6, 5, 4, 2, 1, 0].map(|days| database.midnight(days));
    for bound in bounds {
        for (from, to) in
            [(bound, bound + 1), (bound - 1, bound), (bound + 1, bound + 8), (bound, bound + MICROS_PER_DAY)]
        {
            let range = Readings::of(&database, &rows(&literal(from), &literal(to), ""));
            range.assert_same(&expected.only(|_, time| (from..to).contains(&time)), &format!("[{from}, {to})"));
        }
        assert!(Readings::of(&database, &rows(&literal(bound), &literal(bound), "")).is_empty());
        assert!(Readings::of(&database, &rows(&literal(bound), &literal(bound - 1), "")).is_empty());
    }
}

fn literal(micros: i64) -> String {
    format!("'epoch'::timestamptz + {micros} * interval '1 us'")
}

#[test]
fn a_transaction_with_an_old_snapshot_is_refused_instead_of_answered_wrongly() {
    let database = stack().database();
    database.attach_three_tiers();
    let expected = database.fill(6, 5);
    let mut sensors = Sensors::of(&stack().redis, &database);
    sensors.send("A", database.midnight(1), 1.0);
    let count = "SELECT count(*) FROM strata.rows(NULL::readings, '-infinity', 'infinity')";
    for (job, isolation) in [("flush", "REPEATABLE READ"), ("archive", "SERIALIZABLE")] {
        let mut client = database.connect();
        client.batch_execute(&format!("BEGIN ISOLATION LEVEL {isolation}; SELECT 1")).unwrap();
        assert_eq!(client.query_one(count, &[]).unwrap().get::<_, i64>(0), 577, "before the {job}");
        // readers keep days from leaving the table, so the archive needs this one to have only a snapshot
        client
            .batch_execute(&format!("COMMIT; BEGIN ISOLATION LEVEL {isolation}; SELECT count(*) FROM strata.sources"))
            .unwrap();
        database.job(job);
        let refusal = strata_e2e::Refusal::of(&client.query_one(count, &[]).unwrap_err());
        assert_eq!(refusal.sqlstate, "40001", "after the {job}: {refusal:?}");
        client.batch_execute(&format!("ROLLBACK; BEGIN ISOLATION LEVEL {isolation}")).unwrap();
        assert_eq!(client.query_one(count, &[]).unwrap().get::<_, i64>(0), 577, "after the {job}");
    }
    database.all_tiers().assert_same(&expected.and(&sensors.sent), "in the end");
}

#[test]
fn latest_with_an_old_snapshot_is_refused_once_a_flush_has_overtaken_it() {
    let database = stack().database();
    database.create_readings();
    database.attach("warm => NULL");
    let mut sensors = Sensors::of(&stack().redis, &database);
    sensors.send("A", database.midnight(1), 1.0);
    let latest = "SELECT value FROM strata.latest(NULL::readings)";
    let mut client = database.connect();
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM strata.sources";
    client.batch_execute(begin).unwrap();
    assert_eq!(client.query_one(latest, &[]).unwrap().get::<_, f64>(0), 1.0, "before the flush");
    database.job("flush");
    let refusal = strata_e2e::Refusal::of(&client.query(latest, &[]).unwrap_err());
    assert_eq!(refusal.sqlstate, "40001", "after the flush: {refusal:?}");
    client.batch_execute(&format!("ROLLBACK; {begin}")).unwrap();
    assert_eq!(client.query_one(latest, &[]).unwrap().get::<_, f64>(0), 1.0, "in a new transaction");
}

#[test]
fn latest_is_the_newest_reading_of_each_key_wherever_it_is() {
    let database = stack().database();
    database.create_readings();
    database.attach("warm => NULL");
    let mut sensors = Sensors::of(&stack().redis, &database);
    database.run(&format!(
        "INSERT INTO readings VALUES ({d} , 'table', 1), ({d} - interval '1 hour', 'table', 2), ({d}, 'both', 3), ({d}, 'late', 4)",
        d = database.day(1)
    ));
    let mut expected = Readings::default();
    expected.put("table", database.midnight(1), 1.0);
    expected.put("late", database.midnight(1), 4.0);
    sensors.send("late", database.midnight(2), 5.0);
    sensors.send("both", database.midnight(1), 6.0);
    expected.put("both", database.midnight(1), 6.0);
    sensors.send("redis", database.midnight(0), 7.0);
    expected.put("redis", database.midnight(0), 7.0);
    let latest = "SELECT * FROM strata.latest(NULL::readings)";
    Readings::of(&database, latest).assert_same(&expected, "with samples in Redis");
    let two = Readings::of(&database, "SELECT * FROM strata.latest(NULL::readings, ARRAY['redis', 'table', 'nobody'])");
    two.assert_same(&expected.only(|key, _| key == "redis" || key == "table"), "two keys");
    database.job("flush");
    Readings::of(&database, latest).assert_same(&expected, "after a flush");
}

#[test]
fn explain_names_tiers_ranges_and_statements() {
    let (database, _, _) = three_tiers();
    let sql = format!(
        "SELECT string_agg(concat_ws(' ', tier, range_start AT TIME ZONE 'UTC', range_end AT TIME ZONE 'UTC'), ', ' ORDER BY ctid)
         FROM (SELECT *, row_number() OVER () AS ctid FROM strata.explain('readings', {}, {})) e",
        database.day(9),
        database.day(0)
    );
    let midnight = |days| format!("{} 00:00:00", database.date(days));
    let segment = |tier: &str, from, to| format!("{tier} {} {}", midnight(from), midnight(to));
    let stored = [
        segment("warm", 9, 8),
        segment("cold", 8, 5),
        segment("cold", 5, 4),
        segment("warm", 5, 4),
        segment("warm", 4, 0),
    ];
    let hot = format!("hot {} {}.000001", midnight(7), midnight(1));
    assert_eq!(database.ask(&sql), format!("{}, {hot}", stored.join(", ")));
    let explain = format!("strata.explain('readings', {}, {})", database.day(8), database.day(0));
    let statement =
        |tier: &str| database.ask(&format!("SELECT statement FROM {explain} WHERE tier = '{tier}' LIMIT 1"));
    assert!(statement("hot").starts_with(&format!("STRATA.PENDING {} FROM ", database.name)), "{}", statement("hot"));
    assert!(statement("warm").contains("readings"), "{}", statement("warm"));
    assert!(
        statement("cold").contains(&database.name) && statement("cold").contains("SELECT"),
        "{}",
        statement("cold")
    );
    assert_eq!(
        database.ask(&format!("SELECT rows FROM {explain} WHERE tier = 'cold' ORDER BY range_start LIMIT 1")),
        "864"
    );
}

#[test]
fn what_is_no_attached_table_is_refused() {
    let database = stack().database();
    database.create_readings();
    let refusal = database.refusal("SELECT * FROM strata.rows(NULL::readings, now(), now())");
    assert_eq!(refusal.sqlstate, "42704", "{refusal:?}");
    assert!(refusal.hint.contains("strata.attach("), "{refusal:?}");
    assert_eq!(database.refusal("SELECT * FROM strata.rows(NULL::int, now(), now())").sqlstate, "42804");
    assert_eq!(database.refusal("SELECT * FROM strata.buckets('readings', '1 day', now(), now())").sqlstate, "42704");
}

#[test]
fn a_key_that_redis_spells_in_two_ways_counts_once() {
    let database = stack().database();
    database.create_readings();
    database.attach("warm => NULL");
    let mut sensors = Sensors::of(&stack().redis, &database);
    let time = database.midnight(1);
    sensors.send("A", time, 1.0);
    sensors.send("{A}", time, 2.0);
    sensors.send("{A}", time + 1, 3.0);
    let before = database.all_tiers();
    assert_eq!(before.len(), 2);
    assert_eq!(database.count("SELECT count(*) FROM strata.latest(NULL::readings)"), 1);
    database.job("flush");
    database.all_tiers().assert_same(&before, "after the flush");
}

#[test]
fn keys_of_redis_are_those_of_the_key_columns_type_or_none() {
    let database = stack().database();
    for (number, (kind, good, same, bad)) in [
        ("integer", "7", "007", "seven"),
        ("uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "A0EEBC999C0B4EF8BB6D6BB9BD380A11", "a0ee"),
    ]
    .into_iter()
    .enumerate()
    {
        database.run(&format!(
            "DROP TABLE IF EXISTS readings; DELETE FROM strata.sources;
             CREATE TABLE readings (time timestamptz, key {kind}, value float8, PRIMARY KEY (key, time));
             SELECT strata.attach('readings', 'time', 'key', name => '{}_{number}');
             INSERT INTO readings VALUES ({}, '{good}', 1)",
            database.name,
            database.day(1)
        ));
        let mut connection = stack().redis.connection().unwrap();
        for key in [same, bad] {
            redis::cmd("STRATA.ADD")
                .arg(format!("{}_{number}:{key}", database.name))
                .arg(database.midnight(1) / 1000)
                .arg("value")
                .arg(2)
                .exec(&mut connection)
                .unwrap();
        }
        let mut expected = Readings::default();
        expected.put(good, database.midnight(1), 2.0);
        database.all_tiers().assert_same(&expected, kind);
        assert_eq!(database.count("SELECT count(*) FROM strata.latest(NULL::readings)"), 1, "{kind}");
        database.job("flush");
        database.stored().assert_same(&expected, kind);
    }
}
