//! The CRM's marts of a night against an oracle: the same figures computed from the simulated CRM's own objects.

use std::collections::BTreeMap;

use marts::sandbox::business::crm::{Crm, Deal, deal_stage};
use marts::sandbox::http::{Fault, FaultPlan, Reply};
use marts::sandbox::hubspot::faults::throttled;
use serde_json::{Value, json};

use super::stage::{Stage, as_of};

const CONTACTS: &str = "select snapshot_date, total_contacts, new_contacts_30d, new_contacts_7d, subscribers, leads, \
    marketing_qualified, sales_qualified, opportunities, customers, evangelists, other_lifecycle, source_system \
    from mart_crm_contacts";
const DEALS: &str = "select snapshot_date, total_deals, open_deals, won_deals, lost_deals, total_pipeline_value, \
    won_value, lost_value, average_deal_size, source_system from mart_crm_deals";

/// Eighteen decimals.
const ONE: i128 = 1_000_000_000_000_000_000;

/// Text of an amount as a count of 10^-18.
fn exact(text: &str) -> i128 {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |text| (-1, text));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    sign * (whole.parse::<i128>().unwrap() * ONE + format!("{fraction:0<18}").parse::<i128>().unwrap())
}

/// An exact number of 10^-18 over a count, as text with two decimals.
fn cents(sum: i128, count: i128) -> String {
    let unit = ONE / 100 * count;
    let cents = (sum.abs() * 2 + unit) / (2 * unit);
    let sign = if sum < 0 && cents > 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", cents / 100, cents % 100)
}

fn value(deal: &Deal) -> i128 {
    deal.home_amount.as_deref().or(deal.amount.as_deref()).filter(|text| !text.is_empty()).map_or(0, exact)
}

fn contacts_row(crm: &Crm) -> Vec<String> {
    let figures = crm.contact_figures(as_of(), chrono_tz::America::Chicago);
    let mut row = vec![as_of().to_string()];
    row.extend([figures.total, figures.new_30d, figures.new_7d].iter().map(ToString::to_string));
    row.extend(figures.stages.iter().map(ToString::to_string));
    row.push("hubspot".into());
    row
}

