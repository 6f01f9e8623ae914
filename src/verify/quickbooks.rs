//! QuickBooks' own totals: each report over the row's days as one column, and of it the totals of the sections.
//!
//! The mart adds up the accounts of monthly columns; here QuickBooks has added them up.

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use reqwest::Url;
use rust_decimal::Decimal;
use serde_json::Value;

use super::{Answers, Around, Asked, answers, setting};
use crate::config::{QuickBooks, SecretRef};
use crate::datasets::Connector;
use crate::extract::http::{get, standard};
use crate::extract::oauth::{Custody, OAuthClient, TokenOwner, Vault};

/// A company's books.
pub(super) struct Books<'a> {
    around: &'a Around<'a>,
    settings: &'a QuickBooks,
    custody: Custody<'a>,
}

impl<'a> Books<'a> {
    pub(super) fn new(around: &'a Around<'a>) -> Result<Self> {
        let settings = setting(around.org.quickbooks.as_ref(), "quickbooks")?;
        let owner = TokenOwner { org: around.org.slug.clone(), connector: Connector::QuickBooks.name() };
        let client = OAuthClient {
            token_url: settings.token_url.clone(),
            client_id: settings.client_id.read().context("reading client_id of QuickBooks")?,
            client_secret: settings.client_secret.read().context("reading client_secret of QuickBooks")?,
        };
        let seed = settings.refresh_token.as_ref().map(SecretRef::read).transpose();
        let seed = seed.context("reading refresh_token of QuickBooks")?;
        let custody = Custody::new(around.http, around.tokens, Vault::open(around.config)?, owner, client, seed);
        Ok(Books { around, settings, custody })
    }

    pub(super) async fn put(&mut self, report: &str, asked: Asked) -> Result<Answers> {
        let report = self.report(report, asked).await.with_context(|| format!("asking {report}"))?;
        let total = |group| report.total(group);
        match report.name.as_str() {
            "ProfitAndLoss" => {
                let (income, other_income) = (total("Income")?, total("OtherIncome")?);
                let cost = total("COGS")?;
                let spent = cost + total("Expenses")? + total("OtherExpenses")?;
                let columns = &["total_revenue", "total_expenses", "net_income", "gross_profit"];
                let net_income = report.must("NetIncome")?;
                answers(columns, [income + other_income, spent, net_income, income - cost].map(Some))
            }
            "BalanceSheet" => {
                let columns = [
                    ("total_assets", "TotalAssets"),
                    ("total_liabilities", "Liabilities"),
                    ("total_equity", "Equity"),
                    ("cash_balance", "BankAccounts"),
                    ("accounts_receivable", "AR"),
                    ("accounts_payable", "AP"),
                ];
                columns.into_iter().map(|(column, group)| Ok((column.to_owned(), Some(total(group)?)))).collect()
            }
            "CashFlow" => {
                let elsewhere = total("InvestingActivities")? + total("FinancingActivities")?;
                answers(&["operating_cash_flow"], [Some(report.must("CashIncrease")? - elsewhere)])
            }
            name => bail!("{name} is none of the reports that are asked"),
        }
    }

    async fn report(&self, name: &str, asked: Asked) -> Result<Report> {
        let (first, last) = (asked.period.start.to_string(), asked.last_day().to_string());
        let base = self.settings.base_url.trim_end_matches('/');
        let mut url = Url::parse(&format!("{base}/v3/company/{}/reports/{name}", self.settings.realm_id))?;
        let basis = (name != "CashFlow").then(|| self.settings.basis.name());
        url.query_pairs_mut()
            .append_pair("start_date", &first)
            .append_pair("end_date", &last)
            .append_pair("summarize_column_by", "Total")
            .append_pair("minorversion", "75")
            .extend_pairs(basis.map(|basis| ("accounting_method", basis)));
        let answer = self.around.http.send_with(get(url, "application/json"), &self.custody, &standard).await?;
        let body: Value = serde_json::from_slice(&answer.body).map_err(|_| anyhow!("the answer is not JSON"))?;
        // QuickBooks passes over what it does not understand, and answers something else.
        let echoes = [
            ("ReportName", Some(name)),
            ("StartPeriod", Some(&first)),
            ("EndPeriod", Some(&last)),
            ("SummarizeColumnsBy", Some("Total")),
            ("ReportBasis", basis),
        ];
        for (member, asked) in echoes {
            let echoed = body["Header"][member].as_str();
            ensure!(
                asked.is_none() || echoed == asked,
                "QuickBooks answered another question: Header.{member} is {} where {} was asked",
                echoed.unwrap_or("missing"),
                asked.unwrap_or_default()
            );
        }
        let options = body["Header"]["Option"].as_array().into_iter().flatten();
        let is_empty = options.into_iter().any(|option| option["Name"] == "NoReportData" && option["Value"] == "true");
        let columns = body["Columns"]["Column"].as_array().map_or(0, Vec::len);
        ensure!(
            is_empty || columns == 2,
            "the report has {columns} columns where one of labels and one total were asked"
        );
        Ok(Report { name: name.to_owned(), is_empty, body })
    }
}

