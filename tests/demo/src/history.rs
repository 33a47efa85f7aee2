//! A history as a user may have it in BigQuery long before Strata comes: plain tables, filled by plain load jobs.

use std::fmt::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use series::time::Micros;
use strata_servers::{BigQuery, PROJECT};

use crate::data::{Row, Source};

pub const DATASET: &str = "history";
/// Where Strata keeps its archive.
pub const ARCHIVE: &str = "strata_demo";

const BOUNDARY: &str = "strata-demo-part";
const ROWS_PER_JOB: usize = 60_000;
// the emulator does one thing at a time, and a large load takes it a while
const PATIENCE: Duration = Duration::from_secs(300);

pub struct History<'a> {
    server: &'a BigQuery,
    agent: ureq::Agent,
}

impl<'a> History<'a> {
    pub fn new(server: &'a BigQuery) -> Self {
        let config = ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).http_status_as_error(false);
        Self { server, agent: config.build().into() }
    }

    /// Removes the datasets of an earlier run and makes the one for the history.
    pub fn reset(&self) -> Result<()> {
        for dataset in [DATASET, ARCHIVE] {
            let url = self.url(&format!("datasets/{dataset}?deleteContents=true"));
            let status = self.agent.delete(url).call()?.status();
            if !status.is_success() && status != 404 {
                bail!("BigQuery does not remove dataset {dataset}: {status}");
            }
        }
        self.post(&self.url("datasets"), &json!({"datasetReference": {"projectId": PROJECT, "datasetId": DATASET}}))?;
        Ok(())
    }

    /// Loads rows of `source` into `history.<source>`; `done` is told the number of rows loaded so far.
    pub fn load(&self, source: &Source, rows: &[&Row], mut done: impl FnMut(usize)) -> Result<()> {
        for (job, part) in rows.chunks(ROWS_PER_JOB).enumerate() {
            self.load_part(source, part)?;
            done((job * ROWS_PER_JOB + part.len()).min(rows.len()));
        }
        Ok(())
    }

    fn load_part(&self, source: &Source, rows: &[&Row]) -> Result<()> {
        let field = |name: &str, kind: &str| json!({"name": name, "type": kind});
        let mut fields = vec![field(source.time_column, "TIMESTAMP"), field(source.key_column, "STRING")];
        fields.extend(source.measures.iter().map(|measure| field(measure, "FLOAT64")));
        let job = json!({
            "configuration": {"load": {
                "destinationTable": {"projectId": PROJECT, "datasetId": DATASET, "tableId": source.name},
                "schema": {"fields": fields},
                "timePartitioning": {"type": "DAY", "field": source.time_column},
                "sourceFormat": "NEWLINE_DELIMITED_JSON",
                "writeDisposition": "WRITE_APPEND",
            }}
        });
        let mut body = String::with_capacity(rows.len() * 160);
        write!(body, "--{BOUNDARY}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{job}\r\n")?;
        write!(body, "--{BOUNDARY}\r\nContent-Type: application/octet-stream\r\n\r\n")?;
        for row in rows {
            writeln!(body, "{}", as_json(source, row))?;
        }
        write!(body, "\r\n--{BOUNDARY}--\r\n")?;
        let url = format!("{}/upload/bigquery/v2/projects/{PROJECT}/jobs?uploadType=multipart", self.server.endpoint());
        let response = self
            .agent
            .post(url)
            .header("Content-Type", format!("multipart/related; boundary={BOUNDARY}"))
            .send(body)
            .context("BigQuery does not take the history")?;
        self.wait_for(read(response)?)
    }

    fn wait_for(&self, mut job: Value) -> Result<()> {
        let started = Instant::now();
        loop {
            if let Some(error) = job["status"].get("errorResult") {
                bail!("loading the history failed: {error}");
            }
            if job["status"]["state"] == "DONE" {
                return Ok(());
            }
            if started.elapsed() > PATIENCE {
                bail!("loading the history takes too long");
            }
            thread::sleep(Duration::from_millis(100));
            let id = job["jobReference"]["jobId"].as_str().context("a load job without an id")?.to_owned();
            job = read(self.agent.get(self.url(&format!("jobs/{id}"))).call()?)?;
        }
    }

    fn post(&self, url: &str, body: &Value) -> Result<Value> {
        read(self.agent.post(url).header("Content-Type", "application/json").send(body.to_string())?)
    }

    fn url(&self, rest: &str) -> String {
        format!("{}/bigquery/v2/projects/{PROJECT}/{rest}", self.server.endpoint())
    }
}

fn read(mut response: ureq::http::Response<ureq::Body>) -> Result<Value> {
    let status = response.status();
    let text = response.body_mut().read_to_string()?;
    if !status.is_success() {
        bail!("BigQuery answers {status}: {text}");
    }
    Ok(serde_json::from_str(&text)?)
}

fn as_json(source: &Source, row: &Row) -> Value {
    let mut object = serde_json::Map::new();
    object.insert(source.time_column.to_owned(), json!(timestamp(row.time)));
    object.insert(source.key_column.to_owned(), json!(row.key));
    for (measure, value) in source.measures.iter().zip(&row.values) {
        object.insert((*measure).to_owned(), json!(value));
    }
    Value::Object(object)
}

/// A time as both BigQuery and PostgreSQL read it, to the microsecond.
pub fn timestamp(time: Micros) -> String {
    chrono::DateTime::from_timestamp_micros(time)
        .map(|time| time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string())
        .unwrap_or_default()
}
