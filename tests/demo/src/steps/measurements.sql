-- Any table with a time, a key and numbers can be attached; this one holds the real measurements.
CREATE SCHEMA demo;
CREATE TABLE demo.measurements (
    time   timestamptz NOT NULL,
    series text NOT NULL,
    value  double precision,
    PRIMARY KEY (series, time)
);
SELECT create_hypertable('demo.measurements', by_range('time', interval '1 day'));
SELECT strata.attach('demo.measurements', 'time', 'series',
    hot => '24 hours', warm => '30 days', cold => 'strata_demo.measurements', drop_archived => true);
