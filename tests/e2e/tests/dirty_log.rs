//! Every change of an attached table reaches the jobs, whoever makes it, in whatever way, and whenever it commits.

use strata_e2e::{Database, postgres as server};

fn database() -> Database {
    let database = Database::create(server());
    database.create_readings();
    database.attach("");
    database
}

/// The days that wait in the log, as days before the test's day.
fn noted(database: &Database) -> String {
    let ago = format!("(date '{}' - day)", database.date(0));
    database.ask(&format!("SELECT string_agg(DISTINCT {ago}::text, ' ' ORDER BY {ago}::text) FROM strata.dirty_log"))
}

/// What a statement notes, with an empty log before it.
fn noted_by(database: &Database, sql: &str) -> String {
    database.run("DELETE FROM strata.dirty_log");
    database.run(sql);
    noted(database)
}

fn insert(database: &Database, days_ago: i32, key: &str) -> String {
    format!("INSERT INTO readings VALUES ({}, '{key}', 1)", database.day(days_ago))
}

/// The sum of the daily rollups.
fn rolled_up(database: &Database) -> i64 {
    database.count(
        "SELECT coalesce(sum(strata.rollup_value(state, 1, 'count')), 0)::bigint FROM strata.rollups WHERE width = '1 day'",
    )
}

#[test]
fn a_transaction_that_commits_late_is_not_missed() {
    let database = database();
    // TimescaleDB lets nobody else into a chunk that a transaction has made
    database.run(&insert(&database, 3, "first"));
    let mut late = database.connect();
    late.batch_execute(&format!("BEGIN; {}", insert(&database, 3, "late"))).unwrap();
    database.run(&insert(&database, 3, "early"));
    database.run(&insert(&database, 2, "early"));
    database.job("rollup");
    assert_eq!(rolled_up(&database), 3);
    late.batch_execute("COMMIT").unwrap();
    database.job("rollup");
    assert_eq!(rolled_up(&database), 4);
    assert_eq!(database.job("rollup").0, 0, "nothing is left to do");
}

#[test]
fn a_change_that_commits_while_a_rollup_works_is_worked_on_again() {
    let database = database();
    database.run(&insert(&database, 2, "a"));
    // the rollup waits for this lock with its first day begun
    let mut lock = database.connect();
    lock.batch_execute("BEGIN; LOCK strata.rollup_states").unwrap();
    let running = {
        let database = database.clone();
        std::thread::spawn(move || database.job("rollup"))
    };
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND backend_type LIKE 'strata worker%' AND datname = current_database()";
    strata_e2e::eventually("the rollup waits", || database.count(waiting) == 1);
    database.run(&insert(&database, 2, "b"));
    lock.batch_execute("COMMIT").unwrap();
    running.join().unwrap();
    database.job("rollup");
    assert_eq!(rolled_up(&database), 2);
}

#[test]
fn what_is_rolled_back_leaves_nothing() {
    let database = database();
    assert_eq!(noted_by(&database, &format!("BEGIN; {}; ROLLBACK", insert(&database, 3, "a"))), "");
    let savepoint = format!(
        "BEGIN; {}; SAVEPOINT s; {}; ROLLBACK TO s; COMMIT",
        insert(&database, 3, "a"),
        insert(&database, 2, "b")
    );
    // a day too many costs a look at it, a day too few a wrong rollup
    assert!(noted_by(&database, &savepoint).contains('3'));
    database.job("rollup");
    assert_eq!(rolled_up(&database), 1);
    // an error ends a transaction as a ROLLBACK does
    database.run("DELETE FROM strata.dirty_log");
    database.refusal(&format!("BEGIN; {}; SELECT 1 / 0; COMMIT", insert(&database, 1, "c")));
    assert_eq!(noted(&database), "");
    let mut session = database.connect();
    session.batch_execute(&format!("BEGIN; {}; ROLLBACK; CREATE TABLE other ()", insert(&database, 1, "c"))).unwrap();
    assert_eq!(noted(&database), "");
}

#[test]
fn every_kind_of_change_is_noted() {
    let database = database();
    assert_eq!(noted_by(&database, &insert(&database, 5, "a")), "5");
    assert_eq!(noted_by(&database, "UPDATE readings SET value = 2"), "5");
    assert_eq!(noted_by(&database, &format!("UPDATE readings SET time = {} WHERE false", database.day(4))), "");
    let upsert = format!("{} ON CONFLICT (key, time) DO UPDATE SET value = 3", insert(&database, 5, "a"));
    assert_eq!(noted_by(&database, &upsert), "5");
    let nothing = format!("{} ON CONFLICT DO NOTHING", insert(&database, 5, "a"));
    assert_eq!(noted_by(&database, &nothing), "");
    assert_eq!(noted_by(&database, "DELETE FROM readings"), "5");

    database.run("DELETE FROM strata.dirty_log");
    let mut client = database.connect();
    let mut copy = client.copy_in("COPY readings FROM STDIN").unwrap();
    let lines =
        format!("{d4} 00:00+00\ta\t1\n{d3} 23:59:59.999999+00\ta\t2\n", d4 = database.date(4), d3 = database.date(3));
    std::io::Write::write_all(&mut copy, lines.as_bytes()).unwrap();
    copy.finish().unwrap();
    assert_eq!(noted(&database), "3 4");
    assert_eq!(noted_by(&database, "TRUNCATE readings"), "3 4");
    database.job("rollup");
    assert_eq!(rolled_up(&database), 0);
}

