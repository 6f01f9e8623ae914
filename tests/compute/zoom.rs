//! mart_zoom_metrics and its audit on awkward calls.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use marts::audit::Severity;
use marts::config::{Org, SecretRef, Zoom};
use marts::datasets::dataset;
use marts::periods::Partition;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::support::*;

const DAY: &str = "2026-01-20";

fn settings() -> Zoom {
    let secret = || SecretRef::Env("SECRET".into());
    Zoom {
        base_url: "https://api.zoom.us/v2".into(),
        token_url: "https://zoom.us/oauth/token".into(),
        account_id: "account".into(),
        client_id: secret(),
        client_secret: secret(),
        connected_results: Zoom::CONNECTED.map(str::to_owned).to_vec(),
        missed_results: Zoom::MISSED.map(str::to_owned).to_vec(),
        voicemail_is_missed: false,
        requests_per_second: 4,
    }
}

pub(super) fn zoom_org(change: impl FnOnce(&mut Zoom)) -> Org {
    let mut zoom = settings();
    change(&mut zoom);
    Org { softbase: None, zoom: Some(zoom), ..org() }
}

/// A leg: call, leg, direction, beginning, seconds, result. An empty direction or result is none.
pub(super) type Leg<'a> = (&'a str, &'a str, &'a str, &'a str, i64, &'a str);

pub(super) fn leg((call, leg, direction, at, seconds, result): &Leg<'_>) -> Row {
    let mut row =
        Row::default().text("call_id", call).text("leg_id", leg).at("started_at", at).int("seconds", *seconds);
    for (name, value) in [("direction", direction), ("result", result)] {
        if !value.is_empty() {
            row = row.text(name, value);
        }
    }
    row
}

fn cover(date: &str, part: &str, is_available: bool) -> Row {
    let row = Row::default().day("covered_date", date).text("part", part).flag("is_available", is_available);
    if is_available { row } else { row.int("code", 200) }
}

fn count(list: &str, status: &str, records: i64) -> Row {
    let row = Row::default().text("list_name", list).text("status", status).flag("is_available", true);
    row.int("records", records).int("created_later", 0).int("announced", records).int("received", records)
}

/// One day with these legs, two meetings and everything else in order.
pub(super) fn scene(org: Org, legs: &[Row]) -> Scene {
    let mut scene = bare(org, legs);
    report(
        &mut scene,
        &[Row::default().day("report_date", DAY).int("meetings", 3).int("participants", 8).int("meeting_minutes", 100)],
    );
    counts(
        &mut scene,
        &[
            count("users", "active", 10),
            count("users", "pending", 2).int("created_later", 1),
            count("phone_users", "activate", 5),
            count("call_queues", "all", 0),
        ],
    );
    coverage(&mut scene, &[cover(DAY, "calls", true), cover(DAY, "daily_report", true)]);
    scene
}

fn bare(org: Org, legs: &[Row]) -> Scene {
    let mut scene = Scene::new("etl_zoom_metrics", org, DAY, DAY);
    scene.land(dataset("zoom_call_legs").unwrap(), Partition::Day(day(DAY)), legs);
    scene
}

fn report(scene: &mut Scene, rows: &[Row]) {
    scene.land(dataset("zoom_daily_report").unwrap(), Partition::Month(day("2026-01-01")), rows);
}

fn counts(scene: &mut Scene, rows: &[Row]) {
    scene.land(dataset("zoom_counts").unwrap(), Partition::Day(day(DAY)), rows);
}

fn coverage(scene: &mut Scene, rows: &[Row]) {
    scene.land(dataset("zoom_coverage").unwrap(), Partition::Day(day(DAY)), rows);
}

