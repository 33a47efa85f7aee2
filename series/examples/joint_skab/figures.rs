//! F1 of rows, and how it depends on the files at hand.

use std::iter::Sum;

#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    true_positive: f64,
    false_positive: f64,
    false_negative: f64,
    true_negative: f64,
}

impl Counts {
    pub fn of(label: bool, alarm: bool) -> Counts {
        let mut counts = Counts::default();
        match (label, alarm) {
            (true, true) => counts.true_positive = 1.0,
            (false, true) => counts.false_positive = 1.0,
            (true, false) => counts.false_negative = 1.0,
            (false, false) => counts.true_negative = 1.0,
        }
        counts
    }

    pub fn f1(self) -> f64 {
        self.true_positive / (self.true_positive + (self.false_negative + self.false_positive) / 2.0)
    }

    pub fn false_alarm_rate(self) -> f64 {
        self.false_positive / (self.false_positive + self.true_negative)
    }

    pub fn missed_rate(self) -> f64 {
        self.false_negative / (self.false_negative + self.true_positive)
    }
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Counts>>(counts: I) -> Counts {
        counts.fold(Counts::default(), |a, b| Counts {
            true_positive: a.true_positive + b.true_positive,
            false_positive: a.false_positive + b.false_positive,
            false_negative: a.false_negative + b.false_negative,
            true_negative: a.true_negative + b.true_negative,
        })
    }
}

/// Standard deviation, 5 % and 95 % quantile of F1 over 2000 draws of as many files, with replacement.
pub fn resampled_f1(files: &[Counts]) -> (f64, f64, f64) {
    const DRAWS: usize = 2000;
    let mut state = 1_u64;
    let mut draw = || {
        // Knuth's multiplier of a linear congruential generator, of which the high bits are good
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % files.len()
    };
    let mut f1: Vec<f64> = (0..DRAWS).map(|_| (0..files.len()).map(|_| files[draw()]).sum::<Counts>().f1()).collect();
    f1.sort_unstable_by(f64::total_cmp);
    let mean = f1.iter().sum::<f64>() / DRAWS as f64;
    let variance = f1.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / DRAWS as f64;
    (variance.sqrt(), f1[DRAWS / 20], f1[DRAWS - DRAWS / 20])
}
