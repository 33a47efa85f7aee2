//! What the tests of the Redis module share: a client that speaks in lines, and the flush as the table does it.
#![allow(dead_code, reason = "every test file uses a part of it")]

use std::collections::BTreeMap;

use redis::{Connection, ConnectionLike, RedisError, Value};
use series::time::Micros;
use series::wire::Batch;
use strata_servers::ports::{self, Port};
use strata_servers::{RedisBuilder, RedisServer, redis_kind};

/// A server of the kind that this run tests, with the module.
pub fn builder() -> RedisBuilder {
    RedisServer::builder(redis_kind())
}

pub fn server() -> RedisServer {
    builder().append_only(None).start().expect("a server with the module")
}

/// A node of a cluster. Its bus has a reserved port too: the usual one, 10 000 above the other, is one that an outgoing
/// connection may have.
pub struct Node {
    pub server: RedisServer,
    pub bus: Port,
}

pub fn node() -> Node {
    let bus = ports::reserve();
    let node = builder().append_only(None).conf("cluster-enabled", "yes");
    let server = node.conf("cluster-port", &bus.number().to_string()).start().expect("a node of a cluster");
    Node { server, bus }
}

/// A connection that takes commands as lines and gives replies as text.
pub struct Client {
    pub connection: Connection,
}

impl Client {
    pub fn new(server: &RedisServer) -> Client {
        Client { connection: server.connection().expect("a connection") }
    }

    /// Sends the words and returns the reply, or the error's text.
    pub fn send<W: AsRef<[u8]>>(&mut self, words: &[W]) -> Result<Value, String> {
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(word.as_ref());
        }
        // Not `query`, which would make an error of the whole reply when an item of it is one.
        match self.connection.req_command(&command) {
            Ok(Value::ServerError(error)) => Err(text(&RedisError::from(error))),
            Ok(value) => Ok(value),
            Err(error) => Err(text(&error)),
        }
    }

    /// The reply to a line of words, as text: `[1000, [flow, 12.5], nil]`.
    pub fn run(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        let reply = self.send(&words).unwrap_or_else(|error| panic!("{line}: {error}"));
        show(&reply)
    }

    /// The error that a line gets.
    pub fn error(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        match self.send(&words) {
            Ok(reply) => panic!("{line}: no error but {}", show(&reply)),
            Err(error) => error,
        }
    }

    /// A field of STRATA.INFO.
    pub fn info(&mut self, of: &str, field: &str) -> String {
        let words: Vec<&str> = ["STRATA.INFO"].into_iter().chain(of.split_whitespace()).collect();
        let Ok(Value::Array(items)) = self.send(&words) else { panic!("STRATA.INFO {of}") };
        let found = items.chunks(2).find(|pair| show(&pair[0]) == field);
        show(&found.unwrap_or_else(|| panic!("no field {field}"))[1])
    }

    /// The digest of the whole data set.
    pub fn digest(&mut self) -> String {
        self.run("DEBUG DIGEST")
    }

    pub fn pending(&mut self, arguments: &str) -> Pending {
        let words: Vec<&str> = ["STRATA.PENDING"].into_iter().chain(arguments.split_whitespace()).collect();
        let reply = self.send(&words).unwrap_or_else(|error| panic!("PENDING {arguments}: {error}"));
        Pending::parse(&reply)
    }

    /// Acknowledges all of it.
    pub fn ack(&mut self, flush_id: i64, pending: &Pending) -> String {
        let mut words = vec!["STRATA.ACK".to_owned(), flush_id.to_string()];
        for series in &pending.series {
            words.extend([series.redis_key.clone(), series.token.clone()]);
        }
        show(&self.send(&words).unwrap_or_else(|error| panic!("ACK: {error}")))
    }
}

/// Code and text as the server wrote them.
fn text(error: &RedisError) -> String {
    match error.code() {
        Some(code) => format!("{code} {}", error.detail().unwrap_or_default()),
        None => error.to_string(),
    }
}

