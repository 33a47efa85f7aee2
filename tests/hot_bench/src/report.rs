//! The table on the terminal and the same figures as JSON.

use std::fs;

use anyhow::Result;
use serde_json::json;
use strata_servers::paths;

use crate::figures::Figure;
use crate::measure::{Both, Rounds};

pub struct Report {
    lines: Vec<(Figure, Both)>,
}

impl Report {
    /// A report of these figures; one that nobody adds says so.
    pub fn new(figures: &[Figure]) -> Self {
        let line = |figure: &Figure| {
            let missing = Rounds::missing("not measured");
            (*figure, Both { strata: missing.clone(), peer: missing })
        };
        Self { lines: figures.iter().map(line).collect() }
    }

    pub fn add(&mut self, figure: Figure, both: Both) {
        let line = self.lines.iter_mut().find(|(known, _)| known.name == figure.name);
        line.expect("a figure of this report").1 = both;
    }

    /// What the peer needed for a figure.
    pub fn peer(&self, figure: &Figure) -> Rounds {
        let line = self.lines.iter().find(|(known, _)| known.name == figure.name);
        line.map_or_else(|| Rounds::missing("not measured"), |(_, both)| both.peer.clone())
    }

    /// Whether all figures hold.
    pub fn holds(&self) -> bool {
        self.lines.iter().all(|(figure, both)| holds(figure, both) != Some(false))
    }

    pub fn print(&self) {
        println!(
            "{:<46} {:>4} {:>9} {:>9} {:>9} {:>9} {:>7} {:>7} {:>7}  holds",
            "figure", "unit", "strata", "min", "peer", "min", "ratio", "limit", "must"
        );
        for (figure, both) in &self.lines {
            println!(
                "{:<46} {:>4} {} {} {} {} {} {} {}  {}",
                figure.name,
                figure.unit,
                number(both.strata.median(), 9),
                number(both.strata.minimum(), 9),
                number(both.peer.median(), 9),
                number(both.peer.minimum(), 9),
                number(ratio(both), 7),
                number(figure.must_ratio(), 7),
                number(figure.must, 7),
                match holds(figure, both) {
                    None => "",
                    Some(true) => "yes",
                    Some(false) => "NO",
                }
            );
        }
        for (figure, both) in &self.lines {
            for (system, rounds) in [("Strata", &both.strata), ("RedisTimeSeries", &both.peer)] {
                if let Some(failure) = &rounds.failure {
                    println!("{}: {system}: {failure}", figure.name);
                }
            }
        }
    }

    /// Writes `target/bench/<name>.json`.
    pub fn write(&self, name: &str) -> Result<()> {
        let lines: Vec<serde_json::Value> = self.lines.iter().map(|(figure, both)| line(figure, both)).collect();
        let folder = paths::target().join("bench");
        fs::create_dir_all(&folder)?;
        Ok(fs::write(folder.join(format!("{name}.json")), serde_json::to_string_pretty(&lines)?)?)
    }
}

fn line(figure: &Figure, both: &Both) -> serde_json::Value {
    json!({
        "figure": figure.name, "unit": figure.unit,
        "strata": both.strata.median(), "peer": both.peer.median(), "ratio": ratio(both),
        "must": figure.must, "must_ratio": figure.must_ratio(), "holds": holds(figure, both),
        "strata_min": both.strata.minimum(), "peer_min": both.peer.minimum(), "rounds": both.strata.values.len(),
        "strata_failure": both.strata.failure, "peer_failure": both.peer.failure,
    })
}

fn ratio(both: &Both) -> Option<f64> {
    Some(both.strata.median()? / both.peer.median()?)
}

fn holds(figure: &Figure, both: &Both) -> Option<bool> {
    figure.holds(both.strata.median(), both.peer.median())
}

/// Three digits, and no more than fit.
fn number(value: Option<f64>, width: usize) -> String {
    match value {
        None => format!("{:>width$}", "-"),
        Some(value) if value.abs() >= 100.0 => format!("{value:>width$.0}"),
        Some(value) if value.abs() >= 10.0 => format!("{value:>width$.1}"),
        Some(value) if value.abs() >= 1.0 => format!("{value:>width$.2}"),
        Some(value) => format!("{value:>width$.3}"),
    }
}
