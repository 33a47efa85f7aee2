CREATE FUNCTION strata.note_dirty() RETURNS trigger
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'strata_note_dirty';

CREATE FUNCTION strata.rows(relation anyelement, "from" timestamptz, "to" timestamptz, keys text[] DEFAULT NULL)
    RETURNS SETOF anyelement
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 10000 SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'strata_rows';

CREATE FUNCTION strata.latest(relation anyelement, keys text[] DEFAULT NULL)
    RETURNS SETOF anyelement
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 100 SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'strata_latest';

-- plpgsql binds late: the view strata.anomalies comes after these
CREATE FUNCTION strata.acknowledge_anomaly(anomaly bigint) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $acknowledge$
BEGIN
    UPDATE strata.anomalies SET acknowledged_at = now(), acknowledged_by = current_user
    WHERE anomaly_id = anomaly AND acknowledged_at IS NULL;
    IF NOT FOUND AND NOT EXISTS (SELECT FROM strata.anomalies WHERE anomaly_id = anomaly) THEN
        RAISE EXCEPTION 'anomaly % does not exist', anomaly USING ERRCODE = 'no_data_found';
    END IF;
END
$acknowledge$;

CREATE FUNCTION strata.resolve_anomaly(anomaly bigint, resolution text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $resolve$
BEGIN
    UPDATE strata.anomalies SET resolved_at = now(), resolved_by = current_user, resolution = resolve_anomaly.resolution
    WHERE anomaly_id = anomaly;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'anomaly % does not exist', anomaly USING ERRCODE = 'no_data_found';
    END IF;
END
$resolve$;
