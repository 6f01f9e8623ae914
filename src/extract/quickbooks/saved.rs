//! Saved answers instead of the network: `--pages DIR`.
//!
//! `DIR/<dataset>/<month>.json` is one month, `<month>-0001.json`, `-0002` … several answers for it; `all.json` or
//! `all-0001.json` … are answers over several months, told apart by their columns' dates. What an answer says of its
//! days and of its basis has to be what is asked for: a name makes no month of a year, and no accruals of payments.

use anyhow::{Context as _, Result, bail, ensure};
use chrono::NaiveDate;

use super::ask::{Ask, Kind, Place, dated, undated};
use super::report::Report;
use crate::datasets::Dataset;
use crate::extract::saved::SavedAnswer;
use crate::extract::{Context, Saved};
use crate::periods::Partition;

/// An answer that is here already, and where a month is in it.
pub(super) struct Found {
    pub answer: SavedAnswer,
    pub report: Report,
    pub place: Place,
}

/// The saved answer of a dataset for one month.
pub(super) fn find(context: &Context<'_>, saved: &Saved, dataset: &'static Dataset, month: Partition) -> Result<Found> {
    let kind = Kind::of(dataset)?;
    let stems = [month.to_string(), "all".to_owned()];
    let mut names = Vec::new();
    let mut found: Option<Found> = None;
    for answer in saved.answers(dataset, &stems, context.clock.now())? {
        let answer = answer?;
        let place = answer.place.clone();
        names.push(place.clone());
        let read = read(context, answer, dataset, kind, month).with_context(|| format!("in {place}"))?;
        let Some(read) = read else { continue };
        if let Some(other) = &found {
            bail!("{month} is both in {} and in {}", other.answer.stored.url, read.answer.stored.url);
        }
        found = Some(read);
    }
    if names.is_empty() {
        match saved.folder(dataset.name) {
            Some(folder) => bail!(
                "no saved answer for {month}: {} does not exist, nor do {month}-0001.json, all.json and all-0001.json there",
                folder.join(format!("{month}.json")).display()
            ),
            None => bail!("the pull has no pages"),
        }
    }
    found.with_context(|| format!("no column for {month} in {}", names.join(", ")))
}

fn read(
    context: &Context<'_>,
    answer: SavedAnswer,
    dataset: &'static Dataset,
    kind: Kind,
    month: Partition,
) -> Result<Option<Found>> {
    let report = Report::parse(answer.body())?;
    let name = &report.header.report_name;
    ensure!(name == kind.name(), "Header.ReportName is {name} where {} was expected", kind.name());
    let place = match answer.file_stem() {
        Some(stem) => {
            if let Some((settings, basis)) = context.org.quickbooks.as_ref().zip(report.header.basis.as_deref()) {
                let asked = settings.basis.name();
                ensure!(basis == asked, "Header.ReportBasis is {basis} where [org.quickbooks] has the basis {asked}");
            }
            let asked = (month.start(), month.end().min(context.as_of));
            place(&answer.stored.url, &report, kind, asked, month, stem.starts_with(&month.to_string()))?
        }
        // The question is known: the same is demanded of the answer as when it came.
        None => {
            let (ask, basis) = Ask::of_url(dataset, &answer.stored.url)?;
            ask.check_echo(&report, &basis)?;
            Some(ask.place(&report, month)?)
        }
    };
    Ok(place.map(|place| Found { answer, report, place }))
}

/// Nothing was asked here, so the columns' dates decide, and where they have none the header's; a body without any
/// counts as the month its file is named for.
fn place(
    file: &str,
    report: &Report,
    kind: Kind,
    asked: (NaiveDate, NaiveDate),
    month: Partition,
    named: bool,
) -> Result<Option<Place>> {
    if let Some((column, start, end)) = dated(report, month)? {
        return Ok(Some(Place { column: Some(column), start, end }));
    }
    let within = |date: Option<NaiveDate>| date.is_none_or(|date| month.start() <= date && date <= month.end());
    let (start, end) = (report.header.start, report.header.end);
    // A balance is that of its last day, wherever the range began.
    let covers = within(end) && (within(start) || kind == Kind::BalanceSheet);
    let column = undated(report);
    let says_so = covers && start.is_some() && end.is_some();
    if column.is_none() && !report.header.no_report_data || !named && !says_so {
        return Ok(None);
    }
    let said = |date: Option<NaiveDate>| date.map_or_else(|| "an unstated day".to_owned(), |date| date.to_string());
    ensure!(
        covers,
        "the report covers {} to {}, which is not {month}: save the report of the month under that name",
        said(start),
        said(end)
    );
    if start.is_none() && end.is_none() {
        tracing::warn!(file, "the report states no days and is read as {month}, as its file is named");
    }
    // What is not stated counts as far as a live request would have asked.
    let (start, end) = (start.unwrap_or(asked.0), end.unwrap_or(asked.1));
    Ok(Some(Place { column, start: start.max(month.start()), end }))
}
