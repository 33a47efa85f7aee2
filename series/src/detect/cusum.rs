//! CUSUM: small deviations in one direction that add up to a shift of the level.
//!
//! Page, "Continuous Inspection Schemes" (1954), two-sided: with z the deviation from the expected value in standard
//! deviations, the upper sum becomes max(0, S + z - k) and the lower one max(0, S - z - k); a sum beyond the line is a
//! shift. As the expected value goes on being learned, this is also the Page-Hinkley test (Hinkley, "Inference about the
//! Change-Point from Cumulative Sum Tests", 1971). A z counts for at most 4 standard deviations, as in robust CUSUMs (Lucas
//! and Crosier, 1982), so that one outlier is no shift.
//!
//! The textbook's drift k and line of some 5 standard deviations are for independent samples around a fixed level. Readings
//! of a sensor wander: what the mean of a whole day usually deviates by is no shift and is added, three times, to the drift
//! (`wander`), and the line is moved out to a multiple of the second-largest sum remembered (`peaks`). Since the day's course
//! would hide what is looked for, deviations are those from the usual value of the hour (`profile`), unless `season` says
//! otherwise.

mod wander;

use wander::Wander;

use crate::bytes::{DecodeError, put_f64s, put_varint, put_zigzag};
use crate::detect::baseline::Baseline;
use crate::detect::contract::{Admission, Admitted, Band, begin_restore, begin_save};
use crate::detect::peaks::Peaks;
use crate::detect::profile::{Expectation, Profile};
use crate::detect::{Detector, Method, OptionError, Options, Reading, Reason};
use crate::time::Micros;

const VERSION: u8 = 1;
/// Standard deviations for which one sample counts at most.
const CLIP: f64 = 4.0;
/// The most that drift and wander together take off a sample.
const MAX_DRIFT: f64 = 3.0;
/// Usual deviations of a day's mean that are no shift.
const WANDER_WIDTHS: f64 = 3.0;
/// A sum is held at this many times the line.
const MOST: f64 = 10.0;
/// Samples in which what lies beyond the line is learned at most once.
const REST: u32 = 288;
/// Of the largest sums, in samples.
const PEAKS_HALF_LIFE: f64 = 24_000.0;

#[derive(Debug, Clone, Copy, PartialEq)]
struct Settings {
    drift: f64,
    line: f64,
    ratio: f64,
    season: bool,
    half_life: f64,
    warm: u32,
    utc_offset: Micros,
    min_scale: f64,
}

/// Options: `drift` (k: what a sample may deviate without adding up beside what days usually do, in standard deviations, 0
/// to 3, default 0.5), `line` (the least alarm line of a sum, in standard deviations, default 20), `ratio` (of the line to the second-largest sum
/// remembered, default 2), `season` (`day`: deviations from the usual value of the hour of a weekday or weekend; `none`:
/// from the mean; default `day`), `half_life` (of what is expected: with `day` in days on which the hour occurs, default 7;
/// with `none` in samples, default 4032), `warm` (such days, default 3, or samples, default 288, before a deviation counts),
/// `utc_offset` (hours of local time before UTC, default 0, used with `day`), `min_scale` (the least standard deviation, in
/// the unit of the series, that is believed; default 0).
///
/// The score is the larger sum over the line. Beyond the line a sample on the other side of the expected value takes the
/// sum back to the line, so that an alarm ends with its shift. A level that stays is accepted as what is expected moves
/// there. The band holds the values on which neither sum grows. A reason (`shift_up`, `shift_down`) gives the sum and the
/// line in standard deviations.
#[derive(Debug, Clone)]
pub struct Cusum {
    settings: Settings,
    admission: Admission,
    reference: Reference,
    wander: Wander,
    up: Sum,
    down: Sum,
    peaks: Peaks,
}

#[derive(Debug, Clone)]
enum Reference {
    Day(Box<Profile>),
    Mean(Baseline),
}

