//! The one error type of the cold tier, and the one place where remote text is made fit to be shown.

use std::time::Duration;

use serde::Deserialize;

/// What a caller can do about a [`ColdError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Try again later: the network, an overloaded or failing service.
    Retryable,
    /// The same request will fail again: bad statement, bad data, bad configuration.
    Permanent,
    /// Credentials are missing, wrong or not allowed to do this.
    Auth,
    NotFound,
    /// What was to be created exists, or somebody else changed it meanwhile.
    Conflict,
    /// A quota, or the cap on billed bytes.
    Quota,
    /// The archive did not hold what was written to it.
    Mismatch,
    /// The archive belongs to another database (a clone must not write to the original's archive).
    NotOwner,
}

/// An error of the cold tier. Its text holds no credential and no row value.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct ColdError {
    pub kind: ErrorKind,
    pub message: String,
    /// What the operator can do next.
    pub hint: Option<String>,
    /// The HTTP status, if the service answered.
    pub(crate) status: Option<u16>,
    /// The service's own wish, from a Retry-After header.
    pub(crate) retry_after: Option<Duration>,
    /// Set when an earlier try of the same request may have reached the service.
    pub(crate) after_lost_reply: bool,
}

impl ColdError {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> ColdError {
        ColdError {
            kind,
            message: message.into(),
            hint: None,
            status: None,
            retry_after: None,
            after_lost_reply: false,
        }
    }

    pub(crate) fn permanent(message: impl Into<String>) -> ColdError {
        ColdError::new(ErrorKind::Permanent, message)
    }

    pub(crate) fn retryable(message: impl Into<String>) -> ColdError {
        ColdError::new(ErrorKind::Retryable, message)
    }

    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> ColdError {
        self.hint = Some(hint.into());
        self
    }

    /// Says what was being done: `what: text`.
    #[must_use]
    pub(crate) fn during(mut self, what: &str) -> ColdError {
        self.message = format!("{what}: {}", self.message);
        self
    }

    pub fn is_retryable(&self) -> bool {
        self.kind == ErrorKind::Retryable
    }

    /// A request that got no answer. `reqwest` puts the address into its text; ours names only the kind of failure.
    pub(crate) fn transport(error: &reqwest::Error) -> ColdError {
        let what = if error.is_timeout() {
            "no answer in time"
        } else if error.is_connect() {
            "cannot connect"
        } else if error.is_builder() {
            return ColdError::permanent(redact(&innermost(error)));
        } else {
            "the connection was lost"
        };
        ColdError::retryable(format!("{what} ({})", redact(&innermost(error))))
    }

    /// An answer with an HTTP error status. `body` is Google's error object
    /// (<https://cloud.google.com/bigquery/docs/error-messages>) or whatever a proxy in between sent.
    pub(crate) fn response(status: u16, body: &[u8], retry_after: Option<Duration>) -> ColdError {
        let parsed = serde_json::from_slice::<ErrorBody>(body).ok();
        let (reason, text) = match &parsed {
            Some(ErrorBody { error }) => {
                (error.errors.first().and_then(|e| e.reason.as_deref()), error.message.as_deref().unwrap_or(""))
            }
            None => (None, ""),
        };
        let kind = reason.and_then(kind_of_reason).unwrap_or_else(|| kind_of_status(status));
        let mut error = ColdError::new(kind, format!("HTTP {status}: {}", describe(reason, text)));
        error.hint = hint_of(kind, reason);
        error.status = Some(status);
        error.retry_after = retry_after;
        error
    }

    /// The error a job or a query ended with.
    pub(crate) fn job(reason: Option<&str>, message: Option<&str>) -> ColdError {
        let kind = reason.and_then(kind_of_reason).unwrap_or(ErrorKind::Permanent);
        let mut error = ColdError::new(kind, describe(reason, message.unwrap_or("")));
        error.hint = hint_of(kind, reason);
        error
    }
}

#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorObject,
}

#[derive(Deserialize)]
struct ErrorObject {
    message: Option<String>,
    #[serde(default)]
    errors: Vec<ErrorItem>,
}

#[derive(Deserialize)]
struct ErrorItem {
    reason: Option<String>,
}

fn describe(reason: Option<&str>, text: &str) -> String {
    match (reason, redact(text)) {
        (Some(reason), text) if text.is_empty() => redact(reason),
        (Some(reason), text) => format!("{text} ({})", redact(reason)),
        (None, text) if text.is_empty() => "the service gave no reason".to_owned(),
        (None, text) => text,
    }
}

fn kind_of_status(status: u16) -> ErrorKind {
    match status {
        401 | 403 => ErrorKind::Auth,
        404 => ErrorKind::NotFound,
        409 | 412 => ErrorKind::Conflict,
        408 | 429 | 500..=599 => ErrorKind::Retryable,
        _ => ErrorKind::Permanent,
    }
}

fn kind_of_reason(reason: &str) -> Option<ErrorKind> {
    Some(match reason {
        "backendError"
        | "internalError"
        | "jobBackendError"
        | "jobInternalError"
        | "rateLimitExceeded"
        | "jobRateLimitExceeded"
        | "tableUnavailable"
        | "timeout" => ErrorKind::Retryable,
        "quotaExceeded"
        | "bytesBilledLimitExceeded"
        | "billingTierLimitExceeded"
        | "responseTooLarge"
        | "resourcesExceeded" => ErrorKind::Quota,
        "accessDenied" | "authError" | "required" | "billingNotEnabled" | "blocked" | "insufficientPermissions" => {
            ErrorKind::Auth
        }
        "notFound" => ErrorKind::NotFound,
        "duplicate" | "conditionNotMet" => ErrorKind::Conflict,
        "invalid" | "invalidQuery" | "invalidUser" | "notImplemented" | "stopped" => ErrorKind::Permanent,
        _ => return None,
    })
}

