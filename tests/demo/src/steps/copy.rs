use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::Result;
use postgres::Client;

use crate::data::{Row, Source, Way};
use crate::history::timestamp;
use crate::report::{self, count};

const ROWS_PER_WRITE: usize = 5_000;

/// The middle part: plain COPY.
pub fn run(client: &mut Client, sources: &[Source]) -> Result<()> {
    for source in sources {
        report::step(&format!("COPY {} FROM STDIN", source.table), |progress| {
            let rows: Vec<&Row> = source.of_way(Way::Copy).collect();
            let statement = format!("COPY {} ({}) FROM STDIN (FORMAT csv)", source.table, source.columns().join(", "));
            let mut writer = client.copy_in(&statement)?;
            for (part, rows_of_part) in rows.chunks(ROWS_PER_WRITE).enumerate() {
                writer.write_all(as_csv(rows_of_part)?.as_bytes())?;
                progress.set((part * ROWS_PER_WRITE) as u64, rows.len() as u64);
            }
            let copied = writer.finish()?;
            Ok(format!("{} {}", count(copied), source.noun))
        })?;
    }
    Ok(())
}

/// No key of the demo holds a comma or a quote; a missing value is an empty field.
fn as_csv(rows: &[&Row]) -> Result<String> {
    let mut text = String::with_capacity(rows.len() * 80);
    for row in rows {
        write!(text, "{},{}", timestamp(row.time), row.key)?;
        for value in &row.values {
            text.push(',');
            if let Some(value) = value {
                write!(text, "{value}")?;
            }
        }
        text.push('\n');
    }
    Ok(text)
}
