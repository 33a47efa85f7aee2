//! The two statistics of a detector's smoothed innovations: where they stand, and how they move.

use super::JointSettings;
use super::hotelling::Hotelling;
use crate::bytes::{DecodeError, Reader, put_f64s};

/// A multivariate exponentially weighted moving average (Lowry, Woodall, Champ and Rigdon, 1992) and the known levels
/// whose nearest it is compared with.
#[derive(Debug, Clone)]
pub(super) struct Level {
    smoothed: Vec<f64>,
    /// The same smoothed once more: the level that an accepted state has.
    settled: Vec<f64>,
    /// The second known level less the usual one.
    offset: Vec<f64>,
    second_known: bool,
    near_second: bool,
    scratch: Vec<f64>,
}

impl Level {
    pub(super) fn new(usual: &Hotelling) -> Level {
        let zeros = vec![0.0; usual.mean.len()];
        Level {
            smoothed: zeros.clone(),
            settled: usual.mean.clone(),
            offset: zeros.clone(),
            second_known: false,
            near_second: false,
            scratch: zeros,
        }
    }

    /// Takes the winsorised innovations of a row; Hotelling's T of the distance from the nearest known level.
    pub(super) fn distance(&mut self, innovations: &[f64], usual: &Hotelling, settings: &JointSettings) -> f64 {
        for (smoothed, r) in self.smoothed.iter_mut().zip(innovations) {
            *smoothed += settings.level_weight * (r - *smoothed);
        }
        for (settled, smoothed) in self.settled.iter_mut().zip(&self.smoothed) {
            *settled += settings.settle_weight * (smoothed - *settled);
        }
        let moments = usual.mean.iter().zip(&usual.deviation);
        for ((d, smoothed), (mean, deviation)) in self.scratch.iter_mut().zip(&self.smoothed).zip(moments) {
            *d = (smoothed - mean) / deviation;
        }
        let first = usual.squared_distance(&mut self.scratch);
        self.near_second = false;
        if !self.second_known {
            return first.sqrt();
        }
        for j in 0..self.scratch.len() {
            self.scratch[j] = (self.smoothed[j] - usual.mean[j] - self.offset[j]) / usual.deviation[j];
        }
        let second = usual.squared_distance(&mut self.scratch);
        self.near_second = second < first;
        first.min(second).sqrt()
    }

    /// The level of now becomes the second known one.
    pub(super) fn settle(&mut self, usual: &Hotelling) {
        self.second_known = true;
        for ((offset, settled), mean) in self.offset.iter_mut().zip(&self.settled).zip(&usual.mean) {
            *offset = settled - mean;
        }
    }

    /// The smoothed innovations as they would be at the usual level.
    pub(super) fn at_usual_level(&self) -> impl Iterator<Item = f64> {
        let share = f64::from(u8::from(self.near_second));
        self.smoothed.iter().zip(&self.offset).map(move |(smoothed, offset)| smoothed - share * offset)
    }

    /// How far a sensor is from the nearest known level, in standard deviations.
    pub(super) fn distance_of(&self, sensor: usize, usual: &Hotelling) -> f64 {
        ((self.smoothed[sensor] - usual.mean[sensor] - self.offset_of(sensor)) / usual.deviation[sensor]).abs()
    }

    /// The sensor that is furthest from the nearest known level.
    pub(super) fn furthest(&self, usual: &Hotelling) -> usize {
        let distance = |sensor: usize| self.distance_of(sensor, usual);
        (0..self.smoothed.len()).max_by(|&a, &b| distance(a).total_cmp(&distance(b))).unwrap_or(0)
    }

    /// The smoothed innovation of a sensor, and the nearest known level of it.
    pub(super) fn of(&self, sensor: usize, usual: &Hotelling) -> (f64, f64) {
        (self.smoothed[sensor], usual.mean[sensor] + self.offset_of(sensor))
    }

    fn offset_of(&self, sensor: usize) -> f64 {
        f64::from(u8::from(self.near_second)) * self.offset[sensor]
    }

    pub(super) fn save(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.second_known));
        for values in [&self.smoothed, &self.settled, &self.offset] {
            put_f64s(out, values);
        }
    }

    pub(super) fn restore(p: usize, reader: &mut Reader<'_>) -> Result<Level, DecodeError> {
        let second_known = reader.bool()?;
        let (smoothed, settled, offset) = (small(p, reader)?, small(p, reader)?, small(p, reader)?);
        Ok(Level { smoothed, settled, offset, second_known, near_second: false, scratch: vec![0.0; p] })
    }
}

/// The difference of a fast and a slow average: large while the level moves, small again at a new one.
#[derive(Debug, Clone)]
pub(super) struct Movement {
    fast: Vec<f64>,
    slow: Vec<f64>,
    scratch: Vec<f64>,
}

impl Movement {
    pub(super) fn new(p: usize) -> Movement {
        Movement { fast: vec![0.0; p], slow: vec![0.0; p], scratch: vec![0.0; p] }
    }

    pub(super) fn distance(&mut self, innovations: &[f64], usual: &Hotelling, settings: &JointSettings) -> f64 {
        for ((fast, slow), r) in self.fast.iter_mut().zip(&mut self.slow).zip(innovations) {
            *fast += settings.change_fast * (r - *fast);
            *slow += settings.change_slow * (r - *slow);
        }
        for j in 0..self.scratch.len() {
            self.scratch[j] = (self.fast[j] - self.slow[j] - usual.mean[j]) / usual.deviation[j];
        }
        usual.squared_distance(&mut self.scratch).sqrt()
    }

    /// The sensor that moves most, and its difference.
    pub(super) fn furthest(&self, usual: &Hotelling) -> (usize, f64) {
        let moved = |j: usize| self.fast[j] - self.slow[j];
        let distance = |j: usize| ((moved(j) - usual.mean[j]) / usual.deviation[j]).abs();
        let j = (0..self.fast.len()).max_by(|&a, &b| distance(a).total_cmp(&distance(b))).unwrap_or(0);
        (j, moved(j))
    }

    pub(super) fn save(&self, out: &mut Vec<u8>) {
        put_f64s(out, &self.fast);
        put_f64s(out, &self.slow);
    }

    pub(super) fn restore(p: usize, reader: &mut Reader<'_>) -> Result<Movement, DecodeError> {
        Ok(Movement { fast: small(p, reader)?, slow: small(p, reader)?, scratch: vec![0.0; p] })
    }
}

/// `p` averages of winsorised innovations, which are small numbers.
fn small(p: usize, reader: &mut Reader<'_>) -> Result<Vec<f64>, DecodeError> {
    let values = reader.f64s(p)?;
    if values.iter().all(|v| v.abs() <= 1e6) {
        Ok(values)
    } else {
        Err(DecodeError::Invalid("a smoothed innovation is out of range"))
    }
}
