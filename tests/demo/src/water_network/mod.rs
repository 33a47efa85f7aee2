//! A **simulated** water network: twelve nodes in three zones, one reading per node every five minutes, with daily and
//! weekly demand, noise, and events at known times. The same end gives the same readings, always.

mod demand;
mod events;
mod node_readings;
mod nodes;
mod random;

pub use events::{Event, EventKind};
pub use nodes::{NODES, Node, Use, find};

use series::time::{MICROS_PER_DAY, MICROS_PER_MINUTE, Micros, bucket_start};

/// Distance of two readings of a node.
pub const INTERVAL: Micros = 5 * MICROS_PER_MINUTE;
/// Days of data.
pub const DAYS: i64 = 120;

/// One row of `sensor_readings`. Two decimals each.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    pub node: &'static str,
    pub time: Micros,
    /// L/s
    pub flow_rate: f64,
    /// bar
    pub pressure: f64,
    /// °C; now and then the probe gives nothing.
    pub temperature: Option<f64>,
    /// m³ since the meter was installed
    pub volume: f64,
    /// Quality of the reading, 0 to 1
    pub quality_score: f64,
}

/// What the network sent, and what was wrong with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// By time, then by node.
    pub readings: Vec<Reading>,
    /// Oldest first.
    pub events: Vec<Event>,
}

impl Network {
    /// The readings of 120 days up to and including the last full five minutes before or at `now`.
    pub fn simulate(now: Micros) -> Self {
        let end = bucket_start(now, INTERVAL);
        let events = events::events(end);
        let start = end - DAYS * MICROS_PER_DAY + INTERVAL;
        let mut readings: Vec<Reading> = NODES
            .iter()
            .enumerate()
            .flat_map(|(number, node)| node_readings::simulate(number as u64, node, start, end, &events))
            .collect();
        readings.sort_by_key(|reading| (reading.time, reading.node));
        Self { readings, events }
    }

    /// True if the reading arrived later than it was taken.
    pub fn is_late(&self, reading: &Reading) -> bool {
        let about = |event: &&Event| event.kind == EventKind::LateData && event.node == reading.node;
        self.events.iter().filter(about).any(|event| event.contains(reading.time))
    }
}

#[cfg(test)]
mod tests;
