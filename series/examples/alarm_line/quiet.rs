//! A year of readings in which nothing is wrong, every five minutes, as the sensors of a water network give them.

use std::f64::consts::TAU;

use series::time::{Day, MICROS_PER_DAY, MICROS_PER_MINUTE, Micros};

pub const STEP: Micros = 5 * MICROS_PER_MINUTE;
pub const PER_DAY: usize = (MICROS_PER_DAY / STEP) as usize;
pub const YEAR: usize = 365 * PER_DAY;
/// 2023-01-01, a Sunday.
pub const START: Micros = 19_358 * MICROS_PER_DAY;

/// SplitMix64 (Steele, Lea, Flood 2014) with normal deviates by Box and Muller: the same numbers on every machine.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x5851_f42d_4c95_7f2d))
    }

    /// In 0..1, never 0.
    pub fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11).max(1) as f64 / (1_u64 << 53) as f64
    }

    pub fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (TAU * self.uniform()).cos()
    }
}

pub fn time(i: usize) -> Micros {
    START + i as i64 * STEP
}

fn hour(i: usize) -> f64 {
    (i % PER_DAY) as f64 * 24.0 / PER_DAY as f64
}

fn season(i: usize) -> f64 {
    (TAU * (i as f64 / PER_DAY as f64 - 100.0) / 365.0).sin()
}

/// Consumption with a morning and an evening peak, later at weekends, a summer a third above the winter, and noise of which
/// the share `memory` carries on from one sample to the next.
fn consumption(noise: f64, memory: f64, random: &mut Random) -> Vec<f64> {
    let peak = |hour: f64, at: f64, width: f64| (-0.5 * ((hour - at) / width).powi(2)).exp();
    let mut carried = 0.0;
    (0..YEAR)
        .map(|i| {
            let h = hour(i);
            let shape = if Day::of(time(i)).is_weekend() {
                0.3 + 0.8 * peak(h, 9.5, 1.9) + 0.8 * peak(h, 19.0, 2.4)
            } else {
                0.3 + peak(h, 7.5, 1.4) + 0.8 * peak(h, 19.5, 2.2)
            };
            carried = memory * carried + (1.0 - memory * memory).sqrt() * random.normal();
            50.0 * shape * (1.0 + 0.15 * season(i)) * (noise * carried).exp()
        })
        .collect()
}

fn pressure(random: &mut Random) -> Vec<f64> {
    consumption(0.03, 0.0, random).into_iter().map(|flow| 5.0 - 0.02 * flow + 0.03 * random.normal()).collect()
}

/// Slow weather on top of season and hour.
fn temperature(random: &mut Random) -> Vec<f64> {
    let mut weather = 0.0;
    (0..YEAR)
        .map(|i| {
            weather = 0.999 * weather + 0.1 * random.normal();
            12.0 + 8.0 * season(i) + 3.0 * (TAU * (hour(i) / 24.0 - 0.35)).sin() + weather + 0.1 * random.normal()
        })
        .collect()
}

/// A tank that consumption empties and a pump between two marks fills.
fn tank_level(random: &mut Random) -> Vec<f64> {
    let (mut level, mut pumping) = (2.5, false);
    consumption(0.1, 0.0, random)
        .into_iter()
        .map(|flow| {
            pumping = level < 1.5 || (pumping && level <= 4.0);
            level += if pumping { 0.12 } else { 0.0 } - 0.0006 * flow;
            level + 0.01 * random.normal()
        })
        .collect()
}

/// A slow random walk that is pulled back, on a display of two decimals.
fn chlorine(random: &mut Random) -> Vec<f64> {
    let mut walk = 0.0;
    (0..YEAR)
        .map(|_| {
            walk = 0.9995 * walk + 0.002 * random.normal();
            ((0.5 + walk + 0.01 * random.normal()) * 100.0).round() / 100.0
        })
        .collect()
}

/// On weekdays from six to ten and by day in between, else standing still at exactly 0.
fn pump_flow(random: &mut Random) -> Vec<f64> {
    (0..YEAR)
        .map(|i| {
            let runs = !Day::of(time(i)).is_weekend() && (6.0..22.0).contains(&hour(i));
            if runs { 30.0 + random.normal() } else { 0.0 }
        })
        .collect()
}

fn white_noise(random: &mut Random) -> Vec<f64> {
    (0..YEAR).map(|_| 10.0 + random.normal()).collect()
}

/// Student's t with four degrees of freedom: now and then a value far out that is nobody's fault.
fn heavy_tails(random: &mut Random) -> Vec<f64> {
    (0..YEAR)
        .map(|i| {
            let chi_square: f64 = (0..4).map(|_| random.normal().powi(2)).sum();
            20.0 + 5.0 * (TAU * hour(i) / 24.0).sin() + 0.5 * random.normal() / (chi_square / 4.0).sqrt()
        })
        .collect()
}

pub type Generator = fn(&mut Random) -> Vec<f64>;

pub fn flow(random: &mut Random) -> Vec<f64> {
    consumption(0.05, 0.0, random)
}

pub fn noisy_flow(random: &mut Random) -> Vec<f64> {
    consumption(0.10, 0.0, random)
}

pub fn sluggish_flow(random: &mut Random) -> Vec<f64> {
    consumption(0.08, 0.95, random)
}

/// What a water network's sensors measure.
pub const SENSORS: [(&str, Generator); 8] = [
    ("flow, noise 5 %", flow),
    ("flow, noise 10 %", noisy_flow),
    ("flow, slow noise", sluggish_flow),
    ("pressure", pressure),
    ("temperature", temperature),
    ("tank level", tank_level),
    ("chlorine", chlorine),
    ("pump on and off", pump_flow),
];

/// Without any structure that could be learned, or with outliers by nature.
pub const NOISE: [(&str, Generator); 2] = [("white noise", white_noise), ("heavy tails", heavy_tails)];
