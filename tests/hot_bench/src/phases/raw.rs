//! 10 million raw values: memory, and the peer's best case of writing.

use anyhow::Result;

use super::{encode, load, next_steps};
use crate::figures;
use crate::measure::{Both, Pair};
use crate::report::Report;
use crate::workload::{Digits, MEASURES, NODES, STEPS_PER_HOUR, Sensors};

/// With 1000 nodes and 3 measures: 10 million values.
const STEPS: usize = 3334;

pub fn run(rounds: usize, report: &mut Report) -> Result<()> {
    let mut pair = Pair::start()?;
    let mut sensors = Sensors::new(NODES, Digits::TwoDecimals);
    let measured = rounds * STEPS_PER_HOUR;
    let empty = load(&mut pair, &mut sensors, NODES, false, STEPS - measured)?;
    let hours: Vec<_> = (0..rounds).map(|_| next_steps(&mut sensors, STEPS_PER_HOUR)).collect();
    let reading = pair.alternate(rounds, |system, round| {
        let (commands, count) = encode(system, &hours[round]);
        Ok(system.timed(&commands, count)?.server_us / count as f64)
    });
    report.add(figures::READING_NO_RULES, reading);

    let values = (STEPS * NODES * MEASURES.len()) as f64;
    let mut bytes = Both::default();
    for (system, empty) in pair.each().into_iter().zip(empty) {
        let memory = system.raw_memory();
        bytes.of(system.dialect).add(memory.map(|memory| (memory - empty) / values));
    }
    report.add(figures::BYTES_DECIMAL, bytes);
    Ok(())
}
