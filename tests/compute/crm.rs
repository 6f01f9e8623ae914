//! mart_crm_contacts and mart_crm_deals on awkward rows, and their audits.

use marts::audit::{Finding, audit};
use marts::config::{HubSpot, Org, SecretRef};
use marts::datasets::dataset;
use marts::periods::Partition;
use marts::staging::Value;
use serde_json::json;

use super::support::*;

pub(super) fn org() -> Org {
    let mut org = super::support::org();
    org.hubspot = Some(HubSpot {
        base_url: "https://api.hubapi.com".into(),
        access_token: SecretRef::Env("TOKEN".into()),
        api_version: "v3".into(),
        home_currency: "USD".into(),
    });
    org
}

pub(super) fn contact(id: &str, stage: Option<&str>, created: &str) -> Row {
    let row = Row::default().text("contact_id", id).at("created_at", created).flag("is_archived", false);
    match stage {
        Some(stage) => row.text("lifecycle_stage", stage),
        None => row,
    }
}

/// Records that say nothing of it were changed at noon of the day.
fn changed(rows: &[Row], as_of: &str) -> Vec<Row> {
    let noon = format!("{as_of}T12:00:00Z");
    let is_silent = |row: &Row| !row.0.contains_key("modified_at");
    rows.iter().map(|row| if is_silent(row) { row.clone().at("modified_at", &noon) } else { row.clone() }).collect()
}

pub(super) fn contacts_at(as_of: &str, contacts: &[Row]) -> Scene {
    let mut scene = Scene::new("etl_hubspot_contacts", org(), as_of, as_of);
    let partition = Partition::Day(day(as_of));
    scene.land(dataset("hubspot_contacts").unwrap(), partition, &changed(contacts, as_of));
    let options = ["subscriber", "lead", "marketingqualifiedlead", "salesqualifiedlead", "opportunity", "customer"];
    let options = options.iter().chain(&["evangelist", "other", "98752154"]);
    let options: Vec<_> = options.map(|id| Row::default().text("stage_id", id)).collect();
    scene.land(dataset("hubspot_lifecycle_stages").unwrap(), partition, &options);
    scene
}

fn contacts(rows: &[Row]) -> Scene {
    contacts_at("2026-01-20", rows)
}

pub(super) const LONG_AGO: &str = "2020-01-01T00:00:00Z";

#[test]
fn parts_and_other_are_the_total_whatever_stages_an_account_adds() {
    let stages = [
        Some("subscriber"),
        Some("lead"),
        Some("Lead"),
        Some("marketingqualifiedlead"),
        Some("salesqualifiedlead"),
        Some("opportunity"),
        Some("customer"),
        Some("customer"),
        Some("evangelist"),
        Some("other"),
        Some("98752154"),
        None,
    ];
    let rows: Vec<_> = stages.iter().zip(1..).map(|(stage, id)| contact(&id.to_string(), *stage, LONG_AGO)).collect();
    let scene = contacts(&rows);
    let expected = [
        ("snapshot_date", "2026-01-20"),
        ("total_contacts", "12"),
        ("new_contacts_30d", "0"),
        ("new_contacts_7d", "0"),
        ("subscribers", "1"),
        ("leads", "2"),
        ("marketing_qualified", "1"),
        ("sales_qualified", "1"),
        ("opportunities", "1"),
        ("customers", "2"),
        ("evangelists", "1"),
        ("other_lifecycle", "3"),
    ];
    assert_row(&scene.mart()[0], &expected);
    assert_eq!(scene.rules(), [], "a good snapshot has no findings");
}

#[test]
fn a_stage_of_the_accounts_own_is_other_and_no_stranger() {
    // The account knows 98752154, a stage of its own named by a number; nobody knows 77.
    let named = |stage| contact("1", Some(stage), LONG_AGO);
    for (stage, rules) in [("98752154", &[][..]), ("77", &["unknown_stage"])] {
        let scene = contacts(&[named(stage), contact("2", Some("lead"), LONG_AGO)]);
        let expected = [("total_contacts", "2"), ("other_lifecycle", "1"), ("leads", "1"), ("customers", "0")];
        assert_row(&scene.mart()[0], &expected);
        let found: Vec<_> = scene.rules().into_iter().map(|(rule, _)| rule).collect();
        assert_eq!(found, rules, "{stage}");
    }
}

