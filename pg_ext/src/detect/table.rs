//! `strata.detect_anomalies`: every reading of an attached table's series, judged in order.

use super::readings::Readings;
use super::result_set::ResultSet;
use super::setting::Setting;
use crate::failure::{OrRaise, Result};
use crate::query::argument;
use crate::snapshot::Snapshot;
use pgrx::{IntoDatum, JsonB, pg_guard, pg_sys};
use series::detect::AnyDetector;

#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn strata_detect_anomalies(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: the SQL declaration in detection.sql has these eight arguments.
    unsafe {
        let mut result = ResultSet::begin(fcinfo);
        let method = argument::<String>(fcinfo, 5);
        let options = argument::<JsonB>(fcinfo, 6);
        let setting = Setting::new(method.as_deref(), options.as_ref().map(|json| &json.0)).or_raise();
        if let Some(readings) = Readings::of_call(fcinfo, 7) {
            detect(&mut result, &readings, &setting).or_raise();
        }
    }
    pg_sys::Datum::from(0)
}

fn detect(result: &mut ResultSet, readings: &Readings, setting: &Setting) -> Result<()> {
    let names: Vec<Option<pg_sys::Datum>> =
        readings.measures.iter().map(|measure| measure.as_str().into_datum()).collect();
    let mut detectors: Vec<AnyDetector> = Vec::new();
    let mut series: Option<String> = None;
    readings.each(&Snapshot::take(), |row| {
        if series.as_deref() != Some(row.key) {
            series = Some(row.key.to_owned());
            detectors = names.iter().map(|_| setting.detector()).collect();
            result.set_text(1, Some(row.key));
        }
        result.set_time(0, Some(row.time));
        for ((detector, name), value) in detectors.iter_mut().zip(&names).zip(row.values) {
            let reading = detector.update(row.time, value.unwrap_or(f64::NAN));
            if row.time < readings.from {
                continue;
            }
            result.set(2, *name);
            result.set_reading(3, *value, &reading);
            result.put();
        }
        Ok(())
    })
}

crate::v1_function!(pg_finfo_strata_detect_anomalies);
