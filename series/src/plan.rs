//! Which tier answers which part of a time range.
//!
//! A boundary comes from a fact, never from the age of the data: a day is read from the archive because its rows were
//! dropped from the table, from the table because they were not, from Redis because samples wait there. Samples that
//! wait in Redis may have any time (late ones too), so the hot segment spans everything they can span.

use std::collections::BTreeSet;

use crate::time::{Day, Micros};

/// In the order of precedence of their rows: a hot row replaces a warm one, a warm row a cold one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    Cold,
    Warm,
    Hot,
}

/// What is known of a source when it is queried.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Days whose rows were archived, proved and dropped from the table, and not restored since.
    pub dropped: &'a BTreeSet<Day>,
    /// Those of them for which the table holds rows again: late ones that no archive run has moved yet.
    pub late: &'a BTreeSet<Day>,
    /// Whether the source has a hot tier at all and which times its unflushed samples have.
    pub hot: HotSpan,
}

/// The times of the samples that Redis holds and the table does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HotSpan {
    /// No hot tier, or nothing is pending.
    Nothing,
    /// Attached; what is pending is not known before it is read.
    Anywhere,
    /// Pending samples lie between these times, both included.
    Between(Micros, Micros),
}

/// `[from, to)` of one tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    pub tier: Tier,
    pub from: Micros,
    pub to: Micros,
}

impl Segment {
    pub fn overlaps(&self, other: &Segment) -> bool {
        self.from < other.to && other.from < self.to
    }
}

/// The segments that together answer a range.
///
/// Cold segments do not overlap each other, nor do warm ones. Cold and warm ones come first, in order of time, cold
/// before warm over the same days; the hot one comes last. So a reader that takes the segments in order and lets each row
/// replace an earlier one of the same key and time counts every row once. A segment that no other overlaps needs no such
/// merge and can be aggregated where it lies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    pub segments: Vec<Segment>,
}

impl Plan {
    pub fn of(&self, tier: Tier) -> impl Iterator<Item = Segment> + '_ {
        self.segments.iter().copied().filter(move |s| s.tier == tier)
    }

    pub fn needs(&self, tier: Tier) -> bool {
        self.of(tier).next().is_some()
    }

    /// Whether rows of `segment` may be replaced by, or replace, rows of another segment.
    pub fn must_merge(&self, segment: &Segment) -> bool {
        self.segments.iter().any(|other| other != segment && other.overlaps(segment))
    }
}

/// Plans `[from, to)`. An empty or reversed range needs no tier. Takes time in the number of dropped days within the
/// range, not in its length.
pub fn plan(from: Micros, to: Micros, facts: &Facts<'_>) -> Plan {
    let mut plan = Plan::default();
    if from >= to {
        return plan;
    }
    let mut covered = from;
    for run in runs_of_days(facts, from, to) {
        let (start, end) = (run.first.start().max(from), run.last.end().min(to));
        if covered < start {
            push(&mut plan, Tier::Warm, covered, start);
        }
        push(&mut plan, Tier::Cold, start, end);
        if run.late {
            push(&mut plan, Tier::Warm, start, end);
        }
        covered = end;
    }
    if covered < to {
        push(&mut plan, Tier::Warm, covered, to);
    }
    let hot = match facts.hot {
        HotSpan::Nothing => None,
        HotSpan::Anywhere => Some((from, to)),
        HotSpan::Between(first, last) => Some((first.max(from), last.saturating_add(1).min(to))),
    };
    if let Some((start, end)) = hot.filter(|(start, end)| start < end) {
        push(&mut plan, Tier::Hot, start, end);
    }
    plan
}

/// Neighbouring dropped days of which all or none have late rows.
struct Run {
    first: Day,
    last: Day,
    late: bool,
}

fn runs_of_days(facts: &Facts<'_>, from: Micros, to: Micros) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for &day in facts.dropped.range(Day::of(from)..=Day::of(to - 1)) {
        let late = facts.late.contains(&day);
        match runs.last_mut() {
            Some(run) if run.last.next() == day && run.late == late => run.last = day,
            _ => runs.push(Run { first: day, last: day, late }),
        }
    }
    runs
}