/// Total, new in 30 and in 7 days.
fn new(scene: &Scene) -> [String; 3] {
    let row = scene.mart().swap_remove(0);
    ["total_contacts", "new_contacts_30d", "new_contacts_7d"].map(|name| row[name].clone())
}

#[test]
fn days_begin_at_midnight_where_the_organisation_is() {
    // Chicago is six hours behind. The 30 days begin on 22 December, the 7 on 14 January.
    for (created, expected) in [
        ("2025-12-22T05:59:59.999Z", ["1", "0", "0"]),
        ("2025-12-22T06:00:00Z", ["1", "1", "0"]),
        ("2026-01-14T05:59:59.999Z", ["1", "1", "0"]),
        ("2026-01-14T06:00:00Z", ["1", "1", "1"]),
        ("2026-01-21T05:59:59.999Z", ["1", "1", "1"]),
        ("2026-01-21T06:00:00Z", ["0", "0", "0"]),
    ] {
        assert_eq!(new(&contacts(&[contact("1", Some("lead"), created)])), expected, "{created}");
    }
    // The clock goes forward on 8 March 2026: before it six hours behind, after it five.
    for (created, expected) in [
        ("2026-02-09T05:59:59.999Z", ["1", "0", "0"]),
        ("2026-02-09T06:00:00Z", ["1", "1", "0"]),
        ("2026-03-04T05:59:59.999Z", ["1", "1", "0"]),
        ("2026-03-04T06:00:00Z", ["1", "1", "1"]),
        ("2026-03-11T04:59:59.999Z", ["1", "1", "1"]),
        ("2026-03-11T05:00:00Z", ["0", "0", "0"]),
    ] {
        let scene = contacts_at("2026-03-10", &[contact("1", Some("lead"), created)]);
        assert_eq!(new(&scene), expected, "{created}");
    }
    // A leap day.
    let scene = contacts_at("2024-03-06", &[contact("1", None, "2024-02-29T06:00:00Z")]);
    assert_eq!(new(&scene), ["1", "1", "1"]);
}

#[test]
fn contacts_that_are_archived_or_undated_are_told_apart() {
    let rows = [
        contact("1", Some("lead"), LONG_AGO),
        contact("2", Some("lead"), LONG_AGO).flag("is_archived", true),
        contact("3", Some("lead"), LONG_AGO).null("created_at"),
        contact("4", Some("lead"), LONG_AGO).null("created_at").at("record_created_at", "2026-01-19T12:00:00Z"),
        contact("5", Some("lead"), LONG_AGO).null("created_at").at("record_created_at", "2026-01-21T07:00:00Z"),
        // Imported today with the date of another system.
        contact("6", Some("lead"), LONG_AGO).at("record_created_at", "2026-01-21T07:00:00Z"),
    ];
    let scene = contacts(&rows);
    assert_eq!(new(&scene), ["4", "0", "0"]);
    let findings = scene.findings(&[]);
    assert_eq!(
        findings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["warning no_creation_date 2026-01-20: 3 contacts have no creation date and count as old"]
    );
}

#[test]
fn a_contact_that_is_delivered_twice_counts_once_as_it_was_last_changed() {
    let at = |row: Row, modified: &str| row.at("modified_at", modified);
    let mut rows = vec![
        at(contact("1", Some("lead"), LONG_AGO), "2026-01-20T10:00:00Z"),
        at(contact("1", Some("customer"), LONG_AGO), "2026-01-20T10:00:01Z"),
        at(contact("2", Some("lead"), LONG_AGO), "2026-01-20T10:00:00Z"),
        at(contact("2", Some("lead"), LONG_AGO), "2026-01-20T10:00:00Z"),
        contact("3", Some("opportunity"), LONG_AGO).null("modified_at"),
        at(contact("3", Some("evangelist"), LONG_AGO), "2026-01-20T10:00:00Z"),
    ];
    let scene = contacts(&rows);
    let expected =
        [("total_contacts", "3"), ("customers", "1"), ("leads", "1"), ("evangelists", "1"), ("opportunities", "0")];
    assert_row(&scene.mart()[0], &expected);
    let findings = scene.findings(&[]);
    assert_eq!(findings.len(), 1);
    let said = "warning listed_twice 2026-01-20: 3 listings of contacts that were listed already";
    assert_eq!(findings[0].to_string(), said);
    let before = scene.mart();
    rows.reverse();
    assert_eq!(contacts(&rows).mart(), before, "the order of rows does not matter");
}

