//! A series against a model that keeps every sample in a map and knows of each cell whether the table has it.

use super::*;
use proptest::prelude::*;
use series::bucket::Bucket;
use series::rolling::Windows;
use series::rollup::{COARSE, FINE, Needs};
use series::sketch::DdSketch;
use std::collections::{BTreeMap, BTreeSet};

const MEASURES: [&str; 3] = ["flow", "pressure", "temperature"];

/// The bits of a sample's values by measure.
type Cells = [Option<u64>; 3];

#[derive(Debug, Clone)]
enum Step {
    Add(Micros, Vec<(usize, f64)>),
    /// PENDING with this limit, then these writes, then ACK of what PENDING said.
    Flush(usize, Vec<(Micros, f64)>),
    /// PENDING of a range, acknowledged: a reader's token must do no harm.
    FlushRange(Micros, Micros, usize),
    Delete(Micros, Micros),
    Reload,
    Trim(Micros),
}

#[derive(Default)]
struct Model {
    rows: BTreeMap<Micros, Cells>,
    /// What the flushes delivered.
    table: BTreeMap<Micros, Cells>,
}

impl Model {
    fn add(&mut self, time: Micros, values: &[(usize, f64)]) {
        let row = self.rows.entry(time).or_default();
        for &(measure, value) in values {
            row[measure] = Some(value.to_bits());
        }
    }

    /// Whether the table has these values. It may have more: of a sample that was trimmed and then written again in part.
    fn has_delivered(&self, time: Micros, cells: &Cells) -> bool {
        let Some(table) = self.table.get(&time) else {
            return false;
        };
        cells.iter().zip(table).all(|(cell, delivered)| cell.is_none() || cell == delivered)
    }

    /// Upserts a batch, as the table does.
    fn deliver(&mut self, batch: &series::wire::Batch) {
        for (row, &time) in batch.times.iter().enumerate() {
            let cells = self.table.entry(time).or_default();
            for (name, column) in batch.measures.iter().zip(&batch.columns) {
                let measure = MEASURES.iter().position(|known| known == name).unwrap();
                if !column[row].is_nan() {
                    cells[measure] = Some(column[row].to_bits());
                }
            }
        }
    }
}

fn values(pairs: &[(usize, f64)]) -> Vec<(&'static [u8], f64)> {
    pairs.iter().map(|&(measure, value)| (MEASURES[measure].as_bytes(), value)).collect()
}

fn contents(series: &Series) -> BTreeMap<Micros, Cells> {
    let picks: Vec<usize> = MEASURES.iter().map(|name| series.measure(name.as_bytes()).unwrap_or(usize::MAX)).collect();
    let mut all = BTreeMap::new();
    let mut rows = Rows::default();
    let mut last = Micros::MIN;
    for segment in series.segments(Micros::MIN, Micros::MAX) {
        segment.read(&picks, &mut rows).unwrap();
        for (row, &time) in rows.times.iter().enumerate() {
            assert!(time > last, "times ascend over all segments");
            last = time;
            let cell = |measure: usize| {
                let value: f64 = rows.columns[measure][row];
                (!value.is_nan()).then_some(value.to_bits())
            };
            all.insert(time, [cell(0), cell(1), cell(2)]);
        }
    }
    assert_eq!(all.len(), series.rows());
    all
}

fn all_pending(series: &Series) -> usize {
    let query = PendingQuery { from: Micros::MIN, to: Micros::MAX, count: usize::MAX };
    let pending = series.pending(&query).unwrap();
    pending.map_or(0, |pending| pending.batch.rows())
}

fn step() -> impl Strategy<Value = Step> {
    let time = || (0i64..1200).prop_map(|t| t * 1000);
    let value = || (-500i32..500).prop_map(|n| f64::from(n) / 10.0);
    prop_oneof![
        30 => (time(), prop::collection::vec((0usize..3, value()), 1..4)).prop_map(|(t, v)| Step::Add(t, v)),
        4 => (1usize..50, prop::collection::vec((time(), value()), 0..4)).prop_map(|(n, w)| Step::Flush(n, w)),
        2 => (time(), time(), 1usize..50).prop_map(|(a, b, n)| Step::FlushRange(a, b, n)),
        1 => (time(), 0i64..50_000).prop_map(|(t, w)| Step::Delete(t, t + w)),
        1 => Just(Step::Reload),
        2 => (0i64..600_000).prop_map(Step::Trim),
    ]
}

