//! Decimal-aware encoding: values that are decimals become integers, scaled by one power of ten for the column and
//! bit-packed in groups.
//!
//! The scaling is that of ALP (Afroozeh, Kuffó, Boncz, "ALP: adaptive lossless floating-point compression", SIGMOD
//! 2024): a double d is taken as round(d · 10^e) when dividing back gives the very same bits, and the few values for
//! which it does not are kept raw beside the column. Sensors report two or three decimals, so a reading that costs XOR
//! compression five bytes is a small integer here. The integers are packed as they are or as deltas, whichever is
//! shorter, by [`super::packed`].

use super::packed;
use crate::bytes::{DecodeError, Reader, put_f64, put_varint, put_zigzag};

/// Powers of ten that a double holds exactly and that leave room for an integer part.
const POWERS: [f64; 15] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14];

/// Scaled integers stay below 2^51, where adding [`ROUND`] rounds to an integer and deltas fit the packer.
const LIMIT: f64 = (1u64 << 51) as f64;

/// 1.5 · 2^52: adding and subtracting it rounds to the nearest integer without a library call.
const ROUND: f64 = 6_755_399_441_055_744.0;

/// At most one value in eight may be kept raw: beyond that the column is not one of decimals.
const RAW_SHARE: usize = 8;

/// Bits a raw value costs: itself and its row.
const RAW_BITS: usize = 72;

const DELTAS: u8 = 0x80;

/// Appends the encoded form, or returns false and leaves `out` as it was if the values are not decimals.
pub fn encode(values: &[f64], out: &mut Vec<u8>) -> bool {
    let mut integers = Vec::with_capacity(values.len());
    let mut raw: Vec<(usize, f64)> = Vec::new();
    let exponent = match scale_all(values, &mut integers) {
        Some(exponent) => exponent,
        None => match scale_most(values, &mut integers, &mut raw) {
            Some(exponent) => exponent,
            None => return false,
        },
    };
    let mut deltas = Vec::with_capacity(integers.len());
    let mut before = 0i64;
    for &integer in &integers {
        deltas.push(integer - before);
        before = integer;
    }
    // The first delta is the first integer itself: kept out of its group, or it would widen it.
    let first = integers.first().copied().unwrap_or(0);
    if let Some(delta) = deltas.first_mut() {
        *delta = 0;
    }
    let use_deltas = packed::packed_bits(&deltas) < packed::packed_bits(&integers);
    out.push(exponent as u8 | if use_deltas { DELTAS } else { 0 });
    if use_deltas {
        put_zigzag(out, first);
        packed::pack(&deltas, out);
    } else {
        packed::pack(&integers, out);
    }
    put_varint(out, raw.len() as u64);
    for (row, value) in raw {
        put_varint(out, row as u64);
        put_f64(out, value);
    }
    true
}

/// Appends `count` decoded values to `out`.
pub fn decode(input: &mut Reader<'_>, count: usize, out: &mut Vec<f64>) -> Result<(), DecodeError> {
    let header = input.u8()?;
    let power = *POWERS.get(usize::from(header & !DELTAS)).ok_or(DecodeError::Invalid("decimal exponent"))?;
    let start = out.len();
    out.reserve(count);
    if header & DELTAS != 0 {
        let mut integer = input.zigzag()?;
        packed::unpack(input, count, |deltas| {
            out.extend(deltas.iter().map(|delta| {
                integer = integer.wrapping_add(*delta);
                integer as f64 / power
            }));
        })?;
    } else {
        packed::unpack(input, count, |integers| out.extend(integers.iter().map(|&integer| integer as f64 / power)))?;
    }
    for _ in 0..input.varint()? {
        let row = usize::try_from(input.varint()?).unwrap_or(usize::MAX);
        let value = input.f64()?;
        let slot = start.checked_add(row).and_then(|row| out.get_mut(row));
        *slot.ok_or(DecodeError::Invalid("row of a raw value"))? = value;
    }
    Ok(())
}

/// Scales columns whose first values need as many digits as all others, which most columns are.
fn scale_all(values: &[f64], integers: &mut Vec<i64>) -> Option<usize> {
    let first = &values[..values.len().min(4)];
    let exponent = first.iter().try_fold(0, |most, &value| Some(digits_of(value, most)?.max(most)))?;
    for &value in values {
        integers.push(scaled(value, exponent)?);
    }
    Some(exponent)
}