fn calls(org: Org, legs: &[Leg<'_>]) -> BTreeMap<String, String> {
    let rows: Vec<Row> = legs.iter().map(leg).collect();
    let scene = scene(org.clone(), &rows);
    let errors: Vec<_> = scene.findings(&[]).into_iter().filter(|it| it.severity == Severity::Error).collect();
    assert_eq!(errors, [], "{legs:?}");
    let found = scene.mart().remove(0);
    // In any order, and delivered twice, the same.
    let again: Vec<Row> = rows.iter().rev().chain(&rows).cloned().collect();
    assert_eq!(self::scene(org, &again).mart().remove(0), found);
    found
}

const NOON: &str = "2026-01-20T18:00:00Z";
const LATER: &str = "2026-01-20T18:00:20Z";

#[test]
fn a_call_is_counted_once_by_its_first_leg() {
    let queue = [
        ("a", "1", "inbound", NOON, 20, "ring_timeout"),
        ("a", "2", "inbound", NOON, 20, "no_answer"),
        ("a", "3", "inbound", LATER, 90, "answered"),
        ("a", "4", "outbound", "2026-01-20T18:02:00Z", 45, "connected"),
    ];
    let row = calls(zoom_org(|_| {}), &queue);
    // Two conversations of 90 and 45 seconds: the longer counts, and 90 seconds are two minutes.
    let expected = [
        ("total_calls", "1"),
        ("inbound_calls", "1"),
        ("outbound_calls", "0"),
        ("missed_calls", "0"),
        ("total_call_minutes", "2"),
        ("avg_call_duration_mins", "1.50"),
    ];
    assert_row(&row, &expected);
    // Of two legs that begin together the one that was placed comes first.
    let internal = [("a", "1", "inbound", NOON, 60, "answered"), ("a", "2", "outbound", NOON, 61, "connected")];
    let row = calls(zoom_org(|_| {}), &internal);
    assert_row(&row, &[("outbound_calls", "1"), ("inbound_calls", "0"), ("avg_call_duration_mins", "1.02")]);
}

#[test]
fn missed_is_what_the_last_leg_says_unless_somebody_answered() {
    let first = ("a", "1", "inbound", NOON, 20, "voicemail");
    for (last, missed) in [
        ("missed", "1"),
        ("no_answer", "1"),
        ("ring_timeout", "1"),
        ("abandoned", "1"),
        ("busy", "1"),
        ("voicemail", "0"),
        ("rejected", "0"),
        ("system_blocked", "0"),
        ("", "0"),
        ("answered", "0"),
    ] {
        let row = calls(zoom_org(|_| {}), &[first, ("a", "2", "inbound", LATER, 10, last)]);
        assert_row(&row, &[("inbound_calls", "1"), ("missed_calls", missed)]);
    }
    // Ring time is no talk.
    let row = calls(zoom_org(|_| {}), &[("a", "1", "inbound", NOON, 600, "no_answer")]);
    assert_row(&row, &[("missed_calls", "1"), ("total_call_minutes", "0"), ("avg_call_duration_mins", "0.00")]);
    // Answered first and left ringing after: somebody was reached.
    let row = calls(
        zoom_org(|_| {}),
        &[("a", "1", "inbound", NOON, 30, "answered"), ("a", "2", "inbound", LATER, 9, "busy")],
    );
    assert_row(&row, &[("missed_calls", "0"), ("total_call_minutes", "1")]);
    // An attempt of ours is not missed.
    let row = calls(zoom_org(|_| {}), &[("a", "1", "outbound", NOON, 30, "no_answer")]);
    assert_row(&row, &[("outbound_calls", "1"), ("missed_calls", "0")]);
}

#[test]
fn what_is_connected_and_missed_is_a_setting() {
    let voicemail = [("a", "1", "inbound", NOON, 20, "voicemail")];
    assert_row(&calls(zoom_org(|zoom| zoom.voicemail_is_missed = true), &voicemail), &[("missed_calls", "1")]);
    let org = zoom_org(|zoom| {
        zoom.connected_results = vec!["voicemail".into()];
        zoom.missed_results = vec!["answered".into()];
    });
    let legs = [("a", "1", "inbound", NOON, 60, "voicemail"), ("b", "2", "inbound", NOON, 60, "answered")];
    assert_row(&calls(org, &legs), &[("missed_calls", "1"), ("total_call_minutes", "1")]);
}

/// Facts of job 4: day assignment at 23:30 local, which is the next day in UTC.
#[test]
fn a_call_belongs_to_the_local_day_of_its_first_leg() {
    let legs = [
        ("before", "1", "inbound", "2026-01-20T05:59:59Z", 60, "answered"),
        ("first", "2", "inbound", "2026-01-20T06:00:00Z", 60, "answered"),
        ("half past eleven at night", "3", "inbound", "2026-01-21T05:30:00Z", 60, "answered"),
        ("over midnight", "4", "inbound", "2026-01-21T05:59:59Z", 1, "no_answer"),
        ("over midnight", "5", "inbound", "2026-01-21T06:00:10Z", 60, "answered"),
        ("after", "6", "inbound", "2026-01-21T06:00:00Z", 60, "answered"),
        ("over the midnight before", "7", "outbound", "2026-01-20T05:59:50Z", 1, "no_answer"),
        ("over the midnight before", "8", "inbound", "2026-01-20T06:00:10Z", 60, "answered"),
    ];
    let row = calls(zoom_org(|_| {}), &legs);
    assert_row(&row, &[("inbound_calls", "3"), ("outbound_calls", "0"), ("total_call_minutes", "3")]);
}

/// Calls of three days in a row, counted for each.
fn inbound_around(dates: [&str; 3], instants: &[&str]) -> [String; 3] {
    let legs: Vec<Row> = instants.iter().map(|at| leg(&(at, at, "inbound", at, 60, "answered"))).collect();
    let mut scene = Scene::new("etl_zoom_metrics", zoom_org(|_| {}), dates[0], dates[2]);
    for date in dates {
        // The pull of a day holds what the source gives for it; which day a call is of is for the mart to say.
        let partition = Partition::Day(day(date));
        scene.land(dataset("zoom_call_legs").unwrap(), partition, &legs);
        let covered = [cover(date, "calls", true), cover(date, "daily_report", true)];
        scene.land(dataset("zoom_coverage").unwrap(), partition, &covered);
    }
    scene.land(dataset("zoom_daily_report").unwrap(), Partition::month_of(day(dates[0])), &[]);
    let mart = scene.mart();
    assert_eq!(mart.iter().map(|row| row["metric_date"].as_str()).collect::<Vec<_>>(), dates);
    [0, 1, 2].map(|at| mart[at]["inbound_calls"].clone())
}

#[test]
fn days_of_23_and_25_hours_hold_the_calls_of_their_own_hours() {
    // On 8 March 2026 Chicago goes from six hours behind to five: its 8th is 06:00 to 05:00 in UTC.
    let spring = ["2026-03-07", "2026-03-08", "2026-03-09"];
    for (at, expected) in [
        ("2026-03-08T05:59:59.999Z", ["1", "0", "0"]),
        ("2026-03-08T06:00:00Z", ["0", "1", "0"]),
        // Either side of the hour that does not exist.
        ("2026-03-08T07:59:59.999Z", ["0", "1", "0"]),
        ("2026-03-08T08:00:00Z", ["0", "1", "0"]),
        ("2026-03-09T04:59:59.999Z", ["0", "1", "0"]),
        ("2026-03-09T05:00:00Z", ["0", "0", "1"]),
    ] {
        assert_eq!(inbound_around(spring, &[at]), expected, "{at}");
    }
    // On 1 November 2026 it goes back: 05:00 to 06:00 of the next day, with half past one at night twice.
    let autumn = ["2026-10-31", "2026-11-01", "2026-11-02"];
    for (at, expected) in [
        ("2026-11-01T04:59:59.999Z", ["1", "0", "0"]),
        ("2026-11-01T05:00:00Z", ["0", "1", "0"]),
        ("2026-11-02T05:59:59.999Z", ["0", "1", "0"]),
        ("2026-11-02T06:00:00Z", ["0", "0", "1"]),
    ] {
        assert_eq!(inbound_around(autumn, &[at]), expected, "{at}");
    }
    assert_eq!(inbound_around(autumn, &["2026-11-01T06:30:00Z", "2026-11-01T07:30:00Z"]), ["0", "2", "0"]);
}

#[test]
fn the_29th_of_february_has_the_calls_of_its_own_hours() {
    let dates = ["2024-02-28", "2024-02-29", "2024-03-01"];
    for (at, expected) in [
        ("2024-02-29T05:59:59.999Z", ["1", "0", "0"]),
        ("2024-02-29T06:00:00Z", ["0", "1", "0"]),
        ("2024-03-01T05:59:59.999Z", ["0", "1", "0"]),
        ("2024-03-01T06:00:00Z", ["0", "0", "1"]),
    ] {
        assert_eq!(inbound_around(dates, &[at]), expected, "{at}");
    }
}

/// Facts of job 4: a call without a result; and one of an unknown direction, which is neither in nor out.
#[test]
fn calls_that_say_little_are_counted_as_far_as_they_go() {
    let legs = [
        ("a", "1", "inbound", NOON, 7, ""),
        ("b", "2", "", NOON, 600, "answered"),
        ("c", "3", "sideways", NOON, 600, "answered"),
        ("d", "4", "inbound", NOON, 30, "busy"),
        ("e", "5", "inbound", NOON, 90, "answered"),
    ];
    let rows: Vec<Row> = legs.iter().map(leg).collect();
    let scene = scene(zoom_org(|_| {}), &rows);
    let expected = [("total_calls", "3"), ("missed_calls", "1"), ("avg_call_duration_mins", "1.50")];
    assert_row(&scene.mart()[0], &expected);
    let findings: Vec<_> = scene.findings(&[]).iter().map(ToString::to_string).collect();
    assert_eq!(
        findings,
        [
            "warning no_result: 1 of 3 legs have no result; a call without any is not known to be missed, and has no \
             minutes",
            "warning unknown_direction 2026-01-20: 2 calls are neither inbound nor outbound and are not counted",
        ]
    );
}

/// What is said of a day of calls, with its row.
fn said_of(legs: &[Row]) -> (Vec<String>, BTreeMap<String, String>) {
    let scene = scene(zoom_org(|_| {}), legs);
    (scene.findings(&[]).iter().map(ToString::to_string).collect(), scene.mart().remove(0))
}

#[test]
fn a_day_whose_legs_have_no_result_is_no_day_of_zeros() {
    let silent = |count: usize, direction: &str| -> Vec<Row> {
        let ids = (0..count).map(|id| id.to_string());
        ids.map(|id| leg(&(&id, &id, direction, NOON, 60, ""))).collect()
    };
    let unknown = [("missed_calls", "null"), ("total_call_minutes", "null"), ("avg_call_duration_mins", "null")];
    let (findings, row) = said_of(&silent(5, "inbound"));
    assert_row(&row, &unknown);
    assert_row(&row, &[("total_calls", "5"), ("inbound_calls", "5")]);
    let held = "error no_result 2026-01-20: none of 5 legs has a result: which calls connected, and which were missed, \
                is unknown";
    assert_eq!(findings, [held]);
    // A handful is a quiet day: what is unknown is null, and the rest is published.
    let (findings, row) = said_of(&silent(4, "inbound"));
    assert_row(&row, &unknown);
    assert_eq!(findings.len(), 1);
    assert!(findings[0].starts_with("warning no_result: 4 of 4 legs have no result"), "{findings:?}");
    // A call that we place is not missed, whatever became of it.
    let (_, row) = said_of(&silent(2, "outbound"));
    assert_row(&row, &[("missed_calls", "0"), ("total_call_minutes", "null"), ("avg_call_duration_mins", "null")]);
    // One that is known is enough to count it: a minute and a half, of one call.
    let mut legs = silent(9, "inbound");
    legs.push(leg(&("a", "a", "inbound", NOON, 90, "answered")));
    let (findings, row) = said_of(&legs);
    assert_row(&row, &[("missed_calls", "0"), ("total_call_minutes", "2"), ("avg_call_duration_mins", "1.50")]);
    assert!(findings[0].starts_with("warning no_result: 9 of 10 legs have no result"), "{findings:?}");
    // One leg in twenty is nothing to tell of every night.
    let answered = (1..20).map(|id| leg(&(&format!("a{id}"), &format!("a{id}"), "inbound", NOON, 60, "answered")));
    let (findings, _) = said_of(&answered.chain(silent(1, "inbound")).collect::<Vec<_>>());
    assert_eq!(findings, [""; 0]);
    // Of a call with several legs one result is enough.
    let (_, row) = said_of(&[
        leg(&("a", "1", "inbound", NOON, 20, "")),
        leg(&("a", "2", "inbound", LATER, 20, "no_answer")),
        leg(&("b", "3", "inbound", NOON, 20, "no_answer")),
        leg(&("b", "4", "inbound", LATER, 20, "")),
    ]);
    assert_row(&row, &[("missed_calls", "1"), ("total_call_minutes", "0"), ("avg_call_duration_mins", "0.00")]);
}

#[test]
fn a_duration_that_is_missing_is_the_time_from_answer_to_end_or_unknown() {
    let open = |id: &str, result: &str| {
        let mut row = leg(&(id, id, "inbound", NOON, 0, result));
        row.0.remove("seconds");
        row
    };
    let between =
        |id: &str, answered: &str, ended: &str| open(id, "answered").at("answered_at", answered).at("ended_at", ended);
    // Twenty seconds of ringing, then two minutes and three seconds of talk.
    let (findings, row) = said_of(&[between("a", LATER, "2026-01-20T18:02:23Z")]);
    assert_row(&row, &[("total_call_minutes", "2"), ("avg_call_duration_mins", "2.05")]);
    assert_eq!(findings, <[&str; 0]>::default());
    // An unknown length adds nothing and divides nothing: three minutes of one call.
    let known = leg(&("b", "b", "inbound", NOON, 180, "answered"));
    let (findings, row) = said_of(&[open("a", "answered"), known.clone()]);
    assert_row(&row, &[("total_calls", "2"), ("total_call_minutes", "3"), ("avg_call_duration_mins", "3.00")]);
    let some =
        "warning no_duration: 1 of 2 connected legs have no duration, nor an answer and an end, and add no minutes";
    assert_eq!(findings, [some]);
    // An end before the answer is no length, and half of the pair none either.
    for broken in [between("a", LATER, NOON), open("a", "answered").at("answered_at", NOON)] {
        assert_eq!(said_of(&[broken, known.clone()]).0, [some]);
    }
    // Where none has a length, there are no minutes; an unanswered call beside them does not make it zero.
    let unknown = [("missed_calls", "1"), ("total_call_minutes", "null"), ("avg_call_duration_mins", "null")];
    let rows = |count: usize| -> Vec<Row> {
        let open = (0..count).map(|id| open(&id.to_string(), "connected"));
        open.chain([leg(&("z", "z", "inbound", NOON, 30, "busy"))]).collect()
    };
    let (findings, row) = said_of(&rows(4));
    assert_row(&row, &unknown);
    assert!(findings[0].starts_with("warning no_duration: 4 of 4 connected legs"), "{findings:?}");
    let (findings, row) = said_of(&rows(5));
    assert_row(&row, &unknown);
    assert_eq!(
        findings,
        ["error no_duration 2026-01-20: none of 5 connected legs has a duration, nor an answer and an end"]
    );
}

#[test]
fn minutes_need_a_connected_call() {
    let busy = scene(zoom_org(|_| {}), &[leg(&("a", "1", "inbound", NOON, 30, "busy"))]);
    let found = rules_after(&busy, "update mart set total_call_minutes = 1");
    assert_eq!(found, [("impossible".to_owned(), Severity::Error, Some(day(DAY)))]);
}

/// A day with so many meetings, users, phone users and queues.
fn sized(date: &str, meetings: i64, users: i64, phone_users: i64, queues: i64) -> Scene {
    let mut scene = Scene::new("etl_zoom_metrics", zoom_org(|_| {}), date, date);
    let partition = Partition::Day(day(date));
    let mut land = |name, partition, rows: &[Row]| scene.land(dataset(name).unwrap(), partition, rows);
    land("zoom_call_legs", partition, &[]);
    let listed = Row::default().day("report_date", date).int("meetings", meetings);
    let listed = listed.int("participants", 2 * meetings).int("meeting_minutes", 30 * meetings);
    land("zoom_daily_report", Partition::month_of(day(date)), &[listed]);
    let counted = [
        count("users", "active", users),
        count("phone_users", "activate", phone_users),
        count("call_queues", "all", queues),
    ];
    land("zoom_counts", partition, &counted);
    land("zoom_coverage", partition, &[cover(date, "calls", true), cover(date, "daily_report", true)]);
    scene
}

#[test]
fn meetings_users_and_queues_that_vanish_or_multiply_are_told() {
    let published = sized("2026-01-19", 20, 10, 8, 6).compute().unwrap().1;
    let said = |scene: Scene| -> Vec<String> {
        let findings = scene.findings(&published);
        // That there are days without calls is another rule's.
        findings.iter().map(ToString::to_string).filter(|said| !said.contains("stale")).collect()
    };
    // The next day's meetings are its own; its users are held against those of the day before.
    assert_eq!(said(sized("2026-01-20", 1, 9, 8, 6)), <[&str; 0]>::default());
    assert_eq!(
        said(sized("2026-01-20", 20, 4, 0, 2)),
        [
            "warning volume 2026-01-20: 0 phone users where 8 are published for 2026-01-19",
            "warning volume 2026-01-20: 2 call queues where 6 are published for 2026-01-19",
            "warning volume 2026-01-20: 4 users where 10 are published for 2026-01-19",
        ]
    );
    assert_eq!(
        said(sized("2026-01-20", 20, 16, 8, 6)),
        ["warning jump 2026-01-20: 16 users where 10 are published for 2026-01-19"]
    );
    // The same day again.
    assert_eq!(
        said(sized("2026-01-19", 0, 10, 8, 10)),
        [
            "warning jump 2026-01-19: 10 call queues where 6 are published",
            "warning volume 2026-01-19: 0 meetings where 20 are published",
        ]
    );
    assert_eq!(
        said(sized("2026-01-19", 31, 10, 8, 6)),
        ["warning jump 2026-01-19: 31 meetings where 20 are published"]
    );
    // A handful moves by any share.
    let published = sized("2026-01-19", 4, 4, 4, 4).compute().unwrap().1;
    assert_eq!(sized("2026-01-19", 0, 0, 0, 9).findings(&published), []);
}

#[test]
fn a_newest_day_that_the_report_does_not_list_is_told() {
    let dates = ["2026-01-19", DAY];
    for (listed, rules) in [
        (&dates[..], vec![]),
        (&dates[..1], vec![("unlisted".to_owned(), Some(day(DAY)))]),
        // A day before it may have had no meetings.
        (&dates[1..], vec![]),
    ] {
        let mut scene = Scene::new("etl_zoom_metrics", zoom_org(|_| {}), dates[0], dates[1]);
        for date in dates {
            let covered = [cover(date, "calls", true), cover(date, "daily_report", true)];
            scene.land(dataset("zoom_call_legs").unwrap(), Partition::Day(day(date)), &[]);
            scene.land(dataset("zoom_coverage").unwrap(), Partition::Day(day(date)), &covered);
        }
        let rows = listed.iter().map(|date| Row::default().day("report_date", date).int("meetings", 0));
        report(&mut scene, &rows.collect::<Vec<_>>());
        assert_eq!(scene.rules(), rules, "{listed:?}");
    }
}

#[test]
fn meetings_and_people_are_what_zoom_reports() {
    let row = scene(zoom_org(|_| {}), &[]).mart().remove(0);
    let expected = [
        ("total_users", "11"),
        ("phone_users", "5"),
        ("queue_count", "0"),
        ("total_meetings", "3"),
        ("total_participants", "8"),
        ("total_meeting_minutes", "100"),
        ("avg_meeting_duration_mins", "33.33"),
        ("total_calls", "0"),
        ("total_call_minutes", "0"),
        ("avg_call_duration_mins", "0.00"),
    ];
    assert_row(&row, &expected);
}

/// Facts of job 4: a day that the daily report does not list had no meetings; what it leaves open is unknown.
#[test]
fn a_day_missing_in_the_report_is_zero_and_an_unknown_is_null() {
    let both = [cover(DAY, "calls", true), cover(DAY, "daily_report", true)];
    let mut absent = bare(zoom_org(|_| {}), &[]);
    report(&mut absent, &[Row::default().day("report_date", "2026-01-19").int("meetings", 9)]);
    coverage(&mut absent, &both);
    let row = absent.mart().remove(0);
    assert_row(&row, &[("total_meetings", "0"), ("total_participants", "0"), ("avg_meeting_duration_mins", "0.00")]);
    // No snapshot of the day was ever taken.
    assert_row(&row, &[("total_users", "null"), ("phone_users", "null"), ("queue_count", "null")]);
    let mut open = bare(zoom_org(|_| {}), &[]);
    report(&mut open, &[Row::default().day("report_date", DAY).int("meetings", 9)]);
    coverage(&mut open, &both);
    let row = open.mart().remove(0);
    assert_row(&row, &[("total_meetings", "9"), ("total_participants", "null"), ("avg_meeting_duration_mins", "null")]);
}

#[test]
fn what_the_account_does_not_have_is_null_and_warned_of_once() {
    let mut scene = bare(zoom_org(|_| {}), &[]);
    report(&mut scene, &[]);
    coverage(&mut scene, &[cover(DAY, "calls", false), cover(DAY, "daily_report", false)]);
    let lacking =
        |list| Row::default().text("list_name", list).text("status", "x").flag("is_available", false).int("code", 2031);
    counts(&mut scene, &[count("users", "active", 4), lacking("phone_users"), lacking("call_queues")]);
    let row = scene.mart().remove(0);
    for (name, value) in &row {
        let known = ["metric_date", "total_users"].contains(&name.as_str());
        assert_eq!(value == "null", !known, "{name} is {value}");
    }
    let findings = scene.findings(&[]);
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!((findings[0].rule.as_str(), findings[0].period), ("not_available", None));
    assert_eq!(
        findings[0].detail,
        "the account does not have call_queues (Zoom says 2031), calls (Zoom says 200), daily_report (Zoom says 200), \
         phone_users (Zoom says 2031): their columns are null"
    );
}

#[test]
fn a_day_of_which_zoom_told_nothing_has_no_row() {
    let mut scene = bare(zoom_org(|_| {}), &[]);
    report(&mut scene, &[]);
    coverage(&mut scene, &[cover("2026-01-19", "calls", true)]);
    let error = format!("{:#}", scene.compute().err().unwrap());
    assert!(error.ends_with("a period has exactly one row, but 2026-01-20 has no row"), "{error}");
}

/// The checks over a mart that is changed after it was computed.
fn rules_after(scene: &Scene, change: &str) -> Vec<(String, Severity, Option<NaiveDate>)> {
    let (compute, _) = scene.compute().unwrap();
    compute.connection().execute_batch(change).unwrap();
    let findings = marts::audit::audit(&compute, &[]).unwrap();
    findings.into_iter().map(|finding| (finding.rule, finding.severity, finding.period)).collect()
}

#[test]
fn every_check_fires_on_what_is_broken_and_on_nothing_else() {
    let legs = [("a", "1", "inbound", NOON, 90, "answered"), ("b", "2", "outbound", NOON, 90, "busy")];
    let rows: Vec<Row> = legs.iter().map(leg).collect();
    let good = scene(zoom_org(|_| {}), &rows);
    assert_eq!(good.rules(), []);
    let at = Some(day(DAY));
    for (change, rule, severity) in [
        ("total_calls = 3", "calls_and_total", Severity::Error),
        ("inbound_calls = 2, total_calls = 3", "calls_and_total", Severity::Error),
        ("missed_calls = 2", "impossible", Severity::Error),
        ("total_users = -1", "impossible", Severity::Error),
        ("total_participants = 0", "meetings", Severity::Warning),
        ("avg_call_duration_mins = null", "too_large", Severity::Warning),
        ("avg_meeting_duration_mins = null", "too_large", Severity::Warning),
    ] {
        let found = rules_after(&good, &format!("update mart set {change}"));
        assert_eq!(found, [(rule.to_owned(), severity, at)], "{change}");
    }
    // A part of the day that nothing is known of.
    let mut half = bare(zoom_org(|_| {}), &rows);
    report(&mut half, &[]);
    coverage(&mut half, &[cover(DAY, "calls", true)]);
    assert_eq!(half.rules(), [("not_covered".into(), at)]);
    // More announced than given, of calls and of people.
    let mut short = bare(zoom_org(|_| {}), &rows);
    report(&mut short, &[]);
    coverage(
        &mut short,
        &[cover(DAY, "calls", true).int("announced", 3).int("received", 2), cover(DAY, "daily_report", true)],
    );
    counts(&mut short, &[count("users", "active", 4).int("announced", 9)]);
    assert_eq!(short.rules(), [("incomplete".into(), at), ("incomplete".into(), at), ("unlisted".into(), at)]);
    // A result that nobody has classed.
    let odd = scene(zoom_org(|_| {}), &[leg(&("a", "1", "inbound", NOON, 9, "teleported"))]);
    let findings = odd.findings(&[]);
    assert_eq!(findings[0].detail, "1 legs end with a result that nobody has classed: teleported");
    // Most of the calls that are published are gone.
    let many: Vec<Row> =
        (0..9).map(|at| leg(&(&at.to_string(), &at.to_string(), "inbound", NOON, 9, "busy"))).collect();
    let published = scene(zoom_org(|_| {}), &many).compute().unwrap().1;
    let findings = good.findings(&published);
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].detail, "2 calls where 9 are published");
    assert_eq!(scene(zoom_org(|_| {}), &many).findings(&published), []);
}

