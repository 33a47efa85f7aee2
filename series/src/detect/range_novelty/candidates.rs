//! The saved form of a moving minimum: of its window only the candidates, the samples below all later ones, with their ages.
//! The others will never be the minimum.

use crate::bytes::{DecodeError, Reader, put_f64, put_varint};

/// Writes the candidates, oldest first, of a window given from the newest sample on; infinity stands for no sample.
pub(super) fn save(newest_first: impl Iterator<Item = f64>, out: &mut Vec<u8>) {
    let mut candidates = Vec::new();
    let mut least = f64::INFINITY;
    for (age, value) in (1..).zip(newest_first) {
        if value < least {
            candidates.push((age, value));
            least = value;
        }
    }
    put_varint(out, candidates.len() as u64);
    for &(age, value) in candidates.iter().rev() {
        put_varint(out, age);
        put_f64(out, value);
    }
}

/// The window of the `samples` seen so far, newest first, in which every sample that is no candidate is given as the candidate
/// after it: no minimum is another one for that.
pub(super) fn restore<const K: usize>(samples: u64, reader: &mut Reader<'_>) -> Result<[f64; K], DecodeError> {
    let mut window = [f64::INFINITY; K];
    let size = reader.count(9)?;
    // the age of the candidate before, past which there is none
    let mut before = K as u64 + 1;
    for _ in 0..size {
        let (age, value) = (reader.varint()?, reader.finite()?);
        if age > samples {
            return Err(DecodeError::Invalid("a candidate of a moving minimum lies outside its window"));
        }
        if age == 0 || age >= before {
            return Err(DecodeError::Invalid("the candidates of a moving minimum are not in order within its window"));
        }
        window[age as usize - 1] = value;
        before = age;
    }
    if before != 1 {
        return Err(DecodeError::Invalid("the newest sample is missing in a moving minimum"));
    }
    let known = samples.min(K as u64) as usize;
    for place in 1..known {
        if window[place] == f64::INFINITY {
            window[place] = window[place - 1];
        }
    }
    Ok(window)
}
