//! A sample in few bytes, as replicas and the AOF get it: the measures' positions instead of their names.
//!
//! Format: fingerprint of the measures (u32), time (zigzag LEB128), then for each value the measure's position (LEB128)
//! and the value (f64), little-endian.

use super::add::{AddError, Targets};
use super::watches::Judged;
use super::{Series, TIME_RANGE};
use series::bytes::{DecodeError, Reader, put_f64, put_varint, put_zigzag};
use series::time::Micros;

impl Series {
    /// The bytes of a sample whose measures the series has; None if it lacks one.
    pub fn put_of(&self, time: Micros, values: &[(&[u8], f64)]) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(16 + 9 * values.len());
        out.extend(self.measures.fingerprint().to_le_bytes());
        put_zigzag(&mut out, time);
        for (index, &(name, value)) in values.iter().enumerate().filter(|(_, (_, value))| !value.is_nan()) {
            put_varint(&mut out, self.measures.find(name, index)? as u64);
            put_f64(&mut out, value);
        }
        Some(out)
    }

    /// Writes a sample from its bytes.
    ///
    /// # Errors
    /// If they are damaged, or were made of a series with other measures; the series is then as it was.
    pub fn put(&mut self, bytes: &[u8]) -> Result<Judged, AddError> {
        let (fingerprint, rest) = bytes.split_first_chunk::<4>().ok_or(DecodeError::Truncated)?;
        if u32::from_le_bytes(*fingerprint) != self.measures.fingerprint() {
            return Err(AddError::Damaged(DecodeError::Invalid("the sample is of a series with other measures")));
        }
        let mut reader = Reader::new(rest);
        let time = reader.zigzag()?;
        if !TIME_RANGE.contains(&time) {
            return Err(AddError::Time);
        }
        let mut targets = Targets::new();
        while reader.remaining() > 0 {
            let measure = usize::try_from(reader.varint()?).unwrap_or(usize::MAX);
            let value = reader.finite()?;
            if measure >= self.measures.len() {
                return Err(AddError::Damaged(DecodeError::Invalid("the position of a measure")));
            }
            targets.push((measure, value));
        }
        if targets.is_empty() {
            return Err(AddError::NoValue);
        }
        self.write(time, &targets)
    }
}
