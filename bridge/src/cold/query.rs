//! Statements and their results, page by page.
//!
//! A statement runs as a job under an id made before it is submitted (not through `jobs.query`, which tells the id
//! only in its reply), so that it can be cancelled at any moment.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use gcp_bigquery_client::model::job_configuration::JobConfiguration;
use gcp_bigquery_client::model::job_configuration_query::JobConfigurationQuery;
use gcp_bigquery_client::model::job_reference::JobReference;
use gcp_bigquery_client::model::query_parameter::QueryParameter;
use gcp_bigquery_client::model::query_parameter_type::QueryParameterType;
use gcp_bigquery_client::model::query_parameter_value::QueryParameterValue;
use serde::Deserialize;
use series::time::Micros;

use super::client::ColdClient;
use super::error::ColdError;
use super::job::{Existing, JobReply, JobRun, json};
use super::retry::random_u64;
use super::value::timestamp_text;

/// The value of a named parameter, `@name` in the statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Parameter {
    Text(String),
    Int(i64),
    Float(f64),
    Timestamp(Micros),
    Texts(Vec<String>),
    Ints(Vec<i64>),
}

/// A statement that only reads.
#[derive(Debug, Clone)]
pub struct Query {
    pub sql: String,
    pub parameters: Vec<(&'static str, Parameter)>,
    /// Value of the job's label `strata`: what the statement is for. Lower-case letters, digits, `_` and `-`.
    pub purpose: &'static str,
    /// Whether an earlier result of the same statement will do (BigQuery then bills nothing).
    pub use_cache: bool,
}

/// One cell as the service sent it.
pub type RawCell = Option<String>;

/// The results of a query as they arrive. `next_page` takes `&self`, so that a wait can hold the page and the
/// cancellation at the same time.
pub struct QueryStream<'a> {
    client: &'a ColdClient,
    run: JobRun<'a>,
    page_size: u32,
    progress: Mutex<Progress>,
}

#[derive(Clone, Default)]
struct Progress {
    job: Option<JobReference>,
    page_token: Option<String>,
    finished: bool,
    bytes_billed: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    #[serde(default)]
    job_complete: bool,
    page_token: Option<String>,
    #[serde(default)]
    rows: Vec<PageRow>,
}

#[derive(Deserialize)]
struct PageRow {
    f: Vec<PageCell>,
}

#[derive(Deserialize)]
struct PageCell {
    v: RawCell,
}

/// How long the service may hold a request for results that are not ready, in milliseconds.
const LONG_POLL: &str = "10000";

