//! `strata.backtest_joint` and `strata.backtest_score_joint`: the alarms of the joint detector as events, and how they fare
//! against labels.

use super::request::{Request, Sink};
use super::sensors::Sensors;
use crate::detect::backtest::{Backtest, Raised};
use crate::detect::labels::LabelArguments;
use crate::detect::outcome::Span;
use crate::detect::result_set::ResultSet;
use crate::failure::{OrRaise, Result};
use crate::snapshot::Snapshot;
use pgrx::{IntoDatum, JsonB, pg_guard, pg_sys};
use series::detect::{JointDetector, JointReading, JointReason, JointView};
use series::event::{EventSettings, JointPart, joint_sentence};
use series::time::Micros;

/// Sensors that the text of an event names.
const NAMED: usize = 3;

/// Where the arguments labels and ranges are, after those of a request.
const LABELS: usize = 12;
const RANGES: usize = 13;

#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn strata_backtest_joint(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: the SQL declaration in detection.sql has the arguments of a request, labels and ranges.
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
unsafe extern "C-unwind" fn strata_backtest_score_joint(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: as above.
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
/// `fcinfo` is what PostgreSQL passed to a function with the arguments of a request, labels and ranges.
unsafe fn of_call(fcinfo: pg_sys::FunctionCallInfo) -> Result<Option<Backtest<Alarm>>> {
    // SAFETY: as promised by the caller.
    let (request, labels) = unsafe { (Request::of_call(fcinfo)?, LabelArguments::of_call(fcinfo, LABELS, RANGES)) };
    let run = |request: Request| {
        let snapshot = Snapshot::take();
        let mut alarms = Alarms::default();
        request.judge(&snapshot, &mut alarms)?;
        alarms.ended.retain(|alarm| alarm.last >= request.readings.from);
        Backtest::of(&request.readings, alarms.ended, &labels, &snapshot)
    };
    request.map(run).transpose()
}

/// An event: the rows of one alarm.
struct Alarm {
    /// The key that is judged alone.
    group: Option<String>,
    start: Micros,
    last: Micros,
    /// False where the rows end before it does.
    ended: bool,
    rows: u64,
    peak: Peak,
}

/// The row with the highest score.
struct Peak {
    time: Micros,
    score: f64,
    reason: Option<Reason>,
    /// Sensors that contribute, that of the reason first.
    parts: Vec<JointPart>,
}

struct Reason {
    key: String,
    measure: String,
    /// Of the sensor.
    value: f64,
    /// The view with its numbers.
    view: JointReason,
}

impl Raised for Alarm {
    fn span(&self) -> Span<'_> {
        Span { key: self.group.as_deref(), start: self.start, end: self.last }
    }

    fn set(&self, line: &mut ResultSet) {
        let reason = self.peak.reason.as_ref();
        let number = |number: fn(&Reason) -> f64| reason.map_or(f64::NAN, number);
        line.set_text(0, reason.map(|reason| reason.key.as_str()).or(self.group.as_deref()));
        line.set_text(1, reason.map(|reason| reason.measure.as_str()));
        line.set_text(2, Some(EventSettings::default().severity(self.peak.score).name()));
        line.set_time(3, Some(self.start));
        line.set_time(4, self.ended.then_some(self.last));
        line.set_time(5, Some(self.peak.time));
        line.set_number(6, self.peak.score);
        line.set_number(7, number(|reason| reason.value));
        line.set_number(8, number(|reason| reason.view.expected));
        line.set_number(9, number(|reason| reason.range()[0]));
        line.set_number(10, number(|reason| reason.range()[1]));
        line.set(11, JsonB(self.explain()).into_datum());
    }
}

impl Reason {
    /// The range of usual values, where the view judges values.
    fn range(&self) -> [f64; 2] {
        if self.view.view == JointView::Value { [self.view.lower, self.view.upper] } else { [f64::NAN; 2] }
    }
}

impl Alarm {
    fn explain(&self) -> serde_json::Value {
        let view = self.peak.reason.as_ref().map(|reason| reason.view);
        let number = |number: fn(&JointReason) -> f64| view.as_ref().map(number).filter(|number| number.is_finite());
        let parts = &self.peak.parts;
        serde_json::json!({
            "text": (!parts.is_empty()).then(|| joint_sentence(parts)),
            "reason": view.map(|view| view.view.code()),
            "value": number(|view| view.value),
            "lower": number(|view| view.lower),
            "upper": number(|view| view.upper),
            "rows_in_alarm": self.rows,
        })
    }
}

/// Folds rows into alarms.
#[derive(Default)]
struct Alarms {
    ended: Vec<Alarm>,
    open: Option<Alarm>,
    group: Option<String>,
    /// Key and measure of each sensor.
    names: Vec<(String, String)>,
}

impl Alarms {
    fn peak(&self, time: Micros, row: &[f64], reading: &JointReading, detector: &JointDetector) -> Peak {
        let others = detector.leading(NAMED).into_iter();
        let others = others.filter(|other| reading.reason.is_some_and(|reason| reason.sensor != other.sensor));
        let parts = reading.reason.into_iter().chain(others).take(NAMED);
        let parts = parts.map(|reason| JointPart {
            name: self.shown_name(reason.sensor),
            measured: row.get(reason.sensor).copied().unwrap_or(f64::NAN),
            reason,
        });
        let parts = parts.collect();
        let reason = reading.reason.map(|view| {
            let (key, measure) = self.names[view.sensor].clone();
            Reason { key, measure, value: row.get(view.sensor).copied().unwrap_or(f64::NAN), view }
        });
        Peak { time, score: reading.score, reason, parts }
    }

    /// The key goes without saying where it is judged alone.
    fn shown_name(&self, sensor: usize) -> String {
        let (key, measure) = &self.names[sensor];
        if self.group.is_some() { measure.clone() } else { format!("{measure} of {key}") }
    }
}

impl Sink for Alarms {
    fn begin(&mut self, group: Option<&str>) {
        self.group = group.map(str::to_owned);
    }

    fn name(&mut self, sensors: &Sensors) {
        self.names = sensors.names().map(|(key, measure)| (key.to_owned(), measure.to_owned())).collect();
    }

    fn unjudged(&mut self, _time: Micros) {}

    fn judged(&mut self, time: Micros, row: &[f64], reading: &JointReading, detector: &JointDetector) {
        if !reading.is_anomaly {
            self.ended.extend(self.open.take().map(|alarm| Alarm { ended: true, ..alarm }));
            return;
        }
        let Some(mut alarm) = self.open.take() else {
            let peak = self.peak(time, row, reading, detector);
            self.open = Some(Alarm { group: self.group.clone(), start: time, last: time, ended: false, rows: 1, peak });
            return;
        };
        alarm.last = time;
        alarm.rows += 1;
        if reading.score > alarm.peak.score {
            alarm.peak = self.peak(time, row, reading, detector);
        }
        self.open = Some(alarm);
    }

    /// What still lasts has no end.
    fn end(&mut self) {
        self.ended.extend(self.open.take());
    }
}

crate::v1_function!(pg_finfo_strata_backtest_joint);
crate::v1_function!(pg_finfo_strata_backtest_score_joint);
