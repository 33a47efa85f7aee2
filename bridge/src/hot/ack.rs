use super::client::HotClient;
use super::error::HotError;
use super::pending::PendingSeries;
use super::reply;

/// One command stays small enough that Redis is never busy with it for long.
const SERIES_PER_COMMAND: usize = 1000;

impl HotClient {
    /// Tells Redis that the table has these samples since flush `flush_id`; they are then no longer pending.
    ///
    /// Returns how many series Redis still has as they were when the tokens were given: after a restart or a failover in
    /// between it has none, and the samples stay pending. Repeating an acknowledgement changes nothing.
    pub async fn ack(&self, flush_id: i64, series: &[PendingSeries]) -> Result<u64, HotError> {
        let mut acknowledged = 0;
        for chunk in series.chunks(SERIES_PER_COMMAND) {
            let mut command = redis::cmd("STRATA.ACK");
            command.arg(flush_id);
            for series in chunk {
                command.arg(&series.redis_key).arg(&series.token);
            }
            acknowledged += reply::unsigned(&self.query(&command).await?)?;
        }
        Ok(acknowledged)
    }
}
