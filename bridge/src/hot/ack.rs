use redis::Value;

use super::client::HotClient;
use super::error::HotError;
use super::pending::PendingSeries;
use super::reply;
use super::route::KeyCommand;

/// One command stays small enough that Redis is never busy with it for long.
const SERIES_PER_COMMAND: usize = 1000;

impl HotClient {
    /// Tells Redis that the table has these samples since flush `flush_id`; they are then no longer pending.
    ///
    /// Returns how many series Redis still has as they were when the tokens were given: after a restart or a failover in
    /// between it has none, and the samples stay pending. Repeating an acknowledgement changes nothing.
    pub async fn ack(&self, flush_id: i64, series: &[PendingSeries]) -> Result<u64, HotError> {
        let mut commands = Vec::new();
        for group in self.groups(series.iter().map(|series| series.redis_key.as_str())).await? {
            for positions in group.chunks(SERIES_PER_COMMAND) {
                let mut command = redis::cmd("STRATA.ACK");
                command.arg(flush_id);
                for &position in positions {
                    command.arg(&series[position].redis_key).arg(&series[position].token);
                }
                commands.push(KeyCommand { redis_key: series[positions[0]].redis_key.clone(), command });
            }
        }
        let mut acknowledged = 0;
        for answer in self.query_keys(&commands).await? {
            acknowledged += match answer {
                Value::ServerError(error) => return Err(self.describe(error)),
                answer => reply::unsigned(&answer)?,
            };
        }
        Ok(acknowledged)
    }
}
