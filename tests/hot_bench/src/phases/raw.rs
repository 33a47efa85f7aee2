//! 10 million raw values: memory, the RDB file, and the peer's best case of writing.

use std::time::Instant;

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
    let (mut bytes, mut file) = (Both::default(), Both::default());
    for (system, empty) in pair.each().into_iter().zip(empty) {
        let memory = system.raw_memory();
        bytes.of(system.dialect).add(memory.map(|memory| (memory - empty) / values));
    }
    report.add(figures::BYTES_DECIMAL, bytes);
    let saved = pair.alternate(rounds, |system, _| {
        let started = Instant::now();
        system.save()?;
        Ok(started.elapsed().as_secs_f64())
    });
    report.add(figures::RDB_SAVE, saved);
    for system in pair.each() {
        let size = system.rdb_size();
        file.of(system.dialect).add(size.map(|size| size / values));
    }
    report.add(figures::RDB_BYTES, file);
    report.add(figures::RDB_LOAD, pair.alternate(rounds, |system, _| system.reload()));
    Ok(())
}
