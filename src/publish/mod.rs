//! Publishing: one transaction for all of an organisation's marts that passed their audit.
//!
//! COPY into a temporary table shaped by the mart itself, a row in `etl_changes` for every cell that moves, an update of
//! the rows that differ and an insert of those that are new, and the run's success in `etl_runs`: the ledgers and the
//! marts can never disagree. A mart is never dropped, truncated or rewritten, so its policies, grants, views and indexes
//! are never lost; a mart whose policies are gone is not published into.

mod copy;
mod guard;
mod statements;

use anyhow::{Context, Result, anyhow};
use arrow::array::RecordBatch;
use sqlx::{PgConnection, Row as _};

use crate::jobs::Job;
use crate::ledger::{self, JobRun};
use crate::postgres::{Organization, as_loader, assembled};
use statements::Statements;

/// Rows of a mart, ready to be published: the mart's columns without the bookkeeping ones.
#[derive(Debug, Clone)]
pub struct MartRows {
    pub mart: &'static str,
    /// The unique key besides `org_id`.
    pub key: &'static [&'static str],
    /// What the rows say of where they come from.
    pub source_system: &'static str,
    pub batches: Vec<RecordBatch>,
}

/// What publishing a mart did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    pub inserted: u64,
    pub updated: u64,
    pub unchanged: u64,
    /// Cells that moved, each a row in `etl_changes`.
    pub changed_cells: u64,
}

/// Whether the transaction counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Commit,
    /// Everything is done and rolled back, so that the counts are true and nothing is published.
    DryRun,
}

/// Columns that belong to the loader, not to a mart's SQL.
const BOOKKEEPING: &[&str] = &["id", "org_id", "source_system", "source_table", "created_at", "updated_at"];

/// Publishes an organisation's marts, each with the row that the run ledger keeps of it.
///
/// # Errors
/// Whatever fails, fails for all of them, and nothing is published. The message names the mart.
pub async fn publish(
    connection: &mut PgConnection,
    org: &Organization,
    run_id: &str,
    marts: &[(&MartRows, JobRun)],
    mode: Mode,
) -> Result<Vec<Published>> {
    let mut transaction = as_loader(connection, org.id).await?;
    let mut all = Vec::with_capacity(marts.len());
    for (rows, job_run) in marts {
        let published = one(&mut transaction, org, run_id, rows).await.with_context(|| rows.mart)?;
        let written = JobRun {
            rows_inserted: published.inserted,
            rows_updated: published.updated,
            rows_unchanged: published.unchanged,
            ..job_run.clone()
        };
        ledger::write(&mut transaction, &written).await?;
        all.push(published);
    }
    match mode {
        Mode::Commit => transaction.commit().await.context("committing")?,
        Mode::DryRun => transaction.rollback().await.context("rolling back")?,
    }
    Ok(all)
}

async fn one(connection: &mut PgConnection, org: &Organization, run_id: &str, rows: &MartRows) -> Result<Published> {
    guard::check(connection, rows.mart).await?;
    let columns = columns(connection, rows.mart).await?;
    if let Some(batch) = rows.batches.first() {
        copy::check(&columns, &batch.schema())?;
    }
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let statements = Statements::new(rows.mart, rows.key, &names);
    sqlx::query(assembled(statements.create())).execute(&mut *connection).await.map_err(plain)?;
    let total = copy::copy(connection, &statements.copy(), &rows.batches).await.map_err(plain)?;
    sqlx::query(assembled(statements.unique_key())).execute(&mut *connection).await.map_err(plain)?;
    let values = |sql: String| sqlx::query(assembled(sql)).bind(org.id).bind(rows.source_system);
    let changes = values(statements.changes()).bind(run_id).bind(rows.mart);
    let changed_cells = changes.execute(&mut *connection).await.map_err(plain)?.rows_affected();
    let updated = values(statements.update()).execute(&mut *connection).await.map_err(plain)?.rows_affected();
    let inserted = values(statements.insert()).execute(&mut *connection).await.map_err(plain)?.rows_affected();
    sqlx::query(assembled(statements.drop())).execute(&mut *connection).await?;
    let unchanged = total.checked_sub(updated + inserted).context("more rows were written than computed")?;
    Ok(Published { inserted, updated, unchanged, changed_cells })
}

/// A column of a mart as the catalog has it.
#[derive(Debug, Clone)]
pub(crate) struct MartColumn {
    pub(crate) name: String,
    /// As `format_type` writes it: `numeric(18,2)`.
    pub(crate) kind: String,
}

/// The columns of a mart that its SQL fills, in order.
async fn columns(connection: &mut PgConnection, mart: &str) -> Result<Vec<MartColumn>> {
    let columns: Vec<(String, String)> = sqlx::query_as(
        "select attname::text, format_type(atttypid, atttypmod) from pg_attribute
        where attrelid = to_regclass($1) and attnum > 0 and not attisdropped and attname <> all($2) order by attnum",
    )
    .bind(mart)
    .bind(BOOKKEEPING)
    .fetch_all(connection)
    .await?;
    Ok(columns.into_iter().map(|(name, kind)| MartColumn { name, kind }).collect())
}

/// The rows of a mart that are published for an organisation, every cell as exact text.
pub async fn published(connection: &mut PgConnection, org_id: i32, job: &Job) -> Result<Vec<RecordBatch>> {
    let context = || format!("reading what is published in {}", job.mart);
    let mut transaction = as_loader(connection, org_id).await?;
    let columns = columns(&mut transaction, job.mart).await.with_context(context)?;
    let list: Vec<_> = columns.iter().map(|column| format!("{}::text", quoted(&column.name))).collect();
    let sql = format!("select {} from {} where org_id = $1", list.join(", "), quoted(job.mart));
    let rows = sqlx::query(assembled(sql)).bind(org_id).fetch_all(&mut *transaction).await.with_context(context)?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let arrays = columns.iter().enumerate().map(|(at, column)| {
        let cells = rows.iter().map(|row| row.try_get::<Option<String>, _>(at));
        let array: arrow::array::StringArray = cells.collect::<Result<Vec<_>, _>>()?.into();
        Ok((column.name.clone(), std::sync::Arc::new(array) as arrow::array::ArrayRef, true))
    });
    let arrays = arrays.collect::<Result<Vec<_>>>().with_context(context)?;
    Ok(vec![RecordBatch::try_from_iter_with_nullable(arrays)?])
}

/// An identifier in quotes.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A database error with what Postgres adds to it: which row, which constraint.
fn plain(error: sqlx::Error) -> anyhow::Error {
    let sqlx::Error::Database(database) = &error else { return anyhow!(error) };
    let detail = database.try_downcast_ref::<sqlx::postgres::PgDatabaseError>();
    let place = detail.and_then(|error| error.r#where().or(error.detail()));
    match place {
        Some(place) => anyhow!("{} ({})", database.message(), place.replace('\n', "; ")),
        None => anyhow!("{}", database.message().to_owned()),
    }
}
