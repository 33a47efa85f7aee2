//! One closed hour of a series, packed into one allocation.
//!
//! Layout: the number of measures (u16) and where each measure's section ends (u32 each), then the sections. A section
//! holds the bitmap of the 5-minute buckets that have values (u16), their sums and squared deviations (f64 each), then
//! counts and times of first and last value, packed, and minima, maxima, first and last values as one decimal column, each
//! with its length (u32) in front, and last the quantile sketch. Sensors report decimals, so that the four values of a
//! bucket take some five bytes instead of 32, while sums and deviations, which averages are made of, are read in place. It
//! never leaves the process.
//!
//! The state of the hour as a whole ([`State`]) is kept apart, side by side with those of the other hours.

use super::open_hour::OpenHour;
use super::{FINE, Needs, SLOTS};
use crate::bucket::{Bucket, Point, Summary};
use crate::bytes::{DecodeError, Reader, put_f64};
use crate::codec::{column, packed};
use crate::prefetch;
use crate::sketch::DdSketch;
use crate::time::Micros;

const SHORT: DecodeError = DecodeError::Truncated;

/// Bytes of a section before the packed values of a full hour, about.
const PLAIN: usize = 2 + 2 * 8 * SLOTS + 24;

#[derive(Debug, Clone)]
pub(super) struct Hour {
    start: Micros,
    data: Box<[u8]>,
}

/// What a measure's values of a whole hour come to.
#[derive(Debug, Clone, Copy)]
pub(super) struct State {
    /// Of the hour.
    start: Micros,
    sum: f64,
    min: f64,
    max: f64,
    /// Squared deviations from the mean.
    m2: f64,
    /// 0: the hour has no values of the measure.
    count: u32,
    /// Where the measure's sketch begins in the packed hour.
    sketch: u32,
}

impl State {
    pub(super) const fn empty(start: Micros) -> State {
        State { start, sum: 0.0, min: 0.0, max: 0.0, m2: 0.0, count: 0, sketch: 0 }
    }

    pub(super) fn start(&self) -> Micros {
        self.start
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The state as a bucket; first and last are left open, and the mean if no deviations are needed.
    #[inline]
    pub(super) fn bucket(&self, needs: Needs) -> Bucket {
        let nowhere = Point { time: self.start, value: f64::NAN };
        Bucket {
            count: u64::from(self.count),
            sum: self.sum,
            min: self.min,
            max: self.max,
            mean: if needs.deviations { self.sum / f64::from(self.count) } else { f64::NAN },
            m2: self.m2,
            first: nowhere,
            last: nowhere,
            sketch: None,
        }
    }
}

impl Hour {
    /// Packs an hour: `buckets[slot][measure]`, empty where there are no values, and a sketch per measure. With the state
    /// of each measure.
    pub(super) fn pack(start: Micros, slots: &[(usize, &[Bucket])], sketches: &[DdSketch]) -> (Hour, Vec<State>) {
        let measures = sketches.len();
        let mut states = Vec::with_capacity(measures);
        let mut data = Vec::with_capacity(2 + measures * 400);
        data.extend((measures as u16).to_le_bytes());
        data.resize(2 + measures * 4, 0);
        for (measure, sketch) in sketches.iter().enumerate() {
            states.push(put_section(start, slots, measure, sketch, &mut data));
            let end = (data.len() as u32).to_le_bytes();
            data[2 + measure * 4..][..4].copy_from_slice(&end);
        }
        (Hour { start, data: data.into() }, states)
    }

    pub(super) fn start(&self) -> Micros {
        self.start
    }

    pub(super) fn data(&self) -> &[u8] {
        &self.data
    }

    pub(super) fn data_mut(&mut self) -> &mut Box<[u8]> {
        &mut self.data
    }

    fn measures(&self) -> usize {
        self.data.first_chunk::<2>().map_or(0, |bytes| usize::from(u16::from_le_bytes(*bytes)))
    }

    /// The section of a measure; None if the hour does not know the measure or it has no values.
    fn section(&self, measure: usize) -> Option<Section<'_>> {
        let measures = self.measures();
        if measure >= measures {
            return None;
        }
        let end = |index: usize| {
            let bytes = self.data.get(2 + index * 4..)?.first_chunk::<4>()?;
            Some(u32::from_le_bytes(*bytes) as usize)
        };
        let from = if measure == 0 { 2 + measures * 4 } else { end(measure - 1)? };
        let bytes = self.data.get(from..end(measure)?)?;
        (!bytes.is_empty()).then_some(Section { start: self.start, bytes })
    }

