//! The moments of what is usual, learned on from the training with every usual row.

use super::hotelling::{Hotelling, Shrink};
use super::{JointError, JointSettings};
use crate::bytes::{DecodeError, Reader, put_f64s, put_varint};
use nalgebra::DMatrix;

/// Rows learned between two factorisations of the covariance.
const REFRESH_ROWS: u32 = 25;

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
}

impl Usual {
    pub(super) fn new(rows: u64, mean: Vec<f64>, covariance: &DMatrix<f64>, floor: Vec<f64>) -> Usual {
        let p = mean.len();
        let covariance = (0..p).flat_map(|j| (j..p).map(move |i| covariance[(i, j)])).collect();
        Usual { rows, since_refresh: 0, mean, covariance, floor }
    }

    /// Takes the smoothed innovations of a usual row less the offset of the known level that it belongs to, NaN for sensors
    /// without a value, and from time to time renews `level` with what was learned. Uses `row` up.
    pub(super) fn learn(&mut self, settings: &JointSettings, row: &mut [f64], level: &mut Hotelling) {
        self.rows += 1;
        let share = 1.0 / self.rows.min(u64::from(settings.memory)).max(1) as f64;
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
        self.since_refresh += 1;
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
    }

    pub(super) fn restore(p: usize, reader: &mut Reader<'_>) -> Result<Usual, DecodeError> {
        let usual = Usual {
            rows: reader.counter()?,
            since_refresh: reader.small()?,
            mean: reader.f64s(p)?,
            covariance: reader.f64s(p * (p + 1) / 2)?,
            floor: reader.f64s(p)?,
        };
        let finite = |values: &[f64]| values.iter().all(|v| v.abs() <= 1e30);
        if usual.since_refresh < REFRESH_ROWS
            && [&usual.mean, &usual.covariance, &usual.floor].into_iter().all(|v| finite(v))
        {
            Ok(usual)
        } else {
            Err(DecodeError::Invalid("the learned moments are out of range"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::hotelling::mean_and_covariance;
    use super::*;

    #[test]
    fn moments_learned_row_by_row_are_those_of_all_rows() {
        let all = DMatrix::from_fn(700, 3, |i, j| (i as f64 * (0.3 + j as f64)).sin() + j as f64);
        let (mean, covariance) = mean_and_covariance(&all.rows(0, 300).into_owned());
        let settings = JointSettings { memory: 10_000, resolution: 0.0, ..JointSettings::benchmark() };
        let mut usual = Usual::new(300, mean, &covariance, vec![0.0; 3]);
        let mut level = usual.statistic(&settings).unwrap();
        for row in all.rows(300, 400).row_iter() {
            usual.learn(&settings, &mut [row[0], row[1], row[2]], &mut level);
        }
        let (mean, covariance) = mean_and_covariance(&all);
        for j in 0..3 {
            assert!((level.mean[j] - mean[j]).abs() < 1e-12);
            let deviation = covariance[(j, j)].sqrt() + 1e-3;
            assert!((level.deviation[j] - deviation).abs() < 2e-3 * deviation);
        }
    }
    #[test]
    fn a_silent_sensor_keeps_what_was_learned_of_it() {
        let all = DMatrix::from_fn(300, 2, |i, j| (i as f64 * (0.3 + j as f64)).sin());
        let (mean, covariance) = mean_and_covariance(&all);
        let mut usual = Usual::new(300, mean, &covariance, vec![0.0; 2]);
        let before = usual.clone();
        let mut level = usual.statistic(&JointSettings::default()).unwrap();
        for i in 0..100 {
            usual.learn(&JointSettings::default(), &mut [f64::from(i).sin(), f64::NAN], &mut level);
        }
        assert_ne!(usual.mean[0], before.mean[0]);
        assert_ne!(usual.covariance[0], before.covariance[0]);
        assert_eq!((usual.mean[1], &usual.covariance[1..]), (before.mean[1], &before.covariance[1..]));
    }
}
