use series::time::{Day, MICROS_PER_DAY, MICROS_PER_HOUR, Micros};

use super::nodes::Use;

/// Demand relative to a node's mean, from about 0.4 at night to about 1.7 at a morning peak.
pub fn factor(usage: Use, time: Micros) -> f64 {
    let hour = time.rem_euclid(MICROS_PER_DAY) as f64 / MICROS_PER_HOUR as f64;
    let is_weekend = Day::of(time).is_weekend();
    match (usage, is_weekend) {
        (Use::Homes, false) => {
            0.42 + peak(hour, 7.2, 1.3, 1.15) + peak(hour, 12.8, 2.2, 0.42) + peak(hour, 19.6, 2.0, 0.88)
        }
        // people get up later and stay at home
        (Use::Homes, true) => {
            0.44 + peak(hour, 9.4, 2.0, 1.02) + peak(hour, 13.4, 2.4, 0.58) + peak(hour, 19.8, 2.2, 0.80)
        }
        (Use::Shops, false) => {
            0.34 + peak(hour, 9.0, 1.8, 0.60) + peak(hour, 13.2, 2.6, 0.82) + peak(hour, 18.2, 2.0, 0.72)
        }
        (Use::Shops, true) => 0.36 + peak(hour, 11.5, 2.6, 0.62) + peak(hour, 17.8, 2.6, 0.50),
        (Use::Industry, false) => 0.62 + peak(hour, 9.5, 3.2, 0.52) + peak(hour, 15.5, 3.2, 0.46),
        (Use::Industry, true) => 0.58 + peak(hour, 12.0, 4.0, 0.16),
    }
}

/// A bell around `centre` o'clock, over midnight too. `width` is its standard deviation in hours.
fn peak(hour: f64, centre: f64, width: f64, height: f64) -> f64 {
    let distance = (hour - centre).abs();
    let distance = distance.min(24.0 - distance);
    height * (-0.5 * (distance / width).powi(2)).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2024-01-01 was a Monday.
    fn at(day: i64, hour: i64) -> Micros {
        Day::from_civil(2024, 1, 1).unwrap().start() + day * MICROS_PER_DAY + hour * MICROS_PER_HOUR
    }

    #[test]
    fn mornings_are_high_and_nights_are_low() {
        for usage in [Use::Homes, Use::Shops, Use::Industry] {
            assert!(factor(usage, at(0, 9)) > 1.4 * factor(usage, at(0, 3)), "{usage:?}");
        }
    }

    #[test]
    fn homes_wake_up_later_and_industry_rests_at_the_weekend() {
        assert!(factor(Use::Homes, at(5, 7)) < factor(Use::Homes, at(0, 7)));
        assert!(factor(Use::Industry, at(6, 10)) < 0.8 * factor(Use::Industry, at(1, 10)));
    }

    #[test]
    fn the_mean_of_a_week_is_about_one() {
        for usage in [Use::Homes, Use::Shops, Use::Industry] {
            let mean = (0..168).map(|hour| factor(usage, at(0, hour))).sum::<f64>() / 168.0;
            assert!((0.75..1.15).contains(&mean), "{usage:?} {mean}");
        }
    }
}
