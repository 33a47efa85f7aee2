//! The figures and what they must reach.
//!
//! `must` is in the figure's own unit, `peer` what RedisTimeSeries needed on the machine for which that was set (the middle,
//! where it was a range). A slower or faster machine moves both, so a time holds if its ratio in this run is at least as
//! good as `must / peer`. What the peer does not offer is held against the nearest that it does: a score and quantiles cost
//! time too. Bytes and factors are the same on every machine: for them `must` itself is the measure.

#[derive(Clone, Copy, Debug)]
pub struct Figure {
    pub name: &'static str,
    pub unit: &'static str,
    pub must: Option<f64>,
    /// None if `must` is absolute.
    pub peer: Option<f64>,
    pub more_is_better: bool,
}

const fn less(name: &'static str, unit: &'static str, must: f64, peer: f64) -> Figure {
    Figure { name, unit, must: Some(must), peer: Some(peer), more_is_better: false }
}

const fn alone(name: &'static str, unit: &'static str, must: f64) -> Figure {
    Figure { name, unit, must: Some(must), peer: None, more_is_better: false }
}

const fn to_know(name: &'static str, unit: &'static str, more_is_better: bool) -> Figure {
    Figure { name, unit, must: None, peer: None, more_is_better }
}

pub const READING: Figure = less("one reading of 3 measures", "us", 1.5, 46.0);
pub const READING_NO_RULES: Figure = to_know("the same, the peer without rules", "us", false);
/// The peer has no score: its reading without one.
pub const READING_SCORED: Figure = less("the same with the score, the peer without", "us", 3.0, 46.0);
/// A reading with its score less the same reading of an unwatched source of the same server, by the measures of a reading. Both
/// take turns in each round. The peer's is its reading without a score.
pub const SCORE: Figure = less("what the score adds to it, per measure", "us", 0.25, 46.0);
pub const SLOW_DOWN: Figure = alone("slow-down after an RDB reload", "x", 1.2);
pub const THROUGHPUT: Figure = Figure {
    name: "pipelined readings per second",
    unit: "1/s",
    must: Some(250_000.0),
    peer: Some(21_000.0),
    more_is_better: true,
};
pub const THROUGHPUT_MANY: Figure = to_know("the same, 50 nodes a command", "1/s", true);
pub const LATE: Figure = less("late reading, 15 s to 12 h", "us", 10.0, 280.0);
pub const BYTES_DECIMAL: Figure = alone("bytes per value, raw, two decimals", "B", 1.5);
pub const BYTES_DOUBLE: Figure = alone("bytes per value, raw, full double", "B", 7.5);
pub const BYTES_ROLLUPS: Figure = alone("bytes per value, raw and rollups", "B", 8.0);
pub const OPEN_ROLLUPS: Figure = less("all open rollups of one node", "us", 8.0, 54.0);
/// The form for who is in a hurry.
pub const GRID: Figure = less("288 buckets as a grid, the peer from a rollup", "us", 20.0, 28.0);
pub const GRID_OF_RAW: Figure = less("288 buckets as a grid, the peer from raw", "us", 20.0, 51.0);
/// Most of a row's time goes into the server's reply, whatever the module does: a time and a value of their own, in an array.
pub const ROWS: Figure = to_know("288 buckets as rows, the peer from a rollup", "us", false);
pub const ROWS_OF_RAW: Figure = to_know("288 buckets as rows, the peer from raw", "us", false);
pub const BUCKETS_PACKED: Figure = to_know("288 buckets, packed (aim 3)", "us", false);
pub const ALL_AGGREGATES: Figure = less("3 measures x 6 aggregates x 288", "us", 250.0, 560.0);
pub const ALL_AGGREGATES_PACKED: Figure = to_know("the same, packed (aim 20)", "us", false);
pub const RAW: Figure = less("24 h raw, 2880 rows", "us", 200.0, 231.0);
pub const RAW_PACKED: Figure = to_know("24 h raw, packed (aim 20)", "us", false);
pub const LAST_DAY: Figure = less("one aggregate over the last 24 h", "us", 2.0, 22.5);
/// The peer has no quantiles of a time; an average over it is the nearest that it offers.
pub const QUANTILES: Figure = less("3 quantiles over 24 h, the peer an average", "us", 6.0, 22.5);
pub const GROUP: Figure = less("100 nodes grouped, 5 min, 24 h", "us", 1000.0, 6800.0);
pub const LAST_VALUES: Figure = less("last value of 1000 nodes", "us", 800.0, 3900.0);
pub const RDB_BYTES: Figure = alone("a day with rollups: RDB bytes per value", "B", 5.0);
pub const RDB_SAVE: Figure = less("the same: save", "s", 0.8, 1.49);
pub const RDB_LOAD: Figure = less("the same: load", "s", 0.8, 3.15);
pub const REPLICA: Figure = alone("replica's CPU per reading / primary's", "x", 1.0);
pub const REPLICATION: Figure = alone("replication bytes per reading", "B", 110.0);
/// Instructions are the same on every machine, so `must` counts as it is.
pub const INSTRUCTIONS: Figure = alone("instructions per reading, whole server", "Ir", 14_000.0);

/// All figures of `make bench-hot`, in the order of the table.
pub const ALL: [Figure; 30] = [
    READING,
    READING_NO_RULES,
    READING_SCORED,
    SCORE,
    SLOW_DOWN,
    THROUGHPUT,
    THROUGHPUT_MANY,
    LATE,
    BYTES_DECIMAL,
    BYTES_DOUBLE,
    BYTES_ROLLUPS,
    OPEN_ROLLUPS,
    GRID,
    GRID_OF_RAW,
    ROWS,
    ROWS_OF_RAW,
    BUCKETS_PACKED,
    ALL_AGGREGATES,
    ALL_AGGREGATES_PACKED,
    RAW,
    RAW_PACKED,
    LAST_DAY,
    QUANTILES,
    GROUP,
    LAST_VALUES,
    RDB_BYTES,
    RDB_SAVE,
    RDB_LOAD,
    REPLICA,
    REPLICATION,
];

impl Figure {
    /// The ratio of Strata to the peer that must be reached.
    pub fn must_ratio(&self) -> Option<f64> {
        Some(self.must? / self.peer?)
    }

    /// None for a figure that is there to know.
    pub fn holds(&self, strata: Option<f64>, peer: Option<f64>) -> Option<bool> {
        let must = self.must?;
        let reached = |value: f64, limit: f64| if self.more_is_better { value >= limit } else { value <= limit };
        Some(match (self.must_ratio(), strata, peer) {
            (Some(limit), Some(strata), Some(peer)) => reached(strata / peer, limit),
            (None, Some(strata), _) => reached(strata, must),
            _ => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_is_the_ratio_where_there_is_a_peer() {
        assert_eq!(READING.holds(Some(2.0), Some(92.0)), Some(true));
        assert_eq!(READING.holds(Some(1.4), Some(20.0)), Some(false));
        assert_eq!(THROUGHPUT.holds(Some(130e3), Some(10e3)), Some(true));
        assert_eq!(SLOW_DOWN.holds(Some(1.3), None), Some(false));
    }

    #[test]
    fn what_was_not_measured_does_not_hold() {
        assert_eq!(READING.holds(None, Some(46.0)), Some(false));
        assert_eq!(READING.holds(Some(1.0), None), Some(false));
        assert_eq!(THROUGHPUT_MANY.holds(None, None), None);
    }
}
