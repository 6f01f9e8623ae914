//! The audit: `sql/checks/<mart>.sql` over the new rows, the published ones and the staged data, and what it holds back.

pub mod closed;

use std::collections::BTreeSet;
use std::fmt;

use anyhow::{Context, Result, bail};
use arrow::array::RecordBatch;
use chrono::NaiveDate;
use duckdb::Connection;

use crate::compute::{Compute, cell, describe, mart_columns};
use crate::jobs::{JOBS, Periods};
use crate::periods::Period;

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Holds the row of its period, or the whole mart where it names none.
    Error,
    /// Is published and reported.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        })
    }
}

/// A rule that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub rule: String,
    pub severity: Severity,
    /// First day of the period it is about; none where it is about the mart as a whole.
    pub period: Option<NaiveDate>,
    /// The figures that disagree.
    pub detail: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.severity, self.rule)?;
        if let Some(period) = self.period {
            write!(out, " {period}")?;
        }
        write!(out, ": {}", self.detail)
    }
}

/// What an audit holds back, and what it only reports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    /// Nothing of the mart may be published.
    pub mart: bool,
    /// First days of the periods whose rows may not be published.
    pub periods: BTreeSet<NaiveDate>,
    pub errors: Vec<Finding>,
    pub warnings: Vec<Finding>,
}

impl Held {
    /// Whether everything may be published.
    pub fn is_nothing(&self) -> bool {
        !self.mart && self.periods.is_empty()
    }

    /// Adds rows that there should be and that the source has no day for.
    pub fn lack(&mut self, absent: Vec<Finding>) {
        self.periods.extend(absent.iter().filter_map(|finding| finding.period));
        self.errors.extend(absent.into_iter().map(|finding| Finding { severity: Severity::Error, ..finding }));
    }
}

/// Runs the checks of the job whose mart `compute` has computed, against the rows now published for the organisation
/// (with the mart's columns, in any order; none at all is fine). Errors first, then by period and rule.
pub fn audit(compute: &Compute, published: &[RecordBatch]) -> Result<Vec<Finding>> {
    let job = compute.job();
    let context = || format!("auditing {}", job.mart);
    register_published(compute, published).with_context(context)?;
    register_missing(compute).with_context(context)?;
    for mart in job.beside {
        create_beside(compute, mart, "if not exists").with_context(context)?;
    }
    let sql = format!(
        "select rule::varchar, severity::varchar, period::date, detail::varchar from (\n{}\n) order by 2, 3 nulls first, 1, 4",
        compute.source().checks
    );
    let answer = compute.select(&sql).with_context(context)?;
    answer
        .text()?
        .into_iter()
        .map(|row| {
            let [rule, severity, period, detail] = <[_; 4]>::try_from(row).expect("four columns are selected");
            Ok(Finding {
                rule: rule.context("a finding names no rule")?,
                severity: match severity.as_deref() {
                    Some("error") => Severity::Error,
                    Some("warning") => Severity::Warning,
                    other => bail!("a finding's severity is error or warning, not {other:?}"),
                },
                period: period.map(|day| day.parse()).transpose()?,
                // A text put together with what is NULL is NULL itself.
                detail: detail.unwrap_or_else(|| "a figure it speaks of is missing".to_owned()),
            })
        })
        .collect::<Result<_>>()
        .with_context(context)
}

/// Sorts findings into what is held and what is only reported. An error of a day that is no period's first holds the
/// whole mart: there is no telling which row it is about.
pub fn split(findings: Vec<Finding>, periods: &[Period]) -> Held {
    let mut held = Held::default();
    for finding in findings {
        match (finding.severity, finding.period) {
            (Severity::Warning, _) => {
                held.warnings.push(finding);
                continue;
            }
            (Severity::Error, Some(day)) if periods.iter().any(|period| period.start == day) => {
                held.periods.insert(day);
            }
            (Severity::Error, _) => held.mart = true,
        }
        held.errors.push(finding);
    }
    held
}

/// Makes the published rows the relation `published`. They travel as text, which is exact for every type of a mart.
pub(crate) fn register_published(compute: &Compute, published: &[RecordBatch]) -> Result<()> {
    let connection = compute.connection();
    connection.execute_batch("create or replace table published as select * from mart limit 0")?;
    insert(connection, "into published", &describe(connection, "published")?, published)
}

/// Makes the rows of another mart that the audit compares with a relation of its name: those `published`, in whose place
/// stand those that the same run is about to publish, `tonight`.
pub(crate) fn register_beside(
    compute: &Compute,
    mart: &str,
    published: &[RecordBatch],
    tonight: &[RecordBatch],
) -> Result<()> {
    let context = || format!("reading {mart} beside {}", compute.job().mart);
    create_beside(compute, mart, "").with_context(context)?;
    let connection = compute.connection();
    let columns = describe(connection, mart).with_context(context)?;
    for batches in [published, tonight] {
        insert(connection, &format!("or replace into {mart}"), &columns, batches).with_context(context)?;
    }
    Ok(())
}

/// Creates the relation of another mart's rows, with no rows in it.
fn create_beside(compute: &Compute, mart: &str, condition: &str) -> Result<()> {
    let key = JOBS.iter().find(|job| job.mart == mart).with_context(|| format!("no job fills {mart}"))?.key;
    let columns = mart_columns(mart)?.into_iter().map(|column| format!("{} {}", column.name, column.kind));
    let columns: Vec<_> = columns.chain([format!("primary key ({})", key.join(", "))]).collect();
    let sql = format!("create table {condition} {mart} ({})", columns.join(", "));
    Ok(compute.connection().execute_batch(&sql)?)
}

/// Inserts rows into a relation of these columns and types. They travel as text.
fn insert(connection: &Connection, into: &str, columns: &[(String, String)], batches: &[RecordBatch]) -> Result<()> {
    let names: Vec<_> = columns.iter().map(|(name, _)| name.as_str()).collect();
    let values: Vec<_> = columns.iter().map(|(_, kind)| format!("?::{kind}")).collect();
    let insert = format!("insert {into} ({}) values ({})", names.join(", "), values.join(", "));
    let mut statement = connection.prepare(&insert)?;
    for batch in batches {
        let arrays = names.iter().map(|name| {
            batch.column_by_name(name).with_context(|| format!("the published rows have no column {name}"))
        });
        let arrays = arrays.collect::<Result<Vec<_>>>()?;
        for row in 0..batch.num_rows() {
            let cells = arrays.iter().map(|array| cell(array, row)).collect::<Result<Vec<_>>>()?;
            statement.execute(duckdb::params_from_iter(cells))?;
        }
    }
    Ok(())
}

/// Makes the relation `missing_periods`: the periods between the newest row that is published before the first of this run
/// and that first one. They have no row, although they should: not before the data start, nor in an excluded month.
fn register_missing(compute: &Compute) -> Result<()> {
    let step = match compute.job().periods {
        Periods::Days { .. } => "day",
        Periods::Months { .. } => "month",
    };
    let sql = format!(
        "create or replace table missing_periods as
        with first as (select min(period_start) as period_start from periods),
        newest as (
            select max({period}) as period_start from published, first where {period} < first.period_start
        ),
        between_them as (
            select unnest(range(newest.period_start + interval 1 {step}, first.period_start, interval 1 {step}))::date
                as period_start
            from newest, first
        )
        select period_start from between_them
        where date_trunc('month', period_start)::date not in (select month_start from excluded_months)",
        period = compute.period_of("published"),
    );
    Ok(compute.connection().execute_batch(&sql)?)
}
