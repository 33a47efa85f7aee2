use std::collections::HashSet;

use redis::Value;
use series::series_name::SeriesName;
use series::time::Micros;

use super::client::HotClient;
use super::error::HotError;
use super::left_out::{LeftOut, is_about_the_key};
use super::route::KeyCommand;
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
        let mut watched = Watched::default();
        // Redis is asked rather than remembered: it may have been put back to an older state
        let mut others = self.watches(redis::cmd("STRATA.WATCHES").arg(source)).await?;
        let states = self.addressed(source, states).await?;
        let wanted: HashSet<(&str, &str)> =
            states.iter().map(|(redis_key, state)| (redis_key.as_str(), state.measure.as_str())).collect();
        others.retain(|(key, measure)| !wanted.contains(&(key.as_str(), measure.as_str())));
        watched.ended = self.send(&ends(&others), &mut watched.left_out).await?;
        watched.taken = self.send(&begins(&states), &mut watched.left_out).await?;
        Ok(watched)
    }

    /// Hands the detectors over again: to those measures of which a sample came too late for Redis to judge, and all of them
    /// where Redis watches nothing of the source, as after a detach that was rolled back.
    pub async fn watch_again(&self, source: &str, states: &[WatchState]) -> Result<Watched, HotError> {
        if self.watches(redis::cmd("STRATA.WATCHES").arg(source)).await?.is_empty() {
            return self.watch(source, states).await;
        }
        let behind: HashSet<(String, String)> =
            self.watches(redis::cmd("STRATA.WATCHES").arg(source).arg("BEHIND")).await?.into_iter().collect();
        let mut watched = Watched::default();
        if behind.is_empty() {
            return Ok(watched);
        }
        let mut wanted = self.addressed(source, states).await?;
        wanted.retain(|(redis_key, state)| behind.contains(&(redis_key.clone(), state.measure.clone())));
        watched.taken = self.send(&begins(&wanted), &mut watched.left_out).await?;
        Ok(watched)
    }

    /// These states with the Redis keys of their series; without those of keys that cannot name one.
    async fn addressed<'a>(
        &self,
        source: &str,
        states: &'a [WatchState],
    ) -> Result<Vec<(String, &'a WatchState)>, HotError> {
        let of_one_key = states.chunk_by(|one, next| one.key == next.key);
        let named = of_one_key.filter_map(|states| Some((SeriesName::new(source, &states[0].key).ok()?, states)));
        let (names, states): (Vec<SeriesName>, Vec<&[WatchState]>) = named.unzip();
        let redis_keys = self.redis_keys(&names).await?.into_iter();
        Ok(redis_keys
            .zip(states)
            .flat_map(|(key, states)| states.iter().map(move |state| (key.clone(), state)))
            .collect())
    }

    /// Redis key and measure of each watch that Redis names.
    async fn watches(&self, command: &redis::Cmd) -> Result<Vec<(String, String)>, HotError> {
        let mut watches = Vec::new();
        for answer in self.query_all(command).await? {
            for series in reply::array(answer)? {
                let [key, measures] = reply::fields::<2>(series, "a watched series")?;
                let key = reply::text(&key)?;
                watches.extend(reply::pairs(measures)?.into_iter().map(|(measure, _method)| (key.clone(), measure)));
            }
        }
        Ok(watches)
    }

    /// Returns the sum of the answers.
    async fn send(&self, commands: &[KeyCommand], left_out: &mut LeftOut) -> Result<u64, HotError> {
        let mut measures = 0;
        for round in commands.chunks(COMMANDS_PER_ROUND) {
            for (command, answer) in round.iter().zip(self.query_keys(round).await?) {
                match answer {
                    Value::ServerError(error) if is_about_the_key(&error) => {
                        left_out.note(command.redis_key.clone(), &error);
                    }
                    Value::ServerError(error) => return Err(self.describe(error)),
                    answer => measures += reply::unsigned(&answer)?,
                }
            }
        }
        Ok(measures)
    }
}

fn begins(states: &[(String, &WatchState)]) -> Vec<KeyCommand> {
    let of_one_key = states.chunk_by(|one, next| one.0 == next.0);
    of_one_key
        .map(|states| {
            let mut watch = KeyCommand::new("STRATA.WATCH", states[0].0.clone());
            for (_, WatchState { measure, after, state, .. }) in states {
                watch.command.arg(measure).arg(time_arg::format(*after)).arg(state);
            }
            watch
        })
        .collect()
}

fn ends(watches: &[(String, String)]) -> Vec<KeyCommand> {
    let of_one_key = watches.chunk_by(|one, next| one.0 == next.0);
    of_one_key
        .map(|watches| {
            let mut watch = KeyCommand::new("STRATA.WATCH", watches[0].0.clone());
            for (_, measure) in watches {
                watch.command.arg(measure).arg("-").arg("");
            }
            watch
        })
        .collect()
}
