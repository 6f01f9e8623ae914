//! Accepting what a run held because its month is closed: the same rows, computed from the same pulls, are published with the
//! reason that somebody gives.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail, ensure};
use chrono::NaiveDate;
use serde::Serialize;
use serde_json::json;
use sqlx::postgres::PgConnection;
use sqlx::{FromRow, query_as, query_scalar};

use crate::audit::closed::{self, Prints};
use crate::audit::register_published;
use crate::clock::Clock;
use crate::compute::{Compute, Inputs};
use crate::config::{Config, Org};
use crate::explain;
use crate::jobs::{JOBS, Job, Periods};
use crate::ledger::{self, Finished, Run, RunId, Started, Status};
use crate::periods;
use crate::postgres::{Database, Locked, OneLine as _, OrganizationRow, as_admin, as_reader};
use crate::publish::{self, Acceptance, MartRows, Organization, Published};
use crate::run::{Finding, Window, plan, source_for};
use crate::staging::Staging;

/// What is to be accepted.
#[derive(Debug)]
pub struct Ask {
    /// The run, in full.
    pub run: String,
    /// Only this organisation.
    pub org: Option<String>,
    /// Only this mart.
    pub mart: Option<String>,
    /// Why; not blank.
    pub reason: String,
    /// Who accepts it; not blank.
    pub by: String,
}

/// What was accepted of one mart of one organisation.
#[derive(Debug, Serialize)]
pub struct Accepted {
    pub org: String,
    pub mart: String,
    /// The run that held the rows.
    pub accepted: String,
    /// The run that published them: this one.
    pub run: String,
    /// First days of the rows' periods.
    pub periods: Vec<NaiveDate>,
    pub inserted: i64,
    pub updated: i64,
    pub changed_cells: i64,
    /// First days of periods that the run held for other rules as well: they stay held.
    pub left: Vec<NaiveDate>,
}

/// What a run held of one mart.
struct Held<'a> {
    org: &'a Org,
    job: &'static Job,
    run: Run,
    /// Held because of closed months alone.
    rows: BTreeMap<NaiveDate, Prints>,
    /// Held for other rules as well.
    left: BTreeSet<NaiveDate>,
}

/// Publishes what a run held because of closed months, an organisation at a time.
///
/// # Errors
/// Nothing was held for that reason, or for others too; it has been accepted; a newer run has restated it; or its rows do
/// not come out as they did. Nothing of the organisation is published then.
pub async fn accept(config: &Config, database: &Database, clock: &Clock, ask: &Ask) -> Result<Vec<Accepted>> {
    let staging = Staging::new(&config.staging.path);
    // No clean-up takes away what is read here.
    let _held = staging.hold()?;
    database.require_migrated().await?;
    let rows: Vec<OrganizationRow> = config.orgs.iter().map(OrganizationRow::from).collect();
    let ids = database.sync_organizations(&rows).await?;
    let held = held(config, database, ask).await?;
    let run = RunId::new(clock.now());
    let mut accepted = Vec::new();
    for (org, id) in config.orgs.iter().zip(ids) {
        let held: Vec<_> = held.iter().filter(|held| held.org.slug == org.slug).collect();
        if held.is_empty() {
            continue;
        }
        let row = Organization { id, slug: org.slug.clone() };
        let mut locked = Vec::new();
        let done = of_organization(config, database, &staging, &row, &held, &run, ask, &mut locked).await;
        for mart in locked {
            database.unlock(mart, id).await?;
        }
        let done = done.with_context(|| format!("accepting run {} of {}", ask.run, org.slug))?;
        accepted.extend(held.iter().zip(done).map(|(held, published)| Accepted {
            org: org.slug.clone(),
            mart: held.job.mart.to_owned(),
            accepted: ask.run.clone(),
            run: run.to_string(),
            periods: held.rows.keys().copied().collect(),
            inserted: published.inserted,
            updated: published.updated,
            changed_cells: published.changed_cells,
            left: held.left.iter().copied().collect(),
        }));
    }
    Ok(accepted)
}

