//! Writing a sample: in order at the end, or wherever an older time belongs.

use super::measures::{MAX_MEASURES, MAX_NAME};
use super::read::Rows;
use super::watches::Judged;
use super::{BLOCK_ROWS, OPEN_ROWS, Series, TIME_RANGE};
use series::block::Block;
use series::rollup::Change;
use series::time::Micros;
use smallvec::SmallVec;

/// Why a sample was refused; nothing was changed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum AddError {
    #[error("time is outside the years 1 to 9999")]
    Time,
    #[error("the times of a batch must ascend")]
    Order,
    #[error("no measure has a value")]
    NoValue,
    #[error("value of \"{0}\" is infinite")]
    Infinite(String),
    #[error("a series has at most {MAX_MEASURES} measures")]
    TooManyMeasures,
    #[error("a measure's name is 1 to {MAX_NAME} bytes of UTF-8")]
    Name,
    #[error("the series is damaged: {0}")]
    Damaged(#[from] series::bytes::DecodeError),
}

pub(super) type Targets = SmallVec<[(usize, f64); 16]>;

pub(super) type Changes = SmallVec<[Change; 16]>;

impl Series {
    /// Asks for the memory that [`Series::add`] needs, all at once.
    #[inline]
    pub fn prefetch_for_add(&self) {
        self.open.prefetch_end();
        self.watches.prefetch();
    }

    /// Writes one sample and judges it. A NaN says nothing about its measure; a measure that is named twice takes the last value.
    ///
    /// # Errors
    /// [`AddError`]; the series is then as it was.
    pub fn add(&mut self, time: Micros, values: &[(&[u8], f64)]) -> Result<Judged, AddError> {
        if !TIME_RANGE.contains(&time) {
            return Err(AddError::Time);
        }
        let measures = self.measures.len();
        let targets = self.targets(values)?;
        let written = self.write(time, &targets);
        if written.is_err() {
            // replicas, which hear nothing of it, know measures by their positions
            self.measures.truncate(measures);
        }
        written
    }

    /// Writes finite values of measures that the series has, at a time within the range.
    pub(super) fn write(&mut self, time: Micros, targets: &[(usize, f64)]) -> Result<Judged, AddError> {
        let in_order = match self.open.last() {
            Some(last) => time > last,
            None => self.last().is_none_or(|last| time > last),
        };
        if in_order {
            self.turn_bucket(time)?;
            if self.open.len() >= OPEN_ROWS {
                self.close()?;
            }
            self.append(time, targets);
            return Ok(self.judge(time, targets));
        }
        self.write_late(time, targets)
    }

    /// Apart, so that the way of most samples stays short.
    #[inline(never)]
    fn write_late(&mut self, time: Micros, targets: &[(usize, f64)]) -> Result<Judged, AddError> {
        let mut among_blocks = self.blocks.last_time().is_some_and(|last| time <= last);
        if !among_blocks && self.open.len() >= OPEN_ROWS && self.open.search(time).is_err() {
            self.close()?;
            among_blocks = true;
        }
        let mut changes = Changes::new();
        let new_row = if among_blocks {
            self.amend_block(time, targets, &mut changes)?
        } else {
            self.amend_open(time, targets, &mut changes)?
        };
        if changes.is_empty() {
            return Ok(Judged::default());
        }
        self.note_late(time, new_row);
        Ok(self.judge_completed(time, &changes))
    }

    /// Judges the sample that was just appended.
    #[inline]
    fn judge(&mut self, time: Micros, targets: &[(usize, f64)]) -> Judged {
        if self.watches.is_empty() {
            return Judged::default();
        }
        let value_of = |measure| targets.iter().rfind(|target| target.0 == measure).map_or(f64::NAN, |target| target.1);
        self.watches.judge(time, value_of)
    }

    /// Judges the measures that the newest sample got later than others. What came late otherwise is judged by PostgreSQL,
    /// which can go back to a state before it, and then hands that state over.
    fn judge_completed(&mut self, time: Micros, changes: &[Change]) -> Judged {
        let mut judged = Judged::default();
        let newest = self.last() == Some(time);
        for change in changes {
            if newest && change.old.is_nan() {
                self.watches.judge_value(change.measure, time, change.new, &mut judged);
            } else {
                self.watches.pass_over(change.measure);
            }
        }
        judged
    }

    /// The first free time from `time` on: two samples that the server's clock gives the same time are two samples.
    pub fn free_time(&self, mut time: Micros) -> Result<Micros, AddError> {
        let mut rows = Rows::default();
        while self.last().is_some_and(|last| time <= last) {
            if self.last() == Some(time) {
                return Ok(time + 1);
            }
            let Some(segment) = self.segments(time, time).next() else {
                break;
            };
            segment.read(&[], &mut rows)?;
            if rows.times.binary_search(&time).is_err() {
                break;
            }
            time += 1;
        }
        Ok(time)
    }

