//! Aggregates over the series of a source, whole and in groups, and the forms of tables.

mod redis_support;

use std::collections::BTreeMap;

use redis::Value;
use redis_support::{Client, Random, server, show};

/// A table: columns' names, and rows of time (microseconds) and values, NaN where there is none.
#[derive(Debug)]
struct Table {
    columns: Vec<String>,
    rows: Vec<(i64, Vec<f64>)>,
    open: String,
}

fn array(value: &Value) -> &[Value] {
    let Value::Array(items) = value else { panic!("not an array: {}", show(value)) };
    items
}

fn number(value: &Value) -> f64 {
    match show(value).as_str() {
        "nil" => f64::NAN,
        text => text.parse().unwrap(),
    }
}

fn micros(value: &Value) -> i64 {
    let text = show(value);
    let (millis, micros) = text.split_once('.').unwrap_or((&text, "000"));
    let sign = if millis.starts_with('-') { -1 } else { 1 };
    millis.parse::<i64>().unwrap() * 1000 + sign * micros.parse::<i64>().unwrap()
}

impl Table {
    fn plain(reply: &Value) -> Table {
        let [columns, rows, open] = array(reply) else { panic!("not a table") };
        let row = |row: &Value| (micros(&array(row)[0]), array(row)[1..].iter().map(number).collect());
        Table {
            columns: array(columns).iter().map(show).collect(),
            rows: array(rows).iter().map(row).collect(),
            open: show(open),
        }
    }

    /// The rows that a grid stands for.
    fn grid(reply: &Value) -> Table {
        let [columns, lists, open] = array(reply) else { panic!("not a grid") };
        let (times, lists) = array(lists).split_first().expect("the times");
        let times: Vec<i64> = array(times).iter().map(micros).collect();
        let lists: Vec<Vec<f64>> = lists.iter().map(|list| array(list).iter().map(number).collect()).collect();
        let length = lists.first().map_or(0, Vec::len);
        assert!(lists.iter().all(|list| list.len() == length), "{}", show(reply));
        assert_eq!(times.len(), if length > 0 { 2 } else { 0 });
        let row = |row: usize| (times[0] + row as i64 * times[1], lists.iter().map(|list| list[row]).collect());
        Table {
            columns: array(columns).iter().map(show).collect(),
            rows: (0..length).map(row).collect(),
            open: show(open),
        }
    }

    fn packed(reply: &Value) -> Table {
        let [columns, Value::BulkString(bytes), open] = array(reply) else { panic!("not a packed table") };
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        let cell = |at: usize| <[u8; 8]>::try_from(&bytes[8 + at * 8..16 + at * 8]).unwrap();
        let (rows, values) = (word(0), word(4));
        assert_eq!(bytes.len(), 8 + rows * 8 * (1 + values));
        let row = |row: usize| {
            let value = |column: usize| f64::from_le_bytes(cell((1 + column) * rows + row));
            (i64::from_le_bytes(cell(row)), (0..values).map(value).collect())
        };
        Table {
            columns: array(columns).iter().map(show).collect(),
            rows: (0..rows).map(row).collect(),
            open: show(open),
        }
    }
}

fn same(one: &Table, other: &Table, what: &str) {
    assert_eq!(one.columns, other.columns, "{what}");
    assert_eq!(one.open, other.open, "{what}");
    assert_eq!(one.rows.len(), other.rows.len(), "{what}");
    for (one, other) in one.rows.iter().zip(&other.rows) {
        let bits = |row: &(i64, Vec<f64>)| (row.0, row.1.iter().map(|value| value.to_bits()).collect::<Vec<_>>());
        assert_eq!(bits(one), bits(other), "{what}");
    }
}

fn send(redis: &mut Client, line: &str) -> Value {
    let words: Vec<&str> = line.split_whitespace().collect();
    redis.send(&words).unwrap_or_else(|error| panic!("{line}: {error}"))
}

/// Nine series in three zones, and one without a zone, some hours of each.
fn network(redis: &mut Client, random: &mut Random) -> Vec<String> {
    let keys: Vec<String> = (0..9).map(|i| format!("r:Z{}-N{i}", i % 3)).chain(["{r}:lonely".to_owned()]).collect();
    for key in &keys {
        let mut time = random.below(3_600_000);
        for _ in 0..400 {
            time += 1 + random.below(120_000);
            let value = random.below(100_000) as f64 / 64.0;
            let measure = ["flow", "pressure"][random.below(2) as usize];
            redis.run(&format!("STRATA.ADD {key} {time} {measure} {value}"));
        }
    }
    redis.run("STRATA.ADD other:Z0-N0 1000 flow 1e9");
    keys
}