/// What the run held of the marts that are asked for, as far as it may be accepted.
async fn held<'a>(config: &'a Config, database: &Database, ask: &Ask) -> Result<Vec<Held<'a>>> {
    let mut connection = database.connection().await?;
    let is_asked = |run: &Run| {
        run.run_id == ask.run
            && ask.org.as_ref().is_none_or(|org| *org == run.org)
            && ask.mart.as_ref().is_none_or(|mart| *mart == run.mart)
    };
    let runs = ledger::show(&mut connection, &ask.run).await?.into_iter().filter(is_asked);
    let (mut found, mut others) = (Vec::new(), Vec::new());
    for run in runs.filter(|run| matches!(run.status.as_str(), "held" | "partial")) {
        let findings: Vec<Finding> =
            serde_json::from_value(run.detail.get("findings").cloned().unwrap_or_default()).unwrap_or_default();
        let prints: Vec<Prints> =
            serde_json::from_value(run.detail.get("closed").cloned().unwrap_or_default()).unwrap_or_default();
        let errors: Vec<_> = findings.iter().filter(|finding| finding.holds && finding.rule != closed::RULE).collect();
        let breaks = |period: NaiveDate| {
            errors.iter().any(|error| error.period.as_deref().is_none_or(|of| of == period.to_string()))
        };
        let (left, rows): (Vec<_>, Vec<_>) = prints.into_iter().partition(|prints| breaks(prints.period));
        others.extend(errors.iter().map(|error| format!("{} of {} ({})", run.mart, run.org, error.rule)));
        if rows.is_empty() {
            continue;
        }
        let org = config.orgs.iter().find(|org| org.slug == run.org);
        let job = JOBS.iter().find(|job| job.mart == run.mart);
        let (org, job) = org.zip(job).with_context(|| format!("{} of {} is no longer known", run.mart, run.org))?;
        found.push(Held {
            org,
            job,
            run,
            rows: rows.into_iter().map(|prints| (prints.period, prints)).collect(),
            left: left.into_iter().map(|prints| prints.period).collect(),
        });
    }
    others.dedup();
    if found.is_empty() {
        let of = [ask.mart.as_deref(), ask.org.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" of ");
        let of = if of.is_empty() { of } else { format!(" of {of}") };
        ensure!(
            others.is_empty(),
            "what run {} held{of} breaks other rules, and cannot be accepted: {}; mend the source or the rule, and run again",
            ask.run,
            others.join(", ")
        );
        bail!("run {} held nothing{of} because of closed months", ask.run);
    }
    for held in &found {
        refuse_what_is_settled(&mut connection, held).await?;
    }
    Ok(found)
}

/// Refuses what has been accepted, and what a newer run has restated.
async fn refuse_what_is_settled(connection: &mut PgConnection, held: &Held<'_>) -> Result<()> {
    let Held { run, job, org, rows, .. } = held;
    let org_id = ledger::org_id(connection, &org.slug).await?;
    let what = format!("{} of {}", job.mart, org.slug);
    let mut transaction = as_reader(connection, org_id).await?;
    let accepted: Option<String> =
        query_scalar("select run_id from etl_acceptances where accepted_run = $1 and mart = $2")
            .bind(&run.run_id)
            .bind(job.mart)
            .fetch_optional(&mut *transaction)
            .await
            .one_line()
            .context("reading the acceptances")?;
    if let Some(accepted) = accepted {
        bail!("what run {} held of {what} has been accepted already, by run {accepted}", run.run_id);
    }
    // A day that the source did not have was not restated.
    let newer: Option<(String, NaiveDate)> = query_as(
        "select run_id, period from etl_runs cross join unnest($3::date[]) period
         where mart = $1 and status in ('success', 'partial', 'held') and first_period <= period and last_period >= period
             and started_at > (select started_at from etl_runs held where held.run_id = $2 and held.mart = $1)
             and not exists (
                 select from jsonb_array_elements(detail -> 'findings') finding
                 where finding ->> 'rule' = 'absent' and finding ->> 'period' = period::text)
         order by started_at desc, period limit 1",
    )
    .bind(job.mart)
    .bind(&run.run_id)
    .bind(rows.keys().copied().collect::<Vec<_>>())
    .fetch_optional(&mut *transaction)
    .await
    .one_line()
    .context("reading the run ledger")?;
    if let Some((newer, period)) = newer {
        bail!(
            "run {newer} has restated {period} in {what} since run {}: what it held is to be accepted, see `marts show {newer}`",
            run.run_id
        );
    }
    Ok(())
}

