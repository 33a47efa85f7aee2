//! Measures under watch: each sample is judged as it comes, by the same detector and with the same state as in PostgreSQL.

use super::Series;
use series::bytes::DecodeError;
use series::prefetch;
use series::time::Micros;
use series::watch::Watch;

/// Alarms that are kept for the table to catch up; older ones are dropped first, since the samples themselves are pending.
pub const MAX_ALARMS: usize = 256;

/// The sample that opened an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Alarm {
    pub measure: usize,
    pub time: Micros,
    pub value: f64,
    pub score: f64,
    /// NaN where the detector had no expectation, as the band.
    pub expected: f64,
    pub lower: f64,
    pub upper: f64,
    pub method: &'static str,
    /// The detector's reason, such as `level`.
    pub reason: String,
}

/// The watches of a series in the order of their measures, and the alarms that the table does not have.
#[derive(Debug, Clone, Default)]
pub struct Watches {
    watches: Vec<Watched>,
    alarms: Vec<Alarm>,
}

/// As small as can be, and three of them at most 2 KiB, which the server's allocator puts into one page: where many series take
/// turns, each page that a sample touches costs as much as the arithmetic of a watch.
#[derive(Debug, Clone)]
struct Watched {
    watch: Watch,
    measure: u16,
    /// A sample came too late to be judged. Not saved: a server that has loaded its data is given all states anew.
    behind: bool,
}

/// What judging a sample gave.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Judged {
    /// The greatest score among the watched measures that the sample has a value of; None if there are none.
    pub score: Option<f64>,
    /// Alarms it raised.
    pub alarms: usize,
}

impl Watches {
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.watches.is_empty()
    }

    /// Position and watch of each watched measure.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Watch)> {
        self.watches.iter().map(|watched| (usize::from(watched.measure), &watched.watch))
    }

    /// The place of a measure's watch, or where it would be.
    fn place(&self, measure: usize) -> Result<usize, usize> {
        self.watches.binary_search_by_key(&measure, |watched| usize::from(watched.measure))
    }

    /// Whether the watch of a measure has passed over a sample.
    pub fn is_behind(&self, measure: usize) -> bool {
        self.place(measure).is_ok_and(|place| self.watches[place].behind)
    }

    /// Notes that a measure got a value where its watch cannot go back to.
    pub fn pass_over(&mut self, measure: usize) {
        if let Ok(place) = self.place(measure) {
            self.watches[place].behind = true;
        }
    }

    pub fn alarms(&self) -> &[Alarm] {
        &self.alarms
    }

    /// The newest `count` alarms.
    pub fn newest(&self, count: usize) -> &[Alarm] {
        &self.alarms[self.alarms.len().saturating_sub(count)..]
    }

    /// Puts a measure under this watch, or ends its watch.
    pub fn set(&mut self, measure: usize, watch: Option<Watch>) {
        let place = self.place(measure);
        let Some(watch) = watch else {
            if let Ok(place) = place {
                self.watches.remove(place);
                self.watches.shrink_to_fit();
            }
            return;
        };
        let watched = Watched { watch, measure: measure as u16, behind: false };
        match place {
            Ok(place) => self.watches[place] = watched,
            Err(place) => {
                self.watches.reserve_exact(1);
                self.watches.insert(place, watched);
            }
        }
    }

    /// Adds an alarm that was kept, as when a state is read back.
    pub fn keep(&mut self, alarm: Alarm) {
        if self.alarms.len() == MAX_ALARMS {
            self.alarms.remove(0);
        }
        self.alarms.push(alarm);
    }

    /// Forgets the alarms at these times.
    pub fn forget(&mut self, gone: impl Fn(Micros) -> bool) {
        self.alarms.retain(|alarm| !gone(alarm.time));
    }

    fn forget_measure(&mut self, measure: usize) {
        self.alarms.retain(|alarm| alarm.measure != measure);
    }

    /// Asks for the memory of all watches before the first is judged; see [`Watch::prefetch`].
    #[inline]
    pub fn prefetch(&self) {
        prefetch::slice(&self.watches);
    }

    /// Judges the values of a new sample; a measure that it lacks is missing.
    pub fn judge(&mut self, time: Micros, value_of: impl Fn(usize) -> f64) -> Judged {
        self.watches.iter().for_each(|watched| watched.watch.prefetch());
        let mut judged = Judged::default();
        for place in 0..self.watches.len() {
            let value = value_of(usize::from(self.watches[place].measure));
            self.judge_at(place, time, value, &mut judged);
        }
        judged
    }

    /// Judges one value.
    pub fn judge_value(&mut self, measure: usize, time: Micros, value: f64, judged: &mut Judged) {
        if let Ok(place) = self.place(measure) {
            self.judge_at(place, time, value, judged);
        }
    }

    fn judge_at(&mut self, place: usize, time: Micros, value: f64, judged: &mut Judged) {
        let Watched { watch, measure, .. } = &mut self.watches[place];
        let measure = usize::from(*measure);
        let (reading, changes) = watch.score(time, value);
        if !value.is_nan() {
            judged.score = Some(judged.score.map_or(reading.score, |score| score.max(reading.score)));
        }
        if changes.opened {
            let alarm = Alarm {
                measure,
                time,
                value,
                score: reading.score,
                expected: reading.expected,
                lower: reading.lower,
                upper: reading.upper,
                method: watch.method().name(),
                reason: reading.reason.map_or_else(String::new, |reason| reason.code.to_owned()),
            };
            self.keep(alarm);
            judged.alarms += 1;
        }
    }

    pub fn heap_bytes(&self) -> usize {
        self.watches.capacity() * size_of::<Watched>()
            + self.watches.iter().map(|watched| watched.watch.heap_bytes()).sum::<usize>()
            + self.alarms.capacity() * size_of::<Alarm>()
    }
}

