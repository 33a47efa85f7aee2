//! Averages of decimals. The average of 5, 10 or 20 readings of two decimals has at most four, but what is computed of binary
//! fractions often is its neighbour, which takes 17 digits to write.

/// Parts of one that a [`Average::Decimal`] counts.
pub const PARTS: f64 = 10_000.0;

/// Beyond it a double is too coarse to tell such decimals from what lies between them.
const LIMIT: f64 = (1_u64 << 43) as f64;

/// Two units in the last place of a double at most, which is what summing and dividing may round off.
const ROUNDED_OFF: f64 = 2.0 * f64::EPSILON;

/// An average.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Average {
    /// A decimal of at most four places, in ten-thousandths.
    Decimal(i64),
    /// Any other number, NaN and infinities too.
    Double(f64),
}

impl Average {
    /// What a computed average means: the decimal, if there is one as near as rounding may have led away from it.
    #[inline]
    pub fn of(computed: f64) -> Average {
        let scaled = computed * PARTS;
        if scaled.abs() < LIMIT {
            let parts = (scaled + 0.5_f64.copysign(scaled)) as i64;
            if (scaled - parts as f64).abs() <= scaled.abs() * ROUNDED_OFF {
                return Average::Decimal(parts);
            }
        }
        Average::Double(computed)
    }

    /// The average as a double, the one nearest to the decimal.
    #[inline]
    pub fn value(self) -> f64 {
        match self {
            Average::Decimal(parts) => parts as f64 / PARTS,
            Average::Double(value) => value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_neighbours_of_a_decimal_mean_the_decimal() {
        for (value, parts) in [(120.123, 1_201_230), (-0.0001, -1), (0.0, 0), (-0.0, 0), (1e8, 1_000_000_000_000)] {
            for near in [value, f64::next_up(value), f64::next_down(value)] {
                if value != 0.0 || near == 0.0 {
                    assert_eq!(Average::of(near), Average::Decimal(parts), "{near:?}");
                }
            }
        }
        for other in [1.0 / 3.0, 1e-300, 0.00001, 1e10, 1e300, f64::INFINITY] {
            assert_eq!(Average::of(other), Average::Double(other));
        }
        assert!(Average::of(f64::NAN).value().is_nan());
    }

    proptest! {
        #[test]
        fn the_average_of_hundredths_is_a_decimal(
            values in prop::collection::vec(-10_000_000_i64..10_000_000, 1..5), times in prop::sample::select(vec![1, 5, 10, 20]),
        ) {
            let hundredths: Vec<i64> = values.iter().copied().cycle().take(values.len() * times).collect();
            let count = hundredths.len() as i64;
            let sum = hundredths.iter().map(|&value| value as f64 / 100.0).sum::<f64>();
            let total: i64 = hundredths.iter().sum();
            if 100 % count == 0 && total != 0 {
                let average = Average::of(total as f64 / 100.0 / count as f64);
                prop_assert_eq!(average, Average::Decimal(total * (100 / count)));
                prop_assert!((average.value() - sum / count as f64).abs() <= 1e-9);
            }
        }

        #[test]
        fn an_average_is_changed_by_two_units_in_the_last_place_at_most(bits in any::<u64>(), near in -1e9..1e9_f64) {
            for computed in [f64::from_bits(bits), near] {
                let value = Average::of(computed).value();
                prop_assert!(value == computed || (value - computed).abs() <= 2.0 * f64::EPSILON * computed.abs() || computed.is_nan());
            }
        }
    }
}
