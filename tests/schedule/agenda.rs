//! What is due when: a scheduler's nights on a simulated clock.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use marts::config::Config;
use marts::jobs::JOBS;
use marts::ledger::{Attempt, RunId, Status};
use marts::periods;
use marts::schedule::agenda;

const ORG: &str = r#"
[[org]]
slug = "acme"
name = "Acme"
timezone = "America/Chicago"
fiscal_year_start_month = 1
[org.softbase]
schema = "ben002"
[org.softbase.server]
host = "127.0.0.1"
database = "evo"
user = "reader"
password = "env:PASSWORD"
[org.hubspot]
access_token = "env:TOKEN"
"#;

/// The jobs of ORG.
const ITS_JOBS: [&str; 4] = ["etl_sales_daily", "etl_rental_fleet", "etl_hubspot_contacts", "etl_hubspot_deals"];

fn config(schedule: &str) -> Config {
    let (org, connectors) = ORG.split_once("[org.softbase]").unwrap();
    let (settings, times) = schedule.split_once("---").unwrap_or((schedule, ""));
    Config::parse(&format!("{settings}\n{org}\n{times}\n[org.softbase]{connectors}"), Path::new("/")).unwrap()
}

fn utc(text: &str) -> DateTime<Utc> {
    format!("{}:00Z", text.replace(' ', "T")).parse().unwrap()
}

/// A run that a simulated scheduler began.
#[derive(Debug, Clone, PartialEq)]
struct Ran {
    at: DateTime<Utc>,
    jobs: Vec<&'static str>,
}

/// A scheduler between two instants: it looks at least every hour, and a run takes five minutes.
struct Simulation<'a> {
    config: &'a Config,
    now: DateTime<Utc>,
    attempts: Vec<Attempt>,
    ran: Vec<Ran>,
}

impl<'a> Simulation<'a> {
    fn new(config: &'a Config, from: &str) -> Self {
        Simulation { config, now: utc(from), attempts: Vec::new(), ran: Vec::new() }
    }

    fn until(&mut self, to: &str, mut ends: impl FnMut(&str, DateTime<Utc>) -> Status) -> &mut Self {
        while self.now <= utc(to) {
            let agenda = agenda(self.config, &self.attempts, self.now).unwrap();
            for task in &agenda.due {
                self.ran.push(Ran { at: self.now, jobs: task.jobs.iter().map(|job| job.name).collect() });
                let run = RunId::new(self.now);
                for job in &task.jobs {
                    let status = ends(job.name, self.now);
                    self.attempts.push(attempt(&run, job.name, self.now, status));
                }
            }
            // As the ledger is read: the newest.
            let old = self.attempts.len().saturating_sub(24);
            self.attempts.drain(..old);
            let hour = self.now + TimeDelta::hours(1);
            self.now = if agenda.due.is_empty() {
                agenda.next.unwrap_or(hour).min(hour)
            } else {
                self.now + TimeDelta::minutes(5)
            };
        }
        self
    }

    /// When the runs of a job began, in Chicago.
    fn local(&self, job: &str) -> Vec<String> {
        let ran = self.ran.iter().filter(|ran| ran.jobs.contains(&job));
        ran.map(|ran| ran.at.with_timezone(&chrono_tz::America::Chicago).format("%m-%d %H:%M %Z").to_string()).collect()
    }
}

fn attempt(run: &RunId, job: &str, began: DateTime<Utc>, status: Status) -> Attempt {
    let as_of = periods::last_complete_day(began, chrono_tz::America::Chicago);
    Attempt {
        run_id: run.to_string(),
        org: "acme".to_owned(),
        job: job.to_owned(),
        mart: marts::jobs::job(job).unwrap().mart.to_owned(),
        as_of,
        status,
        began,
        ended: (status != Status::Running).then(|| began + TimeDelta::minutes(5)),
        first_period: Some(as_of),
        last_period: Some(as_of),
        rows: None,
        error: None,
        detail: serde_json::json!({}),
    }
}

fn success(_: &str, _: DateTime<Utc>) -> Status {
    Status::Success
}

#[test]
fn each_job_runs_once_for_each_local_date_over_a_year_with_its_changes_of_the_clock() {
    for times in ["", "---[org.schedule]\nall = \"0 2 * * *\"", "---[org.schedule]\nall = \"30 1 * * *\""] {
        let config = config(times);
        let mut simulation = Simulation::new(&config, "2026-01-01 12:00");
        // The first run catches up the night before it began; from then on 365 more.
        simulation.until("2027-01-01 12:00", success);
        for job in ITS_JOBS {
            let mut dates: BTreeMap<String, u32> = BTreeMap::new();
            for at in simulation.local(job) {
                *dates.entry(at[..5].to_owned()).or_default() += 1;
            }
            assert_eq!(dates.len(), 365, "{times} {job}");
            let twice: Vec<_> = dates.iter().filter(|(_, times)| **times != 1).collect();
            // Only the first of January was simulated in two years.
            assert_eq!(twice, [(&"01-01".to_owned(), &2)], "{times} {job}");
        }
    }
}

