//! Statements on the BigQuery emulator behind Strata's back.

use serde_json::{Value, json};
use strata_servers::{BigQuery, PROJECT};

/// Runs a statement and returns its rows as texts.
pub fn query(bigquery: &BigQuery, sql: &str) -> Vec<Vec<Option<String>>> {
    let address = format!("{}/bigquery/v2/projects/{PROJECT}/queries", bigquery.endpoint());
    let body = json!({ "query": sql, "useLegacySql": false, "timeoutMs": 60_000 }).to_string();
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut reply = agent.post(address).header("content-type", "application/json").send(body).unwrap();
    let text = reply.body_mut().read_to_string().unwrap();
    assert!(reply.status().is_success(), "{sql}: {text}");
    let reply: Value = serde_json::from_str(&text).unwrap();
    let rows = reply["rows"].as_array().cloned().unwrap_or_default();
    rows.iter().map(cells).collect()
}

/// The only number of a query.
pub fn count(bigquery: &BigQuery, sql: &str) -> i64 {
    query(bigquery, sql)[0][0].as_ref().unwrap().parse().unwrap()
}

fn cells(row: &Value) -> Vec<Option<String>> {
    row["f"].as_array().unwrap().iter().map(|cell| cell["v"].as_str().map(str::to_owned)).collect()
}

pub fn create_dataset(bigquery: &BigQuery, name: &str) {
    let address = format!("{}/bigquery/v2/projects/{PROJECT}/datasets", bigquery.endpoint());
    let body = json!({ "datasetReference": { "datasetId": name } }).to_string();
    ureq::post(address).header("content-type", "application/json").send(body).unwrap();
}
