//! The clients of the remote tiers, as the settings describe them.

use crate::failure::{Failure, Result};
use crate::gucs::{self, OnTierError};
use crate::interrupts::BackendWait;
use crate::shape::TableColumns;
use crate::source::Source;
use bridge::cold::{ColdClient, ColdConfig, ColdError, Credentials, ErrorKind, ReadRequest, TableRef, read_rows};
use bridge::hot::{HotClient, HotConfig, HotError, HotErrorKind, LeftOut};
use bridge::table::Row;
use pgrx::PgSqlErrorCode;
use series::plan::Segment;

/// The Redis client; `None` while no Redis is configured.
pub fn hot() -> Result<Option<HotClient>> {
    let Some(url) = gucs::redis_url() else { return Ok(None) };
    let mut config = HotConfig::new(url);
    config.password_file = gucs::redis_password_file().map(Into::into);
    config.response_timeout = gucs::redis_timeout();
    config.connect_timeout = config.connect_timeout.min(gucs::redis_timeout());
    HotClient::new(config).map(Some).map_err(Failure::from)
}

/// What Redis has of these series cannot be read: neither a query nor the flush gets it.
pub fn damaged(series: &LeftOut) -> Failure {
    Failure::new(PgSqlErrorCode::ERRCODE_DATA_CORRUPTED, format!("Redis cannot read all samples of {series}")).hint(
        "They stay in Redis as they are. RENAME such a key to a name without a colon to put it aside: sensors then begin a new series.",
    )
}

/// The BigQuery client.
///
/// # Errors
/// When no project is set, or the settings do not make a client.
pub fn cold() -> Result<ColdClient> {
    let Some(project) = gucs::bigquery_project() else {
        return Err(Failure::new(PgSqlErrorCode::ERRCODE_CONFIG_FILE_ERROR, "no BigQuery project is configured")
            .hint("ALTER SYSTEM SET strata.bigquery_project = 'project'; SELECT pg_reload_conf();"));
    };
    let mut config = ColdConfig::new(project);
    config.location = gucs::bigquery_location();
    config.endpoint = gucs::bigquery_endpoint();
    config.storage_endpoint = gucs::bigquery_storage_endpoint();
    config.max_bytes_billed = gucs::cold_max_bytes();
    config.job_timeout = gucs::cold_timeout();
    config.retry.total = config.retry.total.min(gucs::cold_timeout());
    config.credentials = match (gucs::bigquery_credentials_file(), &config.endpoint) {
        (Some(file), _) => Credentials::File(file.into()),
        (None, Some(_)) => Credentials::None,
        (None, None) => Credentials::ApplicationDefault,
    };
    Ok(ColdClient::new(config)?)
}

/// The source's archive.
///
/// # Errors
/// `42809` when the source has no cold tier.
pub fn archive_table(client: &ColdClient, source: &Source) -> Result<TableRef> {
    let Some(cold) = &source.cold else {
        return Err(Failure::new(
            PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
            format!("table {} has no cold tier", source.table),
        )
        .hint("Give it one: SELECT strata.alter_source(…, cold => 'dataset.table');"));
    };
    Ok(client.table(cold)?)
}

/// Reads a segment of the source's archive, row by row.
pub fn read_archive(
    source: &Source,
    columns: &TableColumns,
    segment: Segment,
    keys: Option<&[String]>,
    each: &mut impl FnMut(Row) -> Result<()>,
) -> Result<()> {
    let client = cold()?;
    let table = archive_table(&client, source)?;
    let request = read_request(&table, columns, segment, keys);
    read_rows(&BackendWait, &client, &request, |rows| rows.into_iter().try_for_each(&mut *each))?;
    Ok(())
}

/// The request that [`read_archive`] sends.
pub fn read_request<'a>(
    table: &'a TableRef,
    columns: &'a TableColumns,
    segment: Segment,
    keys: Option<&'a [String]>,
) -> ReadRequest<'a> {
    ReadRequest {
        table,
        shape: &columns.shape,
        from: segment.from,
        to: segment.to,
        keys,
        purpose: "rows",
        use_cache: true,
    }
}

impl From<ColdError> for Failure {
    fn from(error: ColdError) -> Self {
        let code = match error.kind {
            ErrorKind::Retryable => PgSqlErrorCode::ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION,
            ErrorKind::Permanent => PgSqlErrorCode::ERRCODE_FDW_ERROR,
            ErrorKind::Auth => PgSqlErrorCode::ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
            ErrorKind::NotFound => PgSqlErrorCode::ERRCODE_FDW_TABLE_NOT_FOUND,
            ErrorKind::Conflict => PgSqlErrorCode::ERRCODE_OBJECT_IN_USE,
            ErrorKind::Quota => PgSqlErrorCode::ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
            ErrorKind::Mismatch => PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
            ErrorKind::NotOwner => PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        };
        Failure { code, message: error.message, detail: None, hint: error.hint }
    }
}

impl From<HotError> for Failure {
    fn from(error: HotError) -> Self {
        let code = match error.kind {
            HotErrorKind::Settings => PgSqlErrorCode::ERRCODE_CONFIG_FILE_ERROR,
            HotErrorKind::Unreachable | HotErrorKind::Timeout => {
                PgSqlErrorCode::ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION
            }
            HotErrorKind::ModuleMissing => PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            HotErrorKind::Refused => PgSqlErrorCode::ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
            HotErrorKind::Reply => PgSqlErrorCode::ERRCODE_PROTOCOL_VIOLATION,
        };
        Failure { code, message: error.message, detail: error.detail, hint: error.hint }
    }
}

/// What a query does about a tier that failed: refuse, or say so and go on with what there is.
pub fn or_partial<T>(tier: &str, answer: Result<T>) -> Result<Option<T>> {
    or_without(tier, &format!("the {tier} tier"), answer)
}

/// As [`or_partial`], where the answer lacks less than a tier.
pub fn or_without<T>(tier: &str, lacking: &str, answer: Result<T>) -> Result<Option<T>> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(failure) => {
            let message = format!("the {tier} tier cannot be read: {}", failure.message);
            match gucs::on_tier_error() {
                OnTierError::Error => {
                    let hint = failure.hint.clone().unwrap_or_default();
                    let way_out = "SET strata.on_tier_error = 'warning' gives a partial answer instead.";
                    Err(Failure { message, hint: Some(format!("{hint} {way_out}").trim().to_owned()), ..failure })
                }
                OnTierError::Warning => {
                    Failure { message, ..failure }.hint(format!("The answer is without {lacking}.")).warn();
                    Ok(None)
                }
            }
        }
    }
}
