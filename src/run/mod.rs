//! A night: land → compute → audit → publish, for each organisation, and what happens when a step fails.
//!
//! An organisation's jobs are landed, computed and audited; what passed is then published in one transaction. A job that
//! fails leaves its mart, its `updated_at` and the winners in staging as they were. Organisations do not depend on each
//! other: one that fails, fails alone.
//!
//! Several organisations are under way at a time. Of one, the jobs of a source follow each other, since they share pulls and
//! what the source allows; those of different sources do not wait for each other. Whatever is computed at a time shares out
//! DuckDB's memory and threads.

mod forecast;
mod plan;
mod prepare;
mod report;
mod spans;
mod todo;
mod verify;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow};
use chrono::{DateTime, NaiveDate, Utc};
use futures_util::future::join_all;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;
use tokio::sync::Semaphore;
use tracing::Instrument as _;

use crate::clock::Clock;
use crate::config::{Config, Limits, Org, Publish};
use crate::datasets::Connector;
use crate::jobs::{JOBS, Job};
use crate::ledger::{self, Finished, RunId, Started};
use crate::periods::Partition;
use crate::postgres::{Database, OrganizationRow};
use crate::publish::{self, MartRows, Organization};
use crate::staging::{Landed, Staging};

pub use forecast::{Forecast, ForecastPull, forecast};
pub use plan::{Plan, Wanted, Window, plan, source_for};
pub use report::{Event, Finding, MartReport, RunReport, Status};
pub use todo::{Todo, todo};

/// What is asked of a run.
#[derive(Debug, Default)]
pub struct Request {
    /// In the order of a night.
    pub jobs: Vec<&'static Job>,
    /// Slugs; empty = all.
    pub orgs: Vec<String>,
    /// The last day to report; none = the organisation's last complete day.
    pub as_of: Option<NaiveDate>,
    /// First and last day of the rows to restate; none = what each job restates every night.
    pub range: Option<(NaiveDate, NaiveDate)>,
    /// Compute from what is staged, asking no source.
    pub from_staging: bool,
    /// With `from_staging`: as if no pull had come after this instant, and as if it were the present.
    pub as_of_pull: Option<DateTime<Utc>>,
    /// Saved response bodies in place of the network.
    pub pages: Option<PathBuf>,
    /// Begin nothing more after the first mart that failed or is held.
    pub fail_fast: bool,
    /// Do everything but publish.
    pub dry_run: bool,
}

/// Told of what happens, from any thread.
pub type Tell<'a> = dyn Fn(&Event<'_>) + Send + Sync + 'a;

/// What a run works with.
struct Night<'a> {
    /// Its limits are those of one computation.
    config: Arc<Config>,
    /// As many computations as may go on at a time.
    computing: Arc<Semaphore>,
    /// Why nothing more is begun.
    stopped: Mutex<Option<String>>,
    database: &'a Database,
    staging: Staging,
    clock: &'a Clock,
    request: &'a Request,
    run: RunId,
    tell: &'a Tell<'a>,
}

