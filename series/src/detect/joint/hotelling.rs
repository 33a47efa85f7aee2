//! Hotelling's T of a vector: its Mahalanobis distance from a mean under a covariance that is shrunk towards the identity
//! (Ledoit and Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", 2004, with a fixed share).
//! The covariance is kept as the packed Cholesky factor of its standardised form, so that a distance is one forward
//! substitution.

use nalgebra::{Cholesky, DMatrix};

use super::JointError;
use super::numbers::{Numbers, subtract_column, with_slice};
use super::stepwise::{Pause, transposed_product};
use crate::bytes::{DecodeError, Reader, put_f64s};

/// Keeps a standard deviation off zero.
const LEAST_DEVIATION: f64 = 1e-3;
/// Winsorised innovations have moments far below this, and a shrunk correlation a factor far below that.
const GREATEST_MOMENT: f64 = 1e6;
const GREATEST_FACTOR: f64 = 1e6;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Hotelling {
    pub(super) mean: Vec<f64>,
    pub(super) deviation: Vec<f64>,
    /// Columns of the lower Cholesky factor from the diagonal down; a diagonal element is stored as its inverse.
    factor: Numbers,
}

/// How a covariance becomes a [`Hotelling`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Shrink<'a> {
    pub(super) share: f64,
    /// Least standard deviation of each element; where they are given, what varies less counts as varying that much.
    pub(super) floor: Option<&'a [f64]>,
    pub(super) single_precision: bool,
}

impl Hotelling {
    /// From the columns of `samples`, one per element.
    pub(super) fn of_samples(
        samples: &DMatrix<f64>,
        shrink: Shrink<'_>,
        pause: Pause<'_>,
    ) -> Result<Hotelling, JointError> {
        let (mean, covariance) = mean_and_covariance(samples, pause);
        let n = samples.nrows() as f64;
        // the deviation is the population's, the covariance the sample's
        let variance: Vec<f64> = covariance.diagonal().iter().map(|v| v * (n - 1.0) / n).collect();
        Hotelling::of_moments(mean, &variance, |i, j| covariance[(i, j)], shrink)
    }

    /// From a mean, variances and a covariance given by its elements with i ≥ j.
    pub(super) fn of_moments(
        mean: Vec<f64>,
        variance: &[f64],
        covariance: impl Fn(usize, usize) -> f64,
        shrink: Shrink<'_>,
    ) -> Result<Hotelling, JointError> {
        let p = mean.len();
        let Shrink { share, floor, single_precision } = shrink;
        let deviation: Vec<f64> = variance
            .iter()
            .enumerate()
            .map(|(j, v)| (v.max(0.0).sqrt() + LEAST_DEVIATION).max(floor.map_or(0.0, |floor| floor[j])))
            .collect();
        let mut shrunk = DMatrix::zeros(p, p);
        for j in 0..p {
            for i in j..p {
                shrunk[(i, j)] = (1.0 - share) * covariance(i, j) / (deviation[i] * deviation[j]);
            }
            shrunk[(j, j)] += share;
            if floor.is_some() {
                shrunk[(j, j)] = shrunk[(j, j)].max(1.0);
            }
        }
        let lower = Cholesky::new(shrunk).ok_or(JointError::Singular)?.unpack_dirty();
        let mut packed = Vec::with_capacity(p * (p + 1) / 2);
        for j in 0..p {
            packed.push(1.0 / lower[(j, j)]);
            packed.extend((j + 1..p).map(|i| lower[(i, j)]));
        }
        let hotelling = Hotelling { mean, deviation, factor: Numbers::new(packed, single_precision) };
        if hotelling.is_sound() { Ok(hotelling) } else { Err(JointError::Singular) }
    }

    /// T² of a standardised deviation, which is used up.
    pub(super) fn squared_distance(&self, standardised: &mut [f64]) -> f64 {
        with_slice!(&self.factor, factor => forward_substitution(factor, standardised))
    }

    fn is_sound(&self) -> bool {
        self.factor.all_within(GREATEST_FACTOR)
            && self.mean.iter().all(|m| m.abs() <= GREATEST_MOMENT)
            && self.deviation.iter().all(|d| (LEAST_DEVIATION..=GREATEST_MOMENT).contains(d))
    }

    pub(super) fn save(&self, out: &mut Vec<u8>) {
        put_f64s(out, &self.mean);
        put_f64s(out, &self.deviation);
        self.factor.save(out);
    }

