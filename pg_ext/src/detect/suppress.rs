//! `strata.suppress` and `strata.end_suppression`: windows of time in which anomalies are told to nobody.

use super::detectors::readable_source;
use super::setting::invalid;
use crate::as_user::AsUser;
use crate::failure::{Failure, OrRaise, Result};
use crate::query::checked_measures;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;
use pgrx::{PgRelation, PgSqlErrorCode, default};

/// Makes a maintenance window and returns its number.
#[pg_extern(volatile, parallel_unsafe, requires = ["detectors"])]
#[search_path(pg_catalog, pg_temp)]
fn suppress(
    relation: PgRelation,
    from: default!(TimestampWithTimeZone, "now()"),
    to: default!(TimestampWithTimeZone, "'infinity'"),
    keys: default!(Option<Vec<String>>, "NULL"),
    measures: default!(Option<Vec<String>>, "NULL"),
    reason: default!(Option<&str>, "NULL"),
) -> i64 {
    make(&relation, from, to, keys, measures, reason).or_raise()
}

fn make(
    relation: &PgRelation,
    from: TimestampWithTimeZone,
    to: TimestampWithTimeZone,
    keys: Option<Vec<String>>,
    measures: Option<Vec<String>>,
    reason: Option<&str>,
) -> Result<i64> {
    let source = readable_source(relation)?;
    let measures = measures.map(|measures| checked_measures(&source, Some(measures))).transpose()?;
    if from >= to {
        return Err(invalid("a maintenance window must end after its start"));
    }
    let who = Spi::get_one::<String>("SELECT current_user::text")?.unwrap_or_default();
    let _user = AsUser::catalog_owner();
    let number = Spi::get_one_with_args::<i64>(
        "INSERT INTO strata.suppressions (source_id, starts_at, ends_at, keys, measures, reason, made_by)
         VALUES ($1, $2, $3, $4, $5::text[]::name[], $6, $7::text::name) RETURNING suppression_id",
        &[source.id.into(), from.into(), to.into(), keys.into(), measures.into(), reason.into(), who.into()],
    )?;
    number.ok_or_else(|| Failure::new(PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, "the window got no number"))
}

/// Ends a window now; one that has not begun yet goes.
#[pg_extern(volatile, parallel_unsafe, strict, requires = ["detectors"])]
#[search_path(pg_catalog, pg_temp)]
fn end_suppression(suppression: i64) {
    end(suppression).or_raise();
}

fn end(number: i64) -> Result<()> {
    let readable =
        "SELECT EXISTS (SELECT FROM strata.suppressions WHERE suppression_id = $1 AND strata.may_read(source_id))";
    if Spi::get_one_with_args::<bool>(readable, &[number.into()])? != Some(true) {
        return Err(Failure::new(
            PgSqlErrorCode::ERRCODE_NO_DATA_FOUND,
            format!("maintenance window {number} does not exist"),
        )
        .hint("SELECT * FROM strata.suppressions; lists them."));
    }
    let _user = AsUser::catalog_owner();
    Spi::run_with_args(
        "DELETE FROM strata.suppressions WHERE suppression_id = $1 AND starts_at >= now()",
        &[number.into()],
    )?;
    Spi::run_with_args(
        "UPDATE strata.suppressions SET ends_at = least(ends_at, now()) WHERE suppression_id = $1",
        &[number.into()],
    )?;
    Ok(())
}
