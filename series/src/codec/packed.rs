//! Binary packing of integers: groups of 32, each stored as its minimum and the differences to it at the width of the
//! largest (the frame of reference and binary packing of Lemire & Boytsov, "Decoding billions of integers per second
//! through vectorization", 2012). Small groups keep one burst from widening a whole block.

use super::bits::{BitWriter, load, low_mask};
use crate::bytes::{DecodeError, Reader, put_zigzag};

const GROUP: usize = 32;

/// The widest difference a group may hold: what one unaligned 8-byte load can deliver at any bit offset.
const MAX_WIDTH: u32 = 57;

/// Size of the packed form, in bits, without the group headers.
pub fn packed_bits(values: &[i64]) -> u64 {
    values
        .chunks(GROUP)
        .map(|group| {
            let (min, max) = span(group);
            u64::from(width_of(min, max)) * group.len() as u64
        })
        .sum()
}

/// Appends the packed form. No 32 neighbours may span 2^57 or more: the callers' integers are smaller than 2^53.
pub fn pack(values: &[i64], out: &mut Vec<u8>) {
    let mut previous_min = 0i64;
    for group in values.chunks(GROUP) {
        let (min, max) = span(group);
        let width = width_of(min, max);
        assert!(width <= MAX_WIDTH, "a group of integers spans too much");
        out.push(width as u8);
        put_zigzag(out, min.wrapping_sub(previous_min));
        previous_min = min;
        let mut writer = BitWriter::new(out);
        for &value in group {
            writer.put(value.wrapping_sub(min) as u64, width);
        }
        writer.finish();
    }
}

/// Takes `count` integers off the front of `input` and hands them to `sink` in order, up to [`GROUP`] at a time.
pub fn unpack(input: &mut Reader<'_>, count: usize, mut sink: impl FnMut(&[i64])) -> Result<(), DecodeError> {
    let mut min = 0i64;
    let mut left = count;
    while left > 0 {
        let rows = left.min(GROUP);
        let width = u32::from(input.u8()?);
        if width > MAX_WIDTH {
            return Err(DecodeError::Invalid("packed width"));
        }
        min = min.wrapping_add(input.zigzag()?);
        let bytes = input.take((rows * width as usize).div_ceil(8))?;
        // equal integers are common, and clearing room for others would take longer than all else
        if width == 0 {
            sink(&[min; GROUP][..rows]);
        } else {
            unpack_group(bytes, width, min, rows, &mut sink);
        }
        left -= rows;
    }
    Ok(())
}

fn unpack_group(bytes: &[u8], width: u32, min: i64, rows: usize, sink: &mut impl FnMut(&[i64])) {
    let mut integers = [0i64; GROUP];
    // eight bytes more than the widest group, so that every load stays within
    let mut padded = [0u8; GROUP * MAX_WIDTH as usize / 8 + 8];
    padded[..bytes.len()].copy_from_slice(bytes);
    let mask = low_mask(width);
    let mut position = 0usize;
    for integer in &mut integers[..rows] {
        let difference = (load(&padded, position >> 3) >> (position & 7)) & mask;
        *integer = min.wrapping_add(difference as i64);
        position += width as usize;
    }
    sink(&integers[..rows]);
}

fn span(group: &[i64]) -> (i64, i64) {
    group.iter().fold((i64::MAX, i64::MIN), |(min, max), &value| (min.min(value), max.max(value)))
}

fn width_of(min: i64, max: i64) -> u32 {
    64 - (max.wrapping_sub(min) as u64).leading_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn integers_come_back(values in prop::collection::vec(-(1i64 << 55)..(1i64 << 55), 0..300)) {
            let mut bytes = Vec::new();
            pack(&values, &mut bytes);
            let mut input = Reader::new(&bytes);
            let mut back = Vec::new();
            unpack(&mut input, values.len(), |group| back.extend_from_slice(group)).unwrap();
            prop_assert_eq!(back, values);
            prop_assert_eq!(input.remaining(), 0);
        }

        #[test]
        fn garbage_is_an_error_or_integers(bytes in prop::collection::vec(any::<u8>(), 0..200), count in 0usize..300) {
            let mut seen = 0;
            let _ = unpack(&mut Reader::new(&bytes), count, |group| seen += group.len());
            prop_assert!(seen <= count);
        }
    }
}
