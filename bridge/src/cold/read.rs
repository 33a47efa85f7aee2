//! Rows of a time range, page by page.

use series::time::Micros;

use super::client::{ColdClient, TableRef};
use super::error::{ColdError, ErrorKind};
use super::query::{Parameter, Query};
use super::row_stream::{ReadSummary, RowSource, drain, open_rows};
use super::storage_read::StoredRows;
use super::value::select_expression;
use crate::table::{ColumnKind, Row, TableShape};
use crate::wait::Wait;

/// Which rows of an archive table are wanted.
#[derive(Debug, Clone, Copy)]
pub struct ReadRequest<'a> {
    pub table: &'a TableRef,
    pub shape: &'a TableShape,
    /// Half-open: `[from, to)`. The ends of the `Micros` range stand for no bound.
    pub from: Micros,
    pub to: Micros,
    /// Only these keys, in text form; all if absent.
    pub keys: Option<&'a [String]>,
    /// Value of the job's label: what the rows are for.
    pub purpose: &'static str,
    /// Whether an earlier result of the same statement will do, which is not billed.
    pub use_cache: bool,
}

/// A column of a statement's result.
#[derive(Debug, Clone)]
pub(crate) struct Selected {
    pub expression: String,
    pub kind: ColumnKind,
}

/// Where the rows come from in terms of the remote table's own names.
pub(crate) struct ReadSource<'a> {
    pub table: &'a TableRef,
    pub time: &'a str,
    /// How to compare the time column with a TIMESTAMP.
    pub time_is_datetime: bool,
    pub key: &'a str,
    pub key_kind: ColumnKind,
}

impl ReadRequest<'_> {
    /// Where the rows can be had; columns named in `missing` are NULL.
    pub(crate) fn source(&self, missing: &[String]) -> RowSource {
        let columns = self.shape.columns().iter();
        let stored = missing.is_empty() && self.keys.is_none();
        RowSource {
            stored: stored.then(|| StoredRows {
                table: self.table.clone(),
                columns: columns.map(|column| (column.name.clone(), column.kind)).collect(),
                time: self.shape.time_index(),
                first: self.from,
                last: self.to.saturating_sub(1),
            }),
            query: self.query(missing),
            kinds: self.kinds(),
        }
    }

    fn kinds(&self) -> Vec<ColumnKind> {
        self.shape.columns().iter().map(|column| column.kind).collect()
    }

    /// The statement; columns named in `missing` are NULL.
    fn query(&self, missing: &[String]) -> Query {
        let selected: Vec<Selected> = self
            .shape
            .columns()
            .iter()
            .map(|column| Selected {
                kind: column.kind,
                expression: if missing.contains(&column.name) {
                    null_of(column.kind)
                } else {
                    select_expression(column)
                },
            })
            .collect();
        let source = ReadSource {
            table: self.table,
            time: &self.shape.time().name,
            time_is_datetime: false,
            key: &self.shape.key().name,
            key_kind: self.shape.key().kind,
        };
        let mut query = rows_query(&source, &selected, self.from, self.to, self.keys, self.purpose);
        query.use_cache = self.use_cache;
        query
    }
}

/// A NULL that reads as that kind.
pub(crate) fn null_of(kind: ColumnKind) -> String {
    match kind {
        ColumnKind::Timestamp => "CAST(NULL AS INT64)".to_owned(),
        other => format!("CAST(NULL AS {})", other.sql_type()),
    }
}

/// The statement that selects rows of `[from, to)` and of the given keys. The bounds are parameters, which BigQuery
/// takes for constants when it chooses partitions.
pub(crate) fn rows_query(
    source: &ReadSource<'_>,
    selected: &[Selected],
    from: Micros,
    to: Micros,
    keys: Option<&[String]>,
    purpose: &'static str,
) -> Query {
    // named after positions, because two expressions may not share a name
    let list: Vec<String> =
        selected.iter().enumerate().map(|(position, column)| format!("{} AS c{position}", column.expression)).collect();
    let (time, key) = (source.time, source.key);
    let bound = |parameter: &str| match source.time_is_datetime {
        true => format!("DATETIME({parameter}, 'UTC')"),
        false => parameter.to_owned(),
    };
    let mut sql = format!(
        "SELECT {} FROM {} AS t WHERE t.`{time}` >= {} AND t.`{time}` <= {}",
        list.join(", "),
        source.table.sql(),
        bound("@first"),
        bound("@last"),
    );
    let mut parameters =
        vec![("first", Parameter::Timestamp(from)), ("last", Parameter::Timestamp(to.saturating_sub(1)))];
    if let Some(keys) = keys {
        sql.push_str(&format!(" AND t.`{key}` IN UNNEST(@keys)"));
        let keys = match source.key_kind {
            // a text that is no integer is the key of no row
            ColumnKind::Int64 => Parameter::Ints(keys.iter().filter_map(|k| k.parse().ok()).collect()),
            _ => Parameter::Texts(keys.to_vec()),
        };
        parameters.push(("keys", keys));
    }
    Query { sql, parameters, purpose, use_cache: true }
}

