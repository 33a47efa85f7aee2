//! Anomaly detection: every changed day of every series is judged again from the state at its start.
//!
//! A day that changed (new readings, late ones, corrections) is replayed from the newest stored state at or before its
//! start, up to the newest reading. Replaying gives the same events again, which keep their numbers; an event that the
//! changed readings no longer support goes, unless somebody has acknowledged or resolved it.

use super::Result;
use crate::dirty_log::{self, Consumer};
use crate::failure::Failure;
use crate::pg_time::{self, sql_time};
use crate::quote;
use crate::snapshot::Snapshot;
use crate::source::Source;
use crate::watch::{Found, Watch};
use crate::workers::{JobError, JobOutcome, transaction};
use crate::{gucs, source};
use pgrx::JsonB;
use pgrx::datum::{Date, TimestampWithTimeZone};
use pgrx::prelude::*;
use series::detect::Method;
use series::time::{Day, Micros};
use std::collections::{BTreeMap, HashMap};

pub const METHOD: Method = Method::RangeNovelty;

pub fn detect(source: &Source) -> Result<JobOutcome> {
    transaction("strata: anomaly detection", || detect_source(source).map_err(JobError::from))
}

fn detect_source(source: &Source) -> std::result::Result<JobOutcome, Failure> {
    let days = dirty_log::pending(source.id, Consumer::AnomalyDetection)?;
    let Some(first) = days.first() else { return Ok(JobOutcome::default()) };
    let start = start_of_replay(source.id, first.day)?;
    let mut replay = Replay::load(source, start)?;
    let rows = replay.run()?;
    let opened = replay.store()?;
    dirty_log::done(source.id, Consumer::AnomalyDetection, &days)?;
    let message = (opened > 0).then(|| format!("{opened} new anomalies"));
    Ok(JobOutcome { rows, message, ..JobOutcome::default() })
}

/// The day from whose start states are known: the newest not after the changed day, else the oldest there is.
fn start_of_replay(source_id: i32, changed: Day) -> std::result::Result<Day, Failure> {
    let known = Spi::connect(|client| -> std::result::Result<Option<Date>, Failure> {
        let row = client
            .select(
                "SELECT coalesce(max(day) FILTER (WHERE day <= $3), min(day)) FROM strata.detector_states
                 WHERE source_id = $1 AND method = $2",
                Some(1),
                &[source_id.into(), METHOD.name().into(), pg_time::date(changed).into()],
            )?
            .first();
        Ok(row.get::<Date>(1)?)
    })?;
    Ok(known.map_or(changed, pg_time::day))
}

/// One pass over the readings since the start of a day.
struct Replay<'a> {
    source: &'a Source,
    start: Day,
    watches: HashMap<String, Vec<Watch>>,
    snapshots: BTreeMap<Day, Vec<(String, usize, Vec<u8>)>>,
    found: Vec<(String, usize, Found)>,
}

impl<'a> Replay<'a> {
    fn load(source: &'a Source, start: Day) -> std::result::Result<Self, Failure> {
        let mut watches: HashMap<String, Vec<Watch>> = HashMap::new();
        Spi::connect(|client| -> std::result::Result<(), Failure> {
            let rows = client.select(
                "SELECT key, measure::text, state FROM strata.detector_states WHERE source_id = $1 AND method = $2 AND day = $3",
                None,
                &[source.id.into(), METHOD.name().into(), pg_time::date(start).into()],
            )?;
            for row in rows {
                let (Some(key), Some(measure), Some(state)) =
                    (row.get::<String>(1)?, row.get::<String>(2)?, row.get::<Vec<u8>>(3)?)
                else {
                    continue;
                };
                let Some(position) = source.measures.iter().position(|name| *name == measure) else { continue };
                let series = watches.entry(key).or_insert_with(|| new_watches(source));
                // a state of an older version is started anew rather than trusted
                if let Ok(watch) = Watch::restore(&state) {
                    series[position] = watch;
                }
            }
            Ok(())
        })?;
        Ok(Self { source, start, watches, snapshots: BTreeMap::new(), found: Vec::new() })
    }

