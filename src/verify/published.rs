//! The rows of a mart that are asked about.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use arrow::array::RecordBatch;
use chrono::{Datelike as _, NaiveDate};
use rust_decimal::Decimal;
use serde_json::Value;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row as _, query};

use super::questions;
use crate::compute::cell;
use crate::datasets::Connector;
use crate::jobs::{Job, Periods};
use crate::periods::{Period, last_of_month};
use crate::postgres::{OneLine as _, as_reader};

/// A row of a mart, as far as questions are about it.
#[derive(Debug, Clone)]
pub struct Row {
    pub period: Period,
    /// The last local day that it reports: an open month stops there.
    pub as_of: NaiveDate,
    /// What the mart says, by column; of a JSON column, by `column / entry`.
    pub values: BTreeMap<String, Option<Decimal>>,
}

impl Row {
    /// The last day of its period that it reports.
    pub(super) fn last_day(&self) -> NaiveDate {
        self.period.end.min(self.as_of)
    }
}

/// The columns that there are questions about.
fn columns(job: &Job, connector: Connector) -> Vec<&'static str> {
    questions::of(job.name, connector).flat_map(|question| question.columns).copied().collect()
}

/// The period of a mart's row that begins on a day.
fn period(job: &Job, first: NaiveDate) -> Period {
    let end = match job.periods {
        Periods::Days { .. } => first,
        Periods::Months { .. } => last_of_month(first),
    };
    Period { start: first, end }
}

/// The published rows of a mart whose periods begin on days between the two, both included; without them, the newest row.
///
/// Up to which day a row reports, says the run ledger: its last run that published the row.
pub async fn rows(
    connection: &mut PgConnection,
    org_id: i32,
    job: &Job,
    connector: Connector,
    between: Option<(NaiveDate, NaiveDate)>,
) -> Result<Vec<Row>> {
    let (mart, columns) = (job.mart, columns(job, connector));
    let first_day = match job.key {
        [day] => (*day).to_owned(),
        ["year", "month"] => "make_date(year, month, 1)".to_owned(),
        _ => bail!("{mart} has a key that names no period"),
    };
    let texts: Vec<_> = columns.iter().map(|column| format!("{column}::text")).collect();
    let which = match between {
        Some((first, last)) => format!("where {first_day} between date '{first}' and date '{last}' order by 1"),
        None => "order by 1 desc limit 1".to_owned(),
    };
    // A run that held a row, or found no day for it, did not publish it.
    let sql = format!(
        "select {first_day} as first_day,
            (select as_of from etl_runs
                where etl_runs.mart = '{mart}' and status in ('success', 'partial')
                    and first_period <= {first_day} and last_period >= {first_day}
                    and not exists (
                        select from jsonb_array_elements(coalesce(detail -> 'findings', '[]')) as findings (finding)
                        where finding ->> 'period' = ({first_day})::text
                            and ((finding ->> 'holds')::boolean or finding ->> 'rule' = 'absent')
                    )
                order by started_at desc limit 1) as as_of,
            {}
        from {mart} {which}",
        texts.join(", ")
    );
    let mut transaction = as_reader(connection, org_id).await?;
    let found = query(AssertSqlSafe(sql)).fetch_all(&mut *transaction).await.one_line();
    let found = found.with_context(|| format!("reading {mart}"))?;
    drop(transaction);
    let mut rows = Vec::with_capacity(found.len());
    for row in found {
        let period = period(job, row.try_get(0)?);
        let as_of: Option<NaiveDate> = row.try_get(1)?;
        let as_of = as_of.with_context(|| {
            format!(
                "no run in the ledger published {mart} for {}, so nobody knows up to which day it reports",
                period.start
            )
        })?;
        let mut values = BTreeMap::new();
        for (at, column) in columns.iter().enumerate() {
            let text: Option<String> = row.try_get(at + 2)?;
            insert(&mut values, column, text.as_deref())?;
        }
        rows.push(Row { period, as_of, values });
    }
    Ok(rows)
}

/// Rows that are computed and not yet published.
pub(crate) fn computed(job: &Job, connector: Connector, as_of: NaiveDate, batches: &[RecordBatch]) -> Result<Vec<Row>> {
    let columns = columns(job, connector);
    let mut rows = Vec::new();
    for batch in batches {
        let text = |name: &str, row: usize| -> Result<Option<String>> {
            cell(batch.column_by_name(name).with_context(|| format!("{} has no column {name}", job.mart))?, row)
        };
        for row in 0..batch.num_rows() {
            let key = |name: &str| text(name, row)?.with_context(|| format!("a row of {} has no {name}", job.mart));
            let first = match job.key {
                [day] => key(day)?.parse()?,
                ["year", "month"] => {
                    NaiveDate::from_ymd_opt(key("year")?.parse()?, key("month")?.parse()?, 1).context("no month")?
                }
                _ => bail!("{} has a key that names no period", job.mart),
            };
            let mut values = BTreeMap::new();
            for column in &columns {
                insert(&mut values, column, text(column, row)?.as_deref())?;
            }
            rows.push(Row { period: period(job, first), as_of, values });
        }
    }
    Ok(rows)
}

/// A cell as a number, or the counts of a JSON object by their labels, folded: sources tell no case apart.
fn insert(values: &mut BTreeMap<String, Option<Decimal>>, column: &str, text: Option<&str>) -> Result<()> {
    let Some(text) = text else {
        values.insert(column.to_owned(), None);
        return Ok(());
    };
    if !text.starts_with('{') {
        let number = text.parse().with_context(|| format!("{column} is no number: {text}"))?;
        values.insert(column.to_owned(), Some(number));
        return Ok(());
    }
    let object: BTreeMap<String, Value> = serde_json::from_str(text).with_context(|| column.to_owned())?;
    for (label, value) in object {
        let number = value.to_string().parse().with_context(|| format!("{column} / {label} is no number"))?;
        values.insert(format!("{column} / {}", folded(&label)), Some(number));
    }
    Ok(())
}

/// A label without needless blanks, in small letters.
pub(super) fn folded(label: &str) -> String {
    label.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// The month or day that `--period` names, as the first days of the rows of a mart: a month is all of its days.
pub fn between(job: &Job, first: NaiveDate, last: NaiveDate) -> (NaiveDate, NaiveDate) {
    match job.periods {
        Periods::Days { .. } => (first, last),
        Periods::Months { .. } => {
            let start = |day: NaiveDate| day - chrono::Days::new(u64::from(day.day0()));
            (start(first), start(last))
        }
    }
}
