//! What the emulator does not model: job ids that exist, overload, lost replies, refused credentials, limits, cancels.
//! A scripted server stands in for the service.

mod cold_support;

use std::cell::Cell as Flag;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bridge::archive::{Archived, archive_day};
use bridge::cold::{ColdClient, ColdError, Credentials, ErrorKind, MergeMode, ReadRequest, estimate_rows, read_rows};
use bridge::table::{Cell, Row};
use bridge::wait::{BlockingWait, Wait};
use cold_support::*;
use serde_json::{Value, json};

use strata_servers::{Request, Response, ScriptedHttp};

/// A service in which everything succeeds at once and the archive holds `rows`, unless `script` says otherwise.
fn service(rows: Vec<Row>, script: impl Fn(&Request) -> Option<Response> + Send + Sync + 'static) -> ScriptedHttp {
    ScriptedHttp::start(move |request| script(request).unwrap_or_else(|| plain_answer(request, &rows)))
}

fn plain_answer(request: &Request, rows: &[Row]) -> Response {
    let reply = |body: Value| Response::json(200, &body.to_string());
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", path) if path.contains("/tables/") => reply(json!({
            "etag": "e", "numRows": "0", "labels": {"strata_owner": owner().as_str()},
            "schema": {"fields": [
                {"name": "time", "type": "TIMESTAMP"}, {"name": "node", "type": "STRING"}, {"name": "flow", "type": "FLOAT"},
            ]},
        })),
        ("POST", path) if path.ends_with("/jobs") => reply(done(&job_id(request))),
        ("GET", path) if path.contains("/jobs/") => reply(done(path.rsplit('/').next().unwrap())),
        ("GET", path) if path.contains("/queries/") => reply(page(rows)),
        ("DELETE", _) => Response::status(204),
        _ => Response::json(404, "{}"),
    }
}

fn done(id: &str) -> Value {
    json!({"jobReference": {"projectId": "p", "jobId": id, "location": "EU"}, "status": {"state": "DONE"}})
}

fn failed(id: &str, reason: &str, message: &str) -> Value {
    let mut job = done(id);
    job["status"]["errorResult"] = json!({"reason": reason, "message": message});
    job
}

fn running(id: &str) -> Response {
    let mut job = done(id);
    job["status"]["state"] = "RUNNING".into();
    Response::json(200, &job.to_string())
}

fn refusal(status: u16, reason: &str, message: &str) -> Response {
    let body =
        json!({"error": {"code": status, "message": message, "errors": [{"reason": reason, "message": message}]}});
    Response::json(status, &body.to_string())
}

fn page(rows: &[Row]) -> Value {
    let cell = |cell: &Cell| match cell {
        Cell::Timestamp(time) => json!({"v": time.to_string()}),
        Cell::Text(text) => json!({"v": text}),
        Cell::Float(value) => json!({"v": value.to_string()}),
        other => panic!("{other:?}"),
    };
    let rows: Vec<Value> = rows.iter().map(|row| json!({"f": row.iter().map(cell).collect::<Vec<_>>()})).collect();
    json!({"jobComplete": true, "rows": rows})
}

/// The job resource in the body of an insert, or in the first part of an upload.
fn job(request: &Request) -> Value {
    let text = request.text();
    let start = text.find('{').unwrap();
    serde_json::Deserializer::from_str(&text[start..]).into_iter().next().unwrap().unwrap()
}

fn job_id(request: &Request) -> String {
    job(request)["jobReference"]["jobId"].as_str().unwrap_or_default().to_owned()
}

fn is_upload(request: &Request) -> bool {
    request.method == "POST" && request.path.starts_with("/upload/")
}

fn is_insert(request: &Request) -> bool {
    request.method == "POST" && request.path.ends_with("/jobs")
}

fn uploads(server: &ScriptedHttp) -> Vec<String> {
    server.requests().iter().filter(|request| is_upload(request)).map(job_id).collect()
}

fn archive(client: &ColdClient, rows: &[Row]) -> Result<Archived, ColdError> {
    let wait = BlockingWait::new().unwrap();
    let table = client.table("archive.readings").unwrap();
    let archive = open(&wait, client, &table, narrow_shape())?;
    archive_day(&wait, &archive, DAY, rows, MergeMode::Replace)
}

