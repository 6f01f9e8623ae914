//! Nights of mart_zoom_metrics: every cell against the generator's own objects, and the answers of job 4.

use std::fs;

use chrono::{Days, NaiveDate};
use marts::sandbox::http::{Fault, FaultPlan, Reply};
use marts::sandbox::zoom::error;
use serde_json::json;

use super::stage::{Stage, as_of, day};

const JOB: &str = "etl_zoom_metrics";
const MART: &str = "select metric_date, total_users, phone_users, total_meetings, total_meeting_minutes,
    total_participants, avg_meeting_duration_mins, total_calls, inbound_calls, outbound_calls, missed_calls,
    total_call_minutes, avg_call_duration_mins, queue_count, source_system
    from mart_zoom_metrics order by metric_date";

/// `numerator / denominator` with two places, half up; 0.00 of nothing.
fn average(numerator: i64, denominator: i64) -> String {
    if denominator == 0 {
        return "0.00".into();
    }
    let hundredths = (200 * numerator + denominator) / (2 * denominator);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// The mart's row of a day, by the company itself.
fn row(stage: &Stage, date: NaiveDate, was_counted: bool) -> Vec<String> {
    let account = &stage.world.zoom_account;
    let (calls, meetings) = (account.calls_of(date), account.meetings_of(date));
    let counted = |count: usize| if was_counted { count.to_string() } else { String::new() };
    let numbers = [
        meetings.meetings,
        meetings.minutes,
        meetings.participants,
        calls.inbound + calls.outbound,
        calls.inbound,
        calls.outbound,
        calls.missed,
        (2 * calls.seconds + 60) / 120,
    ]
    .map(|number| number.to_string());
    let mut row = vec![date.to_string(), counted(account.users_on(date)), counted(account.phone_users.len())];
    row.extend_from_slice(&numbers[..3]);
    row.push(average(meetings.minutes, meetings.meetings));
    row.extend_from_slice(&numbers[3..]);
    row.extend([average(calls.seconds, 60 * calls.connected), counted(account.queues.len()), "zoom".into()]);
    row
}

fn last_days(count: u64) -> impl Iterator<Item = NaiveDate> {
    (0..count).rev().map(|back| as_of() - Days::new(back))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cell_of_the_zoom_night_is_what_the_account_says() {
    let stage = Stage::start().await;
    stage.night(&[JOB], 0);
    let expected: Vec<_> = last_days(3).map(|date| row(&stage, date, date == as_of())).collect();
    assert_eq!(stage.rows(MART), expected);
    assert!(expected.iter().any(|row| row[10] != "0"), "there are missed calls");

    // A month of days, over the change of the year: the sum of the rows is the month's.
    stage.night(&[JOB, "--from", "2025-12-15", "--to", "2026-01-19"], 0);
    let days = day("2025-12-15").iter_days().take_while(|date| *date <= as_of());
    let expected: Vec<_> = days.map(|date| row(&stage, date, date == as_of())).collect();
    assert_eq!(stage.rows(MART), expected, "and what was counted on the last day is kept");
}

/// Facts of job 4: the sum over 30 rows is the total of 30 days.
#[tokio::test(flavor = "multi_thread")]
async fn the_sum_of_thirty_rows_is_the_total_of_thirty_days() {
    let stage = Stage::start().await;
    let first = as_of() - Days::new(29);
    stage.night(&[JOB, "--from", &first.to_string(), "--to", &as_of().to_string()], 0);
    let total = |of: fn(&marts::sandbox::business::zoom::Calls) -> i64| -> String {
        let days = first.iter_days().take(30).map(|date| of(&stage.world.zoom_account.calls_of(date)));
        days.sum::<i64>().to_string()
    };
    let sums =
        stage.rows("select count(*), sum(total_calls), sum(missed_calls), sum(inbound_calls) from mart_zoom_metrics");
    let expected =
        ["30".to_owned(), total(|day| day.inbound + day.outbound), total(|day| day.missed), total(|day| day.inbound)];
    assert_eq!(sums, [expected]);
    // And a window of exactly these days at the source has as many calls: none is counted on two days.
    let counts = "select count(distinct call_id), count(distinct leg_id), count(*) from zoom_call_legs";
    let (csv, _) = stage.ends(&["query", "--format", "csv", counts], 0);
    let [calls, legs, rows] = csv.lines().nth(1).unwrap().split(',').collect::<Vec<_>>()[..] else { panic!("{csv}") };
    assert_eq!(legs, rows);
    assert_eq!(calls, total(|day| day.inbound + day.outbound + day.others));
}

/// Facts of job 4: restating a day later keeps what was counted then.
#[tokio::test(flavor = "multi_thread")]
async fn the_next_night_keeps_yesterdays_counts() {
    let stage = Stage::start().await;
    let yesterday = as_of() - Days::new(1);
    // Yesterday's night, as it was: taken while that day was the last complete one.
    stage.night(&[JOB], 0);
    let counted = stage.rows(MART);
    // Counted again later under the same day, the present is not asked, and the figures stay.
    stage.night(&[JOB, "--from", &yesterday.to_string(), "--to", &as_of().to_string()], 0);
    assert_eq!(stage.rows(MART), counted);
    stage.world.zoom.clear_log();
    let before = yesterday - Days::new(1);
    stage.ends(&["run", JOB, "--as-of", &before.to_string()], 0);
    let lists = stage.world.zoom.log().into_iter().filter(|logged| logged.request.path == "/v2/users").count();
    assert_eq!(lists, 0, "of a day that has gone the present says nothing");
    let users = stage.rows("select total_users, queue_count from mart_zoom_metrics order by metric_date desc limit 3");
    let now = stage.world.zoom_account.users_on(as_of()).to_string();
    assert_eq!(users[0][0], now);
    assert_eq!(users[1..], [["", ""], ["", ""]]);
}

/// Facts of job 4: what fails is not zero. What the account does not have is null, and said.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_account_does_not_have_is_null_and_said_once() {
    let stage = Stage::start().await;
    let phone = "Zoom Phone has not been enabled for this account.";
    let reports = "This API is only available for paid accounts.";
    let plan = FaultPlan::new().on("GET */phone/*", .., Fault::reply(error(400, 2031, phone))).on(
        "GET */report/*",
        ..,
        Fault::reply(error(400, 200, reports)),
    );
    stage.world.zoom.set_faults(plan);
    let (table, _) = stage.night(&[JOB], 0);
    assert_eq!(table.matches("not_available").count(), 1, "{table}");
    for said in ["calls (Zoom says 2031)", "daily_report (Zoom says 200)", "phone_users (Zoom says 2031)"] {
        assert!(table.contains(said), "{table}");
    }
    let users = stage.world.zoom_account.users_on(as_of()).to_string();
    let expected: Vec<Vec<String>> = last_days(3)
        .map(|date| {
            let mut row = vec![String::new(); 15];
            row[0] = date.to_string();
            row[1] = if date == as_of() { users.clone() } else { String::new() };
            row[14] = "zoom".into();
            row
        })
        .collect();
    assert_eq!(stage.rows(MART), expected);

    // What is unknown is explained as such.
    stage.ends(&["explain", "mart_zoom_metrics", "--org", "vital"], 0);

    // A scope that is missing is no missing feature: the mart stays as it is.
    let lacking = "Invalid access token, does not contain scopes:[phone:read:list_call_logs:admin].";
    let plan = FaultPlan::new().on("GET */phone/call_history", .., Fault::reply(error(400, 4711, lacking)));
    stage.world.zoom.set_faults(plan);
    let (table, _) = stage.night(&[JOB], 1);
    assert!(table.contains("lacks the scope phone:read:list_call_logs:admin"), "{table}");
    assert_eq!(stage.rows(MART), expected);
}

/// So many inbound legs at noon of the day reported, as an answer to every question for calls.
fn noon(legs: usize, result: Option<&str>) -> FaultPlan {
    let leg = |number: usize| {
        let (id, start) = (number.to_string(), format!("{}T18:00:00Z", as_of()));
        json!({ "call_history_uuid": id, "direction": "inbound", "start_time": start, "call_result": result })
    };
    let page = json!({ "call_history": (0..legs).map(leg).collect::<Vec<_>>(), "total_records": legs });
    FaultPlan::new().on("GET */phone/call_history", .., Fault::reply(Reply::json(200, page.to_string())))
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_which_zoom_says_nothing_are_null_or_held() {
    let stage = Stage::start().await;
    let newest = || {
        stage.rows(
            "select total_calls, missed_calls, total_call_minutes, avg_call_duration_mins from mart_zoom_metrics
             order by metric_date desc limit 1",
        )
    };
    stage.world.zoom.set_faults(noon(4, Some("answered")));
    let (table, _) = stage.night(&[JOB], 0);
    assert!(table.contains("no_duration"), "{table}");
    assert_eq!(newest(), [["4", "0", "", ""]]);
    stage.ends(&["explain", "mart_zoom_metrics", "--org", "vital"], 0);
    // A member that is gone from every leg: that day keeps what is published, the others are restated.
    stage.world.zoom.set_faults(noon(6, None));
    let (table, _) = stage.night(&[JOB], 3);
    assert!(table.contains("none of 6 legs has a result"), "{table}");
    assert_eq!(newest(), [["4", "0", "", ""]]);
}

/// Facts of job 4: a sub-call that fails is a failed pull; nothing of the night is published or left staged.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sub_call_publishes_nothing() {
    let stage = Stage::start().await;
    stage.amend("[limits]\ntries = 2\nfirst_backoff_millis = 1\nmax_backoff_secs = 1\n");
    stage.night(&[JOB], 0);
    let (before, staged) = (stage.rows("select * from mart_zoom_metrics order by id"), stage.staged());
    for path in ["users", "phone/users", "phone/call_queues", "report/daily", "phone/call_history"] {
        let route = format!("GET */{path}");
        stage.world.zoom.set_faults(FaultPlan::new().on(&route, .., Fault::reply(error(500, 500, "x"))));
        let (table, _) = stage.night(&[JOB], 1);
        assert!(table.contains("500 Internal Server Error, gave up after 2 tries"), "{path}: {table}");
        assert_eq!(stage.rows("select * from mart_zoom_metrics order by id"), before, "{path}");
        assert_eq!(stage.staged(), staged, "{path}");
    }
}

/// The published examples through `--pages`, with figures read off them by hand.
#[tokio::test(flavor = "multi_thread")]
async fn published_examples_give_what_is_read_off_them() {
    let stage = Stage::start().await;
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/zoom/openapi_examples");
    let pages = stage.folder.path().join("pages");
    let file = |from: &str, to: &str| {
        let to = pages.join(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(fixtures.join(from), to).unwrap();
    };
    file("phone_call_history.json", "zoom_call_legs/2021-10-08.json");
    fs::create_dir_all(pages.join("zoom_daily_report")).unwrap();
    let report = fs::read_to_string(fixtures.join("report_daily.json")).unwrap();
    let report =
        report.replace("2022-03-01", "2021-10-08").replace("2022", "2021").replace("\"month\": 3", "\"month\": 10");
    fs::write(pages.join("zoom_daily_report/2021-10.json"), report).unwrap();
    let empty = "{\"users\": [], \"total_records\": 0}";
    for status in ["inactive", "pending"] {
        file("users.json", "zoom_counts/all-users-active.json");
        fs::write(pages.join(format!("zoom_counts/all-users-{status}.json")), empty).unwrap();
    }
    file("phone_users.json", "zoom_counts/all-phone_users-activate.json");
    for status in ["deactivate", "pending"] {
        fs::write(pages.join(format!("zoom_counts/all-phone_users-{status}.json")), empty).unwrap();
    }
    file("phone_call_queues.json", "zoom_counts/all-call_queues-all.json");
    let arguments = [
        "run",
        JOB,
        "--pages",
        pages.to_str().unwrap(),
        "--as-of",
        "2021-10-08",
        "--from",
        "2021-10-08",
        "--to",
        "2021-10-08",
    ];
    let (table, _) = stage.ends(&arguments, 0);
    // One of 54 announced legs was saved, one of 8482 users, one of 45 phone users.
    assert!(table.contains("incomplete") && table.contains("8482"), "{table}");
    // One call of 20 seconds, counted once although it is there under two names: no minute, a third of one on average.
    let expected = ["2021-10-08", "1", "1", "2", "34", "4", "17.00", "1", "1", "0", "0", "0", "0.33", "1", "zoom"];
    assert_eq!(stage.rows(MART), [expected]);
    assert!(stage.world.zoom.log().is_empty(), "nobody was asked");

    fs::remove_file(pages.join("zoom_call_legs/2021-10-08.json")).unwrap();
    let (table, _) = stage.ends(&arguments, 1);
    assert!(table.contains("zoom_call_legs/2021-10-08.json does not exist"), "{table}");
}
