//! A night: land → compute → audit → publish, for each organisation, and what happens when a step fails.
//!
//! An organisation's jobs are landed, computed and audited one after the other; what passed is then published in one
//! transaction. A job that fails leaves its mart, its `updated_at` and the winners in staging as they were.
//! Organisations do not depend on each other: one that fails, fails alone.

mod forecast;
mod plan;
mod report;
mod todo;
mod verify;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::json;
use tracing::Instrument as _;

use crate::audit::{self, closed};
use crate::clock::Clock;
use crate::compute::{Compute, Fingerprint, Inputs, Pulls};
use crate::config::{Config, Org, Publish};
use crate::datasets::dataset;
use crate::extract;
use crate::jobs::Job;
use crate::ledger::{self, Finished, RunId, Started};
use crate::periods::{self, Partition};
use crate::postgres::{Database, Locked, OrganizationRow};
use crate::publish::{self, MartRows, Organization};
use crate::staging::{Landed, Manifest, Staging};

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
    config: &'a Config,
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
    if swept > 0 {
        tracing::info!(swept, "removed pulls that were cut short");
    }
    let todo = todo(config, request, started_at)?;
    database.require_migrated().await?;
    let rows: Vec<OrganizationRow> = config.orgs.iter().map(OrganizationRow::from).collect();
    let ids = database.sync_organizations(&rows).await?;
    let night = Night { config, database, staging, clock, request, run: RunId::new(started_at), tell };
    let marts: usize = todo.iter().map(|todo| todo.jobs.len()).sum();
    let run = (!request.dry_run).then_some(night.run.as_str());
    tell(&Event::Started { run, marts });
    let mut reports = Vec::with_capacity(marts);
    let mut as_of = None;
    let mut stopped = None;
    for Todo { org, jobs, window } in todo {
        as_of = as_of.max(Some(window.as_of));
        let at = config.orgs.iter().position(|row| row.slug == org.slug).context("an organisation without a row")?;
        let row = Organization { id: ids[at], slug: org.slug.clone() };
        reports.extend(night.organization(org, &row, &jobs, window, &mut stopped).await);
    }
    Ok(RunReport { run: run.map(str::to_owned), started_at, duration: Some(began.elapsed()), as_of, marts: reports })
}

