//! The figures behind the detectors' default alarm lines.
//!
//!     cargo run --release -p strata-series --example alarm_line [NAB_DIRECTORY [METHOD]]
//!
//! Samples in alarm in quiet years, faults noticed, and labelled windows of the Numenta Anomaly Benchmark found, by alarm line.

mod faults;
mod nab;
mod quiet;

use std::path::Path;

use anyhow::Result;
use faults::FAULTS;
use quiet::{NOISE, PER_DAY, Random, SENSORS, time};
use series::detect::{AnyDetector, Method, Options};
use series::time::{MICROS_PER_DAY, Micros};

const YEARS: u64 = 5;
const TRIALS: u64 = 20;
const LEARNED: usize = 90 * PER_DAY;
/// A fault counts as noticed up to eight hours after its end.
const AFTERMATH: usize = PER_DAY / 3;

struct Candidate {
    method: Method,
    options: &'static [(&'static str, &'static str)],
    lines: &'static [f64],
}

const CANDIDATES: [Candidate; 14] = [
    Candidate {
        method: Method::RangeNovelty,
        options: &[],
        lines: &[0.004, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.06],
    },
    Candidate { method: Method::RobustZ, options: &[], lines: &[3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0] },
    Candidate { method: Method::RobustZ, options: &[("window", "96")], lines: &[3.5, 5.0, 6.0, 8.0, 12.0] },
    Candidate { method: Method::Ewma, options: &[("line", "3")], lines: &[1.0] },
    Candidate { method: Method::Ewma, options: &[("line", "4")], lines: &[1.0] },
    Candidate { method: Method::Ewma, options: &[("line", "5")], lines: &[1.0] },
    Candidate { method: Method::Ewma, options: &[("line", "6")], lines: &[1.0] },
    Candidate { method: Method::Seasonal, options: &[], lines: &[4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0] },
    Candidate { method: Method::Cusum, options: &[], lines: &[1.0] },
    Candidate { method: Method::Cusum, options: &[("line", "40")], lines: &[1.0] },
    Candidate { method: Method::Cusum, options: &[("season", "none")], lines: &[1.0] },
    Candidate { method: Method::RateOfChange, options: &[], lines: &[1.0] },
    Candidate { method: Method::RateOfChange, options: &[("ratio", "2")], lines: &[1.0] },
    Candidate { method: Method::FlatLine, options: &[], lines: &[1.0] },
];

/// Scores in the unit in which the candidate's lines are given: the raw unit of the method where a line does not change what
/// is learned, else the score.
fn scores(candidate: &Candidate, series: impl IntoIterator<Item = (Micros, f64)>) -> Vec<f64> {
    let mut pairs = candidate.options.to_vec();
    if matches!(candidate.method, Method::RangeNovelty | Method::RobustZ | Method::Seasonal) {
        pairs.push(("line", "1"));
    }
    let options = Options::from_pairs(pairs).expect("the options are written above");
    let mut detector = AnyDetector::new(candidate.method, &options).expect("the options are written above");
    series.into_iter().map(|(time, value)| detector.update(time, value).score).collect()
}

fn timed(values: &[f64]) -> impl Iterator<Item = (Micros, f64)> + '_ {
    values.iter().enumerate().map(|(i, &value)| (time(i), value))
}

fn row(name: &str, cells: impl IntoIterator<Item = String>) {
    print!("{name:30}");
    cells.into_iter().for_each(|cell| print!("{cell:>12}"));
    println!();
}

fn quiet_years(candidate: &Candidate) {
    println!("samples in alarm in a quiet year (mean of {YEARS}) / of them after the first 30 days");
    for (name, generator) in SENSORS.iter().chain(&NOISE) {
        let mut counts = vec![(0, 0); candidate.lines.len()];
        for seed in 0..YEARS {
            let scores = scores(candidate, timed(&generator(&mut Random::new(seed))));
            for (count, line) in counts.iter_mut().zip(candidate.lines) {
                count.0 += scores.iter().filter(|s| *s >= line).count();
                count.1 += scores[30 * PER_DAY..].iter().filter(|s| *s >= line).count();
            }
        }
        let mean = |count: usize| count as f64 / YEARS as f64;
        row(name, counts.iter().map(|&(all, late)| format!("{:.1}/{:.1}", mean(all), mean(late))));
    }
}

fn faults_noticed(candidate: &Candidate) {
    for (sensor, generator) in &SENSORS[..4] {
        println!("faults noticed, of {TRIALS}, {sensor}");
        for fault in &FAULTS {
            let mut noticed = vec![0; candidate.lines.len()];
            for seed in 0..TRIALS {
                let mut random = Random::new(1000 + seed);
                let mut values = generator(&mut random);
                values.truncate(LEARNED + 40 * PER_DAY);
                let start = LEARNED + (random.uniform() * 30.0 * PER_DAY as f64) as usize;
                let end = start + fault.samples + AFTERMATH;
                let with = scores(candidate, timed(&fault.lay_over(&values, start, &mut random)));
                let without = scores(candidate, timed(&values));
                for (count, &line) in noticed.iter_mut().zip(candidate.lines) {
                    // what would have been an alarm anyway does not count
                    *count += usize::from((start..end).any(|i| with[i] >= line && without[i] < line));
                }
            }
            row(&format!("  {}", fault.name), noticed.iter().map(|count| count.to_string()));
        }
    }
}

fn benchmark_windows(candidate: &Candidate, files: &[nab::File]) {
    let mut found = vec![0; candidate.lines.len()];
    let mut outside = vec![0; candidate.lines.len()];
    let (mut windows, mut days) = (0, 0.0);
    for file in files {
        let scores = scores(candidate, file.series.iter().copied());
        let within = |i: usize, window: &(Micros, Micros)| (window.0..=window.1).contains(&file.series[i].0);
        windows += file.windows.len();
        if let (Some(first), Some(last)) = (file.series.first(), file.series.last()) {
            days += (last.0 - first.0) as f64 / MICROS_PER_DAY as f64;
        }
        for (at, &line) in candidate.lines.iter().enumerate() {
            let alarms: Vec<usize> = (0..scores.len()).filter(|&i| scores[i] >= line).collect();
            found[at] += file.windows.iter().filter(|w| alarms.iter().any(|&i| within(i, w))).count();
            outside[at] +=
                alarms.iter().filter(|&&i| i >= file.probation() && !file.windows.iter().any(|w| within(i, w))).count();
        }
    }
    println!("benchmark: windows found, of {windows} / samples in alarm outside per 30 days");
    let cells = found.iter().zip(&outside).map(|(f, o)| format!("{f}/{:.2}", *o as f64 * 30.0 / days));
    row("", cells);
}

fn main() -> Result<()> {
    let files = std::env::args().nth(1).map(|root| nab::read(Path::new(&root))).transpose()?;
    let only = std::env::args().nth(2);
    for candidate in CANDIDATES.iter().filter(|c| only.as_deref().is_none_or(|method| method == c.method.name())) {
        println!("\n{} {:?}", candidate.method, candidate.options);
        row("alarm line", candidate.lines.iter().map(f64::to_string));
        quiet_years(candidate);
        faults_noticed(candidate);
        if let Some(files) = &files {
            benchmark_windows(candidate, files);
        }
    }
    Ok(())
}
