//! Alerts: what is found wrong, what is said of it when, and that it arrives.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use marts::alerts::{Condition, Kind, Notice, Open, conditions, decide, message};
use marts::config::Config;
use marts::ledger::{Attempt, RunId, Status};
use serde_json::json;

/// One organisation with one job, due at 02:00 in Chicago, which is 08:00 UTC in January.
const CONFIG: &str = r#"
[[org]]
slug = "acme"
name = "Acme & Sons"
timezone = "America/Chicago"
fiscal_year_start_month = 1
[org.schedule]
all = "0 2 * * *"
[org.zoom]
account_id = "a"
client_id = "env:ID"
client_secret = "env:SECRET"
"#;

const JOB: &str = "etl_zoom_metrics";

fn config(alerts: &str) -> Config {
    Config::parse(&format!("[alerts]\n{alerts}\n{CONFIG}"), Path::new("/")).unwrap()
}

fn utc(text: &str) -> DateTime<Utc> {
    format!("{}:00Z", text.replace(' ', "T")).parse().unwrap()
}

fn attempt(began: &str, status: Status) -> Attempt {
    let began = utc(began);
    let as_of = marts::periods::last_complete_day(began, chrono_tz::America::Chicago);
    Attempt {
        run_id: RunId::new(began).to_string(),
        org: "acme".to_owned(),
        job: JOB.to_owned(),
        mart: "mart_zoom_metrics".to_owned(),
        as_of,
        status,
        began,
        ended: (status != Status::Running).then(|| began + TimeDelta::minutes(5)),
        first_period: Some(as_of - chrono::Days::new(2)),
        last_period: Some(as_of),
        rows: Some(3),
        error: None,
        detail: json!({}),
    }
}

fn found(config: &Config, attempts: &[Attempt], now: &str) -> Vec<Condition> {
    let installed = BTreeMap::from([("acme".to_owned(), utc("2026-01-01 12:00"))]);
    conditions(config, attempts, &installed, utc(now), "marts").unwrap()
}

fn kinds(attempts: &[Attempt], now: &str) -> Vec<Kind> {
    found(&config(""), attempts, now).iter().map(|condition| condition.kind).collect()
}

#[test]
fn the_newest_run_says_what_is_wrong() {
    for (status, kind) in [
        (Status::Success, None),
        (Status::Failed, Some(Kind::Failed)),
        (Status::Held, Some(Kind::Held)),
        (Status::Partial, Some(Kind::Partial)),
        // Told of by the job because of which it was skipped.
        (Status::Skipped, None),
    ] {
        let attempts = [attempt("2026-01-19 08:00", Status::Success), attempt("2026-01-20 08:00", status)];
        assert_eq!(kinds(&attempts, "2026-01-20 08:10"), Vec::from_iter(kind), "{status:?}");
    }
    // A retry that succeeded; a run of last year by hand that failed.
    let mended = [attempt("2026-01-20 08:00", Status::Failed), attempt("2026-01-20 08:20", Status::Success)];
    assert_eq!(kinds(&mended, "2026-01-20 08:30"), []);
    let by_hand = Attempt { last_period: "2025-03-31".parse().ok(), ..attempt("2026-01-20 09:00", Status::Failed) };
    assert_eq!(kinds(&[attempt("2026-01-20 08:00", Status::Success), by_hand], "2026-01-20 09:10"), []);
}

#[test]
fn a_job_is_late_two_hours_after_its_time_unless_a_run_of_it_has_ended() {
    let yesterday = attempt("2026-01-19 08:00", Status::Success);
    assert_eq!(kinds(std::slice::from_ref(&yesterday), "2026-01-20 09:59"), []);
    // By then it is also 26 hours since the last success, and a minute.
    assert_eq!(kinds(std::slice::from_ref(&yesterday), "2026-01-20 10:00"), [Kind::Late]);
    assert_eq!(kinds(std::slice::from_ref(&yesterday), "2026-01-20 10:01"), [Kind::Late, Kind::NoSuccess]);
    let running = attempt("2026-01-20 08:00", Status::Running);
    assert_eq!(kinds(&[yesterday.clone(), running], "2026-01-20 10:00"), [Kind::Late]);
    let failed = attempt("2026-01-20 08:00", Status::Failed);
    assert_eq!(kinds(&[yesterday, failed], "2026-01-20 10:00"), [Kind::Failed]);
}

