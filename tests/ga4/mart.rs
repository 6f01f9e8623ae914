//! The mart's SQL on awkward events.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Days, NaiveDate};
use marts::config::{BigQuery, Org, SecretRef};
use marts::datasets::dataset;
use marts::periods::Partition;
use marts::sandbox::business::app::{AppDay, AppEvent, AppOptions, AppUse};

use super::bench::EVENTS;
use crate::compute::support::{Row, Scene, assert_row, day};

pub fn org() -> Org {
    let bigquery = BigQuery {
        project: "p".into(),
        dataset: "analytics_1".into(),
        location: "US".into(),
        credentials: SecretRef::Env("KEY".into()),
        base_url: "http://localhost".into(),
        token_url: "http://localhost".into(),
        max_billed_mib: 10,
        query_timeout_secs: 60,
        monthly_days: 30,
    };
    Org { bigquery: Some(bigquery), softbase: None, ..crate::compute::support::org() }
}

/// An event of a user, who may have none.
pub fn event(date: &str, name: &str, user: &str) -> Row {
    let row = Row::default().day("event_date", date).text("event_name", name);
    if user.is_empty() { row } else { row.text("user_pseudo_id", user) }
}

/// Days of events, restated from one day to another; what lies in between and has none is absent.
pub fn scene_of(org: Org, from: &str, to: &str, events: &[Row]) -> Scene {
    let mut scene = Scene::new("etl_app_analytics", org, from, to);
    let mut days: BTreeMap<NaiveDate, Vec<Row>> = BTreeMap::new();
    for event in events {
        let of_day = days.entry(event.date("event_date")).or_default();
        let number = i64::try_from(of_day.len()).unwrap();
        of_day.push(event.clone().int("event_no", number));
    }
    let [wanted] = scene.plan.wanted.as_slice() else { panic!("one dataset") };
    for partition in [wanted.settled.clone(), wanted.partitions.clone()].concat() {
        match days.get(&partition.start()) {
            Some(events) => scene.land(dataset(EVENTS).unwrap(), partition, events),
            None => land_absent(&mut scene, partition),
        }
    }
    let pulls = scene.landed.iter().cloned().collect();
    scene.plan.leave_out_absent(&pulls);
    scene
}

fn land_absent(scene: &mut Scene, partition: Partition) {
    let pulled_at = "2026-06-01T07:00:00Z".parse().unwrap();
    let landing = scene.staging().begin(dataset(EVENTS).unwrap(), &scene.org.slug, partition, pulled_at).unwrap();
    scene.landed.push(landing.finish_absent().unwrap());
}

/// The mart of one day.
fn mart(events: &[Row]) -> BTreeMap<String, String> {
    scene_of(org(), "2026-01-20", "2026-01-20", events).mart().swap_remove(0)
}

#[test]
fn windows_end_with_the_day_and_count_each_user_once() {
    let on = |date: &str, user: &str| event(date, "user_engagement", user);
    let events = [
        on("2026-01-20", "today"),
        on("2026-01-20", "both"),
        on("2026-01-14", "both"),
        on("2026-01-14", "six days ago"),
        on("2026-01-13", "seven days ago"),
        on("2025-12-22", "29 days ago"),
        on("2025-12-22", "six days ago"),
        on("2025-12-21", "30 days ago"),
        on("2025-12-24", "27 days ago"),
        on("2025-12-23", "28 days ago"),
    ];
    let month = [("daily_active_users", "2"), ("weekly_active_users", "3"), ("monthly_active_users", "7")];
    assert_row(&mart(&events), &month);
    let mut google = org();
    google.bigquery.as_mut().unwrap().monthly_days = 28;
    let row = scene_of(google, "2026-01-20", "2026-01-20", &events).mart().swap_remove(0);
    assert_row(&row, &[("weekly_active_users", "3"), ("monthly_active_users", "5")]);
}

#[test]
fn user_and_session_are_a_pair_and_no_text() {
    let on = |user: &str, session: i64| event("2026-01-20", "user_engagement", user).int("ga_session_id", session);
    // "1" + "23" and "12" + "3" read the same when they are put together.
    let events = [on("1", 23), on("12", 3), on("1", 23), on("12", 23), on("A", 1), on("a", 1)];
    assert_row(&mart(&events), &[("daily_active_users", "4"), ("total_sessions", "5")]);
}

#[test]
fn a_session_over_midnight_is_a_session_of_both_days() {
    let on = |date: &str, time: i64| {
        event(date, "user_engagement", "owl").int("ga_session_id", 1_768_975_000).int("engagement_time_msec", time)
    };
    let scene = scene_of(org(), "2026-01-19", "2026-01-20", &[on("2026-01-19", 10_000), on("2026-01-20", 5_005)]);
    let mart = scene.mart();
    assert_row(&mart[0], &[("total_sessions", "1"), ("avg_session_duration_secs", "10.00")]);
    assert_row(
        &mart[1],
        &[("total_sessions", "1"), ("avg_session_duration_secs", "5.01"), ("weekly_active_users", "1")],
    );
}

