//! Days that go well: what is asked, and what lands.

use chrono::{DateTime, Datelike as _, Days};
use marts::sandbox::http::{Fault, FaultPlan, Reply};
use serde_json::Value;

use super::bench::*;

const COLUMNS: &str = "select event_no, event_date, event_at, event_name, user_pseudo_id, ga_session_id, \
    engagement_time_msec, firebase_screen, firebase_screen_class, firebase_screen_id, operating_system \
    from ga4_events order by event_date, event_no";

#[tokio::test]
async fn a_day_lands_as_it_was_exported() {
    let bench = Bench::start(|options| (options.page_rows, options.polls) = (13, 2)).await;
    let landed = bench.pull(&["2026-01-19", DAY]).await.unwrap();
    let mut expected = Vec::new();
    for date in ["2026-01-19", DAY] {
        for (number, event) in bench.app.events(day(date), day("2026-01-30")).into_iter().enumerate() {
            let text = |text: Option<&str>| text.filter(|text| !text.is_empty()).unwrap_or("null").to_owned();
            let int = |int: Option<i64>| int.map_or("null".into(), |int| int.to_string());
            let at = DateTime::from_timestamp_micros(event.micros).unwrap();
            let is_sane = (1990..=2027).contains(&at.year());
            expected.push(vec![
                number.to_string(),
                date.to_owned(),
                if is_sane { at.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string() } else { "null".into() },
                event.name.to_owned(),
                text(event.user.as_deref()),
                int(event.session),
                int(event.engagement_msec),
                text(event.screen),
                text(event.screen_class),
                int(event.screen_id),
                event.system.to_lowercase(),
            ]);
        }
    }
    assert!(expected.len() > 60, "{}", expected.len());
    assert_eq!(bench.rows(COLUMNS), expected);
    let pages = landed[1].manifest().pages;
    assert_eq!(pages, landed[1].manifest().rows.div_ceil(13), "and none for the questions whether it is done");
    let last = bench.rows("select max(page) from ga4_events where event_date = '2026-01-20'");
    assert_eq!(last, [[(pages - 1).to_string()]]);
    let totals = &landed[1].manifest().source_totals;
    assert_eq!(totals["total_rows"], landed[1].manifest().rows.to_string());
    assert_eq!(bench.asked("POST", "/token"), 1, "one token for all of them");
}

#[tokio::test]
async fn every_query_has_a_dry_run_before_it_and_a_limit_that_follows_from_it() {
    let bench = Bench::new().await;
    bench.pull(&[DAY]).await.unwrap();
    let log = bench.server.log();
    let posts: Vec<Value> = log
        .iter()
        .filter(|logged| logged.request.path.ends_with("/queries"))
        .map(|logged| serde_json::from_slice(&logged.request.body).unwrap())
        .collect();
    let [dry, real] = posts.as_slice() else { panic!("two questions: {posts:?}") };
    assert_eq!((&dry["dryRun"], &dry["useLegacySql"]), (&true.into(), &false.into()));
    assert_eq!(dry["query"], real["query"]);
    assert_eq!((&real["dryRun"], &real["maximumBytesBilled"]), (&Value::Null, &"10485760".into()));
    assert_eq!((&real["location"], &real["formatOptions"]["useInt64Timestamp"]), (&"US".into(), &true.into()));
    assert!(real["requestId"].as_str().is_some_and(|id| id.len() <= 36));
    let query = real["query"].as_str().unwrap();
    assert!(query.ends_with(".events_20260120`") && !query.contains('*'), "{query}");
}

#[tokio::test]
async fn a_query_that_would_read_too_much_is_not_asked() {
    let mut bench = Bench::start(|options| {
        let app = marts::sandbox::business::app::AppUse::new(marts::sandbox::business::app::AppOptions {
            bulk_events: Some(1_000_000),
            ..options.app.options.clone()
        });
        options.app = app.into();
    })
    .await;
    bench.bigquery().max_billed_mib = 181;
    let line = bench.refusal().await;
    assert_eq!(
        line,
        "pulling ga4_events 2026-01-20: the query would read 190000000 bytes, more than max_billed_mib = 181 allows"
    );
    assert_eq!(bench.asked("POST", "/queries"), 1, "the dry run alone");
}

#[tokio::test]
async fn a_day_without_a_table_is_landed_as_absent_however_many_tables_there_are() {
    let bench = Bench::start(|options| {
        options.page_tables = 7;
        options.missing = [day("2026-01-19")].into();
    })
    .await;
    // The 21st has not been exported, and the app ended the day before.
    let landed = bench.pull(&["2026-01-18", "2026-01-19", DAY, "2026-01-21"]).await.unwrap();
    let absent: Vec<_> = landed.iter().map(|landed| (landed.manifest().period.as_str(), landed.is_absent())).collect();
    assert_eq!(absent, [("2026-01-18", false), ("2026-01-19", true), (DAY, false), ("2026-01-21", true)]);
    assert_eq!((landed[1].manifest().rows, landed[1].manifest().pages), (0, 0));
    assert!(bench.asked("GET", "/tables") > 10, "the list is read to its end");
    assert_eq!(bench.asked("POST", "/queries"), 4, "two days, each with its dry run");
}

