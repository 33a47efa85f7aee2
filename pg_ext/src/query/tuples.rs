//! Rows from other tiers as tuples of the table's own row type.

use crate::failure::{Failure, Result};
use crate::pg_time;
use bridge::table::{Cell, TableShape};
use pgrx::{IntoDatum, PgSqlErrorCode, pg_sys};
use std::borrow::Cow;
use std::ffi::{CStr, CString};

/// Appends rows to a tuplestore.
pub struct TupleWriter {
    store: *mut pg_sys::Tuplestorestate,
    descriptor: pg_sys::TupleDesc,
    attributes: Vec<Attribute>,
    values: Vec<pg_sys::Datum>,
    nulls: Vec<bool>,
    /// Emptied after each row, so that a large range does not collect the text of every row.
    row_context: pg_sys::MemoryContext,
}

/// Where an attribute's value comes from and how it becomes a datum.
struct Attribute {
    /// Position in the row's cells; `None` for a dropped column.
    cell: Option<usize>,
    type_oid: pg_sys::Oid,
    modifier: i32,
    input: pg_sys::Oid,
    input_argument: pg_sys::Oid,
}

impl TupleWriter {
    /// `shape` names the cells of each row to come.
    pub fn new(store: *mut pg_sys::Tuplestorestate, descriptor: pg_sys::TupleDesc, shape: &TableShape) -> Self {
        // SAFETY: the descriptor is valid for the call of the set-returning function.
        let attributes = unsafe {
            (0..(*descriptor).natts as usize)
                .map(|i| Attribute::of(attribute_at(descriptor, i), shape))
                .collect::<Vec<_>>()
        };
        let count = attributes.len();
        // SAFETY: a child of the current context, which outlives the writer.
        let row_context = unsafe {
            pg_sys::AllocSetContextCreateInternal(
                pg_sys::CurrentMemoryContext,
                c"strata row".as_ptr(),
                pg_sys::ALLOCSET_DEFAULT_MINSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_INITSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
            )
        };
        Self {
            store,
            descriptor,
            attributes,
            values: vec![pg_sys::Datum::from(0); count],
            nulls: vec![true; count],
            row_context,
        }
    }

    pub fn store(&self) -> *mut pg_sys::Tuplestorestate {
        self.store
    }

    /// A statement that gives the columns of the shape, made to give the whole row type: NULL for dropped columns.
    pub fn as_row_type<'a>(&self, sql: &'a str) -> Cow<'a, str> {
        if self.attributes.iter().all(|attribute| attribute.cell.is_some()) {
            return Cow::Borrowed(sql);
        }
        let names: Vec<String> =
            self.attributes.iter().filter_map(|attribute| attribute.cell).map(|cell| format!("c{cell}")).collect();
        let list: Vec<String> = self
            .attributes
            .iter()
            .map(|attribute| attribute.cell.map_or("NULL::integer".to_owned(), |cell| format!("q.c{cell}")))
            .collect();
        Cow::Owned(format!("SELECT {} FROM ({sql}) AS q({})", list.join(", "), names.join(", ")))
    }

    /// Appends a row.
    ///
    /// # Errors
    /// When a cell cannot be a value of its column; the type's own input function raises its own error.
    pub fn put(&mut self, row: &[Cell]) -> Result<()> {
        let _context = SwitchedContext::to(self.row_context);
        for (i, attribute) in self.attributes.iter().enumerate() {
            let datum = match attribute.cell.map(|position| &row[position]) {
                None | Some(Cell::Null) => None,
                Some(cell) => Some(attribute.datum(cell)?),
            };
            self.nulls[i] = datum.is_none();
            self.values[i] = datum.unwrap_or(pg_sys::Datum::from(0));
        }
        // SAFETY: values and nulls have one entry per attribute; the tuplestore copies the row.
        unsafe {
            pg_sys::tuplestore_putvalues(
                self.store,
                self.descriptor,
                self.values.as_ptr().cast_mut(),
                self.nulls.as_ptr().cast_mut(),
            );
            pg_sys::MemoryContextReset(self.row_context);
        }
        Ok(())
    }
}

