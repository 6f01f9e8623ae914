//! Nights through the binary: every cell against the app's own events, and the acceptance checks of the job.

use std::collections::BTreeSet;

use chrono::{Days, NaiveDate};
use serde_json::Value;

use super::mart::expected;
use crate::night::stage::{Stage, as_of, day};

const JOB: &str = "etl_app_analytics";
/// The morning after the last day, when the last events of it are still on their way.
const SEEN_ON: &str = "2026-01-21";
const COLUMNS: &str = "metric_date, daily_active_users, weekly_active_users, monthly_active_users, new_users, \
    returning_users, total_sessions, avg_session_duration_secs, screens_per_session, ios_downloads, android_downloads, \
    top_screens, source_system";

/// The mart as JSON rows.
fn mart(stage: &Stage) -> Vec<Value> {
    let sql = format!("select {COLUMNS} from mart_app_analytics order by metric_date");
    let (json, _) = stage.ends(&["postgres", "--format", "json", &sql], 0);
    serde_json::from_str(&json).unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn assert_days(stage: &Stage, days: &[NaiveDate], missing: &BTreeSet<NaiveDate>) {
    let found = mart(stage);
    let dates: Vec<_> = found.iter().map(|row| text(&row["metric_date"])).collect();
    assert_eq!(dates, days.iter().map(ToString::to_string).collect::<Vec<_>>());
    for (row, date) in found.iter().zip(days) {
        for (name, value) in expected(*date, &stage.world.app.day(*date, day(SEEN_ON), missing, 30)) {
            if name == "top_screens" {
                let screens: Value = serde_json::from_str(&text(&row[name])).unwrap();
                assert_eq!(screens, serde_json::from_str::<Value>(&value).unwrap(), "{date}");
            } else {
                assert_eq!(text(&row[name]), value, "{name} of {date}");
            }
        }
        assert_eq!(row["source_system"], "bigquery_ga4");
    }
}

fn last_days(count: u64) -> Vec<NaiveDate> {
    (0..count).rev().map(|ago| as_of() - Days::new(ago)).collect()
}

fn queries(stage: &Stage) -> usize {
    let log = stage.world.bigquery.log();
    log.iter().filter(|logged| logged.request.method == "POST" && logged.request.path.ends_with("/queries")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cell_is_what_the_app_says_and_settled_days_are_not_pulled_again() {
    let stage = Stage::start().await;
    stage.night(&[JOB], 0);
    assert_days(&stage, &last_days(4), &BTreeSet::new());
    assert_eq!(queries(&stage), 2 * 33, "four days and the 29 before them");
    stage.world.bigquery.clear_log();
    let before = stage.rows("select * from mart_app_analytics order by id");
    stage.night(&[JOB], 0);
    assert_eq!(queries(&stage), 2 * 4, "the days restated, and no other");
    assert_eq!(stage.rows("select * from mart_app_analytics order by id"), before);
    stage.world.bigquery.clear_log();
    stage.night(&[JOB, "--from-staging"], 0);
    assert!(stage.world.bigquery.log().is_empty(), "nobody was asked");
    assert_eq!(stage.rows("select * from mart_app_analytics order by id"), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_whose_table_is_missing_has_no_row_and_the_next_night_fills_it() {
    let stage = Stage::start().await;
    let missing: BTreeSet<_> = [as_of(), as_of() - Days::new(10)].into();
    stage.world.bigquery.set_missing(missing.clone());
    let (table, _) = stage.night(&[JOB], 3);
    assert!(table.contains("error absent 2026-01-20: the source has no ga4_events of 2026-01-20"), "{table}");
    assert!(table.contains("missing_days"), "{table}");
    assert_days(&stage, &last_days(4)[..3], &missing);
    let state = "select status from etl_runs order by started_at desc limit 1";
    assert_eq!(stage.value(state), "partial", "so the scheduler asks once more");
    let (shown, _) = stage.ends(&["status"], 1);
    assert!(shown.contains("partial") && shown.contains("absent 2026-01-20"), "{shown}");
    let before = stage.rows("select * from mart_app_analytics order by id");
    stage.night(&[JOB, "--from-staging"], 3);
    assert_eq!(stage.rows("select * from mart_app_analytics order by id"), before, "absence is staged too");

    // They come in; the old one is asked for again, because it was absent.
    stage.world.bigquery.set_missing([]);
    stage.night(&[JOB], 0);
    assert_days(&stage, &last_days(4), &BTreeSet::new());

    // Gone again, the published row stands.
    stage.world.bigquery.set_missing([as_of()]);
    stage.night(&[JOB], 3);
    assert_eq!(mart(&stage).len(), 4);
    // A day before it may never come, and today's table cannot be there yet: these are no more than told.
    stage.world.bigquery.set_missing([as_of() - Days::new(1)]);
    stage.night(&[JOB], 0);
    let today = as_of() + Days::new(1);
    let (table, _) = stage.ends(&["run", JOB, "--as-of", &today.to_string()], 0);
    assert!(table.contains(&format!("warning absent {today}")), "{table}");
    // Without any of its days there is nothing to report, and that is no success.
    stage.world.bigquery.set_missing(last_days(4));
    let (table, _) = stage.night(&[JOB], 1);
    assert!(table.contains("the source has none of the days to report: 2026-01-17, 2026-01-18"), "{table}");
    assert_eq!(mart(&stage).len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_last_day_that_is_late_keeps_no_other_mart_waiting() {
    let stage = Stage::start().await;
    stage.reword("slug = \"vital\"", "slug = \"vital\"\npublish = \"all_or_nothing\"");
    stage.world.bigquery.set_missing([as_of()]);
    stage.night(&["--org", "vital"], 3);
    let ended = stage.rows("select status, count(*) from etl_runs group by status order by status");
    assert_eq!(ended, [["partial", "1"], ["success", "5"]]);
    assert_eq!(mart(&stage).len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_has_a_row_for_each_day_that_is_there() {
    let stage = Stage::start().await;
    let missing = BTreeSet::from([day("2025-12-25")]);
    stage.world.bigquery.set_missing(missing.clone());
    let (table, _) = stage.night(&[JOB, "--from", "2025-12-20", "--to", "2025-12-30"], 0);
    assert!(table.contains("absent 2025-12-25"), "{table}");
    let days: Vec<_> = day("2025-12-20").iter_days().take(11).filter(|date| !missing.contains(date)).collect();
    assert_days(&stage, &days, &missing);
}

/// The last days are read again every night, and their rows follow.
#[tokio::test(flavor = "multi_thread")]
async fn late_events_change_the_rows_of_the_days_before() {
    let stage = Stage::start().await;
    stage.night(&[JOB], 0);
    let before = mart(&stage);
    // Three days later the last of them have come.
    stage.turn_to(as_of() + Days::new(3));
    stage.night(&[JOB], 0);
    let after = mart(&stage);
    for (ago, (before, after)) in before.iter().rev().zip(after.iter().rev()).enumerate() {
        let date = as_of() - Days::new(ago as u64);
        let seen_on = as_of() + Days::new(4);
        for (name, value) in expected(date, &stage.world.app.day(date, seen_on, &BTreeSet::new(), 30)) {
            if name != "top_screens" {
                assert_eq!(text(&after[name]), value, "{name} of {date}");
            }
        }
        assert_eq!(before == after, ago == 3, "{date}: its events were late by up to three days");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn intraday_and_daily_tables_of_a_day_are_not_counted_twice() {
    let stage = Stage::start().await;
    stage.night(&[JOB], 0);
    // The twin of the last day is in the same dataset; the figures are those of the daily table alone.
    let log = stage.world.bigquery.log();
    assert!(!log.iter().any(|logged| String::from_utf8_lossy(&logged.request.body).contains("intraday")));
    assert_days(&stage, &last_days(4), &BTreeSet::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_fails_leaves_its_mart_and_fails_alone() {
    use marts::sandbox::http::{Fault, FaultPlan, Reply};
    let stage = Stage::start().await;
    stage.night(&[], 0);
    let before = stage.rows("select * from mart_app_analytics order by id");
    let staged = stage.staged();
    let limits = "tries = 2\nfirst_backoff_millis = 1\nmax_backoff_secs = 1\nhttp_timeout_secs = 2\n";
    stage.amend(&format!("[limits]\nhttp_concurrency = 1\n{limits}"));
    for fault in [Fault::reply(Reply::json(500, "{}")), Fault::CutBody(9), Fault::empty(), Fault::Stall] {
        stage.world.bigquery.set_faults(FaultPlan::new().on("POST */queries", 3.., fault));
        let (table, _) = stage.night(&[JOB], 1);
        assert!(table.contains("FAILED") && table.contains("pulling ga4_events 2026-01-"), "{table}");
        assert_eq!(stage.rows("select * from mart_app_analytics order by id"), before);
        // The first day was answered before the second failed.
        assert_eq!(stage.staged(), staged, "nothing of the days that went well is landed either");
    }
}
