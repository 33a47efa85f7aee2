//! The range-novelty bank: the default detector of one series.
//!
//! Seven cheap views ("streams") of the series; each remembers one slowly shrinking range and reports how far it has just
//! left it; small excursions are damped, large ones capped; the mean over the streams is the raw score, 0 to 0.3; within
//! an event only the first alarm, or one twice as strong, is emitted. Windows count samples and were chosen for samples
//! every five minutes; hours are those of UTC.
//!
//! | reason | stream (l is the signed logarithm sign(x) ln(1 + \|x\|) of the value x) |
//! |---|---|
//! | `level` | x |
//! | `log_level` | l |
//! | `sustained_short` | least x of the last 6 samples |
//! | `sustained_long` | least x of the last 96 samples |
//! | `seasonal` | l minus its usual level at this hour of a weekday or weekend, mean of 12 samples |
//! | `predictability` | absolute error of an online linear prediction of l, mean of 12 samples |
//! | `pattern` | distance of the last four means over 24 samples of l to the nearest of the last 100 such patterns |
//!
//! # The alarm line
//! A raw score of 0.02 is the default line, so the score is raw / 0.02. It was read off the table below, which
//! `cargo run --release -p strata-series --example alarm_line NAB_DIRECTORY` prints in full. Alarms per quiet year: mean of
//! eight synthetic sensors of a water network (five years each, every five minutes), in brackets after the first month.
//! Faults noticed: of 60 each, laid over three synthetic flows after 90 days. Windows: of the 60 labelled ones in 30
//! public files of the Numenta Anomaly Benchmark, on which the bank's settings were chosen, with the alarms outside of
//! them per 30 days.
//!
//! | line | quiet year | x 3 for 2 h | x 2 for 4 h | + 60 % for 3 d | + 30 % for 3 d | drift to x 2 | 0 for 1 h | x 5 once | noise 12 h | stuck 12 h | windows |
//! |---|---|---|---|---|---|---|---|---|---|---|---|
//! | 0.01 | 10.7 (5.8) | 60 | 59 | 57 | 41 | 57 | 60 | 60 | 60 | 34 | 49, 1.39 |
//! | **0.02** | 4.5 (1.6) | 59 | 41 | 49 | 17 | 37 | 60 | 60 | 56 | 12 | 44, 0.74 |
//! | 0.03 | 3.0 (0.7) | 54 | 24 | 38 | 7 | 18 | 60 | 56 | 52 | 5 | 40, 0.57 |
//! | 0.04 | 2.3 (0.5) | 46 | 11 | 32 | 2 | 8 | 60 | 56 | 42 | 1 | 33, 0.46 |
//!
//! 0.02 is the lowest line with only a few alarms in a quiet year (2.4 to 10 by sensor). Data without any regularity ring
//! more often: white noise 14 times a year, heavy tails likewise. A stuck sensor is not this detector's business: the
//! flat-line detector notices all 60.

mod candidates;
mod compare;
mod grid;
mod long_min;
mod moving_means;
mod moving_min;
mod pattern;
mod predictor;
mod ranges;
mod refractory;
mod seasonal;
mod views;

use grid::{Closed, Grid, GridSettings};
use refractory::Refractory;
use views::Views;

use crate::bytes::{DecodeError, put_f64s, put_varint};
use crate::detect::contract::{Admission, Admitted, Band, begin_restore, begin_save};
use crate::detect::{Detector, Method, OptionError, Options, Reading};
use crate::time::Micros;

const VERSION: u8 = 2;

/// Raw score of the default alarm line.
const DEFAULT_LINE: f64 = 0.02;

/// Cells that a hole may have and still be bridged.
const MAX_BRIDGE: u32 = 1000;
/// The same by default: an hour at five minutes.
const DEFAULT_BRIDGE: u32 = 12;

#[derive(Debug, Clone, Copy, PartialEq)]
struct Settings {
    line: f64,
    half_life: f64,
    warm: u32,
    refractory: u32,
    ratio: f64,
}

/// Options: `line` (raw score of the alarm line, default 0.02), `half_life` (of a remembered range, in samples, default
/// 24 000), `warm` (samples before the streams report, the pattern stream needs three times as many; default 100),
/// `refractory` and `ratio` (within that many samples of an emitted score only one above `ratio` times it passes; default
/// 60 and 2). With `refractory` 0 every sample keeps its own score, which suits what folds readings into events itself.
///
/// `interval` (a duration, `5m` suits the bank; none by default) is for irregular times and other rates: the bank then sees
/// the means of the samples within cells of that length, so that all its windows are lengths of time, and `half_life`,
/// `warm` and `refractory` may be given as such (`7d`, `8h`). Holes of up to `bridge` (cells or a duration, default 12
/// cells, at most 1000) are filled with the mean before them; longer ones are not seen. The score of a cell comes with the
/// first sample after it; within a cell the score is 0.
///
/// The expected value is the usual level at this hour of a weekday or weekend, the band the remembered range of the values.
/// A reason's numbers are the value and the remembered range of the stream that left its range furthest. The state takes
/// some 4 300 bytes saved and 3 KiB in memory, of which most samples touch the 0.6 KiB that are not boxed.
#[derive(Debug, Clone)]
pub struct RangeNovelty {
    settings: Settings,
    /// Fraction of a range that one sample leaves, from the half-life.
    keep: f64,
    grid: Option<Box<Grid>>,
    admission: Admission,
    /// Samples, or cells of the grid, that the bank has seen.
    samples: u64,
    refractory: Refractory,
    /// Empty while there are no samples.
    views: Views,
}

