//! Which days of a table changed when.

use std::str::FromStr;

use series::time::{Day, Micros};

use super::client::{ColdClient, TableRef};
use super::error::ColdError;
use super::query::{Parameter, Query, QueryStream};
use super::value::cell;
use crate::table::{Cell, ColumnKind};
use crate::wait::Wait;

/// A partition as `INFORMATION_SCHEMA.PARTITIONS` describes it
/// (<https://cloud.google.com/bigquery/docs/information-schema-partitions>).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// `None` for what has no day: rows without a time, a table without daily partitions.
    pub day: Option<Day>,
    pub rows: u64,
    /// When it was last changed.
    pub modified: Micros,
}

/// The partitions of a table that changed after `since`, in order of their days.
///
/// # Errors
/// Those of the query.
pub fn partitions(
    wait: &impl Wait,
    client: &ColdClient,
    table: &TableRef,
    since: Micros,
) -> Result<Vec<Partition>, ColdError> {
    let query = Query {
        sql: format!(
            "SELECT partition_id, total_rows, UNIX_MICROS(last_modified_time) AS modified \
             FROM `{}.{}`.INFORMATION_SCHEMA.PARTITIONS \
             WHERE table_name = @table AND last_modified_time > @since ORDER BY partition_id",
            table.project, table.dataset
        ),
        parameters: vec![("table", Parameter::Text(table.table.clone())), ("since", Parameter::Timestamp(since))],
        purpose: "partitions",
        use_cache: false,
    };
    let stream = QueryStream::new(client, &query, 10_000);
    let mut found = Vec::new();
    while let Some(page) = wait.wait_cancel("asking BigQuery for partitions", stream.next_page(), stream.cancel())? {
        for row in page {
            let mut cells = row.into_iter();
            let id = cells.next().flatten().unwrap_or_default();
            let rows = integer(cells.next().flatten())?;
            let modified = integer(cells.next().flatten())?;
            found.push(Partition { day: day_of(&id), rows: rows.unsigned_abs(), modified });
        }
    }
    Ok(found)
}

fn integer(raw: Option<String>) -> Result<i64, ColdError> {
    match cell(ColumnKind::Int64, raw)? {
        Cell::Int(number) => Ok(number),
        _ => Ok(0),
    }
}

/// A daily partition is named `20260131`; others are `__NULL__`, `__UNPARTITIONED__`, or of another granularity.
fn day_of(id: &str) -> Option<Day> {
    if id.len() != 8 || !id.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Day::from_str(&format!("{}-{}-{}", &id[..4], &id[4..6], &id[6..])).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_daily_partitions_have_a_day() {
        assert_eq!(day_of("19700102"), Some(Day(1)));
        for id in ["__NULL__", "1970010203", "197001", "", "19701301"] {
            assert_eq!(day_of(id), None, "{id}");
        }
    }
}