fn hint_of(kind: ErrorKind, reason: Option<&str>) -> Option<String> {
    let hint = match (kind, reason) {
        (_, Some("bytesBilledLimitExceeded")) => {
            "The statement would read more than strata.cold_max_bytes allows: narrow the time range, or raise the cap."
        }
        (ErrorKind::Auth, _) => {
            "Check the credentials file or the application-default credentials, and that the account has the roles BigQuery Data Editor on the dataset and BigQuery Job User on the project."
        }
        (ErrorKind::Quota, _) => {
            "A quota of the BigQuery project is used up: it is refilled by time, or raised in the Google Cloud console."
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut current = error;
    while let Some(source) = current.source() {
        current = source;
    }
    // reqwest's own text ends in the address of the request
    let text = current.to_string();
    text.split(" for url (").next().unwrap_or_default().to_owned()
}

const LONGEST_TEXT: usize = 500;

/// Makes text from a remote service fit for a user, a log and a catalog: one line, bounded, without anything that
/// looks like a credential, and without quoted literals, which is where services put row values.
pub fn redact(text: &str) -> String {
    let one_line = text.split_whitespace().map(redact_word).collect::<Vec<_>>().join(" ");
    let mut shown = blank_quoted(&one_line);
    if shown.len() > LONGEST_TEXT {
        let end = (0..=LONGEST_TEXT).rev().find(|at| shown.is_char_boundary(*at)).unwrap_or(0);
        shown.truncate(end);
        shown.push('…');
    }
    shown
}

/// Tokens of Google (`ya29.`, `1//`), JSON web tokens, key blocks, and anything long enough to be a key.
fn redact_word(word: &str) -> &str {
    const HIDDEN: &str = "[redacted]";
    const LONGEST_WORD: usize = 200;
    let lower = word.to_ascii_lowercase();
    let secret = word.contains("ya29.")
        || word.contains("eyJ")
        || word.contains("1//")
        || word.contains("AIza")
        || lower.contains("token=")
        || lower.contains("key=")
        || lower.contains("assertion=")
        || lower.contains("signature=")
        || word.len() > LONGEST_WORD
        || looks_like_key(word);
    if secret { HIDDEN } else { word }
}

/// A run of at least 40 characters of base64 with letters of both cases and digits.
fn looks_like_key(word: &str) -> bool {
    word.split(|c: char| !(c.is_ascii_alphanumeric() || c == '+' || c == '/' || c == '=')).any(|run| {
        run.len() >= 40
            && run.bytes().any(|b| b.is_ascii_lowercase())
            && run.bytes().any(|b| b.is_ascii_uppercase())
            && run.bytes().any(|b| b.is_ascii_digit())
    })
}

/// Replaces what stands between quotation marks. An apostrophe inside a word opens nothing.
fn blank_quoted(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    let mut before = ' ';
    while let Some(c) = characters.next() {
        shown.push(c);
        let opens = c == '"' || (c == '\'' && !before.is_alphanumeric());
        before = c;
        if !opens {
            continue;
        }
        let mut closed = false;
        while let Some(inside) = characters.next() {
            let apostrophe = c == '\'' && inside == c && characters.peek().is_some_and(|next| next.is_alphanumeric());
            if inside == c && !apostrophe {
                closed = true;
                break;
            }
        }
        shown.push('…');
        if closed {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remote_text_loses_credentials_and_row_values() {
        let text = "Could not parse 'NODE_7 secret' as INT64 for \"value 12.5\"\nBearer ya29.a0Af_xyz token=abc";
        let shown = redact(text);
        for secret in ["NODE_7", "12.5", "ya29", "abc"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(shown.starts_with("Could not parse '…' as INT64"), "{shown}");
        assert!(!shown.contains('\n'));
    }

    #[test]
    fn an_unclosed_quotation_hides_the_rest() {
        assert_eq!(redact("bad value 'x y z"), "bad value '…");
        assert_eq!(redact("the table's schema doesn't fit"), "the table's schema doesn't fit");
    }

    #[test]
    fn names_of_tables_stay_readable() {
        let text = "Not found: Table my-project:archive.sensor_readings was not found in location EU";
        assert_eq!(redact(text), text);
    }

    #[test]
    fn long_text_is_cut_at_a_character() {
        assert!(redact(&"ä ".repeat(600)).len() <= LONGEST_TEXT + '…'.len_utf8());
    }

    #[test]
    fn the_reason_decides_before_the_status() {
        let body = br#"{"error":{"code":403,"message":"slow down","errors":[{"reason":"rateLimitExceeded"}]}}"#;
        assert_eq!(ColdError::response(403, body, None).kind, ErrorKind::Retryable);
        assert_eq!(ColdError::response(403, b"", None).kind, ErrorKind::Auth);
        assert_eq!(ColdError::response(502, b"<html>", None).kind, ErrorKind::Retryable);
    }
}