    /// Asks for what [`Hour::fine`] reads of these measures.
    pub(super) fn prefetch(hours: &[Hour], picks: &[usize], needs: Needs) {
        // where the sections end: mostly within the first line
        hours.iter().for_each(|hour| prefetch::slice(&hour.data[..1]));
        for hour in hours {
            for section in picks.iter().filter_map(|&measure| hour.section(measure)) {
                let plain = if needs.extremes || needs.ends { usize::MAX } else { PLAIN };
                prefetch::slice(&section.bytes[..section.bytes.len().min(plain)]);
            }
        }
    }

    /// Asks for a sketch. Most are no longer than that.
    pub(super) fn prefetch_sketch(&self, state: &State) {
        let at = state.sketch as usize;
        prefetch::slice(self.data.get(at..(at + 128).min(self.data.len())).unwrap_or_default());
    }

    /// The first and the last value of a measure.
    pub(super) fn ends(&self, measure: usize) -> Result<Option<(Point, Point)>, DecodeError> {
        let Some(section) = self.section(measure) else { return Ok(None) };
        let mut ends: Option<(Point, Point)> = None;
        section.fine(Needs { ends: true, ..Needs::default() }, &mut Scratch::default(), |_, fine: Bucket| {
            ends = Some((ends.map_or(fine.first, |(first, _)| first), fine.last));
        })?;
        Ok(ends)
    }

    /// The packed sketch of a measure, with whatever follows it.
    pub(super) fn sketch(&self, state: &State) -> Result<&[u8], DecodeError> {
        self.data.get(state.sketch as usize..).ok_or(SHORT)
    }

    /// The states of the 5-minute buckets within `from..to`.
    #[inline]
    pub(super) fn fine<S: Summary>(
        &self,
        measure: usize,
        (from, to): (Micros, Micros),
        needs: Needs,
        scratch: &mut Scratch,
        mut visit: impl FnMut(Micros, S),
    ) -> Result<(), DecodeError> {
        let Some(section) = self.section(measure) else { return Ok(()) };
        section.fine(needs, scratch, |start, bucket| {
            if start >= from && start + FINE <= to {
                visit(start, bucket);
            }
        })
    }

    /// Unpacks the hour so that it can be changed.
    pub(super) fn reopen(&self) -> Result<OpenHour, DecodeError> {
        let mut open = OpenHour::new(self.start);
        let mut scratch = Scratch::default();
        for measure in 0..self.measures() {
            let Some(section) = self.section(measure) else { continue };
            section.fine(Needs::STATE, &mut scratch, |start, bucket| open.put(start, measure, bucket))?;
            open.put_sketch(measure, DdSketch::unpack(section.parts()?[2])?);
        }
        Ok(open)
    }
}

/// f64s, little-endian.
type Numbers<'a> = &'a [[u8; 8]];

/// The bytes of one measure.
struct Section<'a> {
    start: Micros,
    bytes: &'a [u8],
}

impl<'a> Section<'a> {
    fn slots(&self) -> Result<u16, DecodeError> {
        let bytes = self.bytes.first_chunk::<2>().ok_or(SHORT)?;
        Ok(u16::from_le_bytes(*bytes))
    }

    /// What follows the plain numbers: counts and times, values, sketch.
    fn parts(&self) -> Result<[&'a [u8]; 3], DecodeError> {
        let plain = 2 + 16 * self.slots()?.count_ones() as usize;
        let mut rest = self.bytes.get(plain..).ok_or(SHORT)?;
        let mut parts = [&rest[..0]; 2];
        for part in &mut parts {
            let (length, tail) = rest.split_first_chunk::<4>().ok_or(SHORT)?;
            (*part, rest) = tail.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or(SHORT)?;
        }
        Ok([parts[0], parts[1], rest])
    }

    /// Hands the states of the 5-minute buckets that have values to `visit`, oldest first.
    #[inline]
    fn fine<S: Summary>(
        &self,
        needs: Needs,
        scratch: &mut Scratch,
        mut visit: impl FnMut(Micros, S),
    ) -> Result<(), DecodeError> {
        let mut used = self.slots()?;
        let k = used.count_ones() as usize;
        if k > SLOTS {
            return Err(DecodeError::Invalid("more buckets than an hour has"));
        }
        let [integers, values, _] = self.parts()?;
        scratch.decode(integers, values, k, needs)?;
        let Scratch { counts, ends, values, .. } = scratch;
        let (sums, deviations) = self.plain(k)?;
        for (index, (sum, m2)) in sums.iter().zip(deviations).enumerate() {
            let start = self.start + FINE * Micros::from(used.trailing_zeros());
            used &= used - 1;
            let (count, sum) = (counts[index], f64::from_le_bytes(*sum));
            let mut bucket = Bucket { count: count as u64, sum, m2: f64::from_le_bytes(*m2), ..Bucket::EMPTY };
            if needs.deviations {
                bucket.mean = sum / count as f64;
            }
            if needs.extremes {
                (bucket.min, bucket.max) = (values[index], values[k + index]);
            }
            if needs.ends {
                let point = |which: usize| Point {
                    time: start + ends[which * k + index],
                    value: values[(2 + which) * k + index],
                };
                (bucket.first, bucket.last) = (point(0), point(1));
            }
            visit(start, bucket.into());
        }
        Ok(())
    }

