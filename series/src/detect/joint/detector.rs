//! Judges rows one by one against a model.

use super::alarm::{Alarm, Crossing};
use super::envelope::{Outside, States};
use super::level::{Level, Movement};
use super::model::begin;
use super::predictor::{Innovations, Kind, Past, STEP_LIMIT};
use super::reading::{JointReading, JointReason, JointView};
use super::stepwise::Pause;
use super::{JointError, JointModel, JointSettings};
use crate::bytes::{DecodeError, Reader, put_f64s};
use crate::detect::MAX_SCORE;
use crate::detect::contract::{Admission, Admitted};
use crate::time::Micros;

/// The first bytes of a saved detector.
const DETECTOR_TAG: u8 = b'J';
const VERSION: u8 = 1;

/// A usual range is this many standard deviations to either side.
const USUAL_DEVIATIONS: f64 = 3.0;

/// A model and where it stands in the stream of rows.
#[derive(Debug, Clone)]
pub struct JointDetector {
    model: JointModel,
    admission: Vec<Admission>,
    past: Past,
    level: Level,
    movement: Movement,
    states: States,
    alarm: Alarm,
    crossing: Crossing,
    scratch: Scratch,
}

/// What is overwritten with every row, kept so that judging one allocates nothing.
#[derive(Debug, Clone)]
struct Scratch {
    row: Vec<f64>,
    parts: Innovations,
    clipped: Vec<f64>,
    /// The values, then the limited innovations, as the envelope reads them.
    views: Vec<f64>,
}

/// What a row that has a value is judged to be.
struct Judged {
    score: f64,
    change_score: f64,
    outside: Option<Outside>,
}

impl JointDetector {
    /// A detector that has seen no row yet. Its first rows are judged as if everything had been at its mean before;
    /// [`JointDetector::warm_up`] with the last training rows does better.
    pub fn new(model: JointModel) -> JointDetector {
        let p = model.sensors();
        JointDetector {
            admission: vec![Admission::default(); p],
            past: model.predictor.new_past(),
            level: Level::new(&model.level),
            movement: Movement::new(p),
            states: model.envelope.as_ref().map(|envelope| envelope.new_states()).unwrap_or_default(),
            alarm: Alarm::default(),
            crossing: Crossing::new(),
            scratch: Scratch::new(p),
            model,
        }
    }

    /// Fits a model to a training window and warms a detector up with the same rows, so that it goes on after them.
    /// Arguments and errors are those of [`JointModel::fit`].
    pub fn train(
        times: &[Micros],
        rows: &[f64],
        sensors: usize,
        settings: &JointSettings,
    ) -> Result<JointDetector, JointError> {
        JointDetector::train_in_steps(times, rows, sensors, settings, &mut || {})
    }

    /// As [`JointDetector::train`], and calls `pause` as [`JointModel::fit_in_steps`] does.
    pub fn train_in_steps(
        times: &[Micros],
        rows: &[f64],
        sensors: usize,
        settings: &JointSettings,
        pause: Pause<'_>,
    ) -> Result<JointDetector, JointError> {
        let mut detector = JointDetector::new(JointModel::fit_in_steps(times, rows, sensors, settings, pause)?);
        for (&time, row) in times.iter().zip(rows.chunks_exact(sensors)) {
            pause();
            detector.warm_up(time, row);
        }
        Ok(detector)
    }

    /// The same settings fitted anew to the rows of a later window, and warmed up with them. An alarm that is on stays on.
    /// Arguments and errors are those of [`JointModel::fit`].
    pub fn refit(&self, times: &[Micros], rows: &[f64]) -> Result<JointDetector, JointError> {
        let mut detector = JointDetector::train(times, rows, self.model.sensors(), &self.model.settings)?;
        detector.alarm = self.alarm.clone();
        detector.crossing = self.crossing.clone();
        Ok(detector)
    }

    /// The model as it is now, with what was learned since the training.
    pub fn model(&self) -> &JointModel {
        &self.model
    }

    /// Moves on by a row that is known to be usual: raises no alarm, learns nothing.
    pub fn warm_up(&mut self, time: Micros, row: &[f64]) {
        self.admit(row);
        if self.scratch.has_value() {
            self.judge(time);
        }
    }

