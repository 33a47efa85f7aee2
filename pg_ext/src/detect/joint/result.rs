//! The rows that the functions of the joint detector return.

use crate::detect::result_set::ResultSet;
use pgrx::{IntoDatum, pg_sys};
use series::detect::JointReading;
use series::time::Micros;

/// A result with the columns score, is_anomaly, change_score, is_change, reason, *sensor*, reason_value, reason_lower,
/// reason_upper, expected, *change sensor* from some column on, where each *sensor* takes as many columns as its name has.
pub struct JointResult {
    rows: ResultSet,
    first: usize,
    name: usize,
}

/// Columns that do not name a sensor.
const FIXED: usize = 9;

impl JointResult {
    /// `first` is the column of the score.
    ///
    /// # Safety
    /// As [`ResultSet::begin`].
    pub unsafe fn begin(fcinfo: pg_sys::FunctionCallInfo, first: usize) -> Self {
        // SAFETY: as promised by the caller.
        let rows = unsafe { ResultSet::begin(fcinfo) };
        let name = (rows.columns() - first - FIXED) / 2;
        Self { rows, first, name }
    }

    pub fn set_time(&mut self, column: usize, time: Micros) {
        self.rows.set_time(column, Some(time));
    }

    pub fn set_text(&mut self, column: usize, text: Option<&str>) {
        self.rows.set_text(column, text);
    }

    /// Appends a row that nothing is said about: one of the training.
    pub fn put_unjudged(&mut self) {
        (self.first..self.rows.columns()).for_each(|column| self.rows.set(column, None));
        self.rows.put();
    }

    /// Appends a row with its reading; `name` sets the columns from the given one on to the name of a sensor.
    pub fn put(&mut self, reading: &JointReading, name: impl Fn(&mut ResultSet, usize, usize)) {
        let (rows, at) = (&mut self.rows, self.first);
        rows.set_number(at, reading.score);
        rows.set(at + 1, reading.is_anomaly.into_datum());
        rows.set_number(at + 2, reading.change_score);
        rows.set(at + 3, reading.is_change.into_datum());
        let code = reading.reason.map(|reason| rows.code(reason.view.code()));
        rows.set(at + 4, code);
        let numbers = at + 5 + self.name;
        let values = reading.reason.map(|reason| [reason.value, reason.lower, reason.upper, reason.expected]);
        for (i, number) in values.unwrap_or([f64::NAN; 4]).into_iter().enumerate() {
            rows.set_number(numbers + i, number);
        }
        for (column, reason) in [(at + 5, reading.reason), (numbers + 4, reading.change_reason)] {
            match reason {
                Some(reason) => name(rows, column, reason.sensor),
                None => (column..column + self.name).for_each(|column| rows.set(column, None)),
            }
        }
        rows.put();
    }
}
