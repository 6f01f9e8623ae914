//! Custody of OAuth tokens whose refresh token changes as it is used.
//!
//! QuickBooks replaces the refresh token about once a day and lets the former one die; a connector that keeps the first
//! one stops for good on its second day. So: one holder at a time, and a new set is durable before it is first used.

mod consent;
mod grant;
mod store;
mod vault;

use anyhow::{Context as _, Result, bail};
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Mutex;
use url::Url;

pub use consent::{Consent, Redirect};
pub use grant::{OAuthClient, client_credentials};
pub use store::{LockedTokens, MemoryTokenStore, TokenOwner, TokenRow, TokenStore};
pub use vault::Vault;

use super::BoxFuture;
use super::http::{Credentials, HttpClient};
use grant::{Denied, Granted};
use vault::{TokenSet, fingerprint};

/// An access token is handed out only while it lives longer than this: a request may take two minutes.
const LEAST_LIFE: TimeDelta = TimeDelta::minutes(5);
/// What an access token lives when the server does not say.
const UNSTATED_LIFE: TimeDelta = TimeDelta::minutes(10);

/// Hands out access tokens of one owner, refreshing them as needed.
pub struct Custody<'a> {
    http: &'a HttpClient,
    store: &'a dyn TokenStore,
    vault: Vault,
    owner: TokenOwner,
    client: OAuthClient,
    seed: Option<SecretString>,
    /// The set in use. Its lock also keeps the requests of this process from refreshing together.
    current: Mutex<Option<TokenSet>>,
}

impl<'a> Custody<'a> {
    /// Custody over the tokens of `owner`. `seed` is a refresh token from the configuration, where consent was given elsewhere.
    pub fn new(
        http: &'a HttpClient,
        store: &'a dyn TokenStore,
        vault: Vault,
        owner: TokenOwner,
        client: OAuthClient,
        seed: Option<SecretString>,
    ) -> Self {
        Custody { http, store, vault, owner, client, seed, current: Mutex::new(None) }
    }

    async fn access(&self, refused: Option<&SecretString>) -> Result<SecretString> {
        let mut current = self.current.lock().await;
        if let Some(token) = current.as_ref().and_then(|set| self.usable(set, refused)) {
            return Ok(token);
        }
        let mut locked = self.store.lock(&self.owner).await.context("locking the stored tokens")?;
        let outcome = self.renew(locked.as_mut(), refused).await;
        // The refresh is what counts: a lock that could not be given back ends with its connection.
        if let Err(error) = locked.release().await {
            tracing::warn!(owner = %self.owner, "the token lock was not given back: {error:#}");
        }
        let set = outcome?;
        let token = set.access.clone();
        *current = Some(set);
        Ok(token)
    }

    /// Under the lock: the stored set while it lives, else a new one, stored before anyone sees it.
    async fn renew(&self, locked: &mut dyn LockedTokens, refused: Option<&SecretString>) -> Result<TokenSet> {
        let row = locked.load().await.context("loading the stored tokens")?;
        let seed = self.seed.as_ref().map(|seed| (seed, fingerprint(seed)));
        let Some(row) = row else {
            let Some((seed, seed_fingerprint)) = seed else {
                bail!("{}: nobody has given consent yet; {}", self.owner, self.how_to_connect());
            };
            let Some((set, row)) = self.try_refresh(seed, None, seed_fingerprint).await? else {
                bail!("{}", self.reconnect("the configured refresh_token is dead"));
            };
            locked.store(&row, None).await.context("storing the first tokens")?;
            return Ok(set);
        };
        for line in warnings(&row, self.http.clock().now()) {
            tracing::warn!(owner = %self.owner, "{line}");
        }
        let stored = self.vault.unseal(&self.owner, &row.ciphertext)?;
        // A seed that is not the stored tokens' ancestor means that a person has connected anew. That comes first:
        // the old tokens may live on for years, or belong to another company.
        let reconnected = seed.filter(|(_, seed_fingerprint)| row.seed_fingerprint != *seed_fingerprint);
        let seed_fingerprint =
            reconnected.as_ref().map_or_else(|| row.seed_fingerprint.clone(), |(_, fingerprint)| fingerprint.clone());
        if reconnected.is_none() && self.usable(&stored, refused).is_some() {
            return Ok(stored);
        }
        let previous = || {
            let sealed = row.previous_ciphertext.as_ref()?;
            // Only a second chance: one that cannot be read is as good as none.
            self.vault.unseal(&self.owner, sealed).ok().map(|set| set.refresh)
        };
        let mut tried: Vec<SecretString> = Vec::new();
        let candidates =
            [reconnected.map(|(seed, _)| seed.clone()), Some(stored.refresh.clone()), previous()].into_iter().flatten();
        for candidate in candidates {
            if tried.iter().any(|one| one.expose_secret() == candidate.expose_secret()) {
                continue;
            }
            if let Some((set, next)) = self.try_refresh(&candidate, Some(&row), seed_fingerprint.clone()).await? {
                locked.store(&next, Some(row.version)).await.context("storing the new tokens")?;
                return Ok(set);
            }
            tracing::warn!(owner = %self.owner, "a refresh token was refused (invalid_grant)");
            tried.push(candidate);
        }
        bail!("{}", self.reconnect("neither the stored refresh token nor the one before it is accepted any more"))
    }

