//! The usual level by hour of day and by weekday or weekend, and what a sample leaves of it.

use std::mem::offset_of;

use crate::bytes::{DecodeError, Reader, put_f64};
use crate::prefetch;
use crate::time::{Day, MICROS_PER_DAY, MICROS_PER_HOUR, Micros};

const SLOTS: usize = 48;
/// Weight of the newest sample in the level of its slot.
const ALPHA: f64 = 0.1;

#[derive(Debug, Clone)]
#[repr(C)]
pub(super) struct Seasonal {
    overall: f64,
    slots: [Slot; SLOTS],
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    level: f64,
    /// Saturating: beyond 1 / ALPHA it has no influence.
    count: u8,
}

/// Hour of day (UTC), 24 further slots for Saturday and Sunday.
pub(super) fn slot(time: Micros) -> usize {
    let hour = (time.rem_euclid(MICROS_PER_DAY) / MICROS_PER_HOUR) as usize;
    hour + if Day::of(time).is_weekend() { 24 } else { 0 }
}

impl Seasonal {
    pub(super) fn new(first: f64) -> Seasonal {
        Seasonal { slots: [Slot::default(); SLOTS], overall: first }
    }

    /// The level of the slot, or the overall level while the slot has none.
    pub(super) fn expected(&self, slot: usize) -> f64 {
        let Slot { level, count } = self.slots[slot];
        if count > 0 { level } else { self.overall }
    }

    /// Bytes from the front that every sample needs; of the rest it needs its slot.
    pub(super) const FRONT: usize = offset_of!(Seasonal, slots);

    /// Asks for the memory of a slot.
    #[inline]
    pub(super) fn prefetch_slot(&self, slot: usize) {
        prefetch::value(&self.slots[slot]);
    }

    /// What a sample differs from its expected level; then learns it. `share` is its share of all samples so far.
    pub(super) fn push(&mut self, share: f64, slot: usize, x: f64) -> f64 {
        let residual = x - self.expected(slot);
        let Slot { level, count } = &mut self.slots[slot];
        *count = count.saturating_add(1);
        if *count == 1 {
            *level = x;
        } else {
            let gain = (1.0 / f64::from(*count)).max(ALPHA);
            *level += gain * (x - *level);
        }
        self.overall += share.max(0.01) * (x - self.overall);
        residual
    }

    pub(super) fn save(&self, out: &mut Vec<u8>) {
        self.slots.iter().for_each(|slot| put_f64(out, slot.level));
        out.extend(self.slots.iter().map(|slot| slot.count));
        put_f64(out, self.overall);
    }

    pub(super) fn restore(reader: &mut Reader<'_>) -> Result<Seasonal, DecodeError> {
        let mut seasonal = Seasonal::new(0.0);
        for slot in &mut seasonal.slots {
            slot.level = reader.finite()?;
        }
        for (slot, &count) in seasonal.slots.iter_mut().zip(reader.take(SLOTS)?) {
            slot.count = count;
        }
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
            seasonal.push(1.0 / f64::from(2 * i + 1), 3, 1.0);
            seasonal.push(1.0 / f64::from(2 * i + 2), 15, 9.0);
        }
        assert_eq!(seasonal.push(1.0 / 81.0, 15, 9.0), 0.0);
        assert_eq!(seasonal.push(1.0 / 82.0, 3, 9.0), 8.0);
    }
}
