//! BigQuery jobs: submitted under an id of our own, waited for, cancelled.
//!
//! A deterministic id makes a repeat safe: when the reply to a submission is lost, or the process dies, submitting
//! again answers 409 and the job that already exists is waited for instead.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use gcp_bigquery_client::model::job::Job;
use gcp_bigquery_client::model::job_configuration::JobConfiguration;
use gcp_bigquery_client::model::job_reference::JobReference;
use serde::Deserialize;

use super::client::ColdClient;
use super::error::{ColdError, ErrorKind};

const FIRST_POLL: Duration = Duration::from_millis(10);
const LONGEST_POLL: Duration = Duration::from_secs(1);
/// Ids tried before giving up: each failed job of the same content uses one up for good.
const MOST_ATTEMPTS: u32 = 100;
/// Jobs started in one run before a failing service is left alone.
const MOST_FRESH: u32 = 3;

/// Which existing jobs count as this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    /// A job that succeeded under this id has done the work.
    Reuse,
    /// Its work was found wanting: run again under the next free id.
    Skip,
}

/// A job to run: what it is called, what it does, and where it is now.
pub(crate) struct JobRun<'a> {
    client: &'a ColdClient,
    /// The id without its attempt number.
    name: String,
    configuration: JobConfiguration,
    /// File content of a load job.
    media: Option<Vec<u8>>,
    existing: Existing,
    in_flight: Mutex<Option<JobReference>>,
}

