//! What the joint detector says about one row.

use std::fmt;

/// One row's reading. Scores are on the scale of [`crate::detect::contract`]: 0 as usual, 1 the alarm line, finite always.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct JointReading {
    /// How unusual the row is.
    pub score: f64,
    /// How unusual the movement of the last rows is, whatever the level.
    pub change_score: f64,
    /// Whether the row belongs to an alarm. It begins at score 1 and ends as [`super::JointSettings::hold`] says, so a row of an
    /// alarm may have a score below 1.
    pub is_anomaly: bool,
    /// Whether a change begins at this row: once per crossing of the line.
    pub is_change: bool,
    /// The sensor that explains `score` best; present exactly if `is_anomaly`, except for a row without any value.
    pub reason: Option<JointReason>,
    /// The sensor that explains `change_score` best; present exactly if `is_change`.
    pub change_reason: Option<JointReason>,
}

/// The view that left its usual range furthest, with its numbers in the unit of the sensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct JointReason {
    pub view: JointView,
    /// Index of the sensor in the row.
    pub sensor: usize,
    /// The view's value.
    pub value: f64,
    /// The view's usual range.
    pub lower: f64,
    pub upper: f64,
    /// The value that the other sensors and the past let expect of the sensor.
    pub expected: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JointView {
    /// Smoothed deviation of the sensor from its expected value; the range is three standard deviations to either side.
    Level,
    /// The sensor's value, in the range that training saw in this state of an on/off sensor.
    Value,
    /// Deviation of one value from its expected one, in the range that training saw in this state of an on/off sensor.
    Deviation,
    /// Change of the smoothed deviation; the range is three standard deviations to either side.
    Change,
    /// The value is infinite.
    Infinite,
}

impl JointView {
    /// A stable name, as the codes of [`crate::detect::Reason`].
    pub fn code(self) -> &'static str {
        match self {
            JointView::Level => "joint_level",
            JointView::Value => "joint_value",
            JointView::Deviation => "joint_deviation",
            JointView::Change => "joint_change",
            JointView::Infinite => "infinite",
        }
    }
}

impl fmt::Display for JointView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}
