//! Replies. Numbers are written so that they read back to the same double: as a RESP3 double where the client speaks
//! RESP3, else as the shortest decimal text.

use super::Ctx;
use series::time::{MICROS_PER_MILLI, Micros};
use smallvec::SmallVec;
use std::ffi::{CStr, CString, c_long};
use std::io::Write;

/// Text of a time or a number: short enough to stay on the stack.
pub type Text = SmallVec<[u8; 32]>;

impl Ctx {
    pub fn reply_integer(self, value: i64) {
        // SAFETY: the context is that of the running command, as in the other functions of this file.
        unsafe { redis!(RedisModule_ReplyWithLongLong(self.raw(), value)) };
    }

    /// A bulk string; the bytes are copied.
    pub fn reply_bytes(self, bytes: &[u8]) {
        // SAFETY: as above; Redis copies `len` bytes.
        unsafe { redis!(RedisModule_ReplyWithStringBuffer(self.raw(), bytes.as_ptr().cast(), bytes.len())) };
    }

    pub fn reply_text(self, text: &str) {
        self.reply_bytes(text.as_bytes());
    }

    pub fn reply_null(self) {
        // SAFETY: as above.
        unsafe { redis!(RedisModule_ReplyWithNull(self.raw())) };
    }

    /// An array; its `length` elements follow.
    pub fn reply_array(self, length: usize) {
        // SAFETY: as above.
        unsafe { redis!(RedisModule_ReplyWithArray(self.raw(), length as c_long)) };
    }

    /// A value as it was measured; null for a missing one.
    pub fn reply_value(self, value: f64, resp3: bool) {
        if value.is_nan() || resp3 {
            return self.reply_computed(value, resp3);
        }
        let mut digits = [0; 20];
        match write_hundredths(value, &mut digits) {
            Some(start) => self.reply_bytes(&digits[start..]),
            None => self.reply_computed(value, resp3),
        }
    }

    /// A value that was computed, and so mostly has all the digits of a double; null for none.
    pub fn reply_computed(self, value: f64, resp3: bool) {
        if value.is_nan() {
            self.reply_null();
        } else if resp3 {
            // SAFETY: as above.
            unsafe { redis!(RedisModule_ReplyWithDouble(self.raw(), value)) };
        } else {
            let mut buffer = zmij::Buffer::new();
            self.reply_bytes(shortest(&mut buffer, value));
        }
    }

    /// A time: integer milliseconds, or text with three decimals if it has microseconds.
    pub fn reply_time(self, time: Micros) {
        if time % MICROS_PER_MILLI == 0 {
            self.reply_integer(time / MICROS_PER_MILLI);
        } else {
            self.reply_bytes(&time_text(time));
        }
    }

    /// A time, or null.
    pub fn reply_optional_time(self, time: Option<Micros>) {
        match time {
            Some(time) => self.reply_time(time),
            None => self.reply_null(),
        }
    }

    /// An error: the text begins with its code.
    pub fn reply_error(self, text: &str) {
        let line = text.replace(['\0', '\r', '\n'], " ");
        self.reply_error_line(&CString::new(line).unwrap_or_default());
    }

    pub fn reply_wrong_arity(self) {
        // SAFETY: as above.
        unsafe { redis!(RedisModule_WrongArity(self.raw())) };
    }

    fn reply_error_line(self, line: &CStr) {
        // SAFETY: as above; Redis copies the C string.
        unsafe { redis!(RedisModule_ReplyWithError(self.raw(), line.as_ptr())) };
    }
}

/// A time in milliseconds, with three decimals if it has microseconds: what ADD takes and what is replicated.
pub fn time_text(time: Micros) -> Text {
    let mut text = Text::new();
    let (millis, micros) = (time / MICROS_PER_MILLI, (time % MICROS_PER_MILLI).unsigned_abs());
    let sign = if time < 0 { "-" } else { "" };
    let written = if micros == 0 {
        write!(text, "{millis}")
    } else {
        write!(text, "{sign}{}.{micros:03}", millis.unsigned_abs())
    };
    debug_assert!(written.is_ok(), "writing to memory cannot fail");
    text
}

/// The shortest decimal text that reads back to the same double; whole numbers without a point.
fn shortest(buffer: &mut zmij::Buffer, value: f64) -> &[u8] {
    let text = buffer.format(value);
    text.strip_suffix(".0").unwrap_or(text).as_bytes()
}

/// Writes a number of at most two decimals and 15 digits, which is what most sensors report, to the end of `digits`.
/// Returns where it begins; None for any other number.
///
/// A decimal of up to 15 digits is the only one of that length that reads as its double, and an integer up to 2^53 divided
/// by 100 is the double nearest to the quotient. So if the double equals n / 100, n / 100 is its shortest text.
#[inline]
fn write_hundredths(value: f64, digits: &mut [u8; 20]) -> Option<usize> {
    const LIMIT: f64 = 1e15;
    let scaled = value * 100.0;
    if scaled.abs() >= LIMIT {
        return None;
    }
    let hundredths = (scaled + 0.5_f64.copysign(scaled)) as i64;
    if (hundredths as f64 / 100.0).to_bits() != value.to_bits() {
        return None;
    }
    let magnitude = hundredths.unsigned_abs();
    let (mut whole, decimals) = (magnitude / 100, (magnitude % 100) as u8);
    let mut at = digits.len();
    let mut put = |digit: u8| {
        at -= 1;
        digits[at] = digit;
    };
    if decimals % 10 > 0 {
        put(b'0' + decimals % 10);
    }
    if decimals > 0 {
        put(b'0' + decimals / 10);
        put(b'.');
    }
    loop {
        put(b'0' + (whole % 10) as u8);
        whole /= 10;
        if whole == 0 {
            break;
        }
    }
    if hundredths < 0 {
        put(b'-');
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_show_microseconds_only_where_they_have_them() {
        assert_eq!(time_text(1_700_000_000_000_000).as_slice(), b"1700000000000");
        assert_eq!(time_text(1_700_000_000_000_123).as_slice(), b"1700000000000.123");
        assert_eq!(time_text(-1).as_slice(), b"-0.001");
        assert_eq!(time_text(-1_500).as_slice(), b"-1.500");
    }

    #[test]
    fn hundredths_are_written_as_every_other_number() {
        let edges = [0.0, 0.01, 0.1, 99.99, 100.0, 9_999_999_999_999.99, 1e13, 1e14, 0.001, 0.30000000000000004, 1e15];
        let many = (0..200_000).map(|i| f64::from(i) / 100.0).chain((0..1000).map(|i| f64::from(i) * 1e10 + 0.07));
        let mut written = 0;
        for value in edges.into_iter().chain(many).flat_map(|value| [value, -value]) {
            let (mut digits, mut buffer) = ([0; 20], zmij::Buffer::new());
            if let Some(start) = write_hundredths(value, &mut digits) {
                assert_eq!(&digits[start..], shortest(&mut buffer, value), "{value:?}");
                written += 1;
            }
        }
        assert!(written > 400_000);
    }

    #[test]
    fn numbers_are_as_short_as_they_can_be() {
        let text = |value| String::from_utf8(shortest(&mut zmij::Buffer::new(), value).to_vec()).unwrap();
        assert_eq!((text(12.0), text(3.1), text(1e300)), ("12".to_owned(), "3.1".to_owned(), "1e+300".to_owned()));
    }
}