/// Lands a pull of one row with the totals that a search gave.
fn with_totals(scene: &mut Scene, name: &str, key: &str, totals: [u64; 2]) {
    let dataset = dataset(name).unwrap();
    let partition = Partition::Day(scene.as_of);
    let pulled_at = "2026-06-02T07:00:00Z".parse().unwrap();
    let mut landing = scene.staging().begin(dataset, "acme", partition, pulled_at).unwrap();
    let page = marts::staging::Page { method: "GET", url: "u", status: 200, fetched_at: pulled_at, body: b"{}" };
    let page = landing.page(&page).unwrap();
    let values: Vec<_> = dataset
        .columns
        .iter()
        .map(|column| match column.name {
            name if name == key => Value::Text("1"),
            "is_archived" => Value::Bool(false),
            _ => Value::Null,
        })
        .collect();
    landing.push(Some(page), &values).unwrap();
    landing.source_total("search_total_before", totals[0]);
    landing.source_total("search_total_after", totals[1]);
    scene.landed.push(landing.finish().unwrap());
}

fn named(findings: &[Finding], rule: &str) -> Vec<String> {
    findings.iter().filter(|finding| finding.rule == rule).map(ToString::to_string).collect()
}

#[test]
fn a_listing_that_the_search_does_not_confirm_is_a_warning() {
    for (totals, said) in [
        ([1, 1], None),
        ([0, 1], None),
        ([1, 3], None),
        ([2, 2], Some("1 contacts are listed where the search counts 2")),
        ([2, 5], Some("1 contacts are listed where the search counts 2 to 5")),
        ([0, 0], Some("1 contacts are listed where the search counts 0")),
    ] {
        let mut scene = contacts(&[contact("1", None, LONG_AGO)]);
        with_totals(&mut scene, "hubspot_contacts", "contact_id", totals);
        let found = named(&scene.findings(&[]), "control_total");
        let expected: Vec<_> = said.iter().map(|said| format!("warning control_total 2026-01-20: {said}")).collect();
        assert_eq!(found, expected, "{totals:?}");
    }
}

#[test]
fn contact_checks_fire_on_what_they_are_for() {
    let rows: Vec<_> = (0..10).map(|id| contact(&id.to_string(), Some("lead"), "2026-01-19T12:00:00Z")).collect();
    let scene = contacts(&rows);
    let (compute, published) = scene.compute().unwrap();
    let broken = |update: &str| {
        compute.compute().unwrap();
        compute.connection().execute_batch(&format!("update mart set {update}")).unwrap();
        let findings = audit(&compute, &[]).unwrap();
        assert!(findings.iter().all(|finding| finding.period == Some(day("2026-01-20"))));
        findings.into_iter().map(|finding| finding.rule).collect::<Vec<_>>()
    };
    assert_eq!(broken("leads = 9"), ["parts_and_total"]);
    assert_eq!(broken("leads = 11, customers = -1"), ["parts_and_total"]);
    assert_eq!(broken("new_contacts_7d = 11"), ["new_and_total"]);
    assert_eq!(broken("new_contacts_30d = 9"), ["new_and_total"]);
    assert_eq!(broken("new_contacts_30d = 11"), ["new_and_total"]);
    assert_eq!(broken("leads = 11, total_contacts = 11"), ["counts"]);
    assert_eq!(scene.findings(&published), []);
    let fewer = contacts(&rows[..4]).findings(&published);
    assert_eq!(
        named(&fewer, "volume"),
        ["warning volume 2026-01-20: 4 contacts where 10 are published for 2026-01-20"]
    );
    // A handful moves by any share.
    let handful = |count: usize| contacts(&rows[..count]);
    for (published, rules) in [(4, &[][..]), (5, &["volume"])] {
        let published = handful(published).compute().unwrap().1;
        let found = handful(1).findings(&published);
        assert_eq!(found.iter().map(|finding| finding.rule.as_str()).collect::<Vec<_>>(), rules);
    }
    let stranger = contacts(&[contact("1", Some("77"), LONG_AGO), contact("2", Some("Lead"), LONG_AGO)]);
    assert_eq!(
        stranger.findings(&[]).iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["warning unknown_stage 2026-01-20: 1 contacts are in lifecycle stages that the account does not know: 77 (1)"]
    );
}