/// Samples in order first, so that there are closed blocks to be late for.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    (0usize..700, prop::collection::vec(step(), 0..150)).prop_map(|(ordered, mut steps)| {
        let ramp = (0..ordered).map(|i| {
            let time = i as Micros * 1000 + (i as Micros % 3) * 100;
            Step::Add(time, vec![(0, i as f64 / 10.0), (1, (i % 7) as f64)])
        });
        steps.splice(0..0, ramp);
        steps
    })
}

proptest! {
    #[test]
    fn a_series_equals_its_model_and_loses_nothing(steps in steps()) {
        let mut series = Series::default();
        let mut model = Model::default();
        for step in steps {
            let is_add = matches!(step, Step::Add(..));
            match step {
                Step::Add(time, pairs) => {
                    series.add(time, &values(&pairs)).unwrap();
                    model.add(time, &pairs);
                }
                Step::Flush(count, writes) => {
                    let query = PendingQuery { from: Micros::MIN, to: Micros::MAX, count };
                    let Some(pending) = series.pending(&query).unwrap() else { continue };
                    prop_assert!(pending.batch.rows() <= count);
                    prop_assert!(pending.batch.times.windows(2).all(|pair| pair[0] < pair[1]));
                    let before = all_pending(&series);
                    for (time, value) in writes {
                        series.add(time, &values(&[(2, value)])).unwrap();
                        model.add(time, &[(2, value)]);
                    }
                    model.deliver(&pending.batch);
                    series.acknowledge(7, pending.token).unwrap();
                    prop_assert_eq!(pending.more, before > pending.batch.rows());
                }
                Step::FlushRange(from, to, count) => {
                    let query = PendingQuery { from: from.min(to), to: from.max(to), count };
                    let Some(pending) = series.pending(&query).unwrap() else { continue };
                    prop_assert!(pending.batch.times.iter().all(|t| (query.from..=query.to).contains(t)));
                    model.deliver(&pending.batch);
                    series.acknowledge(8, pending.token).unwrap();
                }
                Step::Delete(from, to) => {
                    let gone: Vec<Micros> = model.rows.range(from..=to).map(|(&time, _)| time).collect();
                    prop_assert_eq!(series.delete(from, to).unwrap(), gone.len());
                    for time in gone {
                        model.rows.remove(&time);
                        model.table.remove(&time);
                    }
                }
                Step::Reload => {
                    let bytes = series.encode();
                    let again = Series::decode(&bytes).unwrap();
                    prop_assert_eq!(again.encode(), bytes);
                    prop_assert_eq!(again.pending_rows(), series.pending_rows());
                    series = again;
                }
                Step::Trim(retention) => {
                    let newest = series.last();
                    let mut elsewhere = Series::decode(&series.encode()).unwrap();
                    let before = series.rows();
                    let dropped = series.trim(retention);
                    let kept = contents(&series);
                    prop_assert_eq!(kept.len(), series.rows());
                    prop_assert_eq!(dropped.is_some(), series.rows() < before);
                    let told = dropped.map_or(0, |time| elsewhere.trim_to(time).unwrap());
                    prop_assert_eq!(told, before - series.rows(), "as a replica is told");
                    prop_assert_eq!(&contents(&elsewhere), &kept);
                    for (&time, cells) in &model.rows {
                        if !kept.contains_key(&time) {
                            prop_assert!(newest.unwrap() - time > retention);
                            prop_assert!(model.has_delivered(time, cells));
                        }
                    }
                    model.rows.retain(|time, _| kept.contains_key(time));
                }
            }
            // Counting is as long as the series, so not after every sample.
            if !is_add {
                prop_assert_eq!(series.pending_rows(), all_pending(&series));
            }
        }
        prop_assert_eq!(contents(&series), model.rows.clone());
        prop_assert_eq!(series.last(), model.rows.keys().next_back().copied());
        prop_assert_eq!(series.first(), model.rows.keys().next().copied());
        while let Some(pending) = series.pending(&PendingQuery { from: Micros::MIN, to: Micros::MAX, count: 9 }).unwrap() {
            model.deliver(&pending.batch);
            series.acknowledge(9, pending.token).unwrap();
        }
        prop_assert_eq!(series.pending_rows(), 0);
        for (time, cells) in &model.rows {
            prop_assert!(model.has_delivered(*time, cells), "the table has every sample");
        }
    }

    #[test]
    fn windows_equal_those_of_all_rows(
        steps in steps(),
        scale in prop::sample::select(vec![1, 1_000, 20_000, 180_000]),
        from in 0i64..1_200_000,
        length in 0i64..1_200_000,
        width in prop_oneof![3 => prop::sample::select(vec![FINE, 3 * FINE, COARSE, 6 * COARSE]), 1 => 1i64..300_000],
        origin in prop::sample::select(vec![0, 7, FINE]),
        sketch: bool, deviations: bool, extremes: bool, ends: bool,
    ) {
        // Widths of kept buckets are absolute, so the samples are spread from seconds to days.
        let (from, length) = (from * scale, length * scale);
        let mut series = Series::default();
        for step in steps {
            match step {
                Step::Add(time, pairs) => {
                    series.add(time * scale, &values(&pairs)).unwrap();
                }
                Step::Flush(count, _) => {
                    let query = PendingQuery { from: Micros::MIN, to: Micros::MAX, count };
                    if let Some(pending) = series.pending(&query).unwrap() {
                        series.acknowledge(7, pending.token).unwrap();
                    }
                }
                Step::Delete(from, to) => {
                    series.delete(from * scale, to * scale).unwrap();
                }
                Step::Reload => series = Series::decode(&series.encode()).unwrap(),
                Step::Trim(retention) => {
                    series.trim(retention * scale);
                }
                Step::FlushRange(..) => {}
            }
        }
        let to = from + length;
        let picks: Vec<usize> = (0..series.measures().len()).collect();
        let query = WindowQuery { from, to, picks: &picks };
        let needs = Needs { deviations, extremes, ends, sketch };
        let all = contents(&series);
        let names: Vec<&str> = series.measures().collect();
        let wide = Windows::<Bucket>::one(from, picks.len(), needs);
        let tumbling = (length / width < 10_000).then(|| Windows::tumbling(width, origin, picks.len(), needs));
        for mut windows in [Some(wide), tumbling].into_iter().flatten() {
            series.fold(&query, &mut windows).unwrap();
            let start_of: BTreeSet<Micros> = all.range(from..=to).map(|(&time, _)| windows.start_of(time)).collect();
            let mut rows_by_start: BTreeMap<Micros, Vec<(Micros, Cells)>> = BTreeMap::new();
            for (&time, &cells) in all.range(from..=to) {
                rows_by_start.entry(windows.start_of(time)).or_default().push((time, cells));
            }
            let table = windows.finish();
            prop_assert_eq!(table.starts().iter().copied().collect::<BTreeSet<_>>(), start_of);
            for (start, buckets) in table.rows() {
                for (&pick, bucket) in picks.iter().zip(buckets) {
                    let measure = MEASURES.iter().position(|known| *known == names[pick]).unwrap();
                    let (times, column): (Vec<Micros>, Vec<f64>) = rows_by_start[&start]
                        .iter()
                        .map(|&(time, cells)| (time, cells[measure].map_or(f64::NAN, f64::from_bits)))
                        .unzip();
                    let expected = Bucket::fold(&times, &column);
                    prop_assert_eq!(bucket.count, expected.count);
                    if bucket.count > 0 {
                        prop_assert!(!ends || (bucket.first, bucket.last) == (expected.first, expected.last));
                        prop_assert!(!extremes || (bucket.min, bucket.max) == (expected.min, expected.max));
                        prop_assert!(!deviations || (bucket.m2 - expected.m2).abs() < 1e-6 * (1.0 + expected.m2));
                        prop_assert!((bucket.sum - expected.sum).abs() < 1e-6);
                        prop_assert!((bucket.mean - expected.mean).abs() < 1e-9 * (1.0 + expected.mean.abs()));
                    }
                    if sketch {
                        let mut sketch = DdSketch::default();
                        column.iter().for_each(|&value| sketch.update(value));
                        prop_assert_eq!(bucket.sketch.as_deref(), Some(&sketch));
                    }
                }
            }
        }
    }

    #[test]
    fn a_damaged_state_is_an_error_or_a_series(count in 0i64..300, at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut series = Series::default();
        for i in 0..count {
            series.add(i * 1000, &[(b"flow", i as f64)]).unwrap();
        }
        let mut bytes = series.encode();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(mut series) = Series::decode(&bytes) {
            let _ = series.pending(&PendingQuery { from: Micros::MIN, to: Micros::MAX, count: 10 });
            let _ = series.add(1_000_000, &[(b"flow", 1.0)]);
            series.trim(1000);
            let _ = series.encode();
        }
    }

    #[test]
    fn garbage_is_no_state(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Series::decode(&bytes);
        let mut formatted = vec![STATE_FORMAT];
        formatted.extend(bytes);
        let _ = Series::decode(&formatted);
    }
}

