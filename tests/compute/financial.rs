//! mart_financial_metrics on reports of every shape, and its audit.

use marts::audit::{audit, split};
use marts::datasets::dataset;
use marts::periods::Partition;

use super::support::*;

/// A line of a QuickBooks report.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    line_type: &'static str,
    groups: &'static str,
    has_group: bool,
    is_leaf: bool,
    amount: Option<&'static str>,
}

/// An account's line.
pub(super) fn account(groups: &'static str, amount: &'static str) -> Line {
    Line { line_type: "account", groups, has_group: false, is_leaf: true, amount: Some(amount) }
}

/// The summary of a section that shows its lines.
pub(super) fn total(groups: &'static str, amount: &'static str) -> Line {
    Line { line_type: "total", groups, has_group: true, is_leaf: false, amount: Some(amount) }
}

/// A line that QuickBooks computes, or the summary of a section without lines.
pub(super) fn computed(groups: &'static str, amount: &'static str) -> Line {
    Line { line_type: "total", groups, has_group: true, is_leaf: true, amount: Some(amount) }
}

/// The line for a report as a whole.
pub(super) const REPORT: Line =
    Line { line_type: "report", groups: "/", has_group: false, is_leaf: false, amount: None };

fn report(month: &str, end: &str, lines: &[Line]) -> Vec<Row> {
    let has_data = lines.iter().any(|line| line.amount.is_some());
    let rows = lines.iter().enumerate().map(|(position, line)| {
        let mut row = Row::default()
            .int("line", i64::try_from(position).unwrap())
            .text("line_type", line.line_type)
            .text("groups", line.groups)
            .int("depth", 0)
            .flag("is_leaf", line.is_leaf)
            .day("column_start", month)
            .day("column_end", end)
            .text("currency", "USD")
            .text("basis", "Accrual")
            .flag("no_report_data", !has_data);
        if line.has_group {
            row = row.text("line_group", line.groups.trim_end_matches('/').rsplit('/').next().unwrap());
        }
        match line.amount {
            Some(amount) if !amount.is_empty() => row.amount("amount", amount),
            _ => row,
        }
    });
    rows.collect()
}

/// The three reports of a month that hang together; the cash flow statement's operating total is the whole.
pub(super) struct Month {
    pub(super) profit_and_loss: Vec<Line>,
    balance_sheet: Vec<Line>,
    cash_flow: Vec<Line>,
}