#[test]
fn earlier_days_are_restated_from_their_own_snapshots() {
    let mut scene = Scene::new("etl_hubspot_contacts", org(), "2026-01-19", "2026-01-20");
    let wanted = &scene.plan.wanted[0];
    assert_eq!(wanted.partitions, [Partition::Day(day("2026-01-20"))], "pulled");
    assert_eq!(wanted.staged, [Partition::Day(day("2026-01-19"))], "only from staging");
    let pulls = marts::compute::Pulls::snapshots(&scene.staging(), &scene.org, &scene.plan.wanted, None);
    let said = pulls.unwrap_err().to_string();
    assert!(said.starts_with("hubspot_contacts 2026-01-19 was never taken, and the source gives only the present"));
    for (date, count) in [("2026-01-19", 2), ("2026-01-20", 3)] {
        let rows: Vec<_> = (0..count).map(|id| contact(&id.to_string(), Some("lead"), LONG_AGO)).collect();
        let stage = [Row::default().text("stage_id", "lead")];
        scene.land(dataset("hubspot_contacts").unwrap(), Partition::Day(day(date)), &changed(&rows, date));
        scene.land(dataset("hubspot_lifecycle_stages").unwrap(), Partition::Day(day(date)), &stage);
    }
    let totals: Vec<_> = scene.mart().iter().map(|row| row["total_contacts"].clone()).collect();
    assert_eq!(totals, ["2", "3"]);
    assert_eq!(scene.rules(), []);
}

fn stage(pipeline: &str, id: &str, label: &str, is_closed: Option<bool>, probability: Option<&str>) -> Row {
    let mut row = Row::default()
        .text("pipeline_id", pipeline)
        .text("pipeline_label", if pipeline == "default" { "Sales" } else { "Renewals" })
        .flag("pipeline_is_archived", pipeline != "default")
        .text("stage_id", id)
        .text("stage_label", label)
        .flag("is_archived", false);
    if let Some(is_closed) = is_closed {
        row = row.flag("is_closed", is_closed);
    }
    if let Some(probability) = probability {
        row = row.amount("probability", probability);
    }
    row
}

/// Two pipelines with the same labels.
fn stages() -> Vec<Row> {
    vec![
        stage("default", "qualifiedtobuy", "Contract Sent", Some(false), Some("0.4")),
        stage("default", "closedwon", "Closed Won", Some(true), Some("1.0")),
        stage("default", "closedlost", "Closed Lost", Some(true), Some("0.0")),
        stage("9", "91", "Contract Sent", Some(false), Some("1.0")),
        stage("9", "92", "Closed Won", Some(true), Some("1.0")),
        stage("9", "93", "Closed \"not a fit\"", Some(true), Some("0.1")),
    ]
}

pub(super) fn deal(id: &str, stage: &str, amount: &str) -> Row {
    let mut row = Row::default().text("deal_id", id).at("created_at", LONG_AGO).flag("is_archived", false);
    row = row.text("pipeline_id", if stage.starts_with('9') { "9" } else { "default" });
    if !stage.is_empty() {
        row = row.text("stage_id", stage);
    }
    if amount.is_empty() { row } else { row.amount("amount", amount) }
}

