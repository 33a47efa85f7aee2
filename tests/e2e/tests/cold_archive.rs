//! Days in the archive and back, against the BigQuery emulator.

mod cold_support;

use std::sync::{LazyLock, Mutex, PoisonError};

use bridge::archive::{ArchiveTable, DayRows, archive_day, archive_days};
use bridge::cold::{
    ColdClient, ColdError, ErrorKind, MergeMode, OwnerId, ReadRequest, content_hash, partitions, read_rows,
};
use bridge::import::{ImportRequest, import_rows};
use bridge::table::{Cell, Column, ColumnKind, Row, TableShape};
use bridge::wait::{BlockingWait, Wait};
use cold_support::*;
use series::time::Day;
use strata_servers::BigQuery;

/// One emulator for all tests of this program, each with a dataset of its own. It dies with the program.
static EMULATOR: LazyLock<BigQuery> = LazyLock::new(|| BigQuery::start_new().unwrap());

fn connect() -> (BlockingWait, ColdClient) {
    (BlockingWait::new().unwrap(), client(&EMULATOR.endpoint()))
}

fn awkward_rows() -> Vec<Row> {
    let start = DAY.start();
    let row = |offset: i64, node: &str, rest: [Cell; 8]| {
        let mut row = vec![Cell::Timestamp(start + offset), Cell::Text(node.to_owned())];
        row.extend(rest);
        row
    };
    let plain = |offset: i64, node: &str, flow: f64, remark: &str| {
        row(
            offset,
            node,
            [
                Cell::Float(flow),
                Cell::Int(i64::MAX),
                Cell::Numeric("-12345678901234567890.123456789".into()),
                Cell::Bool(true),
                Cell::Bytes(vec![0, 1, 13, 10, 34, 39, 92, 255]),
                Cell::Date(-719_162),
                Cell::Timestamp(-1),
                Cell::Text(remark.into()),
            ],
        )
    };
    vec![
        plain(0, "a", f64::NAN, "it's \"quoted\" \\ and, `ticked`"),
        plain(1, "a", f64::INFINITY, "größe 水 🌊"),
        plain(2, "a", f64::NEG_INFINITY, "line\nbreak\r\n\ttab"),
        plain(3, "a", -0.0, ""),
        plain(4, "a", 5e-324, "NULL"),
        plain(5, "a", f64::MAX, "null"),
        plain(6, "a", 0.1 + 0.2, "\u{1}\u{7f}\u{feff}"),
        plain(7, "it's", 1.0 / 3.0, "  spaces  "),
        row(8, "", [const { Cell::Null }; 8]),
        row(
            86_399_999_999,
            "水",
            [
                Cell::Float(1e300),
                Cell::Int(i64::MIN),
                Cell::Numeric("99999999999999999999999999999.999999999".into()),
                Cell::Bool(false),
                Cell::Bytes(vec![]),
                Cell::Date(2_932_896),
                Cell::Timestamp(253_402_300_799_999_999),
                Cell::Text("x".repeat(10_000)),
            ],
        ),
    ]
}

#[test]
fn every_kind_of_value_comes_back_as_it_went() {
    let (wait, client) = connect();
    let table = new_table(&client);
    let archive = open(&wait, &client, &table, wide_shape()).unwrap();
    let rows = awkward_rows();
    let archived = archive_day(&wait, &archive, DAY, &rows, MergeMode::Replace).unwrap();
    assert_eq!(archived.content.rows, rows.len() as u64);
    assert_eq!(archived.content, content_hash(archive.shape(), rows.iter().map(Vec::as_slice)));
    assert_eq!(archived.job_ids.len(), 2);

    let rows = sorted(rows);
    for client in [&client, &storage_client(&EMULATOR)] {
        assert_same(&rows, &read(&wait, client, &table, archive.shape(), (DAY, DAY)), archive.shape());
    }
}

fn assert_same(sent: &[Row], came: &[Row], shape: &TableShape) {
    assert_eq!(sent.len(), came.len());
    for (sent, came) in sent.iter().zip(came) {
        for (column, (sent, came)) in shape.columns().iter().zip(sent.iter().zip(came)) {
            match (sent, came) {
                (Cell::Float(sent), Cell::Float(came)) => {
                    assert!(sent == came || sent.is_nan() && came.is_nan(), "{sent} {came}")
                }
                (Cell::Numeric(sent), Cell::Numeric(came)) => {
                    assert_eq!(sent.trim_end_matches('0'), came.trim_end_matches('0'))
                }
                _ => assert_eq!(sent, came, "{}", column.name),
            }
        }
    }
}

