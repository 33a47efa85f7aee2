//! One HTTP request: time limits, credentials, retries. Every request of the cold tier goes through here, and every
//! one may be sent again: reads and deletes by nature, inserts because job and table names are ours.

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, Request, RequestBuilder, StatusCode};

use super::auth::Auth;
use super::client::ColdConfig;
use super::error::ColdError;
use super::retry::{RetryPolicy, parse_retry_after};

pub(crate) struct Http {
    client: Client,
    auth: Auth,
    policy: RetryPolicy,
}

pub(crate) struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Reply {
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, ColdError> {
        serde_json::from_slice(&self.body).map_err(|_| ColdError::permanent("the answer is not what BigQuery answers"))
    }
}

impl Http {
    pub(crate) fn new(auth: Auth, config: &ColdConfig) -> Result<Http, ColdError> {
        let client = Client::builder()
            .user_agent(concat!("strata/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(config.connect_timeout)
            .timeout(config.request_timeout)
            // a redirect would carry the credentials to a place nobody configured
            .redirect(reqwest::redirect::Policy::none())
            // nothing notices that the other side hung up while no future is run, and many servers do after 5 s
            .pool_idle_timeout(Duration::from_secs(4))
            .build()
            .map_err(|error| ColdError::transport(&error))?;
        Ok(Http { client, auth, policy: config.retry.clone() })
    }

    /// Sends what `build` makes until it succeeds, fails for good or the policy's time is used up. The HTTP statuses in
    /// `accept` are successes beside 2xx.
    pub(crate) async fn send(
        &self,
        what: &str,
        accept: &[u16],
        build: impl Fn(&Client) -> RequestBuilder,
    ) -> Result<Reply, ColdError> {
        let mut retries = self.policy.start();
        let mut token_renewed = false;
        let mut reply_lost = false;
        loop {
            let error = match self.try_once(accept, &build).await {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            if error.status == Some(401) && !token_renewed {
                token_renewed = true;
                if self.auth.forget_token() {
                    continue;
                }
            }
            let Some(delay) = retries.next_delay(&error) else {
                let mut error = error.during(what);
                error.after_lost_reply = reply_lost;
                return Err(error);
            };
            reply_lost = true;
            tokio::time::sleep(delay).await;
        }
    }

    /// The access token for a request that is not made here.
    pub(crate) async fn token(&self) -> Result<Option<String>, ColdError> {
        self.auth.token(&self.client).await
    }

    async fn try_once(&self, accept: &[u16], build: &impl Fn(&Client) -> RequestBuilder) -> Result<Reply, ColdError> {
        let mut builder = build(&self.client);
        if let Some(token) = self.auth.token(&self.client).await? {
            builder = builder.bearer_auth(token);
        }
        let request = builder.build().map_err(|error| ColdError::transport(&error))?;
        let reply = execute(&self.client, request).await?;
        let status = reply.status.as_u16();
        if reply.status.is_success() || accept.contains(&status) {
            return Ok(reply);
        }
        let retry_after =
            reply.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(parse_retry_after);
        Err(ColdError::response(status, &reply.body, retry_after))
    }
}

/// Sends one request and reads the whole answer.
pub(crate) async fn execute(client: &Client, request: Request) -> Result<Reply, ColdError> {
    let response = client.execute(request).await.map_err(|error| ColdError::transport(&error))?;
    let status = response.status();
    let headers = response.headers().clone();
    let body = response.bytes().await.map_err(|error| ColdError::transport(&error))?;
    Ok(Reply { status, headers, body: body.into() })
}
