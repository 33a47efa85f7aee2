//! What a sample costs each detector, and how large its saved state gets.
//!
//!     cargo run --release -p strata-series --example detector_speed
//!
//! Half a year of a synthetic flow every five minutes with noise, one core, the fastest of a hundred runs. `update` is one
//! call per sample through `AnyDetector`, `update_all` the whole slice at once.

use std::f64::consts::TAU;
use std::hint::black_box;
use std::time::Instant;

use anyhow::Result;
use series::detect::{AnyDetector, Columns, Method, Options};
use series::time::{MICROS_PER_MINUTE, Micros};

const SAMPLES: usize = 50_000;
const RUNS: usize = 100;
const STEP: Micros = 5 * MICROS_PER_MINUTE;

const SUBJECTS: [(Method, &[(&str, &str)]); 11] = [
    (Method::RangeNovelty, &[]),
    (Method::RangeNovelty, &[("interval", "5m")]),
    (Method::RobustZ, &[]),
    (Method::Ewma, &[]),
    (Method::Cusum, &[]),
    (Method::Cusum, &[("season", "none")]),
    (Method::Seasonal, &[]),
    (Method::FlatLine, &[]),
    (Method::Gap, &[]),
    (Method::RateOfChange, &[]),
    (Method::Limits, &[("preset", "flow_rate")]),
];

fn flow(i: usize) -> f64 {
    let noise = ((i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f64 / (1_u64 << 24) as f64;
    50.0 + 20.0 * (i as f64 / 288.0 * TAU).sin() + 5.0 * noise
}

/// Nanoseconds per sample, the least of all runs.
fn fastest(mut run: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut least = f64::INFINITY;
    for _ in 0..RUNS {
        let start = Instant::now();
        run()?;
        least = least.min(start.elapsed().as_secs_f64());
    }
    Ok(least * 1e9 / SAMPLES as f64)
}

fn main() -> Result<()> {
    let times: Vec<Micros> = (0..SAMPLES as i64).map(|i| i * STEP).collect();
    let values: Vec<f64> = (0..SAMPLES).map(flow).collect();
    let [mut score, mut expected, mut lower, mut upper] = std::array::from_fn(|_| vec![0.0; SAMPLES]);
    println!("{:42}{:>12}{:>15}{:>14}", "method", "update, ns", "update_all, ns", "state, bytes");
    for (method, pairs) in SUBJECTS {
        let fresh = AnyDetector::new(method, &Options::from_pairs(pairs.iter().copied())?)?;
        let update = fastest(|| {
            let mut detector = fresh.clone();
            for (&time, &value) in times.iter().zip(&values) {
                black_box(detector.update(time, value));
            }
            Ok(())
        })?;
        let mut learned = fresh.clone();
        let update_all = fastest(|| {
            learned = fresh.clone();
            let columns = Columns { score: &mut score, expected: &mut expected, lower: &mut lower, upper: &mut upper };
            Ok(learned.update_all(&times, &values, columns)?)
        })?;
        let name = format!("{method} {}", pairs.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join(" "));
        println!("{name:42}{update:>12.1}{update_all:>15.1}{:>14}", learned.save().len());
    }
    Ok(())
}
