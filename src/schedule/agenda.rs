//! What is due, and when to look again.

use std::collections::BTreeSet;

use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};

use crate::config::{Config, Org, ScheduleSettings};
use crate::jobs::{JOBS, Job};
use crate::ledger::{Attempt, Status};
use crate::periods;
use crate::run::source_for;

/// How often to look whether a job that somebody else is running has ended.
const LOOK_AGAIN: TimeDelta = TimeDelta::minutes(1);

/// What there is to do.
#[derive(Debug)]
pub struct Agenda<'a> {
    /// In the order of the configuration.
    pub due: Vec<Task<'a>>,
    /// When something will be due that is not yet; none when nothing ever will.
    pub next: Option<DateTime<Utc>>,
    /// The first organisation and job due then.
    pub first: Option<(&'a Org, &'static Job)>,
}

/// Jobs of an organisation that are due: one transaction.
#[derive(Debug)]
pub struct Task<'a> {
    pub org: &'a Org,
    /// In the order of a night.
    pub jobs: Vec<&'static Job>,
    /// The earliest of the times they were due at.
    pub since: DateTime<Utc>,
    /// Whether all of them have been tried for that time before.
    pub again: bool,
}

impl<'a> Agenda<'a> {
    /// What to run now: the first task that is due, and others for the same jobs, as many organisations as may be under way at
    /// a time. One run can do them all, and what one of them comes to is its own, as in any night.
    pub fn run(&self, at_once: u16) -> Vec<&Task<'a>> {
        let names = |task: &Task<'_>| task.jobs.iter().map(|job| job.name).collect::<Vec<_>>();
        let alike = self.due.iter().filter(|task| self.due.first().is_some_and(|first| names(first) == names(task)));
        alike.take(usize::from(at_once).max(1)).collect()
    }
}

/// How a job stands with an organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Due {
        since: DateTime<Utc>,
        again: bool,
    },
    /// Nothing to do before that instant.
    Later(Option<DateTime<Utc>>),
}

/// What is due at `now`, given what the run ledger knows of each job's attempts, and when to look again.
///
/// A job is due when its newest time has come and is not longer ago than the catch-up limit, unless a run that began
/// since has published it or had its rows held by the audit, which trying again would not change. One that failed, or
/// whose source did not have the last day yet, is due again after a wait that doubles each time, as often as the
/// settings allow. Of several times that were missed only the newest counts: each run restates the days before.
///
/// # Errors
/// A job whose own time is none, which a test rules out.
pub fn agenda<'a>(config: &'a Config, attempts: &[Attempt], now: DateTime<Utc>) -> Result<Agenda<'a>> {
    let mut agenda = Agenda { due: Vec::new(), next: None, first: None };
    for org in &config.orgs {
        let mut task = Task { org, jobs: Vec::new(), since: now, again: true };
        for job in JOBS.iter().filter(|job| source_for(job, org).is_some()) {
            let later = match standing(&config.schedule, org, job, attempts, now)? {
                Standing::Due { since, again } => {
                    task.jobs.push(job);
                    task.since = task.since.min(since);
                    task.again &= again;
                    org.cron(job)?.next(now, org.timezone)
                }
                Standing::Later(at) => at,
            };
            if let Some(later) = later
                && agenda.next.is_none_or(|next| later < next)
            {
                agenda.next = Some(later);
                agenda.first = Some((org, job));
            }
        }
        if !task.jobs.is_empty() {
            agenda.due.push(task);
        }
    }
    Ok(agenda)
}

fn standing(
    settings: &ScheduleSettings,
    org: &Org,
    job: &Job,
    attempts: &[Attempt],
    now: DateTime<Utc>,
) -> Result<Standing> {
    let cron = org.cron(job)?;
    let next = cron.next(now, org.timezone);
    let Some(slot) = cron.last(now, org.timezone).filter(|slot| now - *slot <= settings.catch_up) else {
        return Ok(Standing::Later(next));
    };
    let since = since(org, job, slot, attempts);
    if since.iter().any(|attempt| attempt.is_settled(attempts)) {
        return Ok(Standing::Later(next));
    }
    if since.iter().any(|attempt| attempt.status == Status::Running) {
        let again = now + LOOK_AGAIN;
        return Ok(Standing::Later(Some(next.map_or(again, |next| next.min(again)))));
    }
    let runs: BTreeSet<&str> = since.iter().map(|attempt| attempt.run_id.as_str()).collect();
    let tries = u32::try_from(runs.len()).unwrap_or(u32::MAX);
    if tries == 0 {
        return Ok(Standing::Due { since: slot, again: false });
    }
    if tries > settings.retries {
        return Ok(Standing::Later(next));
    }
    let ended = since.iter().map(|attempt| attempt.ended.unwrap_or(attempt.began)).max().unwrap_or(slot);
    // Doubled at most sixteen times: that is weeks.
    let again = ended + settings.retry_wait * (1 << (tries - 1).min(16));
    if again <= now {
        return Ok(Standing::Due { since: slot, again: true });
    }
    // One that would come after the limit does not come.
    let again = Some(again).filter(|again| *again - slot <= settings.catch_up);
    Ok(Standing::Later([again, next].into_iter().flatten().min()))
}

/// The attempts at a job that count for the time `slot`: they began at it or later, and reach the day that it reports.
/// One that restates a range of the past by hand is none of them.
pub(crate) fn since<'a>(org: &Org, job: &Job, slot: DateTime<Utc>, attempts: &'a [Attempt]) -> Vec<&'a Attempt> {
    let as_of = periods::last_complete_day(slot, org.timezone);
    let counts = |attempt: &&Attempt| {
        attempt.org == org.slug
            && attempt.job == job.name
            && attempt.began >= slot
            && attempt.as_of >= as_of
            && attempt.last_period.is_none_or(|last| last >= as_of)
    };
    attempts.iter().filter(counts).collect()
}
