//! The dirty log: which days of which sources a transaction touched.
//!
//! The row trigger notes days in backend memory; the transaction writes them as it commits. There is no watermark a
//! late commit could slip under, writers never wait for each other, and a transaction that rolls back leaves nothing.
//! Jobs drain the log into `strata.dirty_days`, one row per day and consumer.

use crate::as_user::AsUser;
use crate::failure::{Failure, OrRaise, Result};
use crate::pg_time;
use pgrx::datum::Date;
use pgrx::prelude::*;
use pgrx::{PgSqlErrorCode, pg_guard, pg_sys};
use series::time::Day;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_void};

// utils/datum.h is not among the headers that pgrx binds.
unsafe extern "C-unwind" {
    fn datumIsEqual(one: pg_sys::Datum, two: pg_sys::Datum, by_value: bool, length: std::ffi::c_int) -> bool;
}

thread_local! {
    static NOTED: RefCell<HashMap<(i32, Day), bool>> = RefCell::new(HashMap::new());
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Registers the transaction callback. Called once, from `_PG_init`.
pub fn init() {
    // SAFETY: the callback lives as long as the library, which is never unloaded.
    unsafe { pg_sys::RegisterXactCallback(Some(at_transaction_end), std::ptr::null_mut()) }
}

/// While this lives, rows that leave or enter the table are not noted: for moves between tiers, which change no data.
pub struct Quiet(bool);

impl Quiet {
    pub fn begin() -> Self {
        Self(QUIET.replace(true))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        QUIET.set(self.0);
    }
}

/// Who works off dirty days.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Consumer {
    Rollup,
    AnomalyDetection,
    Archive,
}

impl Consumer {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rollup => "rollup",
            Self::AnomalyDetection => "anomaly_detection",
            Self::Archive => "archive",
        }
    }
}

/// A day to work on; `version` tells whether it was noted again meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct DirtyDay {
    pub day: Day,
    /// Rows of the day were deleted or got another key or time. Rows that are missing without it left by another way
    /// (a retention policy, a dropped partition), and the archive keeps them.
    pub removes: bool,
    pub version: i64,
}

/// Moves what committed transactions noted into `strata.dirty_days`.
pub fn drain() -> Result<()> {
    let _user = AsUser::catalog_owner();
    Spi::run(
        "WITH taken AS (
             DELETE FROM strata.dirty_log
             WHERE ctid = ANY (ARRAY(SELECT ctid FROM strata.dirty_log FOR UPDATE SKIP LOCKED))
             RETURNING source_id, day, removes
         )
         INSERT INTO strata.dirty_days AS known (source_id, day, consumer, removes)
         SELECT taken.source_id, taken.day, consumer, bool_or(taken.removes)
         FROM taken
         JOIN strata.sources USING (source_id)
         CROSS JOIN LATERAL unnest(CASE WHEN sources.cold IS NULL
             THEN ARRAY['rollup', 'anomaly_detection']
             ELSE ARRAY['rollup', 'anomaly_detection', 'archive'] END) AS consumer
         GROUP BY 1, 2, 3
         ORDER BY 1, 2, 3
         ON CONFLICT (source_id, consumer, day)
         DO UPDATE SET version = DEFAULT, removes = known.removes OR excluded.removes",
    )?;
    Ok(())
}

/// Days of a source that `consumer` has yet to work on, oldest first.
pub fn pending(source_id: i32, consumer: Consumer) -> Result<Vec<DirtyDay>> {
    Spi::connect(|client| {
        let rows = client.select(
            "SELECT day, version, removes FROM strata.dirty_days WHERE source_id = $1 AND consumer = $2 ORDER BY day",
            None,
            &[source_id.into(), consumer.as_str().into()],
        )?;
        let mut days = Vec::new();
        for row in rows {
            if let (Some(day), Some(version)) = (row.get::<Date>(1)?, row.get::<i64>(2)?) {
                let removes = row.get::<bool>(3)? == Some(true);
                days.push(DirtyDay { day: pg_time::day(day), removes, version });
            }
        }
        Ok(days)
    })
}

/// How many days `consumer` has yet to work on, by source.
pub fn backlog(consumer: Consumer) -> Result<HashMap<i32, i64>> {
    Spi::connect(|client| {
        let rows = client.select(
            "SELECT source_id, count(*) FROM strata.dirty_days WHERE consumer = $1 GROUP BY source_id",
            None,
            &[consumer.as_str().into()],
        )?;
        let mut days = HashMap::new();
        for row in rows {
            days.extend(row.get::<i32>(1)?.zip(row.get::<i64>(2)?));
        }
        Ok(days)
    })
}

