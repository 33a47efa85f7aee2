//! Whether BigQuery can hold rows exactly: what it cannot must not get as far as an upload.

use std::collections::HashSet;

use series::hash::{ContentHash, RowHasher};
use series::time::{Day, Micros};

use super::error::ColdError;
use super::value::{FIRST_TIME, LAST_TIME, scaled_numeric};
use super::verify::row_hash;
use crate::table::{Cell, ColumnKind, Row, TableShape};

/// Checks that BigQuery can hold every row of a day exactly. Adds the hash of each row to `written`, and returns the
/// hash of all.
///
/// # Errors
/// [`super::ErrorKind::Permanent`] naming the column and the day, never the value.
pub(crate) fn check_rows(
    shape: &TableShape,
    day: Day,
    rows: &[Row],
    written: &mut HashSet<u128>,
) -> Result<ContentHash, ColdError> {
    let (from, to) = day.range();
    let mut hasher = RowHasher::new();
    let mut named: HashSet<(Micros, &str)> = HashSet::new();
    let mut numbered: HashSet<(Micros, i64)> = HashSet::new();
    for row in rows {
        if row.len() != shape.columns().len() {
            return Err(ColdError::permanent("a row has another number of cells than the table has columns"));
        }
        for (column, cell) in shape.columns().iter().zip(row) {
            check_cell(column.kind, cell)
                .map_err(|why| ColdError::permanent(format!("column \"{}\" of {day}: {why}", column.name)))?;
        }
        let time = match row[shape.time_index()] {
            Cell::Timestamp(time) if from <= time && time < to => time,
            _ => return Err(ColdError::permanent(format!("a row of {day} has a time outside that day"))),
        };
        let alone = match &row[shape.key_index()] {
            Cell::Text(key) => named.insert((time, key)),
            Cell::Int(key) => numbered.insert((time, *key)),
            _ => return Err(ColdError::permanent(format!("a row of {day} has no key"))),
        };
        if !alone {
            return Err(ColdError::permanent(format!("two rows of {day} have the same key and time")));
        }
        written.insert(row_hash(&mut hasher, shape, row));
    }
    Ok(hasher.content())
}

fn check_cell(kind: ColumnKind, cell: &Cell) -> Result<(), &'static str> {
    if !cell.fits(kind) {
        return Err("a value is of another type than the column");
    }
    match cell {
        Cell::Timestamp(time) if !(FIRST_TIME..=LAST_TIME).contains(time) => {
            Err("a timestamp is outside the years 1 to 9999 (or infinite), which BigQuery cannot hold")
        }
        Cell::Date(day) => {
            let (first, last) = (Day::of(FIRST_TIME).0, Day::of(LAST_TIME).0);
            match (first..=last).contains(day) {
                true => Ok(()),
                false => Err("a date is outside the years 1 to 9999 (or infinite), which BigQuery cannot hold"),
            }
        }
        Cell::Numeric(text) if scaled_numeric(text).is_none() => {
            Err("a numeric is NaN, which BigQuery cannot hold, or has more digits than NUMERIC")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::error::ErrorKind;
    use super::*;
    use crate::table::Column;

    fn shape() -> TableShape {
        let columns = vec![
            Column::new("t", ColumnKind::Timestamp, true),
            Column::new("k", ColumnKind::Text, true),
            Column::new("n", ColumnKind::Numeric, false),
            Column::new("d", ColumnKind::Date, false),
        ];
        TableShape::new(columns, 0, 1).unwrap()
    }

    fn row(time: Micros, key: &str, numeric: &str, date: i32) -> Row {
        vec![Cell::Timestamp(time), Cell::Text(key.into()), Cell::Numeric(numeric.into()), Cell::Date(date)]
    }

    #[test]
    fn rows_that_bigquery_cannot_hold_are_refused_by_column_not_by_value() {
        let day = Day(1);
        let good = row(day.start(), "a", "1.5", 0);
        let check = |rows: &[Row]| check_rows(&shape(), day, rows, &mut HashSet::new());
        assert_eq!(check(std::slice::from_ref(&good)).unwrap().rows, 1);
        for (bad, part) in [
            (row(day.end(), "a", "1", 0), "outside that day"),
            (row(day.start(), "b", "NaN", 0), "\"n\""),
            (row(day.start(), "b", "1", i32::MAX), "\"d\""),
            (good.clone(), "same key and time"),
            (good[..3].to_vec(), "number of cells"),
            (vec![good[0].clone(), Cell::Null, Cell::Null, Cell::Null], "no key"),
        ] {
            let error = check(&[good.clone(), bad]).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Permanent);
            assert!(error.message.contains(part), "{error}");
        }
    }
}
