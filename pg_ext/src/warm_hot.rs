//! Filling Redis from the table: after a start without its data, and for a source that was attached with rows.
//!
//! Redis keeps what it has: a value of its own wins over the table's, and what is pending stays pending. So a fill may run
//! beside sensors and flushes, and may be repeated.

use crate::failure::{Failure, OrRaise, Result};
use crate::hot_detection::{self, Handover};
use crate::interrupts::BackendWait;
use crate::manifest;
use crate::pg_time::{self, sql_time};
use crate::query::access::Access;
use crate::quote;
use crate::snapshot::{RowView, Snapshot};
use crate::source::Source;
use crate::tiers;
use bridge::hot::{HotClient, LeftOut};
use bridge::wait::Wait;
use pgrx::datum::{Interval, TimestampWithTimeZone};
use pgrx::prelude::*;
use pgrx::{PgRelation, PgSqlErrorCode, default};
use series::time::{MICROS_PER_DAY, Micros, parse_duration};
use series::wire::Batch;

/// Redis rebuilds a series once for each batch of it, so a batch is as long as one command may be.
const SAMPLES_PER_BATCH: usize = 10_000;
const VALUES_PER_ROUND: usize = 100_000;

/// Times that a series can hold: the years 1 to 9999.
const FIRST_TIME: Micros = -62_135_596_800_000_000;
const LAST_TIME: Micros = 253_402_300_799_999_999;

/// Gives Redis the newest samples of the table; returns how many it did not have.
#[pg_extern(volatile, parallel_unsafe, requires = ["hot"])]
#[search_path(pg_catalog, pg_temp)]
fn warm_hot(relation: PgRelation, since: default!(Interval, "'24 hours'")) -> i64 {
    let source = Source::of_relation(relation.oid()).or_raise();
    let (added, left_out) = warm(&source, pg_time::interval_micros(&since)).or_raise();
    if !left_out.is_empty() {
        Failure::new(PgSqlErrorCode::ERRCODE_WARNING, left_out_notice(&left_out))
            .detail("All other series of the source were filled.")
            .hint("Rename or delete these keys in Redis (TYPE, RENAME, DEL), then fill again.")
            .warn();
    }
    added
}

/// What the operator is told of keys that are in the way of series.
pub fn left_out_notice(left_out: &LeftOut) -> String {
    format!("Redis could not take what is for {left_out}")
}

fn warm(source: &Source, since: Micros) -> Result<(i64, LeftOut)> {
    let names: Vec<String> =
        [&source.time_column, &source.key_column].into_iter().chain(&source.measures).cloned().collect();
    Access::check(source, &names)?.check_hot(source)?;
    manifest::check_owner(source)?;
    if since <= 0 {
        return Err(Failure::new(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, "since must be longer than nothing"));
    }
    if source.hot.is_none() {
        return Err(Failure::new(
            PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
            format!("table {} has no hot tier", source.table),
        )
        .hint(format!(
            "Give it one: SELECT strata.alter_source({}, hot => '24 hours');",
            quote::literal(&source.table)
        )));
    }
    let Some(client) = tiers::hot()? else {
        return Err(Failure::new(PgSqlErrorCode::ERRCODE_CONFIG_FILE_ERROR, "no Redis server is configured")
            .hint("ALTER SYSTEM SET strata.redis_url = 'redis://host:6379'; SELECT pg_reload_conf();"));
    };
    let instance = BackendWait.wait("asking Redis for its instance", client.instance())?;
    let (added, mut left_out) = match start(source, &client, since)? {
        Some(from) => fill(source, &client, from)?,
        None => (0, LeftOut::default()),
    };
    left_out.extend(hot_detection::hand_over(source, &client, &instance, Handover::Always)?);
    Ok((added, left_out))
}

