//! Events in the catalog: what a replay found meets what is stored.

use super::detector::Detector;
use super::matching::{Span, Stored, matches};
use super::states::{self, Plan};
use crate::failure::Result;
use crate::pg_time;
use crate::source::Source;
use crate::watch::Found;
use pgrx::JsonB;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;
use series::time::Micros;

/// An event that a replay found.
pub struct Raised {
    pub key: String,
    pub found: Found,
}

/// Writes what a detector found since the plan's start; returns how many events were not known. A known one keeps its number
/// and what people noted about it; one that the readings no longer support goes, unless somebody took notice of it.
pub fn store(source: &Source, plan: &Plan, mut raised: Vec<Raised>) -> Result<i64> {
    let detector = &plan.detector;
    raised.retain(|raised| !raised.found.ended || raised.found.event.last >= detector.since);
    let bound = plan.start.start().max(detector.since);
    let first = raised.iter().map(|raised| raised.found.event.start).fold(bound, Micros::min);
    let stored = stored_since(source, detector, first)?;
    let spans: Vec<Span> = raised
        .iter()
        .map(|Raised { key, found }| Span { key, start: found.event.start, last: found.event.last })
        .collect();
    let matched = matches(&spans, &stored);
    let mut supported = vec![false; stored.len()];
    matched.iter().flatten().for_each(|&i| supported[i] = true);
    let unsupported = || stored.iter().zip(&supported).filter(|(_, supported)| !**supported).map(|(event, _)| event);
    remove(unsupported().filter(|event| event.start >= bound && !event.noticed).map(|event| event.id).collect())?;
    end(unsupported().filter(|event| event.lasts).map(|event| event.id).collect())?;
    let mut new = 0;
    for (raised, known) in raised.iter().zip(matched) {
        match known {
            Some(i) => update(stored[i].id, detector, raised)?,
            None => {
                insert(source, detector, raised)?;
                new += 1;
            }
        }
    }
    Ok(new)
}

/// Events of a detector that last, or were not over by `first`.
fn stored_since(source: &Source, detector: &Detector, first: Micros) -> Result<Vec<Stored>> {
    Spi::connect(|client| {
        let rows = client.select(
            "SELECT anomaly_id, key, started_at, ended_at, acknowledged_at IS NOT NULL OR resolved_at IS NOT NULL
             FROM strata.anomaly_events
             WHERE source_id = $1 AND method = $2 AND measure = $3 AND (ended_at IS NULL OR ended_at >= $4 OR started_at >= $4)",
            None,
            &[
                source.id.into(),
                detector.method.name().into(),
                detector.measure(source).into(),
                pg_time::timestamptz(first).into(),
            ],
        )?;
        let mut stored = Vec::new();
        for row in rows {
            let (Some(id), Some(key), Some(start)) =
                (row.get(1)?, row.get(2)?, row.get::<TimestampWithTimeZone>(3)?.and_then(pg_time::micros))
            else {
                continue;
            };
            let end = row.get::<TimestampWithTimeZone>(4)?.and_then(pg_time::micros);
            let noticed = row.get::<bool>(5)? == Some(true);
            stored.push(Stored { id, key, start, end: end.unwrap_or(Micros::MAX), lasts: end.is_none(), noticed });
        }
        Ok(stored)
    })
}

fn remove(ids: Vec<i64>) -> Result<()> {
    Ok(Spi::run_with_args("DELETE FROM strata.anomaly_events WHERE anomaly_id = ANY ($1)", &[ids.into()])?)
}

/// What lasted is over with its last reading in alarm.
fn end(ids: Vec<i64>) -> Result<()> {
    Ok(Spi::run_with_args(
        "UPDATE strata.anomaly_events SET ended_at = coalesce(last_at, peak_at)
         WHERE anomaly_id = ANY ($1) AND ended_at IS NULL",
        &[ids.into()],
    )?)
}

/// Ends the events that last, of detectors that are none any more, and says why they do.
pub fn end_unwatched(source: &Source, detectors: &[Detector]) -> Result<()> {
    let (measures, methods) = states::names(source, detectors);
    Ok(Spi::run_with_args(
        "UPDATE strata.anomaly_events e
         SET ended_at = coalesce(last_at, peak_at), explain = explain || '{\"ended\": \"detector removed\"}'
         WHERE source_id = $1 AND ended_at IS NULL
           AND NOT EXISTS (SELECT FROM unnest($2::text[], $3::text[]) AS d(measure, method)
                           WHERE d.measure = e.measure AND d.method = e.method)",
        &[source.id.into(), measures.into(), methods.into()],
    )?)
}

