//! What is asked of the Reports API, and whether the answer answers it.
//!
//! QuickBooks ignores a parameter that it does not know and answers something else with status 200, so the answer's
//! header has to echo what was asked.

use anyhow::{Context as _, Result, bail, ensure};
use chrono::{Months, NaiveDate};
use url::Url;

use super::report::Report;
use crate::config::QuickBooks;
use crate::datasets::Dataset;
use crate::periods::{self, Partition};

/// Intuit's advice: at most six months in one report request.
const MONTHS_PER_REQUEST: usize = 6;
/// The lowest level that is still served; lower numbers are ignored.
const MINOR_VERSION: &str = "75";

/// The reports that are pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    ProfitAndLoss,
    BalanceSheet,
    CashFlow,
}

impl Kind {
    pub(super) fn of(dataset: &Dataset) -> Result<Self> {
        Ok(match dataset.name {
            "quickbooks_profit_and_loss" => Kind::ProfitAndLoss,
            "quickbooks_balance_sheet" => Kind::BalanceSheet,
            "quickbooks_cash_flow" => Kind::CashFlow,
            name => bail!("{name} is no QuickBooks report"),
        })
    }

    /// As the URL and the header have it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::ProfitAndLoss => "ProfitAndLoss",
            Kind::BalanceSheet => "BalanceSheet",
            Kind::CashFlow => "CashFlow",
        }
    }

    /// CashFlow knows no basis: its header states none.
    fn has_basis(self) -> bool {
        self != Kind::CashFlow
    }
}

/// One request: consecutive months of one report.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub dataset: &'static Dataset,
    pub kind: Kind,
    /// In order.
    pub months: Vec<Partition>,
    /// The last day asked: `as_of` in the open month.
    pub end: NaiveDate,
}

/// Where a month is in a report, and which days it covers there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// None when QuickBooks says that there is nothing to report and shows no column.
    pub column: Option<usize>,
    pub start: NaiveDate,
    pub end: NaiveDate,
}

/// Splits the wanted months of a dataset into requests.
pub(super) fn asks(dataset: &'static Dataset, wanted: &[Partition], as_of: NaiveDate) -> Result<Vec<Ask>> {
    let kind = Kind::of(dataset)?;
    let mut months = wanted.to_vec();
    months.sort();
    months.dedup();
    let mut runs: Vec<Vec<Partition>> = Vec::new();
    for month in months {
        ensure!(matches!(month, Partition::Month(_)), "{} is pulled by month, not by day ({month})", dataset.name);
        ensure!(month.start() <= as_of, "{month} begins after {as_of}, the last day reported");
        match runs.last_mut() {
            Some(run) if run.len() < MONTHS_PER_REQUEST && follows(run, month) => run.push(month),
            _ => runs.push(vec![month]),
        }
    }
    let ask = |months: Vec<Partition>| {
        let end = months.last().expect("a run has a month").end().min(as_of);
        Ask { dataset, kind, months, end }
    };
    Ok(runs.into_iter().map(ask).collect())
}

fn follows(run: &[Partition], month: Partition) -> bool {
    run.last().is_some_and(|last| last.start() + Months::new(1) == month.start())
}

impl Ask {
    /// The question that a URL asked, and by which basis; the way back from [`Ask::url`].
    pub(super) fn of_url(dataset: &'static Dataset, url: &str) -> Result<(Ask, String)> {
        let context = || "the URL of the page is no question for a report".to_owned();
        let url = Url::parse(url).with_context(context)?;
        let parameter =
            |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        let day = |name: &str| parameter(name).and_then(|text| text.parse::<NaiveDate>().ok()).with_context(context);
        let (start, end) = (day("start_date")?, day("end_date")?);
        let months = periods::months(start, end).into_iter().map(|month| Partition::Month(month.start)).collect();
        let ask = Ask { dataset, kind: Kind::of(dataset)?, months, end };
        ensure!(ask.months.first().is_some_and(|first| first.start() == start), context());
        Ok((ask, parameter("accounting_method").unwrap_or_default()))
    }

    pub(super) fn start(&self) -> NaiveDate {
        self.months[0].start()
    }

    /// `2025-08 to 2026-01`
    pub(super) fn range(&self) -> String {
        match self.months.as_slice() {
            [one] => one.to_string(),
            months => format!("{} to {}", months[0], months[months.len() - 1]),
        }
    }

    /// The URL that asks for it. It holds no secret.
    pub(super) fn url(&self, settings: &QuickBooks) -> Result<Url> {
        let base = settings.base_url.trim_end_matches('/');
        let path = format!("{base}/v3/company/{}/reports/{}", settings.realm_id, self.kind.name());
        let mut url = Url::parse(&path).with_context(|| format!("base_url {base:?} is no URL"))?;
        let mut query = url.query_pairs_mut();
        // Dates, never a date_macro: a macro overrides them and depends on the company's settings.
        query.append_pair("start_date", &self.start().to_string());
        query.append_pair("end_date", &self.end.to_string());
        if self.kind.has_basis() {
            // Said explicitly: the default is the company's preference, which anyone there may change.
            query.append_pair("accounting_method", settings.basis.name());
        }
        query.append_pair("summarize_column_by", "Month").append_pair("minorversion", MINOR_VERSION);
        drop(query);
        Ok(url)
    }

