//! The readings of an attached table on their way to the joint detector: grouped, and brought to common rows.

use super::align::{Aligner, Grid};
use super::sensors::Sensors;
use crate::detect::readings::{Order, Readings, Row};
use crate::detect::setting::invalid;
use crate::failure::{Failure, Result};
use crate::pg_time;
use crate::snapshot::Snapshot;
use pgrx::datum::Interval;
use series::time::Micros;

/// What is judged together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The measures of one key.
    Key,
    /// All measures of all keys.
    All,
}

impl By {
    /// # Errors
    /// `22023` for anything but `key` and `all`.
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            "key" => Ok(Self::Key),
            "all" => Ok(Self::All),
            _ => Err(invalid(format!("by must be \"key\" or \"all\", not \"{name}\""))
                .hint("key judges the measures of each node together, all those of all nodes.")),
        }
    }
}

/// A group of sensors and how its readings become rows.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub by: By,
    pub grid: Grid,
}

/// Longest time for which a value may stand in, in rows.
const MOST_HELD: i32 = 10_000;

impl Plan {
    /// # Errors
    /// `22023` for a step that is not positive, and a number of rows to hold that is negative or too large.
    pub fn new(by: By, step: Option<&Interval>, hold: i32) -> Result<Self> {
        let step = step.map(pg_time::interval_micros);
        if step.is_some_and(|step| step <= 0) {
            return Err(invalid("step must be longer than nothing"));
        }
        if !(0..=MOST_HELD).contains(&hold) {
            return Err(invalid(format!("hold must be between 0 and {MOST_HELD} rows, not {hold}")));
        }
        Ok(Self { by, grid: Grid { step, hold: hold as u32 } })
    }

    /// Hands over the rows of each group, in the order of time, after [`Judge::begin`] and before [`Judge::end`].
    ///
    /// # Errors
    /// Those of `strata.rows` and of the judge.
    pub fn run(&self, readings: &Readings, snapshot: &Snapshot, judge: &mut impl Judge) -> Result<()> {
        match self.by {
            By::Key => self.run_by_key(readings, snapshot, judge),
            By::All => {
                let sensors = Sensors::of_keys(readings.keys.as_deref(), &readings.measures);
                let mut group = Group::begin(sensors, self.grid, judge)?;
                readings.each_in(Order::TimeKey, snapshot, |row| group.take(&row, judge))?;
                group.end(judge)
            }
        }
    }

    fn run_by_key(&self, readings: &Readings, snapshot: &Snapshot, judge: &mut impl Judge) -> Result<()> {
        let mut group: Option<Group> = None;
        readings.each_in(Order::KeyTime, snapshot, |row| {
            if group.as_ref().is_none_or(|group| group.sensors.group.as_deref() != Some(row.key)) {
                if let Some(group) = group.take() {
                    group.end(judge)?;
                }
                group = Some(Group::begin(Sensors::of_key(row.key, &readings.measures), self.grid, judge)?);
            }
            group.as_mut().map_or(Ok(()), |group| group.take(&row, judge))
        })?;
        group.map_or(Ok(()), |group| group.end(judge))
    }
}

/// Takes the rows of one group after the other.
pub trait Judge {
    fn begin(&mut self, sensors: &mut Sensors) -> Result<()>;
    /// A row has one value per sensor known so far; NaN is a missing one.
    fn row(&mut self, sensors: &mut Sensors, time: Micros, row: &[f64]) -> Result<()>;
    fn end(&mut self, sensors: &mut Sensors) -> Result<()>;
}

struct Group {
    sensors: Sensors,
    aligner: Aligner,
}

impl Group {
    fn begin(mut sensors: Sensors, grid: Grid, judge: &mut impl Judge) -> Result<Self> {
        judge.begin(&mut sensors)?;
        Ok(Self { sensors, aligner: Aligner::new(grid) })
    }

    fn take(&mut self, row: &Row, judge: &mut impl Judge) -> Result<()> {
        let Some(position) = self.sensors.position(row.key) else { return Ok(()) };
        let sensors = &mut self.sensors;
        self.aligner.take(row.time, position, row.values, &mut |time, row| judge.row(sensors, time, row))
    }

    fn end(mut self, judge: &mut impl Judge) -> Result<()> {
        let sensors = &mut self.sensors;
        self.aligner.end(&mut |time, row| judge.row(sensors, time, row))?;
        judge.end(sensors)?;
        if self.sensors.left_out().is_empty() {
            return Ok(());
        }
        let keys: Vec<&str> = self.sensors.left_out().iter().map(String::as_str).collect();
        Failure::new(
            pgrx::PgSqlErrorCode::ERRCODE_WARNING,
            "some keys are not judged, as training had no rows of them",
        )
        .detail(keys.join(", "))
        .hint("Train on a later time.")
        .warn();
        Ok(())
    }
}

/// Tells that the rows of a group stay without a score; where there is one group alone, it is an error.
///
/// # Errors
/// The failure itself, if all keys are judged together.
pub fn not_judged(sensors: &Sensors, failure: Failure) -> Result<()> {
    let Some(key) = &sensors.group else { return Err(failure) };
    let message = format!("key {key} is not judged: {}", failure.message);
    Failure { code: pgrx::PgSqlErrorCode::ERRCODE_WARNING, message, ..failure }.warn();
    Ok(())
}
