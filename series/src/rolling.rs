//! Folding samples into windows: one window over everything, or tumbling windows of a fixed width.

use crate::bucket::Summary;
use crate::bytes::DecodeError;
use crate::rollup::{COARSE, FINE, Needs, Sketch};
use crate::sketch::SketchSum;
use crate::time::{Micros, bucket_start};

/// Buckets that closing the gaps between windows may make.
const MAX_DENSE: usize = 1 << 20;

/// Collects windows that hold a value of one of the measures. Two flat lists rather than one allocation per window: a
/// dashboard asks for hundreds of windows.
#[derive(Debug)]
pub struct Windows<S> {
    shape: Shape,
    measures: usize,
    starts: Vec<Micros>,
    /// A summary per window and measure.
    buckets: Vec<S>,
    /// As many as buckets if quantiles are wanted, else none.
    sums: Vec<SketchSum>,
    needs: Needs,
    values: u64,
    /// Number of the window that got the last state.
    latest: usize,
    /// Windows without values may be among them.
    has_empty: bool,
}

#[derive(Debug, Clone, Copy)]
enum Shape {
    One { start: Micros },
    Tumbling { width: Micros, origin: Micros },
}

/// The kept buckets that fit into windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// None: a kept bucket may lie in two windows, or lacks the sketch that is wanted.
    None,
    /// 5-minute buckets.
    Fine,
    /// Hours too.
    Hours,
}

impl<S: Summary> Windows<S> {
    /// One window for all samples; `needs` says what will be asked of the buckets.
    pub fn one(start: Micros, measures: usize, needs: Needs) -> Windows<S> {
        Windows::new(Shape::One { start }, measures, needs)
    }

    /// Windows of `width` microseconds, one of which starts at `origin`.
    ///
    /// # Panics
    /// If `width` is not positive.
    pub fn tumbling(width: Micros, origin: Micros, measures: usize, needs: Needs) -> Windows<S> {
        assert!(width > 0, "a window needs a positive width");
        Windows::new(Shape::Tumbling { width, origin }, measures, needs)
    }

    fn new(shape: Shape, measures: usize, needs: Needs) -> Windows<S> {
        Windows {
            shape,
            measures,
            starts: Vec::new(),
            buckets: Vec::new(),
            sums: Vec::new(),
            needs,
            values: 0,
            latest: 0,
            has_empty: false,
        }
    }

    /// What the buckets must hold; the rest of them may be wrong.
    pub fn needs(&self) -> Needs {
        self.needs
    }

    /// Which kept buckets always lie within one window.
    pub fn fit(&self) -> Fit {
        let divides = |bucket: Micros| match self.shape {
            Shape::One { .. } => true,
            Shape::Tumbling { width, origin } => width % bucket == 0 && origin % bucket == 0,
        };
        match (divides(COARSE), divides(FINE)) {
            (true, _) => Fit::Hours,
            (false, true) if !self.needs.sketch => Fit::Fine,
            _ => Fit::None,
        }
    }

    /// Makes room for the windows of a time range that holds up to `buckets` kept buckets.
    pub fn reserve(&mut self, range: Micros, buckets: usize) {
        if let Shape::Tumbling { width, .. } = self.shape {
            let windows = usize::try_from(range / width).map_or(buckets, |windows| buckets.min(windows + 2));
            self.starts.reserve(windows);
            self.buckets.reserve(windows * self.measures);
        }
    }

    /// Number of values added so far.
    pub fn values(&self) -> u64 {
        self.values
    }

    /// Start of the window that holds `time`.
    pub fn start_of(&self, time: Micros) -> Micros {
        match self.shape {
            Shape::One { start } => start,
            Shape::Tumbling { width, origin } => {
                bucket_start(time.saturating_sub(origin), width).saturating_add(origin)
            }
        }
    }