#[test]
fn contributions_name_the_calls_and_pages_behind_a_figure() {
    let legs = [("a", "1", "inbound", NOON, 90, "answered"), ("a", "2", "inbound", LATER, 9, "busy")];
    let rows: Vec<Row> = legs.iter().map(leg).collect();
    let scene = scene(zoom_org(|_| {}), &rows);
    let (compute, _) = scene.compute().unwrap();
    let found = super::support::rows(&compute.contributions().unwrap().batches);
    let mut keys: Vec<_> = found.iter().map(|row| format!("{} {}", row["source_dataset"], row["source_key"])).collect();
    keys.sort();
    assert_eq!(keys[0], "zoom_call_legs a");
    assert_eq!(keys.len(), 1 + 1 + 4);
    assert!(found.iter().all(|row| row["source_page"] == "0"), "{found:?}");
}

/// The rules of calls a second time, in Rust: inbound, outbound, missed, connected, seconds. `None` where nothing that
/// would have counted is known. Results from 13 on are none.
fn expected(legs: &[(u8, u8, u8, i64, usize)]) -> (i64, i64, Option<i64>, Option<(i64, i64)>) {
    let mut calls: BTreeMap<u8, Vec<(i64, u8, usize, i64)>> = BTreeMap::new();
    for (at, (call, direction, start, seconds, _)) in legs.iter().enumerate() {
        calls.entry(*call).or_default().push((i64::from(*start), *direction, at, *seconds));
    }
    let (mut inbound, mut outbound, mut missed, mut connected, mut total) = (0, 0, 0, 0, 0);
    let (mut silent, mut silent_inbound) = (0, 0);
    for mut of_call in calls.into_values() {
        of_call.sort_by_key(|(start, direction, at, _)| (*start, [1, 0, 2][usize::from(*direction)], *at));
        let direction = of_call[0].1;
        let talk = of_call.iter().filter(|leg| legs[leg.2].4 < 6).map(|leg| leg.3).max();
        of_call.sort_by_key(|(start, _, at, _)| (*start, *at));
        let last = legs[of_call[of_call.len() - 1].2].4;
        if direction == 2 {
            continue;
        }
        inbound += i64::from(direction == 0);
        outbound += i64::from(direction == 1);
        if of_call.iter().all(|leg| legs[leg.2].4 == 13) {
            silent += 1;
            silent_inbound += i64::from(direction == 0);
            continue;
        }
        missed += i64::from(direction == 0 && talk.is_none() && (6..11).contains(&last));
        connected += i64::from(talk.is_some());
        total += talk.unwrap_or_default();
    }
    let missed = (inbound == 0 || silent_inbound < inbound).then_some(missed);
    (inbound, outbound, missed, (connected > 0 || silent == 0).then_some((connected, total)))
}

