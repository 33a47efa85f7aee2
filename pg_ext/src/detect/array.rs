//! `strata.detect`: every reading of one series that is given as two arrays, judged in their order.

use super::result_set::ResultSet;
use super::setting::Setting;
use crate::failure::{Failure, OrRaise, Result};
use crate::pg_time;
use crate::query::argument;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::{Array, JsonB, PgSqlErrorCode, check_for_interrupts, pg_guard, pg_sys};

pub const BETWEEN_INTERRUPTS: usize = 4096;

#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn strata_detect(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: the SQL declaration in detection.sql has these four arguments and is strict.
    unsafe {
        let mut result = ResultSet::begin(fcinfo);
        let times = argument::<Array<TimestampWithTimeZone>>(fcinfo, 0);
        let values = argument::<Array<f64>>(fcinfo, 1);
        let method = argument::<String>(fcinfo, 2);
        let options = argument::<JsonB>(fcinfo, 3);
        if let (Some(times), Some(values)) = (times, values) {
            Setting::new(method.as_deref(), options.as_ref().map(|json| &json.0))
                .and_then(|setting| detect(&mut result, &times, &values, &setting))
                .or_raise();
        }
    }
    pg_sys::Datum::from(0)
}

fn detect(
    result: &mut ResultSet,
    times: &Array<TimestampWithTimeZone>,
    values: &Array<f64>,
    setting: &Setting,
) -> Result<()> {
    if times.len() != values.len() {
        return Err(Failure::new(PgSqlErrorCode::ERRCODE_ARRAY_ELEMENT_ERROR, "times and values differ in length")
            .detail(format!("There are {} times and {} values.", times.len(), values.len()))
            .hint("Make both from the same rows: array_agg(time ORDER BY time), array_agg(value ORDER BY time)."));
    }
    let mut detector = setting.detector();
    for (i, (time, value)) in times.iter().zip(values.iter()).enumerate() {
        if i % BETWEEN_INTERRUPTS == 0 {
            check_for_interrupts!();
        }
        let time = time.ok_or_else(|| missing_time(i))?;
        let time = pg_time::micros(time).ok_or_else(|| infinite_time(i))?;
        let reading = detector.update(time, value.unwrap_or(f64::NAN));
        result.set_time(0, Some(time));
        result.set_reading(1, value, &reading);
        result.put();
    }
    Ok(())
}

pub fn missing_time(at: usize) -> Failure {
    Failure::new(PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED, format!("element {} of times is NULL", at + 1))
        .detail("A value may be missing, the time of a reading may not.")
        .hint("Leave such readings out of both arrays: array_agg(…) FILTER (WHERE time IS NOT NULL).")
}

pub fn infinite_time(at: usize) -> Failure {
    Failure::new(PgSqlErrorCode::ERRCODE_DATETIME_FIELD_OVERFLOW, format!("element {} of times is infinite", at + 1))
        .detail("A reading belongs to a moment.")
        .hint("Leave such readings out of both arrays: array_agg(…) FILTER (WHERE isfinite(time)).")
}

crate::v1_function!(pg_finfo_strata_detect);
