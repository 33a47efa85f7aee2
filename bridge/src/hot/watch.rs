use redis::Value;
use series::series_name::{HashTag, SeriesName};
use series::time::Micros;

use super::client::HotClient;
use super::error::HotError;
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
    /// `series::watch::Watch::save`; empty ends the watch.
    pub state: Vec<u8>,
}

impl HotClient {
    /// Hands over the states of a source's detectors. A series or measure that Redis does not have is left out. Returns how
    /// many measures Redis has taken.
    pub async fn watch(&self, source: &str, states: &[WatchState]) -> Result<u64, HotError> {
        let commands: Vec<redis::Cmd> = states
            .chunk_by(|one, next| one.key == next.key)
            .filter_map(|states| Some(command(&SeriesName::new(source, &states[0].key).ok()?, states)))
            .collect();
        let mut taken = 0;
        for round in commands.chunks(COMMANDS_PER_ROUND) {
            let mut pipeline = redis::pipe();
            for command in round {
                pipeline.add_command(command.clone());
            }
            for answer in self.query_pipeline(&pipeline).await? {
                taken += match answer {
                    Value::ServerError(error) => return Err(self.describe(error)),
                    answer => reply::unsigned(&answer)?,
                };
            }
        }
        Ok(taken)
    }
}

fn command(name: &SeriesName, states: &[WatchState]) -> redis::Cmd {
    let mut command = redis::cmd("STRATA.WATCH");
    command.arg(name.redis_key(HashTag::None));
    for WatchState { measure, after, state, .. } in states {
        command.arg(measure).arg(time_arg::format(*after)).arg(state);
    }
    command
}
