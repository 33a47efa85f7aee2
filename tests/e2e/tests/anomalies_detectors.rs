//! Each measure is watched by what was set for it, by severity rules of its own, and maintenance windows keep quiet.

use std::time::Duration;

use postgres::fallible_iterator::FallibleIterator;
use strata_e2e::{Database, postgres as server};

/// Two measures of two keys, every ten minutes of the days 20 to 1 ago: a daily rhythm, which nothing disturbs yet.
fn readings() -> Database {
    let database = Database::create(server());
    database.run(
        "CREATE TABLE readings (time timestamptz, key text, flow float8, pressure float8, PRIMARY KEY (key, time))",
    );
    database.attach("");
    database.run(&format!(
        "INSERT INTO readings
         SELECT t, k, 50 + 10 * sin(extract(epoch FROM t) * 2 * pi() / 86400) + (extract(epoch FROM t) / 600)::bigint * 7919 % 100 / 100.0,
                4 + (extract(epoch FROM t) / 600)::bigint * 104729 % 100 / 100.0
         FROM generate_series({}, {} - interval '1 s', interval '10 min') t, unnest(ARRAY['A', 'B']) k",
        database.day(20),
        database.day(0)
    ));
    database
}

/// Key A from noon of a day on, for some hours.
fn disturb(database: &Database, set: &str, day: i32, hours: i32) {
    database.run(&format!(
        "UPDATE readings SET {set} WHERE key = 'A' AND time >= {d} + interval '12 h' AND time < {d} + interval '{} h'",
        12 + hours,
        d = database.day(day)
    ));
}

/// The events of the days that a test disturbs: what a detector raises before it knows the rhythm does not matter.
fn events(database: &Database, columns: &str) -> String {
    database.ask(&format!(
        "SELECT string_agg(concat_ws(' ', {columns}), ', ' ORDER BY started_at, method)
         FROM strata.anomalies WHERE started_at >= {}",
        database.day(8)
    ))
}

const WHERE: &str = "key, measure, method";

#[test]
fn several_methods_watch_one_measure_and_each_says_why() {
    let database = readings();
    database.run(
        "SELECT strata.set_detector('readings', 'flow', 'limits', '{\"lower\": 0, \"upper\": 1000}', since => '-infinity');
         SELECT strata.set_detector('readings', NULL, 'flat_line', since => '-infinity');
         SELECT strata.drop_detector('readings', 'pressure')",
    );
    disturb(&database, "flow = 1500", 6, 1);
    disturb(&database, "pressure = 4.25", 4, 10);
    database.job("anomaly_detection");
    assert_eq!(
        events(
            &database,
            "key, measure, method, severity, detector_version, regexp_replace(explain ->> 'text', 'so far [0-9. to]+', 'so far …')"
        ),
        "A flow limits critical 1 value 1500 above the limit 1000, \
         A flow range_novelty critical 1 value 1500, so far …, \
         A pressure flat_line critical 1 value 4.25 for 60 samples, usual at most 12"
    );
}

#[test]
fn a_detector_that_is_set_later_learns_from_before_and_raises_what_is_not_over() {
    let database = readings();
    disturb(&database, "pressure = 4.25", 6, 10);
    disturb(&database, "pressure = 4.5", 1, 12);
    database.run("SELECT strata.drop_detector('readings', NULL)");
    database.job("anomaly_detection");
    assert_eq!(events(&database, WHERE), "");
    let since = database.day(0);
    database.run(&format!(
        "SELECT strata.set_detector('readings', 'pressure', 'flat_line', since => {since} - interval '1 h')"
    ));
    assert!(database.job("anomaly_detection").0 > 0);
    let last = format!("A pressure flat_line {}", database.date(1));
    let days = "key, measure, method, (started_at AT TIME ZONE 'UTC')::date";
    assert_eq!(events(&database, days), last);
    assert_eq!(database.job("anomaly_detection").0, 0, "it has learned");
    // a script may be run again
    database.run("SELECT strata.set_detector('readings', 'pressure', 'flat_line')");
    assert_eq!(database.job("anomaly_detection").0, 0);
    database.run("SELECT strata.set_detector('readings', 'pressure', 'flat_line', since => '-infinity')");
    database.job("anomaly_detection");
    assert_eq!(events(&database, days), format!("A pressure flat_line {}, {last}", database.date(6)));
}

