//! An event is told when it opens and each time it worsens while it lasts, and does not outlive its detector.

use std::time::Duration;

use postgres::Client;
use postgres::fallible_iterator::FallibleIterator;
use serde_json::Value;
use strata_e2e::{Database, postgres as server};

/// A table whose measure may be 0 to 100: 110 is information, 160 a warning, 400 critical.
fn watched() -> Database {
    let database = Database::create(server());
    database.run(
        "CREATE TABLE readings (time timestamptz, key text, value float8, PRIMARY KEY (key, time));
         SELECT strata.attach('readings', 'time', 'key', hot => NULL);
         SELECT strata.drop_detector('readings', NULL);
         SELECT strata.set_detector('readings', 'value', 'limits', '{\"lower\": 0, \"upper\": 100}', warning => 1.5, critical => 3,
             hold => '1 h', since => '-infinity')",
    );
    database
}

fn reading(database: &Database, key: &str, time: &str, value: i32) {
    database.run(&format!(
        "INSERT INTO readings VALUES ('2026-01-01 {time}+00', '{key}', {value})
         ON CONFLICT (key, time) DO UPDATE SET value = excluded.value"
    ));
}

struct Listener {
    database: Database,
    client: Client,
}

impl Listener {
    fn of(database: &Database) -> Self {
        let mut client = database.connect();
        client.batch_execute("LISTEN strata_anomaly").unwrap();
        Self { database: database.clone(), client }
    }

    /// What a run of the detection tells, in short and sorted.
    fn told(&mut self) -> Vec<String> {
        let mut told: Vec<String> = self
            .payloads()
            .iter()
            .map(|payload| {
                let words = ["key", "change", "previous_severity", "severity"].map(|name| payload[name].as_str());
                words.into_iter().flatten().collect::<Vec<_>>().join(" ")
            })
            .collect();
        told.sort();
        told
    }

    /// A notification of the test itself comes after those of the run.
    fn payloads(&mut self) -> Vec<Value> {
        self.database.job("anomaly_detection");
        self.database.run("NOTIFY strata_anomaly, 'end'");
        let mut notifications = self.client.notifications();
        let mut notifications = notifications.timeout_iter(Duration::from_secs(10));
        let mut payloads = Vec::new();
        loop {
            let notification = notifications.next().unwrap().expect("the notification of the test");
            if notification.payload() == "end" {
                return payloads;
            }
            payloads.push(serde_json::from_str(notification.payload()).unwrap());
        }
    }
}

const NOTHING: [&str; 0] = [];

#[test]
fn an_event_that_worsens_is_told_once_for_each_rise() {
    let database = watched();
    let mut listener = Listener::of(&database);
    reading(&database, "A", "00:00", 110);
    let opened = listener.payloads();
    assert_eq!((&opened[0]["change"], &opened[0]["severity"]), (&"opened".into(), &"info".into()), "{opened:?}");
    assert!(opened[0].get("previous_severity").is_none(), "{opened:?}");
    reading(&database, "A", "00:10", 120);
    assert_eq!(listener.told(), NOTHING);
    reading(&database, "A", "00:20", 160);
    let worse = listener.payloads();
    assert_eq!(worse.len(), 1);
    assert_eq!((&worse[0]["anomaly_id"], &worse[0]["change"]), (&opened[0]["anomaly_id"], &"worsened".into()));
    assert_eq!((&worse[0]["previous_severity"], &worse[0]["severity"]), (&"info".into(), &"warning".into()));
    assert_eq!((&worse[0]["value"], &worse[0]["ended_at"]), (&160.into(), &Value::Null));
    // the same rows again
    database.run("UPDATE readings SET value = value");
    assert_eq!(listener.told(), NOTHING);
    reading(&database, "A", "00:30", 400);
    assert_eq!(listener.told(), ["A worsened warning critical"]);
    // that was a mistake, and was none: nothing new
    reading(&database, "A", "00:30", 150);
    assert_eq!(listener.told(), NOTHING);
    reading(&database, "A", "00:30", 400);
    assert_eq!(listener.told(), NOTHING);
    // two steps at once, and the end of it
    reading(&database, "B", "00:00", 110);
    assert_eq!(listener.told(), ["B opened info"]);
    reading(&database, "B", "00:10", 400);
    reading(&database, "B", "05:00", 50);
    assert_eq!(listener.told(), ["B worsened info critical"]);
}

