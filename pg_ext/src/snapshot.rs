//! Queries that all see one moment, whatever the statement around them has written.
//!
//! pgrx lets SPI take a new snapshot per statement once a transaction has written. A tier-aware query needs the manifest
//! and the table from the same moment, so it runs its statements against a snapshot of its own.

use crate::failure::{Failure, Result};
use pgrx::datum::DatumWithOid;
use pgrx::{FromDatum, PgSqlErrorCode, check_for_interrupts, pg_sys};
use std::ffi::{CString, c_char};

const FETCH: i64 = 5_000;

// executor/tstoreReceiver.h is not among the headers that pgrx binds.
unsafe extern "C-unwind" {
    fn CreateTuplestoreDestReceiver() -> *mut pg_sys::DestReceiver;
    fn SetTuplestoreDestReceiverParams(
        receiver: *mut pg_sys::DestReceiver,
        store: *mut pg_sys::Tuplestorestate,
        context: pg_sys::MemoryContext,
        detoast: bool,
        target: pg_sys::TupleDesc,
        map_failure_message: *const c_char,
    );
}

/// A snapshot that stays the active one until dropped.
pub struct Snapshot(());

impl Snapshot {
    /// In READ COMMITTED a new one; in the higher isolation levels the transaction's own.
    pub fn take() -> Self {
        // SAFETY: a transaction is in progress; PushActiveSnapshot copies what it is given.
        unsafe { pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot()) }
        Self(())
    }

    /// Whether what Redis was told may not show in the snapshot: in the higher isolation levels, and on a standby.
    pub fn may_be_behind() -> bool {
        // SAFETY: reads the isolation level of the transaction in progress and the state of the server.
        unsafe { pg_sys::XactIsoLevel >= pg_sys::XACT_REPEATABLE_READ as i32 || pg_sys::RecoveryInProgress() }
    }

    /// The newest moment, also in the higher isolation levels.
    pub fn take_latest() -> Self {
        // SAFETY: as in `take`.
        unsafe { pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot()) }
        Self(())
    }

    /// Runs a query and hands over its rows, in batches behind a cursor.
    ///
    /// # Errors
    /// Those of `each`, and an internal error where SPI itself refuses. Errors of the query are raised by PostgreSQL.
    pub fn select(
        &self,
        sql: &str,
        arguments: &[DatumWithOid],
        mut each: impl FnMut(&RowView) -> Result<()>,
    ) -> Result<()> {
        let _connection = Connection::open()?;
        let portal = open_cursor(sql, arguments)?;
        loop {
            // SAFETY: the portal was opened above in this SPI connection; the tuple table is freed before the next batch.
            unsafe {
                pg_sys::SPI_cursor_fetch(portal, true, FETCH as _);
                let table = pg_sys::SPI_tuptable;
                let count = pg_sys::SPI_processed as usize;
                if count == 0 || table.is_null() {
                    pg_sys::SPI_cursor_close(portal);
                    return Ok(());
                }
                for row in 0..count {
                    each(&RowView { tuple: *(*table).vals.add(row), descriptor: (*table).tupdesc })?;
                }
                pg_sys::SPI_freetuptable(table);
            }
            check_for_interrupts!();
        }
    }

    /// The planner's estimate of a query's rows.
    pub fn estimate(&self, sql: &str) -> Result<Option<i64>> {
        let _connection = Connection::open()?;
        let sql = c_string(&format!("EXPLAIN (FORMAT JSON) {sql}"))?;
        // SAFETY: a plain statement without parameters. Not read-only, because SPI counts EXPLAIN among the utilities.
        check(unsafe { pg_sys::SPI_execute(sql.as_ptr(), false, 1) }, "EXPLAIN")?;
        // SAFETY: the table of the statement above, which lives until the connection is closed.
        let plan = unsafe {
            let table = pg_sys::SPI_tuptable;
            if table.is_null() || (*table).numvals == 0 {
                return Ok(None);
            }
            RowView { tuple: *(*table).vals, descriptor: (*table).tupdesc }.get::<pgrx::Json>(1)
        };
        Ok(plan.and_then(|plan| plan.0.pointer("/0/Plan/Plan Rows")?.as_f64()).map(|rows| rows as i64))
    }

    /// Runs a query and appends its rows to a tuplestore without holding them anywhere else.
    pub fn select_into(
        &self,
        sql: &str,
        arguments: &[DatumWithOid],
        store: *mut pg_sys::Tuplestorestate,
        context: pg_sys::MemoryContext,
    ) -> Result<u64> {
        let _connection = Connection::open()?;
        let sql = c_string(sql)?;
        // SAFETY: the receiver writes to a tuplestore that outlives this call, in the context it was made in; parameters
        // and options live until SPI_execute_extended returns.
        unsafe {
            let receiver = tuplestore_receiver(store, context);
            let options = pg_sys::SPIExecuteOptions {
                params: parameter_list(arguments),
                read_only: true,
                dest: receiver,
                ..Default::default()
            };
            let status = pg_sys::SPI_execute_extended(sql.as_ptr(), &options);
            check(status, "a query over the table")?;
            Ok(pg_sys::SPI_processed)
        }
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        // SAFETY: pops what was pushed; an abort in progress has dropped all snapshots already.
        unsafe {
            if pg_sys::ActiveSnapshotSet() {
                pg_sys::PopActiveSnapshot();
            }
        }
    }
}