fn deals_with(deals: &[Row], stages: &[Row]) -> Scene {
    let mut scene = Scene::new("etl_hubspot_deals", org(), "2026-01-20", "2026-01-20");
    let partition = Partition::Day(day("2026-01-20"));
    scene.land(dataset("hubspot_deals").unwrap(), partition, &changed(deals, "2026-01-20"));
    scene.land(dataset("hubspot_deal_stages").unwrap(), partition, stages);
    scene
}

pub(super) fn deals(rows: &[Row]) -> Scene {
    deals_with(rows, &stages())
}

fn by_stage(scene: &Scene) -> serde_json::Value {
    serde_json::from_str(&scene.mart()[0]["deals_by_stage"]).unwrap()
}

fn awkward_deals() -> Vec<Row> {
    vec![
        deal("1", "qualifiedtobuy", "100.005"),
        deal("2", "qualifiedtobuy", "0.005"),
        deal("3", "qualifiedtobuy", ""),
        deal("4", "closedwon", "10"),
        deal("5", "closedwon", "10.01"),
        deal("6", "92", "0.005"),
        deal("7", "closedlost", "-7.5"),
        deal("8", "93", "1.115"),
        // Open, however sure.
        deal("9", "91", "3"),
        // Deleted, and none.
        deal("10", "77001122", "4.44"),
        deal("11", "", "5"),
        // In another currency, converted and not.
        deal("12", "91", "1000").text("currency", "CAD").amount("home_amount", "730.123456789012345678"),
        deal("13", "91", "2000").text("currency", "CAD"),
        // Not there, or not yet.
        deal("14", "closedwon", "999").flag("is_archived", true),
        deal("15", "closedwon", "999").at("created_at", "2026-01-21T06:00:00Z"),
    ]
}

#[test]
fn open_won_and_lost_are_the_total_with_equal_labels_and_unknown_stages() {
    let scene = deals(&awkward_deals());
    let row = &scene.mart()[0];
    assert_row(
        row,
        &[
            ("snapshot_date", "2026-01-20"),
            ("total_deals", "13"),
            ("open_deals", "8"),
            ("won_deals", "3"),
            ("lost_deals", "2"),
            // 100.01 + 3 + 4.44 + 5 + 730.123… + 2000
            ("total_pipeline_value", "2842.57"),
            // 20.015, away from zero; over three: 6.67166…
            ("won_value", "20.02"),
            ("lost_value", "-6.39"),
            ("average_deal_size", "6.67"),
        ],
    );
    let entry = |label: serde_json::Value, pipeline: serde_json::Value, is_closed: bool, count: u32, value: &str| {
        let value: serde_json::Value = serde_json::from_str(value).unwrap();
        json!({ "label": label, "pipeline": pipeline, "is_closed": is_closed, "count": count, "value": value })
    };
    let expected = json!({
        "77001122": entry(json!(null), json!("Sales"), false, 1, "4.44"),
        "91": entry(json!("Contract Sent"), json!("Renewals"), false, 3, "2733.12"),
        "92": entry(json!("Closed Won"), json!("Renewals"), true, 1, "0.01"),
        "93": entry(json!("Closed \"not a fit\""), json!("Renewals"), true, 1, "1.12"),
        "closedlost": entry(json!("Closed Lost"), json!("Sales"), true, 1, "-7.50"),
        "closedwon": entry(json!("Closed Won"), json!("Sales"), true, 2, "20.01"),
        "qualifiedtobuy": entry(json!("Contract Sent"), json!("Sales"), false, 3, "100.01"),
        "unknown": entry(json!(null), json!(null), false, 1, "5.00"),
    });
    assert_eq!(by_stage(&scene), expected);
    assert!(row["deals_by_stage"].contains("\"value\": 5.00}"), "two decimals: {}", row["deals_by_stage"]);
    let findings: Vec<_> = scene.findings(&[]).iter().map(ToString::to_string).collect();
    let expected = [
        "warning foreign_amount 2026-01-20: 1 deals in CAD have no amount in USD and count with their own: 13",
        "warning unknown_stage 2026-01-20: 2 deals are in no stage that a pipeline has, and count as open",
    ];
    assert_eq!(findings, expected);
}

