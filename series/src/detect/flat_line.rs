//! Flat lines: a sensor that repeats one value for longer than the series does on its own.
//!
//! Two lengths say what is usual. By habit: `ratio` times the longest run remembered, which fades with a half-life; where
//! run lengths fall off geometrically, twice the longest of n runs has a probability of about 1 / n². By chance: with a
//! fraction p of samples that repeat the one before, k - 1 repetitions have the probability p^(k-1). With ten runs or more
//! the shorter of the two counts, since runs that have a habit (a tank at night) do not come by chance; with fewer the
//! longer. Zero has habits of its own, since a machine at rest reads 0.

use crate::bytes::{DecodeError, Reader, put_f64, put_f64s, put_varint};
use crate::detect::contract::{Admission, Admitted, Band, begin_restore, begin_save};
use crate::detect::{Detector, Method, OptionError, Options, Reading, Reason};
use crate::time::Micros;

const VERSION: u8 = 1;
/// Samples of ended runs needed before a run can be judged.
const WARM: f64 = 100.0;
/// Ended runs from which on the longest of them says what is usual.
const HABIT_RUNS: f64 = 10.0;

#[derive(Debug, Clone, Copy, PartialEq)]
struct Settings {
    probability: f64,
    ratio: f64,
    min_run: u32,
    half_life: f64,
    tolerance: f64,
}

/// Options: `probability` (of a run by chance at the alarm line, default 1e-9), `ratio` (to the longest remembered run,
/// default 2), `min_run` (shortest run in samples that can be an alarm, default 12), `half_life` (of what is remembered, in
/// samples, default 24 000), `tolerance` (in the unit of the series: values that differ from the first of a run by no more
/// are equal; default 0).
///
/// The score is the length of the run over the usual length (at least `min_run`) once it has reached it, and 0 before. It is
/// 0 until runs with 100 samples have ended: a series that was always constant is not stuck. Expected value and band stay
/// unknown; a reason's numbers are run lengths in samples.
#[derive(Debug, Clone)]
pub struct FlatLine {
    settings: Settings,
    /// Fraction of what is remembered that one sample leaves.
    keep: f64,
    admission: Admission,
    run: Option<Run>,
    zero: Habit,
    other: Habit,
}

#[derive(Debug, Clone, Copy)]
struct Run {
    value: f64,
    length: u64,
}

/// What is remembered of ended runs, fading.
#[derive(Debug, Clone, Copy, Default)]
struct Habit {
    samples: f64,
    runs: f64,
    longest: f64,
}

impl Habit {
    fn learn(&mut self, length: f64, keep: f64) {
        let faded = if length == 1.0 { keep } else { keep.powf(length) };
        self.samples = self.samples * faded + length;
        self.runs = self.runs * faded + 1.0;
        self.longest = (self.longest * faded).max(length);
    }

    /// Fraction of samples that repeat the one before, with one repetition and one change assumed beforehand.
    fn repeating(&self) -> f64 {
        (self.samples - self.runs + 1.0) / (self.samples + 2.0)
    }

    fn save(&self, out: &mut Vec<u8>) {
        put_f64s(out, &[self.samples, self.runs, self.longest]);
    }

    fn restore(reader: &mut Reader<'_>) -> Result<Habit, DecodeError> {
        let habit = Habit { samples: reader.finite()?, runs: reader.finite()?, longest: reader.finite()? };
        let in_order = 0.0 <= habit.runs && habit.runs <= habit.samples && 0.0 <= habit.longest;
        if in_order { Ok(habit) } else { Err(DecodeError::Invalid("the runs of a detector do not fit each other")) }
    }
}

impl FlatLine {
    fn new(settings: Settings) -> FlatLine {
        FlatLine {
            settings,
            keep: 0.5_f64.powf(1.0 / settings.half_life),
            admission: Admission::default(),
            run: None,
            zero: Habit::default(),
            other: Habit::default(),
        }
    }

    /// Score of a run and the usual length, NaN while it is not known or the run too short to matter.
    fn judge(&self, run: Run) -> (f64, f64) {
        if run.length < u64::from(self.settings.min_run) {
            return (0.0, f64::NAN);
        }
        let habit = if run.value == 0.0 { &self.zero } else { &self.other };
        if !self.warmed_up() {
            return (0.0, f64::NAN);
        }
        let by_chance = 1.0 + self.settings.probability.ln() / habit.repeating().ln();
        let by_habit = self.settings.ratio * habit.longest;
        let usual = if habit.runs >= HABIT_RUNS { by_chance.min(by_habit) } else { by_chance.max(by_habit) };
        let usual = usual.max(f64::from(self.settings.min_run));
        let score = if run.length as f64 >= usual { run.length as f64 / usual } else { 0.0 };
        (score, usual)
    }

    fn end(&mut self, run: Run) {
        // a stuck sensor teaches no more than the run at which it was noticed
        let (_, usual) = self.judge(run);
        let length = (run.length as f64).min(usual);
        let habit = if run.value == 0.0 { &mut self.zero } else { &mut self.other };
        habit.learn(length, self.keep);
    }
}

impl Detector for FlatLine {
    const METHOD: Method = Method::FlatLine;

