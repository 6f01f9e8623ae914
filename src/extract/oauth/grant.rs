//! The grants of OAuth 2.0: those that need no person, refresh_token and client_credentials (RFC 6749, sections 6 and 4.4),
//! and authorization_code (section 4.1), which begins with one.
//!
//! The `oauth2` crate builds the requests and reads the answers, because it gets right what is easily got wrong: client
//! id and secret are form-encoded before they become HTTP Basic, scopes are joined, errors have their standard codes.
//! It sends through our own client, so that the retries, timeouts and messages are the same as everywhere. The crate
//! keeps its copies of the tokens as plain strings, which live no longer than one call here.

use std::fmt;
use std::time::Duration;

use anyhow::{Result, anyhow};
use oauth2::basic::{
    BasicErrorResponse, BasicErrorResponseType, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse,
    BasicTokenType,
};
use oauth2::{
    AsyncHttpClient, AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EmptyExtraTokenFields,
    ExtraTokenFields, HttpRequest, HttpResponse, RedirectUrl, RefreshToken, RequestTokenError, Scope,
    StandardRevocableToken, StandardTokenResponse, TokenResponse as _, TokenUrl,
};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::extract::BoxFuture;
use crate::extract::http::{HttpClient, Verdict, standard};

/// Intuit tells the end of a refresh token's five years only to those who ask with this header.
const ASK_FOR_HARD_EXPIRY: HeaderName = HeaderName::from_static("x-include-refresh-token-hard-expires-in");

/// An application registered with an authorisation server.
pub struct OAuthClient {
    pub token_url: String,
    pub client_id: SecretString,
    pub client_secret: SecretString,
}

/// What a refresh hands out.
pub(super) struct Granted {
    pub access: SecretString,
    /// None when the server lets the old one stand.
    pub refresh: Option<SecretString>,
    pub expires_in: Option<Duration>,
    pub refresh_expires_in: Option<Duration>,
    pub hard_expires_in: Option<Duration>,
}

/// Why a refresh handed out nothing.
#[derive(Debug)]
pub(super) enum Denied {
    /// This refresh token is dead; another one may not be.
    InvalidGrant,
    Other(anyhow::Error),
}

/// Intuit's members of the answer.
#[derive(Debug, Serialize, Deserialize)]
struct IntuitFields {
    x_refresh_token_expires_in: Option<u64>,
    x_refresh_token_hard_expires_in: Option<u64>,
}

impl ExtraTokenFields for IntuitFields {}

type Client<Fields> = oauth2::Client<
    BasicErrorResponse,
    StandardTokenResponse<Fields, BasicTokenType>,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
>;

/// Exchanges a refresh token for the next set.
pub(super) async fn refresh(http: &HttpClient, client: &OAuthClient, token: &SecretString) -> Result<Granted, Denied> {
    let token_url = TokenUrl::new(client.token_url.clone())
        .map_err(|error| Denied::Other(anyhow!("token_url is no URL: {error}")))?;
    let token = RefreshToken::new(token.expose_secret().to_owned());
    let answer = intuit(client)
        .set_token_uri(token_url)
        .exchange_refresh_token(&token)
        .request_async(&Sender { http, to_intuit: true })
        .await
        .map_err(denied)?;
    Ok(granted(&answer))
}

/// Where a person gives consent, and the state that has to come back with the code.
///
/// # Errors
/// URLs that are none.
pub(super) fn authorize_url(
    client: &OAuthClient,
    authorize_url: &str,
    redirect_url: &str,
    scope: &str,
) -> Result<(Url, String)> {
    let authorize =
        AuthUrl::new(authorize_url.to_owned()).map_err(|error| anyhow!("authorize_url is no URL: {error}"))?;
    let redirect =
        RedirectUrl::new(redirect_url.to_owned()).map_err(|error| anyhow!("{redirect_url:?} is no URL: {error}"))?;
    let (url, state) = intuit(client)
        .set_auth_uri(authorize)
        .set_redirect_uri(redirect)
        .authorize_url(CsrfToken::new_random)
        .add_scope(Scope::new(scope.to_owned()))
        .url();
    Ok((url, state.secret().clone()))
}

/// Exchanges the code of a consent for the first set.
pub(super) async fn exchange(
    http: &HttpClient,
    client: &OAuthClient,
    code: &str,
    redirect_url: &str,
) -> Result<Granted, Denied> {
    let token_url = TokenUrl::new(client.token_url.clone())
        .map_err(|error| Denied::Other(anyhow!("token_url is no URL: {error}")))?;
    let redirect = RedirectUrl::new(redirect_url.to_owned())
        .map_err(|error| Denied::Other(anyhow!("{redirect_url:?} is no URL: {error}")))?;
    let answer = intuit(client)
        .set_token_uri(token_url)
        .set_redirect_uri(redirect)
        .exchange_code(AuthorizationCode::new(code.to_owned()))
        .request_async(&Sender { http, to_intuit: true })
        .await
        .map_err(denied)?;
    Ok(granted(&answer))
}

