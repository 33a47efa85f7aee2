//! Archived days leave the table: lock, compare once more, drop.

use super::Result;
use super::archive::Limit;
use crate::as_user::AsUser;
use crate::attach::check_columns_of;
use crate::dirty_log::{self, Quiet};
use crate::failure::Failure;
use crate::partitions::{self, Part};
use crate::pg_time::{self, sql_time};
use crate::shape::TableColumns;
use crate::source::Source;
use crate::workers::{JobError, transaction};
use crate::{gucs, manifest, quote, stored_day};
use pgrx::datum::Date;
use pgrx::prelude::*;
use series::hash::ContentHash;
use series::time::Day;
use std::collections::{BTreeMap, BTreeSet};

const ACTIVITY: &str = "strata: dropping archived days";

/// Days that leave together, because they share chunks or partitions.
struct Unit {
    parts: Vec<Part>,
    days: Vec<Day>,
    /// Those of the days that may leave.
    eligible: BTreeSet<Day>,
}

/// Drops what is proved; tells in a few words what it did.
pub fn drop_archived(source: &Source, limit: Limit) -> Result<Option<String>> {
    let (columns, units) = transaction(ACTIVITY, || {
        let eligible = eligible_days(source.id, limit)?;
        let parts = partitions::of_table(source)?;
        Ok::<_, JobError>((TableColumns::of(source)?, units(&eligible, parts, limit)))
    })?;
    let (mut dropped, mut kept) = (0, 0);
    for unit in &units {
        match transaction(ACTIVITY, || drop_unit(source, &columns, unit).map_err(JobError::from))? {
            Some(days) => dropped += days,
            None => kept += unit.days.len(),
        }
    }
    let text = match (dropped, kept) {
        (0, 0) => return Ok(None),
        (_, 0) => format!("{dropped} days dropped from the table"),
        _ => {
            format!("{dropped} days dropped from the table, {kept} kept because they changed after they were archived")
        }
    };
    Ok(Some(text))
}

/// Archived days with what the archive holds of each.
fn eligible_days(source_id: i32, limit: Limit) -> std::result::Result<BTreeMap<Day, ContentHash>, Failure> {
    Spi::connect(|client| {
        let rows = client.select(
            "SELECT day, content_hash FROM strata.manifest m
             WHERE source_id = $1 AND state = 'archived' AND coalesce(keep_until <= now(), true)
               AND NOT EXISTS (SELECT FROM strata.dirty_days d
                               WHERE d.source_id = m.source_id AND d.consumer = 'archive' AND d.day = m.day)",
            None,
            &[source_id.into()],
        )?;
        let mut days = BTreeMap::new();
        for row in rows {
            if let (Some(day), Some(hash)) = (row.get::<Date>(1)?, row.get::<String>(2)?) {
                days.insert(pg_time::day(day), manifest::parse(&hash)?);
            }
        }
        days.retain(|day, _| limit.admits(*day));
        Ok(days)
    })
}

/// Groups parts that share a day; days outside any part leave by DELETE, each by itself.
fn units(eligible: &BTreeMap<Day, ContentHash>, parts: Vec<Part>, limit: Limit) -> Vec<Unit> {
    let eligible_of =
        |days: &[Day]| days.iter().copied().filter(|day| eligible.contains_key(day)).collect::<BTreeSet<_>>();
    let mut units: Vec<Unit> = Vec::new();
    for part in parts {
        let days: Vec<Day> = part.days().collect();
        match units.last_mut() {
            Some(unit) if unit.days.last() >= days.first() => {
                let last = unit.days.last().copied();
                unit.days.extend(days.into_iter().filter(|day| Some(*day) > last));
                unit.parts.push(part);
            }
            _ => units.push(Unit { parts: vec![part], days, eligible: BTreeSet::new() }),
        }
    }
    let mut single: Vec<Day> = eligible.keys().copied().collect();
    single.retain(|day| !units.iter().any(|unit| unit.days.contains(day)));
    units.extend(single.into_iter().map(|day| Unit { parts: Vec::new(), days: vec![day], eligible: BTreeSet::new() }));
    for unit in &mut units {
        unit.eligible = eligible_of(&unit.days);
    }
    units.retain(|unit| !unit.eligible.is_empty() && unit.days.iter().all(|day| limit.admits(*day)));
    units
}

