//! What is asked, and how answers go wrong on the wire.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use marts::sandbox::http::{Fault, FaultPlan, Reply};
use marts::sandbox::zoom::error;
use serde_json::{Value, json};

use super::bench::*;

const API: &str = "GET /v2/*";
const HISTORY: &str = "GET /v2/phone/call_history";

fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/zoom/docs_errors").join(name);
    fs::read_to_string(path).unwrap()
}

#[tokio::test]
async fn a_night_lands_what_the_account_says() {
    let bench = Bench::new().await;
    let landed = bench.night().await.unwrap();
    assert_eq!(landed.len(), 3 + 1 + 1 + 3);
    for date in ["2026-01-18", "2026-01-19", "2026-01-20"] {
        let mut expected: Vec<String> = bench
            .account
            .calls
            .iter()
            .filter(|call| call.date == day(date))
            .flat_map(|call| call.legs.iter().map(|leg| format!("{} {} {}", leg.uuid, call.id, leg.seconds)))
            .collect();
        let found = rows(pull_of(&landed, CALLS, date));
        let mut found: Vec<_> =
            found.iter().map(|row| format!("{} {} {}", row["leg_id"], row["call_id"], row["seconds"])).collect();
        expected.sort();
        found.sort();
        assert_eq!(found, expected, "{date}");
        let cover = rows(pull_of(&landed, COVERAGE, date));
        assert!(cover.iter().all(|row| row["is_available"] == "true"), "{cover:?}");
        assert_eq!(cover[0]["announced"], cover[0]["received"]);
    }
    let report = rows(pull_of(&landed, REPORT, "2026-01"));
    for row in &report {
        let meetings = bench.account.meetings_of(day(&row["report_date"]));
        assert_eq!(
            [&row["meetings"], &row["meeting_minutes"]],
            [&meetings.meetings.to_string(), &meetings.minutes.to_string()]
        );
    }
    let counts = rows(pull_of(&landed, COUNTS, "2026-01-20"));
    let number = |row: &Row, name: &str| row[name].parse::<usize>().unwrap();
    let users: usize = counts
        .iter()
        .filter(|row| row["list_name"] == "users")
        .map(|row| number(row, "records") - number(row, "created_later"))
        .sum();
    assert_eq!(users, bench.account.users_on(day("2026-01-20")));
    assert!(users < bench.account.users.len(), "somebody came later");
    assert_eq!(bench.tokens(), 1);
}

/// The day is asked by its instants, with a day on both sides, and each day once.
#[tokio::test]
async fn calls_are_asked_by_local_days_and_instants() {
    let bench = Bench::new().await;
    bench.pull(&[CALLS], &["2025-11-02", "2025-11-03"]).await.unwrap();
    let asked: Vec<String> =
        bench.asked().iter().map(|url| url.split("&time_type").next().unwrap().to_owned()).collect();
    let window = |from: &str, to: &str| {
        format!("/v2/phone/call_history?from={}&to={}", from.replace(':', "%3A"), to.replace(':', "%3A"))
    };
    // The clock is put back on the 2nd, which has 25 hours.
    let expected = [
        window("2025-11-01T05:00:00Z", "2025-11-02T05:00:00Z"),
        window("2025-11-02T05:00:00Z", "2025-11-03T06:00:00Z"),
        window("2025-11-03T06:00:00Z", "2025-11-04T06:00:00Z"),
        window("2025-11-04T06:00:00Z", "2025-11-05T06:00:00Z"),
    ];
    assert_eq!(asked, expected);
}

