//! The joint detector over attached tables: groups, common rows, the rights of the caller, stored models.

use strata_e2e::{Database, postgres as server};

/// Ten days of flow and pressure of the nodes A, B and C every ten minutes, some seconds apart; on the second day before the
/// last the pressure of A does not follow its flow.
fn network() -> Database {
    let database = Database::create(server());
    database.run(&format!(
        "CREATE TABLE readings (time timestamptz NOT NULL, key text NOT NULL, flow float8, pressure float8, UNIQUE (key, time));
         INSERT INTO readings
         SELECT t + (ascii(key) - 64) * interval '7 s', key, flow,
                8 - flow / 20 + n * 104729 % 97 / 200.0
                    + CASE WHEN key = 'A' AND t BETWEEN {fault} AND {fault} + interval '3 h' THEN 3 ELSE 0 END
         FROM (SELECT n, t, key, 50 + 10 * sin(n * pi() / 72 + ascii(key)) + n * 7919 % 100 / 50.0 AS flow
               FROM generate_series(0, 1439) n, LATERAL (SELECT {first} + n * interval '10 min' AS t) time,
                    unnest(ARRAY['C', 'A', 'B']) key) r;
         SELECT strata.attach('readings', 'time', 'key', hot => NULL)",
        fault = fault(&database),
        first = database.day(10),
    ));
    database
}

fn fault(database: &Database) -> String {
    format!("({} + interval '12 h')", database.day(2))
}

/// The last three days.
fn range(database: &Database) -> String {
    format!("{}, {}", database.day(3), database.day(0))
}

fn judged(database: &Database, what: &str, more: &str) -> String {
    let range = range(database);
    database.ask(&format!("SELECT {what} FROM strata.detect_anomalies_joint('readings', {range}{more})"))
}

/// Everything a call says, as one text.
const ALL: &str =
    "count(*) || md5(string_agg(concat_ws(' ', time, key, score, is_anomaly, change_score, is_change, reason,
    reason_key, reason_measure, reason_value, expected, change_key, change_measure), ',' ORDER BY key, time))";

#[test]
fn the_measures_of_each_key_are_judged_as_arrays_of_them_are() {
    let database = network();
    assert_eq!(judged(&database, "count(*)", ""), (3 * 3 * 144).to_string());
    let keys = "string_agg(DISTINCT concat_ws(' ', key, reason_key), ', ') FILTER (WHERE is_anomaly)";
    assert_eq!(judged(&database, keys, ""), "A A");
    let first = "min(time) FILTER (WHERE is_anomaly) BETWEEN";
    let fault = fault(&database);
    assert_eq!(judged(&database, &format!("{first} {fault} AND {fault} + interval '20 min'"), ""), "true");
    let different = format!(
        "SELECT count(*) FROM strata.detect_anomalies_joint('readings', {range}, training => '7 days') a
         FULL JOIN (SELECT key, d.* FROM (SELECT key, array_agg(time ORDER BY time) AS t,
                                                 array_agg(ARRAY[flow, pressure] ORDER BY time) AS v
                                          FROM readings GROUP BY key) r, strata.detect_joint(t, v, 7 * 144) d
                    WHERE score IS NOT NULL) d USING (key, time)
         WHERE (a.score, a.is_anomaly, a.change_score, a.is_change, a.reason, a.reason_value)
               IS DISTINCT FROM (d.score, d.is_anomaly, d.change_score, d.is_change, d.reason, d.reason_value)
            OR a.reason_measure IS DISTINCT FROM (ARRAY['flow', 'pressure'])[d.sensor]",
        range = range(&database)
    );
    assert_eq!(database.count(&different), 0);
    // the first rows of the range may be the training
    let rows = judged(&database, "count(*) || ' ' || count(score)", ", training_rows => 200");
    assert_eq!(rows, format!("{} {}", 3 * 432, 3 * 232));
}