    fn run(&mut self) -> std::result::Result<i64, Failure> {
        let source = self.source;
        let Some((_, newest)) = source::span_of_days(source.relation, &source.time_column)? else { return Ok(0) };
        let oldest_snapshot = Day(newest.0 - gucs::detector_snapshot_days() + 1);
        let measures: String =
            source.measures.iter().map(|measure| format!(", t.{}::float8", quote::ident(measure))).collect();
        let sql = format!(
            "SELECT t.{time}, t.{key}::text{measures} FROM {table} t
             WHERE t.{time} >= {start} AND t.{time} < 'infinity' ORDER BY t.{time}",
            time = source.time(),
            key = source.key(),
            table = source.table,
            start = sql_time(self.start.start()),
        );
        let mut rows = 0;
        let mut today = self.start;
        Snapshot::take().select(&sql, &[], |view| {
            let Some(time) = view.raw_timestamptz(1).and_then(pg_time::micros_of_raw) else { return Ok(()) };
            let day = Day::of(time);
            if day > today {
                today = day;
                if day >= oldest_snapshot {
                    self.take_snapshot(day);
                }
            }
            rows += 1;
            view.with_text(2, |key| self.judge(key, time, |m| view.get::<f64>(3 + m).unwrap_or(f64::NAN)));
            Ok(())
        })?;
        Ok(rows)
    }

    fn judge(&mut self, key: &str, time: Micros, value: impl Fn(usize) -> f64) {
        let watches = match self.watches.get_mut(key) {
            Some(watches) => watches,
            None => self.watches.entry(key.to_owned()).or_insert_with(|| new_watches(self.source)),
        };
        for (m, watch) in watches.iter_mut().enumerate() {
            if let Some(found) = watch.update(time, value(m)) {
                self.found.push((key.to_owned(), m, found));
            }
        }
    }

    fn take_snapshot(&mut self, day: Day) {
        let states = self.watches.iter().flat_map(|(key, watches)| {
            watches.iter().enumerate().map(move |(m, watch)| (key.clone(), m, watch.save()))
        });
        self.snapshots.insert(day, states.collect());
    }

    /// Stores events and states; returns how many events are new.
    fn store(&mut self) -> std::result::Result<i64, Failure> {
        for (key, watches) in &self.watches {
            for (m, watch) in watches.iter().enumerate() {
                self.found.extend(watch.open().map(|found| (key.clone(), m, found)));
            }
        }
        let mut new = 0;
        let mut starts: Vec<(String, String, TimestampWithTimeZone)> = Vec::new();
        for (key, m, found) in &self.found {
            let measure = &self.source.measures[*m];
            new += i64::from(store_event(self.source, key, measure, found)?);
            starts.push((key.clone(), measure.clone(), pg_time::timestamptz(found.event.start)));
        }
        self.remove_unsupported(starts)?;
        self.store_snapshots()?;
        Ok(new)
    }

    fn remove_unsupported(
        &self,
        kept: Vec<(String, String, TimestampWithTimeZone)>,
    ) -> std::result::Result<(), Failure> {
        let mut columns: (Vec<String>, Vec<String>, Vec<TimestampWithTimeZone>) = Default::default();
        for (key, measure, start) in kept {
            columns.0.push(key);
            columns.1.push(measure);
            columns.2.push(start);
        }
        Spi::run_with_args(
            "DELETE FROM strata.anomaly_events e
             WHERE source_id = $1 AND method = $2 AND started_at >= $3 AND acknowledged_at IS NULL AND resolved_at IS NULL
               AND NOT EXISTS (SELECT FROM unnest($4::text[], $5::text[], $6::timestamptz[]) AS k(key, measure, started_at)
                               WHERE k.key = e.key AND k.measure = e.measure AND k.started_at = e.started_at)",
            &[
                self.source.id.into(),
                METHOD.name().into(),
                pg_time::timestamptz(self.start.start()).into(),
                columns.0.into(),
                columns.1.into(),
                columns.2.into(),
            ],
        )?;
        Ok(())
    }