/// Facts of job 4: duplicates across pages.
#[tokio::test]
async fn pages_that_overlap_and_either_name_give_the_same_legs() {
    let whole = Bench::new().await;
    let expected = rows(pull_of(&whole.night().await.unwrap(), CALLS, "2026-01-20"));
    for (repeats, only_old, old) in [(true, false, true), (false, true, true), (true, false, false)] {
        let bench = Bench::start(|options| {
            options.page_limit = 7;
            options.repeats_rows = repeats;
            options.only_old_member = only_old;
            options.old_member = old;
        })
        .await;
        let landed = bench.night().await.unwrap();
        let found = rows(pull_of(&landed, CALLS, "2026-01-20"));
        let plain = |rows: &[Row]| -> Vec<Row> {
            let without = |row: &Row| {
                row.iter().filter(|(name, _)| *name != "page").map(|(n, v)| (n.clone(), v.clone())).collect()
            };
            rows.iter().map(without).collect()
        };
        assert_eq!(plain(&found), plain(&expected));
        assert!(bench.asked().len() > 60, "{}", bench.asked().len());
        // Every row names the page it is on.
        let pages = bodies(pull_of(&landed, CALLS, "2026-01-20"));
        for row in &found {
            let page = &pages[row["page"].parse::<usize>().unwrap()];
            assert!(page.contains(&row["leg_id"]), "{} is not on page {}", row["leg_id"], row["page"]);
        }
    }
}

#[tokio::test]
async fn failures_that_pass_are_outlived() {
    let per_second = || Reply::json(429, document("rate_limit_per_second.json"));
    let faults = FaultPlan::new()
        .on("POST */oauth/token", 1..=1, Fault::reply(error(429, 429, "Too many requests.")))
        .on("POST */oauth/token", 2..=2, Fault::reply(Reply::json(503, "{\"error\": \"server_error\"}")))
        .on(HISTORY, 1..=1, Fault::reply(per_second().with("X-RateLimit-Reset", "1768989600")))
        .on(HISTORY, 2..=2, Fault::reply(per_second().with("Retry-After", "0")))
        .on(HISTORY, 4..=4, Fault::reply(per_second().with("Retry-After", "Wed, 21 Jan 2026 09:59:59 GMT")))
        .on(HISTORY, 6..=6, Fault::reply(per_second().with("Retry-After", "2026-01-21T10:00:00Z")))
        .on("GET */users", 1..=1, Fault::CutBody(40))
        .on("GET */users", 3..=3, Fault::empty())
        .on("GET */users", 5..=5, Fault::null())
        .on("GET */call_queues", 1..=1, Fault::Reset)
        .on("GET */report/daily", 1..=1, Fault::reply(error(200, 500, "Internal error")))
        .on("GET */report/daily", 2..=2, Fault::reply(error(500, 500, "Internal error")));
    let bench = Bench::with_faults(faults).await;
    let landed = bench.night().await.unwrap();
    assert_eq!(landed.len(), 8);
}

#[tokio::test]
async fn a_token_that_dies_is_renewed_once() {
    let dead = || Reply::json(401, document("token_invalid_124.json"));
    let bench = Bench::with_faults(FaultPlan::new().on(HISTORY, 2..=2, Fault::reply(dead()))).await;
    bench.night().await.unwrap();
    assert_eq!(bench.tokens(), 2);
    // Older endpoints say it with 400.
    let old = error(400, 124, "Access token is expired.");
    let bench = Bench::with_faults(FaultPlan::new().on("GET */users", 1..=1, Fault::reply(old))).await;
    bench.night().await.unwrap();
    assert_eq!(bench.tokens(), 2);
    let bench = Bench::with_faults(FaultPlan::new().on(API, .., Fault::reply(dead()))).await;
    let said = bench.refusal().await;
    assert!(
        said.contains("401 Unauthorized: Zoom says 124: Invalid access token., with a renewed access token too"),
        "{said}"
    );
    assert_eq!(bench.tokens(), 2);
}

