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

CREATE FUNCTION strata.detect_joint(times timestamptz[], "values" double precision[], training integer,
        options jsonb DEFAULT '{}')
    RETURNS TABLE ("time" timestamptz, score double precision, is_anomaly boolean,
        change_score double precision, is_change boolean,
        reason text, sensor integer, reason_value double precision, reason_lower double precision,
        reason_upper double precision, expected double precision, change_sensor integer)
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 10000 SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'strata_detect_joint';
COMMENT ON FUNCTION strata.detect_joint(timestamptz[], double precision[], integer, jsonb) IS 'Judges several sensors together: values has a row per time and a column per sensor, the first rows are the training; sensors count from 1';

CREATE FUNCTION strata.detect_anomalies_joint(relation regclass, "from" timestamptz, "to" timestamptz,
        keys text[] DEFAULT NULL, measures text[] DEFAULT NULL, "by" text DEFAULT 'key',
        training interval DEFAULT NULL, training_rows integer DEFAULT NULL, options jsonb DEFAULT '{}',
        step interval DEFAULT NULL, hold integer DEFAULT 0, model text DEFAULT NULL)
    RETURNS TABLE ("time" timestamptz, key text, score double precision, is_anomaly boolean,
        change_score double precision, is_change boolean,
        reason text, reason_key text, reason_measure text, reason_value double precision, reason_lower double precision,
        reason_upper double precision, expected double precision, change_key text, change_measure text)
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 10000 SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'strata_detect_anomalies_joint';
COMMENT ON FUNCTION strata.detect_anomalies_joint(regclass, timestamptz, timestamptz, text[], text[], text, interval, integer, jsonb, interval, integer, text) IS 'Judges measures of an attached table together over all tiers, those of each key or of all keys; the detectors are fitted to the interval before the range, to its first rows, or come from a stored model';

CREATE FUNCTION strata.backtest_joint(relation regclass, "from" timestamptz, "to" timestamptz,
        keys text[] DEFAULT NULL, measures text[] DEFAULT NULL, "by" text DEFAULT 'key',
        training interval DEFAULT NULL, training_rows integer DEFAULT NULL, options jsonb DEFAULT '{}',
        step interval DEFAULT NULL, hold integer DEFAULT 0, model text DEFAULT NULL,
        labels regclass DEFAULT NULL, ranges tstzrange[] DEFAULT NULL)
    RETURNS TABLE (key text, measure text, severity text, started_at timestamptz, ended_at timestamptz,
        peak_at timestamptz, peak_score double precision, peak_value double precision, expected double precision,
        lower double precision, upper double precision, explain jsonb, outcome text, delay interval)
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 100 SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'strata_backtest_joint';
COMMENT ON FUNCTION strata.backtest_joint(regclass, timestamptz, timestamptz, text[], text[], text, interval, integer, jsonb, interval, integer, text, regclass, tstzrange[]) IS 'The alarms that the joint detector would have raised on an attached table, one event each; with labels (a table of key, start and end, or ranges) which of them are hits and which labels were missed';

CREATE FUNCTION strata.backtest_score_joint(relation regclass, "from" timestamptz, "to" timestamptz,
        keys text[] DEFAULT NULL, measures text[] DEFAULT NULL, "by" text DEFAULT 'key',
        training interval DEFAULT NULL, training_rows integer DEFAULT NULL, options jsonb DEFAULT '{}',
        step interval DEFAULT NULL, hold integer DEFAULT 0, model text DEFAULT NULL,
        labels regclass DEFAULT NULL, ranges tstzrange[] DEFAULT NULL)
    RETURNS TABLE (events bigint, hits bigint, false_alarms bigint, labels_given bigint, found bigint, missed bigint,
        "precision" double precision, recall double precision, f1 double precision,
        mean_delay interval, longest_delay interval)
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1 SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'strata_backtest_score_joint';
COMMENT ON FUNCTION strata.backtest_score_joint(regclass, timestamptz, timestamptz, text[], text[], text, interval, integer, jsonb, interval, integer, text, regclass, tstzrange[]) IS 'Precision, recall, F1 and detection delay of what strata.backtest_joint raises, against labels';

CREATE FUNCTION strata.train_joint(relation regclass, name text, "from" timestamptz, "to" timestamptz,
        keys text[] DEFAULT NULL, measures text[] DEFAULT NULL, "by" text DEFAULT 'key', options jsonb DEFAULT '{}',
        step interval DEFAULT NULL, hold integer DEFAULT 0, refit boolean DEFAULT NULL) RETURNS integer
    LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'strata_train_joint';
COMMENT ON FUNCTION strata.train_joint(regclass, text, timestamptz, timestamptz, text[], text[], text, jsonb, interval, integer, boolean) IS 'Fits joint models to the rows of a range and keeps them under a name, in the place of those it had; returns how many. refit says whether the job joint_refit fits them anew; NULL: as it was, at first not';

CREATE FUNCTION strata.alter_joint(name text, refit boolean) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'alter_joint_wrapper';
COMMENT ON FUNCTION strata.alter_joint(text, boolean) IS 'Says whether the job joint_refit fits the joint models of a name anew, with the rights of the caller';

CREATE FUNCTION strata.refit_joint(name text, "to" timestamptz DEFAULT now()) RETURNS integer
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'strata_refit_joint';
COMMENT ON FUNCTION strata.refit_joint(text, timestamptz) IS 'Fits the joint models of a name anew to a range of the same length that ends at the given time; returns how many, the others stay as they are';
