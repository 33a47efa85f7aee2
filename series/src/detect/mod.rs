//! Anomaly detection in one series, sample by sample. [`contract`] says what all detectors promise.

mod baseline;
pub mod contract;
mod cusum;
mod ewma;
mod flat_line;
mod gap;
mod joint;
mod limits;
mod method;
mod options;
mod peaks;
mod profile;
mod range_novelty;
mod rate;
mod robust_z;
mod seasonal;

pub use contract::{Columns, Detector, LengthError, MAX_SCORE, Reading, Reason};
pub use cusum::Cusum;
pub use ewma::Ewma;
pub use flat_line::FlatLine;
pub use gap::Gap;
pub use joint::{JointDetector, JointError, JointModel, JointReading, JointReason, JointSettings, JointView, Pause};
pub use limits::Limits;
pub use method::{AnyDetector, Method};
pub use options::{OptionError, Options};
pub use range_novelty::RangeNovelty;
pub use rate::RateOfChange;
pub use robust_z::RobustZ;
pub use seasonal::Seasonal;
