use std::collections::BTreeMap;

use redis::Value;
use series::time::Micros;

use super::client::HotClient;
use super::error::HotError;
use super::{reply, time_arg};

/// Totals of one source in Redis.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SourceInfo {
    pub series: u64,
    pub samples: u64,
    /// Samples that the table does not have yet.
    pub pending: u64,
    pub oldest_pending: Option<Micros>,
    /// Time of the newest sample.
    pub last: Option<Micros>,
    /// Memory of its series.
    pub bytes: u64,
}

/// What the module says about itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModuleInfo {
    /// Field and value as text, for example `samples`.
    pub fields: BTreeMap<String, String>,
    /// Names of the sources that have series in the database the client uses.
    pub sources: Vec<String>,
    /// Settings of this Redis under which samples can get lost.
    pub warnings: Vec<String>,
}

impl HotClient {
    /// Totals of one source; all zero if Redis has none of its series.
    pub async fn info_source(&self, source: &str) -> Result<SourceInfo, HotError> {
        parse_source(self.query(redis::cmd("STRATA.INFO").arg("SOURCE").arg(source)).await?)
    }

    /// Totals of the module.
    pub async fn info(&self) -> Result<ModuleInfo, HotError> {
        parse_module(self.query(&redis::cmd("STRATA.INFO")).await?)
    }

    /// Names this run of Redis: another one after every start.
    pub async fn instance(&self) -> Result<String, HotError> {
        let mut fields = self.info().await?.fields;
        fields.remove("instance").ok_or_else(|| HotError::reply("STRATA.INFO without an instance"))
    }

    /// Settings of this Redis under which samples can get lost; empty when all is well.
    pub async fn warnings(&self) -> Result<Vec<String>, HotError> {
        Ok(self.info().await?.warnings)
    }
}

fn parse_source(value: Value) -> Result<SourceInfo, HotError> {
    let mut info = SourceInfo::default();
    for (field, value) in reply::pairs(value)? {
        match field.as_str() {
            "series" => info.series = reply::unsigned(&value)?,
            "samples" => info.samples = reply::unsigned(&value)?,
            "pending" => info.pending = reply::unsigned(&value)?,
            "oldest_pending" => info.oldest_pending = optional_time(&value)?,
            "bytes" => info.bytes = reply::unsigned(&value)?,
            "last" => info.last = optional_time(&value)?,
            _ => {}
        }
    }
    Ok(info)
}

fn optional_time(value: &Value) -> Result<Option<Micros>, HotError> {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) if bytes.is_empty() => Ok(None),
        value => time_arg::parse(value).map(Some),
    }
}

fn parse_module(value: Value) -> Result<ModuleInfo, HotError> {
    let mut info = ModuleInfo::default();
    for (field, value) in reply::pairs(value)? {
        match value {
            Value::Array(items) if field == "warnings" => {
                info.warnings = items.iter().map(reply::text).collect::<Result<_, _>>()?;
            }
            Value::Array(items) if field == "sources" => {
                info.sources = items.iter().map(reply::text).collect::<Result<_, _>>()?;
            }
            // nested values are for people who type the command themselves
            Value::Array(_) | Value::Map(_) | Value::Set(_) => {}
            Value::Nil => {}
            value => {
                info.fields.insert(field, reply::text(&value)?);
            }
        }
    }
    Ok(info)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn a_source_without_pending_samples_has_no_oldest() {
        let reply =
            vec![bulk("samples"), Value::Int(3), bulk("oldest_pending"), Value::Nil, bulk("last"), Value::Int(2)];
        let info = parse_source(Value::Array(reply)).unwrap();
        assert_eq!(info, SourceInfo { samples: 3, last: Some(2000), ..SourceInfo::default() });
    }

    #[test]
    fn warnings_are_read_apart_from_the_fields() {
        let reply = vec![bulk("series"), Value::Int(3), bulk("warnings"), Value::Array(vec![bulk("AOF is off")])];
        let info = parse_module(Value::Array(reply)).unwrap();
        assert_eq!(info.fields["series"], "3");
        assert_eq!(info.warnings, ["AOF is off"]);
        assert!(info.sources.is_empty());
    }
}
