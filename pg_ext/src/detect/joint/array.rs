//! `strata.detect_joint`: the rows of several sensors, given as a two-dimensional array, judged in their order.

use super::fit::Rows;
use super::options;
use super::result::JointResult;
use crate::detect::array::{BETWEEN_INTERRUPTS, infinite_time, missing_time};
use crate::detect::setting::invalid;
use crate::failure::{Failure, OrRaise, Result};
use crate::pg_time;
use crate::query::argument;
use pgrx::array::RawArray;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::{Array, FromDatum, IntoDatum, JsonB, PgSqlErrorCode, check_for_interrupts, pg_guard, pg_sys};
use series::detect::JointSettings;
use series::time::Micros;
use std::ptr::NonNull;

const SCORE: usize = 1;

#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn strata_detect_joint(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: the SQL declaration in detection.sql has these four arguments and is strict.
    unsafe {
        let mut result = JointResult::begin(fcinfo, SCORE);
        let options = argument::<JsonB>(fcinfo, 3);
        let times = argument::<Array<TimestampWithTimeZone>>(fcinfo, 0);
        let training = argument::<i32>(fcinfo, 2);
        if let (Some(times), Some(training)) = (times, training) {
            options::settings(options.as_ref().map(|json| &json.0))
                .and_then(|settings| {
                    let table = Table::of_argument(fcinfo, 1, &times)?;
                    detect(&mut result, &table, training, &settings)
                })
                .or_raise();
        }
    }
    pg_sys::Datum::from(0)
}

/// A row of sensors per time.
struct Table {
    times: Vec<Micros>,
    /// Row by row; NaN where a value is missing.
    values: Vec<f64>,
    sensors: usize,
}

impl Table {
    /// # Safety
    /// The argument of that number is an array of float8 and not NULL.
    unsafe fn of_argument(
        fcinfo: pg_sys::FunctionCallInfo,
        number: usize,
        times: &Array<TimestampWithTimeZone>,
    ) -> Result<Self> {
        // SAFETY: a detoasted array stays where it is through the call, and is read as the type it has.
        let (dimensions, values) = unsafe {
            let datum = (*fcinfo).args.as_ptr().add(number).read().value;
            let array = pg_sys::pg_detoast_datum(datum.cast_mut_ptr()).cast::<pg_sys::ArrayType>();
            let dimensions = RawArray::from_ptr(NonNull::new_unchecked(array)).dims().to_vec();
            (dimensions, Array::<f64>::from_datum(pg_sys::Datum::from(array), false).expect("the argument is not NULL"))
        };
        let (rows, sensors) = match dimensions[..] {
            [] => (0, 0),
            [rows, sensors] => (rows as usize, sensors as usize),
            _ => return Err(not_a_table(dimensions.len())),
        };
        if rows != times.len() {
            return Err(Failure::new(PgSqlErrorCode::ERRCODE_ARRAY_ELEMENT_ERROR, "times and values differ in length")
                .detail(format!("There are {} times and {rows} rows of values.", times.len()))
                .hint("Make both from the same rows: array_agg(time ORDER BY time), array_agg(ARRAY[a, b] ORDER BY time)."));
        }
        let times = times.iter().enumerate().map(|(i, time)| {
            let time = time.ok_or_else(|| missing_time(i))?;
            pg_time::micros(time).ok_or_else(|| infinite_time(i))
        });
        let times = times.collect::<Result<_>>()?;
        let values = values.iter().map(|value| value.unwrap_or(f64::NAN)).collect();
        Ok(Self { times, values, sensors })
    }
}

fn not_a_table(dimensions: usize) -> Failure {
    Failure::new(PgSqlErrorCode::ERRCODE_ARRAY_ELEMENT_ERROR, "values must have two dimensions: rows and sensors")
        .detail(format!("The array has {dimensions}."))
        .hint(
            "array_agg(ARRAY[a, b, c] ORDER BY time) makes such an array of columns; strata.detect judges one series.",
        )
}

fn detect(result: &mut JointResult, table: &Table, training: i32, settings: &JointSettings) -> Result<()> {
    let Table { times, values, sensors } = table;
    if times.is_empty() {
        return Ok(());
    }
    let training = usize::try_from(training).ok().filter(|training| *training <= times.len()).ok_or_else(|| {
        invalid("training must be a number of the rows given")
            .detail(format!("It is {training}, and there are {} rows.", times.len()))
    })?;
    let (first, rest) = values.split_at(training * sensors);
    let rows = Rows { times: times[..training].to_vec(), values: first.to_vec(), width: *sensors };
    let mut detector = rows.fit(settings)?;
    for time in &times[..training] {
        result.set_time(0, *time);
        result.put_unjudged();
    }
    for (i, (time, row)) in times[training..].iter().zip(rest.chunks_exact(*sensors)).enumerate() {
        if i % BETWEEN_INTERRUPTS == 0 {
            check_for_interrupts!();
        }
        let reading = detector.update(*time, row);
        result.set_time(0, *time);
        result.put(&reading, |result, column, sensor| {
            result.set(column, (sensor as i32 + 1).into_datum());
        });
    }
    Ok(())
}

crate::v1_function!(pg_finfo_strata_detect_joint);
