use anyhow::{Result, ensure};
use chrono::{DateTime, Utc};
use postgres::Client;
use series::time::{Day, MICROS_PER_DAY, Micros};

use crate::data::{Row, Source, Way};
use crate::history::{DATASET, History};
use crate::report::{self, count};

/// One statement brings this many days, so that the bar moves.
const DAYS_PER_CALL: i64 = 10;

/// The oldest part: into BigQuery first, as a user's own history, and from there into the table by `strata.import`.
pub fn run(history: &History<'_>, client: &mut Client, sources: &[Source]) -> Result<()> {
    report::step("history that is in BigQuery already", |progress| {
        let total: usize = sources.iter().map(|source| source.of_way(Way::Import).count()).sum();
        let mut before = 0;
        for source in sources {
            let rows: Vec<&Row> = source.of_way(Way::Import).collect();
            history.load(source, &rows, |done| progress.set((before + done) as u64, total as u64))?;
            before += rows.len();
        }
        let parts = sources.iter().map(|source| {
            format!("{} {} in {DATASET}.{}", count(source.of_way(Way::Import).count()), source.noun, source.name)
        });
        Ok(parts.collect::<Vec<_>>().join(", "))
    })?;
    for source in sources {
        report::step(&format!("SELECT strata.import('{}', …)", source.table), |progress| {
            let expected = source.of_way(Way::Import).count() as u64;
            let mut rows = 0;
            for (from, to) in slices(source) {
                let sql = format!("SELECT strata.import('{}', $1, $2, '{DATASET}.{}')", source.table, source.name);
                rows += client.query_one(&sql, &[&instant(from), &instant(to)])?.get::<_, i64>(0) as u64;
                progress.set(rows, expected);
            }
            ensure!(rows == expected, "{rows} rows came, {expected} were there");
            Ok(format!("{} {}", count(rows), source.noun))
        })?;
    }
    Ok(())
}

/// The days of the imported part in pieces.
fn slices(source: &Source) -> Vec<(Micros, Micros)> {
    let mut rows = source.of_way(Way::Import).map(|row| row.time);
    let Some(first) = rows.next() else { return Vec::new() };
    let last = rows.last().unwrap_or(first);
    let end = Day::of(last).end();
    let mut slices = Vec::new();
    let mut from = Day::of(first).start();
    while from < end {
        let to = (from + DAYS_PER_CALL * MICROS_PER_DAY).min(end);
        slices.push((from, to));
        from = to;
    }
    slices
}

/// A time as the PostgreSQL client takes it.
pub fn instant(time: Micros) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(time).unwrap_or_default()
}
