//! The commands of `strata`, one file or folder each, and what they share.

mod args;
mod failure;
mod human;
mod ingest;
mod progress;
mod redis;
mod status;
mod table;
mod totals;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};

/// Runs the command named on the command line.
pub fn run() -> ExitCode {
    // clap itself exits with 2 for a command line it does not understand, as documented
    let args = Args::parse();
    let result = match args.command {
        Command::Ingest(args) => ingest::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Totals(args) => totals::run(&args),
    };
    match result {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("{failure}");
            failure::FAILED.into()
        }
    }
}
