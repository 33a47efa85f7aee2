//! The seven views of a series and their remembered ranges.

use std::mem::offset_of;

use super::moving_means::{MovingMeans, Samples};
use super::moving_min::MovingMin;
use super::pattern::Pattern;
use super::predictor::Predictor;
use super::range::Range;
use super::seasonal::Seasonal;
use crate::bytes::{DecodeError, Reader};
use crate::detect::Reason;

/// Windows of the two moving minima: "sustained for this many samples".
const SHORT: usize = 6;
const LONG: usize = 96;
/// Window of the moving means over the seasonal residual and the prediction error.
const SMOOTH: usize = 12;
/// The pattern stream needs this many times the warm-up of the others.
const PATTERN_WARM_UP: u64 = 3;

const STREAMS: [&str; 7] =
    ["level", "log_level", "sustained_short", "sustained_long", "seasonal", "predictability", "pattern"];
const PATTERN: usize = 6;

/// In the order of C: first what every sample needs as a whole, then that of which a sample needs a few places, so that little
/// memory has to come for a sample, from one page if possible.
#[derive(Debug, Clone)]
#[repr(C)]
pub(super) struct Views {
    ranges: [Range; 7],
    streams: Streams,
}

#[derive(Debug, Clone)]
#[repr(C)]
struct Streams {
    predictor: Predictor,
    short: MovingMin<SHORT>,
    pattern: Pattern,
    /// Of the seasonal residual and the prediction error.
    means: MovingMeans,
    seasonal: Seasonal,
    smoothed: Samples<SMOOTH>,
    long: MovingMin<LONG>,
}

impl Streams {
    /// Value of each stream at sample number `i`, whose share of all samples is 1 / (i + 1); `lx` is the signed logarithm of
    /// `x`.
    #[inline]
    fn push(&mut self, i: u64, share: f64, slot: usize, x: f64, lx: f64) -> [f64; 7] {
        let new = [self.seasonal.push(share, slot, lx), self.predictor.push(i, share, lx)];
        let [residual, error] = self.means.push(&mut self.smoothed, i, new);
        [x, lx, self.short.push(i, x), self.long.push(i, x), residual, error, self.pattern.push(lx)]
    }
}

impl Views {
    /// Bytes from the front that every sample needs.
    pub(super) const FRONT: usize = offset_of!(Views, streams.seasonal) + Seasonal::FRONT;

    /// Before the first sample.
    pub(super) fn empty() -> Views {
        Views {
            ranges: [Range::new(0.0); 7],
            streams: Streams {
                predictor: Predictor::new(0.0),
                short: MovingMin::new(),
                pattern: Pattern::new(),
                means: MovingMeans::default(),
                long: MovingMin::new(),
                seasonal: Seasonal::new(0.0),
                smoothed: Samples::new(),
            },
        }
    }

    /// From the first sample.
    pub(super) fn begin(&mut self, slot: usize, x: f64, lx: f64) {
        self.streams.seasonal = Seasonal::new(lx);
        self.streams.predictor = Predictor::new(lx);
        self.ranges = self.streams.push(0, 1.0, slot, x, lx).map(Range::new);
    }

    /// Asks for the memory behind the front that a sample of this slot needs.
    #[inline]
    pub(super) fn prefetch_places(&self, slot: usize) {
        self.streams.smoothed.prefetch();
        self.streams.seasonal.prefetch_slot(slot);
        self.streams.long.prefetch();
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.streams.pattern.heap_bytes()
    }

    /// Signed logarithm of the value that the hour of day and kind of day let expect.
    pub(super) fn expected(&self, slot: usize) -> f64 {
        self.streams.seasonal.expected(slot)
    }

    /// The remembered range of the values themselves.
    pub(super) fn level_range(&self) -> (f64, f64) {
        (self.ranges[0].lo, self.ranges[0].hi)
    }

    /// Mean novelty over the streams of sample number `i` (from 1), and the stream that left its range furthest. Streams
    /// report from sample number `warm` on. Learns the sample.
    pub(super) fn judge(&mut self, i: u64, slot: usize, x: f64, lx: f64, warm: u64, keep: f64) -> (f64, Reason) {
        let share = 1.0 / (i + 1) as f64;
        let values = self.streams.push(i, share, slot, x, lx);
        let mut total = 0.0;
        let (mut greatest, mut furthest, mut before) = (0.0, 0, self.ranges[0]);
        for (stream, (range, &value)) in self.ranges.iter_mut().zip(&values).enumerate() {
            let needed = if stream == PATTERN { PATTERN_WARM_UP * warm } else { warm };
            if i >= needed {
                let novelty = range.novelty(value);
                total += novelty;
                if novelty > greatest {
                    (greatest, furthest, before) = (novelty, stream, *range);
                }
            }
            range.learn(i, share, value, keep);
        }
        let Range { lo, hi, .. } = before;
        (total / STREAMS.len() as f64, Reason::new(STREAMS[furthest], values[furthest], lo, hi))
    }

    /// `samples` is how many samples the views have seen.
    pub(super) fn save(&self, samples: u64, out: &mut Vec<u8>) {
        for range in &self.ranges {
            range.save(out);
        }
        self.streams.short.save(samples, out);
        self.streams.long.save(samples, out);
        self.streams.seasonal.save(out);
        self.streams.means.save(&self.streams.smoothed, 0, out);
        self.streams.predictor.save(out);
        self.streams.means.save(&self.streams.smoothed, 1, out);
        self.streams.pattern.save(out);
    }

    pub(super) fn restore(samples: u64, reader: &mut Reader<'_>) -> Result<Views, DecodeError> {
        let mut views = Views::empty();
        for range in &mut views.ranges {
            *range = Range::restore(reader)?;
        }
        // the order of the bytes, which is not that in memory
        let streams = &mut views.streams;
        streams.short = MovingMin::restore(samples, reader)?;
        streams.long = MovingMin::restore(samples, reader)?;
        streams.seasonal = Seasonal::restore(reader)?;
        streams.means.restore(&mut streams.smoothed, 0, reader)?;
        streams.predictor = Predictor::restore(reader)?;
        streams.means.restore(&mut streams.smoothed, 1, reader)?;
        streams.pattern = Pattern::restore(reader)?;
        Ok(views)
    }
}
