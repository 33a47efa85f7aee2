//! The proof that the archive holds what was written: content hashes on both sides.

use std::collections::HashSet;

use series::hash::{self, ContentHash, RowHasher};
use series::time::Day;

use super::client::{ColdClient, TableRef};
use super::error::{ColdError, ErrorKind};
use super::merge::MergeMode;
use super::read::{ReadRequest, RowStream, drain, next};
use crate::table::{Cell, TableShape};
use crate::wait::Wait;

/// Hash of one row, the same wherever the row came from.
///
/// A cell is hashed with its column's name and a NULL not at all, so that a column added later, or another order of the
/// columns, leaves the hashes of earlier days as they were.
pub fn row_hash(hasher: &mut RowHasher, shape: &TableShape, row: &[Cell]) -> u128 {
    for (column, cell) in shape.columns().iter().zip(row) {
        let value = match cell {
            Cell::Null => continue,
            Cell::Bool(value) => hash::Cell::Bool(*value),
            Cell::Int(value) => hash::Cell::Int(*value),
            Cell::Float(value) => hash::Cell::Float(*value),
            Cell::Numeric(text) => hash::Cell::Decimal(text),
            Cell::Text(text) => hash::Cell::Text(text),
            Cell::Bytes(bytes) => hash::Cell::Bytes(bytes),
            Cell::Timestamp(micros) => hash::Cell::Time(*micros),
            Cell::Date(day) => hash::Cell::Date(Day(*day)),
        };
        hasher.cell(hash::Cell::Text(&column.name));
        hasher.cell(value);
    }
    hasher.end_row()
}

/// Count and order-independent hash of rows: what the manifest records and what is compared before rows are dropped.
pub fn content_hash<'a>(shape: &TableShape, rows: impl IntoIterator<Item = &'a [Cell]>) -> ContentHash {
    let mut hasher = RowHasher::new();
    for row in rows {
        row_hash(&mut hasher, shape, row);
    }
    hasher.content()
}

/// What a day of the archive holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    /// Of the whole day.
    pub day: ContentHash,
    /// Of those rows that are among the written ones.
    pub written: ContentHash,
}

/// Reads the day back. `written` are the hashes of the rows that must be there.
pub(crate) fn read_back(
    wait: &impl Wait,
    client: &ColdClient,
    table: &TableRef,
    shape: &TableShape,
    day: Day,
    written: &HashSet<u128>,
) -> Result<Found, ColdError> {
    let request = ReadRequest {
        table,
        shape,
        from: day.start(),
        to: day.end(),
        keys: None,
        purpose: "verify",
        // the proof must come from the table itself
        use_cache: false,
    };
    let stream = RowStream::new(client, &request);
    let mut hasher = RowHasher::new();
    let mut matched = ContentHash::default();
    let first = next(wait, &stream);
    drain(wait, &stream, first, &mut |rows| {
        for row in &rows {
            let hash = row_hash(&mut hasher, shape, row);
            if written.contains(&hash) {
                matched.add_row(hash);
            }
        }
        Ok::<(), ColdError>(())
    })?;
    Ok(Found { day: hasher.content(), written: matched })
}

/// Compares what was found with what was written.
///
/// # Errors
/// [`ErrorKind::Mismatch`] naming both counts and both hashes.
pub(crate) fn compare(
    table: &TableRef,
    day: Day,
    mode: MergeMode,
    expected: ContentHash,
    found: Found,
) -> Result<(), ColdError> {
    let archived = match mode {
        MergeMode::Replace => found.day,
        MergeMode::Upsert => found.written,
    };
    if archived == expected {
        return Ok(());
    }
    Err(ColdError::new(
        ErrorKind::Mismatch,
        format!(
            "{day} in the archive {table} is not what was written: {} rows with hash {:032x} instead of {} rows with hash {:032x}",
            archived.rows, archived.sum, expected.rows, expected.sum
        ),
    )
    .with_hint("Nothing was dropped. The archive job will write the day again; if it stays, something else writes to this table."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Column, ColumnKind, Row};

    fn shape(extra: Option<&str>) -> TableShape {
        let mut columns =
            vec![Column::new("time", ColumnKind::Timestamp, true), Column::new("node", ColumnKind::Text, true)];
        columns.extend(extra.map(|name| Column::new(name, ColumnKind::Float64, false)));
        TableShape::new(columns, 0, 1).unwrap()
    }

    fn hash(shape: &TableShape, rows: &[Row]) -> ContentHash {
        content_hash(shape, rows.iter().map(Vec::as_slice))
    }

    #[test]
    fn a_column_added_later_does_not_change_earlier_days() {
        let narrow = vec![Cell::Timestamp(1), Cell::Text("a".into())];
        let mut wide = narrow.clone();
        wide.push(Cell::Null);
        assert_eq!(hash(&shape(None), &[narrow]), hash(&shape(Some("flow")), &[wide.clone()]));
        let mut filled = wide.clone();
        filled[2] = Cell::Float(1.0);
        assert_ne!(hash(&shape(Some("flow")), &[wide]), hash(&shape(Some("flow")), &[filled.clone()]));
        assert_ne!(hash(&shape(Some("flow")), &[filled.clone()]), hash(&shape(Some("pressure")), &[filled]));
    }

    #[test]
    fn a_mismatch_names_both_sides() {
        let table = TableRef::new("p", "d", "t").unwrap();
        let expected = ContentHash { rows: 2, sum: 0xab };
        let found = Found { day: ContentHash { rows: 1, sum: 0xcd }, written: expected };
        let error = compare(&table, Day(0), MergeMode::Replace, expected, found).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Mismatch);
        for part in ["1 rows", "2 rows", "ab", "cd", "1970-01-01"] {
            assert!(error.message.contains(part), "{error}");
        }
        assert!(compare(&table, Day(0), MergeMode::Upsert, expected, found).is_ok());
    }
}