impl Night<'_> {
    /// One organisation's night.
    async fn organization(
        &self,
        org: &Org,
        row: &Organization,
        jobs: &[&'static Job],
        window: Window,
        stopped: &mut Option<String>,
    ) -> Vec<MartReport> {
        let mut prepared = Vec::with_capacity(jobs.len());
        let mut tonight = Tonight::new();
        if !self.request.dry_run {
            // Together, or two nights that begin at once would each get some and lack the others, which with all or
            // nothing would leave none. Those that another run holds are named by their own jobs, below.
            let marts: Vec<_> = jobs.iter().map(|job| job.mart).collect();
            if let Err(error) = self.database.lock_all(&marts, row.id).await {
                tracing::warn!(org = row.slug, "the marts could not be locked together: {error:#}");
            }
        }
        for job in jobs {
            let as_of = window.as_of;
            let span = tracing::info_span!("run", job = job.name, org = org.slug, %as_of);
            let mut work = Prepared {
                report: MartReport::begun(&org.slug, job),
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
            };
            if let Some(reason) = stopped.as_ref() {
                work.report.skip(reason.clone());
                if let Err(error) = self.begin(row, window.as_of, None, &mut work).await {
                    tracing::error!(job = job.name, org = org.slug, "the run ledger could not be written: {error:#}");
                }
                prepared.push(work);
                continue;
            }
            let done = self.prepare(org, row, window, &mut tonight, &mut work).instrument(span).await;
            if let Err(error) = done.with_context(|| format!("{}/{} {as_of}", job.name, org.slug)) {
                work.report.fail(&error);
            }
            if self.request.fail_fast && !work.report.status.is_good() {
                *stopped = Some(reason(&work.report));
            }
            prepared.push(work);
        }
        if org.publish == Publish::AllOrNothing {
            withhold(&mut prepared);
        }
        self.publish(row, &mut prepared).await;
        if self.request.fail_fast && stopped.is_none() {
            *stopped =
                prepared.iter().find(|work| work.report.status == Status::Failed).map(|work| reason(&work.report));
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

    /// Lands, computes and audits one mart.
    async fn prepare(
        &self,
        org: &Org,
        row: &Organization,
        window: Window,
        tonight: &mut Tonight,
        work: &mut Prepared,
    ) -> Result<()> {
        let job = work.job;
        let source = source_for(job, org).context("the job has no source for the organisation")?;
        let planned = plan(job, source, org, window);
        let bounds =
            |plan: &Plan| plan.periods.first().zip(plan.periods.last()).map(|(first, last)| (first.start, last.end));
        let periods = planned.as_ref().ok().and_then(bounds);
        if !self.request.dry_run {
            if let Locked::HeldBy(holder) = self.database.lock(job.mart, row.id).await? {
                bail!("{} is being filled by another run: {holder}; try again when it has ended", job.mart);
            }
            let mut connection = self.database.connection().await?;
            ledger::sweep(&mut connection, row.id, &self.run).await?;
            drop(connection);
            self.begin(row, window.as_of, periods, work).await?;
        }
        // Only now, so that the ledger knows of a job whose settings rule it out.
        let mut plan = planned?;
        ensure!(periods.is_some(), "no day to report: all are before data_start_date or in excluded_months");
        let report = &mut work.report;

        let began = Instant::now();
        let pulls = self.land(org, &plan, window, tonight).await?;
        let absent = plan.leave_out_absent(&pulls);
        ensure!(!plan.periods.is_empty(), "the source has none of the days to report{}", said(&absent));
        report.landed = pulls.all().map(|landed| landed.manifest().rows).sum();
        let landing = began.elapsed();
        tracing::info!(
            rows = report.landed,
            pulls = pulls.all().count(),
            duration_ms = landing.as_millis() as u64,
            peak_memory_mib = peak_memory_mib(),
            "landed"
        );
        work.finished.rows_landed = i64::try_from(report.landed).ok();

        let published = {
            let mut connection = self.database.connection().await?;
            publish::published(&mut connection, row.id, job.mart).await?
        };
        let began = Instant::now();
        let inputs = Inputs { config: self.config, org, plan: &plan, pulls: &pulls, as_of: window.as_of };
        let (held, batches, computed, closed) = tokio::task::block_in_place(|| -> Result<_> {
            let compute = Compute::open(&inputs)?;
            let rows: usize = compute.compute()?.iter().map(|batch| batch.num_rows()).sum();
            (self.tell)(&Event::Computed { org: &org.slug, job: job.name, rows: rows as u64 });
            let mut findings = audit::audit(&compute, &published)?;
            let changes = closed::changes(&compute, self.closed_until(org, window.as_of))?;
            findings.extend(changes.iter().map(closed::Change::finding));
            let mut held = audit::split(findings, &plan.periods);
            held.warnings.extend(absent);
            self.ask_source(org, row, (&compute, &plan.periods), window.as_of, &mut held)?;
            let prints: Vec<_> = changes.into_iter().map(|change| change.prints).collect();
            Ok((held.clone(), compute.rows_except(&held.periods)?, rows, prints))
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
        report.findings = report::findings(&held);
        let left: usize = batches.iter().map(|batch| batch.num_rows()).sum();
        report.status = match (held.is_nothing(), held.mart || left == 0) {
            (true, _) => Status::Published,
            (false, true) => Status::Held,
            (false, false) => Status::PartlyHeld,
        };
        work.finished.detail = json!({
            "pulls": pulls.all().map(|landed| {
                let manifest = landed.manifest();
                json!({
                    "dataset": manifest.dataset, "period": manifest.period, "pulled_at": manifest.pulled_at,
                    "rows": manifest.rows, "files": manifest.files,
                })
            }).collect::<Vec<_>>(),
            "fingerprint": Fingerprint::of(&inputs),
            "as_of_pull": self.request.as_of_pull,
            "findings": report.findings,
            "closed": closed,
            "landing_ms": landing.as_millis() as u64,
            "computing_ms": computing.as_millis() as u64,
        });
        if report.status != Status::Held {
            let finished = Finished { status: report.status.in_the_ledger(), ..work.finished.clone() };
            let source_system = source.source_system;
            work.rows = Some(MartRows { mart: job.mart, key: job.key, source_system, batches, finished });
        }
        Ok(())
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

    /// The last day of an organisation that lies in a closed month. The day that decides is the last one that is over, or the
    /// one reported where that is later: reporting an old day again opens no month.
    fn closed_until(&self, org: &Org, as_of: NaiveDate) -> Option<NaiveDate> {
        let now = self.request.as_of_pull.unwrap_or_else(|| self.clock.now());
        org.closed.until(periods::last_complete_day(now, org.timezone).max(as_of))
    }

    /// The pulls that a plan needs: fresh ones, or what is staged.
    async fn land(&self, org: &Org, plan: &Plan, window: Window, tonight: &mut Tonight) -> Result<Pulls> {
        if self.request.from_staging {
            return Pulls::winners(&self.staging, &org.slug, &plan.wanted, self.request.as_of_pull);
        }
        let snapshots = Pulls::snapshots(&self.staging, &org.slug, &plan.wanted, None)?;
        for snapshot in &snapshots {
            let Manifest { dataset, period, pulled_at, .. } = snapshot.manifest();
            (self.tell)(&Event::Staged { org: &org.slug, dataset, period, pulled_at: *pulled_at });
        }
        let told = |dataset: &str, partition: Option<Partition>, rows: u64| match partition {
            None => (self.tell)(&Event::Pulling { org: &org.slug, dataset, rows }),
            Some(partition) => {
                (self.tell)(&Event::Pulled { org: &org.slug, dataset, period: &partition.to_string(), rows });
            }
        };
        let staging = self.staging.batch().reporting(window.as_of);
        let context = extract::Context {
            config: self.config,
            org,
            staging: &staging,
            clock: self.clock.clone(),
            pulled_at: self.clock.now(),
            as_of: window.as_of,
            saved: self.request.pages.clone().map(extract::Saved::Folder),
            progress: &told,
        };
        let (wanted, settled) = Pulls::settled(&self.staging, org, &plan.wanted)?;
        // Two jobs of a night that read the same dataset read the same pull, so that their figures agree.
        let mut missing = wanted.clone();
        for Wanted { dataset, partitions, .. } in &mut missing {
            partitions.retain(|partition| !tonight.contains_key(&(dataset.name, *partition)));
        }
        if missing.iter().any(|wanted| !wanted.partitions.is_empty()) {
            extract::land(&context, self.database, plan.source.connector, &missing).await?;
        }
        // Only now that none has failed does any of them win.
        for landed in staging.commit().context("committing the pulls")? {
            let dataset = dataset(&landed.manifest().dataset).context("a pull of an unknown dataset")?;
            tonight.insert((dataset.name, landed.partition()?), landed);
        }
        let mut landed = Vec::new();
        for Wanted { dataset, partitions, .. } in &wanted {
            for partition in partitions {
                let pull = tonight.get(&(dataset.name, *partition));
                landed.push(pull.with_context(|| format!("{} {partition} was not pulled", dataset.name))?.clone());
            }
        }
        landed.extend(settled);
        landed.extend(snapshots);
        Ok(landed.into_iter().collect())
    }

    /// Publishes what passed, in one transaction, and writes down how every other mart ended.
    async fn publish(&self, row: &Organization, prepared: &mut [Prepared]) {
        let began = Instant::now();
        let marts: Vec<MartRows> = prepared.iter_mut().filter_map(|work| work.rows.take()).collect();
        if !marts.is_empty() {
            let published = self.publish_rows(row, &marts).await;
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

/// Of an organisation that publishes all or nothing: where a mart is not as it should be, none is published.
fn withhold(prepared: &mut [Prepared]) {
    let bad = prepared.iter().find(|work| !work.report.status.is_good() && work.report.status != Status::Skipped);
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

/// `: ga4_events of 2026-01-20, …`
fn said(absent: &[audit::Finding]) -> String {
    let days: Vec<_> = absent.iter().filter_map(|finding| Some(finding.period?.to_string())).collect();
    if days.is_empty() { String::new() } else { format!(": {}", days.join(", ")) }
}

/// The most memory this process has held so far, in MiB, where the system tells (Linux: `VmHWM` in `/proc/self/status`).
fn peak_memory_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024)
}
