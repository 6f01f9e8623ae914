//! Whole simulated ledgers, month by month, against the dealer's own postings.

use chrono::{Datelike, NaiveDate};
use marts::config::Org;
use marts::sandbox::business::dealer::{Chart, Dealer, DealerOptions};
use marts::sandbox::business::{calendar, decimal, text};

use super::support::*;
use crate::compute::support::*;

/// Everything the ledger holds, month 13 included.
fn rows_of(dealer: &Dealer) -> Vec<Row> {
    let row = |row: marts::sandbox::business::dealer::GlRow| {
        let (moved, closing) = (decimal(row.mtd).to_string(), decimal(row.ytd).to_string());
        gl(row.account, i64::from(row.year), i64::from(row.month), &moved, &closing)
    };
    dealer.gl().into_iter().map(row).collect()
}

fn chart_of(dealer: &Dealer) -> Vec<Row> {
    dealer.options.chart.accounts().iter().map(|it| account(it.number, &it.kind.to_string())).collect()
}

fn check(org: Org, options: DealerOptions) {
    let dealer = Dealer::generate(options);
    let (rows, chart) = (rows_of(&dealer), chart_of(&dealer));
    let (from, to) = (dealer.options.from, dealer.options.to);
    let scene = |job: &str| scene(job, org.clone(), &from.to_string(), &to.to_string(), &rows, &chart);

    let flows = scene("etl_cash_flow");
    let mart = flows.mart();
    let months: Vec<NaiveDate> = calendar::months(from, to).collect();
    assert_eq!(mart.len(), months.len());
    for (row, first) in mart.iter().zip(&months) {
        let flow = dealer.cash_flow(*first, calendar::month_end(*first).min(to));
        assert_eq!(flow.operating + flow.investing + flow.financing, flow.cash_change, "{first}");
        let health = match flow.operating {
            _ if calendar::month_end(*first) >= to => "unknown",
            amount if amount > 0 => "healthy",
            amount if amount > -5_000_000 => "warning",
            _ => "critical",
        };
        assert_row(
            row,
            &[
                ("year", &first.year().to_string()),
                ("month", &first.month().to_string()),
                ("cash_balance", &text(flow.cash_balance)),
                ("cash_change_mtd", &text(flow.cash_change)),
                ("operating_cash_flow", &text(flow.operating)),
                ("ar_change", &text(flow.ar_change)),
                ("inventory_change", &text(flow.inventory_change)),
                ("ap_change", &text(flow.ap_change)),
                ("investing_cash_flow", &text(flow.investing)),
                ("financing_cash_flow", &text(flow.financing)),
                ("health_status", health),
            ],
        );
        let breakdown: serde_json::Value = serde_json::from_str(&row["non_operating_breakdown"]).unwrap();
        let found: Vec<String> = breakdown["entries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| {
                format!("{} {} {} {}", entry["activity"], entry["category"], entry["amount"], entry["accounts"])
            })
            .collect();
        let expected: Vec<String> = flow
            .effects
            .iter()
            .map(|it| format!("{:?} {:?} {} {}", it.activity, it.category, text(it.amount), it.accounts))
            .collect();
        assert_eq!(found, expected, "{first}");
    }
    assert_eq!(flows.rules(), []);

    let financials = scene("etl_quickbooks_financial");
    for (row, first) in financials.mart().iter().zip(&months) {
        let figures = dealer.financials(*first, calendar::month_end(*first).min(to));
        assert_eq!(figures.assets, figures.liabilities + figures.equity);
        assert_row(
            row,
            &[
                ("total_revenue", &text(figures.income + figures.other_income)),
                ("total_expenses", &text(figures.cost + figures.expenses + figures.other_expenses)),
                ("net_income", &text(figures.net_income())),
                ("gross_profit", &text(figures.income - figures.cost)),
                ("total_assets", &text(figures.assets)),
                ("total_liabilities", &text(figures.liabilities)),
                ("total_equity", &text(figures.equity)),
                ("cash_balance", &text(figures.cash)),
                ("accounts_receivable", &text(figures.receivables)),
                ("accounts_payable", &text(figures.payables)),
                ("operating_cash_flow", &text(figures.operating_cash_flow)),
            ],
        );
    }
    assert_eq!(financials.rules(), []);
}

#[test]
fn both_dealers_have_the_statements_of_their_own_postings() {
    for (seed, start_month, sparse_gl) in [(1, 11, true), (2, 1, true), (3, 7, false)] {
        for (chart, mut org) in [(Chart::SixDigits, bennett()), (Chart::SevenDigits, ips())] {
            org.fiscal_year_start_month = start_month;
            let options = DealerOptions::new(seed, day("2024-09-03"), day("2026-01-20"));
            let options = DealerOptions { fiscal_year_start_month: start_month, sparse_gl, chart, ..options };
            check(org, DealerOptions { invoices_per_day: 8, ..options });
        }
    }
}
