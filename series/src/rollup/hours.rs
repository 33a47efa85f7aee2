//! The closed hours of a series: packed one by one, with their states side by side, measure by measure. A question about a
//! day then reads a kilobyte in a row instead of waiting for a cache line of each hour.

use super::hour::{Hour, Scratch, State};
use super::open_hour::OpenHour;
use super::{COARSE, Needs, Sketch};
use crate::bucket::Summary;
use crate::bytes::DecodeError;
use crate::prefetch;
use crate::time::Micros;
use std::ops::Range;

/// A packed hour with the state of each measure.
#[derive(Debug)]
pub(super) struct Sealed {
    pub(super) hour: Hour,
    pub(super) states: Vec<State>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Hours {
    /// Those that hold samples, oldest first.
    packed: Vec<Hour>,
    /// A state per hour of the first measure, then of the next.
    states: Vec<State>,
}

impl Hours {
    pub(super) fn len(&self) -> usize {
        self.packed.len()
    }

    fn measures(&self) -> usize {
        self.states.len().checked_div(self.len()).unwrap_or(0)
    }

    /// The states of a measure, one per hour; None if no hour knows it.
    fn states(&self, measure: usize) -> Option<&[State]> {
        (measure < self.measures()).then(|| &self.states[measure * self.len()..][..self.len()])
    }

    /// Asks for what every question reads first; `whole` if it may be answered by whole hours.
    pub(super) fn prefetch(&self, picks: &[usize], needs: Needs, whole: bool) {
        picks.iter().filter_map(|&measure| self.states(measure)).for_each(prefetch::slice);
        if !whole || needs.sketch || needs.ends {
            prefetch::slice(&self.packed);
        }
    }

    /// Puts an hour in its place, instead of the one that is there.
    pub(super) fn put(&mut self, sealed: Sealed) {
        let Sealed { hour, states } = sealed;
        let start = hour.start();
        let newer = self.packed.last().is_none_or(|last| start > last.start());
        let place = if newer { Err(self.len()) } else { self.packed.binary_search_by_key(&start, Hour::start) };
        let (before, after) = match place {
            Ok(index) => (0..index, index + 1..self.len()),
            Err(index) => (0..index, index..self.len()),
        };
        let measures = self.measures().max(states.len());
        let mut lists = Vec::with_capacity(measures * (before.len() + 1 + after.len()));
        for measure in 0..measures {
            let known = self.states(measure);
            let kept = |hours: Range<usize>| {
                hours.map(|hour| known.map_or_else(|| State::empty(self.packed[hour].start()), |list| list[hour]))
            };
            lists.extend(kept(before.clone()));
            lists.push(states.get(measure).copied().unwrap_or_else(|| State::empty(start)));
            lists.extend(kept(after.clone()));
        }
        self.states = lists;
        match place {
            Ok(index) => self.packed[index] = hour,
            Err(index) => self.packed.insert(index, hour),
        }
    }

    /// The hour that starts then, unpacked so that it can be changed.
    pub(super) fn reopen(&self, start: Micros) -> Result<OpenHour, DecodeError> {
        match self.packed.binary_search_by_key(&start, Hour::start) {
            Ok(index) => self.packed[index].reopen(),
            Err(_) => Ok(OpenHour::new(start)),
        }
    }

    /// Forgets the hours that end by `time`.
    pub(super) fn drop_until(&mut self, time: Micros) {
        let over = |start: Micros| start + COARSE <= time;
        if self.packed.first().is_some_and(|hour| over(hour.start())) {
            self.states.retain(|state| !over(state.start()));
            self.packed.retain(|hour| !over(hour.start()));
        }
    }

    /// Visits the 5-minute buckets within `from..to`.
    pub(super) fn visit_fine<S: Summary>(
        &self,
        (from, to): (Micros, Micros),
        picks: &[usize],
        needs: Needs,
        visit: &mut impl FnMut(Micros, usize, S, Sketch<'_>),
    ) -> Result<(), DecodeError> {
        let touched = self.touched(from, to, picks);
        if touched.is_empty() {
            return Ok(());
        }
        Hour::prefetch(&self.packed[touched.clone()], picks, needs);
        let mut scratch = Scratch::default();
        for hour in &self.packed[touched] {
            for (pick, &measure) in picks.iter().enumerate() {
                hour.fine(measure, (from, to), needs, &mut scratch, |start, bucket| {
                    visit(start, pick, bucket, Sketch::None)
                })?;
            }
        }
        Ok(())
    }

    /// Visits the hours that lie within `from..to`, hour by hour.
    pub(super) fn visit_whole<S: Summary>(
        &self,
        (from, to): (Micros, Micros),
        picks: &[usize],
        needs: Needs,
        visit: &mut impl FnMut(Micros, usize, S, Sketch<'_>),
    ) -> Result<(), DecodeError> {
        let touched = self.touched(from, to, picks);
        if needs.sketch {
            self.whole(touched.clone(), picks).for_each(|(hour, _, state)| self.packed[hour].prefetch_sketch(state));
        }
        for (hour, pick, state) in self.whole(touched, picks) {
            let mut bucket = state.bucket(needs);
            if needs.ends
                && let Some(ends) = self.packed[hour].ends(picks[pick])?
            {
                (bucket.first, bucket.last) = ends;
            }
            let sketch = if needs.sketch { Sketch::Packed(self.packed[hour].sketch(state)?) } else { Sketch::None };
            visit(state.start(), pick, bucket.into(), sketch);
        }
        Ok(())
    }

    /// The states that hold values, each with the positions of its hour and of its measure in `picks`.
    fn whole(&self, hours: Range<usize>, picks: &[usize]) -> impl Iterator<Item = (usize, usize, &State)> {
        hours.flat_map(move |hour| {
            let lists = picks.iter().enumerate().filter_map(|(pick, &measure)| Some((pick, self.states(measure)?)));
            lists.map(move |(pick, list)| (hour, pick, &list[hour])).filter(|(_, _, state)| !state.is_empty())
        })
    }

    /// The hours that share a moment with `from..to`; none if they know none of the picked measures.
    fn touched(&self, from: Micros, to: Micros, picks: &[usize]) -> Range<usize> {
        let Some(list) = picks.iter().find_map(|&measure| self.states(measure)) else { return 0..0 };
        // most questions are about all hours, or about the last ones
        let first = match list.first() {
            Some(oldest) if oldest.start() + COARSE > from => 0,
            _ => list.partition_point(|state| state.start() + COARSE <= from),
        };
        let last = match list.last() {
            Some(newest) if newest.start() < to => list.len(),
            _ => list.partition_point(|state| state.start() < to),
        };
        first..last.max(first)
    }

    /// Heap bytes; `allocated` says what the allocator spends on a slice.
    pub(super) fn heap_bytes(&self, allocated: impl Fn(&[u8]) -> usize) -> usize {
        self.packed.capacity() * size_of::<Hour>()
            + self.packed.iter().map(|hour| allocated(hour.data())).sum::<usize>()
            + self.states.capacity() * size_of::<State>()
    }

    pub(super) fn allocations_mut(&mut self) -> impl Iterator<Item = &mut Box<[u8]>> {
        self.packed.iter_mut().map(Hour::data_mut)
    }
}
