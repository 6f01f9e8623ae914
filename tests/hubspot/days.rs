//! HubSpot's bad days: each gives one clear line and leaves nothing behind, or is outlived.

use marts::sandbox::http::{Fault, FaultPlan, Reply};
use marts::sandbox::hubspot::faults::{invalid, missing_scopes, throttled, unauthenticated};
use serde_json::json;

use super::bench::*;

const LIST: &str = "GET /crm/v3/objects/contacts";

async fn refusal(route: &str, requests: impl std::ops::RangeBounds<u64>, fault: Fault) -> String {
    let bench = Bench::with_faults(FaultPlan::new().on(route, requests, fault)).await;
    bench.refusal(&[LIFECYCLE, CONTACTS]).await
}

fn page(ids: &[u64], after: Option<&str>) -> Fault {
    let record = |id: &u64| {
        let properties = json!({ "createdate": "2026-01-02T03:04:05Z", "lifecyclestage": "lead" });
        json!({ "id": id.to_string(), "properties": properties, "archived": false })
    };
    let mut body = json!({ "results": ids.iter().map(record).collect::<Vec<_>>() });
    if let Some(after) = after {
        body["paging"] = json!({ "next": { "after": after } });
    }
    Fault::reply(Reply::json(200, body.to_string()))
}

