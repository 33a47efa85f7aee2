//! Detection in Redis: it goes on from the states of the job, so that a sample is judged as it comes; events are made by the
//! job alone.

use crate::as_user::AsUser;
use crate::failure::{Failure, OrRaise, Result};
use crate::gucs;
use crate::interrupts::BackendWait;
use crate::manifest;
use crate::pg_time;
use crate::query::access::Access;
use crate::source::Source;
use crate::tiers;
use bridge::hot::{HotClient, LeftOut, WatchState};
use bridge::wait::Wait;
use pgrx::PgRelation;
use pgrx::datum::{Date, TimestampWithTimeZone};
use pgrx::prelude::*;
use series::detect::Method;

/// When Redis is given the states.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Handover {
    /// Unless this run of Redis has them still, and has judged all its samples in order.
    WhereNew,
    /// Also again: series may have come into being since.
    Always,
}

/// Makes the newest states of the source's detectors its watches in Redis, or ends all where the setting is off. Returns
/// the keys that took none.
pub fn hand_over(source: &Source, client: &HotClient, instance: &str, when: Handover) -> Result<LeftOut> {
    let _user = AsUser::catalog_owner();
    let known = given(source.id)?;
    if !gucs::hot_detection() {
        if known.is_none() {
            return Ok(LeftOut::default());
        }
        let watched = BackendWait.wait("ending the watch in Redis", client.watch(&source.name, &[]))?;
        note(source.id, None)?;
        return Ok(watched.left_out);
    }
    let states = newest_states(source.id)?;
    let new = (instance.to_owned(), states.hash);
    if when == Handover::WhereNew && known.as_ref() == Some(&new) {
        let again = client.watch_again(&source.name, &states.states);
        return Ok(BackendWait.wait("handing detectors to Redis", again)?.left_out);
    }
    let watched = BackendWait.wait("handing detectors to Redis", client.watch(&source.name, &states.states))?;
    note(source.id, Some(new))?;
    Ok(watched.left_out)
}

/// Ends the watches of a source that is let go. That a Redis which cannot be reached goes on watching keeps nobody from it.
pub fn end(source: &Source) -> Result<()> {
    if given(source.id)?.is_none() || manifest::check_owner(source).is_err() {
        return Ok(());
    }
    let Some(client) = tiers::hot()? else { return Ok(()) };
    if let Err(error) = BackendWait.wait("ending the watch in Redis", client.watch(&source.name, &[])) {
        let failure = Failure::from(error);
        let message = format!("Redis goes on watching source \"{}\": {}", source.name, failure.message);
        Failure { message, ..failure }.hint("STRATA.WATCHES lists what it watches, STRATA.WATCH ends it.").warn();
    }
    Ok(())
}

struct States {
    states: Vec<WatchState>,
    hash: String,
}

/// The states at the start of the newest day that each detector has. They have learned everything before that day. Redis
/// watches a measure by one method: the default one if it is among those that are set.
fn newest_states(source_id: i32) -> Result<States> {
    Spi::connect(|client| {
        let rows = client.select(
            "SELECT key, measure, day, state, md5(string_agg(key || '/' || measure || md5(state), '' ) OVER (
                 ORDER BY key, measure ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING))
             FROM (SELECT DISTINCT ON (key, measure) key, measure::text, day, state
                   FROM strata.detector_states s
                   WHERE source_id = $1 AND day = (SELECT max(day) FROM strata.detector_states n
                       WHERE n.source_id = s.source_id AND n.measure = s.measure AND n.method = s.method)
                   ORDER BY key, measure, method <> $2, method) newest
             ORDER BY key, measure",
            None,
            &[source_id.into(), Method::RangeNovelty.name().into()],
        )?;
        let mut found = States { states: Vec::new(), hash: String::new() };
        for row in rows {
            let (key, measure) = (row.get::<String>(1)?, row.get::<String>(2)?);
            let (day, state) = (row.get::<Date>(3)?, row.get::<Vec<u8>>(4)?);
            if let (Some(key), Some(measure), Some(day), Some(state)) = (key, measure, day, state) {
                let after = pg_time::day(day).start() - 1;
                found.states.push(WatchState { key, measure, after, state });
            }
            found.hash = row.get::<String>(5)?.unwrap_or_default();
        }
        Ok(found)
    })
}

/// Run of Redis and hash of the states it was given.
fn given(source_id: i32) -> Result<Option<(String, String)>> {
    Spi::connect(|client| {
        let mut rows = client.select(
            "SELECT watched_instance, watched_states FROM strata.hot_state WHERE source_id = $1",
            Some(1),
            &[source_id.into()],
        )?;
        let Some(row) = rows.next() else { return Ok(None) };
        Ok(row.get::<String>(1)?.zip(row.get::<String>(2)?))
    })
}

fn note(source_id: i32, given: Option<(String, String)>) -> Result<()> {
    let (instance, states) = given.unzip();
    Spi::run_with_args(
        "INSERT INTO strata.hot_state (source_id, watched_instance, watched_states, watched_at) VALUES ($1, $2, $3, now())
         ON CONFLICT (source_id) DO UPDATE SET watched_instance = excluded.watched_instance,
             watched_states = excluded.watched_states, watched_at = excluded.watched_at",
        &[source_id.into(), instance.into(), states.into()],
    )?;
    Ok(())
}

type Alarm =
    (String, String, TimestampWithTimeZone, f64, f64, Option<f64>, Option<f64>, Option<f64>, String, Option<String>);

/// The alarms of samples that are in Redis only; an event in strata.anomalies follows once they are flushed.
#[pg_extern(volatile, parallel_unsafe, requires = ["hot"])]
#[search_path(pg_catalog, pg_temp)]
#[allow(clippy::type_complexity)]
fn hot_anomalies(
    relation: PgRelation,
) -> TableIterator<
    'static,
    (
        name!(key, String),
        name!(measure, String),
        name!(time, TimestampWithTimeZone),
        name!(value, f64),
        name!(score, f64),
        name!(expected, Option<f64>),
        name!(lower, Option<f64>),
        name!(upper, Option<f64>),
        name!(method, String),
        name!(reason, Option<String>),
    ),
> {
    let source = Source::of_relation(relation.oid()).or_raise();
    TableIterator::new(alarms(&source).or_raise())
}

fn alarms(source: &Source) -> Result<Vec<Alarm>> {
    let names: Vec<String> =
        [&source.time_column, &source.key_column].into_iter().chain(&source.measures).cloned().collect();
    let access = Access::check(source, &names)?;
    let client = if source.hot.is_some() { tiers::hot()? } else { None };
    let Some(client) = client else { return Ok(Vec::new()) };
    access.check_hot(source)?;
    let alarms = BackendWait.wait("reading alarms from Redis", client.anomalies(&source.name, None))?;
    let number = |value: f64| value.is_finite().then_some(value);
    Ok(alarms
        .into_iter()
        .map(|alarm| {
            (
                alarm.key,
                alarm.measure,
                pg_time::timestamptz(alarm.time),
                alarm.value,
                alarm.score,
                number(alarm.expected),
                number(alarm.lower),
                number(alarm.upper),
                alarm.method,
                Some(alarm.reason).filter(|reason| !reason.is_empty()),
            )
        })
        .collect())
}
