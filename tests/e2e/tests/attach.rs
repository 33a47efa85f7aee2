//! strata.attach takes tables that fit and says of others what to change; strata.detach leaves them as they were.

use strata_e2e::{Database, Refusal, postgres as server};
use strata_servers::pg_version;

fn database() -> Database {
    Database::create(server())
}

/// Every trace of a table in Strata's catalog and on the table itself.
fn traces(database: &Database) -> i64 {
    database.count(
        "SELECT (SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal AND tgname LIKE 'strata%')
             + (SELECT count(*) FROM strata.sources) + (SELECT count(*) FROM strata.dirty_log)
             + (SELECT count(*) FROM strata.dirty_days) + (SELECT count(*) FROM strata.manifest)
             + (SELECT count(*) FROM strata.rollup_states) + (SELECT count(*) FROM strata.flushes)",
    )
}

fn attach_and_detach(database: &Database) {
    database.run(&format!(
        "INSERT INTO readings SELECT {} + i * interval '6 h', 'A', i FROM generate_series(0, 11) i",
        database.day(3)
    ));
    assert_eq!(database.ask("SELECT strata.attach('readings', 'time', 'key') > 0"), "true");
    let source =
        database.ask("SELECT concat_ws(' ', name, time_column, key_column, measures, hot, warm) FROM strata.sources");
    assert_eq!(source, "readings time key {value} 24:00:00 90 days");
    database.job("rollup");
    assert_eq!(database.count("SELECT count(*) FROM strata.rollups WHERE width = '1 day'"), 3);
    database.run(&format!("INSERT INTO readings VALUES ({}, 'A', 1)", database.day(5)));
    assert_eq!(database.count("SELECT count(*) FROM strata.dirty_log"), 1);
    database.run("SELECT strata.detach('readings')");
    assert_eq!(traces(database), 0);
    assert_eq!(database.count("SELECT count(*) FROM readings"), 13);
    // and once more
    database.run("SELECT strata.attach('readings', 'time', 'key')");
    database.run("SELECT strata.detach('readings')");
    assert_eq!(traces(database), 0);
}

#[test]
fn a_plain_table_is_attached_and_let_go() {
    let database = database();
    database.run("CREATE TABLE readings (time timestamptz, key text, value float8, PRIMARY KEY (time, key))");
    attach_and_detach(&database);
}

#[test]
fn a_partitioned_table_is_attached_and_let_go() {
    let database = database();
    database.run(&format!(
        "CREATE TABLE readings (time timestamptz, key text, value float8, PRIMARY KEY (key, time)) PARTITION BY RANGE (time);
         CREATE TABLE old PARTITION OF readings FOR VALUES FROM (MINVALUE) TO ({});
         CREATE TABLE new PARTITION OF readings DEFAULT",
        database.day(3)
    ));
    let part = database.refusal("SELECT strata.attach('old', 'time', 'key')");
    assert_eq!((part.sqlstate.as_str(), part.hint.is_empty()), ("42809", false), "{part:?}");
    attach_and_detach(&database);
}

#[test]
fn a_hypertable_is_attached_and_let_go_where_there_are_hypertables() {
    let database = database();
    database.create_readings();
    let hypertables = "SELECT count(*) FROM pg_class WHERE relname = '_timescaledb_internal' OR relname LIKE '_hyper%'";
    attach_and_detach(&database);
    assert_eq!(database.count(hypertables) > 0, pg_version().has_timescaledb());
}

/// The refusal of `attach('t', 'time', 'key')` for a table of these columns.
fn refusal(database: &Database, columns: &str) -> Refusal {
    database.run(&format!("DROP TABLE IF EXISTS t; CREATE TABLE t ({columns})"));
    database.refusal("SELECT strata.attach('t', 'time', 'key')")
}

/// The statement that a hint gives.
fn statement(refusal: &Refusal) -> String {
    let (_, statement) = refusal.hint.split_once(": ").unwrap_or_else(|| panic!("no statement in {refusal:?}"));
    statement.to_owned()
}

#[test]
fn what_is_missing_is_named_with_the_statement_that_adds_it() {
    let database = database();
    let attach = "SELECT strata.attach('t', 'time', 'key')";
    // each statement leads to the next refusal, the last one to an attached table
    let steps = ["is of type timestamp", "\"time\"", "\"key\"", "no numeric column", "no unique index"];
    let mut seen = vec![refusal(&database, "time timestamp, key text")];
    while let Some(refusal) = seen.last() {
        database.run(&statement(refusal));
        match database.connect().batch_execute(attach) {
            Ok(()) => break,
            Err(error) => seen.push(Refusal::of(&error)),
        }
        assert!(seen.len() <= steps.len(), "{seen:#?}");
    }
    assert_eq!(seen.len(), steps.len(), "{seen:#?}");
    for step in steps {
        assert!(seen.iter().any(|refusal| refusal.message.contains(step)), "{step}: {seen:#?}");
    }
    assert!(seen.iter().all(|refusal| ["42804", "42P16"].contains(&refusal.sqlstate.as_str())), "{seen:#?}");
}

