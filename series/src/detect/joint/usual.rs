//! The moments of what is usual, learned on from the training with every usual row.

use super::hotelling::{Hotelling, Shrink};
use super::{JointError, JointSettings};
use crate::bytes::{DecodeError, Reader, put_f64s, put_varint};
use nalgebra::DMatrix;

/// Every that many rows one is learned for all of them: smoothed innovations change little from row to row.
const STRIDE: u32 = 10;
/// Rows learned between two factorisations of the covariance.
const REFRESH_ROWS: u32 = 30;

/// Running mean and covariance of the smoothed innovations, each row with the weight 1 / (rows seen, at most the memory).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Usual {
    rows: u64,
    since_refresh: u32,
    mean: Vec<f64>,
    /// Columns of the lower triangle from the diagonal down.
    covariance: Vec<f64>,
    /// Least standard deviations, from the resolution.
    floor: Vec<f64>,
    /// Rows that wait, oldest first.
    waiting: Vec<f64>,
    rows_since_waiting: u32,
}

impl Usual {
    /// From the moments of `rows` rows; `floor` holds the least standard deviations.
    pub(super) fn new(rows: u64, mean: Vec<f64>, covariance: &DMatrix<f64>, floor: Vec<f64>) -> Usual {
        let p = mean.len();
        let covariance = (0..p).flat_map(|j| (j..p).map(move |i| covariance[(i, j)])).collect();
        Usual { rows, since_refresh: 0, mean, covariance, floor, waiting: Vec::new(), rows_since_waiting: 0 }
    }

    /// Takes the smoothed innovations of a row outside of alarms, less the offset of the known level that it belongs to, NaN for
    /// sensors without a value. It is learned after the delay, and from time to time `level` renewed with what was learned.
    pub(super) fn take(&mut self, settings: &JointSettings, row: impl Iterator<Item = f64>, level: &mut Hotelling) {
        self.rows_since_waiting += 1;
        if self.rows_since_waiting < STRIDE {
            return;
        }
        self.rows_since_waiting = 0;
        let p = self.mean.len();
        self.waiting.extend(row);
        if self.waiting.len() > slots(settings) * p {
            self.learn(settings, level);
            self.waiting.drain(..p);
        }
    }

    /// An alarm began: what led to it is not learned.
    pub(super) fn forget_waiting(&mut self) {
        self.waiting.clear();
        self.rows_since_waiting = 0;
    }

    /// Learns the row that waited longest, which is used up.
    fn learn(&mut self, settings: &JointSettings, level: &mut Hotelling) {
        self.rows += u64::from(STRIDE);
        let share = (f64::from(STRIDE) / self.rows.min(u64::from(settings.memory)).max(1) as f64).min(1.0);
        let row = &mut self.waiting[..self.mean.len()];
        for (deviation, mean) in row.iter_mut().zip(&mut self.mean) {
            *deviation -= *mean;
            if !deviation.is_nan() {
                *mean += share * *deviation;
            }
        }
        let mut rest = self.covariance.as_mut_slice();
        for j in 0..row.len() {
            let (column, below) = rest.split_at_mut(row.len() - j);
            let of_this = share * row[j];
            for (c, deviation) in column.iter_mut().zip(&row[j..]) {
                let learned = (1.0 - share) * (*c + of_this * deviation);
                // what a missing sensor has in common with others stays as it is
                *c = if learned.is_nan() { *c } else { learned };
            }
            rest = below;
        }
        self.since_refresh += STRIDE;
        if self.since_refresh >= REFRESH_ROWS {
            self.since_refresh = 0;
            // a covariance that cannot be factorised leaves the last one in place
            if let Ok(renewed) = self.statistic(settings) {
                *level = renewed;
            }
        }
    }

    fn statistic(&self, settings: &JointSettings) -> Result<Hotelling, JointError> {
        let p = self.mean.len();
        let start = |j: usize| j * (2 * p - j + 1) / 2;
        let variance: Vec<f64> = (0..p).map(|j| self.covariance[start(j)]).collect();
        let shrink = Shrink {
            share: settings.shrinkage,
            floor: (settings.resolution > 0.0).then_some(self.floor.as_slice()),
            single_precision: settings.single_precision,
        };
        Hotelling::of_moments(self.mean.clone(), &variance, |i, j| self.covariance[start(j) + i - j], shrink)
    }

    pub(super) fn save(&self, out: &mut Vec<u8>) {
        put_varint(out, self.rows);
        put_varint(out, u64::from(self.since_refresh));
        for values in [&self.mean, &self.covariance, &self.floor] {
            put_f64s(out, values);
        }
        put_varint(out, u64::from(self.rows_since_waiting));
        put_varint(out, self.waiting.len() as u64);
        put_f64s(out, &self.waiting);
    }

