//! The three statements, built from the simulated company's ledger.

use std::collections::BTreeMap;

use chrono::{DateTime, Days, NaiveDate, Utc};
use serde_json::{Value, json};

use super::QuickBooksOptions;
use super::faults::stamp;
use super::query::{ReportName, ReportQuery, Span};
use super::report::{Amounts, Labels, Summed, accounts, columns, computed, data, object, section};
use crate::sandbox::business::calendar::fiscal_year_start;
use crate::sandbox::business::services::{
    Activity, CHART, Kind, RETAINED_EARNINGS, ServicesCompany, account, full_name,
};
use crate::sandbox::business::{Basis, Cents};

/// Everything a statement is drawn from.
struct Sheet<'a> {
    query: &'a ReportQuery,
    company: &'a ServicesCompany,
    options: &'a QuickBooksOptions,
    /// One per money column, the total column last where there is one.
    spans: Vec<Span>,
    has_total: bool,
}

/// The whole answer.
pub(super) fn build(
    query: &ReportQuery,
    company: &ServicesCompany,
    options: &QuickBooksOptions,
    now: DateTime<Utc>,
) -> Value {
    let has_total = query.has_total_column();
    let mut spans = query.spans();
    spans.extend(has_total.then_some(query.range));
    let sheet = Sheet { query, company, options, spans, has_total };
    let (rows, no_data) = match query.name {
        ReportName::ProfitAndLoss => sheet.profit_and_loss(),
        ReportName::BalanceSheet => sheet.balance_sheet(),
        ReportName::CashFlow => sheet.cash_flow(),
    };
    json!({ "Header": header(query, no_data, now), "Columns": columns(query), "Rows": { "Row": rows } })
}

