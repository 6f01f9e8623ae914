//! The run ledger, the locks and the tokens.

use chrono::{TimeZone, Utc};
use marts::extract::oauth::{TokenOwner, TokenRow, TokenStore};
use marts::ledger::{self, RunId, Started};
use marts::postgres::{Database, Locked};
use serde_json::json;

use super::database::TestDatabase;

async fn start(test: &TestDatabase, run: &RunId, org_id: i32, mart: &str) {
    let as_of = "2026-01-20".parse().unwrap();
    let started = Started { run, org_id, job: mart, mart, as_of, periods: None };
    ledger::start(&mut test.get().connection().await.unwrap(), &started).await.unwrap();
}

#[tokio::test]
async fn runs_are_listed_and_shown_and_end_once() {
    for test in TestDatabase::each().await {
        let run = RunId::new(Utc.with_ymd_and_hms(2026, 1, 21, 8, 0, 0).unwrap());
        assert!(run.as_str().starts_with("20260121T080000Z-"), "{run}");
        start(&test, &run, test.acme.id, "a").await;
        start(&test, &run, test.globex.id, "a").await;
        let mut connection = test.get().connection().await.unwrap();
        let error = anyhow::anyhow!("429").context("page 3");
        ledger::fail(&mut connection, test.acme.id, &run, "a", &error, json!({"n": 1})).await.unwrap();
        let again = ledger::fail(&mut connection, test.acme.id, &run, "a", &error, json!({})).await;
        assert!(again.unwrap_err().to_string().contains("is not running"));
        let shown = ledger::show(&mut connection, run.as_str()).await.unwrap();
        let told: Vec<_> =
            shown.iter().map(|run| (run.org.as_str(), run.status.as_str(), run.error.as_deref())).collect();
        assert_eq!(told, [("acme", "failed", Some("page 3: 429")), ("globex", "running", None)]);
        assert_eq!(shown[0].detail, json!({"n": 1}));
        assert_eq!(ledger::list(&mut connection, 10, None).await.unwrap().len(), 2);
        drop(connection);
        let newer = RunId::new(Utc.with_ymd_and_hms(2026, 1, 22, 8, 0, 0).unwrap());
        start(&test, &newer, test.acme.id, "a").await;
        let mut connection = test.get().connection().await.unwrap();
        let newest = ledger::list(&mut connection, 1, None).await.unwrap();
        assert_eq!(newest.iter().map(|run| run.run_id.as_str()).collect::<Vec<_>>(), [newer.as_str()]);
        let own = ledger::list(&mut connection, 10, Some(test.globex.id)).await.unwrap();
        assert_eq!(own.iter().map(|run| run.org.as_str()).collect::<Vec<_>>(), ["globex"]);
    }
}

#[tokio::test]
async fn runs_of_dead_processes_are_swept_and_those_of_living_ones_are_not() {
    for test in TestDatabase::each().await {
        let (dead, own) = (RunId::from("dead".to_owned()), RunId::from("own".to_owned()));
        start(&test, &dead, test.acme.id, "a").await;
        start(&test, &dead, test.globex.id, "a").await;
        start(&test, &own, test.acme.id, "b").await;
        assert!(matches!(test.get().lock("b", test.acme.id).await.unwrap(), Locked::Taken));
        let living = RunId::from("living".to_owned());
        let mut other = None;
        if test.is_real() {
            let database = Database::connect(&test.settings, "other").await.unwrap();
            assert!(matches!(database.lock("c", test.acme.id).await.unwrap(), Locked::Taken));
            start(&test, &living, test.acme.id, "c").await;
            other = Some(database);
        }
        let swept = ledger::sweep(&mut test.get().connection().await.unwrap(), test.acme.id, &own).await.unwrap();
        assert_eq!(swept, 1);
        let state = test.values("select concat_ws(' ', run_id, org_id, status) from etl_runs order by 1").await;
        let mut expected = vec!["dead 1 failed", "dead 2 running", "own 1 running"];
        if let Some(other) = other {
            expected.insert(2, "living 1 running");
            other.close().await.unwrap();
        }
        assert_eq!(state, expected);
    }
}