impl Month {
    pub(super) fn good() -> Self {
        Month {
            profit_and_loss: vec![
                REPORT,
                account("/Income/", "1000.00"),
                // A parent with own postings and sub-accounts: its total is no leaf and has no group.
                Line { line_type: "own", groups: "/Income/", has_group: false, is_leaf: true, amount: Some("197.50") },
                account("/Income/", "-97.50"),
                Line {
                    line_type: "total",
                    groups: "/Income/",
                    has_group: false,
                    is_leaf: false,
                    amount: Some("100.00"),
                },
                total("/Income/", "1100.00"),
                account("/COGS/", "400.00"),
                total("/COGS/", "400.00"),
                computed("/GrossProfit/", "700.00"),
                account("/Expenses/", "150.00"),
                // An empty cell is no amount.
                account("/Expenses/", ""),
                total("/Expenses/", "150.00"),
                computed("/NetOperatingIncome/", "550.00"),
                // A section that shows its total only.
                computed("/OtherIncome/", "10.00"),
                account("/OtherExpenses/", "20.00"),
                total("/OtherExpenses/", "20.00"),
                computed("/NetOtherIncome/", "-10.00"),
                computed("/NetIncome/", "540.00"),
            ],
            balance_sheet: vec![
                REPORT,
                account("/TotalAssets/CurrentAssets/BankAccounts/", "800.00"),
                total("/TotalAssets/CurrentAssets/BankAccounts/", "800.00"),
                account("/TotalAssets/CurrentAssets/AR/", "300.00"),
                total("/TotalAssets/CurrentAssets/AR/", "300.00"),
                account("/TotalAssets/CurrentAssets/OtherCurrentAssets/", "50.00"),
                total("/TotalAssets/CurrentAssets/OtherCurrentAssets/", "50.00"),
                total("/TotalAssets/CurrentAssets/", "1150.00"),
                total("/TotalAssets/", "1150.00"),
                account("/TotalLiabilitiesAndEquity/Liabilities/CurrentLiabilities/AP/", "110.00"),
                total("/TotalLiabilitiesAndEquity/Liabilities/CurrentLiabilities/AP/", "110.00"),
                total("/TotalLiabilitiesAndEquity/Liabilities/CurrentLiabilities/", "110.00"),
                total("/TotalLiabilitiesAndEquity/Liabilities/", "110.00"),
                account("/TotalLiabilitiesAndEquity/Equity/", "500.00"),
                Line {
                    line_type: "account",
                    groups: "/TotalLiabilitiesAndEquity/Equity/NetIncome/",
                    has_group: true,
                    is_leaf: true,
                    amount: Some("540.00"),
                },
                total("/TotalLiabilitiesAndEquity/Equity/", "1040.00"),
                total("/TotalLiabilitiesAndEquity/", "1150.00"),
            ],
            cash_flow: vec![
                REPORT,
                computed("/OperatingActivities/NetIncome/", "540.00"),
                account("/OperatingActivities/OperatingAdjustments/", "-140.00"),
                total("/OperatingActivities/OperatingAdjustments/", "-140.00"),
                total("/OperatingActivities/", "400.00"),
                account("/InvestingActivities/", "-250.00"),
                total("/InvestingActivities/", "-250.00"),
                account("/FinancingActivities/", "100.00"),
                total("/FinancingActivities/", "100.00"),
                computed("/CashIncrease/", "250.00"),
                computed("/EndingCash/", "900.00"),
            ],
        }
    }

    pub(super) fn scene(&self) -> Scene {
        financial("2026-01-31", &[("2026-01-01", "2026-01-31", self)])
    }

    /// Gives the first line with these groups another amount.
    fn change(lines: &mut [Line], groups: &str, amount: &'static str) {
        let line = lines.iter_mut().rev().find(|line| line.groups == groups).unwrap();
        line.amount = Some(amount);
    }
}

const REPORTS: [&str; 3] = ["quickbooks_profit_and_loss", "quickbooks_balance_sheet", "quickbooks_cash_flow"];

pub(super) fn financial(to: &str, months: &[(&str, &str, &Month)]) -> Scene {
    let mut scene = Scene::new("etl_quickbooks_financial", org(), months[0].0, to);
    for (month, end, reports) in months {
        for (name, lines) in REPORTS.iter().zip([&reports.profit_and_loss, &reports.balance_sheet, &reports.cash_flow])
        {
            if !lines.is_empty() {
                scene.land(dataset(name).unwrap(), Partition::Month(day(month)), &report(month, end, lines));
            }
        }
    }
    scene
}

#[test]
fn a_month_of_reports_becomes_a_row() {
    let scene = Month::good().scene();
    assert_row(
        &scene.mart()[0],
        &[
            ("year", "2026"),
            ("month", "1"),
            ("period_start", "2026-01-01"),
            ("period_end", "2026-01-31"),
            ("total_revenue", "1110.00"),
            ("total_expenses", "570.00"),
            ("net_income", "540.00"),
            ("gross_profit", "700.00"),
            ("gross_margin_pct", "63.64"),
            ("total_assets", "1150.00"),
            ("total_liabilities", "110.00"),
            ("total_equity", "1040.00"),
            ("cash_balance", "800.00"),
            ("accounts_receivable", "300.00"),
            ("accounts_payable", "110.00"),
            ("operating_cash_flow", "400.00"),
        ],
    );
    assert_eq!(scene.rules(), []);
}

