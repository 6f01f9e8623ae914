//! Google's token endpoint for service accounts (RFC 7523): a signed statement in, an access token of an hour out.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Duration, Utc};
use rustls::SignatureScheme;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use crate::sandbox::http::{Reply, Request};

/// The key of the sandbox's service account. Everybody has it, so it opens nothing else: no library here makes RSA keys.
pub(super) const KEY: &str = include_str!("published-key.pem");
const LIFE: i64 = 3_599;
const SCOPES: [&str; 2] =
    ["https://www.googleapis.com/auth/bigquery", "https://www.googleapis.com/auth/bigquery.readonly"];

pub(super) struct Tokens {
    email: String,
    issued: u64,
    /// New at every start, so that no token outlives its server.
    nonce: u64,
    live: Vec<(String, DateTime<Utc>)>,
}

impl Tokens {
    pub(super) fn new(email: &str) -> Self {
        Tokens { email: email.to_owned(), issued: 0, nonce: rand::random(), live: Vec::new() }
    }

    /// Answers a request for a token at `audience`.
    pub(super) fn grant(&mut self, request: &Request, audience: &str, now: DateTime<Utc>) -> Reply {
        let refuse =
            |code: &str, why: &str| Reply::json(400, json!({ "error": code, "error_description": why }).to_string());
        if request.form("grant_type").as_deref() != Some("urn:ietf:params:oauth:grant-type:jwt-bearer") {
            return refuse("unsupported_grant_type", "Invalid grant_type");
        }
        let statement = request.form("assertion").unwrap_or_default();
        let Some(claims) = verified(&statement) else { return refuse("invalid_grant", "Invalid JWT Signature.") };
        let time = |name: &str| claims[name].as_i64().unwrap_or_default();
        let is_known = claims["iss"].as_str() == Some(&self.email);
        let scope = claims["scope"].as_str().unwrap_or_default();
        let (from, to, now_at) = (time("iat"), time("exp"), now.timestamp());
        if !is_known {
            return refuse("invalid_grant", "Invalid grant: account not found");
        }
        if claims["aud"].as_str() != Some(audience) {
            return refuse("invalid_grant", "Invalid JWT: Failed audience check.");
        }
        if to - from > 3_600 || from > now_at + 300 || to < now_at {
            return refuse(
                "invalid_grant",
                "Invalid JWT: Token must be a short-lived token and in a reasonable timeframe.",
            );
        }
        if !SCOPES.contains(&scope) {
            return refuse("invalid_scope", "Invalid OAuth scope or ID token audience provided.");
        }
        self.issued += 1;
        let token = format!("ya29.sandbox-{:016x}-{}", self.nonce, self.issued);
        self.live.push((token.clone(), now + Duration::seconds(LIFE)));
        Reply::json(200, json!({ "access_token": token, "expires_in": LIFE, "token_type": "Bearer" }).to_string())
    }

    pub(super) fn accepts(&self, request: &Request, now: DateTime<Utc>) -> bool {
        let presented = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        presented.is_some_and(|token| self.live.iter().any(|(live, dies)| live == token && now < *dies))
    }

    pub(super) fn expire(&mut self) {
        self.live.clear();
    }
}

/// The claims of a statement that this key signed. Signatures of this kind are the same each time, so ours is made again
/// and compared.
fn verified(statement: &str) -> Option<Value> {
    let (signed, signature) = statement.rsplit_once('.')?;
    let der = PrivateKeyDer::from_pem_slice(KEY.as_bytes()).ok()?;
    let key = rustls::crypto::ring::sign::any_supported_type(&der).ok()?;
    let expected = key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256])?.sign(signed.as_bytes()).ok()?;
    if URL_SAFE_NO_PAD.decode(signature).ok()? != expected {
        return None;
    }
    let (header, claims) = signed.split_once('.')?;
    let part = |text: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(text).ok()?).ok();
    (part(header)?["alg"] == "RS256").then_some(())?;
    part(claims)
}