#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    value: f64,
    /// The highest since it was 0.
    peak: f64,
}

impl Sum {
    /// Adds a deviation from which the drift is not taken yet; returns the peak of the excursion that ended by it.
    fn add(&mut self, z: f64, drift: f64, line: f64) -> Option<f64> {
        if self.value > line && z < 0.0 {
            self.value = line;
        }
        self.value = (self.value + z - drift).clamp(0.0, MOST * line);
        self.peak = self.peak.max(self.value);
        if self.value > 0.0 || self.peak == 0.0 {
            return None;
        }
        Some(std::mem::take(&mut self.peak))
    }
}

impl Cusum {
    fn new(settings: Settings) -> Cusum {
        let reference = if settings.season {
            Reference::Day(Box::new(Profile::new(settings.half_life, settings.utc_offset)))
        } else {
            Reference::Mean(Baseline::new(settings.half_life))
        };
        Cusum {
            settings,
            admission: Admission::default(),
            reference,
            wander: Wander::new(),
            up: Sum::default(),
            down: Sum::default(),
            peaks: Peaks::new(PEAKS_HALF_LIFE),
        }
    }

    /// What is taken off every deviation, in standard deviations.
    fn drift(&self) -> f64 {
        (self.settings.drift + WANDER_WIDTHS * self.wander.usual()).min(MAX_DRIFT)
    }

    fn line(&self) -> f64 {
        self.settings.line.max(self.settings.ratio * self.peaks.usual())
    }

    /// Level and standard deviation expected at a time, if they are known well enough to judge, and what to learn by.
    fn expect(&self, time: Micros) -> (Option<(f64, f64)>, Option<Expectation>) {
        let Settings { warm, min_scale, .. } = self.settings;
        match &self.reference {
            Reference::Day(profile) => {
                let expectation = profile.expect(time, min_scale);
                let judged = expectation.filter(|e| u32::from(e.visits) >= warm).map(|e| (e.level, e.sigma));
                (judged, expectation)
            }
            Reference::Mean(baseline) => {
                let known = baseline.samples() >= u64::from(warm);
                (known.then(|| (baseline.mean(), baseline.scale(min_scale))), None)
            }
        }
    }
}

impl Detector for Cusum {
    const METHOD: Method = Method::Cusum;

    fn from_options(options: &Options) -> Result<Cusum, OptionError> {
        let mut reader = options.of(Method::Cusum);
        let season = reader.choice("season", &["day", "none"])? == "day";
        let settings = Settings {
            season,
            drift: reader.number("drift", 0.5, 0.0..=MAX_DRIFT)?,
            line: reader.number("line", 20.0, 0.1..=1e6)?,
            ratio: reader.number("ratio", 2.0, 0.0..=1e6)?,
            half_life: if season {
                reader.number("half_life", 7.0, 0.5..=100.0)?
            } else {
                reader.number("half_life", 4032.0, 10.0..=1e9)?
            },
            warm: if season {
                reader.integer("warm", 3, 1..=250)?
            } else {
                reader.integer("warm", 288, 20..=1_000_000)?
            },
            utc_offset: reader.utc_offset()?,
            min_scale: reader.number("min_scale", 0.0, 0.0..=1e150)?,
        };
        reader.finish()?;
        Ok(Cusum::new(settings))
    }