#[test]
fn two_o_clock_is_run_when_it_does_not_exist_and_one_o_clock_once_when_it_comes_twice() {
    let config = config("---[org.schedule]\netl_sales_daily = \"0 1 * * *\"\netl_rental_fleet = \"0 2 * * *\"");
    let mut spring = Simulation::new(&config, "2026-03-07 07:00");
    spring.until("2026-03-09 12:00", success);
    assert_eq!(spring.local("etl_sales_daily"), ["03-07 01:00 CST", "03-08 01:00 CST", "03-09 01:00 CDT"]);
    assert_eq!(spring.local("etl_rental_fleet")[1..], ["03-07 02:00 CST", "03-08 03:00 CDT", "03-09 02:00 CDT"]);
    let mut autumn = Simulation::new(&config, "2026-10-31 06:00");
    autumn.until("2026-11-02 12:00", success);
    assert_eq!(autumn.local("etl_sales_daily"), ["10-31 01:00 CDT", "11-01 01:00 CDT", "11-02 01:00 CST"]);
    assert_eq!(autumn.local("etl_rental_fleet")[1..], ["10-31 02:00 CDT", "11-01 02:00 CST", "11-02 02:00 CST"]);
}

#[test]
fn jobs_due_together_are_one_run_in_the_order_of_a_night() {
    let specified = config("");
    let mut simulation = Simulation::new(&specified, "2026-01-20 12:00");
    simulation.until("2026-01-21 12:00", success);
    let runs: Vec<_> = simulation.ran.iter().map(|ran| ran.jobs.clone()).collect();
    let contacts_and_deals = ["etl_hubspot_contacts", "etl_hubspot_deals"];
    assert_eq!(
        runs,
        [&ITS_JOBS[..], &["etl_sales_daily"], &["etl_rental_fleet"], &contacts_and_deals],
        "the night that was missed is one run, then each at its time"
    );
    let together = config("---[org.schedule]\nall = \"0 2 * * *\"");
    let mut simulation = Simulation::new(&together, "2026-01-20 08:00");
    simulation.until("2026-01-20 12:00", success);
    assert_eq!(simulation.ran, [Ran { at: utc("2026-01-20 08:00"), jobs: ITS_JOBS.to_vec() }]);
}

#[test]
fn a_missed_night_is_caught_up_within_the_limit_and_only_once() {
    let limited = config("[schedule]\ncatch_up_hours = 6\n---[org.schedule]\nall = \"0 2 * * *\"");
    // 02:00 in Chicago is 08:00 UTC. Nothing ran from the 18th on; at 13:59 it is not too late, at 14:01 it is.
    let first = |from: &str| {
        let mut simulation = Simulation::new(&limited, from);
        simulation.until("2026-01-21 15:00", success);
        simulation.local("etl_sales_daily")
    };
    assert_eq!(first("2026-01-20 13:59"), ["01-20 07:59 CST", "01-21 02:00 CST"]);
    assert_eq!(first("2026-01-20 14:01"), ["01-21 02:00 CST"]);
    // A scheduler that is killed and started again does not repeat what the ledger has.
    let mut simulation = Simulation::new(&limited, "2026-01-20 08:00");
    simulation.until("2026-01-20 08:30", success);
    simulation.now = utc("2026-01-20 08:02");
    simulation.until("2026-01-20 20:00", success);
    assert_eq!(simulation.local("etl_sales_daily"), ["01-20 02:00 CST"]);
}

#[test]
fn a_failed_job_alone_is_tried_again_after_doubling_waits_until_it_succeeds_or_the_cap() {
    let config = config("[schedule]\nretries = 3\nretry_minutes = 15\n---[org.schedule]\nall = \"0 2 * * *\"");
    let always = |job: &str, _| if job == "etl_sales_daily" { Status::Failed } else { Status::Success };
    let mut simulation = Simulation::new(&config, "2026-01-20 08:00");
    simulation.until("2026-01-21 07:00", always);
    // Each try takes five minutes, and the waits of 15, 30 and 60 begin when it has ended.
    let tries = ["01-20 02:00 CST", "01-20 02:20 CST", "01-20 02:55 CST", "01-20 04:00 CST"];
    assert_eq!(simulation.local("etl_sales_daily"), tries);
    assert_eq!(simulation.local("etl_rental_fleet"), tries[..1]);
    // The next night is a new one.
    simulation.until("2026-01-21 08:10", always);
    assert_eq!(simulation.local("etl_sales_daily")[4..], ["01-21 02:00 CST"]);
    let until_three = |job: &str, at| if at < utc("2026-01-20 08:50") { always(job, at) } else { Status::Success };
    let mut simulation = Simulation::new(&config, "2026-01-20 08:00");
    simulation.until("2026-01-21 07:00", until_three);
    assert_eq!(simulation.local("etl_sales_daily"), tries[..3]);
}

