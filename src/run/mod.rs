//! A night: land → compute → audit → publish, for each organisation, and what happens when a step fails.
//!
//! An organisation's jobs are landed, computed and audited one after the other; what passed is then published in one
//! transaction. A job that fails leaves its mart, its `updated_at` and the winners in staging as they were.
//! Organisations do not depend on each other: one that fails, fails alone.

mod plan;
mod report;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use chrono::{DateTime, NaiveDate, Utc};
use rand::RngExt;
use serde_json::json;
use tracing::Instrument as _;

use crate::audit::{self, Held};
use crate::clock::Clock;
use crate::compute::{Compute, Inputs, Pulls};
use crate::config::{Config, Org};
use crate::extract;
use crate::jobs::Job;
use crate::ledger::{self, JobRun};
use crate::postgres::{Database, Organization};
use crate::publish::{self, MartRows};
use crate::staging::Staging;

pub use plan::{Plan, Wanted, Window, plan, source_for};
pub use report::{Event, Finding, MartReport, RunReport, Status};

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
    /// Saved response bodies in place of the network.
    pub pages: Option<PathBuf>,
    /// Do everything but publish.
    pub dry_run: bool,
}

/// Told of what happens, from any thread.
pub type Tell<'a> = dyn Fn(&Event<'_>) + Send + Sync + 'a;

/// What a run works with.
struct Night<'a> {
    config: &'a Config,
    database: &'a Database,
    staging: Staging,
    clock: &'a Clock,
    request: &'a Request,
    run_id: String,
    tell: &'a Tell<'a>,
}

/// A mart that is computed and audited.
struct Prepared {
    report: MartReport,
    rows: Option<MartRows>,
    job_run: JobRun,
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
    // The instant sorts, the suffix tells apart runs of one second.
    let run_id = format!("{}-{:04x}", started_at.format("%Y%m%dT%H%M%SZ"), rand::rng().random::<u16>());
    let staging = Staging::new(&config.staging.path);
    let swept = staging.sweep().context("sweeping the landing zone")?;
    if swept > 0 {
        tracing::info!(swept, "removed pulls that were cut short");
    }
    let todo = todo(config, request, started_at)?;
    let orgs = database.sync_organizations(&config.orgs).await?;
    let night = Night { config, database, staging, clock, request, run_id, tell };
    let marts: usize = todo.iter().map(|todo| todo.jobs.len()).sum();
    {
        let mut connection = database.connection().await?;
        ledger::sweep(&mut connection, started_at).await?;
    }
    let run = (!request.dry_run).then_some(night.run_id.as_str());
    tell(&Event::Started { run, marts });
    let mut reports = Vec::with_capacity(marts);
    let mut as_of = None;
    for Todo { org, jobs, window } in todo {
        as_of = as_of.max(Some(window.as_of));
        let row = orgs.iter().find(|row| row.slug == org.slug).context("an organisation without a row")?;
        reports.extend(night.organization(org, row, &jobs, window).await);
    }
    Ok(RunReport { run: run.map(str::to_owned), started_at, duration: Some(began.elapsed()), as_of, marts: reports })
}

/// What an organisation is in for.
#[derive(Debug)]
pub struct Todo<'a> {
    pub org: &'a Org,
    pub jobs: Vec<&'static Job>,
    pub window: Window,
}

/// What a request comes to: the organisations it is about, each with the jobs that it has a source for.
///
/// # Errors
/// Days that have not begun, ranges that are none, and a request that comes to nothing: mistakes of whoever asks.
pub fn todo<'a>(config: &'a Config, request: &Request, now: DateTime<Utc>) -> Result<Vec<Todo<'a>>> {
    let mut todo = Vec::new();
    for org in config.orgs.iter().filter(|org| request.orgs.is_empty() || request.orgs.contains(&org.slug)) {
        let jobs: Vec<_> = request.jobs.iter().copied().filter(|job| source_for(job, org).is_some()).collect();
        if !jobs.is_empty() {
            let window = Window::resolve(org, now, request.as_of, request.range)?;
            todo.push(Todo { org, jobs, window });
        }
    }
    if todo.is_empty() {
        let jobs: Vec<_> = request.jobs.iter().map(|job| job.name).collect();
        let orgs = if request.orgs.is_empty() { "no organisation".to_owned() } else { request.orgs.join(", ") };
        let lacks = if request.orgs.is_empty() { "has" } else { "has not" };
        bail!(
            "nothing to do: {orgs} {lacks} a connector that {} can use; see `marts jobs` and {}",
            jobs.join(", "),
            config.path.display()
        );
    }
    Ok(todo)
}

