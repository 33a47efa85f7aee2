use redis::Value;
use series::series_name::{HashTag, SeriesName};
use series::wire::Batch;

use super::client::HotClient;
use super::error::HotError;
use super::left_out::{LeftOut, is_about_the_key};
use super::reply;

/// What a fill did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filled {
    /// Samples that Redis did not have.
    pub added: u64,
    pub left_out: LeftOut,
}

impl HotClient {
    /// Gives Redis samples that the table has; they are not pending there, and what Redis has of the same time and measure
    /// stays. Each batch holds samples of one key of the source, in the order of time, without infinite values. A key
    /// that cannot name a series is passed over.
    ///
    /// Errors mean that an unknown part arrived: filling again is harmless.
    pub async fn fill(&self, source: &str, series: &[(String, Batch)]) -> Result<Filled, HotError> {
        let mut pipeline = redis::pipe();
        let mut names = Vec::with_capacity(series.len());
        for (key, batch) in series {
            let Ok(name) = SeriesName::new(source, key) else { continue };
            let redis_key = name.redis_key(HashTag::None);
            // a command of several keys fails as a whole where one of them holds something else
            pipeline.cmd("STRATA.FILL").arg(&redis_key).arg(batch.encode());
            names.push(redis_key);
        }
        let mut filled = Filled::default();
        if pipeline.is_empty() {
            return Ok(filled);
        }
        for (redis_key, answer) in names.into_iter().zip(self.query_pipeline(&pipeline).await?) {
            match answer {
                Value::ServerError(error) if is_about_the_key(&error) => filled.left_out.note(redis_key, &error),
                Value::ServerError(error) => return Err(self.describe(error)),
                answer => filled.added += reply::unsigned(&answer)?,
            }
        }
        Ok(filled)
    }
}
