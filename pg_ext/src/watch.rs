//! A watched measure as the jobs and functions of the extension see it: [`series::watch`] with events ready to be stored.

use series::bytes::DecodeError;
use series::detect::{Method, OptionError, Options, Reading};
use series::event::{Event, EventSettings, sentence};
use series::time::Micros;

#[derive(Clone)]
pub struct Watch(series::watch::Watch);

/// An event to store.
pub struct Found {
    pub event: Event,
    /// False while it goes on.
    pub ended: bool,
}

impl Found {
    /// Why a detector of this method raised it: a sentence, the reason of the peak with its numbers, the readings in alarm.
    pub fn explain(&self, method: Method) -> serde_json::Value {
        let peak = &self.event.peak;
        let number = |value: f64| value.is_finite().then_some(value);
        serde_json::json!({
            "text": sentence(method, peak),
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

    /// See [`series::watch::Watch::new`].
    ///
    /// # Errors
    /// When the method refuses the options.
    pub fn with_options(method: Method, options: &Options) -> Result<Self, OptionError> {
        series::watch::Watch::new(method, options).map(Self)
    }

    /// The same with its own settings of events.
    ///
    /// # Errors
    /// When the method refuses the options, or the settings make no sense.
    pub fn with_settings(method: Method, options: &Options, events: EventSettings) -> Result<Self, String> {
        let watch = series::watch::Watch::new(method, options).map_err(|error| error.to_string())?;
        watch.with_events(events).map(Self).map_err(|error| error.to_string())
    }

    /// Judges a value (NaN: missing); returns the event that ended before it.
    pub fn update(&mut self, time: Micros, value: f64) -> Option<Found> {
        self.judge(time, value).1
    }

    /// The same, with the reading.
    pub fn judge(&mut self, time: Micros, value: f64) -> (Reading, Option<Found>) {
        let (reading, changes) = self.0.judge(time, value);
        (reading, changes.closed.map(|event| Found { event, ended: true }))
    }

    /// The event that goes on.
    pub fn open(&self) -> Option<Found> {
        self.0.events().open().map(|event| Found { event: event.clone(), ended: false })
    }

    /// See [`series::watch::Watch::save`].
    pub fn save(&self) -> Vec<u8> {
        self.0.save()
    }

    /// The inverse of [`Watch::save`]. What another version wrote gives an error.
    pub fn restore(bytes: &[u8]) -> Result<Self, DecodeError> {
        series::watch::Watch::restore(bytes).map(Self)
    }
}
