//! What windows keep of the values in them: a whole bucket, or only count and sum, which most questions are about and
//! which take a sixth of the memory.

use super::Bucket;
use super::fold::DecimalSum;
use crate::aggregate::Aggregate;
use crate::average::Average;
use crate::rollup::Needs;
use crate::sketch::DdSketch;
use crate::time::Micros;

pub trait Summary: Clone + From<Bucket> + for<'a> From<&'a Bucket> {
    const EMPTY: Self;

    /// The summary of rows with ascending times; NaN is missing. `values` has one value per time.
    fn fold(times: &[Micros], values: &[f64]) -> Self;

    fn count(&self) -> u64;

    /// Adds what is needed of `other`; [`Summary::complete`] then makes the rest right that follows from it.
    fn add(&mut self, other: Self, needs: Needs);

    /// After the last addition.
    fn complete(&mut self, needs: Needs, sketch: Option<DdSketch>);

    /// None if there are no values.
    fn average(&self) -> Option<Average>;

    /// None where the aggregate is not defined, or was not needed.
    fn value(&self, aggregate: Aggregate) -> Option<f64>;
}

impl From<&Bucket> for Bucket {
    #[inline]
    fn from(bucket: &Bucket) -> Bucket {
        bucket.clone()
    }
}

impl Summary for Bucket {
    const EMPTY: Bucket = Bucket::EMPTY;

    fn fold(times: &[Micros], values: &[f64]) -> Bucket {
        Bucket::fold(times, values)
    }

    #[inline]
    fn count(&self) -> u64 {
        self.count
    }

    /// The mean is merged for the deviations; without them it follows from the sum in the end.
    #[inline]
    fn add(&mut self, other: Bucket, needs: Needs) {
        if self.count == 0 {
            *self = other;
        } else if needs.deviations || needs.ends {
            self.merge(&other);
        } else {
            self.count = self.count.saturating_add(other.count);
            self.sum += other.sum;
            if needs.extremes {
                self.min = self.min.min(other.min);
                self.max = self.max.max(other.max);
            }
        }
    }

    fn complete(&mut self, needs: Needs, sketch: Option<DdSketch>) {
        if !needs.deviations && self.count > 0 {
            self.mean = self.sum / self.count as f64;
        }
        if let Some(sketch) = sketch {
            self.sketch = Some(Box::new(sketch));
        }
    }

    #[inline]
    fn average(&self) -> Option<Average> {
        (self.count > 0).then(|| Bucket::average(self))
    }

    #[inline]
    fn value(&self, aggregate: Aggregate) -> Option<f64> {
        aggregate.value(self)
    }
}

/// Count and sum of the values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Total {
    count: u64,
    sum: f64,
}

impl Total {
    /// Whether it is enough for what is needed.
    pub fn suffices(needs: Needs) -> bool {
        needs == Needs::default()
    }
}

impl From<Bucket> for Total {
    #[inline]
    fn from(bucket: Bucket) -> Total {
        Total { count: bucket.count, sum: bucket.sum }
    }
}

impl From<&Bucket> for Total {
    #[inline]
    fn from(bucket: &Bucket) -> Total {
        Total { count: bucket.count, sum: bucket.sum }
    }
}

impl Summary for Total {
    const EMPTY: Total = Total { count: 0, sum: 0.0 };

    fn fold(_: &[Micros], values: &[f64]) -> Total {
        let mut sum = DecimalSum::default();
        let mut count = 0;
        for &value in values.iter().filter(|value| !value.is_nan()) {
            sum.add(value);
            count += 1;
        }
        Total { count, sum: sum.total() }
    }

    #[inline]
    fn count(&self) -> u64 {
        self.count
    }

    #[inline]
    fn add(&mut self, other: Total, _: Needs) {
        self.count = self.count.saturating_add(other.count);
        self.sum += other.sum;
    }

    fn complete(&mut self, _: Needs, _: Option<DdSketch>) {}

    #[inline]
    fn average(&self) -> Option<Average> {
        // as a signed number it becomes a double by one instruction; no count comes near 2^63
        (self.count > 0).then(|| Average::of(self.sum / self.count as i64 as f64))
    }

    #[inline]
    fn value(&self, aggregate: Aggregate) -> Option<f64> {
        match aggregate {
            Aggregate::Count => Some(self.count as f64),
            _ if self.count == 0 => None,
            Aggregate::Avg => self.average().map(Average::value),
            Aggregate::Sum => Some(self.sum),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_total_says_what_a_bucket_says(
            values in prop::collection::vec(prop_oneof![
                8 => (-1_000_000i32..1_000_000).prop_map(|value| f64::from(value) / 100.0),
                1 => Just(f64::NAN),
                1 => Just(f64::INFINITY),
            ], 0..60),
            cut in any::<prop::sample::Index>(),
        ) {
            let times: Vec<Micros> = (0..values.len() as Micros).collect();
            let (before, after) = values.split_at(if values.is_empty() { 0 } else { cut.index(values.len()) });
            fn two<S: Summary>(times: &[Micros], before: &[f64], after: &[f64]) -> S {
                let mut summary = S::fold(&times[..before.len()], before);
                summary.add(S::fold(&times[before.len()..], after), Needs::default());
                summary.complete(Needs::default(), None);
                summary
            }
            let (total, bucket): (Total, Bucket) = (two(&times, before, after), two(&times, before, after));
            prop_assert_eq!(total.count(), bucket.count);
            for aggregate in [Aggregate::Count, Aggregate::Sum, Aggregate::Avg] {
                let bits = |value: Option<f64>| value.map(f64::to_bits);
                prop_assert_eq!(bits(Summary::value(&total, aggregate)), bits(aggregate.value(&bucket)));
            }
        }
    }
}
