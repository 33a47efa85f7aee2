use std::collections::BTreeMap;
use std::fs;

use anyhow::{Result, ensure};
use chrono::NaiveDate;
use postgres::Client;
use series::time::{Day, MICROS_PER_DAY};
use strata_servers::paths;

use super::import::instant;
use crate::data::Source;
use crate::report::{self, count};
use crate::table;

/// In a picture.
const SHOWN_DAYS: i64 = 5;

/// One query over the whole period and all tiers: every row counts once, on every day.
pub fn totals(client: &mut Client, source: &Source) -> Result<()> {
    let title = format!("SELECT count(*) FROM strata.rows(NULL::{}, …)", source.table);
    report::step(&title, |_| {
        let (from, to) = source.span();
        let sql = format!(
            "SELECT ({0} AT TIME ZONE 'UTC')::date, count(*), sum({2})
             FROM strata.rows(NULL::{1}, $1, $2) GROUP BY 1 ORDER BY 1",
            source.time_column, source.table, source.measures[0]
        );
        let mut found: BTreeMap<NaiveDate, (i64, f64)> = BTreeMap::new();
        for row in client.query(&sql, &[&instant(from), &instant(to)])? {
            found.insert(row.get(0), (row.get(1), row.get::<_, Option<f64>>(2).unwrap_or(0.0)));
        }
        let sent = sent_per_day(source);
        let total: i64 = found.values().map(|day| day.0).sum();
        ensure!(total as usize == source.rows.len(), "{total} rows came back, {} were sent", source.rows.len());
        for (day, (rows, sum)) in &sent {
            let (found_rows, found_sum) = found.get(day).copied().unwrap_or_default();
            ensure!(found_rows == *rows, "{found_rows} rows of {day} came back, {rows} were sent");
            let tolerance = 1e-9 * sum.abs().max(1.0);
            ensure!((found_sum - sum).abs() <= tolerance, "the sum of {day} is {found_sum}, but {sum} was sent");
        }
        Ok(format!(
            "{} = {} {} sent; the count and the sum of each of the {} days agree too",
            count(total),
            count(source.rows.len()),
            source.noun,
            sent.len()
        ))
    })
}

/// Counted from what was generated, without any of the stores.
fn sent_per_day(source: &Source) -> BTreeMap<NaiveDate, (i64, f64)> {
    let mut days: BTreeMap<NaiveDate, (i64, f64)> = BTreeMap::new();
    for row in &source.rows {
        let day = days.entry(instant(Day::of(row.time).start()).date_naive()).or_default();
        day.0 += 1;
        day.1 += row.values[0].unwrap_or(0.0);
    }
    days
}

/// Where the rows are: only in BigQuery, in the table, only in Redis.
pub fn rows_per_tier(client: &mut Client, source: &Source) -> Result<()> {
    let (from, to) = source.span();
    let shown = format!("SELECT * FROM strata.explain('{}', '{}', '{}');", source.table, date(from), date(to));
    let rows = client.query(
        "SELECT tier, to_char(range_start, 'YYYY-MM-DD HH24:MI'), to_char(range_end, 'YYYY-MM-DD HH24:MI'), rows::text, bytes::text,
                left(regexp_replace(statement, '\\s+', ' ', 'g'), 60) || '…'
         FROM strata.explain($1::text::regclass, $2, $3)",
        &[&source.table, &instant(from), &instant(to)],
    )?;
    table::print(&shown, &["tier", "range_start", "range_end", "rows", "bytes", "statement"], &rows, 12);
    Ok(())
}

/// Mean and p99 of each day, out of all three tiers.
pub fn daily(client: &mut Client, source: &Source, key: &str) -> Result<()> {
    let (from, to) = source.span();
    let measure = source.measures[0];
    let shown = format!(
        "SELECT bucket, count, mean, quantiles[1] AS p99\n FROM strata.buckets('{}', '1 day', '{}', '{}', ARRAY['{key}'], ARRAY['{measure}'], '{{0.99}}');",
        source.table,
        date(from),
        date(to)
    );
    let rows = client.query(
        "SELECT to_char(bucket, 'YYYY-MM-DD'), count::text, round(mean::numeric, 3)::text, round(quantiles[1]::numeric, 2)::text
         FROM strata.buckets($1::text::regclass, '1 day', $2, $3, ARRAY[$4], ARRAY[$5], '{0.99}') ORDER BY bucket",
        &[&source.table, &instant(from), &instant(to), &key, &measure],
    )?;
    ensure!(!rows.is_empty(), "no bucket came back");
    table::print(&shown, &["bucket", "count", "mean", "p99"], &rows, 6);
    Ok(())
}

