//! Robust z-score: distance from the median of the last samples in units of their median absolute deviation.
//!
//! Iglewicz and Hoaglin, "How to Detect and Handle Outliers" (1993): z = (x - median) / (1.4826 MAD), and where more than
//! half of the window is one value (MAD 0), z = (x - median) / (1.2533 mean absolute deviation). The window does not
//! contain the sample that is judged.

use std::collections::VecDeque;

use crate::bytes::{DecodeError, put_f64, put_f64s, put_varint};
use crate::detect::baseline::{MAD_TO_SIGMA, MEAN_DEVIATION_TO_SIGMA};
use crate::detect::contract::{Admission, Admitted, Band, begin_restore, begin_save};
use crate::detect::{Detector, MAX_SCORE, Method, OptionError, Options, Reading, Reason};
use crate::time::Micros;

const VERSION: u8 = 1;

/// Samples that are held; a longer window holds every second, third, … of its samples.
const MAX_HELD: u32 = 100;
const MAX_WINDOW: u32 = 1_000_000;

/// Options: `window` (samples, 8 to 1 000 000, default 288: a day at five minutes), `line` (z of the alarm line, default
/// 6), `min_scale` (the least standard deviation, in the unit of the series, that is believed; default 0).
///
/// The default line is crossed by no sample of a synthetic year of flow, pressure, temperature or tank level every five
/// minutes, and by 28 of one of chlorine shown with two decimals (the example `alarm_line` prints it). That takes a window of
/// a whole day: a shorter one mistakes the course of the day for outliers. A series with two usual levels, such as a pump
/// that runs or stands still, is not for this method.
///
/// The score is |z| / line. Of a window longer than 100 samples evenly spaced ones are held, at most 100, which keeps the
/// state below 1 KiB. Until half of what it can hold is there the score is 0. A value that differs from a wholly constant
/// window scores [`MAX_SCORE`] unless `min_scale` says what a difference is worth.
#[derive(Debug, Clone)]
pub struct RobustZ {
    window: u32,
    line: f64,
    min_scale: f64,
    admission: Admission,
    samples: u64,
    /// The held samples in order of arrival, and the same in ascending order.
    arrived: VecDeque<f64>,
    sorted: Vec<f64>,
    /// Median of the window and the standard deviation that it suggests, NaN until enough samples are held.
    median: f64,
    scale: f64,
}

impl RobustZ {
    fn new(window: u32, line: f64, min_scale: f64) -> RobustZ {
        RobustZ {
            window,
            line,
            min_scale,
            admission: Admission::default(),
            samples: 0,
            arrived: VecDeque::new(),
            sorted: Vec::new(),
            median: f64::NAN,
            scale: f64::NAN,
        }
    }

    /// Every how manieth sample is held.
    fn stride(&self) -> u32 {
        self.window.div_ceil(MAX_HELD)
    }

    /// How many samples are held once the window is full.
    fn capacity(&self) -> usize {
        (self.window / self.stride()) as usize
    }

    fn location_and_scale(&self) -> (f64, f64) {
        let median = median_of_sorted(&self.sorted);
        let mad = median_absolute_deviation(&self.sorted, median);
        let scale = if mad > 0.0 {
            MAD_TO_SIGMA * mad
        } else {
            let mean = self.sorted.iter().map(|x| (x - median).abs()).sum::<f64>() / self.sorted.len() as f64;
            MEAN_DEVIATION_TO_SIGMA * mean
        };
        (median, scale.max(self.min_scale))
    }

    fn learn(&mut self, x: f64) {
        if self.samples.is_multiple_of(u64::from(self.stride())) {
            self.hold(x);
        }
        self.samples += 1;
    }

    fn hold(&mut self, x: f64) {
        if self.arrived.len() == self.capacity()
            && let Some(oldest) = self.arrived.pop_front()
        {
            let at = self.sorted.partition_point(|y| y.total_cmp(&oldest).is_lt());
            self.sorted.remove(at);
        }
        self.arrived.push_back(x);
        let at = self.sorted.partition_point(|y| y.total_cmp(&x).is_lt());
        self.sorted.insert(at, x);
        if self.warmed_up() {
            (self.median, self.scale) = self.location_and_scale();
        }
    }
}

