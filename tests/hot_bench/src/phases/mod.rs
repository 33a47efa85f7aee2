//! What is measured, one file per set of servers that live through it together.

pub mod day;
pub mod full_double;
pub mod online_score;
pub mod questions;
pub mod raw;
pub mod replica;

use anyhow::Result;

use crate::measure::Pair;
use crate::system::System;
use crate::workload::{Reading, Sensors, time_of};

/// Consecutive steps with the reading of each node.
type Steps = Vec<(usize, Vec<Reading>)>;

fn next_steps(sensors: &mut Sensors, count: usize) -> Steps {
    (0..count).map(|_| sensors.next_step()).collect()
}

/// One command per reading, in the order in which they come: all nodes of a step, then the next step.
fn encode(system: &System, steps: &Steps) -> (Vec<u8>, usize) {
    let (mut buffer, mut count) = (Vec::new(), 0);
    for (step, readings) in steps {
        for (node, values) in readings.iter().enumerate() {
            system.dialect.reading(&mut buffer, node, time_of(*step), values);
            count += 1;
        }
    }
    (buffer, count)
}

/// Makes the keys and writes that many steps to both; bytes of memory before.
fn load(pair: &mut Pair, sensors: &mut Sensors, nodes: usize, rules: bool, steps: usize) -> Result<[f64; 2]> {
    let mut empty = [0.0; 2];
    for (system, empty) in pair.each().into_iter().zip(&mut empty) {
        *empty = system.memory()?;
        let (commands, count) = system.dialect.create(nodes, rules);
        system.send(&commands, count)?;
    }
    for _ in 0..steps {
        let step = next_steps(sensors, 1);
        for system in pair.each() {
            let (commands, count) = encode(system, &step);
            system.send(&commands, count)?;
        }
    }
    Ok(empty)
}