#[test]
fn both_ways_of_reading_give_the_same_rows_of_the_range() {
    let (wait, by_query) = connect();
    let by_storage = storage_client(&EMULATOR);
    let table = new_table(&by_query);
    let archive = open(&wait, &by_storage, &table, narrow_shape()).unwrap();
    let days = [DAY.previous(), DAY, DAY.next()];
    for day in days {
        archive_day(&wait, &archive, day, &readings(day, 3000), MergeMode::Replace).unwrap();
    }
    let shape = archive.shape();
    for span in [(days[0], days[2]), (DAY, DAY), (days[1], days[2]), (Day(0), Day(1))] {
        let a = read(&wait, &by_query, &table, shape, span);
        assert_eq!(a, read(&wait, &by_storage, &table, shape, span));
        assert_eq!(a.len(), days.iter().filter(|day| span.0 <= **day && **day <= span.1).count() * 3000);
    }
    let request = ReadRequest {
        table: &table,
        shape,
        from: i64::MIN,
        to: i64::MAX,
        keys: None,
        purpose: "test",
        use_cache: false,
    };
    let ignore = |_| Ok::<(), ColdError>(());
    // only a query has a job
    assert!(read_rows(&wait, &by_query, &request, ignore).unwrap().job_id.is_some());
    let summary = read_rows(&wait, &by_storage, &request, ignore).unwrap();
    assert_eq!((summary.rows, summary.job_id, summary.storage_error), (9000, None, None));

    // without the service behind it, the query answers
    let mut config = config(&EMULATOR.endpoint());
    config.storage_endpoint = Some("http://127.0.0.1:1".to_owned());
    let cut_off = ColdClient::new(config.clone()).unwrap();
    let summary = read_rows(&wait, &cut_off, &request, ignore).unwrap();
    assert_eq!(summary.rows, 9000);
    assert!(summary.storage_error.unwrap().contains("connect"));

    config.storage_endpoint = Some(EMULATOR.grpc_endpoint());
    config.max_bytes_billed = 1000;
    let poor = ColdClient::new(config).unwrap();
    assert_eq!(read_rows(&wait, &poor, &request, ignore).unwrap_err().kind, ErrorKind::Quota);
}

#[test]
fn a_file_too_large_for_one_request_goes_up_in_pieces() {
    let (wait, client) = (BlockingWait::new().unwrap(), storage_client(&EMULATOR));
    let table = new_table(&client);
    let archive = open(&wait, &client, &table, wide_shape()).unwrap();
    // noise does not compress
    let mut seed = 1u64;
    let rows: Vec<Row> = (0..1440)
        .map(|minute| {
            let mut row = awkward_rows().swap_remove(7);
            row[0] = Cell::Timestamp(DAY.start() + minute * 60_000_000);
            row[6] = Cell::Bytes(
                (0..4000)
                    .map(|_| {
                        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        (seed >> 56) as u8
                    })
                    .collect(),
            );
            row
        })
        .collect();
    let archived = archive_day(&wait, &archive, DAY, &rows, MergeMode::Replace).unwrap();
    assert!(archived.bytes_uploaded > 5 << 20, "{}", archived.bytes_uploaded);
}

#[test]
fn archiving_a_day_twice_is_archiving_it_once() {
    let (wait, client) = connect();
    let table = new_table(&client);
    let archive = open(&wait, &client, &table, narrow_shape()).unwrap();
    let rows = readings(DAY, 500);
    let first = archive_day(&wait, &archive, DAY, &rows, MergeMode::Replace).unwrap();
    let mut shuffled = rows.clone();
    shuffled.reverse();
    let second = archive_day(&wait, &archive, DAY, &shuffled, MergeMode::Replace).unwrap();
    assert_eq!(first.content, second.content);
    assert_eq!(read(&wait, &client, &table, archive.shape(), (DAY, DAY)), sorted(rows));
    // the staging table is gone
    let staging = wait.wait(
        "",
        client.get_table(&client.table(&format!("{}._strata_readings_readings_20260131", table.dataset)).unwrap()),
    );
    assert!(staging.unwrap().is_none());
}

