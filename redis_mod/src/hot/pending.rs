//! The flush protocol of one series: which samples the table lacks, and the acknowledgement that it has them.

use super::Series;
use super::read::Rows;
use series::bytes::DecodeError;
use series::time::Micros;
use series::wire::Batch;

/// Which pending samples are wanted.
#[derive(Debug, Clone, Copy)]
pub struct PendingQuery {
    /// Inclusive.
    pub from: Micros,
    /// Inclusive.
    pub to: Micros,
    /// At most this many samples.
    pub count: usize,
}

/// Names exactly what a batch of pending samples held: acknowledging it clears these and nothing written later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// All samples up to this time were in the batch, except late ones that [`Token::seq`] does not cover.
    pub time: Micros,
    /// All late writes up to this number were in the batch.
    pub seq: u64,
}

/// Pending samples, oldest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Pending {
    pub batch: Batch,
    pub token: Token,
    /// The count cut it: there are more in the wanted range.
    pub more: bool,
}

impl Series {
    /// The wanted pending samples, or None if there are none.
    ///
    /// Late samples up to the mark come first, in the order in which they were written, because the token can only name
    /// a prefix of the writes; then the samples after the mark, oldest first. The batch itself is sorted by time.
    pub fn pending(&self, query: &PendingQuery) -> Result<Option<Pending>, DecodeError> {
        let PendingQuery { from, to, count } = *query;
        if self.pending_rows == 0 || from > to || count == 0 {
            return Ok(None);
        }
        let (mut behind, left_out): (Vec<_>, Vec<_>) = self
            .late
            .iter()
            .take_while(|&&(time, _)| time <= self.mark)
            .partition(|&&(time, _)| (from..=to).contains(&time));
        let mut more = false;
        let mut first_left_out = left_out.iter().map(|&(_, seq)| seq).min();
        if behind.len() > count {
            behind.sort_unstable_by_key(|&(_, seq)| seq);
            first_left_out = first_left_out.into_iter().chain([behind[count].1]).min();
            behind.truncate(count);
            behind.sort_unstable_by_key(|&(time, _)| time);
            more = true;
        }

        let mut batch = self.empty_batch();
        let all = self.measures.all();
        let mut rows = Rows::default();
        let mut wanted = behind.iter().map(|&(time, _)| time).peekable();
        let mut room = count - behind.len();
        for segment in self.segments(from.max(self.oldest_pending_bound()), to) {
            let (_, last) = segment.span();
            if last <= self.mark && wanted.peek().is_none_or(|&time| time > last) {
                continue;
            }
            segment.read(&all, &mut rows)?;
            for row in 0..rows.times.len() {
                let time = rows.times[row];
                while wanted.next_if(|&wanted| wanted < time).is_some() {}
                let take = if time <= self.mark {
                    wanted.next_if_eq(&time).is_some()
                } else if !(from..=to).contains(&time) {
                    false
                } else if room == 0 {
                    more = true;
                    false
                } else {
                    room -= 1;
                    true
                };
                if take {
                    push_row(&mut batch, &rows, row);
                }
            }
            if more && room == 0 && wanted.peek().is_none() {
                break;
            }
        }
        if batch.times.is_empty() {
            return Ok(None);
        }
        let token = Token { time: self.token_time(from, &batch), seq: first_left_out.map_or(self.seq, |seq| seq - 1) };
        Ok(Some(Pending { batch, token, more }))
    }

    /// Notes that the table has what the token names, since flush `flush_id`.
    ///
    /// # Errors
    /// If a block is damaged; the series is then as it was.
    pub fn acknowledge(&mut self, flush_id: i64, token: Token) -> Result<(), DecodeError> {
        let mark = self.mark.max(token.time);
        let late: Vec<(Micros, u64)> = self.late.iter().filter(|&&(_, seq)| seq > token.seq).copied().collect();
        self.pending_rows = self.pending_with(mark, &late)?;
        self.flush_id = self.flush_id.max(flush_id);
        (self.mark, self.late) = (mark, late);
        self.forget_alarms();
        Ok(())
    }

    /// Time of the oldest pending sample. Where its block is damaged, which must not hide the other series of a source, none
    /// is older; of an unreadable series nothing is known.
    pub fn oldest_pending(&self) -> Option<Micros> {
        if self.pending_rows == 0 || self.is_unreadable() {
            return None;
        }
        let behind = self.late.first().map(|&(time, _)| time).filter(|&time| time <= self.mark);
        let query = PendingQuery { from: Micros::MIN, to: Micros::MAX, count: 1 };
        let found = || match self.pending(&query) {
            Ok(pending) => pending.and_then(|pending| pending.batch.times.first().copied()),
            Err(_) => {
                let after = self.mark.saturating_add(1);
                self.segments(after, Micros::MAX).next().map(|segment| segment.span().0.max(after))
            }
        };
        behind.or_else(found)
    }

    /// Counts the pending samples anew.
    pub(super) fn count_pending(&mut self) -> Result<(), DecodeError> {
        self.pending_rows = self.pending_with(self.mark, &self.late)?;
        Ok(())
    }

    /// The number of pending samples if the mark and the late list were these.
    fn pending_with(&self, mark: Micros, late: &[(Micros, u64)]) -> Result<usize, DecodeError> {
        let mut count = late.iter().take_while(|&&(time, _)| time <= mark).count();
        let mut rows = Rows::default();
        for segment in self.segments(mark, Micros::MAX) {
            if segment.span().0 > mark {
                count += segment.rows();
            } else {
                segment.read(&[], &mut rows)?;
                count += rows.times.iter().filter(|&&time| time > mark).count();
            }
        }
        Ok(count)
    }

    /// A time before which nothing is pending.
    fn oldest_pending_bound(&self) -> Micros {
        match self.late.first() {
            Some(&(time, _)) => time.min(self.mark),
            None => self.mark,
        }
    }

    /// How far the mark may go: to the newest sample of the batch that follows the mark without a gap.
    fn token_time(&self, from: Micros, batch: &Batch) -> Micros {
        let newest = batch.times.last().copied().unwrap_or(self.mark);
        let skipped = from > self.mark && self.has_rows_between(self.mark, from);
        if skipped { self.mark } else { newest.max(self.mark) }
    }

    /// Whether there may be samples after `after` and before `before`; errs on the side of yes.
    fn has_rows_between(&self, after: Micros, before: Micros) -> bool {
        self.segments(after.saturating_add(1), before.saturating_sub(1)).next().is_some()
    }

    fn empty_batch(&self) -> Batch {
        Batch {
            measures: self.measures().map(str::to_owned).collect(),
            times: Vec::new(),
            columns: vec![Vec::new(); self.measures.len()],
        }
    }
}

fn push_row(batch: &mut Batch, rows: &Rows, row: usize) {
    batch.times.push(rows.times[row]);
    for (column, values) in batch.columns.iter_mut().zip(&rows.columns) {
        column.push(values[row]);
    }
}