/// What has been pulled for an organisation in this run, by dataset and partition.
type Tonight = BTreeMap<(&'static str, Partition), Landed>;

/// A mart that is computed and audited.
struct Prepared {
    report: MartReport,
    /// What of it may be published.
    rows: Option<MartRows>,
    job: &'static Job,
    finished: Finished,
    /// Whether the run ledger knows that it began.
    is_recorded: bool,
    began: Instant,
}

/// Runs what is asked for. Needs a multi-threaded runtime: DuckDB computes on the thread it is called on.
///
/// # Errors
/// Only what concerns the run as a whole: nothing to do, no database. What goes wrong with one mart is in its report.
pub async fn run(
    config: &Config,
    database: &Database,
    clock: &Clock,
    request: &Request,
    tell: &Tell<'_>,
) -> Result<RunReport> {
    let started_at = clock.now();
    let began = Instant::now();
    let staging = Staging::new(&config.staging.path);
    // Until the run has ended, no clean-up takes away what it reads.
    let _held = staging.hold()?;
    let swept = staging.sweep().context("sweeping the landing zone")?;
    staging.sweep_spilled(started_at)?;
    if swept > 0 {
        tracing::info!(swept, "removed pulls that were cut short");
    }
    let todo = todo(config, request, started_at)?;
    database.require_migrated().await?;
    let rows: Vec<OrganizationRow> = config.orgs.iter().map(OrganizationRow::from).collect();
    let ids = database.sync_organizations(&rows).await?;
    let lanes: Vec<_> = todo.iter().map(|todo| lanes(todo.org, &todo.jobs, request.fail_fast)).collect();
    let at_once = if request.fail_fast { 1 } else { config.limits.organizations_at_once };
    let computations = computations(&config.limits, at_once, &lanes);
    let night = Night {
        config: Arc::new(Config { limits: config.limits.shared_by(computations), ..config.clone() }),
        computing: Arc::new(Semaphore::new(computations.into())),
        stopped: Mutex::new(None),
        database,
        staging,
        clock,
        request,
        run: RunId::new(started_at),
        tell,
    };
    let marts: usize = todo.iter().map(|todo| todo.jobs.len()).sum();
    let run = (!request.dry_run).then_some(night.run.as_str());
    tell(&Event::Started { run, marts });
    let span = spans::run(run);
    let as_of = todo.iter().map(|todo| todo.window.as_of).max();
    let nights = todo.iter().zip(lanes).map(|(todo, lanes)| {
        let (night, ids, span) = (&night, &ids, spans::organization(&span, &todo.org.slug));
        async move {
            let at = config.orgs.iter().position(|org| org.slug == todo.org.slug);
            let at = at.context("an organisation without a row")?;
            let row = Organization { id: ids[at], slug: todo.org.slug.clone() };
            anyhow::Ok((at, night.organization(at, &row, &lanes, todo.window).instrument(span).await))
        }
    });
    let mut reports: Vec<_> = stream::iter(nights).buffer_unordered(at_once.into()).try_collect().await?;
    // In the order of the configuration, whichever ended first.
    reports.sort_by_key(|(at, _)| *at);
    let marts = reports.into_iter().flat_map(|(_, marts)| marts).collect();
    Ok(RunReport { run: run.map(str::to_owned), started_at, duration: Some(began.elapsed()), as_of, marts })
}

/// An organisation's jobs, apart by the source they ask: the jobs of one follow each other. All in one where nothing may be
/// begun after a failure.
fn lanes(org: &Org, jobs: &[&'static Job], is_one: bool) -> Vec<Vec<&'static Job>> {
    let mut lanes: Vec<(Option<Connector>, Vec<&'static Job>)> = Vec::new();
    for job in jobs {
        let connector = source_for(job, org).map(|source| source.connector.source()).filter(|_| !is_one);
        match lanes.iter_mut().find(|(of, _)| *of == connector) {
            Some((_, lane)) => lane.push(job),
            None => lanes.push((connector, vec![job])),
        }
    }
    lanes.into_iter().map(|(_, lane)| lane).collect()
}

/// How many marts may be computed at a time: no more than DuckDB has threads, nor than there can be.
fn computations(limits: &Limits, organizations: u16, lanes: &[Vec<Vec<&'static Job>>]) -> u16 {
    let mut counts: Vec<usize> = lanes.iter().map(Vec::len).collect();
    counts.sort_unstable_by(|one, other| other.cmp(one));
    let most: usize = counts.iter().take(organizations.into()).sum();
    limits.threads().min(most.try_into().unwrap_or(u16::MAX)).max(1)
}

impl Night<'_> {
    /// The night of the organisation at `at` of the configuration.
    async fn organization(
        &self,
        at: usize,
        row: &Organization,
        lanes: &[Vec<&'static Job>],
        window: Window,
    ) -> Vec<MartReport> {
        if !self.request.dry_run {
            // Together, or two nights that begin at once would each get some and lack the others, which with all or
            // nothing would leave none. Those that another run holds are named by their own jobs, below.
            let marts: Vec<_> = lanes.iter().flatten().map(|job| job.mart).collect();
            if let Err(error) = self.database.lock_all(&marts, row.id).await {
                tracing::warn!(org = row.slug, "the marts could not be locked together: {error:#}");
            }
        }
        let done = join_all(lanes.iter().map(|lane| self.lane(at, row, lane, window))).await;
        let mut prepared = done.into_iter().flatten().collect::<Vec<_>>();
        prepared.sort_by_key(|work| JOBS.iter().position(|job| job.name == work.job.name));
        if self.config.orgs[at].publish == Publish::AllOrNothing {
            withhold(&mut prepared);
        }
        self.publish(row, &mut prepared).await;
        if let Some(failed) = prepared.iter().find(|work| work.report.status == Status::Failed) {
            self.stop_after(&failed.report);
        }
        if !self.request.dry_run {
            for Prepared { job, .. } in &prepared {
                if let Err(error) = self.database.unlock(job.mart, row.id).await {
                    tracing::warn!(mart = job.mart, "the lock could not be released: {error:#}");
                }
            }
        }
        let reports = prepared.into_iter().map(|prepared| prepared.report);
        reports.inspect(|mart| (self.tell)(&Event::Done { mart })).collect()
    }

    /// Lands, computes and audits marts one after the other.
    async fn lane(&self, at: usize, row: &Organization, jobs: &[&'static Job], window: Window) -> Vec<Prepared> {
        let as_of = window.as_of;
        let mut prepared = Vec::with_capacity(jobs.len());
        let mut tonight = Tonight::new();
        for job in jobs {
            let mut work = Prepared::begun(&row.slug, job);
            let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(reason) = stopped {
                work.report.skip(reason);
                if let Err(error) = self.begin(row, as_of, None, &mut work).await {
                    tracing::error!(job = job.name, org = row.slug, "the run ledger could not be written: {error:#}");
                }
                prepared.push(work);
                continue;
            }
            let span = spans::mart(job, &row.slug, as_of);
            let done = self.prepare(at, row, window, &mut tonight, &prepared, &mut work);
            let done = done.instrument(span.clone()).await;
            if let Err(error) = done.with_context(|| format!("{}/{} {as_of}", job.name, row.slug)) {
                work.report.fail(&error);
            }
            spans::ended(&span, work.report.status);
            if !work.report.status.is_good() {
                self.stop_after(&work.report);
            }
            prepared.push(work);
        }
        prepared
    }

    /// Begins nothing more, where that is asked for after a mart that is not as it should be.
    fn stop_after(&self, report: &MartReport) {
        if self.request.fail_fast {
            self.stopped.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| reason(report));
        }
    }

    /// Writes to the run ledger that a mart is under way.
    async fn begin(
        &self,
        row: &Organization,
        as_of: NaiveDate,
        periods: Option<(NaiveDate, NaiveDate)>,
        work: &mut Prepared,
    ) -> Result<()> {
        if self.request.dry_run {
            return Ok(());
        }
        let (job, mart) = (work.job.name, work.job.mart);
        let mut connection = self.database.connection().await?;
        ledger::start(&mut connection, &Started { run: &self.run, org_id: row.id, job, mart, as_of, periods }).await?;
        work.is_recorded = true;
        Ok(())
    }

    /// Publishes what passed, in one transaction, and writes down how every other mart ended.
    async fn publish(&self, row: &Organization, prepared: &mut [Prepared]) {
        let began = Instant::now();
        let marts: Vec<MartRows> = prepared.iter_mut().filter_map(|work| work.rows.take()).collect();
        if !marts.is_empty() {
            let span = spans::publish(&row.slug, marts.len());
            let published = self.publish_rows(row, &marts).instrument(span.clone()).await;
            if published.is_err() {
                spans::ended(&span, Status::Failed);
            }
            for work in prepared.iter_mut().filter(|work| marts.iter().any(|rows| rows.mart == work.job.mart)) {
                let done = match &published {
                    Ok(published) => {
                        published.iter().find(|done| done.mart == work.job.mart).context("it was left out")
                    }
                    Err(error) => Err(anyhow!("{error:#}")),
                };
                match done.with_context(|| format!("{}/{}", work.job.name, row.slug)) {
                    Ok(done) => work.report.counted(done, self.request.dry_run),
                    Err(error) => work.report.fail(&error),
                }
            }
            let duration_ms = began.elapsed().as_millis() as u64;
            tracing::info!(org = row.slug, marts = marts.len(), duration_ms, ok = published.is_ok(), "published");
        }
        for work in prepared {
            work.report.duration = work.began.elapsed();
            if let Some(error) = &work.report.error {
                tracing::error!(job = work.job.name, org = row.slug, error, "failed");
            }
            let is_written = matches!(work.report.status, Status::Published | Status::PartlyHeld);
            if !work.is_recorded || is_written {
                continue;
            }
            if let Err(error) = self.write_down(row, work).await {
                tracing::error!(job = work.job.name, org = row.slug, "the run ledger could not be written: {error:#}");
                let note = format!("; and the run ledger could not be written: {error:#}");
                work.report.error.get_or_insert_default().push_str(&note);
            }
        }
    }

    async fn publish_rows(&self, row: &Organization, marts: &[MartRows]) -> Result<Vec<publish::Published>> {
        let mode = if self.request.dry_run { publish::Mode::DryRun } else { publish::Mode::Commit };
        let published = {
            let mut connection = self.database.connection().await?;
            publish::publish(&mut connection, row, &self.run, marts, mode).await
        };
        match published {
            Err(error) if mode == publish::Mode::Commit => match self.committed(row, marts).await {
                Ok(Some(committed)) => {
                    tracing::warn!(org = row.slug, "published, though the database's answer was lost: {error:#}");
                    Ok(committed)
                }
                _ => Err(error),
            },
            published => published,
        }
    }

    /// What became of a publication whose end is not known, because the answer to its COMMIT may have been lost on the way.
    /// The run ledger knows: its lines are committed with the rows. None where nothing was.
    async fn committed(&self, row: &Organization, marts: &[MartRows]) -> Result<Option<Vec<publish::Published>>> {
        let mut connection = self.database.connection().await?;
        let written = ledger::published(&mut connection, row.id, &self.run).await?;
        let found = marts.iter().map(|rows| {
            let (_, counts, changed_cells) = written.iter().find(|(job, ..)| *job == rows.finished.job)?;
            let ledger::Counts { inserted, updated, unchanged } = *counts;
            Some(publish::Published { mart: rows.mart, inserted, updated, unchanged, changed_cells: *changed_cells })
        });
        Ok(found.collect())
    }

    async fn write_down(&self, row: &Organization, work: &Prepared) -> Result<()> {
        let status = work.report.status.in_the_ledger();
        let finished = Finished { status, error: work.report.error.clone(), ..work.finished.clone() };
        let mut connection = self.database.connection().await?;
        ledger::finish(&mut connection, row.id, &self.run, &finished).await
    }
}

impl Prepared {
    /// Nothing is done yet.
    fn begun(org: &str, job: &'static Job) -> Self {
        Prepared {
            report: MartReport::begun(org, job),
            rows: None,
            job,
            finished: Finished {
                job: job.name.to_owned(),
                status: ledger::Status::Failed,
                rows_landed: None,
                error: None,
                detail: json!({}),
            },
            is_recorded: false,
            began: Instant::now(),
        }
    }
}

/// Of an organisation that publishes all or nothing: where a mart is not as it should be, none is published. One whose
/// source does not have the last day yet is as it should be otherwise, and keeps no other waiting.
fn withhold(prepared: &mut [Prepared]) {
    let lacks_its_day = |report: &MartReport| {
        report.status == Status::PartlyHeld
            && report.findings.iter().filter(|finding| finding.holds).all(|finding| finding.rule == ledger::ABSENT)
    };
    let is_bad =
        |report: &MartReport| !report.status.is_good() && report.status != Status::Skipped && !lacks_its_day(report);
    let bad = prepared.iter().find(|work| is_bad(&work.report));
    let Some(reason) = bad.map(|work| what_went_wrong(&work.report)) else { return };
    for work in prepared.iter_mut().filter(|work| work.rows.is_some()) {
        work.rows = None;
        let org = &work.report.org;
        let reason = format!("not published, because {reason}, and {org} publishes all or nothing");
        match work.report.status {
            Status::PartlyHeld => (work.report.status, work.report.error) = (Status::Held, Some(reason)),
            _ => work.report.skip(reason),
        }
    }
}

/// Why nothing more is begun.
fn reason(report: &MartReport) -> String {
    format!("not begun, because {} (--fail-fast)", what_went_wrong(report))
}

/// `etl_rental_fleet/bennett failed`
fn what_went_wrong(report: &MartReport) -> String {
    let verb = match report.status {
        Status::Failed => "failed",
        _ => "is held",
    };
    format!("{}/{} {verb}", report.job, report.org)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn computations_at_a_time_are_as_many_as_there_can_be_and_threads_for_them() {
        let job = &JOBS[0];
        let org = |count: usize| vec![vec![job]; count];
        let with = |threads, organizations, lanes: &[Vec<Vec<&'static Job>>]| {
            computations(&Limits { duckdb_threads: threads, ..Limits::default() }, organizations, lanes)
        };
        assert_eq!(with(8, 4, &[org(1)]), 1, "one mart has all threads");
        assert_eq!(with(8, 4, &[org(1), org(5)]), 6);
        assert_eq!(with(8, 1, &[org(1), org(5)]), 5, "whichever organisation is under way");
        assert_eq!(with(2, 4, &[org(1), org(5)]), 2);
    }

    #[test]
    fn what_is_computed_at_a_time_uses_no_more_than_one_alone() {
        let limits = Limits { duckdb_threads: 7, duckdb_memory_mib: 1000, ..Limits::default() };
        for parts in 1..=7 {
            let part = limits.shared_by(parts);
            assert!(part.duckdb_threads >= 1 && part.duckdb_threads * parts <= 7);
            assert!(part.duckdb_memory_mib * u64::from(parts) <= 1000);
        }
        assert_eq!(limits.shared_by(1).duckdb_threads, 7);
        assert_eq!(limits.shared_by(1).duckdb_memory_mib, 1000);
    }
}
