//! The real servers behind the tests and the demo: PostgreSQL with the extension, Redis or Valkey
//! with the module, the BigQuery emulator; and two servers that misbehave on purpose.
//!
//! Every server has a port and a directory of its own. An ordinary one dies with the process that
//! started it; a detached one stays up and is found again by its name.

pub mod bigquery;
mod home;
pub mod paths;
pub mod ports;
pub mod postgres;
mod process;
pub mod redis;
pub mod scripted_http;
pub mod silent;
pub mod versions;

pub use bigquery::BigQuery;
pub use postgres::Postgres;
pub use redis::RedisServer;
pub use scripted_http::ScriptedHttp;
pub use silent::SilentServer;
pub use versions::{PgVersion, RedisKind, pg_version, redis_kind};
