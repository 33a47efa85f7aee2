//! Reading arguments: one after the other, each as what the command takes it for. Lists have their length in front.

use crate::api::args::Args;
use crate::failure::Failure;
use crate::hot::TIME_RANGE;
use redis_module::raw::RedisModuleString;
use series::time::{MICROS_PER_MILLI, Micros, parse_duration};
use smallvec::SmallVec;

/// The items of a list, mostly few.
pub type List<'a> = SmallVec<[&'a [u8]; 4]>;

/// The next argument to read. Running out of arguments is an arity error.
pub struct Cursor<'a> {
    args: Args<'a>,
    next: usize,
}

impl<'a> Cursor<'a> {
    /// Starts after the command's name.
    pub fn new(args: Args<'a>) -> Cursor<'a> {
        Cursor { args, next: 1 }
    }

    /// Starts at the end: no arguments.
    pub fn end(args: Args<'a>) -> Cursor<'a> {
        Cursor { args, next: args.len() }
    }

    pub fn position(&self) -> usize {
        self.next
    }

    pub fn left(&self) -> usize {
        self.args.len().saturating_sub(self.next)
    }

    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], Failure> {
        if self.next >= self.args.len() {
            return Err(Failure::Arity);
        }
        self.next += 1;
        Ok(self.args.get(self.next - 1))
    }

    /// The next argument, left where it is.
    pub fn peek(&self) -> Option<&'a [u8]> {
        (self.left() > 0).then(|| self.args.get(self.next))
    }

    /// The next argument as Redis knows it.
    pub fn raw(&mut self) -> Result<*mut RedisModuleString, Failure> {
        self.bytes()?;
        Ok(self.args.raw(self.next - 1))
    }

    pub fn text(&mut self, what: &str) -> Result<&'a str, Failure> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Failure::text(format!("{what} is not UTF-8 text")))
    }

    /// The length of a list, of which each item takes `width` of the arguments left.
    pub fn list_length(&mut self, what: &str, width: usize) -> Result<usize, Failure> {
        let text = self.bytes()?;
        let length = parse_unsigned(text)
            .and_then(|length| usize::try_from(length).ok())
            .filter(|&length| length > 0)
            .ok_or_else(|| not_a(what, "the number of items that follow", text))?;
        if length.saturating_mul(width) > self.left() {
            return Err(Failure::text(format!("{what}: {length} items are announced but fewer arguments follow")));
        }
        Ok(length)
    }

    /// A list: its length, then as many items.
    pub fn list(&mut self, what: &str) -> Result<List<'a>, Failure> {
        let length = self.list_length(what, 1)?;
        (0..length).map(|_| self.bytes()).collect()
    }

    /// A positive number of things.
    pub fn count(&mut self, what: &str) -> Result<usize, Failure> {
        let text = self.bytes()?;
        parse_unsigned(text)
            .and_then(|count| usize::try_from(count).ok())
            .filter(|&count| count > 0)
            .ok_or_else(|| not_a(what, "a positive integer", text))
    }

    pub fn integer(&mut self, what: &str) -> Result<i64, Failure> {
        let text = self.bytes()?;
        std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or_else(|| not_a(what, "an integer", text))
    }

    pub fn time(&mut self) -> Result<Micros, Failure> {
        let text = self.bytes()?;
        parse_time(text).ok_or_else(|| not_a_time(text))
    }

    /// A time, `-` for the oldest or `+` for the newest possible.
    pub fn bound(&mut self) -> Result<Micros, Failure> {
        let text = self.bytes()?;
        match text {
            b"-" => Ok(*TIME_RANGE.start()),
            b"+" => Ok(*TIME_RANGE.end()),
            _ => parse_time(text).ok_or_else(|| not_a_time(text)),
        }
    }

    pub fn duration(&mut self) -> Result<Micros, Failure> {
        let text = self.text("a duration")?;
        parse_duration(text).map_err(|error| Failure::text(error.to_string()))
    }
}

/// A time in milliseconds with up to three decimals, in microseconds; None if it is none or outside years 1 to 9999.
pub fn parse_time(text: &[u8]) -> Option<Micros> {
    let (negative, digits) = match text.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, decimals) = match digits.iter().position(|&byte| byte == b'.') {
        Some(point) => (&digits[..point], &digits[point + 1..]),
        None => (digits, &[][..]),
    };
    if whole.len() > 15 || decimals.len() > 3 || (decimals.is_empty() && whole.len() < digits.len()) {
        return None;
    }
    let millis = parse_unsigned(whole)? as i64;
    let mut micros = 0i64;
    for index in 0..3 {
        let digit = match decimals.get(index) {
            Some(byte @ b'0'..=b'9') => i64::from(byte - b'0'),
            Some(_) => return None,
            None => 0,
        };
        micros = micros * 10 + digit;
    }
    let time = millis * MICROS_PER_MILLI + micros;
    let time = if negative { -time } else { time };
    TIME_RANGE.contains(&time).then_some(time)
}

/// A number. `nan` is a missing value; an infinity is refused where it is written.
#[inline]
pub fn parse_value(measure: &[u8], text: &[u8]) -> Result<f64, Failure> {
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| not_a(&format!("the value of \"{}\"", shown(measure)), "a number", text))
}

fn parse_unsigned(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 20 {
        return None;
    }
    text.iter().try_fold(0u64, |number, &byte| match byte {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    })
}

fn not_a_time(text: &[u8]) -> Failure {
    Failure::text(format!(
        "\"{}\" is not a time: milliseconds since 1970 with up to three decimals, between the years 1 and 9999",
        shown(text)
    ))
}

fn not_a(what: &str, wanted: &str, text: &[u8]) -> Failure {
    Failure::text(format!("{what}: \"{}\" is not {wanted}", shown(text)))
}

/// Some argument, short enough for an error message.
pub fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().take(60).map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_are_milliseconds_with_up_to_three_decimals() {
        let time = |text: &str| parse_time(text.as_bytes());
        assert_eq!(time("1700000000000"), Some(1_700_000_000_000_000));
        assert_eq!(time("1700000000000.123"), Some(1_700_000_000_000_123));
        assert_eq!(time("0.5"), Some(500));
        assert_eq!(time("-1.5"), Some(-1500));
        for text in ["", "-", "+", "*", "1.", ".5", "1.2345", "1e3", "--1", " 1", "999999999999999", "1.-1"] {
            assert_eq!(time(text), None, "{text}");
        }
    }

    #[test]
    fn values_are_decimal_numbers() {
        assert_eq!(parse_value(b"flow", b"12.5"), Ok(12.5));
        assert_eq!(parse_value(b"flow", b"-1e-3"), Ok(-0.001));
        assert!(parse_value(b"flow", b"nan").is_ok_and(f64::is_nan));
        assert!(parse_value(b"flow", b"").is_err());
        assert!(parse_value(b"flow", b"0x10").is_err());
        assert!(parse_value(b"flow", &[0xff]).is_err());
    }

    proptest! {
        #[test]
        fn times_read_back(time in -60_000_000_000_000_000i64..253_000_000_000_000_000) {
            prop_assert_eq!(parse_time(&crate::api::reply::time_text(time)), Some(time));
        }

        #[test]
        fn garbage_is_refused_quietly(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = parse_time(&bytes);
            let _ = parse_value(b"m", &bytes);
            let _ = shown(&bytes);
        }
    }
}
