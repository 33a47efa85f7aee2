//! Training rows, collected until they are enough.

use super::options::refusal;
use crate::failure::{Failure, Result};
use pgrx::{PgSqlErrorCode, check_for_interrupts};
use series::detect::{JointDetector, JointSettings};
use series::time::Micros;

/// A fit takes some hundred bytes of memory per value: these take half a gigabyte.
const MOST_VALUES: usize = 5_000_000;

/// Rows of one width, one after the other.
#[derive(Default)]
pub struct Rows {
    pub times: Vec<Micros>,
    pub values: Vec<f64>,
    pub width: usize,
}

impl Rows {
    /// Appends a row that may be wider than those before it.
    ///
    /// # Errors
    /// `54000` for more than a fit can take.
    pub fn push(&mut self, time: Micros, row: &[f64]) -> Result<()> {
        self.widen(row.len());
        self.times.push(time);
        self.values.extend(row);
        self.check_size()
    }

    /// Makes room for sensors that had no value so far.
    pub fn widen(&mut self, width: usize) {
        if self.width < width && !self.values.is_empty() {
            let missing = std::iter::repeat_n(f64::NAN, width - self.width);
            let rows = self.values.chunks_exact(self.width);
            self.values = rows.flat_map(|old| old.iter().copied().chain(missing.clone())).collect();
        }
        self.width = self.width.max(width);
    }

    /// A detector that goes on after these rows.
    ///
    /// # Errors
    /// `22023` if they are too few, or have no or too many sensors; `54000` for more than a fit can take.
    pub fn fit(&self, settings: &JointSettings) -> Result<JointDetector> {
        self.check_size()?;
        let mut pause = || {
            check_for_interrupts!();
        };
        JointDetector::train_in_steps(&self.times, &self.values, self.width, settings, &mut pause).map_err(refusal)
    }

    fn check_size(&self) -> Result<()> {
        if self.values.len() <= MOST_VALUES {
            return Ok(());
        }
        Err(Failure::new(
            PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            format!("training takes no more than {MOST_VALUES} values, rows times sensors"),
        )
        .hint("Train on a shorter time, or on the rows of a wider step."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sensor_that_comes_late_is_missing_before() {
        let mut rows = Rows::default();
        rows.push(1, &[1.0]).unwrap();
        rows.push(2, &[2.0, 3.0]).unwrap();
        rows.widen(3);
        assert_eq!((rows.times, rows.width), (vec![1, 2], 3));
        assert_eq!(format!("{:?}", rows.values), "[1.0, NaN, NaN, 2.0, 3.0, NaN]");
    }
}