#[test]
fn all_keys_are_judged_together_on_common_rows() {
    let database = network();
    let together = ", by => 'all', step => '10 min'";
    assert_eq!(judged(&database, "count(*) || ' ' || count(key) || ' ' || count(score)", together), "432 0 432");
    let sensor =
        "string_agg(DISTINCT reason_key || ' ' || reason_measure, ', ') FILTER (WHERE is_anomaly AND score >= 1)";
    let named = judged(&database, sensor, together);
    assert!(named.contains("A pressure"), "{named}");
    // rows begin at whole steps; without a step every time of a node is a row of its own
    assert_eq!(judged(&database, "bool_and(extract(epoch FROM time)::bigint % 600 = 0)", together), "true");
    assert_eq!(judged(&database, "count(*)", ", by => 'all'"), (3 * 432).to_string());
    let one = ", by => 'all', step => '10 min', keys => '{A}', measures => '{pressure}'";
    assert_eq!(judged(&database, "count(*)", one), "432");
    // where all fall silent for four hours, their last values stand in for a while
    let silent = format!("{} + interval '1 h'", database.day(1));
    database.run(&format!("DELETE FROM readings WHERE time >= {silent} AND time < {silent} + interval '4 h'"));
    assert_eq!(judged(&database, "count(*)", together), (432 - 24).to_string());
    assert_eq!(judged(&database, "count(*)", &format!("{together}, hold => 3")), (432 - 24 + 3).to_string());
}

#[test]
fn a_key_without_training_is_told_and_not_judged() {
    let database = network();
    database.run(&format!("DELETE FROM readings WHERE key = 'B' AND time < {}", database.day(3)));
    let counts = "string_agg(key || ' ' || n, ', ' ORDER BY key) FROM (SELECT key, count(score) AS n";
    let sql =
        format!("SELECT {counts} FROM strata.detect_anomalies_joint('readings', {}) GROUP BY key) k", range(&database));
    assert_eq!(database.ask(&sql), "A 432, B 0, C 432");
    // together, it is left out
    assert_eq!(judged(&database, "count(score)", ", by => 'all', step => '10 min'"), "432");
    let none = format!(
        "SELECT * FROM strata.detect_anomalies_joint('readings', {}, by => 'all', training => '0')",
        range(&database)
    );
    let refusal = database.refusal(&none);
    assert_eq!((refusal.sqlstate.as_str(), refusal.hint.is_empty()), ("22023", false), "{refusal:?}");
    for (more, sqlstate) in [
        ("by => 'node'", "22023"),
        ("step => '0'", "22023"),
        ("hold => -1", "22023"),
        ("training => '-1 day'", "22023"),
        ("options => '{\"x\": 1}'", "22023"),
        ("measures => '{depth}'", "42703"),
        ("model => 'unknown'", "42704"),
    ] {
        let refusal = database
            .refusal(&format!("SELECT * FROM strata.detect_anomalies_joint('readings', {}, {more})", range(&database)));
        assert_eq!(refusal.sqlstate, sqlstate, "{more}: {refusal:?}");
    }
}

#[test]
fn the_scores_of_a_shorter_range_are_those_of_the_longer_one() {
    let database = network();
    for more in ["", ", by => 'all', step => '10 min', hold => 2"] {
        let until = |days_ago: i32| {
            database.ask(&format!(
                "SELECT {ALL} FROM strata.detect_anomalies_joint('readings', {}, {}, training => '7 days'{more}) WHERE time < {}",
                database.day(3),
                database.day(days_ago),
                database.day(1)
            ))
        };
        assert_eq!(until(1), until(0), "{more}");
    }
}

#[test]
fn a_stored_model_judges_as_the_one_fitted_at_once() {
    let database = network();
    let training = format!("{}, {}", database.day(10), database.day(3));
    for more in
        ["", ", by => 'all', step => '10 min', hold => 1", ", by => 'key', options => '{\"preset\": \"hourly\"}'"]
    {
        let trained = database.count(&format!("SELECT strata.train_joint('readings', 'network', {training}{more})"));
        assert_eq!(trained, if more.contains("all") { 1 } else { 3 });
        let fitted = judged(&database, ALL, &format!("{more}, training => '7 days'"));
        assert_eq!(judged(&database, ALL, ", model => 'network', training => '0'"), fitted, "{more}");
    }
    assert_eq!(
        database.ask("SELECT string_agg(key || version || trained_rows, ' ' ORDER BY key) FROM strata.joint_models"),
        "A31008 B31008 C31008"
    );
    assert_eq!(judged(&database, "string_agg(DISTINCT key, ' ')", ", model => 'network', keys => '{A,B}'"), "A B");
    // with the day before the range, a model begins where the range does
    let anomalies = "string_agg(DISTINCT key, ' ') FILTER (WHERE is_anomaly)";
    assert_eq!(judged(&database, anomalies, ", model => 'network'"), "A");
    let refusal = database.refusal(&format!(
        "SELECT * FROM strata.detect_anomalies_joint('readings', {}, model => 'network', measures => '{{flow}}')",
        range(&database)
    ));
    assert_eq!(refusal.sqlstate, "22023");
}

