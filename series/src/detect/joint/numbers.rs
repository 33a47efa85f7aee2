//! A table of numbers kept as f64 or as f32; all arithmetic is done in f64.

use crate::bytes::{DecodeError, Reader, put_f64s, put_varint};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Numbers {
    Double(Vec<f64>),
    Single(Vec<f32>),
}

/// Calls `$body` with `$table` bound to the slice of either width.
macro_rules! with_slice {
    ($numbers:expr, $table:ident => $body:expr) => {
        match $numbers {
            Numbers::Double($table) => $body,
            Numbers::Single($table) => $body,
        }
    };
}
pub(super) use with_slice;

impl Numbers {
    pub(super) fn new(values: Vec<f64>, single_precision: bool) -> Numbers {
        if single_precision {
            Numbers::Single(values.into_iter().map(|value| value as f32).collect())
        } else {
            Numbers::Double(values)
        }
    }

    pub(super) fn save(&self, out: &mut Vec<u8>) {
        match self {
            Numbers::Double(values) => {
                out.push(0);
                put_varint(out, values.len() as u64);
                put_f64s(out, values);
            }
            Numbers::Single(values) => {
                out.push(1);
                put_varint(out, values.len() as u64);
                for value in values {
                    out.extend_from_slice(&value.to_le_bytes());
                }
            }
        }
    }

    /// `length` numbers, none of them NaN.
    pub(super) fn restore(length: usize, reader: &mut Reader<'_>) -> Result<Numbers, DecodeError> {
        let single = reader.bool()?;
        let width = if single { 4 } else { 8 };
        if reader.count(width)? != length {
            return Err(DecodeError::Invalid("a table has the wrong size"));
        }
        let numbers = if single {
            let bytes = reader.take(length * width)?;
            Numbers::Single(bytes.as_chunks::<4>().0.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect())
        } else {
            Numbers::Double(reader.f64s(length)?)
        };
        if with_slice!(&numbers, table => table.iter().any(|value| value.is_nan())) {
            return Err(DecodeError::Invalid("a table holds NaN"));
        }
        Ok(numbers)
    }

    pub(super) fn all_within(&self, greatest: f64) -> bool {
        with_slice!(self, table => table.iter().all(|&value| Into::<f64>::into(value).abs() <= greatest))
    }
}

/// `target += Σ factor · column` over as many columns as there are factors, one column after the other. Four at a time, so
/// that the target is loaded and stored a quarter as often.
#[inline(always)]
pub(super) fn add_columns<T: Copy + Into<f64>>(target: &mut [f64], columns: &[T], factors: &[f64]) {
    let p = target.len();
    let (fours, rest) = factors.as_chunks::<4>();
    for (factors, columns) in fours.iter().zip(columns.chunks_exact(4 * p)) {
        let (a, b, c, d) = quarters(columns, p);
        for (i, t) in target.iter_mut().enumerate() {
            *t = *t
                + factors[0] * a[i].into()
                + factors[1] * b[i].into()
                + factors[2] * c[i].into()
                + factors[3] * d[i].into();
        }
    }
    for (&factor, column) in rest.iter().zip(columns[4 * p * fours.len()..].chunks_exact(p)) {
        subtract_column(target, column, -factor);
    }
}

/// `target -= factor * column`
#[inline(always)]
pub(super) fn subtract_column<T: Copy + Into<f64>>(target: &mut [f64], column: &[T], factor: f64) {
    for (t, &c) in target.iter_mut().zip(column) {
        *t -= factor * c.into();
    }
}

#[inline(always)]
fn quarters<T>(columns: &[T], p: usize) -> (&[T], &[T], &[T], &[T]) {
    let (ab, cd) = columns.split_at(2 * p);
    let ((a, b), (c, d)) = (ab.split_at(p), cd.split_at(p));
    (a, b, c, d)
}