/// Start of what Redis should hold: its own retention counts back from the newest sample, so more than that would be
/// dropped at once. A row of the future must not push out those of today. `None` for an empty table.
pub fn start(source: &Source, client: &HotClient, since: Micros) -> Result<Option<Micros>> {
    let info = BackendWait.wait("asking Redis for its retention", client.info())?;
    let retention = info.fields.get("retention").and_then(|text| parse_duration(text).ok()).unwrap_or(Micros::MAX);
    let newest = Spi::get_one::<TimestampWithTimeZone>(&format!(
        "SELECT least(max({time}), now()) FROM {table} WHERE {time} < 'infinity'",
        time = source.time(),
        table = source.table
    ))?;
    let newest = newest.and_then(pg_time::micros);
    Ok(newest.map(|newest| newest.saturating_sub(since.min(retention)).max(FIRST_TIME)))
}

fn condition(source: &Source, from: Micros) -> String {
    let present: Vec<String> =
        source.measures.iter().map(|measure| format!("t.{} IS NOT NULL", quote::ident(measure))).collect();
    format!(
        "t.{time} >= {} AND t.{time} <= {} AND t.{} IS NOT NULL AND ({})",
        sql_time(from),
        sql_time(LAST_TIME),
        source.key(),
        present.join(" OR "),
        time = source.time(),
    )
}

/// Sends the rows since `from`; returns how many Redis did not have, and the keys that took none.
pub fn fill(source: &Source, client: &HotClient, from: Micros) -> Result<(i64, LeftOut)> {
    let measures: String =
        source.measures.iter().map(|measure| format!(", t.{}::float8", quote::ident(measure))).collect();
    let sql = format!(
        "SELECT t.{key}::text, t.{time}{measures} FROM {table} t WHERE {wanted} ORDER BY t.{key}, t.{time}",
        key = source.key(),
        time = source.time(),
        table = source.table,
        wanted = condition(source, from),
    );
    let mut round = Round { source, client, series: Vec::new(), values: 0, added: 0, left_out: LeftOut::default() };
    Snapshot::take_latest().select(&sql, &[], |row| round.take(row))?;
    round.send()?;
    Ok((round.added, round.left_out))
}

/// Samples that go to Redis together.
struct Round<'a> {
    source: &'a Source,
    client: &'a HotClient,
    series: Vec<(String, Batch)>,
    values: usize,
    added: i64,
    left_out: LeftOut,
}

impl Round<'_> {
    fn take(&mut self, row: &RowView) -> Result<()> {
        let Some(time) = row.raw_timestamptz(2).and_then(pg_time::micros_of_raw) else { return Ok(()) };
        // Redis takes no infinite value
        let value = |m: usize| row.get::<f64>(3 + m).filter(|value| value.is_finite()).unwrap_or(f64::NAN);
        let values: Vec<f64> = (0..self.source.measures.len()).map(value).collect();
        if values.iter().all(|value| value.is_nan()) {
            return Ok(());
        }
        if self.values >= VALUES_PER_ROUND {
            self.send()?;
        }
        row.with_text(1, |key| {
            let batch = self.batch_of(key);
            batch.times.push(time);
            batch.columns.iter_mut().zip(&values).for_each(|(column, value)| column.push(*value));
        });
        self.values += 1 + values.len();
        Ok(())
    }

    fn batch_of(&mut self, key: &str) -> &mut Batch {
        let goes_on = self.series.last().is_some_and(|(last, batch)| last == key && batch.rows() < SAMPLES_PER_BATCH);
        if !goes_on {
            let measures = self.source.measures.clone();
            let columns = vec![Vec::new(); measures.len()];
            self.series.push((key.to_owned(), Batch { measures, times: Vec::new(), columns }));
        }
        let last = self.series.len() - 1;
        &mut self.series[last].1
    }

    fn send(&mut self) -> Result<()> {
        let filled = self.client.fill(&self.source.name, &self.series);
        let filled = BackendWait.wait("filling Redis", filled)?;
        self.added += filled.added as i64;
        self.left_out.extend(filled.left_out);
        self.series.clear();
        self.values = 0;
        Ok(())
    }
}

/// What the job gives Redis after a start.
pub const AFTER_A_START: Micros = MICROS_PER_DAY;