#[tokio::test]
async fn every_bad_day_is_one_clear_line_and_leaves_nothing() {
    let history = |reply: Reply| FaultPlan::new().on(HISTORY, .., Fault::reply(reply));
    let every = |fault: Fault| FaultPlan::new().on(API, .., fault);
    let daily = "You have reached the maximum daily rate limit for this API. Refer to the response header for details \
        on when you can make another request.";
    let per_second = document("rate_limit_per_second.json");
    let site = "You do not have permission, because the current site `x` does not belong to the target sites.";
    let role = history(error(400, 200, "No permission."));
    let user = error(404, 1001, "User somebody@example.com does not exist.");
    let bad_days = [
        (history(error(403, 1, "Access has been denied for this account.")), "403 Forbidden: Zoom says 1: Access"),
        (history(Reply::json(429, per_second)), "429 Too Many Requests, gave up after 3 tries"),
        (history(Reply::json(429, "")), "429 Too Many Requests, gave up after 3 tries"),
        (
            history(error(429, 429, daily).with("Retry-After", "2026-01-22T00:00:00Z")),
            "used up its requests of the day, all its apps together; Zoom answers again after 2026-01-22T00:00:00Z",
        ),
        (history(Reply::json(429, "{}").with("X-RateLimit-Type", "Daily-limit")), "after midnight UTC"),
        (history(Reply::json(502, "<html>bad gateway</html>")), "502 Bad Gateway, gave up after 3 tries"),
        (
            history(Reply::json(400, document("validation_300.json"))),
            "300: Validation Failed.; user_id: Invalid field.",
        ),
        (history(error(404, 2300, "This API endpoint is not recognized.")), "404 Not Found: Zoom says 2300"),
        (history(error(200, 300, "Validation Failed.")), "Zoom says 300: Validation Failed."),
        (
            history(error(
                400,
                4711,
                "Invalid access token, does not contain scopes:[phone_call_log:read:admin, phone:read:admin].",
            )),
            "lacks the scope phone_call_log:read:admin, phone:read:admin: add it",
        ),
        (role, "the app may not read this; it needs the scope phone:read:list_call_logs:admin"),
        (history(user), "404 Not Found: Zoom says 1001"),
        (
            FaultPlan::new().on("GET */phone/users", .., Fault::reply(error(400, 124, site))),
            "400 Bad Request: Zoom says 124: You do not",
        ),
        (history(Reply::json(200, "[]")), "200 OK with JSON that is no object"),
        (history(Reply::json(200, "{}")), "the answer has no member call_history or call_logs or call_log"),
        (every(Fault::CutBody(20)), "gave up after 3 tries"),
        (every(Fault::BrokenBody(20)), "200 OK with JSON that is cut off, gave up after 3 tries"),
        (every(Fault::empty()), "200 OK with an empty answer, gave up after 3 tries"),
        (every(Fault::null()), "200 OK with the word null, gave up after 3 tries"),
        (every(Fault::ContentType("text/html".into())), "a page of HTML where JSON was asked for"),
        (every(Fault::Reset), "gave up after 3 tries"),
        (
            FaultPlan::new().on("GET */users", .., Fault::reply(Reply::json(200, "{\"users\": []}"))),
            "there is no active user",
        ),
        (
            FaultPlan::new().on(
                "GET */report/daily",
                ..,
                Fault::reply(Reply::json(200, "{\"year\": 2025, \"month\": 12, \"dates\": []}")),
            ),
            "Zoom answered another question: year is 2025 where 2026 was asked",
        ),
        (
            history(Reply::json(200, "{\"from\": \"2026-01-01\", \"call_history\": []}")),
            "Zoom answered another question: from is 2026-01-01",
        ),
        (
            history(Reply::json(200, "{\"call_history\": [], \"total_records\": 120}")),
            "GET phone/call_history: Zoom announces 120 records and gives none",
        ),
        (
            FaultPlan::new().on(
                "GET */phone/users",
                ..,
                Fault::reply(Reply::json(200, "{\"users\": [], \"total_records\": \"8\"}")),
            ),
            "GET phone/users: Zoom announces 8 records and gives none",
        ),
        (
            FaultPlan::new().on("POST *", .., Fault::reply(Reply::json(503, "{\"error\": \"server_error\"}"))),
            "503 Service Unavailable, gave up after 3 tries",
        ),
        (
            FaultPlan::new().on("POST *", .., Fault::reply(error(429, 429, "Too many requests."))),
            "429 Too Many Requests, gave up after 3 tries",
        ),
        (
            history(Reply::json(200, "{\"call_history\": [], \"next_page_token\": \"x\"}")),
            "a page without records says that more follow",
        ),
        (
            FaultPlan::new().on(
                "POST *",
                ..,
                Fault::reply(Reply::json(401, "{\"reason\": \"x\", \"error\": \"invalid_client\"}")),
            ),
            "invalid_client: the client id or the client secret is wrong",
        ),
        (
            FaultPlan::new().on("POST *", .., Fault::reply(Reply::json(400, "{\"code\": 4717, \"message\": \"x\"}"))),
            "the app is disabled",
        ),
        (
            FaultPlan::new().on("POST *", .., Fault::reply(Reply::json(200, "{\"access\": 1}"))),
            "something else than a token",
        ),
    ];
    for (faults, said) in bad_days {
        let bench = Bench::with_faults(faults).await;
        let line = without_tracking(&bench.refusal().await);
        assert!(line.contains(said), "{said} is not in: {line}");
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let mut bench = Bench::with_faults(FaultPlan::new().on(HISTORY, .., Fault::Stall)).await;
    bench.config.limits.http_timeout_secs = 1;
    bench.config.limits.tries = 2;
    let began = Instant::now();
    let line = bench.refusal().await;
    assert!(line.contains("no complete answer within 1 s, gave up after 2 tries"), "{line}");
    assert!(line.contains("pulling zoom_call_legs 2026-01-17: GET http://"), "{line}");
    assert!(began.elapsed() < Duration::from_secs(20));
    // Nor is a token waited for without end.
    let mut bench = Bench::with_faults(FaultPlan::new().on("POST *", .., Fault::Stall)).await;
    bench.config.limits.http_timeout_secs = 1;
    bench.config.limits.tries = 2;
    let began = Instant::now();
    let line = bench.refusal().await;
    assert!(line.starts_with("asking Zoom for an access token: POST http://"), "{line}");
    assert!(line.ends_with("no complete answer within 1 s, gave up after 2 tries"), "{line}");
    assert!(began.elapsed() < Duration::from_secs(20));
    assert_eq!(bench.asked(), Vec::<String>::new());
}

/// A page token lives a quarter of an hour. When it dies, its list is read anew, and nothing else.
#[tokio::test]
async fn a_page_token_that_dies_sends_back_to_the_start_of_its_list() {
    let dead = || Fault::reply(error(400, 300, "The next page token is invalid or expired."));
    let route = "GET /v2/phone/call_history?*next_page_token=*";
    let plain = Bench::start(|options| options.page_limit = 20).await;
    let expected: Vec<_> = plain.night().await.unwrap().iter().map(|pull| pull.manifest().rows).collect();
    let asked = plain.asked().len();
    let bench = Bench::start(|options| {
        options.page_limit = 20;
        options.faults = FaultPlan::new().on(route, 2..=2, dead());
    })
    .await;
    let landed: Vec<_> = bench.night().await.unwrap().iter().map(|pull| pull.manifest().rows).collect();
    assert_eq!(landed, expected);
    let more = bench.asked().len() - asked;
    assert!((1..20).contains(&more), "{more} requests more");
    let bench = Bench::start(|options| {
        options.page_limit = 20;
        options.faults = FaultPlan::new().on(route, .., dead());
    })
    .await;
    let line = bench.refusal().await;
    assert!(
        line.ends_with("the page token died 3 times before the list was read: Zoom lets it live 15 minutes"),
        "{line}"
    );
    let bench = Bench::with_faults(FaultPlan::new().on(HISTORY, .., dead())).await;
    let line = bench.refusal().await;
    assert!(line.contains("Zoom speaks of a page token where none was sent"), "{line}");
}

#[tokio::test]
async fn a_page_token_that_comes_twice_stops_the_pull() {
    let leg = json!({ "call_history_uuid": "1", "start_time": "2026-01-18T12:00:00Z" });
    let page = json!({ "call_history": [leg], "next_page_token": "again" });
    let bench =
        Bench::with_faults(FaultPlan::new().on(HISTORY, .., Fault::reply(Reply::json(200, page.to_string())))).await;
    let line = bench.refusal().await;
    assert!(line.ends_with("Zoom gave the same page token twice"), "{line}");
}

/// The line without the id under which Zoom's support finds the request.
fn without_tracking(line: &str) -> String {
    match line.split_once(" (x-zm-trackingid") {
        Some((before, rest)) => format!("{before}{}", rest.split_once(')').map_or("", |(_, after)| after)),
        None => line.to_owned(),
    }
}

#[tokio::test]
async fn the_limits_of_the_account_are_kept_or_told() {
    // A second that is full is waited out.
    let bench = Bench::start(|options| options.per_second = [1; 3]).await;
    let line = without_tracking(&bench.refusal().await);
    assert!(line.contains("429 Too Many Requests, gave up after 3 tries"), "the clock stands still: {line}");
    let bench = Bench::start(|options| options.heavy_per_day = 2).await;
    let line = bench.refusal().await;
    assert!(line.contains("Zoom answers again after 2026-01-22T00:00:00Z"), "{line}");
    // Requests are a pause apart.
    let mut bench = Bench::new().await;
    bench.zoom().requests_per_second = 20;
    let began = Instant::now();
    bench.night().await.unwrap();
    let requests = u32::try_from(bench.asked().len()).unwrap();
    assert!(began.elapsed() >= requests * Duration::from_millis(50), "{requests} in {:?}", began.elapsed());
}

#[tokio::test]
async fn what_zoom_no_longer_keeps_is_told_before_it_is_asked() {
    let bench = Bench::new().await;
    let error = format!("{:#}", bench.pull(&[CALLS], &["2025-07-22", "2025-07-23"]).await.unwrap_err());
    assert!(error.contains("zoom_call_legs 2025-07-22: Zoom keeps call history for six months"), "{error}");
    assert!(error.contains("2025-07-23: start there or later"), "{error}");
    assert_eq!(bench.asked(), Vec::<String>::new());
    // With the report and the counts of a night too, which would be refused for a reason that names no first day.
    let error = format!("{:#}", bench.pull(&ALL, &["2025-06-30", "2026-01-20"]).await.unwrap_err());
    assert!(error.contains("zoom_call_legs 2025-06-30") && error.contains("is 2025-07-23: start there"), "{error}");
    assert_eq!(bench.asked(), Vec::<String>::new());
    bench.pull(&[CALLS], &["2025-07-23"]).await.unwrap();
    let error = format!("{:#}", bench.pull(&[REPORT], &["2025-06-30"]).await.unwrap_err());
    assert!(error.contains("keeps the daily report of the recent six months only"), "{error}");
}

#[tokio::test]
async fn what_the_account_lacks_is_landed_as_such() {
    let bench = Bench::start(|options| {
        options.has_phone = false;
        options.has_reports = false;
    })
    .await;
    let landed = bench.night().await.unwrap();
    let cover = rows(pull_of(&landed, COVERAGE, "2026-01-20"));
    let told: Vec<_> =
        cover.iter().map(|row| format!("{} {} {}", row["part"], row["is_available"], row["code"])).collect();
    assert_eq!(told, ["calls false 2031", "daily_report false 200"]);
    let counts = rows(pull_of(&landed, COUNTS, "2026-01-20"));
    let phone: Vec<_> = counts.iter().filter(|row| row["list_name"] != "users").collect();
    assert_eq!(phone.len(), 2, "what is not there has no statuses");
    assert!(phone.iter().all(|row| row["records"] == "∅" && row["code"] == "2031"));
    assert_eq!(rows(pull_of(&landed, CALLS, "2026-01-20")), Vec::<Row>::new());
    let kept: Value = serde_json::from_str(&bodies(pull_of(&landed, REPORT, "2026-01"))[0]).unwrap();
    assert_eq!(kept["code"], 200);
    // A scope that is missing is another thing.
    let bench = Bench::start(|options| options.lacking_scopes = vec!["phone:read:list_users:admin"]).await;
    let line = bench.refusal().await;
    assert!(
        line.contains("pulling zoom_counts 2026-01-20") && line.contains("the scope phone:read:list_users:admin"),
        "{line}"
    );
}
