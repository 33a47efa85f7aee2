//! The usual value and spread of a series by hour of day, for weekdays and weekends apart.
//!
//! A cell per hour holds a mean and a mean absolute deviation. It learns once per visit, when the hour is over, so what it
//! remembers is counted in days and does not depend on how often the series is sampled. In between the middles of two
//! hours the expectation goes over from the one to the other.

use crate::bytes::{DecodeError, Reader, put_f64, put_varint, put_zigzag};
use crate::detect::baseline::{Baseline, MEAN_DEVIATION_TO_SIGMA, gain};
use crate::time::{Day, MICROS_PER_HOUR, Micros};

const CELLS: usize = 48;
/// A visit learns values as at most this many standard deviations off.
const CLIP: f64 = 6.0;
/// The same while only mean and standard deviation of the whole series are known.
const OVERALL_CLIP: f64 = 10.0;
/// An hour in which nothing ever happens is believed to spread by this fraction of the standard deviation of the series.
const LEAST_SPREAD: f64 = 0.01;
/// Of the mean and standard deviation of the whole series, in samples.
const OVERALL_HALF_LIFE: f64 = 4032.0;

#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    level: f64,
    /// Mean absolute deviation; single precision is enough for it and keeps the saved state below 1 KiB.
    spread: f32,
    /// Saturating: once there are many, all count the same.
    visits: u8,
}

/// The hour that is going on.
#[derive(Debug, Clone, Copy, Default)]
struct Visit {
    /// Hours since the epoch, local time.
    hour: i64,
    /// Cells of the hour before, of this hour and of the one after.
    cells: [u8; 3],
    samples: u64,
    total: f64,
    deviation: f64,
}

impl Visit {
    fn of(hour: i64) -> Visit {
        let cells = [hour.saturating_sub(1), hour, hour.saturating_add(1)].map(|hour| cell_of(hour) as u8);
        Visit { hour, cells, ..Visit::default() }
    }
}

/// What the profile expects at a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expectation {
    pub(super) level: f64,
    /// Standard deviation around it.
    pub(super) sigma: f64,
    /// Days on which this hour was seen.
    pub(super) visits: u8,
}

#[derive(Debug, Clone)]
pub(super) struct Profile {
    gain: f64,
    /// Local time minus UTC.
    offset: Micros,
    overall: Baseline,
    cells: [Cell; CELLS],
    visit: Visit,
}

/// Its place among the cells: 24 hours of weekdays, then 24 of Saturday and Sunday.
fn cell_of(hour: i64) -> usize {
    let weekend = Day(hour.div_euclid(24) as i32).is_weekend();
    hour.rem_euclid(24) as usize + if weekend { 24 } else { 0 }
}

impl Profile {
    /// What is learned fades with a half-life in days on which the hour occurs.
    pub(super) fn new(half_life: f64, offset: Micros) -> Profile {
        Profile {
            gain: gain(half_life),
            offset,
            overall: Baseline::new(OVERALL_HALF_LIFE),
            cells: [Cell::default(); CELLS],
            visit: Visit::of(0),
        }
    }

    /// The most days on which any hour was seen.
    pub(super) fn visits(&self) -> u8 {
        self.cells.iter().map(|cell| cell.visits).max().unwrap_or(0)
    }

    fn hour(&self, time: Micros) -> (i64, f64) {
        let local = time.saturating_add(self.offset);
        (local.div_euclid(MICROS_PER_HOUR), local.rem_euclid(MICROS_PER_HOUR) as f64 / MICROS_PER_HOUR as f64)
    }

    /// `None` until the hour was seen once. The standard deviation is at least `min_scale`.
    pub(super) fn expect(&self, time: Micros, min_scale: f64) -> Option<Expectation> {
        let (hour, past) = self.hour(time);
        let places = if hour == self.visit.hour { self.visit.cells } else { Visit::of(hour).cells };
        let [before, cell, after] = places.map(|place| &self.cells[usize::from(place)]);
        if cell.visits == 0 {
            return None;
        }
        let (neighbour, weight) = if past < 0.5 { (before, 0.5 - past) } else { (after, past - 0.5) };
        let (mut level, mut spread) = (cell.level, f64::from(cell.spread));
        if neighbour.visits > 0 {
            level += weight * (neighbour.level - level);
            spread += weight * (f64::from(neighbour.spread) - spread);
        }
        let least = (LEAST_SPREAD * self.overall.scale(0.0)).max(min_scale);
        Some(Expectation { level, sigma: (MEAN_DEVIATION_TO_SIGMA * spread).max(least), visits: cell.visits })
    }

    /// `expectation` is what [`Profile::expect`] gave for this time.
    pub(super) fn learn(&mut self, time: Micros, x: f64, expectation: Option<Expectation>) {
        let (hour, _) = self.hour(time);
        if hour != self.visit.hour {
            self.end_visit();
            self.visit = Visit::of(hour);
        }
        let believed = match expectation {
            Some(Expectation { level, sigma, .. }) => level + (x - level).clamp(-CLIP * sigma, CLIP * sigma),
            None => self.overall.clipped(x, OVERALL_CLIP),
        };
        self.overall.learn(x);
        let visit = &mut self.visit;
        visit.samples += 1;
        visit.total += believed;
        let expected = expectation.map_or(visit.total / visit.samples as f64, |e| e.level);
        visit.deviation += (believed - expected).abs();
    }