    fn store_snapshots(&mut self) -> std::result::Result<(), Failure> {
        Spi::run_with_args(
            "DELETE FROM strata.detector_states WHERE source_id = $1 AND method = $2 AND day > $3",
            &[self.source.id.into(), METHOD.name().into(), pg_time::date(self.start).into()],
        )?;
        for (day, states) in std::mem::take(&mut self.snapshots) {
            let (mut keys, mut measures, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
            for (key, m, state) in states {
                keys.push(key);
                measures.push(self.source.measures[m].clone());
                bytes.push(state);
            }
            Spi::run_with_args(
                "INSERT INTO strata.detector_states (source_id, method, day, key, measure, state)
                 SELECT $1, $2, $3, * FROM unnest($4::text[], $5::text[]::name[], $6::bytea[])",
                &[
                    self.source.id.into(),
                    METHOD.name().into(),
                    pg_time::date(day).into(),
                    keys.into(),
                    measures.into(),
                    bytes.into(),
                ],
            )?;
        }
        Spi::run_with_args(
            "DELETE FROM strata.detector_states d WHERE source_id = $1 AND method = $2
               AND day <= (SELECT max(day) FROM strata.detector_states WHERE source_id = $1 AND method = $2) - $3",
            &[self.source.id.into(), METHOD.name().into(), gucs::detector_snapshot_days().into()],
        )?;
        Ok(())
    }
}

fn new_watches(source: &Source) -> Vec<Watch> {
    source.measures.iter().map(|_| Watch::new(METHOD)).collect()
}

/// Writes one event; true if it was not known. A known one keeps its number and what people noted about it.
fn store_event(source: &Source, key: &str, measure: &str, found: &Found) -> std::result::Result<bool, Failure> {
    let (event, peak) = (&found.event, &found.event.peak);
    let number = |value: f64| value.is_finite().then_some(value);
    let ended = found.ended.then(|| pg_time::timestamptz(event.last));
    let new = Spi::get_one_with_args::<bool>(
        "WITH stored AS (
             INSERT INTO strata.anomaly_events AS e (source_id, key, measure, method, detector_version, severity, started_at,
                 ended_at, peak_at, peak_score, peak_value, expected, lower, upper, explain)
             VALUES ($1, $2, $3::text::name, $4, 1, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
             ON CONFLICT (source_id, method, key, measure, started_at) DO UPDATE SET severity = excluded.severity,
                 ended_at = excluded.ended_at, peak_at = excluded.peak_at, peak_score = excluded.peak_score,
                 peak_value = excluded.peak_value, expected = excluded.expected, lower = excluded.lower,
                 upper = excluded.upper, explain = excluded.explain
             RETURNING anomaly_id, xmax = 0 AS is_new)
         SELECT is_new FROM stored, LATERAL (SELECT CASE WHEN is_new THEN pg_notify('strata_anomaly', jsonb_build_object(
             'anomaly_id', anomaly_id, 'source', $15::text, 'key', $2::text, 'measure', $3::text, 'severity', $5::text,
             'started_at', $6::timestamptz, 'score', $9::float8)::text) END) n",
        &[
            source.id.into(),
            key.into(),
            measure.into(),
            METHOD.name().into(),
            event.severity.to_string().into(),
            pg_time::timestamptz(event.start).into(),
            ended.into(),
            pg_time::timestamptz(peak.time).into(),
            peak.score.into(),
            number(peak.value).into(),
            number(peak.expected).into(),
            number(peak.lower).into(),
            number(peak.upper).into(),
            JsonB(found.explain()).into(),
            source.name.as_str().into(),
        ],
    )?;
    Ok(new == Some(true))
}
