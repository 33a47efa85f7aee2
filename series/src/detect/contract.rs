//! What every detector promises.
//!
//! # The score
//! One scale for all methods: 0 is as usual, 1 is the default alarm line, [`MAX_SCORE`] the greatest value. A score is
//! never NaN, and `is_anomaly` is exactly `score >= 1`.
//!
//! # No look-ahead
//! A reading depends on the samples up to its own and on nothing else: the readings of a prefix of a series are, bit for
//! bit, the first readings of the whole. A detector restored from [`Detector::save`] goes on bit for bit as the saved one.
//!
//! # Cases
//! | input | what happens |
//! |---|---|
//! | NaN | A missing value. Score 0 and nothing is learned. For the gap detector it is a look at the clock: it judges the time since the last value. |
//! | ±infinity | A fault of the source: [`MAX_SCORE`], reason `infinite`, nothing is learned. The gap detector judges times only, so to it an infinity is a value that arrived. |
//! | \|value\| > 1e150 | Taken as ±1e150, so that no arithmetic overflows. |
//! | a value within 1e-12 of the one before, relatively | Float noise: taken as the value before. A constant series with float noise scores 0. |
//! | missing samples | Windows count samples, so a hole in time is simply not seen, except by the gap detector. Rates of change are taken over the time that passed; a range-novelty bank with an `interval` bridges short holes. |
//! | a time equal to or before the last one | The sample is judged in the order of arrival like any other; where a detector uses the time that passed, none did (a rate of change is then not judged). |
//! | the first samples | Score 0 until the detector has seen as many as it needs (its own documentation says how many, `warmed_up` whether it has). Hard limits need none. |
//! | a huge jump | A finite score. What is learned from one sample is bounded, so that the detector finds its way back. |

use crate::bytes::{DecodeError, Reader, put_f64};
use crate::detect::{Method, OptionError, Options};
use crate::prefetch;
use crate::time::Micros;

/// The score of an infinity and the cap of every other.
pub const MAX_SCORE: f64 = 1000.0;

const MAX_MAGNITUDE: f64 = 1e150;
const FLOAT_NOISE: f64 = 1e-12;

/// What a detector says about one sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// 0 is as usual, 1 the alarm line.
    pub score: f64,
    /// The value that was expected, in the unit of the series; NaN if the method has no notion of it or knows too little.
    pub expected: f64,
    /// The band of usual values, in the unit of the series; NaN where there is none.
    pub lower: f64,
    pub upper: f64,
    pub is_anomaly: bool,
    /// Present exactly if `is_anomaly`.
    pub reason: Option<Reason>,
}

/// Why a reading is an anomaly: the view of the series that left its usual range, with the numbers of that view.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reason {
    /// A stable name, such as `level`, `seasonal`, `gap`.
    pub code: &'static str,
    /// The view's value, in its own unit (each detector documents them).
    pub value: f64,
    /// The view's usual range; an end that it does not have is NaN.
    pub lower: f64,
    pub upper: f64,
}

impl Reason {
    pub(crate) fn new(code: &'static str, value: f64, lower: f64, upper: f64) -> Reason {
        Reason { code, value, lower, upper }
    }
}

/// What a detector expects of the next value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Band {
    pub(crate) expected: f64,
    pub(crate) lower: f64,
    pub(crate) upper: f64,
}

impl Band {
    pub(crate) const UNKNOWN: Band = Band { expected: f64::NAN, lower: f64::NAN, upper: f64::NAN };

    /// The reading of a sample with this score; `reason` is kept only for an anomaly.
    pub(crate) fn reading(self, score: f64, reason: Reason) -> Reading {
        let score = if score.is_nan() { 0.0 } else { score.clamp(0.0, MAX_SCORE) };
        let is_anomaly = score >= 1.0;
        let Band { expected, lower, upper } = self;
        Reading { score, expected, lower, upper, is_anomaly, reason: is_anomaly.then_some(reason) }
    }

    /// The reading of a sample that is not judged.
    pub(crate) fn as_usual(self) -> Reading {
        let Band { expected, lower, upper } = self;
        Reading { score: 0.0, expected, lower, upper, is_anomaly: false, reason: None }
    }

    pub(crate) fn infinite(self, value: f64) -> Reading {
        self.reading(MAX_SCORE, Reason::new("infinite", value, self.lower, self.upper))
    }
}

/// Room for the numbers of readings, one place per sample; `score >= 1` is an anomaly.
#[derive(Debug)]
pub struct Columns<'a> {
    pub score: &'a mut [f64],
    pub expected: &'a mut [f64],
    pub lower: &'a mut [f64],
    pub upper: &'a mut [f64],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("times, values and readings differ in length")]
pub struct LengthError;

/// A streaming detector of one series.
pub trait Detector: Sized {
    const METHOD: Method;

    /// A new detector; options that it does not know or that are out of range are refused.
    fn from_options(options: &Options) -> Result<Self, OptionError>;

    /// Judges one sample, then learns from it.
    fn update(&mut self, time: Micros, value: f64) -> Reading;

    /// As [`Detector::update`]; of a reading whose score is below `line`, the expected value may be left out as NaN.
    fn update_above(&mut self, time: Micros, value: f64, _line: f64) -> Reading {
        self.update(time, value)
    }

