//! `strata ingest`: a CSV file into Redis.

mod columns;
mod input;
mod rejects;
mod rows;
mod times;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use bridge::hot::{HotClient, NewSample};
use bridge::wait::{BlockingWait, Wait};
use csv::ByteRecord;
use indicatif::ProgressBar;
use series::series_name::SeriesName;

use super::args::IngestArgs;
use super::failure::{Failure, SOME_REJECTED};
use super::{human, progress, redis};
use columns::Columns;
use input::Input;
use rejects::Rejects;
use rows::{Row, parse_row};

/// Runs the command. The code says whether all rows went in.
pub fn run(args: &IngestArgs) -> Result<ExitCode, Failure> {
    let started = Instant::now();
    let delimiter =
        u8::try_from(args.delimiter).map_err(|_| Failure::new("the delimiter must be one ASCII character"))?;
    let input = Input::open(&args.file, delimiter)?;
    let columns = Columns::find(&input.header, args)?;
    let source = source_name(args)?;
    let rejected = args.rejected.clone().unwrap_or_else(|| default_rejected(&args.file));
    if input::same_file(&rejected, &args.file) {
        return Err(
            Failure::new("the rejected rows would overwrite the input").hint("Name another file with --rejected.")
        );
    }
    let mut rejects = Rejects::new(rejected, &input.header, delimiter);

    let hot = redis::client(&args.redis)?;
    let wait = BlockingWait::new().map_err(|error| Failure::new("no event loop").detail(error.to_string()))?;
    // a server that is down must show before a long check of the file
    for warning in wait.wait("asking Redis for its state", hot.warnings())? {
        eprintln!("warning: {warning}");
    }

    if args.strict {
        check_all(Input::open(&args.file, delimiter)?, &columns, &mut rejects)?;
        if rejects.count() > 0 {
            return Err(refused_by_strict(rejects)?);
        }
    }
    let mut load = Load {
        hot: &hot,
        wait: &wait,
        source: &source,
        columns: &columns,
        rejects,
        batch: Vec::new(),
        accepted: 0,
        series: BTreeSet::new(),
    };
    load.all(input, args.batch as usize)?;

    let Load { accepted, series, rejects, .. } = load;
    let path = rejects.path().to_owned();
    let rejected = rejects.finish()?;
    println!(
        "{} of {} series into source {source} at {} in {}; {}",
        human::counted(accepted, "sample"),
        human::count(series.len() as u64),
        hot.address(),
        human::elapsed(started.elapsed()),
        if rejected == 0 {
            "no row rejected".to_owned()
        } else {
            format!("{} rejected, see {}", human::counted(rejected, "row"), path.display())
        },
    );
    match (rejected, args.strict) {
        (0, _) => Ok(ExitCode::SUCCESS),
        (_, false) => Ok(SOME_REJECTED.into()),
        (_, true) => Err(Failure::new("Redis refused rows of a file that had passed the check")
            .hint("The other rows are in; putting the corrected file in again does no harm.")),
    }
}

fn source_name(args: &IngestArgs) -> Result<String, Failure> {
    let name = match &args.source {
        Some(name) => name.clone(),
        None => args.file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned(),
    };
    SeriesName::new(&name, "key").map_err(|error| {
        Failure::new(format!("{name:?} cannot be the name of a source"))
            .detail(error.to_string())
            .hint("Name the source with --source.")
    })?;
    Ok(name)
}

fn default_rejected(file: &Path) -> PathBuf {
    file.with_extension("rejected.csv")
}

fn check_all(mut input: Input, columns: &Columns, rejects: &mut Rejects) -> Result<(), Failure> {
    let bar = progress::over_bytes(input.size, "checking");
    let mut record = ByteRecord::new();
    while input.next(&mut record)? {
        if let Err(reason) = parse_row(&record, columns) {
            rejects.add(input.line_of(&record), &record, &reason, &bar)?;
        }
        bar.set_position(input.position());
    }
    bar.finish_and_clear();
    Ok(())
}

fn refused_by_strict(rejects: Rejects) -> Result<Failure, Failure> {
    let path = rejects.path().display().to_string();
    let count = rejects.finish()?;
    Ok(Failure::new(format!("nothing was put in: {}", human::counted(count, "bad row")))
        .detail(format!("They are in {path}, each with its reason."))
        .hint("Correct the file, or leave out --strict to put the other rows in."))
}

/// The way of the good rows into Redis, batch by batch.
struct Load<'a> {
    hot: &'a HotClient,
    wait: &'a BlockingWait,
    source: &'a str,
    columns: &'a Columns,
    rejects: Rejects,
    /// Rows on their way, with what is needed to reject one that Redis refuses.
    batch: Vec<(ByteRecord, Row)>,
    accepted: u64,
    series: BTreeSet<String>,
}

impl Load<'_> {
    fn all(&mut self, mut input: Input, batch_rows: usize) -> Result<(), Failure> {
        let bar = progress::over_bytes(input.size, "ingesting");
        let mut record = ByteRecord::new();
        while input.next(&mut record)? {
            match parse_row(&record, self.columns) {
                Ok(row) => self.batch.push((record.clone(), row)),
                Err(reason) => self.rejects.add(input.line_of(&record), &record, &reason, &bar)?,
            }
            if self.batch.len() == batch_rows {
                self.send(&input, &bar)?;
                bar.set_position(input.position());
            }
        }
        self.send(&input, &bar)?;
        bar.finish_and_clear();
        Ok(())
    }

    fn send(&mut self, input: &Input, bar: &ProgressBar) -> Result<(), Failure> {
        let names = self.columns.measures.iter().map(|(_, name)| name.as_str());
        let values: Vec<Vec<(&str, f64)>> =
            self.batch.iter().map(|(_, row)| names.clone().zip(row.values.iter().copied()).collect()).collect();
        let samples: Vec<NewSample<'_>> = self
            .batch
            .iter()
            .zip(&values)
            .map(|((_, row), values)| NewSample { key: &row.key, time: row.time, values })
            .collect();
        let report =
            self.wait.wait("writing samples to Redis", self.hot.add_many(self.source, &samples)).map_err(|error| {
                let done = human::count(self.accepted);
                let failure = Failure::from(error);
                failure
                    .note(format!("{done} samples were in before that; putting the whole file in again does no harm"))
            })?;
        self.accepted += report.accepted as u64;
        for refused in &report.refused {
            let (record, _) = &self.batch[refused.index];
            self.rejects.add(input.line_of(record), record, &refused.reason, bar)?;
        }
        let refused: BTreeSet<usize> = report.refused.iter().map(|refused| refused.index).collect();
        for (index, (_, row)) in self.batch.drain(..).enumerate() {
            if !refused.contains(&index) && !self.series.contains(&row.key) {
                self.series.insert(row.key);
            }
        }
        Ok(())
    }
}
