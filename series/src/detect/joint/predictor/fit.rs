//! Fits the predictor to training rows.

use nalgebra::DMatrix;

use super::{CLOCK_FEATURES, Kind, Predictor, STEP_LIMIT, clock, value_limit};
use crate::detect::joint::numbers::Numbers;
use crate::detect::joint::stepwise::{Pause, cholesky, product, transposed_product};
use crate::detect::joint::training::{Training, deviation};
use crate::detect::joint::{JointError, JointSettings};

/// A sensor that varies less than this is constant.
const CONSTANT: f64 = 1e-9;
/// Values that differ by less than this share of the greatest magnitude are one value with float noise.
const SAME_VALUE: f64 = 1e-9;
/// Distance in rows of the autocorrelation that tells persistent sensors.
const PERSISTENCE_ROWS: usize = 5;
/// First rows whose innovations know too little of the past to be typical.
const COLD_ROWS: usize = 6;

/// A predictor and what it makes of its training rows: standardised values and innovations, a column per sensor.
pub(in crate::detect::joint) struct Fitted {
    pub(in crate::detect::joint) predictor: Predictor,
    pub(in crate::detect::joint) values: DMatrix<f64>,
    pub(in crate::detect::joint) innovations: DMatrix<f64>,
    /// Standard deviation of the rounding of each sensor, in standard deviations of its innovations, at most 1.
    pub(in crate::detect::joint) rounding: Vec<f64>,
}

impl Predictor {
    pub(in crate::detect::joint) fn fit(
        training: &Training,
        settings: &JointSettings,
        pause: Pause<'_>,
    ) -> Result<Fitted, JointError> {
        let x = &training.values;
        let (n, p) = x.shape();
        let mean: Vec<f64> = x.column_iter().map(|column| column.sum() / n as f64).collect();
        let spread: Vec<f64> =
            x.column_iter().zip(&mean).map(|(column, &mean)| deviation(column.iter().copied(), mean)).collect();
        let mut step_of = |column: &[f64]| {
            pause();
            step_of_scale(column, settings.resolution)
        };
        let steps_of_scale: Vec<f64> = x.column_iter().map(|column| step_of(column.as_slice())).collect();
        let kinds: Vec<Kind> = (0..p)
            .map(|j| match () {
                () if training.unseen[j] => Kind::Unseen,
                () if spread[j] < CONSTANT || flickers(x.column(j).as_slice(), steps_of_scale[j]) => Kind::Constant,
                () if has_two_values(x.column(j).iter()) => Kind::Switch,
                () => Kind::Measured,
            })
            .collect();
        let still = |j: usize| matches!(kinds[j], Kind::Constant | Kind::Unseen);
        let own_scale = |j: usize| if still(j) { (0.01 * f64::abs(mean[j])).max(0.1) } else { spread[j] };
        let scale: Vec<f64> = (0..p).map(own_scale).collect();
        let limit = value_limit(&kinds);
        let z = DMatrix::from_fn(n, p, |i, j| ((x[(i, j)] - mean[j]) / scale[j]).clamp(-limit, limit));
        let persistent: Vec<f64> = (0..p)
            .map(|j| {
                let measured = kinds[j] == Kind::Measured;
                f64::from(u8::from(measured && autocorrelation(z.column(j).as_slice()) > settings.persistence))
            })
            .collect();

        let mut y = DMatrix::from_fn(n, p, |i, j| z[(i, j)] - persistent[j] * z[(i.saturating_sub(1), j)]);
        let mut step = vec![1.0; p];
        for j in (0..p).filter(|&j| !still(j)) {
            let column = y.column(j);
            step[j] = deviation(column.iter().copied(), column.mean()) + 1e-6;
        }
        y = DMatrix::from_fn(n, p, |i, j| (y[(i, j)] / step[j]).clamp(-STEP_LIMIT, STEP_LIMIT));

        let switches = busiest_switches(&kinds, x, settings.switches as usize);
        let lags = settings.lags as usize;
        let past = past_features(&y, lags, settings.time_of_day.then_some(training));
        let from_past = ridge(past.clone(), &y, settings.ridge, pause)?;
        let past_features = past.ncols();
        let mut all = past.resize_horizontally(past_features + switches.len(), 0.0);
        for (k, &switch) in switches.iter().enumerate() {
            all.set_column(past_features + k, &z.column(switch));
        }
        let mut weights = ridge(all.clone(), &y, settings.ridge, pause)?;
        // what is no measurement is never explained by the states of now, so that a switch is not explained by itself
        for j in (0..p).filter(|&j| kinds[j] != Kind::Measured) {
            weights.view_mut((0, j), (past_features, 1)).copy_from(&from_past.column(j));
            weights.view_mut((past_features, j), (switches.len(), 1)).fill(0.0);
        }
        let mut innovations = y - product(&all, &weights, pause);
        let least_noise = if kinds.contains(&Kind::Switch) { 1e-2 } else { 1e-6 };
        let (mut bias, mut noise, mut rounding) = (vec![0.0; p], vec![1.0; p], vec![0.0; p]);
        for (j, mut column) in innovations.column_iter_mut().enumerate() {
            let warm = column.rows(COLD_ROWS, n - COLD_ROWS);
            bias[j] = warm.mean();
            noise[j] = deviation(warm.iter().copied(), bias[j]) + least_noise;
            // rounding to a step is uniform over it
            let rounded = steps_of_scale[j] / 12.0_f64.sqrt() / (scale[j] * step[j]);
            noise[j] = noise[j].max(rounded);
            rounding[j] = rounded / noise[j];
            column.apply(|r| *r = (*r - bias[j]) / noise[j]);
        }
        let weights = Numbers::new(weights.transpose().as_slice().to_vec(), settings.single_precision);
        let time_of_day = settings.time_of_day;
        let deviation = scale;
        let predictor =
            Predictor { kinds, switches, lags, time_of_day, mean, deviation, persistent, step, bias, noise, weights };
        if predictor.is_sound() {
            Ok(Fitted { predictor, values: z, innovations, rounding })
        } else {
            Err(JointError::Singular)
        }
    }
}

