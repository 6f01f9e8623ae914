//! mart_case_metrics on awkward rows, and its audit.

use std::collections::BTreeMap;

use marts::audit::audit;
use marts::compute::Pulls;
use marts::datasets::dataset;
use marts::periods::Partition;
use proptest::prelude::*;

use crate::compute::support::*;

/// A case of one kind, in one state and of one category, created on a day.
fn case(created: &str) -> Row {
    let row =
        Row::default().text("case_type", "Individual").text("workflow_status", "Open").text("category", "Coaching");
    if created.is_empty() { row } else { row.day("created_date", created) }
}

fn cases(count: usize, like: &Row) -> Vec<Row> {
    vec![like.clone(); count]
}

fn land(scene: &mut Scene, date: &str, rows: &[Row]) {
    let numbered: Vec<Row> = rows.iter().zip(1..).map(|(row, number)| row.clone().int("row_no", number)).collect();
    let partition = Partition::Day(day(date));
    scene.land(dataset("cases_summary").unwrap(), partition, &numbered);
    let column = |name: &str, is_known| {
        let row = Row::default().text("column_name", name).text("data_type", "varchar");
        row.flag("is_read", is_known).flag("is_known", is_known)
    };
    scene.land(dataset("cases_columns").unwrap(), partition, &[column("Case Type", true)]);
}

fn scene_with(min_group_size: u32, date: &str, rows: &[Row]) -> Scene {
    let mut org = case_org();
    org.cases.as_mut().unwrap().min_group_size = min_group_size;
    let mut scene = Scene::new("etl_case_metrics", org, date, date);
    land(&mut scene, date, rows);
    scene
}

fn scene(rows: &[Row]) -> Scene {
    scene_with(5, "2026-01-20", rows)
}

fn only(scene: &Scene) -> BTreeMap<String, String> {
    let mut mart = scene.mart();
    assert_eq!(mart.len(), 1);
    mart.remove(0)
}

fn counts(scene: &Scene) -> [String; 3] {
    let row = only(scene);
    ["total_cases", "new_cases_30d", "closed_cases_30d"].map(|name| row[name].clone())
}

#[test]
fn the_window_is_thirty_local_days_that_end_with_the_day() {
    let created = |date: &str| case(date);
    let closed = |date: &str| case("2025-01-01").day("closed_date", date);
    // Today is in, 29 days ago is in, 30 days ago is out.
    for (date, new) in [("2026-01-20", "1"), ("2025-12-22", "1"), ("2025-12-21", "0"), ("2020-02-29", "0")] {
        assert_eq!(counts(&scene(&[created(date)])), ["1", new, "0"], "created {date}");
        assert_eq!(counts(&scene(&[closed(date)])), ["1", "0", new], "closed {date}");
    }
    // Closed tomorrow is open today; a case of tomorrow is not there yet, not even if it was closed in the window.
    assert_eq!(counts(&scene(&[closed("2026-01-21")])), ["1", "0", "0"]);
    let later = [case("2026-01-21"), case("2026-01-21").day("closed_date", "2026-01-10"), case("2026-01-19")];
    assert_eq!(counts(&scene(&later)), ["1", "1", "0"]);
    // Without a day of creation a case is there, and new on no day. Never closed is never closed.
    assert_eq!(counts(&scene(&[case(""), case("").day("closed_date", "2026-01-20")])), ["2", "0", "1"]);
    // Closed before it was created: both days stand.
    assert_eq!(counts(&scene(&[case("2026-01-10").day("closed_date", "2026-01-07")])), ["1", "1", "1"]);
    // A leap day takes one of the thirty.
    let leap = |date: &str| counts(&scene_with(5, "2024-03-01", &[case(date)]))[1].clone();
    assert_eq!((leap("2024-02-01"), leap("2024-01-31"), leap("2024-02-29")), ("1".into(), "0".into(), "1".into()));
}

#[test]
fn a_case_that_was_never_closed_is_closed_on_no_day() {
    let (open, closed) = (case("2026-01-10"), case("2026-01-10").day("closed_date", "2026-01-20"));
    assert_eq!(counts(&scene(&[open.clone().null("closed_date")])), ["1", "1", "0"]);
    assert_eq!(counts(&scene(&[open.clone(), closed, open])), ["3", "3", "1"]);
    // However old, and whatever its status says.
    let old = case("2019-02-28").text("workflow_status", "Closed");
    assert_eq!(counts(&scene(&[old])), ["1", "0", "0"]);
}