/// A reply as text.
pub fn show(value: &Value) -> String {
    match value {
        Value::Nil => "nil".to_owned(),
        Value::Int(number) => number.to_string(),
        Value::Okay => "OK".to_owned(),
        Value::Double(number) => number.to_string(),
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::SimpleString(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(show).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Map(pairs) => {
            let items: Vec<String> =
                pairs.iter().map(|(key, value)| format!("{}: {}", show(key), show(value))).collect();
            format!("{{{}}}", items.join(", "))
        }
        Value::ServerError(error) => format!("error {}", text(&RedisError::from(error.clone()))),
        other => format!("{other:?}"),
    }
}

/// A reply of STRATA.PENDING.
#[derive(Debug)]
pub struct Pending {
    pub flush_id: i64,
    pub more: bool,
    pub series: Vec<PendingSeries>,
    /// Keys of damaged series, with what is wrong.
    pub left_out: Vec<(String, String)>,
}

#[derive(Debug)]
pub struct PendingSeries {
    pub redis_key: String,
    pub key: String,
    pub token: String,
    pub batch: Batch,
}

impl Pending {
    pub fn parse(reply: &Value) -> Pending {
        let Value::Array(parts) = reply else { panic!("not an array") };
        let [Value::Int(flush_id), Value::Int(more), Value::Array(series), Value::Array(damaged)] = parts.as_slice()
        else {
            panic!("not a reply of PENDING: {}", show(reply))
        };
        let left_out = damaged.iter().map(|one| match one {
            Value::Array(parts) => (show(&parts[0]), show(&parts[1])),
            other => panic!("not a damaged series: {}", show(other)),
        });
        Pending {
            flush_id: *flush_id,
            more: *more != 0,
            series: series.iter().map(PendingSeries::parse).collect(),
            left_out: left_out.collect(),
        }
    }

    pub fn rows(&self) -> usize {
        self.series.iter().map(|series| series.batch.rows()).sum()
    }

    /// Without the last part of the tokens, which names the series in memory and is another after a restart and in a
    /// replica.
    pub fn without_instances(mut self) -> Pending {
        self.series.iter_mut().for_each(|series| series.token.truncate(series.token.rfind(':').expect("a token")));
        self
    }
}

impl PendingSeries {
    fn parse(reply: &Value) -> PendingSeries {
        let Value::Array(parts) = reply else { panic!("not an array") };
        let [redis_key, key, token, Value::BulkString(payload)] = parts.as_slice() else {
            panic!("not a series of PENDING: {}", show(reply))
        };
        PendingSeries {
            redis_key: show(redis_key),
            key: show(key),
            token: show(token),
            batch: Batch::decode(payload).expect("a batch"),
        }
    }
}

/// What a table holds after flushes: values by key, time and measure.
#[derive(Debug, Default, PartialEq)]
pub struct Table {
    pub cells: BTreeMap<(String, Micros, String), u64>,
}

impl Table {
    /// The upsert of the flush: the newest value that is not missing wins.
    pub fn upsert(&mut self, pending: &Pending) {
        for series in &pending.series {
            for (name, column) in series.batch.measures.iter().zip(&series.batch.columns) {
                for (&time, value) in series.batch.times.iter().zip(column) {
                    if !value.is_nan() {
                        self.cells.insert((series.key.clone(), time, name.clone()), value.to_bits());
                    }
                }
            }
        }
    }

    pub fn set(&mut self, key: &str, time: Micros, measure: &str, value: f64) {
        self.cells.insert((key.to_owned(), time, measure.to_owned()), value.to_bits());
    }

    pub fn get(&self, key: &str, time: Micros, measure: &str) -> Option<f64> {
        self.cells.get(&(key.to_owned(), time, measure.to_owned())).copied().map(f64::from_bits)
    }
}

/// Deterministic pseudo-random numbers (SplitMix64, Steele, Lea & Flood 2014).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// Waits until `ready` gives something, at most 20 seconds.
pub fn eventually<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let started = std::time::Instant::now();
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(started.elapsed().as_secs() < 20, "waited in vain for {what}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
