use redis::Value;
use series::series_name::SeriesName;
use series::wire::Batch;

use super::client::HotClient;
use super::error::HotError;
use super::left_out::{LeftOut, is_about_the_key};
use super::reply;
use super::route::KeyCommand;

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
        let named = series.iter().filter_map(|(key, batch)| Some((SeriesName::new(source, key).ok()?, batch)));
        let (names, batches): (Vec<SeriesName>, Vec<&Batch>) = named.unzip();
        let mut commands = Vec::with_capacity(names.len());
        for (redis_key, batch) in self.redis_keys(&names).await?.into_iter().zip(batches) {
            // a command of several keys fails as a whole where one of them holds something else
            let mut command = KeyCommand::new("STRATA.FILL", redis_key);
            command.command.arg(batch.encode());
            commands.push(command);
        }
        let mut filled = Filled::default();
        let answers = self.query_keys(&commands).await?;
        for (KeyCommand { redis_key, .. }, answer) in commands.into_iter().zip(answers) {
            match answer {
                Value::ServerError(error) if is_about_the_key(&error) => filled.left_out.note(redis_key, &error),
                Value::ServerError(error) => return Err(self.describe(error)),
                answer => filled.added += reply::unsigned(&answer)?,
            }
        }
        Ok(filled)
    }
}
