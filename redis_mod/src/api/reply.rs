//! Replies. Numbers are written so that they read back to the same double: as a RESP3 double where the client speaks
//! RESP3, else as the shortest decimal text.

use super::Ctx;
use series::average::{Average, PARTS};
use series::time::{MICROS_PER_MILLI, Micros};
use smallvec::SmallVec;
use std::ffi::{CStr, CString, c_long};
use std::io::Write;
use std::ops::Range;

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

    /// A number; null for none.
    pub fn reply_number(self, value: f64, resp3: bool) {
        if value.is_nan() {
            self.reply_null();
        } else if resp3 {
            // SAFETY: as above.
            unsafe { redis!(RedisModule_ReplyWithDouble(self.raw(), value)) };
        } else {
            match short_parts(value) {
                Some(parts) => self.reply_parts(parts),
                None => self.reply_bytes(shortest(&mut zmij::Buffer::new(), value)),
            }
        }
    }

    /// An average; null for none.
    #[inline]
    pub fn reply_average(self, average: Option<Average>, resp3: bool) {
        match average {
            Some(Average::Decimal(parts)) if !resp3 => self.reply_parts(parts),
            _ => self.reply_number(average.map_or(f64::NAN, Average::value), resp3),
        }
    }

    #[inline]
    fn reply_parts(self, parts: i64) {
        let mut text = [0; LENGTH];
        let range = write_parts(parts, &mut text);
        self.reply_bytes(&text[range]);
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

/// Where the point stands in the text of [`write_parts`], after a sign and eleven digits; four decimals follow.
const POINT: usize = 12;
const LENGTH: usize = POINT + 5;
const MAX_PARTS: f64 = 1e15;

/// 00 to 99.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut number = 0;
    while number < pairs.len() {
        pairs[number] = [b'0' + number as u8 / 10, b'0' + number as u8 % 10];
        number += 1;
    }
    pairs
};

/// The ten-thousandths of a number of at most four decimals and 15 digits, which is what most sensors report; None for any
/// other number.
///
/// A decimal of up to 15 digits is the only one of that length that reads as its double, and an integer up to 2^53 divided
/// by 10 000 is the double nearest to the quotient. So if the double equals n / 10 000, n / 10 000 is its shortest text.
#[inline]
fn short_parts(value: f64) -> Option<i64> {
    let scaled = value * PARTS;
    if scaled.abs() >= MAX_PARTS {
        return None;
    }
    let parts = (scaled + 0.5_f64.copysign(scaled)) as i64;
    ((parts as f64 / PARTS).to_bits() == value.to_bits()).then_some(parts)
}

/// Writes ten-thousandths as a decimal; returns where in `text` it stands.
#[inline]
fn write_parts(parts: i64, text: &mut [u8; LENGTH]) -> Range<usize> {
    let magnitude = parts.unsigned_abs();
    let (mut whole, decimals) = ((magnitude / 10_000) as usize, (magnitude % 10_000) as usize);
    let mut end = POINT;
    if decimals > 0 {
        text[POINT] = b'.';
        text[POINT + 1..POINT + 3].copy_from_slice(&PAIRS[decimals / 100]);
        text[POINT + 3..LENGTH].copy_from_slice(&PAIRS[decimals % 100]);
        end = LENGTH;
        while text[end - 1] == b'0' {
            end -= 1;
        }
    }
    let mut start = POINT;
    while whole >= 100 {
        start -= 2;
        text[start..start + 2].copy_from_slice(&PAIRS[whole % 100]);
        whole /= 100;
    }
    if whole >= 10 {
        start -= 2;
        text[start..start + 2].copy_from_slice(&PAIRS[whole]);
    } else {
        start -= 1;
        text[start] = b'0' + whole as u8;
    }
    if parts < 0 {
        start -= 1;
        text[start] = b'-';
    }
    start..end
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_show_microseconds_only_where_they_have_them() {
        assert_eq!(time_text(1_700_000_000_000_000).as_slice(), b"1700000000000");
        assert_eq!(time_text(1_700_000_000_000_123).as_slice(), b"1700000000000.123");
        assert_eq!(time_text(-1).as_slice(), b"-0.001");
        assert_eq!(time_text(-1_500).as_slice(), b"-1.500");
    }

    /// Whether the short way took the number; its text must be that of every other number.
    fn is_written_short(value: f64) -> bool {
        let parts = short_parts(value);
        if let Some(parts) = parts {
            let mut text = [0; LENGTH];
            let range = write_parts(parts, &mut text);
            assert_eq!(&text[range], shortest(&mut zmij::Buffer::new(), value), "{value:?}");
        }
        parts.is_some()
    }

    #[test]
    fn up_to_four_decimals_are_written_as_every_other_number() {
        let edges = [0.0, 1e-4, 0.001, 0.01, 0.1, 0.1001, 9.9999, 10.0, 99.99, 100.0, 1e10, 99_999_999_999.999];
        let many = (0..300_000).flat_map(|i| [f64::from(i) / 1e4, f64::from(i) / 1e3, f64::from(i) / 100.0]);
        let large = (0..1000).flat_map(|i| [f64::from(i) * 1e8 + 0.0007, f64::from(i) * 1e8 + 0.07]);
        for value in edges.into_iter().chain(many).chain(large) {
            assert!(is_written_short(value), "{value:?}");
            assert!(value == 0.0 || is_written_short(-value), "{value:?}");
        }
    }

    #[test]
    fn the_neighbours_of_short_numbers_have_all_digits() {
        for i in 1..200_000 {
            let short = f64::from(i) / 1e4;
            assert!(!is_written_short(short.next_up()) && !is_written_short(short.next_down()), "{short:?}");
        }
        for value in [-0.0, 1e-5, 0.30000000000000004, 1e11, 1e15, 1e300, f64::MIN_POSITIVE, f64::INFINITY, f64::NAN] {
            assert!(!is_written_short(value), "{value:?}");
        }
    }

    proptest! {
        #[test]
        fn any_number_is_written_as_every_other(bits in any::<u64>(), parts in -(1_i64 << 53)..1 << 53, places in 0..9) {
            is_written_short(f64::from_bits(bits));
            is_written_short(parts as f64 / 10_f64.powi(places));
        }
    }

    #[test]
    fn numbers_are_as_short_as_they_can_be() {
        let text = |value| String::from_utf8(shortest(&mut zmij::Buffer::new(), value).to_vec()).unwrap();
        assert_eq!((text(12.0), text(3.1), text(1e300)), ("12".to_owned(), "3.1".to_owned(), "1e+300".to_owned()));
    }
}
