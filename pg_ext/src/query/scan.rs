//! One pass over the rows of a range, wherever they are: the tier-aware read that every query builds on.
//!
//! The order makes it right. Redis is read first, then the table is locked against drops, then one snapshot gives
//! manifest and rows. What a flush moves meanwhile is seen in both and merged; a day that leaves the table cannot leave
//! between the manifest and the scan.

use super::access::Access;
use super::hot_rows::HotRows;
use super::vanished::vanished_days;
use crate::failure::{Failure, Result};
use crate::interrupts::BackendWait;
use crate::pg_time::{self, sql_time};
use crate::quote;
use crate::shape::{self, TableColumns};
use crate::snapshot::Snapshot;
use crate::source::Source;
use crate::tiers;
use bridge::table::{Cell, ColumnKind, Row};
use bridge::wait::Wait;
use pgrx::datum::{Date, DatumWithOid};
use pgrx::{PgSqlErrorCode, pg_sys};
use series::plan::{Facts, HotSpan, Plan, Segment, Tier};
use series::time::{Day, Micros};
use std::collections::{BTreeSet, HashMap};

/// What is asked for: `[from, to)` of some or all keys.
pub struct Request<'a> {
    pub source: &'a Source,
    pub columns: &'a TableColumns,
    pub from: Micros,
    pub to: Micros,
    pub keys: Option<&'a [String]>,
}

/// Where the rows go.
pub trait Sink {
    /// The expression of a column in a select over the table `t` alone.
    fn expression(&self, column: usize, columns: &TableColumns, value: &str) -> String;
    /// Rows of the table, as a statement to run.
    fn statement(&mut self, snapshot: &Snapshot, sql: &str, arguments: &[DatumWithOid]) -> Result<u64>;
    /// A row from another tier, or one merged of several.
    fn row(&mut self, row: &[Cell]) -> Result<()>;
}

/// A range with everything known that decides where its rows are.
pub struct Scan<'a> {
    request: Request<'a>,
    hot: HotRows,
    pub plan: Plan,
    snapshot: Snapshot,
    access: Access,
}

/// Rows that each tier gave.
#[derive(Default, Clone, Copy, Debug)]
pub struct Counts {
    pub hot_or_warm: u64,
    pub cold: u64,
}

impl<'a> Scan<'a> {
    /// Reads Redis, locks the table against drops, takes the snapshot, reads the manifest.
    pub fn open(request: Request<'a>) -> Result<Self> {
        let access = Self::access(&request)?;
        let hot = read_hot(request.source, access, Some((request.from, request.to)), request.keys)?;
        Self::over(request, access, hot)
    }

    /// The same without what waits in Redis: for jobs that work on what is stored.
    pub fn open_stored(request: Request<'a>) -> Result<Self> {
        let access = Self::access(&request)?;
        let hot = HotRows::none(request.source);
        Self::over(request, access, hot)
    }

    fn access(request: &Request) -> Result<Access> {
        let names: Vec<String> = request.columns.shape.columns().iter().map(|column| column.name.clone()).collect();
        Access::check(request.source, &names)
    }

    fn over(request: Request<'a>, access: Access, hot: HotRows) -> Result<Self> {
        let source = request.source;
        // SAFETY: the lock is released at the end of the transaction, as any reader's.
        unsafe { pg_sys::LockRelationOid(source.relation, pg_sys::AccessShareLock as pg_sys::LOCKMODE) }
        let snapshot = Snapshot::take();
        if Snapshot::may_be_behind() {
            check_not_overtaken(&request, &hot, &snapshot)?;
        }
        let mut dropped = dropped_days(&snapshot, &request)?;
        if request.from < request.to {
            let days = (Day::of(request.from), Day::of(request.to - 1));
            let vanished = vanished_days(&snapshot, source, access, days)?;
            if Snapshot::may_be_behind() {
                // a day that was archived and dropped after the snapshot is nowhere in it
                let latest = vanished_days(&Snapshot::take_latest(), source, access, days)?;
                if !latest.is_subset(&vanished) {
                    return Err(overtaken(source));
                }
            }
            dropped.extend(vanished);
        }
        let late = late_days(&snapshot, &request, &dropped)?;
        let span = match hot.span_within(request.from, request.to) {
            Some((first, last)) => HotSpan::Between(first, last),
            None => HotSpan::Nothing,
        };
        let plan = series::plan::plan(request.from, request.to, &Facts { dropped: &dropped, late: &late, hot: span });
        Ok(Self { request, hot, plan, snapshot, access })
    }

