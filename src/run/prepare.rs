//! One mart of one organisation: landed, computed and audited, ready to be published.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use arrow::array::RecordBatch;
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::json;
use tracing::{Instrument as _, info_span};

use super::{Event, MartRows, Night, Plan, Prepared, Status, Tonight, Wanted, Window, plan, report, source_for};
use crate::audit::{self, Held, closed};
use crate::compute::{Compute, Fingerprint, Inputs, Pulls};
use crate::config::{Config, Org};
use crate::datasets::dataset;
use crate::extract;
use crate::ledger::{self, Finished};
use crate::periods::{self, Partition};
use crate::postgres::Locked;
use crate::publish::{self, Organization};
use crate::staging::{Landed, Manifest};

/// What a mart is computed from, for a thread of its own.
struct Ingredients {
    config: Arc<Config>,
    /// Its place in the configuration.
    org: usize,
    plan: Plan,
    pulls: Pulls,
    as_of: NaiveDate,
}

impl Ingredients {
    fn lent(&self) -> Inputs<'_> {
        let Ingredients { config, org, plan, pulls, as_of } = self;
        Inputs { config, org: &config.orgs[*org], plan, pulls, as_of: *as_of }
    }
}

/// The rows of another mart that an audit compares with.
struct Beside {
    mart: &'static str,
    published: Vec<RecordBatch>,
    /// What the same run is about to publish of it.
    tonight: Vec<RecordBatch>,
}

/// A mart that is computed, and what its audit says.
struct Audited {
    /// Before anything is held.
    rows: u64,
    changes: Vec<closed::Change>,
    held: Held,
    /// What may be published.
    batches: Vec<RecordBatch>,
}

/// Computes a mart; how many rows it has.
fn computed(inputs: &Ingredients) -> Result<(Compute, u64)> {
    let _span = info_span!("compute").entered();
    let compute = Compute::open(&inputs.lent())?;
    let rows = compute.compute()?.iter().map(|batch| batch.num_rows() as u64).sum();
    Ok((compute, rows))
}

/// Audits what is computed against what is `published`, and against the marts `beside` it.
fn audited(
    (compute, rows): (&Compute, u64),
    inputs: &Ingredients,
    published: &[RecordBatch],
    beside: &[Beside],
    closed_until: Option<NaiveDate>,
) -> Result<Audited> {
    let _span = info_span!("audit").entered();
    for Beside { mart, published, tonight } in beside {
        audit::register_beside(compute, mart, published, tonight)?;
    }
    let mut findings = audit::audit(compute, published)?;
    let changes = closed::changes(compute, closed_until)?;
    findings.extend(changes.iter().map(closed::Change::finding));
    let held = audit::split(findings, &inputs.plan.periods);
    let batches = compute.rows_except(&held.periods)?;
    Ok(Audited { rows, changes, held, batches })
}

