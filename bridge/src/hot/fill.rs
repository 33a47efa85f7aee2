use redis::Value;
use series::series_name::{HashTag, SeriesName};
use series::wire::Batch;

use super::client::HotClient;
use super::error::HotError;
use super::reply;

/// Redis is busy with one command for some milliseconds.
const SAMPLES_PER_COMMAND: usize = 10_000;

impl HotClient {
    /// Gives Redis samples that the table has; they are not pending there, and what Redis has of the same time and measure
    /// stays. Each batch holds the samples of one key of the source, in the order of time, without infinite values. A key
    /// that cannot name a series is left out. Returns how many samples Redis did not have.
    ///
    /// Errors mean that an unknown part arrived: filling again is harmless.
    pub async fn fill(&self, source: &str, series: &[(String, Batch)]) -> Result<u64, HotError> {
        let mut pipeline = redis::pipe();
        let (mut command, mut samples) = (redis::cmd("STRATA.FILL"), 0);
        for (key, batch) in series {
            let Ok(name) = SeriesName::new(source, key) else { continue };
            if samples > 0 && samples + batch.rows() > SAMPLES_PER_COMMAND {
                pipeline.add_command(std::mem::replace(&mut command, redis::cmd("STRATA.FILL")));
                samples = 0;
            }
            command.arg(name.redis_key(HashTag::None)).arg(batch.encode());
            samples += batch.rows();
        }
        if samples > 0 {
            pipeline.add_command(command);
        }
        if pipeline.is_empty() {
            return Ok(0);
        }
        let mut added = 0;
        for answer in self.query_pipeline(&pipeline).await? {
            added += match answer {
                Value::ServerError(error) => return Err(self.describe(error)),
                answer => reply::unsigned(&answer)?,
            };
        }
        Ok(added)
    }
}
