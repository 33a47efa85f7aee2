//! The hour that is still filling: its closed 5-minute buckets and the quantile sketch of their values.

use super::hour::Hour;
use super::hours::Sealed;
use super::{Change, FINE, Needs, SLOTS, Sketch};
use crate::bucket::{Bucket, Summary};
use crate::prefetch;
use crate::sketch::DdSketch;
use crate::time::Micros;

#[derive(Debug, Clone)]
pub(super) struct OpenHour {
    start: Micros,
    /// Slots of the 5-minute buckets that have rows, ascending.
    slots: Vec<usize>,
    /// As many buckets per slot as there are sketches.
    buckets: Vec<Bucket>,
    /// The buckets of each measure merged, which most questions ask for.
    totals: Vec<Bucket>,
    sketches: Vec<DdSketch>,
}

impl OpenHour {
    pub(super) fn new(start: Micros) -> OpenHour {
        OpenHour { start, slots: Vec::new(), buckets: Vec::new(), totals: Vec::new(), sketches: Vec::new() }
    }

    pub(super) fn start(&self) -> Micros {
        self.start
    }

    fn measures(&self) -> usize {
        self.sketches.len()
    }

    /// Asks for what every question reads first; `whole` if it may be answered by the hour as one state.
    pub(super) fn prefetch(&self, picks: &[usize], needs: Needs, whole: bool) {
        if !whole {
            prefetch::slice(&self.slots);
            for row in self.buckets.chunks_exact(self.measures().max(1)) {
                picks.iter().filter_map(|&measure| row.get(measure..=measure)).for_each(prefetch::slice);
            }
            return;
        }
        picks.iter().filter_map(|&measure| self.totals.get(measure..=measure)).for_each(prefetch::slice);
        if needs.sketch {
            picks.iter().filter_map(|&measure| self.sketches.get(measure..=measure)).for_each(prefetch::slice);
        }
    }

    /// Adds rows of a bucket.
    pub(super) fn add(&mut self, start: Micros, times: &[Micros], columns: &[&[f64]]) {
        self.widen(columns.len());
        let row = self.row(start);
        for (measure, values) in columns.iter().enumerate() {
            let folded = Bucket::fold(times, values);
            self.buckets[row + measure].merge(&folded);
            self.totals[measure].merge(&folded);
            values.iter().for_each(|&value| self.sketches[measure].update(value));
        }
    }

    /// Makes a bucket anew from its rows, of which these values changed.
    pub(super) fn amend(&mut self, start: Micros, times: &[Micros], columns: &[&[f64]], changes: &[Change]) {
        self.widen(columns.len());
        let row = self.row(start);
        for (measure, values) in columns.iter().enumerate() {
            self.buckets[row + measure] = Bucket::fold(times, values);
            self.add_up(measure);
        }
        for change in changes {
            self.sketches[change.measure].remove(change.old);
            self.sketches[change.measure].update(change.new);
        }
    }

    /// Puts a finished state in its place.
    pub(super) fn put(&mut self, start: Micros, measure: usize, bucket: Bucket) {
        self.widen(measure + 1);
        let row = self.row(start);
        self.buckets[row + measure] = bucket;
        self.add_up(measure);
    }

    pub(super) fn put_sketch(&mut self, measure: usize, sketch: DdSketch) {
        self.widen(measure + 1);
        self.sketches[measure] = sketch;
    }

    /// The packed hour, or None if it has no rows; the memory is kept for the next hour, which starts at `next`.
    pub(super) fn seal(&mut self, next: Micros) -> Option<Sealed> {
        let start = std::mem::replace(&mut self.start, next);
        if self.slots.is_empty() {
            return None;
        }
        let width = self.measures();
        let mut slots = [(0, &[][..]); SLOTS];
        for ((slot, &position), buckets) in slots.iter_mut().zip(&self.slots).zip(self.buckets.chunks_exact(width)) {
            *slot = (position, buckets);
        }
        let (hour, states) = Hour::pack(start, &slots[..self.slots.len()], &self.sketches);
        self.slots.clear();
        self.buckets.clear();
        self.totals.fill(Bucket::EMPTY);
        self.sketches.iter_mut().for_each(DdSketch::clear);
        Some(Sealed { hour, states })
    }

    /// Calls `visit` with the states within `from..to`; as one state with the sketch if `whole`.
    pub(super) fn visit<S: Summary>(
        &self,
        (from, to): (Micros, Micros),
        picks: &[usize],
        whole: bool,
        visit: &mut impl FnMut(Micros, usize, S, Sketch<'_>),
    ) {
        let width = self.measures();
        for (pick, &measure) in picks.iter().enumerate().filter(|&(_, &measure)| measure < width) {
            if whole {
                let total = &self.totals[measure];
                if total.count > 0 {
                    visit(self.start, pick, total.into(), Sketch::Open(&self.sketches[measure]));
                }
                continue;
            }
            let rows = self.slots.iter().zip(self.buckets.chunks_exact(width));
            let states = rows.map(|(&slot, buckets)| (self.start + FINE * slot as Micros, &buckets[measure]));
            states
                .filter(|(start, bucket)| bucket.count > 0 && *start >= from && start + FINE <= to)
                .for_each(|(start, bucket)| visit(start, pick, bucket.into(), Sketch::None));
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<usize>()
            + (self.buckets.capacity() + self.totals.capacity()) * size_of::<Bucket>()
            + self.sketches.iter().map(|sketch| size_of::<DdSketch>() + sketch.heap_bytes()).sum::<usize>()
    }

    /// Merges the buckets of a measure, one of which changed.
    fn add_up(&mut self, measure: usize) {
        let mut total = Bucket::EMPTY;
        self.buckets.chunks_exact(self.measures()).for_each(|row| total.merge(&row[measure]));
        self.totals[measure] = total;
    }

    /// Index of the first bucket of the row of this bucket start, which is made if there is none.
    fn row(&mut self, start: Micros) -> usize {
        let slot = ((start - self.start) / FINE) as usize;
        let width = self.measures();
        match self.slots.binary_search(&slot) {
            Ok(index) => index * width,
            Err(index) => {
                self.slots.insert(index, slot);
                let at = index * width;
                self.buckets.splice(at..at, std::iter::repeat_n(Bucket::new(), width));
                at
            }
        }
    }

    /// Makes room for more measures, empty in the rows so far.
    fn widen(&mut self, measures: usize) {
        let width = self.measures();
        if measures <= width {
            return;
        }
        self.sketches.resize_with(measures, DdSketch::default);
        self.totals.resize(measures, Bucket::EMPTY);
        let mut buckets = Vec::with_capacity(self.slots.len().max(1) * measures);
        for row in 0..self.slots.len() {
            buckets.extend(self.buckets[row * width..(row + 1) * width].iter().cloned());
            buckets.resize_with((row + 1) * measures, Bucket::new);
        }
        self.buckets = buckets;
    }
}
