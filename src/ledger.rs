//! The run ledger `etl_runs`: how each job of each run ended, for each organisation. Its times are the database's.

use std::fmt;

use anyhow::{Context, Result, bail, ensure};
use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::postgres::PgConnection;
use sqlx::{FromRow, Postgres, Transaction, query, query_as, query_scalar};

use crate::postgres::{OneLine, as_admin, as_loader, as_reader};
use crate::run::{MartReport, RunReport};

/// The rule of findings that say that the source did not have a day.
pub const ABSENT: &str = "absent";

/// One invocation of `marts run`: shared by all of its jobs and organisations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunId(String);

impl RunId {
    /// The start in UTC, so that runs sort by it, and a random tail, so that no two are alike.
    pub fn new(now: DateTime<Utc>) -> RunId {
        RunId(format!("{}-{:08x}", now.format("%Y%m%dT%H%M%SZ"), rand::random::<u32>()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// When the run began, to the second; none for what is no number of a run.
    pub fn began(&self) -> Option<DateTime<Utc>> {
        let (start, _) = self.0.split_once('-')?;
        let start = NaiveDateTime::parse_from_str(start, "%Y%m%dT%H%M%SZ").ok()?;
        Some(start.and_utc())
    }
}

impl From<String> for RunId {
    fn from(text: String) -> RunId {
        RunId(text)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// How a run of a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Running,
    Success,
    Failed,
    /// The audit kept all of the old rows.
    Held,
    /// The audit kept some of the old rows.
    Partial,
    Skipped,
}

impl Status {
    /// As the ledger has it.
    pub fn name(self) -> &'static str {
        match self {
            Status::Running => "running",
            Status::Success => "success",
            Status::Failed => "failed",
            Status::Held => "held",
            Status::Partial => "partial",
            Status::Skipped => "skipped",
        }
    }

    /// From what the ledger has.
    pub fn read(name: &str) -> Option<Status> {
        let all = [Status::Running, Status::Success, Status::Failed, Status::Held, Status::Partial, Status::Skipped];
        all.into_iter().find(|status| status.name() == name)
    }
}

/// A job that begins, for one organisation.
#[derive(Debug, Clone)]
pub struct Started<'a> {
    pub run: &'a RunId,
    pub org_id: i32,
    pub job: &'a str,
    pub mart: &'a str,
    pub as_of: NaiveDate,
    /// First and last day of the periods to restate; none when there are none.
    pub periods: Option<(NaiveDate, NaiveDate)>,
}

/// How a job ended. Its counts are the publish's to tell.
#[derive(Debug, Clone)]
pub struct Finished {
    pub job: String,
    pub status: Status,
    pub rows_landed: Option<i64>,
    pub error: Option<String>,
    /// Pulls with their checksums, durations, warnings: an object.
    pub detail: Value,
}

/// Rows that a publish wrote, or found as they were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub inserted: i64,
    pub updated: i64,
    pub unchanged: i64,
}

/// Writes that a job runs, before it does anything.
pub async fn start(connection: &mut PgConnection, started: &Started<'_>) -> Result<()> {
    let context = || format!("writing the start of {} to the run ledger", started.job);
    let mut transaction = as_loader(connection, started.org_id).await?;
    query(
        "insert into etl_runs (run_id, org_id, job, mart, as_of, status, first_period, last_period, tool_version)
         values ($1, $2, $3, $4, $5, 'running', $6, $7, $8)",
    )
    .bind(started.run.as_str())
    .bind(started.org_id)
    .bind(started.job)
    .bind(started.mart)
    .bind(started.as_of)
    .bind(started.periods.map(|(first, _)| first))
    .bind(started.periods.map(|(_, last)| last))
    .bind(env!("CARGO_PKG_VERSION"))
    .execute(&mut *transaction)
    .await
    .one_line()
    .with_context(context)?;
    transaction.commit().await.one_line().with_context(context)
}

/// Writes how a job ended that published nothing: failed, held or skipped. One that published is written by
/// [`crate::publish::publish`], in the same transaction as its rows.
pub async fn finish(connection: &mut PgConnection, org_id: i32, run: &RunId, finished: &Finished) -> Result<()> {
    let mut transaction = as_loader(connection, org_id).await?;
    record(&mut transaction, org_id, run, finished, None).await?;
    transaction.commit().await.one_line().context("writing to the run ledger")
}

/// Writes that a job failed, with the whole chain of the error in one line.
pub async fn fail(
    connection: &mut PgConnection,
    org_id: i32,
    run: &RunId,
    job: &str,
    error: &anyhow::Error,
    detail: Value,
) -> Result<()> {
    let error = Some(format!("{error:#}"));
    let finished = Finished { job: job.to_owned(), status: Status::Failed, rows_landed: None, error, detail };
    finish(connection, org_id, run, &finished).await
}

/// The end of a job, inside a transaction of the caller's.
pub(crate) async fn record(
    transaction: &mut Transaction<'_, Postgres>,
    org_id: i32,
    run: &RunId,
    finished: &Finished,
    counts: Option<Counts>,
) -> Result<()> {
    let context = || format!("writing the end of {} to the run ledger", finished.job);
    let done = query(
        "update etl_runs set status = $4, finished_at = clock_timestamp(), rows_landed = $5, error = $6, detail = $7,
             rows_inserted = $8, rows_updated = $9, rows_unchanged = $10
         where run_id = $1 and org_id = $2 and job = $3 and status = 'running'",
    )
    .bind(run.as_str())
    .bind(org_id)
    .bind(&finished.job)
    .bind(finished.status.name())
    .bind(finished.rows_landed)
    .bind(&finished.error)
    .bind(&finished.detail)
    .bind(counts.map(|counts| counts.inserted))
    .bind(counts.map(|counts| counts.updated))
    .bind(counts.map(|counts| counts.unchanged))
    .execute(&mut **transaction)
    .await
    .one_line()
    .with_context(context)?;
    ensure!(
        done.rows_affected() == 1,
        "run {run} of {} is not running for organisation {org_id}: it was never started, or has ended",
        finished.job
    );
    Ok(())
}

/// What a run has published for an organisation, by job, as far as it was committed.
pub(crate) async fn published(
    connection: &mut PgConnection,
    org_id: i32,
    run: &RunId,
) -> Result<Vec<(String, Counts, i64)>> {
    let mut transaction = as_loader(connection, org_id).await?;
    let rows: Vec<(String, i64, i64, i64, i64)> = query_as(
        "select job, rows_inserted, rows_updated, rows_unchanged,
             (select count(*) from etl_changes c where c.run_id = r.run_id and c.org_id = r.org_id and c.mart = r.mart)
         from etl_runs r where run_id = $1 and org_id = $2 and status in ('success', 'partial')",
    )
    .bind(run.as_str())
    .bind(org_id)
    .fetch_all(&mut *transaction)
    .await
    .one_line()
    .context("reading the run ledger")?;
    let counted = rows.into_iter().map(|(job, inserted, updated, unchanged, changed_cells)| {
        (job, Counts { inserted, updated, unchanged }, changed_cells)
    });
    Ok(counted.collect())
}

/// Marks the runs of an organisation as failed that say they run, though nobody holds their mart's lock: their process
/// died. Returns how many there were. Call it when holding the locks of `run`, whose own rows are left alone.
pub async fn sweep(connection: &mut PgConnection, org_id: i32, run: &RunId) -> Result<u64> {
    let context = || "sweeping the run ledger".to_owned();
    let mut transaction = as_loader(connection, org_id).await?;
    let swept = query(
        "update etl_runs set status = 'failed', finished_at = clock_timestamp(),
             error = 'the process ended before the run did'
         where status = 'running' and org_id = $1 and run_id <> $2 and not exists (
             select from pg_locks locks
             join pg_database on pg_database.oid = locks.database and datname = current_database()
             where locks.locktype = 'advisory' and locks.granted and locks.objsubid = 2
               and locks.pid <> pg_backend_pid()
               and locks.classid::bigint::bit(32)::integer = hashtext('marts.' || mart)
               and locks.objid::bigint::bit(32)::integer = org_id)",
    )
    .bind(org_id)
    .bind(run.as_str())
    .execute(&mut *transaction)
    .await
    .one_line()
    .with_context(context)?;
    transaction.commit().await.one_line().with_context(context)?;
    Ok(swept.rows_affected())
}

/// The same for all organisations, for one that runs nothing itself.
pub async fn sweep_all(connection: &mut PgConnection) -> Result<()> {
    let ids: Vec<i32> = {
        let mut transaction = as_admin(connection).await?;
        query_scalar("select distinct org_id from etl_runs where status = 'running'")
            .fetch_all(&mut *transaction)
            .await
            .one_line()
            .context("reading the run ledger")?
    };
    for id in ids {
        sweep(connection, id, &RunId::from(String::new())).await?;
    }
    Ok(())
}

/// Marks what of a run has not ended as failed, with the reason, because it was given up. Returns how many jobs that were.
pub async fn abandon(connection: &mut PgConnection, org_id: i32, run: &RunId, reason: &str) -> Result<u64> {
    let mut transaction = as_loader(connection, org_id).await?;
    let abandoned = query(
        "update etl_runs set status = 'failed', finished_at = clock_timestamp(), error = $3
         where status = 'running' and org_id = $1 and run_id = $2",
    )
    .bind(org_id)
    .bind(run.as_str())
    .bind(reason)
    .execute(&mut *transaction)
    .await
    .one_line()
    .context("writing to the run ledger")?;
    transaction.commit().await.one_line().context("writing to the run ledger")?;
    Ok(abandoned.rows_affected())
}

/// A row of the run ledger.
#[derive(Debug, Clone, FromRow)]
pub struct Run {
    pub run_id: String,
    pub org: String,
    pub job: String,
    pub mart: String,
    pub as_of: NaiveDate,
    pub status: String,
    pub started_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    pub first_period: Option<NaiveDate>,
    pub last_period: Option<NaiveDate>,
    pub rows_landed: Option<i64>,
    pub rows_inserted: Option<i64>,
    pub rows_updated: Option<i64>,
    pub rows_unchanged: Option<i64>,
    pub error: Option<String>,
    pub detail: Value,
    pub tool_version: String,
}

/// The newest `limit` runs, of one organisation or of all: newest first, the jobs of a run in the order they started.
pub async fn list(connection: &mut PgConnection, limit: u32, org_id: Option<i32>) -> Result<Vec<Run>> {
    let mut transaction = match org_id {
        Some(org_id) => as_reader(connection, org_id).await?,
        None => as_admin(connection).await?,
    };
    query_as(
        "with newest as (
             select run_id, min(started_at) as began from etl_runs group by run_id order by began desc, run_id desc limit $1
         )
         select etl_runs.*, organizations.slug as org from etl_runs
         join newest using (run_id)
         join organizations on organizations.id = org_id
         order by newest.began desc, run_id desc, started_at, org, job",
    )
    .bind(i64::from(limit))
    .fetch_all(&mut *transaction)
    .await
    .one_line()
    .context("reading the run ledger")
}

