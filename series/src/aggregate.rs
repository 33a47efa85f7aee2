//! The aggregates that can be asked of a bucket, by name.

use std::fmt;
use std::str::FromStr;

use crate::bucket::Bucket;
use crate::time::MICROS_PER_SECOND;

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Aggregate {
    Avg,
    Min,
    Max,
    Sum,
    Count,
    /// Sample standard deviation (divisor n - 1).
    Stddev,
    First,
    Last,
    /// Change per second from the first to the last value.
    Rate,
    /// Quantile at this fraction (0..=1), by sketch.
    Quantile(f64),
}

/// The first name of an aggregate is the one that is printed.
const NAMES: [(&str, Aggregate); 12] = [
    ("avg", Aggregate::Avg),
    ("min", Aggregate::Min),
    ("max", Aggregate::Max),
    ("sum", Aggregate::Sum),
    ("count", Aggregate::Count),
    ("stddev", Aggregate::Stddev),
    ("first", Aggregate::First),
    ("last", Aggregate::Last),
    ("rate", Aggregate::Rate),
    ("mean", Aggregate::Avg),
    ("std", Aggregate::Stddev),
    ("median", Aggregate::Quantile(0.5)),
];

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown aggregate \"{0}\": avg, min, max, sum, count, stddev, first, last, rate, or a percentile such as p99 or p99.9"
)]
pub struct AggregateError(String);

impl Aggregate {
    /// The aggregate of the values in `bucket`. `None` where it is not defined: no values (except for the count), fewer
    /// than two for a standard deviation or rate, a rate between equal times, a quantile without a sketch.
    #[inline]
    pub fn value(self, bucket: &Bucket) -> Option<f64> {
        if self == Aggregate::Count {
            return Some(bucket.count as f64);
        }
        if bucket.is_empty() {
            return None;
        }
        match self {
            Aggregate::Avg => Some(bucket.average().value()),
            Aggregate::Min => Some(bucket.min),
            Aggregate::Max => Some(bucket.max),
            Aggregate::Sum => Some(bucket.sum),
            Aggregate::Count => Some(bucket.count as f64),
            Aggregate::Stddev => bucket.stddev(),
            Aggregate::First => Some(bucket.first.value),
            Aggregate::Last => Some(bucket.last.value),
            Aggregate::Rate => {
                let micros = bucket.last.time.checked_sub(bucket.first.time).filter(|&m| m > 0)?;
                Some((bucket.last.value - bucket.first.value) / (micros as f64 / MICROS_PER_SECOND as f64))
            }
            // a sketch knows a value to the relative error, the bucket knows the ends exactly
            Aggregate::Quantile(0.0) if bucket.sketch.is_some() => Some(bucket.min),
            Aggregate::Quantile(1.0) if bucket.sketch.is_some() => Some(bucket.max),
            Aggregate::Quantile(q) => bucket.sketch.as_ref()?.quantile(q).map(|v| v.max(bucket.min).min(bucket.max)),
        }
    }

    /// The name; None for a quantile, of which there are as many as numbers.
    pub fn name(self) -> Option<&'static str> {
        let quantile = matches!(self, Aggregate::Quantile(_));
        NAMES.iter().find(|(_, named)| !quantile && *named == self).map(|&(name, _)| name)
    }

    /// Whether the bucket must keep a quantile sketch.
    pub fn needs_sketch(self) -> bool {
        matches!(self, Aggregate::Quantile(_))
    }
}

impl FromStr for Aggregate {
    type Err = AggregateError;

    /// Reads a name in any case; `mean` and `std` are taken for `avg` and `stddev`, `median` for `p50`.
    fn from_str(text: &str) -> Result<Aggregate, AggregateError> {
        if let Some(&(_, named)) = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
            return Ok(named);
        }
        let error = || AggregateError(text.chars().take(40).collect());
        let digits = text.strip_prefix(['p', 'P']).ok_or_else(error)?;
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            return Err(error());
        }
        let fraction = match digits.parse::<u8>() {
            Ok(percent) => f64::from(percent) / 100.0,
            // as one decimal number, since 99.9 divided by 100 is not the double nearest to 0.999
            Err(_) => format!("{digits}e-2").parse().map_err(|_| error())?,
        };
        if fraction > 1.0 {
            return Err(error());
        }
        Ok(Aggregate::Quantile(fraction))
    }
}

impl fmt::Display for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // rounded, since 100 times 0.999 need not print as 99.9
            Aggregate::Quantile(q) => write!(f, "p{}", (q * 100.0 * 1e9).round() / 1e9),
            _ => f.write_str(self.name().unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_and_print_the_same() {
        for name in ["avg", "min", "max", "sum", "count", "stddev", "first", "last", "rate", "p50", "p99", "p99.9"] {
            assert_eq!(name.parse::<Aggregate>().unwrap().to_string(), name);
        }
        assert_eq!("P99.9".parse(), Ok(Aggregate::Quantile(0.999)));
        for name in ["", "p", "p101", "p-1", "pNaN", "pinf", "p1e1", "p1.2.3", "total"] {
            assert!(name.parse::<Aggregate>().is_err(), "{name}");
        }
    }

    #[test]
    fn an_empty_bucket_has_only_a_count() {
        let bucket = Bucket::with_sketch();
        assert_eq!(Aggregate::Count.value(&bucket), Some(0.0));
        for aggregate in [Aggregate::Avg, Aggregate::Sum, Aggregate::Min, Aggregate::Rate, Aggregate::Quantile(0.5)] {
            assert_eq!(aggregate.value(&bucket), None);
        }
    }

    #[test]
    fn a_rate_is_the_change_per_second() {
        let mut bucket = Bucket::new();
        bucket.update(0, 10.0);
        assert_eq!(Aggregate::Rate.value(&bucket), None);
        bucket.update(4 * MICROS_PER_SECOND, 30.0);
        assert_eq!(Aggregate::Rate.value(&bucket), Some(5.0));
    }

    #[test]
    fn quantiles_need_a_sketch_and_stay_within_the_values() {
        let mut bucket = Bucket::with_sketch();
        (1..=100).for_each(|i| bucket.update(i, i as f64));
        let p99 = Aggregate::Quantile(0.99).value(&bucket).unwrap();
        assert!((p99 - 99.0).abs() <= 0.99 + 1e-9);
        assert_eq!(Aggregate::Quantile(1.0).value(&bucket), Some(100.0));
        assert_eq!(Aggregate::Quantile(0.0).value(&bucket), Some(1.0));
        bucket.sketch = None;
        assert_eq!(Aggregate::Quantile(0.99).value(&bucket), None);
    }
}
