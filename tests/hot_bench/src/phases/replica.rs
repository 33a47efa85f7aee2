//! What a replica costs: its processor time against the primary's, and the bytes between them.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{encode, load, next_steps};
use crate::figures;
use crate::measure::{Both, Pair};
use crate::report::Report;
use crate::system::System;
use crate::workload::{Digits, NODES, Sensors};

const WARM_UP_STEPS: usize = 20;
const STEPS: usize = 40;

pub fn run(rounds: usize, report: &mut Report) -> Result<()> {
    let mut pair = Pair::start()?;
    let mut sensors = Sensors::new(NODES, Digits::TwoDecimals);
    load(&mut pair, &mut sensors, NODES, true, WARM_UP_STEPS)?;
    let mut replicas = Pair { strata: pair.strata.replica()?, peer: pair.peer.replica()? };
    let parts: Vec<_> = (0..rounds).map(|_| next_steps(&mut sensors, STEPS)).collect();
    let mut bytes = Both::default();
    let processor = pair.alternate(rounds, |primary, round| {
        let replica = replicas.of(primary.dialect);
        let (commands, count) = encode(primary, &parts[round]);
        let (offset, of_primary, of_replica) =
            (primary.info("replication", "master_repl_offset")?, primary.processor_time()?, replica.processor_time()?);
        primary.send(&commands, count)?;
        let end = primary.info("replication", "master_repl_offset")?;
        wait_for(replica, end)?;
        bytes.of(primary.dialect).add(Ok((end - offset) / count as f64));
        Ok((replica.processor_time()? - of_replica) / (primary.processor_time()? - of_primary))
    });
    report.add(figures::REPLICA, processor);
    report.add(figures::REPLICATION, bytes);
    Ok(())
}

fn wait_for(replica: &mut System, offset: f64) -> Result<()> {
    let started = Instant::now();
    while replica.info("replication", "slave_repl_offset")? < offset {
        ensure!(started.elapsed() < Duration::from_secs(120), "the replica does not catch up");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
