//! The shared timestamp column: delta of delta with variable-length codes, after Gorilla (Pelkonen et al., "Gorilla: a
//! fast, scalable, in-memory time series database", VLDB 2015).
//!
//! Times are first divided by the largest unit (second, millisecond, microsecond) that divides all of them. A block of
//! equally spaced times takes a header of some ten bytes and nothing per row.

use super::bits::{BitReader, BitWriter, low_mask};
use crate::bytes::{DecodeError, Reader, put_varint, put_zigzag};
use crate::time::Micros;

/// Units in microseconds, by the code stored in the header.
const UNITS: [i64; 3] = [1, 1_000, 1_000_000];

/// Header flag: every delta of delta is zero, no bit stream follows.
const EQUALLY_SPACED: u8 = 0x80;

/// Payload widths by the number of leading one bits of a code; the last code has no terminating zero.
const WIDTHS: [u32; 7] = [0, 5, 9, 14, 24, 40, 64];

/// Appends the encoded form of strictly increasing times in microseconds, each within ±2^62.
pub fn encode(times: &[Micros], out: &mut Vec<u8>) {
    let Some(&first) = times.first() else { return };
    let code = unit_code(times);
    let unit = UNITS[code];
    let header = out.len();
    out.push(code as u8);
    put_zigzag(out, first / unit);
    let Some(&second) = times.get(1) else { return };
    let step = (second - first) / unit;
    put_varint(out, step as u64);

    if times.windows(2).all(|pair| pair[1] - pair[0] == second - first) {
        out[header] |= EQUALLY_SPACED;
        return;
    }
    let mut writer = BitWriter::new(out);
    let mut previous = step;
    for pair in times[1..].windows(2) {
        let delta = (pair[1] - pair[0]) / unit;
        put_code(&mut writer, zigzagged(delta - previous));
        previous = delta;
    }
    writer.finish();
}

/// Appends `rows` decoded times to `out`, in microseconds. They are strictly increasing, or the data is corrupt.
pub fn decode(bytes: &[u8], rows: usize, out: &mut Vec<Micros>) -> Result<(), DecodeError> {
    if rows == 0 {
        return Ok(());
    }
    let mut input = Reader::new(bytes);
    let header = input.u8()?;
    let unit = *UNITS.get(usize::from(header & !EQUALLY_SPACED)).ok_or(DecodeError::Invalid("time unit"))?;
    let overflow = || DecodeError::Invalid("time out of range");
    let mut time = input.zigzag()?.checked_mul(unit).ok_or_else(overflow)?;
    out.push(time);
    if rows == 1 {
        return Ok(());
    }
    let step = i64::try_from(input.varint()?)
        .ok()
        .and_then(|step| step.checked_mul(unit))
        .filter(|&step| step > 0)
        .ok_or_else(overflow)?;
    time = time.checked_add(step).ok_or_else(overflow)?;
    out.push(time);
    let mut delta = step;
    let mut reader = BitReader::new(input.take(input.remaining())?);
    for _ in 2..rows {
        if header & EQUALLY_SPACED == 0 {
            delta = unzigzagged(take_code(&mut reader)?)
                .checked_mul(unit)
                .and_then(|change| delta.checked_add(change))
                .filter(|&delta| delta > 0)
                .ok_or_else(overflow)?;
        }
        time = time.checked_add(delta).ok_or_else(overflow)?;
        out.push(time);
    }
    Ok(())
}

/// The code of the largest unit that divides all times. The units are spelled out because division by a constant is a
/// multiplication.
fn unit_code(times: &[Micros]) -> usize {
    if times.iter().all(|time| time % 1_000_000 == 0) {
        2
    } else if times.iter().all(|time| time % 1_000 == 0) {
        1
    } else {
        0
    }
}

fn zigzagged(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn unzigzagged(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

fn put_code(writer: &mut BitWriter<'_>, value: u64) {
    let bits = 64 - value.leading_zeros();
    let class = WIDTHS.iter().position(|&width| bits <= width).unwrap_or(6);
    let ones = class as u32;
    let prefix = if class == WIDTHS.len() - 1 { ones } else { ones + 1 };
    writer.put(low_mask(ones), prefix);
    writer.put(value, WIDTHS[class]);
}

fn take_code(reader: &mut BitReader<'_>) -> Result<u64, DecodeError> {
    let class = (reader.peek().trailing_ones() as usize).min(WIDTHS.len() - 1);
    let prefix = if class == WIDTHS.len() - 1 { class } else { class + 1 };
    reader.skip(prefix as u32)?;
    reader.take(WIDTHS[class])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(times: &[Micros]) -> usize {
        let mut bytes = Vec::new();
        encode(times, &mut bytes);
        let mut back = Vec::new();
        decode(&bytes, times.len(), &mut back).unwrap();
        assert_eq!(back, times);
        bytes.len()
    }

    proptest! {
        #[test]
        fn times_come_back(start in -60_000_000_000_000_000i64..250_000_000_000_000_000,
                           steps in prop::collection::vec(prop_oneof![1i64..200, 1i64..100_000_000_000, Just(30_000_000)], 0..200)) {
            let mut times = vec![start];
            for step in steps {
                times.push(times[times.len() - 1] + step);
            }
            round_trip(&times);
        }

        #[test]
        fn garbage_gives_increasing_times_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..100), rows in 0usize..200) {
            let mut out = Vec::new();
            if decode(&bytes, rows, &mut out).is_ok() {
                prop_assert_eq!(out.len(), rows);
                prop_assert!(out.windows(2).all(|pair| pair[0] < pair[1]));
            }
        }
    }

    #[test]
    fn equally_spaced_times_take_only_a_header() {
        let times: Vec<i64> = (0..1000).map(|i| 1_700_000_000_000_000 + i * 30_000_000).collect();
        assert!(round_trip(&times) <= 12);
    }

    #[test]
    fn jitter_of_some_milliseconds_takes_about_a_byte() {
        let times: Vec<i64> = (0..1000).map(|i| (1_700_000_000_000 + i * 30_000 + (i * 7919) % 13) * 1000).collect();
        assert!(round_trip(&times) <= 1100);
    }
}