    pub(super) fn restore(p: usize, settings: &JointSettings, reader: &mut Reader<'_>) -> Result<Usual, DecodeError> {
        let usual = Usual {
            rows: reader.counter()?,
            since_refresh: reader.small()?,
            mean: reader.f64s(p)?,
            covariance: reader.f64s(p * (p + 1) / 2)?,
            floor: reader.f64s(p)?,
            rows_since_waiting: reader.small()?,
            waiting: {
                let count = reader.count(8)?;
                reader.f64s(count)?
            },
        };
        let small = |values: &[f64]| values.iter().all(|v| v.abs() <= 1e30);
        let sound = usual.since_refresh < REFRESH_ROWS
            && usual.rows_since_waiting < STRIDE
            && [&usual.mean, &usual.covariance, &usual.floor].into_iter().all(|values| small(values))
            && usual.waiting.iter().all(|v| v.is_nan() || v.abs() <= 1e30)
            && usual.waiting.len().is_multiple_of(p)
            && usual.waiting.len() <= slots(settings) * p;
        if sound { Ok(usual) } else { Err(DecodeError::Invalid("the learned moments are out of range")) }
    }
}

/// Rows that wait at most.
fn slots(settings: &JointSettings) -> usize {
    settings.delay.div_ceil(STRIDE) as usize
}

#[cfg(test)]
mod tests {
    use super::super::hotelling::mean_and_covariance;
    use super::*;

    #[test]
    fn moments_learned_row_by_row_are_those_of_all_rows() {
        let stride = STRIDE as usize;
        // each learned row stands for as many, so the rows of the training are repeated as often
        let all = DMatrix::from_fn(70, 3, |i, j| (i as f64 * (0.3 + j as f64)).sin() + j as f64);
        let (mean, covariance) = mean_and_covariance(&all.rows(0, 30).into_owned(), &mut || {});
        let settings = JointSettings { memory: 10_000, resolution: 0.0, ..JointSettings::benchmark() };
        let mut usual = Usual::new(30 * u64::from(STRIDE), mean, &covariance, vec![0.0; 3]);
        let mut level = usual.statistic(&settings).unwrap();
        for i in 30 * stride..70 * stride {
            usual.take(&settings, all.row(i / stride).iter().copied(), &mut level);
        }
        let (mean, covariance) = mean_and_covariance(&all, &mut || {});
        for j in 0..3 {
            assert!((usual.mean[j] - mean[j]).abs() < 1e-12);
            let variance = usual.covariance[[0, 3, 5][j]];
            assert!((variance - covariance[(j, j)]).abs() < 0.02 * variance);
        }
        assert!(level.mean.iter().zip(&mean).all(|(a, b)| (a - b).abs() < 0.1));
    }

    #[test]
    fn a_silent_sensor_keeps_what_was_learned_of_it() {
        let all = DMatrix::from_fn(300, 2, |i, j| (i as f64 * (0.3 + j as f64)).sin());
        let (mean, covariance) = mean_and_covariance(&all, &mut || {});
        let settings = JointSettings::default();
        let mut usual = Usual::new(300, mean, &covariance, vec![0.0; 2]);
        let before = usual.clone();
        let mut level = usual.statistic(&settings).unwrap();
        for i in 0..200 {
            usual.take(&settings, [f64::from(i).sin(), f64::NAN].into_iter(), &mut level);
        }
        assert_ne!(usual.mean[0], before.mean[0]);
        assert_ne!(usual.covariance[0], before.covariance[0]);
        assert_eq!((usual.mean[1], &usual.covariance[1..]), (before.mean[1], &before.covariance[1..]));
    }

    #[test]
    fn what_led_to_an_alarm_is_not_learned() {
        let all = DMatrix::from_fn(300, 1, |i, _| (i as f64 * 0.3).sin());
        let (mean, covariance) = mean_and_covariance(&all, &mut || {});
        let settings = JointSettings::default();
        let mut usual = Usual::new(300, mean, &covariance, vec![0.0]);
        let before = usual.mean[0];
        let mut level = usual.statistic(&settings).unwrap();
        for i in 0..settings.delay {
            usual.take(&settings, std::iter::once(f64::from(i)), &mut level);
        }
        assert_eq!(usual.mean[0], before);
        usual.forget_waiting();
        for _ in 0..settings.delay {
            usual.take(&settings, std::iter::once(1e6), &mut level);
        }
        assert_eq!(usual.mean[0], before);
    }
}