impl Series {
    pub fn watches(&self) -> &Watches {
        &self.watches
    }

    /// Puts a measure under a watch that has learned the samples up to `after`: those that came later are judged now.
    /// Alarms of samples that the table has are its business. Returns those that were not known.
    pub fn watch(&mut self, measure: usize, after: Micros, watch: Watch) -> Result<Vec<Alarm>, DecodeError> {
        let rows = self.rows_between(after.saturating_add(1), Micros::MAX, &[measure])?;
        let known: Vec<Micros> =
            self.watches.alarms().iter().filter(|alarm| alarm.measure == measure).map(|alarm| alarm.time).collect();
        self.watches.forget_measure(measure);
        // set aside, so that judging a day again cannot push the alarms of other measures out
        let others = std::mem::take(&mut self.watches.alarms);
        self.watches.set(measure, Some(watch));
        let mut judged = Judged::default();
        for (&time, &value) in rows.times.iter().zip(&rows.columns[0]) {
            self.watches.judge_value(measure, time, value, &mut judged);
        }
        self.forget_alarms();
        let found = std::mem::replace(&mut self.watches.alarms, others);
        found.into_iter().for_each(|alarm| self.watches.keep(alarm));
        let raised = self.watches.alarms().iter().filter(|alarm| alarm.measure == measure);
        Ok(raised.filter(|alarm| !known.contains(&alarm.time)).cloned().collect())
    }

    /// Forgets the alarms whose samples the table has.
    pub(super) fn forget_alarms(&mut self) {
        let (mark, late) = (self.mark, &self.late);
        let pending = |time| time > mark || late.binary_search_by_key(&time, |&(time, _)| time).is_ok();
        self.watches.forget(|time| !pending(time));
    }

    /// Goes back to these watches and alarms.
    pub fn put_back(&mut self, watches: Watches) {
        self.watches = watches;
    }

    /// Ends the watch of a measure.
    pub fn unwatch(&mut self, measure: usize) {
        self.watches.set(measure, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_watches_take_at_most_two_kibibytes_beside_what_they_need_now_and_then() {
        assert!(3 * size_of::<Watched>() <= 2048, "{}", size_of::<Watched>());
    }
}
