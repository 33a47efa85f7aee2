-- Functions are for the roles of Strata alone; the trigger runs for whoever writes to a source.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA strata FROM PUBLIC;

GRANT EXECUTE ON FUNCTION
    strata.rows(anyelement, timestamptz, timestamptz, text[]),
    strata.latest(anyelement, text[]),
    strata.buckets(regclass, interval, timestamptz, timestamptz, text[], text[], double precision[]),
    strata.explain(regclass, timestamptz, timestamptz, text[]),
    strata.anomaly_score(double precision, timestamptz, text, jsonb),
    strata.detect(timestamptz[], double precision[], text, jsonb),
    strata.detect_anomalies(regclass, timestamptz, timestamptz, text[], text[], text, jsonb, interval),
    strata.detect_joint(timestamptz[], double precision[], integer, jsonb),
    strata.detect_anomalies_joint(regclass, timestamptz, timestamptz, text[], text[], text, interval, integer, jsonb, interval, integer, text),
    strata.backtest_joint(regclass, timestamptz, timestamptz, text[], text[], text, interval, integer, jsonb, interval, integer, text, regclass, tstzrange[]),
    strata.backtest_score_joint(regclass, timestamptz, timestamptz, text[], text[], text, interval, integer, jsonb, interval, integer, text, regclass, tstzrange[]),
    strata.backtest(regclass, timestamptz, timestamptz, text[], text[], text, jsonb, regclass, tstzrange[], interval),
    strata.backtest_score(regclass, timestamptz, timestamptz, text[], text[], text, jsonb, regclass, tstzrange[], interval),
    strata.plot_anomalies(regclass, text, text, timestamptz, timestamptz, text, jsonb, interval),
    strata.health(),
    strata.hot_anomalies(regclass),
    strata.rollup_value(bytea, integer, text),
    strata.may_read(integer),
    strata.relation_of(integer),
    strata.next_run(text, timestamptz)
    TO strata_reader;

GRANT EXECUTE ON FUNCTION
    strata.import(regclass, timestamptz, timestamptz, text, jsonb, text[]),
    strata.restore(regclass, timestamptz, timestamptz, interval)
    TO strata_cold_reader;

GRANT EXECUTE ON FUNCTION
    strata.attach(regclass, text, text, text[], interval, interval, text, text, boolean),
    strata.detach(regclass, boolean),
    strata.alter_source(regclass, interval, interval, text, boolean, text[]),
    strata.take_over_archive(regclass),
    strata.warm_hot(regclass, interval),
    strata.note_dirty(),
    strata.acknowledge_anomaly(bigint),
    strata.resolve_anomaly(bigint, text),
    strata.set_detector(regclass, text, text, jsonb, double precision, double precision, interval, timestamptz, interval, boolean),
    strata.drop_detector(regclass, text, text),
    strata.suppress(regclass, timestamptz, timestamptz, text[], text[], text),
    strata.end_suppression(bigint),
    strata.train_joint(regclass, text, timestamptz, timestamptz, text[], text[], text, jsonb, interval, integer, boolean),
    strata.alter_joint(text, boolean),
    strata.refit_joint(text, timestamptz),
    strata.run_job(text),
    strata.alter_job(text, text, boolean),
    strata.pause_job(text),
    strata.resume_job(text),
    strata.reset_job(text)
    TO strata_operator;

GRANT SELECT ON strata.anomalies, strata.open_anomalies, strata.rollups TO strata_reader;
GRANT UPDATE (acknowledged_at, acknowledged_by, resolved_at, resolved_by, resolution, metadata) ON strata.anomalies TO strata_operator;

