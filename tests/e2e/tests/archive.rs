//! What the archive holds is proved before it leaves the table, and stays what the table says.

use strata_e2e::{Database, Readings, emulator, stack};

/// A source with days 6 and 5 in the table, none of them archived yet.
fn two_old_days(more: &str) -> (Database, Readings) {
    let database = stack().database();
    database.create_readings();
    database.attach(&format!("warm => '3 days', cold => '{}'{more}", database.cold()));
    let readings = database.fill(6, 5);
    (database, readings)
}

const DROP: &str = ", drop_archived => true";

fn manifest(database: &Database) -> String {
    database.ask("SELECT string_agg(concat_ws(' ', day, rows, state), ', ' ORDER BY day) FROM strata.manifest")
}

fn archived(database: &Database) -> i64 {
    emulator::count(&stack().bigquery, &format!("SELECT count(*) FROM `{}`", database.cold()))
}

/// The archive alone, read without Strata's tiers.
fn in_archive(database: &Database) -> Readings {
    let mut readings = Readings::default();
    let sql = format!("SELECT key, UNIX_MICROS(time), value FROM `{}`", database.cold());
    for row in emulator::query(&stack().bigquery, &sql) {
        let [key, time, value] = row.as_slice() else { panic!("{row:?}") };
        let (key, time) = (key.clone().unwrap(), time.as_ref().unwrap().parse().unwrap());
        readings.0.insert((key, time), value.as_ref().map(|value| value.parse().unwrap()));
    }
    readings
}

#[test]
fn an_archived_day_is_in_the_manifest_and_stays_in_the_table_unless_told_otherwise() {
    let (database, readings) = two_old_days("");
    database.fill(2, 1);
    assert_eq!(database.job("archive").0, 576);
    let entry = |day| format!("{} 288 archived", database.date(day));
    assert_eq!(manifest(&database), format!("{}, {}", entry(6), entry(5)));
    in_archive(&database).assert_same(&readings, "the archive");
    assert_eq!(database.count("SELECT count(*) FROM readings"), 4 * 288);
    assert_eq!(
        database.count("SELECT count(DISTINCT content_hash) FROM strata.manifest WHERE content_hash LIKE '288-%'"),
        2
    );
    // nothing changed: nothing is done
    assert_eq!(database.job("archive").0, 0);
    database.run("SELECT strata.alter_source('readings', drop_archived => true)");
    database.job("archive");
    assert_eq!(database.count("SELECT count(*) FROM readings"), 2 * 288);
    let entry = |day| format!("{} 288 dropped", database.date(day));
    assert_eq!(manifest(&database), format!("{}, {}", entry(6), entry(5)));
}

#[test]
fn a_day_that_changed_after_it_was_archived_is_kept_and_archived_again() {
    let (database, readings) = two_old_days("");
    database.job("archive");
    database.run("SELECT strata.alter_source('readings', drop_archived => true)");
    // the change escapes the trigger, so that only the comparison under the lock can find it
    database.run(&format!(
        "SET session_replication_role = replica; UPDATE readings SET value = -1 WHERE time = {} AND key = 'A'",
        database.day(6)
    ));
    let (_, message) = database.job("archive");
    assert!(message.contains("1 days dropped from the table, 1 kept because they changed"), "{message}");
    assert_eq!(database.count("SELECT count(*) FROM readings"), 288);
    let mut expected = readings;
    expected.put("A", database.midnight(6), -1.0);
    database.all_tiers().assert_same(&expected, "with the day kept");
    database.job("archive");
    assert_eq!(database.count("SELECT count(*) FROM readings"), 0);
    in_archive(&database).assert_same(&expected, "the archive");
    database.all_tiers().assert_same(&expected, "all tiers");
}

#[test]
fn changed_and_deleted_rows_of_an_archived_day_reach_the_archive() {
    let (database, readings) = two_old_days("");
    database.job("archive");
    database.run(&format!("DELETE FROM readings WHERE time = {} AND key = 'A'", database.day(6)));
    database.run(&format!("UPDATE readings SET value = NULL WHERE time = {} AND key = 'B'", database.day(6)));
    let first = database.midnight(6);
    let mut expected = readings.only(|key, time| !(key == "A" && time == first));
    expected.0.insert(("B".into(), first), None);
    database.job("archive");
    in_archive(&database).assert_same(&expected, "the archive");
    assert_eq!(manifest(&database), format!("{} 287 archived, {} 288 archived", database.date(6), database.date(5)));
    database.run(&format!("DELETE FROM readings WHERE time < {}", database.day(5)));
    database.job("archive");
    assert_eq!(archived(&database), 288);
    assert!(manifest(&database).starts_with(&format!("{} 0 archived", database.date(6))), "{}", manifest(&database));
}

#[test]
fn a_late_row_for_a_dropped_day_reaches_the_archive_and_leaves_the_table() {
    let (database, readings) = two_old_days(DROP);
    database.job("archive");
    assert_eq!(database.count("SELECT count(*) FROM readings"), 0);
    let dropped_at = database.ask("SELECT min(dropped_at) FROM strata.manifest");
    let mut expected = readings;
    database.run(&format!("INSERT INTO readings VALUES ({d}, 'A', -1), ({d}, 'late', -2)", d = database.day(6)));
    expected.put("A", database.midnight(6), -1.0);
    expected.put("late", database.midnight(6), -2.0);
    database.all_tiers().assert_same(&expected, "before the archive ran");
    database.job("archive");
    assert_eq!(database.count("SELECT count(*) FROM readings"), 0);
    in_archive(&database).assert_same(&expected, "the archive");
    database.all_tiers().assert_same(&expected, "all tiers");
    assert_eq!(manifest(&database), format!("{} 289 dropped, {} 288 dropped", database.date(6), database.date(5)));
    assert_eq!(database.ask("SELECT min(dropped_at) FROM strata.manifest"), dropped_at);
    assert_eq!(database.count("SELECT count(*) FROM strata.dirty_days WHERE consumer = 'archive'"), 0);
}

