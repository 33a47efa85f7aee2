//! The totals of a source, merged over all shards of a cluster.

use futures_util::future::join_all;
use redis::Value;
use series::aggregate::Aggregate;
use series::bucket::{Bucket, BucketRow};
use series::time::{MICROS_PER_SECOND, Micros, format_duration};

use super::client::HotClient;
use super::error::HotError;
use super::{reply, time_arg};

/// Where the rolling window ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TotalsEnd {
    /// Now, by the clock of the server.
    Now,
    /// The newest sample of the source, or now if it has none.
    Newest,
    At(Micros),
}

/// Aggregates over all series of a source.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceTotals {
    /// The window holds the samples later than `after`, up to `to`.
    pub after: Micros,
    pub to: Micros,
    /// Number of series with a sample in the window.
    pub contributing: u64,
    /// Number of servers that were asked; 1 without a cluster.
    pub shards: usize,
    /// In the order they were asked for, else in the order in which the servers name them.
    pub measures: Vec<MeasureTotals>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct MeasureTotals {
    pub measure: String,
    /// One per aggregate that was asked for, `None` where it is not defined.
    pub values: Vec<Option<f64>>,
}

impl HotClient {
    /// Aggregates over the last `duration` (microseconds) of all series of a source, of all measures or of `measures`.
    ///
    /// If the server is a node of a cluster, every master is asked for its mergeable states, which are then merged: the
    /// answer is that of one server with all series, up to the rounding of sums. All shards are asked for the same
    /// window. A shard that does not answer is an error that names it, never a smaller total.
    pub async fn source_totals(
        &self,
        source: &str,
        duration: Micros,
        at: TotalsEnd,
        measures: Option<&[String]>,
        aggregates: &[Aggregate],
    ) -> Result<SourceTotals, HotError> {
        let command = |at: String| {
            let mut command = redis::cmd("STRATA.SOURCE");
            command.arg(source).arg(format_duration(duration)).arg("STATE").arg("AT").arg(at);
            if let Some(measures) = measures {
                command.arg("MEASURES").arg(measures.len()).arg(measures);
            }
            if !aggregates.is_empty() {
                command.arg("AGG").arg(aggregates.len());
            }
            for aggregate in aggregates {
                command.arg(aggregate.to_string());
            }
            command
        };
        let Some(shards) = self.shards().await? else {
            let at = match at {
                TotalsEnd::Now => "*".to_owned(),
                TotalsEnd::Newest => "+".to_owned(),
                TotalsEnd::At(time) => time_arg::format(time),
            };
            return merge(vec![parse(self.query(&command(at)).await?)?], aggregates);
        };
        // each shard has its own clock and its own newest sample, but the window must be the same on all
        let to = match at {
            TotalsEnd::At(time) => time,
            TotalsEnd::Now => self.server_time().await?,
            TotalsEnd::Newest => {
                let newest = join_all(shards.iter().map(async |shard| {
                    let info = shard.client.info_source(source).await.map_err(|error| shard.name_in(error))?;
                    Ok(info.last)
                }));
                let newest = newest.await.into_iter().collect::<Result<Vec<Option<Micros>>, HotError>>()?;
                match newest.into_iter().max().flatten() {
                    Some(time) => time,
                    None => self.server_time().await?,
                }
            }
        };
        let command = command(time_arg::format(to));
        let states = join_all(shards.iter().map(async |shard| {
            let answer = shard.client.query(&command).await.map_err(|error| shard.name_in(error))?;
            parse(answer).map_err(|error| shard.name_in(error))
        }));
        merge(states.await.into_iter().collect::<Result<_, _>>()?, aggregates)
    }

    async fn server_time(&self) -> Result<Micros, HotError> {
        let [seconds, micros] = reply::fields::<2>(self.query(&redis::cmd("TIME")).await?, "the time")?;
        let (seconds, micros) = (reply::integer(&seconds)?, reply::integer(&micros)?);
        seconds
            .checked_mul(MICROS_PER_SECOND)
            .and_then(|time| time.checked_add(micros))
            .ok_or_else(|| HotError::reply("a time out of range"))
    }
}

/// What one server says.
#[derive(Debug)]
struct States {
    after: Micros,
    to: Micros,
    contributing: u64,
    measures: Vec<(String, BucketRow)>,
}

