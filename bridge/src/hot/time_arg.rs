use series::time::Micros;

use super::error::HotError;
use super::reply;

/// Writes microseconds as the module's milliseconds, with three decimals where they are not whole.
pub(super) fn format(time: Micros) -> String {
    let (millis, micros) = (time / 1000, (time % 1000).unsigned_abs());
    if micros == 0 {
        return millis.to_string();
    }
    let sign = if time < 0 { "-" } else { "" };
    format!("{sign}{}.{micros:03}", millis.unsigned_abs())
}

/// Reads a time of a reply: integer milliseconds, or text with up to three decimals.
pub(super) fn parse(value: &redis::Value) -> Result<Micros, HotError> {
    if let redis::Value::Int(millis) = value {
        return millis.checked_mul(1000).ok_or_else(|| HotError::reply(format!("time {millis} is out of range")));
    }
    let text = reply::text(value)?;
    parse_text(&text).ok_or_else(|| HotError::reply(format!("{text:?} is not a time in milliseconds")))
}

pub(super) fn parse_text(text: &str) -> Option<Micros> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let millis: i64 = whole.parse().ok()?;
    let micros: i64 = format!("{decimals:0<3}").parse().ok()?;
    let micros = if whole.starts_with('-') { -micros } else { micros };
    millis.checked_mul(1000)?.checked_add(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_survive_the_way_to_text_and_back() {
        for time in [0, 1, -1, 999, 1000, -1000, -1500, 1_700_000_000_000_123, 1_700_000_000_000_000] {
            assert_eq!(parse_text(&format(time)), Some(time), "{}", format(time));
        }
        assert_eq!(format(1_700_000_000_000_123), "1700000000000.123");
        assert_eq!(format(1_700_000_000_000_000), "1700000000000");
    }

    #[test]
    fn what_is_not_a_time_is_refused() {
        for text in ["", "x", "1.2345", "1.-2", "9223372036854775807"] {
            assert_eq!(parse_text(text), None, "{text}");
        }
    }
}
