//! Numbers and times as people read them.

use std::time::Duration;

use chrono::DateTime;
use series::time::Micros;

/// 1234567 as `1 234 567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// A number with what it counts, in the plural where it is not one.
pub fn counted(number: u64, what: &str) -> String {
    format!("{} {what}{}", count(number), if number == 1 { "" } else { "s" })
}

/// A time in UTC, to the second.
pub fn time(time: Micros) -> String {
    DateTime::from_timestamp_micros(time)
        .map_or_else(|| format!("{time} µs"), |time| time.format("%Y-%m-%d %H:%M:%SZ").to_string())
}

/// A length of time with its two largest units.
pub fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// Bytes in the largest unit that leaves a digit before the point.
pub fn bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "kB", "MB", "GB", "TB"] {
        if value < 1000.0 || unit == "TB" {
            return if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1000.0;
    }
    unreachable!("the loop ends with its last unit")
}

/// Seconds with one decimal.
pub fn elapsed(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_thousands_apart() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1 000", "1 234 567"]);
        assert_eq!([counted(1, "row"), counted(2000, "row")], ["1 row", "2 000 rows"]);
    }

    #[test]
    fn spans_and_sizes_use_fitting_units() {
        assert_eq!([59, 61, 3_700, 90_000].map(span), ["59 s", "1 min", "1 h 1 min", "1 d 1 h"]);
        assert_eq!([999, 1500, 12_345_678].map(bytes), ["999 B", "1.5 kB", "12.3 MB"]);
        assert_eq!(time(1_700_000_000_000_000), "2023-11-14 22:13:20Z");
    }
}