#[test]
fn replace_brings_the_day_and_only_the_day_up_to_date() {
    let (wait, client) = connect();
    let table = new_table(&client);
    let archive = open(&wait, &client, &table, narrow_shape()).unwrap();
    let days = [DAY.previous(), DAY, DAY.next()];
    for day in days {
        archive_day(&wait, &archive, day, &readings(day, 100), MergeMode::Replace).unwrap();
    }
    let mut changed = readings(DAY, 100);
    changed.remove(7);
    changed[20][2] = Cell::Float(-1.0);
    changed[21][2] = Cell::Null;
    changed.push(reading(DAY, 5, "NEW", 5.0));
    archive_day(&wait, &archive, DAY, &changed, MergeMode::Replace).unwrap();
    assert_eq!(read(&wait, &client, &table, archive.shape(), (DAY, DAY)), sorted(changed));
    for day in [days[0], days[2]] {
        assert_eq!(read(&wait, &client, &table, archive.shape(), (day, day)), sorted(readings(day, 100)));
    }

    archive_day(&wait, &archive, DAY, &[], MergeMode::Replace).unwrap();
    assert_eq!(read(&wait, &client, &table, archive.shape(), (days[0], days[2])).len(), 200);
}

#[test]
fn days_written_together_are_proved_one_by_one() {
    let (wait, client) = connect();
    let table = new_table(&client);
    let archive = open(&wait, &client, &table, narrow_shape()).unwrap();
    let (first, last) = (DAY, DAY.next().next());
    let outside = readings(last.next(), 10);
    archive_day(&wait, &archive, last.next(), &outside, MergeMode::Replace).unwrap();
    // what is there already and has to go: a row of a day that stays, and a whole day
    archive_day(&wait, &archive, first, &readings(first, 120), MergeMode::Replace).unwrap();
    archive_day(&wait, &archive, DAY.next(), &readings(DAY.next(), 5), MergeMode::Replace).unwrap();

    let rows = [readings(first, 100), Vec::new(), readings(last, 50)];
    let days = [first, DAY.next(), last];
    let span: Vec<DayRows> = days.iter().zip(&rows).map(|(day, rows)| DayRows { day: *day, rows }).collect();
    let archived = archive_days(&wait, &archive, &span, MergeMode::Replace).unwrap();
    let counts: Vec<(Day, u64)> = archived.iter().map(|day| (day.day, day.content.rows)).collect();
    assert_eq!(counts, [(first, 100), (DAY.next(), 0), (last, 50)]);
    for ((day, rows), archived) in days.iter().zip(&rows).zip(&archived) {
        assert_eq!(read(&wait, &client, &table, archive.shape(), (*day, *day)), sorted(rows.clone()));
        assert_eq!(archived.day_content, content_hash(archive.shape(), rows.iter().map(Vec::as_slice)));
    }
    assert_eq!(read(&wait, &client, &table, archive.shape(), (last.next(), last.next())), outside);

    let gap = [span[0], span[2]];
    assert_eq!(archive_days(&wait, &archive, &gap, MergeMode::Replace).unwrap_err().kind, ErrorKind::Permanent);
}

#[test]
fn a_day_that_changes_and_changes_back_is_right_each_time() {
    let (wait, client) = connect();
    let table = new_table(&client);
    let archive = open(&wait, &client, &table, narrow_shape()).unwrap();
    let (a, b) = (readings(DAY, 50), readings(DAY, 60));
    for rows in [&a, &b, &a, &b, &a] {
        archive_day(&wait, &archive, DAY, rows, MergeMode::Replace).unwrap();
        assert_eq!(read(&wait, &client, &table, archive.shape(), (DAY, DAY)), sorted(rows.clone()));
    }
}

