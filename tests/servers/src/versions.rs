//! Which versions a run uses: one run of the tests is for one PostgreSQL and one Redis.

use std::env;

use crate::paths;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PgVersion {
    V15,
    V17,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedisKind {
    Redis7,
    Redis8,
    Valkey,
    /// Redis 7.4 as it comes with RedisTimeSeries; outside the root file systems.
    Stack,
}

/// From `STRATA_PG`: 15 (the default) or 17.
pub fn pg_version() -> PgVersion {
    match env::var("STRATA_PG").as_deref() {
        Err(_) | Ok("15") => PgVersion::V15,
        Ok("17") => PgVersion::V17,
        Ok(other) => panic!("STRATA_PG is {other:?}, but must be 15 or 17"),
    }
}

/// From `STRATA_REDIS`: 7 (the default), 8 or valkey.
pub fn redis_kind() -> RedisKind {
    match env::var("STRATA_REDIS").as_deref() {
        Err(_) | Ok("7") => RedisKind::Redis7,
        Ok("8") => RedisKind::Redis8,
        Ok("valkey") => RedisKind::Valkey,
        Ok(other) => panic!("STRATA_REDIS is {other:?}, but must be 7, 8 or valkey"),
    }
}

impl PgVersion {
    pub fn major(self) -> u32 {
        match self {
            Self::V15 => 15,
            Self::V17 => 17,
        }
    }

    /// TimescaleDB is there with one of the two, so that both ways are tested.
    pub fn has_timescaledb(self) -> bool {
        self == Self::V17
    }
}

impl RedisKind {
    pub(crate) fn program(self) -> String {
        match self {
            Self::Redis7 | Self::Redis8 => "/usr/bin/redis-server".to_owned(),
            Self::Valkey => "/usr/bin/valkey-server".to_owned(),
            Self::Stack => paths::redis_stack().join("redis-server").display().to_string(),
        }
    }
}
