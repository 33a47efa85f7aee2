//! Alarms: published when they are raised, listed until the table has their samples.

use crate::api::Ctx;
use crate::api::args;
use crate::hot::{Alarm, Series};
use crate::index;
use redis_module::raw::RedisModuleString;
use series::time::MICROS_PER_MILLI;

/// The channel on which alarms are published.
pub const CHANNEL: &str = "strata:anomalies";

/// The messages of alarms of a series.
pub fn messages(series: &Series, name: *mut RedisModuleString, alarms: &[Alarm]) -> Vec<String> {
    if alarms.is_empty() {
        return Vec::new();
    }
    // SAFETY: the name is an argument of the running command.
    let (source, key) = index::check_name(unsafe { args::bytes(name) }).unwrap_or_default();
    alarms.iter().map(|alarm| message(series, source, key, alarm)).collect()
}

pub fn publish(ctx: Ctx, messages: &[String]) {
    messages.iter().for_each(|message| ctx.publish(CHANNEL, message));
}

/// The name of the alarm's measure.
pub fn measure<'a>(series: &'a Series, alarm: &Alarm) -> &'a str {
    series.measures().nth(alarm.measure).unwrap_or_default()
}

/// JSON has no NaN: a number that the detector does not have is null.
fn message(series: &Series, source: &str, key: &str, alarm: &Alarm) -> String {
    serde_json::json!({
        "source": source,
        "key": key,
        "measure": measure(series, alarm),
        "time": alarm.time as f64 / MICROS_PER_MILLI as f64,
        "value": alarm.value,
        "score": alarm.score,
        "expected": alarm.expected,
        "lower": alarm.lower,
        "upper": alarm.upper,
        "method": alarm.method,
        "reason": alarm.reason,
    })
    .to_string()
}