impl Night<'_> {
    /// Lands, computes and audits one mart; `earlier` are those of its source that this run has prepared before.
    pub(super) async fn prepare(
        &self,
        at: usize,
        row: &Organization,
        window: Window,
        tonight: &mut Tonight,
        earlier: &[Prepared],
        work: &mut Prepared,
    ) -> Result<()> {
        let (job, org) = (work.job, &self.config.orgs[at]);
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
        let pulls = self.land(org, &plan, window, tonight).instrument(info_span!("land")).await?;
        let (owed, absent) = plan.leave_out_absent(&pulls).into_iter().partition(|it| self.owes(org, window, it));
        ensure!(!plan.periods.is_empty(), "the source has none of the days to report{}", said([&owed, &absent]));
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

        let (published, beside) = {
            let mut connection = self.database.connection().await?;
            let mut beside = Vec::new();
            for mart in job.beside {
                let tonight = earlier.iter().filter_map(|work| work.rows.as_ref()).filter(|rows| rows.mart == *mart);
                beside.push(Beside {
                    mart,
                    published: publish::published(&mut connection, row.id, mart).await?,
                    tonight: tonight.flat_map(|rows| rows.batches.clone()).collect(),
                });
            }
            (publish::published(&mut connection, row.id, job.mart).await?, beside)
        };
        let began = Instant::now();
        let closed_until = self.closed_until(org, window.as_of);
        let inputs = Ingredients { config: self.config.clone(), org: at, plan, pulls, as_of: window.as_of };
        let (compute, inputs, audited) = self
            .blocking(move || {
                let (compute, rows) = computed(&inputs)?;
                let audited = audited((&compute, rows), &inputs, &published, &beside, closed_until)?;
                Ok((compute, inputs, audited))
            })
            .await?;
        let Audited { rows: computed, changes, mut held, mut batches } = audited;
        (self.tell)(&Event::Computed { org: &org.slug, job: job.name, rows: computed });
        held.lack(owed);
        held.warnings.extend(absent);
        if self.ask_source(org, row, (source, &inputs.plan, &batches), window.as_of, &mut held).await? {
            let periods = held.periods.clone();
            batches = self.blocking(move || compute.rows_except(&periods)).await?;
        }
        let closed: Vec<_> = changes.into_iter().map(|change| change.prints).collect();
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
            "pulls": inputs.pulls.all().map(|landed| {
                let manifest = landed.manifest();
                json!({
                    "dataset": manifest.dataset, "period": manifest.period, "pulled_at": manifest.pulled_at,
                    "rows": manifest.rows, "files": manifest.files,
                })
            }).collect::<Vec<_>>(),
            "fingerprint": Fingerprint::of(&inputs.lent()),
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

    /// Whether a day that the source does not have is the one that the night is there to report. Any other may never
    /// come; that one is waited for, unless it is not over yet.
    fn owes(&self, org: &Org, window: Window, absent: &audit::Finding) -> bool {
        absent.period == Some(window.as_of) && window.as_of <= periods::last_complete_day(self.now(), org.timezone)
    }

    /// The present, or the instant that stands for it.
    fn now(&self) -> DateTime<Utc> {
        self.request.as_of_pull.unwrap_or_else(|| self.clock.now())
    }

    /// Computes on a thread of its own, when one of those that may compute at a time is free.
    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let turn = self.computing.clone().acquire_owned().await.context("the run is over")?;
        let span = tracing::Span::current();
        let done = tokio::task::spawn_blocking(move || {
            // Until it has ended, even if nobody waits for it any more.
            let _turn = turn;
            span.in_scope(work)
        });
        done.await.context("a computation broke off")?
    }

    /// The last day of an organisation that lies in a closed month. The day that decides is the last one that is over, or the
    /// one reported where that is later: reporting an old day again opens no month.
    fn closed_until(&self, org: &Org, as_of: NaiveDate) -> Option<NaiveDate> {
        org.closed.until(periods::last_complete_day(self.now(), org.timezone).max(as_of))
    }

    /// The pulls that a plan needs: fresh ones, or what is staged.
    async fn land(&self, org: &Org, plan: &Plan, window: Window, tonight: &mut Tonight) -> Result<Pulls> {
        let staged = |snapshot: &Landed| {
            let Manifest { dataset, period, pulled_at, .. } = snapshot.manifest();
            (self.tell)(&Event::Staged { org: &org.slug, dataset, period, pulled_at: *pulled_at });
        };
        if self.request.from_staging {
            // All that is read is held against its checksums.
            let (staging, its, wanted) = (self.staging.clone(), org.clone(), plan.wanted.clone());
            let as_of_pull = self.request.as_of_pull;
            let pulls = self.blocking(move || Pulls::winners(&staging, &its, &wanted, as_of_pull)).await?;
            pulls.gone_by(&plan.wanted).for_each(staged);
            return Ok(pulls);
        }
        let snapshots = Pulls::snapshots(&self.staging, org, &plan.wanted, None)?;
        snapshots.iter().for_each(staged);
        let told = |dataset: &str, partition: Option<Partition>, rows: u64| match partition {
            None => (self.tell)(&Event::Pulling { org: &org.slug, dataset, rows }),
            Some(partition) => {
                (self.tell)(&Event::Pulled { org: &org.slug, dataset, period: &partition.to_string(), rows });
            }
        };
        let staging = self.staging.batch().reporting(window.as_of);
        let context = extract::Context {
            config: &self.config,
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
}

/// `: ga4_events of 2026-01-20, …`
fn said(absent: [&Vec<audit::Finding>; 2]) -> String {
    let days: BTreeSet<_> = absent.into_iter().flatten().filter_map(|finding| finding.period).collect();
    let days: Vec<_> = days.iter().map(ToString::to_string).collect();
    if days.is_empty() { String::new() } else { format!(": {}", days.join(", ")) }
}

/// The most memory this process has held so far, in MiB, where the system tells (Linux: `VmHWM` in `/proc/self/status`).
fn peak_memory_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024)
}
