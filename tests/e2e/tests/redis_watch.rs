//! Samples under watch: judged as they arrive, by the detectors of PostgreSQL; their alarms are told at once and kept until
//! the table has the samples.

mod redis_support;

use std::time::Duration;

use redis::Value;
use redis_support::{Client, Random, builder, eventually, node, server, show};
use series::detect::{Method, Options};
use series::watch::Watch;
use strata_servers::{AppendFsync, RedisServer};

const STEP: i64 = 300_000;

/// A watch that alarms above 50.
fn limits() -> Watch {
    Watch::new(Method::Limits, &Options::from_pairs([("upper", "50")]).unwrap()).unwrap()
}

fn range_novelty() -> Watch {
    Watch::new(Method::RangeNovelty, &Options::new()).unwrap()
}

fn watch(redis: &mut Client, measure: &str, after: &str, state: &[u8]) -> Result<Value, String> {
    redis.send(&[b"STRATA.WATCH", &b"r:A"[..], measure.as_bytes(), after.as_bytes(), state])
}

/// Adds a sample of `flow` and returns its score.
fn add(redis: &mut Client, time: i64, value: f64) -> Option<f64> {
    let line = format!("STRATA.ADD r:A {time} SCORE flow {value}");
    score(&redis.run(&line), time)
}

fn score(reply: &str, time: i64) -> Option<f64> {
    let score = reply.strip_prefix(&format!("[{time}, ")).and_then(|rest| rest.strip_suffix(']'));
    match score.unwrap_or_else(|| panic!("{reply}")) {
        "nil" => None,
        number => Some(number.parse().unwrap()),
    }
}

/// A daily course with noise.
fn usual(random: &mut Random, i: i64) -> f64 {
    20.0 + 5.0 * ((i % 288) as f64 / 288.0 * std::f64::consts::TAU).sin() + random.below(100) as f64 / 100.0
}

/// Messages on the channel of alarms, up to now.
struct Subscriber(redis::Connection);

impl Subscriber {
    fn new(server: &RedisServer) -> Subscriber {
        let mut connection = server.connection().unwrap();

        redis::cmd("SUBSCRIBE").arg("strata:anomalies").exec(&mut connection).unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Subscriber(connection)
    }

    fn messages(&mut self, publisher: &mut Client) -> Vec<serde_json::Value> {
        publisher.run("PUBLISH strata:anomalies end");
        self.until_end()
    }

    fn until_end(&mut self) -> Vec<serde_json::Value> {
        let mut messages = Vec::new();
        loop {
            let Value::Array(parts) = self.0.recv_response().unwrap() else { panic!("not a message") };
            let text = show(&parts[2]);
            if text == "end" {
                return messages;
            }
            messages.push(serde_json::from_str(&text).unwrap());
        }
    }
}

#[test]
fn every_sample_gets_the_score_that_the_same_detector_gives_it() {
    let server = server();
    let mut redis = Client::new(&server);
    let mut random = Random(5);
    let mut model = range_novelty();
    add(&mut redis, 0, 20.0);
    model.judge(0, 20.0);
    assert_eq!(redis.run("STRATA.WATCH r:A flow - range_novelty"), "1");
    let mut alarms = 0;
    for i in 1..900 {
        let value = match i {
            500 | 501 | 700 => 90.0,
            _ => usual(&mut random, i),
        };
        let expected = model.judge(i * STEP * 1000, value).0;
        alarms += i32::from(expected.is_anomaly);
        assert_eq!(add(&mut redis, i * STEP, value), Some(expected.score), "sample {i}");
    }
    assert!((2..50).contains(&alarms), "{alarms} alarms make this a poor test");
}

