//! The seven views of a series and their remembered ranges.

use super::moving_mean::MovingMean;
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

#[derive(Debug, Clone)]
pub(super) struct Views {
    ranges: [Range; 7],
    streams: Streams,
}

#[derive(Debug, Clone)]
struct Streams {
    short: MovingMin<SHORT>,
    long: MovingMin<LONG>,
    seasonal: Seasonal,
    residual: MovingMean<SMOOTH>,
    predictor: Predictor,
    error: MovingMean<SMOOTH>,
    pattern: Pattern,
}

impl Streams {
    /// Value of each stream at sample number `i`; `lx` is the signed logarithm of `x`.
    fn push(&mut self, i: u64, slot: usize, x: f64, lx: f64) -> [f64; 7] {
        [
            x,
            lx,
            self.short.push(i, x),
            self.long.push(i, x),
            self.residual.push(i, self.seasonal.push(i, slot, lx)),
            self.error.push(i, self.predictor.push(i, lx)),
            self.pattern.push(lx),
        ]
    }
}

impl Views {
    /// From the first sample.
    pub(super) fn new(slot: usize, x: f64, lx: f64) -> Views {
        let mut streams = Streams {
            short: MovingMin::new(),
            long: MovingMin::new(),
            seasonal: Seasonal::new(lx),
            residual: MovingMean::new(),
            predictor: Predictor::new(lx),
            error: MovingMean::new(),
            pattern: Pattern::new(),
        };
        let ranges = streams.push(0, slot, x, lx).map(Range::new);
        Views { ranges, streams }
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
        let values = self.streams.push(i, slot, x, lx);
        let mut total = 0.0;
        let (mut greatest, mut furthest) = (0.0, 0);
        let before = self.ranges;
        for (stream, (range, &value)) in self.ranges.iter_mut().zip(&values).enumerate() {
            let needed = if stream == PATTERN { PATTERN_WARM_UP * warm } else { warm };
            if i >= needed {
                let novelty = range.novelty(value);
                total += novelty;
                if novelty > greatest {
                    (greatest, furthest) = (novelty, stream);
                }
            }
            range.learn(i, value, keep);
        }
        let Range { lo, hi, .. } = before[furthest];
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
        self.streams.residual.save(out);
        self.streams.predictor.save(out);
        self.streams.error.save(out);
        self.streams.pattern.save(out);
    }

    pub(super) fn restore(samples: u64, reader: &mut Reader<'_>) -> Result<Views, DecodeError> {
        let mut ranges = [Range::new(0.0); 7];
        for range in &mut ranges {
            *range = Range::restore(reader)?;
        }
        let streams = Streams {
            short: MovingMin::restore(samples, reader)?,
            long: MovingMin::restore(samples, reader)?,
            seasonal: Seasonal::restore(reader)?,
            residual: MovingMean::restore(reader)?,
            predictor: Predictor::restore(reader)?,
            error: MovingMean::restore(reader)?,
            pattern: Pattern::restore(reader)?,
        };
        Ok(Views { ranges, streams })
    }
}
