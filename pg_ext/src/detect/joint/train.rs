//! `strata.train_joint`: models that detection uses by name.

use super::fit::Rows;
use super::flow::{By, Judge, Plan, not_judged};
use super::options;
use super::refit::caller_if;
use super::sensors::Sensors;
use super::stored::{self, Fitted, Request, check_rights, store};
use crate::attach::check_columns_of;
use crate::detect::readings::Readings;
use crate::detect::setting::invalid;
use crate::failure::{OrRaise, Result};
use crate::pg_time;
use crate::query::{argument, checked_measures};
use crate::snapshot::Snapshot;
use crate::source::Source;
use pgrx::datum::{Interval, TimestampWithTimeZone};
use pgrx::{IntoDatum, JsonB, pg_guard, pg_sys};
use series::detect::JointSettings;
use series::time::Micros;

#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn strata_train_joint(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: the SQL declaration in detection.sql has these eleven arguments.
    unsafe { train_call(fcinfo).or_raise().into_datum().expect("a number is not NULL") }
}

/// # Safety
/// `fcinfo` is what PostgreSQL passed to a function with the arguments relation, name, from, to, keys, measures, by, options,
/// step, hold, refit.
unsafe fn train_call(fcinfo: pg_sys::FunctionCallInfo) -> Result<i32> {
    // SAFETY: as promised by the caller.
    unsafe {
        let missing = || invalid("relation, name, from and to must not be NULL");
        let source = Source::of_relation(argument(fcinfo, 0).ok_or_else(missing)?)?;
        let name = argument::<String>(fcinfo, 1).ok_or_else(missing)?;
        let from = argument::<TimestampWithTimeZone>(fcinfo, 2).ok_or_else(missing)?;
        let to = argument::<TimestampWithTimeZone>(fcinfo, 3).ok_or_else(missing)?;
        let by = argument::<String>(fcinfo, 6).map_or(Ok(By::Key), |by| By::parse(&by))?;
        let step = argument::<Interval>(fcinfo, 8);
        let plan = Plan::new(by, step.as_ref(), argument(fcinfo, 9).unwrap_or(0))?;
        let refit_by = match argument::<bool>(fcinfo, 10) {
            Some(refit) => caller_if(refit)?,
            None => stored::refit_by(&name)?,
        };
        let request = Request {
            name,
            measures: checked_measures(&source, argument(fcinfo, 5))?,
            asked_keys: argument(fcinfo, 4),
            options: argument(fcinfo, 7).unwrap_or(JsonB(serde_json::json!({}))),
            grid: plan.grid,
            from: pg_time::from_bound(from),
            to: pg_time::from_bound(to),
            refit_by,
        };
        let fitted = train(&source, &request, &plan)?;
        store(&source, &request, fitted, true)
    }
}

/// Fits models to the rows that the caller may read.
///
/// # Errors
/// `22023` where no key has enough rows, and those of `strata.rows`.
pub fn train(source: &Source, request: &Request, plan: &Plan) -> Result<Vec<Fitted>> {
    check_rights(source)?;
    check_columns_of(source)?;
    let settings = options::settings(Some(&request.options.0))?;
    let range = (pg_time::timestamptz(request.from), pg_time::timestamptz(request.to));
    let readings = Readings::new(source.clone(), request.measures.clone(), request.asked_keys.clone(), range, 0);
    let mut training = Training { settings, rows: Rows::default(), fitted: Vec::new() };
    plan.run(&readings, &Snapshot::take(), &mut training)?;
    if training.fitted.is_empty() {
        return Err(invalid("there is nothing to train on")
            .detail("No key has 100 rows with a value in the range.")
            .hint("Name a longer range."));
    }
    Ok(training.fitted)
}

struct Training {
    settings: JointSettings,
    rows: Rows,
    fitted: Vec<Fitted>,
}

impl Judge for Training {
    fn begin(&mut self, _: &mut Sensors) -> Result<()> {
        self.rows = Rows::default();
        Ok(())
    }

    fn row(&mut self, _: &mut Sensors, time: Micros, row: &[f64]) -> Result<()> {
        self.rows.push(time, row)
    }

    fn end(&mut self, sensors: &mut Sensors) -> Result<()> {
        self.rows.widen(sensors.len());
        match self.rows.fit(&self.settings) {
            Ok(detector) => self.fitted.push(Fitted {
                group: sensors.group.clone(),
                keys: sensors.keys.clone(),
                rows: self.rows.times.len() as i64,
                bytes: detector.save(),
            }),
            Err(failure) => not_judged(sensors, failure)?,
        }
        Ok(())
    }
}

crate::v1_function!(pg_finfo_strata_train_joint);
