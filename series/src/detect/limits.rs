//! Hard limits: what a value may never be, such as a flow below 0 or a pressure above 50.

use crate::bytes::{DecodeError, put_f64};
use crate::detect::contract::{Admission, Admitted, Band, begin_restore, begin_save};
use crate::detect::{Detector, Method, OptionError, Options, Reading, Reason};
use crate::time::Micros;

const VERSION: u8 = 1;

/// Names of limits and the limits: what operators of water networks take for invalid readings.
const PRESETS: [(&str, f64, f64); 2] = [("flow_rate", 0.0, 10_000.0), ("pressure", 0.0, 50.0)];

/// Options: `lower`, `upper`, in the unit of the series, or `preset` (`flow_rate`: 0 to 10 000, in l/s; `pressure`: 0 to 50,
/// in bar), of which a given `lower` or `upper` replaces an end; at least one of the three. A value on a limit is allowed. Within the limits the score is 0; beyond
/// one it is 1 plus the excess in units of the distance between the limits (of the limit's own magnitude, at least 1, if
/// there is only one). It learns nothing, so it judges from the first sample.
#[derive(Debug, Clone)]
pub struct Limits {
    lower: Option<f64>,
    upper: Option<f64>,
}

impl Limits {
    fn unit(&self) -> f64 {
        match (self.lower, self.upper) {
            (Some(lower), Some(upper)) => upper - lower,
            (Some(limit), None) | (None, Some(limit)) => limit.abs().max(1.0),
            (None, None) => 1.0,
        }
    }
}

impl Detector for Limits {
    const METHOD: Method = Method::Limits;

    fn from_options(options: &Options) -> Result<Limits, OptionError> {
        let mut reader = options.of(Method::Limits);
        let preset = reader.optional_choice("preset", &PRESETS.map(|(name, _, _)| name))?;
        let preset = PRESETS.into_iter().find(|(name, _, _)| Some(*name) == preset);
        let lower = reader.optional_number("lower", -1e150..=1e150)?.or(preset.map(|(_, lower, _)| lower));
        let upper = reader.optional_number("upper", -1e150..=1e150)?.or(preset.map(|(_, _, upper)| upper));
        reader.finish()?;
        match (lower, upper) {
            (None, None) => Err(OptionError::Combination("limits needs the option \"lower\", \"upper\" or \"preset\"")),
            (Some(lower), Some(upper)) if lower >= upper => {
                Err(OptionError::Combination("the option \"lower\" of limits must be below \"upper\""))
            }
            _ => Ok(Limits { lower, upper }),
        }
    }

    fn update(&mut self, _time: Micros, value: f64) -> Reading {
        let (lower, upper) = (self.lower.unwrap_or(f64::NAN), self.upper.unwrap_or(f64::NAN));
        let band = Band { expected: f64::NAN, lower, upper };
        // a limit has no history in which float noise could matter
        let x = match Admission::default().admit(value) {
            Admitted::Missing => return band.as_usual(),
            Admitted::Infinite(value) => return band.infinite(value),
            Admitted::Value(x) => x,
        };
        let (code, excess) = if x < lower {
            ("below_limit", lower - x)
        } else if x > upper {
            ("above_limit", x - upper)
        } else {
            return band.as_usual();
        };
        band.reading(1.0 + excess / self.unit(), Reason::new(code, x, lower, upper))
    }

    fn warmed_up(&self) -> bool {
        true
    }

    fn save(&self) -> Vec<u8> {
        let mut out = begin_save(Self::METHOD, VERSION, 18);
        for limit in [self.lower, self.upper] {
            out.push(u8::from(limit.is_some()));
            put_f64(&mut out, limit.unwrap_or(0.0));
        }
        out
    }

    fn restore(bytes: &[u8]) -> Result<Limits, DecodeError> {
        let mut reader = begin_restore(bytes, Self::METHOD, VERSION)?;
        let mut limit = || -> Result<Option<f64>, DecodeError> {
            let (given, value) = (reader.bool()?, reader.finite()?);
            Ok(given.then_some(value))
        };
        let limits = Limits { lower: limit()?, upper: limit()? };
        reader.finish()?;
        if limits.unit() > 0.0 { Ok(limits) } else { Err(DecodeError::Invalid("the limits are not in order")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(pairs: &[(&str, &str)]) -> Result<Limits, OptionError> {
        Limits::from_options(&Options::from_pairs(pairs.iter().copied()).unwrap())
    }

    #[test]
    fn a_value_beyond_a_limit_is_an_anomaly_and_one_on_it_is_not() {
        let mut flow = limits(&[("lower", "0"), ("upper", "10000")]).unwrap();
        assert_eq!(flow.update(0, 0.0).score, 0.0);
        assert_eq!(flow.update(0, 10_000.0).score, 0.0);
        let below = flow.update(0, -5_000.0);
        assert_eq!((below.score, below.is_anomaly, below.reason.unwrap().code), (1.5, true, "below_limit"));
        assert_eq!(flow.update(0, 10_000.1).reason.unwrap().code, "above_limit");
    }

    #[test]
    fn one_limit_is_enough() {
        let mut limits = limits(&[("upper", "50")]).unwrap();
        assert_eq!(limits.update(0, -1e9).score, 0.0);
        assert_eq!(limits.update(0, 100.0).score, 2.0);
    }

    #[test]
    fn a_preset_has_the_limits_of_operators_and_yields_to_given_ones() {
        let mut flow = limits(&[("preset", "flow_rate")]).unwrap();
        assert_eq!([-0.1, 0.0, 10_000.0, 10_000.1].map(|x| flow.update(0, x).is_anomaly), [true, false, false, true]);
        let mut pressure = limits(&[("preset", "pressure"), ("upper", "16")]).unwrap();
        assert_eq!([-0.1, 0.0, 16.0, 16.1].map(|x| pressure.update(0, x).is_anomaly), [true, false, false, true]);
        assert!(limits(&[("preset", "voltage")]).is_err());
    }

    #[test]
    fn limits_that_make_no_sense_are_refused() {
        assert!(limits(&[]).is_err());
        assert!(limits(&[("lower", "5"), ("upper", "5")]).is_err());
        assert!(limits(&[("lower", "nan")]).is_err());
    }
}
