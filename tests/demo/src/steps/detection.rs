use std::collections::BTreeMap;

use anyhow::Result;
use chrono::{DateTime, Utc};
use postgres::Client;
use series::time::{MICROS_PER_HOUR, Micros};
use strata_demo::nab;
use strata_demo::water_network::{self, Event, EventKind, NODES, Network};

use super::jobs;
use crate::data::Source;
use crate::report::{self, count};
use crate::score::{Alarm, Known, Score, learning_rows, score};

/// Detectors look at windows of the past: an alarm just after a repair is still about the event.
const AFTERMATH: Micros = MICROS_PER_HOUR;

/// What each measure of the network is watched by, chosen by what it is: a meter's total reaches new values all the time, a
/// score of quality has a limit, and a sensor that is stuck or silent is one whatever it measures.
const DETECTORS: &str = "\
    SELECT strata.drop_detector('water_infrastructure.sensor_readings', measure)
    FROM unnest(ARRAY['volume', 'quality_score']) measure;
    SELECT strata.set_detector('water_infrastructure.sensor_readings', measure, 'flat_line', since => '-infinity')
    FROM unnest(ARRAY['flow_rate', 'pressure', 'temperature']) measure;
    SELECT strata.set_detector('water_infrastructure.sensor_readings', 'quality_score', 'limits', '{\"lower\": 0.5, \"upper\": 1}',
                               since => '-infinity');
    SELECT strata.set_detector('water_infrastructure.sensor_readings', 'volume', 'rate_of_change', since => '-infinity');
    SELECT strata.set_detector('water_infrastructure.sensor_readings', 'flow_rate', 'gap', '{\"interval\": \"5m\", \"factor\": 10}',
                               since => '-infinity')";

/// Runs the detection, once as it comes and once with detectors chosen per measure, and compares what it stored with what is
/// known.
pub fn run(
    client: &mut Client,
    network: &Network,
    corpus: &[nab::Series],
    sources: &[Source; 2],
    end: Micros,
) -> Result<()> {
    let [water, measurements] = sources;
    job(client)?;
    report::step("  simulated water network", |_| {
        Ok(judge_network(network, &alarms(client, water.table, end)?, &learnt(water)))
    })?;
    report::step("  real measurements", |_| {
        Ok(judge_corpus(corpus, &alarms(client, measurements.table, end)?, &learnt(measurements)))
    })?;
    report::step("SELECT strata.set_detector(…)", |_| {
        client.batch_execute(DETECTORS)?;
        let resolved = client.execute(
            "UPDATE strata.anomalies SET resolved_at = now(), resolution = 'the wrong method for this measure'
             WHERE relation = $1::text::regclass AND measure IN ('volume', 'quality_score') AND resolved_at IS NULL",
            &[&water.table],
        )?;
        Ok(format!(
            "the water network's measures get methods that fit them; {resolved} alarms of volume and quality are resolved"
        ))
    })?;
    job(client)?;
    report::step("  simulated water network", |_| {
        Ok(judge_network(network, &alarms(client, water.table, end)?, &learnt(water)))
    })
}

fn job(client: &mut Client) -> Result<()> {
    report::step("SELECT strata.run_job('anomaly_detection')", |_| {
        let done = jobs::run(client, "anomaly_detection")?;
        Ok(format!("{} readings judged, in order and without look-ahead", count(done.rows)))
    })
}

/// When the learning phase of each series ended.
fn learnt(source: &Source) -> BTreeMap<String, Micros> {
    let mut times: BTreeMap<&str, Vec<Micros>> = BTreeMap::new();
    for row in &source.rows {
        times.entry(&row.key).or_default().push(row.time);
    }
    times.into_iter().map(|(key, times)| (key.to_owned(), times[learning_rows(times.len())])).collect()
}

fn alarms(client: &mut Client, table: &str, end: Micros) -> Result<Vec<Alarm>> {
    let sql = "SELECT key, started_at, ended_at FROM strata.anomalies
               WHERE relation = $1::text::regclass AND resolved_at IS NULL";
    let rows = client.query(sql, &[&table])?;
    Ok(rows
        .iter()
        .map(|row| Alarm {
            key: row.get(0),
            start: row.get::<_, DateTime<Utc>>(1).timestamp_micros(),
            end: row.get::<_, Option<DateTime<Utc>>>(2).map_or(end, |time| time.timestamp_micros()),
        })
        .collect())
}

fn judge_network(network: &Network, alarms: &[Alarm], learnt: &BTreeMap<String, Micros>) -> String {
    let events: Vec<&Event> = network.events.iter().filter(|event| event.kind.is_wrong()).collect();
    let known: Vec<Known> = events.iter().map(|event| known_event(event)).collect();
    let score = score(&known, alarms, learnt);
    let per_kind = EventKind::ALL.into_iter().filter(|kind| kind.is_wrong()).map(|kind| {
        let of_kind = || events.iter().zip(&score.found).filter(move |(event, _)| event.kind == kind);
        format!("{} of {} {}", of_kind().filter(|(_, found)| **found).count(), of_kind().count(), plural(kind))
    });
    format!(
        "{} of {} simulated events found ({}); {}",
        hits(&score),
        events.len(),
        per_kind.collect::<Vec<_>>().join(", "),
        elsewhere(&score)
    )
}

fn judge_corpus(corpus: &[nab::Series], alarms: &[Alarm], learnt: &BTreeMap<String, Micros>) -> String {
    let known: Vec<Known> = corpus
        .iter()
        .flat_map(|series| {
            series.windows.iter().map(|&(start, end)| Known { keys: vec![series.name.clone()], start, end })
        })
        .collect();
    let score = score(&known, alarms, learnt);
    format!("{} of {} labelled windows found; {}", hits(&score), known.len(), elsewhere(&score))
}

/// A burst shows in the pressure of its whole zone.
fn known_event(event: &Event) -> Known {
    let mut keys = vec![event.node.to_owned()];
    if event.kind == EventKind::Burst
        && let Some(place) = water_network::find(event.node)
    {
        keys.extend(
            NODES.iter().filter(|node| node.zone == place.zone && node.id != place.id).map(|node| node.id.to_owned()),
        );
    }
    Known { keys, start: event.start, end: event.end + AFTERMATH }
}

fn plural(kind: EventKind) -> String {
    format!("{}s", kind.name())
}

fn hits(score: &Score) -> usize {
    score.found.iter().filter(|found| **found).count()
}

fn elsewhere(score: &Score) -> String {
    format!(
        "of {} alarms {} fell elsewhere, and {} into the start of a series, while the detector learns",
        count(score.alarms),
        count(score.alarms_elsewhere),
        count(score.alarms_while_learning)
    )
}
