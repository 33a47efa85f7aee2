//! What a call over an attached table asks of the joint detector, and the judging of the rows.

use super::fit::Rows;
use super::flow::{By, Judge, Plan, not_judged};
use super::options;
use super::sensors::Sensors;
use super::stored::StoredModel;
use crate::detect::readings::Readings;
use crate::detect::setting::invalid;
use crate::failure::Result;
use crate::pg_time;
use crate::query::{argument, checked_measures};
use crate::snapshot::Snapshot;
use crate::source::Source;
use pgrx::datum::Interval;
use pgrx::{JsonB, pg_sys};
use series::detect::{JointDetector, JointReading, JointSettings};
use series::time::{MICROS_PER_DAY, Micros};

/// What a detector is fitted to unless the caller says otherwise.
const TRAINING: Micros = 30 * MICROS_PER_DAY;
/// A stored model sees that much before the range, so that it does not begin with what it last saw.
const LEAD_IN: Micros = MICROS_PER_DAY;

/// Takes what is found, group after group.
pub trait Sink {
    /// The key that is judged alone, if it is one.
    fn begin(&mut self, group: Option<&str>);
    /// The sensors of the rows that follow.
    fn name(&mut self, sensors: &Sensors);
    /// A row of the range that is of the training, or has no detector.
    fn unjudged(&mut self, time: Micros);
    /// A row with one value per sensor; before the range only those of a stored model.
    fn judged(&mut self, time: Micros, row: &[f64], reading: &JointReading, detector: &JointDetector);
    fn end(&mut self);
}

pub struct Request {
    pub readings: Readings,
    plan: Plan,
    detector: Origin,
}

/// Where detectors come from.
enum Origin {
    /// Fitted to the rows before the range, or to so many of its first rows.
    Fit {
        settings: JointSettings,
        rows: Option<usize>,
    },
    Stored(Vec<StoredModel>),
}

impl Request {
    /// `None` where relation or range are NULL.
    ///
    /// # Safety
    /// `fcinfo` is what PostgreSQL passed to a function whose first arguments are relation, from, to, keys, measures, by, training,
    /// training_rows, options, step, hold, model.
    pub unsafe fn of_call(fcinfo: pg_sys::FunctionCallInfo) -> Result<Option<Self>> {
        // SAFETY: as promised by the caller.
        unsafe {
            let Some(relation) = argument::<pg_sys::Oid>(fcinfo, 0) else { return Ok(None) };
            let (Some(from), Some(to)) = (argument(fcinfo, 1), argument(fcinfo, 2)) else { return Ok(None) };
            let source = Source::of_relation(relation)?;
            let (keys, measures) = (argument::<Vec<String>>(fcinfo, 3), argument::<Vec<String>>(fcinfo, 4));
            let by = argument::<String>(fcinfo, 5).map_or(Ok(By::Key), |by| By::parse(&by))?;
            let training = argument::<Interval>(fcinfo, 6).map(|training| pg_time::interval_micros(&training));
            let rows = argument::<i32>(fcinfo, 7);
            let options = argument::<JsonB>(fcinfo, 8);
            let step = argument::<Interval>(fcinfo, 9);
            let hold = argument::<i32>(fcinfo, 10).unwrap_or(0);
            if training.is_some_and(|training| training < 0) || rows.is_some_and(|rows| rows < 0) {
                return Err(invalid("training must not be negative"));
            }
            if let Some(name) = argument::<String>(fcinfo, 11) {
                let has_options = options.is_some_and(|options| options.0.as_object().is_none_or(|o| !o.is_empty()));
                if measures.is_some() || rows.is_some() || has_options || step.is_some() {
                    return Err(invalid("a stored model has measures, options, step and training of its own")
                        .hint("Leave them out, or train another model: SELECT strata.train_joint(…)."));
                }
                let stored = StoredModel::all(&source, &name)?;
                let before = training.unwrap_or(LEAD_IN);
                return Self::with_models(source, stored, keys, (from, to), before).map(Some);
            }
            let settings = options::settings(options.as_ref().map(|json| &json.0))?;
            let plan = Plan::new(by, step.as_ref(), hold)?;
            let rows = rows.map(|rows| rows as usize);
            let before = if rows.is_some() { 0 } else { training.unwrap_or(TRAINING) };
            let measures = checked_measures(&source, measures)?;
            let readings = Readings::new(source, measures, keys, (from, to), before);
            Ok(Some(Self { readings, plan, detector: Origin::Fit { settings, rows } }))
        }
    }

