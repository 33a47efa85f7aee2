//! The kept buckets of one series: every closed 5-minute bucket and every hour as a mergeable state, so that a window of
//! any width is put together without reading the samples in it.
//!
//! Nothing is updated when a sample arrives. When a sample crosses the border of a 5-minute bucket, the rows of the
//! bucket that ended become one state per measure (two passes over a handful of values that are still in the cache);
//! when it crosses that of an hour, the hour's states are packed into one allocation with its quantile sketch; the state of
//! the hour as a whole, merged by the parallel formula of Chan, Golub and LeVeque (1979), is kept beside it ([`Hours`]). A
//! day is merged from its hours when it is asked for. Quantiles of less than an hour come from the samples.
//!
//! A late sample makes its 5-minute bucket anew. Kept buckets never outlive their samples: [`Rollups::valid_from`] says
//! from where on they hold.

mod hour;
mod hours;
mod open_hour;

use crate::bucket::Summary;
use crate::bytes::DecodeError;
use crate::sketch::{DdSketch, SketchSum};
use crate::time::{MICROS_PER_HOUR, MICROS_PER_MINUTE, Micros, bucket_start};
use hours::Hours;
use open_hour::OpenHour;

/// Width of the narrowest kept buckets.
pub const FINE: Micros = 5 * MICROS_PER_MINUTE;

/// Width of the buckets that also keep a quantile sketch.
pub const COARSE: Micros = MICROS_PER_HOUR;

/// 5-minute buckets of an hour.
const SLOTS: usize = (COARSE / FINE) as usize;

/// Which parts of a bucket a reader needs; the others may be left empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// The mean and the squared deviations from it. Count and sum are always there.
    pub deviations: bool,
    /// Minimum and maximum.
    pub extremes: bool,
    /// First and last value with their times.
    pub ends: bool,
    pub sketch: bool,
}

impl Needs {
    /// Everything but quantiles.
    pub const STATE: Needs = Needs { deviations: true, extremes: true, ends: true, sketch: false };
}

/// One value of a sample that was changed: what was there (NaN for nothing) and what is there now.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    pub measure: usize,
    pub old: f64,
    pub new: f64,
}

/// The kept buckets of a series, of which the samples are elsewhere.
#[derive(Debug, Clone)]
pub struct Rollups {
    hours: Hours,
    open: OpenHour,
    /// Start of the 5-minute bucket that is still filling; samples from here on are in no kept bucket.
    open_start: Micros,
    valid_from: Micros,
}

impl Default for Rollups {
    fn default() -> Rollups {
        Rollups {
            hours: Hours::default(),
            open: OpenHour::new(Micros::MIN),
            open_start: Micros::MIN,
            valid_from: Micros::MIN,
        }
    }
}

impl Rollups {
    /// Start of the 5-minute bucket that is still filling: the samples before it are in kept buckets.
    pub fn open_start(&self) -> Micros {
        self.open_start
    }

    /// Whether a sample that is the newest belongs to a later 5-minute bucket than the filling one.
    #[inline]
    pub fn ends_before(&self, time: Micros) -> bool {
        time >= self.open_start.saturating_add(FINE)
    }

    /// Closes the filling bucket, whose rows are given, because a sample at `next` follows it.
    pub fn close(&mut self, times: &[Micros], columns: &[&[f64]], next: Micros) {
        if !times.is_empty() {
            self.open.add(self.open_start, times, columns);
        }
        self.open_at(bucket_start(next, FINE));
    }

    /// Adds the rows of whole buckets, in order: how the kept buckets are made of samples that are there already.
    /// [`Rollups::open_at`] ends it.
    pub fn absorb(&mut self, times: &[Micros], columns: &[&[f64]]) {
        let mut from = 0;
        while from < times.len() {
            let start = bucket_start(times[from], FINE);
            let to = from + times[from..].partition_point(|&time| time < start + FINE);
            self.turn_to(bucket_start(start, COARSE));
            let rows: Vec<&[f64]> = columns.iter().map(|column| &column[from..to]).collect();
            self.open.add(start, &times[from..to], &rows);
            from = to;
        }
    }

    /// Says where the filling bucket starts.
    pub fn open_at(&mut self, open_start: Micros) {
        self.open_start = open_start;
        self.turn_to(bucket_start(open_start, COARSE));
    }

    fn turn_to(&mut self, hour: Micros) {
        if hour != self.open.start()
            && let Some(sealed) = self.open.seal(hour)
        {
            self.hours.put(sealed);
        }
    }