#[test]
fn a_sample_has_the_greatest_score_of_its_watched_measures() {
    let server = server();
    let mut redis = Client::new(&server);
    redis.run("STRATA.ADD r:A 0 flow 1 pressure 1 level 1");
    assert_eq!(redis.run("STRATA.ADD r:A 1 SCORE flow 999"), "[1, nil]");
    watch(&mut redis, "flow", "1", &limits().save()).unwrap();
    watch(&mut redis, "pressure", "1", &limits().save()).unwrap();
    assert_eq!(redis.run("STRATA.ADD r:A 2 SCORE flow 100 pressure 75 level 999"), "[2, 2]");
    assert_eq!(redis.run("STRATA.ADD r:A 3 SCORE pressure 75 flow 49"), "[3, 1.5]");
    assert_eq!(redis.run("STRATA.ADD r:A 4 SCORE flow 1"), "[4, 0]");
    assert_eq!(redis.run("STRATA.ADD r:A 5 SCORE level 999"), "[5, nil]");
    // A late sample is for PostgreSQL to judge, which can go back to a state before it.
    assert_eq!(redis.run("STRATA.ADD r:A 2.5 SCORE flow 999"), "[2.500, nil]");
    assert_eq!(redis.info("r:A", "watched"), "[flow, pressure]");
}

#[test]
fn a_jump_raises_one_alarm_published_once_and_listed_until_the_table_has_its_sample() {
    let server = server();
    let mut redis = Client::new(&server);
    let mut subscriber = Subscriber::new(&server);
    add(&mut redis, 0, 1.0);
    watch(&mut redis, "flow", "-", &limits().save()).unwrap();
    for (time, value) in [(1000, 2.0), (2000, 100.0), (3000, 120.0), (4000, 101.0), (5000, 3.0)] {
        add(&mut redis, time, value);
    }
    let listed = "[[r:A, A, flow, 2000, 100, 2, nil, nil, 50, limits, above_limit]]";
    assert_eq!(redis.run("STRATA.ANOMALIES r"), listed);
    assert_eq!(redis.info("r:A", "alarms"), "1");
    let messages = subscriber.messages(&mut redis);
    assert_eq!(
        messages,
        [serde_json::json!({
            "source": "r", "key": "A", "measure": "flow", "time": 2000.0, "value": 100.0, "score": 2.0,
            "expected": null, "lower": null, "upper": 50.0, "method": "limits", "reason": "above_limit",
        })]
    );

    let before = redis.pending("r TO 1000");
    redis.ack(1, &before);
    assert_eq!(redis.run("STRATA.ANOMALIES r"), listed, "the table does not have its sample yet");
    let pending = redis.pending("r");
    redis.ack(2, &pending);
    assert_eq!(redis.run("STRATA.ANOMALIES r"), "[]");
    assert_eq!(subscriber.messages(&mut redis), Vec::<serde_json::Value>::new());
}

#[test]
fn an_alarm_of_a_pending_sample_behind_the_mark_is_listed_until_that_is_acknowledged() {
    let server = server();
    let mut redis = Client::new(&server);
    redis.run("STRATA.ADD r:A 0 flow 1 pressure 1");
    watch(&mut redis, "pressure", "-", &limits().save()).unwrap();
    redis.run("STRATA.ADD r:A 1000 flow 1");
    let first = redis.pending("r");
    redis.ack(1, &first);
    redis.run("STRATA.ADD r:A 1000 pressure 100");
    redis.ack(1, &first);
    assert_eq!(redis.info("r:A", "alarms"), "1", "the repeated flush did not bring the pressure");
    watch(&mut redis, "pressure", "-", &limits().save()).unwrap();
    assert_eq!(redis.info("r:A", "alarms"), "1", "nor does a new state");
    let second = redis.pending("r");
    redis.ack(2, &second);
    assert_eq!(redis.run("STRATA.ANOMALIES r"), "[]");
}

#[test]
fn samples_written_together_are_judged_too() {
    let server = server();
    let mut redis = Client::new(&server);
    let mut subscriber = Subscriber::new(&server);
    redis.run("STRATA.MADD r:A 0 1 flow 1 r:B 0 1 flow 1");
    watch(&mut redis, "flow", "-", &limits().save()).unwrap();
    redis.run("STRATA.MADD r:A 1000 1 flow 100 r:B 1000 1 flow 100 r:A 2000 1 flow 100");
    assert_eq!(redis.run("STRATA.ANOMALIES r").matches("limits").count(), 1);
    assert_eq!(subscriber.messages(&mut redis).len(), 1);
}

