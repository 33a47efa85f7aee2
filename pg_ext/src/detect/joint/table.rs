//! `strata.detect_anomalies_joint`: measures of an attached table, judged together.

use super::request::{Request, Sink};
use super::result::JointResult;
use super::sensors::Sensors;
use crate::detect::result_set::ResultSet;
use crate::failure::OrRaise;
use crate::snapshot::Snapshot;
use pgrx::{IntoDatum, pg_guard, pg_sys};
use series::detect::{JointDetector, JointReading};
use series::time::Micros;

const KEY: usize = 1;
const SCORE: usize = 2;

#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn strata_detect_anomalies_joint(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: the SQL declaration in detection.sql has the arguments of a request.
    unsafe {
        let result = JointResult::begin(fcinfo, SCORE);
        if let Some(request) = Request::of_call(fcinfo).or_raise() {
            let mut lines = Lines { result, from: request.readings.from, names: Vec::new() };
            request.judge(&Snapshot::take(), &mut lines).or_raise();
        }
    }
    pg_sys::Datum::from(0)
}

/// A line for each row of the range.
struct Lines {
    result: JointResult,
    from: Micros,
    /// Key and measure of each sensor.
    names: Vec<[Option<pg_sys::Datum>; 2]>,
}

impl Sink for Lines {
    fn begin(&mut self, group: Option<&str>) {
        self.result.set_text(KEY, group);
    }

    fn name(&mut self, sensors: &Sensors) {
        self.names = sensors.names().map(|(key, measure)| [key.into_datum(), measure.into_datum()]).collect();
    }

    fn unjudged(&mut self, time: Micros) {
        self.result.set_time(0, time);
        self.result.put_unjudged();
    }

    fn judged(&mut self, time: Micros, _: &[f64], reading: &JointReading, _: &JointDetector) {
        if time < self.from {
            return;
        }
        self.result.set_time(0, time);
        let names = &self.names;
        self.result.put(reading, |result: &mut ResultSet, column, sensor| {
            for (i, name) in names[sensor].iter().enumerate() {
                result.set(column + i, *name);
            }
        });
    }

    fn end(&mut self) {}
}

crate::v1_function!(pg_finfo_strata_detect_anomalies_joint);
