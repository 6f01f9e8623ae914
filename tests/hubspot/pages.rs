//! `--pages DIR`: recorded and awkward answers, and what they give.

use serde_json::{Value, json};

use super::bench::*;
use crate::compute::support::{Scene, assert_row};

async fn bench(files: &[(&str, String)]) -> Bench {
    let mut bench = Bench::new().await;
    let folder = bench.folder.path().join("pages");
    for (name, body) in files {
        let file = folder.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, body).unwrap();
    }
    bench.pages = Some(folder);
    bench
}

fn recorded(name: &str) -> String {
    std::fs::read_to_string(format!("{}/tests/fixtures/hubspot/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The recorded answer with a change to each record's properties.
fn changed(name: &str, change: impl Fn(&mut Value)) -> String {
    let mut body: Value = serde_json::from_str(&recorded(name)).unwrap();
    for record in body["results"].as_array_mut().unwrap() {
        change(record);
    }
    body.to_string()
}

const DEALS_PAGE: &str = "hubspot_deals/2026-01-20-0001.json";
const CONTACTS_PAGE: &str = "hubspot_contacts/2026-01-20-0001.json";

#[tokio::test]
async fn recorded_deals_land_as_they_read() {
    let bench = bench(&[(DEALS_PAGE, recorded("mock_deals_data.json"))]).await;
    let landed = bench.pull(&[DEALS]).await.unwrap();
    let found = rows(&landed[0]);
    assert_eq!(found.len(), 2);
    let expected = [
        ("deal_id", "6744192456"),
        ("pipeline_id", "default"),
        ("stage_id", "qualifiedtobuy"),
        ("amount", "500.000000000000000000"),
        // Not in the answer, because the account has one currency only.
        ("home_amount", "∅"),
        ("currency", "∅"),
        ("closes_at", "∅"),
        ("is_archived", "false"),
        ("page", "0"),
    ];
    for (name, value) in expected {
        assert_eq!(found[0][name], value, "{name}");
    }
    assert!(found[0]["created_at"].starts_with("2023-02-24T03:01:01.147"), "{:?}", found[0]);
    assert!(found[0]["modified_at"].starts_with("2023-02-24T03:01:01.711"), "{:?}", found[0]);
    assert_eq!(found[1]["amount"], "3233.000000000000000000");
    assert!(bench.server.log().is_empty(), "the network is left alone");
}

#[tokio::test]
async fn recorded_contacts_without_the_property_that_was_asked_are_refused() {
    // Recorded with HubSpot's default properties: lifecyclestage is not among them, which must not read as "no stage".
    let bench = self::bench(&[(CONTACTS_PAGE, recorded("mock_contacts_data.json"))]).await;
    let line = bench.refusal(&[CONTACTS]).await;
    let said = "no contact has the property lifecyclestage, which was asked for: it is not there, or the token may not \
        read it";
    assert!(line.ends_with(said), "{line}");

    let with = |stage: Value| {
        changed("mock_contacts_data.json", move |record| record["properties"]["lifecyclestage"] = stage.clone())
    };
    for (stage, landed_as) in [
        (json!("lead"), "lead"),
        (json!("98752154"), "98752154"),
        (json!(98_752_154), "98752154"),
        (json!(" "), "∅"),
        (Value::Null, "∅"),
    ] {
        let bench = self::bench(&[(CONTACTS_PAGE, with(stage))]).await;
        let landed = bench.pull(&[CONTACTS]).await.unwrap();
        let found = rows(&landed[0]);
        assert_eq!((found.len(), found[0]["lifecycle_stage"].as_str()), (2, landed_as));
        assert_eq!((found[0]["contact_id"].as_str(), found[1]["contact_id"].as_str()), ("1", "51"));
        assert!(found[0]["created_at"].starts_with("2023-02-24T03:00:13.460"), "{:?}", found[0]);
    }
    let bench = self::bench(&[(CONTACTS_PAGE, with(json!(["lead"])))]).await;
    let line = bench.refusal(&[CONTACTS]).await;
    assert!(line.ends_with("contact 1: lifecyclestage: it is a list where text is expected"), "{line}");
}

#[tokio::test]
async fn fields_that_are_unknown_missing_null_or_retyped_give_what_is_documented() {
    let one = |change: fn(&mut Value)| changed("mock_deals_data.json", change);
    let landed_as = async |body: String, column: &'static str| {
        let bench = bench(&[(DEALS_PAGE, body)]).await;
        rows(&bench.pull(&[DEALS]).await.unwrap()[0])[0][column].clone()
    };
    let set = |name: &'static str, value: Value| {
        changed("mock_deals_data.json", move |record| record["properties"][name] = value.clone())
    };
    // Unknown: passed over.
    assert_eq!(
        landed_as(one(|record| record["newMember"] = json!({ "a": 1 })), "amount").await,
        "500.000000000000000000"
    );
    assert_eq!(landed_as(set("hs_new", json!("x")), "stage_id").await, "qualifiedtobuy");
    // Null and empty: no amount. Retyped: a number is as good as its text, to the last digit.
    assert_eq!(landed_as(set("amount", Value::Null), "amount").await, "∅");
    assert_eq!(landed_as(set("amount", json!("")), "amount").await, "∅");
    assert_eq!(
        landed_as(
            one(|record| record["properties"]["amount"] = serde_json::from_str("43.010000000000000001").unwrap()),
            "amount"
        )
        .await,
        "43.010000000000000001"
    );
    assert_eq!(landed_as(set("amount_in_home_currency", json!("12.5")), "home_amount").await, "12.500000000000000000");
    // A creation date of the wrong century is none; closing dates come in several spellings.
    assert_eq!(landed_as(set("createdate", json!("1970-01-01T00:00:00Z")), "created_at").await, "∅");
    assert_eq!(landed_as(set("createdate", json!("2031-01-01T00:00:00Z")), "created_at").await, "∅");
    assert!(
        landed_as(set("closedate", json!("1677206461147")), "closes_at").await.starts_with("2023-02-24T02:41:01.147")
    );
    assert_eq!(landed_as(one(|record| record["id"] = json!(77)), "deal_id").await, "77");
    // A record may lack a property that others have; all of them may not.
    let mut body: Value = serde_json::from_str(&recorded("mock_deals_data.json")).unwrap();
    body["results"][0]["properties"].as_object_mut().unwrap().remove("amount");
    assert_eq!(landed_as(body.to_string(), "amount").await, "∅");
    for (body, said) in [
        (
            one(|record| _ = record["properties"].as_object_mut().unwrap().remove("dealstage")),
            "no deal has the property dealstage, which was asked for",
        ),
        (set("amount", json!("1,000")), "deal 6744192456: amount: it is no number"),
        (set("amount", json!(true)), "deal 6744192456: amount: it is true or false where text is expected"),
        (set("createdate", json!("yesterday")), "deal 6744192456: createdate: it is no instant"),
        (one(|record| record["properties"] = Value::Null), "deal 6744192456: it has no properties"),
        (one(|record| _ = record.as_object_mut().unwrap().remove("id")), "a deal has no id"),
        (one(|record| record["archived"] = json!("maybe")), "deal 6744192456: archived: it is text that is neither"),
        ("{\"results\": ".to_owned(), "the answer is no listing: EOF"),
        (String::new(), "the answer is no listing: EOF"),
        ("null".to_owned(), "the answer is no listing"),
    ] {
        let line = bench(&[(DEALS_PAGE, body)]).await.refusal(&[DEALS]).await;
        assert!(line.contains(said), "{said} is not in {line}");
        assert!(line.contains("hubspot_deals"), "{line}");
    }
}

/// From the answer to the mart: three deals that were won, of which one has an amount.
#[tokio::test]
async fn an_amount_that_is_empty_null_or_missing_is_no_amount_in_the_mart() {
    const STAGE: &str = "closedwon";
    for amount in [Some(json!("")), Some(json!("  ")), Some(Value::Null), None] {
        let deal = |id: u64, amount: Option<&Value>| {
            let mut properties =
                json!({ "createdate": "2026-01-02T03:04:05Z", "pipeline": "default", "dealstage": STAGE });
            if let Some(amount) = amount {
                properties["amount"] = amount.clone();
            }
            json!({ "id": id.to_string(), "properties": properties, "archived": false })
        };
        let body = json!({ "results": [
            deal(1, amount.as_ref()),
            deal(2, Some(&json!("10.01"))),
            deal(3, amount.as_ref()),
        ] });
        let metadata = json!({ "isClosed": "true", "probability": "1.0" });
        let stage = json!({ "id": STAGE, "label": "Won", "displayOrder": 0, "metadata": metadata, "archived": false });
        let pipeline = json!({ "id": "default", "label": "Sales", "archived": false, "stages": [stage] });
        let stages = json!({ "results": [pipeline] }).to_string();
        let bench = bench(&[(DEALS_PAGE, body.to_string()), ("hubspot_deal_stages/2026-01-20.json", stages)]).await;
        let mut scene = Scene::new("etl_hubspot_deals", bench.config.orgs[0].clone(), "2026-01-20", "2026-01-20");
        scene.landed = bench.pull(&[DEALS, STAGES]).await.unwrap();
        let expected = [
            ("total_deals", "3"),
            ("won_deals", "3"),
            ("won_value", "10.01"),
            // 3.3366…
            ("average_deal_size", "3.34"),
            ("total_pipeline_value", "0.00"),
        ];
        assert_row(&scene.mart()[0], &expected);
    }
}

#[tokio::test]
async fn stages_and_options_are_read_as_they_are_spelt() {
    let pipelines = |metadata: Value| {
        let stage = json!({ "id": "s1", "label": "Won", "displayOrder": 0, "metadata": metadata, "archived": false });
        // A pull in which no stage says whether it is closed is refused.
        let other = json!({ "id": "s2", "label": "Lost", "metadata": { "isClosed": "true" } });
        json!({ "results": [{ "id": "p1", "label": "Sales", "archived": false, "stages": [stage, other] }] })
            .to_string()
    };
    const STAGES_PAGE: &str = "hubspot_deal_stages/2026-01-20.json";
    for (metadata, is_closed, probability) in [
        (json!({ "isClosed": "true", "probability": "1.0" }), "true", "1.000000000000000000"),
        (json!({ "isClosed": true, "probability": 1.0 }), "true", "1.000000000000000000"),
        (json!({ "isClosed": "FALSE", "probability": "0.2" }), "false", "0.200000000000000000"),
        (json!({ "ticketState": "OPEN" }), "∅", "∅"),
        (Value::Null, "∅", "∅"),
    ] {
        let bench = bench(&[(STAGES_PAGE, pipelines(metadata))]).await;
        let row = rows(&bench.pull(&[STAGES]).await.unwrap()[0]).remove(0);
        assert_eq!((row["is_closed"].as_str(), row["probability"].as_str()), (is_closed, probability));
        assert_eq!((row["pipeline_label"].as_str(), row["stage_label"].as_str()), ("Sales", "Won"));
    }
    let line = bench(&[(STAGES_PAGE, pipelines(json!({ "isClosed": "yes" })))]).await.refusal(&[STAGES]).await;
    assert!(line.ends_with("stage s1: isClosed: it is text that is neither true nor false"), "{line}");
    let line = bench(&[(STAGES_PAGE, "{}".into())]).await.refusal(&[STAGES]).await;
    assert!(line.ends_with("the answer is no list of pipelines: it has no results"), "{line}");
    let line = bench(&[("hubspot_lifecycle_stages/all.json", "{}".into())]).await.refusal(&[LIFECYCLE]).await;
    assert!(line.ends_with("the answer is no property: it has no options"), "{line}");
}

#[tokio::test]
async fn pages_are_read_in_order_and_the_last_may_name_no_other() {
    let page = |id: u64, after: Option<u64>| {
        let properties = json!({ "createdate": "2026-01-02T03:04:05Z", "lifecyclestage": "lead" });
        let mut body = json!({ "results": [{ "id": id.to_string(), "properties": properties }] });
        if let Some(after) = after {
            body["paging"] = json!({ "next": { "after": after.to_string() } });
        }
        body.to_string()
    };
    let second = "hubspot_contacts/2026-01-20-0002.json";
    let bench = self::bench(&[(CONTACTS_PAGE, page(1, Some(2))), (second, page(2, None))]).await;
    let landed = bench.pull(&[CONTACTS]).await.unwrap();
    let found: Vec<_> = rows(&landed[0]).iter().map(|row| (row["contact_id"].clone(), row["page"].clone())).collect();
    assert_eq!(found, [("1".into(), "0".into()), ("2".into(), "1".into())]);
    assert_eq!(kept(&landed[0]).len(), 2);

    let bench = self::bench(&[(CONTACTS_PAGE, page(1, Some(2)))]).await;
    let line = bench.refusal(&[CONTACTS]).await;
    assert!(line.ends_with("2026-01-20-0001.json names a next page, and there is none behind it"), "{line}");
    let line = self::bench(&[]).await.refusal(&[CONTACTS]).await;
    assert!(line.contains("no saved answer for 2026-01-20: ") && line.contains("2026-01-20-0001.json"), "{line}");
}
