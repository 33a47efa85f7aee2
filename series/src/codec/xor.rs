//! XOR of neighbouring doubles, after Gorilla (Pelkonen et al., VLDB 2015): equal values take one bit, others the bits
//! that differ. It loses nothing whatever the bits are, and is what [`super::column`] falls back to where values are
//! not decimals.

use super::bits::{BitReader, BitWriter};
use crate::bytes::DecodeError;

/// Appends the encoded form of the values.
pub fn encode(values: &[f64], out: &mut Vec<u8>) {
    let Some(first) = values.first() else { return };
    let mut writer = BitWriter::new(out);
    let mut previous = first.to_bits();
    writer.put(previous, 64);
    // No window yet: one that no difference fits into.
    let (mut leading, mut length) = (64u32, 0u32);
    for value in &values[1..] {
        let difference = value.to_bits() ^ previous;
        previous = value.to_bits();
        if difference == 0 {
            writer.put(0, 1);
            continue;
        }
        let lead = difference.leading_zeros();
        let trail = difference.trailing_zeros();
        if lead >= leading && leading + length + trail >= 64 {
            writer.put(0b01, 2);
        } else {
            leading = lead;
            length = 64 - lead - trail;
            writer.put(0b11, 2);
            writer.put(u64::from(leading), 6);
            writer.put(u64::from(length - 1), 6);
        }
        writer.put(difference >> (64 - leading - length), length);
    }
    writer.finish();
}

/// Appends `count` decoded values to `out`.
pub fn decode(input: &[u8], count: usize, out: &mut Vec<f64>) -> Result<(), DecodeError> {
    if count == 0 {
        return Ok(());
    }
    let mut reader = BitReader::new(input);
    let mut bits = reader.take(64)?;
    out.push(f64::from_bits(bits));
    let (mut leading, mut length) = (0u32, 0u32);
    for _ in 1..count {
        let control = reader.peek() & 0b11;
        if control & 1 == 0 {
            reader.skip(1)?;
        } else {
            reader.skip(2)?;
            if control == 0b11 {
                leading = reader.take(6)? as u32;
                length = reader.take(6)? as u32 + 1;
            }
            if length == 0 || leading + length > 64 {
                return Err(DecodeError::Invalid("xor window"));
            }
            bits ^= reader.take(length)? << (64 - leading - length);
        }
        out.push(f64::from_bits(bits));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bits_come_back(patterns in prop::collection::vec(prop_oneof![any::<u64>(), 0u64..4, Just(1.5f64.to_bits())], 0..300)) {
            let values: Vec<f64> = patterns.iter().map(|&bits| f64::from_bits(bits)).collect();
            let mut bytes = Vec::new();
            encode(&values, &mut bytes);
            let mut back = Vec::new();
            decode(&bytes, values.len(), &mut back).unwrap();
            prop_assert_eq!(back.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), patterns);
        }

        #[test]
        fn garbage_is_an_error_or_values(bytes in prop::collection::vec(any::<u8>(), 0..100), count in 0usize..300) {
            let mut out = Vec::new();
            if decode(&bytes, count, &mut out).is_ok() {
                prop_assert_eq!(out.len(), count);
            }
        }
    }

    #[test]
    fn a_constant_takes_a_bit_per_value() {
        let mut bytes = Vec::new();
        encode(&[3.25; 801], &mut bytes);
        assert_eq!(bytes.len(), 8 + 100);
    }
}
