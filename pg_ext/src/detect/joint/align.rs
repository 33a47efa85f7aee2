//! Readings of several series as common rows.

use crate::failure::Result;
use series::time::Micros;

/// How times become rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Width of a row in microseconds, aligned to the UTC epoch; `None` makes a row of each time.
    pub step: Option<Micros>,
    /// Rows for which a sensor without a value keeps its last one.
    pub hold: u32,
}

/// Puts readings that come in the order of time into rows: the last value of each sensor in a step, NaN where it has none.
/// A row has the time at which its step begins. Steps without any value, also a held one, have no row.
pub struct Aligner {
    grid: Grid,
    /// Time of the row at hand.
    time: Option<Micros>,
    row: Vec<f64>,
    /// Last value of each sensor and the rows for which it may stand in.
    held: Vec<(f64, u32)>,
}

impl Aligner {
    pub fn new(grid: Grid) -> Self {
        Self { grid, time: None, row: Vec::new(), held: Vec::new() }
    }

    /// Takes the values of the sensors from `position` on; hands over the rows that are complete with it.
    ///
    /// # Errors
    /// Those of `each`.
    pub fn take(
        &mut self,
        time: Micros,
        position: usize,
        values: &[Option<f64>],
        each: &mut impl FnMut(Micros, &[f64]) -> Result<()>,
    ) -> Result<()> {
        let time = self.grid.step.map_or(time, |step| time.div_euclid(step) * step);
        if self.time != Some(time) {
            self.end_before(time, each)?;
            self.time = Some(time);
        }
        let width = self.row.len().max(position + values.len());
        self.row.resize(width, f64::NAN);
        self.held.resize(width, (f64::NAN, 0));
        for (cell, value) in self.row[position..].iter_mut().zip(values) {
            *cell = value.unwrap_or(*cell);
        }
        Ok(())
    }

    /// Hands over what is left.
    ///
    /// # Errors
    /// Those of `each`.
    pub fn end(&mut self, each: &mut impl FnMut(Micros, &[f64]) -> Result<()>) -> Result<()> {
        if let Some(time) = self.time.take() {
            self.hold();
            each(time, &self.row)?;
            self.row.fill(f64::NAN);
        }
        Ok(())
    }

    fn end_before(&mut self, next: Micros, each: &mut impl FnMut(Micros, &[f64]) -> Result<()>) -> Result<()> {
        let last = self.time;
        self.end(each)?;
        let (Some(last), Some(step)) = (last, self.grid.step) else { return Ok(()) };
        let mut time = last + step;
        while time < next && self.hold() {
            each(time, &self.row)?;
            self.row.fill(f64::NAN);
            time += step;
        }
        Ok(())
    }

    /// Fills the row at hand with what is held, and remembers its values; whether it has any.
    fn hold(&mut self) -> bool {
        let mut any = false;
        for (cell, (value, rows)) in self.row.iter_mut().zip(&mut self.held) {
            if cell.is_finite() {
                (*value, *rows) = (*cell, self.grid.hold);
            } else if cell.is_nan() && *rows > 0 {
                *cell = *value;
                *rows -= 1;
            }
            any |= !cell.is_nan();
        }
        any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(grid: Grid, readings: &[(Micros, usize, f64)]) -> String {
        let mut rows = Vec::new();
        let mut each = |time: Micros, row: &[f64]| {
            rows.push(format!("{time} {row:?}"));
            Ok(())
        };
        let mut aligner = Aligner::new(grid);
        for (time, position, value) in readings {
            aligner.take(*time, *position, &[Some(*value)], &mut each).unwrap();
        }
        aligner.end(&mut each).unwrap();
        rows.join("; ")
    }

    #[test]
    fn without_a_step_equal_times_are_a_row() {
        let grid = Grid { step: None, hold: 0 };
        assert_eq!(rows(grid, &[(1, 0, 1.0), (1, 1, 2.0), (3, 1, 4.0)]), "1 [1.0, 2.0]; 3 [NaN, 4.0]");
    }

    #[test]
    fn a_step_takes_the_last_value_of_each_sensor() {
        let grid = Grid { step: Some(10), hold: 0 };
        let readings = [(-1, 0, 0.0), (1, 0, 1.0), (4, 1, 2.0), (9, 0, 3.0), (31, 1, 4.0)];
        assert_eq!(rows(grid, &readings), "-10 [0.0]; 0 [3.0, 2.0]; 30 [NaN, 4.0]");
    }

    #[test]
    fn a_value_is_held_for_so_many_rows_and_no_longer() {
        let grid = Grid { step: Some(10), hold: 2 };
        let readings = [(0, 0, 1.0), (0, 1, 2.0), (10, 1, 3.0), (60, 1, 4.0)];
        let expected = "0 [1.0, 2.0]; 10 [1.0, 3.0]; 20 [1.0, 3.0]; 30 [NaN, 3.0]; 60 [NaN, 4.0]";
        assert_eq!(rows(grid, &readings), expected);
        assert_eq!(rows(Grid { step: None, hold: 1 }, &readings[..3]), "0 [1.0, 2.0]; 10 [1.0, 3.0]");
    }
}
