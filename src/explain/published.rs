//! The published row, and the run that gave it.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use chrono::{Datelike as _, NaiveDate};
use rust_decimal::Decimal;
use serde_json::Value;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row as _, query};

use super::Ask;
use crate::compute::{MartColumn, MartKind};
use crate::config::Org;
use crate::jobs::Job;
use crate::ledger::{self, Run};
use crate::postgres::{OneLine as _, as_reader};
use crate::run::Finding;

/// A cell of a published row.
pub(super) struct Published {
    pub value: Option<String>,
    pub source_system: String,
    /// What the catalog says of the column.
    pub comment: String,
    pub run: Run,
}

/// Finds the run that gave the cell, the newest that restated the period and published it or the one asked for, and reads
/// the value that it gave: where a later run changed the cell, what stood there before.
pub(super) async fn row(connection: &mut PgConnection, org_id: i32, ask: &Ask<'_>) -> Result<Published> {
    let context = || format!("reading {}", ask.job.mart);
    let (mart, column, period) = (ask.job.mart, &ask.column.name, ask.period);
    let (key, recorded) = match ask.job.key {
        ["year", "month"] => {
            let (year, month) = (period.year(), period.month());
            let recorded = format!("jsonb_build_object('year', {year}, 'month', {month})");
            (format!("year = {year} and month = {month}"), recorded)
        }
        [day] => (format!("{day} = date '{period}'"), format!("jsonb_build_object('{day}', date '{period}')")),
        _ => bail!("{mart} has a key that names no period"),
    };
    let runs = ledger::restated(connection, org_id, mart, period).await?;
    let named = |run: &Run| ask.run.as_ref().is_none_or(|name| run.run_id == *name);
    let run = runs.into_iter().find(|run| named(run) && !is_held(run, period));
    // Runs of a mart follow each other, so what was recorded after this one ended is a later one's.
    let ended = run.as_ref().filter(|_| ask.run.is_some()).and_then(|run| run.finished_at);
    let later = |column: &str| {
        format!(
            "left join lateral (
                select id, old_value from etl_changes
                where mart = '{mart}' and column_name = '{column}' and key = {recorded} and changed_at > $1
                order by id limit 1
            ) as later_{column} on true"
        )
    };
    let then = |column: &str| {
        format!("case when later_{column}.id is null then {mart}.{column}::text else later_{column}.old_value end")
    };
    let sql = format!(
        "select {} as value, {} as source_system,
            (select col_description(attrelid, attnum) from pg_attribute
                where attrelid = '{mart}'::regclass and attname = '{column}') as comment
        from {mart} {} {} where {key}",
        then(column),
        then("source_system"),
        later(column),
        later("source_system"),
    );
    let mut transaction = as_reader(connection, org_id).await?;
    let row = query(AssertSqlSafe(sql)).bind(ended).fetch_optional(&mut *transaction).await;
    let row = row.one_line().with_context(context)?;
    drop(transaction);
    let Some(row) = row else {
        bail!(
            "{mart} has no row of {} for {period}; `marts query` and `marts postgres` show what there is",
            ask.org.slug
        );
    };
    let Some(run) = run else {
        match &ask.run {
            Some(run) => {
                bail!("run {run} did not publish {mart} of {} for {period}; `marts runs` lists them", ask.org.slug)
            }
            None => bail!("no run in the ledger published {mart} of {} for {period}", ask.org.slug),
        }
    };
    Ok(Published {
        value: row.try_get("value")?,
        source_system: row.try_get("source_system")?,
        comment: row.try_get::<Option<String>, _>("comment")?.unwrap_or_default(),
        run,
    })
}

