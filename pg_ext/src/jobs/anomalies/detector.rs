//! What watches the measures of a source.

use crate::detect::setting::Setting;
use crate::failure::{Failure, Result};
use crate::pg_time;
use crate::source::Source;
use crate::watch::Watch;
use pgrx::JsonB;
use pgrx::PgSqlErrorCode;
use pgrx::datum::{Interval, TimestampWithTimeZone};
use pgrx::prelude::*;
use pgrx::spi::SpiHeapTupleData;
use series::detect::Method;
use series::event::EventSettings;
use series::time::Micros;

/// One method for one measure.
#[derive(Clone)]
pub struct Detector {
    /// Its place among the source's measures.
    pub measure: usize,
    pub method: Method,
    /// See `strata.detectors.version`; that of the default detector is 1.
    pub version: i32,
    /// Events that are over by then are not raised.
    pub since: Micros,
    /// Where it still is to learn anew.
    pub replay_from: Option<Micros>,
    /// As it has seen nothing.
    pub new: Watch,
}

impl Detector {
    /// The enabled detectors of a source: those of `strata.detectors`, and range novelty for measures without a row for it.
    pub fn of(source: &Source) -> Result<Vec<Self>> {
        let mut detectors = Vec::new();
        let mut by_default = vec![true; source.measures.len()];
        Spi::connect(|client| -> Result<()> {
            let rows = client.select(
                "SELECT measure::text, method, options, warning, critical, hold, since, replay_from, version, enabled
                 FROM strata.detectors WHERE source_id = $1 ORDER BY measure, method",
                None,
                &[source.id.into()],
            )?;
            for row in rows {
                let name: String = required(&row, 1)?;
                let Some(measure) = source.measures.iter().position(|measure| *measure == name) else { continue };
                let method = Setting::method(&required::<String>(&row, 2)?)?;
                by_default[measure] &= method != Method::RangeNovelty;
                if required(&row, 10)? {
                    detectors.push(Self::from_row(&row, measure, method)?);
                }
            }
            Ok(())
        })?;
        for (measure, _) in by_default.iter().enumerate().filter(|(_, by_default)| **by_default) {
            let new = Watch::new(Method::RangeNovelty);
            let method = Method::RangeNovelty;
            detectors.push(Self { measure, method, version: 1, since: pg_time::MIN_TIME, replay_from: None, new });
        }
        Ok(detectors)
    }

    fn from_row(row: &SpiHeapTupleData, measure: usize, method: Method) -> Result<Self> {
        let options: JsonB = required(row, 3)?;
        let setting = Setting::new(Some(method.name()), Some(&options.0))?;
        let events = EventSettings {
            warning: required(row, 4)?,
            critical: required(row, 5)?,
            hold: pg_time::interval_micros(&required::<Interval>(row, 6)?),
            ..EventSettings::of(method)
        };
        Ok(Self {
            measure,
            method,
            version: required(row, 9)?,
            since: pg_time::from_bound(required::<TimestampWithTimeZone>(row, 7)?),
            replay_from: row.get::<TimestampWithTimeZone>(8)?.map(pg_time::from_bound),
            new: Watch::with_settings(method, &setting.options, events).map_err(corrupt)?,
        })
    }

    /// Whether it has to judge though no reading has changed: it still is to learn, or time alone is news to it.
    pub fn has_work_of_its_own(&self) -> bool {
        self.replay_from.is_some() || self.method == Method::Gap
    }

    /// The sources of detectors of which this is true.
    pub fn sources_with_work_of_its_own() -> Result<Vec<i32>> {
        Spi::connect(|client| {
            let rows = client.select(
                "SELECT DISTINCT source_id FROM strata.detectors WHERE enabled AND (replay_from IS NOT NULL OR method = $1)",
                None,
                &[Method::Gap.name().into()],
            )?;
            let mut sources = Vec::new();
            for row in rows {
                sources.extend(row.get::<i32>(1)?);
            }
            Ok(sources)
        })
    }

    pub fn measure<'a>(&self, source: &'a Source) -> &'a str {
        &source.measures[self.measure]
    }
}

fn required<T: FromDatum + IntoDatum>(row: &SpiHeapTupleData, column: usize) -> Result<T> {
    row.get::<T>(column)?.ok_or_else(|| corrupt("a value is missing"))
}

fn corrupt(what: impl Into<String>) -> Failure {
    Failure::new(PgSqlErrorCode::ERRCODE_DATA_CORRUPTED, "a row of strata.detectors makes no sense")
        .detail(what)
        .hint("Set the detector again with strata.set_detector.")
}
