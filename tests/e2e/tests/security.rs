//! The copies of data have the rights of the original, and the extension gives nobody more than it says.

use std::collections::BTreeSet;

use strata_e2e::{Database, Sensors, postgres as server, stack, tools};

/// A user with the given roles, who may read the table `readings` if so wished.
fn user(database: &Database, name: &str, roles: &str, select: bool) -> String {
    let user = format!("{}_{name}", database.name);
    database.run(&format!("CREATE ROLE {user}"));
    if !roles.is_empty() {
        database.run(&format!("GRANT {roles} TO {user}"));
    }
    if select {
        database.run(&format!("GRANT SELECT ON readings TO {user}"));
    }
    user
}

/// Rows in all three tiers.
fn three_tiers() -> Database {
    let database = stack().database();
    database.attach_three_tiers();
    database.fill(5, 5);
    database.fill(1, 1);
    database.job("archive");
    database.job("rollup");
    let mut sensors = Sensors::of(&stack().redis, &database);
    sensors.send("A", database.midnight(0), 1.0);
    database
}

fn rows(database: &Database, from: i32, to: i32) -> String {
    format!("SELECT * FROM strata.rows(NULL::readings, {}, {})", database.day(from), database.day(to))
}

#[test]
fn a_reader_needs_the_right_to_select_from_the_table() {
    let database = three_tiers();
    let without = user(&database, "without", "strata_cold_reader", false);
    let queries = [
        rows(&database, 6, -1),
        rows(&database, 1, 0),
        "SELECT * FROM strata.latest(NULL::readings)".to_owned(),
        format!("SELECT * FROM strata.buckets('readings', '1 day', {}, {})", database.day(2), database.day(0)),
        format!("SELECT * FROM strata.explain('readings', {}, {})", database.day(2), database.day(0)),
    ];
    for sql in &queries {
        let refusal = database.refusal(&format!("SET ROLE {without}; {sql}"));
        assert_eq!(refusal.sqlstate, "42501", "{sql}: {refusal:?}");
    }
    // a part of the columns is enough for what needs no more
    database.run(&format!("GRANT SELECT (time, key) ON readings TO {without}"));
    assert_eq!(database.refusal(&format!("SET ROLE {without}; {}", queries[1])).sqlstate, "42501");
    database.run(&format!("GRANT SELECT ON readings TO {without}"));
    for sql in &queries {
        database.run(&format!("SET ROLE {without}; {sql}"));
    }
}

#[test]
fn the_cold_tier_needs_a_role_of_its_own() {
    let database = three_tiers();
    let reader = user(&database, "reader", "strata_reader", true);
    database.run(&format!("SET ROLE {reader}; {}", rows(&database, 2, -1)));
    for sql in [
        rows(&database, 5, 4),
        format!("SELECT strata.restore('readings', {}, {})", database.day(5), database.day(4)),
        format!("SELECT strata.import('readings', {}, {})", database.day(5), database.day(4)),
    ] {
        assert_eq!(database.refusal(&format!("SET ROLE {reader}; {sql}")).sqlstate, "42501", "{sql}");
    }
    let refusal = database.refusal(&format!("SET ROLE {reader}; {}", rows(&database, 5, 4)));
    assert!(refusal.hint.contains("GRANT strata_cold_reader"), "{refusal:?}");
    database.run(&format!("GRANT strata_cold_reader TO {reader}"));
    database.run(&format!("SET ROLE {reader}; {}", rows(&database, 5, 4)));
    // reading the archive is not writing to the table
    let import = format!("SELECT strata.import('readings', {}, {})", database.day(5), database.day(4));
    assert_eq!(database.refusal(&format!("SET ROLE {reader}; {import}")).sqlstate, "42501");
}

