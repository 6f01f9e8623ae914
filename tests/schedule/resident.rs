//! `marts schedule` through the front door: it runs what is due, once, and stops as it is told.

use std::process::Command;
use std::time::Duration;

use chrono::{DateTime, Utc};
use marts::sandbox::http::{Fault, FaultPlan};

use super::process::Process;
use crate::night::stage::Stage;

/// A stage where the jobs of vital are due at 08:01 in Chicago, and those of bennett in the evening.
pub async fn stage() -> Stage {
    let stage = Stage::start().await;
    stage.reword("[org.softbase]\n", "[org.schedule]\nall = \"0 20 * * *\"\n\n[org.softbase]\n");
    stage.reword("[org.quickbooks]\n", "[org.schedule]\nall = \"1 8 * * *\"\n\n[org.quickbooks]\n");
    // So that what was due yesterday is not caught up.
    stage.amend("[schedule]\ncatch_up_hours = 1\ngrace_secs = 1\n");
    stage
}

/// The command, at a time of the stage's morning, in UTC.
pub fn at(stage: &Stage, time: &str, arguments: &[&str]) -> Command {
    let at: DateTime<Utc> = format!("2026-01-21T{time}Z").parse().unwrap();
    let mut command = stage.command(arguments);
    command.env("MARTS_CLOCK_SHIFT", (at - Utc::now()).num_seconds().to_string());
    command
}

const RUNS: &str = "select slug, job, status, count(*) from etl_runs join organizations on organizations.id = org_id
    group by 1, 2, 3 order by 1, 2, 3";