#[test]
fn late_rows_join_a_day_without_removing_anything() {
    let (wait, client) = connect();
    let table = new_table(&client);
    let archive = open(&wait, &client, &table, narrow_shape()).unwrap();
    archive_day(&wait, &archive, DAY, &readings(DAY, 100), MergeMode::Replace).unwrap();
    let late = vec![reading(DAY, 3, "NODE_0", 99.0), reading(DAY, 4, "LATE", 1.0)];
    let archived = archive_day(&wait, &archive, DAY, &late, MergeMode::Upsert).unwrap();
    assert_eq!(archived.content.rows, 2);
    assert_eq!(archived.day_content.rows, 101);

    let mut expected = readings(DAY, 100);
    expected[3] = late[0].clone();
    expected.push(late[1].clone());
    assert_eq!(archived.day_content, content_hash(archive.shape(), expected.iter().map(Vec::as_slice)));
    assert_eq!(read(&wait, &client, &table, archive.shape(), (DAY, DAY)), sorted(expected));
}

#[test]
fn a_column_that_the_source_got_later_is_added_and_earlier_days_keep_their_hash() {
    let (wait, client) = connect();
    let table = new_table(&client);
    let old = narrow_shape();
    let mut columns = old.columns().to_vec();
    columns.push(Column::new("pressure", ColumnKind::Float64, false));
    let new = TableShape::new(columns, 0, 1).unwrap();

    let archive = open(&wait, &client, &table, old).unwrap();
    let archived = archive_day(&wait, &archive, DAY, &readings(DAY, 10), MergeMode::Replace).unwrap();
    // before the archive has the column it reads as NULL
    let before = read(&wait, &client, &table, &new, (DAY, DAY));
    assert!(before.iter().all(|row| row[3] == Cell::Null));
    assert_eq!(before.len(), 10);

    let archive = open(&wait, &client, &table, new.clone()).unwrap();
    let rows: Vec<Row> = readings(DAY.next(), 10)
        .into_iter()
        .map(|mut row| {
            row.push(Cell::Float(2.5));
            row
        })
        .collect();
    archive_day(&wait, &archive, DAY.next(), &rows, MergeMode::Replace).unwrap();
    assert_eq!(read(&wait, &client, &table, &new, (DAY.next(), DAY.next())), sorted(rows));
    let again = read(&wait, &client, &table, &new, (DAY, DAY));
    assert_eq!(content_hash(&new, again.iter().map(Vec::as_slice)), archived.content);
}

#[test]
fn a_clone_does_not_write_to_the_originals_archive() {
    let (wait, client) = connect();
    let table = new_table(&client);
    open(&wait, &client, &table, narrow_shape()).unwrap();
    open(&wait, &client, &table, narrow_shape()).unwrap();
    let clone = OwnerId::new(1, "water");
    let attempt =
        |take_over| ArchiveTable::open(&wait, &client, table.clone(), narrow_shape(), "readings", &clone, take_over);
    let error = attempt(false).err().unwrap();
    assert_eq!(error.kind, ErrorKind::NotOwner);
    assert!(error.hint.is_some());
    attempt(true).unwrap();
    assert_eq!(open(&wait, &client, &table, narrow_shape()).err().unwrap().kind, ErrorKind::NotOwner);
}

#[test]
fn a_column_of_another_type_is_refused_by_name() {
    let (wait, client) = connect();
    let table = new_table(&client);
    open(&wait, &client, &table, narrow_shape()).unwrap();
    let mut columns = narrow_shape().columns().to_vec();
    columns[2].kind = ColumnKind::Text;
    let error = open(&wait, &client, &table, TableShape::new(columns, 0, 1).unwrap()).err().unwrap();
    assert_eq!(error.kind, ErrorKind::Permanent);
    assert!(error.message.contains("\"flow\""), "{error}");
}

