//! What is published of a night in which a mart fails.

use marts::sandbox::tds::{Break, Fault, FaultPlan, SqlError, StatementFault};
use serde_json::Value;

use super::closed::{self, CLOSED_DAY, OPEN_DAY};
use super::stage::Stage;

const LIMITS: &str = "[limits]\ntries = 2\nfirst_backoff_millis = 1\nmax_backoff_secs = 1\n";

/// The dealer's fleet cannot be pulled; its sales can.
fn break_the_fleet(stage: &Stage) {
    let broken = StatementFault::AfterRows(20, Break::Error(SqlError::known(1205)));
    stage.world.softbase.set_faults(FaultPlan::one(Fault::statement("[Equipment]", broken).times(9)));
}

/// Status and error of each mart of a run, as its report has them.
fn ended(json: &str) -> Vec<(String, String, String)> {
    let last: Value = serde_json::from_str(json.lines().last().unwrap()).unwrap();
    let marts = last["report"]["marts"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    marts.map(|mart| (text(&mart["job"]), text(&mart["status"]), text(&mart["error"]))).collect()
}

const LEDGER: &str = "select job, status from etl_runs join organizations on organizations.id = org_id
    where slug = 'bennett' and run_id = (select run_id from etl_runs order by started_at desc limit 1) order by job";

#[tokio::test(flavor = "multi_thread")]
async fn an_organisation_publishes_what_passed_or_all_or_nothing_as_it_says() {
    let stage = Stage::start().await;
    stage.amend(LIMITS);
    stage.reword("fiscal_year_start_month = 11", "fiscal_year_start_month = 11\npublish = \"all_or_nothing\"");
    break_the_fleet(&stage);
    let (json, _) = stage.night(&["--json"], 3);
    let of = |ended: &[(String, String, String)], job: &str| ended.iter().find(|mart| mart.0 == job).cloned().unwrap();
    let all = ended(&json);
    let (_, status, error) = of(&all, "etl_sales_daily");
    assert_eq!(status, "skipped");
    assert_eq!(error, "not published, because etl_rental_fleet/bennett failed, and bennett publishes all or nothing");
    assert_eq!(of(&all, "etl_rental_fleet").1, "failed");
    assert_eq!(of(&all, "etl_zoom_metrics").1, "published", "the other organisation has its own policy");
    assert_eq!(stage.value("select count(*) from mart_sales_daily"), "0");
    assert_eq!(stage.rows(LEDGER), [["etl_rental_fleet", "failed"], ["etl_sales_daily", "skipped"]]);

    // The same by default: what passed is there for readers.
    stage.reword("publish = \"all_or_nothing\"", "publish = \"what_passed\"");
    break_the_fleet(&stage);
    stage.night(&[], 3);
    assert_eq!(stage.value("select count(*) from mart_sales_daily"), "45");
    assert_eq!(stage.rows(LEDGER), [["etl_rental_fleet", "failed"], ["etl_sales_daily", "success"]]);

    // When nothing is wrong, all or nothing is all.
    stage.world.softbase.set_faults(FaultPlan::default());
    stage.reword("publish = \"what_passed\"", "publish = \"all_or_nothing\"");
    stage.night(&["--org", "bennett"], 0);
    assert_eq!(stage.rows(LEDGER), [["etl_rental_fleet", "success"], ["etl_sales_daily", "success"]]);

    stage.reword("publish = \"all_or_nothing\"", "publish = \"some\"");
    let (_, error) = stage.night(&[], 2);
    assert!(error.contains("publish is \"what_passed\" or \"all_or_nothing\", not \"some\""), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_first_failure_nothing_more_is_begun_when_asked_so() {
    let stage = Stage::start().await;
    stage.amend(LIMITS);
    break_the_fleet(&stage);
    let (json, _) = stage.night(&["--json", "--fail-fast"], 3);
    let all = ended(&json);
    assert_eq!((all[0].0.as_str(), all[0].1.as_str()), ("etl_sales_daily", "published"));
    assert_eq!((all[1].0.as_str(), all[1].1.as_str()), ("etl_rental_fleet", "failed"));
    assert_eq!(all.len(), super::stage::MARTS);
    for (job, status, error) in &all[2..] {
        assert_eq!(status, "skipped", "{job}");
        assert_eq!(error, "not begun, because etl_rental_fleet/bennett failed (--fail-fast)");
    }
    assert!(stage.world.zoom.log().is_empty() && stage.world.hubspot.log().is_empty(), "nobody else was asked");
    let statuses = "select status, count(*) from etl_runs group by 1 order by 1";
    let skipped = (super::stage::MARTS - 2).to_string();
    assert_eq!(stage.rows(statuses), [["failed", "1"], ["skipped", &skipped], ["success", "1"]]);
    assert_eq!(
        stage.value(
            "select count(*) from etl_runs where status = 'skipped' and error like '%etl_rental_fleet/bennett failed%'"
        ),
        skipped
    );
    // Without a failure it is a night like any other.
    stage.world.softbase.set_faults(FaultPlan::default());
    stage.night(&["--fail-fast"], 0);
}

/// The dealer has published a night, has closed December, and posts to an invoice of December and to one of January. His sales
/// are held in part by that; his fleet is as it was.
async fn with_a_held_row(publish: &str) -> Stage {
    let stage = Stage::start().await;
    closed::close(&stage, &format!("closed_through = \"2025-12\"\npublish = \"{publish}\""));
    stage.night(&["--org", "bennett"], 0);
    closed::serve(&stage, |register| {
        closed::more_labour(register, CLOSED_DAY);
        closed::more_labour(register, OPEN_DAY);
    });
    stage
}

/// Rows of sales that are not as the first night published them.
const MOVED: &str = "select count(*) from mart_sales_daily where updated_at > created_at";

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_held_withholds_everything_where_all_or_nothing_is_published() {
    let stage = with_a_held_row("all_or_nothing").await;
    let all = ended(&stage.night(&["--json", "--org", "bennett"], 1).0);
    let reason = "not published, because etl_sales_daily/bennett is held, and bennett publishes all or nothing";
    let expected = [("etl_sales_daily", "held"), ("etl_rental_fleet", "skipped")];
    let found: Vec<_> = all.iter().map(|mart| (mart.0.as_str(), mart.1.as_str())).collect();
    assert_eq!(found, expected);
    assert!(all.iter().all(|mart| mart.2 == reason), "{all:?}");
    assert_eq!(stage.value(MOVED), "0", "the row that passed as little as the one that is held");
    assert_eq!(stage.rows(LEDGER), [["etl_rental_fleet", "skipped"], ["etl_sales_daily", "held"]]);
    // Accepted, the row is published, and the next night all of them.
    let run = stage.value("select max(run_id) from etl_runs");
    stage.ends(&["accept", &run, "--reason", "agreed with the auditor"], 0);
    assert_eq!(stage.value(MOVED), "1");
    stage.night(&["--org", "bennett"], 0);
    assert_eq!(stage.value(MOVED), "2");
    // Where what passed is published, the other row is.
    let stage = with_a_held_row("what_passed").await;
    stage.night(&["--org", "bennett"], 3);
    assert_eq!(stage.value(MOVED), "1");
    assert_eq!(stage.rows(LEDGER), [["etl_rental_fleet", "success"], ["etl_sales_daily", "partial"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mart_that_is_held_is_the_last_one_when_asked_so() {
    let stage = with_a_held_row("what_passed").await;
    let all = ended(&stage.night(&["--json", "--fail-fast"], 3).0);
    assert_eq!((all[0].0.as_str(), all[0].1.as_str()), ("etl_sales_daily", "partly_held"));
    assert_eq!(all.len(), super::stage::MARTS);
    for (job, status, error) in &all[1..] {
        assert_eq!(status, "skipped", "{job}");
        assert_eq!(error, "not begun, because etl_sales_daily/bennett is held (--fail-fast)");
    }
    assert!(stage.world.zoom.log().is_empty() && stage.world.hubspot.log().is_empty(), "nobody else was asked");
    assert_eq!(stage.value(MOVED), "1", "what passed of it is published");
}
