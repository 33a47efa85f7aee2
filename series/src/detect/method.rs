//! The detection methods and a detector of any of them.

use std::fmt;

use crate::bytes::DecodeError;
use crate::detect::{
    Columns, Cusum, Detector, Ewma, FlatLine, Gap, LengthError, Limits, OptionError, Options, RangeNovelty,
    RateOfChange, Reading, RobustZ, Seasonal,
};
use crate::time::Micros;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    RangeNovelty,
    RobustZ,
    Ewma,
    Cusum,
    Seasonal,
    FlatLine,
    Gap,
    RateOfChange,
    Limits,
}

impl Method {
    pub const ALL: [Method; 9] = [
        Method::RangeNovelty,
        Method::RobustZ,
        Method::Ewma,
        Method::Cusum,
        Method::Seasonal,
        Method::FlatLine,
        Method::Gap,
        Method::RateOfChange,
        Method::Limits,
    ];

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
            Method::Ewma => "ewma",
            Method::Cusum => "cusum",
            Method::Seasonal => "seasonal",
            Method::FlatLine => "flat_line",
            Method::Gap => "gap",
            Method::RateOfChange => "rate_of_change",
            Method::Limits => "limits",
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
            Method::Ewma => 6,
            Method::Cusum => 7,
            Method::Seasonal => 8,
            Method::RateOfChange => 9,
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

/// A detector whose method is chosen at run time. The default one, which most are, lies in here, so that a list of watches is
/// the memory that judging a sample needs; the others are boxed.
#[derive(Debug, Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "boxed, the default detector would be one more place in memory per sample"
)]
pub enum AnyDetector {
    RangeNovelty(RangeNovelty),
    RobustZ(Box<RobustZ>),
    Ewma(Box<Ewma>),
    Cusum(Box<Cusum>),
    Seasonal(Box<Seasonal>),
    FlatLine(Box<FlatLine>),
    Gap(Box<Gap>),
    RateOfChange(Box<RateOfChange>),
    Limits(Box<Limits>),
}

/// Evaluates an expression in which `$detector` is the detector of whatever method it is.
macro_rules! each {
    ($any:expr, $detector:ident => $result:expr) => {
        match $any {
            AnyDetector::RangeNovelty($detector) => $result,
            AnyDetector::RobustZ($detector) => $result,
            AnyDetector::Ewma($detector) => $result,
            AnyDetector::Cusum($detector) => $result,
            AnyDetector::Seasonal($detector) => $result,
            AnyDetector::FlatLine($detector) => $result,
            AnyDetector::Gap($detector) => $result,
            AnyDetector::RateOfChange($detector) => $result,
            AnyDetector::Limits($detector) => $result,
        }
    };
}

impl AnyDetector {
    pub fn new(method: Method, options: &Options) -> Result<AnyDetector, OptionError> {
        Ok(match method {
            Method::RangeNovelty => AnyDetector::RangeNovelty(RangeNovelty::from_options(options)?),
            Method::RobustZ => AnyDetector::RobustZ(Box::new(RobustZ::from_options(options)?)),
            Method::Ewma => AnyDetector::Ewma(Box::new(Ewma::from_options(options)?)),
            Method::Cusum => AnyDetector::Cusum(Box::new(Cusum::from_options(options)?)),
            Method::Seasonal => AnyDetector::Seasonal(Box::new(Seasonal::from_options(options)?)),
            Method::FlatLine => AnyDetector::FlatLine(Box::new(FlatLine::from_options(options)?)),
            Method::Gap => AnyDetector::Gap(Box::new(Gap::from_options(options)?)),
            Method::RateOfChange => AnyDetector::RateOfChange(Box::new(RateOfChange::from_options(options)?)),
            Method::Limits => AnyDetector::Limits(Box::new(Limits::from_options(options)?)),
        })
    }

    pub fn method(&self) -> Method {
        match self {
            AnyDetector::RangeNovelty(_) => Method::RangeNovelty,
            AnyDetector::RobustZ(_) => Method::RobustZ,
            AnyDetector::Ewma(_) => Method::Ewma,
            AnyDetector::Cusum(_) => Method::Cusum,
            AnyDetector::Seasonal(_) => Method::Seasonal,
            AnyDetector::FlatLine(_) => Method::FlatLine,
            AnyDetector::Gap(_) => Method::Gap,
            AnyDetector::RateOfChange(_) => Method::RateOfChange,
            AnyDetector::Limits(_) => Method::Limits,
        }
    }

    /// See [`Detector::update`].
    pub fn update(&mut self, time: Micros, value: f64) -> Reading {
        each!(self, detector => detector.update(time, value))
    }

    /// See [`Detector::update_above`].
    #[inline]
    pub fn update_above(&mut self, time: Micros, value: f64, line: f64) -> Reading {
        each!(self, detector => detector.update_above(time, value, line))
    }

    /// See [`Detector::update_all`]: as [`AnyDetector::update`] for each sample, with one look at the method for all.
    pub fn update_all(&mut self, times: &[Micros], values: &[f64], readings: Columns<'_>) -> Result<(), LengthError> {
        each!(self, detector => detector.update_all(times, values, readings))
    }

    /// See [`Detector::prefetch`].
    #[inline]
    pub fn prefetch(&self) {
        each!(self, detector => detector.prefetch());
    }

    /// Bytes that it holds besides itself.
    pub fn heap_bytes(&self) -> usize {
        match self {
            AnyDetector::RangeNovelty(bank) => bank.heap_bytes(),
            boxed => each!(boxed, detector => detector.bytes()),
        }
    }

    /// See [`Detector::warmed_up`].
    pub fn warmed_up(&self) -> bool {
        each!(self, detector => detector.warmed_up())
    }

    /// See [`Detector::save`].
    pub fn save(&self) -> Vec<u8> {
        each!(self, detector => detector.save())
    }

    /// Restores a detector of whatever method the bytes say.
    pub fn restore(bytes: &[u8]) -> Result<AnyDetector, DecodeError> {
        let tag = *bytes.first().ok_or(DecodeError::Truncated)?;
        let method = Method::ALL
            .into_iter()
            .find(|m| m.tag() == tag)
            .ok_or(DecodeError::Invalid("the state is of an unknown detection method"))?;
        Ok(match method {
            Method::RangeNovelty => AnyDetector::RangeNovelty(RangeNovelty::restore(bytes)?),
            Method::RobustZ => AnyDetector::RobustZ(Box::new(RobustZ::restore(bytes)?)),
            Method::Ewma => AnyDetector::Ewma(Box::new(Ewma::restore(bytes)?)),
            Method::Cusum => AnyDetector::Cusum(Box::new(Cusum::restore(bytes)?)),
            Method::Seasonal => AnyDetector::Seasonal(Box::new(Seasonal::restore(bytes)?)),
            Method::FlatLine => AnyDetector::FlatLine(Box::new(FlatLine::restore(bytes)?)),
            Method::Gap => AnyDetector::Gap(Box::new(Gap::restore(bytes)?)),
            Method::RateOfChange => AnyDetector::RateOfChange(Box::new(RateOfChange::restore(bytes)?)),
            Method::Limits => AnyDetector::Limits(Box::new(Limits::restore(bytes)?)),
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
            "unknown detection method \"z_score\"; there are range_novelty, robust_z, ewma, cusum, seasonal, \
             flat_line, gap, rate_of_change, limits"
        );
        assert_eq!(Method::parse("Robust-Z"), Ok(Method::RobustZ));
    }
}
