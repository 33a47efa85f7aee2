//! `strata.backtest` and `strata.backtest_score`: the events a setting would have raised, and how they fare against labels.

use super::labels::LabelArguments;
use super::outcome::{Label, Outcome, Score, Span};
use super::readings::Readings;
use super::result_set::ResultSet;
use super::setting::Setting;
use crate::failure::{Failure, OrRaise, Result};
use crate::pg_time;
use crate::query::argument;
use crate::snapshot::Snapshot;
use crate::watch::{Found, Watch};
use pgrx::datum::Interval;
use pgrx::{IntoDatum, JsonB, PgSqlErrorCode, pg_guard, pg_sys};
use series::detect::Method;
use series::time::Micros;

#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn strata_backtest(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: the SQL declaration in detection.sql has the arguments of a backtest.
    unsafe {
        let mut result = ResultSet::begin(fcinfo);
        if let Some(backtest) = Backtest::of_call(fcinfo).or_raise() {
            backtest.put_lines(&mut result);
        }
    }
    pg_sys::Datum::from(0)
}

#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn strata_backtest_score(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: the SQL declaration in detection.sql has the arguments of a backtest.
    unsafe {
        let mut result = ResultSet::begin(fcinfo);
        if let Some(backtest) = Backtest::of_call(fcinfo).or_raise() {
            put_score(&mut result, &backtest.outcome.ok_or_else(no_labels).or_raise().score());
        }
    }
    pg_sys::Datum::from(0)
}

fn no_labels() -> Failure {
    Failure::new(PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED, "a score needs labels")
        .detail("Both labels and ranges are NULL.")
        .hint("Give a table of key, start and end as labels, or an array of ranges; strata.backtest needs neither.")
}

/// Events and, where there are labels, what became of both.
struct Backtest {
    method: Method,
    raised: Raised,
    labels: Vec<Label>,
    outcome: Option<Outcome>,
}

/// The events of all series, in the order they were found.
#[derive(Default)]
struct Raised(Vec<(String, String, Found)>);

impl Raised {
    fn spans(&self) -> Vec<Span<'_>> {
        self.0.iter().map(|(key, _, found)| Span { key, start: found.event.start, end: found.event.last }).collect()
    }
}

impl Backtest {
    /// Runs it; `None` where relation or range are NULL.
    ///
    /// # Safety
    /// `fcinfo` is what PostgreSQL passed to a function with the arguments relation, from, to, keys, measures, method,
    /// options, labels, ranges, learn.
    unsafe fn of_call(fcinfo: pg_sys::FunctionCallInfo) -> Result<Option<Self>> {
        // SAFETY: as promised by the caller.
        let (setting, readings, labels) = unsafe {
            let method = argument::<String>(fcinfo, 5);
            let options = argument::<JsonB>(fcinfo, 6);
            let setting = Setting::new(method.as_deref(), options.as_ref().map(|json| &json.0))?;
            let ranges = &*(*fcinfo).args.as_ptr().add(8);
            let labels = LabelArguments {
                table: argument::<pg_sys::Oid>(fcinfo, 7),
                ranges: (!ranges.isnull).then_some(ranges.value),
            };
            (setting, Readings::of_call(fcinfo, 9), labels)
        };
        readings.map(|readings| Self::run(&readings, &setting, &labels)).transpose()
    }

    fn run(readings: &Readings, setting: &Setting, labels: &LabelArguments) -> Result<Self> {
        let snapshot = Snapshot::take();
        let raised = raise(readings, setting, &snapshot)?;
        let Some(mut labels) = labels.read(&snapshot)? else {
            return Ok(Self { method: setting.method, raised, labels: Vec::new(), outcome: None });
        };
        let (from, to) = (readings.from, pg_time::to_bound(readings.to));
        labels.retain(|label| label.start < to && from <= label.end && asked_for(label, readings.keys.as_deref()));
        let outcome = Outcome::of(&raised.spans(), &labels);
        Ok(Self { method: setting.method, raised, labels, outcome: Some(outcome) })
    }

