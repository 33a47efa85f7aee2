//! `strata.attach`, `strata.detach`, `strata.alter_source`.

use crate::as_user::AsUser;
use crate::failure::{Failure, OrRaise, Result};
use crate::quote;
use crate::interrupts::BackendWait;
use crate::shape::TableColumns;
use crate::source::{self, Source};
use crate::tiers;
use bridge::wait::Wait;
use pgrx::datum::Interval;
use pgrx::prelude::*;
use pgrx::{PgRelation, PgSqlErrorCode, default, pg_sys};

const KEY_TYPES: &[&str] = &["text", "varchar", "bpchar", "name", "int2", "int4", "int8", "uuid"];
const MEASURE_TYPES: &[&str] = &["float8", "float4", "int2", "int4", "int8", "numeric"];

struct Column {
    name: String,
    kind: String,
    not_null: bool,
}

impl Column {
    fn is_numeric(&self) -> bool {
        MEASURE_TYPES.contains(&self.kind.as_str())
    }
}

/// Puts a table under Strata.
#[pg_extern(volatile, parallel_unsafe, requires = ["catalog"])]
#[search_path(pg_catalog, pg_temp)]
#[allow(clippy::too_many_arguments)]
fn attach(
    relation: PgRelation,
    time_column: &str,
    key_column: &str,
    measures: default!(Option<Vec<String>>, "NULL"),
    hot: default!(Option<Interval>, "'24 hours'"),
    warm: default!(Option<Interval>, "'90 days'"),
    cold: default!(Option<&str>, "NULL"),
    name: default!(Option<&str>, "NULL"),
    drop_archived: default!(bool, "false"),
) -> i32 {
    let request = Request { relation: relation.oid(), time_column, key_column, measures, hot, warm, cold, name, drop_archived };
    request.attach().or_raise()
}

struct Request<'a> {
    relation: pg_sys::Oid,
    time_column: &'a str,
    key_column: &'a str,
    measures: Option<Vec<String>>,
    hot: Option<Interval>,
    warm: Option<Interval>,
    cold: Option<&'a str>,
    name: Option<&'a str>,
    drop_archived: bool,
}

