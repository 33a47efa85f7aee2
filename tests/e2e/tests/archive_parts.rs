//! Days leave a table by whole partitions or chunks where it has them, and only when each of their days is proved.

use strata_e2e::{Database, Readings, stack};
use strata_servers::pg_version;

/// Days 9 to 1; the table is made by `create`.
fn attached(create: impl Fn(&Database)) -> (Database, Readings) {
    let database = stack().database();
    create(&database);
    database.attach(&format!("warm => '3 days', cold => '{}', drop_archived => true", database.cold()));
    let readings = database.fill(9, 1);
    (database, readings)
}

fn dropped(database: &Database) -> i64 {
    database.count("SELECT count(*) FROM strata.manifest WHERE state = 'dropped'")
}

#[test]
fn a_partition_leaves_when_all_its_days_are_proved() {
    let (database, readings) = attached(|database| {
        database.run(&format!(
            "CREATE TABLE readings (time timestamptz, key text, value float8, PRIMARY KEY (key, time)) PARTITION BY RANGE (time);
             CREATE TABLE first PARTITION OF readings FOR VALUES FROM ({}) TO ({});
             CREATE TABLE second PARTITION OF readings FOR VALUES FROM ({}) TO ({});
             CREATE TABLE rest PARTITION OF readings DEFAULT",
            database.day(9),
            database.day(6),
            database.day(6),
            database.day(2)
        ));
    });
    database.job("archive");
    let partitions = "SELECT string_agg(inhrelid::regclass::text, ' ' ORDER BY inhrelid) FROM pg_inherits WHERE inhparent = 'readings'::regclass";
    // days 6 to 4 are proved, but they share their partition with day 3, which is too young
    assert_eq!(database.ask(partitions), "second rest");
    assert_eq!(dropped(&database), 3);
    assert_eq!(database.count("SELECT count(*) FROM strata.manifest WHERE state = 'archived'"), 3);
    assert_eq!(database.count("SELECT count(*) FROM readings"), 6 * 288);
    assert_eq!(database.ask("SELECT to_regclass('first')"), "");
    database.all_tiers().assert_same(&readings, "all tiers");

    // a late row finds its place in the default partition, and leaves it again
    database.run(&format!("INSERT INTO readings VALUES ({}, 'late', 1)", database.day(8)));
    let mut expected = readings;
    expected.put("late", database.midnight(8), 1.0);
    database.all_tiers().assert_same(&expected, "with a late row");
    database.job("archive");
    assert_eq!(database.count("SELECT count(*) FROM readings WHERE key = 'late'"), 0);
    database.all_tiers().assert_same(&expected, "in the end");
}

#[test]
fn a_chunk_of_several_days_leaves_when_all_of_them_are_proved() {
    let (database, readings) = attached(|database| {
        database.run(
            "CREATE TABLE readings (time timestamptz NOT NULL, key text NOT NULL, value float8, UNIQUE (key, time))",
        );
        if pg_version().has_timescaledb() {
            database.run("SELECT create_hypertable('readings', 'time', chunk_time_interval => interval '2 days')");
        }
    });
    database.job("archive");
    let left = database.count("SELECT count(*) FROM readings");
    if pg_version().has_timescaledb() {
        let chunks = database.count("SELECT count(*) FROM show_chunks('readings')");
        assert!((2..=3).contains(&chunks), "{chunks} chunks are left");
        assert!((5..=6).contains(&dropped(&database)), "{} days dropped", dropped(&database));
    } else {
        assert_eq!(dropped(&database), 6);
    }
    assert_eq!(left, (9 - dropped(&database)) * 288);
    database.all_tiers().assert_same(&readings, "all tiers");
}

#[test]
fn a_reader_who_does_not_end_delays_the_drop_and_not_other_readers() {
    let (database, readings) = attached(|database| database.create_readings());
    let mut reader = database.connect();
    reader.batch_execute("BEGIN; SELECT count(*) FROM readings").unwrap();
    database.run(&format!("ALTER DATABASE {} SET strata.drop_lock_timeout = '200ms'", database.name));
    let refusal = database.job_refusal("archive");
    assert_eq!(refusal.sqlstate, "55P03", "{refusal:?}");
    assert_eq!(database.count("SELECT count(*) FROM readings"), readings.len() as i64);
    assert_eq!(database.count("SELECT count(*) FROM strata.manifest"), 6, "what is proved stays proved");
    reader.batch_execute("COMMIT").unwrap();
    database.job("archive");
    assert!(dropped(&database) >= 5);
    database.all_tiers().assert_same(&readings, "all tiers");
}