fn intuit(client: &OAuthClient) -> Client<IntuitFields> {
    Client::new(ClientId::new(client.client_id.expose_secret().to_owned()))
        .set_client_secret(ClientSecret::new(client.client_secret.expose_secret().to_owned()))
        .set_auth_type(AuthType::BasicAuth)
}

fn granted(answer: &StandardTokenResponse<IntuitFields, BasicTokenType>) -> Granted {
    let secret = |token: &RefreshToken| SecretString::from(token.secret().clone());
    let fields = answer.extra_fields();
    Granted {
        access: answer.access_token().secret().clone().into(),
        refresh: answer.refresh_token().map(secret),
        expires_in: answer.expires_in(),
        refresh_expires_in: fields.x_refresh_token_expires_in.map(Duration::from_secs),
        hard_expires_in: fields.x_refresh_token_hard_expires_in.map(Duration::from_secs),
    }
}

/// An access token by the client credentials grant, as Azure AD gives it for
/// `https://database.windows.net/.default` at `{authority}/{tenant}/oauth2/v2.0/token`.
pub async fn client_credentials(
    http: &HttpClient,
    url: &str,
    client_id: &str,
    secret: &SecretString,
    scope: &str,
) -> Result<SecretString> {
    let token_url = TokenUrl::new(url.to_owned()).map_err(|error| anyhow!("{url:?} is no URL: {error}"))?;
    let answer = Client::<EmptyExtraTokenFields>::new(ClientId::new(client_id.to_owned()))
        .set_client_secret(ClientSecret::new(secret.expose_secret().to_owned()))
        // Microsoft documents the credentials in the body.
        .set_auth_type(AuthType::RequestBody)
        .set_token_uri(token_url)
        .exchange_client_credentials()
        .add_scope(Scope::new(scope.to_owned()))
        .request_async(&Sender { http, to_intuit: false })
        .await
        .map_err(|error| match denied(error) {
            Denied::InvalidGrant => anyhow!("the token endpoint answered invalid_grant"),
            Denied::Other(error) => error,
        })?;
    Ok(answer.access_token().secret().clone().into())
}

/// What the `oauth2` crate wants of an error.
#[derive(Debug)]
struct SendError(anyhow::Error);

impl fmt::Display for SendError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, out)
    }
}

impl std::error::Error for SendError {}

/// Our client as the `oauth2` crate wants one. A closure would do, but its future is not general enough over lifetimes
/// to be sent between threads.
struct Sender<'a> {
    http: &'a HttpClient,
    to_intuit: bool,
}

impl<'c> AsyncHttpClient<'c> for Sender<'_> {
    type Error = SendError;
    type Future = BoxFuture<'c, Result<HttpResponse, SendError>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let mut request =
                reqwest::Request::try_from(request).map_err(|error| SendError(error.without_url().into()))?;
            if self.to_intuit {
                request.headers_mut().insert(ASK_FOR_HARD_EXPIRY, HeaderValue::from_static("true"));
            }
            let answer = self.http.send(&request, &classify).await.map_err(SendError)?;
            let mut response = HttpResponse::new(answer.body.to_vec());
            *response.status_mut() = answer.status;
            *response.headers_mut() = answer.headers;
            Ok(response)
        })
    }
}

/// 400 and 401 carry the standard error codes, which the `oauth2` crate reads.
fn classify(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Verdict {
    let object = body.trim_ascii_start().starts_with(b"{");
    match status {
        StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED if object => Verdict::Done,
        StatusCode::OK if body.trim_ascii().is_empty() => {
            Verdict::Retry { reason: "200 OK with an empty answer".into(), after: None }
        }
        _ => match standard(status, headers, body) {
            // There is no token to renew here.
            Verdict::RefreshToken(reason) => Verdict::Fail(reason),
            verdict => verdict,
        },
    }
}

/// Turns the crate's errors into lines of ours. Its own hold the body.
fn denied(error: RequestTokenError<SendError, BasicErrorResponse>) -> Denied {
    Denied::Other(match error {
        RequestTokenError::ServerResponse(answer) => {
            let code = match answer.error_description().and_then(|why| azure_code(why)) {
                Some(azure) => format!("{} ({azure})", answer.error().as_ref()),
                None => answer.error().as_ref().to_owned(),
            };
            match answer.error() {
                BasicErrorResponseType::InvalidGrant => return Denied::InvalidGrant,
                BasicErrorResponseType::InvalidClient => anyhow!(
                    "the token endpoint answered {code}: the client id or the client secret is wrong, or was replaced"
                ),
                _ => anyhow!("the token endpoint answered {code}"),
            }
        }
        RequestTokenError::Request(error) => error.0,
        RequestTokenError::Parse(error, _) => {
            anyhow!("the token endpoint answered something else than a token (at {:?})", error.path().to_string())
        }
        RequestTokenError::Other(reason) => anyhow!("the token endpoint: {reason}"),
    })
}

/// `AADSTS7000215`: what to look up. The rest of Azure AD's descriptions may name people and applications.
fn azure_code(description: &str) -> Option<&str> {
    let code = &description[description.find("AADSTS")?..];
    let end = code.find(|letter: char| !letter.is_ascii_alphanumeric()).unwrap_or(code.len());
    Some(&code[..end])
}