#[test]
fn what_has_no_user_or_no_session_counts_in_the_sums_alone() {
    let engaged = |user: &str| event("2026-01-20", "user_engagement", user).int("engagement_time_msec", 1_000);
    let viewed = |user: &str| event("2026-01-20", "screen_view", user).text("firebase_screen", "Home");
    let events = [
        engaged("a").int("ga_session_id", 1),
        engaged("b"),
        engaged("").int("ga_session_id", 2),
        viewed("").int("ga_session_id", 2),
        viewed("b"),
        event("2026-01-20", "first_open", "").text("operating_system", "ios"),
    ];
    assert_row(
        &mart(&events),
        &[
            ("daily_active_users", "2"),
            ("total_sessions", "1"),
            ("avg_session_duration_secs", "3.00"),
            ("screens_per_session", "2.00"),
            ("new_users", "0"),
            ("ios_downloads", "0"),
            ("top_screens", "[{\"screen\":\"Home\",\"views\":2,\"users\":1}]"),
        ],
    );
}

#[test]
fn averages_of_no_sessions_are_zero_and_a_day_of_none_has_no_screens() {
    let events = [event("2026-01-20", "user_engagement", "a").int("engagement_time_msec", 1_000)];
    let zero = [("total_sessions", "0"), ("avg_session_duration_secs", "0.00"), ("screens_per_session", "0.00")];
    assert_row(&mart(&events), &zero);
    assert_row(&mart(&events), &[("top_screens", "[]"), ("returning_users", "1")]);
}

#[test]
fn an_average_that_does_not_fit_is_null() {
    let events = [event("2026-01-20", "user_engagement", "a")
        .int("ga_session_id", 1)
        .int("engagement_time_msec", 99_999_999_995)];
    assert_row(&mart(&events), &[("avg_session_duration_secs", "null"), ("screens_per_session", "0.00")]);
}

#[test]
fn rows_delivered_twice_count_as_delivered() {
    let once = [event("2026-01-20", "screen_view", "a")
        .int("ga_session_id", 1)
        .int("engagement_time_msec", 700)
        .text("firebase_screen", "Home")];
    let twice = [once[0].clone(), once[0].clone()];
    assert_row(&mart(&once), &[("screens_per_session", "1.00"), ("avg_session_duration_secs", "0.70")]);
    assert_row(
        &mart(&twice),
        &[
            ("daily_active_users", "1"),
            ("total_sessions", "1"),
            ("screens_per_session", "2.00"),
            ("avg_session_duration_secs", "1.40"),
            ("top_screens", "[{\"screen\":\"Home\",\"views\":2,\"users\":1}]"),
        ],
    );
}

#[test]
fn downloads_are_users_by_system_and_new_users_are_of_any() {
    let opened = |user: &str, system: &str| event("2026-01-20", "first_open", user).text("operating_system", system);
    let events = [
        opened("phone", "ios"),
        opened("phone", "ios"),
        opened("tablet", "ipados"),
        opened("both", "ios"),
        opened("both", "android"),
        opened("robot", "android"),
        opened("desk", "windows"),
        event("2026-01-20", "first_open", "unknown"),
        event("2026-01-20", "screen_view", "old").text("operating_system", "ios"),
        event("2026-01-19", "first_open", "yesterday").text("operating_system", "ios"),
    ];
    assert_row(
        &mart(&events),
        &[
            ("ios_downloads", "3"),
            ("android_downloads", "2"),
            ("new_users", "6"),
            ("daily_active_users", "7"),
            ("returning_users", "1"),
        ],
    );
}

