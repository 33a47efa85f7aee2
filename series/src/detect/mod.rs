//! Anomaly detection in one series, sample by sample. [`contract`] says what all detectors promise.

pub mod contract;
mod flat_line;
mod gap;
mod joint;
mod limits;
mod method;
mod options;
mod range_novelty;
mod robust_z;

pub use contract::{Detector, MAX_SCORE, Reading, Reason};
pub use flat_line::FlatLine;
pub use gap::Gap;
pub use joint::{JointDetector, JointError, JointModel, JointReading, JointReason, JointSettings, JointView};
pub use limits::Limits;
pub use method::{AnyDetector, Method};
pub use options::{OptionError, Options};
pub use range_novelty::RangeNovelty;
pub use robust_z::RobustZ;
