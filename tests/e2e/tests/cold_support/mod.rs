//! What the tests of the cold tier share: a client of the emulator, a table of every kind of column, its rows.
#![allow(dead_code, reason = "each test program uses a part")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bridge::archive::ArchiveTable;
use bridge::cold::{
    ColdClient, ColdConfig, ColdError, Credentials, OwnerId, ReadRequest, RetryPolicy, TableRef, read_rows,
};
use bridge::table::{Cell, Column, ColumnKind, Row, TableShape};
use bridge::wait::BlockingWait;
use series::time::{Day, MICROS_PER_MINUTE};

/// 2026-01-31.
pub const DAY: Day = Day(20_484);

pub fn client(endpoint: &str) -> ColdClient {
    ColdClient::new(config(endpoint)).unwrap()
}

/// A client that reads through the Storage Read API where it can.
pub fn storage_client(emulator: &strata_servers::BigQuery) -> ColdClient {
    let mut config = config(&emulator.endpoint());
    config.storage_endpoint = Some(emulator.grpc_endpoint());
    ColdClient::new(config).unwrap()
}

/// No credentials, and short patience.
pub fn config(endpoint: &str) -> ColdConfig {
    let mut config = ColdConfig::new(strata_servers::PROJECT);
    config.endpoint = Some(endpoint.to_owned());
    config.credentials = Credentials::None;
    config.max_bytes_billed = 123_456_789;
    config.job_timeout = Duration::from_secs(60);
    config.retry = RetryPolicy { total: Duration::from_secs(20), ..RetryPolicy::default() };
    config
}

/// A table of its own for each test, in a dataset of its own.
pub fn new_table(client: &ColdClient) -> TableRef {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    client.table(&format!("archive_{number}.readings")).unwrap()
}

pub fn owner() -> OwnerId {
    OwnerId::new(7_412_345_678_901_234_567, "water")
}

/// time, node, then a measure per kind.
pub fn wide_shape() -> TableShape {
    let columns = vec![
        Column::new("time", ColumnKind::Timestamp, true),
        Column::new("node", ColumnKind::Text, true),
        Column::new("flow", ColumnKind::Float64, false),
        Column::new("samples", ColumnKind::Int64, false),
        Column::new("price", ColumnKind::Numeric, false),
        Column::new("valid", ColumnKind::Bool, false),
        Column::new("raw", ColumnKind::Bytes, false),
        Column::new("calibrated", ColumnKind::Date, false),
        Column::new("seen", ColumnKind::Timestamp, false),
        Column::new("remark", ColumnKind::Text, false),
    ];
    TableShape::new(columns, 0, 1).unwrap()
}

pub fn narrow_shape() -> TableShape {
    let columns = vec![
        Column::new("time", ColumnKind::Timestamp, true),
        Column::new("node", ColumnKind::Text, true),
        Column::new("flow", ColumnKind::Float64, false),
    ];
    TableShape::new(columns, 0, 1).unwrap()
}

pub fn reading(day: Day, minute: i64, node: &str, flow: f64) -> Row {
    vec![Cell::Timestamp(day.start() + minute * MICROS_PER_MINUTE), Cell::Text(node.to_owned()), Cell::Float(flow)]
}

/// `count` readings of a day.
pub fn readings(day: Day, count: i64) -> Vec<Row> {
    (0..count).map(|n| reading(day, n % 1440, &format!("NODE_{}", n / 1440), n as f64 / 8.0)).collect()
}

pub fn open<'a>(
    wait: &BlockingWait,
    client: &'a ColdClient,
    table: &TableRef,
    shape: TableShape,
) -> Result<ArchiveTable<'a>, ColdError> {
    ArchiveTable::open(wait, client, table.clone(), shape, "readings", &owner(), false)
}

/// Everything of the given days, ordered by time and key.
pub fn read(
    wait: &BlockingWait,
    client: &ColdClient,
    table: &TableRef,
    shape: &TableShape,
    days: (Day, Day),
) -> Vec<Row> {
    let request = ReadRequest {
        table,
        shape,
        from: days.0.start(),
        to: days.1.end(),
        keys: None,
        purpose: "test",
        use_cache: false,
    };
    let mut rows = Vec::new();
    let summary = read_rows(wait, client, &request, |batch| {
        rows.extend(batch);
        Ok::<(), ColdError>(())
    })
    .unwrap();
    assert_eq!(summary.rows, rows.len() as u64);
    sorted(rows)
}

pub fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by(|a, b| {
        let place = |row: &Row| match (&row[0], &row[1]) {
            (Cell::Timestamp(time), Cell::Text(key)) => (*time, key.clone()),
            other => panic!("not a time and a key: {other:?}"),
        };
        place(a).cmp(&place(b))
    });
    rows
}
