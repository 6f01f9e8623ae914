//! What is wrong now: read off the run ledger and the schedule, and nothing else.

use std::collections::BTreeMap;

use anyhow::Result;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::config::{Config, Org};
use crate::jobs::{JOBS, Job};
use crate::ledger::{Attempt, Status};
use crate::periods;
use crate::run::{Finding, source_for};
use crate::schedule;

/// What may be wrong with a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Its newest run failed.
    Failed,
    /// The audit of its newest run kept all of the old rows.
    Held,
    /// It kept some of them.
    Partial,
    /// It was due, and no run of it has ended since.
    Late,
    /// It has had no success for too long: the dead man's switch.
    NoSuccess,
}

impl Kind {
    /// As the table of alerts has it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Failed => "failed",
            Kind::Held => "held",
            Kind::Partial => "partial",
            Kind::Late => "late",
            Kind::NoSuccess => "no_success",
        }
    }

    /// From what the table has.
    pub fn read(name: &str) -> Option<Kind> {
        let all = [Kind::Failed, Kind::Held, Kind::Partial, Kind::Late, Kind::NoSuccess];
        all.into_iter().find(|kind| kind.name() == name)
    }

    /// As an alert begins.
    pub fn title(self) -> &'static str {
        match self {
            Kind::Failed => "FAILED",
            Kind::Held => "HELD",
            Kind::Partial => "PARTLY HELD",
            Kind::Late => "LATE",
            Kind::NoSuccess => "NO SUCCESS",
        }
    }
}

/// Something that is wrong now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Condition {
    pub org: String,
    pub job: String,
    pub kind: Kind,
    pub since: DateTime<Utc>,
    /// Why, in one line.
    pub why: String,
    /// Which rows it is about, and what has become of them.
    pub rows: String,
    /// What to type next.
    pub next: String,
}

/// How many of an audit's findings an alert quotes.
const FINDINGS: usize = 3;

/// What is wrong at `now` with any job of any organisation.
///
/// `installed` says since when each organisation is in the database: a job that has never run is missed from then on at
/// the earliest. `program` is how a command begins.
///
/// # Errors
/// A job whose own time is none, which a test rules out.
pub fn conditions(
    config: &Config,
    attempts: &[Attempt],
    installed: &BTreeMap<String, DateTime<Utc>>,
    now: DateTime<Utc>,
    program: &str,
) -> Result<Vec<Condition>> {
    let mut found = Vec::new();
    for org in &config.orgs {
        for job in JOBS.iter().filter(|job| source_for(job, org).is_some()) {
            let own: Vec<&Attempt> = attempts
                .iter()
                .filter(|attempt| attempt.org == org.slug && attempt.job == job.name && is_of_a_night(attempt, org))
                .collect();
            let known_since = installed.get(&org.slug).copied().unwrap_or(now);
            let view = View { config, org, job, own: &own, known_since, now, program };
            found.extend(view.ended_badly());
            found.extend(view.late(attempts)?);
            found.extend(view.no_success()?);
        }
    }
    Ok(found)
}

/// Whether it reports up to the last day that was complete when it began. What somebody restates by hand is watched by
/// whoever does.
fn is_of_a_night(attempt: &Attempt, org: &Org) -> bool {
    let complete = periods::last_complete_day(attempt.began, org.timezone);
    attempt.as_of >= complete && attempt.last_period.is_none_or(|last| last >= complete)
}

/// One job of one organisation.
struct View<'a> {
    config: &'a Config,
    org: &'a Org,
    job: &'static Job,
    /// Its nights, oldest first.
    own: &'a [&'a Attempt],
    known_since: DateTime<Utc>,
    now: DateTime<Utc>,
    program: &'a str,
}

