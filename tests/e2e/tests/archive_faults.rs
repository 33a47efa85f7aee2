//! An archive run whose servers are killed in the middle is repeated without harm, and a copy of the database leaves the
//! archive alone.

use strata_e2e::{Database, Readings, Refusal, Stack, emulator, eventually, tools};

const DAYS: i64 = 10;

fn with_old_days(stack: &Stack) -> (Database, Readings) {
    let database = stack.database();
    database.attach_three_tiers();
    // days that follow one another would be archived together, and a run be over at once
    let days = (0..DAYS as i32).map(|i| 5 + 2 * i);
    let readings = days.fold(Readings::default(), |all, day| all.and(&database.fill(day, day)));
    (database, readings)
}

/// Starts an archive run, and comes back when some days are proved.
fn begin_archive(database: &Database) -> std::thread::JoinHandle<Result<(), postgres::Error>> {
    let mut client = database.connect();
    let run = std::thread::spawn(move || client.batch_execute("SELECT strata.run_job('archive')"));
    let proved = "SELECT count(*) FROM strata.manifest";
    eventually("some days are proved", || database.count(proved) >= 2);
    run
}

fn assert_complete(stack: &Stack, database: &Database, readings: &Readings) {
    database.job("archive");
    let days = database.ask("SELECT concat_ws(' ', count(*), sum(rows), min(state), max(state)) FROM strata.manifest");
    assert_eq!(days, format!("{DAYS} {} dropped dropped", readings.len()));
    assert_eq!(database.count("SELECT count(*) FROM readings"), 0);
    let archived = emulator::count(&stack.bigquery, &format!("SELECT count(*) FROM `{}`", database.cold()));
    assert_eq!(archived, readings.len() as i64);
    database.all_tiers().assert_same(readings, "all tiers");
    // no staging table is left behind
    let tables = emulator::query(
        &stack.bigquery,
        &format!("SELECT table_name FROM `{}`.INFORMATION_SCHEMA.TABLES", database.name),
    );
    assert_eq!(tables, [[Some("readings".to_owned())]]);
}

#[test]
fn the_emulator_and_postgresql_are_killed_during_an_archive_run() {
    let mut stack = Stack::for_faults();
    let (database, readings) = with_old_days(&stack);
    let run = begin_archive(&database);
    stack.bigquery.kill9();
    let proved = database.count("SELECT count(*) FROM strata.manifest");
    assert!(proved < DAYS, "the run was over before BigQuery was killed");
    assert_eq!(database.count("SELECT count(*) FROM readings"), readings.len() as i64, "nothing may leave yet");
    stack.bigquery.start().unwrap();
    remove_forgotten_tables(&stack, &database);
    // it may have come back in time for the run to go on
    let _ = run.join().unwrap();

    let run = begin_archive(&database);
    stack.postgres.kill9();
    let _ = run.join().unwrap();
    stack.postgres.start().unwrap();
    database.all_tiers().assert_same(&readings, "after the crash");
    assert_complete(&stack, &database, &readings);
    clone_is_kept_from_the_archive(&stack, &database, &readings);
}

/// Killed while it makes a table, the emulator keeps the table and forgets that it has it, so that nobody can make it any
/// more. BigQuery makes a table or does not.
fn remove_forgotten_tables(stack: &Stack, database: &Database) {
    for day in (0..DAYS as i32).map(|i| database.date(5 + 2 * i).replace('-', "")) {
        let table = format!("`{0}._strata_readings_{0}_{day}`", database.name);
        emulator::query(&stack.bigquery, &format!("CREATE OR REPLACE TABLE {table} (x INT64)"));
        emulator::query(&stack.bigquery, &format!("DROP TABLE {table}"));
    }
}

/// A copy made with pg_dump, in the same cluster.
fn clone_is_kept_from_the_archive(stack: &Stack, original: &Database, readings: &Readings) {
    let name = format!("{}_copy", original.name);
    tools::dump_and_restore(&stack.postgres, &original.name, &name);
    let copy = Database::open(&stack.postgres, &name);
    copy.run(&format!("INSERT INTO readings VALUES ({}, 'copy', 1)", copy.day(9)));
    let refusal = copy.job_refusal("archive");
    assert_eq!(refusal.sqlstate, "55000", "{refusal:?}");
    assert!(refusal.message.contains("another database"), "{refusal:?}");
    assert!(refusal.hint.contains("strata.take_over_archive"), "{refusal:?}");
    let health = "SELECT status || ': ' || detail FROM strata.health() WHERE component LIKE 'source %'";
    assert!(copy.ask(health).starts_with("warning: it belongs to another database"), "{}", copy.ask(health));
    original.all_tiers().assert_same(readings, "the original");

    copy.run("SELECT strata.take_over_archive('readings')");
    copy.job("archive");
    let mut expected = readings.clone();
    expected.put("copy", copy.midnight(9), 1.0);
    copy.all_tiers().assert_same(&expected, "the new owner");
    original.run(&format!("INSERT INTO readings VALUES ({}, 'original', 1)", original.day(9)));
    let error = original.connect().batch_execute("SELECT strata.run_job('archive')").unwrap_err();
    assert_eq!(Refusal::of(&error).sqlstate, "55000", "{error:?}");
}
