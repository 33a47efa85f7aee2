//! The mergeable aggregate state of one measure over one bucket, and of all measures together.

mod fold;
mod row;
mod summary;

pub use row::BucketRow;
pub use summary::{Summary, Total};

use crate::average::Average;
use crate::sketch::DdSketch;
use crate::time::Micros;

/// Aggregates of the values of one measure. Mean and sum of squared deviations (`m2`) are kept by Welford's update
/// (Technometrics 1962) and merged by the parallel formula of Chan, Golub and LeVeque (1979), so that a standard
/// deviation survives an offset of 1e9. With `count == 0` the other fields have no meaning.
#[derive(Debug, Clone, PartialEq)]
pub struct Bucket {
    pub count: u64,
    pub sum: f64,
    pub min: f64,
    pub max: f64,
    pub mean: f64,
    pub m2: f64,
    pub first: Point,
    pub last: Point,
    /// Boxed, so that the many buckets without one stay small.
    pub sketch: Option<Box<DdSketch>>,
}

/// One value and its time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    pub time: Micros,
    pub value: f64,
}

impl Default for Bucket {
    fn default() -> Self {
        Bucket::EMPTY
    }
}

impl Bucket {
    /// No values, no sketch.
    pub const EMPTY: Bucket = Bucket {
        count: 0,
        sum: 0.0,
        min: f64::INFINITY,
        max: f64::NEG_INFINITY,
        mean: 0.0,
        m2: 0.0,
        first: Point { time: 0, value: 0.0 },
        last: Point { time: 0, value: 0.0 },
        sketch: None,
    };

    /// An empty bucket without a sketch.
    pub fn new() -> Bucket {
        Bucket::default()
    }

