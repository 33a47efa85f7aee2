//! Measures under watch: each sample is judged as it comes, by the same detector and with the same state as in PostgreSQL.

use super::Series;
use series::bytes::DecodeError;
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

/// The watches of a series by measure, and the alarms that the table does not have.
#[derive(Debug, Clone, Default)]
pub struct Watches {
    watches: Vec<Option<Watched>>,
    alarms: Vec<Alarm>,
}

#[derive(Debug, Clone)]
struct Watched {
    watch: Watch,
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
        self.watches.iter().enumerate().filter_map(|(measure, watched)| Some((measure, &watched.as_ref()?.watch)))
    }

    /// Whether the watch of a measure has passed over a sample.
    pub fn is_behind(&self, measure: usize) -> bool {
        matches!(self.watches.get(measure), Some(Some(watched)) if watched.behind)
    }

    /// Notes that a measure got a value where its watch cannot go back to.
    pub fn pass_over(&mut self, measure: usize) {
        if let Some(Some(watched)) = self.watches.get_mut(measure) {
            watched.behind = true;
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
        if self.watches.len() <= measure {
            self.watches.resize_with(measure + 1, || None);
        }
        self.watches[measure] = watch.map(|watch| Watched { watch, behind: false });
        while self.watches.last().is_some_and(Option::is_none) {
            self.watches.pop();
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

    /// Asks for the memory of all detectors before the first is judged; see [`Watch::prefetch`].
    #[inline]
    pub fn prefetch(&self, time: Micros) {
        self.watches.iter().flatten().for_each(|watched| watched.watch.prefetch(time));
    }

    /// Judges the values of a new sample; a measure that it lacks is missing.
    pub fn judge(&mut self, time: Micros, value_of: impl Fn(usize) -> f64) -> Judged {
        let mut judged = Judged::default();
        for measure in 0..self.watches.len() {
            self.judge_value(measure, time, value_of(measure), &mut judged);
        }
        judged
    }

    /// Judges one value.
    pub fn judge_value(&mut self, measure: usize, time: Micros, value: f64, judged: &mut Judged) {
        let Some(Some(Watched { watch, .. })) = self.watches.get_mut(measure) else { return };
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
        self.watches.capacity() * size_of::<Option<Watched>>()
            + self.watches.iter().flatten().map(|watched| watched.watch.heap_bytes()).sum::<usize>()
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
