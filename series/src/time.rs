//! Times, days and durations. A time is a count of microseconds since the Unix epoch (UTC); leap seconds do not exist,
//! as in PostgreSQL and BigQuery.

use std::fmt;
use std::str::FromStr;

/// Microseconds since 1970-01-01 00:00:00 UTC; also used for lengths of time.
pub type Micros = i64;

pub const MICROS_PER_MILLI: Micros = 1_000;
pub const MICROS_PER_SECOND: Micros = 1_000_000;
pub const MICROS_PER_MINUTE: Micros = 60 * MICROS_PER_SECOND;
pub const MICROS_PER_HOUR: Micros = 60 * MICROS_PER_MINUTE;
pub const MICROS_PER_DAY: Micros = 24 * MICROS_PER_HOUR;

/// A UTC day: days since 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub i32);

impl Day {
    /// The day that contains `time`.
    pub fn of(time: Micros) -> Day {
        // i64 microseconds span about ±107 million days, which fits an i32
        Day(time.div_euclid(MICROS_PER_DAY) as i32)
    }

    /// First microsecond of the day (saturating at the ends of the `Micros` range).
    pub fn start(self) -> Micros {
        i64::from(self.0).saturating_mul(MICROS_PER_DAY)
    }

    /// First microsecond after the day (saturating).
    pub fn end(self) -> Micros {
        (i64::from(self.0) + 1).saturating_mul(MICROS_PER_DAY)
    }

    /// `[start, end)` of the day.
    pub fn range(self) -> (Micros, Micros) {
        (self.start(), self.end())
    }

    pub fn next(self) -> Day {
        Day(self.0.saturating_add(1))
    }

    pub fn previous(self) -> Day {
        Day(self.0.saturating_sub(1))
    }

    /// Proleptic Gregorian year, month (1..=12) and day of month (1..=31).
    /// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
    pub fn civil(self) -> (i64, u32, u32) {
        let z = i64::from(self.0) + 719_468;
        let era = z.div_euclid(146_097);
        let day_of_era = z.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = (day_of_year - (153 * shifted_month + 2) / 5 + 1) as u32;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 } as u32;
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        (year, month, day)
    }

    /// The day of a proleptic Gregorian date, `None` if there is no such date (30 February) or it is out of range.
    pub fn from_civil(year: i64, month: u32, day: u32) -> Option<Day> {
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) || year.abs() > 5_000_000 {
            return None;
        }
        let shifted_year = if month <= 2 { year - 1 } else { year };
        let era = shifted_year.div_euclid(400);
        let year_of_era = shifted_year.rem_euclid(400);
        let shifted_month = i64::from((month + 9) % 12);
        let day_of_year = (153 * shifted_month + 2) / 5 + i64::from(day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let candidate = Day(i32::try_from(era * 146_097 + day_of_era - 719_468).ok()?);
        (candidate.civil() == (year, month, day)).then_some(candidate)
    }

    /// Saturday or Sunday.
    pub fn is_weekend(self) -> bool {
        // 1970-01-01 was a Thursday; Monday = 0
        (i64::from(self.0) + 3).rem_euclid(7) >= 5
    }
}

impl fmt::Display for Day {
    /// ISO 8601, `2026-01-31`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.civil();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl FromStr for Day {
    type Err = DayError;

