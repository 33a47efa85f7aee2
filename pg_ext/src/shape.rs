//! How the columns of a source's table travel to the cold tier and back.

use crate::failure::{Failure, Result};
use crate::pg_time;
use crate::quote;
use crate::snapshot::RowView;
use crate::source::Source;
use bridge::table::{Cell, Column, ColumnKind, ShapeError, TableShape};
use pgrx::prelude::*;
use pgrx::{PgSqlErrorCode, pg_sys};

/// The columns of a table: their shape in the archive, and how SQL reads and writes them.
#[derive(Clone, Debug)]
pub struct TableColumns {
    pub shape: TableShape,
    /// The type of each column as SQL text.
    pub types: Vec<String>,
    /// Columns that PostgreSQL computes itself and that cannot be written.
    pub generated: Vec<bool>,
    /// Columns of types that somebody made, who may have made casts from them as well.
    made: Vec<bool>,
}

impl TableColumns {
    /// Reads the columns of a source's table.
    ///
    /// # Errors
    /// When BigQuery could not hold a column, with the rule it breaks.
    pub fn of(source: &Source) -> Result<Self> {
        let mut columns = Vec::new();
        let mut types = Vec::new();
        let mut generated = Vec::new();
        let mut made = Vec::new();
        Spi::connect(|client| -> Result<()> {
            let rows = client.select(
                "SELECT a.attname::text, a.atttypid, a.atttypmod, a.attnotnull, format_type(a.atttypid, a.atttypmod), a.attgenerated <> ''
                 FROM pg_attribute a WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
                None,
                &[source.relation.into()],
            )?;
            for row in rows {
                let (name, type_oid, modifier, not_null) =
                    (row.get::<String>(1)?, row.get::<pg_sys::Oid>(2)?, row.get::<i32>(3)?, row.get::<bool>(4)?);
                let (Some(name), Some(type_oid), Some(modifier)) = (name, type_oid, modifier) else { continue };
                columns.push(Column::new(name, kind(type_oid, modifier), not_null == Some(true)));
                types.push(row.get::<String>(5)?.unwrap_or_default());
                generated.push(row.get::<bool>(6)? == Some(true));
                made.push(type_oid.to_u32() >= pg_sys::FirstNormalObjectId);
            }
            Ok(())
        })?;
        let position = |wanted: &str| columns.iter().position(|column| column.name == wanted);
        let (Some(time), Some(key)) = (position(&source.time_column), position(&source.key_column)) else {
            return Err(Failure::new(
                PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN,
                format!("time or key column of table {} is gone", source.table),
            )
            .hint("Rename it back, or strata.detach the table and attach it again."));
        };
        let shape = TableShape::new(columns, time, key).map_err(|error| unfit(error, source))?;
        if source.cold.is_some() {
            shape.check_names().map_err(|error| unfit(error, source))?;
        }
        Ok(Self { shape, types, generated, made })
    }

    /// Time, key and some measures alone.
    pub fn reduced_to(self, source: &Source, measures: &[String]) -> Result<Self> {
        let wanted = |column: &Column| {
            column.name == source.time_column || column.name == source.key_column || measures.contains(&column.name)
        };
        let kept: Vec<usize> = (0..self.types.len()).filter(|i| wanted(&self.shape.columns()[*i])).collect();
        let position = |of: usize| kept.iter().position(|i| *i == of).expect("time and key are kept");
        let shape = TableShape::new(
            kept.iter().map(|i| self.shape.columns()[*i].clone()).collect(),
            position(self.shape.time_index()),
            position(self.shape.key_index()),
        )
        .map_err(|error| unfit(error, source))?;
        Ok(Self {
            shape,
            types: kept.iter().map(|i| self.types[*i].clone()).collect(),
            generated: kept.iter().map(|i| self.generated[*i]).collect(),
            made: kept.iter().map(|i| self.made[*i]).collect(),
        })
    }

    /// The select list that [`read_row`] understands, for a table alias `t`.
    pub fn select_list(&self) -> String {
        let columns = self.shape.columns().iter().zip(&self.made);
        columns.map(|(column, made)| select_expression(column, *made)).collect::<Vec<_>>().join(", ")
    }
}