#[tokio::test]
async fn intraday_tables_are_never_read() {
    let bench = Bench::new().await;
    // The twin of the 20th is listed beside it.
    bench.pull(&[DAY]).await.unwrap();
    let listed = bench.server.log().iter().any(|logged| logged.request.path.ends_with("/tables"));
    let asked =
        bench.server.log().iter().any(|logged| String::from_utf8_lossy(&logged.request.body).contains("intraday"));
    assert!(listed && !asked);
    let rows = bench.rows("select count(*) from ga4_events");
    assert_eq!(rows, [[bench.app.events(day(DAY), day("2026-01-30")).len().to_string()]]);
    // And where only the twin is there, the day is absent.
    bench.server.set_missing([day(DAY)]);
    assert!(bench.pull(&[DAY]).await.unwrap()[0].is_absent());
}

#[tokio::test]
async fn late_events_are_there_when_the_day_is_read_again() {
    let bench = Bench::new().await;
    // All the app's events are seen on the 30th; the first of these looks is on the 21st.
    let early = bench.app.events(day(DAY), day("2026-01-21")).len();
    let all = bench.app.events(day(DAY), day("2026-01-24")).len();
    assert!(early < all, "{early} of {all}");
    assert_eq!(bench.app.events(day(DAY), day("2026-02-24")).len(), all);
    bench.clock.advance(-chrono::Duration::days(9));
    assert_eq!(bench.pull(&[DAY]).await.unwrap()[0].manifest().rows, early as u64);
    bench.clock.advance(chrono::Duration::days(3));
    assert_eq!(bench.pull(&[DAY]).await.unwrap()[0].manifest().rows, all as u64);
    assert_eq!(bench.rows("select count(*) from ga4_events"), [[all.to_string()]], "the newest pull counts");
}

#[tokio::test]
async fn an_answer_that_is_lost_is_asked_again_and_billed_once() {
    // The second POST is the query; its answer is lost after the work was done.
    let bench = Bench::with_faults(FaultPlan::new().on("POST */queries", 2..=2, Fault::LoseAnswer)).await;
    bench.pull(&[DAY]).await.unwrap();
    assert_eq!(bench.asked("POST", "/queries"), 3);
    let log = bench.server.log();
    let ids: Vec<Value> = log
        .iter()
        .filter(|logged| logged.request.path.ends_with("/queries"))
        .map(|logged| serde_json::from_slice::<Value>(&logged.request.body).unwrap()["requestId"].clone())
        .collect();
    assert_eq!(ids[1], ids[2], "the same query");
}

#[tokio::test]
async fn a_dead_token_is_renewed_once() {
    let bench = Bench::new().await;
    let unauthorized = Reply::json(401, "{\"error\": {\"code\": 401, \"message\": \"no\"}}");
    bench.server.set_faults(FaultPlan::new().on("GET */tables", 1..=1, Fault::reply(unauthorized)));
    bench.pull(&[DAY]).await.unwrap();
    assert_eq!(bench.asked("POST", "/token"), 2);
    // A token dies of age between two nights; and the clock's day changes nothing of the events.
    bench.clock.advance(chrono::Duration::hours(2));
    bench.pull(&[DAY]).await.unwrap();
    assert_eq!(bench.asked("POST", "/token"), 3);
}

#[tokio::test]
async fn passing_faults_are_outlived() {
    let error = |status: u16, reason: &str| {
        let body = format!(
            "{{\"error\": {{\"code\": {status}, \"errors\": [{{\"reason\": \"{reason}\"}}], \"message\": \"m\"}}}}"
        );
        Fault::reply(Reply::json(status, body))
    };
    let faults = FaultPlan::new()
        .on("GET */tables", 1..=1, error(503, "backendError"))
        .on("POST */queries", 1..=1, error(403, "rateLimitExceeded"))
        .on("POST */queries", 3..=3, Fault::CutBody(200))
        .on("GET */queries/*", 1..=1, Fault::empty())
        .on("GET */queries/*", 3..=3, Fault::reply(Reply::text(429, "slow down").with("Retry-After", "0")))
        .on("POST /token", 1..=1, Fault::reply(Reply::text(500, "")));
    let bench = Bench::start(|options| (options.faults, options.page_rows) = (faults, 20)).await;
    let landed = bench.pull(&[DAY]).await.unwrap();
    let all = bench.app.events(day(DAY), day(DAY) + Days::new(9)).len();
    assert_eq!(landed[0].manifest().rows, all as u64, "nothing twice and nothing lost");
}
