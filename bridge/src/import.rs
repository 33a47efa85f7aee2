//! Rows of a BigQuery table into PostgreSQL: the source's own archive, or any table whose columns can be read as those
//! of the source.

use series::time::Micros;

use crate::cold::{
    ColdClient, ColdError, ErrorKind, ReadSource, ReadSummary, RemoteColumn, RemoteTable, RowSource, Selected,
    StoredRows, TableRef, drain, is_empty, null_of, open_rows, rows_query,
};
use crate::table::{Column, ColumnKind, Row, TableShape};
use crate::wait::Wait;

/// Which rows to import.
#[derive(Debug, Clone, Copy)]
pub struct ImportRequest<'a> {
    pub table: &'a TableRef,
    /// The table in PostgreSQL: rows arrive with these columns and kinds, in this order.
    pub shape: &'a TableShape,
    /// Where a column has another name in BigQuery: (name in PostgreSQL, name in BigQuery).
    pub renamed: &'a [(String, String)],
    /// Half-open: `[from, to)`.
    pub from: Micros,
    pub to: Micros,
    /// Only these keys, in text form; all if absent.
    pub keys: Option<&'a [String]>,
}

/// Reads the rows and hands them to `sink` in batches, in no particular order.
///
/// Types are converted where nothing is lost (DATETIME is taken as UTC, JSON and other types become text, integers and
/// NUMERIC become floats where the column is one). A nullable column that BigQuery does not have is NULL.
///
/// # Errors
/// [`ErrorKind::NotFound`] when there is no such table, [`ErrorKind::Permanent`] naming the column that is missing or
/// cannot be converted, those of reading, and those of `sink`.
pub fn import_rows<W, E>(
    wait: &W,
    client: &ColdClient,
    request: &ImportRequest<'_>,
    mut sink: impl FnMut(Vec<Row>) -> Result<(), E>,
) -> Result<ReadSummary, E>
where
    W: Wait,
    E: From<ColdError>,
{
    if is_empty(request.from, request.to, request.keys) {
        return Ok(ReadSummary::default());
    }
    let remote = wait
        .wait("asking for a table", client.get_table(request.table))?
        .ok_or_else(|| ColdError::new(ErrorKind::NotFound, format!("there is no BigQuery table {}", request.table)))?;
    let selected = request.select(&remote)?;
    let time = request.remote_column(&remote, request.shape.time())?;
    let key = request.remote_column(&remote, request.shape.key())?;
    let source = ReadSource {
        table: request.table,
        time: &time.name,
        time_is_datetime: time.kind.eq_ignore_ascii_case("DATETIME"),
        key: &key.name,
        key_kind: key.column_kind().unwrap_or(ColumnKind::Text),
    };
    let query = rows_query(&source, &selected, request.from, request.to, request.keys, "import");
    let source = RowSource {
        stored: request.stored(&remote),
        query,
        kinds: selected.iter().map(|column| column.kind).collect(),
    };
    drain(wait, open_rows(wait, client, &source)?, &mut sink)
}

impl ImportRequest<'_> {
    fn remote_name<'n>(&'n self, column: &'n Column) -> &'n str {
        let renamed = self.renamed.iter().find(|(here, _)| *here == column.name);
        renamed.map_or(&column.name, |(_, there)| there)
    }

    fn remote_column<'r>(&self, remote: &'r RemoteTable, column: &Column) -> Result<&'r RemoteColumn, ColdError> {
        let name = self.remote_name(column);
        remote
            .column(name)
            .ok_or_else(|| ColdError::permanent(format!("the BigQuery table {} has no column \"{name}\"", self.table)))
    }

    /// The rows as stored columns, where every column is there and needs no conversion.
    fn stored(&self, remote: &RemoteTable) -> Option<StoredRows> {
        let columns = self.shape.columns().iter().map(|column| {
            let there = remote.column(self.remote_name(column))?;
            (there.column_kind() == Some(column.kind)).then(|| (there.name.clone(), column.kind))
        });
        let columns = columns.collect::<Option<Vec<_>>>()?;
        self.keys.is_none().then(|| StoredRows {
            table: self.table.clone(),
            columns,
            time: self.shape.time_index(),
            first: self.from,
            last: self.to.saturating_sub(1),
        })
    }

    fn select(&self, remote: &RemoteTable) -> Result<Vec<Selected>, ColdError> {
        let columns = self.shape.columns().iter();
        columns
            .map(|column| {
                let there = match remote.column(self.remote_name(column)) {
                    Some(there) => there,
                    None if !column.not_null => {
                        return Ok(Selected { expression: null_of(column.kind), kind: column.kind });
                    }
                    None => self.remote_column(remote, column)?,
                };
                let expression = convert(there, column.kind).ok_or_else(|| {
                    ColdError::permanent(format!(
                        "column \"{}\" of the BigQuery table {} is {}, which cannot become {}",
                        there.name,
                        self.table,
                        there.kind,
                        column.kind.sql_type()
                    ))
                })?;
                Ok(Selected { expression, kind: column.kind })
            })
            .collect()
    }
}

/// What to select so that the column reads as `kind`; `None` if that would lose something.
fn convert(column: &RemoteColumn, kind: ColumnKind) -> Option<String> {
    let name = &column.name;
    if column.mode.as_deref() == Some("REPEATED") {
        return (kind == ColumnKind::Text).then(|| format!("TO_JSON_STRING(`{name}`)"));
    }
    let there = column.kind.to_ascii_uppercase();
    let same = ColumnKind::of_bigquery_type(&there) == Some(kind);
    Some(match (kind, there.as_str()) {
        (ColumnKind::Timestamp, "TIMESTAMP") => format!("UNIX_MICROS(`{name}`)"),
        (ColumnKind::Timestamp, "DATETIME") => format!("UNIX_MICROS(TIMESTAMP(`{name}`, 'UTC'))"),
        _ if same => format!("`{name}`"),
        (ColumnKind::Float64, "INTEGER" | "INT64" | "NUMERIC" | "BIGNUMERIC") => {
            format!("CAST(`{name}` AS FLOAT64)")
        }
        (ColumnKind::Numeric, "INTEGER" | "INT64") => format!("CAST(`{name}` AS NUMERIC)"),
        (ColumnKind::Text, "JSON" | "RECORD" | "STRUCT") => format!("TO_JSON_STRING(`{name}`)"),
        (ColumnKind::Text, "BYTES" | "GEOGRAPHY") => return None,
        (ColumnKind::Text, _) => format!("CAST(`{name}` AS STRING)"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(kind: &str) -> RemoteColumn {
        RemoteColumn { name: "c".into(), kind: kind.into(), mode: None }
    }

    #[test]
    fn only_conversions_that_lose_nothing_are_made() {
        let read = |kind, to| convert(&remote(kind), to);
        assert_eq!(read("FLOAT", ColumnKind::Float64).as_deref(), Some("`c`"));
        assert_eq!(read("INTEGER", ColumnKind::Float64).as_deref(), Some("CAST(`c` AS FLOAT64)"));
        assert_eq!(read("FLOAT", ColumnKind::Int64), None);
        assert_eq!(read("DATETIME", ColumnKind::Timestamp).as_deref(), Some("UNIX_MICROS(TIMESTAMP(`c`, 'UTC'))"));
        assert_eq!(read("DATE", ColumnKind::Timestamp), None);
        assert_eq!(read("JSON", ColumnKind::Text).as_deref(), Some("TO_JSON_STRING(`c`)"));
        assert_eq!(read("BYTES", ColumnKind::Text), None);
        assert_eq!(read("BIGNUMERIC", ColumnKind::Numeric), None);
    }
}
