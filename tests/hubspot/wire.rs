//! Nights on which HubSpot behaves: what is asked, what is landed, and how fast.

use chrono::{DateTime, SecondsFormat, Utc};
use marts::sandbox::business::crm::PIPELINES;

use super::bench::*;

/// An instant as a cell shows it.
fn shown(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// An instant of a cell.
fn instant(cell: &str) -> DateTime<Utc> {
    cell.parse().unwrap_or_else(|_| panic!("{cell} is no instant"))
}

#[tokio::test]
async fn a_night_lands_what_the_crm_holds() {
    let bench = Bench::new().await;
    let landed = bench.pull(&ALL).await.unwrap();
    let contacts: Vec<_> = bench.crm.contacts.iter().filter(|contact| !contact.archived).collect();
    let found = rows(&landed[0]);
    assert!(found.len() > 400, "more than four pages: {}", found.len());
    assert_eq!(found.len(), contacts.len());
    for (row, contact) in found.iter().zip(contacts) {
        assert_eq!(row["contact_id"], contact.id.to_string());
        assert_eq!(row["lifecycle_stage"], contact.stage.unwrap_or("∅"));
        assert_eq!(shown(instant(&row["created_at"])), shown(contact.created));
        assert_eq!(instant(&row["modified_at"]), contact.modified);
        assert_eq!(row["is_archived"], "false");
    }
    let stages = rows(&landed[1]);
    assert_eq!(stages.len(), 10);
    assert_eq!((stages[8]["stage_id"].as_str(), stages[8]["stage_label"].as_str()), ("98752154", "Former customer"));

    let deals: Vec<_> = bench.crm.deals.iter().filter(|deal| !deal.archived).collect();
    let found = rows(&landed[2]);
    assert_eq!(found.len(), deals.len());
    let exact = |text: &Option<String>| match text.as_deref() {
        None | Some("") => "∅".to_owned(),
        Some(text) => {
            let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
            format!("{whole}.{fraction:0<18}")
        }
    };
    for (row, deal) in found.iter().zip(deals) {
        assert_eq!(row["deal_id"], deal.id.to_string());
        assert_eq!(row["stage_id"], deal.stage.unwrap_or("∅"));
        assert_eq!((row["pipeline_id"].as_str(), row["currency"].as_str()), (deal.pipeline, deal.currency));
        assert_eq!((&row["amount"], &row["home_amount"]), (&exact(&deal.amount), &exact(&deal.home_amount)));
    }
    let stages = rows(&landed[3]);
    assert_eq!(stages.len(), PIPELINES.iter().map(|pipeline| pipeline.stages.len()).sum::<usize>());
    let archived: Vec<_> = stages.iter().filter(|row| row["pipeline_is_archived"] == "true").collect();
    assert_eq!(archived.len(), 2, "archived pipelines are read too");
    assert_eq!(stages[0]["is_closed"], "false");
    assert_eq!(stages[0]["probability"], "0.200000000000000000");

    for (landed, name) in landed.iter().zip(ALL) {
        let manifest = landed.manifest();
        assert_eq!((manifest.dataset.as_str(), manifest.period.as_str()), (name, "2026-01-20"));
    }
    let totals = &landed[0].manifest().source_totals;
    let count = rows(&landed[0]).len().to_string();
    assert_eq!(totals.get("search_total_before"), Some(&count));
    assert_eq!(totals.get("search_total_after"), Some(&count));
}

#[tokio::test]
async fn the_cursor_is_followed_to_the_last_page() {
    let bench = Bench::new().await;
    let landed = bench.pull(&[CONTACTS]).await.unwrap();
    let asked = bench.asked();
    let lists: Vec<_> = asked.iter().filter(|asked| asked.starts_with("GET /crm/v3/objects/contacts?")).collect();
    assert_eq!(lists.len(), rows(&landed[0]).len().div_ceil(100));
    let first = "limit=100&archived=false&properties=createdate%2Clastmodifieddate%2Clifecyclestage";
    assert_eq!(*lists[0], format!("GET /crm/v3/objects/contacts?{first}"));
    for (number, list) in lists.iter().enumerate().skip(1) {
        let last = &rows(&landed[0])[number * 100 - 1]["contact_id"];
        let after: u64 = last.parse::<u64>().unwrap() + 1;
        assert!(list.ends_with(&format!("{first}&after={after}")), "{list}");
    }
    let searches = asked.iter().filter(|asked| asked.starts_with("POST /crm/v3/objects/contacts/search"));
    assert_eq!(searches.count(), 2, "before and after");
    // Every row knows its page: the first search is page 0.
    let pages: Vec<_> = rows(&landed[0]).iter().map(|row| row["page"].clone()).collect();
    assert_eq!((pages[0].as_str(), pages[99].as_str(), pages[100].as_str()), ("1", "1", "2"));
}

#[tokio::test]
async fn more_than_a_thousand_deals_are_no_limit() {
    let mut crm = crm();
    crm.deals_per_day = 20;
    let bench = Bench::start(crm, |_| {}).await;
    let landed = bench.pull(&[DEALS]).await.unwrap();
    assert!(landed[0].manifest().rows > 1_001);
    assert_eq!(landed[0].manifest().rows as usize, bench.crm.deals.iter().filter(|deal| !deal.archived).count());
}

#[tokio::test]
async fn nothing_that_names_a_person_is_asked_for_or_kept() {
    let bench = Bench::new().await;
    for landed in bench.pull(&ALL).await.unwrap() {
        for (_, body) in kept(&landed) {
            for name in ["Maria", "Johnson", "example.com", "email", "firstname", "dealname"] {
                assert!(!body.contains(name), "{name} in an answer of {}", landed.manifest().dataset);
            }
        }
        assert!(kept(&landed).iter().any(|(method, _)| method == "GET"));
    }
}

#[tokio::test]
async fn versions_named_by_their_month_have_paths_of_their_own() {
    let mut bench = Bench::new().await;
    let before = bench.pull(&ALL).await.unwrap();
    let asked = bench.asked().len();
    bench.settings().api_version = "2026-09".into();
    let after = bench.pull(&ALL).await.unwrap();
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(rows(before), rows(after));
    }
    let paths: Vec<String> =
        bench.asked()[asked..].iter().map(|asked| asked.split('?').next().unwrap().to_owned()).collect();
    for path in [
        "GET /crm/objects/2026-09/0-1",
        "POST /crm/objects/2026-09/0-1/search",
        "GET /crm/objects/2026-09/0-3",
        "GET /crm/properties/2026-09/contacts/lifecyclestage",
        "GET /crm/pipelines/2026-09/deals",
    ] {
        assert!(paths.iter().any(|asked| asked == path), "{path} is not in {paths:?}");
    }
}

#[tokio::test]
async fn the_pace_keeps_to_the_allowance() {
    let bench = Bench::start(crm(), |options| {
        options.clock = marts::clock::Clock::system();
        (options.calls, options.interval) = (3, chrono::Duration::milliseconds(300));
    })
    .await;
    bench.pull(&[CONTACTS]).await.unwrap();
    let statuses: Vec<_> = bench.server.log().iter().map(|logged| logged.status).collect();
    assert!(statuses.len() > 6, "{statuses:?}");
    assert!(statuses.iter().all(|status| *status == Some(200)), "nobody was refused: {statuses:?}");
}

#[tokio::test]
async fn a_search_that_trails_is_noted() {
    let bench = Bench::start(crm(), |options| options.search_lag = 2).await;
    let landed = bench.pull(&[DEALS]).await.unwrap();
    let manifest = landed[0].manifest();
    assert_eq!(manifest.source_totals["search_total_after"], (manifest.rows - 2).to_string());
}
