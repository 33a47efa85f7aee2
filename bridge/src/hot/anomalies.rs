use redis::Value;
use series::time::Micros;

use super::client::HotClient;
use super::error::HotError;
use super::{reply, time_arg};

/// An alarm of a sample that the table does not have yet.
#[derive(Debug, Clone, PartialEq)]
pub struct HotAnomaly {
    /// The key within the source.
    pub key: String,
    pub measure: String,
    pub time: Micros,
    pub value: f64,
    /// 1 is the alarm line.
    pub score: f64,
    /// NaN where the detector had no expectation, as the band.
    pub expected: f64,
    pub lower: f64,
    pub upper: f64,
    pub method: String,
    /// The detector's word for it, such as `level`.
    pub reason: String,
}

impl HotClient {
    /// The alarms of a source that are in Redis only; `count` bounds their number.
    pub async fn anomalies(&self, source: &str, count: Option<usize>) -> Result<Vec<HotAnomaly>, HotError> {
        let mut command = redis::cmd("STRATA.ANOMALIES");
        command.arg(source);
        if let Some(count) = count {
            command.arg("COUNT").arg(count);
        }
        let mut alarms = Vec::new();
        for answer in self.query_all(&command).await? {
            alarms.extend(reply::array(answer)?.into_iter().map(parse).collect::<Result<Vec<_>, _>>()?);
        }
        alarms.truncate(count.unwrap_or(usize::MAX));
        Ok(alarms)
    }
}

fn parse(answer: Value) -> Result<HotAnomaly, HotError> {
    let [_, key, measure, time, value, score, expected, lower, upper, method, reason] =
        reply::fields::<11>(answer, "an alarm")?;
    Ok(HotAnomaly {
        key: reply::text(&key)?,
        measure: reply::text(&measure)?,
        time: time_arg::parse(&time)?,
        value: reply::float(&value)?,
        score: reply::float(&score)?,
        expected: reply::float(&expected)?,
        lower: reply::float(&lower)?,
        upper: reply::float(&upper)?,
        method: reply::text(&method)?,
        reason: reply::text(&reason)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_that_is_none_is_not_a_number() {
        let bulk = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let words = ["r:A", "A", "flow", "1500", "9.5", "1.25", "nan", "-1", "2", "range_novelty", "level"];
        let anomaly = parse(Value::Array(words.into_iter().map(bulk).collect())).unwrap();
        assert_eq!((anomaly.key.as_str(), anomaly.time, anomaly.score), ("A", 1_500_000, 1.25));
        assert!(anomaly.expected.is_nan());
        assert_eq!((anomaly.method.as_str(), anomaly.reason.as_str()), ("range_novelty", "level"));
    }
}