#[tokio::test]
async fn a_lock_is_held_until_it_is_given_back_and_says_by_whom() {
    for test in TestDatabase::each().await {
        let acme = test.acme.id;
        assert!(matches!(test.get().lock("m", acme).await.unwrap(), Locked::Taken));
        if test.is_real() {
            let other = Database::connect(&test.settings, "other").await.unwrap();
            let Locked::HeldBy(holder) = other.lock("m", acme).await.unwrap() else { panic!("locked twice") };
            assert_eq!(holder.application_name.as_deref(), Some("marts test"));
            assert!(holder.pid.is_some() && holder.since.is_some());
            assert!(holder.to_string().starts_with("marts test (server process "), "{holder}");
            assert!(matches!(other.lock("m", test.globex.id).await.unwrap(), Locked::Taken));
            test.get().unlock("m", acme).await.unwrap();
            assert!(matches!(other.lock("m", acme).await.unwrap(), Locked::Taken));
            other.unlock("m", acme).await.unwrap();
            other.close().await.unwrap();
        } else {
            test.get().unlock("m", acme).await.unwrap();
        }
        assert!(matches!(test.get().lock("m", acme).await.unwrap(), Locked::Taken));
    }
}

#[tokio::test]
async fn of_two_who_rotate_a_token_one_wins() {
    for mut test in TestDatabase::each().await {
        let at = Utc.with_ymd_and_hms(2026, 1, 21, 8, 0, 0).unwrap();
        let token = |text: &str, version: i64| TokenRow {
            ciphertext: text.as_bytes().to_vec(),
            previous_ciphertext: Some(b"before".to_vec()),
            seed_fingerprint: "0f".repeat(32),
            issued_at: at,
            expires_at: Some(at),
            hard_expires_at: None,
            version,
        };
        let owner = |org: &str| TokenOwner { org: org.to_owned(), connector: "quickbooks" };
        let (acme, globex) = (owner("acme"), owner("globex"));
        {
            let mut tokens = TokenStore::lock(test.get(), &acme).await.unwrap();
            assert_eq!(tokens.load().await.unwrap(), None);
            tokens.store(&token("one", 1), None).await.unwrap();
            let error = tokens.store(&token("x", 1), None).await.unwrap_err().to_string();
            assert!(error.contains("have changed meanwhile"), "{error}");
            tokens.store(&token("two", 2), Some(1)).await.unwrap();
            assert!(tokens.store(&token("x", 2), Some(1)).await.is_err());
            tokens.release().await.unwrap();
        }
        {
            let mut tokens = TokenStore::lock(test.get(), &globex).await.unwrap();
            assert_eq!(tokens.load().await.unwrap(), None);
            tokens.release().await.unwrap();
        }
        test.reopen().await;
        let mut tokens = TokenStore::lock(test.get(), &acme).await.unwrap();
        assert_eq!(tokens.load().await.unwrap(), Some(token("two", 2)));
        tokens.release().await.unwrap();
        let unknown = TokenStore::lock(test.get(), &owner("nobody")).await.err().unwrap().to_string();
        assert!(unknown.contains("marts migrate"), "{unknown}");
    }
}

#[tokio::test]
async fn the_tokens_of_a_connector_are_held_by_one_process_at_a_time() {
    for test in TestDatabase::each().await {
        // The embedded server knows no second process.
        if !test.is_real() {
            continue;
        }
        let acme = TokenOwner { org: "acme".to_owned(), connector: "quickbooks" };
        let other = Database::connect(&test.settings, "other").await.unwrap();
        {
            let held = TokenStore::lock(test.get(), &acme).await.unwrap();
            let waiting = TokenStore::lock(&other, &acme);
            tokio::pin!(waiting);
            let early = tokio::time::timeout(std::time::Duration::from_millis(700), &mut waiting).await;
            assert!(early.is_err(), "the second process must wait");
            held.release().await.unwrap();
            waiting.await.unwrap().release().await.unwrap();
        }
        other.close().await.unwrap();
    }
}
