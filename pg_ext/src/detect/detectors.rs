//! `strata.set_detector` and `strata.drop_detector`: by what the job `anomaly_detection` watches the measures of a source.

use super::setting::{Setting, invalid};
use crate::as_user::AsUser;
use crate::failure::{Failure, OrRaise, Result};
use crate::jobs;
use crate::pg_time;
use crate::query::checked_measures;
use crate::source::{self, Source};
use pgrx::datum::{Interval, TimestampWithTimeZone};
use pgrx::prelude::*;
use pgrx::{JsonB, PgRelation, PgSqlErrorCode, default};
use series::detect::Method;
use series::event::EventSettings;
use series::time::Micros;

/// Watches a measure (NULL: every measure there is) by a method, beside others that do.
#[pg_extern(volatile, parallel_unsafe, requires = ["detectors"])]
#[search_path(pg_catalog, pg_temp)]
#[allow(clippy::too_many_arguments)]
fn set_detector(
    relation: PgRelation,
    measure: Option<&str>,
    method: default!(&str, "'range_novelty'"),
    options: default!(JsonB, "'{}'"),
    warning: default!(Option<f64>, "NULL"),
    critical: default!(Option<f64>, "NULL"),
    hold: default!(Option<Interval>, "NULL"),
    since: default!(TimestampWithTimeZone, "now()"),
    learn: default!(Interval, "'30 days'"),
    enabled: default!(bool, "true"),
) {
    let target = Target::of(&relation, measure).or_raise();
    let setting = Setting::new(Some(method), Some(&options.0)).or_raise();
    let events = EventArguments { warning, critical, hold }.settings(setting.method).or_raise();
    let replay_from = replay_start(since, &learn).or_raise();
    for measure in &target.measures {
        let wanted = Wanted { options: &options, events, since, replay_from, enabled };
        store(target.source.id, measure, setting.method, &wanted).or_raise();
    }
    if !enabled {
        jobs::end_unwatched(&target.source).or_raise();
    }
}

/// Ends the watch of a measure (NULL: of every one that has it) by a method; its events stay, those that last end.
#[pg_extern(volatile, parallel_unsafe, requires = ["detectors"])]
#[search_path(pg_catalog, pg_temp)]
fn drop_detector(relation: PgRelation, measure: Option<&str>, method: default!(&str, "'range_novelty'")) {
    let target = Target::of(&relation, measure).or_raise();
    let method = Setting::method(method).or_raise();
    let mut dropped = false;
    for name in &target.measures {
        dropped |= forget(target.source.id, name, method).or_raise();
    }
    if !dropped {
        Failure::new(PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT, format!("{method} does not watch that measure"))
            .detail(format!("The source is \"{}\".", target.source.name))
            .hint("strata.detectors says what watches what; range_novelty watches every measure unless it was dropped.")
            .raise()
    }
    jobs::end_unwatched(&target.source).or_raise();
}

/// What a call is about, once it is known that the caller may.
struct Target {
    source: Source,
    measures: Vec<String>,
}

impl Target {
    fn of(relation: &PgRelation, measure: Option<&str>) -> Result<Self> {
        let source = readable_source(relation)?;
        let measures = checked_measures(&source, measure.map(|measure| vec![measure.to_owned()]))?;
        Ok(Self { source, measures })
    }
}

/// The source of a table whose anomalies the caller may see.
///
/// # Errors
/// `42P01` or `42704` if it is not attached, `42501` if the caller may not.
pub(super) fn readable_source(relation: &PgRelation) -> Result<Source> {
    let source = Source::of_relation(relation.oid())?;
    if Spi::get_one_with_args::<bool>("SELECT strata.may_read($1)", &[source.id.into()])? == Some(true) {
        return Ok(source);
    }
    let table = source::relation_name(relation.oid());
    Err(Failure::new(PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE, format!("permission denied for table {table}"))
        .detail("Who says how a table is watched must be able to read all of it."))
}

struct EventArguments {
    warning: Option<f64>,
    critical: Option<f64>,
    hold: Option<Interval>,
}