impl RangeNovelty {
    fn new(settings: Settings) -> RangeNovelty {
        RangeNovelty {
            settings,
            keep: 0.5_f64.powf(1.0 / settings.half_life),
            grid: None,
            admission: Admission::default(),
            samples: 0,
            refractory: Refractory::default(),
            views: Views::empty(),
        }
    }

    fn judge(&mut self, slot: usize, band: Band, x: f64) -> Reading {
        let lx = signed_log(x);
        let i = self.samples;
        self.samples += 1;
        if i == 0 {
            self.views.begin(slot, x, lx);
            return band.as_usual();
        }
        let Settings { line, warm, refractory, ratio, .. } = self.settings;
        let Some((raw, reason)) = self.views.judge(i, slot, x, lx, u64::from(warm), self.keep) else {
            return band.as_usual();
        };
        let emitted = self.refractory.pass(i, raw, u64::from(refractory), ratio);
        band.reading(emitted / line, reason)
    }

    /// The highest score of a cell that is over and of the holes bridged after it.
    fn judge_cell(&mut self, closed: Closed, interval: Micros) -> Reading {
        let slot = seasonal::slot(closed.start);
        let mut highest = self.judge(slot, self.band(slot), closed.mean);
        for cell in 1..=i64::from(closed.bridged) {
            let slot = seasonal::slot(closed.start.saturating_add(cell.saturating_mul(interval)));
            let reading = self.judge(slot, self.band(slot), closed.mean);
            if reading.score > highest.score {
                highest = reading;
            }
        }
        highest
    }

    /// A reading whose expected value is still the signed logarithm of it.
    #[inline]
    fn look(&mut self, time: Micros, value: f64) -> Reading {
        let slot = seasonal::slot(time);
        let band = self.band(slot);
        let x = match self.admission.admit(value) {
            Admitted::Missing => return band.as_usual(),
            Admitted::Infinite(value) => return band.infinite(value),
            Admitted::Value(x) => x,
        };
        let Some(grid) = &mut self.grid else { return self.judge(slot, band, x) };
        let interval = grid.settings().interval;
        match grid.push(time, x) {
            Some(closed) => self.judge_cell(closed, interval),
            None => band.as_usual(),
        }
    }

    /// The remembered range of the values, and the signed logarithm of what is expected.
    fn band(&self, slot: usize) -> Band {
        if self.samples == 0 {
            return Band::UNKNOWN;
        }
        let (lower, upper) = self.views.level_range();
        Band { expected: self.views.expected(slot), lower, upper }
    }
}

/// `sign(x) ln(1 + |x|)`: changes of large values count relatively, those of small ones absolutely.
fn signed_log(x: f64) -> f64 {
    x.abs().ln_1p().copysign(x)
}

fn inverse_signed_log(lx: f64) -> f64 {
    lx.abs().exp_m1().copysign(lx)
}

impl Detector for RangeNovelty {
    const METHOD: Method = Method::RangeNovelty;

    fn from_options(options: &Options) -> Result<RangeNovelty, OptionError> {
        let mut reader = options.of(Method::RangeNovelty);
        let interval = reader.optional_duration("interval")?;
        let settings = Settings {
            line: reader.number("line", DEFAULT_LINE, 1e-6..=1.0)?,
            half_life: reader.half_life(interval)?,
            warm: reader.samples("warm", 100, 21..=1_000_000, interval)?,
            refractory: reader.samples("refractory", 60, 0..=1_000_000, interval)?,
            ratio: reader.number("ratio", 2.0, 1.0..=1e6)?,
        };
        let bridge = reader.samples("bridge", DEFAULT_BRIDGE, 0..=MAX_BRIDGE, interval)?;
        reader.finish()?;
        if interval.is_none() && options.get("bridge").is_some() {
            return Err(OptionError::Combination("the option \"bridge\" of range_novelty needs \"interval\""));
        }
        let mut detector = RangeNovelty::new(settings);
        detector.grid = interval.map(|interval| Box::new(Grid::new(GridSettings { interval, bridge })));
        Ok(detector)
    }

    fn update(&mut self, time: Micros, value: f64) -> Reading {
        self.update_above(time, value, 0.0)
    }

