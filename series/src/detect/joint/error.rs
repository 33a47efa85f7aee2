//! What can be wrong with settings, training rows or saved bytes.

use crate::bytes::DecodeError;

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum JointError {
    #[error("unknown preset \"{name}\"; there are {known}")]
    Preset { name: String, known: String },
    #[error("unknown setting \"{name}\" of the joint detector; it has {known}")]
    UnknownSetting { name: String, known: String },
    #[error("setting \"{name}\" must be between {min} and {max}, not {value}")]
    Range { name: &'static str, value: f64, min: f64, max: f64 },
    #[error("setting \"{name}\" needs a whole number, not {value}")]
    Whole { name: &'static str, value: f64 },
    #[error("a row has between 1 and {max} sensors, not {found}")]
    Sensors { found: usize, max: usize },
    #[error("{numbers} numbers are not {rows} rows of {sensors} sensors")]
    Shape { numbers: usize, rows: usize, sensors: usize },
    #[error("training needs {needed} rows with a value, there are {found}")]
    TooFewRows { found: usize, needed: usize },
    #[error("the training rows cannot be factorised")]
    Singular,
    #[error(transparent)]
    Decode(#[from] DecodeError),
}