fn archive_at(server: &ScriptedHttp, rows: &[Row]) -> Result<Archived, ColdError> {
    archive(&client(&server.endpoint()), rows)
}

#[test]
fn a_job_that_exists_is_waited_for() {
    let rows = readings(DAY, 3);
    let polls = AtomicUsize::new(0);
    let server = service(rows.clone(), move |request| {
        if is_upload(request) {
            return Some(refusal(409, "duplicate", "Already Exists: Job p:EU.x"));
        }
        let polled = request.path.contains("/jobs/strata_load_") && polls.fetch_add(1, Ordering::SeqCst) < 2;
        polled.then(|| running(request.path.rsplit('/').next().unwrap()))
    });
    let archived = archive_at(&server, &rows).unwrap();
    let loads = uploads(&server);
    assert_eq!(loads.len(), 1);
    assert_eq!(archived.job_ids[0], loads[0]);
    let polls = server.requests().iter().filter(|r| r.method == "GET" && r.path.ends_with(&loads[0])).count();
    assert_eq!(polls, 3);
}

#[test]
fn a_lost_reply_does_not_run_the_job_twice() {
    let rows = readings(DAY, 3);
    let server = service(rows.clone(), {
        let tries = AtomicUsize::new(0);
        move |request| {
            let first = is_upload(request).then(|| tries.fetch_add(1, Ordering::SeqCst))?;
            Some(if first == 0 { Response::lost() } else { refusal(409, "duplicate", "Already Exists") })
        }
    });
    let archived = archive_at(&server, &rows).unwrap();
    let loads = uploads(&server);
    assert_eq!(loads.len(), 2);
    assert_eq!(loads[0], loads[1]);
    assert_eq!(archived.job_ids[0], loads[0]);
}

#[test]
fn the_same_rows_give_the_same_job_ids_and_others_do_not() {
    let rows = readings(DAY, 3);
    let mut shuffled = rows.clone();
    shuffled.reverse();
    let other = readings(DAY, 4);
    let ids = |sent: &[Row]| archive_at(&service(sent.to_vec(), |_| None), sent).unwrap().job_ids;
    assert_eq!(ids(&rows), ids(&shuffled));
    assert!(ids(&rows).iter().zip(ids(&other)).all(|(a, b)| *a != b));
}

#[test]
fn an_id_spent_on_a_failed_job_is_not_used_again() {
    let rows = readings(DAY, 3);
    let server = service(rows.clone(), |request| {
        let spent = |id: &str| id.ends_with("_0") && id.starts_with("strata_load_");
        if is_upload(request) && spent(&job_id(request)) {
            return Some(refusal(409, "duplicate", "Already Exists"));
        }
        let id = request.path.rsplit('/').next().unwrap();
        let asked = request.method == "GET" && spent(id);
        asked.then(|| Response::json(200, &failed(id, "quotaExceeded", "too many loads").to_string()))
    });
    archive_at(&server, &rows).unwrap();
    let loads = uploads(&server);
    assert_eq!(loads.len(), 2);
    assert!(loads[1].ends_with("_1"), "{loads:?}");
}

#[test]
fn an_overloaded_service_is_asked_again_when_it_says() {
    let rows = readings(DAY, 3);
    let tries = AtomicUsize::new(0);
    let server = service(rows.clone(), move |request| {
        let first = is_upload(request) && tries.fetch_add(1, Ordering::SeqCst) == 0;
        first.then(|| refusal(503, "backendError", "busy").header("retry-after", "1"))
    });
    let started = Instant::now();
    archive_at(&server, &rows).unwrap();
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert_eq!(uploads(&server).len(), 2);
}