#[test]
fn what_the_audit_holds_is_not_tried_again_and_what_was_withheld_goes_with_what_failed() {
    let config = config("---[org.schedule]\nall = \"0 2 * * *\"");
    let night = |of_sales: Status| {
        let mut simulation = Simulation::new(&config, "2026-01-20 08:00");
        simulation.until("2026-01-20 08:50", |job, _| match job {
            "etl_sales_daily" => of_sales,
            // All or nothing: the others passed and were not published.
            _ => Status::Skipped,
        });
        simulation.ran.iter().map(|ran| ran.jobs.len()).collect::<Vec<_>>()
    };
    assert_eq!(night(Status::Held), [4]);
    assert_eq!(night(Status::Partial), [4]);
    assert_eq!(night(Status::Failed), [4, 4]);
}

#[test]
fn a_run_by_hand_counts_when_it_reports_the_same_day_and_no_other_does() {
    let config = config("---[org.schedule]\nall = \"0 2 * * *\"");
    let due = |attempts: &[Attempt]| {
        let agenda = agenda(&config, attempts, utc("2026-01-20 09:00")).unwrap();
        agenda.due.iter().map(|task| task.jobs.len()).sum::<usize>()
    };
    let at = utc("2026-01-20 08:30");
    let by_hand = attempt(&RunId::new(at), "etl_sales_daily", at, Status::Success);
    assert_eq!(due(&[]), 4);
    assert_eq!(due(std::slice::from_ref(&by_hand)), 3);
    // The evening before; a range of last year; another organisation's.
    let before = utc("2026-01-20 04:00");
    assert_eq!(due(&[attempt(&RunId::new(before), "etl_sales_daily", before, Status::Success)]), 4);
    assert_eq!(due(&[Attempt { last_period: "2025-06-30".parse().ok(), ..by_hand.clone() }]), 4);
    assert_eq!(due(&[Attempt { org: "globex".to_owned(), ..by_hand.clone() }]), 4);
    // One that is under way is waited for, a minute at a time.
    let running = Attempt { status: Status::Running, ended: None, ..by_hand };
    assert_eq!(due(std::slice::from_ref(&running)), 3);
    let agenda = agenda(&config, &[running], utc("2026-01-20 09:00")).unwrap();
    assert_eq!(agenda.next, Some(utc("2026-01-20 09:01")));
}

#[test]
fn every_job_has_a_time() {
    for job in JOBS {
        assert!(marts::schedule::Cron::daily(job.schedule).is_ok(), "{}", job.name);
    }
}

#[test]
fn organisations_with_the_same_jobs_due_are_run_together_as_many_as_the_limit_lets() {
    let org = |slug: &str, more: &str| {
        let (head, connectors) = ORG.split_once("[org.softbase]").unwrap();
        format!("{}\n{more}\n[org.softbase]{connectors}", head.replace("acme", slug).replace("Acme", slug))
    };
    let later = "[org.schedule]\netl_hubspot_deals = \"0 23 * * *\"";
    let orgs = [org("one", ""), org("two", later), org("three", ""), org("four", "")].concat();
    let config = Config::parse(&format!("[schedule]\ncatch_up_hours = 14\n{orgs}"), Path::new("/")).unwrap();
    // Nobody was there in the night; deals of two are not caught up with any more.
    let attempts = [];
    let agenda = agenda(&config, &attempts, utc("2026-01-21 20:00")).unwrap();
    let run = |at_once| agenda.run(at_once).iter().map(|task| task.org.slug.clone()).collect::<Vec<_>>();
    assert_eq!(agenda.due.len(), 4);
    let alike = agenda.due.iter().filter(|task| task.jobs.len() == agenda.due[0].jobs.len()).count();
    assert_eq!(alike, 3, "{:?}", agenda.due);
    assert_eq!(run(4), ["one", "three", "four"]);
    assert_eq!(run(2), ["one", "three"]);
    assert_eq!(run(0), ["one"]);
}

/// The source did not have the day that was to be reported: it may have it in a while. Other rows that are held stay
/// held.
#[test]
fn a_day_that_was_not_there_yet_is_asked_for_again_and_what_the_audit_holds_is_not() {
    let config = config("");
    let slot = utc("2026-01-21 07:00");
    let ended = |rule: &str, holds: bool| {
        let run = RunId::new(slot);
        let finding = serde_json::json!({ "rule": rule, "holds": holds, "period": "2026-01-20", "detail": "" });
        let detail = serde_json::json!({ "findings": [finding] });
        let partial = Attempt { detail, ..attempt(&run, "etl_sales_daily", slot, Status::Partial) };
        let due = |minutes| {
            let agenda = agenda(&config, std::slice::from_ref(&partial), slot + TimeDelta::minutes(minutes)).unwrap();
            agenda.due.iter().flat_map(|task| &task.jobs).any(|job| job.name == "etl_sales_daily")
        };
        // A run takes five minutes, and the first wait is a quarter of an hour.
        (due(19), due(20))
    };
    assert_eq!(ended("absent", true), (false, true));
    assert_eq!(ended("absent", false), (false, false), "a day before the last one");
    assert_eq!(ended("closed", true), (false, false));
}
