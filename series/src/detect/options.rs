//! Settings of a detector as a flat list of names and values.

use std::ops::RangeInclusive;

use crate::detect::Method;
use crate::time::{MICROS_PER_HOUR, Micros, parse_duration};

/// Names and values as they were given, each name once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    pairs: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum OptionError {
    #[error("unknown detection method \"{name}\"; there are {known}")]
    Method { name: String, known: String },
    #[error("unknown option \"{name}\" of {method}; it has {known}")]
    Unknown { method: &'static str, name: String, known: String },
    #[error("option \"{0}\" is given twice")]
    Twice(String),
    #[error("option \"{name}\" needs a number, not \"{value}\"")]
    Number { name: &'static str, value: String },
    #[error("option \"{name}\" needs a whole number, not \"{value}\"")]
    Integer { name: &'static str, value: String },
    #[error("option \"{name}\" needs a duration such as 5m or 30s, not \"{value}\"")]
    Duration { name: &'static str, value: String },
    #[error("option \"{name}\" needs one of {known}, not \"{value}\"")]
    Choice { name: &'static str, value: String, known: String },
    #[error("option \"{name}\" must be between {min} and {max}, not {value}")]
    Range { name: &'static str, value: String, min: f64, max: f64 },
    #[error("{0}")]
    Combination(&'static str),
}

impl Options {
    /// No options: every setting has its default.
    pub fn new() -> Options {
        Options::default()
    }

    /// Names are taken in any case; one given twice is refused.
    pub fn from_pairs<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> Result<Options, OptionError>
    where
        N: AsRef<str>,
        V: Into<String>,
    {
        let mut options = Options::new();
        for (name, value) in pairs {
            let name = name.as_ref().trim().to_ascii_lowercase();
            if options.get(&name).is_some() {
                return Err(OptionError::Twice(name));
            }
            options.pairs.push((name, value.into()));
        }
        Ok(options)
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(crate) fn of(&self, method: Method) -> OptionReader<'_> {
        OptionReader { method, options: self, known: Vec::new() }
    }
}

/// Reads the settings of one method and remembers which it has, so that an unknown name can be answered with them.
pub(crate) struct OptionReader<'a> {
    method: Method,
    options: &'a Options,
    known: Vec<&'static str>,
}

impl<'a> OptionReader<'a> {
    fn text(&mut self, name: &'static str) -> Option<&'a str> {
        self.known.push(name);
        self.options.get(name).map(str::trim)
    }

    /// A finite number within `range`, `None` if it is not given.
    pub(crate) fn optional_number(
        &mut self,
        name: &'static str,
        range: RangeInclusive<f64>,
    ) -> Result<Option<f64>, OptionError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.parse::<f64>() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            Ok(number) if !number.is_nan() => Err(out_of_range(name, text, *range.start(), *range.end())),
            _ => Err(OptionError::Number { name, value: shortened(text) }),
        }
    }

    pub(crate) fn number(
        &mut self,
        name: &'static str,
        default: f64,
        range: RangeInclusive<f64>,
    ) -> Result<f64, OptionError> {
        Ok(self.optional_number(name, range)?.unwrap_or(default))
    }

    pub(crate) fn integer(
        &mut self,
        name: &'static str,
        default: u32,
        range: RangeInclusive<u32>,
    ) -> Result<u32, OptionError> {
        let Some(text) = self.text(name) else { return Ok(default) };
        match text.parse::<i128>() {
            Ok(number) => u32::try_from(number)
                .ok()
                .filter(|n| range.contains(n))
                .ok_or_else(|| out_of_range(name, text, f64::from(*range.start()), f64::from(*range.end()))),
            Err(_) => Err(OptionError::Integer { name, value: shortened(text) }),
        }
    }

    /// A positive length of time, `None` if it is not given.
    pub(crate) fn optional_duration(&mut self, name: &'static str) -> Result<Option<Micros>, OptionError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        parse_duration(text).map(Some).map_err(|_| OptionError::Duration { name, value: shortened(text) })
    }

    /// One of `known`, in any case; the first of them if it is not given.
    pub(crate) fn choice(&mut self, name: &'static str, known: &[&'static str]) -> Result<&'static str, OptionError> {
        Ok(self.optional_choice(name, known)?.unwrap_or(known[0]))
    }

    pub(crate) fn optional_choice(
        &mut self,
        name: &'static str,
        known: &[&'static str],
    ) -> Result<Option<&'static str>, OptionError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match known.iter().find(|choice| choice.eq_ignore_ascii_case(text)) {
            Some(choice) => Ok(Some(choice)),
            None => Err(OptionError::Choice { name, value: shortened(text), known: known.join(", ") }),
        }
    }

    /// A count of samples, given as such or, where the interval between samples is known, as a length of time.
    pub(crate) fn samples(
        &mut self,
        name: &'static str,
        default: u32,
        range: RangeInclusive<u32>,
        interval: Option<Micros>,
    ) -> Result<u32, OptionError> {
        let text = self.options.get(name).map(str::trim);
        match (interval, text.map(parse_duration)) {
            (Some(interval), Some(Ok(duration))) => {
                self.known.push(name);
                let samples = (duration as f64 / interval as f64).round();
                let (min, max) = (f64::from(*range.start()), f64::from(*range.end()));
                if !(min..=max).contains(&samples) {
                    return Err(out_of_range(name, &format!("{samples} intervals"), min, max));
                }
                Ok(samples as u32)
            }
            _ => self.integer(name, default, range),
        }
    }

    /// The option `half_life`: a number of samples, 24 000 by default, or a length of time where the interval is known.
    pub(crate) fn half_life(&mut self, interval: Option<Micros>) -> Result<f64, OptionError> {
        let text = self.options.get("half_life").map(str::trim);
        match (interval, text.map(parse_duration)) {
            (Some(interval), Some(Ok(duration))) => {
                self.known.push("half_life");
                Ok((duration as f64 / interval as f64).clamp(10.0, 1e9))
            }
            _ => self.number("half_life", 24_000.0, 10.0..=1e9),
        }
    }

    /// The option `utc_offset`: local time minus UTC, given in hours.
    pub(crate) fn utc_offset(&mut self) -> Result<Micros, OptionError> {
        let hours = self.number("utc_offset", 0.0, -14.0..=14.0)?;
        Ok((hours * MICROS_PER_HOUR as f64) as Micros)
    }

    /// Refuses options that were not asked for.
    pub(crate) fn finish(self) -> Result<(), OptionError> {
        match self.options.iter().find(|(name, _)| !self.known.contains(name)) {
            None => Ok(()),
            Some((name, _)) => Err(OptionError::Unknown {
                method: self.method.name(),
                name: shortened(name),
                known: self.known.join(", "),
            }),
        }
    }
}

fn out_of_range(name: &'static str, value: &str, min: f64, max: f64) -> OptionError {
    OptionError::Range { name, value: shortened(value), min, max }
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<(f64, u32, Option<Micros>), OptionError> {
        let options = Options::from_pairs(pairs.iter().copied())?;
        let mut reader = options.of(Method::Gap);
        let values = (
            reader.number("factor", 3.0, 1.0..=100.0)?,
            reader.integer("window", 64, 8..=256)?,
            reader.optional_duration("interval")?,
        );
        reader.finish()?;
        Ok(values)
    }

    #[test]
    fn what_is_not_given_has_its_default() {
        assert_eq!(read(&[]), Ok((3.0, 64, None)));
        assert_eq!(read(&[("Factor", "2.5"), ("interval", "5m")]), Ok((2.5, 64, Some(300_000_000))));
    }

    #[test]
    fn errors_say_what_is_wrong_and_what_there_is() {
        let message = |pairs: &[(&str, &str)]| read(pairs).unwrap_err().to_string();
        assert_eq!(message(&[("widow", "9")]), "unknown option \"widow\" of gap; it has factor, window, interval");
        assert_eq!(message(&[("factor", "much")]), "option \"factor\" needs a number, not \"much\"");
        assert_eq!(message(&[("factor", "nan")]), "option \"factor\" needs a number, not \"nan\"");
        assert_eq!(message(&[("factor", "inf")]), "option \"factor\" must be between 1 and 100, not inf");
        assert_eq!(message(&[("window", "7")]), "option \"window\" must be between 8 and 256, not 7");
        assert_eq!(message(&[("window", "8.5")]), "option \"window\" needs a whole number, not \"8.5\"");
        assert_eq!(message(&[("interval", "5")]), "option \"interval\" needs a duration such as 5m or 30s, not \"5\"");
        assert_eq!(message(&[("window", "8"), ("WINDOW", "9")]), "option \"window\" is given twice");
    }

    #[test]
    fn a_choice_is_one_of_those_known() {
        let read = |value: &str| {
            let options = Options::from_pairs([("season", value)]).unwrap();
            let choice = options.of(Method::Cusum).choice("season", &["day", "none"]);
            choice.map_err(|error| error.to_string())
        };
        assert_eq!(read("None"), Ok("none"));
        assert_eq!(read("year"), Err("option \"season\" needs one of day, none, not \"year\"".to_owned()));
    }

    #[test]
    fn a_count_of_samples_may_be_a_length_of_time_if_the_interval_is_known() {
        let read = |value: &str, interval: Option<Micros>| {
            let options = Options::from_pairs([("warm", value)]).unwrap();
            options.of(Method::RangeNovelty).samples("warm", 100, 21..=1000, interval).map_err(|e| e.to_string())
        };
        let interval = Some(300_000_000);
        assert_eq!(read("8h", interval), Ok(96));
        assert_eq!(read("96", interval), Ok(96));
        assert_eq!(read("8h", None), Err("option \"warm\" needs a whole number, not \"8h\"".to_owned()));
        assert_eq!(
            read("5m", interval),
            Err("option \"warm\" must be between 21 and 1000, not 1 intervals".to_owned())
        );
    }
}
