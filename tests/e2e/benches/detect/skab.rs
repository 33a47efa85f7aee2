//! The files of the Skoltech Anomaly Benchmark, judged by the joint detector.

mod change_points;
mod recording;

use std::fs;
use std::path::{Path, PathBuf};

use postgres::Client;
use strata_e2e::Database;
use strata_servers::paths;

use crate::report::{Figure, Must};
use change_points::{CHANGE_POINT_WINDOW, ChangePoints};
use recording::{Judgement, Recording};

/// The benchmark's protocol: these rows of a file are its training, and not scored.
const TRAINING: usize = 400;
const BENCHMARK: &str = r#"{"preset": "benchmark"}"#;
const DEFAULT: &str = "{}";
/// The folder of the recordings that are usual from beginning to end.
const USUAL: &str = "anomaly-free";

const SQL: &str = "SELECT is_anomaly, is_change FROM strata.detect_joint(
        $1::text[]::timestamptz[],
        (SELECT array_agg(($2::float8[])[(i - 1) * $3 + 1 : i * $3] ORDER BY i) FROM generate_series(1, cardinality($1)) i),
        $4, $5::text::jsonb)";

/// Judges each `data/skab/<folder>/<file>.csv`, writes `target/bench/<results>/<folder>/<file>.csv`; the figures of those
/// with labels, and of those without an anomaly. None where there is no such folder.
pub fn figures(database: &Database, data: &Path, results: &Path) -> Vec<Figure> {
    let source = data.join("skab");
    if !source.is_dir() {
        println!("SKAB: no folder {}", source.display());
        return Vec::new();
    }
    let folder = paths::target().join("bench").join(results);
    // nothing of an earlier run may be scored
    let _ = fs::remove_dir_all(&folder);
    let mut client = database.connect();
    client.batch_execute("SET timezone = 'UTC'").expect("a setting");
    let recordings: Vec<Recording> = files(&source).iter().map(|path| Recording::read(path)).collect();
    assert!(!recordings.is_empty(), "no CSV file below {}", source.display());
    let mut labelled = Vec::new();
    let mut usual = Vec::new();
    for recording in &recordings {
        let benchmark = judge(&mut client, recording, BENCHMARK);
        let by_default = judge(&mut client, recording, DEFAULT);
        recording.write(&folder, &benchmark);
        let judged = (recording, benchmark, by_default);
        if recording.is_labelled() { labelled.push(judged) } else { usual.push(judged) }
    }
    let rows: usize = recordings.iter().map(Recording::rows).sum();
    println!(
        "SKAB: {} files with labels, {} without, {rows} rows judged, below {}",
        labelled.len(),
        usual.len(),
        folder.display()
    );
    let mut figures = Vec::new();
    if labelled.is_empty() {
        println!("SKAB: no file has labels: neither F1 nor change points are told");
    } else {
        let of_benchmark: Vec<_> = labelled.iter().map(|(recording, judged, _)| (*recording, judged)).collect();
        let of_default: Vec<_> = labelled.iter().map(|(recording, _, judged)| (*recording, judged)).collect();
        figures.push(plain("SKAB outlier F1, benchmark preset", "F1", f1(&of_benchmark), Must::AtLeast(0.86)));
        figures.push(plain("SKAB outlier F1, default settings", "F1", f1(&of_default), Must::AtLeast(0.80)));
        figures.extend(change_points(&of_benchmark));
    }
    for (recording, benchmark, by_default) in &usual {
        let name = recording.name();
        let (most, none) = (Must::AtMost(10.0), Must::Nothing);
        figures.push(plain(&format!("{name}, in alarm, default settings"), "%", in_alarm(by_default), most));
        figures.push(plain(&format!("{name}, in alarm, benchmark preset"), "%", in_alarm(benchmark), none));
    }
    if usual.is_empty() {
        println!("SKAB: no recording without labels in a folder {USUAL}: its share of alarms is not told");
    }
    figures
}

