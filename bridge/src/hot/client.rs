use std::sync::{Mutex, MutexGuard, Once};
use std::time::Instant;

use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;

use super::breaker::Breaker;
use super::cluster::NodeClients;
use super::config::{HotConfig, Target};
use super::error::HotError;

/// Client of a Redis server with the Strata module. Needs a running tokio runtime with I/O and time enabled.
///
/// All commands it sends may be repeated without harm, so a connection that broke since its last use (Redis was
/// restarted, or the runtime that drove it is gone) is replaced once without an error.
pub struct HotClient {
    config: HotConfig,
    breaker: Breaker,
    link: Mutex<Option<Link>>,
    /// The masters of a cluster, once one was asked for.
    pub(super) nodes: NodeClients,
}

/// An open connection and what is needed to describe its errors.
struct Link {
    connection: MultiplexedConnection,
    target: Target,
    /// The server is known to be in no cluster.
    alone: bool,
}

impl HotClient {
    /// Checks the settings; connects with the first command. Errors: [`super::HotErrorKind::Settings`].
    pub fn new(config: HotConfig) -> Result<Self, HotError> {
        config.check()?;
        Ok(Self {
            breaker: Breaker::new(config.retry_after),
            config,
            link: Mutex::new(None),
            nodes: NodeClients::default(),
        })
    }

    pub fn config(&self) -> &HotConfig {
        &self.config
    }

    /// The server's name for messages, without user and password.
    pub fn address(&self) -> String {
        self.config.address()
    }

    /// Connects if there is no connection yet and asks for a sign of life.
    pub async fn ping(&self) -> Result<(), HotError> {
        self.query(&redis::cmd("PING")).await.map(|_| ())
    }

    /// Sends one command.
    pub(super) async fn query(&self, command: &redis::Cmd) -> Result<redis::Value, HotError> {
        self.with_link(async |connection| connection.send_packed_command(command).await?.extract_error()).await
    }

    /// Sends many commands at once and returns one answer per command; an error of one command is a
    /// [`redis::Value::ServerError`] in its place.
    pub(super) async fn query_pipeline(&self, pipeline: &redis::Pipeline) -> Result<Vec<redis::Value>, HotError> {
        let (offset, count) = (0, pipeline.len());
        self.with_link(async |connection| connection.send_packed_commands(pipeline, offset, count).await).await
    }

    /// Describes an error that came as the answer to one command of a pipeline.
    pub(super) fn describe(&self, error: redis::ServerError) -> HotError {
        HotError::from_redis(&error.into(), &self.address(), None)
    }

    /// Whether the server that is connected is known to be in no cluster.
    pub(super) fn stands_alone(&self) -> bool {
        self.kept_link().as_ref().is_some_and(|link| link.alone)
    }

    pub(super) fn note_that_it_stands_alone(&self) {
        if let Some(link) = self.kept_link().as_mut() {
            link.alone = true;
        }
    }

    async fn with_link<T>(
        &self,
        send: impl AsyncFn(&mut MultiplexedConnection) -> redis::RedisResult<T>,
    ) -> Result<T, HotError> {
        let kept = self.kept_link().take();
        if let Some(mut link) = kept {
            match send(&mut link.connection).await {
                Err(error) if error.is_connection_dropped() => {}
                result => return self.finish(link, result),
            }
        }
        let mut link = self.connect().await?;
        let result = send(&mut link.connection).await;
        self.finish(link, result)
    }

    /// Keeps the connection for the next command unless it broke or an answer may still be on its way.
    fn finish<T>(&self, link: Link, result: redis::RedisResult<T>) -> Result<T, HotError> {
        match result {
            Err(error) => {
                let described = HotError::from_redis(&error, &link.target.address, link.target.password.as_deref());
                if !error.is_io_error() && !error.is_unrecoverable_error() {
                    *self.kept_link() = Some(link);
                }
                Err(described)
            }
            Ok(value) => {
                *self.kept_link() = Some(link);
                Ok(value)
            }
        }
    }

    async fn connect(&self) -> Result<Link, HotError> {
        self.breaker.check(Instant::now())?;
        install_crypto_provider();
        let target = self.config.target()?;
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.config.connect_timeout))
            .set_response_timeout(Some(self.config.response_timeout));
        let describe =
            |error: redis::RedisError| HotError::from_redis(&error, &target.address, target.password.as_deref());
        let client = redis::Client::open(target.info.clone()).map_err(describe)?;
        // the crate limits each part of the handshake; this limits all of it, from name resolution to login
        let connected = tokio::time::timeout(
            self.config.connect_timeout,
            client.get_multiplexed_async_connection_with_config(&settings),
        )
        .await
        .unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
        .map_err(describe);
        match connected {
            Ok(connection) => {
                self.breaker.record_success();
                Ok(Link { connection, target, alone: false })
            }
            Err(error) => {
                self.breaker.record_failure(Instant::now(), &error);
                Err(error)
            }
        }
    }

    fn kept_link(&self) -> MutexGuard<'_, Option<Link>> {
        self.link.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// rustls refuses to choose where a program links more than one implementation.
fn install_crypto_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // an Err says that the program has chosen already, which is as good
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
