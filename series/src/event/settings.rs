//! When an event opens and closes, and how severe it is.

use std::fmt;
use std::str::FromStr;

use crate::detect::Method;
use crate::time::{MICROS_PER_HOUR, Micros};

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EventSettings {
    /// An event ends when no reading has kept it open for longer than this.
    pub hold: Micros,
    /// Score that keeps an open event open; at most 1, the score that opens one.
    pub close: f64,
    /// Peak scores from which on an event is a warning and critical; below `warning` it is information.
    pub warning: f64,
    pub critical: f64,
}

impl Default for EventSettings {
    /// Six hours of hold: longer than the five hours (at five minutes a sample) in which the default detector reports the
    /// same incident once. Closing at half the alarm line; a warning from 1.5 and critical from 3 times the line.
    fn default() -> Self {
        EventSettings { hold: 6 * MICROS_PER_HOUR, close: 0.5, warning: 1.5, critical: 3.0 }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventSettingsError {
    #[error("the hold of an event must not be negative")]
    Hold,
    #[error("the closing line of an event must be above 0 and at most 1")]
    Close,
    #[error("the score of a warning must be at least 1 and that of a critical event no lower")]
    Severity,
}

impl EventSettings {
    /// The defaults of a method. A value that may never be is critical, however little it is beyond its limit; a sensor that
    /// is stuck or silent tells nothing of what it is there for, which is a warning at least.
    pub fn of(method: Method) -> Self {
        let usual = EventSettings::default();
        match method {
            Method::Limits => EventSettings { warning: 1.0, critical: 1.0, ..usual },
            Method::FlatLine | Method::Gap => EventSettings { warning: 1.0, ..usual },
            _ => usual,
        }
    }

    /// # Errors
    /// When the settings make no sense.
    pub fn check(&self) -> Result<(), EventSettingsError> {
        if self.hold < 0 {
            return Err(EventSettingsError::Hold);
        }
        if !(self.close > 0.0 && self.close <= 1.0) {
            return Err(EventSettingsError::Close);
        }
        if !(self.warning >= 1.0 && self.critical >= self.warning && self.critical.is_finite()) {
            return Err(EventSettingsError::Severity);
        }
        Ok(())
    }

    /// Of an event with this peak score.
    pub fn severity(&self, peak_score: f64) -> Severity {
        if peak_score >= self.critical {
            Severity::Critical
        } else if peak_score >= self.warning {
            Severity::Warning
        } else {
            Severity::Info
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    Info,
    Warning,
    Critical,
}

impl Severity {
    pub fn name(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a severity: info, warning or critical")]
pub struct SeverityError(String);

impl FromStr for Severity {
    type Err = SeverityError;

    fn from_str(text: &str) -> Result<Severity, SeverityError> {
        [Severity::Info, Severity::Warning, Severity::Critical]
            .into_iter()
            .find(|severity| severity.name().eq_ignore_ascii_case(text))
            .ok_or_else(|| SeverityError(text.chars().take(40).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        let usual = EventSettings::default();
        for settings in [
            EventSettings { hold: -1, ..usual },
            EventSettings { close: 0.0, ..usual },
            EventSettings { close: 1.1, ..usual },
            EventSettings { warning: 0.5, ..usual },
            EventSettings { critical: 1.2, ..usual },
            EventSettings { critical: f64::NAN, ..usual },
        ] {
            assert!(settings.check().is_err(), "{settings:?}");
        }
    }

    #[test]
    fn what_breaks_a_hard_limit_is_critical_and_a_stuck_sensor_at_least_a_warning() {
        let least = |method| EventSettings::of(method).severity(1.0);
        assert_eq!(least(Method::Limits), Severity::Critical);
        assert_eq!(least(Method::FlatLine), Severity::Warning);
        assert_eq!(least(Method::Gap), Severity::Warning);
        assert_eq!(least(Method::RangeNovelty), Severity::Info);
        assert!(Method::ALL.into_iter().all(|method| EventSettings::of(method).check().is_ok()));
    }

    #[test]
    fn severities_read_and_print_the_same() {
        for severity in [Severity::Info, Severity::Warning, Severity::Critical] {
            assert_eq!(severity.to_string().parse(), Ok(severity));
        }
        assert!("bad".parse::<Severity>().is_err());
    }
}
