//! Server-to-server OAuth: the grant `account_credentials`, which hands out access tokens of an hour and nothing to
//! renew them with. An earlier token stays valid, so nothing has to be kept between runs.

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderValue};
use reqwest::{Method, Request, StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::config::Zoom;
use crate::extract::BoxFuture;
use crate::extract::http::{Credentials, HttpClient, Verdict, standard, status_line};

/// An access token is handed out only while it lives longer than this: a request may take two minutes.
const LEAST_LIFE: TimeDelta = TimeDelta::minutes(5);
/// What an access token lives when the server does not say.
const UNSTATED_LIFE: i64 = 600;

/// The account's access token.
pub(crate) struct AccountCredentials {
    http: HttpClient,
    token_url: Url,
    account_id: String,
    basic: SecretString,
    current: Mutex<Option<Token>>,
}

struct Token {
    access: SecretString,
    expires_at: DateTime<Utc>,
    /// The instant by Zoom's own clock when it was handed out.
    told_at: DateTime<Utc>,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: Option<i64>,
}

impl AccountCredentials {
    pub(crate) fn new(http: HttpClient, settings: &Zoom) -> Result<Self> {
        let id = settings.client_id.read().context("reading client_id of Zoom")?;
        let secret = settings.client_secret.read().context("reading client_secret of Zoom")?;
        let pair = format!("{}:{}", id.expose_secret(), secret.expose_secret());
        Ok(AccountCredentials {
            http,
            token_url: Url::parse(&settings.token_url).context("token_url of Zoom is no URL")?,
            account_id: settings.account_id.clone(),
            basic: format!("Basic {}", STANDARD.encode(pair)).into(),
            current: Mutex::new(None),
        })
    }

    /// What time it is for Zoom, whose clock decides what it still keeps.
    pub(super) async fn now(&self) -> Result<DateTime<Utc>> {
        self.access(None).await?;
        let current = self.current.lock().await;
        Ok(current.as_ref().map_or_else(|| self.http.clock().now(), |token| token.told_at))
    }

    async fn access(&self, refused: Option<&SecretString>) -> Result<SecretString> {
        let mut current = self.current.lock().await;
        let now = self.http.clock().now();
        let usable = |token: &&Token| {
            token.expires_at - now > LEAST_LIFE
                && refused.is_none_or(|refused| refused.expose_secret() != token.access.expose_secret())
        };
        if let Some(token) = current.as_ref().filter(usable) {
            return Ok(token.access.clone());
        }
        let token = self.ask().await.context("asking Zoom for an access token")?;
        let access = token.access.clone();
        *current = Some(token);
        Ok(access)
    }

    async fn ask(&self) -> Result<Token> {
        let mut request = Request::new(Method::POST, self.token_url.clone());
        let mut basic = HeaderValue::from_str(self.basic.expose_secret())?;
        basic.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, basic);
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "account_credentials")
            .append_pair("account_id", &self.account_id)
            .finish();
        *request.body_mut() = Some(form.into());
        let answer = self.http.send(&request, &classify).await?;
        // serde's own message could quote what it read.
        let granted: Granted = serde_json::from_slice(&answer.body)
            .map_err(|_| anyhow::anyhow!("the token endpoint answered something else than a token"))?;
        let told_at = answer.headers.get(DATE).and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
        Ok(Token {
            access: granted.access_token.into(),
            expires_at: answer.fetched_at + TimeDelta::seconds(granted.expires_in.unwrap_or(UNSTATED_LIFE)),
            told_at: told_at.map_or(answer.fetched_at, DateTime::<Utc>::from),
        })
    }
}

impl Credentials for AccountCredentials {
    fn token<'a>(&'a self, refused: Option<&'a SecretString>) -> BoxFuture<'a, Result<SecretString>> {
        Box::pin(self.access(refused))
    }
}

/// Judges an answer of the token endpoint. Of its text only the standard codes are repeated. A status that may pass is
/// believed whatever the body says: server_error comes with a 503, and 429 is a code of Zoom's as well.
fn classify(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Verdict {
    let by_status = standard(status, headers, body);
    if matches!(by_status, Verdict::Retry { .. }) {
        return by_status;
    }
    let json: Option<Value> = serde_json::from_slice(body).ok();
    let member = |name: &str| json.as_ref().and_then(|json| json.get(name));
    let line = status_line(status);
    let code = member("code").or_else(|| member("errorCode")).and_then(Value::as_i64);
    match (member("error").and_then(Value::as_str), code) {
        (Some("invalid_client"), _) => Verdict::Fail(format!(
            "{line}: invalid_client: the client id or the client secret is wrong, or was replaced"
        )),
        (_, Some(4717)) => {
            Verdict::Fail(format!("{line}: 4717: the app is disabled: activate it on marketplace.zoom.us"))
        }
        (Some("invalid_request"), _) => Verdict::Fail(format!("{line}: invalid_request: the account id is wrong")),
        (Some(error), _) if is_word(error) => Verdict::Fail(format!("{line}: {error}")),
        (_, Some(code)) => Verdict::Fail(format!("{line}: Zoom says {code}")),
        _ => match by_status {
            Verdict::RefreshToken(reason) => Verdict::Fail(reason),
            Verdict::Done if json.is_none() => {
                Verdict::Retry { reason: format!("{line} with something that is not JSON"), after: None }
            }
            verdict => verdict,
        },
    }
}

fn is_word(error: &str) -> bool {
    error.len() < 40 && error.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_')
}
