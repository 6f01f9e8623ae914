//! A row that a run held: what it would have been, and what is published in its place.

use anyhow::{Context as _, Result, bail};
use chrono::Datelike as _;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row as _, query, query_as};

use super::Ask;
use super::published::Published;
use crate::ledger::Run;
use crate::postgres::{OneLine as _, as_reader};
use crate::run::{Finding, source_for};

/// The cell as it is published now, and why the run that is asked for did not publish its own; none where that run published
/// the row, or where no run is asked for.
pub(super) async fn row(
    connection: &mut PgConnection,
    org_id: i32,
    ask: &Ask<'_>,
) -> Result<Option<(Published, Vec<String>)>> {
    let Some(asked) = &ask.run else { return Ok(None) };
    let (mart, column, period) = (ask.job.mart, &ask.column.name, ask.period);
    let context = || format!("reading {mart}");
    let mut transaction = as_reader(connection, org_id).await?;
    let run: Option<Run> = query_as(
        "select etl_runs.*, organizations.slug as org from etl_runs join organizations on organizations.id = org_id
         where starts_with(run_id, $1) and mart = $2 and status in ('held', 'partial', 'skipped')
             and first_period <= $3 and last_period >= $3
         order by started_at desc limit 1",
    )
    .bind(asked)
    .bind(mart)
    .bind(period)
    .fetch_optional(&mut *transaction)
    .await
    .one_line()
    .context("reading the run ledger")?;
    let Some(run) = run else { return Ok(None) };
    let reasons = reasons(&run, &period.to_string());
    if reasons.is_empty() {
        return Ok(None);
    }
    let key = match ask.job.key {
        ["year", "month"] => format!("year = {} and month = {}", period.year(), period.month()),
        [day] => format!("{day} = date '{period}'"),
        _ => bail!("{mart} has a key that names no period"),
    };
    let sql = format!(
        "select (select {column}::text from {mart} where {key}) as value,
            (select source_system::text from {mart} where {key}) as source_system,
            (select col_description(attrelid, attnum) from pg_attribute
                where attrelid = '{mart}'::regclass and attname = '{column}') as comment"
    );
    let row = query(AssertSqlSafe(sql)).fetch_one(&mut *transaction).await.one_line().with_context(context)?;
    drop(transaction);
    let source_system: Option<String> = row.try_get("source_system")?;
    let source_system = match source_system {
        Some(source_system) => source_system,
        // Nothing is published of it yet.
        None => source_for(ask.job, ask.org)
            .map(|source| source.source_system.to_owned())
            .with_context(|| format!("{} has no source for {} any more", ask.job.name, ask.org.slug))?,
    };
    let comment = row.try_get::<Option<String>, _>("comment")?.unwrap_or_default();
    Ok(Some((Published { value: row.try_get("value")?, source_system, comment, run }, reasons)))
}

/// Why a run did not publish the row of a period: what its audit found of it, or what befell the whole mart.
fn reasons(run: &Run, period: &str) -> Vec<String> {
    let findings: Vec<Finding> =
        serde_json::from_value(run.detail.get("findings").cloned().unwrap_or_default()).unwrap_or_default();
    let is_why = |finding: &&Finding| finding.holds && finding.period.as_deref().is_none_or(|of| of == period);
    let mut reasons: Vec<_> =
        findings.iter().filter(is_why).map(|finding| format!("{}: {}", finding.rule, finding.detail)).collect();
    if run.status != "partial" {
        reasons.extend(run.error.clone());
    }
    reasons
}
