//! Detection over attached tables: all tiers, the rights of the caller, backtests against labels, and the picture.

use strata_e2e::{Database, Sensors, postgres as server, stack};

/// Ten days of two measures of the nodes A and B every ten minutes; on two of them the flow of A is four times, then
/// sixteen times the usual for two hours.
fn fill(database: &Database) {
    database.run(&format!(
        "INSERT INTO readings
         SELECT t, key, (50 + 10 * sin(extract(epoch FROM t) * 2 * pi() / 86400 + ascii(key))
                         + (extract(epoch FROM t) / 600)::bigint * 7919 % 100 / 100.0)
                        * CASE WHEN key = 'A' AND t BETWEEN {burst} AND {burst} + interval '2 h' THEN 4
                               WHEN key = 'A' AND t BETWEEN {second} AND {second} + interval '2 h' THEN 16 ELSE 1 END
         FROM generate_series({first}, {last} - interval '1 s', interval '10 min') t, unnest(ARRAY['B', 'A']) key",
        burst = noon(database, 4),
        second = noon(database, 2),
        first = database.day(10),
        last = database.day(0),
    ));
}

fn noon(database: &Database, days_ago: i32) -> String {
    format!("({} + interval '12 h')", database.day(days_ago))
}

fn network() -> Database {
    let database = Database::create(server());
    database.create_readings();
    database.attach("");
    fill(&database);
    database
}

fn range(database: &Database) -> String {
    format!("{}, {}", database.day(10), database.day(0))
}

#[test]
fn every_reading_of_every_series_is_judged_as_if_it_were_alone() {
    let database = network();
    let (range, rows) = (range(&database), database.count("SELECT count(*) FROM readings"));
    assert_eq!(database.count(&format!("SELECT count(*) FROM strata.detect_anomalies('readings', {range})")), rows);
    let different = format!(
        "SELECT count(*) FROM strata.detect_anomalies('readings', {range}) a
         FULL JOIN (SELECT key, d.* FROM (SELECT key, array_agg(time ORDER BY time) AS t, array_agg(value ORDER BY time) AS v
                                          FROM readings GROUP BY key) r, strata.detect(t, v) d) d USING (key, time)
         WHERE (a.value, a.score, a.is_anomaly) IS DISTINCT FROM (d.value, d.score, d.is_anomaly)
            OR (a.expected, a.lower, a.upper, a.reason) IS DISTINCT FROM (d.expected, d.lower, d.upper, d.reason)"
    );
    assert_eq!(database.count(&different), 0);
    let days = format!(
        "SELECT string_agg(DISTINCT key || ' ' || (time AT TIME ZONE 'UTC')::date, ', ') FROM strata.detect_anomalies('readings', {range})
         WHERE is_anomaly AND time >= {}",
        database.day(5)
    );
    assert_eq!(database.ask(&days), format!("A {}, A {}", database.date(4), database.date(2)));
}

#[test]
fn keys_measures_method_and_options_narrow_it_down() {
    let database = network();
    let range = range(&database);
    let ask = |what: &str, more: &str| {
        database.ask(&format!("SELECT {what} FROM strata.detect_anomalies('readings', {range}{more})"))
    };
    assert_eq!(ask("string_agg(DISTINCT key || measure, ' ')", ", keys => '{B}', measures => '{value}'"), "Bvalue");
    let limits = ", method => 'limits', options => '{\"upper\": 100}'";
    let above = database.count("SELECT count(*) FROM readings WHERE value > 100");
    assert_eq!(ask("count(*) FILTER (WHERE is_anomaly)", limits), above.to_string());
    assert_eq!(ask("string_agg(DISTINCT reason || reason_upper, ' ')", limits), "above_limit100");
    assert_eq!(database.ask("SELECT count(*) FROM strata.detect_anomalies('readings', NULL, NULL)"), "0");
    let refusal = |relation: &str, more: &str| {
        database.refusal(&format!("SELECT * FROM strata.detect_anomalies('{relation}', {range}{more})"))
    };
    assert_eq!(refusal("readings", ", measures => '{depth}'").sqlstate, "42703");
    assert_eq!(refusal("readings", ", method => 'z'").sqlstate, "22023");
    assert_eq!(refusal("pg_class", "").sqlstate, "42704");
}