/// A report of one column.
struct Report {
    name: String,
    /// QuickBooks says that it has nothing to report.
    is_empty: bool,
    body: Value,
}

impl Report {
    /// The total of a section; zero where the report has no such section, or no amount in it.
    fn total(&self, group: &str) -> Result<Decimal> {
        Ok(self.find(group)?.unwrap_or_default())
    }

    /// A line that every report has that has anything to say.
    fn must(&self, group: &str) -> Result<Decimal> {
        match self.find(group)? {
            Some(amount) => Ok(amount),
            None if self.is_empty => Ok(Decimal::ZERO),
            None => bail!("{} has no line {group}", self.name),
        }
    }

    fn find(&self, group: &str) -> Result<Option<Decimal>> {
        let mut found = None;
        let mut rows: Vec<&Value> = list(&self.body["Rows"]["Row"]).collect();
        while let Some(row) = rows.pop() {
            // Recorded answers spell the last of the groups without one of its letters.
            let own = row["group"].as_str().unwrap_or_default().replace("Activites", "Activities");
            if own != group {
                rows.extend(list(&row["Rows"]["Row"]));
                continue;
            }
            let cells = if row["Summary"].is_null() { &row["ColData"] } else { &row["Summary"]["ColData"] };
            let text = list(cells).nth(1).and_then(|cell| cell["value"].as_str()).unwrap_or_default().trim();
            if !text.is_empty() {
                let amount: Decimal =
                    text.replace(',', "").parse().map_err(|_| anyhow!("the total of {group} is no amount"))?;
                *found.get_or_insert(Decimal::ZERO) += amount;
            }
        }
        Ok(found)
    }
}

/// A member that may be a list, one object, or absent.
fn list(value: &Value) -> impl Iterator<Item = &Value> {
    let (many, one) = match value {
        Value::Array(many) => (many.as_slice(), None),
        Value::Null => (&[][..], None),
        one => (&[][..], Some(one)),
    };
    many.iter().chain(one)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(rows: Value, is_empty: bool) -> Report {
        Report { name: "ProfitAndLoss".into(), is_empty, body: json!({ "Rows": { "Row": rows } }) }
    }

    #[test]
    fn the_total_of_a_section_is_its_summary_at_whatever_depth() {
        let inner = json!({
            "group": "Income", "Rows": { "Row": { "ColData": [{ "value": "Fees" }, { "value": "1.00" }] } },
            "Summary": { "ColData": [{ "value": "Total" }, { "value": "1,234.50" }] },
        });
        let rows = json!([
            { "group": "Ordinary", "Rows": { "Row": [inner] } },
            { "group": "NetIncome", "ColData": [{ "value": "Net" }, { "value": "-3.10" }] },
            { "group": "Expenses", "Summary": { "ColData": [{ "value": "Total" }, { "value": "" }] } },
        ]);
        let report = report(rows, false);
        assert_eq!(report.total("Income").unwrap().to_string(), "1234.50");
        assert_eq!(report.must("NetIncome").unwrap().to_string(), "-3.10");
        assert_eq!(report.total("Expenses").unwrap(), Decimal::ZERO);
        assert_eq!(report.total("COGS").unwrap(), Decimal::ZERO);
        assert!(report.must("CashIncrease").is_err());
    }

    #[test]
    fn a_report_with_nothing_to_report_is_zero_and_a_total_that_is_none_is_an_error() {
        assert_eq!(report(json!([]), true).must("NetIncome").unwrap(), Decimal::ZERO);
        let rows = json!([{ "group": "AR", "Summary": { "ColData": [{ "value": "Total" }, { "value": "n/a" }] } }]);
        assert!(report(rows, false).total("AR").is_err());
    }
}
