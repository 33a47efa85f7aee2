//! `strata totals`: aggregates over all series of a source, whichever servers hold them.

use std::process::ExitCode;

use bridge::hot::{MeasureTotals, TotalsEnd};
use bridge::wait::{BlockingWait, Wait};

use super::args::TotalsArgs;
use super::failure::Failure;
use super::table::Listing;
use super::{human, redis};

pub fn run(args: &TotalsArgs) -> Result<ExitCode, Failure> {
    let hot = redis::client(&args.redis)?;
    let wait = BlockingWait::new().map_err(|error| Failure::new("no event loop").detail(error.to_string()))?;
    let at = if args.newest { TotalsEnd::Newest } else { TotalsEnd::Now };
    let totals = wait.wait(
        "asking Redis for the totals of a source",
        hot.source_totals(&args.source, args.duration, at, args.measures.as_deref(), &args.agg),
    )?;
    println!(
        "{} at {} ({}): {} later than {}, up to {}",
        args.source,
        hot.address(),
        human::counted(totals.shards as u64, "shard"),
        human::counted(totals.contributing, "contributing key"),
        human::time(totals.after),
        human::time(totals.to),
    );
    if totals.measures.is_empty() {
        println!("  no series");
        return Ok(ExitCode::SUCCESS);
    }
    let names: Vec<String> = args.agg.iter().map(|aggregate| format!(">{aggregate}")).collect();
    let headers: Vec<&str> = ["measure"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let mut listing = Listing::new(&headers);
    totals.measures.iter().for_each(|measure| listing.row(cells(measure)));
    listing.print();
    Ok(ExitCode::SUCCESS)
}

/// Values in full, so that they can be compared and copied; a dash where one is not defined.
fn cells(measure: &MeasureTotals) -> Vec<String> {
    let value = |value: &Option<f64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
    [measure.measure.clone()].into_iter().chain(measure.values.iter().map(value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_not_defined_shows_a_dash() {
        let measure = MeasureTotals { measure: "flow".into(), values: vec![Some(2.0), Some(1.25), None] };
        assert_eq!(cells(&measure), ["flow", "2", "1.25", "-"]);
    }
}