/// One row of a result, valid while it is handed over. Columns count from 1.
pub struct RowView {
    tuple: pg_sys::HeapTuple,
    descriptor: pg_sys::TupleDesc,
}

impl RowView {
    /// A column's value, copied; `None` for NULL. `T` must be the column's type.
    pub fn get<T: FromDatum>(&self, column: usize) -> Option<T> {
        let (datum, null) = self.datum(column);
        // SAFETY: the caller names the column's type; the datum lives as long as the row.
        unsafe { T::from_datum(datum, null) }
    }

    /// A timestamptz column as PostgreSQL stores it; `None` for NULL.
    pub fn raw_timestamptz(&self, column: usize) -> Option<i64> {
        let (datum, null) = self.datum(column);
        (!null).then(|| datum.value() as i64)
    }

    /// A text column without a copy; `None` for NULL or when it is not UTF-8.
    pub fn with_text<R>(&self, column: usize, read: impl FnOnce(&str) -> R) -> Option<R> {
        let (datum, null) = self.datum(column);
        // SAFETY: as in `get`; the borrow ends with `read`.
        unsafe { <&str>::from_datum(datum, null) }.map(read)
    }

    fn datum(&self, column: usize) -> (pg_sys::Datum, bool) {
        let mut null = false;
        // SAFETY: tuple and descriptor belong to the batch at hand.
        let datum = unsafe { pg_sys::SPI_getbinval(self.tuple, self.descriptor, column as i32, &mut null) };
        (datum, null)
    }
}

/// # Safety
/// The tuplestore must outlive the receiver, and `context` must be the one it was made in.
unsafe fn tuplestore_receiver(
    store: *mut pg_sys::Tuplestorestate,
    context: pg_sys::MemoryContext,
) -> *mut pg_sys::DestReceiver {
    // SAFETY: the boundary turns an ERROR of the two (out of memory) into an unwinding panic.
    unsafe {
        pg_sys::ffi::pg_guard_ffi_boundary(|| {
            let receiver = CreateTuplestoreDestReceiver();
            SetTuplestoreDestReceiverParams(receiver, store, context, true, std::ptr::null_mut(), std::ptr::null());
            receiver
        })
    }
}

struct Connection;

impl Connection {
    fn open() -> Result<Self> {
        // SAFETY: paired with SPI_finish on drop.
        check(unsafe { pg_sys::SPI_connect() }, "SPI_connect")?;
        Ok(Self)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // SAFETY: closes the connection opened in `open`.
        unsafe {
            pg_sys::SPI_finish();
        }
    }
}

fn open_cursor(sql: &str, arguments: &[DatumWithOid]) -> Result<pg_sys::Portal> {
    let sql = c_string(sql)?;
    // SAFETY: the parameter list lives in the SPI memory context, as long as the portal.
    let portal = unsafe {
        let options =
            pg_sys::SPIParseOpenOptions { params: parameter_list(arguments), cursorOptions: 0, read_only: true };
        pg_sys::SPI_cursor_parse_open(std::ptr::null(), sql.as_ptr(), &options)
    };
    if portal.is_null() { Err(refused("a cursor")) } else { Ok(portal) }
}

/// # Safety
/// The list and what its data point to must live until the query has ended.
unsafe fn parameter_list(arguments: &[DatumWithOid]) -> pg_sys::ParamListInfo {
    if arguments.is_empty() {
        return std::ptr::null_mut();
    }
    // SAFETY: makeParamList allocates room for as many entries as it is told.
    unsafe {
        let list = pg_sys::makeParamList(arguments.len() as i32);
        let entries = (*list).params.as_mut_ptr();
        for (i, argument) in arguments.iter().enumerate() {
            let entry = &mut *entries.add(i);
            let datum = argument.datum();
            entry.isnull = datum.is_none();
            entry.value = datum.map_or(pg_sys::Datum::from(0), |datum| datum.sans_lifetime());
            entry.ptype = argument.oid();
            entry.pflags = pg_sys::PARAM_FLAG_CONST as u16;
        }
        list
    }
}

fn c_string(sql: &str) -> Result<CString> {
    CString::new(sql)
        .map_err(|_| Failure::new(PgSqlErrorCode::ERRCODE_CHARACTER_NOT_IN_REPERTOIRE, "a name holds a zero byte"))
}

fn check(status: i32, what: &str) -> Result<()> {
    if status < 0 { Err(refused(what)) } else { Ok(()) }
}

fn refused(what: &str) -> Failure {
    Failure::new(PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, format!("the server refused {what}"))
}
