//! The commands of both systems: how an operator of each would write and ask.

use std::fmt::Write as _;

use crate::pipe::command;
use crate::workload::{MEASURES, Reading, START, time_of};

/// Which of the two systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Strata,
    /// RedisTimeSeries.
    Peer,
}

/// The source that holds all nodes.
pub const SOURCE: &str = "readings";
/// A source of [`GROUP_NODES`] nodes with the same readings; a label of the peer's series.
pub const GROUP: &str = "ward";
pub const GROUP_NODES: usize = 100;
/// The detection method of the readings that are scored.
const METHOD: &str = "range_novelty";

/// The field of `STRATA.INFO SOURCE` with the bytes of kept rollups, which raw values are counted without.
pub const ROLLUP_BYTES: &str = "rollup_bytes";

/// Milliseconds of the kept buckets, and the peer's word for them.
const WINDOWS: [(i64, &str); 3] = [(300_000, "5m"), (3_600_000, "1h"), (86_400_000, "1d")];
const AGGREGATES: [&str; 6] = ["avg", "min", "max", "count", "sum", "std.s"];
const STRATA_AGGREGATES: &str = "AGG 6 avg min max count sum stddev";
/// Milliseconds: more than is ever written, so that nothing is dropped while a reading is measured.
const RETENTION: &str = "172800000";

/// A question that a dashboard asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Query {
    /// 3 measures × 6 aggregates over 5 minutes, 1 hour and 1 day up to now.
    OpenRollups,
    /// One aggregate in 288 buckets of 5 minutes; the peer asks the rule's key.
    Rows,
    /// The same; the peer asks the raw series.
    RowsOfRaw,
    /// As [`Query::Rows`] for the peer; Strata gives the values as one list.
    Grid,
    /// As [`Query::RowsOfRaw`] for the peer; Strata gives the values as one list.
    GridOfRaw,
    /// 3 measures × 6 aggregates × 288 buckets.
    AllAggregates,
    /// 2880 samples of one measure.
    Raw,
    /// One average over the last 24 hours.
    LastDay,
    /// Three percentiles over the last 24 hours; the peer, which has none, gives an average.
    Quantiles,
    /// One aggregate over 100 nodes together, in 288 buckets.
    Group,
    /// The newest value of each node.
    LastValues,
}

impl Query {
    /// What a right reply holds at least: numbers and texts.
    pub fn least_items(self) -> usize {
        match self {
            Self::OpenRollups => 54,
            Self::Rows | Self::RowsOfRaw | Self::Group => 2 * 288,
            Self::Grid | Self::GridOfRaw => 288,
            Self::AllAggregates => 18 * 288,
            Self::Raw => 2 * 2880,
            Self::LastDay => 1,
            Self::Quantiles => 2,
            Self::LastValues => 2 * 1000,
        }
    }

    /// What a right packed reply holds at least, in bytes.
    pub fn least_packed_bytes(self) -> usize {
        match self {
            Self::AllAggregates => 19 * 288 * 8,
            Self::Raw => 2 * 2880 * 8,
            _ => 2 * 288 * 8,
        }
    }
}

fn words(buffer: &mut Vec<u8>, line: &str) {
    let words: Vec<&str> = line.split(' ').collect();
    command(buffer, &words);
}

fn node_name(node: usize) -> String {
    format!("NODE_{node:04}")
}

/// The commands that put all measures of all nodes of [`SOURCE`], which have readings, under watch, and their number.
pub fn watch(nodes: usize) -> (Vec<u8>, usize) {
    let mut buffer = Vec::new();
    for node in 0..nodes {
        let watches: String = MEASURES.iter().map(|measure| format!(" {measure} - {METHOD}")).collect();
        words(&mut buffer, &format!("STRATA.WATCH {SOURCE}:{}{watches}", node_name(node)));
    }
    (buffer, nodes)
}