#[test]
fn two_pipelines_with_equal_labels_keep_their_stages_apart() {
    // "Contract Sent" and "Closed Won" are stages of both.
    let rows = [
        deal("1", "qualifiedtobuy", "1"),
        deal("2", "91", "2"),
        deal("3", "91", "4"),
        deal("4", "closedwon", "8"),
        deal("5", "92", "16"),
    ];
    let scene = deals(&rows);
    let expected = [
        ("total_deals", "5"),
        ("open_deals", "3"),
        ("won_deals", "2"),
        ("total_pipeline_value", "7.00"),
        ("won_value", "24.00"),
    ];
    assert_row(&scene.mart()[0], &expected);
    let stages = by_stage(&scene);
    let shown = |id: &str| {
        let stage = &stages[id];
        format!("{} {} {} {}", stage["label"], stage["pipeline"], stage["count"], stage["value"])
    };
    assert_eq!(shown("qualifiedtobuy"), "\"Contract Sent\" \"Sales\" 1 1.00");
    assert_eq!(shown("91"), "\"Contract Sent\" \"Renewals\" 2 6.00");
    assert_eq!(shown("closedwon"), "\"Closed Won\" \"Sales\" 1 8.00");
    assert_eq!(shown("92"), "\"Closed Won\" \"Renewals\" 1 16.00");
    assert_eq!(stages.as_object().unwrap().len(), 4);
    assert_eq!(scene.rules(), []);
}

#[test]
fn a_deal_in_a_stage_that_nobody_knows_is_open() {
    let scene = deals(&[deal("1", "77001122", "4.44"), deal("2", "", "5"), deal("3", "closedwon", "1")]);
    let expected = [
        ("total_deals", "3"),
        ("open_deals", "2"),
        ("won_deals", "1"),
        ("lost_deals", "0"),
        ("total_pipeline_value", "9.44"),
    ];
    assert_row(&scene.mart()[0], &expected);
    let stages = by_stage(&scene);
    assert_eq!([&stages["77001122"]["count"], &stages["unknown"]["count"]], [1, 1]);
    assert_eq!([&stages["77001122"]["label"], &stages["unknown"]["label"]], [&json!(null), &json!(null)]);
    assert_eq!(scene.rules(), [("unknown_stage".to_owned(), Some(day("2026-01-20")))]);
}

#[test]
fn a_deal_without_an_amount_counts_and_adds_nothing() {
    let scene = deals(&[
        deal("1", "qualifiedtobuy", ""),
        deal("2", "closedwon", ""),
        deal("3", "closedwon", "10.01"),
        deal("4", "closedlost", ""),
    ]);
    let expected = [
        ("total_deals", "4"),
        ("open_deals", "1"),
        ("won_deals", "2"),
        ("lost_deals", "1"),
        ("total_pipeline_value", "0.00"),
        ("won_value", "10.01"),
        ("lost_value", "0.00"),
        // Over both deals that were won: 5.005, away from zero.
        ("average_deal_size", "5.01"),
    ];
    assert_row(&scene.mart()[0], &expected);
    assert_eq!(scene.rules(), []);
}

#[test]
fn the_order_and_the_repetition_of_deals_do_not_matter() {
    let mut rows = awkward_deals();
    let before = deals(&rows).mart();
    rows.reverse();
    assert_eq!(deals(&rows).mart(), before);
    let twice: Vec<_> = rows.iter().chain(&rows).cloned().collect();
    let scene = deals(&twice);
    assert_eq!(scene.mart(), before);
    assert_eq!(named(&scene.findings(&[]), "listed_twice").len(), 1);
    let mut reversed = stages();
    reversed.reverse();
    assert_eq!(deals_with(&rows, &reversed).mart(), before);
    // Moved while it was listed: the later state counts.
    let moved = [
        deal("1", "closedwon", "10").at("modified_at", "2026-01-20T10:00:01Z"),
        deal("1", "qualifiedtobuy", "10").at("modified_at", "2026-01-20T10:00:00Z"),
    ];
    assert_row(&deals(&moved).mart()[0], &[("won_deals", "1"), ("open_deals", "0"), ("total_deals", "1")]);
}