fn header(query: &ReportQuery, no_data: bool, now: DateTime<Utc>) -> Value {
    let mut header = object([("Time", json!(stamp(now))), ("ReportName", json!(query.name.as_str()))]);
    if let Some(name) = &query.date_macro {
        header.insert("DateMacro".into(), json!(name));
    }
    // The cash-flow report has no basis, so its header names none.
    if query.name != ReportName::CashFlow {
        let basis = if query.basis == Basis::Cash { "Cash" } else { "Accrual" };
        header.insert("ReportBasis".into(), json!(basis));
    }
    header.extend(object([
        ("StartPeriod", json!(query.range.start.to_string())),
        ("EndPeriod", json!(query.range.end.to_string())),
        ("SummarizeColumnsBy", json!(query.by.as_str())),
        ("Currency", json!("USD")),
    ]));
    header.extend(query.filters.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
    let options = json!([
        { "Name": "AccountingStandard", "Value": "GAAP" },
        { "Name": "NoReportData", "Value": no_data.to_string() },
    ]);
    header.insert("Option".into(), options);
    Value::Object(header)
}

/// Sums per column, one after the other in a fixed order of columns.
type PerAccount = BTreeMap<&'static str, Amounts>;

impl Sheet<'_> {
    fn width(&self) -> usize {
        self.spans.len()
    }

    fn section(&self, header: &'static str, summary: &'static str, group: &'static str, rows: Vec<Summed>) -> Summed {
        section(Labels { header, summary, group }, rows, self.width(), self.has_total)
    }

    /// As [`Sheet::section`], but a section without rows is dropped.
    fn optional(
        &self,
        header: &'static str,
        summary: &'static str,
        group: &'static str,
        rows: Vec<Summed>,
    ) -> Option<Summed> {
        (!rows.is_empty()).then(|| self.section(header, summary, group, rows))
    }

    /// Each account's amount per column, positive on the side its kind is shown on; `sums` gives one column's.
    fn per_account(&self, sums: impl Fn(Span) -> BTreeMap<&'static str, Cents>) -> PerAccount {
        let mut all = PerAccount::new();
        for (column, span) in self.spans.iter().enumerate() {
            for (id, amount) in sums(*span) {
                let sign = if account(id).kind.is_credit() { -1 } else { 1 };
                all.entry(id).or_insert_with(|| vec![None; self.width()])[column] = Some(sign * amount);
            }
        }
        all
    }

    fn profit_and_loss(&self) -> (Vec<Value>, bool) {
        let mut amounts =
            self.per_account(|span| self.company.ledger.movements(span.start, span.end, self.query.basis));
        amounts.retain(|id, _| account(id).kind.is_profit_and_loss());
        let rows = |kind| accounts(kind, &amounts, self.width());
        let subtract = |a: &[Cents], b: &[Cents]| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>();
        let zero = vec![0; self.width()];

        let income = self.section("Income", "Total Income", "Income", rows(Kind::Income));
        let cogs = self.optional("Cost of Goods Sold", "Total Cost of Goods Sold", "COGS", rows(Kind::CostOfGoodsSold));
        let expenses = self.section("Expenses", "Total Expenses", "Expenses", rows(Kind::Expense));
        let other_income = self.optional("Other Income", "Total Other Income", "OtherIncome", rows(Kind::OtherIncome));
        let other_expenses =
            self.optional("Other Expenses", "Total Other Expenses", "OtherExpenses", rows(Kind::OtherExpense));

        let sums = |section: &Option<Summed>| section.as_ref().map_or(zero.clone(), |section| section.sums.clone());
        let gross = subtract(&income.sums, &sums(&cogs));
        let operating = subtract(&gross, &expenses.sums);
        let other = subtract(&sums(&other_income), &sums(&other_expenses));
        let net: Vec<Cents> = operating.iter().zip(&other).map(|(a, b)| a + b).collect();
        let has_other = other_income.is_some() || other_expenses.is_some();

        let mut all = vec![income.row];
        all.extend(cogs.map(|section| section.row));
        all.push(computed("Gross Profit", "GrossProfit", &gross));
        all.push(expenses.row);
        all.push(computed("Net Operating Income", "NetOperatingIncome", &operating));
        all.extend(other_income.map(|section| section.row));
        all.extend(other_expenses.map(|section| section.row));
        all.extend(has_other.then(|| computed("Net Other Income", "NetOtherIncome", &other)));
        all.push(computed("Net Income", "NetIncome", &net));
        (all, amounts.is_empty())
    }

    /// Net income between two days, in one column.
    fn earned(&self, from: NaiveDate, to: NaiveDate) -> Cents {
        self.company.profit_and_loss(from, to, self.query.basis).net_income()
    }

    fn balance_sheet(&self) -> (Vec<Value>, bool) {
        let mut amounts = self.per_account(|span| self.company.ledger.balances(span.end, self.query.basis));
        let no_data = amounts.is_empty();
        amounts.retain(|id, _| !account(id).kind.is_profit_and_loss());
        let rows = |kind| accounts(kind, &amounts, self.width());
        let join = |sections: [Option<Summed>; 3]| sections.into_iter().flatten().collect::<Vec<_>>();

        let current = join([
            self.optional("Bank Accounts", "Total Bank Accounts", "BankAccounts", rows(Kind::Bank)),
            self.optional("Accounts Receivable", "Total Accounts Receivable", "AR", rows(Kind::AccountsReceivable)),
            self.optional(
                "Other Current Assets",
                "Total Other Current Assets",
                "OtherCurrentAssets",
                rows(Kind::OtherCurrentAsset),
            ),
        ]);
        let assets = join([
            self.optional("Current Assets", "Total Current Assets", "CurrentAssets", current),
            self.optional("Fixed Assets", "Total Fixed Assets", "FixedAssets", rows(Kind::FixedAsset)),
            self.optional("Other Assets", "Total Other Assets", "OtherAssets", rows(Kind::OtherAsset)),
        ]);
        let current = join([
            self.optional("Accounts Payable", "Total Accounts Payable", "AP", rows(Kind::AccountsPayable)),
            self.optional("Credit Cards", "Total Credit Cards", "CreditCards", rows(Kind::CreditCard)),
            self.optional(
                "Other Current Liabilities",
                "Total Other Current Liabilities",
                "OtherCurrentLiabilities",
                rows(Kind::OtherCurrentLiability),
            ),
        ]);
        let liabilities = join([
            self.optional("Current Liabilities", "Total Current Liabilities", "CurrentLiabilities", current),
            self.optional(
                "Long-Term Liabilities",
                "Total Long-Term Liabilities",
                "LongTermLiabilities",
                rows(Kind::LongTermLiability),
            ),
            None,
        ]);
        let claims = if no_data { Vec::new() } else { self.claims(liabilities, rows(Kind::Equity)) };
        let all = vec![
            self.section("ASSETS", "TOTAL ASSETS", "TotalAssets", assets).row,
            self.section("LIABILITIES AND EQUITY", "TOTAL LIABILITIES AND EQUITY", "TotalLiabilitiesAndEquity", claims)
                .row,
        ];
        (all, no_data)
    }

    /// Liabilities and equity. Profit of earlier fiscal years shows as retained earnings, of the current one as net
    /// income, both without a posting; an amount of zero shows as an empty cell, as recorded.
    fn claims(&self, liabilities: Vec<Summed>, mut equity: Vec<Summed>) -> Vec<Summed> {
        let shown = |amount: Cents| (amount != 0).then_some(amount);
        let year = |day| fiscal_year_start(day, self.company.options.fiscal_year_start_month);
        let retained = |span: &Span| shown(self.earned(NaiveDate::MIN, year(span.end) - Days::new(1)));
        let retained: Amounts = self.spans.iter().map(retained).collect();
        if retained.iter().any(Option::is_some) {
            let account = account(RETAINED_EARNINGS);
            equity.push(data(account.name, Some(account.id), None, &retained));
        }
        let net: Amounts = self.spans.iter().map(|span| shown(self.earned(year(span.end), span.end))).collect();
        equity.push(data("Net Income", None, Some("NetIncome"), &net));
        let mut claims = Vec::from_iter(self.optional("Liabilities", "Total Liabilities", "Liabilities", liabilities));
        claims.push(self.section("Equity", "Total Equity", "Equity", equity));
        claims
    }

    fn cash_flow(&self) -> (Vec<Value>, bool) {
        let mut amounts = self.per_account(|span| {
            let mut sums = self.company.ledger.movements(span.start, span.end, Basis::Accrual);
            // What is not cash moves cash the other way; `per_account` turns credit kinds round once more.
            sums.iter_mut().filter(|(id, _)| !account(id).kind.is_credit()).for_each(|(_, sum)| *sum = -*sum);
            sums
        });
        let no_data = amounts.is_empty();
        amounts.retain(|_, columns| columns.iter().any(|amount| amount.is_some_and(|amount| amount != 0)));
        let lines = |activity| -> Vec<Summed> {
            let wanted = CHART.iter().filter(|account| account.activity() == activity);
            // One flat list under full names: the report shows no tree.
            let line = |account| Some(data(&full_name(account), Some(account.id), None, amounts.get(account.id)?));
            wanted.filter_map(line).collect()
        };
        let net_income = |span: &Span| {
            let earned = self.company.profit_and_loss(span.start, span.end, Basis::Accrual).net_income();
            (!no_data).then_some(earned)
        };
        let net_income: Amounts = self.spans.iter().map(net_income).collect();
        let operating = self.operating(&net_income, lines(Activity::Operating));
        let investing = self.optional(
            "INVESTING ACTIVITIES",
            "Net cash provided by investing activities",
            "InvestingActivities",
            lines(Activity::Investing),
        );
        let financing = self.optional(
            "FINANCING ACTIVITIES",
            "Net cash provided by financing activities",
            if self.options.misspelt_financing { "FinancingActivites" } else { "FinancingActivities" },
            lines(Activity::Financing),
        );
        let sections: Vec<Summed> = [Some(operating), investing, financing].into_iter().flatten().collect();
        let increase = super::report::add(&sections, self.width());
        let cash = |span: &Span| self.company.cash(span.start - Days::new(1));
        let beginning: Vec<Cents> = self.spans.iter().map(cash).collect();
        let ending: Vec<Cents> = beginning.iter().zip(&increase).map(|(cash, change)| cash + change).collect();

        let mut all: Vec<Value> = sections.into_iter().map(|section| section.row).collect();
        all.push(computed("Net cash increase for period", "CashIncrease", &increase));
        if beginning.iter().any(|cash| *cash != 0) {
            all.push(computed("Cash at beginning of period", "BeginningCash", &beginning));
        }
        all.push(computed("Cash at end of period", "EndingCash", &ending));
        (all, no_data)
    }

    /// Net income and the adjustments, which are a section without a summary. By option the summary of the whole holds
    /// only the adjustments, under their label, as in the documentation's sample.
    fn operating(&self, net_income: &Amounts, lines: Vec<Summed>) -> Summed {
        let label = "Adjustments to reconcile Net Income to Net Cash provided by operations:";
        let net_income = data("Net Income", None, Some("NetIncome"), net_income);
        let adjustments = self.optional(label, "Total Adjustments", "OperatingAdjustments", lines);
        let only_adjustments = adjustments.as_ref().map(|section| {
            let mut summary = section.row["Summary"].clone();
            summary["ColData"][0] = json!({ "value": format!("Total {label}") });
            summary
        });
        let adjustments = adjustments.map(|mut section| {
            if let Value::Object(row) = &mut section.row {
                row.shift_remove("Summary");
            }
            section
        });
        let rows = std::iter::once(net_income).chain(adjustments).collect();
        let mut operating = self.section(
            "OPERATING ACTIVITIES",
            "Net cash provided by operating activities",
            "OperatingActivities",
            rows,
        );
        if let (true, Some(summary)) = (self.options.operating_summary_is_adjustments, only_adjustments) {
            operating.row["Summary"] = summary;
        }
        operating
    }
}