    fn update(&mut self, time: Micros, value: f64) -> Reading {
        let drift = self.drift();
        let (judged, expectation) = self.expect(time);
        let band = judged.map_or(Band::UNKNOWN, |(level, sigma)| Band {
            expected: level,
            lower: level - drift * sigma,
            upper: level + drift * sigma,
        });
        let x = match self.admission.admit(value) {
            Admitted::Missing => return band.as_usual(),
            Admitted::Infinite(value) => return band.infinite(value),
            Admitted::Value(x) => x,
        };
        match &mut self.reference {
            Reference::Day(profile) => profile.learn(time, x, expectation),
            Reference::Mean(baseline) => baseline.learn(x),
        }
        let Some((level, sigma)) = judged else { return band.as_usual() };
        let deviation = x - level;
        let z = if deviation == 0.0 { 0.0 } else { (deviation / sigma).clamp(-CLIP, CLIP) };
        let line = self.line();
        self.wander.learn(time.saturating_add(self.settings.utc_offset), z);
        self.peaks.fade();
        for peak in [self.up.add(z, drift, line), self.down.add(-z, drift, line)].into_iter().flatten() {
            self.peaks.learn(peak, line, REST);
        }
        let (code, sum) =
            if self.up.value >= self.down.value { ("shift_up", self.up) } else { ("shift_down", self.down) };
        band.reading(sum.value / line, Reason::new(code, sum.value, 0.0, line))
    }

    fn warmed_up(&self) -> bool {
        match &self.reference {
            Reference::Day(profile) => u32::from(profile.visits()) >= self.settings.warm,
            Reference::Mean(baseline) => baseline.samples() >= u64::from(self.settings.warm),
        }
    }

    fn heap_bytes(&self) -> usize {
        match &self.reference {
            Reference::Day(_) => size_of::<Profile>(),
            Reference::Mean(_) => 0,
        }
    }

    fn save(&self) -> Vec<u8> {
        let mut out = begin_save(Self::METHOD, VERSION, 900);
        let Settings { drift, line, ratio, season, half_life, warm, utc_offset, min_scale } = self.settings;
        out.push(u8::from(season));
        put_f64s(&mut out, &[drift, line, ratio, half_life, min_scale]);
        put_varint(&mut out, u64::from(warm));
        put_zigzag(&mut out, utc_offset);
        self.admission.save(&mut out);
        put_f64s(&mut out, &[self.up.value, self.up.peak, self.down.value, self.down.peak]);
        self.wander.save(&mut out);
        self.peaks.save(&mut out);
        match &self.reference {
            Reference::Day(profile) => profile.save(&mut out),
            Reference::Mean(baseline) => baseline.save(&mut out),
        }
        out
    }

