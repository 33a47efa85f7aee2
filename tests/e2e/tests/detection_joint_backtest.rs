//! What the joint detector would have raised, as events and against labels.

use strata_e2e::{Database, postgres as server};

/// Ten days of flow and pressure of the nodes A and B every ten minutes; on the second day before the last the pressure of A
/// does not follow its flow for three hours.
fn network() -> Database {
    let database = Database::create(server());
    database.run(&format!(
        "CREATE TABLE readings (time timestamptz NOT NULL, key text NOT NULL, flow float8, pressure float8, UNIQUE (key, time));
         INSERT INTO readings
         SELECT t, key, flow, 8 - flow / 20 + n * 104729 % 97 / 200.0
                    + CASE WHEN key = 'A' AND t BETWEEN {fault} AND {fault} + interval '3 h' THEN 3 ELSE 0 END
         FROM (SELECT n, {first} + n * interval '10 min' AS t, key, 50 + 10 * sin(n * pi() / 72 + ascii(key)) + n * 7919 % 100 / 50.0 AS flow
               FROM generate_series(0, 1439) n, unnest(ARRAY['A', 'B']) key) r;
         SELECT strata.attach('readings', 'time', 'key', hot => NULL);
         CREATE TABLE incidents AS
             SELECT 'A' AS key, {fault} - interval '10 min' AS began, {fault} + interval '3 h' AS ended
             UNION ALL SELECT 'B', {fault}, {fault} + interval '1 h'",
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

fn events(database: &Database, what: &str, more: &str) -> String {
    database.ask(&format!(
        "SELECT string_agg(concat_ws(' ', {what}), ', ' ORDER BY started_at, key) FROM strata.backtest_joint('readings', {}{more})",
        range(database)
    ))
}

#[test]
fn an_event_is_the_rows_of_one_alarm() {
    let database = network();
    for more in
        ["", ", by => 'all', step => '10 min'", ", training_rows => 150", ", keys => '{A}', options => '{\"hold\": 3}'"]
    {
        let alarms = database.ask(&format!(
            "SELECT string_agg(concat_ws(' ', first, nullif(last, newest), n, peak), ', ' ORDER BY first, key)
             FROM (SELECT key, min(time) AS first, max(time) AS last, count(*) AS n, max(score) AS peak, max(newest) AS newest
                   FROM (SELECT *, count(*) FILTER (WHERE NOT is_anomaly) OVER (PARTITION BY key ORDER BY time) AS alarm,
                                max(time) OVER (PARTITION BY key) AS newest
                         FROM strata.detect_anomalies_joint('readings', {}{more}) WHERE score IS NOT NULL) rows
                   WHERE is_anomaly GROUP BY key, alarm) alarms",
            range(&database)
        ));
        assert!(!alarms.is_empty(), "{more}");
        assert_eq!(
            events(&database, "started_at, ended_at, explain -> 'rows_in_alarm', peak_score", more),
            alarms,
            "{more}"
        );
    }
    let first = format!(
        "key, measure, severity, started_at - {}, explain ->> 'reason', peak_value > expected + 2",
        fault(&database)
    );
    assert_eq!(events(&database, &first, ""), "A pressure warning 00:10:00 joint_level t");
}

#[test]
fn an_event_is_told_with_the_sensors_that_stand_out() {
    let database = network();
    let alone = events(&database, "explain ->> 'text'", "");
    let told = |text: &str, name: &str| {
        let parts: Vec<&str> = text.split("; ").collect();
        assert!(parts[0].starts_with(name) && parts.len() <= 3, "{text}");
        let words: Vec<&str> = parts[0].strip_prefix(name).unwrap().split([' ', ',']).collect();
        let [
            measured,
            "where",
            expected,
            "was",
            "expected",
            "",
            "lately",
            "off",
            "by",
            off,
            "",
            "usual",
            lower,
            "to",
            upper,
        ] = words.as_slice()
        else {
            panic!("{words:?}")
        };
        let [measured, expected, off, lower, upper]: [f64; 5] =
            [measured, expected, off, lower, upper].map(|number| number.parse().unwrap());
        assert!(measured > expected + 1.0 && off > upper && upper > lower, "{text}");
    };
    told(&alone, "pressure ");
    let together = events(&database, "explain ->> 'text'", ", by => 'all', step => '10 min'");
    told(&together, "pressure of A ");
    assert!(together.contains("; pressure of B "), "{together}");
}

#[test]
fn an_alarm_that_lasts_is_open_and_one_that_began_before_is_told_with_its_start() {
    let database = network();
    let training = format!("{}, {}", database.day(10), database.day(3));
    database.run(&format!("SELECT strata.train_joint('readings', 'network', {training})"));
    let during = format!("{f} + interval '1 h', {f} + interval '2 h'", f = fault(&database));
    let event = database.ask(&format!(
        "SELECT string_agg(concat_ws(' ', key, started_at BETWEEN {f} AND {f} + interval '20 min', ended_at), ', ')
         FROM strata.backtest_joint('readings', {during}, model => 'network')",
        f = fault(&database)
    ));
    assert_eq!(event, "A t");
    assert_eq!(
        events(&database, "key, measure", ", model => 'network'"),
        events(&database, "key, measure", ", training => '7 days'")
    );
}

#[test]
fn events_meet_labels_of_their_keys_and_of_any_where_all_are_judged_together() {
    let database = network();
    let labelled = ", labels => 'incidents'";
    assert_eq!(events(&database, "key, outcome, delay", labelled), "B missed, A hit 00:20:00");
    let score = |more: &str| {
        database.ask(&format!(
            "SELECT concat_ws(' ', events, hits, false_alarms, labels_given, found, missed, precision, recall, mean_delay)
             FROM strata.backtest_score_joint('readings', {}{more})",
            range(&database)
        ))
    };
    assert_eq!(score(labelled), "1 1 0 2 1 1 1 0.5 00:20:00");
    assert_eq!(score(&format!("{labelled}, keys => '{{A}}'")), "1 1 0 1 1 0 1 1 00:20:00");
    let together = format!("{labelled}, by => 'all', step => '10 min'");
    assert_eq!(events(&database, "key, outcome, delay", &together), "A hit 00:20:00");
    let quiet = format!(", ranges => ARRAY[tstzrange({d}, {d} + interval '1 h')]", d = database.day(1));
    assert_eq!(events(&database, "coalesce(key, '-'), outcome", &quiet), "A false alarm, - missed");
    let refusal = database.refusal(&format!("SELECT strata.backtest_score_joint('readings', {})", range(&database)));
    assert_eq!((refusal.sqlstate.as_str(), refusal.hint.is_empty()), ("22004", false), "{refusal:?}");
}
