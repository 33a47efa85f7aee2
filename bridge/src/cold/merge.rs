//! From the staging table into the archive: one MERGE, bounded to the day's partition.

use series::time::Day;

use super::client::TableRef;
use super::value::timestamp_text;
use crate::table::TableShape;

/// What happens to rows of the day that the new content does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MergeMode {
    /// They are removed: the new content is the whole day.
    Replace,
    /// They stay: the new content is rows that came late for a day which is no longer in PostgreSQL.
    Upsert,
}

impl MergeMode {
    pub(crate) fn word(self) -> &'static str {
        match self {
            MergeMode::Replace => "replace",
            MergeMode::Upsert => "upsert",
        }
    }
}

/// The statement. Its bounds are constants on both sides of the join, so that BigQuery reads one partition only.
pub(crate) fn merge_sql(
    target: &TableRef,
    staging: &TableRef,
    shape: &TableShape,
    day: Day,
    mode: MergeMode,
) -> String {
    let time = &shape.time().name;
    let key = &shape.key().name;
    let within = within_day("t", time, day);
    let names: Vec<String> = shape.columns().iter().map(|c| format!("`{}`", c.name)).collect();
    let values: Vec<String> = names.iter().map(|name| format!("s.{name}")).collect();
    let assignments: Vec<String> = shape
        .columns()
        .iter()
        .filter(|column| column.name != *time && column.name != *key)
        .map(|column| format!("`{0}` = s.`{0}`", column.name))
        .collect();
    let mut sql = format!(
        "MERGE INTO {} AS t USING {} AS s ON {within} AND t.`{key}` = s.`{key}` AND t.`{time}` = s.`{time}`",
        target.sql(),
        staging.sql(),
    );
    if !assignments.is_empty() {
        sql.push_str(&format!(" WHEN MATCHED THEN UPDATE SET {}", assignments.join(", ")));
    }
    sql.push_str(&format!(" WHEN NOT MATCHED THEN INSERT ({}) VALUES ({})", names.join(", "), values.join(", ")));
    if mode == MergeMode::Replace {
        sql.push_str(&format!(" WHEN NOT MATCHED BY SOURCE AND {within} THEN DELETE"));
    }
    sql
}

/// The statement for a day that has no rows left.
pub(crate) fn empty_day_sql(target: &TableRef, shape: &TableShape, day: Day) -> String {
    format!("DELETE FROM {} AS t WHERE {}", target.sql(), within_day("t", &shape.time().name, day))
}

fn within_day(alias: &str, time: &str, day: Day) -> String {
    format!(
        "{alias}.`{time}` >= TIMESTAMP '{}' AND {alias}.`{time}` <= TIMESTAMP '{}'",
        timestamp_text(day.start()),
        timestamp_text(day.end() - 1)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Column, ColumnKind};

    fn shape() -> TableShape {
        let columns = vec![
            Column::new("time", ColumnKind::Timestamp, true),
            Column::new("node", ColumnKind::Text, true),
            Column::new("flow", ColumnKind::Float64, false),
        ];
        TableShape::new(columns, 0, 1).unwrap()
    }

    #[test]
    fn only_replace_removes_and_only_within_the_day() {
        let table = |name| TableRef::new("p", "d", name).unwrap();
        let sql = |mode| merge_sql(&table("a"), &table("s"), &shape(), Day(0), mode);
        let within = "t.`time` >= TIMESTAMP '1970-01-01 00:00:00.000000+00:00' \
                      AND t.`time` <= TIMESTAMP '1970-01-01 23:59:59.999999+00:00'";
        let upsert = format!(
            "MERGE INTO `p.d.a` AS t USING `p.d.s` AS s ON {within} AND t.`node` = s.`node` AND t.`time` = s.`time` \
             WHEN MATCHED THEN UPDATE SET `flow` = s.`flow` \
             WHEN NOT MATCHED THEN INSERT (`time`, `node`, `flow`) VALUES (s.`time`, s.`node`, s.`flow`)"
        );
        assert_eq!(sql(MergeMode::Upsert), upsert);
        assert_eq!(sql(MergeMode::Replace), format!("{upsert} WHEN NOT MATCHED BY SOURCE AND {within} THEN DELETE"));
    }
}
