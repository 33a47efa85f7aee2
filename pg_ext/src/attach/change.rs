//! `strata.detach` and `strata.alter_source`.

use super::checks::{check_cold, check_measures, check_owner, columns};
use super::mark_all_days;
use crate::as_user::AsUser;
use crate::failure::{Failure, OrRaise, Result};
use crate::hot_detection;
use crate::interrupts::BackendWait;
use crate::source::Source;
use crate::tiers;
use bridge::wait::Wait;
use pgrx::datum::Interval;
use pgrx::prelude::*;
use pgrx::{PgRelation, PgSqlErrorCode, default, pg_sys};

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
        refuse_while_samples_are_rejected(&source)?;
    }
    if only_cold > 0 && !force {
        return Err(Failure::new(
            PgSqlErrorCode::ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST,
            format!("{only_cold} days of table {} are in BigQuery only", source.table),
        )
        .detail(format!(
            "They stay in {}, but strata.rows would no longer find them.",
            source.cold.as_deref().unwrap_or("the archive")
        ))
        .hint("Bring them back first with strata.restore, or detach with force => true."));
    }
    for trigger in ["strata_note_dirty", "strata_note_truncate"] {
        Spi::run(&format!("DROP TRIGGER IF EXISTS {trigger} ON {}", source.table))?;
    }
    let _user = AsUser::catalog_owner();
    hot_detection::end(&source)?;
    Spi::run_with_args("DELETE FROM strata.dirty_log WHERE source_id = $1", &[source.id.into()])?;
    Spi::run_with_args("DELETE FROM strata.sources WHERE source_id = $1", &[source.id.into()])?;
    Ok(())
}

/// Redis has forgotten them, and they leave with the source.
fn refuse_while_samples_are_rejected(source: &Source) -> Result<()> {
    let _user = AsUser::catalog_owner();
    let count = Spi::get_one_with_args::<i64>(
        "SELECT count(*) FROM strata.rejected_samples WHERE source_id = $1",
        &[source.id.into()],
    )?
    .unwrap_or(0);
    if count == 0 {
        return Ok(());
    }
    Err(Failure::new(
        PgSqlErrorCode::ERRCODE_OBJECT_IN_USE,
        format!("{count} samples of source \"{}\" are in strata.rejected_samples only", source.name),
    )
    .hint("Correct and insert them, or delete them there; force => true gives them up."))
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
    check_cold(relation, cold)?;
    if let (Some(old), Some(new)) = (&source.cold, cold)
        && old != new
        && Spi::get_one_with_args::<bool>(
            "SELECT EXISTS (SELECT FROM strata.manifest WHERE source_id = $1)",
            &[source.id.into()],
        )? == Some(true)
    {
        return Err(Failure::new(
            PgSqlErrorCode::ERRCODE_OBJECT_IN_USE,
            format!("the archive of table {} is in {old}", source.table),
        )
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