#[test]
fn a_measure_that_completes_the_newest_sample_is_judged() {
    let server = server();
    let mut redis = Client::new(&server);
    redis.run("STRATA.ADD r:A 0 flow 1 pressure 1");
    watch(&mut redis, "pressure", "-", &limits().save()).unwrap();
    assert_eq!(redis.run("STRATA.ADD r:A 1000 SCORE flow 5"), "[1000, nil]");
    assert_eq!(redis.run("STRATA.ADD r:A 1000 SCORE pressure 100"), "[1000, 2]");
    assert_eq!(
        redis.run("STRATA.ANOMALIES r"),
        "[[r:A, A, pressure, 1000, 100, 2, nil, nil, 50, limits, above_limit]]"
    );
    // A value that replaces another was judged when it was first written.
    assert_eq!(redis.run("STRATA.ADD r:A 1000 SCORE pressure 200"), "[1000, nil]");
}

#[test]
fn a_watch_that_passed_over_a_sample_is_listed_until_it_is_given_anew() {
    let server = server();
    let mut redis = Client::new(&server);
    redis.run("STRATA.ADD r:A 1000 flow 1 pressure 1 level 1");
    redis.run("STRATA.WATCH r:A flow - range_novelty pressure - flat_line");
    redis.run("STRATA.ADD r:A 3000 flow 2 level 2");
    redis.run("STRATA.ADD r:A 3000 pressure 1");
    redis.run("STRATA.ADD r:A 500 level 1");
    assert_eq!(redis.run("STRATA.WATCHES r BEHIND"), "[]");
    redis.run("STRATA.ADD r:A 2000 pressure 2");
    assert_eq!(redis.run("STRATA.WATCHES r BEHIND"), "[[r:A, [pressure, flat_line]]]");
    redis.run("STRATA.ADD r:A 3000 flow 3");
    assert_eq!(redis.run("STRATA.WATCHES r behind"), "[[r:A, [flow, range_novelty, pressure, flat_line]]]");
    redis.run("STRATA.WATCH r:A flow - range_novelty");
    assert_eq!(redis.run("STRATA.WATCHES r BEHIND"), "[[r:A, [pressure, flat_line]]]");
    assert_eq!(redis.run("STRATA.WATCHES r"), "[[r:A, [flow, range_novelty, pressure, flat_line]]]");
    redis.run("SET r:A text");
    assert_eq!(redis.run("STRATA.WATCHES r"), "[]");
}

#[test]
fn a_state_judges_only_what_came_after_it() {
    let server = server();
    let mut redis = Client::new(&server);
    let mut subscriber = Subscriber::new(&server);
    let mut random = Random(6);
    let mut model = range_novelty();
    let values: Vec<f64> = (0..600).map(|i| if i == 450 || i == 550 { 90.0 } else { usual(&mut random, i) }).collect();
    let mut learned = Vec::new();
    for (i, &value) in (0..).zip(&values) {
        add(&mut redis, i * STEP, value);
        if i == 500 {
            learned = model.save();
        }
        model.judge(i * STEP * 1000, value);
    }
    // The state has seen the samples before number 500.
    assert_eq!(show(&watch(&mut redis, "flow", &(499 * STEP).to_string(), &learned).unwrap()), "1");
    let alarms = redis.run("STRATA.ANOMALIES r");
    assert!(alarms.contains(&format!("flow, {}, 90", 550 * STEP)), "{alarms}");
    assert!(!alarms.contains(&format!(", {}, 90", 450 * STEP)), "{alarms}");
    assert_eq!(subscriber.messages(&mut redis).len(), alarms.matches("range_novelty").count());
    let expected = model.judge(600 * STEP * 1000, 20.5).0.score;
    assert_eq!(add(&mut redis, 600 * STEP, 20.5), Some(expected), "from here on both have the same state");
}

#[test]
fn an_alarm_that_a_new_state_finds_again_is_not_published_again() {
    let server = server();
    let mut redis = Client::new(&server);
    let mut subscriber = Subscriber::new(&server);
    add(&mut redis, 0, 1.0);
    watch(&mut redis, "flow", "-", &limits().save()).unwrap();
    let day = 86_400_000;
    // So far apart that each is an event of its own.
    add(&mut redis, 5 * day, 40.0);
    add(&mut redis, 10 * day, 100.0);
    assert_eq!(subscriber.messages(&mut redis).len(), 1);
    let lower = Watch::new(Method::Limits, &Options::from_pairs([("upper", "30")]).unwrap()).unwrap();
    watch(&mut redis, "flow", "-", &lower.save()).unwrap();
    assert_eq!(redis.run("STRATA.ANOMALIES r").matches("limits").count(), 2);
    let messages = subscriber.messages(&mut redis);
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert_eq!(messages[0]["value"], 40.0, "the one that was not known");
}

