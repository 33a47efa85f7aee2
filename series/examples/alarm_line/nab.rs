//! The labelled windows of the Numenta Anomaly Benchmark.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use series::time::{Day, MICROS_PER_SECOND, Micros};

pub struct File {
    pub series: Vec<(Micros, f64)>,
    pub windows: Vec<(Micros, Micros)>,
}

impl File {
    /// Rows in which the benchmark counts nothing.
    pub fn probation(&self) -> usize {
        (self.series.len() * 15 / 100).min(750)
    }
}

fn time(text: &str) -> Result<Micros> {
    let (date, clock) = text.split_once([' ', 'T']).context("a time has no clock")?;
    let clock = clock.split('.').next().unwrap_or(clock);
    let seconds = clock.split(':').try_fold(0_i64, |total, part| anyhow::Ok(total * 60 + part.parse::<i64>()?))?;
    Ok(date.parse::<Day>()?.start() + seconds * MICROS_PER_SECOND)
}

/// Every file under `root/data`, with the windows of `root/labels/combined_windows.json`.
pub fn read(root: &Path) -> Result<Vec<File>> {
    let labels = fs::read_to_string(root.join("labels/combined_windows.json"))?;
    let labels: BTreeMap<String, Vec<[String; 2]>> = serde_json::from_str(&labels)?;
    let mut files = Vec::new();
    for category in fs::read_dir(root.join("data"))? {
        let category = category?.path();
        if !category.is_dir() {
            continue;
        }
        for path in fs::read_dir(&category)? {
            let path = path?.path();
            let name = path.strip_prefix(root.join("data"))?.to_string_lossy().into_owned();
            let mut series = Vec::new();
            for line in fs::read_to_string(&path)?.lines().skip(1) {
                let (at, value) = line.split_once(',').context("a row has no value")?;
                series.push((time(at)?, value.trim().parse()?));
            }
            let windows = labels.get(&name).with_context(|| format!("{name} has no labels"))?;
            let windows = windows.iter().map(|[from, to]| Ok((time(from)?, time(to)?))).collect::<Result<_>>()?;
            files.push(File { series, windows });
        }
    }
    Ok(files)
}