fn deals_row(crm: &Crm) -> (Vec<String>, Value) {
    // Open, won, lost: how many and how much.
    let mut outcomes = [(0, 0); 3];
    let mut stages: BTreeMap<&str, (i128, i128)> = BTreeMap::new();
    for deal in crm.deals_at(as_of(), chrono_tz::America::Chicago) {
        let outcome = match deal.stage.and_then(deal_stage) {
            Some((_, stage)) if stage.is_closed => 2 - usize::from(stage.probability == "1.0"),
            _ => 0,
        };
        for sums in [&mut outcomes[outcome], stages.entry(deal.stage.unwrap_or("unknown")).or_default()] {
            sums.0 += 1;
            sums.1 += value(deal);
        }
    }
    let mut row = vec![as_of().to_string()];
    row.push(outcomes.iter().map(|(count, _)| count).sum::<i128>().to_string());
    row.extend(outcomes.iter().map(|(count, _)| count.to_string()));
    row.extend(outcomes.iter().map(|(_, sum)| cents(*sum, 1)));
    row.push(cents(outcomes[1].1, outcomes[1].0));
    row.push("hubspot".into());
    let stages = stages.iter().map(|(id, (count, sum))| {
        let known = deal_stage(id);
        // Whoever is in a deleted stage is still in a pipeline, if all of them are in the same.
        let mut pipelines: Vec<&str> = crm
            .deals_at(as_of(), chrono_tz::America::Chicago)
            .filter(|deal| deal.stage == Some(*id))
            .map(|deal| {
                marts::sandbox::business::crm::PIPELINES.iter().find(|it| it.id == deal.pipeline).unwrap().label
            })
            .collect();
        pipelines.sort_unstable();
        let figures = json!({
            "label": known.map(|(_, stage)| stage.label),
            "pipeline": known.map(|(pipeline, _)| pipeline.label).or(pipelines.first().copied()),
            "is_closed": known.is_some_and(|(_, stage)| stage.is_closed),
            "count": count,
            "value": serde_json::from_str::<Value>(&cents(*sum, 1)).unwrap(),
        });
        ((*id).to_owned(), figures)
    });
    (row, Value::Object(stages.collect()))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cell_of_the_crm_is_what_the_business_says() {
    let stage = Stage::start().await;
    stage.night(&["etl_hubspot_contacts", "etl_hubspot_deals"], 0);
    let crm = &stage.world.crm;
    let expected = contacts_row(crm);
    assert!(expected[1].parse::<u32>().unwrap() > 1_000, "{expected:?}");
    assert_eq!(stage.rows(CONTACTS), [expected]);
    let (expected, stages) = deals_row(crm);
    assert!(expected[1..5].iter().all(|count| count != "0"), "{expected:?}");
    assert_eq!(stage.rows(DEALS), [expected]);
    let (found, _) =
        stage.ends(&["postgres", "--json", "select deals_by_stage::text as stages from mart_crm_deals"], 0);
    let found: Value = serde_json::from_str(&found).unwrap();
    let found: Value = serde_json::from_str(found[0]["stages"].as_str().unwrap()).unwrap();
    // As text: 5.00 and 5.0 are two numbers here.
    assert_eq!(sorted(&found), sorted(&stages));

    // The warnings of a good night name what is odd in it, and nothing is held.
    let (shown, _) = stage.ends(&["--json", "runs"], 0);
    assert!(!shown.contains("held"), "{shown}");
}

fn sorted(stages: &Value) -> Vec<(String, Vec<(String, String)>)> {
    let members = |value: &Value| {
        let mut members: Vec<_> =
            value.as_object().unwrap().iter().map(|(name, value)| (name.clone(), value.to_string())).collect();
        members.sort();
        members
    };
    let mut all: Vec<_> = stages.as_object().unwrap().iter().map(|(id, it)| (id.clone(), members(it))).collect();
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_night_without_the_crm_publishes_the_others_and_leaves_the_crm_as_it_was() {
    let stage = Stage::start().await;
    stage.amend("[limits]\ntries = 2\nfirst_backoff_millis = 1\nmax_backoff_secs = 1\nhttp_timeout_secs = 2\n");
    let jobs = ["etl_hubspot_contacts", "etl_hubspot_deals"];
    stage.night(&jobs, 0);
    let everything = |stage: &Stage| {
        let rows = |table: &str| stage.rows(&format!("select * from {table}"));
        (rows("mart_crm_contacts"), rows("mart_crm_deals"), stage.staged())
    };
    let before = everything(&stage);
    for (fault, said) in [
        (Fault::reply(Reply::json(500, "{}")), "500 Internal Server Error, gave up after 2 tries"),
        (Fault::reply(throttled("DAILY")), "the account's daily limit of calls is used up until"),
        (Fault::CutBody(30), "gave up after 2 tries"),
        (Fault::Stall, "no complete answer within 2 s, gave up after 2 tries"),
        (Fault::reply(Reply::json(200, "{\"results\": []}")), "the listing is empty where the search counts"),
    ] {
        stage.world.hubspot.set_faults(FaultPlan::new().on("GET /crm/v3/objects/*", .., fault));
        let (table, _) = stage.night(&jobs, 1);
        assert!(table.contains("FAILED") && table.contains(said), "{said}: {table}");
        assert_eq!(everything(&stage), before, "{said}");
    }
    stage.world.hubspot.set_faults(FaultPlan::new());
    let (table, _) = stage.night(&jobs, 0);
    assert!(table.contains("2 of 2 marts published"), "{table}");
    let rows =
        |stage: &Stage| (stage.rows("select * from mart_crm_contacts"), stage.rows("select * from mart_crm_deals"));
    assert_eq!(rows(&stage), (before.0, before.1), "ids and times included");
}

#[tokio::test(flavor = "multi_thread")]
async fn earlier_days_come_from_staging_or_not_at_all() {
    let stage = Stage::start().await;
    let job = "etl_hubspot_contacts";
    stage.night(&[job], 0);
    let (table, _) = stage.night(&[job, "--from", "2026-01-19", "--to", "2026-01-20"], 1);
    assert!(table.contains("hubspot_contacts 2026-01-19 was never taken"), "{table}");
    stage.turn_to(super::stage::day("2026-01-19"));
    stage.ends(&["run", job, "--as-of", "2026-01-19"], 0);
    stage.turn_to(as_of());
    let requests = stage.world.hubspot.log().len();
    stage.night(&[job, "--from", "2026-01-19", "--to", "2026-01-20", "--from-staging"], 0);
    assert_eq!(stage.world.hubspot.log().len(), requests);
    let days = stage.rows("select snapshot_date from mart_crm_contacts order by 1");
    assert_eq!(days.concat(), ["2026-01-19", "2026-01-20"]);
}
