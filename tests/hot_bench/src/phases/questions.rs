//! What dashboards ask about the last 24 hours.

use anyhow::{Result, ensure};

use crate::dialect::{GROUP, GROUP_NODES, Query};
use crate::figures::{self, Figure};
use crate::measure::{Pair, Rounds};
use crate::report::Report;
use crate::system::System;
use crate::workload::{Digits, NODES, Random, Sensors, time_of};

/// Questions are quick: several short rounds for one of the others find more moments in which nothing disturbs.
const SHORT_ROUNDS: usize = 4;

/// Question, calls a round, the figure with the plain reply and that with the packed one.
const QUESTIONS: [(Query, usize, Figure, Option<Figure>); 11] = [
    (Query::OpenRollups, 300, figures::OPEN_ROLLUPS, None),
    (Query::Rows, 300, figures::ROWS, Some(figures::BUCKETS_PACKED)),
    (Query::RowsOfRaw, 300, figures::ROWS_OF_RAW, None),
    (Query::Grid, 300, figures::GRID, None),
    (Query::GridOfRaw, 300, figures::GRID_OF_RAW, None),
    (Query::AllAggregates, 50, figures::ALL_AGGREGATES, Some(figures::ALL_AGGREGATES_PACKED)),
    (Query::Raw, 100, figures::RAW, Some(figures::RAW_PACKED)),
    (Query::LastDay, 500, figures::LAST_DAY, None),
    (Query::Quantiles, 100, figures::QUANTILES, None),
    (Query::Group, 5, figures::GROUP, None),
    (Query::LastValues, 5, figures::LAST_VALUES, None),
];

/// Both systems hold the readings up to the step `last`.
pub fn run(pair: &mut Pair, rounds: usize, last: usize, report: &mut Report) -> Result<()> {
    load_group(&mut pair.strata, last)?;
    let rounds = rounds * SHORT_ROUNDS;
    for (query, calls, plain, packed) in QUESTIONS {
        let both = pair.alternate(rounds, |system, round| ask(system, query, calls, round, last, false));
        if let Some(figure) = packed {
            let mut packed = both.clone();
            packed.strata = Rounds::default();
            for round in 0..rounds {
                if packed.strata.failure.is_none() {
                    packed.strata.add(ask(&mut pair.strata, query, calls, round, last, true));
                }
            }
            report.add(figure, packed);
        }
        report.add(plain, both);
    }
    Ok(())
}

/// Strata groups by source where the peer groups by a label that its series have from the start.
fn load_group(strata: &mut System, last: usize) -> Result<()> {
    let mut sensors = Sensors::new(GROUP_NODES, Digits::TwoDecimals);
    let (mut commands, mut count) = (Vec::new(), 0);
    for _ in 0..=last {
        let (step, readings) = sensors.next_step();
        for (node, values) in readings.iter().enumerate() {
            strata.dialect.reading_of(&mut commands, GROUP, node, time_of(step), values, "");
            count += 1;
        }
    }
    strata.send(&commands, count)?;
    Ok(())
}

/// Microseconds of server time a question, each about another node.
fn ask(system: &mut System, query: Query, calls: usize, round: usize, last: usize, packed: bool) -> Result<f64> {
    let mut random = Random(round as u64);
    let mut commands = Vec::new();
    for _ in 0..calls {
        system.dialect.query(&mut commands, query, random.below(NODES), last, packed);
    }
    let timed = system.timed(&commands, calls)?;
    if packed {
        ensure!(timed.replies.bytes >= calls * query.least_packed_bytes(), "the packed replies are too short");
    } else {
        ensure!(timed.replies.items >= calls * query.least_items(), "the replies lack rows");
    }
    Ok(timed.server_us / calls as f64)
}
