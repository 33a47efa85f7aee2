//! The joint detector: all measures of a node, or all sensors of a zone, judged together, row by row.
//!
//! 1. **Innovations.** One ridge regression predicts every sensor from the last rows of all of them, the states of the
//!    on/off sensors and, if wanted, the time of day. Persistent sensors are predicted from their last value, so a slow
//!    drift is no news and a step is. What the prediction leaves are the innovations.
//! 2. **Level.** Hotelling's T of the smoothed innovations under a shrunk covariance, from the nearest of at most two known
//!    levels: finds small lasting deviations and sensors that part. A state that lasts becomes the second known level.
//! 3. **Envelope.** The range of every value and innovation that training saw in each transition of each on/off sensor:
//!    finds a pump that runs without its flow. Without on/off sensors there is none.
//! 4. **Change.** Hotelling's T of the difference of a fast and a slow average of the same innovations: large while the
//!    level moves, whichever way and from wherever.
//!
//! The score is the greater of level and envelope, each divided by its line; the change score stands for itself. With a
//! memory, rows that no alarm followed keep renewing mean and covariance of the level.
//!
//! # Contract
//! Scores are on the scale of [`super::contract`]. An alarm is a state: `is_anomaly` begins at score 1 and ends when the score
//! stayed below the leaving line for long enough or the state is accepted, so a row in an alarm may score below 1, and a row
//! of a state just accepted may score above. A reading depends on the training rows and the rows up to its own, and on
//! nothing else; a restored detector goes on bit for bit as the saved one. Memory is taken in [`JointDetector::new`] and,
//! with a memory of usual rows, every 30 of them to renew the covariance; other rows allocate nothing.
//!
//! | input | what happens |
//! |---|---|
//! | NaN in a row | The sensor is missing: its last value is kept (its mean if it has none), its innovation is 0 and its ranges are not asked. The others are judged, and learned from. |
//! | a row without any value | Scores 0, the alarm stays as it is, nothing moves. |
//! | ±infinity | A fault of the source: [`super::MAX_SCORE`] for this row, view `infinite`; otherwise as missing, so that no alarm lasts because of it. |
//! | \|value\| > 1e150 | Taken as ±1e150. |
//! | a value within 1e-12 of the sensor's last, relatively | Float noise: taken as the last one. |
//! | a constant sensor | Moves within [`JointSettings::resolution`] are no news, greater ones are. |
//! | a sensor without any value in training | Never judged, whatever comes; a refit takes it up. |
//! | missing rows | Rows are counted, so a hole in time is not seen. |
//! | a time equal to or before the last one | Judged in the order of arrival. The time is used for the time of day only. |
//! | the first rows | Judged at once, as if everything had been at its mean before; [`JointDetector::train`] warms up with the training rows. |
//! | a huge jump | A finite score. Steps are limited to 20 and innovations to `clip` standard deviations, so one row is soon forgotten. |
//! | a row of another length | Sensors without a value are missing, values without a sensor are not read. |

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
mod stepwise;
mod training;
mod usual;

pub use detector::JointDetector;
pub use error::JointError;
pub use model::JointModel;
pub use reading::{JointReading, JointReason, JointView};
pub use settings::JointSettings;
pub use stepwise::Pause;
