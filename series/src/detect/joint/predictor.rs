//! The innovations of a row: what the past rows, the time of day and the states of the on/off sensors did not let expect.
//!
//! One ridge regression (Hoerl and Kennard, 1970) predicts every sensor. It shrinks towards a prior instead of towards
//! nothing: persistent sensors towards their last value (they are differenced), the others towards their mean. So a slow
//! drift is no news and a step is.

mod fit;

pub(super) use fit::Fitted;

use super::numbers::{Numbers, add_columns, with_slice};
use crate::bytes::{DecodeError, Reader, put_f64s, put_varint};
use crate::time::{MICROS_PER_DAY, Micros};

/// Limit of a standardised step, in standard deviations.
pub(super) const STEP_LIMIT: f64 = 20.0;

const CLOCK_FEATURES: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Measured,
    /// At most two values in training.
    Switch,
    Constant,
    /// Without any value in training, and never judged.
    Unseen,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Predictor {
    pub(super) kinds: Vec<Kind>,
    /// On/off sensors whose state predicts the others.
    pub(super) switches: Vec<usize>,
    lags: usize,
    time_of_day: bool,
    pub(super) mean: Vec<f64>,
    pub(super) deviation: Vec<f64>,
    /// 1 for a sensor that is predicted by its last value, 0 for others.
    persistent: Vec<f64>,
    /// Standard deviation of a step, in `deviation`.
    pub(super) step: Vec<f64>,
    /// Mean and standard deviation of what the regression leaves, in `step`.
    bias: Vec<f64>,
    pub(super) noise: Vec<f64>,
    /// A column per feature: the lags' steps, newest first, the clock, the switches.
    weights: Numbers,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Past {
    /// Standardised values of the row before; NaN for a sensor that never had a value.
    previous: Vec<f64>,
    /// Standardised steps of the last rows, newest first.
    steps: Vec<f64>,
}

/// The parts of a row's judgement, kept between rows so that judging one allocates nothing.
#[derive(Debug, Clone)]
pub(super) struct Innovations {
    /// Standardised values and innovations, side by side as the envelope wants them.
    pub(super) values: Vec<f64>,
    pub(super) innovations: Vec<f64>,
    /// Expected values, in the unit of the sensors.
    pub(super) expected: Vec<f64>,
    predicted: Vec<f64>,
    steps: Vec<f64>,
}

impl Innovations {
    pub(super) fn new(p: usize) -> Innovations {
        let zeros = vec![0.0; p];
        Innovations {
            values: zeros.clone(),
            innovations: zeros.clone(),
            expected: zeros.clone(),
            predicted: zeros.clone(),
            steps: zeros,
        }
    }
}

impl Predictor {
    pub(super) fn sensors(&self) -> usize {
        self.mean.len()
    }

    /// With an on/off sensor in the row, standardised values are limited to ten deviations.
    fn limit(&self) -> f64 {
        value_limit(&self.kinds)
    }

    /// Standard deviation of a sensor's innovations, in its unit.
    pub(super) fn unit(&self, sensor: usize) -> f64 {
        self.deviation[sensor] * self.step[sensor] * self.noise[sensor]
    }

    pub(super) fn new_past(&self) -> Past {
        Past { previous: vec![f64::NAN; self.sensors()], steps: vec![0.0; self.lags * self.sensors()] }
    }

    /// Judges `row`, in which NaN is a missing value, and moves on to the next. A missing value is taken as the one before
    /// it, the sensor's mean if there is none, and has no innovation.
    pub(super) fn advance(&self, past: &mut Past, time: Micros, row: &[f64], out: &mut Innovations) {
        let p = self.sensors();
        let limit = self.limit();
        for (j, &x) in row.iter().enumerate() {
            let previous = past.previous[j];
            let z = if x.is_nan() {
                if previous.is_nan() { 0.0 } else { previous }
            } else {
                ((x - self.mean[j]) / self.deviation[j]).clamp(-limit, limit)
            };
            let base = self.persistent[j] * if previous.is_nan() { z } else { previous };
            out.values[j] = z;
            out.expected[j] = base;
            out.steps[j] = ((z - base) / self.step[j]).clamp(-STEP_LIMIT, STEP_LIMIT);
        }
        out.predicted.fill(0.0);
        with_slice!(&self.weights, weights => self.predict(weights, past, time, out));
        for (j, &x) in row.iter().enumerate() {
            let predicted = out.predicted[j] + self.bias[j];
            let missing = x.is_nan();
            out.innovations[j] = if missing { 0.0 } else { (out.steps[j] - predicted) / self.noise[j] };
            out.expected[j] = self.mean[j] + self.deviation[j] * (out.expected[j] + self.step[j] * predicted);
            if !missing {
                past.previous[j] = out.values[j];
            }
        }
        past.steps.copy_within(0..(self.lags - 1) * p, p);
        past.steps[..p].copy_from_slice(&out.steps);
    }

    #[inline(always)]
    fn predict<T: Copy + Into<f64>>(&self, weights: &[T], past: &Past, time: Micros, out: &mut Innovations) {
        let p = self.sensors();
        let (of_past, rest) = weights.split_at(past.steps.len() * p);
        add_columns(&mut out.predicted, of_past, &past.steps);
        let (of_clock, of_switches) = rest.split_at(if self.time_of_day { CLOCK_FEATURES * p } else { 0 });
        if self.time_of_day {
            add_columns(&mut out.predicted, of_clock, &clock(time));
        }
        for (&switch, column) in self.switches.iter().zip(of_switches.chunks_exact(p)) {
            add_columns(&mut out.predicted, column, &[out.values[switch]]);
        }
    }

    pub(super) fn save(&self, out: &mut Vec<u8>) {
        out.extend(self.kinds.iter().map(|kind| *kind as u8));
        put_varint(out, self.switches.len() as u64);
        for &switch in &self.switches {
            put_varint(out, switch as u64);
        }
        put_varint(out, self.lags as u64);
        out.push(u8::from(self.time_of_day));
        for values in [&self.mean, &self.deviation, &self.persistent, &self.step, &self.bias, &self.noise] {
            put_f64s(out, values);
        }
        self.weights.save(out);
    }

    pub(super) fn restore(p: usize, reader: &mut Reader<'_>) -> Result<Predictor, DecodeError> {
        let kinds = reader.take(p)?.iter().map(|&tag| Kind::from_tag(tag)).collect::<Result<Vec<_>, _>>()?;
        let count = reader.count(1)?;
        let switches = (0..count).map(|_| reader.small().map(|s| s as usize)).collect::<Result<Vec<_>, _>>()?;
        if switches.iter().any(|&s| kinds.get(s) != Some(&Kind::Switch)) {
            return Err(DecodeError::Invalid("an on/off sensor is none"));
        }
        let lags = reader.small()? as usize;
        if !(1..=8).contains(&lags) {
            return Err(DecodeError::Invalid("the number of lags is out of range"));
        }
        let time_of_day = reader.bool()?;
        let mut vectors = || reader.f64s(p);
        let (mean, deviation, persistent) = (vectors()?, vectors()?, vectors()?);
        let (step, bias, noise) = (vectors()?, vectors()?, vectors()?);
        let features = lags * p + CLOCK_FEATURES * usize::from(time_of_day) + switches.len();
        let weights = Numbers::restore(features * p, reader)?;
        let predictor =
            Predictor { kinds, switches, lags, time_of_day, mean, deviation, persistent, step, bias, noise, weights };
        if predictor.is_sound() {
            Ok(predictor)
        } else {
            Err(DecodeError::Invalid("a number of the predictor is out of range"))
        }
    }

    fn is_sound(&self) -> bool {
        let finite = |values: &[f64]| values.iter().all(|v| v.is_finite() && v.abs() <= 1e160);
        let positive = |values: &[f64]| values.iter().all(|v| (1e-12..=1e160).contains(v));
        finite(&self.mean)
            && positive(&self.deviation)
            && self.persistent.iter().all(|v| *v == 0.0 || *v == 1.0)
            && positive(&self.step)
            && finite(&self.bias)
            && positive(&self.noise)
            && self.weights.all_within(1e9)
    }
}

impl Kind {
    fn from_tag(tag: u8) -> Result<Kind, DecodeError> {
        [Kind::Measured, Kind::Switch, Kind::Constant, Kind::Unseen]
            .into_iter()
            .find(|kind| *kind as u8 == tag)
            .ok_or(DecodeError::Invalid("unknown kind of sensor"))
    }
}

impl Past {
    pub(super) fn save(&self, out: &mut Vec<u8>) {
        put_f64s(out, &self.previous);
        put_f64s(out, &self.steps);
    }

    pub(super) fn restore(predictor: &Predictor, reader: &mut Reader<'_>) -> Result<Past, DecodeError> {
        let p = predictor.sensors();
        let past = Past { previous: reader.f64s(p)?, steps: reader.f64s(predictor.lags * p)? };
        let sound = past.previous.iter().all(|z| !z.is_infinite()) && past.steps.iter().all(|y| y.abs() <= STEP_LIMIT);
        if sound { Ok(past) } else { Err(DecodeError::Invalid("a past row is out of range")) }
    }
}

fn value_limit(kinds: &[Kind]) -> f64 {
    if kinds.contains(&Kind::Switch) { 10.0 } else { f64::INFINITY }
}

/// Daily and half-daily sine and cosine of the time of day, UTC.
fn clock(time: Micros) -> [f64; CLOCK_FEATURES] {
    let day = time.rem_euclid(MICROS_PER_DAY) as f64 / MICROS_PER_DAY as f64 * std::f64::consts::TAU;
    [day.sin(), day.cos(), (2.0 * day).sin(), (2.0 * day).cos()]
}
