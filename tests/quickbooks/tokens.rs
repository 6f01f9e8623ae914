//! Tokens from night to night: rotation, crashes, second chances, new consents.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, bail};
use chrono::Duration;
use marts::clock::Clock;
use marts::config::Limits;
use marts::extract::BoxFuture;
use marts::extract::http::HttpClient;
use marts::extract::oauth::{LockedTokens, MemoryTokenStore, TokenOwner, TokenRow, TokenStore, client_credentials};
use marts::sandbox::http::{self, Fault, FaultPlan, HttpServer, Reply};
use marts::sandbox::quickbooks::Rotation;
use secrecy::ExposeSecret as _;

use super::bench::*;

/// A store whose writes fail while `broken`.
#[derive(Default)]
struct FailingStore {
    inner: MemoryTokenStore,
    broken: AtomicBool,
}

struct FailingLock<'a> {
    inner: Box<dyn LockedTokens + 'a>,
    broken: bool,
}

impl TokenStore for FailingStore {
    fn lock<'a>(&'a self, owner: &'a TokenOwner) -> BoxFuture<'a, Result<Box<dyn LockedTokens + 'a>>> {
        Box::pin(async move {
            let broken = self.broken.load(Ordering::SeqCst);
            Ok(Box::new(FailingLock { inner: self.inner.lock(owner).await?, broken }) as Box<dyn LockedTokens>)
        })
    }
}

impl LockedTokens for FailingLock<'_> {
    fn load(&mut self) -> BoxFuture<'_, Result<Option<TokenRow>>> {
        self.inner.load()
    }

    fn store<'a>(&'a mut self, row: &'a TokenRow, expected_version: Option<i64>) -> BoxFuture<'a, Result<()>> {
        if self.broken {
            return Box::pin(async { bail!("the disk is full") });
        }
        self.inner.store(row, expected_version)
    }

    fn release<'a>(self: Box<Self>) -> BoxFuture<'a, Result<()>>
    where
        Self: 'a,
    {
        self.inner.release()
    }
}

#[tokio::test]
async fn every_night_uses_the_token_of_the_night_before() {
    for rotation in [Rotation::EveryRefresh, Rotation::Daily] {
        let bench = Bench::start(|options| options.rotation = rotation).await;
        for night in 1..=5 {
            bench.night().await.unwrap_or_else(|error| panic!("{rotation:?}, night {night}: {error:#}"));
            assert_eq!(bench.store.row(&owner()).unwrap().version, night);
            bench.clock.advance(Duration::hours(25));
        }
        let row = bench.store.row(&owner()).unwrap();
        let stored = format!("{row:?} {}", String::from_utf8_lossy(&row.ciphertext));
        let alive = bench.server.refresh_token(REALM).unwrap();
        assert!(!stored.contains(&alive) && !stored.contains(SEED), "{stored}");
    }
}

#[tokio::test]
async fn an_access_token_is_used_while_it_lives() {
    let bench = Bench::new().await;
    bench.night().await.unwrap();
    bench.clock.advance(Duration::minutes(54));
    bench.night().await.unwrap();
    assert_eq!(bench.refreshes(), 1);
    bench.clock.advance(Duration::minutes(2));
    bench.night().await.unwrap();
    assert_eq!(bench.refreshes(), 2, "with less than five minutes left it is renewed");
}

#[tokio::test]
async fn a_dead_access_token_is_renewed_once_for_all_requests() {
    let bench = Bench::new().await;
    bench.night().await.unwrap();
    bench.server.expire_access_tokens();
    bench.pull(&ALL, &["2025-03", "2025-05", "2025-07"]).await.unwrap();
    assert_eq!(bench.refreshes(), 2);
}

