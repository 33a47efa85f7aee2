//! The usual level by hour of day and by weekday or weekend, and what a sample leaves of it.

use crate::bytes::{DecodeError, Reader, put_f64, put_f64s};
use crate::time::{Day, MICROS_PER_DAY, MICROS_PER_HOUR, Micros};

const SLOTS: usize = 48;
/// Weight of the newest sample in the level of its slot.
const ALPHA: f64 = 0.1;

#[derive(Debug, Clone)]
pub(super) struct Seasonal {
    level: [f64; SLOTS],
    /// Saturating: beyond 1 / ALPHA it has no influence.
    count: [u8; SLOTS],
    overall: f64,
}

/// Hour of day (UTC), 24 further slots for Saturday and Sunday.
pub(super) fn slot(time: Micros) -> usize {
    let hour = (time.rem_euclid(MICROS_PER_DAY) / MICROS_PER_HOUR) as usize;
    hour + if Day::of(time).is_weekend() { 24 } else { 0 }
}

impl Seasonal {
    pub(super) fn new(first: f64) -> Seasonal {
        Seasonal { level: [0.0; SLOTS], count: [0; SLOTS], overall: first }
    }

    /// The level of the slot, or the overall level while the slot has none.
    pub(super) fn expected(&self, slot: usize) -> f64 {
        if self.count[slot] > 0 { self.level[slot] } else { self.overall }
    }

    /// What sample number `i` differs from its expected level; then learns it.
    pub(super) fn push(&mut self, i: u64, slot: usize, x: f64) -> f64 {
        let residual = x - self.expected(slot);
        self.count[slot] = self.count[slot].saturating_add(1);
        if self.count[slot] == 1 {
            self.level[slot] = x;
        } else {
            let gain = (1.0 / f64::from(self.count[slot])).max(ALPHA);
            self.level[slot] += gain * (x - self.level[slot]);
        }
        self.overall += (1.0 / (i + 1) as f64).max(0.01) * (x - self.overall);
        residual
    }

    pub(super) fn save(&self, out: &mut Vec<u8>) {
        put_f64s(out, &self.level);
        out.extend_from_slice(&self.count);
        put_f64(out, self.overall);
    }

    pub(super) fn restore(reader: &mut Reader<'_>) -> Result<Seasonal, DecodeError> {
        let mut seasonal = Seasonal::new(0.0);
        for level in &mut seasonal.level {
            *level = reader.finite()?;
        }
        seasonal.count.copy_from_slice(reader.take(SLOTS)?);
        seasonal.overall = reader.finite()?;
        Ok(seasonal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_hours_of_weekdays_and_weekends() {
        // 1970-01-01 was a Thursday
        assert_eq!(slot(0), 0);
        assert_eq!(slot(13 * MICROS_PER_HOUR + 1), 13);
        assert_eq!(slot(2 * MICROS_PER_DAY + 5 * MICROS_PER_HOUR), 29);
        assert_eq!(slot(-1), 23);
    }

    #[test]
    fn a_slot_expects_what_it_saw() {
        let mut seasonal = Seasonal::new(1.0);
        for i in 0..40 {
            seasonal.push(2 * i, 3, 1.0);
            seasonal.push(2 * i + 1, 15, 9.0);
        }
        assert_eq!(seasonal.push(80, 15, 9.0), 0.0);
        assert_eq!(seasonal.push(81, 3, 9.0), 8.0);
    }
}
