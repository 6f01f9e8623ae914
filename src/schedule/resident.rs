//! The loop around the agenda: looks into the ledger, runs what is due, sleeps, and stops when told to.
//!
//! The database is open only while it looks and runs. So it needs no connection for the whole day, the embedded server
//! is free for other commands in between, and a scheduler has nothing that another could not take over: whoever has the
//! lock when something is due runs it, and whoever comes second finds it done.

use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Result, anyhow};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tokio::sync::watch;

use super::agenda::{Task, agenda};
use super::board::Board;
use crate::alerts;
use crate::clock::Clock;
use crate::config::{Config, Org};
use crate::ledger::{self, Attempt, RunId};
use crate::postgres::{Database, Locked};
use crate::run::{self, Event, Request, RunReport, Tell};

/// The lock that only one scheduler has while it decides and runs: of a mart that does not exist, and of no
/// organisation.
const LOCK: (&str, i32) = ("schedule", 0);

/// The longest sleep: a machine that was suspended, or whose clock was set, is noticed by then.
const LONGEST_SLEEP: TimeDelta = TimeDelta::seconds(30);

/// How often to look at a server, whatever the agenda says: for runs by hand, for alerts, and to notice that it is gone.
const LOOK_EVERY: TimeDelta = TimeDelta::minutes(1);

/// How often to look at the embedded server, which is left to others as long as there is nothing to do.
const LOOK_EMBEDDED_EVERY: TimeDelta = TimeDelta::minutes(15);

/// How long to wait for the ledger when a run is abandoned.
const LEDGER_PATIENCE: Duration = Duration::from_secs(10);

/// Days after which an attempt that the ledger never knew is forgotten.
const FORGET_AFTER: TimeDelta = TimeDelta::days(40);

/// How urgently to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Stop {
    #[default]
    No,
    /// When the organisations under way have finished, or the grace is over.
    Soon,
    /// Without waiting.
    Now,
}

/// How a scheduler ended that was told to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Nothing was under way.
    Idle,
    /// The run of these organisations was under way and has finished.
    Finished { orgs: String },
    /// The run of these organisations was given up before it published.
    Abandoned { orgs: String, run: String },
}

/// What a scheduler works with.
pub struct Resident<'a> {
    pub config: &'a Config,
    pub clock: &'a Clock,
    /// What others are told of it.
    pub board: &'a Board,
    /// How a command begins, for alerts.
    pub program: &'a str,
    /// Told of what happens in a run.
    pub tell: &'a Tell<'a>,
    /// Told, in one line, what the scheduler does.
    pub say: &'a (dyn Fn(&str) + Send + Sync),
    /// Given each run's report.
    pub report: &'a (dyn Fn(&RunReport) + Send + Sync),
}

/// What a look came to.
enum Looked {
    /// When to look again.
    Until(DateTime<Utc>),
    Stopped(Ended),
}

/// What is remembered between two looks. Nothing that matters: a scheduler that starts anew does the same.
#[derive(Default)]
struct Memory {
    /// Attempts of this process; those that the ledger has are taken from there.
    attempts: Vec<Attempt>,
    /// What was said last, so that it is not said again.
    said: String,
}

