//! The rows of a set-returning function, written to a tuplestore as they are made.

use crate::pg_time;
use pgrx::{IntoDatum, pg_sys};
use series::detect::Reading;
use series::time::Micros;

pub struct ResultSet {
    store: *mut pg_sys::Tuplestorestate,
    descriptor: pg_sys::TupleDesc,
    values: Vec<pg_sys::Datum>,
    nulls: Vec<bool>,
    reasons: Vec<(&'static str, pg_sys::Datum)>,
}

impl ResultSet {
    /// Prepares the result of a function that is declared as `RETURNS TABLE (…)`; raises an error where the caller
    /// takes no set.
    ///
    /// # Safety
    /// `fcinfo` is what PostgreSQL passed to the function.
    pub unsafe fn begin(fcinfo: pg_sys::FunctionCallInfo) -> Self {
        // SAFETY: after InitMaterializedSRF the call's ReturnSetInfo holds a tuplestore and its descriptor.
        unsafe {
            pg_sys::InitMaterializedSRF(fcinfo, 0);
            let info = (*fcinfo).resultinfo.cast::<pg_sys::ReturnSetInfo>();
            let (store, descriptor) = ((*info).setResult, (*info).setDesc);
            let columns = (*descriptor).natts as usize;
            Self {
                store,
                descriptor,
                values: vec![pg_sys::Datum::from(0); columns],
                nulls: vec![true; columns],
                reasons: Vec::new(),
            }
        }
    }

    pub fn columns(&self) -> usize {
        self.values.len()
    }

    /// Sets a column of the row at hand, counted from 0. A column keeps its value until it is set again; memory that the
    /// datum points to must live as long.
    pub fn set(&mut self, column: usize, datum: Option<pg_sys::Datum>) {
        self.nulls[column] = datum.is_none();
        self.values[column] = datum.unwrap_or(pg_sys::Datum::from(0));
    }

    /// NaN, a number that is not known, becomes NULL.
    pub fn set_number(&mut self, column: usize, number: f64) {
        self.set(column, if number.is_nan() { None } else { number.into_datum() });
    }

    pub fn set_time(&mut self, column: usize, time: Option<Micros>) {
        self.set(column, time.and_then(|time| pg_time::raw_timestamptz(time).into_datum()));
    }

    pub fn set_text(&mut self, column: usize, text: Option<&str>) {
        self.set(column, text.and_then(IntoDatum::into_datum));
    }

    /// From `column` on: value, score, expected, lower, upper, is_anomaly, reason, reason_value, reason_lower,
    /// reason_upper.
    pub fn set_reading(&mut self, column: usize, value: Option<f64>, reading: &Reading) {
        self.set(column, value.and_then(IntoDatum::into_datum));
        for (i, number) in [reading.score, reading.expected, reading.lower, reading.upper].into_iter().enumerate() {
            self.set_number(column + 1 + i, number);
        }
        self.set(column + 5, reading.is_anomaly.into_datum());
        let code = reading.reason.map(|reason| self.code(reason.code));
        self.set(column + 6, code);
        let numbers = reading.reason.map_or([f64::NAN; 3], |reason| [reason.value, reason.lower, reason.upper]);
        for (i, number) in numbers.into_iter().enumerate() {
            self.set_number(column + 7 + i, number);
        }
    }

    /// A reason's name as text, made once: there are few, and many readings may have them.
    pub fn code(&mut self, code: &'static str) -> pg_sys::Datum {
        if let Some((_, datum)) = self.reasons.iter().find(|(known, _)| *known == code) {
            return *datum;
        }
        let datum = code.into_datum().expect("a text is not NULL");
        self.reasons.push((code, datum));
        datum
    }

    /// Appends the row at hand.
    pub fn put(&mut self) {
        // SAFETY: values and nulls have one entry per attribute; the tuplestore copies the row.
        unsafe {
            pg_sys::tuplestore_putvalues(
                self.store,
                self.descriptor,
                self.values.as_ptr().cast_mut(),
                self.nulls.as_ptr().cast_mut(),
            );
        }
    }
}
