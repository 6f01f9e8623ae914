//! The run ledger `etl_runs`: how each job of each run ended, for each organisation.

use anyhow::{Context, Result};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde_json::Value;
use sqlx::{FromRow, PgConnection};

use crate::jobs::Job;
use crate::postgres::{Organization, as_admin, as_loader};

/// How a job ended, as `etl_runs.status` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunStatus {
    Running,
    Success,
    /// Some rows are published, the audit held the others.
    Partial,
    Held,
    Failed,
}

impl RunStatus {
    /// As the table has it.
    pub fn name(self) -> &'static str {
        match self {
            RunStatus::Running => "running",
            RunStatus::Success => "success",
            RunStatus::Partial => "partial",
            RunStatus::Held => "held",
            RunStatus::Failed => "failed",
        }
    }
}

/// A row of the ledger on its way there.
#[derive(Debug, Clone)]
pub struct JobRun {
    pub run_id: String,
    pub org_id: i32,
    pub job: &'static str,
    pub mart: &'static str,
    pub as_of: NaiveDate,
    /// First day of the first and last day of the last period restated.
    pub periods: Option<(NaiveDate, NaiveDate)>,
    pub status: RunStatus,
    pub started_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    pub rows_landed: u64,
    pub rows_inserted: u64,
    pub rows_updated: u64,
    pub rows_unchanged: u64,
    pub error: Option<String>,
    pub detail: Value,
}

impl JobRun {
    /// A job that begins.
    pub fn started(
        run_id: &str,
        org: &Organization,
        job: &Job,
        as_of: Option<NaiveDate>,
        now: DateTime<Utc>,
    ) -> JobRun {
        JobRun {
            run_id: run_id.to_owned(),
            org_id: org.id,
            job: job.name,
            mart: job.mart,
            as_of,
            periods: None,
            status: RunStatus::Running,
            started_at: now,
            finished_at: None,
            rows_landed: 0,
            rows_inserted: 0,
            rows_updated: 0,
            rows_unchanged: 0,
            error: None,
            detail: Value::Object(serde_json::Map::new()),
        }
    }

    /// The job, ended.
    pub fn finished(self, status: RunStatus, error: Option<String>, now: DateTime<Utc>) -> JobRun {
        JobRun { status, error, finished_at: Some(now), ..self }
    }
}

/// Writes down that a job begins.
pub async fn start(connection: &mut PgConnection, run: &JobRun) -> Result<()> {
    finish(connection, run).await
}

/// Writes down how a job ended, in a transaction of its own: for all that publishes nothing.
pub async fn finish(connection: &mut PgConnection, run: &JobRun) -> Result<()> {
    let mut transaction = as_loader(connection, run.org_id).await?;
    write(&mut transaction, run).await?;
    transaction.commit().await.context("writing the run ledger")
}

/// Writes a row inside the caller's transaction, which must be the organisation's.
pub(crate) async fn write(connection: &mut PgConnection, run: &JobRun) -> Result<()> {
    let (first, last) = run.periods.unzip();
    sqlx::query(
        "insert into etl_runs (run_id, org_id, job, mart, as_of, first_period, last_period, status, started_at, finished_at,
            rows_landed, rows_inserted, rows_updated, rows_unchanged, error, detail, tool_version)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
        on conflict (run_id, org_id, job) do update set
            as_of = excluded.as_of, first_period = excluded.first_period, last_period = excluded.last_period,
            status = excluded.status, finished_at = excluded.finished_at, rows_landed = excluded.rows_landed,
            rows_inserted = excluded.rows_inserted, rows_updated = excluded.rows_updated,
            rows_unchanged = excluded.rows_unchanged, error = excluded.error, detail = excluded.detail",
    )
    .bind(&run.run_id)
    .bind(run.org_id)
    .bind(run.job)
    .bind(run.mart)
    .bind(run.as_of)
    .bind(first)
    .bind(last)
    .bind(run.status.name())
    .bind(run.started_at)
    .bind(run.finished_at)
    .bind(run.rows_landed as i64)
    .bind(run.rows_inserted as i64)
    .bind(run.rows_updated as i64)
    .bind(run.rows_unchanged as i64)
    .bind(&run.error)
    .bind(&run.detail)
    .bind(env!("CARGO_PKG_VERSION"))
    .execute(connection)
    .await
    .context("writing the run ledger")?;
    Ok(())
}