#[test]
fn the_documented_cash_flow_counts_net_income_once() {
    // The total of the operating section holds the adjustments only; net income is the loss they make up for.
    let mut month = Month::good();
    month.cash_flow = vec![
        REPORT,
        computed("/OperatingActivities/NetIncome/", "-300.00"),
        account("/OperatingActivities/OperatingAdjustments/", "300.00"),
        total("/OperatingActivities/", "300.00"),
        account("/FinancingActivities/", "5000.00"),
        total("/FinancingActivities/", "5000.00"),
        computed("/CashIncrease/", "5000.00"),
    ];
    assert_row(&month.scene().mart()[0], &[("operating_cash_flow", "0.00")]);
    assert_eq!(month.scene().rules(), []);
    // Without the change in cash the leaves of the section say the same.
    month.cash_flow.pop();
    assert_row(&month.scene().mart()[0], &[("operating_cash_flow", "0.00")]);
    assert_eq!(month.scene().rules(), []);
}

#[test]
fn a_month_with_nothing_to_report_is_a_month_of_zeros() {
    let nothing = Month { profit_and_loss: vec![REPORT], balance_sheet: vec![REPORT], cash_flow: vec![REPORT] };
    let skeleton = Month {
        profit_and_loss: vec![
            REPORT,
            computed("/Income/", ""),
            computed("/GrossProfit/", "0.00"),
            computed("/NetIncome/", "0.00"),
        ],
        balance_sheet: vec![REPORT],
        cash_flow: vec![REPORT, computed("/OperatingActivities/NetIncome/", ""), computed("/CashIncrease/", "")],
    };
    let scene =
        financial("2026-02-15", &[("2026-01-01", "2026-01-31", &nothing), ("2026-02-01", "2026-02-15", &skeleton)]);
    let mart = scene.mart();
    for row in &mart {
        for (name, value) in row {
            let expected = match name.as_str() {
                "year" | "month" | "period_start" | "period_end" => continue,
                "gross_margin_pct" => "null",
                _ => "0.00",
            };
            assert_eq!(value, expected, "{name}");
        }
    }
    assert_row(&mart[1], &[("period_end", "2026-02-28")]);
    assert_eq!(scene.rules(), []);
}

#[test]
fn a_missing_report_and_a_missing_net_income_are_not_zeros() {
    let mut month = Month::good();
    month.cash_flow.clear();
    let good = Month::good();
    let scene = financial("2026-02-28", &[("2026-01-01", "2026-01-31", &good), ("2026-02-01", "2026-02-28", &month)]);
    let error = format!("{:#}", scene.compute().err().unwrap());
    assert!(error.contains("2026-02-01 has no row"), "{error}");
    assert!(!error.contains("2026-01-01"), "{error}");

    let mut month = Month::good();
    month.profit_and_loss.pop();
    let findings = month.scene().findings(&[]);
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].detail.ends_with("net_income is missing in the report"), "{}", findings[0]);
}

#[test]
fn margins_are_null_without_income_or_without_room() {
    let mut month = Month::good();
    month.profit_and_loss = vec![
        REPORT,
        account("/Income/", "1.00"),
        total("/Income/", "1.00"),
        account("/COGS/", "11.00"),
        total("/COGS/", "11.00"),
        computed("/NetIncome/", "-10.00"),
    ];
    let scene = month.scene();
    assert_row(&scene.mart()[0], &[("gross_profit", "-10.00"), ("gross_margin_pct", "null")]);
    assert_eq!(scene.rules(), [("gross_margin_pct".into(), Some(day("2026-01-01")))]);

    month.profit_and_loss =
        vec![REPORT, account("/COGS/", "11.00"), total("/COGS/", "11.00"), computed("/NetIncome/", "-11.00")];
    let scene = month.scene();
    assert_row(&scene.mart()[0], &[("gross_profit", "-11.00"), ("gross_margin_pct", "null")]);
    assert_eq!(scene.rules(), []);
}

