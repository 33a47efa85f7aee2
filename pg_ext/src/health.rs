//! `strata.health()`: what works, what does not, and what to do about it.

use crate::as_user::AsUser;
use crate::failure::{Failure, OrRaise, Result};
use crate::interrupts::BackendWait;
use crate::quote;
use crate::source::Source;
use crate::{manifest, tiers, workers};
use bridge::hot::HotClient;
use bridge::wait::Wait;
use pgrx::prelude::*;

type Line = (String, String, String, Option<String>);

const OK: &str = "ok";
const WARNING: &str = "warning";
const ERROR: &str = "error";

/// One line per component: status is ok, warning or error.
#[pg_extern(volatile, parallel_unsafe, requires = ["jobs"])]
#[search_path(pg_catalog, pg_temp)]
#[allow(clippy::type_complexity)]
fn health() -> TableIterator<
    'static,
    (name!(component, String), name!(status, String), name!(detail, String), name!(hint, Option<String>)),
> {
    TableIterator::new(lines().or_raise())
}

fn lines() -> Result<Vec<Line>> {
    let sources = Source::all()?;
    let mut lines = vec![version()?, schedule()];
    lines.extend(redis(&sources)?);
    lines.push(bigquery(&sources));
    lines.extend(jobs()?);
    for source in &sources {
        lines.push(table(source)?);
    }
    lines.extend(dropped_tables()?);
    Ok(lines)
}

fn line(component: impl Into<String>, status: &str, detail: impl Into<String>, hint: Option<&str>) -> Line {
    (component.into(), status.to_owned(), detail.into(), hint.map(str::to_owned))
}

fn failed(component: &str, failure: Failure) -> Line {
    (component.to_owned(), ERROR.to_owned(), failure.to_string(), failure.hint)
}

fn version() -> Result<Line> {
    let catalog = select_text("SELECT extversion FROM pg_extension WHERE extname = 'strata'")?.unwrap_or_default();
    let library = workers::LIBRARY_VERSION;
    if catalog == library {
        return Ok(line("extension", OK, format!("version {library}"), None));
    }
    let detail = format!("the catalog is of version {catalog}, the library of {library}");
    Ok(line(
        "extension",
        ERROR,
        detail,
        Some("ALTER EXTENSION strata UPDATE; restart the server if the library is the older one."),
    ))
}

fn schedule() -> Line {
    if !workers::preloaded() {
        let hint = "Add strata to shared_preload_libraries and restart the server; strata.run_job works without.";
        return line("schedule", WARNING, "the library is not preloaded, so no job runs on its schedule", Some(hint));
    }
    if !workers::scheduler_enabled() {
        return line("schedule", WARNING, "switched off by strata.scheduler_enabled", None);
    }
    line("schedule", OK, "jobs run on their schedule", None)
}

fn redis(sources: &[Source]) -> Result<Vec<Line>> {
    let client = match tiers::hot() {
        Ok(Some(client)) => client,
        Ok(None) => {
            let wanted = sources.iter().any(|source| source.hot.is_some());
            let status = if wanted { WARNING } else { OK };
            return Ok(vec![line(
                "redis",
                status,
                "no server is configured",
                Some("ALTER SYSTEM SET strata.redis_url = 'redis://host:6379';"),
            )]);
        }
        Err(failure) => return Ok(vec![failed("redis", failure)]),
    };
    let warnings = match BackendWait.wait("asking Redis for its state", client.warnings()) {
        Ok(warnings) => warnings,
        Err(error) => return Ok(vec![failed("redis", error.into())]),
    };
    let mut lines = vec![line("redis", OK, format!("{} answers", client.address()), None)];
    lines.extend(warnings.into_iter().map(|warning| line("redis", WARNING, warning, None)));
    lines.extend(sources.iter().filter_map(|source| pending(&client, source)));
    Ok(lines)
}

/// Nothing to say of a source without a hot tier that Redis has no samples of.
fn pending(client: &HotClient, source: &Source) -> Option<Line> {
    let component = format!("hot tier of {}", source.name);
    let info = match BackendWait.wait("asking Redis for a source", client.info_source(&source.name)) {
        Ok(info) => info,
        Err(error) => return Some(failed(&component, error.into())),
    };
    let detail = format!("{} series, {} samples, {} not yet in the table", info.series, info.samples, info.pending);
    let checked = client.pending(&source.name, None, None, None, Some(0));
    match BackendWait.wait("checking the pending samples of a source", checked) {
        Ok(checked) if checked.left_out.is_empty() => {}
        Ok(checked) => {
            let failure = tiers::damaged(&checked.left_out);
            return Some(failed(&component, Failure { message: format!("{detail}; {}", failure.message), ..failure }));
        }
        Err(error) => return Some(failed(&component, error.into())),
    }
    let Some(hot) = source.hot else {
        let hint = format!(
            "The source takes no samples from Redis, so nobody flushes them. SELECT strata.alter_source({}, hot => '24 hours'); has them flushed.",
            quote::literal(&source.table)
        );
        return (info.pending > 0).then(|| line(component, WARNING, detail, Some(&hint)));
    };
    let age = info.oldest_pending.map_or(0, |oldest| chrono::Utc::now().timestamp_micros() - oldest);
    Some(if age > hot {
        line(component, WARNING, detail, Some("The flush is behind: see strata.job_status."))
    } else {
        line(component, OK, detail, None)
    })
}