#[tokio::test]
async fn a_crash_between_refresh_and_save_leaves_a_token_that_works() {
    let bench = Bench::start(|options| options.grace = Duration::hours(24)).await;
    let store = FailingStore::default();
    let pull = async || bench.pull_from(&store, &[PROFIT_AND_LOSS], &["2025-12"]).await;
    store.broken.store(true, Ordering::SeqCst);
    let line = format!("{:#}", pull().await.unwrap_err());
    assert!(line.contains("storing the first tokens: the disk is full"), "{line}");
    assert!(bench.asked().is_empty(), "a token that is not stored is not used");
    assert_ne!(bench.server.refresh_token(REALM).as_deref(), Some(SEED), "the server has rotated it");

    store.broken.store(false, Ordering::SeqCst);
    pull().await.unwrap();
    bench.clock.advance(Duration::hours(2));
    let before = store.inner.row(&owner()).unwrap();
    store.broken.store(true, Ordering::SeqCst);
    let line = format!("{:#}", pull().await.unwrap_err());
    assert!(line.contains("storing the new tokens: the disk is full"), "{line}");
    assert_eq!(store.inner.row(&owner()).unwrap(), before);
    store.broken.store(false, Ordering::SeqCst);
    pull().await.unwrap();
    assert_eq!(store.inner.row(&owner()).unwrap().previous_ciphertext, Some(before.ciphertext));
}

#[tokio::test]
async fn an_answer_that_was_lost_is_asked_for_again() {
    let lost = FaultPlan::new().on("POST *", 1..=1, Fault::LoseAnswer);
    let bench = Bench::start(|options| {
        options.faults = lost;
        options.grace = Duration::hours(24);
    })
    .await;
    bench.night().await.unwrap();
    assert_eq!(bench.refreshes(), 2);
}

#[tokio::test]
async fn the_previous_token_is_a_second_chance() {
    let bench = Bench::new().await;
    bench.night().await.unwrap();
    let first = bench.store.row(&owner()).unwrap();
    bench.clock.advance(Duration::hours(2));
    bench.night().await.unwrap();
    let second = bench.store.row(&owner()).unwrap();
    bench.clock.advance(Duration::hours(2));
    // The stored set is the dead one, the one kept beside it lives.
    let row = TokenRow { ciphertext: first.ciphertext, previous_ciphertext: Some(second.ciphertext.clone()), ..second };
    bench.store.put(owner(), row);
    bench.server.clear_log();
    bench.night().await.unwrap();
    assert_eq!(bench.refreshes(), 2);
}

#[tokio::test]
async fn a_new_consent_comes_first_and_is_remembered() {
    let bench = Bench::start(|options| options.realms[0].refresh_token = "second-consent".into()).await;
    let old = Bench::new().await;
    old.night().await.unwrap();
    // Tokens of a consent that this server does not know.
    bench.store.put(owner(), old.store.row(&owner()).unwrap());
    bench.set_secret("refresh_token", "second-consent");
    bench.night().await.unwrap();
    assert_eq!(bench.refreshes(), 1);
    bench.clock.advance(Duration::hours(2));
    bench.night().await.unwrap();
    assert_eq!(bench.refreshes(), 2, "the stored token is its heir");

    // A new seed that is dead costs one refusal, once; the stored token goes on.
    bench.set_secret("refresh_token", "a-typo");
    bench.night().await.unwrap();
    assert_eq!(bench.refreshes(), 4);
    bench.clock.advance(Duration::hours(2));
    bench.night().await.unwrap();
    assert_eq!(bench.refreshes(), 5);
}

#[tokio::test]
async fn when_nothing_is_accepted_a_person_has_to_reconnect() {
    let bench = Bench::new().await;
    bench.server.revoke(REALM);
    let line = bench.refusal(&[PROFIT_AND_LOSS], &["2025-12"]).await;
    assert!(
        line.contains(
            "vital/quickbooks: the configured refresh_token is dead (invalid_grant): a person has to give consent again"
        ),
        "{line}"
    );
    assert_eq!(bench.refreshes(), 1, "a refusal is not repeated");

    let bench = Bench::new().await;
    for _ in 0..2 {
        bench.night().await.unwrap();
        bench.clock.advance(Duration::hours(2));
    }
    bench.server.revoke(REALM);
    bench.server.clear_log();
    let before = bench.store.row(&owner());
    let line = format!("{:#}", bench.night().await.unwrap_err());
    assert!(line.contains("neither the stored refresh token nor the one before it"), "{line}");
    assert_eq!(bench.refreshes(), 2);
    assert_eq!(bench.store.row(&owner()), before);
}

