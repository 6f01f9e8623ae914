//! Tokens of Azure AD, which a login may carry in place of a password.

use std::time::Duration;

use anyhow::{Context, anyhow};
use secrecy::{ExposeSecret, SecretString};

use super::failure::Failure;

/// What a token for any Azure SQL database is asked for.
const SCOPE: &str = "https://database.windows.net/.default";

/// The client credentials grant of RFC 6749, section 4.4. One token serves one login; it matters at login only.
pub(super) async fn token(
    url: &str,
    client_id: &str,
    secret: &SecretString,
    patience: Duration,
) -> Result<SecretString, Failure> {
    #[derive(serde::Deserialize)]
    struct Answer {
        access_token: String,
    }
    #[derive(serde::Deserialize)]
    struct Refusal {
        error: String,
        #[serde(default)]
        error_codes: Vec<u64>,
    }

    let http = reqwest::Client::builder().timeout(patience).build().context("cannot start an HTTP client")?;
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", client_id),
        ("client_secret", secret.expose_secret()),
        ("scope", SCOPE),
    ];
    // The URL holds no secret, but reqwest's own message repeats it where ours already names it.
    let failed = |error: reqwest::Error| {
        Failure::transient(anyhow!(error.without_url()).context(format!("no Azure AD token from {url}")))
    };
    let response = http.post(url).form(&form).send().await.map_err(failed)?;
    let status = response.status();
    if status.is_success() {
        return match response.json::<Answer>().await {
            Ok(answer) => Ok(answer.access_token.into()),
            Err(error) if error.is_decode() => Err(anyhow!("{url} answered without a token").into()),
            Err(error) => Err(failed(error)),
        };
    }
    let why = match response.json::<Refusal>().await {
        Ok(refusal) => format!("{status}, {}{}", refusal.error, codes(&refusal.error_codes)),
        Err(_) => status.to_string(),
    };
    let error = anyhow!("Azure AD refused a token for application {client_id}: {why}; check `login` and its secret");
    match status.as_u16() {
        408 | 425 | 429 | 500.. => Err(Failure::transient(error)),
        _ => Err(error.into()),
    }
}

fn codes(codes: &[u64]) -> String {
    codes.iter().map(|code| format!(" AADSTS{code}")).collect()
}
