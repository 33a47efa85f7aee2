//! What is learned from training rows.

use nalgebra::DMatrix;

use super::envelope::Envelope;
use super::hotelling::{Hotelling, Shrink, mean_and_covariance};
use super::predictor::{Fitted, Predictor};
use super::stepwise::Pause;
use super::training::{Training, check_sensors};
use super::usual::Usual;
use super::{JointError, JointSettings};
use crate::bytes::{DecodeError, Reader, put_f64, put_varint};
use crate::time::Micros;

/// The first bytes of a saved model.
const MODEL_TAG: u8 = b'M';
const VERSION: u8 = 1;

/// Rows after which a smoothed innovation has forgotten that it began at 0.
const SETTLED_ROWS: usize = 30;
/// A training of more rows than this tells the tail of the level statistic.
const TAIL_ROWS: usize = 2000;

/// A fitted model: the predictor, the usual moments of its smoothed innovations, the remembered ranges.
///
/// A detector goes on learning in its own copy of the model, see [`JointSettings::memory`].
#[derive(Debug, Clone, PartialEq)]
pub struct JointModel {
    pub(super) settings: JointSettings,
    pub(super) predictor: Predictor,
    pub(super) level: Hotelling,
    pub(super) level_line: f64,
    pub(super) change: Hotelling,
    pub(super) change_line: f64,
    pub(super) envelope: Option<Envelope>,
    pub(super) usual: Option<Usual>,
}

impl JointModel {
    /// Fits a model to the rows of a training window.
    ///
    /// `rows` holds one value per sensor for each of `times`, row by row, in the order in which a detector will see rows;
    /// NaN is a missing value and so is an infinity. Rows without any value are left out; a sensor without any is never
    /// judged. Takes the time of n f² multiplications and the memory of 3 n f numbers, with n rows and f = (lags + 2)
    /// features per sensor.
    ///
    /// # Errors
    /// A setting out of range, `rows` of another size than `times` times `sensors`, fewer than 100 rows with a value, or
    /// values that no regression can be fitted to.
    pub fn fit(
        times: &[Micros],
        rows: &[f64],
        sensors: usize,
        settings: &JointSettings,
    ) -> Result<JointModel, JointError> {
        JointModel::fit_in_steps(times, rows, sensors, settings, &mut || {})
    }

    /// As [`JointModel::fit`], and calls `pause` again and again: after some ten million multiplications at most, but for
    /// what is linear in the rows. It may end the fit by unwinding, which leaves nothing behind.
    pub fn fit_in_steps(
        times: &[Micros],
        rows: &[f64],
        sensors: usize,
        settings: &JointSettings,
        pause: Pause<'_>,
    ) -> Result<JointModel, JointError> {
        settings.check()?;
        let training = Training::new(times, rows, sensors)?;
        let Fitted { predictor, values, innovations, rounding } = Predictor::fit(&training, settings, pause)?;
        let envelope = Envelope::fit(&predictor, &training, &values, &innovations, settings, pause);
        let clipped = innovations.map(|r| r.clamp(-settings.clip, settings.clip));
        let floored = settings.resolution > 0.0;
        let floor = |white: f64| floored.then(|| rounding.iter().map(|r| r * white).collect::<Vec<_>>());

        let smoothed = settled(&smooth(&clipped, settings.level_weight));
        let level_floor = floor(white_noise(settings.level_weight));
        let shrink = |floor| Shrink { share: settings.shrinkage, floor, single_precision: settings.single_precision };
        let level = Hotelling::of_samples(&smoothed, shrink(level_floor.as_deref()), pause)?;
        let usual = (settings.memory > 0).then(|| {
            let (mean, covariance) = mean_and_covariance(&smoothed, pause);
            let floor = level_floor.clone().unwrap_or_else(|| vec![0.0; sensors]);
            Usual::new(smoothed.nrows() as u64, mean, &covariance, floor)
        });

        let (fast, slow) = (settings.change_fast, settings.change_slow);
        let moved = settled(&(smooth(&clipped, fast) - smooth(&clipped, slow)));
        let change_floor = floor(white_noise_difference(fast, slow));
        let change = Hotelling::of_samples(&moved, shrink(change_floor.as_deref()), pause)?;

        let dimensions = (sensors as f64 / 8.0).sqrt();
        let level_line = settings.level_line * dimensions;
        let level_line = match training.times.len() {
            n if n > TAIL_ROWS => level_line.max(settings.tail * tail_of(&level, &smoothed, pause)),
            _ => level_line,
        };
        let change_line = settings.change_line * dimensions;
        let settings = settings.clone();
        Ok(JointModel { settings, predictor, level, level_line, change, change_line, envelope, usual })
    }

