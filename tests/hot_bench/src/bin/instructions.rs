//! `make bench-hot-instructions`: how many instructions the whole server executes for a reading, event loop and replies
//! included, as callgrind counts them. Unlike a time it does not depend on what else the machine does.

use std::process::ExitCode;

use anyhow::{Context, Result};
use strata_hot_bench::dialect::Dialect;
use strata_hot_bench::figures;
use strata_hot_bench::measure::{Both, Rounds};
use strata_hot_bench::report::Report;
use strata_hot_bench::system::{System, builder};
use strata_hot_bench::workload::{Digits, Sensors, time_of};

const NODES: usize = 100;
/// Commands that the client sends before it waits for replies.
const TOGETHER: usize = 50;
/// What both runs begin with, and what the longer one has more: an hour, with the closing of its buckets.
const FIRST_STEPS: usize = 40;
const MORE_STEPS: usize = 120;

/// Counts in the event loop, but not in the housekeeping that a server does once a second: how often that comes depends
/// on how fast the machine is. Entering a function that toggles changes whether it counts, leaving it changes it back.
const CALLGRIND: [&str; 6] = [
    "valgrind",
    "--tool=callgrind",
    "--callgrind-out-file=/dev/null",
    "--collect-atstart=no",
    "--toggle-collect=aeMain",
    "--toggle-collect=serverCron",
];

fn main() -> Result<ExitCode> {
    let mut report = Report::new(&[figures::INSTRUCTIONS]);
    let of = |dialect| Rounds::of(instructions_per_reading(dialect));
    report.add(figures::INSTRUCTIONS, Both { strata: of(Dialect::Strata), peer: of(Dialect::Peer) });
    report.print();
    report.write("hot-instructions")?;
    Ok(if report.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The difference of two runs, so that start, key creation and shutdown do not count.
fn instructions_per_reading(dialect: Dialect) -> Result<f64> {
    let short = instructions(dialect, FIRST_STEPS)?;
    let long = instructions(dialect, FIRST_STEPS + MORE_STEPS)?;
    Ok((long - short) / (MORE_STEPS * NODES) as f64)
}

fn instructions(dialect: Dialect, steps: usize) -> Result<f64> {
    // Once a second is the least that the server does without being asked.
    let server = builder(dialect).conf("hz", "1").conf("dynamic-hz", "no").under(&CALLGRIND).start()?;
    let mut system = System::over(dialect, server)?;
    let (commands, count) = dialect.create(NODES, true);
    system.send(&commands, count)?;
    let mut sensors = Sensors::new(NODES, Digits::TwoDecimals);
    for _ in 0..steps {
        let (step, readings) = sensors.next_step();
        for (part, readings) in readings.chunks(TOGETHER).enumerate() {
            let mut commands = Vec::new();
            for (index, values) in readings.iter().enumerate() {
                dialect.reading(&mut commands, part * TOGETHER + index, time_of(step), values);
            }
            system.send(&commands, readings.len())?;
        }
    }
    system.server.stop()?;
    let log = system.server.log();
    let collected = log.lines().rev().find_map(|line| line.split("Collected :").nth(1));
    Ok(collected.context("callgrind does not say what it counted")?.trim().parse()?)
}
