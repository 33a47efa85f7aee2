use std::collections::HashSet;

use redis::Value;
use series::series_name::{HashTag, SeriesName};
use series::time::Micros;

use super::client::HotClient;
use super::error::HotError;
use super::left_out::{LeftOut, is_about_the_key};
use super::{reply, time_arg};

/// Each command restores a state and judges the samples since, so a round is over within some milliseconds.
const COMMANDS_PER_ROUND: usize = 100;

/// The detector that goes on watching a measure in Redis.
#[derive(Debug, Clone, PartialEq)]
pub struct WatchState {
    /// The key within the source.
    pub key: String,
    pub measure: String,
    /// The state has learned all samples up to here, this time included.
    pub after: Micros,
    /// `series::watch::Watch::save`.
    pub state: Vec<u8>,
}

/// What a hand-over did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Watched {
    /// Measures that are under watch now.
    pub taken: u64,
    /// Measures whose watch was ended.
    pub ended: u64,
    pub left_out: LeftOut,
}

impl HotClient {
    /// Makes these detectors, sorted by key, all that watch the source: every other watch that Redis has there is ended. A
    /// series or measure that Redis does not have is passed over.
    pub async fn watch(&self, source: &str, states: &[WatchState]) -> Result<Watched, HotError> {
        let wanted: Vec<(String, &[WatchState])> = states
            .chunk_by(|one, next| one.key == next.key)
            .filter_map(|states| Some((SeriesName::new(source, &states[0].key).ok()?.redis_key(HashTag::None), states)))
            .collect();
        let mut watched = Watched::default();
        let ends = self.watches_beside(source, &wanted).await?;
        let ends: Vec<_> = ends.iter().map(|(key, measures)| (key.as_str(), end(key, measures))).collect();
        watched.ended = self.send(&ends, &mut watched.left_out).await?;
        let begins: Vec<_> = wanted.iter().map(|(key, states)| (key.as_str(), begin(key, states))).collect();
        watched.taken = self.send(&begins, &mut watched.left_out).await?;
        Ok(watched)
    }

    /// The measures that Redis watches without being wanted to, by Redis key. Redis is asked rather than remembered: it may
    /// have been put back to an older state.
    async fn watches_beside(
        &self,
        source: &str,
        wanted: &[(String, &[WatchState])],
    ) -> Result<Vec<(String, Vec<String>)>, HotError> {
        let wanted: HashSet<(&str, &str)> = wanted
            .iter()
            .flat_map(|(key, states)| states.iter().map(|state| (key.as_str(), state.measure.as_str())))
            .collect();
        let mut beside = Vec::new();
        for series in reply::array(self.query(redis::cmd("STRATA.WATCHES").arg(source)).await?)? {
            let [key, measures] = reply::fields::<2>(series, "a watched series")?;
            let key = reply::text(&key)?;
            let mut measures: Vec<String> =
                reply::pairs(measures)?.into_iter().map(|(measure, _method)| measure).collect();
            measures.retain(|measure| !wanted.contains(&(key.as_str(), measure.as_str())));
            if !measures.is_empty() {
                beside.push((key, measures));
            }
        }
        Ok(beside)
    }

    /// Returns the sum of the answers.
    async fn send(&self, commands: &[(&str, redis::Cmd)], left_out: &mut LeftOut) -> Result<u64, HotError> {
        let mut measures = 0;
        for round in commands.chunks(COMMANDS_PER_ROUND) {
            let mut pipeline = redis::pipe();
            round.iter().for_each(|(_, command)| {
                pipeline.add_command(command.clone());
            });
            for ((key, _), answer) in round.iter().zip(self.query_pipeline(&pipeline).await?) {
                match answer {
                    Value::ServerError(error) if is_about_the_key(&error) => left_out.note((*key).to_owned(), &error),
                    Value::ServerError(error) => return Err(self.describe(error)),
                    answer => measures += reply::unsigned(&answer)?,
                }
            }
        }
        Ok(measures)
    }
}

fn begin(redis_key: &str, states: &[WatchState]) -> redis::Cmd {
    let mut command = redis::cmd("STRATA.WATCH");
    command.arg(redis_key);
    for WatchState { measure, after, state, .. } in states {
        command.arg(measure).arg(time_arg::format(*after)).arg(state);
    }
    command
}

fn end(redis_key: &str, measures: &[String]) -> redis::Cmd {
    let mut command = redis::cmd("STRATA.WATCH");
    command.arg(redis_key);
    for measure in measures {
        command.arg(measure).arg("-").arg("");
    }
    command
}