    fn restore(bytes: &[u8]) -> Result<Cusum, DecodeError> {
        let mut reader = begin_restore(bytes, Self::METHOD, VERSION)?;
        let settings = Settings {
            season: reader.bool()?,
            drift: reader.finite()?,
            line: reader.positive()?,
            ratio: reader.finite()?,
            half_life: reader.positive()?,
            min_scale: reader.finite()?,
            warm: reader.small()?,
            utc_offset: reader.zigzag()?,
        };
        let mut detector = Cusum::new(settings);
        detector.admission = Admission::restore(&mut reader)?;
        let mut sum = || -> Result<Sum, DecodeError> {
            let sum = Sum { value: reader.finite()?, peak: reader.finite()? };
            if 0.0 <= sum.value && sum.value <= sum.peak {
                Ok(sum)
            } else {
                Err(DecodeError::Invalid("the sums of a detector do not fit each other"))
            }
        };
        (detector.up, detector.down) = (sum()?, sum()?);
        detector.wander = Wander::restore(&mut reader)?;
        detector.peaks = Peaks::restore(PEAKS_HALF_LIFE, &mut reader)?;
        detector.reference = if settings.season {
            Reference::Day(Box::new(Profile::restore(settings.half_life, settings.utc_offset, &mut reader)?))
        } else {
            Reference::Mean(Baseline::restore(settings.half_life, &mut reader)?)
        };
        reader.finish()?;
        Ok(detector)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{MICROS_PER_DAY, MICROS_PER_MINUTE};

    const STEP: Micros = 5 * MICROS_PER_MINUTE;
    /// A Monday.
    const START: Micros = 4 * MICROS_PER_DAY;

    fn detector(pairs: &[(&str, &str)]) -> Cusum {
        Cusum::from_options(&Options::from_pairs(pairs.iter().copied()).unwrap()).unwrap()
    }

    fn noise(i: i64) -> f64 {
        ((i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f64 / (1_u64 << 24) as f64 - 0.5
    }

    /// First and last alarm.
    fn alarms(detector: &mut Cusum, value: impl Fn(i64) -> f64, samples: i64) -> Option<(i64, i64)> {
        let rings: Vec<i64> =
            (0..samples).filter(|&i| detector.update(START + i * STEP, value(i)).is_anomaly).collect();
        Some((*rings.first()?, *rings.last()?))
    }

    /// Page's recursion by hand: mean 0, standard deviation of alternating ±1.
    #[test]
    fn the_sums_are_those_of_page() {
        let mut cusum = detector(&[("season", "none"), ("line", "10"), ("drift", "0.5"), ("ratio", "0")]);
        for i in 0..2000 {
            cusum.update(0, if i % 2 == 0 { 1.0 } else { -1.0 });
        }
        let Reference::Mean(baseline) = &cusum.reference else { panic!() };
        let (mean, sigma) = (baseline.mean(), baseline.scale(0.0));
        let (before, drift) = (cusum.up.value, cusum.drift());
        let reading = cusum.update(0, mean + 3.0 * sigma);
        assert!((reading.score - (before + 3.0 - drift) / 10.0).abs() < 1e-12, "{}", reading.score);
    }

    #[test]
    fn a_small_shift_is_noticed_within_hours_and_its_alarm_ends_with_it() {
        let shift = 3000..3100;
        let value = |i: i64| noise(i) + if shift.contains(&i) { 0.45 } else { 0.0 };
        let (first, last) = alarms(&mut detector(&[("season", "none")]), value, 4000).unwrap();
        assert!((3005..3060).contains(&first), "{first}");
        assert!((3095..3110).contains(&last), "{last}");
    }

    #[test]
    fn a_leak_shows_against_the_course_of_the_day() {
        let course = |i: i64| 50.0 + 40.0 * (i as f64 / 288.0 * std::f64::consts::TAU).sin() + 4.0 * noise(i);
        let leak = 288 * 23;
        let value = |i: i64| course(i) + if i >= leak { 6.0 } else { 0.0 };
        let (first, _) = alarms(&mut detector(&[]), value, leak + 288).unwrap();
        assert!((leak..leak + 36).contains(&first), "{} hours", (first - leak) / 12);
        let without = alarms(&mut detector(&[("season", "none")]), value, leak + 36);
        assert!(without.is_none_or(|(_, last)| last < leak), "{without:?}");
    }

    #[test]
    fn a_level_that_stays_is_accepted_after_some_two_weeks() {
        let course = |i: i64| 50.0 + 40.0 * (i as f64 / 288.0 * std::f64::consts::TAU).sin() + 4.0 * noise(i);
        let shift = 288 * 28;
        let value = |i: i64| course(i) + if i >= shift { 6.0 } else { 0.0 };
        let (first, last) = alarms(&mut detector(&[]), value, shift + 288 * 60).unwrap();
        assert!(first >= shift && last < shift + 288 * 16, "{} days", (last - shift) / 288);
    }

    #[test]
    fn one_outlier_is_no_shift() {
        let value = |i: i64| if i == 3000 { 1e300 } else { noise(i) };
        assert_eq!(alarms(&mut detector(&[("season", "none")]), value, 4000), None);
    }

    #[test]
    fn the_reason_says_which_way() {
        let mut cusum = detector(&[("season", "none")]);
        (0..1000).for_each(|i| {
            cusum.update(0, noise(i));
        });
        let reason = (0..50).find_map(|_| cusum.update(0, -3.0).reason).unwrap();
        assert_eq!(reason.code, "shift_down");
        assert!(reason.value >= reason.upper);
    }
}