/// Forgets days, in the transaction of the work's effect; a day noted again since stays.
pub fn done(source_id: i32, consumer: Consumer, days: &[DirtyDay]) -> Result<()> {
    let _user = AsUser::catalog_owner();
    let dates: Vec<Date> = days.iter().map(|dirty| pg_time::date(dirty.day)).collect();
    let versions: Vec<i64> = days.iter().map(|dirty| dirty.version).collect();
    Spi::run_with_args(
        "DELETE FROM strata.dirty_days d USING unnest($3::date[], $4::bigint[]) AS w(day, version)
         WHERE d.source_id = $1 AND d.consumer = $2 AND d.day = w.day AND d.version = w.version",
        &[source_id.into(), consumer.as_str().into(), dates.into(), versions.into()],
    )?;
    Ok(())
}

/// Notes days for the transaction at hand.
pub fn note(source_id: i32, days: impl IntoIterator<Item = Day>) {
    note_change(source_id, days, false);
}

/// Whether the transaction at hand deleted rows of the day, or gave them another key or time.
pub fn is_removing(source_id: i32, day: Day) -> bool {
    NOTED.with_borrow(|noted| noted.get(&(source_id, day)) == Some(&true))
}

fn note_change(source_id: i32, days: impl IntoIterator<Item = Day>, removes: bool) {
    NOTED.with_borrow_mut(|noted| {
        for day in days {
            *noted.entry((source_id, day)).or_default() |= removes;
        }
    });
}

fn write_noted() -> Result<()> {
    let noted = NOTED.take();
    if noted.is_empty() {
        return Ok(());
    }
    let mut noted: Vec<_> = noted.into_iter().collect();
    noted.sort_unstable();
    let sources: Vec<i32> = noted.iter().map(|((source, _), _)| *source).collect();
    let days: Vec<Date> = noted.iter().map(|((_, day), _)| pg_time::date(*day)).collect();
    let removes: Vec<bool> = noted.iter().map(|(_, removes)| *removes).collect();
    let _user = AsUser::catalog_owner();
    let _snapshot = Snapshot::push();
    // the search path is the writer's own here, so every name is qualified and no type is named
    Spi::run_with_args(
        "INSERT INTO strata.dirty_log (source_id, day, removes)
         SELECT * FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3))",
        &[sources.into(), days.into(), removes.into()],
    )?;
    Ok(())
}

/// The snapshot that SPI needs where PostgreSQL has popped the statement's own.
struct Snapshot;

impl Snapshot {
    fn push() -> Self {
        // SAFETY: a transaction is in progress; the snapshot is popped when this is dropped.
        unsafe { pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot()) }
        Self
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        // SAFETY: pops what `push` pushed; an aborting transaction has dropped all snapshots itself.
        unsafe {
            if pg_sys::ActiveSnapshotSet() {
                pg_sys::PopActiveSnapshot();
            }
        }
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn at_transaction_end(event: pg_sys::XactEvent::Type, _arg: *mut c_void) {
    match event {
        pg_sys::XactEvent::XACT_EVENT_PRE_COMMIT | pg_sys::XactEvent::XACT_EVENT_PRE_PREPARE => {
            write_noted().or_raise()
        }
        pg_sys::XactEvent::XACT_EVENT_ABORT => {
            NOTED.take();
            QUIET.set(false);
        }
        _ => {}
    }
}

/// The trigger that `attach` installs. Arguments: source_id, time column, key column.
///
/// AFTER, because only then is the row's time final; the row itself is not changed.
#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn strata_note_dirty(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: PostgreSQL calls a trigger function with its TriggerData as context.
    let data = unsafe { trigger_data(fcinfo) };
    let Some(data) = data else {
        Failure::new(
            PgSqlErrorCode::ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED,
            "strata.note_dirty was not called as a trigger",
        )
        .raise();
    };
    if !QUIET.get() {
        // SAFETY: `data` is what PostgreSQL passed for this call.
        unsafe { note_event(data) }
    }
    pg_sys::Datum::from(0)
}

unsafe fn trigger_data<'a>(fcinfo: pg_sys::FunctionCallInfo) -> Option<&'a pg_sys::TriggerData> {
    // SAFETY: fcinfo is valid for the call; the node tag tells what context is.
    unsafe {
        let context = (*fcinfo).context;
        (!context.is_null() && (*context).type_ == pg_sys::NodeTag::T_TriggerData)
            .then(|| &*context.cast::<pg_sys::TriggerData>())
    }
}

