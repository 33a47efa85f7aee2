//! Rows on their way into a fit: what is missing is filled, what says nothing is left out.

use nalgebra::DMatrix;

use super::JointError;
use crate::detect::contract::{Admission, Admitted};
use crate::time::Micros;

/// A smoothed innovation and its moments need that many rows to mean anything.
pub(super) const MIN_ROWS: usize = 100;

/// More sensors would make a covariance that no training of usual length supports.
pub(super) const MAX_SENSORS: usize = 256;

pub(super) struct Training {
    /// One row per time, one column per sensor, all finite.
    pub(super) values: DMatrix<f64>,
    pub(super) times: Vec<Micros>,
    /// Sensors without any value.
    pub(super) unseen: Vec<bool>,
}

pub(super) fn check_sensors(sensors: usize) -> Result<(), JointError> {
    if (1..=MAX_SENSORS).contains(&sensors) {
        Ok(())
    } else {
        Err(JointError::Sensors { found: sensors, max: MAX_SENSORS })
    }
}

impl Training {
    /// NaN and infinities count as missing. Rows without any value are left out; a missing value is taken as the sensor's
    /// last one, at the beginning as its first, and as 0 if it has none.
    pub(super) fn new(times: &[Micros], rows: &[f64], sensors: usize) -> Result<Training, JointError> {
        check_sensors(sensors)?;
        if times.len().checked_mul(sensors) != Some(rows.len()) {
            return Err(JointError::Shape { numbers: rows.len(), rows: times.len(), sensors });
        }
        let told: Vec<(Micros, &[f64])> = times
            .iter()
            .copied()
            .zip(rows.chunks_exact(sensors))
            .filter(|(_, row)| row.iter().any(|value| value.is_finite()))
            .collect();
        if told.len() < MIN_ROWS {
            return Err(JointError::TooFewRows { found: told.len(), needed: MIN_ROWS });
        }
        let mut values = DMatrix::zeros(told.len(), sensors);
        let mut unseen = vec![false; sensors];
        for (j, mut column) in values.column_iter_mut().enumerate() {
            let mut admission = Admission::default();
            let admitted: Vec<Option<f64>> = told
                .iter()
                .map(|(_, row)| match admission.admit(row[j]) {
                    Admitted::Value(value) => Some(value),
                    Admitted::Missing | Admitted::Infinite(_) => None,
                })
                .collect();
            let first = admitted.iter().flatten().next().copied();
            unseen[j] = first.is_none();
            let mut last = first.unwrap_or(0.0);
            for (cell, value) in column.iter_mut().zip(admitted) {
                last = value.unwrap_or(last);
                *cell = last;
            }
        }
        Ok(Training { values, times: told.into_iter().map(|(time, _)| time).collect(), unseen })
    }
}

/// Population standard deviation around `mean`, without overflow for values up to 1e150.
pub(super) fn deviation(values: impl Iterator<Item = f64> + Clone, mean: f64) -> f64 {
    let scale = values.clone().map(|x| (x - mean).abs()).fold(0.0, f64::max);
    if scale == 0.0 {
        return 0.0;
    }
    let (count, sum) = values.fold((0.0, 0.0), |(n, sum), x| (n + 1.0, sum + ((x - mean) / scale).powi(2)));
    scale * (sum / count).sqrt()
}