#[test]
fn a_packed_range_holds_what_the_plain_one_says() {
    let server = server();
    let mut redis = Client::new(&server);
    network(&mut redis, &mut Random(11));
    redis.run("STRATA.ADD r:Z0-N0 99.5 flow -0.0");
    redis.run("STRATA.ADD r:Z0-N0 * flow 3");
    for range in [
        "STRATA.RANGE r:Z0-N0 - +",
        "STRATA.RANGE r:Z0-N0 - + MEASURES 2 pressure none",
        "STRATA.RANGE r:Z0-N0 1000000 9000000 COUNT 150 REV",
        "STRATA.RANGE r:Z0-N0 5 4",
        "STRATA.RANGE r:none - +",
        "STRATA.RANGE r:Z0-N0 - 40000000 BUCKET 5m AGG 5 avg count stddev first p90",
        "STRATA.RANGE r:Z0-N0 - 40000000 BUCKET 7m AGG 2 rate max ALIGN 1000 EMPTY COUNT 20 REV",
        "STRATA.RANGE r:Z0-N0 - + BUCKET 1d AGG 1 count",
        "STRATA.RANGE r:Z0-N0 - 40000000 AGG 2 avg p50",
    ] {
        let (plain, packed) = (send(&mut redis, range), send(&mut redis, &format!("{range} PACKED")));
        same(&Table::plain(&plain), &Table::packed(&packed), range);
    }
}

#[test]
fn a_packed_source_holds_what_the_plain_one_says() {
    let server = server();
    let mut redis = Client::new(&server);
    network(&mut redis, &mut Random(12));
    for source in [
        "STRATA.SOURCE r 12h AT 40000000 AGG 4 avg count max p99 BUCKET 1h",
        "STRATA.SOURCE r 10h AT + MEASURES 2 pressure none AGG 2 min sum BUCKET 7m ALIGN 3",
        "STRATA.SOURCE none 1h AT 1000 BUCKET 5m",
    ] {
        let (plain, packed) = (send(&mut redis, source), send(&mut redis, &format!("{source} PACKED")));
        same(&Table::plain(&plain), &Table::packed(&packed), source);
        let by = [" BY KEY", " BY PREFIX -"].map(|by| format!("{source}{by}"));
        for source in by {
            let (plain, packed) = (send(&mut redis, &source), send(&mut redis, &format!("{source} PACKED")));
            let (plain, packed) = (array(&plain), array(&packed));
            assert_eq!(plain.len(), packed.len());
            for (plain, packed) in plain.chunks(2).zip(packed.chunks(2)) {
                assert_eq!(show(&plain[0]), show(&packed[0]));
                same(&Table::plain(&plain[1]), &Table::packed(&packed[1]), &source);
            }
        }
    }
    assert!(redis.error("STRATA.SOURCE r 1h PACKED").contains("need BUCKET"));
    assert!(redis.error("STRATA.SOURCE r 1h ALIGN 5").contains("need BUCKET"));
}

#[test]
fn a_grid_of_a_range_holds_what_the_rows_with_the_empty_ones_say() {
    let server = server();
    for protocol in [2, 3] {
        let mut redis = Client::new(&server);
        redis.run(&format!("HELLO {protocol}"));
        redis.run("FLUSHALL");
        network(&mut redis, &mut Random(15));
        redis.run("STRATA.ADD r:Z0-N0 99.5 flow -0.0");
        let mut gaps = 0;
        for range in [
            "STRATA.RANGE r:Z0-N0 - + BUCKET 5m AGG 11 avg min max sum count stddev first last rate p50 p99",
            "STRATA.RANGE r:Z0-N0 - + BUCKET 30s AGG 8 avg min max sum count stddev first last",
            "STRATA.RANGE r:Z0-N0 - + MEASURES 3 pressure none flow BUCKET 7m AGG 3 rate max p90 ALIGN 1000.001",
            "STRATA.RANGE r:Z0-N0 3000000 9000000 BUCKET 30s AGG 2 last count COUNT 50",
            "STRATA.RANGE r:Z0-N0 - + BUCKET 1d",
            "STRATA.RANGE r:Z0-N0 5 4 BUCKET 5m",
            "STRATA.RANGE r:none - + BUCKET 5m",
            "STRATA.RANGE r:none - + MEASURES 1 flow BUCKET 5m",
        ] {
            let rows = Table::plain(&send(&mut redis, &format!("{range} EMPTY")));
            let grid = send(&mut redis, &format!("{range} GRID"));
            same(&rows, &Table::grid(&grid), range);
            assert_eq!(show(&grid), redis.run(&format!("{range} EMPTY GRID")));
            gaps += rows.rows.len() - Table::plain(&send(&mut redis, range)).rows.len();
        }
        assert!(gaps > 100, "{gaps}");
    }
}