/// # Safety
/// `i` is below the descriptor's number of attributes.
unsafe fn attribute_at<'a>(descriptor: pg_sys::TupleDesc, i: usize) -> &'a pg_sys::FormData_pg_attribute {
    // SAFETY: the attributes follow the descriptor, as many as natts says.
    unsafe { &*(*descriptor).attrs.as_ptr().add(i) }
}

impl Attribute {
    fn of(attribute: &pg_sys::FormData_pg_attribute, shape: &TableShape) -> Self {
        // SAFETY: attname is a C string of at most NAMEDATALEN bytes.
        let name = unsafe { CStr::from_ptr(attribute.attname.data.as_ptr()) }.to_string_lossy();
        let cell =
            if attribute.attisdropped { None } else { shape.columns().iter().position(|column| column.name == name) };
        let (mut input, mut input_argument) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
        if cell.is_some() {
            // SAFETY: the type of a live attribute exists.
            unsafe { pg_sys::getTypeInputInfo(attribute.atttypid, &mut input, &mut input_argument) }
        }
        Self { cell, type_oid: attribute.atttypid, modifier: attribute.atttypmod, input, input_argument }
    }

    fn datum(&self, cell: &Cell) -> Result<pg_sys::Datum> {
        let direct = match (self.type_oid, cell) {
            (pg_sys::TIMESTAMPTZOID, Cell::Timestamp(time)) => pg_time::raw_timestamptz(*time).into_datum(),
            (pg_sys::FLOAT8OID, Cell::Float(value)) => value.into_datum(),
            (pg_sys::FLOAT4OID, Cell::Float(value)) => (*value as f32).into_datum(),
            (pg_sys::INT8OID, Cell::Int(value)) => value.into_datum(),
            (pg_sys::TEXTOID | pg_sys::VARCHAROID, Cell::Text(text)) if self.modifier < 0 => text.as_str().into_datum(),
            (pg_sys::BOOLOID, Cell::Bool(value)) => value.into_datum(),
            (pg_sys::BYTEAOID, Cell::Bytes(bytes)) => bytes.as_slice().into_datum(),
            (pg_sys::DATEOID, Cell::Date(day)) => pg_time::date(series::time::Day(*day)).into_datum(),
            _ => None,
        };
        match direct {
            Some(datum) => Ok(datum),
            None => self.parse(cell),
        }
    }

    fn parse(&self, cell: &Cell) -> Result<pg_sys::Datum> {
        let text = match cell {
            Cell::Int(value) => value.to_string(),
            Cell::Float(value) => value.to_string(),
            Cell::Numeric(text) | Cell::Text(text) => text.clone(),
            Cell::Bool(value) => value.to_string(),
            Cell::Null | Cell::Bytes(_) | Cell::Timestamp(_) | Cell::Date(_) => {
                return Err(Failure::new(
                    PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
                    "a column of the archive has another type than the column of the table",
                )
                .hint("A column's type was changed after it was archived; strata.import can copy the days into a new table."));
            }
        };
        let text = CString::new(text).map_err(|_| {
            Failure::new(PgSqlErrorCode::ERRCODE_CHARACTER_NOT_IN_REPERTOIRE, "a text in the archive holds a zero byte")
        })?;
        // SAFETY: the input function belongs to the attribute's type; the text lives through the call.
        Ok(unsafe {
            pg_sys::OidInputFunctionCall(self.input, text.as_ptr().cast_mut(), self.input_argument, self.modifier)
        })
    }
}

/// Makes a memory context current until dropped.
struct SwitchedContext(pg_sys::MemoryContext);

impl SwitchedContext {
    fn to(context: pg_sys::MemoryContext) -> Self {
        // SAFETY: both contexts outlive the row being built.
        let before = unsafe {
            let before = pg_sys::CurrentMemoryContext;
            pg_sys::CurrentMemoryContext = context;
            before
        };
        Self(before)
    }
}

impl Drop for SwitchedContext {
    fn drop(&mut self) {
        // SAFETY: restores what `to` found.
        unsafe { pg_sys::CurrentMemoryContext = self.0 }
    }
}
