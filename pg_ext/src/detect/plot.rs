//! `strata.plot_anomalies`: one measure of one series as an SVG.

use super::chart::{Chart, Point};
use super::setting::Setting;
use crate::failure::{Failure, OrRaise, Result};
use crate::pg_time;
use crate::query::checked_measures;
use crate::query::measures::MeasureSink;
use crate::query::scan::{Request, Scan};
use crate::shape::TableColumns;
use crate::source::Source;
use crate::watch::Watch;
use pgrx::datum::{Interval, TimestampWithTimeZone};
use pgrx::prelude::*;
use pgrx::{JsonB, PgRelation, PgSqlErrorCode, default};
use series::event::Event;
use series::plan::Tier;
use series::time::Micros;

/// The readings of `[from, to)`; those of `learn` before it, as far as they are not in BigQuery alone, teach the detector.
#[pg_extern(volatile, parallel_unsafe, strict, requires = ["catalog"])]
#[search_path(pg_catalog, pg_temp)]
#[allow(clippy::too_many_arguments)]
fn plot_anomalies(
    relation: PgRelation,
    key: &str,
    measure: &str,
    from: TimestampWithTimeZone,
    to: TimestampWithTimeZone,
    method: default!(&str, "'range_novelty'"),
    options: default!(JsonB, "'{}'"),
    learn: default!(Interval, "'30 days'"),
) -> String {
    let setting = Setting::new(Some(method), Some(&options.0)).or_raise();
    let source = Source::of_relation(relation.oid()).or_raise();
    let range = Range {
        learn: pg_time::interval_micros(&learn).max(0),
        from: pg_time::from_bound(from),
        to: pg_time::to_bound(to),
    };
    svg(&source, key, measure, range, &setting).or_raise()
}

#[derive(Clone, Copy)]
struct Range {
    learn: Micros,
    from: Micros,
    to: Micros,
}

fn svg(source: &Source, key: &str, measure: &str, range: Range, setting: &Setting) -> Result<String> {
    let readings = readings(source, key, measure, range)?;
    let shown: Vec<Micros> =
        readings.iter().filter(|(time, value)| *time >= range.from && !value.is_nan()).map(|(time, _)| *time).collect();
    let (Some(first), Some(last)) = (shown.first(), shown.last()) else {
        return Err(Failure::new(
            PgSqlErrorCode::ERRCODE_NO_DATA_FOUND,
            format!("series \"{key}\" of table {} has no {measure} in this range", source.table),
        )
        .hint("strata.latest(NULL::table) shows the newest reading of each key."));
    };
    let (points, events) = judge(&readings, setting);
    let shown = points.partition_point(|point| point.time < range.from);
    // an open end of the range is where the readings end
    let from = if range.from <= pg_time::MIN_TIME { *first } else { range.from };
    let to = if range.to > pg_time::MAX_TIME { *last } else { range.to };
    let moment = |time: Micros| pg_time::iso(time).chars().take("2026-01-01 00:00".len()).collect::<String>();
    let caption = format!("{} from {} to {} UTC", setting.method, moment(from), moment(to));
    Ok(Chart {
        title: &format!("{measure} of {key}, {}", source.name),
        caption: &caption,
        measure,
        from,
        to: to.max(from + 1),
        points: &points[shown..],
        events: &events,
    }
    .svg())
}

/// Time and value (NaN: missing), in the order of time.
fn readings(source: &Source, key: &str, measure: &str, range: Range) -> Result<Vec<(Micros, f64)>> {
    let measures = checked_measures(source, Some(vec![measure.to_owned()]))?;
    let columns = TableColumns::of(source)?.reduced_to(source, &measures)?;
    let keys = [key.to_owned()];
    let request = |from: Micros| Request { source, columns: &columns, from, to: range.to, keys: Some(&keys) };
    let wanted = range.from.saturating_sub(range.learn).max(pg_time::MIN_TIME);
    let mut scan = Scan::open(request(wanted))?;
    // what only teaches is not worth paying BigQuery for
    let stored_from = scan.plan.of(Tier::Cold).map(|cold| cold.to.min(range.from)).max().unwrap_or(wanted);
    if stored_from > wanted {
        scan = Scan::open(request(stored_from))?;
    }
    let mut readings = Vec::new();
    scan.run(&mut MeasureSink::new(source, &columns, &measures, |time, _: &str, values: &[f64]| {
        readings.push((time, values[0]));
    }))?;
    readings.sort_by_key(|(time, _)| *time);
    Ok(readings)
}

fn judge(readings: &[(Micros, f64)], setting: &Setting) -> (Vec<Point>, Vec<Event>) {
    let mut watch =
        Watch::with_options(setting.method, &setting.options).expect("the setting was checked with these options");
    let (mut points, mut events) = (Vec::with_capacity(readings.len()), Vec::new());
    for (time, value) in readings {
        let (reading, found) = watch.judge(*time, *value);
        events.extend(found.map(|found| found.event));
        points.push(Point {
            time: *time,
            value: *value,
            score: reading.score,
            expected: reading.expected,
            lower: reading.lower,
            upper: reading.upper,
        });
    }
    events.extend(watch.open().map(|found| found.event));
    (points, events)
}
