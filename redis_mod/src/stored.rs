//! A series as a key holds it: the state, and what of it is counted in the module's totals.

use crate::hot::Series;
use crate::instance;
use crate::totals;

/// The value behind a key of the module's type.
pub struct Stored {
    series: Series,
    instance: u64,
    counted_rows: usize,
    counted_pending: usize,
}

impl Stored {
    pub fn new(series: Series) -> Stored {
        totals::series(1);
        let mut stored = Stored { series, instance: instance::next(), counted_rows: 0, counted_pending: 0 };
        stored.settle();
        stored
    }

    pub fn series(&self) -> &Series {
        &self.series
    }

    /// See [`instance`].
    pub fn instance(&self) -> u64 {
        self.instance
    }

    /// Gives the series a new name in memory.
    pub fn renew(&mut self) {
        self.instance = instance::next();
    }

    /// Changes the series and counts the difference.
    #[inline]
    pub fn change<T>(&mut self, change: impl FnOnce(&mut Series) -> T) -> T {
        let result = change(&mut self.series);
        self.settle();
        result
    }

    /// The large allocations, to be moved in memory but not changed.
    pub fn allocations_mut(&mut self) -> impl Iterator<Item = &mut Box<[u8]>> {
        self.series.allocations_mut()
    }

    #[inline]
    fn settle(&mut self) {
        let (rows, pending) = (self.series.rows(), self.series.pending_rows());
        if rows != self.counted_rows {
            totals::samples(rows as i64 - self.counted_rows as i64);
            self.counted_rows = rows;
        }
        if pending != self.counted_pending {
            totals::pending(pending as i64 - self.counted_pending as i64);
            self.counted_pending = pending;
        }
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        totals::series(-1);
        totals::samples(-(self.counted_rows as i64));
        totals::pending(-(self.counted_pending as i64));
    }
}
