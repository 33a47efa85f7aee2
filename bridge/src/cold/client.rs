//! The BigQuery client: its configuration, its addresses, and how a request is made.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::auth::{Auth, is_private};
use super::error::ColdError;
use super::http::Http;
use super::retry::RetryPolicy;

/// Where the credentials come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A key file of a service account, or any other credentials file that Google's tools write.
    File(PathBuf),
    /// `GOOGLE_APPLICATION_CREDENTIALS`, then gcloud's file, then the metadata server (which is also how workload
    /// identity is served).
    ApplicationDefault,
    /// For the emulator: requests carry no credentials. Only with an endpoint.
    None,
}

#[derive(Debug, Clone)]
pub struct ColdConfig {
    /// The project that holds the archive and is billed for jobs.
    pub project: String,
    /// Where datasets are created and jobs run, for example `EU`; BigQuery's default if absent.
    pub location: Option<String>,
    pub credentials: Credentials,
    /// Base URL instead of Google's, for example `http://127.0.0.1:9050`.
    pub endpoint: Option<String>,
    /// Base URL of the Storage Read API instead of Google's. With `endpoint` set and this absent, large reads go
    /// through query pages.
    pub storage_endpoint: Option<String>,
    /// `maximumBytesBilled` of every statement, in bytes.
    pub max_bytes_billed: u64,
    /// A job that runs longer is cancelled.
    pub job_timeout: Duration,
    /// One HTTP request, upload included.
    pub request_timeout: Duration,
    pub connect_timeout: Duration,
    pub retry: RetryPolicy,
}

impl ColdConfig {
    /// The defaults: Google's endpoint, application-default credentials, a cap of 10 GiB per statement.
    pub fn new(project: impl Into<String>) -> ColdConfig {
        ColdConfig {
            project: project.into(),
            location: None,
            credentials: Credentials::ApplicationDefault,
            endpoint: None,
            storage_endpoint: None,
            max_bytes_billed: 10 << 30,
            job_timeout: Duration::from_secs(600),
            request_timeout: Duration::from_secs(120),
            connect_timeout: Duration::from_secs(10),
            retry: RetryPolicy::default(),
        }
    }
}

/// `project.dataset.table`, each part checked against BigQuery's naming rules.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TableRef {
    pub project: String,
    pub dataset: String,
    pub table: String,
}

impl TableRef {
    /// # Errors
    /// [`super::ErrorKind::Permanent`] when a part breaks the rules.
    pub fn new(project: &str, dataset: &str, table: &str) -> Result<TableRef, ColdError> {
        let plain = |text: &str, extra: &str| {
            !text.is_empty()
                && text.len() <= 1024
                && text.chars().all(|c| c.is_ascii_alphanumeric() || extra.contains(c))
        };
        if !plain(project, "-_:.") {
            return Err(ColdError::permanent(format!("\"{project}\" is not the name of a Google Cloud project")));
        }
        if !plain(dataset, "_") {
            return Err(ColdError::permanent(format!(
                "\"{dataset}\" is not a dataset name: letters, digits and underscores"
            )));
        }
        if !plain(table, "_-") {
            return Err(ColdError::permanent(format!(
                "\"{table}\" is not a table name: letters, digits, underscores and dashes"
            )));
        }
        Ok(TableRef { project: project.to_owned(), dataset: dataset.to_owned(), table: table.to_owned() })
    }

    /// Reads `project.dataset.table` or `dataset.table`, the latter in `default_project`.
    ///
    /// # Errors
    /// [`super::ErrorKind::Permanent`] when the text is neither.
    pub fn parse(text: &str, default_project: &str) -> Result<TableRef, ColdError> {
        let mut parts = text.rsplitn(3, '.');
        let (table, dataset) = (parts.next(), parts.next());
        match (table, dataset) {
            (Some(table), Some(dataset)) => TableRef::new(parts.next().unwrap_or(default_project), dataset, table),
            _ => Err(ColdError::permanent(format!(
                "\"{text}\" is not a BigQuery table: write dataset.table or project.dataset.table"
            ))),
        }
    }

    /// Another table of the same dataset.
    pub(crate) fn sibling(&self, table: String) -> TableRef {
        TableRef { table, ..self.clone() }
    }