    fn from_options(options: &Options) -> Result<FlatLine, OptionError> {
        let mut reader = options.of(Method::FlatLine);
        let settings = Settings {
            probability: reader.number("probability", 1e-9, 1e-300..=0.5)?,
            ratio: reader.number("ratio", 2.0, 1.0..=1e6)?,
            min_run: reader.integer("min_run", 12, 2..=1_000_000)?,
            half_life: reader.number("half_life", 24_000.0, 10.0..=1e9)?,
            tolerance: reader.number("tolerance", 0.0, 0.0..=1e150)?,
        };
        reader.finish()?;
        Ok(FlatLine::new(settings))
    }

    fn update(&mut self, _time: Micros, value: f64) -> Reading {
        let x = match self.admission.admit(value) {
            Admitted::Missing => return Band::UNKNOWN.as_usual(),
            Admitted::Infinite(value) => return Band::UNKNOWN.infinite(value),
            Admitted::Value(x) => x,
        };
        let run = match self.run {
            Some(run) if (x - run.value).abs() <= self.settings.tolerance => Run { length: run.length + 1, ..run },
            ended => {
                if let Some(ended) = ended {
                    self.end(ended);
                }
                Run { value: x, length: 1 }
            }
        };
        self.run = Some(run);
        let (score, usual) = self.judge(run);
        if score < 1.0 {
            return Band::UNKNOWN.as_usual();
        }
        Band::UNKNOWN.reading(score, Reason::new("flat_line", run.length as f64, 1.0, usual))
    }

    fn warmed_up(&self) -> bool {
        self.zero.samples + self.other.samples >= WARM
    }

    fn save(&self) -> Vec<u8> {
        let mut out = begin_save(Self::METHOD, VERSION, 128);
        let Settings { probability, ratio, min_run, half_life, tolerance } = self.settings;
        put_f64s(&mut out, &[probability, ratio, half_life, tolerance]);
        put_varint(&mut out, u64::from(min_run));
        self.admission.save(&mut out);
        out.push(u8::from(self.run.is_some()));
        let run = self.run.unwrap_or(Run { value: 0.0, length: 0 });
        put_f64(&mut out, run.value);
        put_varint(&mut out, run.length);
        self.zero.save(&mut out);
        self.other.save(&mut out);
        out
    }

    fn restore(bytes: &[u8]) -> Result<FlatLine, DecodeError> {
        let mut reader = begin_restore(bytes, Self::METHOD, VERSION)?;
        let settings = Settings {
            probability: reader.positive()?,
            ratio: reader.positive()?,
            half_life: reader.positive()?,
            tolerance: reader.finite()?,
            min_run: reader.small()?,
        };
        let mut detector = FlatLine::new(settings);
        detector.admission = Admission::restore(&mut reader)?;
        let (given, run) = (reader.bool()?, Run { value: reader.finite()?, length: reader.counter()? });
        detector.run = given.then_some(run);
        detector.zero = Habit::restore(&mut reader)?;
        detector.other = Habit::restore(&mut reader)?;
        reader.finish()?;
        Ok(detector)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
        let mut detector = FlatLine::from_options(&Options::new()).unwrap();
        values.into_iter().map(|v| detector.update(0, v).score).collect()
    }

    fn varying(i: u32) -> f64 {
        10.0 + f64::from(i.wrapping_mul(2_654_435_761) >> 8) / 1e6
    }

    #[test]
    fn a_sensor_that_sticks_is_noticed() {
        let scores = scores((0..500).map(|i| varying(i.min(400))));
        assert!(scores[..410].iter().all(|&s| s == 0.0));
        let first = scores.iter().position(|&s| s >= 1.0).unwrap();
        assert_eq!(first, 411);
        assert!(scores[first..].windows(2).all(|pair| pair[0] <= pair[1]));
    }

    #[test]
    fn a_series_that_was_always_constant_is_not_stuck() {
        assert!(scores([5.0; 5000]).iter().all(|&s| s == 0.0));
    }

    #[test]
    fn a_pump_that_rests_every_night_is_not_stuck_until_it_rests_far_longer() {
        let day = |i: u32| if i % 288 < 100 { 0.0 } else { varying(i) };
        let scores = scores((0..288 * 30).map(|i| if i < 288 * 20 { day(i) } else { 0.0 }));
        assert!(scores[288 * 2..288 * 20].iter().all(|&s| s == 0.0));
        assert!(scores[288 * 20 + 150] == 0.0 && scores[288 * 20 + 205] >= 1.0);
    }

    #[test]
    fn a_coarse_sensor_may_repeat_itself() {
        let coarse = (0..20_000).map(|i| (f64::from(i) / 300.0).sin() * 3.0).map(f64::round);
        assert!(scores(coarse).iter().skip(2000).all(|&s| s == 0.0));
    }

    #[test]
    fn a_stuck_sensor_does_not_make_the_next_time_usual() {
        let mut values: Vec<f64> = (0..400).map(varying).collect();
        values.extend([7.0; 500]);
        values.extend((0..400).map(varying));
        values.extend([8.0; 60]);
        let scores = scores(values);
        assert!(scores[1290..].iter().any(|&s| s >= 1.0));
    }
}
