//! The settings of the joint detector and their named presets.

use super::JointError;
use crate::bytes::{DecodeError, Reader, put_f64, put_varint};

/// Settings of one joint detector. Rows are the unit of every duration, so a setting that counts them belongs to a sampling
/// interval. Lines of the two statistics hold for eight sensors; with `p` of them they are multiplied by `sqrt(p / 8)`.
#[derive(Debug, Clone, PartialEq)]
pub struct JointSettings {
    /// Rows of the past that predict the next one.
    pub lags: u32,
    /// Weight of the ridge penalty, in rows.
    pub ridge: f64,
    /// Sensors whose autocorrelation over five rows is above this are predicted by their last value, others by their mean.
    pub persistence: f64,
    /// Winsorising limit of the innovations, in standard deviations.
    pub clip: f64,
    /// Weight of the newest row in the smoothed innovations of the level statistic.
    pub level_weight: f64,
    /// Share of the identity in a covariance.
    pub shrinkage: f64,
    /// Hotelling's T of the alarm line, for eight sensors.
    pub level_line: f64,
    /// The line is at least this multiple of the 99.9 % quantile of T over a training of more than 2000 rows.
    pub tail: f64,
    /// Whether the level statistic takes part in the score; without it only the envelope does.
    pub level: bool,
    /// An alarm ends after this many rows below its leaving line.
    pub hold: u32,
    /// The leaving line, as a score.
    pub leave: f64,
    /// The leaving line is at least this share of the alarm's own running level.
    pub leave_share: f64,
    /// An alarm ends after this many rows in any case: a state that lasts is accepted. 0 never accepts.
    pub accept: u32,
    /// Weight of the newest row in the level that becomes the second known one.
    pub settle_weight: f64,
    /// Excess over a remembered range that reaches the alarm line, in standard deviations of the sensor.
    pub margin: f64,
    /// Accuracy of the instruments as a share of the sensor's mean; widens the margin.
    pub accuracy: f64,
    /// A transition of an on/off sensor seen less often in training than this many rows has no remembered range.
    pub cell_rows: u32,
    /// On/off sensors that predict others and have remembered ranges; of more, those that switched most often.
    pub switches: u32,
    /// Weights of the newest row in the two smoothed innovations of which the change statistic is the difference.
    pub change_fast: f64,
    pub change_slow: f64,
    /// Hotelling's T of the line of a change, for eight sensors.
    pub change_line: f64,
    /// Least distance of two changes, in rows.
    pub change_spacing: u32,
    /// Whether the time of day (UTC) predicts.
    pub time_of_day: bool,
    /// Step of the instruments' scale, in the unit of the sensors; a sensor whose training values show a finer step has that.
    /// What is smaller than the rounding to it is no news. 0 for exact values.
    pub resolution: f64,
    /// Memory of the usual level and its covariance, in rows that were usual; 0 keeps those of the training.
    pub memory: u32,
    /// Rows that must pass without an alarm before one is learned, so that the slow beginning of an anomaly is not.
    pub delay: u32,
    /// Whether a model keeps its large tables as f32.
    pub single_precision: bool,
}

trait Number: Sized {
    const WHOLE: bool;
    fn to_number(&self) -> f64;
    fn from_number(number: f64) -> Self;
}

impl Number for f64 {
    const WHOLE: bool = false;
    fn to_number(&self) -> f64 {
        *self
    }
    fn from_number(number: f64) -> f64 {
        number
    }
}

impl Number for u32 {
    const WHOLE: bool = true;
    fn to_number(&self) -> f64 {
        f64::from(*self)
    }
    fn from_number(number: f64) -> u32 {
        number as u32
    }
}

impl Number for bool {
    const WHOLE: bool = true;
    fn to_number(&self) -> f64 {
        f64::from(u8::from(*self))
    }
    fn from_number(number: f64) -> bool {
        number != 0.0
    }
}

struct Field {
    name: &'static str,
    min: f64,
    max: f64,
    whole: bool,
    get: fn(&JointSettings) -> f64,
    set: fn(&mut JointSettings, f64),
}

fn is_whole<N: Number>(_: fn(&JointSettings) -> &N) -> bool {
    N::WHOLE
}

macro_rules! fields {
    ($($name:ident: $min:literal to $max:literal;)*) => {
        fn fields() -> Vec<Field> {
            vec![$(Field {
                name: stringify!($name),
                min: $min,
                max: $max,
                whole: is_whole(|settings| &settings.$name),
                get: |settings| settings.$name.to_number(),
                set: |settings, number| settings.$name = Number::from_number(number),
            }),*]
        }
    };
}

