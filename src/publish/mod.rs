//! Publishing: one transaction for all of an organisation's marts.
//!
//! New rows go by COPY into a temporary table per mart; what differs from the published rows is written to the change
//! ledger, then upserted; then each run is written to the run ledger; then everything is committed, or nothing is.

mod columns;
mod copy;
mod keys;
mod statements;

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use arrow::array::{ArrayRef, StringArray};
use arrow::record_batch::RecordBatch;
use chrono::NaiveDate;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Postgres, Row as _, Transaction, query, query_as, query_scalar};

use crate::ledger::{self, Counts, Finished, RunId, Status};
use crate::postgres::{self, Kind, OneLine, Standing};
pub use columns::{Column, of as columns_of};
pub use copy::{copy_rows, encode};
use statements::Statements;

/// From how many rows on it is worth it to have the server count what it is to join.
const COUNTED_FROM: u64 = 10_000;

/// The organisation that is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    pub id: i32,
    pub slug: String,
}

/// The rows of one mart that passed their audit, and how its run ended.
#[derive(Debug, Clone)]
pub struct MartRows {
    pub mart: &'static str,
    /// The mart's unique key besides `org_id`.
    pub key: &'static [&'static str],
    pub source_system: &'static str,
    /// Every column of the mart but the bookkeeping ones, in the mart's exact types; in any order.
    pub batches: Vec<RecordBatch>,
    /// Success or partial.
    pub finished: Finished,
}

/// That somebody lets rows of closed months through.
#[derive(Debug, Clone)]
pub struct Acceptance {
    /// The run that held them.
    pub accepted_run: String,
    pub mart: &'static str,
    /// First days of their periods.
    pub periods: Vec<NaiveDate>,
    /// Why; not blank.
    pub reason: String,
    pub accepted_by: String,
}

/// What publishing did to one mart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    pub mart: &'static str,
    pub inserted: i64,
    pub updated: i64,
    pub unchanged: i64,
    /// Rows written to `etl_changes`.
    pub changed_cells: i64,
}

/// Whether a publication counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Commit,
    /// Everything is done and then rolled back, so that the counts are true and nothing is published. The run is in no
    /// ledger.
    DryRun,
}

/// Publishes the marts of an organisation, all or none. Publishing the same rows again changes nothing.
///
/// # Errors
/// Names the mart and, where the database tells, the column and the row. Nothing was published then.
pub async fn publish(
    connection: &mut PgConnection,
    org: &Organization,
    run: &RunId,
    marts: &[MartRows],
    mode: Mode,
) -> Result<Vec<Published>> {
    publish_with(connection, org, run, marts, &[], mode).await
}

/// Publishes rows that somebody has accepted, and in the same transaction who did so and why.
///
/// # Errors
/// As [`publish`].
pub async fn publish_accepted(
    connection: &mut PgConnection,
    org: &Organization,
    run: &RunId,
    marts: &[MartRows],
    acceptances: &[Acceptance],
) -> Result<Vec<Published>> {
    publish_with(connection, org, run, marts, acceptances, Mode::Commit).await
}

async fn publish_with(
    connection: &mut PgConnection,
    org: &Organization,
    run: &RunId,
    marts: &[MartRows],
    acceptances: &[Acceptance],
    mode: Mode,
) -> Result<Vec<Published>> {
    let mut transaction = postgres::as_loader(connection, org.id).await?;
    let slug: Option<String> = query_scalar("select slug from organizations where id = $1")
        .bind(org.id)
        .fetch_optional(&mut *transaction)
        .await
        .one_line()
        .context("looking the organisation up")?;
    ensure!(
        slug.as_deref() == Some(&org.slug),
        "organisation {} is not number {} of this database: run `marts migrate`",
        org.slug,
        org.id
    );
    postgres::verify(&mut transaction, "etl_runs", Kind::Mart).await?;
    postgres::verify(&mut transaction, "etl_changes", Kind::Ledger).await?;
    // Joining a mart in the server's memory, where there is usually 4 MB for it; compiling the statements takes longer than it
    // saves; and days as ISO 8601 writes them, whatever the server is set to.
    execute(
        &mut transaction,
        "select set_config('work_mem', greatest(pg_size_bytes(current_setting('work_mem')) / 1024, 65536)::text, true),
             set_config('jit', 'off', true), set_config('datestyle', 'ISO', true)",
    )
    .await?;
    // Numbers of the change ledger are handed out many at a time. Those that this session has left are older than what others
    // have written since.
    execute(&mut transaction, "discard sequences").await?;

    let before = Standing::of(&mut transaction).await?;

    let mut published = Vec::with_capacity(marts.len());
    for rows in marts {
        let done = publish_mart(&mut transaction, org, run, rows, mode)
            .await
            .with_context(|| format!("publishing {} of {}", rows.mart, org.slug))?;
        published.push(done);
    }
    for acceptance in acceptances {
        write_acceptance(&mut transaction, org, run, acceptance).await?;
    }
    let after = Standing::of(&mut transaction).await?;
    before.must_outlast(&after).with_context(|| format!("refusing to publish {}", org.slug))?;
    let ended = match mode {
        Mode::Commit => transaction.commit().await,
        Mode::DryRun => transaction.rollback().await,
    };
    ended.one_line().with_context(|| format!("publishing {}", org.slug))?;
    Ok(published)
}