#[test]
fn an_index_that_does_not_tell_readings_apart_does_not_count() {
    let database = database();
    for (columns, index) in [
        ("time timestamptz NOT NULL, key text NOT NULL, value float8", "CREATE INDEX ON t (key, time)"),
        ("time timestamptz NOT NULL, key text NOT NULL, value float8", "CREATE UNIQUE INDEX ON t (key, time, value)"),
        (
            "time timestamptz NOT NULL, key text NOT NULL, value float8",
            "CREATE UNIQUE INDEX ON t (key, time) WHERE value > 0",
        ),
        ("time timestamptz NOT NULL, key text NOT NULL, value float8", "CREATE UNIQUE INDEX ON t (lower(key), time)"),
        ("time timestamptz NOT NULL, key text NOT NULL, value float8, UNIQUE (key, time) DEFERRABLE", "SELECT 1"),
    ] {
        let first = refusal(&database, "time timestamptz, key text, value float8");
        assert_eq!(first.sqlstate, "42P16");
        database.run(&format!("DROP TABLE t; CREATE TABLE t ({columns}); {index}"));
        let refusal = database.refusal("SELECT strata.attach('t', 'time', 'key')");
        assert!(refusal.message.contains("no unique index"), "{index}: {refusal:?}");
        database.run(&statement(&refusal));
        database.run("SELECT strata.attach('t', 'time', 'key'); SELECT strata.detach('t')");
    }
}

#[test]
fn what_cannot_be_attached_is_refused() {
    let database = database();
    database.create_readings();
    database.run(
        "CREATE VIEW v AS TABLE readings;
         CREATE TABLE \"a:b\" (time timestamptz, key text, value float8, PRIMARY KEY (key, time))",
    );
    let columns = "time timestamptz, key text, value float8, PRIMARY KEY (key, time)";
    let cases = [
        ("SELECT strata.attach('v', 'time', 'key')".to_owned(), "42809"),
        (format!("CREATE TEMP TABLE t ({columns}); SELECT strata.attach('t', 'time', 'key')"), "42809"),
        (format!("CREATE UNLOGGED TABLE t ({columns}); SELECT strata.attach('t', 'time', 'key')"), "42809"),
        ("SELECT strata.attach('strata.sources', 'attached_at', 'name')".to_owned(), "42809"),
        ("SELECT strata.attach('pg_class', 'relname', 'relname')".to_owned(), "42809"),
        ("SELECT strata.attach('readings', 'when', 'key')".to_owned(), "42703"),
        ("SELECT strata.attach('readings', 'time', 'node')".to_owned(), "42703"),
        ("SELECT strata.attach('readings', 'time', 'value')".to_owned(), "42804"),
        ("SELECT strata.attach('readings', 'time', 'key', '{depth}')".to_owned(), "42703"),
        ("SELECT strata.attach('readings', 'time', 'key', '{key}')".to_owned(), "42804"),
        ("SELECT strata.attach('readings', 'time', 'key', '{value,value}')".to_owned(), "22023"),
        ("SELECT strata.attach('readings', 'time', 'key', '{}')".to_owned(), "22023"),
        ("SELECT strata.attach('readings', 'time', 'key', cold => 'readings')".to_owned(), "42602"),
        ("SELECT strata.attach('readings', 'time', 'key', cold => 'a.b.c')".to_owned(), "42602"),
        ("SELECT strata.attach('readings', 'time', 'key', cold => 'a.b`; DROP')".to_owned(), "42602"),
        ("SELECT strata.attach('readings', 'time', 'key', drop_archived => true)".to_owned(), "22023"),
        ("SELECT strata.attach('readings', 'time', 'key', hot => '-1 hour')".to_owned(), "22023"),
        ("SELECT strata.attach('readings', 'time', 'key', hot => '2 days', warm => '1 day')".to_owned(), "22023"),
        ("SELECT strata.attach('\"a:b\"', 'time', 'key')".to_owned(), "42602"),
    ];
    for (sql, expected) in cases {
        let refusal = database.refusal(&sql);
        assert_eq!(refusal.sqlstate, expected, "{sql}: {refusal:?}");
        assert!(!refusal.message.contains("panic") && !refusal.detail.contains(".rs"), "{refusal:?}");
    }
    assert_eq!(traces(&database), 0);
}

