use redis::Value;
use series::series_name::{self, HashTag, SeriesName};
use series::time::Micros;

use super::client::HotClient;
use super::error::HotError;
use super::route::KeyCommand;
use super::{reply, time_arg};

/// One command stays small enough that Redis is never busy with it for long.
const SERIES_PER_COMMAND: usize = 1000;

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
        let found = self.newest(&names).await?;
        let known = names.iter().zip(found).filter_map(|(name, found)| Some((name, found?)));
        known
            .map(|(name, (_, answer))| {
                let [time, values] = reply::fields::<2>(answer, "a sample")?;
                sample(name.key().to_owned(), &time, values)
            })
            .collect()
    }

    /// The Redis key of each of these series; the plain one of those that Redis does not have.
    pub(super) async fn redis_keys(&self, names: &[SeriesName]) -> Result<Vec<String>, HotError> {
        let found = self.newest(names).await?.into_iter().zip(names);
        Ok(found.map(|(found, name)| found.map_or_else(|| name.redis_key(HashTag::None), |(key, _)| key)).collect())
    }

    /// Redis key and newest sample (`[time, [measure, value, …]]`, or an error) of each of these series. Where there are
    /// several with a name, as one with a hash tag and one without, that with the newest of their samples.
    async fn newest(&self, names: &[SeriesName]) -> Result<Vec<Option<(String, Value)>>, HotError> {
        let mut asked: Vec<(usize, String)> = names
            .iter()
            .enumerate()
            .flat_map(|(position, name)| {
                [HashTag::None, HashTag::Source, HashTag::Key].map(|tag| (position, name.redis_key(tag)))
            })
            .collect();
        asked.dedup();
        let groups = self.groups(asked.iter().map(|(_, key)| key.as_str())).await?;
        let together: Vec<&[usize]> = groups.iter().flat_map(|group| group.chunks(SERIES_PER_COMMAND)).collect();
        let mut commands = Vec::with_capacity(together.len());
        for group in &together {
            let mut command = redis::cmd("STRATA.MGET");
            group.iter().for_each(|&one| {
                command.arg(&asked[one].1);
            });
            commands.push(KeyCommand { redis_key: asked[group[0]].1.clone(), command });
        }
        let mut found: Vec<Option<(Micros, String, Value)>> = vec![None; names.len()];
        for (group, answer) in together.iter().zip(self.query_keys(&commands).await?) {
            let answers = match answer {
                Value::ServerError(error) => return Err(self.describe(error)),
                answer => reply::array(answer)?,
            };
            for (&one, answer) in group.iter().zip(answers).filter(|(_, answer)| *answer != Value::Nil) {
                let (position, redis_key) = &asked[one];
                let time = match &answer {
                    Value::Array(fields) => fields.first().map_or(Ok(Micros::MIN), time_arg::parse)?,
                    _ => Micros::MIN,
                };
                if found[*position].as_ref().is_none_or(|(newest, ..)| time > *newest) {
                    found[*position] = Some((time, redis_key.clone(), answer));
                }
            }
        }
        Ok(found.into_iter().map(|found| found.map(|(_, redis_key, answer)| (redis_key, answer))).collect())
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