#[tokio::test]
async fn what_will_not_pass_fails_at_once_in_one_line() {
    for (fault, said) in [
        (unauthenticated(), "401 Unauthorized: INVALID_AUTHENTICATION"),
        (missing_scopes(&["crm.objects.contacts.read"]), "the private app lacks the scopes crm.objects.contacts.read"),
        (Reply::json(403, "{}"), "403 Forbidden"),
        (invalid("Invalid input: limit"), "400 Bad Request: VALIDATION_ERROR: Invalid input: limit"),
        (Reply::text(414, "too long"), "414 URI Too Long"),
        (Reply::text(530, ""), "530: access_token is not formed as a token is"),
        (
            Reply::json(477, "{}").with("Retry-After", "3600"),
            "moved between HubSpot's data centres; try again in 3600 s",
        ),
        (Reply::new(200, "text/html", "<html>Sign in</html>"), "a page of HTML where JSON was asked for"),
        (Reply::text(200, "{\"results\": []}"), "content type \"text/plain;charset=utf-8\" where JSON was asked for"),
        (Reply::json(200, "[]"), "JSON that is no object"),
        (Reply::json(200, "{}"), "the answer is no listing: it has no results"),
        (Reply::json(302, "{}"), "302 Found"),
    ] {
        let bench = Bench::with_faults(FaultPlan::new().on(LIST, 2.., Fault::reply(fault))).await;
        let line = bench.refusal(&[LIFECYCLE, CONTACTS]).await;
        assert!(line.starts_with("pulling hubspot_contacts 2026-01-20: the page after 100 records: "), "{line}");
        assert!(line.contains(said), "{said} is not in {line}");
        assert_eq!(bench.asked().iter().filter(|asked| asked.starts_with(&format!("{LIST}?"))).count(), 2, "{line}");
    }
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_given_up_in_one_line() {
    for (fault, said) in [
        (Fault::reply(Reply::json(500, "{}")), "500 Internal Server Error, gave up after 3 tries"),
        (Fault::reply(Reply::json(502, "{}")), "502 Bad Gateway, gave up after 3 tries"),
        (Fault::reply(Reply::text(521, "")), "521, gave up after 3 tries"),
        (Fault::reply(Reply::json(423, "{}")), "423 Locked, gave up after 3 tries"),
        (Fault::reply(throttled("TEN_SECONDLY_ROLLING")), "429 Too Many Requests"),
        (Fault::reply(throttled("SECONDLY")), "429 Too Many Requests"),
        (Fault::CutBody(60), "the answer broke off"),
        (Fault::BrokenBody(60), "200 OK with JSON that is cut off"),
        (Fault::empty(), "200 OK with an empty answer"),
        (Fault::Reset, "gave up after 3 tries"),
    ] {
        let line = refusal(LIST, 2.., fault).await;
        assert!(
            line.starts_with("pulling hubspot_contacts 2026-01-20: the page after 100 records: GET http"),
            "{line}"
        );
        assert!(line.contains(said) && line.contains("gave up after 3 tries"), "{line}");
    }
    let line = refusal("POST */search", 2.., Fault::reply(Reply::json(503, "{}"))).await;
    assert!(line.contains("503 Service Unavailable, gave up after 3 tries"), "{line}");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let mut bench = Bench::with_faults(FaultPlan::new().on(LIST, 2.., Fault::Stall)).await;
    bench.config.limits.http_timeout_secs = 1;
    bench.config.limits.tries = 2;
    let line = bench.refusal(&[CONTACTS]).await;
    assert!(line.ends_with("no complete answer within 1 s, gave up after 2 tries"), "{line}");
}

#[tokio::test]
async fn refusals_for_a_while_are_outlived_in_all_their_spellings() {
    let documented = |name: &str| {
        let path = format!("{}/tests/fixtures/hubspot/{name}", env!("CARGO_MANIFEST_DIR"));
        Reply::json(429, std::fs::read_to_string(path).unwrap())
    };
    for fault in [
        documented("429_secondly.json"),
        documented("429_ten_secondly.json"),
        documented("429_ten_secondly.json").with("Retry-After", "10"),
        Reply::text(429, "slow down"),
        Reply::json(500, "{}"),
    ] {
        let bench = Bench::with_faults(FaultPlan::new().on(LIST, 2..=3, Fault::reply(fault))).await;
        let landed = bench.pull(&[CONTACTS]).await.unwrap();
        let listed = bench.crm.contacts.iter().filter(|contact| !contact.archived).count();
        assert_eq!(landed[0].manifest().rows as usize, listed, "the same page was asked again");
    }
}

#[tokio::test]
async fn the_daily_limit_stops_the_pull_until_midnight() {
    let until = "the account's daily limit of calls is used up until 2026-01-22 06:00 UTC, midnight in America/Chicago";
    let worded =
        json!({ "status": "error", "message": "You have reached your daily limit.", "errorType": "RATE_LIMIT" });
    for fault in [throttled("DAILY"), Reply::json(429, worded.to_string()).with("Retry-After", "3")] {
        let bench = Bench::with_faults(FaultPlan::new().on(LIST, 2.., Fault::reply(fault))).await;
        let line = bench.refusal(&[CONTACTS]).await;
        assert!(line.contains(until), "{line}");
        let lists = bench.asked().iter().filter(|asked| asked.starts_with(&format!("{LIST}?"))).count();
        assert_eq!(lists, 2, "it is not tried again");
    }
    // An answer that says that it was the last one is believed.
    let bench = Bench::start(crm(), |options| options.calls_per_day = 3).await;
    let line = bench.refusal(&[CONTACTS]).await;
    assert!(line.contains(until), "{line}");
    assert_eq!(bench.asked().len(), 3);
}

#[tokio::test]
async fn a_cursor_that_leads_nowhere_is_no_end() {
    let plan = |pages: Vec<Fault>| {
        let numbered = pages.into_iter().zip(1..);
        numbered.fold(FaultPlan::new(), |plan, (fault, number)| plan.on(LIST, number..=number, fault))
    };
    for (pages, said) in [
        (vec![page(&[1, 2], Some("3")), page(&[1, 2], Some("4"))], "repeats an earlier one: the cursor leads back"),
        (
            vec![page(&[1], Some("2")), page(&[3, 4], Some("5")), page(&[1], Some("6"))],
            "repeats an earlier one: the cursor leads back",
        ),
        (vec![page(&[1, 2], Some("3")), page(&[4], Some("3"))], "has been read already: the cursor leads back"),
        (vec![page(&[1, 2], Some("3")), page(&[], Some("9"))], "is empty and names a next page"),
        (
            vec![page(&[1, 2], Some("3")), Fault::reply(invalid("Invalid input: the after cursor has expired"))],
            "400 Bad Request: VALIDATION_ERROR: Invalid input: the after cursor has expired",
        ),
    ] {
        let line = Bench::with_faults(plan(pages)).await.refusal(&[CONTACTS]).await;
        assert!(line.contains("the page after 2 records") || line.contains("the page after 3 records"), "{line}");
        assert!(line.contains(said), "{line}");
    }
}

#[tokio::test]
async fn an_empty_listing_is_believed_only_when_the_search_agrees() {
    let empty = || FaultPlan::new().on("GET /crm/v3/objects/*", .., page(&[], None));
    let line = Bench::with_faults(empty()).await.refusal(&[CONTACTS]).await;
    assert!(line.contains("the listing is empty where the search counts"), "{line}");
    let line = Bench::with_faults(empty()).await.refusal(&[DEALS]).await;
    assert!(line.contains("the listing is empty where the search counts"), "{line}");
    // A new account has no deals, but somebody's contacts.
    let none = || empty().on("POST */search", .., Fault::reply(Reply::json(200, "{\"total\": 0, \"results\": []}")));
    let landed = Bench::with_faults(none()).await.pull(&[DEALS]).await.unwrap();
    assert_eq!(landed[0].manifest().rows, 0);
    let line = Bench::with_faults(none()).await.refusal(&[CONTACTS]).await;
    assert!(line.contains("hubspot_contacts of 2026-01-20 came back empty"), "{line}");
}

#[tokio::test]
async fn pipelines_that_make_every_deal_open_are_refused() {
    // The plain listing is asked first, the archived one after it.
    let pipelines = |listings: [Option<serde_json::Value>; 2]| {
        let numbered = listings.into_iter().zip(1..);
        numbered.fold(FaultPlan::new(), |plan, (listing, number)| match listing {
            Some(listing) => {
                let reply = Reply::json(200, json!({ "results": listing }).to_string());
                plan.on("GET */pipelines/*", number..=number, Fault::reply(reply))
            }
            None => plan,
        })
    };
    let listed = |archived: Option<bool>, metadata: serde_json::Value| {
        let mut pipeline = json!({ "id": "9", "stages": [{ "id": "91", "metadata": metadata }] });
        if let Some(archived) = archived {
            pipeline["archived"] = json!(archived);
        }
        json!([pipeline])
    };
    let closed = || json!({ "isClosed": "true", "probability": "1.0" });
    let no_stages = json!([{ "id": "default", "archived": false, "stages": [] }]);
    let none_in_use = "no pipeline in use has a stage: every deal would count as open";
    let none_flagged = "no stage says whether it is closed (metadata.isClosed)";
    for (listings, said) in [
        ([Some(json!([])), Some(json!([]))], none_in_use),
        // What is archived is all there, by the simulator's own word and by the question alone.
        ([Some(json!([])), None], none_in_use),
        ([Some(json!([])), Some(listed(None, closed()))], none_in_use),
        ([Some(no_stages), Some(listed(Some(true), closed()))], none_in_use),
        ([Some(listed(Some(false), json!({ "probability": "1.0" }))), Some(json!([]))], none_flagged),
        ([Some(listed(None, json!(null))), Some(json!([]))], none_flagged),
    ] {
        let line = Bench::with_faults(pipelines(listings)).await.refusal(&[STAGES]).await;
        assert!(line.starts_with("pulling hubspot_deal_stages 2026-01-20: "), "{line}");
        assert!(line.contains(said), "{line}");
    }
    // One that says so is enough: the others are for the audit to name.
    let mut archived = listed(Some(true), closed());
    archived[0]["id"] = json!("10");
    let some = [Some(listed(None, json!(null))), Some(archived)];
    let bench = Bench::with_faults(pipelines(some)).await;
    let landed = bench.pull(&[STAGES]).await.unwrap();
    let told: Vec<_> = rows(&landed[0])
        .iter()
        .map(|row| [&row["pipeline_id"], &row["pipeline_is_archived"], &row["is_closed"]].map(Clone::clone))
        .collect();
    assert_eq!(told, [["9", "false", "∅"], ["10", "true", "true"]]);
}

#[tokio::test]
async fn a_token_that_is_missing_or_wrong_is_named_and_never_shown() {
    let bench = Bench::new().await;
    std::fs::write(bench.folder.path().join("token"), "planted-wrong-token").unwrap();
    let line = bench.refusal(&[CONTACTS]).await;
    assert!(line.contains("access_token is not one that HubSpot knows") && !line.contains("planted"), "{line}");
    std::fs::remove_file(bench.folder.path().join("token")).unwrap();
    let line = bench.refusal(&[CONTACTS]).await;
    assert!(line.contains("reading access_token of HubSpot: cannot read the secret file"), "{line}");
}

#[tokio::test]
async fn only_the_present_can_be_pulled() {
    let mut bench = Bench::new().await;
    bench.pull(&[CONTACTS]).await.unwrap();
    let wrong = vec![(marts::datasets::dataset(CONTACTS).unwrap(), vec!["2026-01-19".parse().unwrap()])];
    bench.as_of = day("2026-01-20");
    let staging = marts::staging::Staging::new(&bench.config.staging.path);
    let context = marts::extract::Context {
        config: &bench.config,
        org: &bench.config.orgs[0],
        staging: &staging,
        clock: bench.clock.clock(),
        pulled_at: bench.clock.now(),
        as_of: bench.as_of,
        saved: None,
        progress: &|_, _, _| {},
    };
    let error = marts::extract::hubspot::pull(&context, &wrong).await.unwrap_err();
    assert_eq!(
        format!("{error:#}"),
        "pulling hubspot_contacts 2026-01-19: HubSpot gives only the present, which is staged under 2026-01-20"
    );
}