async fn publish_mart(
    transaction: &mut Transaction<'_, Postgres>,
    org: &Organization,
    run: &RunId,
    rows: &MartRows,
    mode: Mode,
) -> Result<Published> {
    ensure!(
        matches!(rows.finished.status, Status::Success | Status::Partial),
        "a run that ended as {} has nothing to publish",
        rows.finished.status.name()
    );
    let table = columns::of(transaction, rows.mart).await?;
    let columns = columns::staged(&table, &rows.batches, rows.key)?;
    if let Some(key) = keys::repeated(&rows.batches, rows.key)? {
        bail!("there is more than one row for {key}");
    }
    let statements = Statements::new(rows.mart, rows.key, &columns);

    // Taken first, so that nobody alters the table between the check and the commit.
    execute(transaction, &statements.lock).await?;
    postgres::verify(transaction, rows.mart, Kind::Mart).await?;
    postgres::verify_key(transaction, rows.mart, rows.key).await?;

    execute(transaction, &statements.stage).await?;
    let staged = copy_rows(transaction, &statements.staged, &rows.batches, &columns).await;
    let staged = staged.map_err(|error| copy::complaint(error, &rows.batches, rows.key))?;
    if staged >= COUNTED_FROM {
        execute(transaction, &statements.analyze).await?;
    }

    let (changed_cells, new_rows): (i64, i64) = query_as(AssertSqlSafe(statements.changes))
        .bind(run.as_str())
        .bind(org.id)
        .bind(rows.source_system)
        .fetch_one(&mut **transaction)
        .await
        .one_line()
        .context("writing the change ledger")?;
    let updated = query(AssertSqlSafe(statements.update))
        .bind(org.id)
        .bind(rows.source_system)
        .execute(&mut **transaction)
        .await
        .one_line()
        .context("writing the rows that differ")?
        .rows_affected();
    let (mut inserted, mut updated_meanwhile) = (0, 0);
    if new_rows > 0 {
        (inserted, updated_meanwhile) = query_as(AssertSqlSafe(statements.insert))
            .bind(org.id)
            .bind(rows.source_system)
            .fetch_one(&mut **transaction)
            .await
            .one_line()
            .context("writing the new rows")?;
    }

    let updated = count(updated)? + updated_meanwhile;
    let counts = Counts { inserted, updated, unchanged: count(staged)? - inserted - updated };
    if mode == Mode::Commit {
        ledger::record(transaction, org.id, run, &rows.finished, Some(counts)).await?;
    }
    let Counts { inserted, updated, unchanged } = counts;
    Ok(Published { mart: rows.mart, inserted, updated, unchanged, changed_cells })
}

async fn write_acceptance(
    transaction: &mut Transaction<'_, Postgres>,
    org: &Organization,
    run: &RunId,
    acceptance: &Acceptance,
) -> Result<()> {
    postgres::verify(transaction, "etl_acceptances", Kind::Ledger).await?;
    query(
        "insert into etl_acceptances (run_id, accepted_run, org_id, mart, periods, reason, accepted_by)
         values ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(run.as_str())
    .bind(&acceptance.accepted_run)
    .bind(org.id)
    .bind(acceptance.mart)
    .bind(&acceptance.periods)
    .bind(&acceptance.reason)
    .bind(&acceptance.accepted_by)
    .execute(&mut **transaction)
    .await
    .one_line()
    .context("writing the acceptance")?;
    Ok(())
}

/// The rows of a mart that are published for an organisation, every cell as exact text; for the audit.
pub async fn published(connection: &mut PgConnection, org_id: i32, mart: &str) -> Result<Vec<RecordBatch>> {
    let context = || format!("reading what is published in {mart}");
    let mut transaction = postgres::as_loader(connection, org_id).await?;
    let columns = columns::measured(columns::of(&mut transaction, mart).await.with_context(context)?);
    let list: Vec<_> = columns.iter().map(|column| format!("{}::text", statements::quoted(&column.name))).collect();
    let sql = format!("select {} from {} where org_id = $1", list.join(", "), statements::quoted(mart));
    let rows = query(AssertSqlSafe(sql)).bind(org_id).fetch_all(&mut *transaction).await.with_context(context)?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let arrays = columns.into_iter().enumerate().map(|(at, column)| {
        let cells = rows.iter().map(|row| row.try_get::<Option<String>, _>(at)).collect::<Result<Vec<_>, _>>()?;
        Ok((column.name, Arc::new(StringArray::from(cells)) as ArrayRef, true))
    });
    let arrays = arrays.collect::<Result<Vec<_>>>().with_context(context)?;
    Ok(vec![RecordBatch::try_from_iter_with_nullable(arrays)?])
}

async fn execute(transaction: &mut Transaction<'_, Postgres>, sql: &str) -> Result<()> {
    query(AssertSqlSafe(sql)).execute(&mut **transaction).await.one_line()?;
    Ok(())
}

fn count(rows: u64) -> Result<i64> {
    i64::try_from(rows).context("too many rows to count")
}
