//! Samples at irregular times on a regular grid: each cell that has samples gives their mean, and short holes are bridged
//! by the mean before them.
//!
//! A cell's mean is known when the first sample after the cell arrives; nothing is guessed before.

use crate::bytes::{DecodeError, Reader, put_f64, put_varint, put_zigzag};
use crate::time::{Micros, bucket_start};

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct GridSettings {
    pub(super) interval: Micros,
    /// Longest hole that is bridged, in cells.
    pub(super) bridge: u32,
}

#[derive(Debug, Clone)]
pub(super) struct Grid {
    settings: GridSettings,
    /// Start of the cell that is going on.
    start: Micros,
    samples: u64,
    mean: f64,
}

/// A cell that is over, and the empty ones after it that are bridged by its mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Closed {
    pub(super) start: Micros,
    pub(super) mean: f64,
    pub(super) bridged: u32,
}

impl Grid {
    pub(super) fn new(settings: GridSettings) -> Grid {
        Grid { settings, start: 0, samples: 0, mean: 0.0 }
    }

    pub(super) fn settings(&self) -> GridSettings {
        self.settings
    }

    /// Adds a sample; returns the cell that it ends. A sample up to one cell late counts in the cell that is going on; a
    /// time further back begins its own cell, so that one wrong time in the future does not stop the grid.
    pub(super) fn push(&mut self, time: Micros, x: f64) -> Option<Closed> {
        let GridSettings { interval, bridge } = self.settings;
        let start = bucket_start(time, interval);
        if self.samples > 0 && (start == self.start || start == self.start.saturating_sub(interval)) {
            self.samples += 1;
            self.mean += (x - self.mean) / self.samples as f64;
            return None;
        }
        let closed = (self.samples > 0).then(|| {
            let empty = start.saturating_sub(self.start) / interval - 1;
            let bridged = u32::try_from(empty).ok().filter(|&empty| empty <= bridge).unwrap_or(0);
            Closed { start: self.start, mean: self.mean, bridged }
        });
        (self.start, self.samples, self.mean) = (start, 1, x);
        closed
    }

    pub(super) fn save(&self, out: &mut Vec<u8>) {
        put_varint(out, self.settings.interval as u64);
        put_varint(out, u64::from(self.settings.bridge));
        put_zigzag(out, self.start);
        put_varint(out, self.samples);
        put_f64(out, self.mean);
    }

    pub(super) fn restore(reader: &mut Reader<'_>) -> Result<Grid, DecodeError> {
        let interval = match i64::try_from(reader.varint()?) {
            Ok(interval) if interval > 0 => interval,
            _ => return Err(DecodeError::Invalid("the interval of a detector is out of range")),
        };
        let bridge = reader.small()?;
        if bridge > super::MAX_BRIDGE {
            return Err(DecodeError::Invalid("a detector bridges more than it can"));
        }
        let mut grid = Grid::new(GridSettings { interval, bridge });
        (grid.start, grid.samples, grid.mean) = (reader.zigzag()?, reader.counter()?, reader.finite()?);
        Ok(grid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(samples: &[(Micros, f64)]) -> Vec<(Micros, f64, u32)> {
        let mut grid = Grid::new(GridSettings { interval: 10, bridge: 2 });
        let cells = samples.iter().filter_map(|&(time, x)| grid.push(time, x));
        cells.map(|cell| (cell.start, cell.mean, cell.bridged)).collect()
    }

    #[test]
    fn a_cell_is_the_mean_of_its_samples_and_is_over_with_the_first_after_it() {
        assert_eq!(closed(&[(1, 1.0), (5, 3.0), (9, 5.0)]), []);
        assert_eq!(closed(&[(1, 1.0), (5, 3.0), (10, 7.0), (25, 0.0)]), [(0, 2.0, 0), (10, 7.0, 0)]);
        assert_eq!(closed(&[(-1, 4.0), (0, 1.0)]), [(-10, 4.0, 0)]);
    }

    #[test]
    fn short_holes_are_bridged_and_long_ones_are_not() {
        assert_eq!(closed(&[(0, 1.0), (30, 2.0), (70, 3.0)]), [(0, 1.0, 2), (30, 2.0, 0)]);
    }

    #[test]
    fn a_late_sample_counts_in_the_cell_that_is_going_on() {
        assert_eq!(closed(&[(25, 1.0), (13, 3.0), (31, 0.0)]), [(20, 2.0, 0)]);
    }

    #[test]
    fn a_time_in_the_future_does_not_stop_the_grid() {
        let cells = closed(&[(5, 1.0), (1_000_005, 2.0), (15, 3.0), (25, 4.0), (35, 5.0)]);
        assert_eq!(cells, [(0, 1.0, 0), (1_000_000, 2.0, 0), (10, 3.0, 0), (20, 4.0, 0)]);
    }
}
