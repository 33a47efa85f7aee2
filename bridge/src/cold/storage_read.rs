//! Large reads: the Storage Read API, which sends a table's own columns as Arrow record batches over gRPC
//! (<https://cloud.google.com/bigquery/docs/reference/storage/rpc>). No statement runs, so there is no job to cancel:
//! dropping the stream ends the read.

use std::sync::atomic::Ordering;
use std::time::Duration;

use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use gcp_bigquery_client::google::cloud::bigquery::storage::v1::big_query_read_client::BigQueryReadClient;
use gcp_bigquery_client::google::cloud::bigquery::storage::v1::read_rows_response::Rows;
use gcp_bigquery_client::google::cloud::bigquery::storage::v1::read_session::{Schema, TableReadOptions};
use gcp_bigquery_client::google::cloud::bigquery::storage::v1::{
    CreateReadSessionRequest, DataFormat, ReadRowsRequest, ReadRowsResponse, ReadSession,
};
use series::time::Micros;
use tokio::sync::Mutex;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status, Streaming};

use super::arrow_rows;
use super::client::{ColdClient, TableRef};
use super::error::{ColdError, ErrorKind, redact};
use super::value::timestamp_text;
use crate::table::{Cell, ColumnKind, Row};

const GOOGLE: &str = "https://bigquerystorage.googleapis.com";
/// The service sends messages of up to 128 MB.
const LARGEST_MESSAGE: usize = 136 << 20;

/// What to read: stored columns, as they are, of a time range.
#[derive(Debug, Clone)]
pub(crate) struct StoredRows {
    pub table: TableRef,
    /// Names in BigQuery, in the order in which the cells are wanted.
    pub columns: Vec<(String, ColumnKind)>,
    /// Position of the time column in `columns`.
    pub time: usize,
    /// First and last instant.
    pub first: Micros,
    pub last: Micros,
}

/// Rows of a table as they arrive.
pub(crate) struct StorageStream<'a> {
    client: &'a ColdClient,
    wanted: StoredRows,
    state: Mutex<State>,
}

enum State {
    New,
    Reading { batches: Box<Streaming<ReadRowsResponse>>, decoder: Box<StreamDecoder>, bytes: u64 },
    Finished { bytes: u64 },
}

impl ColdClient {
    /// Where the Storage Read API is, unless this client has only a REST endpoint of its own or has found that it cannot
    /// be used.
    pub(crate) fn storage_endpoint(&self) -> Option<&str> {
        if self.storage_unusable.load(Ordering::Relaxed) {
            return None;
        }
        match (&self.config.storage_endpoint, &self.config.endpoint) {
            (Some(own), _) => Some(own),
            (None, None) => Some(GOOGLE),
            (None, Some(_)) => None,
        }
    }
}