/// Reads a row selected with [`TableColumns::select_list`].
pub fn read_row(view: &RowView, shape: &TableShape) -> Result<Vec<Cell>> {
    shape.columns().iter().enumerate().map(|(i, column)| read_cell(view, i + 1, column)).collect()
}

fn read_cell(view: &RowView, position: usize, column: &Column) -> Result<Cell> {
    let cell = match column.kind {
        ColumnKind::Bool => view.get::<bool>(position).map(Cell::Bool),
        ColumnKind::Int64 => view.get::<i64>(position).map(Cell::Int),
        ColumnKind::Float64 => view.get::<f64>(position).map(Cell::Float),
        ColumnKind::Numeric => view.get::<String>(position).map(Cell::Numeric),
        ColumnKind::Text => view.get::<String>(position).map(Cell::Text),
        ColumnKind::Bytes => view.get::<Vec<u8>>(position).map(Cell::Bytes),
        ColumnKind::Timestamp => match view.raw_timestamptz(position) {
            Some(raw) => Some(Cell::Timestamp(finite(pg_time::micros_of_raw(raw), column)?)),
            None => None,
        },
        ColumnKind::Date => match view.get::<pgrx::datum::Date>(position) {
            Some(date) => Some(Cell::Date(
                finite((!date.is_infinity()).then_some(date), column).map(|date| pg_time::day(date).0)?,
            )),
            None => None,
        },
    };
    Ok(cell.unwrap_or(Cell::Null))
}

fn finite<T>(value: Option<T>, column: &Column) -> Result<T> {
    value.ok_or_else(|| {
        Failure::new(
            PgSqlErrorCode::ERRCODE_DATETIME_FIELD_OVERFLOW,
            format!("column \"{}\" holds an infinite time, which BigQuery cannot", column.name),
        )
        .hint("Store NULL instead of infinity.")
    })
}

/// The type's output rather than a cast where the type is somebody's: jobs must not run what that somebody made a cast of.
fn select_expression(column: &Column, made: bool) -> String {
    let name = format!("t.{}", quote::ident(&column.name));
    match column.kind {
        ColumnKind::Text if made => format!("CASE WHEN {name} IS DISTINCT FROM NULL THEN format('%s', {name}) END"),
        ColumnKind::Int64 => format!("{name}::int8"),
        ColumnKind::Float64 => format!("{name}::float8"),
        ColumnKind::Numeric | ColumnKind::Text => format!("{name}::text"),
        ColumnKind::Bool | ColumnKind::Bytes | ColumnKind::Timestamp | ColumnKind::Date => name,
    }
}

fn kind(type_oid: pg_sys::Oid, modifier: i32) -> ColumnKind {
    match type_oid {
        pg_sys::BOOLOID => ColumnKind::Bool,
        pg_sys::INT2OID | pg_sys::INT4OID | pg_sys::INT8OID => ColumnKind::Int64,
        pg_sys::FLOAT4OID | pg_sys::FLOAT8OID => ColumnKind::Float64,
        pg_sys::BYTEAOID => ColumnKind::Bytes,
        pg_sys::TIMESTAMPTZOID => ColumnKind::Timestamp,
        pg_sys::DATEOID => ColumnKind::Date,
        pg_sys::NUMERICOID if modifier >= 0 => numeric_kind(modifier),
        _ => ColumnKind::Text,
    }
}

/// A numeric's modifier holds precision and scale as in PostgreSQL's numeric.c: the scale is a signed 11-bit number.
fn numeric_kind(modifier: i32) -> ColumnKind {
    let packed = modifier - pg_sys::VARHDRSZ as i32;
    let precision = (packed >> 16) & 0xffff;
    let scale = ((packed & 0x7ff) ^ 1024) - 1024;
    ColumnKind::numeric(precision, scale)
}

fn unfit(error: ShapeError, source: &Source) -> Failure {
    Failure::new(
        PgSqlErrorCode::ERRCODE_INVALID_TABLE_DEFINITION,
        format!("table {} cannot have a cold tier", source.table),
    )
    .detail(error.to_string())
    .hint("Rename or drop the column, or detach the table and attach it without cold.")
}