    /// Adds rows with ascending times; `columns[measure]` has a value per time, NaN where missing.
    pub fn add_rows(&mut self, times: &[Micros], columns: &[&[f64]]) {
        let mut from = 0;
        while from < times.len() {
            let start = self.start_of(times[from]);
            let to = match self.shape {
                Shape::One { .. } => times.len(),
                Shape::Tumbling { width, .. } => {
                    let end = start.saturating_add(width);
                    from + times[from..].partition_point(|&time| time < end)
                }
            };
            for (measure, column) in columns.iter().enumerate() {
                let values = &column[from..to];
                let folded = S::fold(&times[from..to], values);
                if folded.count() == 0 {
                    continue;
                }
                self.values += folded.count();
                let at = self.window(start) + measure;
                self.buckets[at].add(folded, self.needs);
                if let Some(sum) = self.sums.get_mut(at) {
                    values.iter().for_each(|&value| sum.add(value));
                }
            }
            from = to;
        }
    }

    /// Adds a kept state of values that lie within one window and begin at `time`.
    #[inline]
    pub fn add_state(&mut self, time: Micros, measure: usize, state: S, sketch: Sketch<'_>) -> Result<(), DecodeError> {
        self.values += state.count();
        if !self.needs.sketch
            && let Some(start) = self.next_start(time)
        {
            // most states of a reply make a window of their own: it is not made empty first
            self.starts.push(start);
            (0..measure).for_each(|_| self.buckets.push(S::EMPTY));
            self.buckets.push(state);
            (measure + 1..self.measures).for_each(|_| self.buckets.push(S::EMPTY));
            return Ok(());
        }
        let at = self.window_at(time) + measure;
        self.buckets[at].add(state, self.needs);
        match self.sums.get_mut(at) {
            Some(sum) => sketch.add_to(sum),
            None => Ok(()),
        }
    }

    /// The windows, oldest first.
    pub fn finish(mut self) -> Table<S> {
        let mut sums = self.sums.into_iter();
        for bucket in &mut self.buckets {
            bucket.complete(self.needs, sums.next().map(SketchSum::finish));
        }
        let mut table = Table { starts: self.starts, measures: self.measures, buckets: self.buckets };
        if self.has_empty {
            table.drop_empty();
        }
        table
    }

    /// Start of the window that holds `time` if it follows the last one without a gap.
    #[inline]
    fn next_start(&self, time: Micros) -> Option<Micros> {
        let (Shape::Tumbling { width, .. }, Some(&last)) = (self.shape, self.starts.last()) else { return None };
        let ahead = time.wrapping_sub(last);
        (ahead >= width && ahead - width < width).then(|| last + width)
    }

    /// Position of the first bucket of the window that holds `time`. States come in order, so that it mostly is the window of
    /// the state before or the one after it, which needs no division.
    #[inline]
    fn window_at(&mut self, time: Micros) -> usize {
        let width = match self.shape {
            Shape::One { .. } => Micros::MAX,
            Shape::Tumbling { width, .. } => width,
        };
        if let Some(&start) = self.starts.get(self.latest) {
            let ahead = time.wrapping_sub(start);
            if (0..width).contains(&ahead) {
                return self.latest * self.measures;
            }
            if ahead >= width && ahead - width < width && self.starts.get(self.latest + 1) == Some(&(start + width)) {
                self.latest += 1;
                return self.latest * self.measures;
            }
        }
        let at = self.window(self.start_of(time));
        self.latest = at / self.measures;
        at
    }

    /// Position of the window's first bucket.
    #[inline]
    fn window(&mut self, start: Micros) -> usize {
        match self.starts.last() {
            Some(&last) if last == start => (self.starts.len() - 1) * self.measures,
            Some(&last) if last > start => self.earlier_window(start),
            _ => self.append_window(start),
        }
    }

    /// A window before the last one: another series, or another measure of the same, reaches back.
    fn earlier_window(&mut self, start: Micros) -> usize {
        let Shape::Tumbling { width, .. } = self.shape else { return 0 };
        // without gaps the position follows from the times
        let position = |starts: &[Micros]| usize::try_from((start - starts[0]) / width).unwrap_or(usize::MAX);
        if start >= self.starts[0] && self.starts.get(position(&self.starts)) == Some(&start) {
            return position(&self.starts) * self.measures;
        }
        match self.starts.binary_search(&start) {
            Ok(index) => index * self.measures,
            Err(_) if self.close_gaps(start) => position(&self.starts) * self.measures,
            Err(index) => self.insert_window(index, start),
        }
    }