    #[inline]
    fn update_above(&mut self, time: Micros, value: f64, line: f64) -> Reading {
        let mut reading = self.look(time, value);
        reading.expected = if reading.score >= line { inverse_signed_log(reading.expected) } else { f64::NAN };
        reading
    }

    fn prefetch(&self) {
        self.views.prefetch(self.samples);
    }

    fn heap_bytes(&self) -> usize {
        self.views.heap_bytes() + self.grid.as_ref().map_or(0, |_| size_of::<Grid>())
    }

    fn warmed_up(&self) -> bool {
        self.samples >= u64::from(self.settings.warm)
    }

    fn save(&self) -> Vec<u8> {
        let mut out = begin_save(Self::METHOD, VERSION, 6 * 1024);
        let Settings { line, half_life, warm, refractory, ratio } = self.settings;
        put_f64s(&mut out, &[line, half_life, ratio]);
        put_varint(&mut out, u64::from(warm));
        put_varint(&mut out, u64::from(refractory));
        out.push(u8::from(self.grid.is_some()));
        if let Some(grid) = &self.grid {
            grid.save(&mut out);
        }
        self.admission.save(&mut out);
        put_varint(&mut out, self.samples);
        if self.samples > 0 {
            self.refractory.save(&mut out);
            self.views.save(self.samples, &mut out);
        }
        out
    }

    fn restore(bytes: &[u8]) -> Result<RangeNovelty, DecodeError> {
        let mut reader = begin_restore(bytes, Self::METHOD, VERSION)?;
        let settings = Settings {
            line: reader.positive()?,
            half_life: reader.positive()?,
            ratio: reader.positive()?,
            warm: reader.small()?,
            refractory: reader.small()?,
        };
        let mut detector = RangeNovelty::new(settings);
        if reader.bool()? {
            detector.grid = Some(Box::new(Grid::restore(&mut reader)?));
        }
        detector.admission = Admission::restore(&mut reader)?;
        detector.samples = reader.counter()?;
        if detector.samples > 0 {
            detector.refractory = Refractory::restore(detector.samples, &mut reader)?;
            detector.views = Views::restore(detector.samples, &mut reader)?;
        }
        reader.finish()?;
        Ok(detector)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::MICROS_PER_MINUTE;

    const STEP: Micros = 5 * MICROS_PER_MINUTE;

    fn detector(pairs: &[(&str, &str)]) -> RangeNovelty {
        RangeNovelty::from_options(&Options::from_pairs(pairs.iter().copied()).unwrap()).unwrap()
    }

    fn usual(i: i64) -> f64 {
        30.0 + 20.0 * (i as f64 / 288.0 * std::f64::consts::TAU).sin() + (i * 7919 % 1009) as f64 / 1009.0
    }

    /// The default bank's scores, each moved to the next sample, with which the cell is over.
    #[test]
    fn on_a_grid_of_its_own_step_the_bank_says_the_same_one_sample_later() {
        let value = |i: i64| if i == 2000 { 500.0 } else { usual(i) };
        let (mut plain, mut grid) = (detector(&[]), detector(&[("interval", "5m")]));
        let scores: Vec<(f64, f64)> = (0..3000)
            .map(|i| (plain.update(i * STEP, value(i)).score, grid.update(i * STEP, value(i)).score))
            .collect();
        assert!(scores[2000].0 >= 1.0);
        assert!(scores.windows(2).all(|pair| pair[0].0 == pair[1].1));
    }

    #[test]
    fn irregular_times_make_the_windows_lengths_of_time() {
        let mut often = detector(&[("interval", "5m")]);
        let minutes = 288 * 5 * 7;
        for minute in 0..minutes {
            let jitter = (minute * 31 % 47) * 1_000_000;
            often.update(minute * MICROS_PER_MINUTE + jitter, usual(minute / 5));
        }
        assert_eq!(often.samples as i64, minutes / 5 - 1);
        let rings = (0..20).any(|minute| often.update((minutes + minute) * MICROS_PER_MINUTE, 500.0).is_anomaly);
        assert!(rings);
    }

    #[test]
    fn short_holes_are_filled_and_long_ones_are_not() {
        let mut bank = detector(&[("interval", "5m"), ("bridge", "30m")]);
        for i in [0, 1, 7, 8, 1000, 1001] {
            bank.update(i * STEP, 1.0);
        }
        assert_eq!(bank.samples, 10);
    }

    #[test]
    fn windows_may_be_given_as_lengths_of_time_if_the_interval_is_known() {
        let in_time = detector(&[("interval", "5m"), ("half_life", "7d"), ("warm", "1d"), ("refractory", "6h")]);
        let Settings { half_life, warm, refractory, .. } = in_time.settings;
        assert_eq!((half_life, warm, refractory), (2016.0, 288, 72));
        for wrong in [("warm", "1d"), ("half_life", "7d"), ("bridge", "3")] {
            assert!(RangeNovelty::from_options(&Options::from_pairs([wrong]).unwrap()).is_err(), "{wrong:?}");
        }
    }
}
