//! The demo's private servers. They stay up when the demo ends and are found again by the next run.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result};
use strata_servers::{
    AppendFsync, BigQuery, BigQueryBuilder, PROJECT, PgVersion, Postgres, PostgresBuilder, RedisBuilder, RedisKind,
    RedisServer, paths,
};

use crate::report;

const NAME: &str = "demo";
// below the range that the tests take their ports from, and none of the usual ones
const POSTGRES_PORT: u16 = 15_432;
const REDIS_PORT: u16 = 16_379;
const BIGQUERY_PORT: u16 = 19_050;
const BIGQUERY_GRPC_PORT: u16 = 19_060;

pub const POSTGRES: PgVersion = PgVersion::V17;
pub const REDIS: RedisKind = RedisKind::Redis8;

pub struct Stack {
    pub postgres: Postgres,
    pub redis: RedisServer,
    pub bigquery: BigQuery,
}

impl Stack {
    /// Starts what does not run, and restarts what runs an older build of Strata than the one installed.
    pub fn start() -> Result<Self> {
        let (mut redis, mut bigquery, mut postgres) = (None, None, None);
        report::step("Redis 8 with the module", |_| {
            let server = start_redis()?;
            let text = format!("port {}", server.port());
            redis = Some(server);
            Ok(text)
        })?;
        report::step("BigQuery emulator", |_| {
            let server = emulator().start()?;
            let text = server.endpoint();
            bigquery = Some(server);
            Ok(text)
        })?;
        let (redis, bigquery) = (redis.context("Redis")?, bigquery.context("the BigQuery emulator")?);
        report::step("PostgreSQL 17 with TimescaleDB", |_| {
            let server = start_postgres(&redis, &bigquery)?;
            let text = format!("port {}", server.port());
            postgres = Some(server);
            Ok(text)
        })?;
        Ok(Self { postgres: postgres.context("PostgreSQL")?, redis, bigquery })
    }

    /// The servers as they are, without starting any.
    pub fn find() -> Result<Self> {
        Ok(Self { postgres: postgres().find()?, redis: redis().find()?, bigquery: emulator().find()? })
    }

    /// Stops what runs. The data stay where they are until the next run.
    pub fn stop(&mut self) -> Result<()> {
        if self.postgres.is_running() {
            report::step("PostgreSQL", |_| self.postgres.stop_fast().map(|_| "stopped"))?;
        }
        if self.redis.is_running() {
            report::step("Redis", |_| self.redis.stop().map(|_| "stopped"))?;
        }
        if self.bigquery.is_running() {
            report::step("BigQuery emulator", |_| self.bigquery.stop().map(|_| "stopped"))?;
        }
        Ok(())
    }
}

fn postgres() -> PostgresBuilder {
    Postgres::builder(POSTGRES).detached(NAME, POSTGRES_PORT)
}

fn redis() -> RedisBuilder {
    // what Redis acknowledged survives a kill in either case; every second is what people run
    RedisServer::builder(REDIS).append_only(Some(AppendFsync::EverySecond)).detached(NAME, REDIS_PORT)
}

fn emulator() -> BigQueryBuilder {
    BigQuery::builder().detached(NAME, BIGQUERY_PORT, BIGQUERY_GRPC_PORT)
}

fn start_redis() -> Result<RedisServer> {
    let mut running = redis().find()?;
    let copy = running.data_dir().with_file_name("libstrata.so");
    if running.is_running() && is_older(&copy, &paths::redis_module()) {
        running.stop()?;
    }
    redis().start()
}

fn start_postgres(redis: &RedisServer, bigquery: &BigQuery) -> Result<Postgres> {
    let mut running = postgres().find()?;
    let since = running.data_dir().join("postmaster.pid");
    if running.is_running() && is_older(&since, &paths::pg_library(POSTGRES)) {
        running.stop_fast()?;
    }
    postgres()
        .conf("strata.redis_url", &redis.url())
        .conf("strata.bigquery_project", PROJECT)
        .conf("strata.bigquery_endpoint", &bigquery.endpoint())
        .conf("strata.bigquery_storage_endpoint", &bigquery.grpc_endpoint())
        .conf("shared_buffers", "256MB")
        .conf("max_wal_size", "2GB")
        // a query over all days touches every daily chunk and its index
        .conf("max_locks_per_transaction", "512")
        .start()
}

/// True if `file` was written before `build`.
fn is_older(file: &Path, build: &Path) -> bool {
    let written =
        |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    written(file) < written(build)
}
