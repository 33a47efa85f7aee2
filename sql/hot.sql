CREATE TABLE strata.hot_state (
    source_id        integer PRIMARY KEY REFERENCES strata.sources ON DELETE CASCADE,
    filled_instance  text,
    filled_at        timestamptz,
    watched_instance text,
    watched_states   text,
    watched_at       timestamptz
) WITH (fillfactor = 50);
COMMENT ON TABLE strata.hot_state IS 'What Redis was last given of each source: samples after a start, and detectors';
COMMENT ON COLUMN strata.hot_state.source_id IS 'Number of the source';
COMMENT ON COLUMN strata.hot_state.filled_instance IS 'Run of Redis that has the newest samples of the table: instance in STRATA.INFO';
COMMENT ON COLUMN strata.hot_state.filled_at IS 'When the job warm_hot saw to it';
COMMENT ON COLUMN strata.hot_state.watched_instance IS 'Run of Redis that watches the source; NULL: none does';
COMMENT ON COLUMN strata.hot_state.watched_states IS 'Hash of the detectors that it was given';
COMMENT ON COLUMN strata.hot_state.watched_at IS 'When it was given them';