/// The jobs of vital, each with how it ended, once.
fn vitals(status: &str) -> Vec<Vec<String>> {
    let jobs = [
        "etl_app_analytics",
        "etl_case_metrics",
        "etl_hubspot_contacts",
        "etl_hubspot_deals",
        "etl_quickbooks_financial",
        "etl_zoom_metrics",
    ];
    jobs.iter().map(|job| ["vital", job, status, "1"].map(str::to_owned).to_vec()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_waits_for_the_time_runs_the_night_answers_and_stops() {
    let stage = stage().await;
    let mut process = Process::start(at(&stage, "14:00:57", &["schedule", "--listen", "0"]));
    let said = process.says("next: etl_quickbooks_financial of vital at 2026-01-21 08:01 CST").await;
    let address = said.lines().find_map(|line| line.strip_prefix("listening on http://127.0.0.1:")).unwrap();
    let port = address.split_once(':').unwrap().0.to_owned();
    let ask = async |path: &str| {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client.get(format!("http://127.0.0.1:{port}{path}")).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    assert_eq!(ask("/healthz").await, (200, "alive\n".to_owned()));
    let due: DateTime<Utc> = "2026-01-21T14:01:00Z".parse().unwrap();
    let labels = "org=\"vital\",job=\"etl_zoom_metrics\",mart=\"mart_zoom_metrics\"";
    let (_, before) = ask("/metrics").await;
    assert!(
        before.contains(&format!("marts_next_run_timestamp_seconds{{{labels}}} {}\n", due.timestamp())),
        "{before}"
    );
    assert!(!before.contains("marts_last_success"), "{before}");

    process.says("of 6 marts published").await;
    let said = process.says("next: etl_sales_daily of bennett at 2026-01-21 20:00 CST").await;
    assert!(said.contains("due since 2026-01-21 08:01 CST\n"), "{said}");
    assert_eq!(ask("/readyz").await.0, 200);
    let (_, after) = ask("/metrics").await;
    let has = |line: &str| assert!(after.lines().any(|told| told.starts_with(line)), "{line} is not in {after}");
    let whole = due.timestamp() / 100;
    has(&format!("marts_last_success_timestamp_seconds{{{labels}}} {whole}"));
    has(
        "marts_last_run_status{org=\"vital\",job=\"etl_zoom_metrics\",mart=\"mart_zoom_metrics\",status=\"success\"} 1",
    );
    has("marts_runs_total{org=\"vital\",job=\"etl_zoom_metrics\",status=\"success\"} 1");
    has(&format!("marts_last_run_rows{{{labels}}} 3"));
    has("marts_database_up 1");
    assert!(after.ends_with("# EOF\n"));
    assert_eq!(ask("/nothing").await.0, 404);

    process.signal("TERM");
    assert_eq!(process.ends().await.code(), Some(0), "{}", process.said());
    assert!(process.said().contains("stopped: nothing was under way"), "{}", process.said());
    assert_eq!(stage.rows(RUNS), vitals("success"));
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_stop_it_abandons_what_does_not_end_in_time_and_publishes_nothing_of_it() {
    let stage = stage().await;
    stage.reword("grace_secs = 1", "grace_secs = 1\nretry_minutes = 1");
    stage.amend("[limits]\ntries = 1\n");
    stage.world.hubspot.set_faults(FaultPlan::new().on("GET *", .., Fault::Stall));
    let mut process = Process::start(at(&stage, "14:02:00", &["schedule"]));
    process.says("computed etl_quickbooks_financial").await;
    process.signal("TERM");
    assert_eq!(process.ends().await.code(), Some(0), "{}", process.said());
    let said = process.said();
    assert!(said.contains("stopping when the run of vital has finished, in 1 s at most"), "{said}");
    let run = stage.value("select distinct run_id from etl_runs");
    let abandoned = format!("stopped: the run of vital was abandoned, and nothing of it was published: {run}");
    assert!(said.contains(&abandoned), "{said}");
    // The other sources were asked meanwhile, each as far as it came.
    let ended = "select distinct status, error from etl_runs";
    assert_eq!(stage.rows(ended), [["failed", "the scheduler was stopped before the run had ended"]]);
    let begun = "select job from etl_runs where job like any (array['%contacts', '%deals', '%financial']) order by job";
    assert_eq!(stage.rows(begun), [["etl_hubspot_contacts"], ["etl_quickbooks_financial"]]);
    assert_eq!(stage.value("select count(*) from mart_financial_metrics"), "0");

    // The next scheduler does not find it done; it waits as after any other failure, and then does it.
    stage.world.hubspot.set_faults(FaultPlan::new());
    // That late BigQuery's server takes this machine's clock for wrong, so that job may fail.
    let mut process = Process::start(at(&stage, "14:15:00", &["schedule", "--once"]));
    process.ends().await;
    let done =
        "select distinct job from etl_runs where status = 'success' and job like any (array['%contacts', '%financial'])
        order by job";
    assert_eq!(stage.rows(done), [["etl_hubspot_contacts"], ["etl_quickbooks_financial"]], "{}", process.said());
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_stop_it_lets_the_organisation_under_way_finish() {
    let stage = stage().await;
    stage.reword("grace_secs = 1", "grace_secs = 50");
    stage.world.hubspot.set_faults(FaultPlan::new().on("GET *", 1..=1, Fault::Delay(Duration::from_secs(1))));
    let mut process = Process::start(at(&stage, "14:02:00", &["schedule"]));
    process.says("computed etl_quickbooks_financial").await;
    process.signal("INT");
    assert_eq!(process.ends().await.code(), Some(0), "{}", process.said());
    let said = process.said();
    assert!(
        said.contains("6 of 6 marts published") && said.contains("stopped: the run of vital has finished"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_schedulers_run_a_night_once() {
    let stage = stage().await;
    let mut both = [0, 1].map(|_| Process::start(at(&stage, "14:02:00", &["schedule", "--once"])));
    let mut codes = Vec::new();
    for process in &mut both {
        codes.push(process.ends().await.code());
    }
    let said = both.each_ref().map(Process::said);
    if stage.is_embedded() {
        // Only one process has the embedded server; the other says so, or comes when it is done.
        assert!(codes.contains(&Some(0)), "{said:?}");
        let mut ends = codes.iter().zip(&said);
        // By a process, or by another one when that has not yet written down who it is.
        assert!(ends.all(|(code, said)| *code == Some(0) || said.contains("is in use by ")), "{said:?}");
    } else {
        assert_eq!(codes, [Some(0), Some(0)], "{said:?}");
    }
    assert_eq!(stage.rows(RUNS), vitals("success"));
    // Nor does one that comes later repeat it.
    let mut third = Process::start(at(&stage, "14:05:00", &["schedule", "--once"]));
    assert_eq!(third.ends().await.code(), Some(0));
    assert_eq!(stage.rows(RUNS), vitals("success"));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_schedulers_that_stay_run_a_night_once_and_both_stop_when_told() {
    let stage = stage().await;
    if stage.is_embedded() {
        // It takes one process at a time; what a second one does then is tried above.
        return;
    }
    // Both are there when the time comes; they have passed it when each waits for the evening.
    let mut both = [0, 1].map(|_| Process::start(at(&stage, "14:00:50", &["schedule"])));
    for process in &both {
        process.says("next: etl_sales_daily of bennett at 2026-01-21 20:00 CST").await;
    }
    let filled = both.iter().filter(|process| process.said().contains("6 of 6 marts published")).count();
    assert_eq!(filled, 1, "{:?}", both.each_ref().map(Process::said));
    assert_eq!(stage.rows(RUNS), vitals("success"));
    for process in &mut both {
        process.signal("TERM");
    }
    for process in &mut both {
        assert_eq!(process.ends().await.code(), Some(0), "{}", process.said());
        assert!(process.said().contains("stopped: nothing was under way"), "{}", process.said());
    }
    assert_eq!(stage.rows(RUNS), vitals("success"), "nor was anything repeated");
}

#[test]
fn a_port_alone_is_this_machines() {
    let read = |text: &str| marts::schedule::address(text).map(|address| address.to_string());
    for (text, expected) in [
        ("9187", "127.0.0.1:9187"),
        (":9187", "127.0.0.1:9187"),
        ("0.0.0.0:9187", "0.0.0.0:9187"),
        ("[::1]:9187", "[::1]:9187"),
    ] {
        assert_eq!(read(text).as_deref(), Ok(expected));
    }
    assert!(read("localhost").is_err() && read("65536").is_err());
}