/// The columns that follow from what was found, in the order of both statements below.
const COLUMNS: &str =
    "detector_version, severity, started_at, ended_at, last_at, peak_at, peak_score, peak_value, expected,
    lower, upper, explain";

/// How severe a severity is, as SQL.
fn rank(severity: &str) -> String {
    format!("array_position('{{info,warning,critical}}'::text[], {severity})")
}

/// An event that was over and still is has nothing to tell, however severe it turns out to have been.
fn update(id: i64, detector: &Detector, raised: &Raised) -> Result<()> {
    let mut values = values(detector, raised);
    values.push(id.into());
    Ok(Spi::run_with_args(
        &format!(
            "UPDATE strata.anomaly_events SET ({COLUMNS}) = ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12),
                 notified_severity = CASE WHEN ended_at IS NOT NULL AND $4 IS NOT NULL AND {new} > {told}
                                          THEN $2 ELSE notified_severity END
             WHERE anomaly_id = $13",
            new = rank("$2"),
            told = rank("notified_severity"),
        ),
        &values,
    )?)
}

/// Somebody else may have stored it first.
fn insert(source: &Source, detector: &Detector, raised: &Raised) -> Result<()> {
    let mut values = values(detector, raised);
    values.extend([
        source.id.into(),
        raised.key.as_str().into(),
        detector.measure(source).into(),
        detector.method.name().into(),
    ]);
    Ok(Spi::run_with_args(
        &format!(
            "INSERT INTO strata.anomaly_events ({COLUMNS}, source_id, key, measure, method)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15::text::name, $16)
             ON CONFLICT (source_id, method, key, measure, started_at) DO UPDATE SET ({COLUMNS}) =
                 ROW (excluded.detector_version, excluded.severity, excluded.started_at, excluded.ended_at, excluded.last_at,
                     excluded.peak_at, excluded.peak_score, excluded.peak_value, excluded.expected, excluded.lower,
                     excluded.upper, excluded.explain)"
        ),
        &values,
    )?)
}

fn values<'a>(detector: &Detector, Raised { found, .. }: &'a Raised) -> Vec<pgrx::datum::DatumWithOid<'a>> {
    let (event, peak) = (&found.event, &found.event.peak);
    let number = |value: f64| value.is_finite().then_some(value);
    vec![
        detector.version.into(),
        event.severity.name().into(),
        pg_time::timestamptz(event.start).into(),
        found.ended.then(|| pg_time::timestamptz(event.last)).into(),
        pg_time::timestamptz(event.last).into(),
        pg_time::timestamptz(peak.time).into(),
        peak.score.into(),
        number(peak.value).into(),
        number(peak.expected).into(),
        number(peak.lower).into(),
        number(peak.upper).into(),
        JsonB(found.explain(detector.method)).into(),
    ]
}

/// Tells of every event of a source that nobody was told of, and of every one that is worse than was told and is not resolved;
/// but not of what a maintenance window keeps back.
pub fn announce(source: &Source) -> Result<()> {
    let sql = format!(
        "WITH news AS (
             SELECT e.anomaly_id, e.notified_severity AS previous
             FROM strata.anomaly_events e JOIN strata.anomalies a USING (anomaly_id)
             WHERE e.source_id = $1 AND NOT a.suppressed AND e.notified_severity IS DISTINCT FROM e.severity
               AND (e.notified_severity IS NULL OR e.resolved_at IS NULL AND {now} > {told})),
         told AS (
             UPDATE strata.anomaly_events e SET notified_at = now(), notified_severity = e.severity
             FROM news WHERE e.anomaly_id = news.anomaly_id
             RETURNING e.*, news.previous)
         SELECT count(pg_notify('strata_anomaly', (jsonb_build_object(
             'anomaly_id', anomaly_id, 'change', CASE WHEN previous IS NULL THEN 'opened' ELSE 'worsened' END,
             'source', $2::text, 'key', key, 'measure', measure, 'method', method,
             'severity', severity, 'started_at', started_at, 'ended_at', ended_at, 'score', peak_score,
             'value', peak_value, 'why', explain ->> 'text')
             || jsonb_strip_nulls(jsonb_build_object('previous_severity', previous)))::text))
         FROM (SELECT * FROM told ORDER BY started_at, anomaly_id) t",
        now = rank("e.severity"),
        told = rank("e.notified_severity"),
    );
    Ok(Spi::run_with_args(&sql, &[source.id.into(), source.name.as_str().into()])?)
}