#[test]
fn a_changed_detector_keeps_the_incidents_that_it_still_sees() {
    let database = readings();
    disturb(&database, "flow = 100 + extract(minute FROM time)", 6, 3);
    disturb(&database, "flow = 200 + extract(minute FROM time)", 4, 3);
    database.run("SELECT strata.drop_detector('readings', NULL)");
    let set = |upper: i32| {
        database.run(&format!(
            "SELECT strata.set_detector('readings', 'flow', 'limits', '{{\"upper\": {upper}}}', since => '-infinity')"
        ));
        database.job("anomaly_detection");
        events(&database, "anomaly_id, detector_version")
    };
    let first = set(90);
    let numbers: Vec<i64> = first.split(", ").map(|event| event.split(' ').next().unwrap().parse().unwrap()).collect();
    let [one, two] = numbers[..] else { panic!("{first}") };
    assert_eq!(first, format!("{one} 1, {two} 1"));
    // the first values of both are allowed now: the incidents begin later and are the same
    assert_eq!(set(125), format!("{one} 2, {two} 2"));
    assert_eq!(set(180), format!("{two} 3"));
    database.run("SELECT strata.drop_detector('readings', 'flow', 'limits')");
    database.job("anomaly_detection");
    assert_eq!(events(&database, "anomaly_id, detector_version"), format!("{two} 3"), "its events stay");
    assert_eq!(database.count("SELECT count(*) FROM strata.detector_states"), 0);
}

#[test]
fn severity_follows_the_lines_of_the_detector() {
    let database = readings();
    disturb(&database, "flow = flow * 5", 6, 1);
    database.run("SELECT strata.drop_detector('readings', NULL)");
    let severity = |lines: &str| {
        database
            .run(&format!("SELECT strata.set_detector('readings', 'flow', 'robust_z', since => '-infinity'{lines})"));
        database.job("anomaly_detection");
        events(&database, "severity")
    };
    assert_eq!(severity(", critical => 1000"), "warning");
    assert_eq!(severity(", warning => 900, critical => 1000"), "info");
    assert_eq!(severity(", warning => 1, critical => 1"), "critical");
}

#[test]
fn silence_is_an_event_though_no_reading_comes() {
    let database = readings();
    database.run("SELECT strata.drop_detector('readings', NULL)");
    database.job("anomaly_detection");
    database.run("SELECT strata.set_detector('readings', 'flow', 'gap')");
    // B goes on until now, A has been silent since midnight
    database.run(&format!(
        "DELETE FROM readings WHERE key = 'A' AND time >= {0};
         INSERT INTO readings SELECT t, 'B', 50, 4 FROM generate_series({0}, now(), interval '10 min') t ON CONFLICT DO NOTHING",
        format_args!("{} - interval '6 h'", database.day(0))
    ));
    database.job("anomaly_detection");
    let open = "SELECT string_agg(concat_ws(' ', key, measure, method, severity, why ~ '^no value for [0-9dhmin ]+, usual at most 30 min$'), ', ')
         FROM strata.open_anomalies";
    assert_eq!(database.ask(open), "A flow gap critical t");
    // the readings that come again are looked at in their place, and the silence remains one event
    database.run("INSERT INTO readings SELECT t, 'A', 50, 4 FROM generate_series(now() - interval '30 min', now(), interval '10 min') t");
    database.job("anomaly_detection");
    assert_eq!(database.count("SELECT count(*) FROM strata.anomalies"), 1);
}

