use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use series::wire::Batch;

use super::*;
use crate::hot::HotErrorKind;
use crate::store::Written;
use crate::wait::BlockingWait;

/// Redis as the module behaves: samples with a write counter, a mark, and the list of writes behind the mark.
#[derive(Default)]
struct FakeRedis {
    series: RefCell<BTreeMap<String, FakeSeries>>,
    /// Number of the acknowledgement that gets lost, before or after Redis has done it.
    lose_ack: Cell<Option<(u32, LoseAck)>>,
    acks: Cell<u32>,
    never_clears: bool,
    /// Runs between PENDING and ACK: a sensor that writes meanwhile.
    meanwhile: RefCell<Vec<(String, i64, f64)>>,
}

#[derive(Clone, Copy, PartialEq)]
enum LoseAck {
    Request,
    Reply,
}

struct FakeSeries {
    samples: BTreeMap<i64, f64>,
    mark: i64,
    seq: u64,
    late: Vec<(i64, u64)>,
    flush_id: i64,
}

impl FakeRedis {
    fn add(&self, key: &str, time: i64, value: f64) {
        let mut all = self.series.borrow_mut();
        let series = all.entry(key.to_owned()).or_insert_with(FakeSeries::new);
        series.seq += 1;
        if series.samples.last_key_value().is_some_and(|(&newest, _)| time <= newest) {
            series.late.push((time, series.seq));
        }
        series.samples.insert(time, value);
    }

    fn pending_count(&self) -> usize {
        self.series.borrow().values().map(|series| series.pending().len()).sum()
    }
}

impl FakeSeries {
    fn new() -> Self {
        Self { samples: BTreeMap::new(), mark: i64::MIN, seq: 0, late: Vec::new(), flush_id: 0 }
    }

    fn pending(&self) -> BTreeMap<i64, f64> {
        let is_pending = |time: i64| time > self.mark || self.late.iter().any(|late| late.0 == time);
        self.samples.iter().filter(|(time, _)| is_pending(**time)).map(|(time, value)| (*time, *value)).collect()
    }

    /// At most `room` samples with the token that covers exactly these: late writes first, in the order of their
    /// counters, then the samples behind the mark.
    fn take(&self, room: usize) -> Option<(BTreeMap<i64, f64>, i64, u64)> {
        let late: Vec<_> = self.late.iter().take(room).collect();
        let mut samples: BTreeMap<i64, f64> = late.iter().map(|late| (late.0, self.samples[&late.0])).collect();
        let (mut token_time, mut token_seq) = (self.mark, late.last().map_or(0, |late| late.1));
        if late.len() == self.late.len() {
            token_seq = self.seq;
            for (time, value) in self.pending().range(self.mark.saturating_add(1)..) {
                if samples.len() == room && !samples.contains_key(time) {
                    break;
                }
                samples.insert(*time, *value);
                token_time = *time;
            }
        }
        (!samples.is_empty()).then_some((samples, token_time, token_seq))
    }
}

impl FlushFrom for FakeRedis {
    async fn pending(&self, source: &str, count: usize) -> Result<Pending, HotError> {
        assert_eq!(source, "readings");
        let mut answer = Pending::default();
        for (key, series) in self.series.borrow().iter() {
            answer.flush_id = answer.flush_id.max(series.flush_id);
            let room = count - answer.rows();
            let Some((samples, token_time, token_seq)) = series.take(room) else {
                answer.more |= !series.pending().is_empty();
                continue;
            };
            answer.more |= samples.len() < series.pending().len();
            answer.series.push(PendingSeries {
                redis_key: format!("readings:{key}"),
                key: key.clone(),
                token: format!("{token_time}:{token_seq}"),
                batch: Batch {
                    measures: vec!["value".into()],
                    times: samples.keys().copied().collect(),
                    columns: vec![samples.values().copied().collect()],
                },
            });
        }
        Ok(answer)
    }

    async fn ack(&self, flush_id: i64, acknowledged: &[PendingSeries]) -> Result<u64, HotError> {
        for (key, time, value) in self.meanwhile.take() {
            self.add(&key, time, value);
        }
        self.acks.set(self.acks.get() + 1);
        let lost = self.lose_ack.get().filter(|(number, _)| *number == self.acks.get()).map(|(_, how)| how);
        if lost != Some(LoseAck::Request) && !self.never_clears {
            let mut all = self.series.borrow_mut();
            for token in acknowledged {
                let series = all.get_mut(&token.key).unwrap();
                let (time, seq) = token.token.split_once(':').unwrap();
                let (time, seq): (i64, u64) = (time.parse().unwrap(), seq.parse().unwrap());
                series.mark = series.mark.max(time);
                series.late.retain(|late| late.1 > seq);
                series.flush_id = series.flush_id.max(flush_id);
            }
        }
        if lost.is_some() {
            return Err(HotError { kind: HotErrorKind::Timeout, message: "lost".into(), detail: None, hint: None });
        }
        Ok(acknowledged.len() as u64)
    }
}

/// A table with a unique key, and a process that can die before or after a commit.
#[derive(Default)]
struct FakeTable {
    rows: BTreeMap<(String, i64), f64>,
    upserts: BTreeMap<(String, i64), u32>,
    flush_id: i64,
    writes: u32,
    die_at: Option<(u32, DieAt)>,
    refuses: Option<f64>,
}

#[derive(Clone, Copy, PartialEq)]
enum DieAt {
    BeforeCommit,
    AfterCommit,
}