COMMENT ON FUNCTION strata.note_dirty() IS 'Trigger that strata.attach installs: notes the days a transaction touches';
COMMENT ON FUNCTION strata.rows(anyelement, timestamptz, timestamptz, text[]) IS 'Rows of [from, to) of an attached table over Redis, the table and BigQuery, each once: SELECT * FROM strata.rows(NULL::schema.table, …)';
COMMENT ON FUNCTION strata.latest(anyelement, text[]) IS 'The newest reading of each key, out of Redis and the table';
COMMENT ON FUNCTION strata.buckets(regclass, interval, timestamptz, timestamptz, text[], text[], double precision[]) IS 'Aggregates per bucket, key and measure over all tiers';
COMMENT ON FUNCTION strata.explain(regclass, timestamptz, timestamptz, text[]) IS 'Which tier answers which part of a range, with which statement, and what BigQuery would read';
COMMENT ON FUNCTION strata.warm_hot(regclass, interval) IS 'Gives Redis the newest samples of an attached table, as the job warm_hot does after a start of Redis; returns how many it did not have';
COMMENT ON FUNCTION strata.hot_anomalies(regclass) IS 'Alarms of samples that are in Redis only; an event in strata.anomalies follows once they are flushed';
COMMENT ON FUNCTION strata.health() IS 'State of every component, with what to do where it is not ok';
COMMENT ON FUNCTION strata.plot_anomalies(regclass, text, text, timestamptz, timestamptz, text, jsonb, interval) IS 'One measure of one series as an SVG: values, expected values, band, scores and events; learns from the readings of the interval before it';
COMMENT ON FUNCTION strata.rollup_value(bytea, integer, text) IS 'One aggregate (avg, min, max, sum, count, stddev, first, last, rate, pNN) of the measure with that number, counted from 1, out of a rollup state';
COMMENT ON FUNCTION strata.may_read(integer) IS 'Whether the reader may see copies of a source''s data';
COMMENT ON FUNCTION strata.relation_of(integer) IS 'The table of a source';
COMMENT ON FUNCTION strata.import(regclass, timestamptz, timestamptz, text, jsonb, text[]) IS 'Copies rows of [from, to) from a BigQuery table into an attached table; columns maps names where they differ';
COMMENT ON FUNCTION strata.restore(regclass, timestamptz, timestamptz, interval) IS 'Brings days that are in BigQuery only back into the table for a while';
COMMENT ON FUNCTION strata.attach(regclass, text, text, text[], interval, interval, text, text, boolean) IS 'Puts a table under Strata: checks what it needs, installs the triggers, returns the number of the source';
COMMENT ON FUNCTION strata.detach(regclass, boolean) IS 'Lets a table go: its rows stay, what Strata knows of it leaves';
COMMENT ON FUNCTION strata.alter_source(regclass, interval, interval, text, boolean, text[]) IS 'Changes the tiers of a source or adds measures; what is NULL stays';
COMMENT ON FUNCTION strata.take_over_archive(regclass) IS 'Puts this database in the place of the one it is a copy of: it flushes the source and writes its archive from now on';
COMMENT ON FUNCTION strata.acknowledge_anomaly(bigint) IS 'Notes that the caller has seen an anomaly';
COMMENT ON FUNCTION strata.resolve_anomaly(bigint, text) IS 'Closes an anomaly with what it turned out to be';
COMMENT ON FUNCTION strata.set_detector(regclass, text, text, jsonb, double precision, double precision, interval, timestamptz, interval, boolean) IS 'Has the job anomaly_detection watch a measure (NULL: all) of an attached table by a method, beside others; what is NULL is the method''s own. It learns from the interval before since and raises what is not over by then';
COMMENT ON FUNCTION strata.drop_detector(regclass, text, text) IS 'Ends the watch of a measure (NULL: of all that have it) by a method; its events stay, those that last end';
COMMENT ON FUNCTION strata.suppress(regclass, timestamptz, timestamptz, text[], text[], text) IS 'Makes a maintenance window: readings are judged and learned from, but what begins in it is told to nobody unless it outlasts it; returns its number';
COMMENT ON FUNCTION strata.end_suppression(bigint) IS 'Ends a maintenance window now';
