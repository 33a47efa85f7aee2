//! The usual level by hour of day and by weekday or weekend, and what a sample leaves of it.

use crate::bytes::{DecodeError, Reader, put_f64, put_f64s};
use crate::time::{Day, MICROS_PER_DAY, MICROS_PER_HOUR, Micros};

const SLOTS: usize = 48;
/// Weight of the newest sample in the level of its slot.
const ALPHA: f64 = 0.1;
/// Until a slot has so many, a sample weighs as much as each of them, more than ALPHA.
const SETTLED: u8 = 10;

/// What every sample needs: the slot that is going on is at hand, the others lie apart.
#[derive(Debug, Clone)]
pub(super) struct Seasonal {
    overall: f64,
    level: f64,
    /// Saturating: beyond SETTLED it has no influence.
    count: u8,
    /// Which slot level and count are those of.
    slot: u8,
}

/// Levels and counts of all slots; those of the one that is going on are as they were before.
#[derive(Debug, Clone)]
pub(super) struct Slots {
    levels: [f64; SLOTS],
    counts: [u8; SLOTS],
}

impl Slots {
    pub(super) fn new() -> Slots {
        Slots { levels: [0.0; SLOTS], counts: [0; SLOTS] }
    }

    fn get(&self, slot: usize) -> (f64, u8) {
        (self.levels[slot], self.counts[slot])
    }
}

/// Hour of day (UTC), 24 further slots for Saturday and Sunday.
pub(super) fn slot(time: Micros) -> usize {
    let hour = (time.rem_euclid(MICROS_PER_DAY) / MICROS_PER_HOUR) as usize;
    hour + if Day::of(time).is_weekend() { 24 } else { 0 }
}

impl Seasonal {
    pub(super) fn new(first: f64) -> Seasonal {
        Seasonal { overall: first, level: 0.0, count: 0, slot: 0 }
    }

    fn put_back(&self, slots: &mut Slots) {
        let slot = usize::from(self.slot);
        (slots.levels[slot], slots.counts[slot]) = (self.level, self.count);
    }

    /// The level of the slot, or the overall level while the slot has none.
    #[inline]
    pub(super) fn expected(&self, slots: &Slots, slot: usize) -> f64 {
        let (level, count) = if slot == usize::from(self.slot) { (self.level, self.count) } else { slots.get(slot) };
        if count > 0 { level } else { self.overall }
    }

    /// What a sample differs from its expected level; then learns it. `share` is its share of all samples so far.
    #[inline]
    pub(super) fn push(&mut self, slots: &mut Slots, share: f64, slot: usize, x: f64) -> f64 {
        let residual = x - self.expected(slots, slot);
        if slot != usize::from(self.slot) {
            self.turn_to(slots, slot);
        }
        self.count = self.count.saturating_add(1);
        if self.count == 1 {
            self.level = x;
        } else {
            let gain = if self.count < SETTLED { 1.0 / f64::from(self.count) } else { ALPHA };
            self.level += gain * (x - self.level);
        }
        self.overall += share.max(0.01) * (x - self.overall);
        residual
    }

    #[cold]
    fn turn_to(&mut self, slots: &mut Slots, slot: usize) {
        self.put_back(slots);
        (self.level, self.count) = slots.get(slot);
        self.slot = slot as u8;
    }

    pub(super) fn save(&self, slots: &Slots, out: &mut Vec<u8>) {
        let mut slots = slots.clone();
        self.put_back(&mut slots);
        put_f64s(out, &slots.levels);
        out.extend(slots.counts);
        put_f64(out, self.overall);
    }

    pub(super) fn restore(slots: &mut Slots, reader: &mut Reader<'_>) -> Result<Seasonal, DecodeError> {
        for level in &mut slots.levels {
            *level = reader.finite()?;
        }
        slots.counts.copy_from_slice(reader.take(SLOTS)?);
        let (level, count) = slots.get(0);
        Ok(Seasonal { overall: reader.finite()?, level, count, slot: 0 })
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
        let (mut seasonal, mut slots) = (Seasonal::new(1.0), Slots::new());
        for i in 0..40 {
            seasonal.push(&mut slots, 1.0 / f64::from(2 * i + 1), 3, 1.0);
            seasonal.push(&mut slots, 1.0 / f64::from(2 * i + 2), 15, 9.0);
        }
        assert_eq!(seasonal.push(&mut slots, 1.0 / 81.0, 15, 9.0), 0.0);
        assert_eq!(seasonal.push(&mut slots, 1.0 / 82.0, 3, 9.0), 8.0);
    }
}
