//! Saved answers instead of the network: `--pages DIR`.
//!
//! `DIR/<dataset>/<month>.json` is one month, `<month>-0001.json`, `-0002` … several answers for it; `all.json` or
//! `all-0001.json` … are answers over several months, told apart by their columns' dates.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use chrono::NaiveDate;

use super::ask::{Kind, Place, dated, undated};
use super::report::Report;
use crate::datasets::Dataset;
use crate::periods::Partition;

/// An answer from a file.
pub(super) struct Saved {
    /// `<dataset>/<file>`: what is kept in staging says nothing of this machine.
    pub name: String,
    pub body: Vec<u8>,
    pub report: Report,
}

/// The saved answers of a dataset for one month, and where the month is in one of them.
pub(super) fn find(folder: &Path, dataset: &Dataset, month: Partition, as_of: NaiveDate) -> Result<(Saved, Place)> {
    let kind = Kind::of(dataset)?;
    let folder = folder.join(dataset.name);
    let mut named = true;
    let mut files = files(&folder, &month.to_string());
    if files.is_empty() {
        named = false;
        files = self::files(&folder, "all");
    }
    ensure!(
        !files.is_empty(),
        "no saved answer for {month}: {} does not exist, nor do {month}-0001.json, all.json and all-0001.json there",
        folder.join(format!("{month}.json")).display()
    );
    let mut found: Option<(Saved, Place)> = None;
    for file in &files {
        let saved = read(file, dataset, kind).with_context(|| format!("in {}", file.display()))?;
        let Some(place) = place(&saved, kind, (month.start(), month.end().min(as_of)), month, named)
            .with_context(|| format!("in {}", file.display()))?
        else {
            continue;
        };
        if let Some((other, _)) = &found {
            bail!("{month} is both in {} and in {}", other.name, saved.name);
        }
        found = Some((saved, place));
    }
    found.with_context(|| {
        let names: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
        format!("no column for {month} in {}", names.join(", "))
    })
}

/// `<stem>.json`, else `<stem>-0001.json` and those after it.
fn files(folder: &Path, stem: &str) -> Vec<PathBuf> {
    let one = folder.join(format!("{stem}.json"));
    if one.is_file() {
        return vec![one];
    }
    (1..).map(|number| folder.join(format!("{stem}-{number:04}.json"))).take_while(|file| file.is_file()).collect()
}

fn read(file: &Path, dataset: &Dataset, kind: Kind) -> Result<Saved> {
    let body = std::fs::read(file)?;
    let report = Report::parse(&body)?;
    let name = &report.header.report_name;
    ensure!(name == kind.name(), "Header.ReportName is {name} where {} was expected", kind.name());
    let file = file.file_name().unwrap_or_default().to_string_lossy();
    Ok(Saved { name: format!("{}/{file}", dataset.name), body, report })
}

/// Nothing was asked here, so the columns' dates decide; a body without any counts as the month its file is named for.
fn place(
    saved: &Saved,
    kind: Kind,
    asked: (NaiveDate, NaiveDate),
    month: Partition,
    named: bool,
) -> Result<Option<Place>> {
    let report = &saved.report;
    if let Some((column, start, end)) = dated(report, month)? {
        return Ok(Some(Place { column: Some(column), start, end }));
    }
    let within = |date| month.start() <= date && date <= month.end();
    let header = report.header.start.zip(report.header.end);
    // A balance is that of its last day, wherever the range began.
    let covered = header.filter(|(start, end)| within(*end) && (within(*start) || kind == Kind::BalanceSheet));
    let column = undated(report);
    if column.is_none() && !report.header.no_report_data || !named && covered.is_none() {
        return Ok(None);
    }
    if covered.is_none() {
        tracing::warn!(
            file = saved.name,
            "the report covers {} and is read as {month}, as its file is named",
            header.map_or("no stated range".to_owned(), |(start, end)| format!("{start} to {end}"))
        );
    }
    // What is read as a month counts as far as a live request would have asked.
    let (start, end) = covered.unwrap_or(asked);
    Ok(Some(Place { column, start: start.max(month.start()), end }))
}
