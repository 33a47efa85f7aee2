use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};
use series::aggregate::Aggregate;
use series::time::{Micros, parse_duration};

const EXIT_CODES: &str = "Exit codes:
  0  everything went well
  1  the command ran, but some rows were rejected
  2  failure: wrong arguments, unreadable input, a server that cannot be reached, or --strict with a bad row";

/// Time series in Redis, PostgreSQL and BigQuery as one data set.
#[derive(Parser)]
#[command(name = "strata", version, after_help = EXIT_CODES)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Put the readings of a CSV file into Redis, from where the flush brings them into the table
    #[command(after_help = EXIT_CODES)]
    Ingest(IngestArgs),
    /// Show what Redis and PostgreSQL hold and whether all is well
    #[command(after_help = EXIT_CODES)]
    Status(StatusArgs),
    /// Show aggregates over the last time of all series of a source, merged over all shards of a Redis cluster
    #[command(after_help = EXIT_CODES)]
    Totals(TotalsArgs),
}

#[derive(ClapArgs, Clone)]
pub struct RedisArgs {
    /// redis://[user[:password]@]host[:port][/db], rediss:// for TLS, or unix:///path
    #[arg(
        long,
        value_name = "URL",
        env = "REDIS_URL",
        hide_env_values = true,
        default_value = "redis://127.0.0.1:6379"
    )]
    pub redis_url: String,
    /// File whose first line is the password; wins over one in the URL
    #[arg(long, value_name = "FILE", env = "REDIS_PASSWORD_FILE")]
    pub redis_password_file: Option<PathBuf>,
}

#[derive(ClapArgs)]
pub struct IngestArgs {
    /// CSV file with a header line
    pub file: PathBuf,
    /// Source the readings belong to [default: the file's name without extension]
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
    /// Column that names the series [default: key, series, node_id, sensor_id, device_id, …, whichever exists]
    #[arg(long, value_name = "COLUMN")]
    pub key_column: Option<String>,
    /// Key of all rows, for a file that holds one series and no key column
    #[arg(long, value_name = "KEY", conflicts_with = "key_column")]
    pub key: Option<String>,
    /// Column that holds the time: ISO 8601 (UTC where no offset is given) or epoch seconds or milliseconds
    /// [default: time, timestamp, ts, datetime, date, whichever exists]
    #[arg(long, value_name = "COLUMN")]
    pub time_column: Option<String>,
    /// Columns to take as measures, separated by commas [default: all others]
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub measures: Option<Vec<String>>,
    /// What separates the fields
    #[arg(long, value_name = "CHARACTER", default_value = ",")]
    pub delimiter: char,
    #[command(flatten)]
    pub redis: RedisArgs,
    /// Check the whole file first; put nothing in if a row is bad
    #[arg(long)]
    pub strict: bool,
    /// Where bad rows go, with line number and reason [default: FILE.rejected.csv]
    #[arg(long, value_name = "FILE")]
    pub rejected: Option<PathBuf>,
    /// Samples per round trip
    #[arg(long, value_name = "N", default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub batch: u32,
}

#[derive(ClapArgs)]
pub struct StatusArgs {
    #[command(flatten)]
    pub redis: RedisArgs,
    /// "host=… dbname=…" or postgresql://…; what it leaves out comes from PGHOST, PGPORT, PGUSER, PGDATABASE, …
    #[arg(long, value_name = "CONNECTION")]
    pub pg: Option<String>,
}

#[derive(ClapArgs)]
pub struct TotalsArgs {
    /// Source whose series are taken together
    pub source: String,
    /// How far back, for example 90s, 15m, 1h or 1d
    #[arg(value_parser = parse_duration)]
    pub duration: Micros,
    /// Aggregates, separated by commas: avg, min, max, sum, count, stddev, first, last, rate, p50, p99, p99.9, …
    #[arg(long, value_name = "AGGREGATES", value_delimiter = ',', default_value = "count,avg,min,max")]
    pub agg: Vec<Aggregate>,
    /// Measures, separated by commas [default: all]
    #[arg(long, value_name = "MEASURES", value_delimiter = ',')]
    pub measures: Option<Vec<String>>,
    /// End the time at the newest sample instead of now
    #[arg(long)]
    pub newest: bool,
    #[command(flatten)]
    pub redis: RedisArgs,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn help_never_shows_the_redis_url_of_the_environment() {
        let help = Args::command().find_subcommand_mut("status").unwrap().render_long_help().to_string();
        assert!(help.contains("[env: REDIS_URL]"), "{help}");
    }
}
