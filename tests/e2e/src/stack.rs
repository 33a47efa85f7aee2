//! The three servers, joined by PostgreSQL's settings.

use std::sync::OnceLock;

use strata_servers::{BigQuery, PROJECT, Postgres, PostgresBuilder, RedisServer, pg_version, redis_kind};

use crate::Database;

pub struct Stack {
    pub postgres: Postgres,
    pub redis: RedisServer,
    pub bigquery: BigQuery,
}

/// All three servers, for tests that do them no harm: one stack for a test program.
pub fn stack() -> &'static Stack {
    static STACK: OnceLock<Stack> = OnceLock::new();
    STACK.get_or_init(|| Stack::start(false))
}

/// PostgreSQL alone, for tests that need no other tier: one server for a test program.
pub fn postgres() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(|| builder().durable(false).start().unwrap())
}

impl Stack {
    /// A stack of its own, for tests that kill servers.
    pub fn for_faults() -> Stack {
        Stack::start(true)
    }

    fn start(durable: bool) -> Stack {
        let bigquery = std::thread::spawn(|| BigQuery::start_new().unwrap());
        let redis = RedisServer::builder(redis_kind()).conf("databases", "64").start().unwrap();
        let bigquery = bigquery.join().unwrap();
        let postgres = builder()
            .durable(durable)
            .conf("strata.redis_url", &redis.url())
            .conf("strata.bigquery_project", PROJECT)
            .conf("strata.bigquery_endpoint", &bigquery.endpoint())
            .start()
            .unwrap();
        Stack { postgres, redis, bigquery }
    }

    /// A database of its own for a test.
    pub fn database(&self) -> Database {
        Database::create(&self.postgres)
    }
}

/// Jobs run when a test says so, and nowhere by themselves.
pub fn builder() -> PostgresBuilder {
    Postgres::builder(pg_version())
        .conf("strata.scheduler_enabled", "off")
        .conf("max_worker_processes", "64")
        .conf("max_prepared_transactions", "4")
        .conf("autovacuum", "off")
}