#[test]
fn the_running_bucket_of_a_grid_is_marked() {
    let server = server();
    let mut redis = Client::new(&server);
    redis.run("STRATA.ADD r:A * flow 3");
    for line in ["STRATA.RANGE r:A - + BUCKET 1d AGG 1 sum GRID", "STRATA.SOURCE r 1h BUCKET 1d AGG 1 sum GRID"] {
        let grid = Table::grid(&send(&mut redis, line));
        assert_eq!((grid.rows.len(), grid.open), (1, (grid.rows[0].0 / 1000).to_string()), "{line}");
    }
}

#[test]
fn a_grid_of_a_source_holds_its_rows_and_nothing_in_the_gaps() {
    let server = server();
    let mut redis = Client::new(&server);
    network(&mut redis, &mut Random(16));
    let mut gaps = 0;
    let mut compare = |rows: &Value, grid: &Value, what: &str| {
        let (rows, mut grid) = (Table::plain(rows), Table::grid(grid));
        let all = grid.rows.len();
        grid.rows.retain(|(time, values)| {
            let has_samples = rows.rows.iter().any(|(start, _)| start == time);
            assert!(has_samples || values.iter().all(|value| value.is_nan() || *value == 0.0), "{what}: {values:?}");
            has_samples
        });
        gaps += all - grid.rows.len();
        same(&rows, &grid, what);
    };
    for source in [
        "STRATA.SOURCE r 12h AT 40000000 AGG 4 avg count max p99 BUCKET 1h",
        "STRATA.SOURCE r 10h AT + MEASURES 2 pressure none AGG 2 min sum BUCKET 20s ALIGN 3",
        "STRATA.SOURCE none 1h AT 1000 BUCKET 5m",
    ] {
        compare(&send(&mut redis, source), &send(&mut redis, &format!("{source} GRID")), source);
        for by in [" BY KEY", " BY PREFIX -"] {
            let source = format!("{source}{by}");
            let (rows, grids) = (send(&mut redis, &source), send(&mut redis, &format!("{source} GRID")));
            assert_eq!(array(&rows).len(), array(&grids).len());
            for (rows, grid) in array(&rows).chunks(2).zip(array(&grids).chunks(2)) {
                assert_eq!(show(&rows[0]), show(&grid[0]));
                compare(&rows[1], &grid[1], &source);
            }
        }
    }
    assert!(gaps > 100, "{gaps}");
}

#[test]
fn the_gaps_of_all_groups_of_a_grid_count_together() {
    let server = server();
    let mut redis = Client::new(&server);
    for key in 0..12 {
        redis.run(&format!("STRATA.MADD r:{key} 1000 1 flow 1 r:{key} 86400000 1 flow 1"));
    }
    let source = "STRATA.SOURCE r 1d AT + AGG 1 avg BUCKET 1s";
    assert_eq!(Table::grid(&send(&mut redis, &format!("{source} GRID"))).rows.len(), 86_400);
    let error = redis.error(&format!("{source} BY KEY GRID"));
    assert!(error.contains("GRID would return 1036800 windows"), "{error}");
    assert_eq!(array(&send(&mut redis, &format!("{source} BY KEY"))).len(), 24);
}

#[test]
fn grouping_by_key_is_each_series_alone() {
    let server = server();
    let mut redis = Client::new(&server);
    network(&mut redis, &mut Random(13));
    let reply = send(&mut redis, "STRATA.SOURCE r 6h AT 20000000 AGG 4 count avg p99 last BUCKET 1h BY KEY");
    let groups: Vec<_> = array(&reply).chunks(2).collect();
    assert_eq!(groups.len(), 10);
    for group in groups {
        let name = show(&group[0]);
        let key = if name == "lonely" { "{r}:lonely".to_owned() } else { format!("r:{name}") };
        let columns = "MEASURES 2 flow pressure";
        let range = format!("STRATA.RANGE {key} -1599999.999 20000000 {columns} BUCKET 1h AGG 4 count avg p99 last");
        let alone = Table::plain(&send(&mut redis, &range));
        let mut grouped = Table::plain(&group[1]);
        // The source's measures stand in the order of their first appearance among its series.
        if grouped.columns[1].starts_with("pressure") {
            grouped.columns[1..].rotate_left(4);
            grouped.rows.iter_mut().for_each(|row| row.1.rotate_left(4));
        }
        same(&grouped, &alone, &name);
    }
}