/// Locks the table and drops the unit if every row in it is proved; `None` if it is not.
fn drop_unit(source: &Source, columns: &TableColumns, unit: &Unit) -> std::result::Result<Option<usize>, Failure> {
    lock(source)?;
    check_columns_of(source)?;
    let proved = manifest::of_days(source.id, unit.days.iter().copied())?;
    let mut left = Vec::new();
    for day in &unit.days {
        let content = stored_day::content_in_table(source, columns, *day)?;
        match proved.get(day) {
            Some(entry) if unit.eligible.contains(day) && entry.content == content => left.push(*day),
            _ if content.rows == 0 => {}
            _ => {
                dirty_log::note(source.id, [*day]);
                return Ok(None);
            }
        }
    }
    let _quiet = Quiet::begin();
    let _user = AsUser::table_owner(source.owner);
    if unit.parts.is_empty() {
        unit.days.iter().try_for_each(|day| delete_day(source, *day))?;
    } else {
        unit.parts.iter().try_for_each(|part| part.drop(source))?;
    }
    drop(_user);
    manifest::mark_dropped(source.id, &left)?;
    Ok(Some(left.len()))
}

/// Archived days whose rows left the table by another way than a DELETE (a retention policy, a dropped partition) are in
/// the archive only, and queries must look for them there.
pub fn notice_vanished_days(source: &Source) -> std::result::Result<(), Failure> {
    check_columns_of(source)?;
    let time = source.time();
    Spi::run_with_args(
        &format!(
            "UPDATE strata.manifest m SET state = 'dropped', dropped_at = now(), keep_until = NULL
             WHERE source_id = $1 AND state = 'archived' AND rows > 0
               AND NOT EXISTS (SELECT FROM {} t WHERE t.{time} >= m.day::timestamp AT TIME ZONE 'UTC'
                                                  AND t.{time} < (m.day + 1)::timestamp AT TIME ZONE 'UTC')
               AND NOT EXISTS (SELECT FROM strata.dirty_days d
                               WHERE d.source_id = m.source_id AND d.consumer = 'archive' AND d.day = m.day)
               AND NOT EXISTS (SELECT FROM strata.dirty_log d WHERE d.source_id = m.source_id AND d.day = m.day)",
            source.table
        ),
        &[source.id.into()],
    )?;
    Ok(())
}

/// Removes rows that came late for a dropped day and are in the archive now; false if they changed meanwhile.
pub fn remove_late_rows(
    source: &Source,
    columns: &TableColumns,
    day: Day,
    archived: ContentHash,
) -> std::result::Result<bool, Failure> {
    lock(source)?;
    if stored_day::content_in_table(source, columns, day)? != archived {
        return Ok(false);
    }
    let _quiet = Quiet::begin();
    let _user = AsUser::table_owner(source.owner);
    delete_day(source, day)?;
    Ok(true)
}

/// Readers hold a weaker lock from before they look at the manifest, so none of them sees half of a move.
fn lock(source: &Source) -> std::result::Result<(), Failure> {
    let _user = AsUser::table_owner(source.owner);
    Spi::run_with_args(
        "SELECT set_config('lock_timeout', $1, true)",
        &[format!("{}ms", gucs::drop_lock_timeout().as_millis()).into()],
    )?;
    Spi::run(&format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", source.table))?;
    Ok(())
}

fn delete_day(source: &Source, day: Day) -> std::result::Result<(), Failure> {
    let time = quote::ident(&source.time_column);
    Spi::run(&format!(
        "DELETE FROM {} WHERE {time} >= {} AND {time} < {}",
        source.table,
        sql_time(day.start()),
        sql_time(day.end())
    ))?;
    Ok(())
}