impl FlushStore for FakeTable {
    fn write(&mut self, _source: &FlushSource, pending: &Pending) -> Result<Written, StoreError> {
        self.writes += 1;
        let dies = self.die_at.filter(|(number, _)| *number == self.writes).map(|(_, when)| when);
        let dead = || StoreError { sqlstate: "57P01".into(), message: "terminated".into(), ..StoreError::default() };
        if dies == Some(DieAt::BeforeCommit) {
            return Err(dead());
        }
        let mut written = Written { flush_id: self.flush_id.max(pending.flush_id) + 1, ..Written::default() };
        for series in &pending.series {
            for (row, &time) in series.batch.times.iter().enumerate() {
                let value = series.batch.columns[0][row];
                if self.refuses == Some(value) {
                    written.rejected += 1;
                    continue;
                }
                self.rows.insert((series.key.clone(), time), value);
                *self.upserts.entry((series.key.clone(), time)).or_default() += 1;
                written.rows += 1;
            }
        }
        self.flush_id = written.flush_id;
        if dies == Some(DieAt::AfterCommit) { Err(dead()) } else { Ok(written) }
    }
}

fn sensors() -> FakeRedis {
    let redis = FakeRedis::default();
    for time in 0..10 {
        redis.add("A", time, time as f64);
        redis.add("B", time, -time as f64);
    }
    redis.add("A", 3, 33.0);
    redis
}

fn expected() -> BTreeMap<(String, i64), f64> {
    let both = (0..10).flat_map(|t| [(("A".to_owned(), t), t as f64), (("B".to_owned(), t), -t as f64)]);
    both.chain([(("A".to_owned(), 3), 33.0)]).collect()
}

fn flush(redis: &FakeRedis, table: &mut FakeTable, batch_rows: usize) -> Result<FlushReport, FlushError> {
    flush_source(&BlockingWait::new().unwrap(), redis, table, &FlushSource { name: "readings".into() }, batch_rows)
}

#[test]
fn everything_pending_reaches_the_table_in_batches() {
    for batch_rows in [1, 3, 10, 1000] {
        let (redis, mut table) = (sensors(), FakeTable::default());
        let report = flush(&redis, &mut table, batch_rows).unwrap();
        assert_eq!(table.rows, expected(), "batches of {batch_rows}");
        assert_eq!(redis.pending_count(), 0, "batches of {batch_rows}");
        assert!(report.batches as usize >= 20 / batch_rows);
        let again = flush(&redis, &mut table, batch_rows).unwrap();
        assert_eq!(again, FlushReport::default());
    }
}

#[test]
fn dying_at_any_step_loses_and_doubles_nothing() {
    for batch in 1..=4 {
        for when in [DieAt::BeforeCommit, DieAt::AfterCommit] {
            let redis = sensors();
            let mut table = FakeTable { die_at: Some((batch, when)), ..FakeTable::default() };
            assert!(matches!(flush(&redis, &mut table, 5), Err(FlushError::Store(_))));
            flush(&redis, &mut table, 5).unwrap();
            assert_eq!(table.rows, expected());
            assert_eq!(redis.pending_count(), 0);
        }
        for how in [LoseAck::Request, LoseAck::Reply] {
            let (redis, mut table) = (sensors(), FakeTable::default());
            redis.lose_ack.set(Some((batch, how)));
            assert!(matches!(flush(&redis, &mut table, 5), Err(FlushError::Hot(_))));
            flush(&redis, &mut table, 5).unwrap();
            assert_eq!(table.rows, expected());
            assert_eq!(redis.pending_count(), 0);
        }
    }
}

#[test]
fn a_write_between_reading_and_acknowledging_stays_pending() {
    let (redis, mut table) = (sensors(), FakeTable::default());
    redis.meanwhile.replace(vec![("A".into(), 5, 55.0), ("A".into(), 10, 10.0)]);
    flush(&redis, &mut table, 1000).unwrap();
    assert_eq!(redis.pending_count(), 2);
    flush(&redis, &mut table, 1000).unwrap();
    assert_eq!(table.rows[&("A".to_owned(), 5)], 55.0);
    assert_eq!(table.rows[&("A".to_owned(), 10)], 10.0);
    assert_eq!(redis.pending_count(), 0);
}

#[test]
fn nothing_is_acknowledged_that_was_not_committed() {
    let redis = sensors();
    let mut table = FakeTable { die_at: Some((1, DieAt::BeforeCommit)), ..FakeTable::default() };
    flush(&redis, &mut table, 1000).unwrap_err();
    assert_eq!(redis.acks.get(), 0);
    assert_eq!(redis.pending_count(), 20);
}

#[test]
fn a_sample_the_table_refuses_is_counted_and_does_not_block_its_series() {
    let redis = sensors();
    let mut table = FakeTable { refuses: Some(33.0), ..FakeTable::default() };
    let report = flush(&redis, &mut table, 1000).unwrap();
    assert_eq!((report.rows, report.rejected), (19, 1));
    assert_eq!(redis.pending_count(), 0);
}

#[test]
fn samples_that_come_back_after_the_acknowledgement_stop_the_flush() {
    let redis = FakeRedis { never_clears: true, ..sensors() };
    let error = flush(&redis, &mut FakeTable::default(), 5).unwrap_err();
    assert!(matches!(error, FlushError::NoProgress { .. }));
}

#[test]
fn the_flush_identity_passes_the_one_redis_knows() {
    let (redis, mut table) = (sensors(), FakeTable::default());
    redis.series.borrow_mut().get_mut("A").unwrap().flush_id = 900;
    flush(&redis, &mut table, 1000).unwrap();
    assert_eq!(redis.series.borrow()["B"].flush_id, 901);
}
