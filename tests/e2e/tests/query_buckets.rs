//! strata.buckets over three tiers gives the aggregates of the whole data.

use series::time::MICROS_PER_MINUTE;
use strata_e2e::{Database, Sensors, stack};

/// Two measures, one of them with missing values, over all three tiers; the same rows in the plain table `sent`.
fn database() -> (Database, Sensors) {
    let database = stack().database();
    database.run(
        "CREATE TABLE readings (time timestamptz NOT NULL, key text NOT NULL, value float8, level int, UNIQUE (key, time));
         CREATE TABLE sent (LIKE readings)",
    );
    database.attach(&format!("warm => '3 days', cold => '{}', drop_archived => true", database.cold()));
    database.run(&format!(
        "INSERT INTO sent SELECT t, k, 1e6 + 100 * sin(extract(epoch FROM t) / 7000) * ascii(k) + random(),
                CASE WHEN random() < 0.8 THEN (random() * 1000)::int - 500 END
         FROM generate_series({}, {} - interval '1 s', interval '7 min') t, unnest(ARRAY['A', 'B']) k;
         INSERT INTO readings SELECT * FROM sent",
        database.day(6),
        database.day(0)
    ));
    database.job("archive");
    assert!(database.count("SELECT count(*) FROM strata.manifest WHERE state = 'dropped'") >= 2);
    let mut sensors = Sensors::of(&stack().redis, &database);
    for i in 0..40 {
        let (time, value) = (database.midnight(1) + i * MICROS_PER_MINUTE / 3, i as f64 * -1.5);
        sensors.send("C", time, value);
        database.run(&format!(
            "INSERT INTO sent VALUES ('epoch'::timestamptz + {time} * interval '1 us', 'C', {value:?}, NULL)"
        ));
    }
    (database, sensors)
}

/// Compares every bucket with the same aggregates in SQL; gives the number of buckets compared.
fn assert_buckets(database: &Database, width: &str) -> i64 {
    let (from, to) = (database.day(7), database.day(-1));
    let sql = format!(
        "WITH found AS (SELECT * FROM strata.buckets('readings', '{width}', {from}, {to}, quantiles => '{{0,0.5,0.95,0.99,1}}')),
         long AS (SELECT time, key, measure, v FROM sent, LATERAL (VALUES ('value', value), ('level', level::float8)) m(measure, v)
                  WHERE v IS NOT NULL),
         wanted AS (
             SELECT date_bin('{width}', time, 'epoch') AS bucket, key, measure, count(*) AS count, sum(v) AS sum, min(v) AS min,
                    max(v) AS max, avg(v) AS mean, stddev_samp(v) AS stddev,
                    (array_agg(v ORDER BY time))[1] AS first, (array_agg(v ORDER BY time DESC))[1] AS last,
                    array_agg(v ORDER BY v) AS sorted
             FROM long GROUP BY 1, 2, 3)
         SELECT count(*), count(*) FILTER (WHERE NOT coalesce(
             f.count = w.count AND f.min = w.min AND f.max = w.max AND f.first = w.first AND f.last = w.last
             AND near(f.sum, w.sum, 1e-9) AND near(f.mean, w.mean, 1e-9) AND (f.stddev IS NULL) = (w.stddev IS NULL)
             AND coalesce(near(f.stddev, w.stddev, 1e-6), true)
             AND (SELECT bool_and(near(a, b, 0.0101)) FROM (
                     SELECT f.quantiles[i] AS a, w.sorted[floor((ARRAY[0,0.5,0.95,0.99,1])[i] * (w.count - 1))::int + 1] AS b
                     FROM generate_series(1, 5) i) q), false))
         FROM found f FULL JOIN wanted w USING (bucket, key, measure)"
    );
    let row = database.connect().query_one(&sql, &[]).unwrap();
    assert_eq!(row.get::<_, i64>(1), 0, "buckets of {width} that differ, of {}", row.get::<_, i64>(0));
    row.get(0)
}

#[test]
fn buckets_are_the_aggregates_of_the_whole_data() {
    let (database, sensors) = database();
    database.run(
        "CREATE FUNCTION near(a float8, b float8, relative float8) RETURNS bool LANGUAGE sql IMMUTABLE AS
         'SELECT abs(a - b) <= relative * greatest(abs(a), abs(b), 1e-3)'",
    );
    assert_eq!(assert_buckets(&database, "1 day"), 6 * 2 * 2 + 1);
    assert!(assert_buckets(&database, "1 hour") > 6 * 20 * 2);
    assert!(assert_buckets(&database, "5 minutes") > 1000);
    drop(sensors);
    database.job("flush");
    assert_eq!(assert_buckets(&database, "1 day"), 6 * 2 * 2 + 1);

    let one = format!(
        "SELECT string_agg(concat_ws(' ', key, measure, count), ', ') FROM strata.buckets('readings', '1 day', {}, {},
             keys => ARRAY['C'], measures => ARRAY['value'], quantiles => '{{}}')",
        database.day(7),
        database.day(-1)
    );
    assert_eq!(database.ask(&one), "C value 40");
}

#[test]
fn rollups_kept_by_the_job_are_the_same_aggregates() {
    let (database, _) = database();
    database.job("flush");
    database.job("rollup");
    let sql = "WITH kept AS (
            SELECT bucket, key, strata.rollup_value(state, 1, 'count') AS count, strata.rollup_value(state, 1, 'sum') AS sum,
                   strata.rollup_value(state, 2, 'count') AS levels, strata.rollup_value(state, 1, 'max') AS max, width
            FROM strata.rollups),
        wanted AS (
            SELECT date_bin(w, time, 'epoch') AS bucket, key, count(value)::float8 AS count, sum(value) AS sum,
                   nullif(count(level), 0)::float8 AS levels, max(value) AS max, w AS width
            FROM sent, unnest(ARRAY['5 min', '1 hour', '1 day']::interval[]) w GROUP BY w, 1, 2)
        SELECT count(*) || ' ' || count(*) FILTER (WHERE NOT coalesce(
            k.count = w.count AND k.max = w.max AND abs(k.sum - w.sum) <= 1e-9 * abs(w.sum)
            AND coalesce(nullif(k.levels, 0), -1) = coalesce(w.levels, -1), false))
        FROM kept k FULL JOIN wanted w USING (bucket, key, width)";
    let answer = database.ask(sql);
    let (total, wrong) = answer.split_once(' ').unwrap();
    assert!(total.parse::<i64>().unwrap() > 1000 && wrong == "0", "{wrong} of {total} rollups differ");
}

#[test]
fn what_cannot_be_a_bucket_is_refused() {
    let database = stack().database();
    database.create_readings();
    database.attach("");
    let refusal = |arguments: &str| database.refusal(&format!("SELECT * FROM strata.buckets('readings', {arguments})"));
    let month = refusal("'1 month', now(), now()");
    assert_eq!((month.sqlstate.as_str(), month.hint.is_empty()), ("22023", false), "{month:?}");
    assert_eq!(refusal("'0', now(), now()").sqlstate, "22023");
    assert_eq!(refusal("'1 day', now(), now(), quantiles => '{1.5}'").sqlstate, "22023");
    assert_eq!(refusal("'1 day', now(), now(), measures => '{depth}'").sqlstate, "42703");
}