#[test]
fn the_average_is_the_exact_sum_divided_once() {
    let average = |amounts: &[&str]| {
        let rows: Vec<_> =
            amounts.iter().zip(1..).map(|(amount, id)| deal(&id.to_string(), "closedwon", amount)).collect();
        let row = deals(&rows).mart().swap_remove(0);
        (row["won_value"].clone(), row["average_deal_size"].clone())
    };
    let expected = |value: &str, average: &str| (value.to_owned(), average.to_owned());
    assert_eq!(average(&[]), expected("0.00", "0.00"));
    assert_eq!(average(&["0.05", ""]), expected("0.05", "0.03"));
    assert_eq!(average(&["-0.05", "0"]), expected("-0.05", "-0.03"));
    assert_eq!(average(&["10", "10", "10.01"]), expected("30.01", "10.00"));
    // Not 0.015, whatever ten decimals say; and the rounded sum over two would be 0.02.
    assert_eq!(average(&["0.014999999999999999"]), expected("0.01", "0.01"));
    assert_eq!(average(&["0.014999999999999999", "0.014999999999999999"]), expected("0.03", "0.01"));
    assert_eq!(average(&["12345678901234.55", "0.01"]), expected("12345678901234.56", "6172839450617.28"));
    assert_eq!(average(&["99999999999999.99"]), expected("99999999999999.99", "99999999999999.99"));
}

#[test]
fn an_account_without_deals_has_zeros() {
    let scene = deals(&[]);
    let expected =
        [("total_deals", "0"), ("won_value", "0.00"), ("average_deal_size", "0.00"), ("deals_by_stage", "{}")];
    assert_row(&scene.mart()[0], &expected);
    assert_eq!(scene.rules(), []);
}

#[test]
fn stages_that_say_too_little_or_too_much_are_reported() {
    let mut known = stages();
    known.push(stage("default", "mystery", "Mystery", None, Some("1.0")));
    known.push(stage("default", "shut", "Shut", Some(true), None));
    let scene = deals_with(&[deal("1", "Mystery", "1"), deal("2", "shut", "2")], &known);
    assert_row(&scene.mart()[0], &[("open_deals", "1"), ("lost_deals", "1")]);
    assert_eq!(by_stage(&scene)["mystery"]["count"], 1, "ids are compared without regard to case");
    assert_eq!(
        scene.findings(&[]).iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "warning stage_without_flags 2026-01-20: stage mystery does not say whether it is closed, and its deals \
             count as open",
            "warning stage_without_flags 2026-01-20: stage shut is closed without a probability, and its deals count \
             as lost",
        ]
    );
    // One id in two pipelines: the night is held, and nothing is counted twice.
    let mut twice = stages();
    twice.push(stage("9", "closedwon", "Lost", Some(true), Some("0")));
    let scene = deals_with(&[deal("1", "closedwon", "1")], &twice);
    assert_row(&scene.mart()[0], &[("total_deals", "1"), ("won_deals", "0"), ("lost_deals", "1")]);
    let findings = scene.findings(&[]);
    assert_eq!(
        findings[0].to_string(),
        "error stage_twice 2026-01-20: the stage id closedwon is used by the pipelines 9, default"
    );
}

/// What a snapshot of so many deals in stages of no pipeline, without a stage, and in one that is known comes to.
fn strays(lost: usize, unplaced: usize, known: usize) -> Vec<String> {
    let stages = [("77001122", lost), ("", unplaced), ("closedwon", known)];
    let stages = stages.iter().flat_map(|(stage, count)| std::iter::repeat_n(*stage, *count));
    let rows: Vec<_> = stages.zip(1..).map(|(stage, id)| deal(&id.to_string(), stage, "1")).collect();
    deals(&rows).findings(&[]).iter().map(ToString::to_string).collect()
}