/// One that keeps the snapshot of now.
fn earlier_transaction(database: &Database) -> postgres::Client {
    let mut client = database.connect();
    client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1").unwrap();
    client
}

fn rows_seen_by(mut client: postgres::Client) -> i64 {
    let rows = "SELECT count(*) FROM strata.rows(NULL::readings, '-infinity', 'infinity')";
    client.query_one(rows, &[]).unwrap().get(0)
}

#[test]
fn a_partition_dropped_by_hand_takes_nothing_from_the_archive() {
    let database = stack().database();
    database.run(&format!(
        "CREATE TABLE readings (time timestamptz, key text, value float8, PRIMARY KEY (key, time)) PARTITION BY RANGE (time);
         CREATE TABLE old PARTITION OF readings FOR VALUES FROM ({}) TO ({});
         CREATE TABLE rest PARTITION OF readings DEFAULT",
        database.day(9),
        database.day(6)
    ));
    database.attach(&format!("warm => '3 days', cold => '{}'", database.cold()));
    let mut expected = database.fill(9, 1);
    database.job("archive");
    let earlier = earlier_transaction(&database);
    database.run("DROP TABLE old");
    database.all_tiers().assert_same(&expected, "before anybody wrote it down");
    assert_eq!(rows_seen_by(earlier), expected.len() as i64);
    let explained =
        "SELECT string_agg(concat_ws(' ', tier, rows), ', ') FROM strata.explain('readings', '-infinity', 'infinity')";
    assert!(database.ask(explained).contains("cold 864"), "{}", database.ask(explained));
    database.run(&format!("INSERT INTO readings VALUES ({}, 'late', 1)", database.day(8)));
    expected.put("late", database.midnight(8), 1.0);
    database.all_tiers().assert_same(&expected, "with a late row");
    let counted =
        format!("SELECT sum(count) FROM strata.buckets('readings', '1 day', {}, {})", database.day(8), database.day(7));
    assert_eq!(database.count(&counted), 289);
    database.job("rollup");
    assert_eq!(database.count(&counted), 289, "of rollups made anew");
    assert_eq!(dropped(&database), 0);
    database.job("archive");
    assert_eq!(dropped(&database), 3);
    database.all_tiers().assert_same(&expected, "all tiers");
}

#[test]
fn chunks_dropped_by_hand_are_read_from_the_archive_at_once() {
    if !pg_version().has_timescaledb() {
        return;
    }
    let database = stack().database();
    database.run(
        "CREATE TABLE readings (time timestamptz NOT NULL, key text NOT NULL, value float8, UNIQUE (key, time));
         SELECT create_hypertable('readings', 'time', chunk_time_interval => interval '12 hours')",
    );
    database.attach(&format!("warm => '3 days', cold => '{}'", database.cold()));
    let mut expected = database.fill(9, 1);
    database.job("archive");
    let earlier = earlier_transaction(&database);
    // a day and a half: of the other half, which is still there, a late row has made its chunk anew
    database.run(&format!("SELECT drop_chunks('readings', older_than => {} + interval '12 hours')", database.day(8)));
    assert_eq!(database.count("SELECT count(*) FROM readings"), 9 * 288 - 288 - 144);
    database.all_tiers().assert_same(&expected, "after drop_chunks");
    assert_eq!(rows_seen_by(earlier), expected.len() as i64);
    database.run(&format!("INSERT INTO readings VALUES ({}, 'late', 1)", database.day(8)));
    expected.put("late", database.midnight(8), 1.0);
    database.all_tiers().assert_same(&expected, "with a late row");
    database.job("archive");
    database.all_tiers().assert_same(&expected, "after the archive ran");
    // what somebody deletes is deleted in the archive too
    database.run(&format!("DELETE FROM readings WHERE time >= {} AND time < {}", database.day(6), database.day(5)));
    let (from, to) = (database.midnight(6), database.midnight(5));
    expected = expected.only(|_, time| !(from..to).contains(&time));
    database.all_tiers().assert_same(&expected, "after a DELETE");
    database.run("SELECT drop_chunks('readings', older_than => now())");
    database.run("INSERT INTO readings SELECT now(), 'now', 1");
    let left = database.all_tiers();
    let limit = database.midnight(3);
    left.only(|_, time| time < limit)
        .assert_same(&expected.only(|_, time| time < limit), "after all chunks were dropped");
}
