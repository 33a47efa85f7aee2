//! Where an access token comes from. Tokens and keys stay in memory: nothing here implements `Debug`, and no error
//! names what was read.
//!
//! Formats: credentials files as in <https://google.aip.dev/auth/4110>, the service account's signed request as in
//! <https://developers.google.com/identity/protocols/oauth2/service-account#httprest>, the metadata server as in
//! <https://cloud.google.com/compute/docs/access/authenticate-workloads>.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reqwest::{Client, Request, Url};
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde::Deserialize;

use super::client::Credentials;
use super::error::{ColdError, ErrorKind};
use super::http::execute;

const SCOPE: &str = "https://www.googleapis.com/auth/bigquery";
/// A token is renewed this long before it ends.
const MARGIN: Duration = Duration::from_secs(60);
/// The metadata server is on the same host: if it does not answer soon, it is not there.
const METADATA_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) struct Auth {
    source: Source,
    cached: Mutex<Option<Token>>,
}

enum Source {
    None,
    ServiceAccount(Box<ServiceAccount>),
    AuthorizedUser(AuthorizedUser),
    Metadata,
}

struct Token {
    text: String,
    ends: Instant,
}

struct ServiceAccount {
    email: String,
    key_id: Option<String>,
    key: RsaKeyPair,
    token_uri: Url,
}

struct AuthorizedUser {
    client_id: String,
    client_secret: String,
    refresh_token: String,
    token_uri: Url,
}

/// The fields of every kind of credentials file that is understood.
#[derive(Deserialize)]
struct CredentialsFile {
    #[serde(rename = "type")]
    kind: String,
    client_email: Option<String>,
    private_key: Option<String>,
    private_key_id: Option<String>,
    token_uri: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    refresh_token: Option<String>,
}

#[derive(Deserialize)]
struct TokenReply {
    access_token: String,
    expires_in: u64,
}

impl Auth {
    pub(crate) fn load(credentials: &Credentials) -> Result<Auth, ColdError> {
        let source = match credentials {
            Credentials::None => Source::None,
            Credentials::File(path) => read_file(path)?,
            Credentials::ApplicationDefault => match application_default_file() {
                Some(path) => read_file(&path)?,
                None => Source::Metadata,
            },
        };
        Ok(Auth { source, cached: Mutex::new(None) })
    }

    /// The access token for the next request, fetched if there is none or it ends soon. `None`: send none.
    pub(crate) async fn token(&self, client: &Client) -> Result<Option<String>, ColdError> {
        if matches!(self.source, Source::None) {
            return Ok(None);
        }
        if let Some(token) = &*self.lock()
            && token.ends > Instant::now()
        {
            return Ok(Some(token.text.clone()));
        }
        let request = self.source.token_request(client)?;
        let reply = execute(client, request).await.map_err(|error| match &self.source {
            Source::Metadata => ColdError::new(
                ErrorKind::Auth,
                "no application-default credentials: neither a file nor a metadata server",
            )
            .with_hint(
                "Set strata.bigquery_credentials_file, or GOOGLE_APPLICATION_CREDENTIALS in the server's environment.",
            ),
            _ => error.during("fetching an access token"),
        })?;
        if !reply.status.is_success() {
            let status = reply.status.as_u16();
            // the token endpoint says invalid_grant and the like with 400
            let mut error = ColdError::response(status, b"", None);
            if (400..500).contains(&status) && status != 429 {
                error.kind = ErrorKind::Auth;
            }
            error.message = format!("the token service refused the credentials (HTTP {status})");
            return Err(
                error.with_hint("The key may have been revoked, the account disabled, or this machine's clock wrong.")
            );
        }
        let token: TokenReply = reply
            .json()
            .map_err(|_| ColdError::new(ErrorKind::Auth, "the token service did not answer with a token"))?;
        let ends = Instant::now() + Duration::from_secs(token.expires_in).saturating_sub(MARGIN);
        *self.lock() = Some(Token { text: token.access_token.clone(), ends });
        Ok(Some(token.access_token))
    }