    /// As an identifier in a statement. The naming rules leave nothing to escape.
    pub(crate) fn sql(&self) -> String {
        format!("`{}.{}.{}`", self.project, self.dataset, self.table)
    }

    /// The path of the table below the API's base.
    pub(crate) fn path(&self) -> String {
        format!("/projects/{}/datasets/{}/tables/{}", self.project, self.dataset, self.table)
    }

    pub(crate) fn reference(&self) -> gcp_bigquery_client::model::table_reference::TableReference {
        gcp_bigquery_client::model::table_reference::TableReference::new(&self.project, &self.dataset, &self.table)
    }
}

impl fmt::Display for TableRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.project, self.dataset, self.table)
    }
}

impl FromStr for TableRef {
    type Err = ColdError;

    /// Reads `project.dataset.table`.
    fn from_str(text: &str) -> Result<TableRef, ColdError> {
        TableRef::parse(text, "")
    }
}

const GOOGLE: &str = "https://bigquery.googleapis.com";

/// A connection to BigQuery. Cheap to make: nothing is sent before the first request.
pub struct ColdClient {
    pub(crate) config: ColdConfig,
    pub(crate) http: Http,
    base: String,
    /// Set once the Storage Read API could not be reached or was not allowed: asking again would cost the same wait.
    pub(crate) storage_unusable: AtomicBool,
}

impl ColdClient {
    /// Reads the credentials file, if there is one; contacts nobody.
    ///
    /// # Errors
    /// [`super::ErrorKind::Auth`] for credentials that cannot be read, [`super::ErrorKind::Permanent`] for a
    /// configuration that makes no sense.
    pub fn new(config: ColdConfig) -> Result<ColdClient, ColdError> {
        let base = config.endpoint.as_deref().unwrap_or(GOOGLE).trim_end_matches('/').to_owned();
        if config.credentials == Credentials::None && config.endpoint.is_none() {
            return Err(ColdError::permanent("credentials can only be left out with an endpoint of your own"));
        }
        for address in std::iter::once(&base).chain(&config.storage_endpoint) {
            check_address(address, &config.credentials)?;
        }
        TableRef::new(&config.project, "d", "t")?;
        let auth = Auth::load(&config.credentials)?;
        let http = Http::new(auth, &config)?;
        Ok(ColdClient { config, http, base, storage_unusable: AtomicBool::new(false) })
    }

    pub fn config(&self) -> &ColdConfig {
        &self.config
    }

    /// The project of this client.
    pub fn project(&self) -> &str {
        &self.config.project
    }

    /// `dataset.table` or `project.dataset.table`.
    ///
    /// # Errors
    /// See [`TableRef::parse`].
    pub fn table(&self, text: &str) -> Result<TableRef, ColdError> {
        TableRef::parse(text, &self.config.project)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/bigquery/v2{path}", self.base)
    }

    pub(crate) fn upload_url(&self, path: &str) -> String {
        format!("{}/upload/bigquery/v2{path}", self.base)
    }
}

fn check_address(address: &str, credentials: &Credentials) -> Result<(), ColdError> {
    let url = reqwest::Url::parse(address)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| ColdError::permanent("the BigQuery endpoint is not an http:// or https:// address"))?;
    if *credentials == Credentials::None || is_private(&url) {
        return Ok(());
    }
    Err(ColdError::permanent("credentials are not sent over http:// to another machine")
        .with_hint("Use an https:// endpoint."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_named_with_or_without_its_project() {
        let full = TableRef::parse("p-1.archive.readings", "other").unwrap();
        assert_eq!(full.to_string(), "p-1.archive.readings");
        let short = TableRef::parse("archive.readings", "p-1").unwrap();
        assert_eq!(short, full);
        for bad in ["readings", "a.b`c", "a.b;c", "a b.c", "", "."] {
            assert!(TableRef::parse(bad, "p-1").is_err(), "{bad}");
        }
    }

    #[test]
    fn credentials_never_cross_the_network_in_clear() {
        let mut config = ColdConfig::new("p");
        config.endpoint = Some("http://bigquery.example:9050".into());
        assert!(ColdClient::new(config.clone()).is_err());
        config.credentials = Credentials::None;
        assert!(ColdClient::new(config.clone()).is_ok());
        config.endpoint = None;
        assert!(ColdClient::new(config).is_err());
    }
}