fn bigquery(sources: &[Source]) -> Line {
    let Some(source) = sources.iter().find(|source| source.cold.is_some()) else {
        return line("bigquery", OK, "no source has a cold tier", None);
    };
    let ask = || -> Result<()> {
        let client = tiers::cold()?;
        let table = tiers::archive_table(&client, source)?;
        BackendWait.wait("asking BigQuery for a table", client.get_table(&table))?;
        Ok(())
    };
    match ask() {
        Ok(()) => line("bigquery", OK, "the service answers", None),
        Err(failure) => failed("bigquery", failure),
    }
}

fn jobs() -> Result<Vec<Line>> {
    Spi::connect(|client| {
        let rows = client.select(
            "SELECT job, last_status, last_message, last_hint, enabled, failures FROM strata.job_status",
            None,
            &[],
        )?;
        let mut lines = Vec::new();
        for row in rows {
            let component = format!("job {}", row.get::<String>(1)?.unwrap_or_default());
            let status = row.get::<String>(2)?.unwrap_or_default();
            let message = row.get::<String>(3)?;
            let bad = matches!(status.as_str(), "failed" | "crashed");
            let paused = row.get::<bool>(5)? == Some(false);
            let detail = match (&message, paused) {
                (Some(message), _) if bad => format!("{status}: {message}"),
                (_, true) => format!("paused; last run: {status}"),
                _ => status,
            };
            let level = if bad {
                ERROR
            } else if paused {
                WARNING
            } else {
                OK
            };
            lines.push((component, level.to_owned(), detail, row.get::<String>(4)?.filter(|_| bad)));
        }
        Ok(lines)
    })
}

/// What an operator may have changed about an attached table since.
fn table(source: &Source) -> Result<Line> {
    let component = format!("source {}", source.name);
    // refused samples are for operators to read, their number is for everybody
    let user = AsUser::catalog_owner();
    let (triggers, rejected, overdue) = Spi::connect(|client| -> Result<_> {
        let row = client
            .select(
                "SELECT (SELECT count(*) FROM pg_trigger WHERE tgrelid = $1 AND tgenabled <> 'D'
                           AND tgname IN ('strata_note_dirty', 'strata_note_truncate')),
                        (SELECT count(*) FROM strata.rejected_samples WHERE source_id = $2),
                        (SELECT count(*) FROM strata.dirty_days d JOIN strata.sources s USING (source_id)
                         WHERE d.source_id = $2 AND d.consumer = 'archive' AND s.warm IS NOT NULL
                           AND d.day < (now() - s.warm - interval '2 days')::date)",
                Some(1),
                &[source.relation.into(), source.id.into()],
            )?
            .first();
        Ok((row.get::<i64>(1)?.unwrap_or(0), row.get::<i64>(2)?.unwrap_or(0), row.get::<i64>(3)?.unwrap_or(0)))
    })?;
    drop(user);
    if triggers < 2 {
        let hint = "strata.detach the table and attach it again; then changed rows reach rollups and archive.";
        return Ok(line(
            component,
            ERROR,
            format!("triggers of table {} are missing or disabled", source.table),
            Some(hint),
        ));
    }
    if source.owner_id != manifest::owner().as_str() {
        let hint = "If this database is to write it from now on: SELECT strata.take_over_archive('…'); otherwise attach with another table.";
        return Ok(line(component, WARNING, "it belongs to another database, of which this one is a copy", Some(hint)));
    }
    if overdue > 0 {
        let detail = format!("{overdue} days wait for the archive longer than they should");
        return Ok(line(component, WARNING, detail, Some("See strata.job_status for the archive job.")));
    }
    if rejected > 0 {
        return Ok(line(
            component,
            WARNING,
            format!("the table refused {rejected} samples from Redis"),
            Some("SELECT * FROM strata.rejected_samples;"),
        ));
    }
    Ok(line(component, OK, format!("table {}", source.table), None))
}

/// A source of a dropped table is none to the jobs, and its archive may be all that is left of it.
fn dropped_tables() -> Result<Vec<Line>> {
    Spi::connect(|client| {
        let rows = client.select(
            "SELECT s.name, (SELECT count(*) FROM strata.manifest m WHERE m.source_id = s.source_id), s.cold
             FROM strata.sources s WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = s.relation) ORDER BY s.source_id",
            None,
            &[],
        )?;
        let mut lines = Vec::new();
        for row in rows {
            let component = format!("source {}", row.get::<String>(1)?.unwrap_or_default());
            let days = row.get::<i64>(2)?.unwrap_or(0);
            let archive = row.get::<String>(3)?.filter(|_| days > 0);
            let (detail, hint) = match archive {
                Some(archive) => (
                    format!("its table was dropped; {days} days are in {archive}"),
                    "Attach a table with the same columns, name and cold in its place: strata.rows and strata.restore find the days again.",
                ),
                None => (
                    "its table was dropped".to_owned(),
                    "The job cleanup forgets it, unless the table had refused samples.",
                ),
            };
            lines.push(line(component, WARNING, detail, Some(hint)));
        }
        Ok(lines)
    })
}

fn select_text(sql: &str) -> Result<Option<String>> {
    Spi::connect(|client| Ok(client.select(sql, Some(1), &[])?.first().get::<String>(1)?))
}