#[test]
fn whom_row_level_security_restricts_gets_nothing_from_the_copies() {
    let database = three_tiers();
    database.run("ALTER TABLE readings ENABLE ROW LEVEL SECURITY; CREATE POLICY a ON readings USING (key = 'A')");
    let restricted = user(&database, "restricted", "strata_cold_reader", true);
    for (sql, store) in [(rows(&database, 1, -1), "Redis"), (rows(&database, 5, 4), "")] {
        let refusal = database.refusal(&format!("SET ROLE {restricted}; {sql}"));
        assert_eq!(refusal.sqlstate, "42501", "{refusal:?}");
        assert!(refusal.message.contains("row-level security") && refusal.message.contains(store), "{refusal:?}");
        assert!(!refusal.hint.is_empty(), "{refusal:?}");
    }
    let cold = format!("SET ROLE {restricted}; SET LOCAL strata.on_tier_error = 'warning'; {}", rows(&database, 5, 4));
    assert_eq!(database.refusal(&cold).sqlstate, "42501");
    for view in ["strata.rollups", "strata.anomalies"] {
        let mut client = database.connect();
        client.batch_execute(&format!("SET ROLE {restricted}")).unwrap();
        assert_eq!(
            client.query_one(&format!("SELECT count(*) FROM {view}"), &[]).unwrap().get::<_, i64>(0),
            0,
            "{view}"
        );
    }
    database.run(&rows(&database, 6, -1));
}

#[test]
fn rollups_and_anomalies_show_what_their_reader_may_select() {
    let database = Database::create(server());
    database.create_readings();
    database.attach("");
    database.fill(3, 3);
    database.job("rollup");
    database.run(
        "INSERT INTO strata.anomaly_events (source_id, key, measure, method, detector_version, severity, started_at, peak_at, peak_score)
         SELECT source_id, 'A', 'value', 'range_novelty', 1, 'warning', now(), now(), 2 FROM strata.sources",
    );
    let reader = user(&database, "reader", "strata_reader", false);
    let seen = || {
        let mut client = database.connect();
        client.batch_execute(&format!("SET ROLE {reader}")).unwrap();
        let row = client
            .query_one("SELECT (SELECT count(*) FROM strata.rollups), (SELECT count(*) FROM strata.anomalies)", &[])
            .unwrap();
        (row.get::<_, i64>(0) > 0, row.get::<_, i64>(1) > 0)
    };
    assert_eq!(seen(), (false, false));
    database.run(&format!("GRANT SELECT ON readings TO {reader}"));
    assert_eq!(seen(), (true, true));
    for sql in [
        "SELECT * FROM strata.rollup_states",
        "SELECT * FROM strata.anomaly_events",
        "SELECT * FROM strata.rejected_samples",
        "UPDATE strata.anomalies SET resolved_at = now()",
        "SELECT strata.resolve_anomaly(1, 'x')",
        "INSERT INTO strata.dirty_log (source_id, day) VALUES (1, now())",
        "SELECT strata.attach('readings', 'time', 'key')",
        "SELECT strata.run_job('flush')",
    ] {
        assert_eq!(database.refusal(&format!("SET ROLE {reader}; {sql}")).sqlstate, "42501", "{sql}");
    }
    let operator = user(&database, "operator", "strata_operator", true);
    database.run(&format!(
        "SET ROLE {operator}; SELECT strata.acknowledge_anomaly(1); SELECT strata.resolve_anomaly(1, 'x')"
    ));
    let forged = format!("SET ROLE {operator}; UPDATE strata.anomalies SET peak_score = 0");
    assert_eq!(database.refusal(&forged).sqlstate, "42501");
    // what belongs to a table that an operator may not read is not for the operator either
    database.run(&format!("REVOKE SELECT ON readings FROM {operator}"));
    assert_eq!(
        database.refusal(&format!("SET ROLE {operator}; SELECT strata.resolve_anomaly(1, 'y')")).sqlstate,
        "P0002"
    );
}

#[test]
fn a_password_does_not_belong_into_a_setting() {
    let database = Database::create(server());
    for url in ["redis://:hunter2@host:6379/", "redis://user:hunter2@host", "rediss://user:hunter2@host:1/0?x=y"] {
        let refusal = database.refusal(&format!("SET strata.redis_url = '{url}'"));
        assert_eq!(refusal.sqlstate, "22023", "{refusal:?}");
        let shown = format!("{} {}", refusal.message, refusal.detail);
        assert!(!shown.contains("hunter2"), "{refusal:?}");
        assert!(refusal.hint.contains("strata.redis_password_file"), "{refusal:?}");
    }
    database.run("SET strata.redis_url = 'redis://user@host:6379/0'");
    let reader = user(&database, "reader", "strata_operator", false);
    for setting in
        ["redis_url", "redis_password_file", "bigquery_endpoint", "bigquery_credentials_file", "cold_max_bytes"]
    {
        let refusal = database.refusal(&format!("SET ROLE {reader}; SET strata.{setting} = '1GB'"));
        assert_eq!(refusal.sqlstate, "42501", "{setting}: {refusal:?}");
    }
    assert_eq!(database.refusal(&format!("SET ROLE {reader}; SHOW strata.redis_url")).sqlstate, "42501");
}

