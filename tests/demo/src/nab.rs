//! The real* folders of the Numenta Anomaly Benchmark: real measurements with labelled anomalies (MIT licence, see
//! tests/data/nab). The times are shifted, each series as a whole, so that every series ends now.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use chrono::NaiveDateTime;
use series::time::Micros;

/// A file of the corpus.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Folder and file without extension, for example `realTraffic/speed_7578`.
    pub name: String,
    /// By time, each time once: where the file has a time twice, its last value counts.
    pub samples: Vec<(Micros, f64)>,
    /// The labelled anomalies: first and last time of each window, oldest first.
    pub windows: Vec<(Micros, Micros)>,
    /// Rows of the file, repeated times included.
    pub rows_in_file: usize,
}

/// Where the repository keeps the corpus.
pub fn folder() -> PathBuf {
    strata_servers::paths::project().join("tests/data/nab")
}

/// Reads all series below `folder`, sorted by name, shifted so that the last sample of each is at `end`.
///
/// Errors: a file is missing or has a row that is not a time and a number.
pub fn load(folder: &Path, end: Micros) -> Result<Vec<Series>> {
    let labels = folder.join("labels/combined_windows.json");
    let text = fs::read_to_string(&labels).with_context(|| labels.display().to_string())?;
    let windows: BTreeMap<String, Vec<(String, String)>> =
        serde_json::from_str(&text).with_context(|| labels.display().to_string())?;
    windows
        .iter()
        .map(|(file, windows)| {
            let path = folder.join("data").join(file);
            load_one(&path, file.trim_end_matches(".csv"), windows, end).with_context(|| path.display().to_string())
        })
        .collect()
}

fn load_one(path: &Path, name: &str, windows: &[(String, String)], end: Micros) -> Result<Series> {
    let text = fs::read_to_string(path)?;
    let mut samples = BTreeMap::new();
    let mut rows_in_file = 0;
    for (number, line) in text.lines().enumerate().skip(1) {
        let row = || format!("line {}: {line:?}", number + 1);
        let (time, value) = line.split_once(',').with_context(row)?;
        samples.insert(parse_time(time).with_context(row)?, value.trim().parse::<f64>().with_context(row)?);
        rows_in_file += 1;
    }
    let (&last, _) = samples.last_key_value().context("the file has no rows")?;
    let shift = end - last;
    let windows = windows
        .iter()
        .map(|(first, last)| Ok((parse_time(first)? + shift, parse_time(last)? + shift)))
        .collect::<Result<_>>()?;
    let samples = samples.into_iter().map(|(time, value)| (time + shift, value)).collect();
    Ok(Series { name: name.to_owned(), samples, windows, rows_in_file })
}

fn parse_time(text: &str) -> Result<Micros> {
    let time = NaiveDateTime::parse_from_str(text.trim(), "%Y-%m-%d %H:%M:%S%.f")?;
    Ok(time.and_utc().timestamp_micros())
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    const END: Micros = 1_790_000_100_000_000;

    static CORPUS: LazyLock<Vec<Series>> = LazyLock::new(|| load(&folder(), END).unwrap());

    #[test]
    fn all_real_series_are_there_and_end_now() {
        assert_eq!(CORPUS.len(), 24);
        assert_eq!(CORPUS.iter().map(|series| series.rows_in_file).sum::<usize>(), 158_431);
        for series in CORPUS.iter() {
            assert_eq!(series.samples.last().unwrap().0, END, "{}", series.name);
            assert!(series.samples.is_sorted_by(|a, b| a.0 < b.0), "{}", series.name);
        }
    }

    #[test]
    fn a_repeated_time_counts_once_with_its_last_value() {
        assert_eq!(CORPUS.iter().map(|series| series.samples.len()).sum::<usize>(), 158_405);
        let series = CORPUS.iter().find(|series| series.name == "realTraffic/occupancy_t4013").unwrap();
        assert_eq!(series.rows_in_file, series.samples.len() + 1);
    }

    #[test]
    fn labels_move_with_their_series() {
        assert_eq!(CORPUS.iter().map(|series| series.windows.len()).sum::<usize>(), 57);
        for series in CORPUS.iter() {
            for (first, last) in &series.windows {
                assert!(first <= last && *last <= END);
                let known = |time: Micros| series.samples.binary_search_by_key(&time, |sample| sample.0).is_ok();
                assert!(known(*first) && known(*last), "{}", series.name);
            }
        }
    }
}
