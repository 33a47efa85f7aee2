use bridge::hot::{HotClient, ModuleInfo, SourceInfo};
use bridge::wait::{BlockingWait, Wait};

use crate::cli::args::RedisArgs;
use crate::cli::failure::Failure;
use crate::cli::table::Listing;
use crate::cli::{human, redis};

/// Prints what the Redis module knows.
pub fn print(args: &RedisArgs) -> Result<(), Failure> {
    let hot = redis::client(args)?;
    let wait = BlockingWait::new().map_err(|error| Failure::new("no event loop").detail(error.to_string()))?;
    let (info, sources) = wait.wait("asking Redis for its state", read(&hot))?;
    let field = |name: &str| info.fields.get(name).map_or("?", String::as_str);
    println!("Redis at {}: strata {}", hot.address(), field("version"));
    for warning in &info.warnings {
        println!("  warning: {warning}");
    }
    println!("\nhot tier");
    if sources.is_empty() {
        println!("  no samples");
        return Ok(());
    }
    let now = chrono::Utc::now().timestamp_micros();
    let mut listing =
        Listing::new(&["source", ">series", ">samples", ">pending", "oldest pending", "latest", ">memory"]);
    for (name, source) in &sources {
        listing.row(cells(name, source, now));
    }
    listing.print();
    Ok(())
}

async fn read(hot: &HotClient) -> Result<(ModuleInfo, Vec<(String, SourceInfo)>), bridge::hot::HotError> {
    let info = hot.info().await?;
    let mut sources = Vec::new();
    for name in &info.sources {
        sources.push((name.clone(), hot.info_source(name).await?));
    }
    Ok((info, sources))
}

fn cells(name: &str, source: &SourceInfo, now: i64) -> [String; 7] {
    let age = |time: i64| human::span((now - time).max(0).unsigned_abs() / 1_000_000);
    let moment = |time: Option<i64>| {
        time.map_or_else(|| "-".to_owned(), |time| format!("{} ({} ago)", human::time(time), age(time)))
    };
    [
        name.to_owned(),
        human::count(source.series),
        human::count(source.samples),
        human::count(source.pending),
        moment(source.oldest_pending),
        moment(source.last),
        human::bytes(source.bytes),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_without_pending_samples_shows_a_dash() {
        let source = SourceInfo { series: 2, samples: 1234, last: Some(60_000_000), ..SourceInfo::default() };
        let cells = cells("readings", &source, 120_000_000);
        assert_eq!(cells[2], "1 234");
        assert_eq!(cells[4], "-");
        assert_eq!(cells[5], "1970-01-01 00:01:00Z (1 min ago)");
    }
}