    /// Drops the cached token; false if there are no credentials that could give another one.
    pub(crate) fn forget_token(&self) -> bool {
        self.lock().take();
        !matches!(self.source, Source::None)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Token>> {
        self.cached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source {
    fn token_request(&self, client: &Client) -> Result<Request, ColdError> {
        let form = |url: &Url, fields: &[(&str, &str)]| {
            client.post(url.clone()).form(fields).build().map_err(|error| ColdError::transport(&error))
        };
        match self {
            Source::None => Err(ColdError::permanent("no credentials")),
            Source::ServiceAccount(account) => form(
                &account.token_uri,
                &[
                    ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
                    ("assertion", &account.assertion(chrono::Utc::now().timestamp())?),
                ],
            ),
            Source::AuthorizedUser(user) => form(
                &user.token_uri,
                &[
                    ("grant_type", "refresh_token"),
                    ("client_id", &user.client_id),
                    ("client_secret", &user.client_secret),
                    ("refresh_token", &user.refresh_token),
                ],
            ),
            Source::Metadata => {
                let host = std::env::var("GCE_METADATA_HOST").unwrap_or_else(|_| "metadata.google.internal".to_owned());
                let url = format!("http://{host}/computeMetadata/v1/instance/service-accounts/default/token");
                let url = Url::parse(&url).map_err(|_| ColdError::permanent("GCE_METADATA_HOST is not a host name"))?;
                client
                    .get(url)
                    .header("Metadata-Flavor", "Google")
                    .timeout(METADATA_TIMEOUT)
                    .build()
                    .map_err(|error| ColdError::transport(&error))
            }
        }
    }
}

impl ServiceAccount {
    /// A signed request for a token, valid for an hour. `now` in seconds since the epoch.
    fn assertion(&self, now: i64) -> Result<String, ColdError> {
        let mut header = serde_json::json!({"alg": "RS256", "typ": "JWT"});
        if let Some(id) = &self.key_id {
            header["kid"] = id.as_str().into();
        }
        let claims = serde_json::json!({
            "iss": self.email,
            "scope": SCOPE,
            "aud": self.token_uri.as_str(),
            "iat": now,
            "exp": now + 3600,
        });
        let mut text = URL_SAFE_NO_PAD.encode(header.to_string());
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(claims.to_string(), &mut text);
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &ring::rand::SystemRandom::new(), text.as_bytes(), &mut signature)
            .map_err(|_| ColdError::new(ErrorKind::Auth, "the service account's key cannot sign"))?;
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut text);
        Ok(text)
    }
}

fn read_file(path: &Path) -> Result<Source, ColdError> {
    let failed = |why: &str| ColdError::new(ErrorKind::Auth, format!("credentials file {}: {why}", path.display()));
    let bytes = std::fs::read(path).map_err(|error| {
        failed(&error.kind().to_string())
            .with_hint("The operating-system user that runs PostgreSQL must be able to read it.")
    })?;
    // serde's message could quote the file
    let file: CredentialsFile =
        serde_json::from_slice(&bytes).map_err(|_| failed("is not a Google credentials file in JSON"))?;
    let need = |field: Option<String>, name: &str| field.ok_or_else(|| failed(&format!("lacks the field {name}")));
    let token_uri = Url::parse(file.token_uri.as_deref().unwrap_or("https://oauth2.googleapis.com/token"))
        .ok()
        .filter(is_private)
        .ok_or_else(|| failed("token_uri is not an https:// address"))?;
    match file.kind.as_str() {
        "service_account" => Ok(Source::ServiceAccount(Box::new(ServiceAccount {
            email: need(file.client_email, "client_email")?,
            key_id: file.private_key_id,
            key: decode_key(&need(file.private_key, "private_key")?)
                .ok_or_else(|| failed("private_key is not an RSA key in PKCS #8"))?,
            token_uri,
        }))),
        "authorized_user" => Ok(Source::AuthorizedUser(AuthorizedUser {
            client_id: need(file.client_id, "client_id")?,
            client_secret: need(file.client_secret, "client_secret")?,
            refresh_token: need(file.refresh_token, "refresh_token")?,
            token_uri,
        })),
        _ => Err(failed("is of a kind that is not supported").with_hint(
            "Supported are the keys of service accounts, and what \"gcloud auth application-default login\" writes.",
        )),
    }
}

fn decode_key(pem: &str) -> Option<RsaKeyPair> {
    let body = pem.split_once("-----BEGIN PRIVATE KEY-----")?.1.split_once("-----END PRIVATE KEY-----")?.0;
    let base64: String = body.split_whitespace().collect();
    RsaKeyPair::from_pkcs8(&STANDARD.decode(base64).ok()?).ok()
}

/// The file of application-default credentials, if there is one, in the order in which Google's libraries look.
fn application_default_file() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("GOOGLE_APPLICATION_CREDENTIALS").filter(|p| !p.is_empty()) {
        return Some(path.into());
    }
    let gcloud = match std::env::var_os("CLOUDSDK_CONFIG") {
        Some(directory) => PathBuf::from(directory),
        None => PathBuf::from(std::env::var_os("HOME")?).join(".config/gcloud"),
    };
    let path = gcloud.join("application_default_credentials.json");
    path.exists().then_some(path)
}

