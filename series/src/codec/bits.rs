//! Bits in a byte stream, least significant first.

use crate::bytes::DecodeError;

/// Appends bits to a byte vector.
pub struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    buffer: u128,
    used: u32,
}

impl<'a> BitWriter<'a> {
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        BitWriter { out, buffer: 0, used: 0 }
    }

    /// Appends the low `width` bits (0 to 64) of `value`.
    #[inline]
    pub fn put(&mut self, value: u64, width: u32) {
        let masked = value & low_mask(width);
        self.buffer |= u128::from(masked) << self.used;
        self.used += width;
        if self.used >= 64 {
            self.out.extend_from_slice(&(self.buffer as u64).to_le_bytes());
            self.buffer >>= 64;
            self.used -= 64;
        }
    }

    /// Writes what is left, padded with zero bits to a whole byte.
    pub fn finish(self) {
        let bytes = self.used.div_ceil(8) as usize;
        self.out.extend_from_slice(&(self.buffer as u64).to_le_bytes()[..bytes]);
    }
}

/// Reads bits from a byte slice.
pub struct BitReader<'a> {
    data: &'a [u8],
    position: usize,
}

impl<'a> BitReader<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        BitReader { data, position: 0 }
    }

    /// The next 57 bits or more without consuming them; zeros beyond the end.
    #[inline]
    pub fn peek(&self) -> u64 {
        load(self.data, self.position >> 3) >> (self.position & 7)
    }

    /// Consumes `width` bits.
    #[inline]
    pub fn skip(&mut self, width: u32) -> Result<(), DecodeError> {
        self.position += width as usize;
        if self.position > self.data.len() * 8 {
            return Err(DecodeError::Truncated);
        }
        Ok(())
    }

    /// Consumes and returns `width` bits (0 to 64).
    #[inline]
    pub fn take(&mut self, width: u32) -> Result<u64, DecodeError> {
        if width <= 56 {
            let value = self.peek() & low_mask(width);
            self.skip(width)?;
            return Ok(value);
        }
        let low = self.take(32)?;
        let high = self.take(width - 32)?;
        Ok(low | high << 32)
    }
}

/// Eight bytes from `offset`, little endian, zeros beyond the end.
#[inline]
pub fn load(data: &[u8], offset: usize) -> u64 {
    if let Some(bytes) = data.get(offset..offset + 8) {
        let mut raw = [0; 8];
        raw.copy_from_slice(bytes);
        return u64::from_le_bytes(raw);
    }
    let mut raw = [0; 8];
    let tail = data.get(offset..).unwrap_or(&[]);
    raw[..tail.len()].copy_from_slice(tail);
    u64::from_le_bytes(raw)
}

/// `width` ones.
#[inline]
pub fn low_mask(width: u32) -> u64 {
    if width >= 64 { u64::MAX } else { (1 << width) - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bits_come_back(items in prop::collection::vec((any::<u64>(), 0u32..=64), 0..200)) {
            let mut bytes = Vec::new();
            let mut writer = BitWriter::new(&mut bytes);
            for &(value, width) in &items {
                writer.put(value, width);
            }
            writer.finish();
            let mut reader = BitReader::new(&bytes);
            for &(value, width) in &items {
                prop_assert_eq!(reader.take(width), Ok(value & low_mask(width)));
            }
            prop_assert!(reader.take(8).is_err());
        }
    }
}
