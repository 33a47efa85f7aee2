use std::path::PathBuf;
use std::time::Duration;

use redis::{ConnectionAddr, IntoConnectionInfo};

use super::error::{HotError, HotErrorKind};

/// How to reach Redis.
#[derive(Clone)]
pub struct HotConfig {
    /// `redis://[user[:password]@]host[:port][/db]`, `rediss://…` for TLS, or `unix:///path?db=n`.
    pub url: String,
    /// File whose first line is the password; read at every connect, so a changed password needs no restart.
    /// It wins over a password in the URL.
    pub password_file: Option<PathBuf>,
    /// How long a connect, its TLS handshake and its authentication may take.
    pub connect_timeout: Duration,
    /// How long one command may take.
    pub response_timeout: Duration,
    /// How long no connect is tried after a failed one.
    pub retry_after: Duration,
}

impl HotConfig {
    /// Connect within 2 s, answers within 10 s, 5 s between failed connects.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            password_file: None,
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(10),
            retry_after: Duration::from_secs(5),
        }
    }

    /// Checks the URL without connecting. Errors: [`HotErrorKind::Settings`].
    pub fn check(&self) -> Result<(), HotError> {
        self.target_without_password_file().map(|_| ())
    }

    /// The server's name for messages, without user and password.
    pub(super) fn address(&self) -> String {
        self.target_without_password_file().map_or_else(|_| "(unreadable URL)".to_owned(), |target| target.address)
    }

    /// The server to connect to, with the password from the file if there is one.
    pub(super) fn target(&self) -> Result<Target, HotError> {
        let mut target = self.target_without_password_file()?;
        if let Some(path) = &self.password_file {
            let text = std::fs::read_to_string(path).map_err(|error| {
                HotError::new(HotErrorKind::Settings, "the Redis password file cannot be read")
                    .detail(format!("{}: {error}", path.display()))
                    .hint("The file must be readable by the user that runs this program.")
            })?;
            let password = text.lines().next().unwrap_or_default().trim_end_matches('\r');
            if password.is_empty() {
                return Err(HotError::new(HotErrorKind::Settings, "the Redis password file is empty")
                    .detail(path.display().to_string())
                    .hint("Its first line must be the password."));
            }
            let settings = target.info.redis_settings().clone().set_password(password);
            target.info = target.info.set_redis_settings(settings);
            target.password = Some(password.to_owned());
        }
        Ok(target)
    }

    fn target_without_password_file(&self) -> Result<Target, HotError> {
        // the crate's own message can repeat the URL, and with it a password
        let info = self.url.as_str().into_connection_info().map_err(|_| {
            HotError::new(HotErrorKind::Settings, "the Redis URL cannot be understood").hint(
                "It must look like redis://host:6379/0, rediss://user@host:6380/0 (TLS) or unix:///run/redis.sock",
            )
        })?;
        let address = address_of(info.addr(), info.redis_settings().db());
        let password = info.redis_settings().password().map(str::to_owned);
        Ok(Target { info, address, password })
    }
}

// the URL may hold a password
impl std::fmt::Debug for HotConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HotConfig")
            .field("address", &self.address())
            .field("password_file", &self.password_file)
            .field("connect_timeout", &self.connect_timeout)
            .field("response_timeout", &self.response_timeout)
            .field("retry_after", &self.retry_after)
            .finish()
    }
}

pub(super) struct Target {
    pub(super) info: redis::ConnectionInfo,
    /// The server's name for messages, without user and password.
    pub(super) address: String,
    pub(super) password: Option<String>,
}

fn address_of(addr: &ConnectionAddr, db: i64) -> String {
    let db = if db == 0 { String::new() } else { format!("/{db}") };
    match addr {
        ConnectionAddr::Tcp(host, port) => format!("redis://{host}:{port}{db}"),
        ConnectionAddr::TcpTls { host, port, .. } => format!("rediss://{host}:{port}{db}"),
        ConnectionAddr::Unix(path) => format!("unix://{}{db}", path.display()),
        _ => "redis".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_gives_user_password_and_database() {
        let target = HotConfig::new("rediss://ann:s3cret@example.org:6380/4").target().unwrap();
        assert_eq!(target.address, "rediss://example.org:6380/4");
        assert_eq!(target.info.redis_settings().username(), Some("ann"));
        assert_eq!(target.info.redis_settings().db(), 4);
        assert_eq!(target.password.as_deref(), Some("s3cret"));
    }

    #[test]
    fn the_password_file_wins_over_the_url() {
        let path = std::env::temp_dir().join(format!("strata-password-{}", std::process::id()));
        std::fs::write(&path, "from file\nsecond line\n").unwrap();
        let config = HotConfig { password_file: Some(path.clone()), ..HotConfig::new("redis://:url@localhost") };
        let target = config.target().unwrap();
        std::fs::remove_file(path).unwrap();
        assert_eq!(target.info.redis_settings().password(), Some("from file"));
    }

    #[test]
    fn a_missing_password_file_is_a_settings_error() {
        let config =
            HotConfig { password_file: Some("/nonexistent/password".into()), ..HotConfig::new("redis://localhost") };
        assert_eq!(config.target().err().unwrap().kind, HotErrorKind::Settings);
    }

    #[test]
    fn neither_error_nor_debug_shows_the_password() {
        let error = HotConfig::new("http://ann:s3cret@example.org").check().unwrap_err();
        assert_eq!(error.kind, HotErrorKind::Settings);
        assert!(!format!("{error:?}").contains("s3cret"));
        assert!(!format!("{:?}", HotConfig::new("redis://:s3cret@example.org")).contains("s3cret"));
    }
}