#[test]
fn what_is_not_a_sample_changes_nothing() {
    let mut series = Series::default();
    let long = "x".repeat(MAX_NAME + 1);
    type Sample<'a> = &'a [(&'a [u8], f64)];
    let refused: [(Micros, Sample, AddError); 6] = [
        (0, &[(b"flow", f64::INFINITY)], AddError::Infinite("flow".into())),
        (0, &[(b"flow", f64::NAN)], AddError::NoValue),
        (0, &[(b"", 1.0)], AddError::Name),
        (0, &[(long.as_bytes(), 1.0)], AddError::Name),
        (0, &[(&[0xff], 1.0)], AddError::Name),
        (*TIME_RANGE.end() + 1, &[(b"flow", 1.0)], AddError::Time),
    ];
    for (time, values, error) in refused {
        assert_eq!(series.add(time, values), Err(error));
        assert_eq!((series.rows(), series.measures().len(), series.seq()), (0, 0, 0));
    }
    let names: Vec<String> = (0..=MAX_MEASURES).map(|i| i.to_string()).collect();
    let many: Vec<(&[u8], f64)> = names.iter().map(|name| (name.as_bytes(), 1.0)).collect();
    assert_eq!(series.add(0, &many), Err(AddError::TooManyMeasures));
    assert_eq!(series.measures().len(), 0);
}

#[test]
fn the_same_sample_again_is_not_pending_again() {
    let mut series = Series::default();
    for time in 0..10 {
        series.add(time, &[(b"flow", 1.5)]).unwrap();
    }
    let query = PendingQuery { from: Micros::MIN, to: Micros::MAX, count: 100 };
    let token = series.pending(&query).unwrap().unwrap().token;
    series.acknowledge(1, token).unwrap();
    series.add(4, &[(b"flow", 1.5)]).unwrap();
    assert_eq!(series.pending_rows(), 0);
    series.add(4, &[(b"flow", 1.6)]).unwrap();
    assert_eq!(series.pending_rows(), 1);
}

#[test]
fn samples_of_the_same_moment_get_times_of_their_own() {
    let mut series = Series::default();
    for _ in 0..5 {
        let time = series.free_time(1000).unwrap();
        series.add(time, &[(b"flow", 1.0)]).unwrap();
    }
    series.add(50_000, &[(b"flow", 1.0)]).unwrap();
    for _ in 0..5 {
        let time = series.free_time(1000).unwrap();
        series.add(time, &[(b"flow", 1.0)]).unwrap();
    }
    assert_eq!(series.rows(), 11);
}