    /// Whether the answer is the one to this question.
    pub(super) fn check_echo(&self, report: &Report, basis: &str) -> Result<()> {
        let header = &report.header;
        let date = |date: Option<NaiveDate>| date.map(|date| date.to_string());
        let mut echoes = vec![
            ("ReportName", self.kind.name().to_owned(), Some(header.report_name.clone())),
            ("StartPeriod", self.start().to_string(), date(header.start)),
            ("EndPeriod", self.end.to_string(), date(header.end)),
            ("SummarizeColumnsBy", "Month".to_owned(), header.summarize_by.clone()),
        ];
        if self.kind.has_basis() {
            echoes.push(("ReportBasis", basis.to_owned(), header.basis.clone()));
        }
        for (field, asked, answered) in echoes {
            ensure!(
                answered.as_ref() == Some(&asked),
                "QuickBooks answered another question: Header.{field} is {} where {asked} was asked",
                answered.as_deref().unwrap_or("missing")
            );
        }
        Ok(())
    }

    /// Where a month is, told by the columns' dates: titles are translated text.
    pub(super) fn place(&self, report: &Report, month: Partition) -> Result<Place> {
        let end = month.end().min(self.end);
        if let Some((column, start, found)) = dated(report, month)? {
            ensure!(found == end, "the column of {month} ends on {found} where {end} was asked");
            return Ok(Place { column: Some(column), start, end });
        }
        // A single month may come as a single column without dates; the header's have been checked.
        let column = undated(report).filter(|_| self.months.len() == 1);
        if column.is_some() || report.header.no_report_data {
            return Ok(Place { column, start: month.start(), end });
        }
        bail!("the report has no column for {month}, which was asked");
    }
}

/// The money column whose dates lie in the month, with its dates.
pub(super) fn dated(report: &Report, month: Partition) -> Result<Option<(usize, NaiveDate, NaiveDate)>> {
    let within = |date: NaiveDate| month.start() <= date && date <= month.end();
    let mut found = report.columns.iter().enumerate().filter_map(|(index, column)| {
        let (start, end) = (column.start?, column.end?);
        (column.money && !column.total && within(start) && within(end)).then_some((index, start, end))
    });
    let first = found.next();
    ensure!(found.next().is_none(), "the report has more than one column within {month}");
    Ok(first)
}

/// The only money column there is, when none has dates; of two, the one that is not the total.
pub(super) fn undated(report: &Report) -> Option<usize> {
    let money = || report.columns.iter().enumerate().filter(|(_, column)| column.money);
    if money().any(|(_, column)| column.start.is_some() || column.end.is_some()) {
        return None;
    }
    let only = |columns: Vec<usize>| match columns.as_slice() {
        [one] => Some(*one),
        _ => None,
    };
    only(money().filter(|(_, column)| !column.total).map(|(index, _)| index).collect())
        .or_else(|| only(money().map(|(index, _)| index).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datasets::{Connector, DATASETS};

    #[test]
    fn every_quickbooks_dataset_is_a_report() {
        for dataset in DATASETS.iter().filter(|dataset| dataset.connector == Connector::QuickBooks) {
            Kind::of(dataset).unwrap();
        }
    }

    #[test]
    fn months_are_grouped_by_six_and_end_with_the_day_reported() {
        let dataset = crate::datasets::dataset("quickbooks_cash_flow").unwrap();
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        let months = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Partition>>();
        let ranges = |wanted: &[&str], as_of: &str| -> Vec<(String, String)> {
            let asks = asks(dataset, &months(wanted), day(as_of)).unwrap();
            asks.iter().map(|ask| (ask.range(), ask.end.to_string())).collect()
        };
        let range = |range: &str, end: &str| (range.to_owned(), end.to_owned());
        assert_eq!(ranges(&["2024-02"], "2024-02-29"), [range("2024-02", "2024-02-29")]);
        assert_eq!(ranges(&["2026-01", "2025-12"], "2026-01-01"), [range("2025-12 to 2026-01", "2026-01-01")]);
        let seven = ["2025-07", "2025-08", "2025-09", "2025-10", "2025-11", "2025-12", "2026-01"];
        assert_eq!(
            ranges(&seven, "2026-03-09"),
            [range("2025-07 to 2025-12", "2025-12-31"), range("2026-01", "2026-01-31")]
        );
        assert_eq!(
            ranges(&["2025-01", "2025-03", "2025-03"], "2026-01-20"),
            [range("2025-01", "2025-01-31"), range("2025-03", "2025-03-31")]
        );
        assert!(asks(dataset, &months(&["2026-02"]), day("2026-01-31")).is_err());
        assert!(asks(dataset, &months(&["2026-01-05"]), day("2026-01-31")).is_err());
    }
}
