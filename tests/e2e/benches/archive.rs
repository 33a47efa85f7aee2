//! `make bench-archive`: archiving days together against one at a time, and the Storage Read API against query pages.
//!
//! The emulator is Python on DuckDB, so this compares ways of using it and says nothing of Google's service.

#[path = "../tests/cold_support/mod.rs"]
mod cold_support;

use std::fs;
use std::time::Instant;

use bridge::archive::{ArchiveTable, DayRows, archive_days};
use bridge::cold::{ColdClient, ColdError, MergeMode, ReadRequest, TableRef, read_rows};
use bridge::table::{Cell, Column, ColumnKind, Row, TableShape};
use bridge::wait::BlockingWait;
use cold_support::*;
use series::time::Day;
use strata_servers::{BigQuery, paths};

const DAYS: i32 = 60;
const TOGETHER: i32 = 20;
const ROUNDS: usize = 5;

fn main() {
    let emulator = BigQuery::start_new().expect("the emulator starts");
    let (storage, queries) = (storage_client(&emulator), client(&emulator.endpoint()));
    let (together, table) = archive(&storage, TOGETHER);
    let (alone, _) = archive(&storage, 1);
    let by_storage = read(&storage, &table);
    let by_queries = read(&queries, &table);
    let figures = [
        Figure { figure: "archive a day of 3456 rows", unit: "ms", strata: together, peer: alone, must: 0.8 },
        Figure {
            figure: "read 207360 rows of the archive",
            unit: "s",
            strata: by_storage,
            peer: by_queries,
            must: 0.5,
        },
    ];
    report(&figures);
}

/// One line of the table; the peer is the plain way of doing the same.
struct Figure {
    figure: &'static str,
    unit: &'static str,
    strata: f64,
    peer: f64,
    must: f64,
}

fn report(figures: &[Figure]) {
    println!("{:<34} {:>4} {:>10} {:>10} {:>7} {:>6}", "figure", "unit", "strata", "plain", "ratio", "must");
    let mut lines = Vec::new();
    for Figure { figure, unit, strata, peer, must } in figures {
        let ratio = strata / peer;
        println!("{figure:<34} {unit:>4} {strata:>10.2} {peer:>10.2} {ratio:>7.2} {must:>6}");
        lines.push(serde_json::json!({
            "figure": figure, "unit": unit, "strata": strata, "peer": peer, "ratio": ratio, "must": must,
            "holds": ratio <= *must,
        }));
    }
    let folder = paths::target().join("bench");
    fs::create_dir_all(&folder).expect("target/ can be written");
    fs::write(folder.join("archive.json"), serde_json::Value::from(lines).to_string()).expect("target/ can be written");
}

/// Milliseconds a day, that many days together.
fn archive(client: &ColdClient, together: i32) -> (f64, TableRef) {
    let wait = BlockingWait::new().expect("a runtime");
    let table = new_table(client);
    let archive =
        ArchiveTable::open(&wait, client, table.clone(), shape(), "readings", &owner(), false).expect("opens");
    let started = Instant::now();
    for first in (0..DAYS).step_by(together as usize) {
        let days: Vec<(Day, Vec<Row>)> =
            (first..first + together).map(|n| Day(DAY.0 + n)).map(|day| (day, day_of_a_network(day))).collect();
        let days: Vec<DayRows> = days.iter().map(|(day, rows)| DayRows { day: *day, rows }).collect();
        archive_days(&wait, &archive, &days, MergeMode::Replace).expect("archives");
    }
    (started.elapsed().as_secs_f64() * 1e3 / f64::from(DAYS), table)
}

/// Seconds for all rows, the median of some rounds.
fn read(client: &ColdClient, table: &TableRef) -> f64 {
    let wait = BlockingWait::new().expect("a runtime");
    let shape = shape();
    let request = ReadRequest {
        table,
        shape: &shape,
        from: DAY.start(),
        to: Day(DAY.0 + DAYS).start(),
        keys: None,
        purpose: "bench",
        use_cache: false,
    };
    let mut seconds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            let read = read_rows(&wait, client, &request, |_| Ok::<(), ColdError>(())).expect("reads");
            assert_eq!(read.rows, DAYS as u64 * 3456);
            started.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    seconds[ROUNDS / 2]
}

fn shape() -> TableShape {
    let mut columns =
        vec![Column::new("timestamp", ColumnKind::Timestamp, true), Column::new("node_id", ColumnKind::Text, true)];
    for name in ["flow_rate", "pressure", "temperature", "volume", "quality_score", "level"] {
        columns.push(Column::new(name, ColumnKind::Float64, false));
    }
    TableShape::new(columns, 0, 1).unwrap()
}

/// 12 nodes every five minutes.
fn day_of_a_network(day: Day) -> Vec<Row> {
    let mut rows = Vec::new();
    for minute in (0..1440).step_by(5) {
        for node in 0..12 {
            let mut row = reading(day, minute, &format!("NODE_{node:03}"), 0.0);
            row.truncate(2);
            row.extend((0..6).map(|m| Cell::Float(((minute * 31 + node * 17 + m * 7) % 10_000) as f64 / 100.0)));
            rows.push(row);
        }
    }
    rows
}
