//! A Redis cluster of three masters under one source: the flush, the reads, the fill and the hand-over of detectors reach every
//! master, whichever of them the setting names.

use series::time::{MICROS_PER_HOUR, MICROS_PER_MINUTE};
use strata_e2e::sensors::milliseconds;
use strata_e2e::stack::builder;
use strata_e2e::{Database, Readings, eventually};
use strata_servers::{Postgres, RedisCluster, RedisServer, redis_kind};

const KEYS: i64 = 30;

struct Stack {
    cluster: RedisCluster,
    postgres: Postgres,
}

fn stack() -> Stack {
    let cluster = RedisCluster::start(|| RedisServer::builder(redis_kind()).append_only(None)).unwrap();
    let postgres = builder().durable(false).conf("strata.redis_url", &cluster.nodes()[1].url()).start().unwrap();
    Stack { cluster, postgres }
}

impl Stack {
    fn attached(&self) -> Database {
        let database = Database::create(&self.postgres);
        database.create_readings();
        database.attach("warm => NULL");
        database
    }

    /// The master that serves the key.
    fn owner(&self, redis_key: &str) -> &RedisServer {
        let mut connection = self.cluster.nodes()[0].connection().unwrap();
        let slot: u16 = redis::cmd("CLUSTER").arg("KEYSLOT").arg(redis_key).query(&mut connection).unwrap();
        &self.cluster.nodes()[self.cluster.owner_of(slot)]
    }

    /// `count` samples a minute apart of each key, half of the keys with a hash tag.
    fn send(&self, database: &Database, start: i64, count: i64, sent: &mut Readings) {
        for key in 0..KEYS {
            let name = if key % 2 == 0 { format!("K{key}") } else { format!("{{K{key}}}") };
            let redis_key = format!("{}:{name}", database.name);
            let mut connection = self.owner(&redis_key).connection().unwrap();
            for n in 0..count {
                let (time, value) = (start + n * MICROS_PER_MINUTE, (key * 100 + n) as f64);
                let mut command = redis::cmd("STRATA.ADD");
                command.arg(&redis_key).arg(milliseconds(time)).arg("value").arg(value);
                command.exec(&mut connection).unwrap();
                sent.put(&format!("K{key}"), time, value);
            }
        }
    }

    /// What each master says of the source.
    fn on_each(&self, database: &Database, field: &str) -> Vec<i64> {
        let of = |node: &RedisServer| {
            let mut command = redis::cmd("STRATA.INFO");
            command.arg("SOURCE").arg(&database.name);
            let info: redis::Value = command.query(&mut node.connection().unwrap()).unwrap();
            let fields: std::collections::HashMap<String, redis::Value> = redis::from_redis_value(info).unwrap();
            redis::from_redis_value(fields[field].clone()).unwrap()
        };
        self.cluster.nodes().iter().map(of).collect()
    }
}

#[test]
fn samples_of_all_masters_are_read_and_reach_the_table() {
    let stack = stack();
    let database = stack.attached();
    let mut sent = Readings::default();
    stack.send(&database, database.midnight(0) - 5 * MICROS_PER_HOUR, 10, &mut sent);
    assert!(stack.on_each(&database, "pending").iter().all(|pending| *pending > 10));
    database.all_tiers().assert_same(&sent, "before the flush");
    let newest = sent.only(|key, time| !sent.0.keys().any(|(other, later)| other == key && *later > time));
    let latest = |arguments: &str| Readings::of(&database, &format!("SELECT * FROM strata.latest({arguments})"));
    latest("NULL::readings").assert_same(&newest, "the newest of the source");
    latest("NULL::readings, ARRAY['K0', 'K2', 'K4', 'K6', 'none']")
        .assert_same(&newest.only(|key, _| ["K0", "K2", "K4", "K6"].contains(&key)), "the newest of these");

    database.run(&format!("ALTER DATABASE \"{}\" SET strata.flush_batch = 100", database.name));
    assert_eq!(database.job("flush"), (KEYS * 10, String::new()));
    database.stored().assert_same(&sent, "in the table");
    assert_eq!(stack.on_each(&database, "pending"), [0, 0, 0]);
    assert_eq!(database.job("flush").0, 0);
}

#[test]
fn a_master_that_is_down_costs_the_flush_nothing_but_time() {
    let mut stack = stack();
    let database = stack.attached();
    let mut sent = Readings::default();
    let start = database.midnight(0) - 5 * MICROS_PER_HOUR;
    stack.send(&database, start, 3, &mut sent);
    stack.cluster.nodes()[2].freeze();
    let port = stack.cluster.nodes()[2].port();
    database.run(&format!("ALTER DATABASE \"{}\" SET strata.redis_timeout = '1 s'", database.name));
    let refusal = database.job_refusal("flush");
    assert!(refusal.message.contains(&port.to_string()), "{refusal:?}");
    stack.cluster.nodes()[2].thaw();
    eventually("the cluster is whole again", || {
        database.connect().execute("SELECT strata.run_job('flush')", &[]).is_ok()
    });
    database.stored().assert_same(&sent, "in the table");
    assert_eq!(stack.on_each(&database, "pending"), [0, 0, 0]);

    // a master that comes back without its data is filled again
    database.job("warm_hot");
    stack.cluster.node_mut(0).kill9();
    stack.cluster.node_mut(0).start().unwrap();
    eventually("the cluster is whole again", || {
        database.connect().execute("SELECT strata.run_job('warm_hot')", &[]).is_ok()
    });
    assert!(stack.on_each(&database, "samples")[0] > 0);
    assert_eq!(stack.on_each(&database, "pending"), [0, 0, 0], "what was filled is not pending");
}

#[test]
fn detectors_reach_the_series_of_all_masters() {
    let stack = stack();
    let database = stack.attached();
    database.run(&format!(
        "INSERT INTO readings SELECT {} + i * interval '5 min', 'K' || k, i % 7 FROM generate_series(1, 400) i, generate_series(0, 19) k",
        database.day(2)
    ));
    assert!(database.count("SELECT strata.warm_hot('readings')") > 0);
    assert!(stack.on_each(&database, "series").iter().all(|series| *series > 0));
    let watched = || -> Vec<usize> {
        let of = |node: &RedisServer| {
            let mut command = redis::cmd("STRATA.WATCHES");
            let answer: Vec<redis::Value> = command.arg(&database.name).query(&mut node.connection().unwrap()).unwrap();
            answer.len()
        };
        stack.cluster.nodes().iter().map(of).collect()
    };
    database.job("anomaly_detection");
    assert_eq!(watched().iter().sum::<usize>(), 20);
    assert!(watched().iter().all(|watches| *watches > 0));
    database.run("SELECT strata.drop_detector('readings', 'value')");
    database.job("anomaly_detection");
    assert_eq!(watched(), [0, 0, 0]);
}
