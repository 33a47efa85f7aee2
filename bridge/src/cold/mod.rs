//! The cold tier: a client of BigQuery.
//!
//! Typed request bodies come from the crate `gcp-bigquery-client`; requests are made here, because that crate has no
//! time limits, no retries, drops the HTTP status and Retry-After of an error, and cannot upload.

mod arrow_rows;
mod auth;
mod check;
mod client;
mod error;
mod http;
mod job;
mod merge;
mod owner;
mod parquet_file;
mod partitions;
mod query;
mod read;
mod retry;
mod row_stream;
mod storage_read;
mod tables;
mod upload;
mod value;
mod verify;

pub use client::{ColdClient, ColdConfig, Credentials, TableRef};
pub use error::{ColdError, ErrorKind, redact};
pub use merge::MergeMode;
pub use owner::OwnerId;
pub use partitions::{Partition, partitions};
pub use query::{Parameter, Query, QueryStream, RawCell};
pub use read::{ReadRequest, estimate_rows, read_rows};
pub use retry::RetryPolicy;
pub use row_stream::ReadSummary;
pub use tables::{RemoteColumn, RemoteTable};
pub use verify::{content_hash, row_hash};

// the steps that archive.rs and import.rs are made of
pub(crate) use check::check_rows;
pub(crate) use job::{Existing, JobDone, JobRun, name_part};
pub(crate) use merge::{merge_sql, remove_sql};
pub(crate) use owner::labels;
pub(crate) use parquet_file::parquet_file;
pub(crate) use read::{ReadSource, Selected, is_empty, null_of, rows_query};
pub(crate) use row_stream::{RowSource, drain, open_rows};
pub(crate) use storage_read::StoredRows;
pub(crate) use tables::schema;
pub(crate) use verify::{Found, mismatch, read_back};