fn push(plan: &mut Plan, tier: Tier, from: Micros, to: Micros) {
    plan.segments.push(Segment { tier, from, to });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::MICROS_PER_DAY;
    use proptest::prelude::*;

    const D: i64 = MICROS_PER_DAY;

    fn segments(from: i64, to: i64, dropped: &[i32], late: &[i32], hot: HotSpan) -> Vec<(Tier, i64, i64)> {
        let dropped = dropped.iter().map(|&d| Day(d)).collect();
        let late = late.iter().map(|&d| Day(d)).collect();
        let plan = plan(from, to, &Facts { dropped: &dropped, late: &late, hot });
        plan.segments.iter().map(|s| (s.tier, s.from, s.to)).collect()
    }

    #[test]
    fn without_dropped_days_or_redis_the_table_answers_alone() {
        assert_eq!(segments(5, 10 * D, &[], &[], HotSpan::Nothing), [(Tier::Warm, 5, 10 * D)]);
    }

    #[test]
    fn dropped_days_come_from_the_archive_and_only_they() {
        assert_eq!(
            segments(D / 2, 5 * D, &[0, 1, 3, 9], &[], HotSpan::Nothing),
            [
                (Tier::Cold, D / 2, 2 * D),
                (Tier::Warm, 2 * D, 3 * D),
                (Tier::Cold, 3 * D, 4 * D),
                (Tier::Warm, 4 * D, 5 * D)
            ]
        );
    }

    #[test]
    fn a_range_within_one_dropped_day_needs_no_table() {
        assert_eq!(segments(D + 5, D + 9, &[1], &[], HotSpan::Nothing), [(Tier::Cold, D + 5, D + 9)]);
    }

    #[test]
    fn a_dropped_day_with_late_rows_is_read_from_both() {
        assert_eq!(
            segments(0, 3 * D, &[0, 1, 2], &[1], HotSpan::Nothing),
            [(Tier::Cold, 0, D), (Tier::Cold, D, 2 * D), (Tier::Warm, D, 2 * D), (Tier::Cold, 2 * D, 3 * D)]
        );
    }

    #[test]
    fn unflushed_samples_lie_over_everything_they_may_touch() {
        assert_eq!(
            segments(0, 2 * D, &[0], &[], HotSpan::Anywhere),
            [(Tier::Cold, 0, D), (Tier::Warm, D, 2 * D), (Tier::Hot, 0, 2 * D)]
        );
        assert_eq!(
            segments(0, 2 * D, &[], &[], HotSpan::Between(D, 9 * D)),
            [(Tier::Warm, 0, 2 * D), (Tier::Hot, D, 2 * D)]
        );
        assert_eq!(segments(0, D, &[], &[], HotSpan::Between(D, D)), [(Tier::Warm, 0, D)]);
    }

    #[test]
    fn an_empty_range_needs_no_tier() {
        assert_eq!(segments(7, 7, &[0], &[], HotSpan::Anywhere), []);
        assert_eq!(segments(8, 7, &[0], &[], HotSpan::Anywhere), []);
    }

    #[test]
    fn the_whole_of_time_can_be_planned() {
        assert_eq!(
            segments(i64::MIN, i64::MAX, &[0], &[], HotSpan::Anywhere),
            [(Tier::Warm, i64::MIN, 0), (Tier::Cold, 0, D), (Tier::Warm, D, i64::MAX), (Tier::Hot, i64::MIN, i64::MAX)]
        );
    }

    #[test]
    fn only_segments_that_others_overlap_must_merge() {
        let (dropped, late) = (BTreeSet::from([Day(0), Day(1)]), BTreeSet::from([Day(1)]));
        let facts = Facts { dropped: &dropped, late: &late, hot: HotSpan::Between(3 * D, 3 * D) };
        let plan = plan(0, 4 * D, &facts);
        let merge: Vec<bool> = plan.segments.iter().map(|s| plan.must_merge(s)).collect();
        assert_eq!(merge, [false, true, true, true, true]);
    }

    proptest! {
        #[test]
        fn every_instant_is_answered_by_the_tiers_that_hold_it(
            from in -5 * D..5 * D, length in 1..8 * D,
            dropped in prop::collection::btree_set(-6_i32..14, 0..12),
            late in prop::collection::btree_set(-6_i32..14, 0..12),
            at in any::<prop::sample::Index>(),
        ) {
            let dropped: BTreeSet<Day> = dropped.into_iter().map(Day).collect();
            let late: BTreeSet<Day> = late.into_iter().map(Day).collect();
            let to = from + length;
            let plan = plan(from, to, &Facts { dropped: &dropped, late: &late, hot: HotSpan::Anywhere });
            prop_assert!(plan.segments.iter().all(|s| from <= s.from && s.from < s.to && s.to <= to));
            let instant = from + at.index(length as usize) as i64;
            let tiers: Vec<Tier> =
                plan.segments.iter().filter(|s| s.from <= instant && instant < s.to).map(|s| s.tier).collect();
            let day = Day::of(instant);
            let expected: &[Tier] = match (dropped.contains(&day), late.contains(&day)) {
                (false, _) => &[Tier::Warm, Tier::Hot],
                (true, false) => &[Tier::Cold, Tier::Hot],
                (true, true) => &[Tier::Cold, Tier::Warm, Tier::Hot],
            };
            prop_assert_eq!(tiers, expected);
        }
    }
}