/// `[after, to, contributing, [measure, state, …]]`
fn parse(answer: Value) -> Result<States, HotError> {
    let [after, to, contributing, measures] = reply::fields::<4>(answer, "a source's totals")?;
    let measures = reply::pairs(measures)?
        .into_iter()
        .map(|(measure, state)| {
            let Value::BulkString(bytes) = state else {
                return Err(HotError::reply(format!("{} where a state was expected", reply::shape(&state))));
            };
            let row = BucketRow::decode(&bytes).map_err(|error| HotError::reply(format!("a state: {error}")))?;
            Ok((measure, row))
        })
        .collect::<Result<_, HotError>>()?;
    Ok(States {
        after: time_arg::parse(&after)?,
        to: time_arg::parse(&to)?,
        contributing: reply::unsigned(&contributing)?,
        measures,
    })
}

fn merge(states: Vec<States>, aggregates: &[Aggregate]) -> Result<SourceTotals, HotError> {
    let Some(&States { after, to, .. }) = states.first() else {
        return Err(HotError::reply("a cluster without masters"));
    };
    let shards = states.len();
    let mut contributing = 0;
    let mut merged: Vec<(String, BucketRow)> = Vec::new();
    for shard in states {
        if (shard.after, shard.to) != (after, to) {
            return Err(HotError::reply("the shards answered for different windows"));
        }
        contributing += shard.contributing;
        for (measure, row) in shard.measures {
            match merged.iter_mut().find(|(known, _)| *known == measure) {
                Some((_, total)) => total.merge(&row),
                None => merged.push((measure, row)),
            }
        }
    }
    let needs_sketch = aggregates.iter().any(|aggregate| aggregate.needs_sketch());
    let measures = merged
        .into_iter()
        .map(|(measure, row)| {
            let bucket = row.buckets.into_iter().next().unwrap_or(Bucket::EMPTY);
            // a merge drops sketches that do not fit together
            if needs_sketch && !bucket.is_empty() && bucket.sketch.is_none() {
                return Err(HotError::reply(format!("the quantile sketches of {measure} cannot be merged")));
            }
            let values = aggregates.iter().map(|aggregate| aggregate.value(&bucket)).collect();
            Ok(MeasureTotals { measure, values })
        })
        .collect::<Result<_, HotError>>()?;
    Ok(SourceTotals { after, to, contributing, shards, measures })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(values: &[f64], sketch: bool) -> States {
        let mut row = BucketRow::new(1, sketch);
        values.iter().enumerate().for_each(|(time, &value)| row.update(time as Micros, &[value]));
        States { after: 0, to: 10, contributing: 1, measures: vec![("x".to_owned(), row)] }
    }

    #[test]
    fn a_shard_without_values_changes_nothing() {
        let aggregates = [Aggregate::Count, Aggregate::Sum, Aggregate::Quantile(1.0)];
        let totals = merge(vec![shard(&[], false), shard(&[1.0, 2.0], true), shard(&[], true)], &aggregates).unwrap();
        assert_eq!(totals.measures[0].values, [Some(2.0), Some(3.0), Some(2.0)]);
        assert_eq!(totals.shards, 3);
    }

    #[test]
    fn a_sketch_of_a_part_of_the_values_is_an_error() {
        let shards = || vec![shard(&[1.0], true), shard(&[2.0], false)];
        assert!(merge(shards(), &[Aggregate::Quantile(0.5)]).is_err());
        assert_eq!(merge(shards(), &[Aggregate::Sum]).unwrap().measures[0].values, [Some(3.0)]);
    }

    #[test]
    fn different_windows_are_not_merged() {
        assert!(merge(vec![shard(&[1.0], false), States { to: 11, ..shard(&[1.0], false) }], &[]).is_err());
    }

    #[test]
    fn an_answer_without_states_is_an_error() {
        let plain = Value::Array(vec![Value::BulkString(b"x".to_vec()), Value::Array(vec![])]);
        let answer = Value::Array(vec![Value::Int(0), Value::Int(1), Value::Int(1), plain]);
        assert!(parse(answer).unwrap_err().message.contains("where a state was expected"));
    }
}
