//! The states of detectors at the starts of days, and from which of them each detector goes on.

use super::detector::Detector;
use crate::failure::Result;
use crate::gucs;
use crate::pg_time;
use crate::source::Source;
use crate::watch::Watch;
use pgrx::datum::Date;
use pgrx::prelude::*;
use series::time::Day;
use std::collections::HashMap;

/// A detector with work to do.
pub struct Plan {
    pub detector: Detector,
    /// The day from whose start on it judges.
    pub start: Day,
    /// It begins with what is known of each series at `start`; otherwise with nothing.
    pub goes_on: bool,
}

/// The detectors that have something to do, from the oldest changed day on. `span` is that of the table's rows.
///
/// Each goes on from its newest state at or before the changed day, else from the oldest there is. A detector of gaps looks at
/// the clock each time, so it always goes on from its newest state.
pub fn plan(
    source: &Source,
    detectors: Vec<Detector>,
    changed: Option<Day>,
    span: Option<(Day, Day)>,
) -> Result<Vec<Plan>> {
    let Some((first, newest)) = span else {
        // nothing is left: every detector finds that its events are no longer supported
        let plan = |detector| changed.map(|start| Plan { detector, start, goes_on: true });
        return Ok(detectors.into_iter().filter_map(plan).collect());
    };
    let days = known_days(source, changed.unwrap_or(newest))?;
    let plan = |detector: Detector| {
        if let Some(from) = detector.replay_from {
            return Some(Plan { detector, start: Day::of(from).max(first), goes_on: false });
        }
        if changed.is_none() && !detector.has_work_of_its_own() {
            return None;
        }
        let known = days.get(&(detector.measure(source).to_owned(), detector.method.name().to_owned()));
        let start = known.copied().or(changed).unwrap_or(newest);
        Some(Plan { detector, start, goes_on: true })
    };
    Ok(detectors.into_iter().filter_map(plan).collect())
}

/// By measure and method: the newest day with states not after `day`, else the oldest.
fn known_days(source: &Source, day: Day) -> Result<HashMap<(String, String), Day>> {
    Spi::connect(|client| {
        let rows = client.select(
            "SELECT measure::text, method, coalesce(max(day) FILTER (WHERE day <= $2), min(day))
             FROM strata.detector_states WHERE source_id = $1 GROUP BY measure, method",
            None,
            &[source.id.into(), pg_time::date(day).into()],
        )?;
        let mut days = HashMap::new();
        for row in rows {
            if let (Some(measure), Some(method), Some(day)) = (row.get(1)?, row.get(2)?, row.get::<Date>(3)?) {
                days.insert((measure, method), pg_time::day(day));
            }
        }
        Ok(days)
    })
}

/// The states with which a detector goes on, by key.
pub fn load(source: &Source, plan: &Plan, mut each: impl FnMut(String, Watch)) -> Result<()> {
    let (measure, method) = (plan.detector.measure(source), plan.detector.method.name());
    Spi::connect(|client| {
        let rows = client.select(
            "SELECT key, state FROM strata.detector_states WHERE source_id = $1 AND measure = $2 AND method = $3 AND day = $4",
            None,
            &[source.id.into(), measure.into(), method.into(), pg_time::date(plan.start).into()],
        )?;
        for row in rows {
            let (Some(key), Some(state)) = (row.get::<String>(1)?, row.get::<Vec<u8>>(2)?) else { continue };
            // a state of an older version is started anew rather than trusted
            if let Ok(watch) = Watch::restore(&state) {
                each(key, watch);
            }
        }
        Ok(())
    })
}

/// The states of one detector at the start of a day.
#[derive(Default)]
pub struct DayStates {
    pub keys: Vec<String>,
    pub states: Vec<Vec<u8>>,
}

/// Puts new states into the place of those after the plan's start, and lets old ones go.
pub fn store(source: &Source, plan: &Plan, days: Vec<(Day, DayStates)>) -> Result<()> {
    let (measure, method) = (plan.detector.measure(source), plan.detector.method.name());
    let of_detector = "source_id = $1 AND measure = $2 AND method = $3";
    // what was learned with other options is of no use
    Spi::run_with_args(
        &format!("DELETE FROM strata.detector_states WHERE {of_detector} AND (day > $4 OR NOT $5)"),
        &[source.id.into(), measure.into(), method.into(), pg_time::date(plan.start).into(), plan.goes_on.into()],
    )?;
    for (day, DayStates { keys, states }) in days {
        Spi::run_with_args(
            "INSERT INTO strata.detector_states (source_id, measure, method, day, key, state)
             SELECT $1, $2::text::name, $3, $4, * FROM unnest($5::text[], $6::bytea[])",
            &[source.id.into(), measure.into(), method.into(), pg_time::date(day).into(), keys.into(), states.into()],
        )?;
    }
    Spi::run_with_args(
        &format!(
            "DELETE FROM strata.detector_states WHERE {of_detector}
               AND day <= (SELECT max(day) FROM strata.detector_states WHERE {of_detector}) - $4"
        ),
        &[source.id.into(), measure.into(), method.into(), gucs::detector_snapshot_days().into()],
    )?;
    // a detector that was set again meanwhile still has to learn
    Spi::run_with_args(
        &format!(
            "UPDATE strata.detectors SET replay_from = NULL WHERE {of_detector} AND version = $4 AND replay_from IS NOT NULL"
        ),
        &[source.id.into(), measure.into(), method.into(), plan.detector.version.into()],
    )?;
    Ok(())
}

/// States of detectors that are none any more.
pub fn forget_unwatched(source: &Source, detectors: &[Detector]) -> Result<()> {
    let (measures, methods) = names(source, detectors);
    Spi::run_with_args(
        "DELETE FROM strata.detector_states s WHERE source_id = $1
           AND NOT EXISTS (SELECT FROM unnest($2::text[], $3::text[]) AS d(measure, method)
                           WHERE d.measure = s.measure AND d.method = s.method)",
        &[source.id.into(), measures.into(), methods.into()],
    )?;
    Ok(())
}

/// Measures and methods, for `unnest`.
pub fn names(source: &Source, detectors: &[Detector]) -> (Vec<String>, Vec<String>) {
    detectors.iter().map(|detector| (detector.measure(source).to_owned(), detector.method.name().to_owned())).unzip()
}
