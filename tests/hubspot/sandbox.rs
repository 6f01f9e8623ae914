//! The simulated HubSpot itself: what it refuses, and what it leaves out.

use std::sync::Arc;

use chrono::Days;
use marts::sandbox::business::crm::{Crm, CrmOptions};
use proptest::prelude::*;
use reqwest::Method;
use serde_json::{Value, json};

use super::bench::*;

/// Status and answer of a request.
async fn ask(bench: &Bench, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
    marts::extract::http::install_crypto();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = client.request(method, format!("{}{path}", bench.server.url())).bearer_auth(TOKEN);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn what_is_not_simulated_is_refused_loudly() {
    let bench = Bench::new().await;
    for (method, path, body, status) in [
        (Method::GET, "/crm/v3/objects/tickets", None, 404),
        (Method::GET, "/crm/v4/objects/contacts", None, 404),
        (Method::DELETE, "/crm/v3/objects/contacts", None, 404),
        (Method::GET, "/crm/v3/objects/contacts?associations=deals", None, 400),
        (Method::GET, "/crm/v3/objects/contacts?limit=101", None, 400),
        (Method::GET, "/crm/v3/objects/contacts?after=x", None, 400),
        (Method::POST, "/crm/v3/objects/contacts/search", Some(json!({ "query": "maria" })), 400),
        (Method::POST, "/crm/v3/objects/contacts/search", Some(json!({ "filterGroups": [{}] })), 400),
        (Method::POST, "/crm/v3/objects/contacts/search", Some(filtered(&[json!({ "propertyName": "email" })])), 400),
        (Method::POST, "/crm/v3/objects/contacts/search", Some(filtered(&[by("dealstage", "EQ", "lead")])), 400),
        (Method::POST, "/crm/v3/objects/contacts/search", Some(filtered(&[by("lifecyclestage", "BETWEEN", "a")])), 400),
        (Method::POST, "/crm/v3/objects/contacts/search", Some(filtered(&[by("createdate", "LT", "2026-01-20")])), 400),
        (Method::POST, "/crm/v3/objects/contacts/search", Some(filtered(&vec![by("createdate", "LT", "1"); 7])), 400),
        (Method::POST, "/crm/v3/objects/contacts/search", Some(json!({ "after": "9990", "limit": 11 })), 400),
        (Method::POST, "/crm/v3/objects/contacts/search", Some(json!({ "limit": 201 })), 400),
    ] {
        let (found, answer) = ask(&bench, method, path, body).await;
        assert_eq!((found, answer["status"].as_str()), (status, Some("error")), "{path}: {answer}");
    }
}

/// A filter, and a search by one group of them.
fn by(property: &str, operator: &str, value: &str) -> Value {
    json!({ "propertyName": property, "operator": operator, "value": value })
}

fn filtered(filters: &[Value]) -> Value {
    json!({ "filterGroups": [{ "filters": filters }], "limit": 1 })
}

#[tokio::test]
async fn a_search_counts_what_passes_its_filters() {
    let bench = Bench::new().await;
    let crm = Arc::clone(&bench.crm);
    let until = crm.contacts[crm.contacts.len() / 2].created;
    let millis = until.timestamp_millis().to_string();
    let standing = || crm.contacts.iter().filter(|contact| !contact.archived);
    let before = |contact: &&marts::sandbox::business::crm::Contact| {
        contact.created.timestamp_millis() < until.timestamp_millis()
    };
    let leads = standing().filter(|contact| contact.stage == Some("lead"));
    let in_time = by("createdate", "LT", &millis);
    let no_stage = json!({ "propertyName": "lifecyclestage", "operator": "NOT_HAS_PROPERTY" });
    let two = json!({ "propertyName": "lifecyclestage", "operator": "IN", "values": ["lead", "customer"] });
    let either = json!({ "filterGroups": [{ "filters": [in_time] }, { "filters": [no_stage] }], "limit": 1 });
    for (search, expected) in [
        (filtered(&[by("lifecyclestage", "EQ", "lead")]), leads.clone().count()),
        (filtered(std::slice::from_ref(&in_time)), standing().filter(before).count()),
        (filtered(&[in_time.clone(), by("lifecyclestage", "EQ", "lead")]), leads.filter(before).count()),
        (filtered(std::slice::from_ref(&no_stage)), standing().filter(|contact| contact.stage.is_none()).count()),
        (filtered(&[two]), standing().filter(|contact| matches!(contact.stage, Some("lead" | "customer"))).count()),
        (either, standing().filter(|contact| before(contact) || contact.stage.is_none()).count()),
    ] {
        let (_, found) = ask(&bench, Method::POST, "/crm/v3/objects/contacts/search", Some(search.clone())).await;
        assert!(expected > 0);
        assert_eq!(found["total"].as_u64().map(|total| total as usize), Some(expected), "{search}");
    }
}

#[tokio::test]
async fn an_account_may_search_five_times_a_second() {
    let bench = Bench::start(crm(), |options| options.searches_per_second = Some(5)).await;
    let mut refused = 0;
    for _ in 0..6 {
        let (status, _) = ask(&bench, Method::POST, "/crm/v3/objects/contacts/search", Some(json!({}))).await;
        refused += usize::from(status == 429);
    }
    assert_eq!(refused, 1);
}

#[tokio::test]
async fn listings_show_what_was_asked_and_searches_count_all() {
    let bench = Bench::new().await;
    let (_, page) = ask(&bench, Method::GET, "/crm/v3/objects/contacts", None).await;
    assert_eq!(page["results"].as_array().unwrap().len(), 10, "the default");
    assert!(page["results"][0]["properties"].get("email").is_some(), "names and addresses unless others are asked");
    let (_, page) = ask(&bench, Method::GET, "/crm/v3/objects/0-3?properties=amount,no_such&limit=2", None).await;
    let properties = page["results"][0]["properties"].as_object().unwrap();
    assert_eq!(properties.keys().collect::<Vec<_>>(), ["amount"], "unknown properties are left out without a word");
    let (_, archived) = ask(&bench, Method::GET, "/crm/v3/objects/contacts?archived=true&limit=100", None).await;
    let archived = archived["results"].as_array().unwrap().len();
    assert_eq!(archived, bench.crm.contacts.iter().filter(|contact| contact.archived).count());
    let search = json!({ "filterGroups": [], "limit": 200, "after": "200" });
    let (_, found) = ask(&bench, Method::POST, "/crm/v3/objects/contacts/search", Some(search)).await;
    assert_eq!(found["total"].as_u64().unwrap() as usize, bench.crm.contacts.len() - archived);
    assert_eq!((found["results"].as_array().unwrap().len(), &found["paging"]["next"]["after"]), (200, &json!("400")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn one_more_day_leaves_the_past_alone(seed: u64, more in 1u64..20) {
        let (from, to) = (day("2025-12-20"), day("2026-01-10"));
        let short = Crm::generate(CrmOptions::new(seed, from, to));
        let long = Crm::generate(CrmOptions::new(seed, from, to + Days::new(more)));
        let past = |crm: &Crm| {
            let until = to.and_hms_opt(23, 59, 59).unwrap().and_utc();
            let contacts = crm.contacts.iter().filter(|it| it.created <= until).map(|it| format!("{it:?}"));
            let deals = crm.deals.iter().filter(|it| it.created <= until).map(|it| format!("{it:?}"));
            contacts.chain(deals).collect::<Vec<_>>()
        };
        prop_assert_eq!(past(&short), past(&long));
        let chicago = chrono_tz::America::Chicago;
        let figures = short.contact_figures(to, chicago);
        prop_assert_eq!(figures.stages.iter().sum::<u64>(), figures.total);
        prop_assert!(figures.new_7d <= figures.new_30d && figures.new_30d <= figures.total);
        let night = short.contacts.iter().filter(|it| it.created.with_timezone(&chicago).date_naive() > to).count();
        prop_assert!(night > 0, "something is created after the last day");
    }
}
