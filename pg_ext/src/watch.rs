//! One measure of one series under watch: a detector and the events it makes, stored together.

use series::detect::{AnyDetector, Method, OptionError, Options, Reading};
use series::event::{Event, EventFold, EventSettings};
use series::time::Micros;

#[derive(Clone)]
pub struct Watch {
    detector: AnyDetector,
    events: EventFold,
}

/// An event to store.
pub struct Found {
    pub event: Event,
    /// False while it goes on.
    pub ended: bool,
}

impl Found {
    /// Why it was raised: the reason of the peak with its numbers, and the readings in alarm.
    pub fn explain(&self) -> serde_json::Value {
        let peak = &self.event.peak;
        let number = |value: f64| value.is_finite().then_some(value);
        serde_json::json!({
            "reason": peak.reason,
            "value": number(peak.reason_value),
            "lower": number(peak.reason_lower),
            "upper": number(peak.reason_upper),
            "readings_in_alarm": self.event.alarms,
        })
    }
}

impl Watch {
    /// A detector with the method's defaults.
    pub fn new(method: Method) -> Self {
        Self::with_options(method, &Options::new()).expect("the defaults fit the method")
    }

    /// A detector that scores every reading for itself, unless the options say otherwise: folding alarms into one event
    /// per incident is the business of the fold.
    ///
    /// # Errors
    /// When the method refuses the options.
    pub fn with_options(method: Method, options: &Options) -> Result<Self, OptionError> {
        let detector = match method {
            Method::RangeNovelty if options.get("refractory").is_none() => {
                let pairs = options.iter().chain([("refractory", "0")]);
                AnyDetector::new(method, &Options::from_pairs(pairs)?)?
            }
            _ => AnyDetector::new(method, options)?,
        };
        let events = EventFold::new(EventSettings::default()).expect("the defaults make sense");
        Ok(Self { detector, events })
    }

    /// Judges a value (NaN: missing); returns the event that ended before it.
    pub fn update(&mut self, time: Micros, value: f64) -> Option<Found> {
        self.judge(time, value).1
    }

    /// The same, with the reading.
    pub fn judge(&mut self, time: Micros, value: f64) -> (Reading, Option<Found>) {
        let reading = self.detector.update(time, value);
        let closed = self.events.update(time, value, &reading).closed;
        (reading, closed.map(|event| Found { event, ended: true }))
    }

    /// The event that goes on.
    pub fn open(&self) -> Option<Found> {
        self.events.open().map(|event| Found { event: event.clone(), ended: false })
    }

    /// Detector and events, each behind its length.
    pub fn save(&self) -> Vec<u8> {
        let detector = self.detector.save();
        let mut bytes = u32::try_from(detector.len()).expect("a state has some kilobytes").to_le_bytes().to_vec();
        bytes.extend(detector);
        bytes.extend(self.events.save());
        bytes
    }

    /// The inverse of [`Watch::save`]; `None` for what another version wrote.
    pub fn restore(bytes: &[u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (detector, events) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        Some(Self { detector: AnyDetector::restore(detector).ok()?, events: EventFold::restore(events).ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restored_watch_goes_on_the_same() {
        let mut whole = Watch::new(Method::RangeNovelty);
        for i in 0..500 {
            whole.update(i * 300_000_000, (i % 7) as f64);
        }
        let mut restored = Watch::restore(&whole.save()).expect("its own bytes");
        for i in 500..520 {
            whole.update(i * 300_000_000, 1e6);
            restored.update(i * 300_000_000, 1e6);
        }
        assert_eq!(whole.save(), restored.save());
    }

    #[test]
    fn bytes_of_another_version_are_refused() {
        assert!(Watch::restore(&[]).is_none());
        assert!(Watch::restore(&[255, 255, 255, 255, 0]).is_none());
    }
}