#[test]
fn detection_spans_the_tiers() {
    let database = stack().database();
    database.attach_three_tiers();
    fill(&database);
    let detect = format!(
        "SELECT md5(string_agg(concat_ws(' ', key, time, value, score), ',' ORDER BY key, time))
         FROM strata.detect_anomalies('readings', {}, {})",
        database.day(10),
        database.day(-1)
    );
    let mut sensors = Sensors::of(&stack().redis, &database);
    sensors.send("A", database.midnight(0), 1000.0);
    let (anomalies, before) = (newest(&database), database.ask(&detect));
    assert_eq!(anomalies, "A 1000 t");
    database.job("archive");
    assert!(database.count("SELECT count(*) FROM strata.manifest WHERE state = 'dropped'") >= 6);
    assert_eq!(database.ask(&detect), before);
    let backtest = format!("SELECT count(*) FROM strata.backtest('readings', {})", range(&database));
    assert!(database.count(&backtest) >= 2);
    // the picture of the last days does not ask BigQuery for what only teaches
    let reader = format!("{}_reader", database.name);
    database.run(&format!("CREATE ROLE {reader} IN ROLE strata_reader; GRANT SELECT ON readings TO {reader}"));
    let plot = |from: i32| {
        format!(
            "SET ROLE {reader}; SELECT strata.plot_anomalies('readings', 'A', 'value', {}, {})",
            database.day(from),
            database.day(-1)
        )
    };
    database.run(&plot(2));
    assert_eq!(database.refusal(&plot(8)).sqlstate, "42501");
}

fn newest(database: &Database) -> String {
    database.ask(&format!(
        "SELECT concat_ws(' ', key, value, is_anomaly) FROM strata.detect_anomalies('readings', {}, {}) ORDER BY time DESC LIMIT 1",
        database.day(10),
        database.day(-1)
    ))
}

#[test]
fn the_caller_sees_what_a_query_on_the_table_would_show() {
    let database = network();
    let range = range(&database);
    let reader = format!("{}_reader", database.name);
    database.run(&format!("CREATE ROLE {reader} IN ROLE strata_reader"));
    let calls = [
        format!("SELECT * FROM strata.detect_anomalies('readings', {range})"),
        format!("SELECT * FROM strata.backtest('readings', {range})"),
        format!("SELECT * FROM strata.backtest_score('readings', {range}, ranges => '{{}}')"),
        format!("SELECT strata.plot_anomalies('readings', 'A', 'value', {range})"),
    ];
    for sql in &calls {
        assert_eq!(database.refusal(&format!("SET ROLE {reader}; {sql}")).sqlstate, "42501", "{sql}");
    }
    database.run(&format!("GRANT SELECT ON readings TO {reader}"));
    for sql in &calls {
        database.run(&format!("SET ROLE {reader}; {sql}"));
    }
    database.run("ALTER TABLE readings ENABLE ROW LEVEL SECURITY; CREATE POLICY b ON readings USING (key = 'B')");
    let mut client = database.connect();
    client.batch_execute(&format!("SET ROLE {reader}")).unwrap();
    let keys = format!("SELECT string_agg(DISTINCT key, ' ') FROM strata.detect_anomalies('readings', {range})");
    assert_eq!(client.query_one(&keys, &[]).unwrap().get::<_, String>(0), "B");
    // labels are read with the caller's rights, too
    database.run("CREATE TABLE labels (key text, from_time timestamptz, to_time timestamptz)");
    let labelled = format!("SET ROLE {reader}; SELECT * FROM strata.backtest('readings', {range}, labels => 'labels')");
    assert_eq!(database.refusal(&labelled).sqlstate, "42501");
}

#[test]
fn a_backtest_raises_the_events_that_the_job_raises() {
    let database = network();
    database.job("anomaly_detection");
    let columns = "key, measure, severity, started_at, ended_at, peak_at, peak_score, peak_value, expected, lower, upper, explain";
    let different = format!(
        "SELECT count(*) || ' ' || count(*) FILTER (WHERE (b.*) IS DISTINCT FROM (e.*)) FROM
             (SELECT {columns} FROM strata.backtest('readings', {})) b
         FULL JOIN (SELECT {} FROM strata.anomalies) e ON b.key = e.key AND b.started_at = e.started_at",
        range(&database),
        columns.replace("measure,", "measure::text COLLATE \"default\",")
    );
    let answer = database.ask(&different);
    let (events, different) = answer.split_once(' ').unwrap();
    assert!(events.parse::<i64>().unwrap() >= 2, "{answer}");
    assert_eq!(different, "0", "{answer}");
}

