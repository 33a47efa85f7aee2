//! The closed hours of a series: packed one by one, with their states side by side, measure by measure. A question about a
//! day then reads a kilobyte in a row instead of waiting for a cache line of each hour.

use super::hour::{Hour, Scratch, State};
use super::open_hour::OpenHour;
use super::{COARSE, Needs, Sketch};
use crate::bucket::Bucket;
use crate::bytes::DecodeError;
use crate::prefetch;
use crate::time::Micros;

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
    /// A list per measure, each with a state per hour.
    states: Vec<Vec<State>>,
}

impl Hours {
    pub(super) fn len(&self) -> usize {
        self.packed.len()
    }

    /// Asks for what every question reads first.
    pub(super) fn prefetch(&self, picks: &[usize]) {
        prefetch::slice(&self.packed);
        picks.iter().filter_map(|&measure| self.states.get(measure)).for_each(|list| prefetch::slice(list));
    }

    /// Puts an hour in its place, instead of the one that is there.
    pub(super) fn put(&mut self, sealed: Sealed) {
        let Sealed { hour, states } = sealed;
        let hours = self.packed.len();
        if self.states.len() < states.len() {
            self.states.resize_with(states.len(), || vec![State::EMPTY; hours]);
        }
        let newer = self.packed.last().is_none_or(|last| hour.start() > last.start());
        let place = if newer { Err(hours) } else { self.find(hour.start()) };
        let state_of = |measure: usize| states.get(measure).copied().unwrap_or(State::EMPTY);
        let lists = self.states.iter_mut().enumerate();
        match place {
            Ok(index) => {
                lists.for_each(|(measure, list)| list[index] = state_of(measure));
                self.packed[index] = hour;
            }
            Err(index) => {
                lists.for_each(|(measure, list)| list.insert(index, state_of(measure)));
                self.packed.insert(index, hour);
            }
        }
    }

    /// The hour that starts then, unpacked so that it can be changed.
    pub(super) fn reopen(&self, start: Micros) -> Result<OpenHour, DecodeError> {
        match self.find(start) {
            Ok(index) => self.packed[index].reopen(),
            Err(_) => Ok(OpenHour::new(start)),
        }
    }

    /// Forgets the hours that end by `time`.
    pub(super) fn drop_until(&mut self, time: Micros) {
        let gone = self.packed.iter().take_while(|hour| hour.start() + COARSE <= time).count();
        self.packed.drain(..gone);
        self.states.iter_mut().for_each(|list| drop(list.drain(..gone)));
    }

    /// Visits the 5-minute buckets within `from..to`.
    pub(super) fn visit_fine(
        &self,
        (from, to): (Micros, Micros),
        picks: &[usize],
        needs: Needs,
        visit: &mut impl FnMut(Micros, usize, Bucket, Sketch<'_>),
    ) -> Result<(), DecodeError> {
        let touched = self.touched(from, to);
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

    /// Visits the hours that lie within `from..to`, measure by measure.
    pub(super) fn visit_whole(
        &self,
        (from, to): (Micros, Micros),
        picks: &[usize],
        needs: Needs,
        visit: &mut impl FnMut(Micros, usize, Bucket, Sketch<'_>),
    ) -> Result<(), DecodeError> {
        let touched = self.touched(from, to);
        if needs.sketch {
            self.whole(touched.clone(), picks).for_each(|(hour, _, state)| hour.prefetch_sketch(state));
        }
        for (hour, pick, state) in self.whole(touched, picks) {
            let mut bucket = state.bucket(hour.start());
            if needs.ends
                && let Some(ends) = hour.ends(picks[pick])?
            {
                (bucket.first, bucket.last) = ends;
            }
            let sketch = if needs.sketch { Sketch::Packed(hour.sketch(state)?) } else { Sketch::None };
            visit(hour.start(), pick, bucket, sketch);
        }
        Ok(())
    }

    /// The states that hold values, each with its hour and the position of its measure in `picks`.
    fn whole(&self, hours: std::ops::Range<usize>, picks: &[usize]) -> impl Iterator<Item = (&Hour, usize, &State)> {
        hours.flat_map(move |index| {
            let lists = picks.iter().enumerate().filter_map(|(pick, &measure)| Some((pick, self.states.get(measure)?)));
            let states = lists.map(move |(pick, list)| (&self.packed[index], pick, &list[index]));
            states.filter(|(_, _, state)| !state.is_empty())
        })
    }

    fn find(&self, start: Micros) -> Result<usize, usize> {
        self.packed.binary_search_by_key(&start, Hour::start)
    }

    /// The hours that share a moment with `from..to`.
    fn touched(&self, from: Micros, to: Micros) -> std::ops::Range<usize> {
        let first = self.packed.partition_point(|hour| hour.start() + COARSE <= from);
        let last = self.packed.partition_point(|hour| hour.start() < to);
        first..last.max(first)
    }

    /// Heap bytes; `allocated` says what the allocator spends on a slice.
    pub(super) fn heap_bytes(&self, allocated: impl Fn(&[u8]) -> usize) -> usize {
        self.packed.capacity() * size_of::<Hour>()
            + self.packed.iter().map(|hour| allocated(hour.data())).sum::<usize>()
            + self.states.capacity() * size_of::<Vec<State>>()
            + self.states.iter().map(|list| list.capacity() * size_of::<State>()).sum::<usize>()
    }

    pub(super) fn allocations_mut(&mut self) -> impl Iterator<Item = &mut Box<[u8]>> {
        self.packed.iter_mut().map(Hour::data_mut)
    }
}
