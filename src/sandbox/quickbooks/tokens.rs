//! OAuth 2.0 as Intuit runs it: consent of a person (RFC 6749 section 4.1), access tokens of an hour, refresh tokens that
//! change (section 6).

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
    client_id: String,
    /// Codes that were given out and not exchanged: code, realm, redirect URL, when it dies.
    codes: Vec<(String, String, String, DateTime<Utc>)>,
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
            client_id: options.client_id.clone(),
            codes: Vec::new(),
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
        match request.form("grant_type").as_deref() {
            Some("refresh_token") => {}
            Some("authorization_code") => return self.exchange(request, now),
            _ => return error(400, "unsupported_grant_type", "Unsupported grant_type"),
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
        let (realm, current) = (tokens.realm.clone(), tokens.current.clone());
        self.granted(&realm, &current, now)
    }

    /// The page on which a person consents, who always does, for the first company.
    pub(super) fn authorize(&mut self, request: &Request, now: DateTime<Utc>) -> Reply {
        let asked = |name: &str| request.param(name).unwrap_or_default();
        let is_known = asked("client_id") == self.client_id && asked("response_type") == "code";
        if !is_known || asked("scope") != "com.intuit.quickbooks.accounting" || asked("state").is_empty() {
            return Reply::text(400, "The client_id, response_type, scope or state is not valid");
        }
        let Ok(mut back) = url::Url::parse(&asked("redirect_uri")) else {
            return Reply::text(400, "The redirect_uri query parameter value is invalid");
        };
        self.issued += 1;
        let realm = self.realms[0].realm.clone();
        let code = format!("AB1-{realm}-{}", self.issued);
        self.codes.push((code.clone(), realm.clone(), asked("redirect_uri"), now + Duration::minutes(5)));
        back.query_pairs_mut()
            .append_pair("code", &code)
            .append_pair("state", &asked("state"))
            .append_pair("realmId", &realm);
        Reply::text(302, "").with("Location", back.as_str())
    }

    /// A code for the first tokens of a consent; tokens of the one before die.
    fn exchange(&mut self, request: &Request, now: DateTime<Utc>) -> Reply {
        let (code, redirect) =
            (request.form("code").unwrap_or_default(), request.form("redirect_uri").unwrap_or_default());
        let at = self.codes.iter().position(|known| known.0 == code && known.2 == redirect && now < known.3);
        let Some(at) = at else {
            let body = json!({ "error": "invalid_grant", "error_description": "Invalid authorization code" });
            return Reply::json(400, body.to_string());
        };
        let (_, realm, ..) = self.codes.remove(at);
        self.issued += 1;
        let tokens = self.realms.iter_mut().find(|tokens| tokens.realm == realm).expect("codes are of known realms");
        tokens.current = format!("RT1-{realm}-{}", self.issued);
        (tokens.issued, tokens.dies) = (now, now + Duration::seconds(REFRESH_LIFETIME));
        (tokens.revoked, tokens.former) = (false, Vec::new());
        let current = tokens.current.clone();
        self.granted(&realm, &current, now)
    }

    /// A set of tokens as the endpoint hands it out.
    fn granted(&mut self, realm: &str, refresh_token: &str, now: DateTime<Utc>) -> Reply {
        let access = format!("AT-{realm}-{}", self.issued);
        self.access.push((access.clone(), realm.to_owned(), now + Duration::seconds(ACCESS_LIFETIME)));
        let answer = json!({
            "x_refresh_token_expires_in": REFRESH_LIFETIME,
            "refresh_token": refresh_token,
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
