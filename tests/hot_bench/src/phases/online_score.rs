//! Writing with a score in the reply; the peer has none.

use anyhow::{Context, Result, ensure};

use super::{encode, next_steps};
use crate::dialect::{Dialect, SOURCE, watch};
use crate::figures;
use crate::measure::{Both, Rounds};
use crate::report::Report;
use crate::system::System;
use crate::workload::{Digits, NODES, STEPS_PER_HOUR, Sensors, time_of};

/// So that the detectors have left their first samples behind.
const WARM_UP_STEPS: usize = 2 * STEPS_PER_HOUR;

pub fn run(rounds: usize, report: &mut Report) -> Result<()> {
    let mut strata = System::start(Dialect::Strata)?;
    let mut sensors = Sensors::new(NODES, Digits::TwoDecimals);
    let mut scored = Rounds::default();
    match warm_up(&mut strata, &mut sensors) {
        Ok(()) => (0..rounds).for_each(|_| {
            if scored.failure.is_none() {
                scored.add(score(&mut strata, &mut sensors));
            }
        }),
        Err(error) => scored.add(Err(error)),
    }
    report.add(figures::READING_SCORED, Both { strata: scored, peer: Rounds::missing("not offered") });
    Ok(())
}

fn warm_up(strata: &mut System, sensors: &mut Sensors) -> Result<()> {
    let (commands, count) = encode(strata, &next_steps(sensors, 1));
    strata.send(&commands, count)?;
    let (commands, count) = watch(NODES);
    strata.send(&commands, count).context("STRATA.WATCH")?;
    let (commands, count) = encode(strata, &next_steps(sensors, WARM_UP_STEPS));
    strata.send(&commands, count)?;
    Ok(())
}

fn score(strata: &mut System, sensors: &mut Sensors) -> Result<f64> {
    let (mut commands, mut count) = (Vec::new(), 0);
    for (step, readings) in next_steps(sensors, STEPS_PER_HOUR) {
        for (node, values) in readings.iter().enumerate() {
            strata.dialect.reading_of(&mut commands, SOURCE, node, time_of(step), values, " SCORE");
            count += 1;
        }
    }
    let timed = strata.timed(&commands, count)?;
    ensure!(timed.replies.items == 2 * count, "the replies are not pairs of time and score");
    Ok(timed.server_us / count as f64)
}