impl Request<'_> {
    fn attach(self) -> Result<i32> {
        check_relation(self.relation)?;
        check_owner(self.relation)?;
        let table = source::qualified_name(self.relation)?;
        if Source::find(self.relation)?.is_some() {
            return Err(Failure::new(PgSqlErrorCode::ERRCODE_DUPLICATE_OBJECT, format!("table {table} is attached already"))
                .hint("strata.alter_source changes its tiers; strata.detach lets it go."));
        }
        let columns = columns(self.relation)?;
        check_time_column(&columns, self.time_column, &table)?;
        check_key_column(&columns, self.key_column, &table)?;
        check_unique_index(self.relation, self.time_column, self.key_column, &table)?;
        let measures = self.checked_measures(&columns, &table)?;
        self.check_tiers()?;
        let name = match self.name {
            Some(name) => name.to_owned(),
            None => relation_base_name(self.relation)?,
        };
        check_name(&name)?;
        let id = self.insert(&name, &measures)?;
        install_triggers(&table, id, self.time_column)?;
        mark_all_days(self.relation, id, self.time_column)?;
        if self.cold.is_some() {
            TableColumns::of(&Source::of_relation(self.relation)?)?;
        }
        Ok(id)
    }

    fn checked_measures(&self, columns: &[Column], table: &str) -> Result<Vec<String>> {
        if let Some(wanted) = &self.measures {
            check_measures(wanted, columns, self.time_column, self.key_column, table)?;
            return Ok(wanted.clone());
        }
        let all: Vec<String> = columns
            .iter()
            .filter(|column| column.is_numeric() && column.name != self.time_column && column.name != self.key_column)
            .map(|column| column.name.clone())
            .collect();
        if all.is_empty() {
            return Err(Failure::new(
                PgSqlErrorCode::ERRCODE_INVALID_TABLE_DEFINITION,
                format!("table {table} has no numeric column to take as a measure"),
            )
            .hint(format!("Add one: ALTER TABLE {table} ADD COLUMN value double precision;")));
        }
        Ok(all)
    }

    fn check_tiers(&self) -> Result<()> {
        let length = |interval: &Option<Interval>| interval.as_ref().map(crate::pg_time::interval_micros);
        for (tier, interval) in [("hot", length(&self.hot)), ("warm", length(&self.warm))] {
            if interval.is_some_and(|micros| micros <= 0) {
                return Err(Failure::new(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, format!("{tier} must be longer than nothing"))
                    .hint(format!("{tier} => NULL leaves the tier without a limit of its own.")));
            }
        }
        if let (Some(hot), Some(warm)) = (length(&self.hot), length(&self.warm))
            && warm < hot
        {
            return Err(Failure::new(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, "warm is shorter than hot")
                .detail("A day would leave the table while Redis still holds samples of it."));
        }
        check_cold(self.cold)?;
        if self.drop_archived && self.cold.is_none() {
            return Err(Failure::new(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, "drop_archived needs a cold tier")
                .hint("Name the BigQuery table: cold => 'dataset.table'."));
        }
        Ok(())
    }

    fn insert(&self, name: &str, measures: &[String]) -> Result<i32> {
        let taken = Spi::get_one_with_args::<String>("SELECT relation::text FROM strata.sources WHERE name = $1", &[name.into()]);
        if let Ok(Some(other)) = taken {
            return Err(Failure::new(PgSqlErrorCode::ERRCODE_DUPLICATE_OBJECT, format!("source name \"{name}\" belongs to table {other}"))
                .hint("Give this one a name of its own: name => 'other_name'."));
        }
        let _user = AsUser::catalog_owner();
        let id = Spi::get_one_with_args::<i32>(
            "INSERT INTO strata.sources (relation, name, time_column, key_column, measures, hot, warm, cold, drop_archived)
             VALUES ($1::oid, $2, $3::name, $4::name, $5::name[], $6, $7, $8, $9) RETURNING source_id",
            &[
                self.relation.into(),
                name.into(),
                self.time_column.into(),
                self.key_column.into(),
                measures.to_vec().into(),
                self.hot.into(),
                self.warm.into(),
                self.cold.into(),
                self.drop_archived.into(),
            ],
        )?;
        Ok(id.expect("INSERT … RETURNING returns its row"))
    }
}

/// Lets a table go: its rows stay, Strata's knowledge of it leaves.
#[pg_extern(volatile, parallel_unsafe, requires = ["catalog"])]
#[search_path(pg_catalog, pg_temp)]
fn detach(relation: PgRelation, force: default!(bool, "false")) {
    detach_relation(relation.oid(), force).or_raise();
}

fn detach_relation(relation: pg_sys::Oid, force: bool) -> Result<()> {
    check_owner(relation)?;
    let source = Source::of_relation(relation)?;
    let only_cold = Spi::get_one_with_args::<i64>(
        "SELECT count(*) FROM strata.manifest WHERE source_id = $1 AND state = 'dropped'",
        &[source.id.into()],
    )?
    .unwrap_or(0);
    if !force {
        refuse_while_samples_wait(&source)?;
    }
    if only_cold > 0 && !force {
        return Err(Failure::new(
            PgSqlErrorCode::ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST,
            format!("{only_cold} days of table {} are in BigQuery only", source.table),
        )
        .detail(format!("They stay in {}, but strata.rows would no longer find them.", source.cold.as_deref().unwrap_or("the archive")))
        .hint("Bring them back first with strata.restore, or detach with force => true."));
    }
    for trigger in ["strata_note_dirty", "strata_note_truncate"] {
        Spi::run(&format!("DROP TRIGGER IF EXISTS {trigger} ON {}", source.table))?;
    }
    let _user = AsUser::catalog_owner();
    Spi::run_with_args("DELETE FROM strata.dirty_log WHERE source_id = $1", &[source.id.into()])?;
    Spi::run_with_args("DELETE FROM strata.sources WHERE source_id = $1", &[source.id.into()])?;
    Ok(())
}