#[test]
fn nothing_leaves_the_table_when_the_archive_is_another_databases() {
    let (database, _) = two_old_days(DROP);
    let (original, _) = two_old_days("");
    original.job("archive");
    database.run(&format!("SELECT strata.alter_source('readings', cold => '{}')", original.cold()));
    let refusal = database.job_refusal("archive");
    assert_eq!(refusal.sqlstate, "55000", "{refusal:?}");
    assert!(refusal.hint.contains("strata.take_over_archive"), "{refusal:?}");
    assert_eq!(database.count("SELECT count(*) FROM readings"), 576);
    assert_eq!(manifest(&database), "");
    database.run("SELECT strata.take_over_archive('readings')");
    database.job("archive");
    assert_eq!(database.count("SELECT count(*) FROM readings"), 0);
    let refusal = original.refusal(
        "INSERT INTO readings VALUES (now() - interval '6 days', 'A', 1); COMMIT; SELECT strata.run_job('archive')",
    );
    assert_eq!(refusal.sqlstate, "55000", "{refusal:?}");
}

#[test]
fn a_restored_day_is_back_in_the_table_and_stays_there() {
    let (database, readings) = two_old_days(DROP);
    database.job("archive");
    database.run(&format!("INSERT INTO readings VALUES ({}, 'A', -1)", database.day(5)));
    let mut expected = readings;
    expected.put("A", database.midnight(5), -1.0);
    let restored =
        database.count(&format!("SELECT strata.restore('readings', {}, {})", database.day(5), database.day(4)));
    assert_eq!(restored, 288);
    assert_eq!(database.count("SELECT count(*) FROM readings"), 288);
    database.all_tiers().assert_same(&expected, "after the restore");
    database.job("archive");
    assert_eq!(database.count("SELECT count(*) FROM readings"), 288);
    assert_eq!(manifest(&database), format!("{} 288 dropped, {} 288 archived", database.date(6), database.date(5)));
    in_archive(&database).assert_same(&expected, "the archive");
    database.run("UPDATE strata.manifest SET keep_until = now() WHERE state = 'archived'");
    database.job("archive");
    assert_eq!(database.count("SELECT count(*) FROM readings"), 0);
    database.all_tiers().assert_same(&expected, "in the end");
}

#[test]
fn rows_of_a_foreign_table_are_imported_under_other_names() {
    let database = stack().database();
    database.create_readings();
    database.attach("warm => NULL");
    let foreign = format!("{}.devices", database.name);
    emulator::create_dataset(&stack().bigquery, &database.name);
    emulator::query(
        &stack().bigquery,
        &format!("CREATE TABLE `{foreign}` (ts TIMESTAMP, sensor STRING, reading INT64, note STRING)"),
    );
    emulator::query(
        &stack().bigquery,
        &format!(
            "INSERT INTO `{foreign}` (ts, sensor, reading, note) VALUES
             (TIMESTAMP '2026-03-01 00:00:00.000001+00:00', 'A', 1, 'x'), (TIMESTAMP '2026-03-01 00:00:01+00:00', 'B', NULL, NULL),
             (TIMESTAMP '2026-03-02 00:00:00+00:00', 'A', 3, 'outside')"
        ),
    );
    database.run("INSERT INTO readings VALUES ('2026-03-01 00:00:01+00', 'B', 7)");
    let import = |keys| {
        database.count(&format!(
            "SELECT strata.import('readings', '2026-03-01 00:00+00', '2026-03-02 00:00+00', '{foreign}',
                 '{{\"time\": \"ts\", \"key\": \"sensor\", \"value\": \"reading\"}}', {keys})"
        ))
    };
    assert_eq!(import("ARRAY['A']"), 1);
    assert_eq!(database.ask("SELECT value FROM readings WHERE key = 'B'"), "7");
    assert_eq!(import("NULL"), 2);
    let all =
        "SELECT string_agg(concat_ws(' ', time AT TIME ZONE 'UTC', key, value), ', ' ORDER BY time) FROM readings";
    assert_eq!(database.ask(all), "2026-03-01 00:00:00.000001 A 1, 2026-03-01 00:00:01 B");
    assert_eq!(database.ask("SELECT string_agg(DISTINCT day::text, ' ') FROM strata.dirty_log"), "2026-03-01");
    let missing =
        database.refusal(&format!("SELECT strata.import('readings', now() - interval '1 day', now(), '{foreign}')"));
    assert!(missing.message.contains("\"time\"") || missing.message.contains("\"key\""), "{missing:?}");
}

#[test]
fn an_archive_that_was_changed_behind_its_back_is_made_right_with_the_next_change_of_the_day() {
    let (database, readings) = two_old_days("");
    database.job("archive");
    let table = database.cold();
    emulator::query(&stack().bigquery, &format!("DELETE FROM `{table}` WHERE key = 'A' AND value > 500"));
    emulator::query(&stack().bigquery, &format!("UPDATE `{table}` SET value = 0 WHERE key = 'B' AND value > 500"));
    assert_ne!(in_archive(&database), readings);
    database.run(&format!(
        "UPDATE readings SET value = -1 WHERE key = 'A' AND time IN ({}, {})",
        database.day(6),
        database.day(5)
    ));
    let mut expected = readings;
    expected.put("A", database.midnight(6), -1.0);
    expected.put("A", database.midnight(5), -1.0);
    database.job("archive");
    in_archive(&database).assert_same(&expected, "the archive");
}
