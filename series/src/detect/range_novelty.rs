//! The range-novelty bank: the default detector of one series.
//!
//! Seven cheap views ("streams") of the series; each remembers one slowly shrinking range and reports how far it has just
//! left it; small excursions are damped, large ones capped; the mean over the streams is the raw score, 0 to 0.3; within
//! an event only the first alarm, or one twice as strong, is emitted.

mod moving_mean;
mod moving_min;
mod pattern;
mod predictor;
mod range;
mod refractory;
mod seasonal;
mod views;

use refractory::Refractory;
use views::Views;

use crate::bytes::{DecodeError, put_f64s, put_varint};
use crate::detect::contract::{Admission, Admitted, Band, begin_restore, begin_save};
use crate::detect::{Detector, Method, OptionError, Options, Reading};
use crate::time::Micros;

const VERSION: u8 = 1;

/// Raw score of the default alarm line.
const DEFAULT_LINE: f64 = 0.02;

#[derive(Debug, Clone, Copy, PartialEq)]
struct Settings {
    line: f64,
    half_life: f64,
    warm: u32,
    refractory: u32,
    ratio: f64,
}

/// The detector and its state.
#[derive(Debug, Clone)]
pub struct RangeNovelty {
    settings: Settings,
    /// Fraction of a range that one sample leaves, from the half-life.
    keep: f64,
    admission: Admission,
    samples: u64,
    views: Option<Views>,
    refractory: Refractory,
}

impl RangeNovelty {
    fn new(settings: Settings) -> RangeNovelty {
        RangeNovelty {
            settings,
            keep: 0.5_f64.powf(1.0 / settings.half_life),
            admission: Admission::default(),
            samples: 0,
            views: None,
            refractory: Refractory::default(),
        }
    }

    fn band(&self, slot: usize) -> Band {
        self.views.as_ref().map_or(Band::UNKNOWN, |views| {
            let (lower, upper) = views.level_range();
            Band { expected: inverse_signed_log(views.expected(slot)), lower, upper }
        })
    }
}

/// `sign(x) ln(1 + |x|)`: changes of large values count relatively, those of small ones absolutely.
fn signed_log(x: f64) -> f64 {
    x.abs().ln_1p().copysign(x)
}

fn inverse_signed_log(lx: f64) -> f64 {
    lx.abs().exp_m1().copysign(lx)
}

impl Detector for RangeNovelty {
    const METHOD: Method = Method::RangeNovelty;

    fn from_options(options: &Options) -> Result<RangeNovelty, OptionError> {
        let mut reader = options.of(Method::RangeNovelty);
        let settings = Settings {
            line: reader.number("line", DEFAULT_LINE, 1e-6..=1.0)?,
            half_life: reader.number("half_life", 24_000.0, 10.0..=1e9)?,
            warm: reader.integer("warm", 100, 21..=1_000_000)?,
            refractory: reader.integer("refractory", 60, 0..=1_000_000)?,
            ratio: reader.number("ratio", 2.0, 1.0..=1e6)?,
        };
        reader.finish()?;
        Ok(RangeNovelty::new(settings))
    }

    fn update(&mut self, time: Micros, value: f64) -> Reading {
        let slot = seasonal::slot(time);
        let band = self.band(slot);
        let x = match self.admission.admit(value) {
            Admitted::Missing => return band.as_usual(),
            Admitted::Infinite(value) => return band.infinite(value),
            Admitted::Value(x) => x,
        };
        let lx = signed_log(x);
        let i = self.samples;
        self.samples += 1;
        let Some(views) = &mut self.views else {
            self.views = Some(Views::new(slot, x, lx));
            return band.as_usual();
        };
        let Settings { line, warm, refractory, ratio, .. } = self.settings;
        let (raw, reason) = views.judge(i, slot, x, lx, u64::from(warm), self.keep);
        let emitted = self.refractory.pass(i, raw, u64::from(refractory), ratio);
        band.reading(emitted / line, reason)
    }

    fn save(&self) -> Vec<u8> {
        let mut out = begin_save(Self::METHOD, VERSION, 6 * 1024);
        let Settings { line, half_life, warm, refractory, ratio } = self.settings;
        put_f64s(&mut out, &[line, half_life, ratio]);
        put_varint(&mut out, u64::from(warm));
        put_varint(&mut out, u64::from(refractory));
        self.admission.save(&mut out);
        put_varint(&mut out, self.samples);
        if let Some(views) = &self.views {
            self.refractory.save(&mut out);
            views.save(self.samples, &mut out);
        }
        out
    }

    fn restore(bytes: &[u8]) -> Result<RangeNovelty, DecodeError> {
        let mut reader = begin_restore(bytes, Self::METHOD, VERSION)?;
        let settings = Settings {
            line: reader.positive()?,
            half_life: reader.positive()?,
            ratio: reader.positive()?,
            warm: reader.small()?,
            refractory: reader.small()?,
        };
        let mut detector = RangeNovelty::new(settings);
        detector.admission = Admission::restore(&mut reader)?;
        detector.samples = reader.counter()?;
        if detector.samples > 0 {
            detector.refractory = Refractory::restore(detector.samples, &mut reader)?;
            detector.views = Some(Views::restore(detector.samples, &mut reader)?);
        }
        reader.finish()?;
        Ok(detector)
    }
}