    /// An empty bucket that also keeps a quantile sketch of the default relative error.
    pub fn with_sketch() -> Bucket {
        Bucket { sketch: Some(Box::default()), ..Bucket::default() }
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds one value. NaN is missing and changes nothing. Times may come in any order: first and last go by time; of
    /// equal times the earlier call is first and the later call is last.
    pub fn update(&mut self, time: Micros, value: f64) {
        if value.is_nan() {
            return;
        }
        let point = Point { time, value };
        if self.count == 0 {
            self.count = 1;
            self.sum = value;
            self.min = value;
            self.max = value;
            self.mean = value;
            self.m2 = 0.0;
            self.first = point;
            self.last = point;
        } else {
            self.count = self.count.saturating_add(1);
            self.sum += value;
            self.min = self.min.min(value);
            self.max = self.max.max(value);
            let delta = value - self.mean;
            self.mean += delta / self.count as f64;
            self.m2 += delta * (value - self.mean);
            if time < self.first.time {
                self.first = point;
            }
            if time >= self.last.time {
                self.last = point;
            }
        }
        if let Some(sketch) = &mut self.sketch {
            sketch.update(value);
        }
    }

    /// Adds everything `other` holds. The result has a sketch only if both sides that hold values have one of the same
    /// relative error: a sketch of a part of the values would answer wrongly.
    pub fn merge(&mut self, other: &Bucket) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = other.clone();
            return;
        }
        let (n, m) = (self.count as f64, other.count as f64);
        let delta = other.mean - self.mean;
        self.mean += delta * (m / (n + m));
        self.m2 += other.m2 + delta * delta * (n * m / (n + m));
        self.count = self.count.saturating_add(other.count);
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        if other.first.time < self.first.time {
            self.first = other.first;
        }
        if other.last.time >= self.last.time {
            self.last = other.last;
        }
        self.sketch = match (self.sketch.take(), &other.sketch) {
            (Some(mut mine), Some(theirs)) => mine.merge(theirs).is_ok().then_some(mine),
            _ => None,
        };
    }

    /// The average of the values, of which there must be some.
    #[inline]
    pub fn average(&self) -> Average {
        // an infinity among the values leaves the running mean undefined, but not the average
        Average::of(if self.mean.is_nan() { self.sum / self.count as f64 } else { self.mean })
    }

    /// Variance with divisor n - 1; `None` below two values, NaN if infinities are among them.
    pub fn variance(&self) -> Option<f64> {
        if self.count < 2 {
            return None;
        }
        // rounding may leave a trifle below zero; a NaN (infinities among the values) must stay one
        let m2 = if self.m2 < 0.0 { 0.0 } else { self.m2 };
        Some(m2 / (self.count - 1) as f64)
    }

    /// Sample standard deviation (divisor n - 1); `None` below two values.
    pub fn stddev(&self) -> Option<f64> {
        self.variance().map(f64::sqrt)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bucket(values: &[(Micros, f64)]) -> Bucket {
        let mut bucket = Bucket::with_sketch();
        values.iter().for_each(|&(t, v)| bucket.update(t, v));
        bucket
    }

    fn close(a: f64, b: f64, scale: f64) -> bool {
        a == b || (a - b).abs() <= 1e-9 * scale.max(1.0)
    }

    #[test]
    fn standard_deviation_survives_a_large_offset() {
        let values: Vec<(Micros, f64)> = [4.0, 7.0, 13.0, 16.0].iter().map(|v| (0, v + 1e9)).collect();
        assert!((bucket(&values).stddev().unwrap() - 30_f64.sqrt()).abs() < 1e-6);
        let mut merged = bucket(&values[..1]);
        merged.merge(&bucket(&values[1..]));
        assert!((merged.stddev().unwrap() - 30_f64.sqrt()).abs() < 1e-6);
    }

    #[test]
    fn first_and_last_go_by_time_and_not_by_arrival() {
        let b = bucket(&[(20, 2.0), (10, 1.0), (30, 3.0), (30, 4.0), (10, 9.0)]);
        assert_eq!(b.first, Point { time: 10, value: 1.0 });
        assert_eq!(b.last, Point { time: 30, value: 4.0 });
    }

    #[test]
    fn a_missing_value_changes_nothing() {
        assert_eq!(bucket(&[(1, 5.0), (2, f64::NAN)]), bucket(&[(1, 5.0)]));
        assert_eq!(bucket(&[(1, 5.0)]).stddev(), None);
    }

    #[test]
    fn an_infinity_makes_the_deviation_undefined() {
        let b = bucket(&[(1, 1.0), (2, f64::INFINITY), (3, 2.0)]);
        assert!(b.stddev().unwrap().is_nan());
        assert_eq!((b.min, b.max, b.sum), (1.0, f64::INFINITY, f64::INFINITY));
    }

    #[test]
    fn a_sketch_is_dropped_when_only_a_part_of_the_values_has_one() {
        let mut with = bucket(&[(1, 5.0)]);
        let mut without = Bucket::new();
        without.update(2, 6.0);
        with.merge(&without);
        assert_eq!((with.count, with.sketch.is_none()), (2, true));
    }

    pub(super) fn samples() -> impl Strategy<Value = Vec<(Micros, f64)>> {
        prop::collection::vec((-1000_i64..1000, prop_oneof![8 => -1e6..1e6_f64, 1 => Just(f64::NAN)]), 0..60)
    }

    proptest! {
        #[test]
        fn merging_equals_updating_with_everything(a in samples(), b in samples()) {
            let mut merged = bucket(&a);
            merged.merge(&bucket(&b));
            let whole = bucket(&[a, b].concat());
            prop_assert_eq!(merged.count, whole.count);
            prop_assert_eq!(&merged.sketch, &whole.sketch);
            if whole.count > 0 {
                prop_assert_eq!((merged.min, merged.max), (whole.min, whole.max));
                prop_assert_eq!((merged.first, merged.last), (whole.first, whole.last));
                prop_assert!(close(merged.sum, whole.sum, 1e8));
                prop_assert!(close(merged.mean, whole.mean, 1e6));
                prop_assert!(close(merged.m2, whole.m2, 1e14));
            }
        }

    }
}
