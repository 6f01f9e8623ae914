//! Access tokens of an hour, and page tokens of a quarter of one.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Duration, Utc};
use serde_json::json;

use super::ZoomServerOptions;
use crate::sandbox::http::{Reply, Request};

const ACCESS_LIFETIME: i64 = 3_599;

/// What a page token stands for.
#[derive(Debug, Clone)]
pub(super) struct Cursor {
    /// Path and parameters, which must not change.
    pub question: String,
    pub offset: usize,
    dies: DateTime<Utc>,
}

#[derive(Default)]
pub(super) struct Tokens {
    access: Vec<(String, DateTime<Utc>)>,
    pages: BTreeMap<String, Cursor>,
    issued: u64,
}

impl Tokens {
    /// The token endpoint: grant `account_credentials`, by form or by query.
    pub(super) fn grant(&mut self, options: &ZoomServerOptions, request: &Request, now: DateTime<Utc>) -> Reply {
        let refuse = |status, reason: &str, error: &str| {
            Reply::json(status, json!({ "reason": reason, "error": error }).to_string())
        };
        let basic = STANDARD.encode(format!("{}:{}", options.client_id, options.client_secret));
        let presented = request.header("authorization").and_then(|value| value.strip_prefix("Basic "));
        if presented != Some(basic.as_str()) {
            return refuse(400, "Invalid client_id or client_secret", "invalid_client");
        }
        let field = |name: &str| request.form(name).or_else(|| request.param(name));
        if field("grant_type").as_deref() != Some("account_credentials") {
            return refuse(400, "unsupported grant type", "unsupported_grant_type");
        }
        if field("account_id").as_deref() != Some(options.account_id.as_str()) {
            return refuse(400, "Bad Request", "invalid_request");
        }
        self.issued += 1;
        let access = format!("zoom-access-{:08x}-{}", now.timestamp(), self.issued);
        self.access.push((access.clone(), now + Duration::seconds(ACCESS_LIFETIME)));
        let answer = json!({
            "access_token": access,
            "token_type": "bearer",
            "expires_in": ACCESS_LIFETIME,
            "scope": "user:read:list_users:admin report:read:admin phone:read:list_call_logs:admin",
            "api_url": "https://api.zoom.us",
        });
        Reply::json(200, answer.to_string())
    }

    /// Whether a request carries a living token.
    pub(super) fn knows(&self, request: &Request, now: DateTime<Utc>) -> bool {
        let presented = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        self.access.iter().any(|(token, dies)| Some(token.as_str()) == presented && now < *dies)
    }

    /// A token for the page that begins at `offset`.
    pub(super) fn page(&mut self, question: String, offset: usize, now: DateTime<Utc>) -> String {
        self.issued += 1;
        let token = format!("Pg{:06}{}", self.issued, STANDARD.encode(format!("{offset}")).replace('=', "2"));
        self.pages.insert(token.clone(), Cursor { question, offset, dies: now + Duration::minutes(15) });
        token
    }

    pub(super) fn cursor(&self, token: &str, now: DateTime<Utc>) -> Option<&Cursor> {
        self.pages.get(token).filter(|cursor| now < cursor.dies)
    }

    pub(super) fn expire_access(&mut self) {
        self.access.clear();
    }

    pub(super) fn expire_pages(&mut self) {
        self.pages.clear();
    }
}