/// Marks as failed what other runs left `running`: jobs whose process died. A run that still works holds the lock of
/// its mart, so a job is only taken for dead when nobody holds it; and, should that be unknown, after a day.
pub async fn sweep(connection: &mut PgConnection, now: DateTime<Utc>) -> Result<u64> {
    let orgs: Vec<(i32,)> = {
        let mut transaction = as_admin(connection).await?;
        sqlx::query_as("select distinct org_id from etl_runs where status = 'running' and started_at < $1")
            .bind(now - TimeDelta::minutes(1))
            .fetch_all(&mut *transaction)
            .await?
    };
    let mut swept = 0;
    for (org_id,) in orgs {
        let mut transaction = as_loader(connection, org_id).await?;
        let done = sqlx::query(
            "update etl_runs set status = 'failed', finished_at = $1, error = 'its process ended without a word'
            where status = 'running' and started_at < $2 and not exists (
                select from pg_locks
                where locktype = 'advisory' and objsubid = 1
                    and ((classid::bigint << 32) | objid::bigint)
                        = hashtextextended('marts ' || current_schema() || ' ' || etl_runs.mart || ' ' || etl_runs.org_id::text, 0)
            )",
        )
        .bind(now)
        .bind(now - TimeDelta::minutes(1))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        swept += done.rows_affected();
    }
    Ok(swept)
}

/// A row of the ledger as it stands there.
#[derive(Debug, Clone, FromRow)]
pub struct Entry {
    pub run_id: String,
    pub org: String,
    pub job: String,
    pub mart: String,
    pub as_of: Option<NaiveDate>,
    pub first_period: Option<NaiveDate>,
    pub last_period: Option<NaiveDate>,
    pub status: String,
    pub started_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    pub rows_landed: i64,
    pub rows_inserted: i64,
    pub rows_updated: i64,
    pub rows_unchanged: i64,
    pub error: Option<String>,
    pub detail: Value,
}

const ENTRY: &str = "select runs.run_id, organizations.slug as org, runs.job, runs.mart, runs.as_of, runs.first_period, \
    runs.last_period, runs.status, runs.started_at, runs.finished_at, runs.rows_landed, runs.rows_inserted, \
    runs.rows_updated, runs.rows_unchanged, runs.error, runs.detail \
    from etl_runs as runs inner join organizations on organizations.id = runs.org_id";

/// The newest `limit` runs, newest first, each with its jobs in the order they began.
pub async fn list(connection: &mut PgConnection, limit: i64) -> Result<Vec<Entry>> {
    let sql = format!(
        "{ENTRY} where runs.run_id in (select run_id from etl_runs group by run_id order by min(started_at) desc, run_id desc limit $1)
        order by min(runs.started_at) over (partition by runs.run_id) desc, runs.run_id desc, runs.started_at, runs.job, org"
    );
    let mut transaction = as_admin(connection).await?;
    Ok(sqlx::query_as(crate::postgres::assembled(sql)).bind(limit).fetch_all(&mut *transaction).await?)
}

/// The jobs of one run, in the order they began; none when there is no such run. A beginning of its id is enough.
pub async fn show(connection: &mut PgConnection, run: &str) -> Result<Vec<Entry>> {
    let sql =
        format!("{ENTRY} where starts_with(runs.run_id, $1) order by runs.run_id desc, runs.started_at, runs.job, org");
    let mut transaction = as_admin(connection).await?;
    Ok(sqlx::query_as(crate::postgres::assembled(sql)).bind(run).fetch_all(&mut *transaction).await?)
}
