//! The seven views of a series and their remembered ranges.

use super::long_min::{Blocks, LongMin};
use super::moving_means::{Groups, MovingMeans};
use super::moving_min::MovingMin;
use super::pattern::{Means, Pattern};
use super::predictor::Predictor;
use super::ranges::Ranges;
use super::seasonal::{Seasonal, Slots};
use crate::bytes::{DecodeError, Reader};
use crate::detect::Reason;

/// Window of the short moving minimum: "sustained for this many samples".
const SHORT: usize = 6;
/// The pattern stream needs this many times the warm-up of the others.
const PATTERN_WARM_UP: u64 = 3;

const STREAMS: [&str; 7] =
    ["level", "log_level", "sustained_short", "sustained_long", "seasonal", "predictability", "pattern"];
const PATTERN: usize = 6;

/// What every sample needs. Much of what the views remember is needed only now and then; it lies apart, so that a sample
/// touches little memory.
#[derive(Debug, Clone)]
pub(super) struct Views {
    ranges: Ranges<7>,
    streams: Streams,
    past: Box<Past>,
}

#[derive(Debug, Clone)]
struct Streams {
    predictor: Predictor,
    short: MovingMin<SHORT>,
    long: LongMin,
    pattern: Pattern,
    /// Of the seasonal residual and the prediction error.
    means: MovingMeans,
    seasonal: Seasonal,
}

/// What a stream needs when its block, group, bucket or hour ends.
#[derive(Debug, Clone)]
struct Past {
    groups: Groups,
    blocks: Blocks,
    slots: Slots,
    buckets: Means,
}

impl Streams {
    fn new(first: f64) -> Streams {
        Streams {
            predictor: Predictor::new(first),
            short: MovingMin::new(),
            long: LongMin::new(),
            pattern: Pattern::new(),
            means: MovingMeans::default(),
            seasonal: Seasonal::new(first),
        }
    }

    /// Value of each stream at sample number `i`, whose share of all samples is 1 / (i + 1); `lx` is the signed logarithm of
    /// `x`. Inlined: values that are returned in memory and at once read two at a time make the processor wait.
    #[inline(always)]
    fn push(&mut self, past: &mut Past, i: u64, share: f64, slot: usize, x: f64, lx: f64) -> [f64; 7] {
        let new = [self.seasonal.push(&mut past.slots, share, slot, lx), self.predictor.push(i, share, lx)];
        let [residual, error] = self.means.push(&mut past.groups, i, new);
        let long = self.long.push(&mut past.blocks, i, x);
        [x, lx, self.short.push(x), long, residual, error, self.pattern.push(&mut past.buckets, i, lx)]
    }
}

impl Views {
    /// Before the first sample.
    pub(super) fn empty() -> Views {
        let past =
            Past { groups: Groups::default(), blocks: Blocks::new(), slots: Slots::new(), buckets: Means::new() };
        Views { ranges: Ranges::new([0.0; 7]), streams: Streams::new(0.0), past: Box::new(past) }
    }

    /// From the first sample.
    #[cold]
    pub(super) fn begin(&mut self, slot: usize, x: f64, lx: f64) {
        self.streams = Streams::new(lx);
        self.ranges = Ranges::new(self.streams.push(&mut self.past, 0, 1.0, slot, x, lx));
    }

    /// Asks for the memory apart that sample number `i` needs.
    #[inline]
    pub(super) fn prefetch(&self, i: u64) {
        self.past.groups.prefetch(i);
        self.past.blocks.prefetch(i);
        self.past.buckets.prefetch(i);
    }

    pub(super) fn heap_bytes(&self) -> usize {
        size_of::<Past>()
    }

    /// Signed logarithm of the value that the hour of day and kind of day let expect.
    #[inline]
    pub(super) fn expected(&self, slot: usize) -> f64 {
        self.streams.seasonal.expected(&self.past.slots, slot)
    }

    /// The remembered range of the values themselves.
    pub(super) fn level_range(&self) -> (f64, f64) {
        self.ranges.of(0)
    }

    /// Mean novelty over the streams of sample number `i` (from 1), and the stream that left its range furthest; None if none
    /// has left it. Streams report from sample number `warm` on. Learns the sample.
    #[inline]
    pub(super) fn judge(
        &mut self,
        i: u64,
        slot: usize,
        x: f64,
        lx: f64,
        warm: u64,
        keep: f64,
    ) -> Option<(f64, Reason)> {
        let share = 1.0 / (i + 1) as f64;
        let values = self.streams.push(&mut self.past, i, share, slot, x, lx);
        let novelty = if i >= warm && self.ranges.any_left(&values) { self.novelty(i, &values, warm) } else { None };
        self.ranges.learn(i, share, &values, keep);
        novelty
    }

    /// Apart, since few samples are new to any stream.
    #[cold]
    fn novelty(&self, i: u64, values: &[f64; 7], warm: u64) -> Option<(f64, Reason)> {
        let reporting = if i >= PATTERN_WARM_UP * warm { PATTERN + 1 } else { PATTERN };
        let mut total = 0.0;
        let (mut greatest, mut furthest) = (0.0, 0);
        for (stream, &value) in values[..reporting].iter().enumerate() {
            let novelty = self.ranges.novelty(stream, value);
            total += novelty;
            if novelty > greatest {
                (greatest, furthest) = (novelty, stream);
            }
        }
        let (lo, hi) = self.ranges.of(furthest);
        let reason = Reason::new(STREAMS[furthest], values[furthest], lo, hi);
        (total > 0.0).then_some((total / STREAMS.len() as f64, reason))
    }

    /// `samples` is how many samples the views have seen.
    pub(super) fn save(&self, samples: u64, out: &mut Vec<u8>) {
        let (streams, past) = (&self.streams, &*self.past);
        self.ranges.save(out);
        streams.short.save(out);
        streams.long.save(&past.blocks, samples, out);
        streams.seasonal.save(&past.slots, out);
        streams.means.save(&past.groups, samples, 0, out);
        streams.predictor.save(out);
        streams.means.save(&past.groups, samples, 1, out);
        streams.pattern.save(&past.buckets, samples, out);
    }

    pub(super) fn restore(samples: u64, reader: &mut Reader<'_>) -> Result<Views, DecodeError> {
        let mut views = Views { ranges: Ranges::restore(reader)?, ..Views::empty() };
        let (streams, past) = (&mut views.streams, &mut *views.past);
        streams.short = MovingMin::restore(samples, reader)?;
        streams.long = LongMin::restore(&mut past.blocks, samples, reader)?;
        streams.seasonal = Seasonal::restore(&mut past.slots, reader)?;
        streams.means.restore(&mut past.groups, samples, 0, reader)?;
        streams.predictor = Predictor::restore(reader)?;
        streams.means.restore(&mut past.groups, samples, 1, reader)?;
        streams.pattern = Pattern::restore(&mut past.buckets, samples, reader)?;
        Ok(views)
    }
}
