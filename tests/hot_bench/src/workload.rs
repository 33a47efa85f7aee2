//! What the sensors send: nodes with a flow, a pressure and a temperature, each reading every 30 seconds.

use std::f64::consts::TAU;

/// Names of the measures of a reading.
pub const MEASURES: [&str; 3] = ["flow", "pressure", "temperature"];
pub const NODES: usize = 1000;
/// Seconds between two readings of a node.
pub const STEP: i64 = 30;
pub const STEPS_PER_HOUR: usize = 120;
pub const STEPS_PER_DAY: usize = 2880;

/// The first reading, milliseconds since 1970; the start of a UTC day.
pub const START: i64 = 1_700_006_400_000;

/// One value per measure.
pub type Reading = [f64; MEASURES.len()];

/// The time of a step, milliseconds since 1970.
pub fn time_of(step: usize) -> i64 {
    START + step as i64 * STEP * 1000
}

/// How many digits the sensors send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digits {
    TwoDecimals,
    All,
}

/// Mean, daily amplitude, and the deviation of the noise, per measure.
const SHAPE: [(f64, f64, f64); MEASURES.len()] = [(24.0, 9.0, 0.3), (3.5, 0.4, 0.02), (14.0, 3.0, 0.05)];
/// Autocorrelation of the noise from one reading to the next.
const PERSISTENCE: f64 = 0.95;

/// A slow daily curve plus first-order autoregressive noise, the same in every run.
pub struct Sensors {
    noise: Vec<Reading>,
    random: Random,
    digits: Digits,
    step: usize,
}

impl Sensors {
    pub fn new(nodes: usize, digits: Digits) -> Self {
        Self { noise: vec![[0.0; MEASURES.len()]; nodes], random: Random(1), digits, step: 0 }
    }

    /// How many steps there were; the next one has this number.
    pub fn steps(&self) -> usize {
        self.step
    }

    /// The next step's number and the reading of each node.
    pub fn next_step(&mut self) -> (usize, Vec<Reading>) {
        let step = self.step;
        self.step += 1;
        let nodes = self.noise.len();
        (step, (0..nodes).map(|node| self.reading(node, step)).collect())
    }

    fn reading(&mut self, node: usize, step: usize) -> Reading {
        let phase = TAU * (step as f64 / STEPS_PER_DAY as f64 + node as f64 / self.noise.len() as f64);
        let mut reading = [0.0; MEASURES.len()];
        for (measure, (mean, amplitude, deviation)) in SHAPE.iter().enumerate() {
            let noise = PERSISTENCE * self.noise[node][measure] + deviation * self.random.normal();
            self.noise[node][measure] = noise;
            let value = mean + amplitude * phase.sin() + noise;
            reading[measure] = match self.digits {
                Digits::TwoDecimals => (value * 100.0).round() / 100.0,
                Digits::All => value,
            };
        }
        reading
    }
}

/// Deterministic pseudo-random numbers (SplitMix64, Steele, Lea & Flood 2014).
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// Standard normal (Box & Muller 1958).
    fn normal(&mut self) -> f64 {
        let uniform = |bits: u64| ((bits >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        let (a, b) = (uniform(self.next()), uniform(self.next()));
        (-2.0 * a.ln()).sqrt() * (TAU * b).cos()
    }
}