fn median_of_sorted(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { 0.5 * (sorted[middle - 1] + sorted[middle]) }
}

/// The deviations below the median ascend to the left of it and those above it to the right. Half of all deviations, the
/// smaller ones, are some of the first and some of the second kind; how many of each is found by bisection.
fn median_absolute_deviation(sorted: &[f64], median: f64) -> f64 {
    let (below, above) = sorted.split_at(sorted.partition_point(|&y| y < median));
    let left = |i: usize| median - below[below.len() - 1 - i];
    let right = |i: usize| above[i] - median;
    let half = sorted.len() / 2 + 1;
    let (mut low, mut high) = (half.saturating_sub(above.len()), half.min(below.len()));
    while low < high {
        let from_left = low + (high - low) / 2;
        if left(from_left) < right(half - from_left - 1) {
            low = from_left + 1;
        } else {
            high = from_left;
        }
    }
    let (from_left, from_right) = (low, half - low);
    let nth_last = |n: usize, taken: usize, side: &dyn Fn(usize) -> f64| {
        if taken >= n { side(taken - n) } else { f64::NEG_INFINITY }
    };
    let (left_last, right_last) = (nth_last(1, from_left, &left), nth_last(1, from_right, &right));
    let last = left_last.max(right_last);
    if sorted.len() % 2 == 1 {
        return last;
    }
    let before = if left_last > right_last {
        nth_last(2, from_left, &left).max(right_last)
    } else {
        nth_last(2, from_right, &right).max(left_last)
    };
    0.5 * (before + last)
}

impl Detector for RobustZ {
    const METHOD: Method = Method::RobustZ;

    fn from_options(options: &Options) -> Result<RobustZ, OptionError> {
        let mut reader = options.of(Method::RobustZ);
        let window = reader.integer("window", 288, 8..=MAX_WINDOW)?;
        let line = reader.number("line", 6.0, 0.1..=1e6)?;
        let min_scale = reader.number("min_scale", 0.0, 0.0..=1e150)?;
        reader.finish()?;
        Ok(RobustZ::new(window, line, min_scale))
    }

    fn update(&mut self, _time: Micros, value: f64) -> Reading {
        let known = self.warmed_up();
        let (median, scale) = (self.median, self.scale);
        let half_width = self.line * scale;
        let band = Band { expected: median, lower: median - half_width, upper: median + half_width };
        let x = match self.admission.admit(value) {
            Admitted::Missing => return band.as_usual(),
            Admitted::Infinite(value) => return band.infinite(value),
            Admitted::Value(x) => x,
        };
        self.learn(x);
        if !known || x == median {
            return band.as_usual();
        }
        let score = if scale > 0.0 { (x - median).abs() / half_width } else { MAX_SCORE };
        band.reading(score, Reason::new("robust_z", x, band.lower, band.upper))
    }

    fn warmed_up(&self) -> bool {
        self.arrived.len() >= self.capacity() / 2
    }

    fn heap_bytes(&self) -> usize {
        (self.arrived.capacity() + self.sorted.capacity()) * size_of::<f64>()
    }

    fn save(&self) -> Vec<u8> {
        let mut out = begin_save(Self::METHOD, VERSION, 48 + 8 * self.arrived.len());
        put_varint(&mut out, u64::from(self.window));
        put_f64(&mut out, self.line);
        put_f64(&mut out, self.min_scale);
        self.admission.save(&mut out);
        put_varint(&mut out, self.samples);
        put_varint(&mut out, self.arrived.len() as u64);
        let (front, back) = self.arrived.as_slices();
        put_f64s(&mut out, front);
        put_f64s(&mut out, back);
        out
    }

