//! What a table must have to be attached; each refusal names the statement that helps.

use crate::failure::{Failure, Result};
use crate::quote;
use crate::source::{self, Source};
use pgrx::prelude::*;
use pgrx::{PgSqlErrorCode, pg_sys};

const KEY_TYPES: &[&str] = &["text", "varchar", "bpchar", "name", "int2", "int4", "int8", "uuid"];
const MEASURE_TYPES: &[&str] = &["float8", "float4", "int2", "int4", "int8", "numeric"];

pub struct Column {
    pub name: String,
    pub kind: String,
    not_null: bool,
    /// Neither NOT NULL nor computed: a sample may come without it, and the flush may write it.
    pub may_be_missing: bool,
}

impl Column {
    pub fn is_numeric(&self) -> bool {
        MEASURE_TYPES.contains(&self.kind.as_str())
    }
}

pub fn check_measures(wanted: &[String], columns: &[Column], time: &str, key: &str, table: &str) -> Result<()> {
    if wanted.is_empty() {
        return Err(Failure::new(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, "the list of measures is empty")
            .hint("Leave it out to take all numeric columns."));
    }
    for (i, name) in wanted.iter().enumerate() {
        let column = columns.iter().find(|column| column.name == *name).ok_or_else(|| no_column(name, table))?;
        if !column.is_numeric() {
            return Err(Failure::new(
                PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
                format!("column \"{name}\" of table {table} cannot be a measure: it is of type {}", column.kind),
            )
            .hint("Measures are double precision, real, smallint, integer, bigint or numeric columns."));
        }
        if name == time || name == key || wanted[..i].contains(name) {
            return Err(Failure::new(
                PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                format!("column \"{name}\" is named twice"),
            )
            .detail("A column is the time, the key, or one measure."));
        }
    }
    Ok(())
}

pub fn check_relation(relation: pg_sys::Oid) -> Result<()> {
    let (kind, persistence) = Spi::get_two_with_args::<String, String>(
        "SELECT relkind::text, relpersistence::text FROM pg_class WHERE oid = $1",
        &[relation.into()],
    )?;
    let name = source::relation_name(relation);
    match (kind.as_deref(), persistence.as_deref()) {
        (Some("r" | "p"), Some("p")) => {}
        (Some("r" | "p"), Some("u")) => {
            return Err(Failure::new(
                PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
                format!("{name} is an unlogged table"),
            )
            .detail("A crash empties it, after Redis has forgotten what was flushed.")
            .hint(format!("ALTER TABLE {name} SET LOGGED;")));
        }
        (Some("r" | "p"), _) => {
            return Err(Failure::new(
                PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
                format!("{name} is a temporary table"),
            )
            .detail("Background workers cannot see it."));
        }
        _ => {
            return Err(Failure::new(PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE, format!("{name} is not a table"))
                .hint("Attach a table, a partitioned table or a hypertable."));
        }
    }
    let inner = Spi::get_one_with_args::<bool>(
        "SELECT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = $1) OR n.nspname IN ('strata', 'pg_catalog', 'information_schema')
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1",
        &[relation.into()],
    )?;
    if inner == Some(true) {
        return Err(Failure::new(
            PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
            format!("{name} is a part of another table or of the system"),
        )
        .hint("Attach the table that holds it."));
    }
    Ok(())
}

pub fn check_owner(relation: pg_sys::Oid) -> Result<()> {
    let owner = Spi::get_one_with_args::<bool>(
        "SELECT pg_has_role(current_user, relowner, 'USAGE') FROM pg_class WHERE oid = $1",
        &[relation.into()],
    )?;
    if owner == Some(true) {
        return Ok(());
    }
    Err(Failure::new(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        format!("must be owner of table {}", source::relation_name(relation)),
    ))
}

pub fn columns(relation: pg_sys::Oid) -> Result<Vec<Column>> {
    // `update`, because the snapshot of a `select` may be older than the lock on the table
    Spi::connect_mut(|client| {
        let rows = client.update(
            "SELECT a.attname::text,
                 CASE t.typnamespace WHEN 'pg_catalog'::regnamespace THEN t.typname::text ELSE t.oid::regtype::text END, a.attnotnull,
                 NOT a.attnotnull AND a.attgenerated = '' AND a.attidentity = '' FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
             WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
            None,
            &[relation.into()],
        )?;
        let mut columns = Vec::new();
        for row in rows {
            if let (Some(name), Some(kind), Some(not_null), Some(may_be_missing)) =
                (row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)
            {
                columns.push(Column { name, kind, not_null, may_be_missing });
            }
        }
        Ok(columns)
    })
}

/// Keeps the columns of an attached table as they are until the end of the transaction. Jobs read it with rights that its
/// owner does not have, and a cast from a type of the owner's would run the owner's function with them.
///
/// # Errors
/// `42804` and `42703` where the table could not be attached any more.
pub fn check_columns_of(source: &Source) -> Result<()> {
    // SAFETY: locks by number; a table that is gone has no columns, which is found below.
    unsafe { pg_sys::LockRelationOid(source.relation, pg_sys::AccessShareLock as pg_sys::LOCKMODE) };
    let columns = columns(source.relation)?;
    check_time_column(&columns, &source.time_column, &source.table)?;
    check_key_column(&columns, &source.key_column, &source.table)?;
    check_measures(&source.measures, &columns, &source.time_column, &source.key_column, &source.table)
}

