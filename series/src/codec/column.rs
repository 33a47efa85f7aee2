//! One measure's column of a block: which rows have a value, and the values by the encoding that suits them.
//!
//! Decimal first ([`super::decimal`]); XOR ([`super::xor`]) where the values are not decimals. Rows without a value
//! (NaN) are left out of the values and marked in a bitmap, so that a gap costs one bit.

use super::{decimal, xor};
use crate::bytes::{DecodeError, Reader};
use std::borrow::Cow;

const EMPTY: u8 = 0;
const DECIMAL: u8 = 1;
const XOR: u8 = 2;
/// Header flag: a bitmap of the rows that have a value follows.
const SPARSE: u8 = 0x80;

/// Appends the encoded column. NaN means missing; which NaN it was is not kept.
pub fn encode(values: &[f64], out: &mut Vec<u8>) {
    let dense = if values.iter().any(|v| v.is_nan()) {
        Cow::Owned(values.iter().copied().filter(|v| !v.is_nan()).collect::<Vec<f64>>())
    } else {
        Cow::Borrowed(values)
    };
    let present: &[f64] = &dense;
    let header = out.len();
    if present.is_empty() {
        out.push(EMPTY);
        return;
    }
    let sparse = if present.len() < values.len() { SPARSE } else { 0 };
    out.push(DECIMAL | sparse);
    if sparse != 0 {
        put_bitmap(values, out);
    }
    if !decimal::encode(present, out) {
        out[header] = XOR | sparse;
        xor::encode(present, out);
    }
}

/// Replaces the contents of `out` by the `rows` values of the column, NaN where missing.
pub fn decode(bytes: &[u8], rows: usize, out: &mut Vec<f64>) -> Result<(), DecodeError> {
    out.clear();
    let mut input = Reader::new(bytes);
    let header = input.u8()?;
    let kind = header & !SPARSE;
    if kind == EMPTY {
        out.resize(rows, f64::NAN);
        return Ok(());
    }
    let bitmap = if header & SPARSE != 0 { Some(input.take(rows.div_ceil(8))?) } else { None };
    let count = bitmap.map_or(rows, |bits| (0..rows).filter(|&row| has(bits, row)).count());
    match kind {
        DECIMAL => decimal::decode(&mut input, count, out)?,
        XOR => xor::decode(input.take(input.remaining())?, count, out)?,
        _ => return Err(DecodeError::Invalid("unknown column encoding")),
    }
    if let Some(bits) = bitmap {
        spread(bits, rows, out);
    }
    Ok(())
}

fn put_bitmap(values: &[f64], out: &mut Vec<u8>) {
    for group in values.chunks(8) {
        let mut byte = 0u8;
        for (bit, value) in group.iter().enumerate() {
            byte |= u8::from(!value.is_nan()) << bit;
        }
        out.push(byte);
    }
}

#[inline]
fn has(bitmap: &[u8], row: usize) -> bool {
    bitmap[row / 8] >> (row % 8) & 1 == 1
}

/// Moves the dense values to their rows, from the last to the first, so that none is overwritten before it moved.
fn spread(bitmap: &[u8], rows: usize, values: &mut Vec<f64>) {
    let mut next = values.len();
    values.resize(rows, f64::NAN);
    for row in (0..rows).rev() {
        if has(bitmap, row) {
            next -= 1;
            values[row] = values[next];
        } else {
            values[row] = f64::NAN;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn same(a: f64, b: f64) -> bool {
        a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
    }

    fn round_trip(values: &[f64]) -> usize {
        let mut bytes = Vec::new();
        encode(values, &mut bytes);
        let mut back = Vec::new();
        decode(&bytes, values.len(), &mut back).unwrap();
        assert_eq!(back.len(), values.len());
        for (a, b) in back.iter().zip(values) {
            assert!(same(*a, *b), "{a} is not {b}");
        }
        bytes.len()
    }

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![(-100_000i32..100_000).prop_map(|n| f64::from(n) / 100.0), any::<f64>(), Just(f64::NAN), Just(-0.0),]
    }

    proptest! {
        #[test]
        fn columns_come_back(values in prop::collection::vec(value(), 0..200)) {
            round_trip(&values);
        }

        #[test]
        fn sparse_decimals_come_back(values in prop::collection::vec(prop::option::of(-5000i32..5000), 1..200)) {
            let values: Vec<f64> = values.iter().map(|v| v.map_or(f64::NAN, |n| f64::from(n) / 10.0)).collect();
            round_trip(&values);
        }

        #[test]
        fn garbage_is_an_error_or_a_column(bytes in prop::collection::vec(any::<u8>(), 0..100), rows in 0usize..300) {
            let mut out = Vec::new();
            if decode(&bytes, rows, &mut out).is_ok() {
                prop_assert_eq!(out.len(), rows);
            }
        }
    }

    #[test]
    fn a_measure_that_never_reported_takes_a_byte() {
        assert_eq!(round_trip(&[f64::NAN; 128]), 1);
    }
}