    /// Reads `YYYY-MM-DD`.
    fn from_str(text: &str) -> Result<Day, DayError> {
        let error = || DayError(text.chars().take(40).collect());
        let mut parts = text.splitn(3, '-');
        let mut number = |digits: usize| {
            let part = parts.next()?;
            (part.len() == digits && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse::<u32>().ok())?
        };
        let (year, month, day) = (number(4), number(2), number(2));
        match (year, month, day) {
            (Some(year), Some(month), Some(day)) => Day::from_civil(i64::from(year), month, day).ok_or_else(error),
            _ => Err(error()),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a date of the form YYYY-MM-DD")]
pub struct DayError(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a duration: a number with one of the units us, ms, s, m, h, d, w, such as 5m or 250ms")]
pub struct DurationError(String);

/// Reads a positive length of time: a decimal number and a unit (`us`, `ms`, `s`, `m` or `min`, `h`, `d`, `w`).
///
/// `"5m"` is 300 000 000 µs. Fractions are allowed as long as they are whole microseconds (`1.5h`).
pub fn parse_duration(text: &str) -> Result<Micros, DurationError> {
    let error = || DurationError(text.chars().take(40).collect());
    let trimmed = text.trim();
    let unit_at = trimmed.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(error)?;
    let (number, unit) = trimmed.split_at(unit_at);
    let factor = match unit {
        "us" => 1,
        "ms" => MICROS_PER_MILLI,
        "s" => MICROS_PER_SECOND,
        "m" | "min" => MICROS_PER_MINUTE,
        "h" => MICROS_PER_HOUR,
        "d" => MICROS_PER_DAY,
        "w" => 7 * MICROS_PER_DAY,
        _ => return Err(error()),
    };
    let number = number.trim_end();
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > 12 {
        return Err(error());
    }
    let mut micros = whole.parse::<i64>().ok().and_then(|w| w.checked_mul(factor)).ok_or_else(error)?;
    if !fraction.is_empty() {
        let scale = 10_i128.pow(fraction.len() as u32);
        let part = fraction.parse::<i128>().map_err(|_| error())? * i128::from(factor);
        if part % scale != 0 {
            return Err(error());
        }
        micros = micros.checked_add((part / scale) as i64).ok_or_else(error)?;
    }
    if micros <= 0 { Err(error()) } else { Ok(micros) }
}

/// Writes a length of time with the largest unit that divides it: `5m`, `1h`, `90s`, `250ms`.
pub fn format_duration(micros: Micros) -> String {
    const UNITS: [(Micros, &str); 6] = [
        (MICROS_PER_DAY, "d"),
        (MICROS_PER_HOUR, "h"),
        (MICROS_PER_MINUTE, "m"),
        (MICROS_PER_SECOND, "s"),
        (MICROS_PER_MILLI, "ms"),
        (1, "us"),
    ];
    let (size, unit) = UNITS.iter().find(|(size, _)| micros % size == 0).unwrap_or(&UNITS[5]);
    format!("{}{unit}", micros / size)
}

/// Start of the bucket of `width` microseconds that contains `time`. Buckets are aligned to the Unix epoch, also before
/// 1970. The first bucket of the range is cut at `Micros::MIN`.
///
/// # Panics
/// If `width` is not positive.
pub fn bucket_start(time: Micros, width: Micros) -> Micros {
    assert!(width > 0, "a bucket needs a positive width");
    time.saturating_sub(time.rem_euclid(width))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_day_starts_at_midnight_utc_also_before_the_epoch() {
        assert_eq!(Day::of(0), Day(0));
        assert_eq!(Day::of(-1), Day(-1));
        assert_eq!(Day::of(MICROS_PER_DAY), Day(1));
        assert_eq!(Day(-1).range(), (-MICROS_PER_DAY, 0));
    }

    #[test]
    fn a_day_prints_and_reads_as_an_iso_date() {
        assert_eq!(Day(0).to_string(), "1970-01-01");
        assert_eq!(Day(-1).to_string(), "1969-12-31");
        assert_eq!("2024-02-29".parse::<Day>().unwrap(), Day(19_782));
        for text in ["2023-02-29", "2023-13-01", "2023-1-1", "", "x", "2023-01-01-01", "+023-01-01"] {
            assert!(text.parse::<Day>().is_err(), "{text}");
        }
    }

    #[test]
    fn saturday_and_sunday_are_the_weekend() {
        let weekend: Vec<bool> = (0..7).map(|d| Day(d).is_weekend()).collect();
        assert_eq!(weekend, [false, false, true, true, false, false, false]);
    }

    #[test]
    fn durations_have_a_number_and_a_unit() {
        assert_eq!(parse_duration("5m"), Ok(300_000_000));
        assert_eq!(parse_duration("1h"), Ok(MICROS_PER_HOUR));
        assert_eq!(parse_duration("1d"), Ok(MICROS_PER_DAY));
        assert_eq!(parse_duration("30s"), Ok(30_000_000));
        assert_eq!(parse_duration("250ms"), Ok(250_000));
        assert_eq!(parse_duration(" 1.5 h "), Ok(90 * MICROS_PER_MINUTE));
        for text in ["", "5", "m", "-5m", "0s", "5y", "1.0000001s", "99999999999999d", "5m5s", "1..5h", "."] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn buckets_are_aligned_to_the_epoch() {
        assert_eq!(bucket_start(7, 5), 5);
        assert_eq!(bucket_start(-1, 5), -5);
        assert_eq!(bucket_start(-5, 5), -5);
        assert_eq!(bucket_start(i64::MIN + 1, MICROS_PER_DAY), i64::MIN);
    }

    proptest! {
        #[test]
        fn every_time_lies_in_its_day(time in -9_000_000_000_000_000_000_i64..9_000_000_000_000_000_000) {
            let (start, end) = Day::of(time).range();
            prop_assert!(start <= time && time < end);
        }

        #[test]
        fn civil_dates_round_trip(day in -40_000_000_i32..40_000_000) {
            let (y, m, d) = Day(day).civil();
            if y.abs() <= 5_000_000 {
                prop_assert_eq!(Day::from_civil(y, m, d), Some(Day(day)));
            }
        }

        #[test]
        fn formatted_durations_read_back(micros in 1_i64..i64::MAX) {
            prop_assert_eq!(parse_duration(&format_duration(micros)), Ok(micros));
        }

        #[test]
        fn reading_a_duration_never_panics(text in ".{0,30}") {
            let _ = parse_duration(&text);
            let _ = text.parse::<Day>();
        }
    }
}
