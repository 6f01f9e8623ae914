//! Each check fires on a broken input, and is silent on a good one.

use chrono::NaiveDate;
use marts::audit::audit;
use marts::config::Org;

use super::mart::{event, org, scene_of};
use crate::compute::support::{Row, day};

/// The app's organisation, whose data start on a day: what lies before is missed by nobody.
fn org_since(date: &str) -> Org {
    Org { data_start_date: Some(day(date)), ..org() }
}

/// Five users of a day, one of them new.
fn good(date: &str) -> Vec<Row> {
    let mut events: Vec<_> = ["a", "b", "c", "d", "e"]
        .map(|user| event(date, "screen_view", user).int("ga_session_id", 1).text("firebase_screen", "Home"))
        .into();
    events.push(event(date, "first_open", "a").int("ga_session_id", 1).text("operating_system", "ios"));
    events
}

#[test]
fn checks_fire_on_what_they_are_for() {
    let two_days = [good("2026-01-19"), good("2026-01-20")].concat();
    let scene = scene_of(org_since("2026-01-19"), "2026-01-19", "2026-01-20", &two_days);
    assert_eq!(scene.rules(), []);

    // What SQL cannot break by itself: the mart's own figures.
    let (compute, published) = scene.compute().unwrap();
    let broken = |update: &str| {
        compute.compute().unwrap();
        let sql = format!("update mart set {update} where metric_date = '2026-01-20'");
        compute.connection().execute_batch(&sql).unwrap();
        let findings = audit(&compute, &[]).unwrap();
        assert!(findings.iter().all(|finding| finding.period == Some(day("2026-01-20"))), "{findings:?}");
        findings
            .into_iter()
            .map(|finding| finding.to_string().split(' ').take(2).collect::<Vec<_>>().join(" "))
            .collect::<Vec<_>>()
    };
    assert_eq!(broken("weekly_active_users = 4"), ["error users"]);
    assert_eq!(broken("monthly_active_users = 4"), ["error users"]);
    assert_eq!(broken("returning_users = 3"), ["error users"]);
    assert_eq!(broken("monthly_active_users = null"), ["error users"]);
    assert_eq!(broken("new_users = 6, returning_users = -1"), ["error users"]);
    assert_eq!(
        broken("daily_active_users = 6, returning_users = 5, weekly_active_users = 6, monthly_active_users = 6"),
        ["error distinct_users"]
    );
    assert_eq!(broken("total_sessions = 6"), ["error distinct_users"]);
    assert_eq!(broken("screens_per_session = -1"), ["error negative"]);
    assert_eq!(broken("android_downloads = 2"), ["error downloads", "warning both_systems"][..1]);
    assert_eq!(broken("top_screens = '[{\"screen\": \"Home\", \"views\": 6, \"users\": 1}]'"), ["error top_screens"]);
    assert_eq!(broken("top_screens = '[1,2,3,4,5,6,7,8,9,10,11]'"), ["error top_screens"]);
    assert_eq!(broken("top_screens = null"), ["error top_screens"]);
    assert_eq!(broken("android_downloads = 1"), ["warning both_systems"]);
    assert_eq!(broken("screens_per_session = null"), ["warning too_large"]);

    compute.compute().unwrap();
    assert_eq!(audit(&compute, &published).unwrap(), []);
}

#[test]
fn warnings_tell_of_what_is_unusual_in_the_events() {
    let said = |events: &[Row]| {
        let findings = scene_of(org_since("2026-01-20"), "2026-01-20", "2026-01-20", events).findings(&[]);
        findings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(said(&good("2026-01-20")), [] as [&str; 0]);
    let no_session = [event("2026-01-20", "screen_view", "a")];
    assert_eq!(
        said(&no_session),
        ["warning no_sessions 2026-01-20: no session in 1 events: is ga_session_id still sent?"]
    );
    let without = |count: usize| [good("2026-01-20"), vec![event("2026-01-20", "screen_view", ""); count]].concat();
    assert_eq!(said(&without(6)), [] as [&str; 0]);
    assert_eq!(said(&without(7)), ["warning unidentified 2026-01-20: 7 of 13 events have no user or no session"]);
}

#[test]
fn days_that_the_windows_of_the_rows_lack_are_told_wherever_they_are() {
    let said = |org: Org, from: &str, to: &str, without: &dyn Fn(NaiveDate) -> bool| {
        let days = day("2025-11-01").iter_days().take_while(|date| *date <= day(to));
        let events: Vec<_> = days.filter(|date| !without(*date)).flat_map(|date| good(&date.to_string())).collect();
        let findings = scene_of(org, from, to, &events).findings(&[]);
        findings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let between = |first: &str, last: &str| {
        let range = day(first)..=day(last);
        move |date: NaiveDate| range.contains(&date)
    };
    let lacking = |rows: &str, days: &str| {
        format!(
            "warning missing_days: the windows of the rows from {rows} lack {days}, which have no table: users of \
             those days count as little as if there had been none"
        )
    };
    let night = |without: &dyn Fn(NaiveDate) -> bool| said(org(), "2026-01-17", "2026-01-20", without);
    assert_eq!(night(&|_| false), [] as [&str; 0]);
    assert_eq!(
        night(&between("2026-01-18", "2026-01-18")),
        [lacking("2026-01-19 to 2026-01-20", "1 days, the first 2026-01-18 and the last 2026-01-18")]
    );
    // At the beginning of the window, where no day before them shows that something is missing.
    assert_eq!(
        night(&between("2025-11-01", "2026-01-10")),
        [lacking("2026-01-17 to 2026-01-20", "23 days, the first 2025-12-19 and the last 2026-01-10")]
    );
    // Of a row that is not the newest alone: the 20th of December looks back to the 21st of November.
    assert_eq!(
        said(org(), "2025-12-20", "2025-12-30", &between("2025-11-25", "2025-11-25")),
        [lacking("2025-12-20 to 2025-12-24", "1 days, the first 2025-11-25 and the last 2025-11-25")]
    );
    assert_eq!(night(&between("2025-12-19", "2025-12-19")).len(), 1);
    assert_eq!(night(&between("2025-12-18", "2025-12-18")), [] as [&str; 0], "30 days before the first row");
    // What nobody wants counted is not missed.
    let started = Org { data_start_date: Some(day("2026-01-11")), ..org() };
    assert_eq!(said(started, "2026-01-17", "2026-01-20", &between("2025-11-01", "2026-01-10")), [] as [&str; 0]);
    let without_december = Org { excluded_months: vec![day("2025-12-01")], ..org() };
    assert_eq!(
        said(without_december, "2026-01-17", "2026-01-20", &between("2025-12-01", "2025-12-31")),
        [] as [&str; 0]
    );
    let mut google = org();
    google.bigquery.as_mut().unwrap().monthly_days = 28;
    assert_eq!(said(google, "2026-01-17", "2026-01-20", &between("2025-12-20", "2025-12-20")), [] as [&str; 0]);
}

#[test]
fn a_day_that_lost_its_users_is_a_warning() {
    let many: Vec<_> =
        (0..10).map(|user| event("2026-01-20", "screen_view", &user.to_string()).int("ga_session_id", 1)).collect();
    let published = scene_of(org_since("2026-01-20"), "2026-01-20", "2026-01-20", &many).compute().unwrap().1;
    let findings = scene_of(org_since("2026-01-20"), "2026-01-20", "2026-01-20", &many[..4]).findings(&published);
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].to_string(), "warning volume 2026-01-20: 4 users where 10 are published");
    assert_eq!(scene_of(org_since("2026-01-20"), "2026-01-20", "2026-01-20", &many[..5]).findings(&published), []);
}
