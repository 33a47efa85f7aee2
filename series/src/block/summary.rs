//! The aggregates of one measure over the rows of a block.

use crate::bucket::{Bucket, Point};
use crate::time::Micros;

/// Aggregates of the values that are not missing. With `count == 0` the other fields have no meaning.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    pub count: usize,
    pub sum: f64,
    pub min: f64,
    pub max: f64,
    pub mean: f64,
    /// Sum of squared deviations from the mean.
    pub m2: f64,
    pub first: f64,
    pub last: f64,
}

impl Summary {
    /// In two passes: the deviations from the mean are summed in the second, which keeps them right at a large offset
    /// and corrects the mean by what rounding left (Chan, Golub & LeVeque, "Algorithms for computing the sample
    /// variance", 1983).
    pub fn of(values: &[f64]) -> Summary {
        let mut present = values.iter().copied().filter(|v| !v.is_nan());
        let Some(first) = present.next() else {
            return Summary {
                count: 0,
                sum: 0.0,
                min: f64::INFINITY,
                max: f64::NEG_INFINITY,
                mean: 0.0,
                m2: 0.0,
                first: f64::NAN,
                last: f64::NAN,
            };
        };
        let (mut count, mut sum, mut min, mut max, mut last) = (1usize, first, first, first, first);
        for value in present {
            count += 1;
            sum += value;
            min = min.min(value);
            max = max.max(value);
            last = value;
        }
        let rough = sum / count as f64;
        let (mut deviations, mut squares) = (0.0, 0.0);
        for value in values.iter().filter(|v| !v.is_nan()) {
            let deviation = value - rough;
            deviations += deviation;
            squares += deviation * deviation;
        }
        let correction = deviations / count as f64;
        Summary { count, sum, min, max, mean: rough + correction, m2: squares - deviations * correction, first, last }
    }

    /// As a mergeable state; the caller knows the times of the first and the last value.
    pub fn bucket(&self, first: Micros, last: Micros) -> Bucket {
        Bucket {
            count: self.count as u64,
            sum: self.sum,
            min: self.min,
            max: self.max,
            mean: self.mean,
            m2: self.m2,
            first: Point { time: first, value: self.first },
            last: Point { time: last, value: self.last },
            sketch: None,
        }
    }
}
