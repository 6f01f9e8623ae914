//! OAuth 2.0 as Intuit runs it: access tokens of an hour, refresh tokens that change (RFC 6749 section 6).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Duration, Utc};
use serde_json::json;

use super::QuickBooksOptions;
use crate::sandbox::http::{Reply, Request};

/// When a refresh hands out a new refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// At every refresh: the strictest reading, and the one that finds connectors that keep the old token.
    EveryRefresh,
    /// At the first refresh 24 hours after the last change, which is what production does.
    Daily,
}

/// 101 days in seconds, as the service reports it.
const REFRESH_LIFETIME: i64 = 8_726_400;
const ACCESS_LIFETIME: i64 = 3600;

/// Why a request is refused.
pub(super) enum Refused {
    Dead,
    OtherRealm,
}

struct RealmTokens {
    realm: String,
    current: String,
    issued: DateTime<Utc>,
    dies: DateTime<Utc>,
    /// Replaced tokens with the instant their grace ends.
    former: Vec<(String, DateTime<Utc>)>,
    revoked: bool,
}

pub(super) struct Tokens {
    basic: String,
    rotation: Rotation,
    grace: Duration,
    realms: Vec<RealmTokens>,
    access: Vec<(String, String, DateTime<Utc>)>,
    issued: u64,
}

impl Tokens {
    pub(super) fn new(options: &QuickBooksOptions, now: DateTime<Utc>) -> Self {
        let basic = STANDARD.encode(format!("{}:{}", options.client_id, options.client_secret));
        let realms = options.realms.iter().map(|realm| RealmTokens {
            realm: realm.id.clone(),
            current: realm.refresh_token.clone(),
            issued: now,
            dies: now + Duration::seconds(REFRESH_LIFETIME),
            former: Vec::new(),
            revoked: false,
        });
        Self {
            basic,
            rotation: options.rotation,
            grace: options.grace,
            realms: realms.collect(),
            access: Vec::new(),
            issued: 0,
        }
    }

    /// The token endpoint. Errors are those of RFC 6749 section 5.2 in Intuit's wording.
    pub(super) fn refresh(&mut self, request: &Request, now: DateTime<Utc>) -> Reply {
        let error = |status, code: &str, why: &str| {
            Reply::json(status, json!({ "error": code, "error_description": why }).to_string())
        };
        let presented = request.header("authorization").and_then(|value| value.strip_prefix("Basic "));
        if presented != Some(self.basic.as_str()) {
            return Reply::json(401, json!({ "error": "invalid_client" }).to_string());
        }
        if request.form("grant_type").as_deref() != Some("refresh_token") {
            return error(400, "unsupported_grant_type", "Unsupported grant_type");
        }
        let presented = request.form("refresh_token").unwrap_or_default();
        let Some(tokens) = self.realms.iter_mut().find(|tokens| tokens.accepts(&presented, now)) else {
            return error(400, "invalid_grant", "Incorrect or invalid refresh token");
        };
        self.issued += 1;
        let due = match self.rotation {
            Rotation::EveryRefresh => true,
            Rotation::Daily => now - tokens.issued >= Duration::hours(24),
        };
        // A former token within its grace gets the current one again instead of a newer: its holder lost the answer.
        if due && presented == tokens.current {
            let next = format!("RT1-{}-{}", tokens.realm, self.issued);
            let former = std::mem::replace(&mut tokens.current, next);
            tokens.former.push((former, now + self.grace));
            tokens.issued = now;
        }
        tokens.dies = now + Duration::seconds(REFRESH_LIFETIME);
        let access = format!("AT-{}-{}", tokens.realm, self.issued);
        self.access.push((access.clone(), tokens.realm.clone(), now + Duration::seconds(ACCESS_LIFETIME)));
        let answer = json!({
            "x_refresh_token_expires_in": REFRESH_LIFETIME,
            "refresh_token": tokens.current,
            "access_token": access,
            "token_type": "bearer",
            "expires_in": ACCESS_LIFETIME,
        });
        Reply::json(200, answer.to_string()).with("Cache-Control", "no-store")
    }

    /// May this request read that realm?
    pub(super) fn check(&self, request: &Request, realm: &str, now: DateTime<Utc>) -> Result<(), Refused> {
        let presented = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let alive =
            |(token, _, dies): &&(String, String, DateTime<Utc>)| Some(token.as_str()) == presented && now < *dies;
        match self.access.iter().find(alive) {
            None => Err(Refused::Dead),
            Some((_, owner, _)) if owner != realm => Err(Refused::OtherRealm),
            Some(_) => Ok(()),
        }
    }

    pub(super) fn current(&self, realm: &str) -> Option<String> {
        self.realms.iter().find(|tokens| tokens.realm == realm).map(|tokens| tokens.current.clone())
    }

    pub(super) fn expire_access(&mut self) {
        self.access.clear();
    }

    pub(super) fn revoke(&mut self, realm: &str) {
        self.access.retain(|(_, owner, _)| owner != realm);
        for tokens in self.realms.iter_mut().filter(|tokens| tokens.realm == realm) {
            tokens.revoked = true;
        }
    }
}

impl RealmTokens {
    fn accepts(&self, presented: &str, now: DateTime<Utc>) -> bool {
        let former = || self.former.iter().any(|(token, until)| token == presented && now < *until);
        !self.revoked && now < self.dies && (presented == self.current || former())
    }
}
