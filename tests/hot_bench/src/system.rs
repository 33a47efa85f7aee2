//! One of the two systems: a server with its module, a connection for questions and one for the measured commands.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use redis::{Connection, FromRedisValue};
use strata_servers::{RedisBuilder, RedisKind, RedisServer, paths};

use crate::dialect::{Dialect, ROLLUP_BYTES, SOURCE};
use crate::pipe::{Pipe, Replies};

const SYNC_LIMIT: Duration = Duration::from_secs(180);

pub struct System {
    pub dialect: Dialect,
    pub server: RedisServer,
    control: Connection,
    pipe: Pipe,
}

/// A batch of commands that was measured.
pub struct Timed {
    /// Microseconds that the server spent in the commands of the module, all together.
    pub server_us: f64,
    pub replies: Replies,
}

/// The redis-server that comes with the peer, with the module of that system.
pub fn builder(dialect: Dialect) -> RedisBuilder {
    let builder = RedisServer::builder(RedisKind::Stack).append_only(None);
    match dialect {
        Dialect::Strata => builder.conf("strata.retention", "48h"),
        Dialect::Peer => {
            let module = paths::redis_time_series();
            builder.module(false).conf("loadmodule", module.to_str().expect("a path in UTF-8"))
        }
    }
}

impl System {
    pub fn start(dialect: Dialect) -> Result<Self> {
        Self::over(dialect, builder(dialect).start()?)
    }

    /// A replica of this system, once it has all data.
    pub fn replica(&self) -> Result<Self> {
        let mut replica = Self::over(self.dialect, builder(self.dialect).replica_of(&self.server).start()?)?;
        let started = Instant::now();
        while replica.info_text("replication", "master_link_status")? != "up" {
            ensure!(started.elapsed() < SYNC_LIMIT, "the replica does not get the data");
            thread::sleep(Duration::from_millis(20));
        }
        Ok(replica)
    }

    pub fn over(dialect: Dialect, server: RedisServer) -> Result<Self> {
        let (control, pipe) = (server.connection()?, Pipe::connect(server.port())?);
        Ok(Self { dialect, server, control, pipe })
    }

    pub fn send(&mut self, commands: &[u8], count: usize) -> Result<Replies> {
        self.pipe.send(commands, count)
    }

    /// Sends commands and asks the server how long it worked on them.
    pub fn timed(&mut self, commands: &[u8], count: usize) -> Result<Timed> {
        self.run(&["CONFIG", "RESETSTAT"])?;
        let replies = self.send(commands, count)?;
        let server_us = self.server_time(count)?;
        Ok(Timed { server_us, replies })
    }

    fn server_time(&mut self, count: usize) -> Result<f64> {
        let text: String = redis::cmd("INFO").arg("commandstats").query(&mut self.control)?;
        let (mut calls, mut usec) = (0.0, 0.0);
        // A server writes the names as the module registered them.
        let text = text.to_lowercase();
        for line in text.lines().filter(|line| line.starts_with(self.dialect.prefix())) {
            let field = |name: &str| -> Option<f64> {
                line.split([':', ',']).find_map(|pair| pair.strip_prefix(name)?.parse().ok())
            };
            calls += field("calls=").unwrap_or_default();
            usec += field("usec=").unwrap_or_default();
        }
        ensure!(calls == count as f64, "the server counts {calls} calls instead of {count}");
        Ok(usec)
    }

    pub fn run(&mut self, words: &[&str]) -> Result<()> {
        let mut command = redis::cmd(words[0]);
        words[1..].iter().for_each(|word| {
            command.arg(word);
        });
        Ok(command.exec(&mut self.control)?)
    }

    /// A field of an INFO section.
    pub fn info_text(&mut self, section: &str, field: &str) -> Result<String> {
        let text: String = redis::cmd("INFO").arg(section).query(&mut self.control)?;
        let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        Ok(value.with_context(|| format!("no {field} in INFO {section}"))?.trim().to_owned())
    }

    pub fn info(&mut self, section: &str, field: &str) -> Result<f64> {
        Ok(self.info_text(section, field)?.parse()?)
    }

    /// Bytes that the server has allocated, without the buffers of the connection that sent the data.
    pub fn memory(&mut self) -> Result<f64> {
        self.pipe = Pipe::connect(self.server.port())?;
        self.info("memory", "used_memory")
    }

    /// The same without the rollups that Strata always keeps; the peer keeps those that it has rules for.
    pub fn raw_memory(&mut self) -> Result<f64> {
        let memory = self.memory()?;
        if self.dialect == Dialect::Peer {
            return Ok(memory);
        }
        let fields: Vec<redis::Value> = redis::cmd("STRATA.INFO").arg("SOURCE").arg(SOURCE).query(&mut self.control)?;
        let is_name = |name: &redis::Value| String::from_redis_value_ref(name).is_ok_and(|name| name == ROLLUP_BYTES);
        let rollups = fields.chunks(2).find(|pair| is_name(&pair[0])).map(|pair| f64::from_redis_value_ref(&pair[1]));
        Ok(memory - rollups.transpose()?.unwrap_or_default())
    }

    /// Seconds of processor time, of all threads.
    pub fn processor_time(&mut self) -> Result<f64> {
        Ok(self.info("cpu", "used_cpu_user")? + self.info("cpu", "used_cpu_sys")?)
    }

    pub fn save(&mut self) -> Result<()> {
        self.run(&["SAVE"])
    }

    /// Bytes of the RDB file.
    pub fn rdb_size(&self) -> Result<f64> {
        Ok(std::fs::metadata(self.server.data_dir().join("dump.rdb"))?.len() as f64)
    }

    /// Starts the server anew from its RDB file; the seconds that it says to have loaded.
    pub fn reload(&mut self) -> Result<f64> {
        self.server.crash_and_restart()?;
        self.control = self.server.connection()?;
        self.pipe = Pipe::connect(self.server.port())?;
        let log = self.server.log();
        let seconds = log.lines().rev().find_map(|line| line.split("DB loaded from disk: ").nth(1));
        let seconds = seconds.context("the log does not say how long the RDB file took")?;
        Ok(seconds.trim_end_matches(" seconds").parse()?)
    }
}
