//! Several sensors together: those of one node, a zone or a network.
mod alarm;
mod detector;
mod envelope;
mod error;
mod hotelling;
mod level;
mod model;
mod numbers;
mod predictor;
mod reading;
mod settings;
mod training;
mod usual;

pub use detector::JointDetector;
pub use error::JointError;
pub use model::JointModel;
pub use reading::{JointReading, JointReason, JointView};
pub use settings::JointSettings;
