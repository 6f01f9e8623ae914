//! Verification as part of a night: a gate that holds what the source does not confirm, or a warning.

use marts::sandbox::http::{Fault, FaultPlan, Reply};

use super::stage::{Stage, as_of};
use super::verify::IMPATIENT;

/// Zoom's report by hosts of the last of the three days that a night restates says another number of participants.
fn one_participant_more(stage: &Stage) -> FaultPlan {
    let day = stage.world.zoom_account.meetings_of(as_of());
    let report = serde_json::json!({
        "from": "2026-01-20", "to": "2026-01-20", "total_meetings": day.meetings,
        "total_participants": day.participants + 1, "total_meeting_minutes": day.minutes,
    });
    FaultPlan::new().on("GET */report/users", 3..=3, Fault::reply(Reply::json(200, report.to_string())))
}

fn says(stage: &Stage, verify: &str) {
    stage.reword("name = \"A services company\"", &format!("name = \"A services company\"\nverify = \"{verify}\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_holds_the_row_about_which_the_source_says_otherwise_and_no_other() {
    let stage = Stage::start().await;
    stage.amend(IMPATIENT);
    says(&stage, "gate");
    stage.world.zoom.set_faults(one_participant_more(&stage));
    let (table, _) = stage.night(&["etl_zoom_metrics"], 3);
    let participants = stage.world.zoom_account.meetings_of(as_of()).participants;
    let said = format!("total_participants is {participants}, and the source says {}", participants + 1);
    assert!(table.contains("partly held") && table.contains(&said), "{table}");
    let days = stage.rows("select metric_date from mart_zoom_metrics order by 1");
    assert_eq!(days, [["2026-01-18"], ["2026-01-19"]]);
    let run = stage.value("select run_id from etl_runs");
    let kept = stage.rows(&format!(
        "select outcome, count(*) from etl_verifications where run_id = '{run}' and verification_id = run_id group by 1
        order by 1"
    ));
    // Three figures of the meetings of three days, and of the last day users, phone users and queues.
    assert_eq!(kept, [["differs", "1"], ["equal", "11"]]);
    // The source has come to its senses: the row is published.
    stage.world.zoom.set_faults(FaultPlan::new());
    stage.night(&["etl_zoom_metrics"], 0);
    assert_eq!(stage.value("select count(*) from mart_zoom_metrics"), "3");

    // No answer opens no gate.
    let silent = Fault::reply(Reply::json(503, "{}"));
    stage.world.quickbooks.set_faults(FaultPlan::new().on("GET */reports/BalanceSheet", 4.., silent));
    let (table, _) = stage.night(&["etl_quickbooks_financial"], 1);
    assert!(
        table.contains("held") && table.contains("total_assets could not be verified: asking BalanceSheet"),
        "{table}"
    );
    assert_eq!(stage.value("select count(*) from mart_financial_metrics"), "0");
    stage.world.quickbooks.set_faults(FaultPlan::new());
    stage.night(&["etl_quickbooks_financial"], 0);
    // What is computed again from what was pulled is not held against a present that has moved on.
    stage.world.quickbooks.set_faults(FaultPlan::new().on("GET *", .., Fault::reply(Reply::json(503, "{}"))));
    stage.night(&["etl_quickbooks_financial", "--from-staging"], 0);
    // A dry run asks, and keeps nothing.
    stage.world.quickbooks.set_faults(FaultPlan::new());
    let before = stage.value("select count(*) from etl_verifications");
    stage.night(&["etl_quickbooks_financial", "--dry-run"], 0);
    assert_eq!(stage.value("select count(*) from etl_verifications"), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warning_is_told_and_the_row_is_published() {
    let stage = Stage::start().await;
    says(&stage, "warn");
    stage.world.zoom.set_faults(one_participant_more(&stage));
    let (table, _) = stage.night(&["etl_zoom_metrics"], 0);
    assert!(table.contains("1 of 1 marts published"), "{table}");
    assert_eq!(stage.value("select count(*) from mart_zoom_metrics"), "3");
    let findings = stage.value(
        "select string_agg(concat_ws(' ', it ->> 'rule', it ->> 'holds', it ->> 'period'), ';') from etl_runs,
            jsonb_array_elements(detail -> 'findings') as found (it) where it ->> 'rule' = 'verify'",
    );
    assert_eq!(findings, "verify false 2026-01-20");
    let (_, said) = stage.ends(&["run", "--org", "bennett", "--as-of", "2026-01-20", "etl_sales_daily"], 0);
    assert_eq!(stage.value("select count(*) from etl_verifications where mart = 'mart_sales_daily'"), "0", "{said}");
    stage.reword("verify = \"warn\"", "verify = \"loudly\"");
    let (_, said) = stage.ends(&["run"], 2);
    assert!(said.contains("verify is \"off\", \"warn\" or \"gate\""), "{said}");
}