impl Night<'_> {
    /// One organisation's night.
    async fn organization(
        &self,
        org: &Org,
        row: &Organization,
        jobs: &[&'static Job],
        window: Window,
    ) -> Vec<MartReport> {
        let mut prepared = Vec::with_capacity(jobs.len());
        for job in jobs {
            let began = Instant::now();
            let as_of = window.as_of;
            let span = tracing::info_span!("run", job = job.name, org = org.slug, %as_of);
            let mut job_run = JobRun::started(&self.run_id, row, job, as_of, self.clock.now());
            let mut report = MartReport::begun(&org.slug, job);
            let work = self.prepare(org, row, job, window, &mut job_run, &mut report).instrument(span);
            let rows = work.await.with_context(|| format!("{}/{} {as_of}", job.name, org.slug));
            report.duration = began.elapsed();
            let rows = match rows {
                Ok(rows) => rows,
                Err(error) => {
                    report.fail(&error);
                    None
                }
            };
            prepared.push(Prepared { report, rows, job_run, began });
        }
        self.publish(row, &mut prepared).await;
        for Prepared { job_run, .. } in &prepared {
            if let Err(error) = self.database.unlock(job_run.mart, row.id).await {
                tracing::warn!(mart = job_run.mart, "the lock could not be released: {error:#}");
            }
        }
        let reports = prepared.into_iter().map(|prepared| prepared.report);
        reports.inspect(|mart| (self.tell)(&Event::Done { mart })).collect()
    }

    /// Lands, computes and audits one mart; returns what may be published of it, if anything.
    async fn prepare(
        &self,
        org: &Org,
        row: &Organization,
        job: &'static Job,
        window: Window,
        job_run: &mut JobRun,
        report: &mut MartReport,
    ) -> Result<Option<MartRows>> {
        let source = source_for(job, org).context("the job has no source for the organisation")?;
        if !self.request.dry_run {
            if let Some(holder) = self.database.lock(job.mart, row.id).await? {
                bail!(
                    "{} of {} is being filled by another run: {holder}; try again when it has ended",
                    job.mart,
                    org.slug
                );
            }
            let mut connection = self.database.connection().await?;
            ledger::start(&mut connection, job_run).await?;
        }
        let plan = plan(job, source, org, window)?;
        let (Some(first), Some(last)) = (plan.periods.first(), plan.periods.last()) else {
            bail!("no day to report: all are before data_start_date or in excluded_months");
        };
        job_run.periods = Some((first.start, last.end));

        let began = Instant::now();
        let pulls = self.land(org, &plan, window).await?;
        report.landed = pulls.all().map(|landed| landed.manifest().rows).sum();
        let landing = began.elapsed();
        tracing::info!(
            rows = report.landed,
            pulls = pulls.all().count(),
            duration_ms = landing.as_millis() as u64,
            peak_memory_mib = peak_memory_mib(),
            "landed"
        );
        job_run.rows_landed = report.landed;

        let published = {
            let mut connection = self.database.connection().await?;
            publish::published(&mut connection, row.id, job).await?
        };
        let began = Instant::now();
        let inputs = Inputs { config: self.config, org, plan: &plan, pulls: &pulls, as_of: window.as_of };
        let (held, batches, computed) = tokio::task::block_in_place(|| -> Result<_> {
            let compute = Compute::open(&inputs)?;
            let rows: usize = compute.compute()?.iter().map(|batch| batch.num_rows()).sum();
            (self.tell)(&Event::Computed { org: &org.slug, job: job.name, rows: rows as u64 });
            let held = audit::split(audit::audit(&compute, &published)?, &plan.periods);
            Ok((held.clone(), compute.rows_except(&held.periods)?, rows))
        })?;
        let computing = began.elapsed();
        tracing::info!(
            rows = computed,
            errors = held.errors.len(),
            warnings = held.warnings.len(),
            duration_ms = computing.as_millis() as u64,
            peak_memory_mib = peak_memory_mib(),
            "computed and audited"
        );
        report.findings = findings(&held);
        let left: usize = batches.iter().map(|batch| batch.num_rows()).sum();
        report.status = match (held.is_nothing(), held.mart || left == 0) {
            (true, _) => Status::Published,
            (false, true) => Status::Held,
            (false, false) => Status::PartlyHeld,
        };
        job_run.detail = json!({
            "pulls": pulls.all().map(|landed| {
                let manifest = landed.manifest();
                json!({
                    "dataset": manifest.dataset, "period": manifest.period, "pulled_at": manifest.pulled_at,
                    "rows": manifest.rows, "files": manifest.files,
                })
            }).collect::<Vec<_>>(),
            "findings": report.findings,
            "landing_ms": landing.as_millis() as u64,
            "computing_ms": computing.as_millis() as u64,
        });
        if report.status == Status::Held {
            return Ok(None);
        }
        Ok(Some(MartRows { mart: job.mart, key: job.key, source_system: source.source_system, batches }))
    }

    /// The pulls that a plan needs: fresh ones, or what is staged.
    async fn land(&self, org: &Org, plan: &Plan, window: Window) -> Result<Pulls> {
        if self.request.from_staging {
            return Pulls::winners(&self.staging, &org.slug, &plan.wanted, None);
        }
        let told = |dataset: &str, partition: Option<crate::periods::Partition>, rows: u64| match partition {
            None => (self.tell)(&Event::Pulling { org: &org.slug, dataset, rows }),
            Some(partition) => {
                (self.tell)(&Event::Pulled { org: &org.slug, dataset, period: &partition.to_string(), rows });
            }
        };
        let context = extract::Context {
            config: self.config,
            org,
            staging: &self.staging,
            clock: self.clock.clone(),
            pulled_at: self.clock.now(),
            as_of: window.as_of,
            pages: self.request.pages.clone(),
            progress: &told,
        };
        let landed = extract::land(&context, self.database, plan.source.connector, &plan.wanted).await?;
        let pulls: Pulls = landed.into_iter().collect();
        for Wanted { dataset, partitions } in &plan.wanted {
            let found = pulls.of(dataset.name).len();
            ensure!(found == partitions.len(), "{}: {found} pulls for {} partitions", dataset.name, partitions.len());
        }
        Ok(pulls)
    }

    /// Publishes what passed, in one transaction, and writes down how every mart ended.
    async fn publish(&self, row: &Organization, prepared: &mut [Prepared]) {
        let passed: Vec<usize> = (0..prepared.len()).filter(|at| prepared[*at].rows.is_some()).collect();
        if !passed.is_empty() {
            let began = Instant::now();
            match self.publish_rows(row, prepared, &passed).await {
                Ok(published) => {
                    for (at, published) in passed.iter().zip(published) {
                        prepared[*at].report.counted(&published, self.request.dry_run);
                    }
                    tracing::info!(marts = passed.len(), duration_ms = began.elapsed().as_millis() as u64, "published");
                }
                Err(error) => {
                    for at in passed {
                        let job = prepared[at].job_run.job;
                        let error = anyhow!("{error:#}").context(format!("{job}/{}: publishing", row.slug));
                        prepared[at].report.fail(&error);
                    }
                }
            }
        }
        for prepared in prepared {
            prepared.report.duration = prepared.began.elapsed();
            if let Some(error) = &prepared.report.error {
                tracing::error!(job = prepared.job_run.job, org = row.slug, error, "failed");
            }
            if self.request.dry_run || matches!(prepared.report.status, Status::Published | Status::PartlyHeld) {
                continue;
            }
            if let Err(error) = self.write_down(prepared).await {
                tracing::error!(
                    job = prepared.job_run.job,
                    org = row.slug,
                    "the run ledger could not be written: {error:#}"
                );
                let note = format!("; and the run ledger could not be written: {error:#}");
                prepared.report.error.get_or_insert_default().push_str(&note);
            }
        }
    }

    async fn publish_rows(
        &self,
        row: &Organization,
        prepared: &[Prepared],
        passed: &[usize],
    ) -> Result<Vec<publish::Published>> {
        let mut connection = self.database.connection().await?;
        let marts: Vec<(&MartRows, JobRun)> = passed
            .iter()
            .map(|at| {
                let Prepared { report, rows, job_run, .. } = &prepared[*at];
                let rows = rows.as_ref().expect("only marts with rows are passed on");
                (rows, job_run.clone().finished(ledger_status(report.status), None, self.clock.now()))
            })
            .collect();
        let mode = if self.request.dry_run { publish::Mode::DryRun } else { publish::Mode::Commit };
        publish::publish(&mut connection, row, &self.run_id, &marts, mode).await
    }

    async fn write_down(&self, prepared: &Prepared) -> Result<()> {
        let status = ledger_status(prepared.report.status);
        let job_run = prepared.job_run.clone().finished(status, prepared.report.error.clone(), self.clock.now());
        let mut connection = self.database.connection().await?;
        ledger::finish(&mut connection, &job_run).await
    }
}

fn findings(held: &Held) -> Vec<Finding> {
    let told = |finding: &audit::Finding, holds| Finding {
        rule: finding.rule.clone(),
        holds,
        period: finding.period.map(|day| day.to_string()),
        detail: finding.detail.clone(),
    };
    let errors = held.errors.iter().map(|finding| told(finding, true));
    errors.chain(held.warnings.iter().map(|finding| told(finding, false))).collect()
}

/// What the run ledger calls a mart's end.
fn ledger_status(status: Status) -> ledger::RunStatus {
    match status {
        Status::Published | Status::DryRun => ledger::RunStatus::Success,
        Status::PartlyHeld => ledger::RunStatus::Partial,
        Status::Held => ledger::RunStatus::Held,
        Status::Failed => ledger::RunStatus::Failed,
        Status::Running => ledger::RunStatus::Running,
    }
}

/// The most memory this process has held so far, in MiB, where the system tells (Linux: `VmHWM` in `/proc/self/status`).
fn peak_memory_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024)
}
