//! Saved answers instead of the network: `--pages DIR`.
//!
//! `DIR/ga4_events/<day>.json` is the result of the day's query in one answer, `<day>-0001.json`, `-0002` … its pages in
//! their order. A day without a file counts as a day without a table, as long as there is any day at all.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use gcp_bigquery_client::model::query_response::QueryResponse;

use super::rows;
use crate::datasets::Dataset;
use crate::periods::Partition;

/// An answer from a file.
pub(super) struct Saved {
    /// `<dataset>/<file>`: what is kept in staging says nothing of this machine.
    pub name: String,
    pub body: Vec<u8>,
    pub result: QueryResponse,
}

/// The files of a day's answers, in order.
pub(super) fn files(folder: &Path, dataset: &Dataset, day: Partition) -> Vec<PathBuf> {
    let folder = folder.join(dataset.name);
    let one = folder.join(format!("{day}.json"));
    if one.is_file() {
        return vec![one];
    }
    (1..).map(|number| folder.join(format!("{day}-{number:04}.json"))).take_while(|file| file.is_file()).collect()
}

/// Fails unless there is a saved answer for any of the days.
pub(super) fn ensure_any(folder: &Path, dataset: &Dataset, days: &[Partition]) -> Result<()> {
    ensure!(
        days.is_empty() || days.iter().any(|day| !files(folder, dataset, *day).is_empty()),
        "no saved answers: there is neither {} nor {}-0001.json there, nor those of another day",
        folder.join(dataset.name).join(format!("{}.json", days[days.len() - 1])).display(),
        days[days.len() - 1]
    );
    Ok(())
}

/// Reads one answer.
pub(super) fn read(file: &Path, dataset: &Dataset) -> Result<Saved> {
    let context = || format!("in {}", file.display());
    let body = std::fs::read(file).with_context(context)?;
    let result = rows::parse(&body).with_context(context)?;
    ensure!(result.job_complete != Some(false), "in {}: the answer of a query that still runs", file.display());
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    Ok(Saved { name: format!("{}/{name}", dataset.name), body, result })
}
