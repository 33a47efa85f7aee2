//! A query counts every row once also while rows move from tier to tier.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use series::time::MICROS_PER_SECOND;
use strata_e2e::{Database, Sensors, stack};

const DURATION: Duration = Duration::from_secs(10);

#[test]
fn rows_are_complete_while_samples_are_flushed_and_days_archived() {
    let database = stack().database();
    database.attach_three_tiers();
    let old = database.fill(12, 4).len() as i64;
    let acknowledged = AtomicI64::new(old);
    let attempted = AtomicI64::new(old);
    let over = AtomicBool::new(false);
    let queries = std::thread::scope(|scope| {
        scope.spawn(|| send(&database, &acknowledged, &attempted, &over));
        scope.spawn(|| repeat(&over, || database.job("flush")));
        scope.spawn(|| archive(&database, &acknowledged, &attempted, &over));
        let guard = Stop(&over);
        let queries = query(&database, &acknowledged, &attempted);
        drop(guard);
        queries
    });
    assert!(queries >= 10, "only {queries} queries");
    database.job("flush");
    database.job("archive");
    let complete = acknowledged.load(Ordering::SeqCst);
    assert_eq!(database.all_tiers().len() as i64, complete);
    let dropped = database.count("SELECT count(*) FROM strata.manifest WHERE state = 'dropped'");
    assert_eq!(dropped, 9, "the archive has not moved the old days");
}

/// Ends the other threads also where the query fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn repeat<T>(over: &AtomicBool, mut work: impl FnMut() -> T) {
    while !over.load(Ordering::SeqCst) {
        work();
    }
}

/// New samples of today, and late ones of the days that are being archived.
fn send(database: &Database, acknowledged: &AtomicI64, attempted: &AtomicI64, over: &AtomicBool) {
    let mut sensors = Sensors::of(&stack().redis, database);
    let mut number = 0;
    repeat(over, || {
        number += 1;
        let day = if number % 10 == 0 { 6 + (number / 10) % 5 } else { 0 };
        attempted.fetch_add(1, Ordering::SeqCst);
        sensors.send("sensor", database.midnight(day as i32) + number * MICROS_PER_SECOND / 100, number as f64);
        acknowledged.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(2));
    });
}

/// Between the runs, a late row straight into the table.
fn archive(database: &Database, acknowledged: &AtomicI64, attempted: &AtomicI64, over: &AtomicBool) {
    let mut number = 0;
    repeat(over, || {
        number += 1;
        attempted.fetch_add(1, Ordering::SeqCst);
        database
            .run(&format!("INSERT INTO readings VALUES ({} + {number} * interval '1 us', 'late', 0)", database.day(8)));
        acknowledged.fetch_add(1, Ordering::SeqCst);
        archive_once(database);
    });
}

/// A day is kept for the next run where its lock cannot be had at once, which readers without end may cause.
fn archive_once(database: &Database) {
    let run = database.connect().batch_execute("SELECT strata.run_job('archive')");
    if let Err(error) = run {
        assert_eq!(error.as_db_error().map(|error| error.code().code()), Some("55P03"), "{error:?}");
    }
}

fn query(database: &Database, acknowledged: &AtomicI64, attempted: &AtomicI64) -> u32 {
    let sql = "SELECT count(*), count(DISTINCT (key, time)) FROM strata.rows(NULL::readings, '-infinity', 'infinity')";
    let mut client = database.connect();
    let (start, mut queries) = (Instant::now(), 0);
    while start.elapsed() < DURATION {
        let least = acknowledged.load(Ordering::SeqCst);
        let row = client.query_one(sql, &[]).unwrap();
        let most = attempted.load(Ordering::SeqCst);
        let (rows, distinct): (i64, i64) = (row.get(0), row.get(1));
        assert_eq!(rows, distinct, "rows that count twice, in query {queries}");
        assert!((least..=most).contains(&rows), "{rows} rows, not {least} to {most}, in query {queries}");
        queries += 1;
    }
    queries
}