#[test]
fn a_missing_success_is_noticed_after_26_hours_in_which_the_job_was_due() {
    let good = attempt("2026-01-19 08:00", Status::Success);
    let held = attempt("2026-01-20 08:00", Status::Held);
    assert_eq!(kinds(&[good.clone(), held.clone()], "2026-01-20 10:00"), [Kind::Held]);
    assert_eq!(kinds(&[good.clone(), held], "2026-01-20 10:01"), [Kind::Held, Kind::NoSuccess]);
    // One that never ran is missed from the day on which its organisation came; before that, nothing is known.
    assert_eq!(kinds(&[], "2026-01-02 07:59"), []);
    assert_eq!(kinds(&[], "2026-01-20 10:00"), [Kind::Late, Kind::NoSuccess]);
    // A weekly job may be six days without success.
    let text = CONFIG.replace("0 2 * * *", "0 2 * * MON");
    let weekly = Config::parse(&text, Path::new("/")).unwrap();
    assert_eq!(found(&weekly, std::slice::from_ref(&good), "2026-01-25 12:00"), []);
    assert_eq!(found(&weekly, &[good], "2026-01-26 11:00").len(), 2);
}

#[test]
fn an_alert_says_what_who_since_when_which_rows_and_what_to_type() {
    let config = config("");
    let finding = |period: &str| json!({ "rule": "calls_add_up", "holds": true, "period": period, "detail": "inbound + outbound is 7, not 8" });
    let warning = json!({ "rule": "quiet", "holds": false, "period": null, "detail": "few calls" });
    let held = Attempt {
        run_id: "20260120T080000Z-00000001".to_owned(),
        detail: json!({ "findings": [finding("2026-01-19"), finding("2026-01-18"), warning] }),
        ..attempt("2026-01-20 08:00", Status::Partial)
    };
    let failed = Attempt {
        run_id: "20260121T080000Z-00000002".to_owned(),
        error: Some("etl_zoom_metrics/acme 2026-01-20: pulling zoom_call_legs: 500".to_owned()),
        ..attempt("2026-01-21 08:00", Status::Failed)
    };
    let again = Attempt { run_id: "20260121T082000Z-00000003".to_owned(), ..failed.clone() };
    let good = attempt("2026-01-19 08:00", Status::Success);
    let text = |attempts: &[Attempt], now: &str| {
        let notices: Vec<_> = found(&config, attempts, now).into_iter().map(Notice::New).collect();
        message(&config, &notices, "marts")
    };
    let of_held = text(&[good.clone(), held], "2026-01-20 09:00");
    assert_eq!(of_held.subject, "marts: 1 alert (acme)");
    assert_eq!(
        of_held.text,
        "marts: 1 alert (acme)\n\n\
         PARTLY HELD etl_zoom_metrics of acme (Acme & Sons), since 2026-01-20 02:00 CST\n  \
         why:  calls_add_up: inbound + outbound is 7, not 8; calls_add_up: inbound + outbound is 7, not 8\n  \
         rows: mart_zoom_metrics 2026-01-19, 2026-01-18: kept as published before\n  \
         next: marts show 20260120T080000Z-00000001; when the source is corrected, marts run etl_zoom_metrics --org acme"
    );
    let later = Attempt { began: utc("2026-01-21 08:20"), ..again };
    let of_failed = text(&[attempt("2026-01-20 08:00", Status::Success), failed, later], "2026-01-21 09:00");
    assert_eq!(
        of_failed.text.lines().skip(2).collect::<Vec<_>>(),
        [
            "FAILED etl_zoom_metrics of acme (Acme & Sons), since 2026-01-21 02:00 CST",
            "  why:  etl_zoom_metrics/acme 2026-01-20: pulling zoom_call_legs: 500",
            "  rows: mart_zoom_metrics from 2026-01-18 to 2026-01-20: what was published before stands",
            "  next: marts show 20260121T082000Z-00000003; when it is mended, marts run etl_zoom_metrics --org acme",
        ]
    );
    let of_late = text(&[good], "2026-01-20 10:30").text;
    assert_eq!(
        of_late.lines().skip(2).collect::<Vec<_>>(),
        [
            "LATE etl_zoom_metrics of acme (Acme & Sons), since 2026-01-20 02:00 CST",
            "  why:  due at 2026-01-20 02:00 CST, and no run of it has begun",
            "  rows: mart_zoom_metrics 2026-01-19: not published yet",
            "  next: see whether `marts schedule` is running; to make up for it now, marts run etl_zoom_metrics --org acme",
            "",
            "NO SUCCESS etl_zoom_metrics of acme (Acme & Sons), since 2026-01-19 02:00 CST",
            "  why:  the last success began at 2026-01-19 02:00 CST",
            "  rows: mart_zoom_metrics after 2026-01-18: not published",
            "  next: see whether `marts schedule` is running, and `marts runs`; then marts run etl_zoom_metrics --org acme",
        ]
    );
}

