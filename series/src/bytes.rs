//! The primitives of every byte format of this crate: little-endian fixed-width numbers, LEB128 variable-length integers
//! and zigzag for signed ones (as in Protocol Buffers' encoding specification).

/// What is wrong with bytes that should hold one of this crate's formats.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("the bytes end too early")]
    Truncated,
    #[error("unknown format version {0}")]
    Version(u8),
    #[error("{0}")]
    Invalid(&'static str),
    #[error("bytes are left over after the end")]
    Trailing,
}

/// Appends `value` in LEB128: seven bits a byte, least significant first, at most ten bytes.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed number as the LEB128 of its zigzag form, so that small magnitudes stay short.
pub fn put_zigzag(out: &mut Vec<u8>, value: i64) {
    put_varint(out, ((value << 1) ^ (value >> 63)) as u64);
}

pub fn put_f64(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub fn put_f64s(out: &mut Vec<u8>, values: &[f64]) {
    for &value in values {
        put_f64(out, value);
    }
}

/// Appends the length in bytes (LEB128) and the UTF-8 of `text`.
pub fn put_text(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// A bounds-checked cursor over bytes that may be garbage.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// Bytes not read yet.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (head, tail) = self.rest.split_at_checked(length).ok_or(DecodeError::Truncated)?;
        self.rest = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, tail) = self.rest.split_first_chunk::<N>().ok_or(DecodeError::Truncated)?;
        self.rest = tail;
        Ok(*head)
    }

    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    pub fn f64(&mut self) -> Result<f64, DecodeError> {
        Ok(f64::from_le_bytes(self.array()?))
    }

    /// A number that is neither NaN nor infinite.
    pub fn finite(&mut self) -> Result<f64, DecodeError> {
        let value = self.f64()?;
        if value.is_finite() { Ok(value) } else { Err(DecodeError::Invalid("a number is not finite")) }
    }

    /// A finite number above zero.
    pub fn positive(&mut self) -> Result<f64, DecodeError> {
        let value = self.finite()?;
        if value > 0.0 { Ok(value) } else { Err(DecodeError::Invalid("a number is not positive")) }
    }

    /// A LEB128 number of at most 32 bits.
    pub fn small(&mut self) -> Result<u32, DecodeError> {
        u32::try_from(self.varint()?).map_err(|_| DecodeError::Invalid("a number does not fit 32 bits"))
    }

    /// A LEB128 number of events, far enough from the end of its type that counting on cannot overflow.
    pub fn counter(&mut self) -> Result<u64, DecodeError> {
        let value = self.varint()?;
        if value < 1 << 60 { Ok(value) } else { Err(DecodeError::Invalid("a counter is out of range")) }
    }

    /// A flag byte, 0 or 1.
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::Invalid("a flag is neither 0 nor 1")),
        }
    }

    #[inline]
    pub fn varint(&mut self) -> Result<u64, DecodeError> {
        match self.rest {
            // most are of one byte
            [byte @ 0..0x80, rest @ ..] => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::Invalid("a variable-length integer does not fit 64 bits"))
    }

    #[inline]
    pub fn zigzag(&mut self) -> Result<i64, DecodeError> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// A count of items of which each takes at least `item_bytes` more bytes. A count that the remaining bytes cannot
    /// hold is refused, so that the caller may allocate that many.
    pub fn count(&mut self, item_bytes: usize) -> Result<usize, DecodeError> {
        let count = usize::try_from(self.varint()?).map_err(|_| DecodeError::Truncated)?;
        match count.checked_mul(item_bytes.max(1)) {
            Some(needed) if needed <= self.rest.len() => Ok(count),
            _ => Err(DecodeError::Truncated),
        }
    }

    /// `count` consecutive f64.
    pub fn f64s(&mut self, count: usize) -> Result<Vec<f64>, DecodeError> {
        let bytes = self.take(count.checked_mul(8).ok_or(DecodeError::Truncated)?)?;
        Ok(bytes.as_chunks::<8>().0.iter().map(|chunk| f64::from_le_bytes(*chunk)).collect())
    }

    pub fn text(&mut self) -> Result<&'a str, DecodeError> {
        let length = self.count(1)?;
        std::str::from_utf8(self.take(length)?).map_err(|_| DecodeError::Invalid("a text is not UTF-8"))
    }

    /// Refuses bytes after the end.
    pub fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::Trailing) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_overlong_varint_is_refused() {
        assert!(Reader::new(&[0xff; 11]).varint().is_err());
        assert_eq!(Reader::new(&[0xff; 9]).varint(), Err(DecodeError::Truncated));
    }

    #[test]
    fn a_count_beyond_the_bytes_is_refused() {
        let mut bytes = Vec::new();
        put_varint(&mut bytes, u64::MAX);
        assert_eq!(Reader::new(&bytes).count(8), Err(DecodeError::Truncated));
    }

    proptest! {
        #[test]
        fn integers_round_trip(unsigned: u64, signed: i64) {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, unsigned);
            put_zigzag(&mut bytes, signed);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.varint(), Ok(unsigned));
            prop_assert_eq!(reader.zigzag(), Ok(signed));
            prop_assert_eq!(reader.finish(), Ok(()));
        }
    }
}
