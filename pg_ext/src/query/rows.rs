//! `strata.rows`: the rows of a range over all tiers, in the table's own row type.

use super::scan::{Request, Scan, Sink};
use super::tuples::TupleWriter;
use crate::failure::{Failure, OrRaise, Result};
use crate::pg_time;
use crate::shape::TableColumns;
use crate::snapshot::Snapshot;
use crate::source::Source;
use bridge::table::Cell;
use pgrx::datum::{DatumWithOid, TimestampWithTimeZone};
use pgrx::{FromDatum, PgSqlErrorCode, pg_guard, pg_sys};

/// Writes rows of the table's type to a tuplestore.
pub struct TableRows {
    writer: TupleWriter,
    context: pg_sys::MemoryContext,
}

impl Sink for TableRows {
    fn expression(&self, _column: usize, _columns: &TableColumns, value: &str) -> String {
        value.to_owned()
    }

    fn statement(&mut self, snapshot: &Snapshot, sql: &str, arguments: &[DatumWithOid]) -> Result<u64> {
        snapshot.select_into(&self.writer.as_row_type(sql), arguments, self.writer.store(), self.context)
    }

    fn row(&mut self, row: &[Cell]) -> Result<()> {
        self.writer.put(row)
    }
}

/// For plans that are shown and not run.
pub struct NoRows;

impl Sink for NoRows {
    fn expression(&self, _column: usize, _columns: &TableColumns, value: &str) -> String {
        value.to_owned()
    }

    fn statement(&mut self, _snapshot: &Snapshot, _sql: &str, _arguments: &[DatumWithOid]) -> Result<u64> {
        Ok(0)
    }

    fn row(&mut self, _row: &[Cell]) -> Result<()> {
        Ok(())
    }
}

/// A set-returning function in materialize mode: the result is a tuplestore that the executor reads.
pub struct Materialized {
    store: *mut pg_sys::Tuplestorestate,
    descriptor: pg_sys::TupleDesc,
    context: pg_sys::MemoryContext,
    relation: pg_sys::Oid,
}

impl Materialized {
    /// Prepares the result of a function whose first argument is `NULL::table`.
    ///
    /// # Safety
    /// `fcinfo` is what PostgreSQL passed to the function.
    pub unsafe fn begin(fcinfo: pg_sys::FunctionCallInfo) -> Result<Self> {
        // SAFETY: fcinfo is valid for the call; resultinfo is checked before use.
        unsafe {
            let info = (*fcinfo).resultinfo.cast::<pg_sys::ReturnSetInfo>();
            if info.is_null()
                || (*info).type_ != pg_sys::NodeTag::T_ReturnSetInfo
                || (*info).allowedModes as u32 & pg_sys::SetFunctionReturnMode::SFRM_Materialize == 0
            {
                return Err(Failure::new(
                    PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
                    "this function returns a set and was called where none is accepted",
                )
                .hint("Call it in FROM: SELECT * FROM strata.rows(NULL::schema.table, …);"));
            }
            let row_type = pg_sys::get_fn_expr_argtype((*fcinfo).flinfo, 0);
            let relation = pg_sys::get_typ_typrelid(row_type);
            if relation == pg_sys::InvalidOid {
                return Err(Failure::new(
                    PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
                    "the first argument must be a NULL of the table's row type",
                )
                .hint("Write NULL::schema.table."));
            }
            let context = (*(*info).econtext).ecxt_per_query_memory;
            let before = pg_sys::CurrentMemoryContext;
            pg_sys::CurrentMemoryContext = context;
            let descriptor = pg_sys::lookup_rowtype_tupdesc_copy(row_type, -1);
            let random_access =
                (*info).allowedModes as u32 & pg_sys::SetFunctionReturnMode::SFRM_Materialize_Random != 0;
            let store = pg_sys::tuplestore_begin_heap(random_access, false, pg_sys::work_mem);
            pg_sys::CurrentMemoryContext = before;
            (*info).returnMode = pg_sys::SetFunctionReturnMode::SFRM_Materialize;
            (*info).setResult = store;
            (*info).setDesc = descriptor;
            Ok(Self { store, descriptor, context, relation })
        }
    }

    pub fn source(&self) -> Result<Source> {
        Source::of_relation(self.relation)
    }

    pub fn sink(&self, columns: &TableColumns) -> TableRows {
        TableRows { writer: TupleWriter::new(self.store, self.descriptor, &columns.shape), context: self.context }
    }
}

/// An argument of a C function; `None` for NULL.
///
/// # Safety
/// `fcinfo` is what PostgreSQL passed, `number` is below its count of arguments, and `T` is the argument's type.
pub unsafe fn argument<T: FromDatum>(fcinfo: pg_sys::FunctionCallInfo, number: usize) -> Option<T> {
    // SAFETY: as promised by the caller.
    unsafe {
        let argument = &*(*fcinfo).args.as_ptr().add(number);
        T::from_datum(argument.value, argument.isnull)
    }
}

#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn strata_rows(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: the SQL declaration in functions.sql has these four arguments.
    unsafe {
        let result = Materialized::begin(fcinfo).or_raise();
        let from = argument::<TimestampWithTimeZone>(fcinfo, 1);
        let to = argument::<TimestampWithTimeZone>(fcinfo, 2);
        let keys = argument::<Vec<String>>(fcinfo, 3);
        if let (Some(from), Some(to)) = (from, to) {
            rows(&result, from, to, keys).or_raise();
        }
    }
    pg_sys::Datum::from(0)
}

fn rows(
    result: &Materialized,
    from: TimestampWithTimeZone,
    to: TimestampWithTimeZone,
    keys: Option<Vec<String>>,
) -> Result<()> {
    let source = result.source()?;
    let columns = TableColumns::of(&source)?;
    let request = Request {
        source: &source,
        columns: &columns,
        from: pg_time::from_bound(from),
        to: pg_time::to_bound(to),
        keys: keys.as_deref(),
    };
    Scan::open(request)?.run(&mut result.sink(&columns))?;
    Ok(())
}

crate::v1_function!(pg_finfo_strata_rows);
