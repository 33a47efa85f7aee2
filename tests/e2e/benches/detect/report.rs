//! Figures as a table, and as JSON for machines.

use std::fs;

use strata_servers::paths;

/// One line of the table; the peer is the plain way of doing the same.
pub struct Figure {
    pub figure: String,
    pub unit: &'static str,
    pub strata: f64,
    pub peer: Option<f64>,
    pub must: Must,
}

/// What a figure has to reach.
#[derive(Clone, Copy)]
pub enum Must {
    /// So many times the peer's at least.
    Times(f64),
    AtMost(f64),
    AtLeast(f64),
    /// Told, not judged.
    Nothing,
}

impl Figure {
    fn ratio(&self) -> Option<f64> {
        self.peer.map(|peer| self.strata / peer)
    }

    fn holds(&self) -> Option<bool> {
        match self.must {
            Must::Times(times) => Some(self.ratio().is_some_and(|ratio| ratio >= times)),
            Must::AtMost(most) => Some(self.strata <= most),
            Must::AtLeast(least) => Some(self.strata >= least),
            Must::Nothing => None,
        }
    }

    fn must(&self) -> Option<f64> {
        match self.must {
            Must::Times(number) | Must::AtMost(number) | Must::AtLeast(number) => Some(number),
            Must::Nothing => None,
        }
    }
}

/// Prints the table and writes `target/bench/<file>`.
pub fn print_and_write(file: &str, figures: &[Figure]) {
    println!(
        "{:<64} {:>7} {:>12} {:>10} {:>8} {:>8} {:>5}",
        "figure", "unit", "strata", "peer", "ratio", "must", "holds"
    );
    let number = |number: Option<f64>| number.map_or_else(String::new, short);
    for figure in figures {
        let must = match figure.must {
            Must::Times(times) => format!(">= {times}x"),
            Must::AtMost(most) => format!("<= {most}"),
            Must::AtLeast(least) => format!(">= {least}"),
            Must::Nothing => String::new(),
        };
        let holds = figure.holds().map_or("", |holds| if holds { "yes" } else { "NO" });
        println!(
            "{:<64} {:>7} {:>12} {:>10} {:>8} {must:>8} {holds:>5}",
            figure.figure,
            figure.unit,
            short(figure.strata),
            number(figure.peer),
            number(figure.ratio()),
        );
    }
    let lines: Vec<serde_json::Value> = figures
        .iter()
        .map(|figure| {
            serde_json::json!({
                "figure": figure.figure, "unit": figure.unit, "strata": figure.strata, "peer": figure.peer,
                "ratio": figure.ratio(), "must": figure.must(), "holds": figure.holds(),
            })
        })
        .collect();
    let folder = paths::target().join("bench");
    fs::create_dir_all(&folder).expect("target/ can be written");
    fs::write(folder.join(file), serde_json::Value::from(lines).to_string()).expect("target/ can be written");
}

fn short(number: f64) -> String {
    if number.fract() == 0.0 || number.abs() >= 1000.0 { format!("{number:.0}") } else { format!("{number:.3}") }
}