impl Resident<'_> {
    /// Runs what is due whenever it is due, until told to stop.
    ///
    /// # Errors
    /// None that passes: a database that cannot be reached is told and tried again.
    pub async fn serve(&self, stop: &mut watch::Receiver<Stop>) -> Result<Ended> {
        let mut memory = Memory::default();
        let mut look_at = self.clock.now();
        loop {
            if *stop.borrow_and_update() != Stop::No {
                return Ok(Ended::Idle);
            }
            let now = self.clock.now();
            self.board.beat(now);
            if now >= look_at {
                let looked = self.look(stop, &mut memory).await;
                self.board.under_way(None);
                self.board.looked(self.clock.now(), looked.as_ref().err().map(|error| format!("{error:#}")));
                look_at = match looked {
                    Ok(Looked::Until(at)) => at,
                    Ok(Looked::Stopped(ended)) => return Ok(ended),
                    Err(error) => {
                        self.say_once(&mut memory, format!("cannot look at what is due: {error:#}; trying again"));
                        now + LOOK_EVERY
                    }
                };
            }
            let wait = (look_at - self.clock.now()).clamp(TimeDelta::milliseconds(10), LONGEST_SLEEP);
            tokio::select! {
                () = tokio::time::sleep(wait.to_std().unwrap_or_default()) => {}
                () = told(stop, Stop::Soon) => {}
            }
        }
    }

    /// Runs what is due now, and ends.
    ///
    /// # Errors
    /// A database that cannot be reached.
    pub async fn once(&self, stop: &mut watch::Receiver<Stop>) -> Result<Option<Ended>> {
        match self.look(stop, &mut Memory::default()).await? {
            Looked::Until(_) => Ok(None),
            Looked::Stopped(ended) => Ok(Some(ended)),
        }
    }

    async fn look(&self, stop: &mut watch::Receiver<Stop>, memory: &mut Memory) -> Result<Looked> {
        let settings = &self.config.postgres;
        let database = Database::connect(settings, &format!("schedule, process {}", std::process::id())).await?;
        let looked = self.work_off(&database, stop, memory).await;
        let closed = database.close().await;
        looked.and_then(|looked| closed.map(|()| looked))
    }

    /// Runs one task after another until none is due, several at a time where they are alike, deciding anew after each run.
    async fn work_off(
        &self,
        database: &Database,
        stop: &mut watch::Receiver<Stop>,
        memory: &mut Memory,
    ) -> Result<Looked> {
        if self.config.postgres.url.is_none() {
            // The embedded server is nobody else's to bring up to date.
            database.migrate().await?;
        }
        database.require_migrated().await?;
        if let Locked::HeldBy(holder) = database.lock(LOCK.0, LOCK.1).await? {
            self.say_once(memory, format!("another scheduler is at work, and this one stands by: {holder}"));
            return Ok(Looked::Until(self.clock.now() + LOOK_EVERY));
        }
        loop {
            let attempts = self.attempts(database, memory).await?;
            let now = self.clock.now();
            let agenda = agenda(self.config, &attempts, now)?;
            self.board.attempts(&attempts);
            let tasks = agenda.run(self.config.limits.organizations_at_once);
            if tasks.is_empty() {
                self.attend(database, memory, false).await;
                if let (Some(next), Some((org, job))) = (agenda.next, agenda.first) {
                    let at = next.with_timezone(&org.timezone).format("%Y-%m-%d %H:%M %Z");
                    self.say_once(memory, format!("next: {} of {} at {at}", job.name, org.slug));
                }
                let is_embedded = self.config.postgres.url.is_none();
                let soon = now + if is_embedded { LOOK_EMBEDDED_EVERY } else { LOOK_EVERY };
                return Ok(Looked::Until(agenda.next.map_or(soon, |next| next.min(soon))));
            }
            let orgs = names(&tasks);
            self.board.under_way(Some(&orgs));
            let ended = self.work(database, &tasks, stop, memory).await?;
            self.board.under_way(None);
            if let Some(ended) = ended {
                return Ok(Looked::Stopped(ended));
            }
            self.attend(database, memory, true).await;
            if *stop.borrow() != Stop::No {
                return Ok(Looked::Stopped(Ended::Finished { orgs }));
            }
        }
    }

    /// The newest attempts: the ledger's, with the runs of dead processes marked as such, and those of this process that
    /// failed before the ledger knew of them.
    async fn attempts(&self, database: &Database, memory: &mut Memory) -> Result<Vec<Attempt>> {
        let mut connection = database.connection().await?;
        ledger::sweep_all(&mut connection).await?;
        let mut attempts = ledger::attempts(&mut connection).await?;
        let oldest = self.clock.now() - FORGET_AFTER;
        memory.attempts.retain(|own| {
            own.began > oldest && !attempts.iter().any(|known| known.is_of(&own.run_id, &own.org, &own.job))
        });
        attempts.extend(memory.attempts.iter().cloned());
        Ok(attempts)
    }

    /// Runs tasks that are alike in one run; tells how it ended when it was told to stop meanwhile and did not wait.
    async fn work(
        &self,
        database: &Database,
        tasks: &[&Task<'_>],
        stop: &mut watch::Receiver<Stop>,
        memory: &mut Memory,
    ) -> Result<Option<Ended>> {
        for task in tasks {
            self.announce(task);
        }
        let began = self.clock.now();
        let run = Mutex::new(None);
        let tell = |event: &Event<'_>| {
            if let Event::Started { run: Some(id), .. } = event
                && let Ok(mut run) = run.lock()
            {
                *run = Some((*id).to_owned());
            }
            (self.tell)(event);
        };
        let jobs = tasks.first().map(|task| task.jobs.clone()).unwrap_or_default();
        let orgs = tasks.iter().map(|task| task.org.slug.clone()).collect();
        let request = Request { jobs, orgs, ..Request::default() };
        let mut work = Box::pin(run::run(self.config, database, self.clock, &request, &tell));
        let done = tokio::select! {
            biased;
            done = &mut work => Some(done),
            () = told(stop, Stop::Soon) => {
                let grace = self.config.schedule.grace_secs;
                let orgs = names(tasks);
                (self.say)(&format!("stopping when the run of {orgs} has finished, in {grace} s at most"));
                tokio::select! {
                    biased;
                    done = &mut work => Some(done),
                    () = tokio::time::sleep(Duration::from_secs(grace)) => None,
                    () = told(stop, Stop::Now) => None,
                }
            }
        };
        // What it held goes with it: the connection, which takes back what was not committed, and the landing zone.
        drop(work);
        let id = run.into_inner().ok().flatten();
        match done {
            Some(Ok(report)) => {
                (self.report)(&report);
                self.board.ended(&report);
                memory.attempts.extend(report.marts.iter().map(|mart| Attempt::told(&report, mart)));
                Ok(None)
            }
            Some(Err(error)) => {
                let orgs = names(tasks);
                let error = error.context(format!("the run of {orgs} failed as a whole"));
                tracing::error!(orgs, "{error:#}");
                let run = id.unwrap_or_else(|| RunId::new(began).to_string());
                for Task { org, jobs, .. } in tasks {
                    memory.attempts.extend(jobs.iter().map(|job| failed(&run, org, job, began, &error)));
                }
                Ok(None)
            }
            None => self.abandon(database, tasks, id).await.map(Some),
        }
    }

    /// Looks after the alerts.
    async fn attend(&self, database: &Database, memory: &Memory, is_end_of_run: bool) {
        let Resident { config, clock, program, .. } = self;
        let now = clock.now();
        match alerts::attend(config, database, now, &memory.attempts, is_end_of_run, program).await {
            Ok(attended) => {
                for trouble in &attended.troubles {
                    tracing::warn!("{trouble}");
                }
                self.board.conditions(attended.conditions);
            }
            Err(error) => tracing::warn!("alerts could not be looked after: {error:#}"),
        }
    }

    /// Writes down that a run was given up. Only the ledger can say what it had published by then.
    async fn abandon(&self, database: &Database, tasks: &[&Task<'_>], run: Option<String>) -> Result<Ended> {
        let Some(run) = run else { return Ok(Ended::Idle) };
        let id = RunId::from(run.clone());
        let written = async {
            let mut connection = database.connection().await?;
            let mut abandoned = Vec::new();
            for task in tasks {
                let org_id = ledger::org_id(&mut connection, &task.org.slug).await?;
                let why = "the scheduler was stopped before the run had ended";
                if ledger::abandon(&mut connection, org_id, &id, why).await? > 0 {
                    abandoned.push(*task);
                }
            }
            Ok(abandoned)
        };
        let written = tokio::time::timeout(LEDGER_PATIENCE, written).await;
        match written.unwrap_or_else(|_| Err(anyhow!("no answer within {LEDGER_PATIENCE:?}"))) {
            Ok(abandoned) if abandoned.is_empty() => Ok(Ended::Finished { orgs: names(tasks) }),
            Ok(abandoned) => Ok(Ended::Abandoned { orgs: names(&abandoned), run }),
            Err(error) => {
                tracing::warn!("the run ledger could not be written, the next run will do it: {error:#}");
                Ok(Ended::Abandoned { orgs: names(tasks), run })
            }
        }
    }

    fn announce(&self, task: &Task<'_>) {
        let jobs: Vec<_> = task.jobs.iter().map(|job| job.name).collect();
        let at = task.since.with_timezone(&task.org.timezone).format("%Y-%m-%d %H:%M %Z");
        let how = if task.again { ", tried again" } else { "" };
        (self.say)(&format!("{}: {} due since {at}{how}", task.org.slug, jobs.join(", ")));
    }

    fn say_once(&self, memory: &mut Memory, what: String) {
        if memory.said != what {
            (self.say)(&what);
            memory.said = what;
        }
    }
}

/// `bennett, vital`
fn names(tasks: &[&Task<'_>]) -> String {
    tasks.iter().map(|task| task.org.slug.as_str()).collect::<Vec<_>>().join(", ")
}

/// Waits until told to stop so urgently.
async fn told(stop: &mut watch::Receiver<Stop>, urgently: Stop) {
    if stop.wait_for(|stop| *stop >= urgently).await.is_err() {
        // Nobody is left who could tell.
        std::future::pending().await
    }
}

/// An attempt that failed before the ledger knew of it.
fn failed(
    run: &str,
    org: &Org,
    job: &'static crate::jobs::Job,
    began: DateTime<Utc>,
    error: &anyhow::Error,
) -> Attempt {
    Attempt {
        run_id: run.to_owned(),
        org: org.slug.clone(),
        job: job.name.to_owned(),
        mart: job.mart.to_owned(),
        as_of: crate::periods::last_complete_day(began, org.timezone),
        status: ledger::Status::Failed,
        began,
        ended: Some(began),
        first_period: None,
        last_period: None,
        rows: None,
        error: Some(format!("{error:#}")),
        detail: json!({}),
    }
}