#[test]
fn financial_checks_fire_on_what_they_are_for() {
    let january = Some(day("2026-01-01"));
    let broken = |change: &dyn Fn(&mut Month)| {
        let mut month = Month::good();
        change(&mut month);
        let rules = month.scene().rules();
        assert!(rules.iter().all(|(_, period)| *period == january), "{rules:?}");
        rules.into_iter().map(|(rule, _)| rule).collect::<Vec<_>>()
    };
    assert_eq!(broken(&|month| Month::change(&mut month.profit_and_loss, "/NetIncome/", "540.01")), ["net_income"]);
    assert_eq!(broken(&|month| Month::change(&mut month.profit_and_loss, "/GrossProfit/", "700.01")), ["gross_profit"]);
    assert_eq!(broken(&|month| Month::change(&mut month.profit_and_loss, "/Expenses/", "150.01")), ["section_total"]);
    assert_eq!(
        broken(&|month| Month::change(
            &mut month.balance_sheet,
            "/TotalLiabilitiesAndEquity/Equity/NetIncome/",
            "540.01"
        )),
        ["balance", "section_total", "section_total"]
    );
    assert_eq!(
        broken(&|month| Month::change(&mut month.cash_flow, "/CashIncrease/", "250.01")),
        ["cash_increase", "operating_cash_flow"]
    );
    assert_eq!(
        broken(&|month| Month::change(&mut month.cash_flow, "/OperatingActivities/", "399.99")),
        ["operating_cash_flow", "section_total"]
    );
}

#[test]
fn reports_must_cover_the_month_in_one_currency() {
    let good = Month::good();
    // Pulled on the 20th, reported when the month is over.
    let half = financial("2026-01-31", &[("2026-01-01", "2026-01-20", &good)]);
    let findings = half.findings(&[]);
    assert_eq!(findings.len(), 3, "{findings:?}");
    assert_eq!(
        findings[0].to_string(),
        "error report_window 2026-01-01: BalanceSheet covers 2026-01-01 to 2026-01-20, and the month goes to 2026-01-31"
    );
    assert_eq!(financial("2026-01-20", &[("2026-01-01", "2026-01-20", &good)]).rules(), []);

    let mut scene =
        financial("2026-02-28", &[("2026-01-01", "2026-01-31", &good), ("2026-02-01", "2026-02-28", &good)]);
    let euros: Vec<_> = report("2026-02-01", "2026-02-28", &good.cash_flow)
        .into_iter()
        .map(|row| row.text("currency", "EUR"))
        .collect();
    scene.land(dataset(REPORTS[2]).unwrap(), Partition::Month(day("2026-02-01")), &euros);
    let findings = scene.findings(&[]);
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0].to_string(), "error mixed: the reports are in EUR and USD, on Accrual");
    assert!(split(findings, &scene.plan.periods).mart);

    let mut twice = report("2026-01-01", "2026-01-31", &good.balance_sheet);
    twice.push(twice[1].clone());
    let mut scene = good.scene();
    scene.land(dataset(REPORTS[1]).unwrap(), Partition::Month(day("2026-01-01")), &twice);
    let rules: Vec<_> = scene.rules().into_iter().map(|(rule, _)| rule).collect();
    assert!(rules.contains(&"line_twice".to_owned()) && rules.contains(&"balance".to_owned()), "{rules:?}");
}

#[test]
fn a_closed_month_that_moves_far_is_a_warning_and_an_error_holds_its_month() {
    let good = Month::good();
    let months: [(&str, &str, &Month); 2] = [("2026-01-01", "2026-01-31", &good), ("2026-02-01", "2026-02-20", &good)];
    let scene = financial("2026-02-20", &months);
    let (compute, published) = scene.compute().unwrap();
    assert_eq!(audit(&compute, &published).unwrap(), []);
    let update = |sql: &str| compute.connection().execute_batch(&format!("update mart set {sql}")).unwrap();
    update("total_assets = total_assets + 600, total_equity = total_equity + 600");
    let findings = audit(&compute, &published).unwrap();
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0].to_string(), "warning jump 2026-01-01: total_assets is 1750.00 where 1150.00 is published");

    update("total_equity = 0 where month = 2");
    let held = split(audit(&compute, &[]).unwrap(), &scene.plan.periods);
    assert!(!held.mart && !held.is_nothing());
    assert_eq!(held.periods.iter().copied().collect::<Vec<_>>(), [day("2026-02-01")]);
    let passed = rows(&compute.rows_except(&held.periods).unwrap());
    assert_eq!(passed.iter().map(|row| row["month"].as_str()).collect::<Vec<_>>(), ["1"]);
}
