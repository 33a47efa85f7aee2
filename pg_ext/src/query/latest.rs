//! `strata.latest`: the newest reading of each key, out of Redis and the table.

use super::access::Access;
use super::hot_rows::HotRows;
use super::rows::{Materialized, argument};
use super::scan::{Sink, check_no_later_flush, read_hot};
use crate::failure::{OrRaise, Result};
use crate::quote;
use crate::shape::TableColumns;
use crate::snapshot::Snapshot;
use crate::source::Source;
use pgrx::{pg_guard, pg_sys};
use std::collections::HashMap;

#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn strata_latest(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: the SQL declaration in functions.sql has these two arguments.
    unsafe {
        let result = Materialized::begin(fcinfo).or_raise();
        let keys = argument::<Vec<String>>(fcinfo, 1);
        latest(&result, keys).or_raise();
    }
    pg_sys::Datum::from(0)
}

fn latest(result: &Materialized, keys: Option<Vec<String>>) -> Result<()> {
    let source = result.source()?;
    let columns = TableColumns::of(&source)?;
    let names: Vec<String> = columns.shape.columns().iter().map(|column| column.name.clone()).collect();
    let access = Access::check(&source, &names)?;
    let hot = newest_per_key(read_hot(&source, access, None, keys.as_deref())?);
    let snapshot = Snapshot::take();
    if Snapshot::may_be_behind() {
        check_no_later_flush(&source, &hot, &snapshot)?;
    }
    let sql = statement(&source, &columns, &hot, keys.as_deref());
    result.sink(&columns).statement(&snapshot, &sql, &hot.arguments())?;
    Ok(())
}

fn newest_per_key(mut hot: HotRows) -> HotRows {
    let mut newest: HashMap<&str, usize> = HashMap::new();
    for (i, key) in hot.keys.iter().enumerate() {
        let best = newest.entry(key).or_insert(i);
        if hot.times[i] >= hot.times[*best] {
            *best = i;
        }
    }
    let mut kept: Vec<usize> = newest.into_values().collect();
    kept.sort_unstable();
    let measures = hot.measures.iter().map(|column| kept.iter().map(|i| column[*i]).collect()).collect();
    HotRows {
        flush_id: hot.flush_id,
        times: kept.iter().map(|i| hot.times[*i]).collect(),
        keys: kept.iter().map(|i| std::mem::take(&mut hot.keys[*i])).collect(),
        measures,
    }
}

/// Per key the newest row of the table, found by stepping through an index, against the newest sample of Redis.
fn statement(source: &Source, columns: &TableColumns, hot: &HotRows, keys: Option<&[String]>) -> String {
    let (table, key, time) = (&source.table, source.key(), source.time());
    let list: Vec<String> = columns
        .shape
        .columns()
        .iter()
        .enumerate()
        .map(|(i, column)| {
            let warm = format!("t.{}", quote::ident(&column.name));
            let newer = format!("(t.{time} IS NULL OR h.t > t.{time})");
            if column.name == source.time_column {
                format!("greatest({warm}, h.t)")
            } else if column.name == source.key_column {
                format!("coalesce({warm}, h.k::{})", source.key_type)
            } else if let Some(m) = source.measures.iter().position(|measure| *measure == column.name) {
                let value = format!("h.m{m}::{}", columns.types[i]);
                format!(
                    "CASE WHEN {newer} THEN {value} WHEN h.t = t.{time} THEN coalesce({value}, {warm}) ELSE {warm} END"
                )
            } else {
                format!("CASE WHEN {newer} THEN NULL ELSE {warm} END")
            }
        })
        .collect();
    let wanted = match keys {
        Some(keys) => {
            let list: Vec<String> = keys.iter().map(|key| quote::literal(key)).collect();
            format!("SELECT DISTINCT unnest(ARRAY[{}]::text[]::{}[]) AS k", list.join(", "), source.key_type)
        }
        None => format!(
            "SELECT k FROM (
                 WITH RECURSIVE step AS (
                     (SELECT {key} AS k FROM {table} ORDER BY {key} LIMIT 1)
                     UNION ALL
                     SELECT (SELECT t.{key} FROM {table} t WHERE t.{key} > step.k ORDER BY t.{key} LIMIT 1)
                     FROM step WHERE step.k IS NOT NULL
                 ) SELECT k FROM step WHERE k IS NOT NULL) all_keys"
        ),
    };
    format!(
        "SELECT {} FROM (
             SELECT t.* FROM ({wanted}) w CROSS JOIN LATERAL (
                 SELECT * FROM {table} t WHERE t.{key} = w.k AND t.{time} < 'infinity' ORDER BY t.{time} DESC LIMIT 1) t) t
         FULL JOIN (SELECT * FROM {}) h ON t.{key}::text = h.k",
        list.join(", "),
        hot.relation(),
    )
}

crate::v1_function!(pg_finfo_strata_latest);
