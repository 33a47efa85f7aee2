//! Sensors that write to Redis, and remember what Redis has acknowledged.

use redis::Connection;
use strata_servers::RedisServer;

use crate::{Database, Readings};

pub struct Sensors {
    connection: Connection,
    source: String,
    /// What Redis has acknowledged, the newest value of each key and time.
    pub sent: Readings,
}

impl Sensors {
    /// Sensors of the database's source.
    pub fn of(redis: &RedisServer, database: &Database) -> Sensors {
        Sensors { connection: redis.connection().unwrap(), source: database.name.clone(), sent: Readings::default() }
    }

    /// After the server was started again.
    pub fn reconnect(&mut self, redis: &RedisServer) {
        self.connection = redis.connection().unwrap();
    }

    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// One sample of the measure `value`.
    pub fn send(&mut self, key: &str, time: i64, value: f64) {
        self.send_measure(key, time, "value", value);
        self.sent.put(key, time, value);
    }

    /// One sample of any measure, which the comparison knows nothing of.
    pub fn send_measure(&mut self, key: &str, time: i64, measure: &str, value: f64) {
        redis::cmd("STRATA.ADD")
            .arg(format!("{}:{key}", self.source))
            .arg(milliseconds(time))
            .arg(measure)
            .arg(value)
            .exec(&mut self.connection)
            .unwrap();
    }

    /// `count` samples of one key, `step` microseconds apart.
    pub fn send_many(&mut self, key: &str, start: i64, step: i64, count: i64) {
        let name = format!("{}:{key}", self.source);
        let samples: Vec<(i64, f64)> = (0..count).map(|i| (start + i * step, (i % 977) as f64 / 4.0)).collect();
        for part in samples.chunks(2_000) {
            let mut command = redis::cmd("STRATA.MADD");
            for (time, value) in part {
                command.arg(&name).arg(milliseconds(*time)).arg(1).arg("value").arg(*value);
            }
            command.exec(&mut self.connection).unwrap();
            part.iter().for_each(|(time, value)| self.sent.put(key, *time, *value));
        }
    }

    /// How many samples of the source wait for the flush.
    pub fn pending(&mut self) -> i64 {
        self.info("pending")
    }

    /// A number of the source in STRATA.INFO.
    pub fn info(&mut self, field: &str) -> i64 {
        let info: redis::Value =
            redis::cmd("STRATA.INFO").arg("SOURCE").arg(&self.source).query(&mut self.connection).unwrap();
        let fields: std::collections::HashMap<String, redis::Value> = redis::from_redis_value(info).unwrap();
        redis::from_redis_value(fields[field].clone()).unwrap()
    }
}

/// A time as the commands take it: milliseconds, with three decimals where there are microseconds.
pub fn milliseconds(micros: i64) -> String {
    match micros % 1000 {
        0 => (micros / 1000).to_string(),
        _ => format!("{}.{:03}", micros.div_euclid(1000), micros.rem_euclid(1000)),
    }
}
