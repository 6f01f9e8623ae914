//! Whole nights through the binary.

use chrono::Days;
use marts::sandbox::business::services::{CaseBook, CaseOptions};
use marts::sandbox::cases;

use crate::night::stage::{Stage, as_of};

const CELLS: &str = "select to_json(mart_case_metrics) from mart_case_metrics order by snapshot_date";

/// The mart's rows as JSON: CSV would cut the breakdowns at their commas.
fn mart(stage: &Stage) -> Vec<serde_json::Value> {
    let (json, _) = stage.ends(&["postgres", "--json", CELLS], 0);
    let answer: serde_json::Value = serde_json::from_str(&json).unwrap();
    let rows = answer.as_array().unwrap().iter();
    rows.map(|row| serde_json::from_str(row["to_json"].as_str().unwrap()).unwrap()).collect()
}

/// What the mart must hold, from the generator's own objects.
fn expected(book: &CaseBook, date: chrono::NaiveDate, min_group_size: usize) -> serde_json::Value {
    let figures = book.figures(date, min_group_size);
    serde_json::json!({
        "snapshot_date": date.to_string(),
        "total_cases": figures.total,
        "new_cases_30d": figures.new,
        "closed_cases_30d": figures.closed,
        "cases_by_type": figures.by_type,
        "cases_by_status": figures.by_status,
        "cases_by_category": figures.by_category,
        "source_system": "azure_sql",
        "source_table": "Case_Data_Summary_NOPHI",
    })
}

fn assert_row(row: &serde_json::Value, expected: &serde_json::Value) {
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&row[name], value, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cell_of_the_night_is_what_the_book_says() {
    let stage = Stage::start().await;
    stage.night(&["etl_case_metrics"], 0);
    let book = &stage.world.case_book;
    let found = mart(&stage);
    assert_eq!(found.len(), 1);
    assert_row(&found[0], &expected(book, as_of(), 5));
    let figures = book.figures(as_of(), 5);
    assert!(figures.total > 3_000 && figures.new > 100 && figures.closed > 100, "{figures:?}");
    assert!(figures.by_category.contains_key("Other (small groups)"), "{figures:?}");
    assert!(figures.by_type.contains_key("Unknown"), "{figures:?}");

    // Again: nothing moves. From staging: nobody is asked.
    let before = stage.rows("select id, updated_at from mart_case_metrics");
    stage.night(&["etl_case_metrics"], 0);
    let asked = stage.world.cases.statements().len();
    stage.night(&["etl_case_metrics", "--from-staging"], 0);
    assert_eq!(stage.world.cases.statements().len(), asked);
    assert_eq!(stage.rows("select id, updated_at from mart_case_metrics"), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_night_adds_a_row_and_leaves_the_first() {
    let stage = Stage::start().await;
    stage.night(&["etl_case_metrics"], 0);
    let first = mart(&stage).remove(0);
    let next = as_of() + Days::new(1);
    let options = CaseOptions { to: next, ..stage.world.case_book.options.clone() };
    let book = CaseBook::generate(options);
    stage.world.cases.set_database(cases::database(&book).unwrap());
    stage.turn_to(next);
    stage.ends(&["run", "etl_case_metrics", "--as-of", &next.to_string()], 0);
    let found = mart(&stage);
    assert_eq!(found[0], first, "to the last column");
    assert_row(&found[1], &expected(&book, next, 5));
    // A day that was never seen cannot be made up.
    let earlier = (as_of() - Days::new(1)).to_string();
    let range = ["run", "etl_case_metrics", "--from", &earlier, "--to", &earlier, "--as-of", &next.to_string()];
    let (table, _) = stage.ends(&range, 1);
    assert!(table.contains("cases_summary 2026-01-19 was never taken"), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_decide_the_category_and_the_size_of_a_group() {
    let stage = Stage::start().await;
    stage.reword("category_column = \"Solution\"", "category_column = \"Client Type\"\nmin_group_size = 12");
    stage.night(&["etl_case_metrics"], 0);
    let row = mart(&stage).remove(0);
    let groups: std::collections::BTreeSet<&String> = row["cases_by_category"].as_object().unwrap().keys().collect();
    assert_eq!(groups.into_iter().collect::<Vec<_>>(), ["Dependent", "Employee", "Spouse"]);
    stage.reword("Client Type", "Case Manager");
    let (_, error) = stage.ends(&["run", "etl_case_metrics"], 2);
    assert!(
        error.contains("\"Case Manager\" is no column that may be read as category; those are Solution"),
        "{error}"
    );
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planted_personal_value_stops_the_job_and_is_seen_nowhere() {
    let stage = Stage::start().await;
    stage.night(&["etl_case_metrics"], 0);
    let before = (mart(&stage), stage.staged());
    let planted = "Wilhelmina Tanqueray, w.tanqueray@example.org";
    let options = CaseOptions { planted: Some(("Solution", planted.into())), ..stage.world.case_book.options.clone() };
    stage.world.cases.set_database(cases::database(&CaseBook::generate(options)).unwrap());
    let mut said = Vec::new();
    let mut command = stage.command(&["-vv", "run", "etl_case_metrics", "--as-of", &as_of().to_string()]);
    command.env("RUST_LOG", "trace").env("RUST_BACKTRACE", "1");
    let output = tokio::task::block_in_place(|| command.output().unwrap());
    assert_eq!(output.status.code(), Some(1));
    said.push(String::from_utf8_lossy(&output.stdout).into_owned());
    said.push(String::from_utf8_lossy(&output.stderr).into_owned());
    assert!(
        said[0].contains("[Solution] holds what looks like an e-mail address, so nothing was landed"),
        "{}",
        said[0]
    );
    assert_eq!((mart(&stage), stage.staged()), before);
    said.push(stage.ends(&["postgres", "--format", "csv", "select * from etl_runs"], 0).0);
    said.push(stage.ends(&["runs", "--json"], 0).0);
    for text in &said {
        assert!(!text.contains("anqueray"), "{text}");
    }
    for path in crate::night::stage::files(stage.folder.path()) {
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(8).any(|window| window == b"anqueray"), "{}", path.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_comments_never_reach_the_landing_zone() {
    let stage = Stage::start().await;
    stage.night(&["etl_case_metrics"], 0);
    let book = &stage.world.case_book;
    assert!(book.cases.iter().any(|case| case.comment.is_some()), "there are comments to find");
    let (rows, _) = stage.ends(&["query", "--format", "csv", "select * from cases_summary"], 0);
    assert!(rows.lines().count() > 3_000);
    for name in ["Quillfeather", "Ashgrove", "Northgate", "jane.roe", "612-555"] {
        assert!(!rows.contains(name), "{name}");
        assert!(!stage.world.cases.statements().concat().contains(name));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_column_is_reported_and_the_night_goes_on() {
    let stage = Stage::start().await;
    let mut table = marts::sandbox::world::table("dbo", stage.world.case_book.table()).unwrap();
    table.columns[1].name = "Client Home Address".into();
    stage.world.cases.set_database(marts::sandbox::tds::Database::new("cases", vec![table]).unwrap());
    let (_, error) = stage.night(&["etl_case_metrics"], 0);
    assert!(error.contains("columns that are not on the list and are not read: [Client Home Address]"), "{error}");
    let run = stage.value("select run_id from etl_runs");
    let (shown, _) = stage.ends(&["show", &run], 0);
    assert!(
        shown.contains("1 columns of the table are not on the list and were not read: [Client Home Address]"),
        "{shown}"
    );
    assert_row(&mart(&stage)[0], &expected(&stage.world.case_book, as_of(), 5));
}