    fn restore(bytes: &[u8]) -> Result<RobustZ, DecodeError> {
        let mut reader = begin_restore(bytes, Self::METHOD, VERSION)?;
        let window = reader.small()?;
        if !(8..=MAX_WINDOW).contains(&window) {
            return Err(DecodeError::Invalid("the window of a detector is out of range"));
        }
        let mut detector = RobustZ::new(window, reader.positive()?, reader.finite()?);
        detector.admission = Admission::restore(&mut reader)?;
        detector.samples = reader.counter()?;
        let held = reader.count(8)?;
        if held > detector.capacity() {
            return Err(DecodeError::Invalid("a detector holds more samples than its window"));
        }
        for _ in 0..held {
            detector.hold(reader.finite()?);
        }
        reader.finish()?;
        Ok(detector)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn detector(pairs: &[(&str, &str)]) -> RobustZ {
        RobustZ::from_options(&Options::from_pairs(pairs.iter().copied()).unwrap()).unwrap()
    }

    /// A window of 1, 2, ..., 9 has median 5 and MAD 2.
    #[test]
    fn the_score_is_the_distance_from_the_median_in_deviations() {
        let mut z = detector(&[("window", "9"), ("line", "4")]);
        (1..=9).for_each(|x| {
            z.update(0, f64::from(x));
        });
        let reading = z.update(0, 25.0);
        assert_eq!(reading.expected, 5.0);
        assert!((reading.score - 20.0 / (MAD_TO_SIGMA * 2.0) / 4.0).abs() < 1e-12);
        assert!(reading.is_anomaly && reading.reason.unwrap().code == "robust_z");
        assert!((reading.upper - (5.0 + 4.0 * MAD_TO_SIGMA * 2.0)).abs() < 1e-12);
    }

    #[test]
    fn outliers_in_the_window_do_not_hide_the_next_one() {
        let mut z = detector(&[("window", "100")]);
        let scores: Vec<f64> = (0..200)
            .map(|i| z.update(0, if i > 150 && i % 5 == 0 { 1000.0 } else { f64::from(i * 7 % 11) }).score)
            .collect();
        assert!((155..200).step_by(5).all(|i| scores[i] > 1.0));
    }

    #[test]
    fn a_mostly_constant_window_is_judged_by_its_mean_deviation() {
        let mut z = detector(&[("window", "100"), ("line", "9")]);
        (0..100).for_each(|i| {
            z.update(0, if i % 10 == 0 { 1.0 } else { 0.0 });
        });
        assert!(z.update(0, 1.0).score < 1.0 + 1e-9);
        assert!(z.update(0, 50.0).score > 1.0);
    }

    #[test]
    fn a_least_scale_says_what_a_change_of_a_constant_is_worth() {
        let mut plain = detector(&[("window", "100")]);
        let mut scaled = detector(&[("window", "100"), ("min_scale", "0.5")]);
        (0..100).for_each(|_| {
            plain.update(0, 3.0);
            scaled.update(0, 3.0);
        });
        assert_eq!(plain.update(0, 3.01).score, MAX_SCORE);
        assert!(scaled.update(0, 3.01).score < 0.01);
    }

    #[test]
    fn a_long_window_holds_evenly_spaced_samples() {
        let mut z = detector(&[("window", "300")]);
        (0..3000).for_each(|i| {
            z.update(0, f64::from(i));
        });
        assert_eq!(z.arrived.len(), 100);
        assert!(z.arrived.iter().zip((2700..3000).step_by(3)).all(|(&held, i)| held == f64::from(i)));
    }

    proptest! {
        #[test]
        fn median_and_deviation_equal_those_by_sorting(values in prop::collection::vec(-100_i32..100, 1..40)) {
            let mut sorted: Vec<f64> = values.iter().map(|&v| f64::from(v) / 4.0).collect();
            sorted.sort_by(f64::total_cmp);
            let median = median_of_sorted(&sorted);
            let mut deviations: Vec<f64> = sorted.iter().map(|x| (x - median).abs()).collect();
            deviations.sort_by(f64::total_cmp);
            prop_assert_eq!(median_absolute_deviation(&sorted, median), median_of_sorted(&deviations));
        }
    }
}