    /// One refresh, sealed and ready to be stored; none when the server says invalid_grant.
    async fn try_refresh(
        &self,
        token: &SecretString,
        before: Option<&TokenRow>,
        seed_fingerprint: String,
    ) -> Result<Option<(TokenSet, TokenRow)>> {
        let granted = match grant::refresh(self.http, &self.client, token).await {
            Ok(granted) => granted,
            Err(Denied::InvalidGrant) => return Ok(None),
            Err(Denied::Other(error)) => return Err(error.context("refreshing the access token")),
        };
        self.kept(granted, Some(token), before, seed_fingerprint).map(Some)
    }

    /// Where a person gives consent to a scope, and the state that has to come back with the code.
    ///
    /// # Errors
    /// URLs that are none.
    pub fn authorize_url(&self, authorize_url: &str, redirect_url: &str, scope: &str) -> Result<(Url, String)> {
        grant::authorize_url(&self.client, authorize_url, redirect_url, scope)
    }

    /// Exchanges the code of a consent that a person has just given, and stores its tokens before anyone uses them.
    ///
    /// # Errors
    /// A code that is not accepted: it lives some minutes, and works once.
    pub async fn consent(&self, code: &str, redirect_url: &str) -> Result<TokenRow> {
        let granted = match grant::exchange(self.http, &self.client, code, redirect_url).await {
            Ok(granted) => granted,
            Err(Denied::InvalidGrant) => {
                bail!("the code was not accepted (invalid_grant): it lives some minutes and works once")
            }
            Err(Denied::Other(error)) => return Err(error.context("exchanging the code")),
        };
        let mut locked = self.store.lock(&self.owner).await.context("locking the stored tokens")?;
        let before = locked.load().await.context("loading the stored tokens")?;
        // Under the configured seed's name, or it would be taken for a newer consent.
        let seed = self.seed.as_ref().map(fingerprint).unwrap_or_default();
        let (set, mut row) = self.kept(granted, None, before.as_ref(), seed)?;
        // What was known of the former consent ends with it.
        row.previous_ciphertext = None;
        locked.store(&row, before.map(|row| row.version)).await.context("storing the tokens")?;
        if let Err(error) = locked.release().await {
            tracing::warn!(owner = %self.owner, "the token lock was not given back: {error:#}");
        }
        *self.current.lock().await = Some(set);
        Ok(row)
    }

