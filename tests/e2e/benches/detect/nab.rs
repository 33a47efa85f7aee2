//! The files of the Numenta Anomaly Benchmark, judged by the default method.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use postgres::Client;
use strata_e2e::Database;
use strata_servers::paths;

const DETECTOR: &str = "strata";

/// The scorer looks for the best alarm line itself, so it gets the raw score.
const SQL: &str = r#"SELECT score FROM strata.detect($1::text[]::timestamptz[], $2, 'range_novelty', '{"line": 1}')"#;

pub struct Judged {
    pub files: usize,
    pub readings: usize,
    pub folder: PathBuf,
}

/// Judges each `data/nab/data/<category>/<file>.csv` and writes `target/bench/<results>/<category>/strata_<file>.csv`.
pub fn judge(database: &Database, data: &Path, results: &Path) -> Judged {
    let folder = paths::target().join("bench").join(results);
    // nothing of an earlier run may be scored
    let _ = fs::remove_dir_all(&folder);
    let mut client = database.connect();
    client.batch_execute("SET timezone = 'UTC'").expect("a setting");
    let mut judged = Judged { files: 0, readings: 0, folder: folder.clone() };
    let source = data.join("nab/data");
    for category in entries(&source) {
        for file in entries(&category).into_iter().filter(|file| file.extension().is_some_and(|e| e == "csv")) {
            let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            let target = folder.join(category.strip_prefix(&source).expect("an entry of it"));
            fs::create_dir_all(&target).expect("target/ can be written");
            let name = file.file_name().expect("a file has a name").to_string_lossy();
            judged.readings += judge_file(&mut client, &text, &target.join(format!("{DETECTOR}_{name}")));
            judged.files += 1;
        }
    }
    assert!(judged.files > 0, "no CSV file below {}", source.display());
    judged
}

/// Returns the number of readings.
fn judge_file(client: &mut Client, text: &str, target: &Path) -> usize {
    let rows: Vec<(&str, &str)> = text.lines().skip(1).filter_map(|line| line.split_once(',')).collect();
    let times: Vec<&str> = rows.iter().map(|(time, _)| *time).collect();
    let values: Vec<f64> = rows
        .iter()
        .map(|(_, value)| value.trim().parse().unwrap_or_else(|_| panic!("{value:?} is no number")))
        .collect();
    let scores =
        client.query(SQL, &[&times, &values]).unwrap_or_else(|error| panic!("{}: {error:?}", target.display()));
    assert_eq!(scores.len(), rows.len(), "{}", target.display());
    let mut csv = String::from("timestamp,value,anomaly_score\n");
    for ((time, value), row) in rows.iter().zip(&scores) {
        writeln!(csv, "{time},{},{}", value.trim(), row.get::<_, f64>(0)).expect("a text takes everything");
    }
    fs::write(target, csv).expect("target/ can be written");
    rows.len()
}

/// What a folder holds, by name.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let read = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = read.map(|entry| entry.expect("a folder that can be read").path()).collect();
    paths.sort();
    paths
}
