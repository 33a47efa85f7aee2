//! When an alarm begins and ends, and when a change is one.

use super::JointSettings;
use crate::bytes::{DecodeError, Reader, put_f64, put_varint};

/// Weight of the newest score in the running level of an alarm.
const RUNNING_WEIGHT: f64 = 0.05;

/// Begins at the alarm line; ends when the score stayed long enough below its leaving line, or when the state lasted so
/// long that it is one to live with.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Alarm {
    pub(super) on: bool,
    age: u64,
    quiet: u64,
    running: f64,
    peak: f64,
}

impl Alarm {
    /// Takes a score and returns whether the alarm just ended above the leaving line: the system settled at another level.
    pub(super) fn settles(&mut self, score: f64, settings: &JointSettings) -> bool {
        if !self.on {
            if score >= 1.0 {
                *self = Alarm { on: true, age: 0, quiet: 0, running: score, peak: score };
            }
            return false;
        }
        self.running += RUNNING_WEIGHT * (score - self.running);
        self.peak = self.peak.max(self.running);
        let below = score < settings.leave.max(settings.leave_share * self.peak);
        self.quiet = if below { self.quiet + 1 } else { 0 };
        self.age += 1;
        let accepted = settings.accept > 0 && self.age >= u64::from(settings.accept);
        if self.quiet < u64::from(settings.hold) && !accepted {
            return false;
        }
        self.on = false;
        self.quiet = 0;
        score >= settings.leave
    }

    pub(super) fn save(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.on));
        put_varint(out, self.age);
        put_varint(out, self.quiet);
        put_f64(out, self.running);
        put_f64(out, self.peak);
    }

    pub(super) fn restore(reader: &mut Reader<'_>) -> Result<Alarm, DecodeError> {
        Ok(Alarm {
            on: reader.bool()?,
            age: reader.counter()?,
            quiet: reader.counter()?,
            running: reader.finite()?,
            peak: reader.finite()?,
        })
    }
}

/// Tells one change per crossing of the line, and none too close to the one before.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Crossing {
    armed: bool,
    /// Rows since the last change.
    since: Option<u64>,
}

impl Crossing {
    pub(super) fn new() -> Crossing {
        Crossing { armed: true, since: None }
    }

    pub(super) fn is_change(&mut self, score: f64, spacing: u32) -> bool {
        self.since = self.since.map(|rows| rows + 1);
        if score < 1.0 {
            self.armed = true;
            return false;
        }
        let change = self.armed && self.since.is_none_or(|rows| rows >= u64::from(spacing));
        if change {
            self.armed = false;
            self.since = Some(0);
        }
        change
    }

    pub(super) fn save(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.armed));
        out.push(u8::from(self.since.is_some()));
        put_varint(out, self.since.unwrap_or(0));
    }

    pub(super) fn restore(reader: &mut Reader<'_>) -> Result<Crossing, DecodeError> {
        let (armed, known, since) = (reader.bool()?, reader.bool()?, reader.counter()?);
        Ok(Crossing { armed, since: known.then_some(since) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(scores: &[f64], settings: &JointSettings) -> (Vec<bool>, Vec<usize>) {
        let mut alarm = Alarm::default();
        let (mut on, mut settled) = (Vec::new(), Vec::new());
        for (row, &score) in scores.iter().enumerate() {
            if alarm.settles(score, settings) {
                settled.push(row);
            }
            on.push(alarm.on);
        }
        (on, settled)
    }

    #[test]
    fn an_alarm_ends_after_enough_quiet_rows_in_a_row() {
        let settings = JointSettings { hold: 3, ..JointSettings::benchmark() };
        let (on, settled) = states(&[0.9, 1.0, 0.1, 0.1, 0.8, 0.1, 0.1, 0.1, 0.1], &settings);
        assert_eq!(on, [false, true, true, true, true, true, true, false, false]);
        assert!(settled.is_empty());
    }

    #[test]
    fn a_state_that_lasts_is_accepted_and_settles() {
        let settings = JointSettings { accept: 4, ..JointSettings::benchmark() };
        let (on, settled) = states(&[1.5, 1.5, 1.5, 1.5, 1.5, 0.2], &settings);
        assert_eq!(on, [true, true, true, true, false, false]);
        assert_eq!(settled, [4]);
        let never = JointSettings { accept: 0, ..settings };
        assert!(states(&[1.5; 1000], &never).0.iter().all(|on| *on));
    }

    #[test]
    fn a_change_is_told_once_per_crossing_and_not_too_close_to_the_one_before() {
        let mut crossing = Crossing::new();
        let changes: Vec<bool> =
            [1.0, 2.0, 0.5, 1.2, 0.5, 0.5, 1.1, 1.1].map(|score| crossing.is_change(score, 5)).to_vec();
        assert_eq!(changes, [true, false, false, false, false, false, true, false]);
    }
}