/// Whether nobody on the way can read what is sent there.
pub(crate) fn is_private(url: &Url) -> bool {
    let loopback = url.host_str().is_some_and(|host| {
        host == "localhost"
            || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    });
    url.scheme() == "https" || loopback
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Auth, ColdError> {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("strata-auth-{}-{number}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        let loaded = Auth::load(&Credentials::File(path.clone()));
        std::fs::remove_file(path).unwrap();
        loaded
    }

    fn refused(text: &str) -> ColdError {
        match load(text) {
            Ok(_) => panic!("accepted: {text}"),
            Err(error) => error,
        }
    }

    #[test]
    fn an_unusable_file_is_refused_without_quoting_it() {
        for text in [
            "secret-text",
            r#"{"type":"service_account","client_email":"a@b","private_key":"secret-text"}"#,
            r#"{"type":"external_account","private_key":"secret-text"}"#,
            r#"{"type":"authorized_user","client_id":"secret-text"}"#,
            r#"{"type":"authorized_user","client_id":"secret-text","token_uri":"http://example.com/"}"#,
        ] {
            let error = refused(text);
            assert_eq!(error.kind, ErrorKind::Auth);
            assert!(!error.to_string().contains("secret-text"), "{error}");
        }
    }

    #[test]
    fn a_users_refresh_token_is_sent_as_a_form() {
        let auth = load(r#"{"type":"authorized_user","client_id":"i d","client_secret":"s&","refresh_token":"1//r"}"#)
            .unwrap();
        let request = auth.source.token_request(&Client::new()).unwrap();
        assert_eq!(request.url().as_str(), "https://oauth2.googleapis.com/token");
        let body = request.body().and_then(|b| b.as_bytes()).unwrap();
        assert_eq!(
            std::str::from_utf8(body).unwrap(),
            "grant_type=refresh_token&client_id=i+d&client_secret=s%26&refresh_token=1%2F%2Fr"
        );
    }

    #[test]
    fn a_service_account_signs_its_request() {
        let auth = load(include_str!("auth_test_account.json")).unwrap();
        let Source::ServiceAccount(account) = &auth.source else { panic!("another kind") };
        let assertion = account.assertion(1_700_000_000).unwrap();
        let (signed, signature) = assertion.rsplit_once('.').unwrap();
        let public = ring::signature::UnparsedPublicKey::new(
            &ring::signature::RSA_PKCS1_2048_8192_SHA256,
            account.key.public().as_ref(),
        );
        public.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
        let part = |text: &str| -> serde_json::Value {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
        };
        let (header, claims) = signed.split_once('.').unwrap();
        assert_eq!(part(header), serde_json::json!({"alg": "RS256", "typ": "JWT", "kid": "k1"}));
        assert_eq!(
            part(claims),
            serde_json::json!({
                "iss": "archive@example.iam.gserviceaccount.com",
                "scope": SCOPE,
                "aud": "https://oauth2.googleapis.com/token",
                "iat": 1_700_000_000,
                "exp": 1_700_003_600,
            })
        );
    }

    #[test]
    fn only_https_and_this_machine_are_private() {
        for (url, private) in [
            ("https://example.com", true),
            ("http://127.0.0.1:9050", true),
            ("http://[::1]:9050", true),
            ("http://localhost:1", true),
            ("http://example.com", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(is_private(&Url::parse(url).unwrap()), private, "{url}");
        }
    }
}