#[test]
fn nothing_of_the_extension_is_for_everybody_or_depends_on_the_search_path() {
    let database = Database::create(server());
    let functions = "SELECT coalesce(string_agg(p.oid::regprocedure::text, ', '), '') FROM pg_proc p
         JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
         JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'strata' WHERE ";
    let executable = "has_function_privilege('public', p.oid, 'EXECUTE')";
    assert_eq!(database.ask(&format!("{functions}{executable}")), "");
    // these two are called for every row and are in C that looks nothing up by name
    let unpinned = "NOT EXISTS (SELECT FROM unnest(p.proconfig) c WHERE c LIKE 'search_path=%')
         AND p.proname NOT IN ('note_dirty', 'anomaly_score')";
    assert_eq!(database.ask(&format!("{functions}{unpinned}")), "");
    let relations = "SELECT coalesce(string_agg(c.oid::regclass::text, ', '), '') FROM pg_class c
         WHERE c.relnamespace = 'strata'::regnamespace AND c.relkind IN ('r', 'v', 'S')
           AND EXISTS (SELECT FROM aclexplode(c.relacl) a WHERE a.grantee = 0)";
    assert_eq!(database.ask(relations), "");
    assert_eq!(
        database.count(
            "SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND probin LIKE '%strata%'"
        ),
        0
    );
}

#[test]
fn every_object_has_a_comment() {
    let database = Database::create(server());
    let without = "SELECT coalesce(string_agg(what, ', ' ORDER BY what), '') FROM (
        SELECT pg_describe_object(classid, objid, 0) AS what FROM pg_depend d
        JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'strata'
        WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
          AND classid IN ('pg_class'::regclass, 'pg_proc'::regclass)
          AND NOT EXISTS (SELECT FROM pg_class c WHERE classid = 'pg_class'::regclass AND c.oid = objid AND c.relkind = 'S')
          AND coalesce(obj_description(objid, classid::regclass::name), '') = ''
        UNION ALL
        SELECT c.oid::regclass || '.' || attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        WHERE c.relnamespace = 'strata'::regnamespace AND c.relkind IN ('r', 'v') AND attnum > 0 AND NOT attisdropped
          AND coalesce(col_description(c.oid, attnum), '') = '') w";
    assert_eq!(database.ask(without), "");
}

#[test]
fn the_extension_consists_of_the_objects_that_are_written_down() {
    let database = Database::create(server());
    let output = tools::program(server(), "psql", &database.name)
        .args(["-X", "-A", "-t", "-c", "\\dx+ strata"])
        .output()
        .unwrap();
    let found = String::from_utf8(output.stdout).unwrap();
    let expected = include_str!("../expected/objects.txt");
    // PostgreSQL 17 lists the types that come with tables, too
    let lines = |text: &str| -> BTreeSet<String> {
        text.lines().filter(|line| !line.is_empty() && !line.starts_with("type ")).map(str::to_owned).collect()
    };
    let (found, expected) = (lines(&found), lines(expected));
    let (new, gone): (Vec<_>, Vec<_>) = (found.difference(&expected).collect(), expected.difference(&found).collect());
    assert!(new.is_empty() && gone.is_empty(), "not written down: {new:#?}; not there: {gone:#?}");
}

#[test]
fn two_databases_get_the_extension_at_the_same_time() {
    let server = strata_e2e::stack::builder().durable(false).start().unwrap();
    for name in ["one", "two", "three"] {
        server.execute_script("postgres", &format!("CREATE DATABASE {name}")).unwrap();
    }
    std::thread::scope(|scope| {
        for name in ["one", "two", "three"] {
            let server = &server;
            scope.spawn(move || server.execute_script(name, "CREATE EXTENSION strata").unwrap());
        }
    });
}
