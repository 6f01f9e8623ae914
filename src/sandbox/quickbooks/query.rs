//! A report request's parameters, read the way the service reads them.

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;

use super::{Realm, faults};
use crate::sandbox::business::Basis;
use crate::sandbox::business::calendar::{days, fiscal_year_start, month_end, month_start, months};
use crate::sandbox::http::Request;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReportName {
    ProfitAndLoss,
    BalanceSheet,
    CashFlow,
}

impl ReportName {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            ReportName::ProfitAndLoss => "ProfitAndLoss",
            ReportName::BalanceSheet => "BalanceSheet",
            ReportName::CashFlow => "CashFlow",
        }
    }
}

/// `summarize_column_by`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SummarizeBy {
    Total,
    Month,
    Days,
}

impl SummarizeBy {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            SummarizeBy::Total => "Total",
            SummarizeBy::Month => "Month",
            SummarizeBy::Days => "Days",
        }
    }
}

/// One money column's span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: NaiveDate,
    pub(super) end: NaiveDate,
}

#[derive(Debug, Clone)]
pub(super) struct ReportQuery {
    pub(super) name: ReportName,
    pub(super) range: Span,
    /// Set when the range came from a macro, not from dates.
    pub(super) date_macro: Option<String>,
    pub(super) basis: Basis,
    pub(super) by: SummarizeBy,
    /// Filters the header echoes. The simulated books know no customers, so the figures stay unfiltered.
    pub(super) filters: Vec<(&'static str, String)>,
}

/// Why a request cannot be served.
pub(super) enum Invalid {
    Report(String),
    Value(String),
}

impl Invalid {
    pub(super) fn fault(&self, now: DateTime<Utc>) -> (u16, Value) {
        match self {
            Invalid::Report(name) => faults::unsupported(&format!("reports/{name}"), now),
            Invalid::Value(detail) => faults::invalid(detail, now),
        }
    }
}

impl ReportQuery {
    /// Unknown parameter names are ignored without a word, as the service does: a typo yields another report, not an error.
    pub(super) fn parse(name: &str, request: &Request, realm: &Realm, now: DateTime<Utc>) -> Result<Self, Invalid> {
        let name = match name {
            "ProfitAndLoss" => ReportName::ProfitAndLoss,
            "BalanceSheet" => ReportName::BalanceSheet,
            "CashFlow" => ReportName::CashFlow,
            other => return Err(Invalid::Report(other.to_owned())),
        };
        let invalid = |what: &str, value: &str| Invalid::Value(format!("{value} is not a valid {what}"));
        let basis = match request.param("accounting_method").as_deref() {
            None | Some("") => realm.preferred_basis,
            Some("Accrual") => Basis::Accrual,
            Some("Cash") => Basis::Cash,
            Some(other) => return Err(invalid("accounting_method", other)),
        };
        let by = match request.param("summarize_column_by").as_deref() {
            None | Some("" | "Total") => SummarizeBy::Total,
            Some("Month") => SummarizeBy::Month,
            Some("Days") => SummarizeBy::Days,
            Some(other) => return Err(invalid("summarize_column_by", other)),
        };
        let (range, date_macro) = range(request, realm, now.date_naive())?;
        let filters = [("Customer", "customer"), ("Vendor", "vendor"), ("Class", "class"), ("Item", "item")]
            .into_iter()
            .filter_map(|(echo, parameter)| Some((echo, request.param(parameter)?)));
        Ok(Self { name, range, date_macro, basis, by, filters: filters.collect() })
    }

    /// The money columns' spans, without the total column.
    pub(super) fn spans(&self) -> Vec<Span> {
        let Span { start, end } = self.range;
        match self.by {
            SummarizeBy::Total => vec![self.range],
            SummarizeBy::Month => months(start, end)
                .map(|first| Span { start: first.max(start), end: month_end(first).min(end) })
                .collect(),
            SummarizeBy::Days => days(start, end).map(|day| Span { start: day, end: day }).collect(),
        }
    }

    /// Balance sheets have no total column: balances do not add up over time.
    pub(super) fn has_total_column(&self) -> bool {
        self.by != SummarizeBy::Total && self.name != ReportName::BalanceSheet
    }
}

/// Dates win over a macro; without either the range is the fiscal year to date.
fn range(request: &Request, realm: &Realm, today: NaiveDate) -> Result<(Span, Option<String>), Invalid> {
    let date = |name: &str| {
        let Some(text) = request.param(name) else { return Ok(None) };
        let parsed = (text.len() == 10).then(|| NaiveDate::parse_from_str(&text, "%Y-%m-%d").ok()).flatten();
        parsed.map(Some).ok_or_else(|| Invalid::Value(format!("{name}: {text} is not a date (YYYY-MM-DD)")))
    };
    let year_start = |day| fiscal_year_start(day, realm.company.options.fiscal_year_start_month);
    let (start, end) = match (date("start_date")?, date("end_date")?) {
        (None, None) => return Ok(from_macro(request.param("date_macro"), today, year_start(today))),
        (start, end) => {
            let end = end.unwrap_or(today);
            (start.unwrap_or_else(|| year_start(end)), end)
        }
    };
    if start > end {
        return Err(Invalid::Value(format!("start_date {start} is after end_date {end}")));
    }
    Ok((Span { start, end }, None))
}

fn from_macro(asked: Option<String>, today: NaiveDate, year_start: NaiveDate) -> (Span, Option<String>) {
    let asked = asked.unwrap_or_default().to_lowercase();
    let start = match asked.as_str() {
        "today" => today,
        "this month-to-date" => month_start(today),
        _ => year_start,
    };
    let known = matches!(asked.as_str(), "today" | "this month-to-date");
    let name = if known { asked } else { "this fiscal year-to-date".to_owned() };
    (Span { start, end: today }, Some(name))
}
