use anyhow::{Result, ensure};
use bridge::hot::{HotClient, NewSample};
use bridge::wait::{BlockingWait, Wait};

use crate::data::{Row, Source, Way};
use crate::report::{self, count};

/// Some sensors send their last readings once more when they are not sure that they arrived.
const SENT_TWICE: usize = 100;
const SAMPLES_PER_ROUND_TRIP: usize = 120;

/// The last 24 hours: through Redis, in order of time, then what arrives late, then some of it once more.
pub fn last_day(wait: &BlockingWait, hot: &HotClient, sources: &[Source]) -> Result<()> {
    for source in sources {
        report::step(&format!("STRATA.MADD {}:…", source.name), |progress| {
            let in_order: Vec<&Row> = source.of_way(Way::Sensor).collect();
            let late: Vec<&Row> = source.of_way(Way::LateSensor).collect();
            let again = &in_order[in_order.len().saturating_sub(SENT_TWICE)..];
            let total = in_order.len() + late.len() + again.len();
            let mut sent = 0;
            for part in [in_order.as_slice(), late.as_slice(), again] {
                send(wait, hot, source, part, |done| progress.set((sent + done) as u64, total as u64))?;
                sent += part.len();
            }
            let late = match late.len() {
                0 => String::new(),
                late => format!(", {} of them late and out of order", count(late)),
            };
            Ok(format!(
                "{} {} of the last 24 hours{late}; {} sent twice",
                count(total - again.len()),
                source.noun,
                again.len()
            ))
        })?;
    }
    Ok(())
}

/// The last half hour: nothing has brought it into the table when the queries run.
pub fn last_half_hour(wait: &BlockingWait, hot: &HotClient, sources: &[Source]) -> Result<()> {
    report::step("the next half hour arrives in Redis", |_| {
        let mut parts = Vec::new();
        for source in sources {
            let rows: Vec<&Row> = source.of_way(Way::StillToCome).collect();
            send(wait, hot, source, &rows, |_| {})?;
            parts.push(format!("{} {}", count(rows.len()), source.noun));
        }
        Ok(format!("{}, in no other tier yet", parts.join(", ")))
    })
}

fn send(
    wait: &BlockingWait,
    hot: &HotClient,
    source: &Source,
    rows: &[&Row],
    mut done: impl FnMut(usize),
) -> Result<()> {
    for (round, part) in rows.chunks(SAMPLES_PER_ROUND_TRIP).enumerate() {
        let values: Vec<Vec<(&str, f64)>> = part.iter().map(|row| named(source, row)).collect();
        let samples: Vec<NewSample<'_>> =
            part.iter().zip(&values).map(|(row, values)| NewSample { key: &row.key, time: row.time, values }).collect();
        let report = wait.wait("sending samples", hot.add_many(source.name, &samples))?;
        ensure!(report.refused.is_empty(), "Redis refused a sample: {:?}", report.refused.first());
        done(round * SAMPLES_PER_ROUND_TRIP + part.len());
    }
    Ok(())
}

fn named<'a>(source: &Source, row: &'a Row) -> Vec<(&'a str, f64)> {
    source.measures.iter().copied().zip(&row.values).filter_map(|(name, value)| Some((name, (*value)?))).collect()
}