impl<'a> QueryStream<'a> {
    /// Nothing is sent before the first page is asked for. `page_size` is the most rows in one page.
    pub fn new(client: &'a ColdClient, query: &Query, page_size: u32) -> QueryStream<'a> {
        let configuration = client.query_configuration(query);
        let name = format!("strata_{}_{:016x}", query.purpose, random_u64());
        QueryStream {
            client,
            run: JobRun::new(client, name, configuration, None, Existing::Reuse),
            page_size,
            progress: Mutex::default(),
        }
    }

    /// The next rows, one `Option<String>` per selected column; `None` after the last. An empty page is possible.
    ///
    /// # Errors
    /// What the statement or the request failed with.
    pub async fn next_page(&self) -> Result<Option<Vec<Vec<RawCell>>>, ColdError> {
        let progress = self.lock().clone();
        if progress.finished {
            return Ok(None);
        }
        let job = match progress.job {
            Some(job) => job,
            None => {
                let done = self.run.run().await?;
                let mut progress = self.lock();
                progress.bytes_billed = done.bytes_billed;
                progress.job.insert(done.reference).clone()
            }
        };
        let url = self.client.job_url("queries", &job, "");
        let page_size = self.page_size.to_string();
        loop {
            let page: Page = self
                .client
                .http
                .send("reading results", &[], |http| {
                    let request = http.get(&url).query(&[("maxResults", page_size.as_str()), ("timeoutMs", LONG_POLL)]);
                    match &progress.page_token {
                        Some(token) => request.query(&[("pageToken", token)]),
                        None => request,
                    }
                })
                .await?
                .json()?;
            if !page.job_complete {
                continue;
            }
            let mut progress = self.lock();
            progress.finished = page.page_token.is_none();
            progress.page_token = page.page_token;
            let rows = page.rows.into_iter();
            return Ok(Some(rows.map(|row| row.f.into_iter().map(|cell| cell.v).collect()).collect()));
        }
    }

    /// Asks BigQuery to stop working on the statement.
    pub async fn cancel(&self) {
        self.run.cancel().await;
    }

    /// Known once the first page is there; 0 before.
    pub fn bytes_billed(&self) -> u64 {
        self.lock().bytes_billed
    }

    /// Id of the job that ran, once it did.
    pub fn job_id(&self) -> Option<String> {
        self.lock().job.as_ref().and_then(|job| job.job_id.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ColdClient {
    /// The configuration that every statement gets: the byte cap, the time limit and the label.
    pub(crate) fn statement(&self, sql: String, purpose: &str) -> JobConfiguration {
        JobConfiguration {
            query: Some(JobConfigurationQuery {
                query: sql,
                use_legacy_sql: Some(false),
                maximum_bytes_billed: Some(self.config.max_bytes_billed.to_string()),
                ..JobConfigurationQuery::default()
            }),
            ..self.job_configuration(purpose)
        }
    }

    /// The part of a configuration that every job gets, load jobs too.
    pub(crate) fn job_configuration(&self, purpose: &str) -> JobConfiguration {
        JobConfiguration {
            labels: Some(HashMap::from([("strata".to_owned(), purpose.to_owned())])),
            job_timeout_ms: Some(self.config.job_timeout.as_millis().to_string()),
            ..JobConfiguration::default()
        }
    }

    fn query_configuration(&self, query: &Query) -> JobConfiguration {
        let mut configuration = self.statement(query.sql.clone(), query.purpose);
        if let Some(statement) = &mut configuration.query {
            statement.use_query_cache = Some(query.use_cache);
            if !query.parameters.is_empty() {
                statement.parameter_mode = Some("NAMED".to_owned());
                statement.query_parameters =
                    Some(query.parameters.iter().map(|(name, value)| value.named(name)).collect());
            }
        }
        configuration
    }

    /// Runs a statement whose repetition does no harm, under an id of its own.
    pub(crate) async fn run_statement(&self, sql: String, purpose: &str) -> Result<(), ColdError> {
        let name = format!("strata_{purpose}_{:016x}", random_u64());
        let configuration = self.statement(sql, purpose);
        let run = JobRun::new(self, name, configuration, None, Existing::Reuse);
        run.run().await.map(drop)
    }

    /// Bytes that the query would read, without running it.
    ///
    /// # Errors
    /// What is wrong with the statement, or with the way to BigQuery.
    pub async fn dry_run(&self, query: &Query) -> Result<u64, ColdError> {
        let mut configuration = self.query_configuration(query);
        configuration.dry_run = Some(true);
        let url = self.url(&format!("/projects/{}/jobs", self.project()));
        let body = serde_json::to_vec(&serde_json::json!({
            "configuration": configuration,
            "jobReference": {"projectId": self.project(), "location": self.config.location},
        }))
        .map_err(|_| ColdError::permanent("the job cannot be written as JSON"))?;
        let reply: JobReply =
            self.http.send("estimating a query", &[], |http| json(http.post(&url), body.clone())).await?.json()?;
        match reply.failure() {
            Some(error) => Err(error),
            None => {
                let bytes = reply.statistics.total_bytes_processed.as_deref();
                Ok(bytes.and_then(|text| text.parse().ok()).unwrap_or(0))
            }
        }
    }
}

impl Parameter {
    fn named(&self, name: &str) -> QueryParameter {
        let scalar = |kind: &str, value: String| {
            (
                QueryParameterType { r#type: kind.to_owned(), ..QueryParameterType::default() },
                QueryParameterValue { value: Some(value), ..QueryParameterValue::default() },
            )
        };
        let array = |kind: &str, values: Vec<String>| {
            let (element, _) = scalar(kind, String::new());
            let values = values.into_iter().map(|value| scalar(kind, value).1).collect();
            (
                QueryParameterType {
                    r#type: "ARRAY".to_owned(),
                    array_type: Some(Box::new(element)),
                    ..QueryParameterType::default()
                },
                QueryParameterValue { array_values: Some(values), ..QueryParameterValue::default() },
            )
        };
        let (kind, value) = match self {
            Parameter::Text(text) => scalar("STRING", text.clone()),
            Parameter::Int(number) => scalar("INT64", number.to_string()),
            Parameter::Float(number) => scalar("FLOAT64", number.to_string()),
            Parameter::Timestamp(micros) => scalar("TIMESTAMP", timestamp_text(*micros)),
            Parameter::Texts(texts) => array("STRING", texts.clone()),
            Parameter::Ints(numbers) => array("INT64", numbers.iter().map(i64::to_string).collect()),
        };
        QueryParameter { name: Some(name.to_owned()), parameter_type: Some(kind), parameter_value: Some(value) }
    }
}