/// The newest reading of each node, from Redis where it is newer than the table.
pub fn latest(client: &mut Client) -> Result<()> {
    let rows = client.query(
        "SELECT to_char(timestamp, 'YYYY-MM-DD HH24:MI'), node_id, flow_rate::text, pressure::text, temperature::text
         FROM strata.latest(NULL::water_infrastructure.sensor_readings) ORDER BY node_id",
        &[],
    )?;
    let shown = "SELECT timestamp, node_id, flow_rate, pressure, temperature\n FROM strata.latest(NULL::water_infrastructure.sensor_readings);  -- simulated";
    table::print(shown, &["timestamp", "node_id", "flow_rate", "pressure", "temperature"], &rows, 12);
    Ok(())
}

/// What is wrong now, and why.
pub fn open_anomalies(client: &mut Client) -> Result<()> {
    let rows = client.query(
        "SELECT relation::text, key, measure, severity, to_char(started_at, 'YYYY-MM-DD HH24:MI'), why
         FROM strata.open_anomalies",
        &[],
    )?;
    let shown = "SELECT relation, key, measure, severity, started_at, why FROM strata.open_anomalies;";
    table::print(shown, &["relation", "key", "measure", "severity", "started_at", "why"], &rows, 12);
    Ok(())
}

/// What was critical in the last month.
pub fn events(client: &mut Client, source: &Source) -> Result<()> {
    let shown = format!(
        "SELECT key, measure, method, started_at, ended_at, explain ->> 'text' AS why\n FROM strata.anomalies WHERE relation = '{}'::regclass\n   AND severity = 'critical' AND started_at > now() - interval '30 days' AND resolved_at IS NULL ORDER BY started_at;",
        source.table
    );
    let rows = client.query(
        "SELECT key, measure::text, method, to_char(started_at, 'YYYY-MM-DD HH24:MI'), to_char(ended_at, 'YYYY-MM-DD HH24:MI'),
                explain ->> 'text'
         FROM strata.anomalies
         WHERE relation = $1::text::regclass AND severity = 'critical' AND started_at > now() - interval '30 days'
           AND resolved_at IS NULL
         ORDER BY started_at",
        &[&source.table],
    )?;
    ensure!(!rows.is_empty(), "no event is critical");
    table::print(&shown, &["key", "measure", "method", "started_at", "ended_at", "why"], &rows, 24);
    Ok(())
}

/// Draws one measure of a node over the last days of the data; says where the picture is.
pub fn picture(client: &mut Client, source: &Source, key: &str, measure: &str) -> Result<()> {
    let path = paths::target().join(format!("demo/{key}_{measure}.svg"));
    let title = format!("SELECT strata.plot_anomalies('{}', '{key}', '{measure}', …)", source.table);
    report::step(&title, |_| {
        let to = source.rows.last().map_or(0, |row| row.time);
        let svg: String = client
            .query_one(
                "SELECT strata.plot_anomalies($1::text::regclass, $2, $3, $4, $5, 'seasonal')",
                &[&source.table, &key, &measure, &instant(to - SHOWN_DAYS * MICROS_PER_DAY), &instant(to)],
            )?
            .get(0);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, &svg)?;
        Ok(format!("{} ({} bytes)", path.strip_prefix(paths::project()).unwrap_or(&path).display(), svg.len()))
    })
}

/// The state of every component.
pub fn health(client: &mut Client) -> Result<()> {
    let rows = client.query("SELECT component, status, detail, hint FROM strata.health()", &[])?;
    table::print("SELECT * FROM strata.health();", &["component", "status", "detail", "hint"], &rows, 20);
    let bad = rows.iter().filter(|row| row.get::<_, String>(1) == "error").count();
    ensure!(bad == 0, "{bad} components report an error");
    Ok(())
}

fn date(time: i64) -> String {
    instant(time).date_naive().to_string()
}
