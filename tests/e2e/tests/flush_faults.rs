//! A flush whose servers are killed in the middle is repeated without harm: every sample that Redis acknowledged is in
//! the table once.

use std::thread::JoinHandle;

use series::time::MICROS_PER_SECOND;
use strata_e2e::{Database, Sensors, Stack, eventually};

const SAMPLES: i64 = 18_000;

/// Many samples, and batches so small that the flush takes a while.
fn with_much_to_flush(stack: &Stack) -> (Database, Sensors) {
    let database = stack.database();
    database.create_readings();
    database.attach("warm => NULL");
    database.run(&format!("ALTER DATABASE {} SET strata.flush_batch = 200", database.name));
    let mut sensors = Sensors::of(&stack.redis, &database);
    let start = database.midnight(1);
    for key in ["A", "B", "C"] {
        sensors.send_many(key, start, MICROS_PER_SECOND, SAMPLES / 3);
    }
    (database, sensors)
}

/// Starts a flush, and comes back when it has written some samples.
fn begin_flush(database: &Database) -> JoinHandle<Result<(), postgres::Error>> {
    let before = database.count("SELECT count(*) FROM readings");
    let mut client = database.connect();
    let flush = std::thread::spawn(move || client.batch_execute("SELECT strata.run_job('flush')"));
    eventually("the flush is under way", || database.count("SELECT count(*) FROM readings") > before);
    flush
}

fn assert_unfinished(database: &Database, flush: JoinHandle<Result<(), postgres::Error>>) {
    flush.join().unwrap().expect_err("the flush ended before it was disturbed");
    let stored = database.count("SELECT count(*) FROM readings");
    assert!(stored > 0 && stored < SAMPLES, "{stored} samples are stored");
}

fn assert_complete(database: &Database, sensors: &mut Sensors) {
    database.run(&format!("ALTER DATABASE {} RESET strata.flush_batch", database.name));
    database.job("flush");
    database.stored().assert_same(&sensors.sent, "the table");
    assert_eq!(sensors.pending(), 0);
    assert_eq!(database.job("flush").0, 0);
}

#[test]
fn postgresql_is_killed_during_a_flush() {
    let mut stack = Stack::for_faults();
    let (database, mut sensors) = with_much_to_flush(&stack);
    let flush = begin_flush(&database);
    stack.postgres.kill9();
    stack.postgres.start().unwrap();
    assert_unfinished(&database, flush);
    assert_complete(&database, &mut sensors);
}

#[test]
fn redis_is_killed_during_a_flush() {
    let mut stack = Stack::for_faults();
    let (database, mut sensors) = with_much_to_flush(&stack);
    let flush = begin_flush(&database);
    stack.redis.kill9();
    assert_unfinished(&database, flush);
    stack.redis.start().unwrap();
    sensors.reconnect(&stack.redis);
    assert_complete(&database, &mut sensors);
}

#[test]
fn the_worker_is_killed_during_a_flush_and_samples_keep_coming() {
    let stack = Stack::for_faults();
    let (database, mut sensors) = with_much_to_flush(&stack);
    let flush = begin_flush(&database);
    let pid = database.ask("SELECT pid FROM strata.job_runs WHERE job = 'flush' AND status = 'running'");
    sensors.send("A", database.midnight(1) + 7 * MICROS_PER_SECOND, -1.0);
    let killed = std::process::Command::new("kill").args(["-9", &pid]).status().unwrap();
    assert!(killed.success(), "no process {pid}");
    flush.join().unwrap().expect_err("the flush ended before it was disturbed");
    eventually("PostgreSQL has recovered", || database.config().connect(postgres::NoTls).is_ok());
    sensors.send("A", database.midnight(1) + 8 * MICROS_PER_SECOND, -2.0);
    let stored = database.count("SELECT count(*) FROM readings");
    assert!(stored > 0 && stored < SAMPLES, "{stored} samples are stored");
    assert_complete(&database, &mut sensors);
}
