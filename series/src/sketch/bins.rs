//! The counted bins of one half of the axis.

use crate::bytes::{DecodeError, Reader, put_varint, put_zigzag};

/// Occupied bins in ascending order of index. A sorted vector rather than a map: sketches hold tens to hundreds of bins
/// and are cloned, merged and serialised far more often than they get a new bin.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Bins(pub(super) Vec<(i32, u64)>);

impl Bins {
    pub(super) fn add(&mut self, index: i32, count: u64) {
        match self.0.binary_search_by_key(&index, |bin| bin.0) {
            Ok(at) => self.0[at].1 = self.0[at].1.saturating_add(count),
            Err(at) => self.0.insert(at, (index, count)),
        }
    }

    pub(super) fn remove(&mut self, index: i32) -> bool {
        let Ok(at) = self.0.binary_search_by_key(&index, |bin| bin.0) else {
            return false;
        };
        self.0[at].1 -= 1;
        if self.0[at].1 == 0 {
            self.0.remove(at);
        }
        true
    }

    pub(super) fn merge(&mut self, other: &Bins) {
        if other.0.len() <= 4 {
            for &(index, count) in &other.0 {
                self.add(index, count);
            }
            return;
        }
        let mut merged = Vec::with_capacity(self.0.len().max(other.0.len()));
        let (mut a, mut b) = (self.0.iter().copied().peekable(), other.0.iter().copied().peekable());
        loop {
            let next = match (a.peek(), b.peek()) {
                (Some(x), Some(y)) if x.0 == y.0 => (x.0, x.1.saturating_add(y.1)),
                (Some(x), Some(y)) => *x.min(y),
                (Some(x), None) => *x,
                (None, Some(y)) => *y,
                (None, None) => break,
            };
            a.next_if(|x| x.0 == next.0);
            b.next_if(|y| y.0 == next.0);
            merged.push(next);
        }
        self.0 = merged;
    }

    pub(super) fn count(&self) -> u64 {
        self.0.iter().fold(0, |total, bin| total.saturating_add(bin.1))
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.0.len() as u64);
        let mut previous = 0_i64;
        for &(index, count) in &self.0 {
            put_zigzag(out, i64::from(index) - previous);
            put_varint(out, count);
            previous = i64::from(index);
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Bins, DecodeError> {
        let mut bins = Vec::with_capacity(reader.clone().count(2)?);
        Bins::visit(reader, |index, count| bins.push((index, count)))?;
        Ok(Bins(bins))
    }

    /// Reads encoded bins and hands each to `visit`.
    pub(super) fn visit(reader: &mut Reader<'_>, mut visit: impl FnMut(i32, u64)) -> Result<(), DecodeError> {
        let length = reader.count(2)?;
        let mut previous: Option<i32> = None;
        for _ in 0..length {
            let delta = reader.zigzag()?;
            let index = i64::from(previous.unwrap_or(0))
                .checked_add(delta)
                .and_then(|i| i32::try_from(i).ok())
                .ok_or(DecodeError::Invalid("a sketch bin is out of range"))?;
            if previous.is_some_and(|p| p >= index) {
                return Err(DecodeError::Invalid("the bins of a sketch are not in order"));
            }
            let count = reader.varint()?;
            if count == 0 {
                return Err(DecodeError::Invalid("a sketch bin is empty"));
            }
            visit(index, count);
            previous = Some(index);
        }
        Ok(())
    }
}
