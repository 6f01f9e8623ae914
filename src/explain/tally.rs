//! A whole mart explained: every number of it held against the rows behind it.

use anyhow::{Context as _, Result};
use chrono::NaiveDate;
use serde::Serialize;

use super::{Number, Opened, explained_columns, from_the_period, numbers, of_the_period, published, source, terms};
use crate::compute::Compute;
use crate::config::{Config, Org};
use crate::jobs::Job;
use crate::postgres::Database;

/// Every number of the rows that the newest run of a mart published, held against the rows behind it.
#[derive(Debug, Serialize)]
pub struct Tally {
    pub mart: &'static str,
    pub org: String,
    pub run: String,
    /// Rows of the mart.
    pub rows: usize,
    /// Numbers in them.
    pub numbers: usize,
    /// Staged rows that bring something to a number, counted for each number.
    pub parts: u64,
    pub differing: Vec<Differing>,
}

/// A number that its rows do not make.
#[derive(Debug, Serialize)]
pub struct Differing {
    pub column: String,
    pub period: NaiveDate,
    pub number: Number,
}

/// Explains a whole mart of an organisation, as far as its newest run restated it.
///
/// # Errors
/// A mart without rows, and pulls that are gone or altered since.
pub async fn tally(config: &Config, database: &Database, org_id: i32, job: &'static Job, org: &Org) -> Result<Tally> {
    let columns = explained_columns(job)?;
    let (run, rows) = {
        let mut connection = database.connection().await?;
        published::newest(&mut connection, org_id, job, org, &columns).await?
    };
    let ends = rows.first().zip(rows.last()).map(|(first, last)| (first.period, last.period));
    let ends = ends.with_context(|| format!("run {} published no row of {}", run.run_id, job.mart))?;
    let opened = Opened::new(config, job, source(job, &rows[0].source_system)?, org, &run, ends)?;
    let mut terms = tokio::task::block_in_place(|| -> Result<_> {
        let compute = Compute::open(&opened.inputs(config))?;
        compute.explain(None)?;
        terms(&compute)
    })?;
    let (mut count, mut parts, mut differing) = (0, 0, Vec::new());
    for row in &rows {
        for (column, value) in columns.iter().zip(&row.values) {
            let published = published::numbers(column, value.as_deref())?;
            let numbers = match of_the_period(&column.name, row.period) {
                Some(value) => vec![from_the_period(&published, value)],
                None => {
                    let terms = terms.remove(&(row.period, column.name.clone())).unwrap_or_default();
                    numbers(column, &published, terms)
                }
            };
            count += numbers.len();
            parts += numbers.iter().flat_map(|number| &number.terms).map(|term| term.count).sum::<u64>();
            let wrong = numbers.into_iter().filter(|number| !number.agrees);
            differing.extend(wrong.map(|number| Differing { column: column.name.clone(), period: row.period, number }));
        }
    }
    Ok(Tally {
        mart: job.mart,
        org: org.slug.clone(),
        run: run.run_id,
        rows: rows.len(),
        numbers: count,
        parts,
        differing,
    })
}