#[test]
fn an_empty_state_ends_the_watch() {
    let server = server();
    let mut redis = Client::new(&server);
    add(&mut redis, 0, 1.0);
    watch(&mut redis, "flow", "-", &limits().save()).unwrap();
    add(&mut redis, 1000, 100.0);
    assert_eq!(show(&watch(&mut redis, "flow", "-", b"").unwrap()), "1");
    assert_eq!(redis.info("r:A", "watched"), "[]");
    assert_eq!(add(&mut redis, 7_200_000, 100.0), None);
    assert_eq!(redis.info("r:A", "alarms"), "1", "an alarm stays until the table has its sample");
}

#[test]
fn what_is_no_state_is_refused_and_changes_nothing() {
    let server = server();
    let mut redis = Client::new(&server);
    add(&mut redis, 0, 1.0);
    watch(&mut redis, "flow", "-", &limits().save()).unwrap();
    let before = redis.digest();
    let state = limits().save();
    let mut version = state.clone();
    version[2] = 99;
    for bad in [&b"garbage"[..], &state[..state.len() - 1], &version, &[0; 40]] {
        let error = watch(&mut redis, "flow", "-", bad).unwrap_err();
        assert!(error.contains("neither a detection method nor the state of a watch"), "{error}");
    }
    let error = redis.error("STRATA.WATCH r:A flow - limits");
    assert!(error.contains("limits needs the option"), "{error}");
    assert!(redis.error("STRATA.WATCH r:A flow soon range_novelty").contains("not a time"));
    // One bad state refuses the whole command.
    assert!(redis.error("STRATA.WATCH r:A flow - range_novelty flow - nosuch").contains("neither"));
    assert_eq!(redis.digest(), before);
    assert_eq!(redis.run("STRATA.WATCH r:none flow - range_novelty"), "0");
    assert_eq!(redis.run("STRATA.WATCH r:A none - range_novelty"), "0");
    assert_eq!(redis.run("EXISTS r:none"), "0");
}

#[test]
fn only_the_series_that_a_user_may_read_are_listed() {
    let server = server();
    let mut redis = Client::new(&server);
    for key in ["r:A", "r:B", "s:A"] {
        redis.run(&format!("STRATA.ADD {key} 0 flow 1"));
        redis.send(&[b"STRATA.WATCH", key.as_bytes(), b"flow", b"-", &limits().save()]).unwrap();
        redis.run(&format!("STRATA.MADD {key} 1000 1 flow 100 {key} 36000000 1 flow 200"));
    }
    assert_eq!(redis.run("STRATA.ANOMALIES r").matches("limits").count(), 4);
    assert_eq!(redis.run("STRATA.ANOMALIES r COUNT 3").matches("limits").count(), 3);
    redis.run("ACL SETUSER reader on >secret ~r:B +@all");
    redis.run("AUTH reader secret");
    let seen = redis.run("STRATA.ANOMALIES r");
    assert!(seen.contains("r:B") && !seen.contains("r:A"), "{seen}");
}

/// A series with two watches and an alarm, one of its alarms acknowledged.
fn prepare(redis: &mut Client) {
    let mut random = Random(8);
    redis.run("STRATA.ADD r:A 0 flow 20 pressure 3");
    redis.run("STRATA.WATCH r:A flow - range_novelty");
    watch(redis, "pressure", "-", &limits().save()).unwrap();
    for i in 1..400 {
        let pressure = if i == 200 || i == 390 { 100 } else { 3 };
        let flow = usual(&mut random, i);
        redis.run(&format!("STRATA.ADD r:A {} flow {flow} pressure {pressure}", i * STEP));
        if i == 300 {
            let pending = redis.pending("r");
            redis.ack(1, &pending);
        }
    }
    assert_eq!(redis.info("r:A", "watched"), "[flow, pressure]");
    assert!(redis.run("STRATA.ANOMALIES r").contains("[r:A, A, pressure, 117000000, 100, 2,"));
}

fn state(redis: &mut Client) -> [String; 3] {
    [redis.digest(), redis.info("r:A", "watched"), redis.run("STRATA.ANOMALIES r")]
}