    fn with_models(
        source: Source,
        stored: Vec<StoredModel>,
        keys: Option<Vec<String>>,
        range: (pgrx::datum::TimestampWithTimeZone, pgrx::datum::TimestampWithTimeZone),
        before: Micros,
    ) -> Result<Self> {
        let first = &stored[0];
        let plan = Plan { by: first.by(), grid: first.grid };
        if plan.by == By::All && keys.is_some() {
            return Err(invalid("a stored model of all keys has keys of its own").hint("Leave keys out."));
        }
        let measures = checked_measures(&source, Some(first.measures.clone()))?;
        let keys = match plan.by {
            By::All => Some(first.keys.clone()),
            By::Key => keys.or_else(|| first.asked_keys.clone()),
        };
        let readings = Readings::new(source, measures, keys, range, before);
        Ok(Self { readings, plan, detector: Origin::Stored(stored) })
    }

    pub fn judge(&self, snapshot: &Snapshot, sink: &mut impl Sink) -> Result<()> {
        let mut detection = Detection { request: self, sink, state: State::Unjudged };
        self.plan.run(&self.readings, snapshot, &mut detection)
    }
}

/// Where a group stands.
enum State {
    Training(Rows),
    Judging(Box<JointDetector>),
    Unjudged,
}

struct Detection<'a, S> {
    request: &'a Request,
    sink: &'a mut S,
    state: State,
}

impl<S: Sink> Judge for Detection<'_, S> {
    fn begin(&mut self, sensors: &mut Sensors) -> Result<()> {
        self.sink.begin(sensors.group.as_deref());
        let Origin::Stored(models) = &self.request.detector else {
            self.state = State::Training(Rows::default());
            return Ok(());
        };
        match models.iter().find(|model| model.group == sensors.group) {
            Some(model) => self.state = State::Judging(Box::new(model.detector()?)),
            None => {
                self.state = State::Unjudged;
                not_judged(sensors, invalid("the model was not trained on it").hint("Refit it: strata.refit_joint."))?;
            }
        }
        self.sink.name(sensors);
        Ok(())
    }

    fn row(&mut self, sensors: &mut Sensors, time: Micros, row: &[f64]) -> Result<()> {
        let shown = time >= self.request.readings.from;
        if let State::Training(rows) = &mut self.state {
            if self.request.trains(rows, shown) {
                if shown {
                    self.sink.unjudged(time);
                }
                return rows.push(time, row);
            }
            self.fit(sensors)?;
        }
        match &mut self.state {
            State::Judging(detector) => {
                let reading = detector.update(time, row);
                self.sink.judged(time, row, &reading, detector);
            }
            _ if shown => self.sink.unjudged(time),
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, sensors: &mut Sensors) -> Result<()> {
        self.sink.end();
        match (&self.state, &self.request.detector) {
            (State::Training(rows), Origin::Fit { rows: Some(wanted), .. }) if rows.times.len() < *wanted => {
                let found = rows.times.len();
                not_judged(sensors, invalid(format!("training takes {wanted} rows, the range has {found}")))
            }
            _ => Ok(()),
        }
    }
}

impl Request {
    fn trains(&self, rows: &Rows, shown: bool) -> bool {
        match &self.detector {
            Origin::Fit { rows: Some(wanted), .. } => rows.times.len() < *wanted,
            _ => !shown,
        }
    }
}

impl<S: Sink> Detection<'_, S> {
    fn fit(&mut self, sensors: &mut Sensors) -> Result<()> {
        let state = std::mem::replace(&mut self.state, State::Unjudged);
        let (State::Training(mut rows), Origin::Fit { settings, .. }) = (state, &self.request.detector) else {
            return Ok(());
        };
        sensors.complete();
        self.sink.name(sensors);
        rows.widen(sensors.len());
        match rows.fit(settings) {
            Ok(detector) => self.state = State::Judging(Box::new(detector)),
            Err(failure) => not_judged(sensors, failure)?,
        }
        Ok(())
    }
}
