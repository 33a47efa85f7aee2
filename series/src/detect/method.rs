//! The detection methods and a detector of any of them.

use std::fmt;

use crate::bytes::DecodeError;
use crate::detect::{Detector, FlatLine, Gap, Limits, OptionError, Options, RangeNovelty, Reading, RobustZ};
use crate::time::Micros;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    RangeNovelty,
    RobustZ,
    Limits,
    FlatLine,
    Gap,
}

impl Method {
    pub const ALL: [Method; 5] = [Method::RangeNovelty, Method::RobustZ, Method::Limits, Method::FlatLine, Method::Gap];

    /// Reads a name in any case, with `_` or `-` between its words.
    pub fn parse(name: &str) -> Result<Method, OptionError> {
        let wanted = name.trim().to_ascii_lowercase().replace('-', "_");
        Method::ALL.into_iter().find(|m| m.name() == wanted).ok_or_else(|| OptionError::Method {
            name: name.chars().take(40).collect(),
            known: Method::ALL.map(Method::name).join(", "),
        })
    }

    pub fn name(self) -> &'static str {
        match self {
            Method::RangeNovelty => "range_novelty",
            Method::RobustZ => "robust_z",
            Method::Limits => "limits",
            Method::FlatLine => "flat_line",
            Method::Gap => "gap",
        }
    }

    /// The first byte of a saved state: never reused for another method.
    pub(crate) fn tag(self) -> u8 {
        match self {
            Method::RangeNovelty => 1,
            Method::RobustZ => 2,
            Method::Limits => 3,
            Method::FlatLine => 4,
            Method::Gap => 5,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Method {
    type Err = OptionError;

    fn from_str(name: &str) -> Result<Method, OptionError> {
        Method::parse(name)
    }
}

/// A detector whose method is chosen at run time.
#[derive(Debug, Clone)]
pub enum AnyDetector {
    // several kilobytes, where the others take a few hundred bytes
    RangeNovelty(Box<RangeNovelty>),
    RobustZ(RobustZ),
    Limits(Limits),
    FlatLine(FlatLine),
    Gap(Gap),
}

impl AnyDetector {
    pub fn new(method: Method, options: &Options) -> Result<AnyDetector, OptionError> {
        Ok(match method {
            Method::RangeNovelty => AnyDetector::RangeNovelty(Box::new(RangeNovelty::from_options(options)?)),
            Method::RobustZ => AnyDetector::RobustZ(RobustZ::from_options(options)?),
            Method::Limits => AnyDetector::Limits(Limits::from_options(options)?),
            Method::FlatLine => AnyDetector::FlatLine(FlatLine::from_options(options)?),
            Method::Gap => AnyDetector::Gap(Gap::from_options(options)?),
        })
    }

    pub fn method(&self) -> Method {
        match self {
            AnyDetector::RangeNovelty(_) => Method::RangeNovelty,
            AnyDetector::RobustZ(_) => Method::RobustZ,
            AnyDetector::Limits(_) => Method::Limits,
            AnyDetector::FlatLine(_) => Method::FlatLine,
            AnyDetector::Gap(_) => Method::Gap,
        }
    }

    /// See [`Detector::update`].
    pub fn update(&mut self, time: Micros, value: f64) -> Reading {
        match self {
            AnyDetector::RangeNovelty(detector) => detector.update(time, value),
            AnyDetector::RobustZ(detector) => detector.update(time, value),
            AnyDetector::Limits(detector) => detector.update(time, value),
            AnyDetector::FlatLine(detector) => detector.update(time, value),
            AnyDetector::Gap(detector) => detector.update(time, value),
        }
    }

    /// See [`Detector::save`].
    pub fn save(&self) -> Vec<u8> {
        match self {
            AnyDetector::RangeNovelty(detector) => detector.save(),
            AnyDetector::RobustZ(detector) => detector.save(),
            AnyDetector::Limits(detector) => detector.save(),
            AnyDetector::FlatLine(detector) => detector.save(),
            AnyDetector::Gap(detector) => detector.save(),
        }
    }

    /// Restores a detector of whatever method the bytes say.
    pub fn restore(bytes: &[u8]) -> Result<AnyDetector, DecodeError> {
        let tag = *bytes.first().ok_or(DecodeError::Truncated)?;
        let method = Method::ALL
            .into_iter()
            .find(|m| m.tag() == tag)
            .ok_or(DecodeError::Invalid("the state is of an unknown detection method"))?;
        Ok(match method {
            Method::RangeNovelty => AnyDetector::RangeNovelty(Box::new(RangeNovelty::restore(bytes)?)),
            Method::RobustZ => AnyDetector::RobustZ(RobustZ::restore(bytes)?),
            Method::Limits => AnyDetector::Limits(Limits::restore(bytes)?),
            Method::FlatLine => AnyDetector::FlatLine(FlatLine::restore(bytes)?),
            Method::Gap => AnyDetector::Gap(Gap::restore(bytes)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_reads_back_from_its_name_and_makes_a_detector_of_its_own() {
        for method in Method::ALL {
            assert_eq!(method.to_string().parse(), Ok(method));
            let options = match method {
                Method::Limits => Options::from_pairs([("lower", "0")]).unwrap(),
                _ => Options::new(),
            };
            let detector = AnyDetector::new(method, &options).unwrap();
            assert_eq!(detector.method(), method);
            assert_eq!(AnyDetector::restore(&detector.save()).unwrap().method(), method);
        }
    }

    #[test]
    fn an_unknown_method_is_answered_with_the_known_ones() {
        assert_eq!(
            Method::parse("z_score").unwrap_err().to_string(),
            "unknown detection method \"z_score\"; there are range_novelty, robust_z, limits, flat_line, gap"
        );
        assert_eq!(Method::parse("Robust-Z"), Ok(Method::RobustZ));
    }
}
