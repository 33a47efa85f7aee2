//! Time per row and size of the joint detector with 8 and with 43 sensors, a fifth of them on/off.
//!
//! `cargo run --release -p strata-series --example joint_speed`

use std::hint::black_box;
use std::time::Instant;

use series::detect::{JointDetector, JointSettings};
use series::time::MICROS_PER_SECOND;

const TRAINING_ROWS: usize = 2500;
const ROWS: usize = 50_000;

fn main() -> anyhow::Result<()> {
    println!("| sensors | on/off | preset | µs per row | bytes saved |");
    println!("|---|---|---|---|---|");
    for (sensors, switches) in [(8, 0), (8, 1), (43, 0), (43, 8), (43, 12)] {
        let rows = network(sensors, switches);
        let times: Vec<i64> = (0..(TRAINING_ROWS + ROWS) as i64).map(|second| second * MICROS_PER_SECOND).collect();
        for (name, settings) in [("default", JointSettings::default()), ("benchmark", JointSettings::benchmark())] {
            let (training, rest) = rows.split_at(TRAINING_ROWS * sensors);
            let trained = JointDetector::train(&times[..TRAINING_ROWS], training, sensors, &settings)?;
            let fastest = (0..5)
                .map(|_| {
                    let mut detector = trained.clone();
                    let started = Instant::now();
                    for (&time, row) in times[TRAINING_ROWS..].iter().zip(rest.chunks_exact(sensors)) {
                        black_box(detector.update(time, black_box(row)));
                    }
                    started.elapsed().as_secs_f64() / ROWS as f64 * 1e6
                })
                .fold(f64::INFINITY, f64::min);
            let bytes = trained.save().len();
            println!("| {sensors} | {switches} | {name} | {fastest:.2} | {bytes} |");
        }
    }
    Ok(())
}

/// Rows of a network whose sensors follow a common wave and the on/off sensors, with noise.
fn network(sensors: usize, switches: usize) -> Vec<f64> {
    let mut state = 7_u64;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut rows = Vec::with_capacity((TRAINING_ROWS + ROWS) * sensors);
    for i in 0..TRAINING_ROWS + ROWS {
        let wave = (i as f64 / 400.0).sin();
        for j in 0..sensors {
            let value = if j < switches {
                f64::from(u8::from((i / (40 + 7 * j)) % 2 == 0))
            } else {
                50.0 + j as f64 + 10.0 * wave + (0..6).map(|_| uniform()).sum::<f64>()
            };
            rows.push(value);
        }
    }
    rows
}
