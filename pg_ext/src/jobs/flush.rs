//! The flush: pending samples from Redis into the source's table.

use super::Result;
use crate::as_user::AsUser;
use crate::failure::Failure;
use crate::interrupts::BackendWait;
use crate::query::hot_rows::HotRows;
use crate::quote;
use crate::source::Source;
use crate::subtransaction::subtransaction;
use crate::workers::{self, JobError, JobKind, JobOutcome, transaction};
use crate::{gucs, manifest, tiers};
use bridge::flush::{FlushError, FlushFrom, flush_source};
use bridge::hot::{HotClient, HotError, LeftOut, Pending, PendingSeries};
use bridge::store::{FlushSource, FlushStore, StoreError, Written};
use pgrx::JsonB;
use pgrx::prelude::*;
use std::cell::Cell;
use std::collections::HashSet;
use std::ops::Range;

pub fn flush(source: &Source) -> Result<JobOutcome> {
    let Some(client) = tiers::hot()? else {
        let message = Some("strata.redis_url is not set".to_owned());
        return Ok(JobOutcome { message, ..JobOutcome::default() });
    };
    transaction("strata: flush", || manifest::check_owner(source).map_err(JobError::from))?;
    let mut store = Table { source };
    let name = FlushSource { name: source.name.clone() };
    let watched = Watched { client: &client, source: &source.name, alarmed: Cell::new(false) };
    let report = flush_source(&BackendWait, &watched, &mut store, &name, gucs::flush_batch());
    if watched.alarmed.get() {
        transaction("strata: flush", || workers::make_due(JobKind::AnomalyDetection))?;
    }
    let report = report.map_err(job_error)?;
    let refused = (report.rejected > 0)
        .then(|| format!("{} samples were refused by the table and are in strata.rejected_samples", report.rejected));
    let unread = (!report.left_out.is_empty()).then(|| tiers::damaged(&report.left_out).message);
    let said: Vec<String> = refused.into_iter().chain(unread).collect();
    let message = (!said.is_empty()).then(|| said.join("; "));
    Ok(JobOutcome { rows: report.rows as i64, message, ..JobOutcome::default() })
}

/// Redis as the flush sees it, which notes alarms before the acknowledgement ends them there.
struct Watched<'a> {
    client: &'a HotClient,
    source: &'a str,
    alarmed: Cell<bool>,
}

impl FlushFrom for Watched<'_> {
    fn pending(&self, source: &str, count: usize) -> impl Future<Output = std::result::Result<Pending, HotError>> {
        FlushFrom::pending(self.client, source, count)
    }

    async fn ack(&self, flush_id: i64, series: &[PendingSeries]) -> std::result::Result<u64, HotError> {
        // that an event comes soon is worth a question, not a flush that fails
        if !self.alarmed.get() && self.client.anomalies(self.source, Some(1)).await.is_ok_and(|found| !found.is_empty())
        {
            self.alarmed.set(true);
        }
        self.client.ack(flush_id, series).await
    }
}

fn job_error(error: FlushError) -> JobError {
    match error {
        FlushError::Hot(error) => JobError::from(Failure::from(error)),
        FlushError::Store(error) => {
            JobError { sqlstate: error.sqlstate, message: error.message, detail: error.detail, hint: error.hint }
        }
        other @ FlushError::NoProgress { .. } => {
            JobError::new(pgrx::PgSqlErrorCode::ERRCODE_PROTOCOL_VIOLATION, other.to_string())
                .hint("Check that Redis and PostgreSQL run the same version of Strata: STRATA.INFO, strata.health().")
        }
    }
}

/// The table of a source as the flush writes to it.
struct Table<'a> {
    source: &'a Source,
}

impl FlushStore for Table<'_> {
    fn write(&mut self, _source: &FlushSource, pending: &Pending) -> std::result::Result<Written, StoreError> {
        transaction("strata: flush", || self.write_batch(pending)).map_err(|error: JobError| StoreError {
            sqlstate: error.sqlstate,
            message: error.message,
            detail: error.detail,
            hint: error.hint,
        })
    }
}

