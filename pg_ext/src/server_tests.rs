//! What needs a server but no other process; everything else is in tests/e2e.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    fn attached_table() {
        Spi::run(
            "CREATE TABLE public.readings (t timestamptz NOT NULL, k text NOT NULL, v double precision, n integer, PRIMARY KEY (k, t));
             SELECT strata.attach('public.readings', 't', 'k', hot => NULL);
             INSERT INTO public.readings
                 SELECT '2026-01-01 00:00:00+00'::timestamptz + i * interval '7 minutes', 'S' || i % 3, i / 10.0, i
                 FROM generate_series(0, 999) i;",
        )
        .expect("a table to work with");
    }

    fn count(sql: &str) -> i64 {
        Spi::get_one::<i64>(sql).expect("a query that works").expect("a count")
    }

    #[pg_test(error = "table public.bare has no unique index on \"k\" and \"t\"")]
    fn a_table_without_the_unique_index_is_refused() {
        Spi::run("CREATE TABLE public.bare (t timestamptz NOT NULL, k text NOT NULL, v float8); SELECT strata.attach('public.bare', 't', 'k');")
            .expect("raises");
    }

    #[pg_test(error = "column \"k\" of table public.bare allows NULL")]
    fn a_key_that_may_be_missing_is_refused() {
        Spi::run("CREATE TABLE public.bare (t timestamptz NOT NULL, k text, v float8, UNIQUE (k, t)); SELECT strata.attach('public.bare', 't', 'k');")
            .expect("raises");
    }

    #[pg_test(error = "source name \"readings\" belongs to table public.readings")]
    fn a_second_source_of_the_same_name_is_refused() {
        attached_table();
        Spi::run(
            "CREATE SCHEMA other;
             CREATE TABLE other.readings (t timestamptz NOT NULL, k text NOT NULL, v float8, UNIQUE (k, t));
             SELECT strata.attach('other.readings', 't', 'k');",
        )
        .expect("raises");
    }

    #[pg_test]
    fn numeric_columns_are_the_measures_by_default() {
        attached_table();
        let measures = Spi::get_one::<Vec<String>>("SELECT measures::text[] FROM strata.sources").expect("a source");
        assert_eq!(measures, Some(vec!["v".to_owned(), "n".to_owned()]));
    }

    #[pg_test]
    fn rows_of_a_range_are_those_of_the_table_with_the_end_left_out() {
        attached_table();
        let range = "'2026-01-02 00:00:00+00', '2026-01-02 07:00:00+00'";
        let rows = count(&format!("SELECT count(*) FROM strata.rows(NULL::public.readings, {range}, ARRAY['S1'])"));
        let table = count(
            "SELECT count(*) FROM public.readings WHERE k = 'S1' AND t >= '2026-01-02 00:00:00+00' AND t < '2026-01-02 07:00:00+00'",
        );
        assert!(rows > 0);
        assert_eq!(rows, table);
        assert_eq!(
            count(
                "SELECT count(*) FROM (SELECT * FROM strata.rows(NULL::public.readings, '-infinity', 'infinity')
                 EXCEPT SELECT * FROM public.readings) d"
            ),
            0
        );
    }

    #[pg_test]
    fn buckets_are_what_sql_computes() {
        attached_table();
        let differing = count(
            "SELECT count(*) FROM strata.buckets('public.readings', '1 hour', '-infinity', 'infinity') b
             FULL JOIN (SELECT date_bin('1 hour', t, '1970-01-01 00:00:00+00') AS bucket, k AS key, count(v), sum(v), min(v), max(v), avg(v), stddev_samp(v) AS sd
                        FROM public.readings GROUP BY 1, 2) s USING (bucket, key)
             WHERE measure = 'v' AND (b.count IS DISTINCT FROM s.count OR abs(b.sum - s.sum) > 1e-9 OR b.min <> s.min OR b.max <> s.max
                    OR abs(b.mean - s.avg) > 1e-9 OR abs(b.stddev - s.sd) > 1e-9)",
        );
        assert_eq!(differing, 0);
    }

    #[pg_test]
    fn the_latest_reading_is_the_newest_of_each_key() {
        attached_table();
        let newest = count(
            "SELECT count(*) FROM strata.latest(NULL::public.readings) l JOIN (SELECT k, max(t) AS t FROM public.readings GROUP BY k) m USING (k, t)",
        );
        assert_eq!(newest, 3);
    }

    #[pg_test]
    fn a_range_in_the_table_is_explained_as_warm() {
        attached_table();
        let tiers = Spi::get_one::<Vec<String>>(
            "SELECT array_agg(tier) FROM strata.explain('public.readings', '-infinity', 'infinity')",
        );
        assert_eq!(tiers.expect("a plan"), Some(vec!["warm".to_owned()]));
    }

    #[pg_test(error = "9 is not a quantile")]
    fn a_quantile_above_one_is_refused() {
        attached_table();
        Spi::run(
            "SELECT * FROM strata.buckets('public.readings', '1 hour', '-infinity', 'infinity', quantiles => '{9}')",
        )
        .expect("raises");
    }

    #[pg_test(error = "a rollup state cannot be read: unknown format version 7")]
    fn a_state_that_is_none_is_refused() {
        Spi::run("SELECT strata.rollup_value('\\x07', 1, 'avg')").expect("raises");
    }

    #[pg_test(error = "a password does not belong into strata.redis_url")]
    fn a_password_in_the_url_is_refused() {
        Spi::run("SET strata.redis_url = 'redis://user:secret@host'").expect("raises");
    }

    #[pg_test]
    fn detach_takes_triggers_and_catalog_rows_and_leaves_the_readings() {
        attached_table();
        Spi::run("SELECT strata.detach('public.readings')").expect("detaches");
        assert_eq!(count("SELECT count(*) FROM strata.sources"), 0);
        assert_eq!(count("SELECT count(*) FROM pg_trigger WHERE tgrelid = 'public.readings'::regclass"), 0);
        assert_eq!(count("SELECT count(*) FROM public.readings"), 1000);
    }
}