#[tokio::test]
async fn a_wrong_client_secret_ends_at_once() {
    let bench = Bench::new().await;
    bench.set_secret("client_secret", "not-it");
    let line = bench.refusal(&[PROFIT_AND_LOSS], &["2025-12"]).await;
    assert!(line.contains("refreshing the access token: the token endpoint answered invalid_client"), "{line}");
    assert!(!line.contains("not-it"), "{line}");
    assert_eq!(bench.refreshes(), 1);
}

#[tokio::test]
async fn the_token_endpoint_misbehaves_too() {
    for fault in [Fault::Reply(Reply::text(503, "")), Fault::empty(), Fault::Reset, Fault::CutBody(20)] {
        let bench = Bench::start(|options| {
            options.faults = FaultPlan::new().on("POST *", 1..=1, fault.clone());
            options.grace = Duration::hours(1);
        })
        .await;
        bench.night().await.unwrap_or_else(|error| panic!("{fault:?}: {error:#}"));
    }
    let page = Reply::new(200, "text/html", "<html>Sign in</html>");
    for (reply, end) in [
        (page, "a login page or a proxy answered"),
        (Reply::json(200, r#"{"access":"AT-secret"}"#), "something else than a token (at \".\")"),
        (Reply::json(403, "{}"), "/oauth2/v1/tokens/bearer: 403 Forbidden"),
        (Reply::text(503, ""), "/oauth2/v1/tokens/bearer: 503 Service Unavailable, gave up after 3 tries"),
    ] {
        let bench = Bench::with_faults(FaultPlan::new().on("POST *", 1.., Fault::Reply(reply))).await;
        let line = bench.refusal(&[PROFIT_AND_LOSS], &["2025-12"]).await;
        assert!(line.ends_with(end) && !line.contains("AT-secret"), "{line}");
    }
}

#[tokio::test]
async fn the_key_is_needed_and_has_to_be_the_one() {
    let mut bench = Bench::new().await;
    bench.night().await.unwrap();
    bench.set_secret("token_key", "/////////////////////////////////////////w8=");
    let line = format!("{:#}", bench.night().await.unwrap_err());
    assert!(line.contains("token_key") && line.contains("vital/quickbooks cannot be decrypted"), "{line}");
    bench.set_secret("token_key", "c2hvcnQ=");
    let line = format!("{:#}", bench.night().await.unwrap_err());
    assert!(line.contains("has 5 bytes instead of 32; make one with `openssl rand -base64 32`"), "{line}");
    bench.config.security.token_key = None;
    let line = format!("{:#}", bench.night().await.unwrap_err());
    assert!(line.contains("no token_key in ") && line.contains("openssl rand -base64 32"), "{line}");
}

#[tokio::test]
async fn client_credentials_are_exchanged_as_azure_wants_them() {
    let answer = http::handler(|request| async move {
        let field = |name: &str| request.form(name).unwrap_or_default();
        if field("client_secret") != "s/e+c=ret" {
            return Reply::json(
                401,
                r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid secret of J. Doe"}"#,
            );
        }
        assert_eq!(request.path, "/tenant/oauth2/v2.0/token");
        assert_eq!((field("grant_type").as_str(), field("client_id").as_str()), ("client_credentials", "app"));
        assert_eq!(field("scope"), "https://database.windows.net/.default");
        Reply::json(200, r#"{"token_type":"Bearer","expires_in":3599,"ext_expires_in":3599,"access_token":"ey.J0"}"#)
    });
    let server = HttpServer::start(answer, FaultPlan::new(), Clock::system()).await.unwrap();
    let http = HttpClient::new(&Limits::default(), Clock::system()).unwrap();
    let url = format!("{}/tenant/oauth2/v2.0/token", server.url());
    let scope = "https://database.windows.net/.default";
    let token = client_credentials(&http, &url, "app", &"s/e+c=ret".into(), scope).await.unwrap();
    assert_eq!(token.expose_secret(), "ey.J0");
    let error = client_credentials(&http, &url, "app", &"wrong".into(), scope).await.unwrap_err();
    let line = format!("{error:#}");
    assert!(line.contains("invalid_client (AADSTS7000215): the client id") && !line.contains("Doe"), "{line}");
}