/// A sample that the table refuses.
struct Rejected {
    key: String,
    time: TimestampWithTimeZone,
    measures: serde_json::Value,
    sqlstate: String,
    reason: String,
}

impl Table<'_> {
    fn write_batch(&self, pending: &Pending) -> Result<Written> {
        commit_durably()?;
        let total = pending.rows() as u64;
        let mut rejected = unknown_measures(self.source, pending);
        for layer in layers_of_distinct_keys(&pending.series) {
            let rows = HotRows::of(Pending { series: layer, left_out: LeftOut::default(), ..*pending }, self.source);
            self.upsert(&rows, 0..rows.times.len(), &mut rejected)?;
        }
        self.store_rejected(&rejected)?;
        let refused = (rejected.len() as u64).min(total);
        let flush_id = self.record(pending.flush_id, (total - refused) as i64, refused as i64)?;
        Ok(Written { flush_id, rows: total - refused, rejected: refused })
    }

    /// Upserts some of the rows; halves them until a row that the table refuses stands alone.
    fn upsert(&self, rows: &HotRows, range: Range<usize>, rejected: &mut Vec<Rejected>) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        let part = rows.slice(range.clone());
        let sql = self.statement(&part);
        let attempt = subtransaction(|| {
            let _user = AsUser::table_owner(self.source.owner);
            Spi::run_with_args(&sql, &part.arguments())
        });
        let error = match attempt {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => return Err(error.into()),
            Err(error) => error,
        };
        if !is_about_the_data(&error.sqlstate) {
            return Err(error);
        }
        if range.len() == 1 {
            rejected.push(Rejected {
                key: part.keys[0].clone(),
                time: crate::pg_time::timestamptz(part.times[0]),
                measures: measures_of(self.source, &part),
                sqlstate: error.sqlstate,
                reason: error.message,
            });
            return Ok(());
        }
        let middle = range.start + range.len() / 2;
        self.upsert(rows, range.start..middle, rejected)?;
        self.upsert(rows, middle..range.end, rejected)
    }

    /// A repeated flush changes nothing: a row is written only where a measure differs.
    fn statement(&self, rows: &HotRows) -> String {
        let source = self.source;
        let names: Vec<String> = source.measures.iter().map(|measure| quote::ident(measure)).collect();
        let selected: String = (0..names.len()).map(|m| format!(", h.m{m}")).collect();
        let merged: Vec<String> = names.iter().map(|name| format!("coalesce(excluded.{name}, t.{name})")).collect();
        let assigned: Vec<String> =
            names.iter().zip(&merged).map(|(name, value)| format!("{name} = {value}")).collect();
        let present: Vec<String> = names.iter().map(|name| format!("t.{name}")).collect();
        format!(
            "INSERT INTO {table} AS t ({time}, {key}, {columns})
             SELECT h.t, {key_value}{selected} FROM {relation}
             ON CONFLICT ({key}, {time}) DO UPDATE SET {assigned}
             WHERE ROW({merged}) IS DISTINCT FROM ROW({present})",
            table = source.table,
            time = source.time(),
            key = source.key(),
            key_value = key_value(&source.key_type),
            columns = names.join(", "),
            relation = rows.relation(),
            assigned = assigned.join(", "),
            merged = merged.join(", "),
            present = present.join(", "),
        )
    }

    fn store_rejected(&self, rejected: &[Rejected]) -> Result<()> {
        for sample in rejected {
            Spi::run_with_args(
                "INSERT INTO strata.rejected_samples AS r (source_id, key, time, measures, sqlstate, reason)
                 VALUES ($1, $2, $3, $4, $5, $6)
                 ON CONFLICT (source_id, key, time) DO UPDATE
                 SET measures = r.measures || excluded.measures, sqlstate = excluded.sqlstate, reason = excluded.reason,
                     rejected_at = clock_timestamp()",
                &[
                    self.source.id.into(),
                    sample.key.as_str().into(),
                    sample.time.into(),
                    JsonB(sample.measures.clone()).into(),
                    sample.sqlstate.as_str().into(),
                    sample.reason.as_str().into(),
                ],
            )?;
        }
        Ok(())
    }

    /// Numbers grow beyond what Redis has seen, also after the database was restored from an older backup.
    fn record(&self, seen_by_redis: i64, rows: i64, rejected: i64) -> Result<i64> {
        Spi::run_with_args(
            "SELECT setval('strata.flushes_flush_id_seq', $1) FROM strata.flushes_flush_id_seq WHERE last_value < $1",
            &[seen_by_redis.into()],
        )?;
        let id = Spi::get_one_with_args::<i64>(
            "INSERT INTO strata.flushes (source_id, rows, rejected) VALUES ($1, $2, $3) RETURNING flush_id",
            &[self.source.id.into(), rows.into(), rejected.into()],
        )?;
        Ok(id.expect("INSERT … RETURNING returns its row"))
    }
}

