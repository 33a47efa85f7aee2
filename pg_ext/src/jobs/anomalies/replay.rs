//! One pass over the readings of a source, for all of its detectors that have something to do.

use super::events::{self, Raised};
use super::states::{self, DayStates, Plan};
use crate::failure::Result;
use crate::gucs;
use crate::pg_time::{self, sql_time};
use crate::quote;
use crate::snapshot::Snapshot;
use crate::source::Source;
use crate::watch::Watch;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;
use series::detect::Method;
use series::time::{Day, Micros};
use std::collections::{BTreeMap, HashMap};

pub struct Replay<'a> {
    source: &'a Source,
    plans: Vec<Plan>,
    /// By key, one per plan.
    watches: HashMap<String, Vec<Watch>>,
    /// Per plan.
    snapshots: Vec<BTreeMap<Day, DayStates>>,
    /// Per plan: events that ended.
    raised: Vec<Vec<Raised>>,
}

impl<'a> Replay<'a> {
    /// Loads the states with which the detectors go on.
    pub fn load(source: &'a Source, plans: Vec<Plan>) -> Result<Self> {
        let mut watches: HashMap<String, Vec<Watch>> = HashMap::new();
        for (i, plan) in plans.iter().enumerate().filter(|(_, plan)| plan.goes_on) {
            states::load(source, plan, |key, watch| {
                watches.entry(key).or_insert_with(|| new_watches(&plans))[i] = watch;
            })?;
        }
        let snapshots = plans.iter().map(|_| BTreeMap::new()).collect();
        let raised = plans.iter().map(|_| Vec::new()).collect();
        Ok(Self { source, plans, watches, snapshots, raised })
    }

    /// Judges the readings up to the newest, which is of day `newest`; returns how many rows there were.
    pub fn run(&mut self, newest: Day) -> Result<i64> {
        let source = self.source;
        let Some(start) = self.plans.iter().map(|plan| plan.start).min() else { return Ok(0) };
        let oldest_snapshot = Day(newest.0 - gucs::detector_snapshot_days() + 1);
        let measures: String =
            source.measures.iter().map(|measure| format!(", t.{}::float8", quote::ident(measure))).collect();
        let sql = format!(
            "SELECT t.{time}, t.{key}::text{measures} FROM {table} t
             WHERE t.{time} >= {start} AND t.{time} < 'infinity' ORDER BY t.{time}",
            time = source.time(),
            key = source.key(),
            table = source.table,
            start = sql_time(start.start()),
        );
        let mut rows = 0;
        let mut today = start;
        Snapshot::take().select(&sql, &[], |view| {
            let Some(time) = view.raw_timestamptz(1).and_then(pg_time::micros_of_raw) else { return Ok(()) };
            let day = Day::of(time);
            if day > today {
                today = day;
                if day >= oldest_snapshot {
                    self.take_snapshot(day);
                }
            }
            rows += 1;
            view.with_text(2, |key| self.judge(key, day, time, |m| view.get::<f64>(3 + m).unwrap_or(f64::NAN)));
            Ok(())
        })?;
        Ok(rows)
    }

    fn judge(&mut self, key: &str, day: Day, time: Micros, value: impl Fn(usize) -> f64) {
        let watches = match self.watches.get_mut(key) {
            Some(watches) => watches,
            None => self.watches.entry(key.to_owned()).or_insert_with(|| new_watches(&self.plans)),
        };
        for ((plan, watch), raised) in self.plans.iter().zip(watches).zip(&mut self.raised) {
            if day < plan.start {
                continue;
            }
            if let Some(found) = watch.update(time, value(plan.detector.measure)) {
                raised.push(Raised { key: key.to_owned(), found });
            }
        }
    }

    fn take_snapshot(&mut self, day: Day) {
        for (i, (plan, snapshots)) in self.plans.iter().zip(&mut self.snapshots).enumerate() {
            if day <= plan.start {
                continue;
            }
            let states = snapshots.entry(day).or_default();
            for (key, watches) in &self.watches {
                states.keys.push(key.clone());
                states.states.push(watches[i].save());
            }
        }
    }

    /// Stores events and states; returns how many events are new.
    pub fn store(mut self) -> Result<i64> {
        let clock = clock(self.source)?;
        for (key, watches) in &mut self.watches {
            for ((plan, watch), raised) in self.plans.iter().zip(watches).zip(&mut self.raised) {
                if plan.detector.method == Method::Gap {
                    // no reading comes to say that none comes
                    let ended = watch.update(clock, f64::NAN);
                    raised.extend(ended.map(|found| Raised { key: key.clone(), found }));
                }
                raised.extend(watch.open().map(|found| Raised { key: key.clone(), found }));
            }
        }
        let mut new = 0;
        for ((plan, raised), snapshots) in self.plans.iter().zip(self.raised).zip(self.snapshots) {
            new += events::store(self.source, plan, raised)?;
            states::store(self.source, plan, snapshots.into_iter().collect())?;
        }
        Ok(new)
    }
}

/// Until when the table has what the sensors sent: what came to Redis since the last flush is no silence.
fn clock(source: &Source) -> Result<Micros> {
    let flushed = Spi::get_one::<TimestampWithTimeZone>(
        "SELECT max(started_at) FROM strata.job_runs WHERE job = 'flush' AND status = 'succeeded'",
    )?;
    let now = pg_time::now();
    Ok(flushed.filter(|_| source.hot.is_some()).and_then(pg_time::micros).map_or(now, |flushed| flushed.min(now)))
}

fn new_watches(plans: &[Plan]) -> Vec<Watch> {
    plans.iter().map(|plan| plan.detector.new.clone()).collect()
}
