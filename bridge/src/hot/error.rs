use std::fmt;

/// What kind of failure the hot tier reports; decides the SQLSTATE in PostgreSQL and the exit code of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HotErrorKind {
    /// The URL, the password file or another setting cannot be used. No connection was tried.
    Settings,
    /// No connection could be made, or it broke; also while the circuit breaker is open.
    Unreachable,
    /// Redis accepted the connection but did not answer in time.
    Timeout,
    /// Redis answers but does not know the STRATA commands.
    ModuleMissing,
    /// Redis refuses this client: wrong or missing password, or no permission for the command.
    Refused,
    /// Redis answered with an error or with something this version does not understand.
    Reply,
}

/// The one error of the hot tier. The texts never hold a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HotError {
    pub kind: HotErrorKind,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// The facts behind it.
    pub detail: Option<String>,
    /// What to do next.
    pub hint: Option<String>,
}

impl HotError {
    pub(super) fn new(kind: HotErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), detail: None, hint: None }
    }

    pub(super) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// An answer that this version cannot read.
    pub(super) fn reply(what: impl fmt::Display) -> Self {
        Self::new(HotErrorKind::Reply, format!("unexpected answer from Redis: {what}"))
            .hint("The Redis module and this program may be of different versions; compare them with STRATA.INFO.")
    }

    /// True where trying again later can help.
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind, HotErrorKind::Unreachable | HotErrorKind::Timeout)
    }

    /// Translates an error of the redis crate. `address` names the server without credentials, `password` is cut
    /// out of every text.
    pub(super) fn from_redis(error: &redis::RedisError, address: &str, password: Option<&str>) -> Self {
        let fact = redact(&error.to_string(), password);
        if error.is_timeout() {
            return Self::timeout(address).detail(fact);
        }
        let code = error.code().unwrap_or_default();
        let text = fact.to_ascii_lowercase();
        if error.kind() == redis::ErrorKind::AuthenticationFailed
            || matches!(code, "NOAUTH" | "WRONGPASS" | "NOPERM")
            || text.contains("noauth")
            || text.contains("wrongpass")
        {
            return Self::refused(address, code).detail(fact);
        }
        if text.contains("unknown command") && text.contains("strata.") {
            return Self::new(
                HotErrorKind::ModuleMissing,
                format!("the Redis server at {address} does not have the Strata module"),
            )
            .detail(fact)
            .hint("Add \"loadmodule /path/to/libstrata.so\" to redis.conf and restart Redis.");
        }
        if error.is_io_error() || error.is_connection_dropped() {
            let unreachable =
                Self::new(HotErrorKind::Unreachable, format!("the Redis server at {address} cannot be reached"))
                    .detail(fact);
            if text.contains("certificate") {
                return unreachable.hint("Its certificate is not trusted here: install the authority that signed it, or name its file in SSL_CERT_FILE.");
            }
            return unreachable.hint(
                "Check that Redis is running and that the URL (strata.redis_url or REDIS_URL) names its host and port.",
            );
        }
        let error = Self::new(HotErrorKind::Reply, format!("the Redis server at {address} answered with an error"))
            .detail(fact);
        match code {
            "LOADING" => error.hint("Redis is still loading its data; try again when it is done."),
            "READONLY" => error.hint("This is a replica; point the URL to the primary."),
            "OOM" => error.hint("Redis is at maxmemory; raise it, or shorten the hot retention of the sources."),
            "MISCONF" => error.hint("Redis cannot write its files and refuses new samples; see its log."),
            "MOVED" | "ASK" => error.hint("The Redis Cluster is moving slots; try again when it is done."),
            _ => error,
        }
    }

    pub(super) fn timeout(address: &str) -> Self {
        Self::new(HotErrorKind::Timeout, format!("the Redis server at {address} did not answer in time"))
            .hint("Redis may be busy with a long command (see SLOWLOG GET) or suspended; the call can be repeated.")
    }

    fn refused(address: &str, code: &str) -> Self {
        let error = Self::new(HotErrorKind::Refused, format!("the Redis server at {address} refused this client"));
        if code == "NOPERM" {
            error.hint("Give the user the Strata commands, for example with: ACL SETUSER name +@all ~*")
        } else {
            error.hint("Put the password into the file named by strata.redis_password_file (or into REDIS_URL for the command line).")
        }
    }
}

impl fmt::Display for HotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(detail) = &self.detail {
            write!(f, " ({detail})")?;
        }
        Ok(())
    }
}

impl std::error::Error for HotError {}

/// Removes the password from a text that came from elsewhere.
pub(super) fn redact(text: &str, password: Option<&str>) -> String {
    match password {
        Some(password) if !password.is_empty() => text.replace(password, "***"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn io(kind: std::io::ErrorKind) -> redis::RedisError {
        redis::RedisError::from(std::io::Error::new(kind, "os text with s3cret in it"))
    }

    fn server(code: &str, detail: &str) -> redis::RedisError {
        redis::make_extension_error(code.to_owned(), Some(detail.to_owned()))
    }

    #[test]
    fn each_failure_has_its_kind() {
        let kind = |error: &redis::RedisError| HotError::from_redis(error, "redis://h:1", None).kind;
        assert_eq!(kind(&io(std::io::ErrorKind::ConnectionRefused)), HotErrorKind::Unreachable);
        assert_eq!(kind(&io(std::io::ErrorKind::TimedOut)), HotErrorKind::Timeout);
        assert_eq!(kind(&server("NOAUTH", "Authentication required.")), HotErrorKind::Refused);
        assert_eq!(kind(&server("NOPERM", "no permission")), HotErrorKind::Refused);
        assert_eq!(kind(&server("ERR", "unknown command 'STRATA.PENDING'")), HotErrorKind::ModuleMissing);
        assert_eq!(kind(&server("STRATAERR", "bad time")), HotErrorKind::Reply);
    }

    #[test]
    fn a_password_never_shows_in_the_text() {
        let error = HotError::from_redis(&io(std::io::ErrorKind::ConnectionReset), "redis://h:1", Some("s3cret"));
        assert!(!error.to_string().contains("s3cret"), "{error}");
        assert!(error.to_string().contains("***"), "{error}");
    }
}
