//! Access tokens of a service account: a signed statement about oneself, exchanged at Google's token endpoint (RFC 7523).
//!
//! The key is read by `yup-oauth2`, which `gcp-bigquery-client` stands on. Its own flow would send through a client
//! without time limits and retries, so the statement is signed here, by the provider that does our TLS, and sent by ours.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use gcp_bigquery_client::yup_oauth2::ServiceAccountKey;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Request, StatusCode, Url};
use rustls::SignatureScheme;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::sign::SigningKey;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use crate::config::BigQuery;
use crate::extract::BoxFuture;
use crate::extract::http::{Credentials, HttpClient, Verdict, standard};

/// What a token is for. What the account may do is said by its roles: Google's list has no narrower scope for queries.
const SCOPE: &str = "https://www.googleapis.com/auth/bigquery";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// The longest life that Google grants a statement.
const LIFE: TimeDelta = TimeDelta::hours(1);
/// A token is replaced so long before its end, so that none dies on the way.
const MARGIN: TimeDelta = TimeDelta::minutes(2);

/// A service account that holds one access token at a time.
pub(super) struct ServiceAccount {
    http: HttpClient,
    token_url: Url,
    email: String,
    key_id: Option<String>,
    key: Arc<dyn SigningKey>,
    held: Mutex<Option<Held>>,
}

struct Held {
    token: SecretString,
    until: DateTime<Utc>,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: Option<i64>,
}

impl ServiceAccount {
    /// Reads the key that the settings refer to.
    ///
    /// # Errors
    /// A document that is no service account's key. No message quotes it.
    pub(super) fn open(settings: &BigQuery, http: HttpClient) -> Result<Self> {
        let text = settings.credentials.read().context("reading credentials of BigQuery")?;
        let key: ServiceAccountKey = serde_json::from_str(text.expose_secret()).map_err(|_| {
            anyhow!(
                "{} is no service account's key: it wants the JSON document as Google hands it out",
                settings.credentials
            )
        })?;
        let pem = Zeroizing::new(key.private_key);
        let signing = PrivateKeyDer::from_pem_slice(pem.as_bytes())
            .ok()
            .and_then(|der| rustls::crypto::ring::sign::any_supported_type(&der).ok())
            .filter(|key| key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256]).is_some())
            .with_context(|| format!("private_key in {} is no RSA key in PEM", settings.credentials))?;
        Ok(ServiceAccount {
            http,
            token_url: Url::parse(&settings.token_url).context("token_url is no URL")?,
            email: key.client_email,
            key_id: key.private_key_id,
            key: signing,
            held: Mutex::new(None),
        })
    }

    fn statement(&self, now: DateTime<Utc>) -> Result<Zeroizing<String>> {
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": self.key_id });
        let claims = json!({
            "iss": self.email,
            "scope": SCOPE,
            "aud": self.token_url.as_str(),
            "iat": now.timestamp(),
            "exp": (now + LIFE).timestamp(),
        });
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signer = self.key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256]).context("the key cannot sign")?;
        let signature = signer.sign(signed.as_bytes()).map_err(|error| anyhow!("the key cannot sign: {error}"))?;
        Ok(Zeroizing::new(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))))
    }

    async fn ask(&self) -> Result<Held> {
        let now = self.http.clock().now();
        let statement = self.statement(now)?;
        let body = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", GRANT)
            .append_pair("assertion", &statement)
            .finish();
        let mut request = Request::new(Method::POST, self.token_url.clone());
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        *request.body_mut() = Some(body.into());
        let answer = self.http.send(&request, &classify).await?;
        let granted: Granted = serde_json::from_slice(&answer.body)
            .map_err(|_| anyhow!("the token endpoint answered something else than a token"))?;
        if granted.access_token.is_empty() {
            bail!("the token endpoint answered an empty token");
        }
        let life = Duration::from_secs(granted.expires_in.unwrap_or_default().max(0).unsigned_abs());
        let until = now + TimeDelta::from_std(life).unwrap_or(LIFE) - MARGIN;
        Ok(Held { token: SecretString::from(granted.access_token), until })
    }
}

impl Credentials for ServiceAccount {
    fn token<'a>(&'a self, refused: Option<&'a SecretString>) -> BoxFuture<'a, Result<SecretString>> {
        Box::pin(async move {
            // Held over the request, so that days pulled at the same time ask once.
            let mut held = self.held.lock().await;
            let is_refused =
                |token: &SecretString| refused.is_some_and(|refused| refused.expose_secret() == token.expose_secret());
            match held.as_ref() {
                Some(known) if known.until > self.http.clock().now() && !is_refused(&known.token) => {
                    Ok(known.token.clone())
                }
                _ => {
                    let new = self.ask().await.context("getting an access token for BigQuery")?;
                    let token = new.token.clone();
                    *held = Some(new);
                    Ok(token)
                }
            }
        })
    }
}

/// Judges an answer of the token endpoint: `{"error": "invalid_grant", "error_description": …}` (RFC 6749, section 5.2).
fn classify(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Verdict {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
    }
    match standard(status, headers, body) {
        Verdict::Done
            if body.trim_ascii().is_empty() || serde_json::from_slice::<serde::de::IgnoredAny>(body).is_err() =>
        {
            Verdict::Retry { reason: format!("{} without a token", super::fault::line(status)), after: None }
        }
        // There is no token to renew here.
        Verdict::Fail(reason) | Verdict::RefreshToken(reason) => {
            Verdict::Fail(match serde_json::from_slice::<Refusal>(body) {
                Ok(Refusal { error }) if error == "invalid_grant" => format!(
                    "{reason}: invalid_grant: the service account or its key is gone, or this machine's clock is wrong"
                ),
                // The description is left out: it may repeat what was sent.
                Ok(Refusal { error }) => format!("{reason}: {}", error.chars().take(60).collect::<String>()),
                Err(_) => reason,
            })
        }
        verdict => verdict,
    }
}
