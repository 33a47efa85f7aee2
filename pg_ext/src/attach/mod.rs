//! `strata.attach`.

mod change;
mod checks;
mod dropped;

use crate::as_user::AsUser;
use crate::failure::{Failure, OrRaise, Result};
use crate::manifest;
use crate::quote;
use crate::shape::TableColumns;
use crate::source::{self, Source};
pub use checks::check_columns_of;
use checks::{
    Column, check_cold, check_key_column, check_measures, check_name, check_owner, check_relation, check_time_column,
    check_unique_index, columns, relation_base_name,
};
use pgrx::datum::Interval;
use pgrx::prelude::*;
use pgrx::{PgRelation, PgSqlErrorCode, default, pg_sys};

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
    let request =
        Request { relation: relation.oid(), time_column, key_column, measures, hot, warm, cold, name, drop_archived };
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
            return Err(Failure::new(
                PgSqlErrorCode::ERRCODE_DUPLICATE_OBJECT,
                format!("table {table} is attached already"),
            )
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
        let taken_over = dropped::take_over(&self, &name, &measures)?;
        check_cold(self.relation, self.cold)?;
        let id = match taken_over {
            Some(id) => id,
            None => self.insert(&name, &measures)?,
        };
        install_triggers(&table, id, self.time_column, self.key_column)?;
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
            .filter(|column| {
                column.is_numeric()
                    && column.may_be_missing
                    && column.name != self.time_column
                    && column.name != self.key_column
            })
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
                return Err(Failure::new(
                    PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                    format!("{tier} must be longer than nothing"),
                )
                .hint(format!(
                    "{tier} => NULL is right for a source that never comes through Redis, or is never archived by age."
                )));
            }
        }
        if let (Some(hot), Some(warm)) = (length(&self.hot), length(&self.warm))
            && warm < hot
        {
            return Err(Failure::new(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, "warm is shorter than hot")
                .detail("A day would leave the table while Redis still holds samples of it."));
        }
        if self.drop_archived && self.cold.is_none() {
            return Err(Failure::new(
                PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                "drop_archived needs a cold tier",
            )
            .hint("Name the BigQuery table: cold => 'dataset.table'."));
        }
        Ok(())
    }

    fn insert(&self, name: &str, measures: &[String]) -> Result<i32> {
        let taken = Spi::get_one_with_args::<String>(
            "SELECT relation::text FROM strata.sources WHERE name = $1",
            &[name.into()],
        );
        if let Ok(Some(other)) = taken {
            return Err(Failure::new(
                PgSqlErrorCode::ERRCODE_DUPLICATE_OBJECT,
                format!("source name \"{name}\" belongs to table {other}"),
            )
            .hint("Give this one a name of its own: name => 'other_name'."));
        }
        let _user = AsUser::catalog_owner();
        let id = Spi::get_one_with_args::<i32>(
            "INSERT INTO strata.sources (relation, name, time_column, key_column, measures, hot, warm, cold, drop_archived, owner)
             VALUES ($1::oid, $2, $3::name, $4::name, $5::name[], $6, $7, $8, $9, $10) RETURNING source_id",
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
                manifest::owner().as_str().into(),
            ],
        )?;
        Ok(id.expect("INSERT … RETURNING returns its row"))
    }
}

fn install_triggers(table: &str, id: i32, time_column: &str, key_column: &str) -> Result<()> {
    let arguments = [&id.to_string(), time_column, key_column].map(quote::literal).join(", ");
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