fn no_column(name: &str, table: &str) -> Failure {
    Failure::new(PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN, format!("table {table} has no column \"{name}\""))
}

pub fn check_time_column(columns: &[Column], name: &str, table: &str) -> Result<()> {
    let column = columns.iter().find(|column| column.name == name).ok_or_else(|| no_column(name, table))?;
    if column.kind != "timestamptz" {
        let quoted = quote::ident(name);
        return Err(Failure::new(
            PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
            format!("time column \"{name}\" of table {table} is of type {}, not timestamptz", column.kind),
        )
        .hint(format!(
            "Change it: ALTER TABLE {table} ALTER COLUMN {quoted} TYPE timestamptz USING {quoted} AT TIME ZONE 'UTC';"
        )));
    }
    check_not_null(column, table)
}

pub fn check_key_column(columns: &[Column], name: &str, table: &str) -> Result<()> {
    let column = columns.iter().find(|column| column.name == name).ok_or_else(|| no_column(name, table))?;
    if !KEY_TYPES.contains(&column.kind.as_str()) {
        return Err(Failure::new(
            PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
            format!("key column \"{name}\" of table {table} cannot be a key: it is of type {}", column.kind),
        )
        .hint("A key is a text, varchar, char, name, smallint, integer, bigint or uuid column."));
    }
    check_not_null(column, table)
}

fn check_not_null(column: &Column, table: &str) -> Result<()> {
    if column.not_null {
        return Ok(());
    }
    Err(Failure::new(
        PgSqlErrorCode::ERRCODE_INVALID_TABLE_DEFINITION,
        format!("column \"{}\" of table {table} allows NULL", column.name),
    )
    .detail("Key and time tell one reading from another.")
    .hint(format!("Forbid it: ALTER TABLE {table} ALTER COLUMN {} SET NOT NULL;", quote::ident(&column.name))))
}

/// The flush upserts on key and time, so a complete, immediate unique index on exactly these must exist.
pub fn check_unique_index(relation: pg_sys::Oid, time: &str, key: &str, table: &str) -> Result<()> {
    let found = Spi::get_one_with_args::<bool>(
        "SELECT EXISTS (
             SELECT FROM pg_index i
             WHERE i.indrelid = $1 AND i.indisunique AND i.indimmediate AND i.indisvalid
               AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indnkeyatts = 2
               AND (SELECT array_agg(a.attname::text ORDER BY a.attname) FROM pg_attribute a
                    WHERE a.attrelid = $1 AND a.attnum = ANY ((i.indkey::int2[])[0:1]))
                 = (SELECT array_agg(n ORDER BY n) FROM unnest(ARRAY[$2, $3]::name[]::text[]) n))",
        &[relation.into(), time.into(), key.into()],
    )?;
    if found == Some(true) {
        return Ok(());
    }
    Err(Failure::new(
        PgSqlErrorCode::ERRCODE_INVALID_TABLE_DEFINITION,
        format!("table {table} has no unique index on \"{key}\" and \"{time}\""),
    )
    .detail("Without it a repeated flush would store a reading twice.")
    .hint(format!("Add it: CREATE UNIQUE INDEX ON {table} ({}, {});", quote::ident(key), quote::ident(time))))
}

pub fn check_cold(relation: pg_sys::Oid, cold: Option<&str>) -> Result<()> {
    let Some(cold) = cold else { return Ok(()) };
    let taken = Spi::get_one_with_args::<String>(
        "SELECT min(relation::text) FROM strata.sources WHERE cold = $1 AND relation <> $2::oid",
        &[cold.into(), relation.into()],
    )?;
    if let Some(other) = taken {
        return Err(Failure::new(
            PgSqlErrorCode::ERRCODE_DUPLICATE_OBJECT,
            format!("the BigQuery table {cold} is the archive of table {other}"),
        )
        .detail("Archiving a day of one would remove the other's rows.")
        .hint("Give each source a BigQuery table of its own."));
    }
    let word = |text: &str| {
        !text.is_empty() && text.len() <= 1024 && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    match cold.split_once('.') {
        Some((dataset, table)) if word(dataset) && word(table) => Ok(()),
        _ => Err(Failure::new(PgSqlErrorCode::ERRCODE_INVALID_NAME, format!("\"{cold}\" does not name a BigQuery table"))
            .hint("Write dataset.table, in letters, digits and underscores; the project is the setting strata.bigquery_project.")),
    }
}

pub fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.chars().any(|c| matches!(c, ':' | '{' | '}') || c.is_whitespace() || c.is_control()) {
        return Err(Failure::new(
            PgSqlErrorCode::ERRCODE_INVALID_NAME,
            format!("\"{name}\" cannot be the name of a source"),
        )
        .detail("It is the part of a Redis key before the colon: no colon, brace or white space.")
        .hint("Give it another: name => 'readings'."));
    }
    Ok(())
}

pub fn relation_base_name(relation: pg_sys::Oid) -> Result<String> {
    let name =
        Spi::get_one_with_args::<String>("SELECT relname::text FROM pg_class WHERE oid = $1", &[relation.into()])?;
    Ok(name.unwrap_or_default())
}
