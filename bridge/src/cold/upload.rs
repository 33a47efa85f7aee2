//! Load jobs with the file in the request
//! (<https://cloud.google.com/bigquery/docs/reference/api-uploads>): one multipart request for a small file, a
//! resumable session for a large one.

use gcp_bigquery_client::model::job::Job;
use reqwest::Url;
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};

use super::client::ColdClient;
use super::error::{ColdError, ErrorKind};
use super::http::Reply;
use super::job::{JobReply, json};

/// Beyond this a lost connection should not cost the whole upload again.
const LARGEST_MULTIPART: usize = 4 << 20;
/// The protocol asks for multiples of 256 KiB.
const CHUNK: usize = 8 << 20;
const RESUME_INCOMPLETE: u16 = 308;
const MEDIA_TYPE: &str = "application/octet-stream";

impl ColdClient {
    /// Submits a load job together with its file.
    pub(crate) async fn upload(&self, job: &Job, media: &[u8]) -> Result<JobReply, ColdError> {
        let job = serde_json::to_vec(job).map_err(|_| ColdError::permanent("the job cannot be written as JSON"))?;
        let path = format!("/projects/{}/jobs", self.project());
        let url = self.upload_url(&path);
        let reply = if media.len() <= LARGEST_MULTIPART {
            self.upload_multipart(&url, &job, media).await?
        } else {
            self.upload_resumable(&url, job, media).await?
        };
        reply.json()
    }

    async fn upload_multipart(&self, url: &str, job: &[u8], media: &[u8]) -> Result<Reply, ColdError> {
        let (boundary, body) = multipart(job, media);
        let kind = format!("multipart/related; boundary={boundary}");
        self.http
            .send("uploading", &[], |http| {
                http.post(url).query(&[("uploadType", "multipart")]).header(CONTENT_TYPE, &kind).body(body.clone())
            })
            .await
    }

    async fn upload_resumable(&self, url: &str, job: Vec<u8>, media: &[u8]) -> Result<Reply, ColdError> {
        let opened = self
            .http
            .send("starting an upload", &[], |http| {
                json(http.post(url), job.clone())
                    .query(&[("uploadType", "resumable")])
                    .header("X-Upload-Content-Type", MEDIA_TYPE)
                    .header("X-Upload-Content-Length", media.len())
            })
            .await?;
        let session = session_url(&opened, url)?;
        let total = media.len();
        let mut sent = 0;
        loop {
            let end = total.min(sent + CHUNK);
            let chunk = media[sent..end].to_vec();
            let range = format!("bytes {sent}-{}/{total}", end - 1);
            let result = self
                .http
                .send("uploading", &[RESUME_INCOMPLETE], |http| {
                    http.put(session.clone())
                        .header(CONTENT_TYPE, MEDIA_TYPE)
                        .header(CONTENT_RANGE, &range)
                        .body(chunk.clone())
                })
                .await;
            let reply = match result {
                // a chunk that arrived although its reply was lost is refused: the service says what it has
                Err(error) if error.kind == ErrorKind::Permanent && error.after_lost_reply => {
                    self.upload_progress(&session, total).await?
                }
                other => other?,
            };
            if reply.status.as_u16() != RESUME_INCOMPLETE {
                return Ok(reply);
            }
            let received = received_bytes(&reply);
            if received > total || received + CHUNK < sent {
                return Err(ColdError::retryable("the upload session lost its place"));
            }
            sent = received;
        }
    }

    async fn upload_progress(&self, session: &Url, total: usize) -> Result<Reply, ColdError> {
        self.http
            .send("asking for an upload's progress", &[RESUME_INCOMPLETE], |http| {
                http.put(session.clone())
                    .header(CONTENT_RANGE, format!("bytes */{total}"))
                    .header(reqwest::header::CONTENT_LENGTH, 0)
            })
            .await
    }
}

/// A `multipart/related` body (RFC 2387) of the job and its file, and the boundary it uses.
fn multipart(job: &[u8], media: &[u8]) -> (String, Vec<u8>) {
    let mut number = 0u32;
    let boundary = loop {
        let candidate = format!("strata-part-{number}");
        if !contains(media, candidate.as_bytes()) && !contains(job, candidate.as_bytes()) {
            break candidate;
        }
        number += 1;
    };
    let mut body = Vec::with_capacity(job.len() + media.len() + 256);
    body.extend_from_slice(format!("--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n").as_bytes());
    body.extend_from_slice(job);
    body.extend_from_slice(format!("\r\n--{boundary}\r\nContent-Type: {MEDIA_TYPE}\r\n\r\n").as_bytes());
    body.extend_from_slice(media);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    (boundary, body)
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// The address of the upload session. It gets the access token too, so it must be on the host we asked.
fn session_url(reply: &Reply, asked: &str) -> Result<Url, ColdError> {
    let location = reply
        .headers
        .get(LOCATION)
        .and_then(|value| value.to_str().ok())
        .ok_or_else(|| ColdError::retryable("the upload was not given a session"))?;
    let asked = Url::parse(asked).map_err(|_| ColdError::permanent("not an address"))?;
    let session = asked.join(location).map_err(|_| ColdError::permanent("the upload session has no usable address"))?;
    if session.origin() != asked.origin() {
        return Err(ColdError::permanent("the upload session is on another host"));
    }
    Ok(session)
}

/// Bytes that the session holds, from `Range: bytes=0-N`; no header means none.
fn received_bytes(reply: &Reply) -> usize {
    reply
        .headers
        .get(RANGE)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.rsplit_once('-'))
        .and_then(|(_, last)| last.parse::<usize>().ok())
        .map_or(0, |last| last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boundary_does_not_occur_in_the_file() {
        let (boundary, body) = multipart(b"{}", b"xx strata-part-0 yy");
        assert_eq!(boundary, "strata-part-1");
        let text = String::from_utf8(body).unwrap();
        assert!(text.starts_with("--strata-part-1\r\n"), "{text}");
        assert!(text.contains("\r\n\r\nxx strata-part-0 yy\r\n--strata-part-1--\r\n"), "{text}");
    }
}