/// Whether a run did not publish the row of a period: its audit kept it back, or there was none.
pub(super) fn is_held(run: &Run, period: NaiveDate) -> bool {
    let findings = run.detail.get("findings").cloned().unwrap_or_default();
    let findings: Vec<Finding> = serde_json::from_value(findings).unwrap_or_default();
    // A day that the source did not have got no row by this run.
    let keeps = |finding: &Finding| finding.holds || finding.rule == "absent";
    findings.iter().any(|finding| keeps(finding) && finding.period.as_deref() == Some(&period.to_string()))
}

/// The numbers of a cell: itself, or those of its JSON by their place.
pub(super) fn numbers(column: &MartColumn, value: Option<&str>) -> Result<BTreeMap<Option<String>, Option<Decimal>>> {
    let Some(text) = value else { return Ok(BTreeMap::from([(None, None)])) };
    if column.kind != MartKind::Json {
        let number = text.parse().with_context(|| format!("{} is no number: {text}", column.name))?;
        return Ok(BTreeMap::from([(None, Some(number))]));
    }
    let mut numbers = BTreeMap::new();
    flatten(&serde_json::from_str(text)?, "", &mut numbers)?;
    Ok(numbers)
}

/// A published row, as far as it can be explained.
pub(super) struct PublishedRow {
    pub period: NaiveDate,
    pub source_system: String,
    /// Of the columns asked for, in their order.
    pub values: Vec<Option<String>>,
}

/// The newest run that published rows of a mart, and those rows, oldest first.
pub(super) async fn newest(
    connection: &mut PgConnection,
    org_id: i32,
    job: &Job,
    org: &Org,
    columns: &[MartColumn],
) -> Result<(Run, Vec<PublishedRow>)> {
    let mart = job.mart;
    let first_day = match job.key {
        [day] => (*day).to_owned(),
        _ => "make_date(year, month, 1)".to_owned(),
    };
    let values: Vec<_> = columns.iter().map(|column| format!("{}::text", column.name)).collect();
    let sql = format!("select {first_day} as period, source_system, {} from {mart} order by 1", values.join(", "));
    let mut transaction = as_reader(connection, org_id).await?;
    let found = query(AssertSqlSafe(sql)).fetch_all(&mut *transaction).await.one_line();
    let found = found.with_context(|| format!("reading {mart}"))?;
    drop(transaction);
    let mut rows = Vec::with_capacity(found.len());
    for row in found {
        let values = (0..columns.len()).map(|at| row.try_get(at + 2)).collect::<Result<_, _>>()?;
        rows.push(PublishedRow { period: row.try_get(0)?, source_system: row.try_get(1)?, values });
    }
    let newest = rows.last().with_context(|| format!("{mart} has no row of {}", org.slug))?.period;
    let runs = ledger::restated(connection, org_id, mart, newest).await?;
    let run = runs.into_iter().find(|run| !is_held(run, newest));
    let run = run.with_context(|| format!("no run in the ledger published {mart} of {} for {newest}", org.slug))?;
    rows.retain(|row| run.first_period.is_some_and(|first| first <= row.period) && !is_held(&run, row.period));
    Ok((run, rows))
}

/// Every number of a document under its place: the keys on the way, an item of a list by its texts.
fn flatten(value: &Value, place: &str, numbers: &mut BTreeMap<Option<String>, Option<Decimal>>) -> Result<()> {
    let below = |name: &str| if place.is_empty() { name.to_owned() } else { format!("{place} / {name}") };
    match value {
        Value::Object(members) => members.iter().try_for_each(|(name, value)| flatten(value, &below(name), numbers)),
        Value::Array(items) => items.iter().try_for_each(|item| {
            let texts: Vec<_> =
                item.as_object().into_iter().flat_map(|members| members.values()).filter_map(Value::as_str).collect();
            flatten(item, &below(&texts.join(" ")), numbers)
        }),
        Value::Number(number) => {
            let number = number.to_string().parse().with_context(|| format!("{place}: {number} is no decimal"))?;
            numbers.insert(Some(place.to_owned()), Some(number));
            Ok(())
        }
        Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
    }
}
