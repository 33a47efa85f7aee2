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

/// Fields of the module that count something.
const COUNTED: [&str; 3] = ["series", "samples", "pending"];

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
    /// Totals of one source, over all masters of a cluster; all zero if Redis has none of its series.
    pub async fn info_source(&self, source: &str) -> Result<SourceInfo, HotError> {
        let mut total = SourceInfo::default();
        for answer in self.query_all(redis::cmd("STRATA.INFO").arg("SOURCE").arg(source)).await? {
            total.add(parse_source(answer)?);
        }
        Ok(total)
    }

    /// What the module says of itself, merged over all masters of a cluster.
    pub async fn info(&self) -> Result<ModuleInfo, HotError> {
        let answers = self.query_all(&redis::cmd("STRATA.INFO")).await?;
        let mut infos = answers.into_iter().map(parse_module).collect::<Result<Vec<_>, _>>()?.into_iter();
        let mut total = infos.next().unwrap_or_default();
        infos.for_each(|info| total.merge(info));
        Ok(total)
    }

    /// Names this run of Redis: another one after every start of one of its masters.
    pub async fn instance(&self) -> Result<String, HotError> {
        let mut fields = self.info().await?.fields;
        fields.remove("instance").ok_or_else(|| HotError::reply("STRATA.INFO without an instance"))
    }

    /// Settings of this Redis under which samples can get lost; empty when all is well.
    pub async fn warnings(&self) -> Result<Vec<String>, HotError> {
        Ok(self.info().await?.warnings)
    }
}

impl SourceInfo {
    fn add(&mut self, other: SourceInfo) {
        self.series += other.series;
        self.samples += other.samples;
        self.pending += other.pending;
        self.oldest_pending = self.oldest_pending.into_iter().chain(other.oldest_pending).min();
        self.last = self.last.max(other.last);
        self.bytes += other.bytes;
    }
}

impl ModuleInfo {
    /// Numbers add up, other fields that differ stand beside each other.
    fn merge(&mut self, other: ModuleInfo) {
        for (field, value) in other.fields {
            let Some(known) = self.fields.get_mut(&field) else {
                self.fields.insert(field, value);
                continue;
            };
            match (known.parse::<u64>(), value.parse::<u64>()) {
                (Ok(one), Ok(more)) if COUNTED.contains(&field.as_str()) => *known = (one + more).to_string(),
                _ if *known == value => {}
                _ => *known = format!("{known} {value}"),
            }
        }
        for (mine, theirs) in [(&mut self.sources, other.sources), (&mut self.warnings, other.warnings)] {
            mine.extend(theirs);
            mine.sort_unstable();
            mine.dedup();
        }
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

pub(super) fn parse_module(value: Value) -> Result<ModuleInfo, HotError> {
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
    fn what_masters_say_of_themselves_is_merged() {
        let info = |series: &str, instance: &str, source: &str| ModuleInfo {
            fields: [("series", series), ("instance", instance), ("retention", "1d")]
                .map(|(field, value)| (field.to_owned(), value.to_owned()))
                .into(),
            sources: vec![source.to_owned()],
            warnings: vec!["AOF is off".to_owned()],
        };
        let mut total = info("3", "11", "s");
        total.merge(info("4", "22", "r"));
        let expected = ModuleInfo { sources: vec!["r".into(), "s".into()], ..info("7", "11 22", "") };
        assert_eq!(total, expected);
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