    /// What was granted, sealed and ready to be stored.
    fn kept(
        &self,
        granted: Granted,
        token: Option<&SecretString>,
        before: Option<&TokenRow>,
        seed_fingerprint: String,
    ) -> Result<(TokenSet, TokenRow)> {
        let now = self.http.clock().now();
        let Granted { access, refresh, expires_in, refresh_expires_in, hard_expires_in } = granted;
        let life = expires_in.and_then(|life| TimeDelta::from_std(life).ok()).unwrap_or(UNSTATED_LIFE);
        let refresh = refresh.or_else(|| token.cloned()).context("the token endpoint gave no refresh token")?;
        let set = TokenSet { refresh, access, access_expires_at: now + life };
        let at = |life: Option<std::time::Duration>| Some(now + TimeDelta::from_std(life?).ok()?);
        // Told only when asked, and not by every server: within one consent it does not change.
        let same_consent = before.filter(|row| token.is_some() && row.seed_fingerprint == seed_fingerprint);
        let known_hard_expiry = same_consent.and_then(|row| row.hard_expires_at);
        let row = TokenRow {
            ciphertext: self.vault.seal(&self.owner, &set)?,
            previous_ciphertext: before.map(|row| row.ciphertext.clone()),
            // Tokens of the old consent that outlived a dead new seed are kept under the new seed's name, so that it
            // is not tried again every night.
            seed_fingerprint,
            issued_at: now,
            expires_at: at(refresh_expires_in),
            hard_expires_at: at(hard_expires_in).or(known_hard_expiry),
            version: before.map_or(1, |row| row.version + 1),
        };
        Ok((set, row))
    }

    fn usable(&self, set: &TokenSet, refused: Option<&SecretString>) -> Option<SecretString> {
        let alive = set.access_expires_at - self.http.clock().now() > LEAST_LIFE;
        let refused = refused.is_some_and(|refused| refused.expose_secret() == set.access.expose_secret());
        (alive && !refused).then(|| set.access.clone())
    }

    fn reconnect(&self, why: &str) -> String {
        format!("{}: {why} (invalid_grant): a person has to give consent again; {}", self.owner, self.how_to_connect())
    }

    fn how_to_connect(&self) -> String {
        let TokenOwner { org, connector } = &self.owner;
        format!(
            "`marts auth {connector} --org {org}`, or a new refresh token where refresh_token of marts.toml refers to"
        )
    }
}

impl Credentials for Custody<'_> {
    fn token<'a>(&'a self, refused: Option<&'a SecretString>) -> BoxFuture<'a, Result<SecretString>> {
        Box::pin(self.access(refused))
    }
}

/// What a person should be told of a stored row, before it is too late.
pub fn warnings(row: &TokenRow, now: DateTime<Utc>) -> Vec<String> {
    let mut lines = Vec::new();
    let days = |at: DateTime<Utc>| (at - now).num_days();
    match row.hard_expires_at.map(|at| (at, days(at))) {
        Some((at, left)) if left < 7 => lines.push(format!(
            "the connection ends on {} ({left} days left), whatever is done: reconnect now",
            at.format("%Y-%m-%d")
        )),
        Some((at, left)) if left < 30 => lines.push(format!(
            "the connection ends on {} ({left} days left): a person has to reconnect before",
            at.format("%Y-%m-%d")
        )),
        _ => {}
    }
    if let Some((at, left)) = row.expires_at.map(|at| (at, days(at))).filter(|(_, left)| *left < 14) {
        lines.push(format!(
            "the refresh token was not used for long and ends on {} ({left} days left)",
            at.format("%Y-%m-%d")
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expiries_are_announced_in_time() {
        let now: DateTime<Utc> = "2026-01-21T08:00:00Z".parse().unwrap();
        let row = |expires: i64, hard: Option<i64>| TokenRow {
            ciphertext: Vec::new(),
            previous_ciphertext: None,
            seed_fingerprint: String::new(),
            issued_at: now,
            expires_at: Some(now + TimeDelta::days(expires)),
            hard_expires_at: hard.map(|days| now + TimeDelta::days(days)),
            version: 1,
        };
        assert!(warnings(&row(101, None), now).is_empty());
        assert!(warnings(&row(101, Some(30)), now).is_empty());
        assert!(warnings(&row(101, Some(29)), now)[0].contains("2026-02-19 (29 days left): a person has to reconnect"));
        assert!(warnings(&row(101, Some(6)), now)[0].contains("reconnect now"));
        assert!(warnings(&row(13, None), now)[0].contains("2026-02-03 (13 days left)"));
        assert_eq!(warnings(&row(3, Some(3)), now).len(), 2);
    }
}