#[test]
fn spellings_of_a_label_are_one_label() {
    let status = |text: &str| case("2026-01-10").text("workflow_status", text);
    let row = only(&scene(&[
        status("Open"),
        status("Open"),
        status("open "),
        status("OPEN"),
        status(" oPEN"),
        status("In  Progress"),
        status("in progress"),
        status("in\tprogress"),
        status("In\u{a0}Progress"),
        status("in \u{2003} progress"),
        status("ÄRZTLICH"),
        status("Ärztlich"),
        status("Open."),
    ]));
    // Of equally common spellings the first: capitals come before small letters.
    assert_eq!(row["cases_by_status"], r#"{"Open": 5, "Open.": 1, "in progress": 5, "ÄRZTLICH": 2}"#);
}

#[test]
fn a_label_is_spelt_as_most_cases_spell_it_inside_the_window_or_not() {
    let rows = [
        case("2026-01-10").text("case_type", "couple"),
        case("2025-01-10").text("case_type", "Couple"),
        case("2025-01-11").text("case_type", "Couple"),
    ];
    assert_eq!(only(&scene(&rows))["cases_by_type"], r#"{"Couple": 1}"#);
}

#[test]
fn unknown_comes_once_however_it_is_unknown() {
    let kind = |text: &str| case("2026-01-10").text("case_type", text);
    let rows = [
        case("2026-01-10").null("case_type"),
        kind("Unknown"),
        kind("unknown "),
        kind("UNKNOWN"),
        kind("  "),
        kind(""),
        kind("\u{a0}"),
        kind("Unknown person"),
    ];
    assert_eq!(only(&scene(&rows))["cases_by_type"], r#"{"Unknown": 7, "Unknown person": 1}"#);
}

#[test]
fn types_and_categories_are_of_the_window_and_statuses_of_all() {
    let mut rows = cases(6, &case("2025-06-01").text("workflow_status", "Closed"));
    rows.extend(cases(7, &case("2026-01-02").text("category", "Legal")));
    let row = only(&scene(&rows));
    assert_row(
        &row,
        &[
            ("total_cases", "13"),
            ("new_cases_30d", "7"),
            ("cases_by_type", r#"{"Individual": 7}"#),
            ("cases_by_status", r#"{"Closed": 6, "Open": 7}"#),
            ("cases_by_category", r#"{"Legal": 7}"#),
        ],
    );
    // No new case at all: empty, and no error.
    let row = only(&scene(&cases(3, &case("2025-06-01"))));
    assert_row(&row, &[("cases_by_type", "{}"), ("cases_by_category", "{}"), ("cases_by_status", r#"{"Open": 3}"#)]);
}

#[test]
fn small_groups_are_merged_in_the_category_breakdown_only() {
    let category = |text: &str, count| cases(count, &case("2026-01-18").text("category", text).text("case_type", text));
    let mut rows =
        [category("Coaching", 5), category("legal", 3), category("Legal ", 2), category("Grief", 4)].concat();
    rows.extend(cases(1, &case("2026-01-18").null("category").null("case_type")));
    // Old cases do not make a small group large.
    rows.extend(cases(9, &case("2025-01-02").text("category", "Grief")));
    let row = only(&scene(&rows));
    assert_eq!(row["cases_by_category"], r#"{"Coaching": 5, "Other (small groups)": 5, "legal": 5}"#);
    assert_eq!(row["cases_by_type"], r#"{"Coaching": 5, "Grief": 4, "Unknown": 1, "legal": 5}"#);
    assert_eq!(scene(&rows).rules(), []);

    let row = only(&scene_with(1, "2026-01-20", &rows));
    assert_eq!(row["cases_by_category"], r#"{"Coaching": 5, "Grief": 4, "Unknown": 1, "legal": 5}"#);
    let row = only(&scene_with(6, "2026-01-20", &rows));
    assert_eq!(row["cases_by_category"], r#"{"Other (small groups)": 15}"#);
}

#[test]
fn labels_are_data_and_nothing_else() {
    let labels = [r#"a "quoted" \ label"#, "it's", "{\"x\": 1}", "Other (small groups)", "--", "null"];
    let rows: Vec<Row> = labels.iter().flat_map(|text| cases(5, &case("2026-01-18").text("category", text))).collect();
    let row = only(&scene(&rows));
    let parsed: BTreeMap<String, u64> = serde_json::from_str(&row["cases_by_category"]).unwrap();
    assert_eq!(parsed, labels.iter().map(|label| ((*label).to_owned(), 5)).collect());
    assert_eq!(scene(&rows).rules(), []);
}

fn shuffled() -> impl Strategy<Value = (Vec<Row>, Vec<Row>)> {
    let label =
        prop::sample::select(vec!["Open", "open", " OPEN ", "", "unknown", "In Progress", "in  progress", "Closed"]);
    let date = prop::sample::select(vec!["", "2025-06-01", "2025-12-21", "2025-12-22", "2026-01-20", "2026-01-21"]);
    let row = (date.clone(), date, label.clone(), label.clone(), label).prop_map(
        |(created, closed, kind, status, category)| {
            let row = case(created).text("case_type", kind).text("workflow_status", status).text("category", category);
            if closed.is_empty() { row } else { row.day("closed_date", closed) }
        },
    );
    let rows = prop::collection::vec(row, 1..40).prop_map(|mut rows| {
        rows.push(case("2026-01-20"));
        rows
    });
    rows.prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn the_order_of_rows_does_not_matter_and_the_audit_agrees((rows, others) in shuffled()) {
        let one = scene(&rows);
        prop_assert_eq!(one.mart(), scene(&others).mart());
        let errors: Vec<_> = one.findings(&[]).into_iter().filter(|found| found.to_string().starts_with("error")).collect();
        prop_assert_eq!(errors, []);
    }
}

#[test]
fn a_snapshot_taken_twice_counts_once_and_the_later_stands() {
    let mut scene = scene(&cases(3, &case("2026-01-02")));
    let once = scene.mart();
    land(&mut scene, "2026-01-20", &cases(3, &case("2026-01-02")));
    assert_eq!(scene.mart(), once);
    land(&mut scene, "2026-01-20", &cases(2, &case("2026-01-02")));
    assert_eq!(counts(&scene)[0], "2");
}

#[test]
fn each_day_is_counted_from_its_own_snapshot() {
    let mut scene = Scene::new("etl_case_metrics", case_org(), "2026-01-18", "2026-01-20");
    land(&mut scene, "2026-01-18", &cases(2, &case("2025-12-20").text("workflow_status", "open")));
    land(&mut scene, "2026-01-20", &cases(3, &case("2025-12-20").text("workflow_status", "OPEN")));
    let pulls = |scene: &Scene| Pulls::winners(&scene.staging(), &scene.org, &scene.plan.wanted, None);
    let missing = pulls(&scene).unwrap_err().to_string();
    assert!(missing.contains("cases_summary 2026-01-19 was never taken"), "{missing}");
    assert!(format!("{:#}", scene.compute().err().unwrap()).contains("2026-01-19 has no row"));
    land(&mut scene, "2026-01-19", &cases(5, &case("2026-01-20")));
    land(&mut scene, "2026-01-19", &[cases(5, &case("2026-01-20")), cases(1, &case("2025-12-21"))].concat());
    let mart = scene.mart();
    let shown: Vec<_> = mart
        .iter()
        .map(|row| {
            format!(
                "{} {} {} {}",
                row["snapshot_date"], row["total_cases"], row["new_cases_30d"], row["cases_by_status"]
            )
        })
        .collect();
    assert_eq!(
        shown,
        [r#"2026-01-18 2 2 {"open": 2}"#, r#"2026-01-19 1 1 {"Open": 1}"#, r#"2026-01-20 3 0 {"OPEN": 3}"#]
    );
    assert!(pulls(&scene).is_ok());
}

#[test]
fn contributions_name_the_staged_rows_behind_a_figure() {
    let scene = scene(&[case("2026-01-10"), case("2026-02-10"), case("2025-01-10")]);
    let (compute, _) = scene.compute().unwrap();
    let contributions = rows(&compute.contributions().unwrap().batches);
    let keys: Vec<_> = contributions.iter().map(|row| (row["source_key"].as_str(), row["is_new"].as_str())).collect();
    assert_eq!(keys, [("1", "true"), ("3", "false")]);
}

#[test]
fn case_checks_fire_on_what_they_are_for() {
    let good = [cases(6, &case("2026-01-18")), cases(9, &case("2025-03-01").day("closed_date", "2026-01-02"))].concat();
    let good = scene(&good);
    assert_eq!(good.rules(), [], "a good day has no findings");
    let (compute, published) = good.compute().unwrap();
    assert_eq!(audit(&compute, &published).unwrap(), []);
    let broken = |update: &str| -> Vec<String> {
        compute.compute().unwrap();
        compute.connection().execute_batch(&format!("update mart set {update}")).unwrap();
        audit(&compute, &[]).unwrap().iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        broken(r#"cases_by_type = '{"Individual": 5}'"#),
        [
            "error parts_and_total 2026-01-20: of 15 cases and 6 new ones, types add up to 5, statuses to 15, categories to 6"
        ]
    );
    assert_eq!(broken("cases_by_status = '{}'").len(), 1);
    let small = broken(r#"cases_by_category = '{"Coaching": 5, "Jane Doe": 1}'"#);
    assert_eq!(small, ["error small_groups 2026-01-20: a category of 1 cases would show, and the settings want 5"]);
    assert_eq!(broken(r#"cases_by_category = '{"Other (small groups)": 1, "Coaching": 5}'"#), [] as [String; 0]);
    assert_eq!(
        broken("closed_cases_30d = 8"),
        ["error windows 2026-01-20: 15 cases, 6 new and 8 closed are not the staged 15, 6 and 9"]
    );
    let all = broken("closed_cases_30d = 16");
    assert!(all[0].starts_with("error counts 2026-01-20: of 15 cases 6 are new and 16 closed"), "{all:?}");
    assert!(broken("total_cases = -1").iter().any(|found| found.starts_with("error counts")));
    assert!(broken("new_cases_30d = 7").iter().any(|found| found.starts_with("error windows")));
}

#[test]
fn unusual_days_are_warnings() {
    let said = |scene: &Scene| -> Vec<String> { scene.findings(&[]).iter().map(ToString::to_string).collect() };
    let fresh = cases(6, &case("2026-01-18"));
    let reversed = [fresh.clone(), vec![case("2026-01-18").day("closed_date", "2026-01-15")]].concat();
    assert_eq!(
        said(&scene(&reversed)),
        [
            "warning closed_before_created 2026-01-20: 1 of 1 cases closed in the window were closed before they were created"
        ]
    );
    // Long ago it is history.
    let old = case("2025-01-18").day("closed_date", "2025-01-15");
    assert_eq!(said(&scene(&[fresh.clone(), vec![old]].concat())), [] as [String; 0]);

    let undated = [cases(98, &case("2026-01-18")), cases(2, &case(""))].concat();
    assert_eq!(
        said(&scene(&undated)),
        ["warning undated 2026-01-20: 2 of 100 cases have no usable day of creation, and are new on no day"]
    );
    assert_eq!(
        said(&scene(&undated[..99])),
        ["warning undated 2026-01-20: 1 of 99 cases have no usable day of creation, and are new on no day"]
    );
    assert_eq!(
        said(&scene(&[undated[..98].to_vec(), cases(3, &case("2026-01-18")), cases(1, &case(""))].concat())),
        [] as [String; 0]
    );

    assert_eq!(
        said(&scene(&cases(6, &case("2026-01-15")))),
        ["warning stale 2026-01-20: the newest case was created or closed on 2026-01-15"]
    );
    assert_eq!(said(&scene(&cases(6, &case("2025-01-15").day("closed_date", "2026-01-16")))), [] as [String; 0]);
    assert!(
        said(&scene(&cases(6, &case(""))))
            .contains(&"warning stale 2026-01-20: the newest case was created or closed on no day at all".to_owned())
    );

    let mut wider = scene(&fresh);
    let column = |name: &str, is_known| {
        let row = Row::default().text("column_name", name).text("data_type", "varchar");
        row.flag("is_read", false).flag("is_known", is_known)
    };
    let columns = [column("Home Address", false), column("Case Manager", true), column("Client Name", false)];
    wider.land(dataset("cases_columns").unwrap(), Partition::Day(day("2026-01-20")), &columns);
    assert_eq!(
        said(&wider),
        [
            "warning new_columns 2026-01-20: 2 columns of the table are not on the list and were not read: [Client Name], [Home Address]"
        ]
    );
}

#[test]
fn a_total_far_from_the_one_published_last_is_a_warning() {
    let published = |date: &str, count| scene_with(5, date, &cases(count, &case("2026-01-10"))).compute().unwrap().1;
    let said = |count, published: &[arrow::array::RecordBatch]| -> Vec<String> {
        let findings = scene(&cases(count, &case("2026-01-18"))).findings(published);
        // That two days have no row is another question.
        findings.iter().filter(|finding| finding.rule != "gap").map(ToString::to_string).collect()
    };
    // Whichever day was published last, as far as it is not after this one.
    let before =
        [published("2026-01-11", 1_000), published("2026-01-17", 100), published("2026-01-22", 5_000)].concat();
    assert_eq!(said(49, &before), ["warning volume 2026-01-20: 49 cases where 100 are published for 2026-01-17"]);
    assert_eq!(said(151, &before), ["warning jump 2026-01-20: 151 cases where 100 are published for 2026-01-17"]);
    assert_eq!(said(50, &before), [] as [String; 0]);
    assert_eq!(said(150, &before), [] as [String; 0]);
    assert_eq!(said(150, &[]), [] as [String; 0]);
}
