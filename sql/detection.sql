-- Called for every row: it looks nothing up by name, and pinning a search path each time would take longer than judging.
CREATE FUNCTION strata.anomaly_score(value double precision, "time" timestamptz,
        method text DEFAULT 'range_novelty', options jsonb DEFAULT '{}') RETURNS double precision
    LANGUAGE c WINDOW IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'strata_anomaly_score';
COMMENT ON FUNCTION strata.anomaly_score(double precision, timestamptz, text, jsonb) IS 'Anomaly score of a reading among those before it: strata.anomaly_score(value, time) OVER (PARTITION BY key ORDER BY time); 0 is as usual, 1 the alarm line';

CREATE FUNCTION strata.detect(times timestamptz[], "values" double precision[],
        method text DEFAULT 'range_novelty', options jsonb DEFAULT '{}')
    RETURNS TABLE ("time" timestamptz, value double precision, score double precision, expected double precision,
        lower double precision, upper double precision, is_anomaly boolean,
        reason text, reason_value double precision, reason_lower double precision, reason_upper double precision)
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 10000 SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'strata_detect';
COMMENT ON FUNCTION strata.detect(timestamptz[], double precision[], text, jsonb) IS 'Judges the readings of one series, given in order: score, expected value, band of usual values, and why it is an anomaly';

CREATE FUNCTION strata.detect_anomalies(relation regclass, "from" timestamptz, "to" timestamptz,
        keys text[] DEFAULT NULL, measures text[] DEFAULT NULL,
        method text DEFAULT 'range_novelty', options jsonb DEFAULT '{}', learn interval DEFAULT '0')
    RETURNS TABLE ("time" timestamptz, key text, measure text,
        value double precision, score double precision, expected double precision,
        lower double precision, upper double precision, is_anomaly boolean,
        reason text, reason_value double precision, reason_lower double precision, reason_upper double precision)
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 10000 SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'strata_detect_anomalies';
COMMENT ON FUNCTION strata.detect_anomalies(regclass, timestamptz, timestamptz, text[], text[], text, jsonb, interval) IS 'Judges the readings of an attached table over all tiers, series by series; the detectors learn from the readings of the interval before the range, and of the range';

CREATE FUNCTION strata.backtest(relation regclass, "from" timestamptz, "to" timestamptz,
        keys text[] DEFAULT NULL, measures text[] DEFAULT NULL,
        method text DEFAULT 'range_novelty', options jsonb DEFAULT '{}',
        labels regclass DEFAULT NULL, ranges tstzrange[] DEFAULT NULL, learn interval DEFAULT '0')
    RETURNS TABLE (key text, measure text, severity text, started_at timestamptz, ended_at timestamptz,
        peak_at timestamptz, peak_score double precision, peak_value double precision, expected double precision,
        lower double precision, upper double precision, explain jsonb, outcome text, delay interval)
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 100 SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'strata_backtest';
COMMENT ON FUNCTION strata.backtest(regclass, timestamptz, timestamptz, text[], text[], text, jsonb, regclass, tstzrange[], interval) IS 'The events that a method would have raised on an attached table; with labels (a table of key, start and end, or ranges) which of them are hits and which labels were missed';

CREATE FUNCTION strata.backtest_score(relation regclass, "from" timestamptz, "to" timestamptz,
        keys text[] DEFAULT NULL, measures text[] DEFAULT NULL,
        method text DEFAULT 'range_novelty', options jsonb DEFAULT '{}',
        labels regclass DEFAULT NULL, ranges tstzrange[] DEFAULT NULL, learn interval DEFAULT '0')
    RETURNS TABLE (events bigint, hits bigint, false_alarms bigint, labels_given bigint, found bigint, missed bigint,
        "precision" double precision, recall double precision, f1 double precision,
        mean_delay interval, longest_delay interval)
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1 SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'strata_backtest_score';
COMMENT ON FUNCTION strata.backtest_score(regclass, timestamptz, timestamptz, text[], text[], text, jsonb, regclass, tstzrange[], interval) IS 'Precision, recall, F1 and detection delay of what strata.backtest raises, against labels';
