//! The real servers behind the tests and the demo: PostgreSQL with the extension, Redis or Valkey
//! with the module, the BigQuery emulator; and two servers that misbehave on purpose.
//!
//! Every server has a port and a directory of its own. An ordinary one dies with the process that
//! started it; a detached one stays up and is found again by its name.

pub mod bigquery;
mod home;
pub mod paths;
pub mod ports;
mod postgres;
mod process;
mod redis;
mod redis_cluster;
mod scripted_http;
mod silent;
mod versions;

pub use bigquery::{BigQuery, BigQueryBuilder, PROJECT};
pub use postgres::{Postgres, PostgresBuilder};
pub use redis::{AppendFsync, RedisBuilder, RedisServer};
pub use redis_cluster::RedisCluster;
pub use scripted_http::{Request, Response, ScriptedHttp};
pub use silent::SilentServer;
pub use versions::{PgVersion, RedisKind, pg_version, redis_kind};
