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
           acknowledged_at, acknowledged_by, resolved_at, resolved_by, resolution, metadata, last_at,
           EXISTS (SELECT FROM strata.suppressions s
                   WHERE s.source_id = e.source_id AND s.starts_at <= e.started_at AND e.started_at < s.ends_at
                     AND coalesce(e.last_at, e.ended_at, e.peak_at) < s.ends_at
                     AND (s.keys IS NULL OR e.key = ANY (s.keys))
                     AND (s.measures IS NULL OR e.measure = ANY (s.measures))) AS suppressed
    FROM strata.anomaly_events e
    WHERE strata.may_read(source_id);

CREATE VIEW strata.open_anomalies WITH (security_barrier) AS
    SELECT anomaly_id, relation, key, measure::text AS measure, method, severity, started_at,
           date_trunc('second', last_at - started_at) AS lasted, explain ->> 'text' AS why, acknowledged_by
    FROM strata.anomalies
    WHERE ended_at IS NULL AND resolved_at IS NULL AND NOT suppressed
    ORDER BY CASE severity WHEN 'critical' THEN 1 WHEN 'warning' THEN 2 ELSE 3 END, started_at;

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
COMMENT ON COLUMN strata.anomalies.explain IS 'Why it was raised; ended says why it is over, if not by its readings';
COMMENT ON COLUMN strata.anomalies.detected_at IS 'When detection first saw it';
COMMENT ON COLUMN strata.anomalies.acknowledged_at IS 'When somebody took notice';
COMMENT ON COLUMN strata.anomalies.acknowledged_by IS 'Who took notice';
COMMENT ON COLUMN strata.anomalies.resolved_at IS 'When it was resolved';
COMMENT ON COLUMN strata.anomalies.resolved_by IS 'Who resolved it';
COMMENT ON COLUMN strata.anomalies.resolution IS 'What it turned out to be';
COMMENT ON COLUMN strata.anomalies.metadata IS 'Free for operators';
COMMENT ON COLUMN strata.anomalies.last_at IS 'Newest reading in alarm, also while it lasts';
COMMENT ON COLUMN strata.anomalies.suppressed IS 'Whether it began in a maintenance window and was over when that ended';
COMMENT ON VIEW strata.open_anomalies IS 'What is wrong now and why, the worst first: anomalies that last, are not resolved and fall into no maintenance window';
COMMENT ON COLUMN strata.open_anomalies.anomaly_id IS 'Number of the anomaly, for strata.acknowledge_anomaly and strata.resolve_anomaly';
COMMENT ON COLUMN strata.open_anomalies.relation IS 'Attached table';
COMMENT ON COLUMN strata.open_anomalies.key IS 'Key of the series';
COMMENT ON COLUMN strata.open_anomalies.measure IS 'Measure that stands out';
COMMENT ON COLUMN strata.open_anomalies.method IS 'Detection method';
COMMENT ON COLUMN strata.open_anomalies.severity IS 'info, warning or critical';
COMMENT ON COLUMN strata.open_anomalies.started_at IS 'First reading in alarm';
COMMENT ON COLUMN strata.open_anomalies.lasted IS 'From there to the newest reading in alarm';
COMMENT ON COLUMN strata.open_anomalies.why IS 'Why it was raised, in words';
COMMENT ON COLUMN strata.open_anomalies.acknowledged_by IS 'Who took notice';
COMMENT ON COLUMN strata.rollups.relation IS 'Attached table';
COMMENT ON COLUMN strata.rollups.width IS 'Width of the bucket';
COMMENT ON COLUMN strata.rollups.bucket IS 'Start of the bucket';
COMMENT ON COLUMN strata.rollups.key IS 'Key of the series';
COMMENT ON COLUMN strata.rollups.state IS 'Encoded aggregates of all measures';