/// The runs of the ledger with the instant at which each ended, or began while it has not: in this order they published,
/// whichever of them began first.
pub async fn runs(connection: &mut PgConnection) -> Result<Vec<(String, DateTime<Utc>)>> {
    let mut transaction = as_admin(connection).await?;
    query_as("select run_id, coalesce(max(finished_at), min(started_at)) from etl_runs group by run_id order by 2, 1")
        .fetch_all(&mut *transaction)
        .await
        .one_line()
        .context("reading the run ledger")
}

/// The one run that begins like that.
///
/// # Errors
/// None, or several.
pub fn run_called<'a>(runs: &'a [(String, DateTime<Utc>)], prefix: &str) -> Result<&'a (String, DateTime<Utc>)> {
    let mut found = runs.iter().filter(|(run, _)| run.starts_with(prefix));
    match (found.next(), found.count()) {
        (Some(run), 0) => Ok(run),
        (Some(_), more) => bail!("{} runs begin with {prefix}; name one of them", more + 1),
        (None, _) => bail!("there is no run {prefix}; `marts runs` lists them"),
    }
}

/// How a job of a run stood when the ledger was read: what the scheduler and the alerts go by.
#[derive(Debug, Clone)]
pub struct Attempt {
    pub run_id: String,
    pub org: String,
    pub job: String,
    pub mart: String,
    pub as_of: NaiveDate,
    pub status: Status,
    /// When its run began, by the clock of the program that ran it: the ledger's own times are the database's.
    pub began: DateTime<Utc>,
    /// When it ended, by that clock.
    pub ended: Option<DateTime<Utc>>,
    pub first_period: Option<NaiveDate>,
    pub last_period: Option<NaiveDate>,
    pub rows: Option<i64>,
    pub error: Option<String>,
    pub detail: Value,
}

