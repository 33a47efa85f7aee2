//! Rows of every type come back from the archive as they went in.

use strata_e2e::{Database, stack};

fn database() -> Database {
    let database = stack().database();
    database.run(
        "CREATE TABLE readings (
             unused int, time timestamptz NOT NULL, gone text, node uuid NOT NULL, price numeric(10,2), ratio numeric, note text,
             code varchar(8), data jsonb, fine bool, day date, small int2, big int8, single float4, double float8, raw bytea,
             span interval, tags text[], seen timestamptz, at time,
             twice float8 GENERATED ALWAYS AS (double * 2) STORED, PRIMARY KEY (node, time));
         ALTER TABLE readings DROP COLUMN gone;
         ALTER TABLE readings DROP COLUMN unused;
         ALTER TABLE readings ADD COLUMN later text DEFAULT 'before';",
    );
    database.run(&format!(
        "SELECT strata.attach('readings', 'time', 'node', name => '{}', cold => '{}', warm => '3 days', drop_archived => true)",
        database.name,
        database.cold()
    ));
    database.run(&format!(
        "INSERT INTO readings (time, node, price, ratio, note, code, data, fine, day, small, big, single, double, raw, span, tags, seen, at)
         SELECT {day} + i * interval '1 h 1 us', md5(i::text)::uuid, (ARRAY[-0.01, -12345678.91, 99999999.99, 0.1])[i % 4 + 1],
                (ARRAY[1e-20, 123456789012345678901234567890.5, 'NaN'::numeric, -0.0])[i % 4 + 1],
                (ARRAY['', 'ünï\"cödé ''quoted''', E'line\\nbreak\\ttab', '\\N'])[i % 4 + 1], 'c' || i, jsonb_build_object('a', i, 'b', ARRAY[1.50, NULL]),
                i % 2 = 0, '1969-12-31'::date + i, i - 3, 9007199254740993 + i, i / 3.0::float4,
                (ARRAY[0.1 + 0.2, 'Infinity', '-Infinity', 5e-324]::float8[])[i % 4 + 1], decode('00ff0a', 'hex'),
                interval '1 month 2 days 3.5 s', ARRAY['x,y', NULL], '1970-01-01 00:00:00.000001+00'::timestamptz - i * interval '1 us', '12:34:56.789'
         FROM generate_series(0, 11) i;
         INSERT INTO readings (time, node) VALUES ({day} + interval '13 h', md5('none')::uuid);
         CREATE TABLE sent AS TABLE readings",
        day = database.day(5)
    ));
    database
}

fn difference(database: &Database, rows: &str) -> i64 {
    database.count(&format!(
        "SELECT count(*) FROM ((SELECT s::text FROM sent s EXCEPT ALL SELECT s::text FROM ({rows}) s)
             UNION ALL (SELECT s::text FROM ({rows}) s EXCEPT ALL SELECT s::text FROM sent s)) d"
    ))
}

#[test]
fn every_type_survives_the_archive() {
    let database = database();
    let rows = "SELECT * FROM strata.rows(NULL::readings, '-infinity', 'infinity')";
    assert_eq!(difference(&database, rows), 0, "before the archive ran");
    database.job("archive");
    assert_eq!(database.count("SELECT count(*) FROM readings"), 0);
    assert_eq!(difference(&database, rows), 0, "from the archive");
    let key = database.ask("SELECT node FROM sent ORDER BY time LIMIT 1");
    let one = format!("SELECT count(*) FROM strata.rows(NULL::readings, '-infinity', 'infinity', ARRAY['{key}'])");
    assert_eq!(database.count(&one), 1);

    let restored = format!("SELECT strata.restore('readings', {}, {})", database.day(5), database.day(4));
    assert_eq!(database.count(&restored), 13);
    assert_eq!(difference(&database, "SELECT * FROM readings"), 0, "restored");
    assert_eq!(database.count("SELECT count(*) FROM strata.dirty_log"), 0, "a restored day is as it was archived");
}

#[test]
fn a_column_added_after_a_day_was_archived_is_null_in_it() {
    let database = database();
    database.job("archive");
    database.run("ALTER TABLE readings ADD COLUMN extra int; ALTER TABLE sent ADD COLUMN extra int");
    let rows = "SELECT * FROM strata.rows(NULL::readings, '-infinity', 'infinity')";
    let late = format!("(time, node, later, extra) VALUES ({}, md5('late')::uuid, 'now', 7)", database.day(5));
    database.run(&format!("INSERT INTO sent {late}; INSERT INTO readings {late}"));
    database.job("archive");
    assert_eq!(difference(&database, rows), 0);
}