/// The key as the statement inserts it. An explicit cast would cut a text that is too long, and file a sample under
/// another series; the assignment's own cast refuses it.
fn key_value(key_type: &str) -> String {
    let is_text = ["text", "character", "name"].iter().any(|prefix| key_type.starts_with(prefix));
    if is_text { "h.k".to_owned() } else { format!("h.k::{key_type}") }
}

/// Redis forgets what is acknowledged, so the commit before the acknowledgement must be on disk.
fn commit_durably() -> Result<()> {
    Spi::run(
        "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'",
    )?;
    Ok(())
}

/// Data exceptions, constraint violations, and what triggers of the table raise; anything else may pass, so the samples
/// stay in Redis.
fn is_about_the_data(sqlstate: &str) -> bool {
    // 21000: two spellings of one key, which only the table's own type tells to be the same, in one statement
    ["21", "22", "23", "44", "P0"].iter().any(|class| sqlstate.starts_with(class))
}

/// `readings:A` and `readings:{A}` are two keys of Redis and one key of the table, and one statement cannot upsert a row
/// twice.
fn layers_of_distinct_keys(series: &[PendingSeries]) -> Vec<Vec<PendingSeries>> {
    let mut layers: Vec<(HashSet<&str>, Vec<PendingSeries>)> = Vec::new();
    for one in series {
        match layers.iter_mut().find(|(keys, _)| !keys.contains(one.key.as_str())) {
            Some((keys, layer)) => {
                keys.insert(&one.key);
                layer.push(one.clone());
            }
            None => layers.push((HashSet::from([one.key.as_str()]), vec![one.clone()])),
        }
    }
    layers.into_iter().map(|(_, layer)| layer).collect()
}

/// Values whose measure the source does not have.
fn unknown_measures(source: &Source, pending: &Pending) -> Vec<Rejected> {
    let mut rejected = Vec::new();
    for series in &pending.series {
        let unknown: Vec<usize> = (0..series.batch.measures.len())
            .filter(|m| !source.measures.contains(&series.batch.measures[*m]))
            .collect();
        if unknown.is_empty() {
            continue;
        }
        for (row, time) in series.batch.times.iter().enumerate() {
            let values: serde_json::Map<String, serde_json::Value> = unknown
                .iter()
                .filter(|m| !series.batch.columns[**m][row].is_nan())
                .map(|m| (series.batch.measures[*m].clone(), series.batch.columns[*m][row].into()))
                .collect();
            if let Some(name) = values.keys().next().cloned() {
                rejected.push(Rejected {
                    key: series.key.clone(),
                    time: crate::pg_time::timestamptz(*time),
                    measures: values.into(),
                    sqlstate: "42703".to_owned(),
                    reason: format!("source \"{}\" has no measure \"{name}\"", source.name),
                });
            }
        }
    }
    rejected
}

fn measures_of(source: &Source, rows: &HotRows) -> serde_json::Value {
    let values: serde_json::Map<String, serde_json::Value> = source
        .measures
        .iter()
        .zip(&rows.measures)
        .filter_map(|(name, column)| column[0].map(|value| (name.clone(), value.into())))
        .collect();
    values.into()
}
