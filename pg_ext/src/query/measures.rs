//! A scan reduced to what aggregates need: time, key and measures as double precision.

use super::scan::Sink;
use crate::failure::{Failure, Result};
use crate::pg_time;
use crate::shape::TableColumns;
use crate::snapshot::Snapshot;
use crate::source::Source;
use bridge::table::Cell;
use pgrx::PgSqlErrorCode;
use pgrx::datum::DatumWithOid;
use series::time::Micros;

/// Hands time, key and measures of every row to a closure; a missing value is NaN.
pub struct MeasureSink<F> {
    time: usize,
    key: usize,
    /// Position of each measure in the row, in the order asked for.
    measures: Vec<usize>,
    values: Vec<f64>,
    each: F,
}

impl<F: FnMut(Micros, &str, &[f64])> MeasureSink<F> {
    /// `columns` must hold the time column, the key column and all `measures`.
    pub fn new(source: &Source, columns: &TableColumns, measures: &[String], each: F) -> Self {
        let position = |name: &str| {
            columns
                .shape
                .columns()
                .iter()
                .position(|column| column.name == name)
                .expect("the columns were reduced to these")
        };
        let measures: Vec<usize> = measures.iter().map(|name| position(name)).collect();
        Self {
            time: position(&source.time_column),
            key: position(&source.key_column),
            values: vec![f64::NAN; measures.len()],
            measures,
            each,
        }
    }
}

impl<F: FnMut(Micros, &str, &[f64])> Sink for MeasureSink<F> {
    fn expression(&self, column: usize, _columns: &TableColumns, value: &str) -> String {
        if column == self.time {
            value.to_owned()
        } else if column == self.key {
            format!("({value})::text")
        } else {
            format!("({value})::float8")
        }
    }

    fn statement(&mut self, snapshot: &Snapshot, sql: &str, arguments: &[DatumWithOid]) -> Result<u64> {
        let mut rows = 0;
        snapshot.select(sql, arguments, |view| {
            rows += 1;
            let Some(time) = view.raw_timestamptz(self.time + 1).and_then(pg_time::micros_of_raw) else {
                return Ok(());
            };
            for (value, position) in self.values.iter_mut().zip(&self.measures) {
                *value = view.get::<f64>(position + 1).unwrap_or(f64::NAN);
            }
            view.with_text(self.key + 1, |key| (self.each)(time, key, &self.values));
            Ok(())
        })?;
        Ok(rows)
    }

    fn row(&mut self, row: &[Cell]) -> Result<()> {
        let Cell::Timestamp(time) = row[self.time] else { return Ok(()) };
        for (value, position) in self.values.iter_mut().zip(&self.measures) {
            *value = number(&row[*position]);
        }
        match &row[self.key] {
            Cell::Text(key) => (self.each)(time, key, &self.values),
            Cell::Int(key) => (self.each)(time, &key.to_string(), &self.values),
            _ => {}
        }
        Ok(())
    }
}

/// The measures asked for, which are all unless named.
///
/// # Errors
/// `42703` for a name that is none of the source's measures.
pub fn checked_measures(source: &Source, wanted: Option<Vec<String>>) -> Result<Vec<String>> {
    let Some(wanted) = wanted else { return Ok(source.measures.clone()) };
    match wanted.iter().find(|name| !source.measures.contains(name)) {
        None => Ok(wanted),
        Some(name) => Err(Failure::new(
            PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN,
            format!("\"{name}\" is not a measure of source \"{}\"", source.name),
        )
        .hint(format!("Its measures are {}.", source.measures.join(", ")))),
    }
}

fn number(cell: &Cell) -> f64 {
    match cell {
        Cell::Float(value) => *value,
        Cell::Int(value) => *value as f64,
        Cell::Numeric(text) | Cell::Text(text) => text.parse().unwrap_or(f64::NAN),
        _ => f64::NAN,
    }
}