#[test]
fn the_zoom_mart_agrees_with_a_second_writing_of_its_rules() {
    let words: Vec<&str> =
        Zoom::CONNECTED.into_iter().chain(Zoom::MISSED).chain(["voicemail", "rejected", ""]).collect();
    let leg_of = (0u8..8, 0u8..3, 0u8..4, 0i64..400, 0..words.len());
    let mut runner = TestRunner::new(ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() });
    let outcome = runner.run(&prop::collection::vec(leg_of, 0..30), |legs| {
        let rows: Vec<Row> = legs
            .iter()
            .enumerate()
            .map(|(at, (call, direction, start, seconds, result))| {
                let (id, at) = (format!("{at:04}"), format!("2026-01-20T18:0{start}:00Z"));
                let direction = ["inbound", "outbound", ""][usize::from(*direction)];
                leg(&(&call.to_string(), &id, direction, &at, *seconds, words[*result]))
            })
            .collect();
        let row = scene(zoom_org(|_| {}), &rows).mart().remove(0);
        let (inbound, outbound, missed, talk) = expected(&legs);
        let average = match talk {
            None => "null".to_owned(),
            Some((0, _)) => "0.00".to_owned(),
            Some((calls, total)) => {
                let hundredths = (200 * total + 60 * calls) / (120 * calls);
                format!("{}.{:02}", hundredths / 100, hundredths % 100)
            }
        };
        let or_null = |number: Option<i64>| number.map_or("null".to_owned(), |number| number.to_string());
        for (name, value) in [
            ("inbound_calls", inbound.to_string()),
            ("outbound_calls", outbound.to_string()),
            ("missed_calls", or_null(missed)),
            ("total_call_minutes", or_null(talk.map(|(_, total)| (total + 30) / 60))),
            ("avg_call_duration_mins", average),
        ] {
            prop_assert_eq!(&row[name], &value, "{}", name);
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}
