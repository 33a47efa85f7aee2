//! The benchmark's score of change points: each has a window after it, in which the first alarm earns the more the earlier it
//! comes, and each alarm outside of all windows costs.

use std::f64::consts::FRAC_PI_2;

/// Seconds.
pub const CHANGE_POINT_WINDOW: f64 = 60.0;

/// Worth of an alarm at the change point, cost of one outside of all windows in the low-false-positive profile, and of a
/// missed change point.
const HIT: f64 = 1.0;
const FALSE_POSITIVE: f64 = -0.22;
const MISS: f64 = -1.0;

/// Places within a window at which an alarm has a worth of its own.
const PLACES: usize = 1000;

#[derive(Default)]
pub struct ChangePoints {
    points: usize,
    pub false_positives: usize,
    earned: f64,
}

impl ChangePoints {
    /// Adds one file: times in seconds, the change points, and those told.
    pub fn add(&mut self, seconds: &[f64], labels: &[bool], told: &[bool]) {
        let at = |flags: &[bool]| -> Vec<f64> {
            seconds.iter().zip(flags).filter(|(_, flag)| **flag).map(|(second, _)| *second).collect()
        };
        let mut windows: Vec<(f64, f64)> =
            at(labels).into_iter().map(|start| (start, start + CHANGE_POINT_WINDOW)).collect();
        for i in 1..windows.len() {
            if windows[i - 1].1 >= windows[i].0 {
                windows[i].0 = windows[i - 1].1;
            }
        }
        let alarms = at(told);
        let within = |alarm: f64, (start, end): (f64, f64)| (start..=end).contains(&alarm);
        for &window in &windows {
            let first = alarms.iter().find(|alarm| within(**alarm, window));
            self.earned += first.map_or(MISS, |alarm| worth(*alarm, window));
        }
        let outside = alarms.iter().filter(|alarm| !windows.iter().any(|window| within(**alarm, *window))).count();
        self.points += windows.len();
        self.false_positives += outside;
        self.earned += FALSE_POSITIVE * outside as f64;
    }

    /// 0 for a detector that tells nothing, 100 for one that tells each change point and nothing else.
    pub fn low_false_positives(&self) -> f64 {
        let (points, nothing) = (self.points as f64, MISS * self.points as f64);
        100.0 * (self.earned - nothing) / (HIT * points - nothing)
    }
}

fn worth(alarm: f64, (start, end): (f64, f64)) -> f64 {
    let place = if end > start { ((alarm - start) / (end - start) * PLACES as f64) as usize } else { PLACES - 1 };
    let x = -FRAC_PI_2 + std::f64::consts::PI * place.min(PLACES - 1) as f64 / (PLACES - 1) as f64;
    let half = (HIT - FALSE_POSITIVE) / 2.0;
    half * -x.tanh() / FRAC_PI_2.tanh() + half + FALSE_POSITIVE
}
