//! Rows as they arrive, by whichever way: the Storage Read API where there is one and whole columns are wanted, else the
//! pages of a query.

use super::client::ColdClient;
use super::error::{ColdError, ErrorKind};
use super::query::{Query, QueryStream};
use super::storage_read::{StorageStream, StoredRows};
use super::value::cell;
use crate::table::{ColumnKind, Row};
use crate::wait::Wait;

/// Rows per page: enough to make the round trips cheap, few enough to stay below the service's 20 MB per answer.
const PAGE_ROWS: u32 = 25_000;

/// Rows, described in the ways in which they can be had.
pub(crate) struct RowSource {
    /// As stored columns; absent where a condition or a conversion needs a statement.
    pub stored: Option<StoredRows>,
    pub query: Query,
    /// Of the query's columns.
    pub kinds: Vec<ColumnKind>,
}

/// What reading rows took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadSummary {
    pub rows: u64,
    pub pages: u64,
    /// What the statement was billed for, or what the Storage Read API scanned.
    pub bytes_billed: u64,
    /// Of the query; the Storage Read API has no jobs.
    pub job_id: Option<String>,
    /// Why a query answered where the Storage Read API was to.
    pub storage_error: Option<String>,
}

enum RowStream<'a> {
    Stored(StorageStream<'a>),
    Query(Box<QueryStream<'a>>, Vec<ColumnKind>),
}

/// A stream of which the first rows are there.
pub(crate) struct OpenedRows<'a> {
    stream: RowStream<'a>,
    first: Option<Vec<Row>>,
    storage_error: Option<String>,
}

impl RowStream<'_> {
    /// The next rows in no particular order, `None` after the last.
    async fn next_page(&self) -> Result<Option<Vec<Row>>, ColdError> {
        let (stream, kinds) = match self {
            RowStream::Stored(stream) => return stream.next_batch().await,
            RowStream::Query(stream, kinds) => (stream, kinds),
        };
        let Some(page) = stream.next_page().await? else {
            return Ok(None);
        };
        let rows = page.into_iter().map(|raw| {
            if raw.len() != kinds.len() {
                return Err(ColdError::permanent("BigQuery answered with another number of columns"));
            }
            raw.into_iter().zip(kinds).map(|(text, kind)| cell(*kind, text)).collect()
        });
        rows.collect::<Result<Vec<Row>, ColdError>>().map(Some)
    }

    async fn cancel(&self) {
        if let RowStream::Query(stream, _) = self {
            stream.cancel().await;
        }
    }

    fn summary(&self) -> ReadSummary {
        match self {
            RowStream::Stored(stream) => ReadSummary { bytes_billed: stream.bytes_scanned(), ..ReadSummary::default() },
            RowStream::Query(stream, _) => {
                ReadSummary { bytes_billed: stream.bytes_billed(), job_id: stream.job_id(), ..ReadSummary::default() }
            }
        }
    }
}

fn next(wait: &impl Wait, stream: &RowStream<'_>) -> Result<Option<Vec<Row>>, ColdError> {
    wait.wait_cancel("reading rows from BigQuery", stream.next_page(), stream.cancel())
}

/// Asks for the first rows.
///
/// The Storage Read API needs a role and a network path of its own; where it cannot be had, the query answers.
///
/// # Errors
/// What the query failed with; [`ErrorKind::Quota`] when either way would cost more than is allowed.
pub(crate) fn open_rows<'a>(
    wait: &impl Wait,
    client: &'a ColdClient,
    source: &RowSource,
) -> Result<OpenedRows<'a>, ColdError> {
    let mut storage_error = None;
    if let Some(stored) = &source.stored
        && client.storage_endpoint().is_some()
    {
        let stream = RowStream::Stored(StorageStream::new(client, stored.clone()));
        match next(wait, &stream) {
            Ok(first) => return Ok(OpenedRows { stream, first, storage_error }),
            Err(error) if error.kind == ErrorKind::Quota => return Err(error),
            Err(error) => storage_error = Some(error.message),
        }
    }
    let stream = RowStream::Query(Box::new(QueryStream::new(client, &source.query, PAGE_ROWS)), source.kinds.clone());
    let first = next(wait, &stream)?;
    Ok(OpenedRows { stream, first, storage_error })
}

/// Hands all rows to `sink`, page by page, so that memory holds one page at a time.
///
/// # Errors
/// Those of reading, and those of `sink`.
pub(crate) fn drain<E: From<ColdError>>(
    wait: &impl Wait,
    opened: OpenedRows<'_>,
    sink: &mut impl FnMut(Vec<Row>) -> Result<(), E>,
) -> Result<ReadSummary, E> {
    let OpenedRows { stream, first, storage_error } = opened;
    let (mut rows, mut pages) = (0, 0);
    let mut page = first;
    while let Some(batch) = page {
        rows += batch.len() as u64;
        pages += 1;
        if !batch.is_empty() {
            sink(batch)?;
        }
        page = next(wait, &stream)?;
    }
    Ok(ReadSummary { rows, pages, storage_error, ..stream.summary() })
}