#[test]
fn an_archive_killed_anywhere_is_finished_by_repeating() {
    let wait = BlockingWait::new().unwrap();
    // its own emulator: the others must not die with it
    let emulator = Mutex::new(BigQuery::start_new().unwrap());
    let endpoint = emulator.lock().unwrap().endpoint();
    let rows = readings(DAY, 3000);
    let mut settings = config(&endpoint);
    settings.retry.total = std::time::Duration::ZERO;
    let hasty = ColdClient::new(settings).unwrap();
    let patient = client(&endpoint);
    let table = new_table(&patient);
    open(&wait, &patient, &table, narrow_shape()).unwrap();
    let other = readings(DAY.next(), 100);
    let archive = open(&wait, &patient, &table, narrow_shape()).unwrap();
    archive_day(&wait, &archive, DAY.next(), &other, MergeMode::Replace).unwrap();
    for delay in [5, 20, 40, 80, 120, 200] {
        let archive = open(&wait, &hasty, &table, narrow_shape()).unwrap();
        let result = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(std::time::Duration::from_millis(delay));
                emulator.lock().unwrap_or_else(PoisonError::into_inner).kill9();
            });
            archive_day(&wait, &archive, DAY, &rows, MergeMode::Replace)
        });
        if let Err(error) = &result {
            assert_eq!(error.kind, ErrorKind::Retryable, "{error}");
        }
        emulator.lock().unwrap().start().unwrap();
        remove_forgotten_table(&emulator.lock().unwrap(), &table);
        let archive = open(&wait, &patient, &table, narrow_shape()).unwrap();
        archive_day(&wait, &archive, DAY, &rows, MergeMode::Replace).unwrap();
        assert_eq!(read(&wait, &patient, &table, &narrow_shape(), (DAY, DAY)), sorted(rows.clone()));
        assert_eq!(read(&wait, &patient, &table, &narrow_shape(), (DAY.next(), DAY.next())), sorted(other.clone()));
        archive_day(&wait, &archive, DAY, &[], MergeMode::Replace).unwrap();
    }
}

#[test]
fn import_follows_names_types_keys_and_changed_partitions() {
    let (wait, client) = connect();
    let table = new_table(&client);
    let archive = open(&wait, &client, &table, narrow_shape()).unwrap();
    for day in [DAY, DAY.next()] {
        archive_day(&wait, &archive, day, &readings(day, 3000), MergeMode::Replace).unwrap();
    }
    let shape = TableShape::new(
        vec![
            Column::new("at", ColumnKind::Timestamp, true),
            Column::new("sensor", ColumnKind::Text, true),
            Column::new("value", ColumnKind::Float64, false),
            Column::new("comment", ColumnKind::Text, false),
        ],
        0,
        1,
    )
    .unwrap();
    let renamed = [("at", "time"), ("sensor", "node"), ("value", "flow")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    let keys = ["NODE_1".to_owned()];
    let mut request = ImportRequest {
        table: &table,
        shape: &shape,
        renamed: &renamed,
        from: DAY.start(),
        to: DAY.next().start(),
        keys: Some(&keys),
    };
    let mut rows = Vec::new();
    let summary = import_rows(&wait, &client, &request, |batch| {
        rows.extend(batch);
        Ok::<(), ColdError>(())
    })
    .unwrap();
    assert_eq!(summary.rows, 1440);
    let expected = readings(DAY, 3000).into_iter().filter(|row| row[1] == Cell::Text("NODE_1".into()));
    let expected = expected.map(|mut row| {
        row.push(Cell::Null);
        row
    });
    assert_eq!(sorted(rows), sorted(expected.collect()));

    request.renamed = &renamed[..1];
    let error = import_rows(&wait, &client, &request, |_| Ok::<(), ColdError>(())).unwrap_err();
    assert!(error.message.contains("no column \"sensor\""), "{error}");

    let changed = partitions(&wait, &client, &table, 0).unwrap();
    let days: Vec<Option<Day>> = changed.iter().map(|partition| partition.day).collect();
    assert_eq!(days, [Some(DAY), Some(DAY.next())]);
    let latest = changed.iter().map(|partition| partition.modified).max().unwrap();
    assert!(partitions(&wait, &client, &table, latest).unwrap().is_empty());
}

/// Killed while it makes the staging table of the day, the emulator keeps the table and forgets that it has it, so that nobody
/// can make it any more. BigQuery makes a table or does not.
fn remove_forgotten_table(emulator: &BigQuery, table: &bridge::cold::TableRef) {
    let day = DAY.to_string().replace('-', "");
    let staging = format!("`{}._strata_{}_readings_{day}`", table.dataset, table.table);
    strata_e2e::emulator::query(emulator, &format!("CREATE OR REPLACE TABLE {staging} (x INT64)"));
    strata_e2e::emulator::query(emulator, &format!("DROP TABLE {staging}"));
}