    /// Values of a row.
    pub fn sensors(&self) -> usize {
        self.predictor.sensors()
    }

    pub fn settings(&self) -> &JointSettings {
        &self.settings
    }

    /// A tag, the version of the format, then the model.
    pub fn save(&self) -> Vec<u8> {
        let mut out = vec![MODEL_TAG, VERSION];
        self.put(&mut out);
        out
    }

    /// The inverse of [`JointModel::save`], bit for bit. Garbage gives an error.
    pub fn restore(bytes: &[u8]) -> Result<JointModel, JointError> {
        let mut reader = begin(bytes, MODEL_TAG, VERSION)?;
        let model = JointModel::take(&mut reader)?;
        reader.finish()?;
        Ok(model)
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, self.sensors() as u64);
        self.settings.save(out);
        self.predictor.save(out);
        self.level.save(out);
        put_f64(out, self.level_line);
        self.change.save(out);
        put_f64(out, self.change_line);
        if let Some(envelope) = &self.envelope {
            envelope.save(out);
        }
        if let Some(usual) = &self.usual {
            usual.save(out);
        }
    }

    pub(super) fn take(reader: &mut Reader<'_>) -> Result<JointModel, DecodeError> {
        let p = reader.count(1)?;
        check_sensors(p).map_err(|_| DecodeError::Invalid("the number of sensors is out of range"))?;
        let settings = JointSettings::restore(reader)?;
        let predictor = Predictor::restore(p, reader)?;
        let (level, level_line) = (Hotelling::restore(p, reader)?, reader.positive()?);
        let (change, change_line) = (Hotelling::restore(p, reader)?, reader.positive()?);
        let envelope = if predictor.switches.is_empty() { None } else { Some(Envelope::restore(&predictor, reader)?) };
        let usual = if settings.memory > 0 { Some(Usual::restore(p, &settings, reader)?) } else { None };
        Ok(JointModel { settings, predictor, level, level_line, change, change_line, envelope, usual })
    }
}

/// Checks the first two bytes of a saved model or detector.
pub(super) fn begin(bytes: &[u8], tag: u8, version: u8) -> Result<Reader<'_>, DecodeError> {
    let mut reader = Reader::new(bytes);
    if reader.u8()? != tag {
        return Err(DecodeError::Invalid("the bytes are not those of a joint model or detector"));
    }
    match reader.u8()? {
        found if found == version => Ok(reader),
        found => Err(DecodeError::Version(found)),
    }
}

/// Exponentially weighted moving average of each column, from 0.
fn smooth(samples: &DMatrix<f64>, weight: f64) -> DMatrix<f64> {
    let mut smoothed = samples.clone();
    for mut column in smoothed.column_iter_mut() {
        let mut average = 0.0;
        for value in column.iter_mut() {
            average += weight * (*value - average);
            *value = average;
        }
    }
    smoothed
}

fn settled(samples: &DMatrix<f64>) -> DMatrix<f64> {
    samples.rows(SETTLED_ROWS, samples.nrows() - SETTLED_ROWS).into_owned()
}

/// Standard deviation of the moving average of white noise of variance 1.
fn white_noise(weight: f64) -> f64 {
    (weight / (2.0 - weight)).sqrt()
}

/// Standard deviation of the difference of two moving averages of the same white noise of variance 1.
fn white_noise_difference(fast: f64, slow: f64) -> f64 {
    let covariance = fast * slow / (fast + slow - fast * slow);
    (fast / (2.0 - fast) + slow / (2.0 - slow) - 2.0 * covariance).max(0.0).sqrt()
}

/// The 99.9 % quantile of T over the rows, interpolated between neighbours.
fn tail_of(level: &Hotelling, smoothed: &DMatrix<f64>, pause: Pause<'_>) -> f64 {
    let mut standardised = vec![0.0; smoothed.ncols()];
    let mut distances: Vec<f64> = smoothed
        .row_iter()
        .map(|row| {
            pause();
            for (j, d) in standardised.iter_mut().enumerate() {
                *d = (row[j] - level.mean[j]) / level.deviation[j];
            }
            level.squared_distance(&mut standardised).sqrt()
        })
        .collect();
    distances.sort_unstable_by(f64::total_cmp);
    let position = 0.999 * (distances.len() - 1) as f64;
    let below = position as usize;
    let above = (below + 1).min(distances.len() - 1);
    distances[below] + (position - below as f64) * (distances[above] - distances[below])
}