#[test]
fn a_service_that_stays_down_is_given_up_in_time() {
    let server = service(Vec::new(), |_| Some(Response::json(503, "<html>")));
    let mut settings = config(&server.endpoint());
    settings.retry.total = Duration::from_secs(1);
    let client = ColdClient::new(settings.clone()).unwrap();
    let started = Instant::now();
    let error = archive(&client, &readings(DAY, 1)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Retryable);
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(server.requests().len() > 2);

    let server = service(Vec::new(), |_| Some(Response::status(503).header("retry-after", "3600")));
    settings.endpoint = Some(server.endpoint());
    archive(&ColdClient::new(settings).unwrap(), &readings(DAY, 1)).unwrap_err();
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn an_archive_that_holds_something_else_is_a_mismatch() {
    let rows = readings(DAY, 3);
    let server = service(readings(DAY, 2), |_| None);
    let error = archive_at(&server, &rows).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Mismatch);
    assert!(error.message.contains("2 rows") && error.message.contains("3 rows"), "{error}");
    assert_eq!(uploads(&server).len(), 2);
}

#[test]
fn a_job_that_succeeded_once_does_not_prove_anything_now() {
    // the day was this, then something else, and is this again: the old jobs exist, what they did is gone
    let rows = readings(DAY, 3);
    let shown = std::sync::Arc::new(AtomicUsize::new(2));
    let count = shown.clone();
    let all = rows.clone();
    let server = service(Vec::new(), move |request| {
        if is_insert(request) && job_id(request).ends_with("_0") && !job_id(request).starts_with("strata_verify") {
            return Some(refusal(409, "duplicate", "Already Exists"));
        }
        if is_insert(request) && job_id(request).starts_with("strata_merge") {
            count.store(3, Ordering::SeqCst);
        }
        let read = request.path.contains("/queries/");
        read.then(|| Response::json(200, &page(&all[..count.load(Ordering::SeqCst)]).to_string()))
    });
    let archived = archive_at(&server, &rows).unwrap();
    assert!(archived.job_ids.iter().all(|id| id.ends_with("_1")), "{:?}", archived.job_ids);
}

#[test]
fn every_statement_has_a_cap_a_label_a_time_limit_and_a_bound() {
    let rows = readings(DAY, 3);
    let server = service(rows.clone(), |request| {
        let dry = is_insert(request) && job(request)["configuration"]["dryRun"] == true;
        let mut reply = done("");
        reply["statistics"] = json!({"totalBytesProcessed": "4711"});
        dry.then(|| Response::json(200, &reply.to_string()))
    });
    archive_at(&server, &rows).unwrap();
    archive_at(&server, &[]).unwrap_err();
    let wait = BlockingWait::new().unwrap();
    let client = client(&server.endpoint());
    let (table, shape) = (client.table("archive.readings").unwrap(), narrow_shape());
    let keys = ["NODE_0".to_owned()];
    let request = ReadRequest {
        table: &table,
        shape: &shape,
        from: DAY.start(),
        to: DAY.end(),
        keys: Some(&keys),
        purpose: "rows",
        use_cache: true,
    };
    read_rows(&wait, &client, &request, |_| Ok::<(), ColdError>(())).unwrap();
    assert_eq!(wait.wait("", estimate_rows(&client, &request)).unwrap(), 4711);

    let mut purposes = Vec::new();
    for job in server.requests().iter().filter(|request| is_insert(request)).map(job) {
        let configuration = &job["configuration"];
        purposes.push(configuration["labels"]["strata"].as_str().unwrap().to_owned());
        assert_eq!(configuration["jobTimeoutMs"], "60000");
        if let Some(sql) = configuration["query"]["query"].as_str() {
            assert_eq!(configuration["query"]["maximumBytesBilled"], "123456789", "{sql}");
            assert_eq!(configuration["query"]["useLegacySql"], false);
            assert!(sql.contains("t.`time` >= ") && sql.contains("t.`time` <= "), "{sql}");
        }
    }
    for purpose in ["archive", "verify", "rows"] {
        assert!(purposes.iter().any(|found| found == purpose), "{purposes:?}");
    }
}

#[test]
fn a_statement_beyond_the_cap_is_refused_with_a_hint() {
    let server = service(Vec::new(), |request| {
        is_insert(request).then(|| {
            let text = "Query exceeded limit for bytes billed: 1. 10485760 or higher required.";
            Response::json(200, &failed(&job_id(request), "bytesBilledLimitExceeded", text).to_string())
        })
    });
    let error = archive_at(&server, &[]).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Quota);
    assert!(error.hint.unwrap().contains("strata.cold_max_bytes"));
}