#[test]
fn top_screens_are_ten_by_views_then_name_under_the_first_name_they_have() {
    let viewed = |screen: &str| event("2026-01-20", "screen_view", "a").text("firebase_screen", screen);
    let mut events: Vec<_> = (0..12).map(|number| viewed(&format!("screen {number:02}"))).collect();
    events.extend([viewed("z \"quoted\" \\ ü"), viewed("z \"quoted\" \\ ü")]);
    let by_class = event("2026-01-20", "screen_view", "b").text("firebase_screen_class", "Main");
    events.extend([by_class.clone().text("firebase_screen_id", "7"), by_class.clone(), by_class]);
    events.push(event("2026-01-20", "screen_view", "c").text("firebase_screen_id", "screen 00"));
    events.push(event("2026-01-20", "screen_view", "c"));
    events.push(event("2026-01-20", "user_engagement", "c").text("firebase_screen", "Main"));
    let shown = mart(&events)["top_screens"].clone();
    let first = r#"{"screen":"Main","views":3,"users":1}"#;
    let second = r#"{"screen":"screen 00","views":2,"users":2}"#;
    let third = r#"{"screen":"z \"quoted\" \\ ü","views":2,"users":1}"#;
    let rest: Vec<_> =
        (1..=7).map(|number| format!(r#"{{"screen":"screen {number:02}","views":1,"users":1}}"#)).collect();
    assert_eq!(shown, format!("[{first},{second},{third},{}]", rest.join(",")));
}

#[test]
fn a_day_whose_table_is_missing_has_no_row_and_windows_skip_it() {
    let on = |date: &str, user: &str| event(date, "user_engagement", user);
    let events = [on("2026-01-18", "a"), on("2026-01-20", "b")];
    let mart = scene_of(org(), "2026-01-18", "2026-01-20", &events).mart();
    let days: Vec<_> = mart.iter().map(|row| row["metric_date"].as_str()).collect();
    assert_eq!(days, ["2026-01-18", "2026-01-20"]);
    assert_row(&mart[1], &[("daily_active_users", "1"), ("weekly_active_users", "2")]);
}

fn row_of(date: NaiveDate, event: &AppEvent) -> Row {
    let mut row = Row::default().day("event_date", &date.to_string()).text("event_name", event.name);
    let texts = [
        ("user_pseudo_id", event.user.clone()),
        ("firebase_screen", event.screen.filter(|name| !name.is_empty()).map(str::to_owned)),
        ("firebase_screen_class", event.screen_class.map(str::to_owned)),
        ("firebase_screen_id", event.screen_id.map(|id| id.to_string())),
        ("operating_system", Some(event.system.to_lowercase())),
    ];
    for (name, text) in texts {
        row = text.into_iter().fold(row, |row, text| row.text(name, &text));
    }
    for (name, int) in [("ga_session_id", event.session), ("engagement_time_msec", event.engagement_msec)] {
        row = int.into_iter().fold(row, |row, int| row.int(name, int));
    }
    row
}

fn hundredths(number: i64) -> String {
    format!("{}.{:02}", number / 100, number % 100)
}

/// The cells of a row, as the oracle has them.
pub fn expected(date: NaiveDate, day: &AppDay) -> Vec<(&'static str, String)> {
    let screens: Vec<_> = day
        .top_screens
        .iter()
        .map(|(screen, views, users)| {
            let name = serde_json::to_string(screen).unwrap();
            format!("{{\"screen\":{name},\"views\":{views},\"users\":{users}}}")
        })
        .collect();
    vec![
        ("metric_date", date.to_string()),
        ("daily_active_users", day.daily_users.to_string()),
        ("weekly_active_users", day.weekly_users.to_string()),
        ("monthly_active_users", day.monthly_users.to_string()),
        ("new_users", day.new_users.to_string()),
        ("returning_users", (day.daily_users - day.new_users).to_string()),
        ("total_sessions", day.sessions.to_string()),
        ("avg_session_duration_secs", hundredths(day.duration_secs)),
        ("screens_per_session", hundredths(day.screens_per_session)),
        ("ios_downloads", day.ios.to_string()),
        ("android_downloads", day.android.to_string()),
        ("top_screens", format!("[{}]", screens.join(","))),
    ]
}

#[test]
fn forty_days_of_an_app_give_what_is_counted_without_sql_in_any_order() {
    let (from, to) = (day("2025-12-01"), day("2026-02-10"));
    let app = AppUse::new(AppOptions { people: 40, ..AppOptions::new(11, from, to) });
    let seen_on = to + Days::new(9);
    let missing: BTreeSet<_> = ["2026-01-02", "2026-01-15", "2026-01-16", "2026-02-09"].map(day).into();
    let there = || from.iter_days().take_while(|date| *date <= to).filter(|date| !missing.contains(date));
    let mut events: Vec<_> =
        there().flat_map(|date| app.events(date, seen_on).into_iter().map(move |event| row_of(date, &event))).collect();
    let scene = scene_of(org(), "2026-01-02", "2026-02-10", &events);
    let mart = scene.mart();
    let days: Vec<_> = there().filter(|date| *date >= day("2026-01-02")).collect();
    assert_eq!((mart.len(), days.len()), (36, 36));
    for (row, date) in mart.iter().zip(days) {
        for (name, value) in expected(date, &app.day(date, seen_on, &missing, 30)) {
            assert_eq!(row[name], value, "{name} of {date}");
        }
    }
    assert_eq!(scene.rules(), [("missing_days".to_owned(), None)]);
    events.reverse();
    let mut again = scene_of(org(), "2026-01-02", "2026-02-10", &events);
    again.landed.reverse();
    assert_eq!(again.mart(), mart);
}