    /// Samples in Redis that belong to the range.
    pub fn pending_samples(&self) -> usize {
        self.hot.times.len()
    }

    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Rows that the manifest has for the dropped days of a segment, whatever the keys asked for.
    pub fn archived_rows(&self, segment: Segment) -> Result<Option<i64>> {
        let mut rows = None;
        self.snapshot.select(
            "SELECT sum(rows)::bigint FROM strata.manifest WHERE source_id = $1 AND day BETWEEN $2 AND $3",
            &[
                self.request.source.id.into(),
                pg_time::date(Day::of(segment.from)).into(),
                pg_time::date(Day::of(segment.to - 1)).into(),
            ],
            |row| {
                rows = row.get::<i64>(1);
                Ok(())
            },
        )?;
        Ok(rows)
    }

    /// Hands every row of the range to the sink, each once.
    pub fn run(&self, sink: &mut impl Sink) -> Result<Counts> {
        let mut counts = Counts::default();
        let cold: Vec<Segment> = self.plan.of(Tier::Cold).collect();
        for segment in self.plan.of(Tier::Warm).filter(|warm| !cold.iter().any(|cold| cold.overlaps(warm))) {
            counts.hot_or_warm += self.warm(segment, sink)?;
        }
        for segment in cold {
            counts.cold += self.cold(segment, sink)?;
        }
        Ok(counts)
    }

    /// The statement for rows that are in the table alone.
    pub fn warm_statement(&self, segment: Segment, sink: &impl Sink) -> String {
        let columns = self.request.columns;
        let list: Vec<String> = columns
            .shape
            .columns()
            .iter()
            .enumerate()
            .map(|(i, column)| sink.expression(i, columns, &format!("t.{}", quote::ident(&column.name))))
            .collect();
        format!(
            "SELECT {} FROM {} t WHERE {}",
            list.join(", "),
            self.request.source.table,
            self.condition(segment.from, segment.to)
        )
    }

    fn warm(&self, segment: Segment, sink: &mut impl Sink) -> Result<u64> {
        let Some((first, last)) = self.hot.span_within(segment.from, segment.to) else {
            let sql = self.warm_statement(segment, sink);
            return sink.statement(&self.snapshot, &sql, &[]);
        };
        let mut rows = 0;
        for (from, to) in [(segment.from, first), (last + 1, segment.to)] {
            if from < to {
                let sql = self.warm_statement(Segment { from, to, ..segment }, sink);
                rows += sink.statement(&self.snapshot, &sql, &[])?;
            }
        }
        let sql = self.merged_statement(first, last + 1, sink);
        Ok(rows + sink.statement(&self.snapshot, &sql, &self.hot.arguments())?)
    }

    /// Rows of the table and of Redis over a short range, merged by key and time: a measure that Redis has wins.
    fn merged_statement(&self, from: Micros, to: Micros, sink: &impl Sink) -> String {
        let source = self.request.source;
        let columns = self.request.columns;
        let list: Vec<String> = columns
            .shape
            .columns()
            .iter()
            .enumerate()
            .map(|(i, column)| {
                let warm = format!("t.{}", quote::ident(&column.name));
                let value = if column.name == source.time_column {
                    format!("coalesce({warm}, h.t)")
                } else if column.name == source.key_column {
                    format!("coalesce({warm}, h.k::{})", source.key_type)
                } else if let Some(m) = source.measures.iter().position(|measure| *measure == column.name) {
                    format!("coalesce(h.m{m}::{}, {warm})", columns.types[i])
                } else {
                    warm
                };
                sink.expression(i, columns, &value)
            })
            .collect();
        format!(
            "SELECT {} FROM (SELECT * FROM {} t WHERE {}) t
             FULL JOIN (SELECT * FROM {} WHERE h.t >= {} AND h.t < {}) h ON t.{}::text = h.k AND t.{} = h.t",
            list.join(", "),
            source.table,
            self.condition(from, to),
            self.hot.relation(),
            sql_time(from),
            sql_time(to),
            source.key(),
            source.time(),
        )
    }

    fn condition(&self, from: Micros, to: Micros) -> String {
        range_condition(&self.request, from, to)
    }

    fn cold(&self, segment: Segment, sink: &mut impl Sink) -> Result<u64> {
        self.access.check_cold(self.request.source)?;
        let newer = self.newer_rows(segment)?;
        if newer.is_empty() {
            let mut rows = 0;
            self.read_archive(segment, |row| {
                rows += 1;
                sink.row(&row)
            })?;
            return Ok(rows);
        }
        self.merge_newer(segment, newer, sink)
    }