    fn put_lines(&self, result: &mut ResultSet) {
        for (i, (key, measure, found)) in self.raised.0.iter().enumerate() {
            put_event(result, key, measure, self.method, found);
            let outcome = self.outcome.as_ref();
            result.set_text(12, outcome.map(|outcome| if outcome.hits[i] { "hit" } else { "false alarm" }));
            result.set(13, interval(outcome.and_then(|outcome| outcome.delays[i])));
            result.put();
        }
        let found = self.outcome.as_ref().map_or(&[][..], |outcome| &outcome.found);
        for (label, _) in self.labels.iter().zip(found).filter(|(_, found)| found.is_none()) {
            (0..14).for_each(|column| result.set(column, None));
            result.set_text(0, label.key.as_deref());
            result.set_time(3, Some(label.start));
            result.set_time(4, Some(label.end));
            result.set_text(12, Some("missed"));
            result.put();
        }
    }
}

fn asked_for(label: &Label, keys: Option<&[String]>) -> bool {
    match (&label.key, keys) {
        (Some(key), Some(keys)) => keys.contains(key),
        _ => true,
    }
}

/// Watches every series as the job does.
fn raise(readings: &Readings, setting: &Setting, snapshot: &Snapshot) -> Result<Raised> {
    let new = Watch::with_options(setting.method, &setting.options).expect("the setting was checked with them");
    let mut raised = Raised::default();
    let mut watches: Vec<Watch> = Vec::new();
    let mut series: Option<String> = None;
    let end = |key: Option<&str>, watches: &[Watch], raised: &mut Raised| {
        let Some(key) = key else { return };
        for (measure, watch) in readings.measures.iter().zip(watches) {
            raised.0.extend(watch.open().map(|found| (key.to_owned(), measure.clone(), found)));
        }
    };
    readings.each(snapshot, |row| {
        if series.as_deref() != Some(row.key) {
            end(series.as_deref(), &watches, &mut raised);
            series = Some(row.key.to_owned());
            watches = vec![new.clone(); readings.measures.len()];
        }
        for ((watch, measure), value) in watches.iter_mut().zip(&readings.measures).zip(row.values) {
            let found = watch.update(row.time, value.unwrap_or(f64::NAN));
            raised.0.extend(found.map(|found| (row.key.to_owned(), measure.clone(), found)));
        }
        Ok(())
    })?;
    end(series.as_deref(), &watches, &mut raised);
    raised.0.retain(|(_, _, found)| found.event.last >= readings.from);
    Ok(raised)
}

/// The columns of the view strata.anomalies that an event has of itself.
fn put_event(result: &mut ResultSet, key: &str, measure: &str, method: Method, found: &Found) {
    let (event, peak) = (&found.event, &found.event.peak);
    result.set_text(0, Some(key));
    result.set_text(1, Some(measure));
    result.set_text(2, Some(event.severity.name()));
    result.set_time(3, Some(event.start));
    result.set_time(4, found.ended.then_some(event.last));
    result.set_time(5, Some(peak.time));
    for (i, number) in [peak.score, peak.value, peak.expected, peak.lower, peak.upper].into_iter().enumerate() {
        result.set_number(6 + i, number);
    }
    result.set(11, JsonB(found.explain(method)).into_datum());
}

fn put_score(result: &mut ResultSet, score: &Score) {
    let counts =
        [score.events, score.hits, score.events - score.hits, score.labels, score.found, score.labels - score.found];
    for (i, count) in counts.into_iter().enumerate() {
        result.set(i, (count as i64).into_datum());
    }
    for (i, ratio) in [score.precision(), score.recall(), score.f1()].into_iter().enumerate() {
        result.set_number(6 + i, ratio);
    }
    result.set(9, interval(score.mean_delay()));
    result.set(10, interval(score.longest_delay()));
    result.put();
}

fn interval(micros: Option<Micros>) -> Option<pg_sys::Datum> {
    Interval::new(0, 0, micros?).ok().and_then(IntoDatum::into_datum)
}

crate::v1_function!(pg_finfo_strata_backtest);
crate::v1_function!(pg_finfo_strata_backtest_score);
