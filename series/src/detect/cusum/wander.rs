//! By how much the mean of a whole day usually deviates: weather, seasons and other slow ways of a series that are no shift.

use crate::bytes::{DecodeError, Reader, put_f64s, put_varint, put_zigzag};
use crate::time::{Day, Micros};

/// Weight of the newest of many days: a half-life of two weeks.
const GAIN: f64 = 0.048;
/// Before the first day is over.
const START: f64 = 0.25;

#[derive(Debug, Clone)]
pub(super) struct Wander {
    day: i32,
    samples: u64,
    total: f64,
    days: u64,
    /// Root mean square of the means of days.
    usual: f64,
}

impl Wander {
    pub(super) fn new() -> Wander {
        Wander { day: 0, samples: 0, total: 0.0, days: 0, usual: START }
    }

    /// Usual deviation of a day's mean, in standard deviations of a sample.
    pub(super) fn usual(&self) -> f64 {
        self.usual
    }

    /// Adds a sample's deviation in standard deviations.
    pub(super) fn learn(&mut self, local_time: Micros, z: f64) {
        let day = Day::of(local_time).0;
        if day != self.day {
            self.end_day();
            (self.day, self.samples, self.total) = (day, 0, 0.0);
        }
        self.samples += 1;
        self.total += z;
    }

    fn end_day(&mut self) {
        if self.samples == 0 {
            return;
        }
        self.days += 1;
        // a day on which something happened teaches a bounded amount
        let mean = (self.total / self.samples as f64).abs().min(2.0 * self.usual + START);
        let gain = (1.0 / (self.days + 1) as f64).max(GAIN);
        let square = self.usual * self.usual;
        self.usual = (square + gain * (mean * mean - square)).sqrt();
    }

    pub(super) fn save(&self, out: &mut Vec<u8>) {
        put_zigzag(out, i64::from(self.day));
        put_varint(out, self.samples);
        put_varint(out, self.days);
        put_f64s(out, &[self.total, self.usual]);
    }

    pub(super) fn restore(reader: &mut Reader<'_>) -> Result<Wander, DecodeError> {
        let day = i32::try_from(reader.zigzag()?).map_err(|_| DecodeError::Invalid("a day is out of range"))?;
        let (samples, days) = (reader.counter()?, reader.counter()?);
        let wander = Wander { day, samples, days, total: reader.finite()?, usual: reader.finite()? };
        if wander.usual >= 0.0 { Ok(wander) } else { Err(DecodeError::Invalid("a deviation is negative")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::MICROS_PER_HOUR;

    fn learned(days: i64, z: impl Fn(i64) -> f64) -> f64 {
        let mut wander = Wander::new();
        (0..24 * days).for_each(|hour| wander.learn(hour * MICROS_PER_HOUR, z(hour)));
        wander.usual()
    }

    #[test]
    fn it_is_what_days_deviate_by_and_not_what_hours_do() {
        assert!(learned(100, |hour| if hour % 2 == 0 { 3.0 } else { -3.0 }) < 0.1);
        let by_day = learned(100, |hour| if hour / 24 % 2 == 0 { 1.5 } else { -1.5 });
        assert!((by_day - 1.5).abs() < 0.1, "{by_day}");
    }

    #[test]
    fn one_day_of_an_incident_moves_it_by_little() {
        assert!(learned(60, |hour| if hour / 24 == 58 { 4.0 } else { 0.0 }) < 0.15);
    }
}
