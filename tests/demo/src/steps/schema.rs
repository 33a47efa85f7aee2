use anyhow::Result;
use postgres::Client;
use strata_demo::water_network::NODES;

use crate::database;
use crate::report;
use crate::stack::Stack;

/// Runs of the jobs shall come when the demo says so; [`super::finish`] puts them back on their schedule.
const PAUSE: &str = "SELECT strata.pause_job(name) FROM strata.jobs";

/// Extensions, the water network's schema, the table of measurements: both attached with three tiers.
pub fn create(stack: &Stack, client: &mut Client) -> Result<()> {
    report::step("CREATE EXTENSION timescaledb, strata", |_| {
        client.batch_execute(
            "SET client_min_messages = warning; CREATE EXTENSION timescaledb; CREATE EXTENSION strata;",
        )?;
        client.batch_execute(PAUSE)?;
        let row = client.query_one(
            "SELECT string_agg(extname || ' ' || extversion, ', ' ORDER BY extname DESC) FROM pg_extension
             WHERE extname IN ('timescaledb', 'strata')",
            &[],
        )?;
        Ok(row.get::<_, String>(0))
    })?;
    report::step("sql/water_infrastructure.sql", |_| {
        let path = strata_servers::paths::project().join("sql/water_infrastructure.sql");
        let variables = [("warm", "'30 days'"), ("cold", "'strata_demo.sensor_readings'"), ("drop_archived", "true")];
        database::psql(&stack.postgres, &std::fs::read_to_string(path)?, &variables)?;
        let insert = client.prepare(
            "INSERT INTO water_infrastructure.nodes (node_id, node_name, location_name, zone) VALUES ($1, $2, 'simulated', $3)",
        )?;
        for node in &NODES {
            client.execute(&insert, &[&node.id, &node.name, &node.zone])?;
        }
        Ok("water_infrastructure.sensor_readings attached: hot 24 hours, warm 30 days, cold in BigQuery")
    })?;
    report::step("demo.measurements", |_| {
        client.batch_execute(include_str!("measurements.sql"))?;
        Ok("attached: hot 24 hours, warm 30 days, cold in BigQuery")
    })
}