#[test]
fn what_begins_and_ends_in_a_maintenance_window_is_told_to_nobody() {
    let database = readings();
    database.run(
        "SELECT strata.drop_detector('readings', NULL);
         SELECT strata.set_detector('readings', 'flow', 'limits', '{\"upper\": 90}', hold => '1 h', since => '-infinity')",
    );
    let window = |day: i32, hours: i32, more: &str| {
        database.count(&format!(
            "SELECT strata.suppress('readings', {d} + interval '11 h', {d} + interval '{} h'{more})",
            11 + hours,
            d = database.day(day)
        ))
    };
    window(6, 5, ", keys => ARRAY['A'], measures => ARRAY['flow'], reason => 'pump exchanged'");
    window(5, 2, "");
    window(4, 5, ", keys => ARRAY['B']");
    let all = window(3, 5, "");
    let mut listener = database.connect();
    listener.batch_execute("LISTEN strata_anomaly").unwrap();
    for day in 3..=6 {
        disturb(&database, "flow = 100", day, 3);
    }
    database.job("anomaly_detection");
    let mut told = || -> Vec<String> {
        let mut notifications = listener.notifications();
        let mut notifications = notifications.timeout_iter(Duration::from_millis(500));
        let mut payloads = Vec::new();
        while let Some(notification) = notifications.next().unwrap() {
            let payload: serde_json::Value = serde_json::from_str(notification.payload()).unwrap();
            assert_eq!(payload["why"], "value 100 above the limit 90", "{payload}");
            payloads.push(payload["started_at"].as_str().unwrap()[.."2026-01-01".len()].to_owned());
        }
        payloads
    };
    // of day 5 it outlasts its window, of day 4 the window is for another key
    assert_eq!(told(), [database.date(5), database.date(4)]);
    let days = "(started_at AT TIME ZONE 'UTC')::date, suppressed";
    let expected =
        [6, 5, 4, 3].map(|day| format!("{} {}", database.date(day), if day == 6 || day == 3 { "t" } else { "f" }));
    assert_eq!(events(&database, days), expected.join(", "));
    // the window is taken back: now it is told
    database.run(&format!("DELETE FROM strata.suppressions WHERE suppression_id = {all}"));
    database.job("anomaly_detection");
    assert_eq!(told(), [database.date(3)]);
}

#[test]
fn a_window_without_an_end_lasts_until_it_is_ended() {
    let database = readings();
    let number = database.count("SELECT strata.suppress('readings', reason => 'the whole network')");
    let lasts = "SELECT concat_ws(' ', ends_at = 'infinity', starts_at < ends_at, made_by = current_user) FROM strata.suppressions";
    assert_eq!(database.ask(lasts), "t t t");
    database.run(&format!("SELECT strata.end_suppression({number})"));
    assert_eq!(database.ask(lasts), "f t t");
    let later = database.count("SELECT strata.suppress('readings', now() + interval '1 day')");
    database.run(&format!("SELECT strata.end_suppression({later})"));
    assert_eq!(database.count("SELECT count(*) FROM strata.suppressions"), 1, "it never began");
    assert_eq!(database.refusal(&format!("SELECT strata.end_suppression({later})")).sqlstate, "P0002");
    assert_eq!(database.refusal("SELECT strata.suppress('readings', '2026-01-02', '2026-01-01')").sqlstate, "22023");
}

#[test]
fn what_makes_no_sense_is_refused_when_it_is_set() {
    let database = readings();
    for (arguments, sqlstate, message) in [
        ("'flow', 'z_score'", "22023", "unknown detection method \"z_score\""),
        ("'flow', 'gap', '{\"widow\": 1}'", "22023", "unknown option \"widow\" of gap"),
        ("'flow', 'limits'", "22023", "limits needs the option \"lower\", \"upper\" or \"preset\""),
        ("'speed', 'gap'", "42703", "\"speed\" is not a measure of source"),
        ("'flow', 'gap', warning => 0.5", "22023", "the score of a warning must be at least 1"),
        ("'flow', 'gap', hold => '-1 h'", "22023", "the hold of an event must not be negative"),
        ("'flow', 'gap', learn => '-1 h'", "22023", "learn must not be negative"),
    ] {
        let refusal = database.refusal(&format!("SELECT strata.set_detector('readings', {arguments})"));
        assert_eq!(refusal.sqlstate, sqlstate, "{refusal:?}");
        assert!(refusal.message.starts_with(message), "{refusal:?}");
    }
    assert_eq!(database.refusal("SELECT strata.drop_detector('readings', 'flow', 'gap')").sqlstate, "42704");
    assert_eq!(database.count("SELECT count(*) FROM strata.detectors"), 0);
}

#[test]
fn an_operator_who_may_not_read_the_table_sets_nothing() {
    let database = readings();
    let operator = format!("{}_operator", database.name);
    database.run(&format!("CREATE ROLE {operator}; GRANT strata_operator TO {operator}"));
    let statements =
        ["SELECT strata.set_detector('readings', NULL, 'flat_line')", "SELECT strata.suppress('readings')"];
    for sql in statements {
        assert_eq!(database.refusal(&format!("SET ROLE {operator}; {sql}")).sqlstate, "42501", "{sql}");
    }
    database.run(&format!("GRANT SELECT ON readings TO {operator}"));
    for sql in statements {
        database.run(&format!("SET ROLE {operator}; {sql}"));
    }
    assert_eq!(database.ask("SELECT string_agg(DISTINCT set_by, ',') FROM strata.detectors"), operator);
}