    /// Judges samples that follow each other; times, values and all of `readings` have one length.
    fn update_all(&mut self, times: &[Micros], values: &[f64], readings: Columns<'_>) -> Result<(), LengthError> {
        let Columns { score, expected, lower, upper } = readings;
        let samples = times.len();
        if [values.len(), score.len(), expected.len(), lower.len(), upper.len()].iter().any(|&len| len != samples) {
            return Err(LengthError);
        }
        for i in 0..samples {
            let reading = self.update(times[i], values[i]);
            score[i] = reading.score;
            expected[i] = reading.expected;
            lower[i] = reading.lower;
            upper[i] = reading.upper;
        }
        Ok(())
    }

    /// Asks for the memory that the next sample will need: that of a detector which [`crate::detect::AnyDetector`] boxes as a
    /// whole, that apart of one which it does not. Only a hint.
    fn prefetch(&self) {
        prefetch::value(self);
    }

    /// Bytes that it holds besides itself.
    fn heap_bytes(&self) -> usize {
        0
    }

    /// Bytes that it takes as a whole.
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.heap_bytes()
    }

    /// False while every score is 0 (or that of an infinity) because too few samples were seen.
    fn warmed_up(&self) -> bool;

    /// Settings and state: a byte for the method, one for the version of its format, then the method's own bytes.
    fn save(&self) -> Vec<u8>;

    /// The inverse of [`Detector::save`]. Garbage gives an error.
    fn restore(bytes: &[u8]) -> Result<Self, DecodeError>;
}

/// A value on its way into a detector.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Admitted {
    Missing,
    Infinite(f64),
    Value(f64),
}

/// Applies the contract's rules on values before a detector sees them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Admission {
    previous: Option<f64>,
}

impl Admission {
    #[inline]
    pub(crate) fn admit(&mut self, value: f64) -> Admitted {
        if value.is_nan() {
            return Admitted::Missing;
        }
        if value.is_infinite() {
            return Admitted::Infinite(value);
        }
        let value = value.clamp(-MAX_MAGNITUDE, MAX_MAGNITUDE);
        // no branch: whether a value repeats the one before cannot be foreseen, and nothing is within any distance of a NaN
        let previous = self.previous.unwrap_or(f64::NAN);
        let is_noise = (value - previous).abs() <= FLOAT_NOISE * previous.abs();
        let value = if is_noise { previous } else { value };
        self.previous = Some(value);
        Admitted::Value(value)
    }

    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.previous.is_some()));
        put_f64(out, self.previous.unwrap_or(0.0));
    }

    pub(crate) fn restore(reader: &mut Reader<'_>) -> Result<Admission, DecodeError> {
        let (known, previous) = (reader.bool()?, reader.finite()?);
        Ok(Admission { previous: known.then_some(previous) })
    }
}

/// Starts the bytes of a saved detector.
pub(crate) fn begin_save(method: Method, version: u8, capacity: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(capacity + 2);
    out.extend([method.tag(), version]);
    out
}

/// Checks the first two bytes of a saved detector and returns a reader of the rest.
pub(crate) fn begin_restore(bytes: &[u8], method: Method, version: u8) -> Result<Reader<'_>, DecodeError> {
    let mut reader = Reader::new(bytes);
    if reader.u8()? != method.tag() {
        return Err(DecodeError::Invalid("the state is that of another detection method"));
    }
    match reader.u8()? {
        found if found == version => Ok(reader),
        found => Err(DecodeError::Version(found)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn float_noise_is_taken_as_the_value_before() {
        let mut admission = Admission::default();
        assert_eq!(admission.admit(0.3), Admitted::Value(0.3));
        assert_eq!(admission.admit(0.1 + 0.2), Admitted::Value(0.3));
        assert_eq!(admission.admit(0.300_000_1), Admitted::Value(0.300_000_1));
    }

    #[test]
    fn a_slow_drift_is_not_mistaken_for_noise() {
        let mut admission = Admission::default();
        let mut last = 1.0;
        for i in 0..10_000 {
            let Admitted::Value(value) = admission.admit(1.0 + f64::from(i) * 1e-13) else { panic!() };
            last = value;
        }
        assert!((last - (1.0 + 1e-9)).abs() < 2e-12);
    }

    #[test]
    fn values_beyond_arithmetic_are_held_at_the_border() {
        let mut admission = Admission::default();
        assert_eq!(admission.admit(f64::MAX), Admitted::Value(1e150));
        assert_eq!(admission.admit(f64::NEG_INFINITY), Admitted::Infinite(f64::NEG_INFINITY));
        assert_eq!(admission.admit(f64::NAN), Admitted::Missing);
    }

    #[test]
    fn a_reason_is_given_exactly_for_anomalies() {
        let reason = Reason::new("level", 1.0, 0.0, 0.5);
        assert_eq!(Band::UNKNOWN.reading(0.99, reason).reason, None);
        assert_eq!(Band::UNKNOWN.reading(1.0, reason).reason, Some(reason));
        assert_eq!(Band::UNKNOWN.reading(f64::INFINITY, reason).score, MAX_SCORE);
    }
}