impl Attempt {
    /// From a row of the ledger; none when its run's number is not one of ours.
    fn read(run: Run) -> Option<Attempt> {
        let began = RunId::from(run.run_id.clone()).began()?;
        let counts = [run.rows_inserted, run.rows_updated, run.rows_unchanged];
        Some(Attempt {
            status: Status::read(&run.status)?,
            began,
            ended: run.finished_at.map(|at| began + (at - run.started_at)),
            rows: counts.into_iter().flatten().reduce(|sum, rows| sum + rows),
            run_id: run.run_id,
            org: run.org,
            job: run.job,
            mart: run.mart,
            as_of: run.as_of,
            first_period: run.first_period,
            last_period: run.last_period,
            error: run.error,
            detail: run.detail,
        })
    }

    /// What a run told of a mart, as the ledger would have it: for failures that came before the ledger was reached.
    pub fn told(report: &RunReport, mart: &MartReport) -> Attempt {
        let began = report.started_at;
        let duration = TimeDelta::from_std(report.duration.unwrap_or_default()).unwrap_or_default();
        Attempt {
            run_id: report.run.clone().unwrap_or_default(),
            org: mart.org.clone(),
            job: mart.job.clone(),
            mart: mart.mart.clone(),
            as_of: report.as_of.unwrap_or_else(|| began.date_naive()),
            status: mart.status.in_the_ledger(),
            began,
            ended: Some(began + duration),
            first_period: None,
            last_period: None,
            rows: i64::try_from(mart.inserted + mart.updated + mart.unchanged).ok(),
            error: mart.error.clone(),
            detail: json!({ "findings": mart.findings }),
        }
    }