/// Publishes what was held of an organisation in one transaction; `locked` are the marts whose locks are to be released.
#[expect(clippy::too_many_arguments, reason = "one step of `accept`")]
async fn of_organization(
    config: &Config,
    database: &Database,
    staging: &Staging,
    row: &Organization,
    held: &[&Held<'_>],
    run: &RunId,
    ask: &Ask,
    locked: &mut Vec<&'static str>,
) -> Result<Vec<Published>> {
    let mut marts = Vec::with_capacity(held.len());
    let mut acceptances = Vec::with_capacity(held.len());
    for held in held {
        let mart = held.job.mart;
        if let Locked::HeldBy(holder) = database.lock(mart, row.id).await? {
            bail!("{mart} is being filled by another run: {holder}; try again when it has ended");
        }
        locked.push(mart);
        let mut connection = database.connection().await?;
        // Under the lock once more: a run may have ended meanwhile.
        refuse_what_is_settled(&mut connection, held).await?;
        let published = publish::published(&mut connection, row.id, mart).await?;
        drop(connection);
        marts.push(tokio::task::block_in_place(|| rows(config, staging, held, &published, ask))?);
        acceptances.push(Acceptance {
            accepted_run: ask.run.clone(),
            mart,
            periods: held.rows.keys().copied().collect(),
            reason: ask.reason.clone(),
            accepted_by: ask.by.clone(),
        });
    }
    let mut connection = database.connection().await?;
    ledger::sweep(&mut connection, row.id, run).await?;
    for held in held {
        let ends = held.rows.keys().next().zip(held.rows.keys().next_back());
        let periods = ends.map(|(first, last)| (*first, last_day(held.job, *last)));
        let (job, mart, as_of) = (held.job.name, held.job.mart, held.run.as_of);
        ledger::start(&mut connection, &Started { run, org_id: row.id, job, mart, as_of, periods }).await?;
    }
    let published = publish::publish_accepted(&mut connection, row, run, &marts, &acceptances).await;
    if let Err(error) = &published {
        for held in held {
            ledger::fail(&mut connection, row.id, run, held.job.name, error, json!({})).await?;
        }
    }
    published
}

/// The rows that were held, computed again.
///
/// # Errors
/// One that comes out otherwise than it did, and one whose published row is another by now.
fn rows(
    config: &Config,
    staging: &Staging,
    held: &Held<'_>,
    published: &[arrow::array::RecordBatch],
    ask: &Ask,
) -> Result<MartRows> {
    let Held { org, job, run, rows, .. } = held;
    let source =
        source_for(job, org).with_context(|| format!("{} has no source for {} any more", job.name, org.slug))?;
    let pulls = explain::pulls_of(staging, &org.slug, run)?;
    let (first, last) = rows.keys().next().zip(rows.keys().next_back()).context("nothing is held")?;
    let window = Window { as_of: run.as_of, range: Some((*first, last_day(job, *last))), is_present: true };
    let mut plan = plan(job, source, org, window)?;
    plan.leave_out_absent(&pulls);
    let compute = Compute::open(&Inputs { config, org, plan: &plan, pulls: &pulls, as_of: run.as_of })?;
    compute.compute()?;
    register_published(&compute, published)?;
    let changes = closed::changes(&compute, Some(last_day(job, *last)))?;
    for (period, then) in rows {
        let Some(now) = changes.iter().find(|change| change.period == *period) else {
            bail!("{} of {} for {period} is published already as run {} made it", job.mart, org.slug, run.run_id);
        };
        ensure!(
            now.prints.was == then.was,
            "what is published of {} of {} for {period} has changed since run {}: run the job again and accept that run",
            job.mart,
            org.slug,
            run.run_id
        );
        ensure!(
            now.prints.becomes == then.becomes,
            "{} of {} for {period} does not come out as it did in run {}: the settings or the program have changed since; run \
             the job again and accept that run",
            job.mart,
            org.slug,
            run.run_id
        );
    }
    let periods: BTreeSet<NaiveDate> = rows.keys().copied().collect();
    // The days between them are not this run's, like those that a source does not have.
    let others = plan.periods.iter().filter(|period| !periods.contains(&period.start)).map(|period| Finding {
        rule: "absent".to_owned(),
        holds: false,
        period: Some(period.start.to_string()),
        detail: format!("not held by run {} because its month is closed, so not accepted", run.run_id),
    });
    let detail = json!({
        "pulls": run.detail.get("pulls"),
        "findings": others.collect::<Vec<_>>(),
        "accepted": { "run": run.run_id, "reason": ask.reason, "by": ask.by },
    });
    let finished = Finished {
        job: job.name.to_owned(),
        status: Status::Success,
        rows_landed: run.rows_landed,
        error: None,
        detail,
    };
    let batches = compute.rows_of(&periods)?;
    Ok(MartRows { mart: job.mart, key: job.key, source_system: source.source_system, batches, finished })
}

/// Last day of the period that begins on a day.
fn last_day(job: &Job, first: NaiveDate) -> NaiveDate {
    match job.periods {
        Periods::Days { .. } => first,
        Periods::Months { .. } => periods::last_of_month(first),
    }
}

/// An acceptance, as the ledger has it.
#[derive(Debug, Clone, FromRow, Serialize)]
pub struct Entry {
    pub org: String,
    pub mart: String,
    /// The run that published the rows.
    pub run_id: String,
    /// The run that had held them.
    pub accepted_run: String,
    pub periods: Vec<NaiveDate>,
    pub reason: String,
    pub accepted_by: String,
    pub accepted_at: chrono::DateTime<chrono::Utc>,
}

/// The acceptances that a run made, and those of what it had held; in their order.
pub async fn about(connection: &mut PgConnection, run: &str) -> Result<Vec<Entry>> {
    let mut transaction = as_admin(connection).await?;
    query_as(
        "select organizations.slug as org, mart, run_id, accepted_run, periods, reason, accepted_by, accepted_at
         from etl_acceptances join organizations on organizations.id = org_id
         where run_id = $1 or accepted_run = $1 order by etl_acceptances.id",
    )
    .bind(run)
    .fetch_all(&mut *transaction)
    .await
    .one_line()
    .context("reading the acceptances")
}