unsafe fn note_event(data: &pg_sys::TriggerData) {
    // SAFETY: tg_trigger and tg_relation are set for every trigger call.
    let (source_id, time, key) = unsafe { trigger_arguments(&*data.tg_trigger) };
    if data.tg_event & pg_sys::TRIGGER_EVENT_ROW == 0 {
        // SAFETY: as above.
        let relation = unsafe { (*data.tg_relation).rd_id };
        return note_change(source_id, days_of_table(relation, time).or_raise(), true);
    }
    // SAFETY: row events carry the old or only row in tg_trigtuple and, for updates, the new one in tg_newtuple.
    unsafe {
        let descriptor = (*data.tg_relation).rd_att;
        let first = identity(data.tg_trigtuple, descriptor, time, key);
        let removes = match data.tg_event & pg_sys::TRIGGER_EVENT_OPMASK {
            pg_sys::TRIGGER_EVENT_DELETE => true,
            pg_sys::TRIGGER_EVENT_UPDATE => {
                let new = identity(data.tg_newtuple, descriptor, time, key);
                note_change(source_id, new.day(), false);
                !first.is_same(&new)
            }
            _ => false,
        };
        note_change(source_id, first.day(), removes);
    }
}

/// What tells one reading from another.
struct Identity {
    time: Option<i64>,
    key: Option<pg_sys::Datum>,
    key_by_value: bool,
    key_length: i32,
}

impl Identity {
    fn day(&self) -> Option<Day> {
        self.time.and_then(pg_time::micros_of_raw).map(Day::of)
    }

    fn is_same(&self, other: &Self) -> bool {
        let same_key = match (self.key, other.key) {
            // SAFETY: both are values of the same column of rows that live through the trigger's call.
            (Some(one), Some(two)) => unsafe {
                pg_sys::ffi::pg_guard_ffi_boundary(|| datumIsEqual(one, two, self.key_by_value, self.key_length))
            },
            (None, None) => true,
            _ => false,
        };
        same_key && self.time == other.time
    }
}

/// # Safety
/// The tuple is a row of the relation that the descriptor is of.
unsafe fn identity(tuple: pg_sys::HeapTuple, descriptor: pg_sys::TupleDesc, time: &CStr, key: &CStr) -> Identity {
    // SAFETY: as promised; a chunk or partition may order its columns differently, so they are looked up by name, and
    // the number of a column that was found has an attribute.
    unsafe {
        let key_number = column_number(descriptor, key);
        let attribute = &*(*descriptor).attrs.as_ptr().add(key_number as usize - 1);
        let value = |number| {
            let mut null = false;
            let datum = pg_sys::heap_getattr(tuple, number, descriptor, &mut null);
            (!null).then_some(datum)
        };
        Identity {
            time: value(column_number(descriptor, time)).map(|datum| datum.value() as i64),
            key: value(key_number),
            key_by_value: attribute.attbyval,
            key_length: attribute.attlen.into(),
        }
    }
}

/// # Safety
/// The descriptor is valid.
unsafe fn column_number(descriptor: pg_sys::TupleDesc, column: &CStr) -> i32 {
    // SAFETY: as promised.
    let number = unsafe { pg_sys::SPI_fnumber(descriptor, column.as_ptr()) };
    if number <= 0 {
        column_is_gone(column);
    }
    number
}

unsafe fn trigger_arguments(trigger: &pg_sys::Trigger) -> (i32, &CStr, &CStr) {
    // SAFETY: tgargs holds tgnargs C strings.
    let arguments: Vec<&CStr> = (0..trigger.tgnargs as usize)
        .map(|i| unsafe { CStr::from_ptr(*trigger.tgargs.add(i) as *const c_char) })
        .collect();
    match arguments[..] {
        [source, time, key] => match source.to_str().ok().and_then(|text| text.parse().ok()) {
            Some(source_id) => (source_id, time, key),
            None => wrong_arguments(),
        },
        _ => wrong_arguments(),
    }
}

fn wrong_arguments() -> ! {
    Failure::new(
        PgSqlErrorCode::ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED,
        "trigger of strata.note_dirty was not made by strata.attach",
    )
    .hint("Drop the trigger; strata.attach installs its own.")
    .raise()
}

fn column_is_gone(column: &CStr) -> ! {
    Failure::new(
        PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN,
        format!("column \"{}\" of a Strata source is gone", column.to_string_lossy()),
    )
    .hint("Rename it back, or strata.detach the table and attach it again with the new name.")
    .raise()
}

/// TRUNCATE names no rows: every day between the first and the last is noted.
fn days_of_table(relation: pg_sys::Oid, column: &CStr) -> Result<Vec<Day>> {
    let column = column.to_string_lossy();
    crate::source::span_of_days(relation, &column)
        .map(|span| span.map_or_else(Vec::new, |(first, last)| (first.0..=last.0).map(Day).collect()))
}

crate::v1_function!(pg_finfo_strata_note_dirty);