/// Without the source nobody would flush what Redis still holds for it.
fn refuse_while_samples_wait(source: &Source) -> Result<()> {
    let client = if source.hot.is_some() { tiers::hot()? } else { None };
    let Some(client) = client else { return Ok(()) };
    let info = BackendWait.wait("asking Redis for a source", client.info_source(&source.name)).map_err(Failure::from);
    let way_out = "Detach with force => true to leave what is in Redis there.";
    match info {
        Ok(info) if info.pending == 0 => Ok(()),
        Ok(info) => Err(Failure::new(
            PgSqlErrorCode::ERRCODE_OBJECT_IN_USE,
            format!("{} samples of source \"{}\" are in Redis only", info.pending, source.name),
        )
        .hint(format!("SELECT strata.run_job('flush'); brings them into the table. {way_out}"))),
        Err(failure) => Err(Failure { hint: Some(way_out.to_owned()), ..failure }),
    }
}

/// Changes the tiers of a source, or adds measures; what is left NULL stays as it is.
#[pg_extern(volatile, parallel_unsafe, requires = ["catalog"])]
#[search_path(pg_catalog, pg_temp)]
fn alter_source(
    relation: PgRelation,
    hot: default!(Option<Interval>, "NULL"),
    warm: default!(Option<Interval>, "NULL"),
    cold: default!(Option<&str>, "NULL"),
    drop_archived: default!(Option<bool>, "NULL"),
    add_measures: default!(Option<Vec<String>>, "NULL"),
) {
    alter(relation.oid(), hot, warm, cold, drop_archived).or_raise();
    if let Some(measures) = add_measures {
        append_measures(relation.oid(), &measures).or_raise();
    }
}

/// Stored rollups know a measure by its place, so new ones go to the end.
fn append_measures(relation: pg_sys::Oid, added: &[String]) -> Result<()> {
    let source = Source::of_relation(relation)?;
    let all: Vec<String> = source.measures.iter().chain(added).cloned().collect();
    check_measures(&all, &columns(relation)?, &source.time_column, &source.key_column, &source.table)?;
    let _user = AsUser::catalog_owner();
    Spi::run_with_args(
        "UPDATE strata.sources SET measures = $2::text[]::name[] WHERE source_id = $1",
        &[source.id.into(), all.into()],
    )?;
    drop(_user);
    mark_all_days(relation, source.id, &source.time_column)
}

fn alter(
    relation: pg_sys::Oid,
    hot: Option<Interval>,
    warm: Option<Interval>,
    cold: Option<&str>,
    drop_archived: Option<bool>,
) -> Result<()> {
    check_owner(relation)?;
    let source = Source::of_relation(relation)?;
    check_cold(cold)?;
    if let (Some(old), Some(new)) = (&source.cold, cold)
        && old != new
        && Spi::get_one_with_args::<bool>("SELECT EXISTS (SELECT FROM strata.manifest WHERE source_id = $1)", &[source.id.into()])? == Some(true)
    {
        return Err(Failure::new(PgSqlErrorCode::ERRCODE_OBJECT_IN_USE, format!("the archive of table {} is in {old}", source.table))
            .hint("Copy that BigQuery table, then strata.detach(…, force => true) and attach with the new one."));
    }
    let _user = AsUser::catalog_owner();
    Spi::run_with_args(
        "UPDATE strata.sources SET hot = coalesce($2, hot), warm = coalesce($3, warm), cold = coalesce($4, cold),
                drop_archived = coalesce($5, drop_archived)
         WHERE source_id = $1",
        &[source.id.into(), hot.into(), warm.into(), cold.into(), drop_archived.into()],
    )?;
    if source.cold.is_none() && cold.is_some() {
        drop(_user);
        mark_all_days(relation, source.id, &source.time_column)?;
    }
    Ok(())
}