#[test]
fn what_is_over_resolved_or_in_a_maintenance_window_does_not_worsen() {
    let database = watched();
    let mut listener = Listener::of(&database);
    for key in ["A", "B", "C"] {
        reading(&database, key, "00:00", 110);
    }
    reading(&database, "A", "05:00", 50);
    assert_eq!(listener.told(), ["A opened info", "B opened info", "C opened info"]);
    database.run("SELECT strata.resolve_anomaly(anomaly_id, 'known') FROM strata.anomalies WHERE key = 'B'");
    database.run("SELECT strata.suppress('readings', '2026-01-01 00:00+00', '2026-01-01 02:00+00', keys => '{C,D}')");
    for key in ["A", "B", "C"] {
        reading(&database, key, "00:10", 400);
    }
    reading(&database, "D", "00:10", 110);
    assert_eq!(listener.told(), NOTHING);
    reading(&database, "D", "01:00", 160);
    assert_eq!(listener.told(), NOTHING);
    for time in ["00:50", "01:40", "02:30"] {
        reading(&database, "C", time, 150);
        reading(&database, "D", time, 150);
    }
    assert_eq!(listener.told(), ["C worsened info critical", "D opened warning"], "both outlast the window");
    assert_eq!(
        database.ask("SELECT string_agg(severity, ' ' ORDER BY key) FROM strata.anomalies"),
        "critical critical critical warning"
    );
}

/// Its number, end and why it ended.
fn ends(database: &Database) -> String {
    database.ask(
        "SELECT string_agg(concat_ws(' ', key, ended_at = last_at, explain ->> 'ended'), ', ' ORDER BY key) FROM strata.anomalies",
    )
}

const OPEN: &str = "SELECT count(*) FROM strata.open_anomalies";

#[test]
fn an_event_ends_with_its_detector_and_says_so() {
    let database = watched();
    reading(&database, "A", "00:00", 110);
    reading(&database, "A", "00:10", 110);
    reading(&database, "B", "00:00", 110);
    reading(&database, "B", "05:00", 50);
    database.job("anomaly_detection");
    assert_eq!((ends(&database), database.count(OPEN)), ("A, B t".into(), 1));
    let number = database.ask("SELECT anomaly_id FROM strata.anomalies WHERE key = 'A'");
    database.run("SELECT strata.drop_detector('readings', 'value', 'limits')");
    // at once, and after a run as well
    for _ in 0..2 {
        assert_eq!((ends(&database), database.count(OPEN)), ("A t detector removed, B t".into(), 0));
        database.job("anomaly_detection");
    }
    assert_eq!(database.ask("SELECT ended_at = '2026-01-01 00:10+00' FROM strata.anomalies WHERE key = 'A'"), "true");
    // set again, it sees the same incident, which goes on
    let set = "SELECT strata.set_detector('readings', 'value', 'limits', '{\"upper\": 100}', hold => '1 h', since => '-infinity'";
    database.run(&format!("{set})"));
    database.job("anomaly_detection");
    assert_eq!((ends(&database), database.count(OPEN)), ("A, B t".into(), 1));
    assert_eq!(database.ask("SELECT anomaly_id FROM strata.open_anomalies"), number);
    // switched off, it sees nothing either
    database.run(&format!("{set}, enabled => false)"));
    assert_eq!((ends(&database), database.count(OPEN)), ("A t detector removed, B t".into(), 0));
}

#[test]
fn an_event_of_another_detector_goes_on() {
    let database = watched();
    database.run("SELECT strata.set_detector('readings', 'value', 'limits', '{\"upper\": 90}', hold => '1 h', since => '-infinity')");
    database.run("SELECT strata.set_detector('readings', 'value', 'rate_of_change', '{\"limit\": 1, \"per\": \"1h\"}', since => '-infinity')");
    reading(&database, "A", "00:00", 10);
    reading(&database, "A", "00:10", 200);
    database.job("anomaly_detection");
    assert_eq!(database.count(OPEN), 2);
    database.run("SELECT strata.drop_detector('readings', 'value', 'rate_of_change')");
    assert_eq!(database.ask("SELECT string_agg(method, ' ') FROM strata.open_anomalies"), "limits");
}