    /// The measures' positions, new measures last. Names are checked before any is added.
    fn targets(&mut self, values: &[(&[u8], f64)]) -> Result<Targets, AddError> {
        let mut targets = Targets::new();
        let mut new = SmallVec::<[&str; 4]>::new();
        for (index, &(name, value)) in values.iter().enumerate() {
            if value.is_nan() {
                continue;
            }
            if value.is_infinite() {
                return Err(AddError::Infinite(String::from_utf8_lossy(name).into_owned()));
            }
            let measure = match self.measures.find(name, index) {
                Some(measure) => measure,
                None => {
                    let name = std::str::from_utf8(name).map_err(|_| AddError::Name)?;
                    if name.is_empty() || name.len() > MAX_NAME {
                        return Err(AddError::Name);
                    }
                    let position = new.iter().position(|&known| known == name);
                    self.measures.len()
                        + position.unwrap_or_else(|| {
                            new.push(name);
                            new.len() - 1
                        })
                }
            };
            targets.push((measure, value));
        }
        if targets.is_empty() {
            return Err(AddError::NoValue);
        }
        if !new.is_empty() {
            if self.measures.len() + new.len() > MAX_MEASURES {
                return Err(AddError::TooManyMeasures);
            }
            self.measures.extend(&new);
            self.open.widen(self.measures.len());
        }
        Ok(targets)
    }

    /// The positions of measures by name; new ones are added.
    pub(super) fn columns_of(&mut self, names: &[String]) -> Result<Vec<usize>, AddError> {
        // zero is a value like any other: what counts is that each name is checked as a sample's would be
        let named: Vec<(&[u8], f64)> = names.iter().map(|name| (name.as_bytes(), 0.0)).collect();
        Ok(self.targets(&named)?.into_iter().map(|(measure, _)| measure).collect())
    }

    #[inline]
    fn append(&mut self, time: Micros, targets: &[(usize, f64)]) {
        let row = self.open.push(time);
        for &(measure, value) in targets {
            self.open.set(row, measure, value);
        }
        self.seq += 1;
        self.pending_rows += usize::from(time > self.mark);
        if time <= self.mark {
            // A series that was emptied may start again before its mark.
            self.pending_rows += 1;
            self.insert_late(time);
        }
    }

    /// Writes values among the open rows; says whether there was no sample of that time. The bucket first: it is made of
    /// blocks too, which may be damaged, and what follows cannot fail.
    fn amend_open(&mut self, time: Micros, targets: &[(usize, f64)], changes: &mut Changes) -> Result<bool, AddError> {
        self.amend_bucket(time, targets, None)?;
        let found = self.open.search(time);
        let row = found.unwrap_or_else(|row| {
            self.open.insert(row, time);
            row
        });
        for &(measure, new) in targets {
            let old = self.open.value(row, measure);
            if old.to_bits() != new.to_bits() {
                self.open.set(row, measure, new);
                changes.push(Change { measure, old, new });
            }
        }
        Ok(found.is_err())
    }

    /// As [`Series::amend_open`], in the block where the time belongs.
    fn amend_block(&mut self, time: Micros, targets: &[(usize, f64)], changes: &mut Changes) -> Result<bool, AddError> {
        let index = self.block_for(time);
        let mut rows = Rows::default();
        rows.read_block(&self.blocks[index], &self.measures.all())?;
        let new_row = rows.put(time, targets, changes);
        if !changes.is_empty() {
            self.amend_bucket(time, targets, Some((&rows, changes)))?;
            self.closed_rows += usize::from(new_row);
            self.replace_block(index, &rows);
        }
        Ok(new_row)
    }

    /// The block that holds `time` or lies next to it.
    fn block_for(&self, time: Micros) -> usize {
        let index = self.blocks.partition_point(|block| block.last() < time);
        let in_gap = index > 0 && time < self.blocks[index].first();
        if in_gap && self.blocks[index - 1].rows() < self.blocks[index].rows() { index - 1 } else { index }
    }

    /// Encodes changed rows again, as two blocks when they outgrew one.
    fn replace_block(&mut self, index: usize, rows: &Rows) {
        if rows.times.len() < BLOCK_ROWS * 2 {
            self.blocks.replace(index, Block::encode(&rows.times, &rows.slices()));
            return;
        }
        let middle = rows.times.len() / 2;
        let half = |range: std::ops::Range<usize>| {
            let columns: SmallVec<[&[f64]; 8]> = rows.columns.iter().map(|column| &column[range.clone()]).collect();
            Block::encode(&rows.times[range.clone()], &columns)
        };
        self.blocks.replace(index, half(0..middle));
        self.blocks.insert(index + 1, half(middle..rows.times.len()));
    }

    fn note_late(&mut self, time: Micros, new_row: bool) {
        self.seq += 1;
        let listed = self.insert_late(time);
        self.pending_rows += if time > self.mark { usize::from(new_row) } else { usize::from(!listed) };
    }

    /// Puts the write into the late list; says whether its time was there already.
    pub(super) fn insert_late(&mut self, time: Micros) -> bool {
        match self.late.binary_search_by_key(&time, |&(time, _)| time) {
            Ok(index) => {
                self.late[index].1 = self.seq;
                true
            }
            Err(index) => {
                self.late.insert(index, (time, self.seq));
                false
            }
        }
    }
}
