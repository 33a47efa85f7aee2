//! What meets a damaged block fails and leaves the series as it was: samples, kept buckets and what is pending.

use super::{AddError, BLOCK_ROWS, OPEN_ROWS, PendingQuery, Rows, Series, Token};
use series::detect::{Method, Options};
use series::time::{MICROS_PER_SECOND, Micros};
use series::watch::Watch;
use series::wire::Batch;

/// Samples are two seconds apart, so that a bucket of 5 minutes holds parts of two or three blocks.
const STEP: Micros = 2 * MICROS_PER_SECOND;

const BLOCKS: usize = 8;

/// Full blocks and as many open rows as there can be.
fn series() -> Series {
    let mut series = Series::default();
    for n in 0..(BLOCKS * BLOCK_ROWS + OPEN_ROWS) as i64 {
        series.add(n * STEP, &[(b"flow", n as f64), (b"pressure", 1.5 * n as f64)]).unwrap();
    }
    assert_eq!((series.blocks(), series.open.len()), (BLOCKS, OPEN_ROWS));
    series
}

fn damage(series: &mut Series, block: usize) {
    series.blocks.data_mut().nth(block).unwrap().fill(0xff);
    let (first, last) = (series.blocks[block].first(), series.blocks[block].last());
    assert!(series.rows_between(first, last, &[0, 1]).is_err());
}

/// Everything that a series is, but for where its blocks end.
fn state(series: &Series) -> String {
    let mut rows = Rows::default();
    let mut samples = String::new();
    for segment in series.segments(Micros::MIN, Micros::MAX) {
        match segment.read(&series.measures.all(), &mut rows) {
            Ok(()) => rows.times.iter().enumerate().for_each(|(row, time)| {
                let values: Vec<f64> = rows.columns.iter().map(|column| column[row]).collect();
                samples += &format!("{time} {values:?} ");
            }),
            Err(_) => samples += &format!("{:?} damaged ", segment.span()),
        }
    }
    let Series { mark, seq, pending_rows, rollups, watches, late, flush_id, .. } = series;
    format!("{} {samples} {mark} {seq} {pending_rows} {rollups:?} {watches:?} {late:?} {flush_id}", series.rows())
}

fn sample(n: usize) -> Micros {
    n as i64 * STEP + 1
}

#[test]
fn a_late_sample_beside_a_damaged_block_is_refused_or_written_whole() {
    let whole = series();
    for damaged in [0, BLOCKS / 2, BLOCKS - 1] {
        let (mut refused, mut written) = (0, 0);
        for n in (0..BLOCKS * BLOCK_ROWS + OPEN_ROWS - 1).step_by(7) {
            let (mut series, mut sound) = (whole.clone(), whole.clone());
            damage(&mut series, damaged);
            let before = state(&series);
            match series.add(sample(n), &[(b"flow", -1.0)]) {
                Err(AddError::Damaged(_)) => {
                    assert!(state(&series) == before, "sample {n}, block {damaged}");
                    refused += 1;
                }
                Err(error) => panic!("{error}"),
                Ok(_) => {
                    sound.add(sample(n), &[(b"flow", -1.0)]).unwrap();
                    assert!(format!("{:?}", series.rollups) == format!("{:?}", sound.rollups), "sample {n}");
                    assert_eq!((series.rows(), series.seq(), series.late()), (sound.rows(), sound.seq(), sound.late()));
                    written += 1;
                }
            }
        }
        assert!(refused > BLOCK_ROWS / 7, "beside the block too: {refused}");
        assert!(written > 0);
    }
}