    pub(super) fn restore(p: usize, reader: &mut Reader<'_>) -> Result<Hotelling, DecodeError> {
        let (mean, deviation) = (reader.f64s(p)?, reader.f64s(p)?);
        let hotelling = Hotelling { mean, deviation, factor: Numbers::restore(p * (p + 1) / 2, reader)? };
        if hotelling.is_sound() {
            Ok(hotelling)
        } else {
            Err(DecodeError::Invalid("the moments of a statistic are out of range"))
        }
    }
}

/// Σ x² of the solution of L x = `rest`, which is used up. Four columns at a time, so that what is below them is loaded
/// and stored a quarter as often.
fn forward_substitution<T: Copy + Into<f64>>(mut factor: &[T], mut rest: &mut [f64]) -> f64 {
    let mut sum = 0.0;
    while rest.len() >= 4 {
        let (x, below) = rest.split_at_mut(4);
        let length = below.len();
        let (a, next) = factor.split_at(length + 4);
        let (b, next) = next.split_at(length + 3);
        let (c, next) = next.split_at(length + 2);
        let (d, next) = next.split_at(length + 1);
        x[0] *= a[0].into();
        x[1] = (x[1] - x[0] * a[1].into()) * b[0].into();
        x[2] = (x[2] - x[0] * a[2].into() - x[1] * b[1].into()) * c[0].into();
        x[3] = (x[3] - x[0] * a[3].into() - x[1] * b[2].into() - x[2] * c[1].into()) * d[0].into();
        sum += x[0] * x[0] + x[1] * x[1] + x[2] * x[2] + x[3] * x[3];
        let (a, b, c, d) = (&a[4..], &b[3..], &c[2..], &d[1..]);
        for (i, value) in below.iter_mut().enumerate() {
            *value = *value - x[0] * a[i].into() - x[1] * b[i].into() - x[2] * c[i].into() - x[3] * d[i].into();
        }
        (factor, rest) = (next, below);
    }
    while let Some((first, below)) = rest.split_first_mut() {
        let (column, next) = factor.split_at(below.len() + 1);
        let x = *first * column[0].into();
        sum += x * x;
        subtract_column(below, &column[1..], x);
        (factor, rest) = (next, below);
    }
    sum
}

/// Mean and sample covariance (divisor n - 1) of the columns.
pub(super) fn mean_and_covariance(samples: &DMatrix<f64>, pause: Pause<'_>) -> (Vec<f64>, DMatrix<f64>) {
    let mean: Vec<f64> = samples.column_iter().map(|column| column.mean()).collect();
    let mut centred = samples.clone();
    for (mut column, m) in centred.column_iter_mut().zip(&mean) {
        column.add_scalar_mut(-m);
    }
    let covariance = transposed_product(&centred, &centred, pause) / (samples.nrows() as f64 - 1.0);
    (mean, covariance)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(p: usize) -> DMatrix<f64> {
        DMatrix::from_fn(200, p, |i, j| ((i * (j + 3)) as f64).sin() + 0.3 * (i as f64 * 0.7).cos())
    }

    #[test]
    fn a_distance_is_that_of_the_inverted_covariance() {
        for p in 1..=11 {
            let samples = samples(p);
            let shrink = Shrink { share: 0.3, floor: None, single_precision: false };
            let hotelling = Hotelling::of_samples(&samples, shrink, &mut || {}).unwrap();
            let (_, covariance) = mean_and_covariance(&samples, &mut || {});
            let shrunk = DMatrix::from_fn(p, p, |i, j| {
                let correlation = covariance[(i, j)] / (hotelling.deviation[i] * hotelling.deviation[j]);
                0.7 * correlation + if i == j { 0.3 } else { 0.0 }
            });
            let d = nalgebra::DVector::from_fn(p, |j, _| j as f64 - 1.5);
            let expected = (d.transpose() * shrunk.try_inverse().unwrap() * &d)[(0, 0)];
            let found = hotelling.squared_distance(&mut d.as_slice().to_vec());
            assert!((found - expected).abs() < 1e-10 * expected, "{p}: {found} instead of {expected}");
        }
    }

    #[test]
    fn what_varies_less_than_its_floor_counts_as_varying_that_much() {
        let mut samples = samples(2);
        samples.column_mut(1).fill(5.0);
        let floor = [0.1, 0.25];
        let shrink = Shrink { share: 0.3, floor: Some(&floor), single_precision: true };
        let hotelling = Hotelling::of_samples(&samples, shrink, &mut || {}).unwrap();
        assert_eq!(hotelling.deviation[1], 0.25);
        assert!((hotelling.squared_distance(&mut [0.0, 2.0]) - 4.0).abs() < 1e-6);
    }
}
