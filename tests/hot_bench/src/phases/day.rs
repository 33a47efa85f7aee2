//! A day of 1000 nodes with all rollups: writing, memory, the RDB file, questions, late readings, a reload.

use std::time::Instant;

use anyhow::Result;

use super::{Steps, encode, load, next_steps, questions};
use crate::figures;
use crate::measure::{Both, Pair};
use crate::report::Report;
use crate::system::System;
use crate::workload::{Digits, MEASURES, NODES, Random, STEP, STEPS_PER_DAY, STEPS_PER_HOUR, Sensors, time_of};

/// Nodes in a command that takes many.
const MANY: usize = 50;
const STEPS_OF_MANY: usize = 20;
const STEPS_AFTER_RELOAD: usize = STEPS_PER_HOUR / 2;
const LATE_READINGS: usize = 1000;

pub fn run(rounds: usize, report: &mut Report) -> Result<()> {
    let mut pair = Pair::start()?;
    let mut sensors = Sensors::new(NODES, Digits::TwoDecimals);
    let measured = rounds * (STEPS_PER_HOUR + STEPS_OF_MANY);
    let empty = load(&mut pair, &mut sensors, NODES, true, STEPS_PER_DAY.saturating_sub(measured))?;

    let (reading, throughput) = write_rounds(&mut pair, &mut sensors, rounds);
    report.add(figures::READING, reading);
    report.add(figures::THROUGHPUT, throughput);
    report.add(figures::THROUGHPUT_MANY, many_rounds(&mut pair, &mut sensors, rounds));

    let written = sensors.steps();
    let values = (written * NODES * MEASURES.len()) as f64;
    let mut bytes = Both::default();
    for (system, empty) in pair.each().into_iter().zip(empty) {
        let memory = system.memory();
        bytes.of(system.dialect).add(memory.map(|memory| (memory - empty) / values));
    }
    report.add(figures::BYTES_ROLLUPS, bytes);

    questions::run(&mut pair, rounds, written - 1, report)?;
    rdb_rounds(&mut pair, values, rounds, report);
    report.add(figures::LATE, late_rounds(&mut pair, written - 1, rounds));
    report.add(figures::SLOW_DOWN, reloaded_rounds(&mut pair, &mut sensors, rounds)?);
    Ok(())
}

/// An hour a round, so that each has the same number of buckets to close: microseconds a reading, readings a second.
fn write_rounds(pair: &mut Pair, sensors: &mut Sensors, rounds: usize) -> (Both, Both) {
    let hours: Vec<Steps> = (0..rounds).map(|_| next_steps(sensors, STEPS_PER_HOUR)).collect();
    let mut throughput = Both::default();
    let server_time = pair.alternate(rounds, |system, round| {
        let (commands, count) = encode(system, &hours[round]);
        let timed = system.timed(&commands, count)?;
        throughput.of(system.dialect).add(Ok(count as f64 / timed.replies.elapsed.as_secs_f64()));
        Ok(timed.server_us / count as f64)
    });
    (server_time, throughput)
}

/// Readings a second where each command takes those of many nodes.
fn many_rounds(pair: &mut Pair, sensors: &mut Sensors, rounds: usize) -> Both {
    let parts: Vec<Steps> = (0..rounds).map(|_| next_steps(sensors, STEPS_OF_MANY)).collect();
    pair.alternate(rounds, |system, round| {
        let (mut commands, mut count) = (Vec::new(), 0);
        for (step, readings) in &parts[round] {
            for (index, group) in readings.chunks(MANY).enumerate() {
                system.dialect.readings(&mut commands, index * MANY, time_of(*step), group);
                count += 1;
            }
        }
        let replies = system.send(&commands, count)?;
        Ok((STEPS_OF_MANY * NODES) as f64 / replies.elapsed.as_secs_f64())
    })
}

/// How much longer a server takes for a reading that has its data out of an RDB file, against the one that wrote it.
///
/// The copy starts as a replica, so that both are there at the same time and get the same readings in turn.
fn reloaded_rounds(pair: &mut Pair, sensors: &mut Sensors, rounds: usize) -> Result<Both> {
    let mut copies = Pair { strata: pair.strata.replica()?, peer: pair.peer.replica()? };
    for copy in copies.each() {
        copy.run(&["REPLICAOF", "NO", "ONE"])?;
    }
    let parts: Vec<Steps> = (0..rounds).map(|_| next_steps(sensors, STEPS_AFTER_RELOAD)).collect();
    Ok(pair.alternate(rounds, |system, round| {
        let (commands, count) = encode(system, &parts[round]);
        let written = system.timed(&commands, count)?.server_us;
        Ok(copies.of(system.dialect).timed(&commands, count)?.server_us / written)
    }))
}

/// Saving, the size of the file, and loading it.
fn rdb_rounds(pair: &mut Pair, values: f64, rounds: usize, report: &mut Report) {
    let saved = pair.alternate(rounds, |system, _| {
        let started = Instant::now();
        system.save()?;
        Ok(started.elapsed().as_secs_f64())
    });
    let mut file = Both::default();
    for system in pair.each() {
        let size = system.rdb_size();
        file.of(system.dialect).add(size.map(|size| size / values));
    }
    report.add(figures::RDB_BYTES, file);
    report.add(figures::RDB_SAVE, saved);
    report.add(figures::RDB_LOAD, pair.alternate(rounds, |system, _| system.reload()));
}

/// Microseconds a reading between two others, from 15 seconds to 12 hours late.
fn late_rounds(pair: &mut Pair, last: usize, rounds: usize) -> Both {
    pair.alternate(rounds, |system, round| {
        let mut random = Random(round as u64);
        let mut commands = Vec::new();
        for _ in 0..LATE_READINGS {
            commands.extend(late_reading(system, &mut random, last));
        }
        Ok(system.timed(&commands, LATE_READINGS)?.server_us / LATE_READINGS as f64)
    })
}

fn late_reading(system: &System, random: &mut Random, last: usize) -> Vec<u8> {
    let mut seconds = 15 + random.below(12 * 3600 - 15) as i64;
    if seconds % STEP == 0 {
        seconds -= 7;
    }
    let values = [1.0, 2.0, 3.0].map(|value| value + random.below(100) as f64 / 100.0);
    let mut command = Vec::new();
    system.dialect.reading(&mut command, random.below(NODES), time_of(last) - seconds * 1000, &values);
    command
}
