//! Folding samples into windows: one window over everything, or tumbling windows of a fixed width. Samples come oldest
//! first, as decoded rows or as whole blocks of which only the aggregates are known.

use crate::block::Summary;
use crate::bucket::Bucket;
use crate::sketch::DdSketch;
use crate::time::{Micros, bucket_start};

/// The aggregates of one window, a bucket per measure.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// The first moment of the window.
    pub start: Micros,
    pub buckets: Vec<Bucket>,
}

/// Collects windows that hold at least one sample.
#[derive(Debug)]
pub struct Windows {
    shape: Shape,
    measures: usize,
    sketches: bool,
    done: Vec<Window>,
}

#[derive(Debug, Clone, Copy)]
enum Shape {
    One { start: Micros },
    Tumbling { width: Micros, origin: Micros },
}

impl Windows {
    /// One window for all samples; `sketches` if quantiles will be asked for.
    pub fn one(start: Micros, measures: usize, sketches: bool) -> Windows {
        Windows::new(Shape::One { start }, measures, sketches)
    }

    /// Windows of `width` microseconds, one of which starts at `origin`.
    ///
    /// # Panics
    /// If `width` is not positive.
    pub fn tumbling(width: Micros, origin: Micros, measures: usize, sketches: bool) -> Windows {
        assert!(width > 0, "a window needs a positive width");
        Windows::new(Shape::Tumbling { width, origin }, measures, sketches)
    }

    fn new(shape: Shape, measures: usize, sketches: bool) -> Windows {
        Windows { shape, measures, sketches, done: Vec::new() }
    }

    /// Start of the window that holds `time`.
    pub fn start_of(&self, time: Micros) -> Micros {
        match self.shape {
            Shape::One { start } => start,
            Shape::Tumbling { width, origin } => {
                bucket_start(time.saturating_sub(origin), width).saturating_add(origin)
            }
        }
    }

    /// Adds rows with ascending times; `columns[measure]` has a value per time, NaN where missing.
    pub fn add_rows(&mut self, times: &[Micros], columns: &[&[f64]]) {
        let mut from = 0;
        while from < times.len() {
            let start = self.start_of(times[from]);
            let to = match self.shape {
                Shape::One { .. } => times.len(),
                Shape::Tumbling { width, .. } => {
                    let end = start.saturating_add(width);
                    from + times[from..].partition_point(|&time| time < end)
                }
            };
            let sketches = self.sketches;
            let window = self.window(start);
            for (bucket, column) in window.buckets.iter_mut().zip(columns) {
                bucket.merge(&fold(&times[from..to], &column[from..to], sketches));
            }
            from = to;
        }
    }

    /// Adds samples of which only the span and the aggregates per measure are known. Returns false, having added nothing,
    /// if they do not fall into one window, if quantiles are wanted, or if an aggregate is not known.
    pub fn add_whole(&mut self, (first, last): (Micros, Micros), known: impl Fn(usize) -> Option<Bucket>) -> bool {
        let start = self.start_of(first);
        if self.sketches || self.start_of(last) != start {
            return false;
        }
        let Some(buckets) = (0..self.measures).map(known).collect::<Option<Vec<_>>>() else {
            return false;
        };
        for (mine, theirs) in self.window(start).buckets.iter_mut().zip(&buckets) {
            mine.merge(theirs);
        }
        true
    }

    /// The windows, oldest first.
    pub fn finish(self) -> Vec<Window> {
        self.done
    }

    fn window(&mut self, start: Micros) -> &mut Window {
        if self.done.last().is_none_or(|window| window.start != start) {
            let bucket = if self.sketches { Bucket::with_sketch() } else { Bucket::new() };
            self.done.push(Window { start, buckets: vec![bucket; self.measures] });
        }
        let index = self.done.len() - 1;
        &mut self.done[index]
    }
}

/// The aggregates of one measure over rows with ascending times.
pub fn fold(times: &[Micros], values: &[f64], sketch: bool) -> Bucket {
    let present = |row: &usize| !values[*row].is_nan();
    let first = (0..values.len()).find(present);
    let last = (0..values.len()).rfind(present);
    let mut bucket = match (first, last) {
        (Some(first), Some(last)) => Summary::of(values).bucket(times[first], times[last]),
        _ => Bucket::new(),
    };
    if sketch {
        let mut sketch = DdSketch::default();
        for &value in values.iter().filter(|value| !value.is_nan()) {
            sketch.update(value);
        }
        bucket.sketch = Some(sketch);
    }
    bucket
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-9 * (1.0 + a.abs().max(b.abs()))
    }

    #[test]
    fn windows_are_aligned_to_their_origin() {
        let windows = Windows::tumbling(10, 3, 1, false);
        assert_eq!(windows.start_of(3), 3);
        assert_eq!(windows.start_of(12), 3);
        assert_eq!(windows.start_of(2), -7);
    }

    #[test]
    fn a_block_that_spans_two_windows_is_not_taken_whole() {
        let mut windows = Windows::tumbling(10, 0, 1, false);
        assert!(!windows.add_whole((5, 15), |_| Some(Bucket::new())));
        assert!(windows.finish().is_empty());
    }

    proptest! {
        #[test]
        fn tumbling_windows_equal_buckets_filled_one_by_one(
            steps in prop::collection::vec((1i64..30, prop_oneof![8 => (-1000i32..1000).prop_map(f64::from), 1 => Just(f64::NAN)]), 1..100),
            width in 1i64..60, origin in -50i64..50, cut in any::<prop::sample::Index>())
        {
            let mut time = -500;
            let (times, values): (Vec<_>, Vec<_>) = steps.iter().map(|&(step, value)| { time += step; (time, value) }).unzip();
            let cut = cut.index(times.len());
            let mut windows = Windows::tumbling(width, origin, 1, true);
            windows.add_rows(&times[..cut], &[&values[..cut]]);
            windows.add_rows(&times[cut..], &[&values[cut..]]);
            let windows = windows.finish();
            prop_assert!(windows.windows(2).all(|pair| pair[0].start < pair[1].start));
            for window in &windows {
                let mut expected = Bucket::with_sketch();
                for (&time, &value) in times.iter().zip(&values) {
                    if (window.start..window.start + width).contains(&time) {
                        expected.update(time, value);
                    }
                }
                let got = &window.buckets[0];
                prop_assert_eq!(got.count, expected.count);
                prop_assert_eq!(&got.sketch, &expected.sketch);
                if got.count > 0 {
                    prop_assert_eq!((got.min, got.max, got.first, got.last, got.sum),
                                    (expected.min, expected.max, expected.first, expected.last, expected.sum));
                    prop_assert!(close(got.mean, expected.mean) && close(got.m2, expected.m2));
                }
            }
        }
    }
}