impl<'a> StorageStream<'a> {
    /// Nothing is sent before the first rows are asked for.
    pub(crate) fn new(client: &'a ColdClient, wanted: StoredRows) -> StorageStream<'a> {
        StorageStream { client, wanted, state: Mutex::new(State::New) }
    }

    /// The next rows; `None` after the last.
    pub(crate) async fn next_batch(&self) -> Result<Option<Vec<Row>>, ColdError> {
        let mut state = self.state.lock().await;
        if let State::New = *state {
            *state = self.open().await.inspect_err(|error| {
                let lasting = matches!(error.kind, ErrorKind::Retryable | ErrorKind::Auth);
                self.client.storage_unusable.fetch_or(lasting, Ordering::Relaxed);
            })?;
        }
        loop {
            let State::Reading { batches, decoder, bytes } = &mut *state else {
                return Ok(None);
            };
            let limit = self.client.config.request_timeout;
            let message = within(limit, batches.message()).await?;
            let Some(message) = message else {
                *state = State::Finished { bytes: *bytes };
                return Ok(None);
            };
            let Some(Rows::ArrowRecordBatch(batch)) = message.rows else {
                continue;
            };
            let rows = self.decode(decoder, batch.serialized_record_batch)?;
            return Ok(Some(rows));
        }
    }

    /// Bytes that the service expects to scan, known once the first rows are there.
    pub(crate) fn bytes_scanned(&self) -> u64 {
        match self.state.try_lock().as_deref() {
            Ok(State::Reading { bytes, .. } | State::Finished { bytes }) => *bytes,
            _ => 0,
        }
    }

    async fn open(&self) -> Result<State, ColdError> {
        let config = &self.client.config;
        let mut service = self.connect().await?;
        let wanted = &self.wanted;
        let time = &wanted.columns[wanted.time].0;
        let table = &wanted.table;
        let session = ReadSession {
            table: format!("projects/{}/datasets/{}/tables/{}", table.project, table.dataset, table.table),
            data_format: DataFormat::Arrow as i32,
            read_options: Some(TableReadOptions {
                selected_fields: wanted.columns.iter().map(|(name, _)| name.clone()).collect(),
                row_restriction: format!(
                    "`{time}` >= TIMESTAMP '{}' AND `{time}` <= TIMESTAMP '{}'",
                    timestamp_text(wanted.first),
                    timestamp_text(wanted.last)
                ),
                ..TableReadOptions::default()
            }),
            ..ReadSession::default()
        };
        let request = CreateReadSessionRequest {
            parent: format!("projects/{}", self.client.project()),
            read_session: Some(session),
            max_stream_count: 1,
            ..CreateReadSessionRequest::default()
        };
        let path = format!("read_session.table={}", request.read_session.as_ref().map_or("", |s| s.table.as_str()));
        let request = self.request(request, &path).await?;
        let session = within(config.request_timeout, service.create_read_session(request)).await?.into_inner();
        let bytes = u64::try_from(session.estimated_total_bytes_scanned).unwrap_or(0);
        if bytes > config.max_bytes_billed {
            return Err(ColdError::new(
                ErrorKind::Quota,
                format!("reading {table} would scan {bytes} bytes, more than the cap of {}", config.max_bytes_billed),
            )
            .with_hint("Narrow the time range, or raise strata.cold_max_bytes."));
        }
        let Some(stream) = session.streams.into_iter().next() else {
            return Ok(State::Finished { bytes });
        };
        let mut decoder = StreamDecoder::new();
        if let Some(Schema::ArrowSchema(schema)) = session.schema {
            decode_schema(&mut decoder, schema.serialized_schema)?;
        }
        let path = format!("read_stream={}", stream.name);
        let request = self.request(ReadRowsRequest { read_stream: stream.name, offset: 0 }, &path).await?;
        let batches = within(config.request_timeout, service.read_rows(request)).await?.into_inner();
        Ok(State::Reading { batches: Box::new(batches), decoder: Box::new(decoder), bytes })
    }

    async fn connect(&self) -> Result<BigQueryReadClient<Channel>, ColdError> {
        let config = &self.client.config;
        let address = self
            .client
            .storage_endpoint()
            .ok_or_else(|| ColdError::permanent("there is no endpoint for the Storage Read API"))?;
        let unusable = |_| ColdError::permanent("the endpoint of the Storage Read API is not an address");
        let mut endpoint =
            Endpoint::from_shared(address.to_owned()).map_err(unusable)?.connect_timeout(config.connect_timeout);
        if address.starts_with("https:") {
            endpoint = endpoint.tls_config(ClientTlsConfig::new().with_webpki_roots()).map_err(unusable)?;
        }
        let channel =
            endpoint.connect().await.map_err(|_| ColdError::retryable("cannot connect to the Storage Read API"))?;
        Ok(BigQueryReadClient::new(channel).max_decoding_message_size(LARGEST_MESSAGE))
    }

    /// With the access token, and the header by which Google routes the request.
    async fn request<T>(&self, message: T, routing: &str) -> Result<Request<T>, ColdError> {
        let mut request = Request::new(message);
        let unusable = |_| ColdError::permanent("a gRPC header cannot be written");
        let routing = routing.replace('/', "%2F").parse().map_err(unusable)?;
        request.metadata_mut().insert("x-goog-request-params", routing);
        if let Some(token) = self.client.http.token().await? {
            let mut value = format!("Bearer {token}")
                .parse::<tonic::metadata::MetadataValue<_>>()
                .map_err(|_| ColdError::new(ErrorKind::Auth, "the access token cannot be sent"))?;
            value.set_sensitive(true);
            request.metadata_mut().insert("authorization", value);
        }
        Ok(request)
    }

    fn decode(&self, decoder: &mut StreamDecoder, bytes: Vec<u8>) -> Result<Vec<Row>, ColdError> {
        let mut buffer = Buffer::from(bytes);
        let mut rows = Vec::new();
        while !buffer.is_empty() {
            let Some(batch) = decoder.decode(&mut buffer).map_err(|_| unreadable())? else {
                break;
            };
            rows.extend(arrow_rows::rows(&batch, &self.wanted.columns)?);
        }
        // a service that ignored the restriction must not make rows count twice
        let StoredRows { time, first, last, .. } = self.wanted;
        let outside = |row: &Row| !matches!(row[time], Cell::Timestamp(at) if first <= at && at <= last);
        match rows.iter().any(outside) {
            true => Err(ColdError::permanent("the Storage Read API sent rows outside the range asked for")),
            false => Ok(rows),
        }
    }
}

/// How an Arrow stream ends. A schema may come as a stream of its own, which must not end the whole.
const END_OF_STREAM: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

fn decode_schema(decoder: &mut StreamDecoder, mut bytes: Vec<u8>) -> Result<(), ColdError> {
    if bytes.ends_with(&END_OF_STREAM) {
        bytes.truncate(bytes.len() - END_OF_STREAM.len());
    }
    let mut buffer = Buffer::from(bytes);
    decoder.decode(&mut buffer).map(drop).map_err(|_| unreadable())
}

fn unreadable() -> ColdError {
    ColdError::permanent("the Storage Read API sent something that is not Arrow")
}

async fn within<T>(limit: Duration, call: impl Future<Output = Result<T, Status>>) -> Result<T, ColdError> {
    match tokio::time::timeout(limit, call).await {
        Ok(result) => result.map_err(|status| status_error(&status)),
        Err(_) => Err(ColdError::retryable("no answer in time from the Storage Read API")),
    }
}

/// Statuses as in <https://grpc.io/docs/guides/status-codes/>.
fn status_error(status: &Status) -> ColdError {
    let kind = match status.code() {
        Code::Unavailable | Code::Aborted | Code::DeadlineExceeded | Code::Internal | Code::Cancelled => {
            ErrorKind::Retryable
        }
        Code::Unauthenticated | Code::PermissionDenied => ErrorKind::Auth,
        Code::NotFound => ErrorKind::NotFound,
        Code::ResourceExhausted => ErrorKind::Quota,
        _ => ErrorKind::Permanent,
    };
    ColdError::new(kind, format!("Storage Read API: {} ({:?})", redact(status.message()), status.code()))
}