impl Dialect {
    pub fn name(self) -> &'static str {
        match self {
            Self::Strata => "Strata",
            Self::Peer => "RedisTimeSeries",
        }
    }

    /// What the names of its commands begin with in `INFO commandstats`.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Strata => "cmdstat_strata.",
            Self::Peer => "cmdstat_ts.",
        }
    }

    /// The commands that make the keys, and their number. Strata makes them as readings come, with the rollups.
    pub fn create(self, nodes: usize, rules: bool) -> (Vec<u8>, usize) {
        let (mut buffer, mut count) = (Vec::new(), 0);
        if self == Self::Strata {
            return (buffer, count);
        }
        for node in 0..nodes {
            let group = if node < GROUP_NODES { GROUP } else { "other" };
            let node = node_name(node);
            for measure in MEASURES {
                let labels = format!("node {node} measure {measure} group {group}");
                let options = format!("RETENTION {RETENTION} DUPLICATE_POLICY LAST LABELS {labels}");
                words(&mut buffer, &format!("TS.CREATE {node}:{measure} {options} kind raw"));
                count += 1;
                for (window, name) in WINDOWS.iter().filter(|_| rules) {
                    for aggregate in AGGREGATES {
                        let key = format!("{node}:{measure}:{aggregate}:{name}");
                        let labels = format!("{options} kind rollup agg {aggregate} bucket {name}");
                        words(&mut buffer, &format!("TS.CREATE {key} {labels}"));
                        let rule = format!("AGGREGATION {aggregate} {window}");
                        words(&mut buffer, &format!("TS.CREATERULE {node}:{measure} {key} {rule}"));
                        count += 2;
                    }
                }
            }
        }
        (buffer, count)
    }

    /// One reading of a node, as one command.
    pub fn reading(self, buffer: &mut Vec<u8>, node: usize, time: i64, values: &Reading) {
        self.reading_of(buffer, SOURCE, node, time, values, "");
    }

    /// A reading to a source of Strata, with options; the peer knows neither.
    pub fn reading_of(
        self,
        buffer: &mut Vec<u8>,
        source: &str,
        node: usize,
        time: i64,
        values: &Reading,
        options: &str,
    ) {
        let node = node_name(node);
        let mut line = String::with_capacity(160);
        match self {
            Self::Strata => {
                let _ = write!(line, "STRATA.ADD {source}:{node} {time}{options}");
                for (measure, value) in MEASURES.iter().zip(values) {
                    let _ = write!(line, " {measure} {value}");
                }
            }
            Self::Peer => {
                line.push_str("TS.MADD");
                for (measure, value) in MEASURES.iter().zip(values) {
                    let _ = write!(line, " {node}:{measure} {time} {value}");
                }
            }
        }
        words(buffer, &line);
    }

    /// Readings of many nodes, as one command.
    pub fn readings(self, buffer: &mut Vec<u8>, first_node: usize, time: i64, readings: &[Reading]) {
        let mut line = String::with_capacity(readings.len() * 100);
        line.push_str(match self {
            Self::Strata => "STRATA.MADD",
            Self::Peer => "TS.MADD",
        });
        for (index, values) in readings.iter().enumerate() {
            let node = node_name(first_node + index);
            if self == Self::Strata {
                let _ = write!(line, " {SOURCE}:{node} {time} {}", values.len());
            }
            for (measure, value) in MEASURES.iter().zip(values) {
                let _ = match self {
                    Self::Strata => write!(line, " {measure} {value}"),
                    Self::Peer => write!(line, " {node}:{measure} {time} {value}"),
                };
            }
        }
        words(buffer, &line);
    }

    /// Appends the command of a question about a node as of `step`.
    pub fn query(self, buffer: &mut Vec<u8>, query: Query, node: usize, step: usize, packed: bool) {
        let line = match self {
            Self::Strata => strata_query(query, &node_name(node), time_of(step), packed),
            Self::Peer => peer_query(query, &node_name(node), time_of(step)),
        };
        words(buffer, &line);
    }
}

fn strata_query(query: Query, node: &str, now: i64, packed: bool) -> String {
    let key = format!("{SOURCE}:{node}");
    let line = match query {
        Query::OpenRollups => {
            let windows = WINDOWS.map(|(_, window)| window).join(" ");
            format!("STRATA.ROLL {key} {windows} AT + {STRATA_AGGREGATES}")
        }
        Query::Rows | Query::RowsOfRaw => {
            format!("STRATA.RANGE {key} {START} {now} MEASURES 1 flow BUCKET 5m AGG 1 avg")
        }
        Query::Grid | Query::GridOfRaw => {
            format!("STRATA.RANGE {key} {START} {now} MEASURES 1 flow BUCKET 5m AGG 1 avg GRID")
        }
        Query::AllAggregates => format!("STRATA.RANGE {key} {START} {now} BUCKET 5m {STRATA_AGGREGATES}"),
        Query::Raw => format!("STRATA.RANGE {key} {START} {now} MEASURES 1 flow"),
        Query::LastDay => format!("STRATA.ROLL {key} 1d AT + MEASURES 1 flow AGG 1 avg"),
        Query::Quantiles => format!("STRATA.ROLL {key} 1d AT + MEASURES 1 flow AGG 3 p50 p95 p99"),
        Query::Group => format!("STRATA.SOURCE {GROUP} 1d AT + MEASURES 1 flow BUCKET 5m AGG 1 avg"),
        Query::LastValues => format!("STRATA.MGET SOURCE {SOURCE} MEASURES 1 flow"),
    };
    if packed { format!("{line} PACKED") } else { line }
}

fn peer_query(query: Query, node: &str, now: i64) -> String {
    match query {
        Query::OpenRollups => format!("TS.MGET LATEST FILTER node={node} kind=rollup"),
        Query::Rows | Query::Grid => format!("TS.RANGE {node}:flow:avg:5m {START} {now} LATEST"),
        Query::RowsOfRaw | Query::GridOfRaw => format!("TS.RANGE {node}:flow {START} {now} AGGREGATION avg 300000"),
        Query::AllAggregates => format!("TS.MRANGE {START} {now} LATEST FILTER node={node} kind=rollup bucket=5m"),
        Query::Raw => format!("TS.RANGE {node}:flow {START} {now}"),
        Query::LastDay | Query::Quantiles => {
            format!("TS.RANGE {node}:flow {START} {now} AGGREGATION avg 86400000")
        }
        Query::Group => format!(
            "TS.MRANGE {START} {now} LATEST FILTER group={GROUP} measure=flow agg=avg bucket=5m GROUPBY group REDUCE avg"
        ),
        Query::LastValues => "TS.MGET FILTER measure=flow kind=raw".to_owned(),
    }
}
