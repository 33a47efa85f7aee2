//! Runs the joint detector over the files of the Skoltech Anomaly Benchmark, each with its first 400 rows as training.
//!
//! `cargo run --release -p strata-series --example joint_skab -- DATA OUT [PRESET] [SETTING=VALUE …]`
//!
//! DATA holds the folders valve1, valve2, other and anomaly-free. OUT gets a file of the same name per file, with the
//! columns datetime, outlier, changepoint, score, change_score. Prints the F1 of the rows of all files together, its spread
//! over resampled files, and the share of the anomaly-free recording in alarm, by the length of its training and where it
//! begins.

mod figures;
mod files;

use std::path::Path;

use anyhow::{Context, bail};
use series::detect::JointSettings;

use figures::{Counts, resampled_f1};
use files::Recording;

const TRAINING_ROWS: usize = 400;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [data, out, rest @ ..] = arguments.as_slice() else {
        bail!("usage: joint_skab DATA OUT [PRESET] [SETTING=VALUE …]");
    };
    let (data, out) = (Path::new(data), Path::new(out));
    let settings = settings(rest)?;

    let mut counts = Vec::new();
    for recording in Recording::labelled_in(data)? {
        let readings = recording.readings(TRAINING_ROWS, &settings)?;
        recording.write(out, &readings)?;
        let labelled = recording.labels.iter().zip(&readings).skip(TRAINING_ROWS);
        counts.push(labelled.map(|(&label, reading)| Counts::of(label, reading.is_anomaly)).sum());
    }
    let total: Counts = counts.iter().copied().sum();
    let (spread, low, high) = resampled_f1(&counts);
    println!(
        "{} files: F1 {:.3} (resampled: sd {spread:.3}, 5 % {low:.3}, 95 % {high:.3}), \
         false alarms {:.1} % of usual rows, missed {:.1} % of anomalous rows",
        counts.len(),
        total.f1(),
        100.0 * total.false_alarm_rate(),
        100.0 * total.missed_rate(),
    );

    let usual = Recording::read(&data.join("anomaly-free/anomaly-free.csv"))?;
    usual.write(out, &usual.readings(TRAINING_ROWS, &settings)?)?;
    for training in [TRAINING_ROWS, 1000, 2000] {
        let mut shares = Vec::new();
        for start in (0..usual.rows() / 2).step_by(500) {
            let readings = usual.from(start).readings(training, &settings)?;
            let alarms = readings[training..].iter().filter(|reading| reading.is_anomaly).count();
            shares.push(100.0 * alarms as f64 / (readings.len() - training) as f64);
        }
        let first = shares[0];
        shares.sort_unstable_by(f64::total_cmp);
        let (median, worst) = (shares[shares.len() / 2], shares[shares.len() - 1]);
        println!(
            "anomaly-free, {training} rows of training: {first:.1} % of the rows after them in alarm; \
             begun at {} places of its first half: median {median:.1} %, worst {worst:.1} %",
            shares.len(),
        );
    }
    Ok(())
}

fn settings(arguments: &[String]) -> anyhow::Result<JointSettings> {
    let (mut settings, assignments) = match arguments {
        [preset, rest @ ..] if !preset.contains('=') => (JointSettings::preset(preset)?, rest),
        rest => (JointSettings::default(), rest),
    };
    for assignment in assignments {
        let (name, value) = assignment.split_once('=').context("a setting is NAME=VALUE")?;
        settings.set(name, value.parse()?)?;
    }
    Ok(settings)
}
