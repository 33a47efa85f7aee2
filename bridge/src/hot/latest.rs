use redis::Value;
use series::series_name::{self, HashTag, SeriesName};
use series::time::Micros;

use super::client::HotClient;
use super::error::HotError;
use super::route::KeyCommand;
use super::{reply, time_arg};

/// The newest sample of one series.
#[derive(Debug, Clone, PartialEq)]
pub struct LatestSample {
    /// The key within the source.
    pub key: String,
    pub time: Micros,
    /// Measure and value; a measure without a value in this sample is left out.
    pub values: Vec<(String, f64)>,
}

impl HotClient {
    /// The newest sample in Redis of each of these series, or of all series of the source. Series that Redis does not
    /// know are left out.
    pub async fn latest(&self, source: &str, keys: Option<&[String]>) -> Result<Vec<LatestSample>, HotError> {
        match keys {
            Some(keys) => self.latest_of(source, keys).await,
            None => {
                let mut command = redis::cmd("STRATA.MGET");
                command.arg("SOURCE").arg(source);
                let mut latest = Vec::new();
                for answer in self.query_all(&command).await? {
                    latest.extend(reply::array(answer)?.into_iter().map(parse_named).collect::<Result<Vec<_>, _>>()?);
                }
                Ok(latest)
            }
        }
    }

    async fn latest_of(&self, source: &str, keys: &[String]) -> Result<Vec<LatestSample>, HotError> {
        // what cannot be the name of a series cannot have samples either
        let names: Vec<SeriesName> = keys.iter().filter_map(|key| SeriesName::new(source, key).ok()).collect();
        let redis_keys: Vec<String> = names.iter().map(|name| name.redis_key(HashTag::None)).collect();
        let groups = self.groups(redis_keys.iter().map(String::as_str)).await?;
        let mut commands = Vec::with_capacity(groups.len());
        for group in &groups {
            let mut command = redis::cmd("STRATA.MGET");
            group.iter().for_each(|&position| {
                command.arg(&redis_keys[position]);
            });
            commands.push(KeyCommand { redis_key: redis_keys[group[0]].clone(), command });
        }
        let mut latest = Vec::with_capacity(names.len());
        for (group, answer) in groups.iter().zip(self.query_keys(&commands).await?) {
            let answers = match answer {
                Value::ServerError(error) => return Err(self.describe(error)),
                answer => reply::array(answer)?,
            };
            let known = group.iter().zip(answers).filter(|(_, answer)| *answer != Value::Nil);
            for (&position, answer) in known {
                let [time, values] = reply::fields::<2>(answer, "a sample")?;
                latest.push(sample(names[position].key().to_owned(), &time, values)?);
            }
        }
        Ok(latest)
    }
}

/// `[redis_key, time, [measure, value, …]]`
fn parse_named(answer: Value) -> Result<LatestSample, HotError> {
    let [redis_key, time, values] = reply::fields::<3>(answer, "a sample")?;
    let redis_key = reply::text(&redis_key)?;
    let (_, key) = series_name::split(&redis_key).map_err(HotError::reply)?;
    sample(key.to_owned(), &time, values)
}

fn sample(key: String, time: &Value, values: Value) -> Result<LatestSample, HotError> {
    let values = reply::pairs(values)?
        .into_iter()
        .map(|(measure, value)| Ok((measure, reply::float(&value)?)))
        .collect::<Result<_, HotError>>()?;
    Ok(LatestSample { key, time: time_arg::parse(time)?, values })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn a_named_sample_gets_its_key_from_the_redis_key() {
        let values = Value::Array(vec![bulk("flow"), bulk("1.5")]);
        let latest = parse_named(Value::Array(vec![bulk("{r}:zone:A"), Value::Int(1500), values])).unwrap();
        let expected = LatestSample { key: "zone:A".into(), time: 1_500_000, values: vec![("flow".into(), 1.5)] };
        assert_eq!(latest, expected);
    }
}
