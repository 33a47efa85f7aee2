-- A ready-made water network on Strata: nodes and readings, the aggregates and views that such stacks have always had.
-- Needs the extension strata; uses TimescaleDB where it is installed. Safe to run again.
--
--   psql -v warm="'90 days'" -v cold="'water_infrastructure.sensor_readings'" -v drop_archived=false -f water_infrastructure.sql
--
-- Without -v cold the archive is switched off until strata.alter_source names a BigQuery table.

\set ON_ERROR_STOP on
\if :{?warm}
\else
    \set warm '''90 days'''
\endif
\if :{?cold}
\else
    \set cold NULL
\endif
\if :{?drop_archived}
\else
    \set drop_archived false
\endif

BEGIN;

CREATE SCHEMA IF NOT EXISTS water_infrastructure;

CREATE TABLE IF NOT EXISTS water_infrastructure.nodes (
    node_id       text PRIMARY KEY,
    node_name     text NOT NULL,
    node_type     text NOT NULL DEFAULT 'sensor',
    location_name text,
    zone          text,
    latitude      double precision CHECK (latitude BETWEEN -90 AND 90),
    longitude     double precision CHECK (longitude BETWEEN -180 AND 180),
    is_active     boolean NOT NULL DEFAULT true,
    created_at    timestamptz NOT NULL DEFAULT now(),
    metadata      jsonb NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE water_infrastructure.nodes IS 'Places where the network is measured';

-- No foreign key to nodes: a reading of a node that nobody has registered yet is a reading all the same.
CREATE TABLE IF NOT EXISTS water_infrastructure.sensor_readings (
    timestamp     timestamptz NOT NULL,
    node_id       text NOT NULL,
    flow_rate     double precision,
    pressure      double precision,
    temperature   double precision,
    volume        double precision,
    quality_score double precision,
    PRIMARY KEY (node_id, timestamp)
);
COMMENT ON TABLE water_infrastructure.sensor_readings IS 'Readings of the nodes';
COMMENT ON COLUMN water_infrastructure.sensor_readings.flow_rate IS 'Flow, L/s';
COMMENT ON COLUMN water_infrastructure.sensor_readings.pressure IS 'Pressure, bar';
COMMENT ON COLUMN water_infrastructure.sensor_readings.temperature IS 'Water temperature, °C';
COMMENT ON COLUMN water_infrastructure.sensor_readings.volume IS 'Total volume, m³';
COMMENT ON COLUMN water_infrastructure.sensor_readings.quality_score IS 'Quality of the reading, 0 to 1';

DO $setup$
DECLARE
    timescale text := (SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
                       WHERE e.extname = 'timescaledb');
BEGIN
    -- a chunk a day, so that an archived day leaves by dropping its chunk
    IF timescale IS NOT NULL THEN
        EXECUTE format('SELECT %I.create_hypertable(%L, %L, chunk_time_interval => interval %L, migrate_data => true, if_not_exists => true)',
            timescale, 'water_infrastructure.sensor_readings', 'timestamp', '1 day');
    END IF;
END
$setup$;

SELECT strata.attach('water_infrastructure.sensor_readings', 'timestamp', 'node_id',
    hot => '24 hours', warm => :warm, cold => :cold, drop_archived => :drop_archived)
WHERE NOT EXISTS (SELECT FROM strata.sources WHERE relation = 'water_infrastructure.sensor_readings'::regclass);

-- Flow from 0 to 10 000 L/s, pressure from 0 to 50 bar: anything else is an anomaly, beside what is unusual.
SELECT strata.set_detector('water_infrastructure.sensor_readings', limited, 'limits', jsonb_build_object('preset', limited),
                           since => '-infinity')
FROM unnest(ARRAY['flow_rate', 'pressure']) AS limited
WHERE NOT EXISTS (SELECT FROM strata.detectors JOIN strata.sources USING (source_id)
                  WHERE relation = 'water_infrastructure.sensor_readings'::regclass AND measure = limited AND method = 'limits');

-- Kept current by the rollup job, whatever the edition of TimescaleDB.
CREATE OR REPLACE VIEW water_infrastructure.sensor_readings_5min AS
    SELECT bucket,
           key AS node_id,
           strata.rollup_value(state, 1, 'avg') AS avg_flow_rate,
           strata.rollup_value(state, 1, 'min') AS min_flow_rate,
           strata.rollup_value(state, 1, 'max') AS max_flow_rate,
           strata.rollup_value(state, 2, 'avg') AS avg_pressure,
           strata.rollup_value(state, 2, 'min') AS min_pressure,
           strata.rollup_value(state, 2, 'max') AS max_pressure,
           strata.rollup_value(state, 3, 'avg') AS avg_temperature,
           strata.rollup_value(state, 4, 'last') AS last_volume,
           strata.rollup_value(state, 5, 'avg') AS avg_quality_score,
           strata.rollup_value(state, 1, 'count')::bigint AS readings
    FROM strata.rollups
    WHERE relation = 'water_infrastructure.sensor_readings'::regclass AND width = interval '5 minutes';
COMMENT ON VIEW water_infrastructure.sensor_readings_5min IS 'Readings by node and 5 minutes';

CREATE OR REPLACE VIEW water_infrastructure.sensor_readings_hourly AS
    SELECT bucket,
           key AS node_id,
           strata.rollup_value(state, 1, 'avg') AS avg_flow_rate,
           strata.rollup_value(state, 1, 'min') AS min_flow_rate,
           strata.rollup_value(state, 1, 'max') AS max_flow_rate,
           strata.rollup_value(state, 2, 'avg') AS avg_pressure,
           strata.rollup_value(state, 2, 'min') AS min_pressure,
           strata.rollup_value(state, 2, 'max') AS max_pressure,
           strata.rollup_value(state, 3, 'avg') AS avg_temperature,
           strata.rollup_value(state, 4, 'last') AS last_volume,
           strata.rollup_value(state, 5, 'avg') AS avg_quality_score,
           strata.rollup_value(state, 1, 'count')::bigint AS readings
    FROM strata.rollups
    WHERE relation = 'water_infrastructure.sensor_readings'::regclass AND width = interval '1 hour';
COMMENT ON VIEW water_infrastructure.sensor_readings_hourly IS 'Readings by node and an hour';

CREATE OR REPLACE VIEW water_infrastructure.sensor_readings_daily AS
    SELECT bucket,
           key AS node_id,
           strata.rollup_value(state, 1, 'avg') AS avg_flow_rate,
           strata.rollup_value(state, 1, 'min') AS min_flow_rate,
           strata.rollup_value(state, 1, 'max') AS max_flow_rate,
           strata.rollup_value(state, 2, 'avg') AS avg_pressure,
           strata.rollup_value(state, 2, 'min') AS min_pressure,
           strata.rollup_value(state, 2, 'max') AS max_pressure,
           strata.rollup_value(state, 3, 'avg') AS avg_temperature,
           strata.rollup_value(state, 4, 'last') AS last_volume,
           strata.rollup_value(state, 5, 'avg') AS avg_quality_score,
           strata.rollup_value(state, 1, 'count')::bigint AS readings
    FROM strata.rollups
    WHERE relation = 'water_infrastructure.sensor_readings'::regclass AND width = interval '1 day';
COMMENT ON VIEW water_infrastructure.sensor_readings_daily IS 'Readings by node and a day';

CREATE OR REPLACE VIEW water_infrastructure.computed_metrics AS
    SELECT key AS node_id,
           CASE width WHEN interval '5 minutes' THEN '5min' WHEN interval '1 hour' THEN '1hour' ELSE '1day' END AS time_window,
           bucket AS window_start,
           bucket + width AS window_end,
           strata.rollup_value(state, 1, 'avg') AS avg_flow_rate,
           strata.rollup_value(state, 1, 'min') AS min_flow_rate,
           strata.rollup_value(state, 1, 'max') AS max_flow_rate,
           strata.rollup_value(state, 2, 'avg') AS avg_pressure,
           (SELECT count(*)::integer FROM strata.anomalies a
            WHERE a.relation = r.relation AND a.key = r.key AND NOT a.suppressed AND a.started_at < r.bucket + r.width
              AND coalesce(a.ended_at, 'infinity') >= r.bucket) AS anomaly_count,
           strata.rollup_value(state, 5, 'avg') AS quality_score
    FROM strata.rollups r
    WHERE relation = 'water_infrastructure.sensor_readings'::regclass;
COMMENT ON VIEW water_infrastructure.computed_metrics IS 'Rollups of all widths in one list';

-- Over one table, so that UPDATE … SET resolved_at = …, metadata = jsonb_set(…) works.
CREATE OR REPLACE VIEW water_infrastructure.anomalies AS
    SELECT anomaly_id,
           key AS node_id,
           measure::text AS measurement_type,
           method AS anomaly_type,
           severity,
           started_at AS detected_at,
           ended_at,
           peak_score AS score,
           peak_value AS actual_value,
           expected AS expected_value,
           lower AS expected_low,
           upper AS expected_high,
           explain,
           acknowledged_at,
           resolved_at,
           resolution,
           metadata
    FROM strata.anomalies
    WHERE relation = 'water_infrastructure.sensor_readings'::regclass AND NOT suppressed;
COMMENT ON VIEW water_infrastructure.anomalies IS 'Anomalies of the network but those of maintenance windows; resolve them here or with strata.resolve_anomaly';

CREATE OR REPLACE VIEW water_infrastructure.etl_jobs AS
    SELECT run_id AS job_id,
           job AS job_name,
           status,
           started_at,
           finished_at AS completed_at,
           rows AS records_processed,
           message AS error_message
    FROM strata.job_runs;
COMMENT ON VIEW water_infrastructure.etl_jobs IS 'Runs of the jobs under the names that morning checklists use';

CREATE OR REPLACE VIEW water_infrastructure.processing_jobs AS
    SELECT run_id AS job_id,
           job AS job_type,
           status,
           started_at AS created_at,
           started_at,
           finished_at AS completed_at,
           extract(epoch FROM finished_at - started_at)::double precision AS duration_seconds,
           jsonb_strip_nulls(jsonb_build_object('rows', rows, 'bytes', bytes, 'message', message)) AS result_summary
    FROM strata.job_runs;
COMMENT ON VIEW water_infrastructure.processing_jobs IS 'Runs of the jobs with their duration and result';

COMMIT;