#[test]
fn a_table_is_attached_once_and_by_its_owner() {
    let database = database();
    database.create_readings();
    database.attach("");
    let twice = database.refusal("SELECT strata.attach('readings', 'time', 'key')");
    assert_eq!(twice.sqlstate, "42710", "{twice:?}");
    assert!(twice.hint.contains("strata.alter_source") && twice.hint.contains("strata.detach"), "{twice:?}");
    database.run(
        "CREATE SCHEMA other; CREATE TABLE other.readings (time timestamptz, key text, v int, PRIMARY KEY (key, time))",
    );
    let name = database
        .refusal(&format!("SELECT strata.attach('other.readings', 'time', 'key', name => '{}')", database.name));
    assert_eq!(name.sqlstate, "42710", "{name:?}");
    assert!(name.hint.contains("name => "), "{name:?}");

    let user = format!("{}_operator", database.name);
    database.run(&format!("CREATE ROLE {user}; GRANT strata_operator TO {user}"));
    for sql in
        ["SELECT strata.detach('readings')", "SELECT strata.attach('other.readings', 'time', 'key', name => 'x')"]
    {
        let refusal = database.refusal(&format!("SET ROLE {user}; {sql}"));
        assert_eq!(refusal.sqlstate, "42501", "{sql}: {refusal:?}");
    }
    database.run(&format!("GRANT USAGE ON SCHEMA other TO {user}; ALTER TABLE other.readings OWNER TO {user}"));
    database.run(&format!(
        "SET ROLE {user}; SELECT strata.attach('other.readings', 'time', 'key', name => 'x');
         INSERT INTO other.readings VALUES (now(), 'A', 1); SELECT strata.alter_source('other.readings', warm => '1 year');
         SELECT strata.detach('other.readings')"
    ));
}

#[test]
fn days_that_are_in_bigquery_only_hold_a_table_back_from_being_detached() {
    let database = database();
    database.create_readings();
    database.attach(&format!("cold => '{}'", database.cold()));
    database.run(&format!(
        "INSERT INTO strata.manifest (source_id, day, rows, content_hash, state, bytes, dropped_at)
         SELECT source_id, '{}', 1, '1-{:032x}', 'dropped', 1, now() FROM strata.sources",
        database.date(9),
        1
    ));
    let refusal = database.refusal("SELECT strata.detach('readings')");
    assert_eq!(refusal.sqlstate, "2BP01", "{refusal:?}");
    assert!(refusal.hint.contains("strata.restore") && refusal.hint.contains("force => true"), "{refusal:?}");
    assert!(refusal.detail.contains(&database.cold()), "{refusal:?}");
    database.run("SELECT strata.detach('readings', force => true)");
    assert_eq!(traces(&database), 0);
}

#[test]
fn dropping_the_extension_leaves_the_tables_and_nothing_else() {
    let database = database();
    database.create_readings();
    database.attach("");
    database.fill(3, 2);
    database.job("rollup");
    let refusal = database.refusal("DROP EXTENSION strata");
    assert_eq!(refusal.sqlstate, "2BP01", "{refusal:?}");
    database.run("DROP EXTENSION strata CASCADE");
    assert_eq!(database.count("SELECT count(*) FROM readings"), 4 * 144);
    database.run("INSERT INTO readings VALUES (now(), 'after', 1); DELETE FROM readings WHERE key = 'after'");
    assert_eq!(database.count("SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'strata%'"), 0);
    assert_eq!(database.ask("SELECT to_regnamespace('strata')"), "", "nor the schema");
    database.run("CREATE EXTENSION strata");
    let refusal = database.refusal("DROP SCHEMA strata CASCADE");
    assert_eq!(refusal.sqlstate, "2BP01", "{refusal:?}");
    assert!(refusal.hint.contains("extension strata"), "{refusal:?}");
    let elsewhere =
        "SELECT count(*) FROM pg_proc WHERE probin LIKE '%strata%' AND pronamespace <> 'strata'::regnamespace";
    assert_eq!(database.count(elsewhere), 0);
    database.attach("");
    database.job("rollup");
    assert_eq!(database.count("SELECT count(*) FROM strata.rollups WHERE width = '1 day'"), 4);
}

#[test]
fn a_table_may_be_renamed_and_dropped_and_its_time_column_not_renamed() {
    let database = database();
    database.create_readings();
    database.attach("");
    database.run("ALTER TABLE readings RENAME COLUMN time TO at");
    let refusal = database.refusal("INSERT INTO readings VALUES (now(), 'A', 1)");
    assert_eq!(refusal.sqlstate, "42703", "{refusal:?}");
    assert!(refusal.hint.contains("strata.detach"), "{refusal:?}");
    database.run("ALTER TABLE readings RENAME COLUMN at TO time; INSERT INTO readings VALUES (now(), 'A', 1)");
    // the name and the schema of a table are its own business
    database.run(
        "CREATE SCHEMA plant; ALTER TABLE readings SET SCHEMA plant; ALTER TABLE plant.readings RENAME TO \"Log\"",
    );
    database.run("INSERT INTO plant.\"Log\" VALUES (now(), 'B', 1)");
    database.job("rollup");
    assert_eq!(database.count("SELECT count(*) FROM strata.rollups WHERE width = '1 day'"), 2);
    database.run("DROP TABLE plant.\"Log\"");
    database.job("rollup");
}