#[test]
fn a_refit_takes_a_later_time_and_keeps_what_it_cannot_train() {
    let database = network();
    let training = format!("{}, {}", database.day(10), database.day(3));
    database.run(&format!("SELECT strata.train_joint('readings', 'network', {training})"));
    database.run(&format!("DELETE FROM readings WHERE key = 'C' AND time >= {}", database.day(8)));
    assert_eq!(database.count(&format!("SELECT strata.refit_joint('network', {})", database.day(1))), 2);
    let versions = format!(
        "SELECT string_agg(concat(key, version, ' ', trained_to = {}, ' ', trained_to - trained_from), ', ' ORDER BY key)
         FROM strata.joint_models",
        database.day(1)
    );
    assert_eq!(database.ask(&versions), "A2 t 7 days, B2 t 7 days, C1 f 7 days");
    assert_eq!(database.refusal("SELECT strata.refit_joint('unknown')").sqlstate, "42704");
    let refusal = database.refusal("SELECT strata.train_joint('readings', 'x', '2000-01-01', '2000-01-02')");
    assert_eq!((refusal.sqlstate.as_str(), refusal.hint.is_empty()), ("22023", false), "{refusal:?}");
    database.run(
        "CREATE TABLE other (time timestamptz, key text, value float8, PRIMARY KEY (key, time));
                  INSERT INTO other SELECT to_timestamp(n), 'A', n * 7919 % 100 FROM generate_series(1, 200) n;
                  SELECT strata.attach('other', 'time', 'key', hot => NULL)",
    );
    let taken = "SELECT strata.train_joint('other', 'network', '1970-01-01', '1970-01-02')";
    assert_eq!(database.refusal(taken).sqlstate, "42710");
    database.run("SELECT strata.detach('readings')");
    assert_eq!(database.count("SELECT count(*) FROM strata.joint_models"), 0);
}

#[test]
fn rows_and_models_have_the_rights_of_the_table() {
    let database = network();
    let range = range(&database);
    let training = format!("{}, {}", database.day(10), database.day(3));
    let train = format!("SELECT strata.train_joint('readings', 'network', {training})");
    database.run(&train);
    let reader = format!("{}_reader", database.name);
    let operator = format!("{}_operator", database.name);
    database
        .run(&format!("CREATE ROLE {reader} IN ROLE strata_reader; CREATE ROLE {operator} IN ROLE strata_operator"));
    let fresh = format!("SELECT * FROM strata.detect_anomalies_joint('readings', {range})");
    let stored = format!("SELECT * FROM strata.detect_anomalies_joint('readings', {range}, model => 'network')");
    let as_role = |role: &str, sql: &str| format!("SET ROLE {role}; {sql}");
    for (role, sql) in [
        (&reader, &fresh),
        (&reader, &stored),
        (&operator, &train),
        (&operator, &"SELECT strata.refit_joint('network')".to_owned()),
    ] {
        assert_eq!(database.refusal(&as_role(role, sql)).sqlstate, "42501", "{sql}");
    }
    database.run(&format!("GRANT SELECT ON readings TO {reader}, {operator}"));
    database.run(&as_role(&reader, &fresh));
    database.run(&as_role(&reader, &stored));
    database.run(&as_role(&operator, &train));
    assert_eq!(database.refusal(&as_role(&reader, &train)).sqlstate, "42501");
    assert_eq!(database.refusal(&as_role(&reader, "SELECT name FROM strata.joint_models")).sqlstate, "42501");
    assert_eq!(database.refusal(&as_role(&operator, "SELECT model FROM strata.joint_models")).sqlstate, "42501");
    database.run("ALTER TABLE readings ENABLE ROW LEVEL SECURITY; CREATE POLICY b ON readings USING (key = 'B')");
    let mut client = database.connect();
    client.batch_execute(&format!("SET ROLE {reader}")).unwrap();
    let keys = format!("SELECT string_agg(DISTINCT key, ' ') FROM ({fresh}) r");
    assert_eq!(client.query_one(&keys, &[]).unwrap().get::<_, String>(0), "B");
    assert_eq!(database.refusal(&as_role(&reader, &stored)).sqlstate, "42501");
    assert_eq!(database.refusal(&as_role(&operator, &train)).sqlstate, "42501");
    // who trains may forget
    database.run(&as_role(&operator, "DELETE FROM strata.joint_models WHERE name = 'network'"));
    assert_eq!(database.refusal(&stored).sqlstate, "42704");
}