/// A credentials file of gcloud's kind whose tokens the scripted server gives out, removed when dropped.
struct UserFile(PathBuf);

impl UserFile {
    fn new(server: &ScriptedHttp) -> UserFile {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("strata-user-{}-{number}.json", std::process::id()));
        let file = json!({
            "type": "authorized_user", "client_id": "id", "client_secret": "secret-of-client",
            "refresh_token": "1//secret-refresh", "token_uri": format!("{}/token", server.endpoint()),
        });
        std::fs::write(&path, file.to_string()).unwrap();
        UserFile(path)
    }
}

impl Drop for UserFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn with_credentials(server: &ScriptedHttp, file: &UserFile) -> ColdClient {
    let mut settings = config(&server.endpoint());
    settings.credentials = Credentials::File(file.0.clone());
    ColdClient::new(settings).unwrap()
}

fn token(number: usize) -> Response {
    let body = json!({"access_token": format!("ya29.secret-access-{number}"), "expires_in": 3600});
    Response::json(200, &body.to_string())
}

#[test]
fn requests_carry_a_token_that_is_fetched_once_and_renewed_when_refused() {
    let rows = readings(DAY, 3);
    let server = service(rows.clone(), |request| match request.path.as_str() {
        "/token" => Some(token(request.number)),
        _ if request.header("authorization") == Some("Bearer ya29.secret-access-0") => {
            (request.number > 3).then(|| refusal(401, "authError", "expired"))
        }
        _ => None,
    });
    let file = UserFile::new(&server);
    archive(&with_credentials(&server, &file), &rows).unwrap();
    let requests = server.requests();
    assert_eq!(requests.iter().filter(|request| request.path == "/token").count(), 2);
    assert!(requests.iter().all(|r| r.path == "/token" || r.header("authorization").is_some()));
}