fn check_measures(wanted: &[String], columns: &[Column], time: &str, key: &str, table: &str) -> Result<()> {
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

fn check_relation(relation: pg_sys::Oid) -> Result<()> {
    let (kind, persistence) = Spi::get_two_with_args::<String, String>(
        "SELECT relkind::text, relpersistence::text FROM pg_class WHERE oid = $1",
        &[relation.into()],
    )?;
    let name = source::relation_name(relation);
    match (kind.as_deref(), persistence.as_deref()) {
        (Some("r" | "p"), Some("p" | "u")) => {}
        (Some("r" | "p"), _) => {
            return Err(Failure::new(PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE, format!("{name} is a temporary table"))
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
        return Err(Failure::new(PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE, format!("{name} is a part of another table or of the system"))
            .hint("Attach the table that holds it."));
    }
    Ok(())
}

fn check_owner(relation: pg_sys::Oid) -> Result<()> {
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

fn columns(relation: pg_sys::Oid) -> Result<Vec<Column>> {
    Spi::connect(|client| {
        let rows = client.select(
            "SELECT a.attname::text, t.typname::text, a.attnotnull FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
             WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
            None,
            &[relation.into()],
        )?;
        let mut columns = Vec::new();
        for row in rows {
            if let (Some(name), Some(kind), Some(not_null)) = (row.get(1)?, row.get(2)?, row.get(3)?) {
                columns.push(Column { name, kind, not_null });
            }
        }
        Ok(columns)
    })
}

fn no_column(name: &str, table: &str) -> Failure {
    Failure::new(PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN, format!("table {table} has no column \"{name}\""))
}

fn check_time_column(columns: &[Column], name: &str, table: &str) -> Result<()> {
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

fn check_key_column(columns: &[Column], name: &str, table: &str) -> Result<()> {
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
    Err(Failure::new(PgSqlErrorCode::ERRCODE_INVALID_TABLE_DEFINITION, format!("column \"{}\" of table {table} allows NULL", column.name))
        .detail("Key and time tell one reading from another.")
        .hint(format!("Forbid it: ALTER TABLE {table} ALTER COLUMN {} SET NOT NULL;", quote::ident(&column.name))))
}

/// The flush upserts on key and time, so a complete, immediate unique index on exactly these must exist.
fn check_unique_index(relation: pg_sys::Oid, time: &str, key: &str, table: &str) -> Result<()> {
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

fn check_cold(cold: Option<&str>) -> Result<()> {
    let Some(cold) = cold else { return Ok(()) };
    let word = |text: &str| {
        !text.is_empty() && text.len() <= 1024 && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    match cold.split_once('.') {
        Some((dataset, table)) if word(dataset) && word(table) => Ok(()),
        _ => Err(Failure::new(PgSqlErrorCode::ERRCODE_INVALID_NAME, format!("\"{cold}\" does not name a BigQuery table"))
            .hint("Write dataset.table, in letters, digits and underscores; the project is the setting strata.bigquery_project.")),
    }
}

fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.chars().any(|c| matches!(c, ':' | '{' | '}') || c.is_whitespace() || c.is_control()) {
        return Err(Failure::new(PgSqlErrorCode::ERRCODE_INVALID_NAME, format!("\"{name}\" cannot be the name of a source"))
            .detail("It is the part of a Redis key before the colon: no colon, brace or white space.")
            .hint("Give it another: name => 'readings'."));
    }
    Ok(())
}

fn relation_base_name(relation: pg_sys::Oid) -> Result<String> {
    let name = Spi::get_one_with_args::<String>("SELECT relname::text FROM pg_class WHERE oid = $1", &[relation.into()])?;
    Ok(name.unwrap_or_default())
}

fn install_triggers(table: &str, id: i32, time_column: &str) -> Result<()> {
    let arguments = format!("{}, {}", quote::literal(&id.to_string()), quote::literal(time_column));
    Spi::run(&format!(
        "CREATE TRIGGER strata_note_dirty AFTER INSERT OR UPDATE OR DELETE ON {table}
         FOR EACH ROW EXECUTE FUNCTION strata.note_dirty({arguments})"
    ))?;
    Spi::run(&format!(
        "CREATE TRIGGER strata_note_truncate BEFORE TRUNCATE ON {table}
         FOR EACH STATEMENT EXECUTE FUNCTION strata.note_dirty({arguments})"
    ))?;
    Ok(())
}

/// What was in the table before it was attached is as new to the jobs as what comes later.
fn mark_all_days(relation: pg_sys::Oid, id: i32, time_column: &str) -> Result<()> {
    if let Some((first, last)) = source::span_of_days(relation, time_column)? {
        crate::dirty_log::note(id, (first.0..=last.0).map(series::time::Day));
    }
    Ok(())
}
