//! Rows from BigQuery into a source's table: `strata.import` and `strata.restore`.

use crate::as_user::AsUser;
use crate::dirty_log::Quiet;
use crate::failure::{Failure, OrRaise, Result};
use crate::interrupts::BackendWait;
use crate::manifest;
use crate::pg_time;
use crate::quote;
use crate::shape::TableColumns;
use crate::source::Source;
use crate::{stored_day, tiers};
use bridge::cold::TableRef;
use bridge::import::{ImportRequest, import_rows};
use bridge::table::{Cell, Row};
use pgrx::datum::{Date, DatumWithOid, Interval, TimestampWithTimeZone};
use pgrx::prelude::*;
use pgrx::{JsonB, PgRelation, PgSqlErrorCode, default};
use series::time::{Day, Micros};

/// Copies rows of a BigQuery table into a source's table; a row that is there already is overwritten.
#[pg_extern(volatile, parallel_unsafe, requires = ["catalog"])]
#[search_path(pg_catalog, pg_temp)]
fn import(
    relation: PgRelation,
    from: TimestampWithTimeZone,
    to: TimestampWithTimeZone,
    source_table: default!(Option<&str>, "NULL"),
    columns: default!(Option<JsonB>, "NULL"),
    keys: default!(Option<Vec<String>>, "NULL"),
) -> i64 {
    let source = Source::of_relation(relation.oid()).or_raise();
    let import = || -> Result<i64> {
        require_role("strata_cold_reader")?;
        let client = tiers::cold()?;
        let table = match source_table {
            Some(name) => {
                require_role("strata_operator")?;
                client.table(name)?
            }
            None => tiers::archive_table(&client, &source)?,
        };
        let renamed = renamed_columns(columns)?;
        let range = (pg_time::from_bound(from), pg_time::to_bound(to));
        let target = Target::of(&source, TableColumns::of(&source)?);
        copy(&client, &table, &target, &renamed, range, keys.as_deref())
    };
    import().or_raise()
}

/// Brings days that are in the archive only back into the table, and keeps them there for a while.
#[pg_extern(volatile, parallel_unsafe, requires = ["catalog"])]
#[search_path(pg_catalog, pg_temp)]
fn restore(
    relation: PgRelation,
    from: TimestampWithTimeZone,
    to: TimestampWithTimeZone,
    keep: default!(Interval, "'7 days'"),
) -> i64 {
    let source = Source::of_relation(relation.oid()).or_raise();
    let restore = || -> Result<i64> {
        require_role("strata_cold_reader")?;
        let client = tiers::cold()?;
        let table = tiers::archive_table(&client, &source)?;
        let columns = TableColumns::of(&source)?;
        let target = Target::of(&source, columns.clone());
        let mut rows = 0;
        for day in dropped_days(&source, pg_time::from_bound(from), pg_time::to_bound(to))? {
            rows += restore_day(&source, &columns, &client, &table, &target, day, keep)?;
        }
        Ok(rows)
    };
    restore().or_raise()
}

fn restore_day(
    source: &Source,
    columns: &TableColumns,
    client: &bridge::cold::ColdClient,
    table: &TableRef,
    target: &Target,
    day: Day,
    keep: Interval,
) -> Result<i64> {
    // nothing is new to rollups, detection or archive: the rows only change their place
    let quiet = Quiet::begin();
    let rows = copy_missing(client, table, target, day)?;
    drop(quiet);
    let proved = manifest::of_days(source.id, std::iter::once(day))?;
    let here = stored_day::content_in_table(source, columns, day)?;
    if proved.get(&day).is_some_and(|entry| entry.content != here) {
        crate::dirty_log::note(source.id, [day]);
    }
    let _user = AsUser::catalog_owner();
    Spi::run_with_args(
        "UPDATE strata.manifest SET state = 'archived', dropped_at = NULL, keep_until = now() + $3
         WHERE source_id = $1 AND day = $2",
        &[source.id.into(), pg_time::date(day).into(), keep.into()],
    )?;
    Ok(rows)
}

fn dropped_days(source: &Source, from: Micros, to: Micros) -> Result<Vec<Day>> {
    if from >= to {
        return Ok(Vec::new());
    }
    Spi::connect(|client| {
        let rows = client.select(
            "SELECT day FROM strata.manifest WHERE source_id = $1 AND state = 'dropped' AND day BETWEEN $2 AND $3 ORDER BY day",
            None,
            &[source.id.into(), pg_time::date(Day::of(from)).into(), pg_time::date(Day::of(to - 1)).into()],
        )?;
        let mut days = Vec::new();
        for row in rows {
            days.extend(row.get::<Date>(1)?.map(pg_time::day));
        }
        Ok(days)
    })
}

/// How rows are written to a table.
struct Target {
    columns: TableColumns,
    overwrite: String,
    keep: String,
}

