//! The proof that the archive holds what was written: content hashes on both sides.

use std::collections::HashSet;

use series::hash::{self, ContentHash, RowHasher};
use series::time::Day;

use super::client::{ColdClient, TableRef};
use super::error::{ColdError, ErrorKind};
use super::merge::MergeMode;
use super::read::ReadRequest;
use super::row_stream::{drain, open_rows};
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Of the whole day.
    pub day: ContentHash,
    /// Of those rows that are among the written ones.
    pub written: ContentHash,
}

impl Found {
    /// Whether the day is what was written, or, where others stay, holds it.
    pub(crate) fn proves(&self, mode: MergeMode, expected: ContentHash) -> bool {
        expected
            == match mode {
                MergeMode::Replace => self.day,
                MergeMode::Upsert => self.written,
            }
    }

    /// Whether everything that was written is there, among rows that should not be.
    pub(crate) fn has_surplus(&self, expected: ContentHash) -> bool {
        self.written == expected && self.day != expected
    }
}

/// Reads `first` and the days after it back, up to and including `last`. `written` are the hashes of the rows that must
/// be there.
pub(crate) fn read_back(
    wait: &impl Wait,
    client: &ColdClient,
    table: &TableRef,
    shape: &TableShape,
    (first, last): (Day, Day),
    written: &HashSet<u128>,
) -> Result<Vec<Found>, ColdError> {
    let request = ReadRequest {
        table,
        shape,
        from: first.start(),
        to: last.end(),
        keys: None,
        purpose: "verify",
        // the proof must come from the table itself
        use_cache: false,
    };
    let mut hasher = RowHasher::new();
    let mut found: Vec<Found> = (first.0..=last.0).map(|_| Found::default()).collect();
    let opened = open_rows(wait, client, &request.source(&[]))?;
    drain(wait, opened, &mut |rows| {
        for row in &rows {
            let time = match row.get(shape.time_index()) {
                Some(Cell::Timestamp(time)) => *time,
                _ => return Err(ColdError::permanent("BigQuery answered with a row without a time")),
            };
            let place = usize::try_from(i64::from(Day::of(time).0) - i64::from(first.0));
            let found = place.ok().and_then(|place| found.get_mut(place)).ok_or_else(|| {
                ColdError::permanent("BigQuery answered with a row outside the days that were asked for")
            })?;
            let hash = row_hash(&mut hasher, shape, row);
            found.day.add_row(hash);
            if written.contains(&hash) {
                found.written.add_row(hash);
            }
        }
        Ok(())
    })?;
    Ok(found)
}

/// The error for a day that is not what was written, naming both counts and both hashes.
pub(crate) fn mismatch(table: &TableRef, day: Day, mode: MergeMode, expected: ContentHash, found: Found) -> ColdError {
    let archived = match mode {
        MergeMode::Replace => found.day,
        MergeMode::Upsert => found.written,
    };
    ColdError::new(
        ErrorKind::Mismatch,
        format!(
            "{day} in the archive {table} is not what was written: {} rows with hash {:032x} instead of {} rows with hash {:032x}",
            archived.rows, archived.sum, expected.rows, expected.sum
        ),
    )
    .with_hint("Nothing was dropped. The archive job will write the day again; if it stays, something else writes to this table.")
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
        let error = mismatch(&table, Day(0), MergeMode::Replace, expected, found);
        assert_eq!(error.kind, ErrorKind::Mismatch);
        for part in ["1 rows", "2 rows", "ab", "cd", "1970-01-01"] {
            assert!(error.message.contains(part), "{error}");
        }
        assert!(found.proves(MergeMode::Upsert, expected));
        assert!(!found.proves(MergeMode::Replace, expected));
    }
}
