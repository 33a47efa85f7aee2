//! Attached tables as the catalog knows them.

use crate::failure::{Failure, Result};
use crate::pg_time;
use crate::quote;
use pgrx::datum::{Interval, TimestampWithTimeZone};
use pgrx::prelude::*;
use pgrx::spi::SpiHeapTupleData;
use pgrx::{PgSqlErrorCode, pg_sys};
use series::time::{Day, Micros};

/// A row of `strata.sources`.
#[derive(Clone, Debug)]
pub struct Source {
    pub id: i32,
    pub relation: pg_sys::Oid,
    /// Schema-qualified and quoted, ready for SQL.
    pub table: String,
    pub owner: pg_sys::Oid,
    pub name: String,
    pub time_column: String,
    pub key_column: String,
    /// The key column's type as SQL text.
    pub key_type: String,
    pub measures: Vec<String>,
    pub hot: Option<Micros>,
    pub warm: Option<Micros>,
    /// BigQuery table as `dataset.table`.
    pub cold: Option<String>,
    pub drop_archived: bool,
    /// The database whose jobs empty Redis and write the archive; see [`crate::manifest::check_owner`].
    pub owner_id: String,
}

const SELECT: &str = "SELECT s.source_id, s.relation::oid, n.nspname::text, c.relname::text, c.relowner, s.name,
        s.time_column::text, s.key_column::text, format_type(a.atttypid, a.atttypmod), s.measures::text[],
        s.hot, s.warm, s.cold, s.drop_archived, s.owner
    FROM strata.sources s
    JOIN pg_class c ON c.oid = s.relation
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = s.key_column AND NOT a.attisdropped";

impl Source {
    /// The source of an attached table.
    ///
    /// # Errors
    /// `42P01` if the table is not attached.
    pub fn of_relation(relation: pg_sys::Oid) -> Result<Self> {
        Self::find(relation)?.ok_or_else(|| {
            Failure::new(
                PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
                format!("table {} is not attached to Strata", relation_name(relation)),
            )
            .hint("Attach it first: SELECT strata.attach('schema.table', 'time column', 'key column');")
        })
    }

    pub fn find(relation: pg_sys::Oid) -> Result<Option<Self>> {
        Spi::connect(|client| {
            let mut rows = client.select(&format!("{SELECT} WHERE s.relation = $1"), None, &[relation.into()])?;
            rows.next().map(|row| Self::from_row(&row)).transpose()
        })
    }

    /// All sources, in the order they were attached.
    pub fn all() -> Result<Vec<Self>> {
        Spi::connect(|client| {
            let rows = client.select(&format!("{SELECT} ORDER BY s.source_id"), None, &[])?;
            rows.map(|row| Self::from_row(&row)).collect()
        })
    }

    fn from_row(row: &SpiHeapTupleData) -> Result<Self> {
        let relation: pg_sys::Oid = required(row, 2)?;
        let schema: String = required(row, 3)?;
        let table: String = required(row, 4)?;
        let key_column: String = required(row, 8)?;
        let key_type = row.get::<String>(9)?.ok_or_else(|| {
            Failure::new(
                PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN,
                format!("key column \"{key_column}\" of table {table} is gone"),
            )
            .hint("Rename it back, or strata.detach the table and attach it again with the new name.")
        })?;
        Ok(Self {
            id: required(row, 1)?,
            relation,
            table: format!("{}.{}", quote::ident(&schema), quote::ident(&table)),
            owner: required(row, 5)?,
            name: required(row, 6)?,
            time_column: required(row, 7)?,
            key_column,
            key_type,
            measures: required(row, 10)?,
            hot: row.get::<Interval>(11)?.map(|interval| pg_time::interval_micros(&interval)),
            warm: row.get::<Interval>(12)?.map(|interval| pg_time::interval_micros(&interval)),
            cold: row.get(13)?,
            drop_archived: required(row, 14)?,
            owner_id: required(row, 15)?,
        })
    }

    /// The time column, quoted.
    pub fn time(&self) -> String {
        quote::ident(&self.time_column)
    }

    /// The key column, quoted.
    pub fn key(&self) -> String {
        quote::ident(&self.key_column)
    }
}

fn required<T: pgrx::FromDatum + pgrx::IntoDatum>(row: &SpiHeapTupleData, column: usize) -> Result<T> {
    row.get::<T>(column)?.ok_or_else(|| {
        Failure::new(PgSqlErrorCode::ERRCODE_DATA_CORRUPTED, "a row of strata.sources is incomplete")
            .hint("strata.detach(…, force => true) removes it.")
    })
}

/// Schema-qualified name of a relation for messages.
pub fn relation_name(relation: pg_sys::Oid) -> String {
    Spi::get_one_with_args::<String>("SELECT $1::oid::regclass::text", &[relation.into()])
        .ok()
        .flatten()
        .unwrap_or_else(|| relation.to_u32().to_string())
}

/// First and last day of a table's rows; `None` if it has none. Rows at ±infinity belong to no day.
pub fn span_of_days(relation: pg_sys::Oid, time_column: &str) -> Result<Option<(Day, Day)>> {
    let column = quote::ident(time_column);
    let (first, last) = Spi::get_two_with_args::<TimestampWithTimeZone, TimestampWithTimeZone>(
        &format!(
            "SELECT min({column}), max({column}) FROM {} WHERE {column} > '-infinity' AND {column} < 'infinity'",
            qualified_name(relation)?
        ),
        &[],
    )?;
    Ok(first
        .and_then(pg_time::micros)
        .zip(last.and_then(pg_time::micros))
        .map(|(first, last)| (Day::of(first), Day::of(last))))
}

/// Schema-qualified, quoted name of a relation, ready for SQL whatever the search path.
pub fn qualified_name(relation: pg_sys::Oid) -> Result<String> {
    Spi::get_one_with_args::<String>(
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1",
        &[relation.into()],
    )?
    .ok_or_else(|| {
        Failure::new(PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE, format!("there is no relation with number {}", relation.to_u32()))
    })
}