    /// One window between two others, of which the later ones move.
    fn insert_window(&mut self, index: usize, start: Micros) -> usize {
        let at = index * self.measures;
        self.buckets.splice(at..at, std::iter::repeat_n(S::EMPTY, self.measures));
        if self.needs.sketch {
            self.sums.splice(at..at, std::iter::repeat_n(SketchSum::default(), self.measures));
        }
        self.starts.insert(index, start);
        at
    }

    /// Makes windows without gaps from `start`, or the first, to the last: inserting them one by one would move the rest of
    /// the list each time. Those that stay empty are dropped in the end. Returns false, having done nothing, if the gaps are
    /// too wide for that.
    fn close_gaps(&mut self, start: Micros) -> bool {
        let (Shape::Tumbling { width, .. }, Some(&first), Some(&last)) =
            (self.shape, self.starts.first(), self.starts.last())
        else {
            return false;
        };
        let first = first.min(start);
        let windows = usize::try_from((last - first) / width + 1).unwrap_or(usize::MAX);
        if windows.saturating_mul(self.measures) > MAX_DENSE {
            return false;
        }
        let mut buckets = Vec::with_capacity(windows * self.measures);
        buckets.resize(windows * self.measures, S::EMPTY);
        let mut sums = Vec::new();
        if self.needs.sketch {
            sums.resize_with(windows * self.measures, SketchSum::default);
        }
        let old = std::mem::replace(&mut self.starts, (0..windows as Micros).map(|w| first + w * width).collect());
        for (window, start) in old.into_iter().enumerate() {
            let to = ((start - first) / width) as usize * self.measures;
            for measure in 0..self.measures {
                let from = window * self.measures + measure;
                buckets[to + measure] = std::mem::replace(&mut self.buckets[from], S::EMPTY);
                if self.needs.sketch {
                    sums[to + measure] = std::mem::take(&mut self.sums[from]);
                }
            }
        }
        (self.buckets, self.sums) = (buckets, sums);
        self.has_empty = true;
        true
    }

    fn append_window(&mut self, start: Micros) -> usize {
        let at = self.buckets.len();
        (0..self.measures).for_each(|_| self.buckets.push(S::EMPTY));
        if self.needs.sketch {
            self.sums.resize_with(at + self.measures, SketchSum::default);
        }
        self.starts.push(start);
        at
    }
}

/// Finished windows, oldest first.
#[derive(Debug, Clone)]
pub struct Table<S> {
    starts: Vec<Micros>,
    measures: usize,
    buckets: Vec<S>,
}

impl<S: Summary> Table<S> {
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Starts of the windows, ascending.
    pub fn starts(&self) -> &[Micros] {
        &self.starts
    }

    /// The buckets of a window, one per measure.
    ///
    /// # Panics
    /// If there is no such window.
    pub fn buckets(&self, window: usize) -> &[S] {
        &self.buckets[window * self.measures..][..self.measures]
    }

    /// Start and buckets of each window.
    pub fn rows(&self) -> impl DoubleEndedIterator<Item = (Micros, &[S])> {
        self.starts.iter().enumerate().map(|(window, &start)| (start, self.buckets(window)))
    }

    /// The buckets of the only window; empty ones if there is none.
    pub fn into_one(mut self) -> Vec<S> {
        self.buckets.resize(self.measures, S::EMPTY);
        self.buckets
    }

    fn drop_empty(&mut self) {
        let has_values = |window: &usize| self.buckets(*window).iter().any(|bucket| bucket.count() > 0);
        let kept: Vec<usize> = (0..self.len()).filter(has_values).collect();
        let mut buckets = Vec::with_capacity(kept.len() * self.measures);
        for &window in &kept {
            let from = window * self.measures;
            buckets.extend(self.buckets[from..from + self.measures].iter_mut().map(|b| std::mem::replace(b, S::EMPTY)));
        }
        self.starts = kept.iter().map(|&window| self.starts[window]).collect();
        self.buckets = buckets;
    }

