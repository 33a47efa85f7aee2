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
        if let Some(backtest) = of_call(fcinfo).or_raise() {
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
        if let Some(backtest) = of_call(fcinfo).or_raise() {
            backtest.put_score(&mut result).or_raise();
        }
    }
    pg_sys::Datum::from(0)
}

/// Runs the backtest of a call; `None` where relation or range are NULL.
///
/// # Safety
/// `fcinfo` is what PostgreSQL passed to a function with the arguments relation, from, to, keys, measures, method,
/// options, labels, ranges, learn.
unsafe fn of_call(fcinfo: pg_sys::FunctionCallInfo) -> Result<Option<Backtest<SeriesEvent>>> {
    // SAFETY: as promised by the caller.
    let (setting, readings, labels) = unsafe {
        let method = argument::<String>(fcinfo, 5);
        let options = argument::<JsonB>(fcinfo, 6);
        let setting = Setting::new(method.as_deref(), options.as_ref().map(|json| &json.0))?;
        (setting, Readings::of_call(fcinfo, 9), LabelArguments::of_call(fcinfo, 7, 8))
    };
    let run = |readings: Readings| {
        let snapshot = Snapshot::take();
        let events = raise(&readings, &setting, &snapshot)?;
        Backtest::of(&readings, events, &labels, &snapshot)
    };
    readings.map(run).transpose()
}

/// An event that a setting would have raised.
pub trait Raised {
    fn span(&self) -> Span<'_>;

    /// Sets the first twelve columns of a line: key, measure, severity, started_at, ended_at, peak_at, peak_score,
    /// peak_value, expected, lower, upper, explain.
    fn set(&self, line: &mut ResultSet);
}

/// Columns of a line before outcome and delay.
const OUTCOME: usize = 12;

/// Events, in the order they were found, and, where there are labels, what became of both.
pub struct Backtest<E> {
    events: Vec<E>,
    labels: Vec<Label>,
    outcome: Option<Outcome>,
}

impl<E: Raised> Backtest<E> {
    /// Lays the events of a range beside those of its labels that are of the keys asked for.
    pub fn of(readings: &Readings, events: Vec<E>, labels: &LabelArguments, snapshot: &Snapshot) -> Result<Self> {
        let Some(mut labels) = labels.read(snapshot)? else {
            return Ok(Self { events, labels: Vec::new(), outcome: None });
        };
        let (from, to) = (readings.from, pg_time::to_bound(readings.to));
        labels.retain(|label| label.start < to && from <= label.end && asked_for(label, readings.keys.as_deref()));
        let spans: Vec<Span> = events.iter().map(Raised::span).collect();
        let outcome = Outcome::of(&spans, &labels);
        Ok(Self { events, labels, outcome: Some(outcome) })
    }

    /// A line for each event, and for each label that none meets.
    pub fn put_lines(&self, result: &mut ResultSet) {
        for (i, event) in self.events.iter().enumerate() {
            event.set(result);
            let outcome = self.outcome.as_ref();
            result.set_text(OUTCOME, outcome.map(|outcome| if outcome.hits[i] { "hit" } else { "false alarm" }));
            result.set(OUTCOME + 1, interval(outcome.and_then(|outcome| outcome.delays[i])));
            result.put();
        }
        let found = self.outcome.as_ref().map_or(&[][..], |outcome| &outcome.found);
        for (label, _) in self.labels.iter().zip(found).filter(|(_, found)| found.is_none()) {
            (0..OUTCOME + 2).for_each(|column| result.set(column, None));
            result.set_text(0, label.key.as_deref());
            result.set_time(3, Some(label.start));
            result.set_time(4, Some(label.end));
            result.set_text(OUTCOME, Some("missed"));
            result.put();
        }
    }

    /// One line of counts and ratios.
    ///
    /// # Errors
    /// `22004` without labels.
    pub fn put_score(&self, result: &mut ResultSet) -> Result<()> {
        let outcome = self.outcome.as_ref().ok_or_else(|| {
            Failure::new(PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED, "a score needs labels")
                .detail("Both labels and ranges are NULL.")
                .hint("Give a table of key, start and end as labels, or an array of ranges; a backtest without a score needs neither.")
        })?;
        put_score(result, &outcome.score());
        Ok(())
    }
}

fn asked_for(label: &Label, keys: Option<&[String]>) -> bool {
    match (&label.key, keys) {
        (Some(key), Some(keys)) => keys.contains(key),
        _ => true,
    }
}

/// An event of one measure of one series.
struct SeriesEvent {
    key: String,
    measure: String,
    method: Method,
    found: Found,
}

impl Raised for SeriesEvent {
    fn span(&self) -> Span<'_> {
        Span { key: Some(&self.key), start: self.found.event.start, end: self.found.event.last }
    }

    fn set(&self, line: &mut ResultSet) {
        let (event, peak) = (&self.found.event, &self.found.event.peak);
        line.set_text(0, Some(&self.key));
        line.set_text(1, Some(&self.measure));
        line.set_text(2, Some(event.severity.name()));
        line.set_time(3, Some(event.start));
        line.set_time(4, self.found.ended.then_some(event.last));
        line.set_time(5, Some(peak.time));
        for (i, number) in [peak.score, peak.value, peak.expected, peak.lower, peak.upper].into_iter().enumerate() {
            line.set_number(6 + i, number);
        }
        line.set(11, JsonB(self.found.explain(self.method)).into_datum());
    }
}

/// Watches every series as the job does.
fn raise(readings: &Readings, setting: &Setting, snapshot: &Snapshot) -> Result<Vec<SeriesEvent>> {
    let method = setting.method;
    let new = Watch::with_options(method, &setting.options).expect("the setting was checked with them");
    let mut raised = Vec::new();
    let mut watches: Vec<Watch> = Vec::new();
    let mut series: Option<String> = None;
    let event = |key: &str, measure: &String, found| SeriesEvent {
        key: key.to_owned(),
        measure: measure.clone(),
        method,
        found,
    };
    let end = |key: Option<&str>, watches: &[Watch], raised: &mut Vec<SeriesEvent>| {
        let Some(key) = key else { return };
        for (measure, watch) in readings.measures.iter().zip(watches) {
            raised.extend(watch.open().map(|found| event(key, measure, found)));
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
            raised.extend(found.map(|found| event(row.key, measure, found)));
        }
        Ok(())
    })?;
    end(series.as_deref(), &watches, &mut raised);
    raised.retain(|raised| raised.found.event.last >= readings.from);
    Ok(raised)
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
