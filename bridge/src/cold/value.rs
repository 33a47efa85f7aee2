//! Values on their way to and from BigQuery's text forms.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use series::time::{Day, MICROS_PER_DAY, MICROS_PER_SECOND, Micros};

use super::error::ColdError;
use crate::table::{Cell, Column, ColumnKind, NUMERIC_SCALE};

/// BigQuery's TIMESTAMP and DATE: years 1 to 9999.
pub(crate) const FIRST_TIME: Micros = -62_135_596_800_000_000;
pub(crate) const LAST_TIME: Micros = 253_402_300_799_999_999;

/// What to select so that the REST API answers with a text that [`cell`] reads exactly: its own form of a timestamp is
/// a float of seconds.
pub(crate) fn select_expression(column: &Column) -> String {
    let name = &column.name;
    match column.kind {
        ColumnKind::Timestamp => format!("UNIX_MICROS(`{name}`)"),
        _ => format!("`{name}`"),
    }
}

/// A cell of a query result.
///
/// # Errors
/// [`super::ErrorKind::Permanent`] when the text is not of that kind; the text is not shown.
pub(crate) fn cell(kind: ColumnKind, raw: Option<String>) -> Result<Cell, ColdError> {
    let Some(text) = raw else {
        return Ok(Cell::Null);
    };
    let read = match kind {
        ColumnKind::Bool => match text.as_str() {
            "true" => Some(Cell::Bool(true)),
            "false" => Some(Cell::Bool(false)),
            _ => None,
        },
        ColumnKind::Int64 => text.parse().ok().map(Cell::Int),
        // reads NaN, Infinity and inf in any case
        ColumnKind::Float64 => text.parse().ok().map(Cell::Float),
        ColumnKind::Numeric => scaled_numeric(&text).map(|_| Cell::Numeric(text)),
        ColumnKind::Text => Some(Cell::Text(text)),
        ColumnKind::Bytes => STANDARD.decode(&text).ok().map(Cell::Bytes),
        ColumnKind::Timestamp => text.parse().ok().map(Cell::Timestamp),
        ColumnKind::Date => text.parse::<Day>().ok().map(|day| Cell::Date(day.0)),
    };
    read.ok_or_else(|| {
        ColdError::permanent(format!("BigQuery answered with something that is not {}", kind.sql_type()))
    })
}

/// `2026-01-31 12:00:00.000000+00:00`, as literals and parameters of type TIMESTAMP are written. Out of BigQuery's range
/// it is the nearest instant within.
pub(crate) fn timestamp_text(micros: Micros) -> String {
    let micros = micros.clamp(FIRST_TIME, LAST_TIME);
    let day = Day::of(micros);
    let within = micros.rem_euclid(MICROS_PER_DAY);
    let (seconds, fraction) = (within / MICROS_PER_SECOND, within % MICROS_PER_SECOND);
    format!("{day} {:02}:{:02}:{:02}.{fraction:06}+00:00", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// A decimal text as an integer of 10^-9, `None` if NUMERIC cannot hold it exactly.
pub(crate) fn scaled_numeric(text: &str) -> Option<i128> {
    const LIMIT: i128 = 10_i128.pow(38);
    // the emulator writes a zero with its scale: 0E-9
    let text = match text.split_once(['E', 'e']) {
        Some((zero, exponent)) if zero == "0" && exponent.parse::<i32>().is_ok() => zero,
        _ => text,
    };
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.trim_end_matches('0');
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) || digits.is_empty() || digits == "." {
        return None;
    }
    let missing = NUMERIC_SCALE.checked_sub(u32::try_from(fraction.len()).ok()?)?;
    let mut scaled: i128 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        scaled = scaled.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    scaled = scaled.checked_mul(10_i128.pow(missing))?;
    (scaled < LIMIT).then_some(if negative { -scaled } else { scaled })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_written_with_all_its_microseconds() {
        assert_eq!(timestamp_text(0), "1970-01-01 00:00:00.000000+00:00");
        assert_eq!(timestamp_text(-1), "1969-12-31 23:59:59.999999+00:00");
        assert_eq!(timestamp_text(i64::MIN), "0001-01-01 00:00:00.000000+00:00");
        assert_eq!(timestamp_text(i64::MAX), "9999-12-31 23:59:59.999999+00:00");
    }

    #[test]
    fn a_numeric_is_exact_or_refused() {
        assert_eq!(scaled_numeric("12.50"), Some(12_500_000_000));
        assert_eq!(scaled_numeric("-0.000000001"), Some(-1));
        assert_eq!(scaled_numeric("0"), Some(0));
        assert_eq!(scaled_numeric("0E-9"), Some(0));
        assert_eq!(scaled_numeric("1.0000000000"), Some(1_000_000_000));
        let largest = "99999999999999999999999999999.999999999";
        assert_eq!(scaled_numeric(largest), Some(10_i128.pow(38) - 1));
        for text in ["NaN", "", ".", "-", "1e5", "0.0000000001", "100000000000000000000000000000"] {
            assert_eq!(scaled_numeric(text), None, "{text}");
        }
    }

    #[test]
    fn every_float_is_read() {
        for (text, value) in
            [("NaN", f64::NAN), ("Infinity", f64::INFINITY), ("-inf", f64::NEG_INFINITY), ("1.0E-5", 1e-5)]
        {
            let Ok(Cell::Float(read)) = cell(ColumnKind::Float64, Some(text.into())) else {
                panic!("{text}");
            };
            assert!(read == value || read.is_nan() && value.is_nan());
        }
    }

    #[test]
    fn a_wrong_value_is_not_shown() {
        let error = cell(ColumnKind::Int64, Some("hunter2".into())).unwrap_err();
        assert!(!error.message.contains("hunter2"));
    }
}
