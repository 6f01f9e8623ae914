//! That `marts status` and the view `mart_freshness` say what the run ledger and the rows of the marts do, whatever has
//! happened to a night. What they should say is worked out here once more, from the tables.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use marts::jobs::JOBS;
use serde_json::Value;

use super::ground::Ground;

/// How a mart of an organisation stands, by what is compared: all as text, empty for what there is not.
type Standings = BTreeMap<(String, String), BTreeMap<&'static str, String>>;

const RUNS: &str = "select slug, mart, run_id, status, as_of, floor(extract(epoch from finished_at))::bigint
    from etl_runs join organizations on organizations.id = org_id where status <> 'skipped' order by started_at, run_id";

const VIEW: &str = "select org, mart, newest_period, as_of, floor(extract(epoch from last_success_at))::bigint,
    floor(extract(epoch from last_failure_at))::bigint, last_run, last_status from mart_freshness";

const TOLD: [&str; 6] = ["newest_period", "as_of", "last_success_at", "last_failure_at", "last_run", "state"];

/// Holds them against each other; `which` is the world whose configuration `marts status` reads.
pub async fn agrees_with_the_ledgers(ground: &Ground, which: usize, context: &str) {
    let answers = ground.ask(&[RUNS, &newest_periods(), VIEW]).await;
    let [runs, newest, view] = answers.as_slice() else { panic!("three answers") };
    let expected = from_the_tables(runs, newest);
    assert_eq!(from_the_view(view), expected, "{context}: mart_freshness against the tables");
    let output = ground.marts(which, &["--json", "status"]);
    let told: Vec<Value> = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{context}: {error}: {}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(from_status(&told), expected, "{context}: marts status against the tables");
    let is_well = told.iter().all(|standing| standing["state"] == "ok" || standing["state"] == "running");
    assert_eq!(output.status.code(), Some(i32::from(!is_well)), "{context}: the exit code of marts status");
}

/// The first day of the newest period of each organisation's marts.
fn newest_periods() -> String {
    let of_mart = |job: &marts::jobs::Job| {
        let first = match job.key {
            [day] => (*day).to_owned(),
            _ => "make_date(year, month, 1)".to_owned(),
        };
        format!(
            "select slug, '{mart}', max({first}) from {mart} join organizations on organizations.id = org_id group by 1",
            mart = job.mart
        )
    };
    JOBS.iter().map(of_mart).collect::<Vec<_>>().join(" union all ")
}

fn from_the_tables(runs: &[Vec<String>], newest: &[Vec<String>]) -> Standings {
    let mut standings = Standings::new();
    let none = || TOLD.map(|name| (name, String::new())).into();
    for row in newest {
        let [org, mart, period] = row.as_slice() else { panic!("{row:?}") };
        let standing = standings.entry((org.clone(), mart.clone())).or_insert_with(none);
        standing.insert("newest_period", period.clone());
    }
    // Oldest first, so that the last word is the newest run's.
    for row in runs {
        let [org, mart, run, status, as_of, finished] = row.as_slice() else { panic!("{row:?}") };
        let standing = standings.entry((org.clone(), mart.clone())).or_insert_with(none);
        let later = |name: &str| finished.clone().max(standing[name].clone());
        let (success, failure, day) =
            (later("last_success_at"), later("last_failure_at"), as_of.clone().max(standing["as_of"].clone()));
        if matches!(status.as_str(), "success" | "partial") {
            standing.insert("last_success_at", success);
            standing.insert("as_of", day);
        }
        if matches!(status.as_str(), "failed" | "held" | "partial") {
            standing.insert("last_failure_at", failure);
        }
        standing.insert("last_run", run.clone());
        standing.insert("state", state(status));
    }
    standings
}

/// As `marts status` has it: all runs of a trial are of the last hours, so that none is late.
fn state(status: &str) -> String {
    if status == "success" { "ok".to_owned() } else { status.to_owned() }
}

fn from_the_view(rows: &[Vec<String>]) -> Standings {
    let of_row = |row: &Vec<String>| {
        let mut cells: Vec<String> = row.iter().map(|cell| cell.replace('∅', "")).collect();
        let status = cells.pop().unwrap();
        cells.push(state(&status));
        let told = cells.split_off(2);
        ((cells[0].clone(), cells[1].clone()), TOLD.into_iter().zip(told).collect())
    };
    rows.iter().map(of_row).collect()
}

fn from_status(told: &[Value]) -> Standings {
    // A mart that has neither rows nor runs is one that the tables do not know.
    let known = told.iter().filter(|standing| standing["state"] != "never");
    let of_standing = |standing: &Value| {
        let text = |name: &str| standing[name].as_str().unwrap_or_default().to_owned();
        let value = |name: &'static str| match text(name).parse::<DateTime<Utc>>() {
            Ok(instant) => (name, instant.timestamp().to_string()),
            Err(_) => (name, text(name)),
        };
        ((text("org"), text("mart")), TOLD.map(value).into())
    };
    known.map(of_standing).collect()
}
