//! The ledger of verifications, `etl_verifications`.

use anyhow::{Context as _, Result};
use sqlx::postgres::PgConnection;
use sqlx::query;

use super::Compared;
use crate::ledger::RunId;
use crate::postgres::{OneLine as _, as_loader};

/// Writes the outcomes of a verification down, all or none. `run` is the run whose rows were held against the source
/// before they were published; none when the published ones were.
pub async fn record(
    connection: &mut PgConnection,
    org_id: i32,
    verification: &RunId,
    run: Option<&RunId>,
    compared: &[Compared],
) -> Result<()> {
    let context = || "writing to the ledger of verifications".to_owned();
    let mut transaction = as_loader(connection, org_id).await?;
    for cell in compared {
        query(
            "insert into etl_verifications (verification_id, org_id, job, mart, period, column_name, published_value,
                 source_value, tolerance, outcome, error, run_id, asked_at, tool_version)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        )
        .bind(verification.as_str())
        .bind(org_id)
        .bind(cell.job)
        .bind(cell.mart)
        .bind(cell.period)
        .bind(&cell.column)
        .bind(cell.published)
        .bind(cell.source)
        .bind(cell.tolerance)
        .bind(cell.outcome.name())
        .bind(&cell.error)
        .bind(run.map(RunId::as_str))
        .bind(cell.asked_at)
        .bind(env!("CARGO_PKG_VERSION"))
        .execute(&mut *transaction)
        .await
        .one_line()
        .with_context(context)?;
    }
    transaction.commit().await.one_line().with_context(context)
}