impl Target {
    fn of(source: &Source, columns: TableColumns) -> Self {
        let writable: Vec<usize> = (0..columns.types.len()).filter(|i| !columns.generated[*i]).collect();
        let name = |i: &usize| quote::ident(&columns.shape.columns()[*i].name);
        let names: Vec<String> = writable.iter().map(name).collect();
        let values: Vec<String> = writable.iter().map(|i| format!("c{i}::{}", columns.types[*i])).collect();
        let arrays: Vec<String> = (1..=columns.types.len()).map(|i| format!("${i}::text[]")).collect();
        let aliases: Vec<String> = (0..columns.types.len()).map(|i| format!("c{i}")).collect();
        let insert = format!(
            "INSERT INTO {} AS t ({}) SELECT {} FROM unnest({}) AS u({}) ON CONFLICT ({}, {}) DO",
            source.table,
            names.join(", "),
            values.join(", "),
            arrays.join(", "),
            aliases.join(", "),
            source.key(),
            source.time()
        );
        let changed: Vec<&String> =
            names.iter().filter(|name| **name != source.key() && **name != source.time()).collect();
        let set: Vec<String> = changed.iter().map(|name| format!("{name} = excluded.{name}")).collect();
        let new: Vec<String> = changed.iter().map(|name| format!("excluded.{name}")).collect();
        let old: Vec<String> = changed.iter().map(|name| format!("t.{name}")).collect();
        Self {
            overwrite: format!(
                "{insert} UPDATE SET {} WHERE ROW({}) IS DISTINCT FROM ROW({})",
                set.join(", "),
                new.join(", "),
                old.join(", ")
            ),
            keep: format!("{insert} NOTHING"),
            columns,
        }
    }
}

fn copy(
    client: &bridge::cold::ColdClient,
    table: &TableRef,
    target: &Target,
    renamed: &[(String, String)],
    (from, to): (Micros, Micros),
    keys: Option<&[String]>,
) -> Result<i64> {
    let shape = &target.columns.shape;
    let request = ImportRequest { table, shape, renamed, from, to, keys };
    let summary = import_rows(&BackendWait, client, &request, |rows| write(&target.overwrite, target, rows))?;
    Ok(summary.rows as i64)
}

/// A row that came late and is in the table already is newer than the archive's.
fn copy_missing(client: &bridge::cold::ColdClient, table: &TableRef, target: &Target, day: Day) -> Result<i64> {
    let shape = &target.columns.shape;
    let request = ImportRequest { table, shape, renamed: &[], from: day.start(), to: day.end(), keys: None };
    let summary = import_rows(&BackendWait, client, &request, |rows| write(&target.keep, target, rows))?;
    Ok(summary.rows as i64)
}

fn write(statement: &str, target: &Target, rows: Vec<Row>) -> Result<()> {
    let count = target.columns.types.len();
    let mut arrays: Vec<Vec<Option<String>>> = vec![Vec::with_capacity(rows.len()); count];
    for row in rows {
        for (array, cell) in arrays.iter_mut().zip(row) {
            array.push(text(cell));
        }
    }
    let arguments: Vec<DatumWithOid> = arrays.into_iter().map(DatumWithOid::from).collect();
    Spi::run_with_args(statement, &arguments)?;
    Ok(())
}

/// A cell in PostgreSQL's text form.
fn text(cell: Cell) -> Option<String> {
    Some(match cell {
        Cell::Null => return None,
        Cell::Bool(value) => value.to_string(),
        Cell::Int(value) => value.to_string(),
        Cell::Float(value) => value.to_string(),
        Cell::Numeric(text) | Cell::Text(text) => text,
        Cell::Bytes(bytes) => bytes.iter().fold("\\x".to_owned(), |text, byte| text + &format!("{byte:02x}")),
        Cell::Timestamp(time) => pg_time::iso(time),
        Cell::Date(day) => Day(day).to_string(),
    })
}

fn renamed_columns(columns: Option<JsonB>) -> Result<Vec<(String, String)>> {
    let Some(JsonB(columns)) = columns else { return Ok(Vec::new()) };
    let wrong = || {
        Failure::new(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            "columns must map names of the table to names in BigQuery",
        )
        .hint("For example: '{\"node_id\": \"sensor\"}'.")
    };
    let object = columns.as_object().ok_or_else(wrong)?;
    object.iter().map(|(here, there)| Ok((here.clone(), there.as_str().ok_or_else(wrong)?.to_owned()))).collect()
}

/// Reading BigQuery costs money; reading a table there that is no source's archive also uses the server's credentials.
fn require_role(role: &str) -> Result<()> {
    let member = Spi::connect(|client| -> Result<Option<bool>> {
        let row = client.select("SELECT pg_has_role($1::name, 'USAGE')", Some(1), &[role.into()])?.first();
        Ok(row.get::<bool>(1)?)
    })?;
    if member == Some(true) {
        return Ok(());
    }
    Err(Failure::new(PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE, "permission denied for the cold tier")
        .detail("A query on BigQuery costs money, and is made with the credentials of the server.")
        .hint(format!("GRANT {role} TO the user.")))
}

/// Puts this database in the place of the one it is a copy of: its jobs flush the source and write its archive.
#[pg_extern(volatile, parallel_unsafe, requires = ["catalog"])]
#[search_path(pg_catalog, pg_temp)]
fn take_over_archive(relation: PgRelation) {
    let source = Source::of_relation(relation.oid()).or_raise();
    let take_over = || -> Result<()> {
        let owner = manifest::owner();
        if source.cold.is_some() {
            let client = tiers::cold()?;
            let table = tiers::archive_table(&client, &source)?;
            let shape = TableColumns::of(&source)?.shape;
            bridge::archive::ArchiveTable::open(&BackendWait, &client, table, shape, &source.name, &owner, true)?;
        }
        let _user = AsUser::catalog_owner();
        manifest::become_owner(source.id, &owner)
    };
    take_over().or_raise();
}