    /// The sums of `k` buckets and their squared deviations.
    fn plain(&self, k: usize) -> Result<(Numbers<'a>, Numbers<'a>), DecodeError> {
        let (numbers, _) = self.bytes.get(2..2 + 16 * k).ok_or(SHORT)?.as_chunks();
        Ok(numbers.split_at(k))
    }
}

/// Room for what is packed in a section, used for one after the other. What is not needed keeps older contents.
pub(super) struct Scratch {
    counts: [i64; SLOTS],
    /// Times of the first, then of the last values, from the start of their bucket.
    ends: [i64; 2 * SLOTS],
    /// Minima, maxima, first and last values.
    values: [f64; 4 * SLOTS],
    decoded: Vec<f64>,
}

impl Default for Scratch {
    fn default() -> Scratch {
        Scratch { counts: [0; SLOTS], ends: [0; 2 * SLOTS], values: [0.0; 4 * SLOTS], decoded: Vec::new() }
    }
}

impl Scratch {
    fn decode(&mut self, integers: &[u8], values: &[u8], k: usize, needs: Needs) -> Result<(), DecodeError> {
        let mut input = Reader::new(integers);
        packed::unpack(&mut input, k, |group| self.counts[..k].copy_from_slice(group))?;
        if needs.ends {
            packed::unpack(&mut input, 2 * k, |group| self.ends[..2 * k].copy_from_slice(group))?;
        }
        if needs.ends || needs.extremes {
            column::decode(values, 4 * k, &mut self.decoded)?;
            self.values[..4 * k].copy_from_slice(&self.decoded);
        }
        Ok(())
    }
}

fn put_section(
    start: Micros,
    slots: &[(usize, &[Bucket])],
    measure: usize,
    sketch: &DdSketch,
    out: &mut Vec<u8>,
) -> State {
    let mut whole = Bucket::EMPTY;
    let mut used = 0u16;
    let mut filled = [(0, &Bucket::EMPTY); SLOTS];
    let mut k = 0;
    for &(slot, buckets) in slots {
        if let Some(bucket) = buckets.get(measure).filter(|bucket| bucket.count > 0) {
            whole.merge(bucket);
            used |= 1 << slot;
            filled[k] = (slot, bucket);
            k += 1;
        }
    }
    if k == 0 {
        return State::empty(start);
    }
    let filled = &filled[..k];
    out.extend(used.to_le_bytes());
    filled.iter().for_each(|(_, bucket)| put_f64(out, bucket.sum));
    filled.iter().for_each(|(_, bucket)| put_f64(out, bucket.m2));

    let mut integers = [0i64; 2 * SLOTS];
    put_part(out, |out| {
        for (index, (_, bucket)) in filled.iter().enumerate() {
            integers[index] = bucket.count as i64;
        }
        packed::pack(&integers[..k], out);
        for (index, (slot, bucket)) in filled.iter().enumerate() {
            let slot = start + FINE * *slot as Micros;
            integers[index] = bucket.first.time - slot;
            integers[k + index] = bucket.last.time - slot;
        }
        packed::pack(&integers[..2 * k], out);
    });
    let mut values = [0.0; 4 * SLOTS];
    for (index, (_, bucket)) in filled.iter().enumerate() {
        values[index] = bucket.min;
        values[k + index] = bucket.max;
        values[2 * k + index] = bucket.first.value;
        values[3 * k + index] = bucket.last.value;
    }
    put_part(out, |out| column::encode(&values[..4 * k], out));
    let at = out.len() as u32;
    sketch.pack(out);
    State {
        start,
        sum: whole.sum,
        min: whole.min,
        max: whole.max,
        m2: whole.m2,
        count: u32::try_from(whole.count).unwrap_or(u32::MAX),
        sketch: at,
    }
}

/// Appends what `fill` appends, its length in front.
fn put_part(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend([0; 4]);
    fill(out);
    let length = (out.len() - at - 4) as u32;
    out[at..at + 4].copy_from_slice(&length.to_le_bytes());
}