/// The least difference of two values of a sensor, and `coarsest` where training shows none finer.
fn step_of_scale(values: &[f64], coarsest: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let magnitude = sorted.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    let steps = sorted.windows(2).map(|pair| pair[1] - pair[0]).filter(|&step| step > SAME_VALUE * magnitude);
    steps.fold(coarsest, f64::min)
}

/// Whether the values of a sensor differ by one step of its scale at most, so that rounding alone explains them.
fn flickers(values: &[f64], step: f64) -> bool {
    let (least, greatest) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), &x| (a.min(x), b.max(x)));
    greatest - least <= step * (1.0 + 1e-6)
}

fn has_two_values<'a>(mut values: impl Iterator<Item = &'a f64>) -> bool {
    let Some(first) = values.next() else { return true };
    let mut second = None;
    values.filter(|value| *value != first).all(|value| value == *second.get_or_insert(value))
}

fn autocorrelation(z: &[f64]) -> f64 {
    let product = z.iter().zip(&z[PERSISTENCE_ROWS..]).map(|(a, b)| a * b).sum::<f64>();
    let square = z.iter().map(|a| a * a).sum::<f64>() / z.len() as f64;
    product / (z.len() - PERSISTENCE_ROWS) as f64 / square.max(1e-12)
}

/// The on/off sensors, in order; of more than `most` those that switched most often.
fn busiest_switches(kinds: &[Kind], x: &DMatrix<f64>, most: usize) -> Vec<usize> {
    let mut switches: Vec<usize> = (0..kinds.len()).filter(|&j| kinds[j] == Kind::Switch).collect();
    let switched = |j: usize| x.column(j).as_slice().windows(2).filter(|pair| pair[0] != pair[1]).count();
    switches.sort_by_key(|&j| std::cmp::Reverse(switched(j)));
    switches.truncate(most);
    switches.sort_unstable();
    switches
}

/// The steps of the last `lags` rows, newest first, and the clock.
fn past_features(y: &DMatrix<f64>, lags: usize, timed: Option<&Training>) -> DMatrix<f64> {
    let (n, p) = y.shape();
    let mut features = DMatrix::zeros(n, lags * p + timed.map_or(0, |_| CLOCK_FEATURES));
    for lag in 1..=lags {
        features.view_mut((lag, (lag - 1) * p), (n - lag, p)).copy_from(&y.rows(0, n - lag));
    }
    for (i, &time) in timed.iter().flat_map(|training| training.times.iter().enumerate()) {
        for (k, feature) in clock(time).into_iter().enumerate() {
            features[(i, lags * p + k)] = feature;
        }
    }
    features
}

/// (F'F + penalty I)⁻¹ F'Y
fn ridge(features: DMatrix<f64>, y: &DMatrix<f64>, penalty: f64, pause: Pause<'_>) -> Result<DMatrix<f64>, JointError> {
    let mut normal = transposed_product(&features, &features, pause);
    for k in 0..normal.nrows() {
        normal[(k, k)] += penalty;
    }
    let normal = cholesky(normal, pause)?;
    let mut weights = transposed_product(&features, y, pause);
    for mut column in weights.column_iter_mut() {
        pause();
        normal.solve_mut(&mut column);
    }
    Ok(weights)
}