#[test]
fn refused_credentials_are_an_error_with_a_hint_and_without_the_secret() {
    for (status, reason) in [(401, "authError"), (403, "accessDenied")] {
        let server = service(Vec::new(), move |request| match request.path.as_str() {
            "/token" => Some(token(request.number)),
            _ => Some(refusal(status, reason, &format!("Invalid token {}", request.header("authorization").unwrap()))),
        });
        let file = UserFile::new(&server);
        let error = archive(&with_credentials(&server, &file), &readings(DAY, 1)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Auth);
        assert!(error.hint.is_some());
        assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    }
    let server = service(Vec::new(), |_| Some(Response::json(400, r#"{"error":"invalid_grant 1//secret-refresh"}"#)));
    let file = UserFile::new(&server);
    let error = archive(&with_credentials(&server, &file), &readings(DAY, 1)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Auth);
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
}

#[test]
fn an_error_does_not_show_row_values() {
    let server = service(Vec::new(), |request| {
        is_upload(request).then(|| refusal(400, "invalid", "Bad value 'NODE_SECRET' in \"42.5 litres\" of column flow"))
    });
    let error = archive_at(&server, &readings(DAY, 1)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Permanent);
    assert!(!error.message.contains("SECRET") && !error.message.contains("42.5"), "{error}");
    assert!(error.message.contains("column flow"), "{error}");
}

/// Gives up after a while, as PostgreSQL does on a cancel: drops the future, runs the cancellation, unwinds.
struct ImpatientWait {
    runtime: tokio::runtime::Runtime,
    patience: Duration,
    gave_up: Flag<bool>,
}

struct GaveUp;

impl Wait for ImpatientWait {
    fn wait<F: Future>(&self, what: &str, future: F) -> F::Output {
        self.wait_cancel(what, future, async {})
    }

    fn wait_cancel<F, C>(&self, _what: &str, future: F, cancel: C) -> F::Output
    where
        F: Future,
        C: Future<Output = ()>,
    {
        let done = self.runtime.block_on(async { tokio::time::timeout(self.patience, future).await });
        done.unwrap_or_else(|_| {
            let _ = self.runtime.block_on(async { tokio::time::timeout(Duration::from_millis(500), cancel).await });
            self.gave_up.set(true);
            resume_unwind(Box::new(GaveUp))
        })
    }
}

#[test]
fn giving_up_cancels_the_job_that_was_submitted() {
    // (what hangs, the id that must be cancelled)
    for (hangs, prefix) in [("upload", "strata_load_"), ("merge", "strata_merge_"), ("verify", "strata_verify_")] {
        let rows = readings(DAY, 3);
        let server = service(rows.clone(), move |request| {
            if request.path.ends_with("/cancel") {
                return Some(Response::json(200, "{}"));
            }
            let stuck = match hangs {
                // accepted, and no answer comes
                "upload" => is_upload(request).then(|| Response::lost().after(Duration::from_secs(5))),
                _ => (is_insert(request) && job_id(request).starts_with(prefix)).then(|| running(&job_id(request))),
            };
            let polled = request.method == "GET" && request.path.contains(&format!("/jobs/{prefix}"));
            stuck.or_else(|| polled.then(|| running(request.path.rsplit('/').next().unwrap())))
        });
        let client = client(&server.endpoint());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let wait = ImpatientWait { runtime, patience: Duration::from_millis(400), gave_up: Flag::new(false) };
        let started = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| {
            let table = client.table("archive.readings").unwrap();
            let owner = owner();
            let archive =
                bridge::archive::ArchiveTable::open(&wait, &client, table, narrow_shape(), "readings", &owner, false)
                    .unwrap();
            archive_day(&wait, &archive, DAY, &rows, MergeMode::Replace)
        }));
        assert!(result.is_err() && wait.gave_up.get(), "{hangs}");
        assert!(started.elapsed() < Duration::from_secs(3), "{hangs}");
        let requests = server.requests();
        let submitted = requests.iter().filter(|r| is_insert(r)).map(job_id).find(|id| id.starts_with(prefix)).unwrap();
        let cancelled =
            requests.iter().any(|r| r.method == "POST" && r.path.ends_with(&format!("/{submitted}/cancel")));
        assert!(cancelled, "{hangs}: {submitted}");
    }
}

#[test]
fn a_large_file_goes_up_in_pieces_and_survives_a_lost_one() {
    // noise does not compress, so this is more than one piece
    let mut seed = 7u64;
    let mut rows = readings(DAY, 90_000);
    for row in &mut rows {
        let mut noise = String::new();
        for _ in 0..16 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            noise.push_str(&format!("{:08x}", seed >> 32));
        }
        let Cell::Text(node) = &mut row[1] else { panic!() };
        node.push_str(&noise);
    }
    let lost = AtomicUsize::new(0);
    let received = std::sync::Arc::new(std::sync::Mutex::new(Vec::<u8>::new()));
    let store = received.clone();
    let load = std::sync::Mutex::new(String::new());
    let server = service(rows.clone(), move |request| {
        if is_upload(request) {
            assert_eq!(request.query, "uploadType=resumable");
            *load.lock().unwrap() = job_id(request);
            return Some(Response::status(200).header("location", "/session/1"));
        }
        if request.path != "/session/1" {
            return None;
        }
        let range = request.header("content-range").unwrap();
        let (span, total) = range.strip_prefix("bytes ").unwrap().split_once('/').unwrap();
        let total: usize = total.parse().unwrap();
        let mut file = store.lock().unwrap();
        if let Some((start, _)) = span.split_once('-') {
            if start.parse() != Ok(file.len()) {
                return Some(refusal(400, "invalid", "not the next byte"));
            }
            file.extend(&request.body);
        }
        if file.len() == total {
            return Some(Response::json(200, &done(&load.lock().unwrap()).to_string()));
        }
        // the first piece arrives, its reply does not
        if lost.fetch_add(1, Ordering::SeqCst) == 0 {
            return Some(Response::lost());
        }
        Some(Response::status(308).header("range", &format!("bytes=0-{}", file.len() - 1)))
    });
    let archived = archive_at(&server, &rows).unwrap();
    let received = received.lock().unwrap();
    assert!(archived.bytes_uploaded > 9 << 20, "{}", archived.bytes_uploaded);
    assert_eq!(received.len() as u64, archived.bytes_uploaded);
    assert_eq!(&received[..4], b"PAR1");
    assert_eq!(&received[received.len() - 4..], b"PAR1");
}