    /// Judges one row, then learns from it. A row that is too short lacks its last sensors, one that is too long is read as
    /// far as the model has sensors.
    pub fn update(&mut self, time: Micros, row: &[f64]) -> JointReading {
        let infinite = self.admit(row);
        let has_value = self.scratch.has_value();
        let mut reading = if has_value { self.live(time) } else { self.as_before() };
        if let Some((sensor, value)) = infinite {
            let expected = if has_value { self.scratch.parts.expected[sensor] } else { f64::NAN };
            let (lower, upper) = (f64::NAN, f64::NAN);
            reading.score = MAX_SCORE;
            reading.is_anomaly = true;
            reading.reason = Some(JointReason { view: JointView::Infinite, sensor, value, lower, upper, expected });
        }
        reading
    }

    /// Applies the contract's rules on values; the first infinite sensor and its value.
    fn admit(&mut self, row: &[f64]) -> Option<(usize, f64)> {
        let mut infinite = None;
        for (j, (cell, admission)) in self.scratch.row.iter_mut().zip(&mut self.admission).enumerate() {
            *cell = f64::NAN;
            let value = row.get(j).copied().unwrap_or(f64::NAN);
            if self.model.predictor.kinds[j] == Kind::Unseen {
                continue;
            }
            match admission.admit(value) {
                Admitted::Value(value) => *cell = value,
                Admitted::Missing => {}
                Admitted::Infinite(value) => infinite = infinite.or(Some((j, value))),
            }
        }
        infinite
    }

    /// The scores of the admitted row.
    fn judge(&mut self, time: Micros) -> Judged {
        let JointModel { settings, predictor, .. } = &self.model;
        let Scratch { row, parts, clipped, views } = &mut self.scratch;
        predictor.advance(&mut self.past, time, row, parts);
        for (clipped, r) in clipped.iter_mut().zip(&parts.innovations) {
            *clipped = r.clamp(-settings.clip, settings.clip);
        }
        let distance = self.level.distance(clipped, &self.model.level, settings);
        let level_score = if settings.level { distance / self.model.level_line } else { 0.0 };
        let (mut score, mut outside) = (level_score, None);
        if let Some(envelope) = &self.model.envelope {
            let (values, limited) = views.split_at_mut(row.len());
            for (j, x) in row.iter().enumerate() {
                let missing = x.is_nan();
                values[j] = if missing { f64::NAN } else { parts.values[j] };
                limited[j] = if missing { f64::NAN } else { parts.innovations[j].clamp(-STEP_LIMIT, STEP_LIMIT) };
            }
            let excess;
            (excess, outside) = envelope.excess(predictor, &mut self.states, row, views, level_score);
            score = score.max(excess);
        }
        let moved = self.movement.distance(clipped, &self.model.change, settings);
        let change_score = moved / self.model.change_line;
        Judged { score: finite(score), change_score: finite(change_score), outside }
    }

    fn live(&mut self, time: Micros) -> JointReading {
        let Judged { score, change_score, outside } = self.judge(time);
        let is_change = self.crossing.is_change(change_score, self.model.settings.change_spacing);
        if self.alarm.settles(score, &self.model.settings) {
            self.level.settle(&self.model.level);
        }
        let is_anomaly = self.alarm.on;
        let reading = JointReading {
            score: score.min(MAX_SCORE),
            change_score: change_score.min(MAX_SCORE),
            is_anomaly,
            is_change,
            reason: is_anomaly.then(|| self.reason(outside)),
            change_reason: is_change.then(|| self.change_reason()),
        };
        self.learn(score);
        reading
    }

    /// A row without any value tells nothing: an alarm goes on, none begins.
    fn as_before(&self) -> JointReading {
        JointReading {
            score: 0.0,
            change_score: 0.0,
            is_anomaly: self.alarm.on,
            is_change: false,
            reason: None,
            change_reason: None,
        }
    }

    /// What is outside of alarms and below the line is usual, unless an alarm follows.
    fn learn(&mut self, score: f64) {
        let JointModel { settings, usual, level, .. } = &mut self.model;
        let Some(usual) = usual else { return };
        if self.alarm.on {
            usual.forget_waiting();
        } else if score < 1.0 {
            let row = self.level.at_usual_level().zip(&self.scratch.row);
            usual.take(settings, row.map(|(smoothed, x)| if x.is_nan() { f64::NAN } else { smoothed }), level);
        }
    }