impl View<'_> {
    fn condition(&self, kind: Kind, since: DateTime<Utc>, why: String, rows: String, next: String) -> Condition {
        Condition { org: self.org.slug.clone(), job: self.job.name.to_owned(), kind, since, why, rows, next }
    }

    fn local(&self, at: DateTime<Utc>) -> String {
        at.with_timezone(&self.org.timezone).format("%Y-%m-%d %H:%M %Z").to_string()
    }

    fn run_it(&self) -> String {
        format!("{} run {} --org {}", self.program, self.job.name, self.org.slug)
    }

    /// Its newest run failed, or is held all or in part.
    fn ended_badly(&self) -> Option<Condition> {
        let newest = self.own.iter().rev().find(|attempt| attempt.status != Status::Running)?;
        let kind = match newest.status {
            Status::Failed => Kind::Failed,
            Status::Held => Kind::Held,
            Status::Partial => Kind::Partial,
            // What was skipped was so because of another job, which is told of.
            Status::Running | Status::Success | Status::Skipped => return None,
        };
        let last_success = self.own.iter().rposition(|attempt| attempt.status == Status::Success);
        let streak = &self.own[last_success.map_or(0, |at| at + 1)..];
        let since = streak.iter().find(|attempt| attempt.status == newest.status).map_or(newest.began, |at| at.began);
        let show = format!("{} show {}", self.program, newest.run_id);
        let mart = &newest.mart;
        let held: Vec<Finding> = findings(newest).into_iter().filter(|finding| finding.holds).collect();
        let (why, rows, next) = match kind {
            Kind::Failed => {
                let rows = match (newest.first_period, newest.last_period) {
                    (Some(first), Some(last)) if first != last => {
                        format!("{mart} from {first} to {last}: what was published before stands")
                    }
                    _ => format!("{mart} {}: what was published before stands", newest.as_of),
                };
                let why = newest.error.clone().unwrap_or_else(|| "no reason was written down".to_owned());
                (why, rows, format!("{show}; when it is mended, {}", self.run_it()))
            }
            _ => {
                let days: Vec<&str> = held.iter().filter_map(|finding| finding.period.as_deref()).collect();
                let days = if days.is_empty() { "all its rows".to_owned() } else { some(&days, ", ") };
                let rows = format!("{mart} {days}: kept as published before");
                let rules: Vec<String> =
                    held.iter().map(|finding| format!("{}: {}", finding.rule, finding.detail)).collect();
                let why = match (&newest.error, rules.is_empty()) {
                    (Some(error), true) => error.clone(),
                    _ => some(&rules.iter().map(String::as_str).collect::<Vec<_>>(), "; "),
                };
                (why, rows, format!("{show}; when the source is corrected, {}", self.run_it()))
            }
        };
        Some(self.condition(kind, since, why, rows, next))
    }

    /// It was due some time ago, and no run of it has ended since.
    fn late(&self, attempts: &[Attempt]) -> Result<Option<Condition>> {
        let cron = self.org.cron(self.job)?;
        let Some(slot) = cron.last(self.now - self.config.alerts.late, self.org.timezone) else { return Ok(None) };
        if self.own.is_empty() && slot < self.known_since {
            return Ok(None);
        }
        let since = schedule::since(self.org, self.job, slot, attempts);
        if since.iter().any(|attempt| attempt.status != Status::Running) {
            return Ok(None);
        }
        let (why, next) = match since.first() {
            Some(running) => (
                format!("due at {}, and still running since {}", self.local(slot), self.local(running.began)),
                format!("{} show {}", self.program, running.run_id),
            ),
            None => (
                format!("due at {}, and no run of it has begun", self.local(slot)),
                format!("see whether `{} schedule` is running; to make up for it now, {}", self.program, self.run_it()),
            ),
        };
        let day = periods::last_complete_day(slot, self.org.timezone);
        let rows = format!("{} {day}: not published yet", self.job.mart);
        Ok(Some(self.condition(Kind::Late, slot, why, rows, next)))
    }

    /// It has had no success for too long, although it was due since.
    fn no_success(&self) -> Result<Option<Condition>> {
        let success = self.own.iter().rev().find(|attempt| attempt.status == Status::Success);
        let first = self.own.first().map(|attempt| attempt.began);
        let since = success.map(|attempt| attempt.began).or(first).unwrap_or(self.known_since);
        if self.now - since <= self.config.alerts.no_success {
            return Ok(None);
        }
        // A job that is due once a week need not succeed every day.
        let cron = self.org.cron(self.job)?;
        let due = cron.last(self.now - self.config.alerts.late, self.org.timezone);
        if due.is_none_or(|due| due <= since) {
            return Ok(None);
        }
        let mart = self.job.mart;
        let (why, rows) = match success {
            Some(success) => (
                format!("the last success began at {}", self.local(success.began)),
                format!("{mart} after {}: not published", success.as_of),
            ),
            None => ("there has never been a success".to_owned(), format!("{mart}: nothing is published")),
        };
        let next = format!(
            "see whether `{} schedule` is running, and `{} runs`; then {}",
            self.program,
            self.program,
            self.run_it()
        );
        Ok(Some(self.condition(Kind::NoSuccess, since, why, rows, next)))
    }
}

/// What the audit of a run found.
fn findings(attempt: &Attempt) -> Vec<Finding> {
    let findings = attempt.detail.get("findings").cloned().unwrap_or_default();
    serde_json::from_value(findings).unwrap_or_default()
}

/// The first few, and how many more there are.
fn some(texts: &[&str], between: &str) -> String {
    let mut text = texts.iter().take(FINDINGS).copied().collect::<Vec<_>>().join(between);
    if texts.len() > FINDINGS {
        text.push_str(&format!("{between}and {} more", texts.len() - FINDINGS));
    }
    text
}
