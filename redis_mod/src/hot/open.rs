//! The newest samples of a series, not yet compressed: one vector, row after row, so that appending a sample touches one
//! place in memory.

use super::read::Rows;
use series::prefetch;
use series::time::Micros;

const MISSING: u64 = f64::NAN.to_bits();

/// A 5-minute bucket of a sensor that reports twice a minute.
const PREFETCHED_ROWS: usize = 10;

/// Rows of one time and one value per measure, sorted by time, times unique. Times and values are kept as their bits.
#[derive(Debug, Clone)]
pub struct OpenRows {
    words: Vec<u64>,
    /// Words of a row: the time and one value per measure.
    stride: usize,
    last: Micros,
}

impl Default for OpenRows {
    fn default() -> Self {
        OpenRows { words: Vec::new(), stride: 1, last: Micros::MIN }
    }
}

impl OpenRows {
    pub fn len(&self) -> usize {
        self.words.len() / self.stride
    }

    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Number of measures.
    pub fn width(&self) -> usize {
        self.stride - 1
    }

    pub fn time(&self, row: usize) -> Micros {
        self.words[row * self.stride] as i64
    }

    pub fn value(&self, row: usize, measure: usize) -> f64 {
        f64::from_bits(self.words[row * self.stride + 1 + measure])
    }

    pub fn first(&self) -> Option<Micros> {
        self.words.first().map(|&word| word as i64)
    }

    #[inline]
    pub fn last(&self) -> Option<Micros> {
        (!self.words.is_empty()).then_some(self.last)
    }

    pub fn set(&mut self, row: usize, measure: usize, value: f64) {
        self.words[row * self.stride + 1 + measure] = value.to_bits();
    }

    /// Appends a row of missing values; `time` is newer than the last.
    #[inline]
    pub fn push(&mut self, time: Micros) -> usize {
        let row = self.len();
        self.words.push(time as u64);
        self.words.resize((row + 1) * self.stride, MISSING);
        self.last = time;
        row
    }

    /// The row of this time, or where it would be.
    pub fn search(&self, time: Micros) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.time(middle).cmp(&time) {
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    /// Inserts a row of missing values before `row`; `time` lies between its neighbours.
    pub fn insert(&mut self, row: usize, time: Micros) {
        let at = row * self.stride;
        let fresh = std::iter::once(time as u64).chain(std::iter::repeat_n(MISSING, self.stride - 1));
        self.words.splice(at..at, fresh);
        self.refresh_last();
    }

    /// Removes these rows.
    pub fn remove(&mut self, rows: std::ops::Range<usize>) {
        self.words.drain(rows.start * self.stride..rows.end * self.stride);
        self.refresh_last();
    }

    /// Makes room for more measures, missing in the rows so far.
    pub fn widen(&mut self, measures: usize) {
        let stride = measures + 1;
        if stride <= self.stride {
            return;
        }
        let mut words = Vec::with_capacity(self.words.capacity() / self.stride * stride);
        for row in self.words.chunks_exact(self.stride) {
            words.extend_from_slice(row);
            words.resize(words.len() + stride - self.stride, MISSING);
        }
        self.words = words;
        self.stride = stride;
    }

    /// The rows with a time in `from..=to`.
    pub fn range(&self, from: Micros, to: Micros) -> std::ops::Range<usize> {
        let start = self.search(from).unwrap_or_else(|row| row);
        let end = self.search(to).map_or_else(|row| row, |row| row + 1);
        start..end.max(start)
    }

    /// Asks for the memory of the newest rows.
    pub fn prefetch(&self) {
        prefetch::slice(&self.words[self.words.len().saturating_sub(PREFETCHED_ROWS * self.stride)..]);
    }

    /// Asks for the memory of the newest row, after which the next will lie.
    #[inline]
    pub fn prefetch_end(&self) {
        prefetch::slice(&self.words[self.words.len().saturating_sub(self.stride)..]);
    }

    /// Replaces `rows` by these rows with the picked measures.
    pub fn read(&self, range: std::ops::Range<usize>, picks: &[usize], rows: &mut Rows) {
        rows.times.clear();
        rows.times.extend(range.clone().map(|row| self.time(row)));
        rows.columns.resize_with(picks.len(), Vec::new);
        for (column, &measure) in rows.columns.iter_mut().zip(picks) {
            column.clear();
            if measure < self.width() {
                column.extend(range.clone().map(|row| self.value(row, measure)));
            } else {
                column.resize(range.len(), f64::NAN);
            }
        }
    }

    /// Forgets the rows, keeps the memory.
    pub fn clear(&mut self) {
        self.words.clear();
    }

    pub fn heap_bytes(&self) -> usize {
        self.words.capacity() * size_of::<u64>()
    }

    fn refresh_last(&mut self) {
        if let Some(row) = self.len().checked_sub(1) {
            self.last = self.time(row);
        }
    }
}
