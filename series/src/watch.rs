//! One measure of one series under watch: a detector and the events it makes, stored together. PostgreSQL and Redis keep
//! the same state, so that it can be handed from one to the other.

use crate::bytes::{DecodeError, Reader, put_varint};
use crate::detect::{AnyDetector, Method, OptionError, Options, Reading};
use crate::event::{Changes, EventFold, EventSettings, EventSettingsError};
use crate::time::Micros;

#[derive(Debug, Clone)]
pub struct Watch {
    detector: AnyDetector,
    events: EventFold,
}

impl Watch {
    /// A detector that scores every reading for itself, unless the options say otherwise: folding alarms into one event
    /// per incident is the business of the fold.
    ///
    /// # Errors
    /// When the method refuses the options.
    pub fn new(method: Method, options: &Options) -> Result<Watch, OptionError> {
        let detector = match method {
            Method::RangeNovelty if options.get("refractory").is_none() => {
                let pairs = options.iter().chain([("refractory", "0")]);
                AnyDetector::new(method, &Options::from_pairs(pairs)?)?
            }
            _ => AnyDetector::new(method, options)?,
        };
        let events =
            EventFold::new(EventSettings::of(method)).map_err(|_| OptionError::Combination("event settings"))?;
        Ok(Watch { detector, events })
    }

    /// The same detector with events of other settings, of which none is going on.
    ///
    /// # Errors
    /// When the settings make no sense.
    pub fn with_events(self, settings: EventSettings) -> Result<Watch, EventSettingsError> {
        Ok(Watch { events: EventFold::new(settings)?, ..self })
    }

    pub fn method(&self) -> Method {
        self.detector.method()
    }

    /// Asks for the memory besides itself that judging the next value needs. Where many watches take turns, each is in no cache
    /// when its turn comes; asked for ahead, its memory comes meanwhile.
    #[inline]
    pub fn prefetch(&self) {
        self.detector.prefetch();
    }

    /// Bytes that it holds besides itself.
    pub fn heap_bytes(&self) -> usize {
        self.detector.heap_bytes() + self.events.heap_bytes()
    }

    /// Judges a value (NaN: missing); says what it did to the events.
    pub fn judge(&mut self, time: Micros, value: f64) -> (Reading, Changes) {
        let reading = self.detector.update(time, value);
        let changes = self.events.update(time, value, &reading);
        (reading, changes)
    }

    /// As [`Watch::judge`], for those who want the score and the events: the expected value, which takes a detector some time,
    /// may be NaN in a reading that is in no event. Inlined, so that a reading of which nothing but the score is looked at is
    /// not moved about.
    #[inline(always)]
    pub fn score(&mut self, time: Micros, value: f64) -> (Reading, Changes) {
        let reading = self.detector.update_above(time, value, self.events.settings().close);
        let changes = self.events.update(time, value, &reading);
        (reading, changes)
    }

    /// The events; the one that goes on is in there.
    pub fn events(&self) -> &EventFold {
        &self.events
    }

    /// The detector's bytes with their length in front, then those of the events.
    pub fn save(&self) -> Vec<u8> {
        let detector = self.detector.save();
        let mut bytes = Vec::with_capacity(detector.len() + 64);
        put_varint(&mut bytes, detector.len() as u64);
        bytes.extend(detector);
        bytes.extend(self.events.save());
        bytes
    }

    /// The inverse of [`Watch::save`]. Garbage, and what another version wrote, gives an error.
    pub fn restore(bytes: &[u8]) -> Result<Watch, DecodeError> {
        let mut reader = Reader::new(bytes);
        let length = reader.count(1)?;
        let detector = AnyDetector::restore(reader.take(length)?)?;
        let events = EventFold::restore(reader.take(reader.remaining())?)?;
        Ok(Watch { detector, events })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restored_watch_goes_on_the_same() {
        let mut whole = Watch::new(Method::RangeNovelty, &Options::new()).unwrap();
        for i in 0..500 {
            whole.judge(i * 300_000_000, (i % 7) as f64);
        }
        let mut restored = Watch::restore(&whole.save()).unwrap();
        for i in 500..520 {
            assert_eq!(whole.judge(i * 300_000_000, 1e6), restored.judge(i * 300_000_000, 1e6));
        }
        assert_eq!(whole.save(), restored.save());
    }

    #[test]
    fn a_watch_of_the_default_detector_takes_three_kilobytes() {
        let watch = Watch::new(Method::RangeNovelty, &Options::new()).unwrap();
        let bytes = size_of::<Watch>() + watch.heap_bytes();
        assert!((2900..3072).contains(&bytes), "{bytes}");
    }

    #[test]
    fn bytes_of_another_version_are_refused() {
        assert!(Watch::restore(&[]).is_err());
        assert!(Watch::restore(&[3, 255, 255, 255, 0]).is_err());
    }
}
