//! Saved answers instead of the network: `--pages DIR`.
//!
//! `DIR/ga4_events/<day>.json` is the result of the day's query in one answer, `<day>-0001.json`, `-0002` … its pages in
//! their order. A day without a file counts as a day without a table, as long as there is any day at all.

use anyhow::{Context as _, Result, ensure};
use gcp_bigquery_client::model::query_response::QueryResponse;

use super::rows;
use crate::datasets::Dataset;
use crate::extract::saved::{Answers, SavedAnswer};
use crate::extract::{Context, Saved};
use crate::periods::Partition;

/// A day's answers, in order; none where there is no file.
pub(super) fn answers(context: &Context<'_>, saved: &Saved, dataset: &Dataset, day: Partition) -> Result<Answers> {
    saved.answers(dataset, &[day.to_string()], context.clock.now())
}

/// Fails unless there is a saved answer for any of the days.
pub(super) fn ensure_any(context: &Context<'_>, saved: &Saved, dataset: &Dataset, days: &[Partition]) -> Result<()> {
    let (Some(folder), Some(last)) = (saved.folder(dataset.name), days.last()) else { return Ok(()) };
    for day in days {
        if answers(context, saved, dataset, *day)?.peek().is_some() {
            return Ok(());
        }
    }
    let last_file = folder.join(format!("{last}.json"));
    anyhow::bail!(
        "no saved answers: there is neither {} nor {last}-0001.json there, nor those of another day",
        last_file.display()
    )
}

/// Reads one answer.
pub(super) fn read(answer: &SavedAnswer) -> Result<QueryResponse> {
    let context = || format!("in {}", answer.place);
    let result = rows::parse(answer.body()).with_context(context)?;
    ensure!(result.job_complete != Some(false), "in {}: the answer of a query that still runs", answer.place);
    Ok(result)
}