    fn merge_newer(
        &self,
        segment: Segment,
        mut newer: HashMap<(String, Micros), Newer>,
        sink: &mut impl Sink,
    ) -> Result<u64> {
        let width = self.request.columns.shape.columns().len();
        let mut rows = 0;
        self.read_archive(segment, |row| {
            rows += 1;
            match newer.remove(&self.identity(&row)) {
                None => sink.row(&row),
                Some(newer) => sink.row(&newer.over(row)),
            }
        })?;
        for newer in newer.into_values() {
            rows += 1;
            sink.row(&newer.over(vec![Cell::Null; width]))?;
        }
        Ok(rows)
    }

    fn read_archive(&self, segment: Segment, mut each: impl FnMut(Row) -> Result<()>) -> Result<()> {
        let answer =
            tiers::read_archive(self.request.source, self.request.columns, segment, self.request.keys, &mut each);
        tiers::or_partial("cold", answer).map(|_| ())
    }

    /// Late rows of the table and samples of Redis over dropped days.
    fn newer_rows(&self, segment: Segment) -> Result<HashMap<(String, Micros), Newer>> {
        let mut newer: HashMap<(String, Micros), Newer> = HashMap::new();
        if self.plan.of(Tier::Warm).any(|warm| warm.overlaps(&segment)) {
            let columns = self.request.columns;
            let sql = format!(
                "SELECT {} FROM {} t WHERE {}",
                columns.select_list(),
                self.request.source.table,
                self.condition(segment.from, segment.to)
            );
            self.snapshot.select(&sql, &[], |view| {
                let row = shape::read_row(view, &columns.shape)?;
                newer.insert(self.identity(&row), Newer { warm: Some(row), hot: Vec::new() });
                Ok(())
            })?;
        }
        self.add_hot(segment, &mut newer);
        Ok(newer)
    }

    fn add_hot(&self, segment: Segment, newer: &mut HashMap<(String, Micros), Newer>) {
        let shape = &self.request.columns.shape;
        let source = self.request.source;
        for (i, time) in
            self.hot.times.iter().enumerate().filter(|(_, time)| (segment.from..segment.to).contains(*time))
        {
            let key = &self.hot.keys[i];
            let entry = newer.entry((key.clone(), *time)).or_insert_with(|| Newer { warm: None, hot: Vec::new() });
            entry.hot.push((shape.time_index(), Cell::Timestamp(*time)));
            entry.hot.push((shape.key_index(), key_cell(key, shape.key().kind)));
            for (name, values) in source.measures.iter().zip(&self.hot.measures) {
                let position = shape.columns().iter().position(|column| column.name == *name);
                if let (Some(position), Some(value)) = (position, values[i]) {
                    entry.hot.push((position, number_cell(value, shape.columns()[position].kind)));
                }
            }
        }
    }

    fn identity(&self, row: &[Cell]) -> (String, Micros) {
        let shape = &self.request.columns.shape;
        let time = if let Cell::Timestamp(time) = row[shape.time_index()] { time } else { 0 };
        (key_text(&row[shape.key_index()]), time)
    }
}

/// A row of the table, samples of Redis, or both, that stand over a row of the archive.
struct Newer {
    warm: Option<Row>,
    hot: Vec<(usize, Cell)>,
}

impl Newer {
    fn over(self, cold: Row) -> Row {
        let mut row = self.warm.unwrap_or(cold);
        for (position, cell) in self.hot {
            row[position] = cell;
        }
        row
    }
}

/// Samples that wait in Redis, of `[from, to)` or of any time.
pub fn read_hot(
    source: &Source,
    access: Access,
    range: Option<(Micros, Micros)>,
    keys: Option<&[String]>,
) -> Result<HotRows> {
    if source.hot.is_none() || range.is_some_and(|(from, to)| from >= to) {
        return Ok(HotRows::none(source));
    }
    let Some(client) = tiers::hot()? else { return Ok(HotRows::none(source)) };
    access.check_hot(source)?;
    let (from, to) = range.unzip();
    let pending = client.pending(&source.name, from, to.map(|to| to - 1), keys, None);
    let answer = BackendWait.wait("reading pending samples from Redis", pending).map_err(Failure::from);
    let Some(pending) = tiers::or_partial("hot", answer)? else { return Ok(HotRows::none(source)) };
    if !pending.left_out.is_empty() {
        tiers::or_without("hot", "what these series have", Err::<(), _>(tiers::damaged(&pending.left_out)))?;
    }
    Ok(HotRows::for_readers(pending, source))
}

