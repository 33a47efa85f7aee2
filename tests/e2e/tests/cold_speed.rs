//! How long the cold tier takes against the emulator: `cargo test --release -p strata-e2e --test cold_speed -- --ignored
//! --nocapture`. The emulator is Python on DuckDB, so this measures our requests and its work, not Google's service.

mod cold_support;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::time::{Duration, Instant};

use bridge::archive::{DayRows, archive_days};
use bridge::cold::{ColdError, MergeMode, ReadRequest, read_rows};
use bridge::table::{Cell, Column, ColumnKind, Row, TableShape};
use bridge::wait::{BlockingWait, Wait};
use cold_support::*;
use series::time::Day;
use strata_servers::BigQuery;

/// Notes how long each kind of wait took.
struct TimedWait {
    inner: BlockingWait,
    spent: RefCell<BTreeMap<String, (u32, Duration)>>,
}

impl TimedWait {
    fn note(&self, what: &str, started: Instant) {
        let mut spent = self.spent.borrow_mut();
        let entry = spent.entry(what.to_owned()).or_default();
        entry.0 += 1;
        entry.1 += started.elapsed();
    }

    fn print(&self, title: &str) {
        println!("{title}");
        for (what, (count, total)) in self.spent.borrow_mut().iter() {
            println!("  {what:<34} {count:>5} × {:>8.1} ms", total.as_secs_f64() * 1e3 / f64::from(*count));
        }
        self.spent.borrow_mut().clear();
    }
}

impl Wait for TimedWait {
    fn wait<F: Future>(&self, what: &str, future: F) -> F::Output {
        let started = Instant::now();
        let output = self.inner.wait(what, future);
        self.note(what, started);
        output
    }

    fn wait_cancel<F, C>(&self, what: &str, future: F, cancel: C) -> F::Output
    where
        F: Future,
        C: Future<Output = ()>,
    {
        let started = Instant::now();
        let output = self.inner.wait_cancel(what, future, cancel);
        self.note(what, started);
        output
    }
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

#[test]
#[ignore = "a measurement"]
fn speed() {
    let emulator = BigQuery::start_new().unwrap();
    let wait = TimedWait { inner: BlockingWait::new().unwrap(), spent: RefCell::default() };
    let client = match std::env::var_os("QUERIES_ONLY") {
        Some(_) => client(&emulator.endpoint()),
        None => storage_client(&emulator),
    };
    let table = new_table(&client);
    let owner = owner();
    let archive =
        bridge::archive::ArchiveTable::open(&wait, &client, table.clone(), shape(), "readings", &owner, false).unwrap();
    wait.print("opening");

    let days: u32 = std::env::var("DAYS").ok().and_then(|text| text.parse().ok()).unwrap_or(90);
    let started = Instant::now();
    let together: u32 = std::env::var("TOGETHER").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    for n in (0..days).step_by(together as usize) {
        let span: Vec<(Day, Vec<Row>)> = (n..days.min(n + together))
            .map(|n| Day(DAY.0 + n as i32))
            .map(|day| (day, day_of_a_network(day)))
            .collect();
        let span: Vec<DayRows> = span.iter().map(|(day, rows)| DayRows { day: *day, rows }).collect();
        archive_days(&wait, &archive, &span, MergeMode::Replace).unwrap();
    }
    let took = started.elapsed();
    println!(
        "{days} days of 3456 rows × 8 columns, {together} together: {:.1} ms each",
        took.as_secs_f64() * 1e3 / f64::from(days)
    );
    wait.print("archiving");

    let request = ReadRequest {
        table: &table,
        shape: archive.shape(),
        from: DAY.start(),
        to: Day(DAY.0 + days as i32).start(),
        keys: None,
        purpose: "test",
        use_cache: false,
    };
    let started = Instant::now();
    let mut rows = 0;
    let summary = read_rows(&wait, &client, &request, |batch| {
        rows += batch.len();
        Ok::<(), ColdError>(())
    })
    .unwrap();
    println!("reading {rows} rows in {} pages: {:.2} s", summary.pages, started.elapsed().as_secs_f64());
    wait.print("reading");
}
