//! Dropping by the retention. The primary decides and tells replicas and the AOF up to where: a server that dropped by its own
//! setting would take a resent sample for a new one where the others still have it.

use crate::api::Ctx;
use crate::api::reply::time_text;
use crate::config;
use crate::hot::Series;
use redis_module::raw::RedisModuleString;
use series::time::Micros;

/// Drops what the retention does not keep; returns the time of the newest sample dropped, for [`replicate`].
#[inline]
pub fn trim(ctx: Ctx, series: &mut Series) -> Option<Micros> {
    let retention = config::retention();
    if !series.may_trim(retention) || ctx.repeats() {
        return None;
    }
    series.trim(retention)
}

/// Tells replicas and the AOF, after the command that led to it.
pub fn replicate(ctx: Ctx, name: *mut RedisModuleString, trimmed: Option<Micros>) {
    if let Some(time) = trimmed {
        ctx.replicate(c"STRATA.TRIM", name, &time_text(time), &[]);
    }
}