    /// Number of windows of this width from the first to the last, those without values among them.
    pub fn regular_len(&self, width: Micros) -> usize {
        match (self.starts.first(), self.starts.last()) {
            (Some(first), Some(last)) => usize::try_from((last - first) / width + 1).unwrap_or(usize::MAX),
            _ => 0,
        }
    }

    /// The summaries of one measure in all windows of this width from the first to the last; None for those in the gaps.
    pub fn regular_column(&self, measure: usize, width: Micros) -> impl Iterator<Item = Option<&S>> {
        let windows = self.starts.iter().zip(self.buckets.chunks_exact(self.measures));
        let mut windows = windows.map(move |(&start, buckets)| (start, &buckets[measure])).peekable();
        let mut start = self.starts.first().copied().unwrap_or_default();
        (0..self.regular_len(width)).map(move |_| {
            let found = windows.next_if(|&(next, _)| next == start);
            start = start.saturating_add(width);
            found.map(|(_, bucket)| bucket)
        })
    }

    /// Fills the gaps between the windows of this width with empty ones.
    pub fn with_empty(self, width: Micros) -> Table<S> {
        let total = self.regular_len(width);
        if total == self.len() {
            return self;
        }
        let first = self.starts[0];
        let mut filled = vec![S::EMPTY; total * self.measures];
        let starts = (0..total as Micros).map(|window| first + window * width).collect();
        for (start, buckets) in self.rows() {
            let at = ((start - first) / width) as usize * self.measures;
            filled[at..at + self.measures].clone_from_slice(buckets);
        }
        Table { starts, measures: self.measures, buckets: filled }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bucket::Bucket;
    use proptest::prelude::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-9 * (1.0 + a.abs().max(b.abs()))
    }

    #[test]
    fn windows_are_aligned_to_their_origin() {
        let windows = Windows::<Bucket>::tumbling(10, 3, 1, Needs::STATE);
        assert_eq!(windows.start_of(3), 3);
        assert_eq!(windows.start_of(12), 3);
        assert_eq!(windows.start_of(2), -7);
    }

    #[test]
    fn kept_buckets_are_used_only_where_they_lie_in_one_window() {
        let fit = |width, origin, sketch| {
            Windows::<Bucket>::tumbling(width, origin, 1, Needs { sketch, ..Needs::STATE }).fit()
        };
        assert_eq!(fit(FINE, 0, false), Fit::Fine);
        assert_eq!(fit(FINE, 0, true), Fit::None);
        assert_eq!(fit(2 * FINE, FINE, false), Fit::Fine);
        assert_eq!(fit(FINE, 1, false), Fit::None);
        assert_eq!(fit(FINE - 1, 0, false), Fit::None);
        assert_eq!(fit(24 * COARSE, 0, true), Fit::Hours);
        assert_eq!(fit(COARSE, FINE, false), Fit::Fine);
        assert_eq!(Windows::<Bucket>::one(7, 1, Needs { sketch: true, ..Needs::STATE }).fit(), Fit::Hours);
    }

    #[test]
    fn a_gap_is_filled_with_empty_windows() {
        let mut windows = Windows::<Bucket>::tumbling(10, 0, 2, Needs::STATE);
        windows.add_rows(&[5, 31], &[&[1.0, 2.0], &[f64::NAN, 4.0]]);
        let table = windows.finish().with_empty(10);
        assert_eq!(table.starts(), [0, 10, 20, 30]);
        let counts: Vec<[u64; 2]> = table.rows().map(|(_, buckets)| [buckets[0].count, buckets[1].count]).collect();
        assert_eq!(counts, [[1, 0], [0, 0], [0, 0], [1, 1]]);
    }

    #[test]
    fn a_table_without_windows_has_empty_columns() {
        let table = Windows::<Bucket>::tumbling(10, 0, 2, Needs::STATE).finish();
        assert_eq!((table.regular_len(10), table.regular_column(1, 10).count()), (0, 0));
        assert!(table.with_empty(10).is_empty());
    }

