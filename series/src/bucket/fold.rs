//! The aggregates of many values at once.

use super::{Bucket, Point};
use crate::time::Micros;

/// A sum that adds what each addition rounds off in the end (Knuth's two-sum, TAOCP 4.2.2), so that a sum of decimals mostly is
/// the double nearest to the decimal.
#[derive(Default)]
pub(super) struct DecimalSum {
    sum: f64,
    rounded_off: f64,
}

impl DecimalSum {
    #[inline]
    pub(super) fn add(&mut self, value: f64) {
        let total = self.sum + value;
        let added = total - self.sum;
        self.rounded_off += (self.sum - (total - added)) + (value - added);
        self.sum = total;
    }

    pub(super) fn total(&self) -> f64 {
        // not a number where infinities are among the values or the sum
        if self.rounded_off.is_finite() { self.sum + self.rounded_off } else { self.sum }
    }
}

impl Bucket {
    /// The aggregates of one measure over rows with ascending times; NaN is missing. `values` has one value per time.
    ///
    /// In two passes: the deviations from the mean are summed in the second, which keeps them right at a large offset and
    /// corrects the mean by what rounding left (Chan, Golub & LeVeque, "Algorithms for computing the sample variance",
    /// 1983).
    pub fn fold(times: &[Micros], values: &[f64]) -> Bucket {
        let mut present = times.iter().zip(values).filter(|(_, value)| !value.is_nan());
        let Some((&time, &first)) = present.next() else {
            return Bucket::EMPTY;
        };
        let first = Point { time, value: first };
        let (mut count, mut min, mut max, mut last) = (1u64, first.value, first.value, first);
        let mut sum = DecimalSum::default();
        sum.add(first.value);
        for (&time, &value) in present {
            count += 1;
            sum.add(value);
            min = min.min(value);
            max = max.max(value);
            last = Point { time, value };
        }
        let sum = sum.total();
        let rough = sum / count as f64;
        let (mut deviations, mut squares) = (0.0, 0.0);
        for value in values.iter().filter(|value| !value.is_nan()) {
            let deviation = value - rough;
            deviations += deviation;
            squares += deviation * deviation;
        }
        let correction = deviations / count as f64;
        Bucket {
            count,
            sum,
            min,
            max,
            mean: rough + correction,
            m2: squares - deviations * correction,
            first,
            last,
            sketch: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_sum_of_decimals_is_the_decimal() {
        let values = [0.1; 10];
        assert_eq!(values.iter().sum::<f64>(), 0.9999999999999999);
        assert_eq!(Bucket::fold(&[0; 10], &values).sum, 1.0);
        assert_eq!(Bucket::fold(&[0; 2], &[f64::INFINITY, 1.0]).sum, f64::INFINITY);
    }

    proptest! {
        #[test]
        fn folding_equals_updating_one_by_one(
            values in prop::collection::vec(prop_oneof![8 => -1e6..1e6_f64, 1 => Just(f64::NAN)], 0..60),
            offset in prop::sample::select(vec![0.0, 1e9]),
        ) {
            let times: Vec<Micros> = (0..values.len() as Micros).collect();
            let values: Vec<f64> = values.iter().map(|value| value + offset).collect();
            let mut expected = Bucket::new();
            times.iter().zip(&values).for_each(|(&time, &value)| expected.update(time, value));
            let folded = Bucket::fold(&times, &values);
            prop_assert_eq!(folded.count, expected.count);
            if folded.count > 0 {
                prop_assert_eq!((folded.min, folded.max, folded.first, folded.last),
                                (expected.min, expected.max, expected.first, expected.last));
                let close = |a: f64, b: f64| (a - b).abs() <= 1e-9 * (1.0 + a.abs().max(b.abs()));
                prop_assert!(close(folded.sum, expected.sum) && close(folded.mean, expected.mean));
                prop_assert!((folded.m2 - expected.m2).abs() <= 1e-6 * (1.0 + expected.m2));
            }
        }
    }
}
