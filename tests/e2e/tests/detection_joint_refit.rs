//! The job `joint_refit`: stored joint models follow their network, if somebody asked for it.

use strata_e2e::{Database, postgres as server};

/// Ten days of flow and pressure of the nodes A and B every ten minutes, and an old hour of another table.
fn network() -> Database {
    let database = Database::create(server());
    database.run(&format!(
        "CREATE TABLE readings (time timestamptz NOT NULL, key text NOT NULL, flow float8, pressure float8, UNIQUE (key, time));
         INSERT INTO readings
         SELECT {first} + n * interval '10 min', key, 50 + 10 * sin(n * pi() / 72 + ascii(key)) + n * 7919 % 100 / 50.0,
                5 + n * 104729 % 97 / 200.0
         FROM generate_series(0, 1439) n, unnest(ARRAY['A', 'B']) key;
         SELECT strata.attach('readings', 'time', 'key', hot => NULL);
         CREATE TABLE old (time timestamptz NOT NULL, key text NOT NULL, value float8, UNIQUE (key, time));
         INSERT INTO old SELECT to_timestamp(n * 10), 'A', n * 7919 % 100 FROM generate_series(1, 400) n;
         SELECT strata.attach('old', 'time', 'key', hot => NULL)",
        first = database.day(10),
    ));
    database
}

fn train(database: &Database, name: &str, more: &str) {
    let training = format!("{}, {}", database.day(10), database.day(3));
    database.run(&format!("SELECT strata.train_joint('readings', '{name}', {training}{more})"));
}

/// A model whose table has no newer rows.
fn train_on_old(database: &Database, name: &str) {
    database.run(&format!("SELECT strata.train_joint('old', '{name}', '1970-01-01', '1970-01-02', refit => true)"));
}

fn versions(database: &Database) -> String {
    database.ask("SELECT string_agg(concat(name, ' ', key, version), ', ' ORDER BY name, key) FROM strata.joint_models")
}

#[test]
fn the_models_that_ask_for_it_are_fitted_to_the_time_until_now() {
    let database = network();
    train(&database, "fixed", "");
    train(&database, "nightly", ", refit => true");
    let (rows, message) = database.job("joint_refit");
    assert_eq!(message, "nightly: 2 models");
    assert!(rows > 2 * 800, "{rows}");
    assert_eq!(versions(&database), "fixed A1, fixed B1, nightly A2, nightly B2");
    let window =
        "SELECT bool_and(trained_to - trained_from = interval '7 days' AND trained_to > now() - interval '1 min')
                  FROM strata.joint_models WHERE name = 'nightly'";
    assert_eq!(database.ask(window), "true");

    // another training keeps the wish, and it can be changed
    train(&database, "nightly", "");
    database.run("SELECT strata.alter_joint('fixed', refit => true)");
    assert_eq!(database.job("joint_refit").1, "fixed: 2 models; nightly: 2 models");
    train(&database, "fixed", ", refit => false");
    database.run("SELECT strata.alter_joint('nightly', refit => false)");
    assert_eq!(database.job("joint_refit"), (0, String::new()));
    assert_eq!(database.refusal("SELECT strata.alter_joint('unknown', true)").sqlstate, "42704");
}

#[test]
fn a_key_without_enough_rows_keeps_its_model_and_is_named() {
    let database = network();
    train(&database, "network", ", refit => true");
    database.run(&format!("DELETE FROM readings WHERE key = 'B' AND time >= {}", database.day(7)));
    assert_eq!(database.job("joint_refit").1, "network: 1 models, those of B stay as they were");
    assert_eq!(versions(&database), "network A2, network B1");
}

#[test]
fn a_model_that_fails_does_not_stop_the_others_and_is_tried_again_alone() {
    let database = network();
    train_on_old(&database, "before");
    train(&database, "network", ", refit => true");
    train_on_old(&database, "older");
    let refusal = database.job_refusal("joint_refit");
    assert_eq!(
        refusal.message,
        "refit of joint model \"before\" (and 1 more joint models): there is nothing to train on"
    );
    assert!(refusal.detail.contains("joint model \"older\": there is nothing to train on"), "{refusal:?}");
    assert_eq!((refusal.sqlstate.as_str(), refusal.hint.as_str()), ("22023", "Name a longer range."));
    assert_eq!(versions(&database), "before A1, network A2, network B2, older A1");
    let health = "SELECT status || ' ' || detail FROM strata.health() WHERE component = 'job joint_refit'";
    assert!(database.ask(health).starts_with("error failed: refit of joint model \"before\""));
    // what failed has the model that it had
    let judged = "SELECT count(score) FROM strata.detect_anomalies_joint('old', '1970-01-01', '1970-01-02', model => 'older', training => '0')";
    assert_eq!(database.count(judged), 400);

    database.run("SELECT strata.alter_joint('before', false); DROP TABLE old");
    let refusal = database.job_refusal("joint_refit");
    assert!(refusal.message.starts_with("refit of joint model \"older\": "), "{refusal:?}");
    assert_eq!(versions(&database), "before A1, network A2, network B2, older A1");
    // the next day
    database.run("UPDATE strata.job_runs SET started_at = started_at - interval '1 day' WHERE job = 'joint_refit'");
    database.run("DELETE FROM strata.joint_models WHERE name = 'older'");
    database.job("joint_refit");
    assert_eq!(versions(&database), "before A1, network A3, network B3", "another time of the schedule has come");
}

#[test]
fn a_refit_has_the_rights_of_who_asked_for_it() {
    let database = network();
    let operator = format!("{}_operator", database.name);
    database.run(&format!("CREATE ROLE {operator} IN ROLE strata_operator"));
    train(&database, "network", "");
    let ask = format!("SET ROLE {operator}; SELECT strata.alter_joint('network', true)");
    assert_eq!(database.refusal(&ask).sqlstate, "42501");
    database.run(&format!("GRANT SELECT ON readings TO {operator}"));
    database.run(&ask);
    assert_eq!(database.ask("SELECT DISTINCT refit_by FROM strata.joint_models"), operator);
    assert_eq!(database.job("joint_refit").1, "network: 2 models");
    assert_eq!(versions(&database), "network A2, network B2");
    database.run(&format!("REVOKE SELECT ON readings FROM {operator}"));
    assert_eq!(database.job_refusal("joint_refit").sqlstate, "42501");
    database.run(&format!("DROP OWNED BY {operator}; DROP ROLE {operator}"));
    let refusal = database.job_refusal("joint_refit");
    assert_eq!(refusal.message, format!("refit of joint model \"network\": role \"{operator}\" does not exist"));
    assert_eq!(versions(&database), "network A2, network B2");
    database.run("SELECT strata.alter_joint('network', true)");
    database.job("joint_refit");
    assert_eq!(versions(&database), "network A3, network B3");
}
