//! Arrow record batches as rows.

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrowPrimitiveType, RecordBatch};

use super::error::ColdError;
use crate::table::{Cell, ColumnKind, Row};

/// Rows of the batch with the named columns in the given order, whatever the order in the batch.
///
/// # Errors
/// [`super::ErrorKind::Permanent`] when a column is missing or holds another Arrow type than BigQuery documents for that
/// kind (<https://cloud.google.com/bigquery/docs/reference/storage#arrow_schema_details>).
pub(crate) fn rows(batch: &RecordBatch, columns: &[(String, ColumnKind)]) -> Result<Vec<Row>, ColdError> {
    let mut rows: Vec<Row> = (0..batch.num_rows()).map(|_| Vec::with_capacity(columns.len())).collect();
    for (name, kind) in columns {
        let wrong = || ColdError::permanent(format!("BigQuery sent column \"{name}\" in an unexpected form"));
        let array = batch.column_by_name(name).ok_or_else(wrong)?;
        append(&mut rows, array, *kind).ok_or_else(wrong)?;
    }
    Ok(rows)
}

/// Adds one cell to each row; `None` if the array is not of the kind.
fn append(rows: &mut [Row], array: &dyn Array, kind: ColumnKind) -> Option<()> {
    match kind {
        ColumnKind::Bool => {
            let values = array.as_boolean_opt()?;
            each(rows, array, |at| Cell::Bool(values.value(at)));
        }
        ColumnKind::Int64 => numbers::<Int64Type>(rows, array, Cell::Int)?,
        ColumnKind::Float64 => numbers::<Float64Type>(rows, array, Cell::Float)?,
        ColumnKind::Timestamp => numbers::<TimestampMicrosecondType>(rows, array, Cell::Timestamp)?,
        ColumnKind::Date => numbers::<Date32Type>(rows, array, Cell::Date)?,
        ColumnKind::Numeric => {
            let scale = usize::try_from(array.as_primitive_opt::<Decimal128Type>()?.scale()).ok()?;
            numbers::<Decimal128Type>(rows, array, |value| Cell::Numeric(decimal_text(value, scale)))?;
        }
        ColumnKind::Text => {
            let values = array.as_string_opt::<i32>()?;
            each(rows, array, |at| Cell::Text(values.value(at).to_owned()));
        }
        ColumnKind::Bytes => {
            let values = array.as_binary_opt::<i32>()?;
            each(rows, array, |at| Cell::Bytes(values.value(at).to_owned()));
        }
    }
    Some(())
}

fn numbers<T: ArrowPrimitiveType>(rows: &mut [Row], array: &dyn Array, cell: impl Fn(T::Native) -> Cell) -> Option<()> {
    let values = array.as_primitive_opt::<T>()?;
    each(rows, array, |at| cell(values.value(at)));
    Some(())
}

fn each(rows: &mut [Row], array: &dyn Array, cell: impl Fn(usize) -> Cell) {
    for (at, row) in rows.iter_mut().enumerate() {
        row.push(if array.is_null(at) { Cell::Null } else { cell(at) });
    }
}

/// `value` × 10^-`scale`.
fn decimal_text(value: i128, scale: usize) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", value.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    match scale {
        0 => format!("{sign}{whole}"),
        _ => format!("{sign}{whole}.{fraction}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_keeps_every_digit() {
        assert_eq!(decimal_text(-1, 9), "-0.000000001");
        assert_eq!(decimal_text(12_500_000_000, 9), "12.500000000");
        assert_eq!(decimal_text(0, 9), "0.000000000");
        assert_eq!(decimal_text(-7, 0), "-7");
    }
}