#[test]
fn a_pipeline_that_did_not_come_holds_the_night_and_single_strays_do_not() {
    let warning = |count| {
        format!(
            "warning unknown_stage 2026-01-20: {count} deals are in no stage that a pipeline has, and count as open"
        )
    };
    // A fifth of those that name a stage, and a handful.
    assert_eq!(strays(5, 0, 20), [warning(5)]);
    assert_eq!(strays(4, 0, 0), [warning(4)]);
    assert_eq!(
        strays(5, 0, 19),
        [
            "error unknown_stage 2026-01-20: 5 of 24 deals name a stage that no pipeline has, and would count as open: a \
          pipeline is missing"
        ]
    );
    // Deals that name no stage say nothing about pipelines.
    assert_eq!(strays(0, 30, 1), [warning(30)]);
    assert_eq!(strays(5, 5, 20), [warning(10)]);
}

#[test]
fn a_stage_that_is_called_unknown_is_not_mixed_with_no_stage() {
    let mut known = stages();
    known.push(stage("default", "unknown", "Not yet", Some(false), Some("0.1")));
    let found = |rows: &[Row]| -> Vec<String> {
        deals_with(rows, &known).findings(&[]).iter().map(ToString::to_string).collect()
    };
    assert_eq!(found(&[deal("1", "unknown", "1"), deal("2", "closedwon", "1")]), <[&str; 0]>::default());
    assert_eq!(
        found(&[deal("1", "Unknown", "1"), deal("2", "", "1"), deal("3", "", "1")]),
        [
            "error stage_twice 2026-01-20: the key unknown of deals_by_stage stands for 2 deals without a stage and \
             for 1 in the stage of that id",
            "warning unknown_stage 2026-01-20: 2 deals are in no stage that a pipeline has, and count as open",
        ]
    );
}

#[test]
fn deal_checks_fire_on_what_they_are_for() {
    let rows: Vec<_> = (0..10).map(|id| deal(&id.to_string(), "closedwon", "10")).collect();
    let scene = deals(&rows);
    let (compute, published) = scene.compute().unwrap();
    let broken = |update: &str| {
        compute.compute().unwrap();
        compute.connection().execute_batch(&format!("update mart set {update}")).unwrap();
        let findings = audit(&compute, &[]).unwrap();
        assert!(findings.iter().all(|finding| finding.period == Some(day("2026-01-20"))));
        findings.into_iter().map(|finding| finding.rule).collect::<Vec<_>>()
    };
    assert_eq!(broken("open_deals = 1"), ["outcomes_and_total"]);
    assert_eq!(broken("open_deals = 1, total_deals = 11"), ["counts", "stages_and_total"]);
    assert_eq!(broken("open_deals = 1, lost_deals = -1"), ["outcomes_and_total", "stages_and_total"]);
    assert_eq!(broken("average_deal_size = 10.02"), ["average_deal_size"]);
    assert_eq!(broken("lost_value = 0.05"), ["stages_and_total"]);
    assert_eq!(broken("total_pipeline_value = 0.05"), ["stages_and_total"]);
    assert_eq!(broken("deals_by_stage = '{}'"), ["stages_and_total"]);
    assert_eq!(scene.findings(&published), []);
    let fewer = deals(&rows[..4]).findings(&published);
    assert_eq!(named(&fewer, "volume"), ["warning volume 2026-01-20: 4 deals where 10 are published for 2026-01-20"]);
    let handful = |count: usize| deals(&rows[..count]);
    for (published, rules) in [(4, &[][..]), (5, &["volume"])] {
        let published = handful(published).compute().unwrap().1;
        let found = handful(1).findings(&published);
        assert_eq!(found.iter().map(|finding| finding.rule.as_str()).collect::<Vec<_>>(), rules);
    }
    let mut scene = deals(&rows);
    with_totals(&mut scene, "hubspot_deals", "deal_id", [7, 8]);
    assert_eq!(
        named(&scene.findings(&[]), "control_total"),
        ["warning control_total 2026-01-20: 1 deals are listed where the search counts 7 to 8"]
    );
}

#[test]
fn contributions_name_the_staged_rows_behind_a_figure() {
    let scene = deals(&awkward_deals());
    let (compute, _) = scene.compute().unwrap();
    let found = rows(&compute.contributions().unwrap().batches);
    assert_eq!(found.len(), 13);
    let won: Vec<_> = found.iter().filter(|row| row["outcome"] == "won").map(|row| row["source_key"].clone()).collect();
    assert_eq!(won, ["4", "5", "6"]);
}