/// Scales columns of mixed digits, with what does not fit beside them. None if too much does not.
fn scale_most(values: &[f64], integers: &mut Vec<i64>, raw: &mut Vec<(usize, f64)>) -> Option<usize> {
    let exponent = choose_exponent(values)?;
    integers.clear();
    let mut previous = 0i64;
    for (row, &value) in values.iter().enumerate() {
        match scaled(value, exponent) {
            Some(integer) => previous = integer,
            None => raw.push((row, value)),
        }
        // A raw value repeats its neighbour, which packs into nothing as a delta.
        integers.push(previous);
    }
    (raw.len() * RAW_SHARE <= values.len()).then_some(exponent)
}

/// The integer that stands for `value` at this exponent, if it gives back exactly the same bits.
#[inline]
fn scaled(value: f64, exponent: usize) -> Option<i64> {
    let product = value * POWERS[exponent];
    if !(product > -LIMIT && product < LIMIT) {
        return None;
    }
    let integer = (product + ROUND) - ROUND;
    ((integer / POWERS[exponent]).to_bits() == value.to_bits()).then_some(integer as i64)
}

/// The exponent with the smallest estimated size: a digit more costs every value 3.3 bits, a digit less makes those
/// values raw that need it. None if too many values need more digits than there are.
fn choose_exponent(values: &[f64]) -> Option<usize> {
    let mut needs = [0usize; POWERS.len()];
    let mut never = 0usize;
    let mut guess = 0usize;
    for &value in values {
        let digits = digits_of(value, guess);
        match digits {
            Some(digits) => {
                needs[digits] += 1;
                guess = digits;
            }
            None => {
                never += 1;
                if never * RAW_SHARE > values.len() {
                    return None;
                }
            }
        }
    }
    let mut raw = values.len() - never;
    let mut best = (usize::MAX, 0);
    for (exponent, &count) in needs.iter().enumerate() {
        raw -= count;
        let cost = raw * RAW_BITS * 3 + values.len() * exponent * 10;
        if cost < best.0 {
            best = (cost, exponent);
        }
        if raw == 0 {
            break;
        }
    }
    Some(best.1)
}

/// The fewest digits after the point that hold `value` exactly. Neighbours mostly need as many (`guess`).
fn digits_of(value: f64, guess: usize) -> Option<usize> {
    if scaled(value, guess).is_some() {
        return (0..guess).find(|&digits| scaled(value, digits).is_some()).or(Some(guess));
    }
    (0..POWERS.len()).find(|&digits| scaled(value, digits).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(values: &[f64]) -> Option<usize> {
        let mut bytes = Vec::new();
        if !encode(values, &mut bytes) {
            assert!(bytes.is_empty());
            return None;
        }
        let mut back = Vec::new();
        decode(&mut Reader::new(&bytes), values.len(), &mut back).unwrap();
        let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&back), bits(values));
        Some(bytes.len())
    }

    proptest! {
        #[test]
        fn decimals_come_back_bit_by_bit(integers in prop::collection::vec(-10_000_000i64..10_000_000, 1..300), digits in 0i32..8) {
            let values: Vec<f64> = integers.iter().map(|&n| format!("{n}e-{digits}").parse().unwrap()).collect();
            prop_assert!(round_trip(&values).is_some());
        }

        #[test]
        fn whatever_is_accepted_comes_back(patterns in prop::collection::vec(prop_oneof![9 => (0u64..1000).prop_map(|n| (n as f64 / 10.0).to_bits()), 1 => any::<u64>()], 1..300)) {
            let values: Vec<f64> = patterns.iter().map(|&bits| f64::from_bits(bits)).collect();
            round_trip(&values);
        }

        #[test]
        fn garbage_is_an_error_or_values(bytes in prop::collection::vec(any::<u8>(), 0..100), count in 0usize..300) {
            let mut out = Vec::new();
            if decode(&mut Reader::new(&bytes), count, &mut out).is_ok() {
                prop_assert_eq!(out.len(), count);
            }
        }
    }

    #[test]
    fn negative_zero_and_nan_are_kept_raw() {
        let mut values = vec![1.25; 40];
        values[3] = -0.0;
        values[7] = f64::NAN;
        assert!(round_trip(&values).is_some());
    }

    #[test]
    fn full_doubles_are_refused() {
        let values: Vec<f64> = (1..100).map(|i| f64::from(i).sqrt()).collect();
        assert_eq!(round_trip(&values), None);
    }

    #[test]
    fn two_decimals_take_less_than_a_byte() {
        let values: Vec<f64> = (0..128).map(|i| (1250 + (i * 37) % 50) as f64 / 100.0).collect();
        assert!(round_trip(&values).unwrap() <= 128);
    }
}