    #[test]
    fn the_widest_windows_do_not_overflow() {
        let width = Micros::MAX / COARSE * COARSE;
        let mut windows = Windows::<Bucket>::tumbling(width, 0, 1, Needs::default());
        for time in [-COARSE, 0, COARSE] {
            windows.add_state(time, 0, Bucket::fold(&[time], &[1.0]), Sketch::None).unwrap();
        }
        let table = windows.finish();
        let counts: Vec<u64> = table.regular_column(0, width).map(|bucket| bucket.unwrap().count).collect();
        assert_eq!((table.starts(), counts), (&[-width, 0][..], vec![1, 2]));
    }

    proptest! {
        #[test]
        fn series_that_come_one_after_the_other_fill_the_same_windows(
            series in prop::collection::vec(prop::collection::vec(-500i64..500, 1..20), 1..6),
            width in 1i64..60,
            sketches: bool,
        ) {
            let mut windows = Windows::<Bucket>::tumbling(width, 3, 2, Needs { sketch: sketches, ..Needs::STATE });
            let mut expected = std::collections::BTreeMap::<Micros, u64>::new();
            for mut times in series {
                times.sort_unstable();
                times.dedup();
                times.iter().for_each(|&time| *expected.entry(windows.start_of(time)).or_default() += 1);
                let values = vec![1.0; times.len()];
                let missing = vec![f64::NAN; times.len()];
                windows.add_rows(&times, &[&missing, &values]);
            }
            let table = windows.finish();
            let found: Vec<(Micros, u64)> = table.rows().map(|(start, buckets)| (start, buckets[1].count)).collect();
            prop_assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
            for (_, buckets) in table.rows() {
                prop_assert_eq!(buckets[0].count, 0);
                prop_assert_eq!(buckets[1].sketch.as_ref().map(|sketch| sketch.count()), sketches.then_some(buckets[1].count));
            }
        }

        #[test]
        fn tumbling_windows_equal_buckets_filled_one_by_one(
            steps in prop::collection::vec((1i64..30, prop_oneof![8 => (-1000i32..1000).prop_map(f64::from), 1 => Just(f64::NAN)]), 1..100),
            width in 1i64..60, origin in -50i64..50, cut in any::<prop::sample::Index>())
        {
            let mut time = -500;
            let (times, values): (Vec<_>, Vec<_>) = steps.iter().map(|&(step, value)| { time += step; (time, value) }).unzip();
            let cut = cut.index(times.len());
            let mut windows = Windows::<Bucket>::tumbling(width, origin, 1, Needs { sketch: true, ..Needs::STATE });
            windows.add_rows(&times[..cut], &[&values[..cut]]);
            windows.add_rows(&times[cut..], &[&values[cut..]]);
            let table = windows.finish();
            prop_assert!(table.starts().windows(2).all(|pair| pair[0] < pair[1]));
            let mut counted = 0;
            for (start, buckets) in table.rows() {
                let mut expected = Bucket::with_sketch();
                for (&time, &value) in times.iter().zip(&values) {
                    if (start..start + width).contains(&time) {
                        expected.update(time, value);
                    }
                }
                let got = &buckets[0];
                counted += got.count;
                prop_assert!(got.count > 0);
                prop_assert_eq!(got.count, expected.count);
                prop_assert_eq!(&got.sketch, &expected.sketch);
                prop_assert_eq!((got.min, got.max, got.first, got.last, got.sum),
                                (expected.min, expected.max, expected.first, expected.last, expected.sum));
                prop_assert!(close(got.mean, expected.mean) && close(got.m2, expected.m2));
            }
            prop_assert_eq!(counted as usize, values.iter().filter(|value| !value.is_nan()).count());
            let column: Vec<Bucket> = table.regular_column(0, width).map(|b| b.cloned().unwrap_or_default()).collect();
            prop_assert_eq!(column.len(), table.regular_len(width));
            let filled = table.with_empty(width);
            prop_assert!(filled.starts().windows(2).all(|pair| pair[1] - pair[0] == width));
            prop_assert_eq!(column, filled.rows().map(|(_, buckets)| buckets[0].clone()).collect::<Vec<_>>());
        }
    }
}