fn plain(figure: &str, unit: &'static str, strata: f64, must: Must) -> Figure {
    Figure { figure: figure.to_owned(), unit, strata, peer: None, must }
}

/// The detector sees times and values, and no label.
fn judge(client: &mut Client, recording: &Recording, options: &str) -> Judgement {
    let Recording { times, values, sensors, .. } = recording;
    let (sensors, training) = (*sensors as i32, TRAINING as i32);
    let rows = client
        .query(SQL, &[times, values, &sensors, &training, &options])
        .unwrap_or_else(|error| panic!("{}: {error:?}", recording.name()));
    assert_eq!(rows.len(), recording.rows(), "{}", recording.name());
    let flag = |row: &postgres::Row, column: usize| row.get::<_, Option<bool>>(column).unwrap_or(false);
    rows.iter().map(|row| (flag(row, 0), flag(row, 1))).collect()
}

/// F1 of the rows of all files together.
fn f1(judged: &[(&Recording, &Judgement)]) -> f64 {
    let (mut found, mut wrong) = (0.0, 0.0);
    for (recording, judgement) in judged {
        for (label, (alarm, _)) in recording.anomalies.iter().zip(*judgement).skip(TRAINING) {
            match (label, alarm) {
                (true, true) => found += 1.0,
                (true, false) | (false, true) => wrong += 1.0,
                (false, false) => {}
            }
        }
    }
    found / (found + wrong / 2.0)
}

fn in_alarm(judgement: &Judgement) -> f64 {
    let rows = &judgement[TRAINING..];
    100.0 * rows.iter().filter(|(alarm, _)| *alarm).count() as f64 / rows.len() as f64
}

/// Beside a timer that tells a change every 60 seconds, whatever the sensors say.
fn change_points(judged: &[(&Recording, &Judgement)]) -> [Figure; 2] {
    let (mut detector, mut timer) = (ChangePoints::default(), ChangePoints::default());
    for (recording, judgement) in judged {
        let seconds = &recording.seconds()[TRAINING..];
        let labels = &recording.change_points[TRAINING..];
        let told: Vec<bool> = judgement[TRAINING..].iter().map(|(_, change)| *change).collect();
        detector.add(seconds, labels, &told);
        timer.add(seconds, labels, &ticks(seconds));
    }
    let figure = |what: &str, unit, strata, peer, must| Figure {
        figure: format!("SKAB change points, {what} (peer: a timer every 60 s)"),
        unit,
        strata,
        peer: Some(peer),
        must,
    };
    let (one, other) = (&detector, &timer);
    [
        figure(
            "low false positives",
            "points",
            one.low_false_positives(),
            other.low_false_positives(),
            Must::AtLeast(57.0),
        ),
        figure("false positives", "number", one.false_positives as f64, other.false_positives as f64, Must::Nothing),
    ]
}

fn ticks(seconds: &[f64]) -> Vec<bool> {
    let mut last = seconds.first().copied().unwrap_or(0.0);
    seconds
        .iter()
        .map(|&now| {
            let tick = now - last >= CHANGE_POINT_WINDOW;
            if tick {
                last = now;
            }
            tick
        })
        .collect()
}

/// Every CSV file of every folder, by folder and number.
fn files(source: &Path) -> Vec<PathBuf> {
    let entries = |folder: &Path| -> Vec<PathBuf> {
        let read = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        read.map(|entry| entry.expect("a folder that can be read").path()).collect()
    };
    let folders = entries(source).into_iter().filter(|path| path.is_dir());
    let mut files: Vec<PathBuf> = folders
        .flat_map(|folder| entries(&folder))
        .filter(|file| file.extension().is_some_and(|e| e == "csv"))
        .collect();
    files.sort_by_key(|file| (file.parent().map(Path::to_owned), recording::number(file), file.clone()));
    files
}