    /// Whether it is that run's, of that organisation and job.
    pub fn is_of(&self, run: &str, org: &str, job: &str) -> bool {
        self.run_id == run && self.org == org && self.job == job
    }

    /// Whether trying again would change nothing: it is published, or its audit has spoken. A day that the source did
    /// not have yet may come. What was skipped because of another mart stands and falls with that one, which is among
    /// `all`.
    pub fn is_settled(&self, all: &[Attempt]) -> bool {
        match self.status {
            Status::Success => true,
            Status::Partial | Status::Held => !self.lacks_its_day(),
            Status::Running | Status::Failed => false,
            Status::Skipped => !all
                .iter()
                .any(|other| other.run_id == self.run_id && other.org == self.org && other.status == Status::Failed),
        }
    }

    /// Whether the source did not have the day that the run was to report.
    fn lacks_its_day(&self) -> bool {
        let findings = self.detail.get("findings").and_then(Value::as_array);
        findings.into_iter().flatten().any(|finding| finding["rule"] == ABSENT && finding["holds"] == true)
    }
}

/// The newest attempts at each job of each organisation, oldest first, and of each the newest success. A run is named by the second
/// in which it began, so of two in one second the database tells which came first.
pub async fn attempts(connection: &mut PgConnection) -> Result<Vec<Attempt>> {
    let mut transaction = as_admin(connection).await?;
    let runs: Vec<Run> = query_as(
        "with ranked as (
             select etl_runs.*, organizations.slug as org,
                 row_number() over (partition by org_id, job order by left(run_id, 16) desc, started_at desc) as place,
                 row_number() over (
                     partition by org_id, job, status order by left(run_id, 16) desc, started_at desc
                 ) as place_of_status
             from etl_runs join organizations on organizations.id = org_id
         )
         select * from ranked where place <= 24 or status = 'success' and place_of_status = 1
         order by left(run_id, 16), started_at, org, job",
    )
    .fetch_all(&mut *transaction)
    .await
    .one_line()
    .context("reading the run ledger")?;
    Ok(runs.into_iter().filter_map(Attempt::read).collect())
}

/// The number of an organisation in this database.
pub async fn org_id(connection: &mut PgConnection, slug: &str) -> Result<i32> {
    let mut transaction = as_admin(connection).await?;
    let id: Option<i32> = query_scalar("select id from organizations where slug = $1")
        .bind(slug)
        .fetch_optional(&mut *transaction)
        .await
        .one_line()
        .context("looking the organisation up")?;
    id.with_context(|| format!("this database has no organisation {slug}"))
}

/// The runs that published a mart of an organisation, all or in part, and restated the period that begins on that day: newest
/// first.
pub async fn restated(connection: &mut PgConnection, org_id: i32, mart: &str, period: NaiveDate) -> Result<Vec<Run>> {
    let mut transaction = as_reader(connection, org_id).await?;
    query_as(
        "select etl_runs.*, organizations.slug as org from etl_runs join organizations on organizations.id = org_id
         where mart = $1 and status in ('success', 'partial') and first_period <= $2 and last_period >= $2
         order by started_at desc, run_id desc",
    )
    .bind(mart)
    .bind(period)
    .fetch_all(&mut *transaction)
    .await
    .one_line()
    .context("reading the run ledger")
}

/// All jobs of a run, in the order they started; of several runs when several begin like that.
pub async fn show(connection: &mut PgConnection, run: &str) -> Result<Vec<Run>> {
    let mut transaction = as_admin(connection).await?;
    query_as(
        "select etl_runs.*, organizations.slug as org from etl_runs join organizations on organizations.id = org_id
         where starts_with(run_id, $1) order by run_id desc, started_at, org, job",
    )
    .bind(run)
    .fetch_all(&mut *transaction)
    .await
    .one_line()
    .context("reading the run ledger")
}
