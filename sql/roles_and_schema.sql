-- Roles are shared by all databases of a cluster: a second CREATE EXTENSION finds them, and DROP EXTENSION leaves them.
-- The lock makes the second of two that come at the same time wait for the first.
LOCK TABLE pg_catalog.pg_authid IN SHARE ROW EXCLUSIVE MODE;

DO $roles$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['strata_reader', 'strata_cold_reader', 'strata_operator'] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = wanted) THEN
            EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', wanted);
        END IF;
    END LOOP;
END
$roles$;

GRANT strata_reader TO strata_cold_reader;
GRANT strata_cold_reader TO strata_operator;

-- Made here, the schema belongs to the extension and goes with it. One that the control file names is made by PostgreSQL, which
-- leaves it behind. What follows without a schema belongs there.
CREATE SCHEMA strata;
COMMENT ON SCHEMA strata IS 'Strata: one data set out of Redis, PostgreSQL and BigQuery';
GRANT USAGE ON SCHEMA strata TO strata_reader;
SET LOCAL search_path = strata, pg_temp;
