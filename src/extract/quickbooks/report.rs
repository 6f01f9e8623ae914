//! QuickBooks' report answers, read. Shape: Intuit's Reports API documentation (ProfitAndLoss, BalanceSheet, CashFlow).
//!
//! Nothing is told by a label or a title: those are translated and edited. Groups, account ids and metadata are.

use anyhow::{Context as _, Result, anyhow, bail};
use chrono::NaiveDate;
use serde_json::Value;

use super::fault::Fault;
use super::tree::{self, Entry, Line};

/// A report.
#[derive(Debug)]
pub struct Report {
    pub header: Header,
    /// The columns after the label, in order.
    pub columns: Vec<Column>,
    pub(super) entries: Vec<Entry>,
}

/// What a report says of itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Header {
    pub report_name: String,
    pub basis: Option<String>,
    /// Missing when the range was the macro `all`.
    pub start: Option<NaiveDate>,
    pub end: Option<NaiveDate>,
    pub summarize_by: Option<String>,
    pub currency: Option<String>,
    pub no_report_data: bool,
    /// When QuickBooks made it, as it writes it: ISO 8601, or epoch milliseconds.
    pub time: Option<String>,
}

/// A column of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Whether it carries amounts.
    pub money: bool,
    /// Whether it is the total over the others.
    pub total: bool,
    pub start: Option<NaiveDate>,
    pub end: Option<NaiveDate>,
}

impl Report {
    /// Reads an answer.
    ///
    /// # Errors
    /// A Fault, which QuickBooks also answers with status 200; anything that is not a report; a row whose cells cannot
    /// be told to columns.
    pub fn parse(body: &[u8]) -> Result<Self> {
        let body: Value = serde_json::from_slice(body).map_err(|error| {
            // Only where: serde's text may quote the answer.
            anyhow!("not JSON, or cut off, at line {} column {}", error.line(), error.column())
        })?;
        if let Some(fault) = Fault::in_json(&body) {
            bail!("{fault}");
        }
        let header = body.get("Header").filter(|header| header.is_object()).context("no Header: this is no report")?;
        let columns = list(body.get("Columns").and_then(|columns| columns.get("Column")))
            .map(column)
            .collect::<Result<Vec<_>>>()?;
        let entries = tree::entries(body.get("Rows"), columns.len())?;
        Ok(Report {
            header: self::header(header)?,
            // The first column is the label's.
            columns: columns.into_iter().skip(1).collect(),
            entries,
        })
    }

    /// The lines as one column shows them, the line for the whole report first.
    ///
    /// # Errors
    /// A cell that is neither empty nor an amount.
    pub fn lines(&self, column: usize) -> Result<Vec<Line<'_>>> {
        tree::lines(&self.entries, Some(column))
    }

    /// The lines of a report that has no column: only the one for the whole.
    pub fn no_lines(&self) -> Vec<Line<'_>> {
        vec![tree::whole()]
    }
}

/// A member that may be a list, a single object (as converted XML has it), or absent.
pub(super) fn list(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    let (many, one) = match value {
        Some(Value::Array(many)) => (many.as_slice(), None),
        Some(Value::Null) | None => (&[] as &[Value], None),
        one => (&[] as &[Value], one),
    };
    many.iter().chain(one).filter(|item| !item.is_null())
}

/// The text of a member that may be text, a number or a flag; none when empty.
pub(super) fn text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

fn date(value: Option<&Value>, name: &str) -> Result<Option<NaiveDate>> {
    text(value).map(|text| text.parse().map_err(|_| anyhow!("{name} is not a date"))).transpose()
}

fn header(header: &Value) -> Result<Header> {
    let option = |name: &str| {
        list(header.get("Option"))
            .find(|option| option.get("Name").and_then(Value::as_str) == Some(name))
            .and_then(|option| text(option.get("Value")))
    };
    Ok(Header {
        report_name: text(header.get("ReportName")).context("no Header.ReportName")?,
        basis: text(header.get("ReportBasis")),
        start: date(header.get("StartPeriod"), "Header.StartPeriod")?,
        end: date(header.get("EndPeriod"), "Header.EndPeriod")?,
        summarize_by: text(header.get("SummarizeColumnsBy")),
        currency: text(header.get("Currency")),
        no_report_data: option("NoReportData").is_some_and(|value| value.eq_ignore_ascii_case("true")),
        time: text(header.get("Time")),
    })
}

fn column(column: &Value) -> Result<Column> {
    let meta = |name: &str| {
        list(column.get("MetaData"))
            .find(|meta| meta.get("Name").and_then(Value::as_str) == Some(name))
            .and_then(|meta| meta.get("Value"))
    };
    Ok(Column {
        money: text(column.get("ColType")).as_deref() == Some("Money"),
        total: text(meta("ColKey")).as_deref() == Some("total"),
        start: date(meta("StartDate"), "a column's StartDate")?,
        end: date(meta("EndDate"), "a column's EndDate")?,
    })
}
