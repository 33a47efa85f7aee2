use chrono::{DateTime, NaiveDate, NaiveDateTime};
use series::time::{MICROS_PER_MILLI, MICROS_PER_SECOND, Micros};

/// Epoch numbers below this are seconds (until the year 5138), from it on milliseconds (since March 1973).
const FIRST_MILLIS: f64 = 1e11;
const END_OF_MILLIS: f64 = 1e14;

/// Reads a time: ISO 8601 / RFC 3339 with or without an offset (UTC if without), also as PostgreSQL writes it
/// (`2026-01-31 10:05:00+00`), a date alone (midnight UTC), or epoch seconds or milliseconds with decimals.
///
/// Digits beyond the microsecond are cut off. Errors say what is wrong with `text`.
pub fn parse_time(text: &str) -> Result<Micros, String> {
    if text.is_empty() {
        return Err("the time is empty".to_owned());
    }
    if text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+')) && !text[1..].contains(['-', '+']) {
        return parse_epoch(text);
    }
    // a lower-case t or z is allowed by RFC 3339
    let normal = text.replacen(['T', 't'], " ", 1);
    let normal =
        normal.strip_suffix(['Z', 'z']).map_or_else(|| normal.clone(), |bare| format!("{}+00:00", bare.trim_end()));
    const WITH_OFFSET: [&str; 4] =
        ["%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f %#z", "%Y-%m-%d %H:%M%#z", "%Y-%m-%d %H:%M %#z"];
    const WITHOUT: [&str; 2] = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M"];
    let instant = WITH_OFFSET
        .iter()
        .find_map(|format| DateTime::parse_from_str(&normal, format).ok())
        .map(|time| time.timestamp_micros())
        .or_else(|| {
            WITHOUT
                .iter()
                .find_map(|format| NaiveDateTime::parse_from_str(&normal, format).ok())
                .or_else(|| NaiveDate::parse_from_str(&normal, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0))
                .map(|time| time.and_utc().timestamp_micros())
        });
    instant.ok_or_else(|| format!("{text:?} is not a time (ISO 8601, or epoch seconds or milliseconds)"))
}

fn parse_epoch(text: &str) -> Result<Micros, String> {
    let size = text.parse::<f64>().map_err(|_| format!("{text:?} is not a time"))?.abs();
    if size >= END_OF_MILLIS {
        return Err(format!("{text:?} is too large for epoch seconds or milliseconds"));
    }
    let unit = if size < FIRST_MILLIS { MICROS_PER_SECOND } else { MICROS_PER_MILLI };
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let is_negative = whole.starts_with('-');
    let whole = whole.trim_start_matches(['-', '+']);
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| format!("{text:?} is not a time"))? };
    // as integers: a double has no exact microseconds for today's seconds
    let digits = if unit == MICROS_PER_SECOND { 6 } else { 3 };
    let fraction: i64 = format!("{decimals:0<digits$}")[..digits].parse().unwrap_or(0);
    let micros = whole * unit + fraction;
    Ok(if is_negative { -micros } else { micros })
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Micros = 1_769_853_900_000_000;

    #[test]
    fn the_usual_forms_of_one_instant_are_equal() {
        for text in [
            "2026-01-31T10:05:00Z",
            "2026-01-31t10:05:00z",
            "2026-01-31 10:05:00",
            "2026-01-31 10:05:00.000",
            "2026-01-31 10:05",
            "2026-01-31T10:05Z",
            "2026-01-31T11:05:00+01:00",
            "2026-01-31 11:05:00+01",
            "2026-01-31 11:05:00 +0100",
            "2026-01-31 05:05:00-05",
            "1769853900",
            "1769853900.0",
            "1769853900000",
        ] {
            assert_eq!(parse_time(text), Ok(T), "{text}");
        }
        assert_eq!(parse_time("1970-01-02"), Ok(86_400_000_000));
    }

    #[test]
    fn microseconds_are_exact() {
        assert_eq!(parse_time("1769853900.123456"), Ok(T + 123_456));
        assert_eq!(parse_time("1769853900000.5"), Ok(T + 500));
        assert_eq!(parse_time("2026-01-31T10:05:00.123456Z"), Ok(T + 123_456));
        assert_eq!(parse_time("-1.5"), Ok(-1_500_000));
    }

    #[test]
    fn what_is_not_a_time_is_refused_with_a_reason() {
        for text in [
            "",
            "yesterday",
            "2026-02-30",
            "2026-01-31 25:00:00",
            "31.01.2026",
            "1e9",
            "1769853900000000",
            "-",
            "1.2.3",
        ] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }
}
