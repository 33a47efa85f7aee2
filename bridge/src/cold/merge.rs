//! From the staging table into the archive, bounded to the partitions of the days.
//!
//! Rows that a day no longer has are removed by a statement of their own, which runs only where there are such rows. As
//! a `WHEN NOT MATCHED BY SOURCE` of the MERGE it would be atomic with it, but the join then has to keep every row of
//! the archive to find the unmatched ones: whether partitions are left out is up to BigQuery's optimizer, and the
//! emulator reads the whole table row by row. Between the two statements the day is not yet proved, so nothing relies on
//! it.

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

/// Inserts and updates the rows of the staging table. The bounds are constants, so that BigQuery reads the partitions of
/// the days only.
pub(crate) fn merge_sql(target: &TableRef, staging: &TableRef, shape: &TableShape, days: (Day, Day)) -> String {
    let (time, key) = (&shape.time().name, &shape.key().name);
    let names: Vec<String> = shape.columns().iter().map(|c| format!("`{}`", c.name)).collect();
    let values: Vec<String> = names.iter().map(|name| format!("s.{name}")).collect();
    let assignments: Vec<String> = shape
        .columns()
        .iter()
        .filter(|column| column.name != *time && column.name != *key)
        .map(|column| format!("`{0}` = s.`{0}`", column.name))
        .collect();
    let mut sql = format!(
        "MERGE INTO {} AS t USING {} AS s ON {} AND t.`{key}` = s.`{key}` AND t.`{time}` = s.`{time}`",
        target.sql(),
        staging.sql(),
        within(time, days),
    );
    if !assignments.is_empty() {
        sql.push_str(&format!(" WHEN MATCHED THEN UPDATE SET {}", assignments.join(", ")));
    }
    sql.push_str(&format!(" WHEN NOT MATCHED THEN INSERT ({}) VALUES ({})", names.join(", "), values.join(", ")));
    sql
}

/// Removes what the staging table does not have; without a staging table, everything of the days.
pub(crate) fn remove_sql(
    target: &TableRef,
    staging: Option<&TableRef>,
    shape: &TableShape,
    days: (Day, Day),
) -> String {
    let (time, key) = (&shape.time().name, &shape.key().name);
    let mut sql = format!("DELETE FROM {} AS t WHERE {}", target.sql(), within(time, days));
    if let Some(staging) = staging {
        sql.push_str(&format!(
            " AND NOT EXISTS (SELECT 1 FROM {} AS s WHERE s.`{key}` = t.`{key}` AND s.`{time}` = t.`{time}`)",
            staging.sql()
        ));
    }
    sql
}

/// `days` are the first and the last.
fn within(time: &str, days: (Day, Day)) -> String {
    format!(
        "t.`{time}` >= TIMESTAMP '{}' AND t.`{time}` <= TIMESTAMP '{}'",
        timestamp_text(days.0.start()),
        timestamp_text(days.1.end() - 1)
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
    fn every_statement_is_bounded_to_the_days() {
        let table = |name| TableRef::new("p", "d", name).unwrap();
        let (target, staging) = (table("a"), table("s"));
        let days = (Day(0), Day(1));
        let within = "t.`time` >= TIMESTAMP '1970-01-01 00:00:00.000000+00:00' \
                      AND t.`time` <= TIMESTAMP '1970-01-02 23:59:59.999999+00:00'";
        assert_eq!(
            merge_sql(&target, &staging, &shape(), days),
            format!(
                "MERGE INTO `p.d.a` AS t USING `p.d.s` AS s ON {within} AND t.`node` = s.`node` AND t.`time` = s.`time` \
                 WHEN MATCHED THEN UPDATE SET `flow` = s.`flow` \
                 WHEN NOT MATCHED THEN INSERT (`time`, `node`, `flow`) VALUES (s.`time`, s.`node`, s.`flow`)"
            )
        );
        let everything = format!("DELETE FROM `p.d.a` AS t WHERE {within}");
        assert_eq!(remove_sql(&target, None, &shape(), days), everything);
        assert_eq!(
            remove_sql(&target, Some(&staging), &shape(), days),
            format!(
                "{everything} AND NOT EXISTS \
                 (SELECT 1 FROM `p.d.s` AS s WHERE s.`node` = t.`node` AND s.`time` = t.`time`)"
            )
        );
    }
}
