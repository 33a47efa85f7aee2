//! The owner of an attached table may give its columns types of their own, with casts that run their functions: no job runs
//! these with the rights it has.

use std::thread::JoinHandle;

use strata_e2e::{Database, Refusal, Stack, eventually, stack};

/// An owner with a table, 200 readings of one day and a table `ran` into which everybody may write who they are.
fn owned(database: &Database, tiers: &str, days_ago: i32) -> String {
    let owner = format!("{}_owner", database.name);
    database.run(&format!(
        "CREATE ROLE {owner}; GRANT strata_operator TO {owner}; GRANT CREATE ON SCHEMA public TO {owner};
         CREATE TABLE ran (who text); GRANT ALL ON ran TO PUBLIC;
         SET ROLE {owner};
         CREATE TYPE cunning AS ENUM ('0', '1', '2');
         CREATE TABLE readings (time timestamptz NOT NULL, key text NOT NULL, value float8, remark cunning DEFAULT '1',
             UNIQUE (key, time));
         SELECT strata.attach('readings', 'time', 'key', name => '{}', {tiers});
         INSERT INTO readings SELECT {} + n * interval '5 min', 'A', n % 3 FROM generate_series(1, 200) n",
        database.name,
        database.day(days_ago),
    ));
    owner
}

/// Casts of the owner from types of theirs to those that columns have.
fn make_casts(database: &Database, owner: &str) {
    database.run(&format!(
        "SET ROLE {owner};
         CREATE FUNCTION note(cunning) RETURNS text LANGUAGE plpgsql
             AS 'BEGIN INSERT INTO public.ran VALUES (current_user); RETURN format(''%s'', $1); END';
         CREATE FUNCTION note_number(cunning) RETURNS float8 LANGUAGE sql AS 'SELECT public.note($1)::float8';
         CREATE CAST (cunning AS text) WITH FUNCTION note(cunning);
         CREATE CAST (cunning AS float8) WITH FUNCTION note_number(cunning);
         CREATE TYPE cunning_time AS (t timestamptz);
         CREATE FUNCTION note_time(cunning_time) RETURNS timestamptz LANGUAGE plpgsql
             AS 'BEGIN INSERT INTO public.ran VALUES (current_user); RETURN $1.t; END';
         CREATE CAST (cunning_time AS timestamptz) WITH FUNCTION note_time(cunning_time) AS IMPLICIT"
    ));
}

const ALTER_VALUE: &str = "ALTER TABLE readings ALTER value TYPE cunning USING format('%s', value)::cunning";
const ALTER_TIME: &str = "ALTER TABLE readings ALTER time TYPE cunning_time USING ROW(time)::cunning_time";

fn assert_refused(refusal: &Refusal, column: &str, job: &str) {
    assert_eq!(refusal.sqlstate, "42804", "{job}: {refusal:?}");
    assert!(refusal.message.contains(&format!("column \"{column}\"")), "{job}: {refusal:?}");
}

fn assert_nothing_ran(database: &Database) {
    assert_eq!(database.ask("SELECT string_agg(DISTINCT who, ' ') FROM ran"), "");
}

fn begin_job(database: &Database, job: &str) -> JoinHandle<Refusal> {
    let (database, job) = (database.clone(), job.to_owned());
    std::thread::spawn(move || database.job_refusal(&job))
}

#[test]
fn a_job_refuses_a_table_whose_measure_changed_its_type() {
    let database = stack().database();
    let tiers = format!("hot => NULL, warm => '3 days', cold => '{}'", database.cold());
    let owner = owned(&database, &tiers, 5);
    let train = format!("strata.train_joint('readings', '{owner}', now() - interval '9 days', now(), refit => true)");
    database.run(&format!("SELECT {train}"));
    make_casts(&database, &owner);
    assert_eq!(database.job("archive").0, 200);
    database.run(&format!("SET ROLE {owner}; {ALTER_VALUE}; UPDATE readings SET value = '1'"));
    for job in ["rollup", "anomaly_detection", "joint_refit"] {
        assert_refused(&database.job_refusal(job), "value", job);
    }
    assert_nothing_ran(&database);
}

#[test]
fn filling_redis_refuses_it_too() {
    let database = stack().database();
    let owner = owned(&database, "warm => NULL", 1);
    make_casts(&database, &owner);
    database.run(&format!("SET ROLE {owner}; {ALTER_VALUE}"));
    assert_refused(&database.job_refusal("warm_hot"), "value", "warm_hot");
    assert_nothing_ran(&database);
}

#[test]
fn the_look_for_vanished_days_refuses_a_table_whose_time_changed_its_type() {
    let database = stack().database();
    let owner = owned(&database, &format!("hot => NULL, warm => '3 days', cold => '{}'", database.cold()), 5);
    make_casts(&database, &owner);
    assert_eq!(database.job("archive").0, 200);
    database.run(&format!("SET ROLE {owner}; {ALTER_TIME}"));
    assert_refused(&database.job_refusal("archive"), "time", "archive");
    assert_nothing_ran(&database);
}

#[test]
fn the_archive_refuses_a_day_of_a_table_whose_time_changed_its_type_since_the_run_began() {
    let stack = Stack::for_faults();
    let database = stack.database();
    let owner = owned(&database, &format!("hot => NULL, warm => '3 days', cold => '{}'", database.cold()), 5);
    make_casts(&database, &owner);
    stack.bigquery.freeze();
    let archive = begin_job(&database, "archive");
    let waits = "SELECT count(*) FROM strata.job_runs r JOIN pg_stat_activity a USING (pid)
                 WHERE r.status = 'running' AND a.wait_event_type = 'Extension' AND a.xact_start IS NULL";
    eventually("the job waits for BigQuery", || database.count(waits) == 1);
    database.run(&format!("SET ROLE {owner}; {ALTER_TIME}"));
    stack.bigquery.thaw();
    assert_refused(&archive.join().unwrap(), "time", "archive");
    assert_nothing_ran(&database);
}

#[test]
fn dropping_days_refuses_a_table_whose_time_changed_its_type_since_the_run_began() {
    let database = stack().database();
    let owner = owned(&database, &format!("hot => NULL, warm => '3 days', cold => '{}'", database.cold()), 5);
    make_casts(&database, &owner);
    assert_eq!(database.job("archive").0, 200);
    database.run("SELECT strata.alter_source('readings', drop_archived => true)");
    database.run(&format!("ALTER DATABASE {} SET strata.drop_lock_timeout = '60s'", database.name));
    let mut session = database.connect();
    session.batch_execute(&format!("SET ROLE {owner}; BEGIN; SELECT FROM readings LIMIT 1")).unwrap();
    let archive = begin_job(&database, "archive");
    let waits = "SELECT count(*) FROM pg_locks
                 WHERE relation = 'readings'::regclass AND mode = 'AccessExclusiveLock' AND NOT granted";
    eventually("the job waits for the table", || database.count(waits) == 1);
    // whoever holds a lock that a waiter wants goes first
    session.batch_execute(&format!("{ALTER_TIME}; COMMIT")).unwrap();
    assert_refused(&archive.join().unwrap(), "time", "archive");
    assert_nothing_ran(&database);
    assert_eq!(database.count("SELECT count(*) FROM readings"), 200);
}