/// Reads all rows of the request and hands them to `sink` page by page, so that memory holds one page at a time. A
/// column that the archive does not have yet reads as NULL.
///
/// # Errors
/// Those of the reading, and those of `sink`.
pub fn read_rows<W, E>(
    wait: &W,
    client: &ColdClient,
    request: &ReadRequest<'_>,
    mut sink: impl FnMut(Vec<Row>) -> Result<(), E>,
) -> Result<ReadSummary, E>
where
    W: Wait,
    E: From<ColdError>,
{
    if is_empty(request.from, request.to, request.keys) {
        return Ok(ReadSummary::default());
    }
    let opened = match open_rows(wait, client, &request.source(&[])) {
        Err(error) if error.kind == ErrorKind::Permanent => match missing_columns(wait, client, request)? {
            Some(missing) => open_rows(wait, client, &request.source(&missing)),
            None => Err(error),
        },
        opened => opened,
    };
    drain(wait, opened?, &mut sink)
}

pub(crate) fn is_empty(from: Micros, to: Micros, keys: Option<&[String]>) -> bool {
    from >= to || keys.is_some_and(<[String]>::is_empty)
}

/// Columns of the shape that the remote table lacks, if there are any.
fn missing_columns(
    wait: &impl Wait,
    client: &ColdClient,
    request: &ReadRequest<'_>,
) -> Result<Option<Vec<String>>, ColdError> {
    let Some(remote) = wait.wait("asking for a table", client.get_table(request.table))? else {
        return Ok(None);
    };
    let columns = request.shape.columns().iter();
    let missing: Vec<String> =
        columns.filter(|column| remote.column(&column.name).is_none()).map(|column| column.name.clone()).collect();
    let essential = [&request.shape.time().name, &request.shape.key().name];
    let readable = !missing.is_empty() && !essential.iter().any(|name| missing.contains(name));
    Ok(readable.then_some(missing))
}

/// Bytes that reading the request would be billed for, estimated by the service.
///
/// # Errors
/// Those of the request.
pub async fn estimate_rows(client: &ColdClient, request: &ReadRequest<'_>) -> Result<u64, ColdError> {
    client.dry_run(&request.query(&[])).await
}

impl ReadRequest<'_> {
    /// The statement as it is sent, for people to read.
    pub fn sql(&self) -> String {
        self.query(&[]).sql
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Column;

    #[test]
    fn a_read_is_bounded_in_time_and_names_its_columns() {
        let columns = vec![
            Column::new("time", ColumnKind::Timestamp, true),
            Column::new("node", ColumnKind::Int64, true),
            Column::new("flow", ColumnKind::Float64, false),
        ];
        let shape = TableShape::new(columns, 0, 1).unwrap();
        let table = TableRef::new("p", "d", "t").unwrap();
        let keys = ["7".to_owned(), "x".to_owned()];
        let request = ReadRequest {
            table: &table,
            shape: &shape,
            from: 0,
            to: 10,
            keys: Some(&keys),
            purpose: "rows",
            use_cache: true,
        };
        let query = request.query(&["flow".to_owned()]);
        assert_eq!(
            query.sql,
            "SELECT UNIX_MICROS(`time`) AS c0, `node` AS c1, CAST(NULL AS FLOAT64) AS c2 FROM `p.d.t` AS t \
             WHERE t.`time` >= @first AND t.`time` <= @last AND t.`node` IN UNNEST(@keys)"
        );
        assert_eq!(query.parameters[1], ("last", Parameter::Timestamp(9)));
        assert_eq!(query.parameters[2], ("keys", Parameter::Ints(vec![7])));
    }
}