fields! {
    lags: 1.0 to 8.0;
    ridge: 1e-3 to 1e9;
    persistence: -1.0 to 1.0;
    clip: 0.5 to 20.0;
    level_weight: 1e-3 to 1.0;
    shrinkage: 1e-3 to 1.0;
    level_line: 0.1 to 1e3;
    tail: 0.0 to 1e3;
    level: 0.0 to 1.0;
    hold: 1.0 to 1e6;
    leave: 0.0 to 1.0;
    leave_share: 0.0 to 1.0;
    accept: 0.0 to 1e9;
    settle_weight: 1e-3 to 1.0;
    margin: 1e-3 to 1e3;
    accuracy: 0.0 to 1.0;
    cell_rows: 1.0 to 1e9;
    switches: 0.0 to 256.0;
    change_fast: 1e-3 to 1.0;
    change_slow: 0.0 to 1.0;
    change_line: 0.1 to 1e3;
    change_spacing: 0.0 to 1e9;
    time_of_day: 0.0 to 1.0;
    resolution: 0.0 to 1e9;
    memory: 0.0 to 1e9;
    delay: 0.0 to 10000.0;
    single_precision: 0.0 to 1.0;
}

const PRESETS: [&str; 3] = ["default", "hourly", "benchmark"];

impl JointSettings {
    /// The settings with which the benchmark's figures were reached: f64, nothing is learned after the training.
    pub fn benchmark() -> JointSettings {
        JointSettings {
            lags: 2,
            ridge: 120.0,
            persistence: 0.7,
            clip: 5.0,
            level_weight: 0.2,
            shrinkage: 0.3,
            level_line: 7.0,
            tail: 1.4,
            level: true,
            hold: 40,
            leave: 0.7,
            leave_share: 0.5,
            accept: 600,
            settle_weight: 0.1,
            margin: 0.45,
            accuracy: 0.02,
            cell_rows: 20,
            switches: 256,
            change_fast: 0.3,
            change_slow: 0.02,
            change_line: 5.5,
            change_spacing: 20,
            time_of_day: false,
            resolution: 0.0,
            memory: 0,
            delay: 0,
            single_precision: false,
        }
    }

    /// The default for rows an hour apart: half a day of usual rows ends an alarm, two weeks make a state one to live with,
    /// and the time of day predicts.
    pub fn hourly() -> JointSettings {
        JointSettings { hold: 12, accept: 336, delay: 24, time_of_day: true, ..JointSettings::default() }
    }

    /// `default`, `hourly` or `benchmark`, in any case.
    pub fn preset(name: &str) -> Result<JointSettings, JointError> {
        match name.trim().to_ascii_lowercase().as_str() {
            "default" => Ok(JointSettings::default()),
            "hourly" => Ok(JointSettings::hourly()),
            "benchmark" => Ok(JointSettings::benchmark()),
            _ => Err(JointError::Preset { name: shortened(name), known: PRESETS.join(", ") }),
        }
    }

    /// Sets one setting by its name, in any case; flags are 0 or 1.
    pub fn set(&mut self, name: &str, value: f64) -> Result<(), JointError> {
        let wanted = name.trim().to_ascii_lowercase();
        let fields = fields();
        let Some(field) = fields.iter().find(|field| field.name == wanted) else {
            let known = fields.iter().map(|field| field.name).collect::<Vec<_>>().join(", ");
            return Err(JointError::UnknownSetting { name: shortened(name), known });
        };
        field.check(value)?;
        (field.set)(self, value);
        Ok(())
    }

    /// Every setting's name and value; flags are 0 or 1.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, f64)> {
        fields().into_iter().map(|field| (field.name, (field.get)(self)))
    }

    pub(super) fn check(&self) -> Result<(), JointError> {
        fields().iter().try_for_each(|field| field.check((field.get)(self)))
    }

    pub(super) fn save(&self, out: &mut Vec<u8>) {
        let fields = fields();
        put_varint(out, fields.len() as u64);
        for field in fields {
            put_f64(out, (field.get)(self));
        }
    }

    pub(super) fn restore(reader: &mut Reader<'_>) -> Result<JointSettings, DecodeError> {
        let fields = fields();
        if reader.count(8)? != fields.len() {
            return Err(DecodeError::Invalid("the number of settings is that of another version"));
        }
        let mut settings = JointSettings::benchmark();
        for field in fields {
            let value = reader.finite()?;
            field.check(value).map_err(|_| DecodeError::Invalid("a setting is out of range"))?;
            (field.set)(&mut settings, value);
        }
        Ok(settings)
    }
}

impl Default for JointSettings {
    /// The product's settings, for rows a second to some minutes apart.
    fn default() -> JointSettings {
        JointSettings {
            level_line: 8.5,
            leave: 0.75,
            switches: 8,
            resolution: 0.01,
            memory: 4000,
            delay: 40,
            single_precision: true,
            ..JointSettings::benchmark()
        }
    }
}

impl Field {
    fn check(&self, value: f64) -> Result<(), JointError> {
        let Field { name, min, max, .. } = *self;
        if !(min..=max).contains(&value) {
            return Err(JointError::Range { name, value, min, max });
        }
        if self.whole && value.fract() != 0.0 {
            return Err(JointError::Whole { name, value });
        }
        Ok(())
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}
