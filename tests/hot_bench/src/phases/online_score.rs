//! Writing with a score in the reply. The peer has none: beside it stands its reading without one, from the first phase.

use anyhow::{Context, Result, ensure};

use super::{Steps, next_steps};
use crate::dialect::{Dialect, SOURCE, watch};
use crate::figures;
use crate::measure::{Both, Rounds};
use crate::report::Report;
use crate::system::System;
use crate::workload::{Digits, MEASURES, NODES, STEPS_PER_HOUR, Sensors, time_of};

/// So that the detectors have left their first samples behind.
const WARM_UP_STEPS: usize = 2 * STEPS_PER_HOUR;

/// A source with the same readings, of which nothing is watched.
const UNWATCHED: &str = "unwatched";

/// The two sources take turns after so many steps: whatever else slows the machine then slows both.
const TURN_STEPS: usize = 6;

/// Microseconds of a reading with a score, and what the score adds for each measure.
struct Cost {
    scored: f64,
    added: f64,
}

pub fn run(rounds: usize, report: &mut Report) -> Result<()> {
    let mut strata = System::start(Dialect::Strata)?;
    let mut sensors = Sensors::new(NODES, Digits::TwoDecimals);
    let (mut scored, mut added) = (Rounds::default(), Rounds::default());
    let warm = warm_up(&mut strata, &mut sensors);
    let costs = (0..rounds).map(|_| round(&mut strata, &mut sensors));
    // after a failure there is nothing to measure
    let costs: Result<Vec<Cost>> = warm.and_then(|()| costs.collect());
    match costs {
        Ok(costs) => costs.into_iter().for_each(|cost| {
            scored.add(Ok(cost.scored));
            added.add(Ok(cost.added));
        }),
        Err(error) => {
            [&mut scored, &mut added].into_iter().for_each(|rounds| *rounds = Rounds::missing(&format!("{error:#}")))
        }
    }
    let peer = report.peer(&figures::READING);
    report.add(figures::READING_SCORED, Both { strata: scored, peer: peer.clone() });
    report.add(figures::SCORE, Both { strata: added, peer });
    Ok(())
}

fn warm_up(strata: &mut System, sensors: &mut Sensors) -> Result<()> {
    let send = |strata: &mut System, steps: &Steps| {
        [SOURCE, UNWATCHED].into_iter().try_for_each(|source| {
            let (commands, count) = readings(strata, source, steps, "");
            strata.send(&commands, count).map(drop)
        })
    };
    send(strata, &next_steps(sensors, 1))?;
    let (commands, count) = watch(NODES);
    strata.send(&commands, count).context("STRATA.WATCH")?;
    (0..WARM_UP_STEPS).try_for_each(|_| send(strata, &next_steps(sensors, 1)))
}

fn round(strata: &mut System, sensors: &mut Sensors) -> Result<Cost> {
    let (mut scored, mut plain, mut total) = (0.0, 0.0, 0);
    for _ in 0..STEPS_PER_HOUR / TURN_STEPS {
        let steps = next_steps(sensors, TURN_STEPS);
        let (commands, count) = readings(strata, UNWATCHED, &steps, "");
        plain += strata.timed(&commands, count)?.server_us;
        let (commands, count) = readings(strata, SOURCE, &steps, " SCORE");
        let timed = strata.timed(&commands, count)?;
        ensure!(timed.replies.items == 2 * count, "the replies are not pairs of time and score");
        scored += timed.server_us;
        total += count;
    }
    let [scored, plain] = [scored, plain].map(|us| us / total as f64);
    Ok(Cost { scored, added: (scored - plain) / MEASURES.len() as f64 })
}

/// One command per reading of a source, in the order in which they come.
fn readings(system: &System, source: &str, steps: &Steps, options: &str) -> (Vec<u8>, usize) {
    let (mut commands, mut count) = (Vec::new(), 0);
    for (step, readings) in steps {
        for (node, values) in readings.iter().enumerate() {
            system.dialect.reading_of(&mut commands, source, node, time_of(*step), values, options);
            count += 1;
        }
    }
    (commands, count)
}