#[test]
fn a_row_that_moves_to_another_day_is_noted_on_both() {
    let database = Database::create(server());
    database.run("CREATE TABLE readings (time timestamptz, key text, value float8, PRIMARY KEY (key, time))");
    database.attach("");
    database.run(&insert(&database, 5, "a"));
    database.job("rollup");
    let moved = noted_by(&database, &format!("UPDATE readings SET time = {}", database.day(2)));
    assert_eq!(moved, "2 5");
    database.job("rollup");
    let days = database.ask("SELECT string_agg(bucket::date::text, ' ') FROM strata.rollups WHERE width = '1 day'");
    assert_eq!(days, database.date(2));
}

#[test]
fn a_prepared_transaction_is_noted_when_it_commits() {
    let database = database();
    database.run(&format!("BEGIN; {}; PREPARE TRANSACTION '{}'", insert(&database, 4, "a"), database.name));
    assert_eq!(noted(&database), "");
    database.job("rollup");
    database.run(&format!("COMMIT PREPARED '{}'", database.name));
    assert_eq!(noted(&database), "4");
    database.job("rollup");
    assert_eq!(rolled_up(&database), 1);
    database.run(&format!("BEGIN; {}; PREPARE TRANSACTION '{}'", insert(&database, 3, "b"), database.name));
    database.run(&format!("ROLLBACK PREPARED '{}'", database.name));
    assert_eq!(noted(&database), "");
}

#[test]
fn days_are_those_of_utc_whatever_the_session_thinks() {
    let database = database();
    let sql = format!(
        "SET TimeZone = 'Pacific/Kiritimati'; INSERT INTO readings VALUES ({} - interval '1 us', 'a', 1)",
        database.day(3)
    );
    assert_eq!(noted_by(&database, &sql), "4");
}

#[test]
fn a_user_without_any_right_on_strata_may_write() {
    let database = database();
    let user = format!("{}_writer", database.name);
    database.run(&format!("CREATE ROLE {user}; GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON readings TO {user}"));
    for sql in [insert(&database, 3, "a"), "UPDATE readings SET value = 2".into(), "DELETE FROM readings".into()] {
        assert_eq!(noted_by(&database, &format!("SET ROLE {user}; {sql}")), "3", "{sql}");
    }
    database.run(&insert(&database, 3, "b"));
    assert_eq!(noted_by(&database, &format!("SET ROLE {user}; TRUNCATE readings")), "3");
    assert_eq!(database.refusal(&format!("SET ROLE {user}; DELETE FROM strata.dirty_log")).sqlstate, "42501");
}

#[test]
fn a_writers_own_types_and_functions_are_not_used_at_commit() {
    let database = database();
    let user = format!("{}_attacker", database.name);
    database.run(&format!(
        "CREATE ROLE {user}; GRANT SELECT, INSERT ON readings TO {user}; CREATE TABLE caught (by_user text);
         GRANT INSERT ON caught TO public"
    ));
    let trap = "CREATE FUNCTION pg_temp.trap(pg_catalog.date) RETURNS boolean LANGUAGE sql AS
                    'INSERT INTO public.caught VALUES (current_user); SELECT true';
                CREATE DOMAIN pg_temp.date AS pg_catalog.date CHECK (pg_temp.trap(VALUE));
                CREATE FUNCTION pg_temp.unnest(pg_catalog.int4[]) RETURNS SETOF pg_catalog.int4 LANGUAGE sql AS
                    'INSERT INTO public.caught VALUES (current_user); SELECT 1';
                SET search_path = pg_temp, public, pg_catalog";
    let insert = insert(&database, 3, "a");
    assert_eq!(noted_by(&database, &format!("SET ROLE {user}; {trap}; {insert}")), "3");
    assert_eq!(database.count("SELECT count(*) FROM caught"), 0);
}

#[test]
fn constraints_checked_at_commit_and_deferred_triggers_change_nothing() {
    let database = Database::create(server());
    database.run(
        "CREATE TABLE nodes (key text PRIMARY KEY);
         CREATE TABLE readings (time timestamptz, key text REFERENCES nodes DEFERRABLE INITIALLY DEFERRED, value float8,
             PRIMARY KEY (key, time))",
    );
    database.attach("");
    let orphan = database.refusal(&format!("BEGIN; {}; COMMIT", insert(&database, 3, "nobody")));
    assert_eq!(orphan.sqlstate, "23503");
    assert_eq!(noted(&database), "");
    database.run(&format!("BEGIN; {}; INSERT INTO nodes VALUES ('n'); COMMIT", insert(&database, 3, "n")));
    assert_eq!(noted(&database), "3");
}