#[test]
fn labels_tell_hits_from_false_alarms_and_what_was_missed() {
    let database = network();
    let (first, second) = (noon(&database, 4), noon(&database, 2));
    database.run(&format!(
        "CREATE TABLE labels (node text, began timestamptz, ended timestamptz, note text);
         INSERT INTO labels VALUES ('A', {first} - interval '20 min', {first} + interval '3 h', 'burst'),
                                   ('B', {first}, {first} + interval '3 h', 'nothing to see'),
                                   ('A', {first} - interval '30 days', {first} - interval '29 days', 'before the range')"
    ));
    let test = |what: &str, more: &str| {
        format!(
            "SELECT {what} FROM strata.backtest('readings', {}, method => 'limits', options => '{{\"upper\": 100}}'{more})",
            range(&database)
        )
    };
    let lines = "string_agg(concat_ws(' ', key, outcome, delay), ', ' ORDER BY started_at, key)";
    assert_eq!(database.ask(&test(lines, "")), "A, A");
    assert_eq!(database.ask(&test(lines, ", labels => 'labels'")), "A hit 00:20:00, B missed, A false alarm");
    let score = |labels: &str| {
        database.ask(&format!(
            "SELECT concat_ws(' ', events, hits, false_alarms, labels_given, found, missed, precision, recall, f1, mean_delay, longest_delay)
             FROM strata.backtest_score('readings', {}, method => 'limits', options => '{{\"upper\": 100}}', {labels})",
            range(&database)
        ))
    };
    assert_eq!(score("labels => 'labels'"), "2 1 1 2 1 1 0.5 0.5 0.5 00:20:00 00:20:00");
    assert_eq!(score("labels => 'labels', keys => '{A}'"), "2 1 1 1 1 0 0.5 1 0.6666666666666666 00:20:00 00:20:00");
    // ranges hold for whatever series
    let ranges = format!(
        "ranges => ARRAY[tstzrange({first}, {first} + interval '1 h'), tstzrange({second} + interval '1 h', NULL), 'empty']"
    );
    assert_eq!(score(&ranges), "2 2 0 2 2 0 1 1 1 00:00:00 00:00:00");
    assert_eq!(score("keys => '{B}', ranges => '{}'"), "0 0 0 0 0 0");
    let refusal = database.refusal(&format!("SELECT * FROM strata.backtest_score('readings', {})", range(&database)));
    assert_eq!((refusal.sqlstate.as_str(), refusal.hint.is_empty()), ("22004", false), "{refusal:?}");
    database.run("CREATE TABLE narrow (key text, began timestamptz)");
    let refusal = database.refusal(&test("*", ", labels => 'narrow'"));
    assert_eq!((refusal.sqlstate.as_str(), refusal.hint.is_empty()), ("42P16", false), "{refusal:?}");
}

#[test]
fn what_comes_before_the_range_teaches_if_asked_to() {
    let database = network();
    let whole = range(&database);
    let last = format!("{}, {}", database.day(3), database.day(0));
    let judged = |range: &str, more: &str| {
        database.ask(&format!(
            "SELECT count(*) || md5(string_agg(concat_ws(' ', key, time, score, expected), ',' ORDER BY key, time))
             FROM strata.detect_anomalies('readings', {range}{more}) WHERE time >= {}",
            database.day(3)
        ))
    };
    assert_eq!(judged(&last, ", learn => '7 days'"), judged(&whole, ""));
    assert_ne!(judged(&last, ""), judged(&whole, ""));
    let raised = |range: &str, more: &str| {
        database.ask(&format!(
            "SELECT string_agg(concat_ws(' ', key, started_at, peak_score), ',') FROM strata.backtest('readings', {range}{more})
             WHERE ended_at >= {}",
            database.day(3)
        ))
    };
    assert_eq!(raised(&last, ", learn => '7 days'"), raised(&whole, ""));
    assert_eq!(
        database.ask(&format!(
            "SELECT events FROM strata.backtest_score('readings', {last}, learn => '7 days', ranges => '{{}}')"
        )),
        "1"
    );
}

#[test]
fn an_event_that_goes_on_has_no_end() {
    let database = network();
    let ended = database.ask(&format!(
        "SELECT string_agg((ended_at IS NOT NULL)::text, ' ' ORDER BY started_at)
         FROM strata.backtest('readings', {}, {} + interval '1 h', method => 'limits', options => '{{\"upper\": 100}}')",
        database.day(10),
        noon(&database, 2)
    ));
    assert_eq!(ended, "true false");
}

#[test]
fn the_picture_is_an_svg_of_the_series_with_its_events() {
    let database = network();
    let plot = |arguments: &str| format!("SELECT strata.plot_anomalies('readings', {arguments})");
    let last_days = format!("{}, {}", database.day(5), database.day(0));
    let svg = database.ask(&plot(&format!("'A', 'value', {last_days}")));
    assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"), "{}", &svg[..200]);
    for text in ["value of A", "time (UTC)", "score", "expected", "usual band"] {
        assert!(svg.contains(text), "{text}");
    }
    // one circle marks the peak of an event
    assert_eq!(svg.matches("<circle").count(), 2);
    assert_eq!(database.ask(&plot(&format!("'B', 'value', {last_days}"))).matches("<circle").count(), 0);
    assert!(database.ask(&plot("'A', 'value', '-infinity', 'infinity'")).contains("<polyline"));
    let refusal = database.refusal(&plot(&format!("'C', 'value', {last_days}")));
    assert_eq!((refusal.sqlstate.as_str(), refusal.hint.is_empty()), ("P0002", false), "{refusal:?}");
    assert_eq!(database.refusal(&plot(&format!("'A', 'depth', {last_days}"))).sqlstate, "42703");
}