    fn reason(&self, outside: Option<Outside>) -> JointReason {
        let predictor = &self.model.predictor;
        let expected = &self.scratch.parts.expected;
        let Some(Outside { view, lower, upper }) = outside else {
            return self.level_of(self.level.furthest(&self.model.level));
        };
        let p = predictor.sensors();
        let (view, sensor) = if view < p { (JointView::Value, view) } else { (JointView::Deviation, view - p) };
        let (value, base, unit) = match view {
            JointView::Value => (self.scratch.row[sensor], predictor.mean[sensor], predictor.deviation[sensor]),
            _ => {
                let unit = predictor.unit(sensor);
                (self.scratch.parts.innovations[sensor] * unit, 0.0, unit)
            }
        };
        let (lower, upper) = (base + lower * unit, base + upper * unit);
        JointReason { view, sensor, value, lower, upper, expected: expected[sensor] }
    }

    /// The sensors that are out of the usual range of their level after the last row, furthest first, `most` at most.
    pub fn leading(&self, most: usize) -> Vec<JointReason> {
        let distance = |sensor: usize| self.level.distance_of(sensor, &self.model.level);
        let mut sensors: Vec<usize> =
            (0..self.model.sensors()).filter(|&sensor| distance(sensor) > USUAL_DEVIATIONS).collect();
        sensors.sort_by(|&a, &b| distance(b).total_cmp(&distance(a)));
        sensors.truncate(most);
        sensors.into_iter().map(|sensor| self.level_of(sensor)).collect()
    }

    fn level_of(&self, sensor: usize) -> JointReason {
        let usual = &self.model.level;
        let (smoothed, known) = self.level.of(sensor, usual);
        let unit = self.model.predictor.unit(sensor);
        let reach = USUAL_DEVIATIONS * usual.deviation[sensor];
        JointReason {
            view: JointView::Level,
            sensor,
            value: smoothed * unit,
            lower: (known - reach) * unit,
            upper: (known + reach) * unit,
            expected: self.scratch.parts.expected[sensor],
        }
    }

    fn change_reason(&self) -> JointReason {
        let usual = &self.model.change;
        let (sensor, moved) = self.movement.furthest(usual);
        let unit = self.model.predictor.unit(sensor);
        let reach = USUAL_DEVIATIONS * usual.deviation[sensor];
        JointReason {
            view: JointView::Change,
            sensor,
            value: moved * unit,
            lower: (usual.mean[sensor] - reach) * unit,
            upper: (usual.mean[sensor] + reach) * unit,
            expected: self.scratch.parts.expected[sensor],
        }
    }

    /// A tag, the version of the format, the model with what it learned, then the state.
    pub fn save(&self) -> Vec<u8> {
        let mut out = vec![DETECTOR_TAG, VERSION];
        self.model.put(&mut out);
        for admission in &self.admission {
            admission.save(&mut out);
        }
        self.past.save(&mut out);
        self.level.save(&mut out);
        self.movement.save(&mut out);
        put_f64s(&mut out, &self.states);
        self.alarm.save(&mut out);
        self.crossing.save(&mut out);
        out
    }

    /// The inverse of [`JointDetector::save`]: goes on bit for bit as the saved detector. Garbage gives an error.
    pub fn restore(bytes: &[u8]) -> Result<JointDetector, JointError> {
        let mut reader = begin(bytes, DETECTOR_TAG, VERSION)?;
        let model = JointModel::take(&mut reader)?;
        let p = model.sensors();
        let detector = JointDetector {
            admission: (0..p).map(|_| Admission::restore(&mut reader)).collect::<Result<_, _>>()?,
            past: Past::restore(&model.predictor, &mut reader)?,
            level: Level::restore(p, &mut reader)?,
            movement: Movement::restore(p, &mut reader)?,
            states: restore_states(&model, &mut reader)?,
            alarm: Alarm::restore(&mut reader)?,
            crossing: Crossing::restore(&mut reader)?,
            scratch: Scratch::new(p),
            model,
        };
        reader.finish()?;
        Ok(detector)
    }
}

/// Fitted models give finite scores; a damaged one that can be read must not spoil the state for ever.
fn finite(score: f64) -> f64 {
    if score.is_finite() { score } else { MAX_SCORE }
}

fn restore_states(model: &JointModel, reader: &mut Reader<'_>) -> Result<States, DecodeError> {
    let states = reader.f64s(model.predictor.switches.len())?;
    if states.iter().all(|s| s.is_nan() || *s == 0.0 || *s == 1.0) {
        Ok(states)
    } else {
        Err(DecodeError::Invalid("a state is neither on nor off"))
    }
}

impl Scratch {
    fn new(p: usize) -> Scratch {
        Scratch { row: vec![0.0; p], parts: Innovations::new(p), clipped: vec![0.0; p], views: vec![0.0; 2 * p] }
    }

    fn has_value(&self) -> bool {
        self.row.iter().any(|x| !x.is_nan())
    }
}
