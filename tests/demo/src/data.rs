//! The rows of both sources and the way by which each of them enters.

use series::time::{Day, MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, Micros};
use strata_demo::nab;
use strata_demo::water_network::Network;

/// Days before the end from which on history comes by COPY; before, it is in BigQuery already.
const COPIED_DAYS: i64 = 45;

/// How a row gets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Part of the history that is in BigQuery before Strata comes: `strata.import`.
    Import,
    /// COPY.
    Copy,
    /// Older than a day and arriving late: a plain INSERT.
    Insert,
    /// Of the last day: through Redis, in order.
    Sensor,
    /// Of the last day, through Redis, but after newer ones.
    LateSensor,
    /// Of the last half hour: through Redis, after the jobs have run, so that it is nowhere else.
    StillToCome,
}

/// One reading of either source.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub time: Micros,
    pub key: String,
    /// In the order of [`Source::measures`].
    pub values: Vec<Option<f64>>,
    pub way: Way,
}

/// A table and the rows that shall be in it at the end.
pub struct Source {
    /// Name in Redis and of the BigQuery tables.
    pub name: &'static str,
    pub table: &'static str,
    pub time_column: &'static str,
    pub key_column: &'static str,
    pub measures: &'static [&'static str],
    /// What its rows are called in a sentence.
    pub noun: &'static str,
    /// By time.
    pub rows: Vec<Row>,
}

impl Source {
    pub fn of_way(&self, way: Way) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.way == way)
    }

    /// All columns: time, key, measures.
    pub fn columns(&self) -> Vec<&'static str> {
        [self.time_column, self.key_column].into_iter().chain(self.measures.iter().copied()).collect()
    }

    /// Start of the day of the first row, end of the day of the last one.
    pub fn span(&self) -> (Micros, Micros) {
        let day = |row: Option<&Row>| Day::of(row.map_or(0, |row| row.time));
        (day(self.rows.first()).start(), day(self.rows.last()).end())
    }
}

/// The simulated water network.
pub fn water(network: &Network, end: Micros) -> Source {
    let row = |reading: &strata_demo::water_network::Reading| Row {
        time: reading.time,
        key: reading.node.to_owned(),
        values: vec![
            Some(reading.flow_rate),
            Some(reading.pressure),
            reading.temperature,
            Some(reading.volume),
            Some(reading.quality_score),
        ],
        way: way(reading.time, network.is_late(reading), end),
    };
    Source {
        name: "sensor_readings",
        table: "water_infrastructure.sensor_readings",
        time_column: "timestamp",
        key_column: "node_id",
        measures: &["flow_rate", "pressure", "temperature", "volume", "quality_score"],
        noun: "readings",
        rows: network.readings.iter().map(row).collect(),
    }
}

/// The real measurements.
pub fn measurements(corpus: &[nab::Series], end: Micros) -> Source {
    let mut rows: Vec<Row> = corpus
        .iter()
        .flat_map(|series| {
            series.samples.iter().map(|&(time, value)| Row {
                time,
                key: series.name.clone(),
                values: vec![Some(value)],
                way: way(time, false, end),
            })
        })
        .collect();
    rows.sort_by(|a, b| (a.time, &a.key).cmp(&(b.time, &b.key)));
    Source {
        name: "measurements",
        table: "demo.measurements",
        time_column: "time",
        key_column: "series",
        measures: &["value"],
        noun: "measurements",
        rows,
    }
}

fn way(time: Micros, late: bool, end: Micros) -> Way {
    // whole days, because BigQuery keeps one partition a day
    let copied_from = Day::of(end - COPIED_DAYS * MICROS_PER_DAY).start();
    if time > end - 30 * MICROS_PER_MINUTE {
        Way::StillToCome
    } else if time > end - 24 * MICROS_PER_HOUR {
        if late { Way::LateSensor } else { Way::Sensor }
    } else if late {
        Way::Insert
    } else if time >= copied_from {
        Way::Copy
    } else {
        Way::Import
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: Micros = 1_790_000_100_000_000;

    #[test]
    fn every_way_is_taken() {
        let source = water(&Network::simulate(END), END);
        for way in [Way::Import, Way::Copy, Way::Insert, Way::Sensor, Way::LateSensor, Way::StillToCome] {
            assert!(source.of_way(way).count() > 0, "{way:?}");
        }
        assert_eq!(source.of_way(Way::StillToCome).count(), 12 * 6);
    }

    #[test]
    fn real_measurements_take_every_way_but_the_late_ones() {
        let source = measurements(&nab::load(&nab::folder(), END).unwrap(), END);
        assert!(source.rows.is_sorted_by_key(|row| row.time));
        for way in [Way::Import, Way::Copy, Way::Sensor, Way::StillToCome] {
            assert!(source.of_way(way).count() > 0, "{way:?}");
        }
    }
}