/// A job that succeeded.
#[derive(Debug, Clone)]
pub(crate) struct JobDone {
    pub job_id: String,
    /// It had succeeded before this run.
    pub reused: bool,
    /// Bytes that a statement was billed for.
    pub bytes_billed: u64,
    pub(crate) reference: JobReference,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JobReply {
    pub job_reference: JobReference,
    #[serde(default)]
    status: Status,
    #[serde(default)]
    pub statistics: Statistics,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    #[serde(default)]
    state: String,
    error_result: Option<ErrorResult>,
}

#[derive(Debug, Deserialize)]
struct ErrorResult {
    reason: Option<String>,
    message: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Statistics {
    pub total_bytes_processed: Option<String>,
    #[serde(default)]
    query: QueryStatistics,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct QueryStatistics {
    total_bytes_billed: Option<String>,
}

impl JobReply {
    fn is_done(&self) -> bool {
        self.status.state == "DONE"
    }

    /// The error the job ended with.
    pub(crate) fn failure(&self) -> Option<ColdError> {
        let error = self.status.error_result.as_ref()?;
        Some(ColdError::job(error.reason.as_deref(), error.message.as_deref()))
    }

    fn done(self, reused: bool) -> JobDone {
        let billed = self.statistics.query.total_bytes_billed.as_deref();
        JobDone {
            job_id: self.job_reference.job_id.clone().unwrap_or_default(),
            reused,
            bytes_billed: billed.and_then(|text| text.parse().ok()).unwrap_or(0),
            reference: self.job_reference,
        }
    }
}

impl<'a> JobRun<'a> {
    /// `name` must be the same whenever the same work is repeated, and may hold letters, digits, `_` and `-`.
    pub(crate) fn new(
        client: &'a ColdClient,
        name: String,
        configuration: JobConfiguration,
        media: Option<Vec<u8>>,
        existing: Existing,
    ) -> JobRun<'a> {
        JobRun { client, name, configuration, media, existing, in_flight: Mutex::new(None) }
    }

    /// Runs the job to its end, or finds it done.
    ///
    /// # Errors
    /// What the job failed with; [`ErrorKind::Retryable`] when it did not end in time (it is then cancelled).
    pub async fn run(&self) -> Result<JobDone, ColdError> {
        let deadline = Instant::now() + self.client.config.job_timeout;
        let mut fresh = 0;
        for attempt in 0..MOST_ATTEMPTS {
            let id = format!("{}_{attempt}", self.name);
            let (job, reused) = match self.submit(&id).await {
                Ok(job) => (job, false),
                Err(error) if error.kind == ErrorKind::Conflict => {
                    let reference = self.client.job_reference(&id);
                    let job = self.client.get_job(&reference).await?;
                    (job, !error.after_lost_reply)
                }
                Err(error) => return Err(error),
            };
            let job = self.wait_done(job, deadline).await?;
            match job.failure() {
                None if reused && self.existing == Existing::Skip => {}
                None => return Ok(job.done(reused)),
                // an id is spent on a failure for good: the next one is the repeat
                Some(_) if reused => {}
                Some(error) => {
                    fresh += 1;
                    if !error.is_retryable() || fresh == MOST_FRESH || Instant::now() > deadline {
                        return Err(error);
                    }
                    let mut retries = self.client.config.retry.start();
                    if let Some(delay) = retries.next_delay(&error) {
                        tokio::time::sleep(delay).await;
                    }
                }
            }
        }
        Err(ColdError::permanent(format!("{MOST_ATTEMPTS} BigQuery jobs named {} have failed", self.name)))
    }

    /// Asks BigQuery to cancel what [`JobRun::run`] has submitted. Best effort: errors have nowhere to go.
    pub async fn cancel(&self) {
        let reference = self.lock().clone();
        if let Some(reference) = reference {
            let _ = self.client.cancel_job(&reference).await;
        }
    }

    /// Submits without waiting for the end.
    pub(crate) async fn submit(&self, id: &str) -> Result<JobReply, ColdError> {
        let reference = self.client.job_reference(id);
        // known before the request is made, so that a lost reply can be cancelled too
        *self.lock() = Some(reference.clone());
        let job =
            Job { configuration: Some(self.configuration.clone()), job_reference: Some(reference), ..Job::default() };
        let reply = match &self.media {
            Some(media) => self.client.upload(&job, media).await?,
            None => {
                let url = self.client.url(&format!("/projects/{}/jobs", self.client.project()));
                let body =
                    serde_json::to_vec(&job).map_err(|_| ColdError::permanent("the job cannot be written as JSON"))?;
                self.client
                    .http
                    .send("submitting a job", &[], |http| json(http.post(&url), body.clone()))
                    .await?
                    .json()?
            }
        };
        *self.lock() = Some(reply.job_reference.clone());
        Ok(reply)
    }

    async fn wait_done(&self, mut job: JobReply, deadline: Instant) -> Result<JobReply, ColdError> {
        let mut delay = FIRST_POLL;
        while !job.is_done() {
            if Instant::now() > deadline {
                self.cancel().await;
                return Err(ColdError::retryable(format!(
                    "the BigQuery job {} did not end within {} s and was cancelled",
                    job.job_reference.job_id.as_deref().unwrap_or("?"),
                    self.client.config.job_timeout.as_secs()
                )));
            }
            tokio::time::sleep(delay).await;
            delay = delay.mul_f64(1.6).min(LONGEST_POLL);
            job = self.client.get_job(&job.job_reference).await?;
        }
        *self.lock() = None;
        Ok(job)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<JobReference>> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn json(request: reqwest::RequestBuilder, body: Vec<u8>) -> reqwest::RequestBuilder {
    request.header(reqwest::header::CONTENT_TYPE, "application/json").body(body)
}

impl ColdClient {
    fn job_reference(&self, id: &str) -> JobReference {
        JobReference {
            job_id: Some(id.to_owned()),
            location: self.config.location.clone(),
            project_id: Some(self.config.project.clone()),
        }
    }

    /// Path of a job below `/jobs` or `/queries`, with its location, without which BigQuery finds only the jobs of its
    /// two multi-regions.
    pub(crate) fn job_url(&self, collection: &str, job: &JobReference, action: &str) -> String {
        let project = job.project_id.as_deref().unwrap_or(self.project());
        let id = job.job_id.as_deref().unwrap_or_default();
        let location = job.location.as_deref().or(self.config.location.as_deref());
        let query = location.map(|l| format!("?location={l}")).unwrap_or_default();
        self.url(&format!("/projects/{project}/{collection}/{id}{action}{query}"))
    }

    async fn get_job(&self, job: &JobReference) -> Result<JobReply, ColdError> {
        let url = self.job_url("jobs", job, "");
        self.http.send("asking for a job", &[], |http| http.get(&url)).await?.json()
    }

    async fn cancel_job(&self, job: &JobReference) -> Result<(), ColdError> {
        let url = self.job_url("jobs", job, "/cancel");
        let _ = self.http.send("cancelling a job", &[404], |http| json(http.post(&url), b"{}".to_vec())).await?;
        Ok(())
    }
}

/// `text` as part of a job id or a table name: what is not a letter, digit or underscore becomes an underscore.
pub(crate) fn name_part(text: &str) -> String {
    text.chars().take(100).map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_job_is_an_error_of_its_reason() {
        let reply: JobReply = serde_json::from_str(
            r#"{"jobReference":{"jobId":"j"},"status":{"state":"DONE","errorResult":{"reason":"bytesBilledLimitExceeded","message":"Query exceeded limit for bytes billed: 1. 10485760 or higher required."}}}"#,
        )
        .unwrap();
        assert!(reply.is_done());
        let error = reply.failure().unwrap();
        assert_eq!(error.kind, ErrorKind::Quota);
        assert!(error.hint.unwrap().contains("strata.cold_max_bytes"));
    }

    #[test]
    fn names_are_fit_for_a_job_id() {
        assert_eq!(name_part("häuser.a-b"), "h_user_a_b");
    }
}