/// A fortnight of alerts on a simulated clock: who is told what when, if every notice arrives.
struct Told {
    open: Vec<Open>,
    said: Vec<String>,
}

impl Told {
    fn at(&mut self, config: &Config, attempts: &[Attempt], now: &str, arrives: bool) {
        let conditions = found(config, attempts, now);
        let now = utc(now);
        let decision = decide(config, &conditions, &self.open, now);
        for Condition { org, job, kind, since, .. } in decision.opened {
            self.open.push(Open { org, job, kind, since, opened_at: now, notified_at: None });
        }
        self.open.retain(|open| !decision.closed.contains(open));
        for notice in decision.notices.iter().filter(|_| arrives) {
            let (what, kind) = match notice {
                Notice::New(condition) => ("new", condition.kind),
                Notice::Reminder(condition) => ("still", condition.kind),
                Notice::Resolved(open) => ("resolved", open.kind),
            };
            self.said.push(format!("{} {what} {}", now.format("%d %H:%M"), kind.name()));
            match notice {
                Notice::Resolved(over) => self.open.retain(|open| open != over),
                _ => {
                    self.open.iter_mut().filter(|open| open.kind == kind).for_each(|open| open.notified_at = Some(now));
                }
            }
        }
    }
}

fn told(alerts: &str, nights: &[(&str, bool)], attempts: &[Attempt]) -> Vec<String> {
    let config = config(alerts);
    let mut told = Told { open: Vec::new(), said: Vec::new() };
    for (now, arrives) in nights {
        let known: Vec<_> = attempts.iter().filter(|attempt| attempt.began <= utc(now)).cloned().collect();
        told.at(&config, &known, now, *arrives);
    }
    told.said
}

#[test]
fn each_alert_is_said_once_reminded_of_daily_and_taken_back() {
    let attempts = [
        attempt("2026-01-19 08:00", Status::Success),
        attempt("2026-01-20 08:00", Status::Failed),
        attempt("2026-01-20 08:20", Status::Failed),
        attempt("2026-01-21 08:00", Status::Failed),
        attempt("2026-01-21 08:20", Status::Success),
    ];
    let times = ["20 08:10", "20 08:30", "20 09:00", "20 10:30", "21 08:09", "21 08:15", "21 08:30", "21 08:40"];
    let times: Vec<String> = times.iter().map(|time| format!("2026-01-{time}")).collect();
    let all: Vec<_> = times.iter().map(|time| (time.as_str(), true)).collect();
    let said = told("", &all, &attempts);
    assert_eq!(
        said,
        [
            "20 08:10 new failed",
            "20 10:30 new no_success",
            "21 08:15 still failed",
            "21 08:30 resolved failed",
            "21 08:30 resolved no_success",
        ]
    );
    assert!(!told("remind_hours = 0", &all, &attempts).iter().any(|said| said.contains("still")));
    // What did not arrive is said by whoever comes next; what nobody was told of is not taken back.
    let lost: Vec<_> = all.iter().map(|(time, _)| (*time, *time > "2026-01-20 08:40")).collect();
    assert_eq!(told("", &lost, &attempts)[0], "20 09:00 new failed");
    let none: Vec<_> = all.iter().map(|(time, _)| (*time, *time > "2026-01-21 08:25")).collect();
    assert_eq!(told("", &none, &attempts), Vec::<String>::new());
}

#[test]
fn what_turned_into_something_else_is_not_called_resolved() {
    let attempts = [
        attempt("2026-01-19 08:00", Status::Success),
        attempt("2026-01-20 08:00", Status::Failed),
        attempt("2026-01-20 08:20", Status::Held),
    ];
    let said = told("", &[("2026-01-20 08:10", true), ("2026-01-20 08:30", true)], &attempts);
    assert_eq!(said, ["20 08:10 new failed", "20 08:30 new held"]);
}

#[test]
fn quiet_hours_hold_back_all_but_a_missing_success() {
    let quiet = "quiet_hours = \"22:00-07:00\"";
    let attempts = [attempt("2026-01-19 08:00", Status::Success), attempt("2026-01-20 08:00", Status::Failed)];
    // 12:59 UTC is 06:59 in Chicago.
    let times = [
        ("2026-01-20 08:10", true),
        ("2026-01-20 10:30", true),
        ("2026-01-20 12:59", true),
        ("2026-01-20 13:00", true),
    ];
    assert_eq!(told(quiet, &times, &attempts), ["20 10:30 new no_success", "20 13:00 new failed"]);
    // What was mended before the quiet hours were over never woke anybody.
    let mended = [attempts[0].clone(), attempts[1].clone(), attempt("2026-01-20 08:20", Status::Success)];
    assert_eq!(told(quiet, &times, &mended), Vec::<String>::new());
}
