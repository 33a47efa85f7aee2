//! Times and days between PostgreSQL (which counts from 2000) and `series` (which counts from 1970).

use pgrx::datum::{Date, Interval, TimestampWithTimeZone};
use series::time::{Day, Micros};

const EPOCH_SHIFT_MICROS: i64 = 946_684_800_000_000;
const EPOCH_SHIFT_DAYS: i32 = 10_957;

/// Microseconds since 1970 of a raw timestamptz; `None` for ±infinity.
pub fn micros_of_raw(raw: i64) -> Option<Micros> {
    (raw != i64::MIN && raw != i64::MAX).then(|| raw.saturating_add(EPOCH_SHIFT_MICROS))
}

pub fn micros(time: TimestampWithTimeZone) -> Option<Micros> {
    micros_of_raw(time.into())
}

/// The time on the server's clock.
pub fn now() -> Micros {
    chrono::Utc::now().timestamp_micros()
}

/// The lower, inclusive bound of a range.
pub fn from_bound(time: TimestampWithTimeZone) -> Micros {
    bound(time).clamp(MIN_TIME, MAX_TIME)
}

/// The upper, exclusive bound of a range: infinity includes the latest time there is.
pub fn to_bound(time: TimestampWithTimeZone) -> Micros {
    bound(time).clamp(MIN_TIME, MAX_TIME + 1)
}

fn bound(time: TimestampWithTimeZone) -> Micros {
    let raw: i64 = time.into();
    micros_of_raw(raw).unwrap_or(if raw == i64::MIN { i64::MIN } else { i64::MAX })
}

/// Earliest and latest time that both PostgreSQL and BigQuery can hold: years 1 to 9999.
pub const MIN_TIME: Micros = -62_135_596_800_000_000;
pub const MAX_TIME: Micros = 253_402_300_799_999_999;

pub fn timestamptz(time: Micros) -> TimestampWithTimeZone {
    let raw = time.clamp(MIN_TIME, MAX_TIME) - EPOCH_SHIFT_MICROS;
    TimestampWithTimeZone::try_from(raw).expect("years 1 to 9999 fit a timestamptz")
}

/// Raw datum of a timestamptz.
pub fn raw_timestamptz(time: Micros) -> i64 {
    time - EPOCH_SHIFT_MICROS
}

pub fn date(day: Day) -> Date {
    Date::try_from(day.0 - EPOCH_SHIFT_DAYS).expect("years 1 to 9999 fit a date")
}

pub fn day(date: Date) -> Day {
    Day(date.to_pg_epoch_days() + EPOCH_SHIFT_DAYS)
}

/// Length of an interval in microseconds; a month counts thirty days, as in PostgreSQL's own comparison of intervals.
pub fn interval_micros(interval: &Interval) -> Micros {
    let days = i64::from(interval.months()) * 30 + i64::from(interval.days());
    days * series::time::MICROS_PER_DAY + interval.micros()
}

/// A time as an SQL literal that no setting of the session changes.
pub fn sql_time(time: Micros) -> String {
    format!("'{}'::timestamptz", iso(time))
}

/// A time in PostgreSQL's ISO form, in UTC.
pub fn iso(time: Micros) -> String {
    let time = chrono::DateTime::from_timestamp_micros(time.clamp(MIN_TIME, MAX_TIME)).expect("years 1 to 9999 fit");
    format!("{}+00", time.format("%Y-%m-%d %H:%M:%S%.6f"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_keeps_microseconds_and_names_its_zone() {
        assert_eq!(sql_time(1_700_000_000_123_456), "'2023-11-14 22:13:20.123456+00'::timestamptz");
    }

    #[test]
    fn infinity_is_no_time() {
        assert_eq!(micros_of_raw(i64::MAX), None);
        assert_eq!(micros_of_raw(0), Some(EPOCH_SHIFT_MICROS));
    }
}
