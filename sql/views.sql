-- A copy of data has the rights of its table: rows are visible to those who may SELECT from the source and whom no
-- row-level policy restricts.
CREATE FUNCTION strata.may_read(source integer) RETURNS boolean
    LANGUAGE sql STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $may_read$
    SELECT coalesce((SELECT has_table_privilege(relation, 'SELECT') AND NOT row_security_active(relation)
                     FROM strata.sources WHERE source_id = source), false)
$may_read$;

CREATE FUNCTION strata.relation_of(source integer) RETURNS regclass
    LANGUAGE sql STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS 'SELECT relation FROM strata.sources WHERE source_id = source';

-- Over one table, so that UPDATE works through it.
CREATE VIEW strata.anomalies WITH (security_barrier) AS
    SELECT anomaly_id, strata.relation_of(source_id) AS relation, key, measure, method, detector_version, severity,
           started_at, ended_at, peak_at, peak_score, peak_value, expected, lower, upper, explain, detected_at,
           acknowledged_at, acknowledged_by, resolved_at, resolved_by, resolution, metadata
    FROM strata.anomaly_events
    WHERE strata.may_read(source_id);

CREATE VIEW strata.rollups WITH (security_barrier) AS
    SELECT strata.relation_of(source_id) AS relation, make_interval(secs => width) AS width, bucket, key, state
    FROM strata.rollup_states
    WHERE strata.may_read(source_id);

COMMENT ON VIEW strata.anomalies IS 'Anomalies of the sources the reader may SELECT from; acknowledge and resolve them here or with the functions';
COMMENT ON VIEW strata.rollups IS 'Rollups of the sources the reader may SELECT from; strata.rollup_value reads their state';
COMMENT ON COLUMN strata.anomalies.anomaly_id IS 'Number of the anomaly';
COMMENT ON COLUMN strata.anomalies.relation IS 'Attached table';
COMMENT ON COLUMN strata.anomalies.key IS 'Key of the series';
COMMENT ON COLUMN strata.anomalies.measure IS 'Measure that stands out';
COMMENT ON COLUMN strata.anomalies.method IS 'Detection method';
COMMENT ON COLUMN strata.anomalies.detector_version IS 'Version of the detector';
COMMENT ON COLUMN strata.anomalies.severity IS 'info, warning or critical';
COMMENT ON COLUMN strata.anomalies.started_at IS 'First reading in alarm';
COMMENT ON COLUMN strata.anomalies.ended_at IS 'Last reading in alarm; NULL while it lasts';
COMMENT ON COLUMN strata.anomalies.peak_at IS 'Time of the highest score';
COMMENT ON COLUMN strata.anomalies.peak_score IS 'Highest score; 1 is the alarm line';
COMMENT ON COLUMN strata.anomalies.peak_value IS 'Value at the highest score';
COMMENT ON COLUMN strata.anomalies.expected IS 'Value expected there';
COMMENT ON COLUMN strata.anomalies.lower IS 'Lower end of the usual band there';
COMMENT ON COLUMN strata.anomalies.upper IS 'Upper end of the usual band there';
COMMENT ON COLUMN strata.anomalies.explain IS 'Why it was raised';
COMMENT ON COLUMN strata.anomalies.detected_at IS 'When detection first saw it';
COMMENT ON COLUMN strata.anomalies.acknowledged_at IS 'When somebody took notice';
COMMENT ON COLUMN strata.anomalies.acknowledged_by IS 'Who took notice';
COMMENT ON COLUMN strata.anomalies.resolved_at IS 'When it was resolved';
COMMENT ON COLUMN strata.anomalies.resolved_by IS 'Who resolved it';
COMMENT ON COLUMN strata.anomalies.resolution IS 'What it turned out to be';
COMMENT ON COLUMN strata.anomalies.metadata IS 'Free for operators';
COMMENT ON COLUMN strata.rollups.relation IS 'Attached table';
COMMENT ON COLUMN strata.rollups.width IS 'Width of the bucket';
COMMENT ON COLUMN strata.rollups.bucket IS 'Start of the bucket';
COMMENT ON COLUMN strata.rollups.key IS 'Key of the series';
COMMENT ON COLUMN strata.rollups.state IS 'Encoded aggregates of all measures';
