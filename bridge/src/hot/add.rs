use redis::Value;
use series::series_name::{HashTag, SeriesName};
use series::time::Micros;

use super::client::HotClient;
use super::error::HotError;
use super::left_out::is_about_the_key;
use super::route::KeyCommand;
use super::time_arg;

/// One command of this many samples takes Redis well under a millisecond.
const SAMPLES_PER_COMMAND: usize = 200;
const COMMANDS_PER_ROUND: usize = 25;

/// A sample on its way to Redis.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSample<'a> {
    /// The key within the source.
    pub key: &'a str,
    pub time: Micros,
    /// Measure and value; a missing value (NaN) is left out.
    pub values: &'a [(&'a str, f64)],
}

/// What became of the samples of one [`HotClient::add_many`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AddReport {
    pub accepted: usize,
    pub refused: Vec<RefusedSample>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct RefusedSample {
    /// Position in the slice given to [`HotClient::add_many`].
    pub index: usize,
    pub reason: String,
}

impl HotClient {
    /// Stores samples of one source with pipelined `STRATA.MADD`. A sample that Redis refuses does not stop the
    /// others; it is named in the report. Errors mean that an unknown part of the samples was stored: storing them
    /// again is harmless.
    pub async fn add_many(&self, source: &str, samples: &[NewSample<'_>]) -> Result<AddReport, HotError> {
        let mut report = AddReport::default();
        for (round, samples) in samples.chunks(SAMPLES_PER_COMMAND * COMMANDS_PER_ROUND).enumerate() {
            let first = round * SAMPLES_PER_COMMAND * COMMANDS_PER_ROUND;
            self.add_round(source, first, samples, &mut report).await?;
        }
        Ok(report)
    }

    async fn add_round(
        &self,
        source: &str,
        first: usize,
        samples: &[NewSample<'_>],
        report: &mut AddReport,
    ) -> Result<(), HotError> {
        let mut sendable = Vec::with_capacity(samples.len());
        for (offset, sample) in samples.iter().enumerate() {
            let index = first + offset;
            match Addressed::new(source, index, sample) {
                Ok(addressed) => sendable.push(addressed),
                Err(reason) => report.refused.push(RefusedSample { index, reason }),
            }
        }
        let groups = self.groups(sendable.iter().map(|addressed| addressed.redis_key.as_str())).await?;
        let together: Vec<Vec<&Addressed<'_>>> = groups
            .iter()
            .flat_map(|group| group.chunks(SAMPLES_PER_COMMAND))
            .map(|positions| positions.iter().map(|&position| &sendable[position]).collect())
            .collect();
        let commands: Vec<KeyCommand> = together.iter().map(|samples| madd(samples)).collect();
        let mut alone = Vec::new();
        for (samples, answer) in together.iter().zip(self.query_keys(&commands).await?) {
            match answer {
                Value::Array(items) if items.len() == samples.len() => {
                    for (addressed, item) in samples.iter().zip(items) {
                        self.note(addressed.index, item, report)?;
                    }
                }
                // a malformed command is refused as a whole: find out which of its samples is to blame
                Value::ServerError(error) if is_about_the_key(&error) => alone.extend(samples),
                Value::ServerError(error) => return Err(self.describe(error)),
                other => return Err(HotError::reply(format!("{} to STRATA.MADD", super::reply::shape(&other)))),
            }
        }
        self.add_alone(&alone, report).await
    }

    async fn add_alone(&self, samples: &[&Addressed<'_>], report: &mut AddReport) -> Result<(), HotError> {
        let commands: Vec<KeyCommand> = samples.iter().map(|addressed| madd(&[*addressed])).collect();
        for (addressed, answer) in samples.iter().zip(self.query_keys(&commands).await?) {
            let item = match answer {
                Value::Array(mut items) if items.len() == 1 => items.remove(0),
                other => other,
            };
            self.note(addressed.index, item, report)?;
        }
        Ok(())
    }

    fn note(&self, index: usize, answer: Value, report: &mut AddReport) -> Result<(), HotError> {
        match answer {
            Value::ServerError(error) if is_about_the_key(&error) => {
                let reason = error.details().unwrap_or(error.code()).to_owned();
                report.refused.push(RefusedSample { index, reason });
            }
            Value::ServerError(error) => return Err(self.describe(error)),
            _ => report.accepted += 1,
        }
        Ok(())
    }
}

/// A sample that can be sent, with its Redis key and its position in the caller's slice.
struct Addressed<'a> {
    index: usize,
    redis_key: String,
    sample: &'a NewSample<'a>,
}

impl<'a> Addressed<'a> {
    fn new(source: &str, index: usize, sample: &'a NewSample<'a>) -> Result<Self, String> {
        if sample.values.iter().all(|(_, value)| value.is_nan()) {
            return Err("no measure has a value".to_owned());
        }
        let name = SeriesName::new(source, sample.key).map_err(|error| error.to_string())?;
        Ok(Self { index, redis_key: name.redis_key(HashTag::None), sample })
    }
}

fn madd(samples: &[&Addressed<'_>]) -> KeyCommand {
    let mut command = redis::cmd("STRATA.MADD");
    for Addressed { redis_key, sample, .. } in samples {
        let values = || sample.values.iter().filter(|(_, value)| !value.is_nan());
        command.arg(redis_key).arg(time_arg::format(sample.time)).arg(values().count());
        for (measure, value) in values() {
            // Rust writes the shortest text that reads back as the same number
            command.arg(*measure).arg(value.to_string());
        }
    }
    KeyCommand { redis_key: samples[0].redis_key.clone(), command }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_leaves_missing_values_out() {
        let values = [("flow", 12.5), ("pressure", f64::NAN), ("temperature", 1e-7)];
        let sample = NewSample { key: "A", time: 1_500, values: &values };
        let command = madd(&[&Addressed::new("readings", 0, &sample).unwrap()]).command;
        let words: Vec<String> = command
            .args_iter()
            .map(|arg| match arg {
                redis::Arg::Simple(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
                _ => panic!("unexpected argument"),
            })
            .collect();
        assert_eq!(words, ["STRATA.MADD", "readings:A", "1.500", "2", "flow", "12.5", "temperature", "0.0000001"]);
    }

    #[test]
    fn a_sample_without_a_value_or_a_name_is_refused_here() {
        let nothing = NewSample { key: "A", time: 0, values: &[("flow", f64::NAN)] };
        assert!(Addressed::new("readings", 0, &nothing).is_err());
        let nameless = NewSample { key: "", time: 0, values: &[("flow", 1.0)] };
        assert!(Addressed::new("readings", 0, &nameless).is_err());
    }
}