/// A transaction that keeps an old snapshot could miss rows that moved after it: neither where they were nor, in its own
/// view, where they are.
fn check_not_overtaken(request: &Request, hot: &HotRows, snapshot: &Snapshot) -> Result<()> {
    check_no_later_flush(request.source, hot, snapshot)?;
    let dropped = dropped_days(snapshot, request)?;
    let latest = dropped_days(&Snapshot::take_latest(), request)?;
    if dropped == latest { Ok(()) } else { Err(overtaken(request.source)) }
}

/// The same for what moved from Redis to the table alone.
///
/// # Errors
/// `40001` where Redis has forgotten samples for a flush that the snapshot does not see.
pub fn check_no_later_flush(source: &Source, hot: &HotRows, snapshot: &Snapshot) -> Result<()> {
    let mut known_flush = 0;
    snapshot.select(
        "SELECT coalesce(max(flush_id), 0) FROM strata.flushes WHERE source_id = $1",
        &[source.id.into()],
        |row| {
            known_flush = row.get::<i64>(1).unwrap_or(0);
            Ok(())
        },
    )?;
    if hot.flush_id <= known_flush { Ok(()) } else { Err(overtaken(source)) }
}

fn overtaken(source: &Source) -> Failure {
    Failure::new(
        PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE,
        format!("rows of table {} moved to another tier after this transaction began", source.table),
    )
    .hint("Run the transaction again.")
}

fn dropped_days(snapshot: &Snapshot, request: &Request) -> Result<BTreeSet<Day>> {
    let mut days = BTreeSet::new();
    if request.from >= request.to {
        return Ok(days);
    }
    let (first, last) = (pg_time::date(Day::of(request.from)), pg_time::date(Day::of(request.to - 1)));
    snapshot.select(
        "SELECT day FROM strata.manifest WHERE source_id = $1 AND state = 'dropped' AND rows > 0 AND day BETWEEN $2 AND $3",
        &[request.source.id.into(), first.into(), last.into()],
        |row| {
            days.extend(row.get::<Date>(1).map(pg_time::day));
            Ok(())
        },
    )?;
    Ok(days)
}

/// Dropped days for which the table holds rows again.
fn late_days(snapshot: &Snapshot, request: &Request, dropped: &BTreeSet<Day>) -> Result<BTreeSet<Day>> {
    let mut late = BTreeSet::new();
    let (Some(first), Some(last)) = (dropped.first(), dropped.last()) else { return Ok(late) };
    let (from, to) = (first.start().max(request.from), last.end().min(request.to));
    let sql = format!(
        "SELECT DISTINCT (t.{time} AT TIME ZONE 'UTC')::date FROM {} t WHERE {}",
        request.source.table,
        range_condition(request, from, to),
        time = request.source.time(),
    );
    snapshot.select(&sql, &[], |row| {
        late.extend(row.get::<Date>(1).map(pg_time::day).filter(|day| dropped.contains(day)));
        Ok(())
    })?;
    Ok(late)
}

fn range_condition(request: &Request, from: Micros, to: Micros) -> String {
    let time = request.source.time();
    let mut condition = format!("t.{time} >= {} AND t.{time} < {}", sql_time(from), sql_time(to));
    if let Some(keys) = request.keys {
        let list: Vec<String> = keys.iter().map(|key| quote::literal(key)).collect();
        condition += &format!(
            " AND t.{} = ANY (ARRAY[{}]::text[]::{}[])",
            request.source.key(),
            list.join(", "),
            request.source.key_type
        );
    }
    condition
}

fn key_text(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) => text.clone(),
        Cell::Int(number) => number.to_string(),
        other => format!("{other:?}"),
    }
}

fn key_cell(key: &str, kind: ColumnKind) -> Cell {
    match (kind, key.parse()) {
        (ColumnKind::Int64, Ok(number)) => Cell::Int(number),
        _ => Cell::Text(key.to_owned()),
    }
}

/// A sample's value as PostgreSQL's assignment casts would store it.
fn number_cell(value: f64, kind: ColumnKind) -> Cell {
    match kind {
        ColumnKind::Int64 => Cell::Int(value.round_ties_even() as i64),
        ColumnKind::Numeric => Cell::Numeric(value.to_string()),
        ColumnKind::Text => Cell::Text(value.to_string()),
        _ => Cell::Float(value),
    }
}