#[test]
fn what_else_meets_a_damaged_block_changes_nothing() {
    let mut series = series();
    series.add(sample(5), &[(b"flow", 1.0)]).unwrap();
    let watch = || Watch::new(Method::RangeNovelty, &Options::new()).unwrap();
    series.watch(1, Micros::MIN, watch()).unwrap();
    damage(&mut series, 3);
    let before = state(&series);
    let block = &series.blocks[3];
    let (first, last) = (block.first(), block.last());
    let fingerprint = series.measures.fingerprint();
    assert!(series.add(first + 1, &[(b"level", 1.0), (b"flow", 1.0)]).is_err());
    assert_eq!((series.measures.len(), series.measures.fingerprint()), (2, fingerprint), "no measure of it stays");

    assert!(series.delete(0, first - 1).is_err(), "the buckets cannot be made anew");
    assert!(series.trim_to(last).is_ok_and(|dropped| dropped == 0), "nothing is in the table");
    assert!(series.acknowledge(1, Token { time: last - STEP, seq: series.seq() }).is_err());
    assert!(series.watch(0, Micros::MIN, watch()).is_err());
    assert!(series.pending(&PendingQuery { from: Micros::MIN, to: Micros::MAX, count: 10_000 }).is_err());
    assert!(state(&series) == before);

    series.acknowledge(1, Token { time: last + STEP, seq: series.seq() }).unwrap();
    let before = state(&series);
    assert!(series.trim_to(last - STEP).is_err());
    assert!(state(&series) == before);
}

#[test]
fn a_damaged_last_block_takes_no_open_rows() {
    let mut series = series();
    while series.blocks[series.blocks() - 1].rows() == BLOCK_ROWS {
        let next = series.last().unwrap() + STEP;
        series.add(next, &[(b"flow", 1.0)]).unwrap();
    }
    while series.open.len() < OPEN_ROWS {
        let next = series.last().unwrap() + STEP;
        series.add(next, &[(b"flow", 1.0)]).unwrap();
    }
    let last = series.blocks() - 1;
    damage(&mut series, last);
    let before = state(&series);
    assert!(series.add(series.last().unwrap() - 1, &[(b"flow", 1.0)]).is_err());
    assert!(state(&series) == before);
}

#[test]
fn a_fill_that_is_refused_leaves_no_measures() {
    let mut series = series();
    damage(&mut series, 1);
    let batch = Batch { times: vec![sample(5)], measures: vec!["level".to_owned()], columns: vec![vec![1.0]] };
    assert!(series.fill(&batch).is_err());
    assert_eq!(series.measure(b"level"), None);
}

#[test]
fn a_damaged_block_does_not_hide_since_when_something_is_pending() {
    let mut series = series();
    let (first, last) = (series.blocks[0].first(), series.blocks[0].last());
    damage(&mut series, 1);
    assert_eq!(series.oldest_pending(), Some(first));
    series.acknowledge(1, Token { time: last, seq: series.seq() }).unwrap();
    assert_eq!(series.oldest_pending(), Some(series.blocks[1].first()));
    series.acknowledge(2, Token { time: series.blocks[1].last() + STEP, seq: series.seq() }).unwrap();
}

#[test]
fn a_series_that_cannot_be_read_is_saved_as_it_came_and_takes_nothing() {
    let mut bytes = series().encode();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 40].fill(0xff);
    assert!(Series::decode(&bytes).is_err());
    let mut series = Series::unreadable(&bytes);
    assert_eq!((series.encode(), series.pending_rows(), series.oldest_pending()), (bytes.clone(), 1, None));
    assert!(series.add(sample(5), &[(b"flow", 1.0)]).is_err());
    assert!(series.add(Micros::MAX / 2, &[(b"flow", 1.0)]).is_err());
    assert!(series.delete(Micros::MIN, Micros::MAX).is_err());
    assert!(series.acknowledge(1, Token { time: sample(5), seq: 1 }).is_err());
    assert_eq!((series.trim(1), series.trim_to(Micros::MAX)), (None, Ok(0)));
    assert!(series.latest(&[], |_, _| ()).is_err() && series.free_time(0).is_err());
    assert_eq!(series.encode(), bytes);
}
