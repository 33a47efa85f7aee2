//! Memory of raw values that use all digits of a double.

use anyhow::Result;

use super::load;
use crate::figures;
use crate::measure::{Both, Pair};
use crate::report::Report;
use crate::workload::{Digits, MEASURES, STEPS_PER_DAY, Sensors};

const FEWER_NODES: usize = 200;

pub fn run(report: &mut Report) -> Result<()> {
    let mut pair = Pair::start()?;
    let mut sensors = Sensors::new(FEWER_NODES, Digits::All);
    let empty = load(&mut pair, &mut sensors, FEWER_NODES, false, STEPS_PER_DAY)?;
    let values = (STEPS_PER_DAY * FEWER_NODES * MEASURES.len()) as f64;
    let mut bytes = Both::default();
    for (system, empty) in pair.each().into_iter().zip(empty) {
        let memory = system.raw_memory();
        bytes.of(system.dialect).add(memory.map(|memory| (memory - empty) / values));
    }
    report.add(figures::BYTES_DOUBLE, bytes);
    Ok(())
}