    fn end_visit(&mut self) {
        let Visit { cells, samples, total, deviation, .. } = self.visit;
        if samples == 0 {
            return;
        }
        let cell = &mut self.cells[usize::from(cells[1])];
        cell.visits = cell.visits.saturating_add(1);
        let gain = (1.0 / f64::from(cell.visits)).max(self.gain);
        cell.level += gain * (total / samples as f64 - cell.level);
        let spread = f64::from(cell.spread) + gain * (deviation / samples as f64 - f64::from(cell.spread));
        cell.spread = spread.min(f64::from(f32::MAX)) as f32;
    }

    pub(super) fn save(&self, out: &mut Vec<u8>) {
        self.overall.save(out);
        for cell in &self.cells {
            out.push(cell.visits);
            if cell.visits > 0 {
                put_f64(out, cell.level);
                out.extend(cell.spread.to_le_bytes());
            }
        }
        let Visit { hour, samples, total, deviation, .. } = self.visit;
        put_zigzag(out, hour);
        put_varint(out, samples);
        put_f64(out, total);
        put_f64(out, deviation);
    }

    pub(super) fn restore(half_life: f64, offset: Micros, reader: &mut Reader<'_>) -> Result<Profile, DecodeError> {
        let mut profile = Profile::new(half_life, offset);
        profile.overall = Baseline::restore(OVERALL_HALF_LIFE, reader)?;
        for cell in &mut profile.cells {
            cell.visits = reader.u8()?;
            if cell.visits > 0 {
                cell.level = reader.finite()?;
                cell.spread =
                    f32::from_bits(u32::from_le_bytes([reader.u8()?, reader.u8()?, reader.u8()?, reader.u8()?]));
                if !(cell.spread.is_finite() && cell.spread >= 0.0) {
                    return Err(DecodeError::Invalid("a spread is out of range"));
                }
            }
        }
        let hour = reader.zigzag()?;
        if hour.unsigned_abs() > i64::MAX.unsigned_abs() / MICROS_PER_HOUR.unsigned_abs() + 1 {
            return Err(DecodeError::Invalid("an hour is out of range"));
        }
        profile.visit = Visit {
            samples: reader.counter()?,
            total: reader.finite()?,
            deviation: reader.finite()?,
            ..Visit::of(hour)
        };
        Ok(profile)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{MICROS_PER_DAY, MICROS_PER_MINUTE};

    /// A Monday.
    const START: Micros = 4 * MICROS_PER_DAY;

    fn learned(days: i64, step: Micros, value: impl Fn(Micros) -> f64) -> Profile {
        let mut profile = Profile::new(7.0, 0);
        for time in (START..START + days * MICROS_PER_DAY).step_by(step as usize) {
            let expectation = profile.expect(time, 0.0);
            profile.learn(time, value(time), expectation);
        }
        profile
    }

    fn hour_of_day(time: Micros) -> f64 {
        time.rem_euclid(MICROS_PER_DAY) as f64 / MICROS_PER_HOUR as f64
    }

    #[test]
    fn cells_are_hours_of_weekdays_and_weekends() {
        // 1970-01-01 was a Thursday
        assert_eq!(cell_of(0), 0);
        assert_eq!(cell_of(2 * 24 + 5), 29);
        assert_eq!(cell_of(-1), 23);
    }

    #[test]
    fn it_expects_the_course_of_the_day_at_whatever_sampling() {
        let course = |time| 10.0 + 5.0 * (hour_of_day(time) / 24.0 * std::f64::consts::TAU).sin();
        for step in [MICROS_PER_MINUTE, 5 * MICROS_PER_MINUTE, 30 * MICROS_PER_MINUTE] {
            let profile = learned(21, step, course);
            for time in (START + 21 * MICROS_PER_DAY..).step_by(10 * MICROS_PER_MINUTE as usize).take(144) {
                let expected = profile.expect(time, 0.0).unwrap().level;
                assert!((expected - course(time)).abs() < 0.4, "{expected} instead of {}", course(time));
            }
        }
    }

    #[test]
    fn weekends_are_learned_apart_and_an_unseen_hour_expects_nothing() {
        let value = |time| if Day::of(time).is_weekend() { 1.0 } else { 9.0 } + (time / MICROS_PER_MINUTE % 3) as f64;
        let profile = learned(14, 5 * MICROS_PER_MINUTE, value);
        let noon = |day: i64| profile.expect(START + day * MICROS_PER_DAY + MICROS_PER_DAY / 2, 0.0).unwrap().level;
        assert!((noon(0) - 10.0).abs() < 0.2 && (noon(5) - 2.0).abs() < 0.2, "{} and {}", noon(0), noon(5));
        let weekdays = learned(5, 5 * MICROS_PER_MINUTE, |_| 1.0);
        assert!(weekdays.expect(START + 5 * MICROS_PER_DAY, 0.0).is_none());
    }

    #[test]
    fn a_bad_day_moves_it_by_little() {
        let noise = |time: Micros| ((time / MICROS_PER_MINUTE * 7919) % 101) as f64 / 101.0;
        let bad = START + 10 * MICROS_PER_DAY;
        let value = |time| if (bad..bad + MICROS_PER_DAY).contains(&time) { 1e150 } else { 5.0 + noise(time) };
        let profile = learned(11, 5 * MICROS_PER_MINUTE, value);
        let expected = profile.expect(bad + MICROS_PER_DAY / 2, 0.0).unwrap();
        assert!((expected.level - 5.5).abs() < 0.5 && expected.sigma < 1.0, "{expected:?}");
    }

    #[test]
    fn an_offset_moves_the_hours() {
        let mut east = Profile::new(7.0, 2 * MICROS_PER_HOUR);
        (0..10).for_each(|i| east.learn(START + 22 * MICROS_PER_HOUR + i, 3.0, None));
        east.learn(START + 23 * MICROS_PER_HOUR, 3.0, None);
        assert_eq!(east.cells[0].visits, 1);
    }
}
