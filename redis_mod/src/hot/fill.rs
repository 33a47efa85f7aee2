//! Taking back samples that the table has, as after a restart without persistence.

use super::add::AddError;
use super::blocks::Blocks;
use super::read::Rows;
use super::{BLOCK_ROWS, OPEN_ROWS, Series, TIME_RANGE};
use series::block::Block;
use series::time::Micros;
use series::wire::Batch;

impl Series {
    /// Adds samples that the table has: they are not pending. Where there is a sample of the same time, its values stay
    /// and only missing ones are filled; it is pending if it was. Returns the number of samples added.
    ///
    /// # Errors
    /// [`AddError`]; the series is then as it was.
    pub fn fill(&mut self, batch: &Batch) -> Result<usize, AddError> {
        let Some(&newest) = batch.times.last() else { return Ok(0) };
        if batch.times.iter().any(|time| !TIME_RANGE.contains(time)) {
            return Err(AddError::Time);
        }
        if !batch.times.is_sorted_by(|one, next| one < next) {
            return Err(AddError::Order);
        }
        for (name, column) in batch.measures.iter().zip(&batch.columns) {
            if column.iter().any(|value| value.is_infinite()) {
                return Err(AddError::Infinite(name.clone()));
            }
        }
        let measures = self.measures.len();
        let targets = self.columns_of(&batch.measures)?;
        // as in `add`, a refusal leaves no measures
        let held = self
            .rows_between(Micros::MIN, Micros::MAX, &self.measures.all())
            .inspect_err(|_| self.measures.truncate(measures))?;
        let merged = merge(&held, batch, &targets, self.measures.len());
        let added = merged.times.len() - held.times.len();

        // The mark moves beyond samples that are pending: those go on the list of late ones.
        if newest > self.mark {
            let mark = std::mem::replace(&mut self.mark, newest);
            for &time in held.times.iter().filter(|&&time| time > mark && time <= newest) {
                self.seq += 1;
                self.insert_late(time);
            }
        }
        self.seq += 1;
        self.hold(&merged);
        self.rebuild_rollups()?;
        self.count_pending()?;
        Ok(added)
    }

    /// Replaces the samples by these.
    fn hold(&mut self, rows: &Rows) {
        let closed = rows.times.len() - rows.times.len().min(OPEN_ROWS);
        let mut blocks = Vec::with_capacity(closed.div_ceil(BLOCK_ROWS));
        for start in (0..closed).step_by(BLOCK_ROWS) {
            let range = start..closed.min(start + BLOCK_ROWS);
            let columns: Vec<&[f64]> = rows.columns.iter().map(|column| &column[range.clone()]).collect();
            blocks.push(Block::encode(&rows.times[range], &columns));
        }
        self.blocks = Blocks::from(blocks);
        self.closed_rows = closed;
        self.open.clear();
        self.open.widen(self.measures.len());
        for row in closed..rows.times.len() {
            let at = self.open.push(rows.times[row]);
            for (measure, column) in rows.columns.iter().enumerate() {
                self.open.set(at, measure, column[row]);
            }
        }
    }
}

/// Both in the order of time; `targets` are the measures of the batch's columns.
fn merge(held: &Rows, batch: &Batch, targets: &[usize], measures: usize) -> Rows {
    let mut merged = Rows { times: Vec::with_capacity(held.times.len() + batch.times.len()), columns: Vec::new() };
    merged.columns.resize_with(measures, || Vec::with_capacity(merged.times.capacity()));
    let (mut next_held, mut next_new) = (0, 0);
    loop {
        let (own, new) = (held.times.get(next_held), batch.times.get(next_new));
        let time = match (own, new) {
            (Some(&own), Some(&new)) => own.min(new),
            (Some(&time), None) | (None, Some(&time)) => time,
            (None, None) => return merged,
        };
        merged.times.push(time);
        let row = merged.times.len() - 1;
        for (measure, column) in merged.columns.iter_mut().enumerate() {
            let value = if own == Some(&time) { held.columns[measure][next_held] } else { f64::NAN };
            column.push(value);
        }
        if new == Some(&time) {
            for (column, &measure) in batch.columns.iter().zip(targets) {
                let value = &mut merged.columns[measure][row];
                if value.is_nan() {
                    *value = column[next_new];
                }
            }
            next_new += 1;
        }
        next_held += usize::from(own == Some(&time));
    }
}