/// The scores of the samples that follow: what the detectors learned is in them.
fn next_scores(redis: &mut Client) -> Vec<String> {
    (400..420).map(|i| redis.run(&format!("STRATA.ADD r:A {} SCORE flow {}", i * STEP, 18 + i % 19))).collect()
}

fn survives(mut server: RedisServer, save: impl Fn(&mut Client)) {
    let mut redis = Client::new(&server);
    prepare(&mut redis);
    save(&mut redis);
    let before = state(&mut redis);
    let twin = redis_support::server();
    let mut other = Client::new(&twin);
    prepare(&mut other);
    let expected = next_scores(&mut other);
    server.crash_and_restart().unwrap();
    let mut redis = Client::new(&server);
    assert_eq!(state(&mut redis), before);
    assert_eq!(next_scores(&mut redis), expected);
}

#[test]
fn watches_and_alarms_survive_in_a_snapshot() {
    survives(server(), |redis| drop(redis.run("SAVE")));
}

#[test]
fn watches_and_alarms_survive_in_the_aof() {
    survives(builder().append_only(Some(AppendFsync::Always)).start().unwrap(), |_| ());
}

#[test]
fn watches_and_alarms_survive_in_a_rewritten_aof() {
    let aof = builder().append_only(Some(AppendFsync::Always)).conf("aof-use-rdb-preamble", "no");
    survives(aof.start().unwrap(), |redis| {
        redis.run("BGREWRITEAOF");
        eventually("the rewrite", || {
            let info = redis.run("INFO persistence");
            let done = info.contains("aof_rewrite_in_progress:0") && info.contains("aof_rewrite_scheduled:0");
            (done && redis.run("STRATA.INFO").contains("version")).then_some(())
        });
    });
}

#[test]
fn a_replica_watches_as_its_primary_does() {
    let primary = server();
    let replica = builder().append_only(None).replica_of(&primary).start().unwrap();
    let (mut redis, mut other) = (Client::new(&primary), Client::new(&replica));
    eventually("the link", || other.run("INFO replication").contains("master_link_status:up").then_some(()));
    let mut subscriber = Subscriber::new(&replica);
    prepare(&mut redis);
    assert_eq!(redis.run("WAIT 1 20000"), "1");
    assert_eq!(state(&mut other), state(&mut redis));
    let told = subscriber.messages(&mut other).iter().filter(|message| message["measure"] == "pressure").count();
    assert_eq!(told, 2, "a subscriber of the replica hears of each alarm once");
    other.run("REPLICAOF NO ONE");
    assert_eq!(next_scores(&mut other), next_scores(&mut redis));
}

#[test]
fn in_a_cluster_every_node_hears_of_an_alarm_once() {
    let (one, other) = (node(), node());
    let (mut primary, mut replica) = (Client::new(&one.server), Client::new(&other.server));
    primary.run("CLUSTER ADDSLOTSRANGE 0 16383");
    replica.run(&format!("CLUSTER MEET 127.0.0.1 {} {}", one.server.port(), one.bus.number()));
    let id = primary.run("CLUSTER MYID");
    eventually("the replica to know its primary", || replica.send(&["CLUSTER", "REPLICATE", &id]).ok());
    eventually("the link", || replica.run("INFO replication").contains("master_link_status:up").then_some(()));
    eventually("the cluster", || primary.run("CLUSTER INFO").contains("cluster_state:ok").then_some(()));
    eventually("the primary to know its replica", || primary.run("CLUSTER NODES").contains("slave").then_some(()));
    let mut subscribers = [Subscriber::new(&one.server), Subscriber::new(&other.server)];

    add(&mut primary, 0, 1.0);
    watch(&mut primary, "flow", "-", &limits().save()).unwrap();
    add(&mut primary, 1000, 100.0);
    assert_eq!(primary.run("WAIT 1 20000"), "1");
    replica.run("READONLY");
    eventually("the alarm at the replica", || (replica.info("r:A", "alarms") == "1").then_some(()));
    // Time for a second message, if there were one, to pass between the nodes.
    std::thread::sleep(Duration::from_millis(300));
    primary.run("PUBLISH strata:anomalies end");
    for subscriber in &mut subscribers {
        assert_eq!(subscriber.until_end().len(), 1);
    }
}
