//! Days leave a table by whole partitions or chunks where it has them, and only when each of their days is proved.

use strata_e2e::{Database, Readings, stack};
use strata_servers::pg_version;

const ROWS: &str = "SELECT count(*) FROM strata.rows(NULL::readings, '-infinity', 'infinity')";

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
    client.query_one(ROWS, &[]).unwrap().get(0)
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
    let mut session = database.connect();
    let mut seen = || session.query_one(ROWS, &[]).unwrap().get::<_, i64>(0);
    assert_eq!(seen(), expected.len() as i64);
    let earlier = earlier_transaction(&database);
    // a day and a half: of the other half, which is still there, a late row has made its chunk anew
    database.run(&format!("SELECT drop_chunks('readings', older_than => {} + interval '12 hours')", database.day(8)));
    assert_eq!(database.count("SELECT count(*) FROM readings"), 9 * 288 - 288 - 144);
    database.all_tiers().assert_same(&expected, "after drop_chunks");
    assert_eq!(seen(), expected.len() as i64, "by a session that knew the chunks");
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

/// Archived days, some of them in partitions that do not say which days they hold.
fn with_days_anywhere() -> Database {
    let database = stack().database();
    database.run(&format!(
        "CREATE TABLE readings (time timestamptz, key text, value float8, PRIMARY KEY (key, time)) PARTITION BY RANGE (time);
         CREATE TABLE older PARTITION OF readings FOR VALUES FROM (MINVALUE) TO ({});
         CREATE TABLE old PARTITION OF readings FOR VALUES FROM ({}) TO ({}) PARTITION BY LIST (key);
         CREATE TABLE of_a PARTITION OF old FOR VALUES IN ('A');
         CREATE TABLE of_others PARTITION OF old DEFAULT;
         CREATE TABLE rest PARTITION OF readings DEFAULT",
        database.day(8),
        database.day(8),
        database.day(6),
    ));
    database.attach(&format!("hot => NULL, warm => '3 days', cold => '{}'", database.cold()));
    database.fill(9, 1);
    database.job("archive");
    assert_eq!(database.count("SELECT count(*) FROM strata.manifest WHERE state = 'archived'"), 6);
    database
}

#[test]
fn row_level_security_hides_no_day_that_may_be_in_the_table() {
    let database = with_days_anywhere();
    let reader = format!("reader_{}", database.name);
    database.run(&format!(
        "CREATE ROLE {reader}; GRANT strata_reader TO {reader}; GRANT SELECT ON readings TO {reader};
         ALTER TABLE readings ENABLE ROW LEVEL SECURITY;
         CREATE POLICY a ON readings USING (key = 'A')"
    ));
    let mut client = database.connect();
    client.batch_execute(&format!("SET ROLE {reader}")).unwrap();
    assert_eq!(client.query_one(ROWS, &[]).unwrap().get::<_, i64>(0), 9 * 144);
    // without the default partition there is no doubt where the rows of the oldest day are
    database.run("DROP TABLE rest; DROP TABLE older");
    let refusal = client.query_one(ROWS, &[]).expect_err("rows of the archive");
    assert_eq!(refusal.code().unwrap().code(), "42501");
}

#[test]
fn what_a_transaction_deleted_itself_does_not_come_back_from_the_archive() {
    let database = with_days_anywhere();
    let mut client = database.connect();
    for day in [9, 7, 4] {
        let mut transaction = client.transaction().unwrap();
        transaction.batch_execute(&format!("DELETE FROM readings WHERE time = {}", database.day(day))).unwrap();
        assert_eq!(transaction.query_one(ROWS, &[]).unwrap().get::<_, i64>(0), 9 * 288 - 2, "day {day}");
    }
}

#[test]
fn a_part_of_a_partition_dropped_by_hand_is_missed_at_once() {
    let database = stack().database();
    database.run(&format!(
        "CREATE TABLE readings (time timestamptz, key text, value float8, PRIMARY KEY (key, time)) PARTITION BY RANGE (time);
         CREATE TABLE old PARTITION OF readings FOR VALUES FROM ({0}) TO ({2}) PARTITION BY RANGE (time);
         CREATE TABLE first PARTITION OF old FOR VALUES FROM ({0}) TO ({1});
         CREATE TABLE second PARTITION OF old FOR VALUES FROM ({1}) TO ({2})",
        database.day(9),
        database.day(6),
        database.day(0)
    ));
    database.attach(&format!("hot => NULL, warm => '3 days', cold => '{}'", database.cold()));
    let expected = database.fill(9, 1);
    database.job("archive");
    let mut client = database.connect();
    let all = expected.len() as i64;
    assert_eq!(client.query_one(ROWS, &[]).unwrap().get::<_, i64>(0), all);
    // a session that knows the parts takes note, also of what it undoes
    let mut transaction = client.transaction().unwrap();
    transaction.batch_execute("DROP TABLE first").unwrap();
    assert_eq!(transaction.query_one(ROWS, &[]).unwrap().get::<_, i64>(0), all);
    transaction.rollback().unwrap();
    assert_eq!(client.query_one(ROWS, &[]).unwrap().get::<_, i64>(0), all);
    database.run("DROP TABLE first");
    assert_eq!(client.query_one(ROWS, &[]).unwrap().get::<_, i64>(0), all);
}

#[test]
fn a_transaction_older_than_the_archive_of_a_dropped_part_is_told_to_run_again() {
    let (database, readings) = attached_in_pieces();
    let mut earlier = earlier_transaction(&database);
    database.job("archive");
    database.run("DROP TABLE evening");
    let error = earlier.query_one(ROWS, &[]).expect_err("rows that the snapshot has nowhere");
    assert_eq!(error.code().unwrap().code(), "40001", "{error:?}");
    database.all_tiers().assert_same(&readings, "later");
}

#[test]
fn bounds_are_read_whatever_way_a_session_writes_times() {
    let (database, readings) = attached_in_pieces();
    database.job("archive");
    database.run("DROP TABLE evening");
    let mut client = database.connect();
    // CST is the name of the zone here, and for who reads it of another one
    client.batch_execute("SET timezone = 'Asia/Shanghai'; SET datestyle = 'SQL, DMY'").unwrap();
    assert_eq!(client.query_one(ROWS, &[]).unwrap().get::<_, i64>(0), readings.len() as i64);
    let style: String = client.query_one("SHOW datestyle", &[]).unwrap().get(0);
    assert_eq!(style, "SQL, DMY");
}

/// Days 9 to 1, with a partition for the evening of day 8.
fn attached_in_pieces() -> (Database, Readings) {
    let database = stack().database();
    database.run(&format!(
        "CREATE TABLE readings (time timestamptz, key text, value float8, PRIMARY KEY (key, time)) PARTITION BY RANGE (time);
         CREATE TABLE before PARTITION OF readings FOR VALUES FROM ({0}) TO ({1} - interval '6 hours');
         CREATE TABLE evening PARTITION OF readings FOR VALUES FROM ({1} - interval '6 hours') TO ({1});
         CREATE TABLE later PARTITION OF readings FOR VALUES FROM ({1}) TO ({2})",
        database.day(9),
        database.day(7),
        database.day(0)
    ));
    database.attach(&format!("hot => NULL, warm => '3 days', cold => '{}'", database.cold()));
    let readings = database.fill(9, 1);
    (database, readings)
}