    /// Makes the kept bucket of a late sample anew from all its rows.
    pub fn amend(
        &mut self,
        time: Micros,
        times: &[Micros],
        columns: &[&[f64]],
        changes: &[Change],
    ) -> Result<(), DecodeError> {
        let start = bucket_start(time, FINE);
        let hour = bucket_start(time, COARSE);
        if hour == self.open.start() {
            self.open.amend(start, times, columns, changes);
            return Ok(());
        }
        let mut opened = self.hours.reopen(hour)?;
        opened.amend(start, times, columns, changes);
        if let Some(sealed) = opened.seal(hour) {
            self.hours.put(sealed);
        }
        Ok(())
    }

    /// Forgets the buckets before the oldest sample that is left.
    pub fn trim(&mut self, first: Micros) {
        self.valid_from = self.valid_from.max(first);
        self.hours.drop_until(first);
    }

    /// The part of `from..to` (`to` exclusive) that kept buckets answer: for quantiles whole hours (the open hour as far
    /// as it is kept), else whole 5-minute buckets. Empty if there is none; its ends then are equal.
    pub fn kept(&self, (from, to): (Micros, Micros), quantiles: bool) -> (Micros, Micros) {
        let width = if quantiles { COARSE } else { FINE };
        let from = from.max(self.valid_from);
        let start = bucket_start(from.saturating_add(width - 1), width);
        let end = if to >= self.open_start { self.open_start } else { bucket_start(to, width) };
        if start < end { (start, end) } else { (from, from) }
    }

    /// The most 5-minute buckets that may be kept.
    pub fn len_bound(&self) -> usize {
        (self.hours.len() + 1) * SLOTS
    }

    /// Asks for the memory that [`Rollups::visit`] reads first.
    #[inline]
    pub fn prefetch(&self, picks: &[usize], needs: Needs, hours: bool) {
        self.hours.prefetch(picks, needs, hours);
        self.open.prefetch(picks, needs, hours);
    }

    /// Calls `visit` with every kept state of the measures `picks` within `span`, which [`Rollups::kept`] gave: whole
    /// hours where `hours` allows them, else 5-minute buckets. The arguments are the start of the state, the position in
    /// `picks`, the state, and the sketch that whole hours have.
    pub fn visit<S: Summary>(
        &self,
        (from, to): (Micros, Micros),
        picks: &[usize],
        needs: Needs,
        hours: bool,
        mut visit: impl FnMut(Micros, usize, S, Sketch<'_>),
    ) -> Result<(), DecodeError> {
        // the hours at the ends may lie in part within the span, those between them as a whole
        let inner = (bucket_start(from.saturating_add(COARSE - 1), COARSE), bucket_start(to, COARSE));
        if hours && inner.0 < inner.1 {
            self.hours.visit_fine((from, inner.0), picks, needs, &mut visit)?;
            self.hours.visit_whole(inner, picks, needs, &mut visit)?;
            self.hours.visit_fine((inner.1, to), picks, needs, &mut visit)?;
        } else {
            self.hours.visit_fine((from, to), picks, needs, &mut visit)?;
        }
        let whole = hours && self.open.start() >= from && self.open_start <= to;
        self.open.visit((from, to), picks, whole, &mut visit);
        Ok(())
    }

    /// Heap bytes; `allocated` says what the allocator spends on a slice.
    pub fn heap_bytes(&self, allocated: impl Fn(&[u8]) -> usize) -> usize {
        self.hours.heap_bytes(allocated) + self.open.heap_bytes()
    }

    /// The packed hours, for whoever defragments memory.
    pub fn allocations_mut(&mut self) -> impl Iterator<Item = &mut Box<[u8]>> {
        self.hours.allocations_mut()
    }
}

/// The quantile sketch that comes with a visited state.
#[derive(Clone, Copy)]
pub enum Sketch<'a> {
    /// There is none: the state is that of less than an hour.
    None,
    Packed(&'a [u8]),
    Open(&'a DdSketch),
}

impl Sketch<'_> {
    /// Adds the sketch's values to a sum.
    pub fn add_to(&self, sum: &mut SketchSum) -> Result<(), DecodeError> {
        match self {
            Sketch::None => Ok(()),
            Sketch::Packed(bytes) => sum.add_packed(bytes),
            Sketch::Open(sketch) => {
                sum.add_sketch(sketch);
                Ok(())
            }
        }
    }
}