impl EventArguments {
    /// What is NULL is the method's own.
    fn settings(self, method: Method) -> Result<EventSettings> {
        let own = EventSettings::of(method);
        let warning = self.warning.unwrap_or(own.warning);
        let settings = EventSettings {
            warning,
            critical: self.critical.unwrap_or(own.critical.max(warning)),
            hold: self.hold.map_or(own.hold, |hold| pg_time::interval_micros(&hold)),
            ..own
        };
        settings.check().map_err(|error| {
            invalid(error.to_string()).detail("An event opens at score 1, the alarm line.").hint(
                "A critical line of 1 makes every event critical, a warning line of 1 every one at least a warning.",
            )
        })?;
        Ok(settings)
    }
}

/// Where a detector begins to learn; everything there is if it shall judge everything there is.
fn replay_start(since: TimestampWithTimeZone, learn: &Interval) -> Result<Micros> {
    let learn = pg_time::interval_micros(learn);
    if learn < 0 {
        return Err(invalid("learn must not be negative"));
    }
    Ok(pg_time::from_bound(since).saturating_sub(learn).max(pg_time::MIN_TIME))
}

struct Wanted<'a> {
    options: &'a JsonB,
    events: EventSettings,
    since: TimestampWithTimeZone,
    replay_from: Micros,
    enabled: bool,
}

/// Writes one detector. One that is set already, and judges from no earlier on, stays as it is: a script may be run again.
fn store(source_id: i32, measure: &str, method: Method, wanted: &Wanted) -> Result<()> {
    let who = Spi::get_one::<String>("SELECT current_user::text")?.unwrap_or_default();
    let _user = AsUser::catalog_owner();
    Spi::run_with_args(
        "INSERT INTO strata.detectors AS d
             (source_id, measure, method, options, enabled, warning, critical, hold, since, replay_from, version, set_by)
         VALUES ($1, $2::text::name, $3, $4, $5, $6, $7, make_interval(secs => $8), $9, $10,
             1 + greatest((SELECT max(detector_version) FROM strata.anomaly_events
                           WHERE source_id = $1 AND measure = $2 AND method = $3), $11), $12::text::name)
         ON CONFLICT (source_id, measure, method) DO UPDATE
         SET options = excluded.options, enabled = excluded.enabled, warning = excluded.warning, critical = excluded.critical,
             hold = excluded.hold, since = excluded.since, replay_from = excluded.replay_from,
             version = greatest(d.version + 1, excluded.version), set_by = excluded.set_by, set_at = now()
         WHERE (d.options, d.enabled, d.warning, d.critical, d.hold)
               IS DISTINCT FROM (excluded.options, excluded.enabled, excluded.warning, excluded.critical, excluded.hold)
            OR excluded.since < d.since",
        &[
            source_id.into(),
            measure.into(),
            method.name().into(),
            JsonB(wanted.options.0.clone()).into(),
            wanted.enabled.into(),
            wanted.events.warning.into(),
            wanted.events.critical.into(),
            (wanted.events.hold as f64 / 1e6).into(),
            wanted.since.into(),
            pg_time::timestamptz(wanted.replay_from).into(),
            i32::from(method == Method::RangeNovelty).into(),
            who.into(),
        ],
    )?;
    Ok(())
}

/// Range novelty watches unless it is said not to, so dropping it leaves a row that says so.
fn forget(source_id: i32, measure: &str, method: Method) -> Result<bool> {
    let (name, who) = (method.name(), Spi::get_one::<String>("SELECT current_user::text")?.unwrap_or_default());
    let _user = AsUser::catalog_owner();
    let sql = if method == Method::RangeNovelty {
        "WITH dropped AS (
             INSERT INTO strata.detectors AS d (source_id, measure, method, enabled, warning, critical, hold, set_by)
             VALUES ($1, $2::text::name, $3, false, 1, 1, '0', $4::text::name)
             ON CONFLICT (source_id, measure, method) DO UPDATE
             SET enabled = false, version = d.version + 1, set_by = excluded.set_by, set_at = now() WHERE d.enabled
             RETURNING 1)
         SELECT EXISTS (SELECT FROM dropped)"
    } else {
        "WITH dropped AS (
             DELETE FROM strata.detectors WHERE source_id = $1 AND measure = $2 AND method = $3 AND $4 <> '' RETURNING 1)
         SELECT EXISTS (SELECT FROM dropped)"
    };
    let dropped = Spi::get_one_with_args::<bool>(sql, &[source_id.into(), measure.into(), name.into(), who.into()])?;
    Ok(dropped == Some(true))
}
