use series::time::Micros;
use series::wire::Batch;

use super::client::HotClient;
use super::error::HotError;
use super::left_out::LeftOut;
use super::{reply, time_arg};

/// What of a source is in Redis and not yet in the table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pending {
    /// The greatest flush that Redis has acknowledged for the visited series; 0 if none.
    pub flush_id: i64,
    /// True if the count cut the answer: there is more.
    pub more: bool,
    pub series: Vec<PendingSeries>,
    /// Series that are damaged: what they have cannot be read and stays where it is.
    pub left_out: LeftOut,
}

impl Pending {
    /// Number of samples over all series.
    pub fn rows(&self) -> usize {
        self.series.iter().map(|series| series.batch.times.len()).sum()
    }
}

/// The pending samples of one series, and the token that acknowledges exactly these.
#[derive(Debug, Clone, PartialEq)]
pub struct PendingSeries {
    /// The Redis key, as the acknowledgement must name it.
    pub redis_key: String,
    /// The key within the source, without hash tag.
    pub key: String,
    /// Names exactly these samples to [`HotClient::ack`].
    pub token: String,
    /// Oldest first.
    pub batch: Batch,
}

impl HotClient {
    /// Reads pending samples of `source` without changing anything in Redis, in a cluster from all masters.
    ///
    /// `from` and `to` are inclusive. `keys` limits it to these series (keys within the source); `count` bounds the
    /// number of samples, each master's share in a cluster; with 0 the answer only says whether there are some, and which
    /// series are known to be damaged.
    pub async fn pending(
        &self,
        source: &str,
        from: Option<Micros>,
        to: Option<Micros>,
        keys: Option<&[String]>,
        count: Option<usize>,
    ) -> Result<Pending, HotError> {
        let mut command = redis::cmd("STRATA.PENDING");
        command.arg(source);
        if let Some(from) = from {
            command.arg("FROM").arg(time_arg::format(from));
        }
        if let Some(to) = to {
            command.arg("TO").arg(time_arg::format(to));
        }
        if let Some(keys) = keys {
            if keys.is_empty() {
                return Ok(Pending::default());
            }
            command.arg("KEYS").arg(keys.len()).arg(keys);
        }
        if let Some(count) = count {
            command.arg("COUNT").arg(count);
        }
        let mut merged = Pending::default();
        for answer in self.query_all(&command).await? {
            let pending = parse(answer)?;
            merged.flush_id = merged.flush_id.max(pending.flush_id);
            merged.more |= pending.more;
            merged.series.extend(pending.series);
            merged.left_out.extend(pending.left_out);
        }
        Ok(merged)
    }
}

fn parse(value: redis::Value) -> Result<Pending, HotError> {
    let [flush_id, more, series, damaged] = reply::fields::<4>(value, "STRATA.PENDING")?;
    let mut left_out = LeftOut::default();
    for value in reply::array(damaged)? {
        let [redis_key, reason] = reply::fields::<2>(value, "a damaged series")?;
        left_out.add(reply::text(&redis_key)?, reply::text(&reason)?);
    }
    Ok(Pending {
        left_out,
        flush_id: reply::integer(&flush_id)?,
        more: reply::integer(&more)? != 0,
        series: reply::array(series)?.into_iter().map(parse_series).collect::<Result<_, _>>()?,
    })
}

fn parse_series(value: redis::Value) -> Result<PendingSeries, HotError> {
    let [redis_key, key, token, payload] = reply::fields::<4>(value, "a pending series")?;
    let redis_key = reply::text(&redis_key)?;
    let redis::Value::BulkString(payload) = payload else {
        return Err(HotError::reply(format!("series {redis_key:?} has no payload")));
    };
    let batch = Batch::decode(&payload)
        .map_err(|error| HotError::reply(format!("the samples of series {redis_key:?} cannot be decoded: {error}")))?;
    Ok(PendingSeries { key: reply::text(&key)?, token: reply::text(&token)?, batch, redis_key })
}

#[cfg(test)]
mod tests {
    use redis::Value;

    use super::*;

    fn bulk(bytes: &[u8]) -> Value {
        Value::BulkString(bytes.to_vec())
    }

    #[test]
    fn an_answer_of_the_module_is_read_back() {
        let batch = Batch { measures: vec!["flow".into()], times: vec![1, 2], columns: vec![vec![0.5, f64::NAN]] };
        let series = Value::Array(vec![bulk(b"{r}:A"), bulk(b"A"), bulk(b"2:7:f"), bulk(&batch.encode())]);
        let damaged = Value::Array(vec![Value::Array(vec![bulk(b"r:B"), bulk(b"the bytes end too early")])]);
        let pending =
            parse(Value::Array(vec![Value::Int(41), Value::Int(1), Value::Array(vec![series]), damaged])).unwrap();
        assert_eq!((pending.flush_id, pending.more, pending.rows()), (41, true, 2));
        let series = &pending.series[0];
        assert_eq!((series.redis_key.as_str(), series.key.as_str()), ("{r}:A", "A"));
        assert_eq!(series.token, "2:7:f");
        assert_eq!(series.batch.times, vec![1, 2]);
        assert_eq!(pending.left_out.to_string(), "\"r:B\" (the bytes end too early)");
    }

    #[test]
    fn a_broken_payload_is_an_error_that_names_the_series() {
        let series = Value::Array(vec![bulk(b"r:A"), bulk(b"A"), bulk(b"2:7:f"), bulk(b"\xff\xff")]);
        let parts = vec![Value::Int(0), Value::Int(0), Value::Array(vec![series]), Value::Array(Vec::new())];
        let error = parse(Value::Array(parts)).unwrap_err();
        assert!(error.message.contains("r:A"), "{error}");
    }
}
