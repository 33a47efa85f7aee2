//! `make bench-hot`: one table, both systems in the same run; also as `target/bench/hot.json`.
//!
//! `STRATA_BENCH_ROUNDS` sets the number of rounds, 5 unless told otherwise.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use strata_hot_bench::figures;
use strata_hot_bench::phases::{day, full_double, online_score, raw, replica};
use strata_hot_bench::report::Report;

type Phase = fn(usize, &mut Report) -> Result<()>;

const PHASES: [(&str, Phase); 5] = [
    ("a day with rollups", day::run),
    ("10 million raw values", raw::run),
    ("full doubles", |_, report| full_double::run(report)),
    ("a replica", replica::run),
    ("the online score", online_score::run),
];

fn main() -> Result<ExitCode> {
    let rounds = match std::env::var("STRATA_BENCH_ROUNDS") {
        Err(_) => 5,
        Ok(text) => text.parse().with_context(|| format!("STRATA_BENCH_ROUNDS is {text:?}"))?,
    };
    ensure!((1..=10).contains(&rounds), "STRATA_BENCH_ROUNDS must be 1 to 10");
    let mut report = Report::new(&figures::ALL);
    let mut complete = true;
    for (name, phase) in PHASES {
        let started = Instant::now();
        if let Err(error) = phase(rounds, &mut report) {
            complete = false;
            eprintln!("{name}: {error:#}");
        }
        eprintln!("{name}: {:.0} s", started.elapsed().as_secs_f64());
    }
    report.print();
    report.write("hot")?;
    Ok(if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