#[test]
fn groups_without_buckets_say_how_many_series_contributed() {
    let server = server();
    let mut redis = Client::new(&server);
    redis.run("STRATA.MADD r:a-1 1000 1 flow 1 r:a-2 2000 1 flow 3 r:b-1 1000 1 flow 10 r:b-2 -9000000 1 flow 99 r:c 1 1 flow 5");
    assert_eq!(
        redis.run("STRATA.SOURCE r 1h AT 2000 AGG 2 count avg BY PREFIX -"),
        "[a, [-3598000, 2000, 2, [flow, [count, 2, avg, 2]]], b, [-3598000, 2000, 1, [flow, [count, 1, avg, 10]]], \
         c, [-3598000, 2000, 1, [flow, [count, 1, avg, 5]]]]"
    );
    assert_eq!(redis.run("STRATA.SOURCE r 1h AT 2000 AGG 1 sum BY KEY").matches("flow").count(), 5);
    assert_eq!(redis.run("STRATA.SOURCE none 1h BY KEY"), "[]");
    for (line, reason) in
        [("STRATA.SOURCE r 1h BY ZONE", "neither KEY nor PREFIX"), ("STRATA.SOURCE r 1h BUCKET 0s", "not a duration")]
    {
        assert!(redis.error(line).contains(reason), "{line}");
    }
    let error = redis.send(&["STRATA.SOURCE", "r", "1h", "BY", "PREFIX", ""]).unwrap_err();
    assert!(error.contains("separator is empty"), "{error}");
}

#[derive(Default)]
struct Expected {
    count: f64,
    sum: f64,
    min: f64,
    max: f64,
    values: Vec<f64>,
}

#[test]
fn groups_by_prefix_are_made_of_the_samples_of_their_series() {
    const HOUR: i64 = 3_600_000_000;
    let server = server();
    let mut redis = Client::new(&server);
    let mut random = Random(14);
    let keys = network(&mut redis, &mut random);
    for round in 0..12 {
        let (to, hours) = (5_000_000 + random.below(30_000_000) as i64, 1 + random.below(9) as i64);
        let width = [1, 2, 3][round % 3] * HOUR;
        let mut expected: BTreeMap<(String, i64, String), Expected> = BTreeMap::new();
        for key in &keys {
            let name = key.split_once(':').unwrap().1;
            let group = name.split_once('-').map_or(name, |(zone, _)| zone);
            let from = to - hours * 3_600_000;
            let samples = Table::plain(&send(&mut redis, &format!("STRATA.RANGE {key} {from}.001 {to}")));
            for (time, values) in &samples.rows {
                for (measure, &value) in samples.columns[1..].iter().zip(values).filter(|(_, value)| !value.is_nan()) {
                    let start = time.div_euclid(width) * width;
                    let cell = expected.entry((group.to_owned(), start, measure.clone())).or_default();
                    let first = cell.count == 0.0;
                    cell.min = if first { value } else { cell.min.min(value) };
                    cell.max = if first { value } else { cell.max.max(value) };
                    cell.count += 1.0;
                    cell.sum += value;
                    cell.values.push(value);
                }
            }
        }
        let line = format!(
            "STRATA.SOURCE r {hours}h AT {to} AGG 6 count sum min max avg p50 BUCKET {}h BY PREFIX -",
            width / HOUR
        );
        let reply = send(&mut redis, &line);
        let mut found = 0;
        for group in array(&reply).chunks(2) {
            let table = Table::plain(&group[1]);
            for (start, values) in &table.rows {
                for (columns, values) in table.columns[1..].chunks(6).zip(values.chunks(6)) {
                    let measure = columns[0].strip_suffix(":count").unwrap().to_owned();
                    let key = (show(&group[0]), *start, measure);
                    let Some(cell) = expected.get_mut(&key) else {
                        assert_eq!(values[0], 0.0, "{line}: {key:?}");
                        continue;
                    };
                    found += 1;
                    // The values are multiples of 1/64, so that sums are exact in any order.
                    let exact = [cell.count, cell.sum, cell.min, cell.max];
                    assert_eq!(values[..4], exact, "{line}: {key:?}");
                    assert!((values[4] - cell.sum / cell.count).abs() < 1e-9 * values[4].abs(), "{line}: {key:?}");
                    cell.values.sort_by(f64::total_cmp);
                    let (below, above) = (cell.values[(cell.values.len() - 1) / 2], cell.values[cell.values.len() / 2]);
                    assert!(below * 0.99 <= values[5] && values[5] <= above * 1.01, "{line}: {key:?} {}", values[5]);
                }
            }
        }
        assert_eq!(found, expected.len(), "{line}");
    }
}
