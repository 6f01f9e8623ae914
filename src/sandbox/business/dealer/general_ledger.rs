//! The monthly GL, derived from the postings: MTD, and YTD in the ERP's sense.

use std::collections::BTreeMap;

use chrono::{Datelike, Months, NaiveDate};

use super::Dealer;
use super::chart::DealerAccount;
use crate::sandbox::business::Cents;
use crate::sandbox::business::calendar::{fiscal_year_start, month_start, months};

/// A row of GL; debit positive. Months are calendar months, except month 13, which holds a fiscal year's closing entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GlRow {
    pub account: &'static str,
    pub year: i32,
    pub month: u32,
    pub mtd: Cents,
    /// Closing balance of a balance-sheet account, fiscal year to date of any other.
    pub ytd: Cents,
    pub transactions: i64,
    pub last_effective: NaiveDate,
}

/// Per account: the month's movement and the YTD.
pub type TrialBalance = BTreeMap<&'static str, (Cents, Cents)>;

#[derive(Default, Clone, Copy)]
struct Month {
    sum: Cents,
    transactions: i64,
    last: NaiveDate,
}

impl Dealer {
    /// Every account that ever moved up to that month, whether the GL has a row for it or not.
    pub fn trial_balance(&self, year: i32, month: u32) -> TrialBalance {
        let rows = self.ledger_months(false);
        let wanted = rows.into_iter().filter(|row| (row.year, row.month) == (year, month));
        wanted.map(|row| (row.account, (row.mtd, row.ytd))).collect()
    }

    /// The rows of GL: monthly ones, and month 13 at the end of each fiscal year that is over.
    pub fn gl(&self) -> Vec<GlRow> {
        let mut rows = self.ledger_months(self.options.sparse_gl);
        rows.extend(self.closing_rows());
        rows
    }

    fn ledger_months(&self, sparse: bool) -> Vec<GlRow> {
        let mut sums: BTreeMap<(&'static str, NaiveDate), Month> = BTreeMap::new();
        for entry in self.ledger.entries() {
            for line in &entry.lines {
                let month = sums.entry((line.account, month_start(entry.date))).or_default();
                month.sum += line.amount;
                month.transactions += 1;
                month.last = entry.date;
            }
        }
        let chart = self.options.chart.accounts();
        let mut rows = Vec::new();
        let mut profit_of_year: BTreeMap<NaiveDate, Cents> = BTreeMap::new();
        for account in chart.iter().filter(|account| account.is_profit_and_loss()) {
            for ((_, first), month) in sums.range((account.number, NaiveDate::MIN)..=(account.number, NaiveDate::MAX)) {
                *profit_of_year.entry(self.year_of(*first)).or_default() += month.sum;
            }
        }
        for account in &chart {
            let mut running = 0;
            let mut year = None;
            let mut last = None;
            for first in months(self.options.from, self.options.to) {
                if year.replace(self.year_of(first)) != Some(self.year_of(first)) {
                    running = self.carried_over(account, first, running, &profit_of_year);
                }
                let moved = sums.get(&(account.number, first)).copied();
                last = moved.map(|month| month.last).or(last);
                running += moved.unwrap_or_default().sum;
                let Some(last_effective) = last else { continue };
                if moved.is_none() && sparse && account.sparse {
                    continue;
                }
                let moved = moved.unwrap_or_default();
                rows.push(GlRow {
                    account: account.number,
                    year: first.year(),
                    month: first.month(),
                    mtd: moved.sum,
                    ytd: running,
                    transactions: moved.transactions,
                    last_effective,
                });
            }
        }
        rows
    }

    /// An account's YTD at the start of a fiscal year. Profit moves into retained earnings there without any movement in
    /// months 1 to 12: the closing entry is in month 13.
    fn carried_over(
        &self,
        account: &DealerAccount,
        first: NaiveDate,
        running: Cents,
        profit_of_year: &BTreeMap<NaiveDate, Cents>,
    ) -> Cents {
        let before = self.year_of(first) - Months::new(12);
        match account.number {
            _ if account.is_profit_and_loss() => 0,
            number if number == self.options.chart.retained_earnings() => {
                running + profit_of_year.get(&before).copied().unwrap_or(0)
            }
            _ => running,
        }
    }

    /// Month 13 of each fiscal year that ended: what turns every P&L account to zero.
    fn closing_rows(&self) -> Vec<GlRow> {
        let ends = |row: &GlRow| {
            let first = NaiveDate::from_ymd_opt(row.year, row.month, 1).expect("a month of the GL");
            let next = first + Months::new(1);
            next.month() == self.options.fiscal_year_start_month && next <= self.options.to
        };
        let last_months = self.ledger_months(false).into_iter().filter(ends).collect::<Vec<_>>();
        let chart = self.options.chart.accounts();
        let mut rows = Vec::new();
        for row in &last_months {
            let account = chart.iter().find(|account| account.number == row.account).expect("an account of the chart");
            let of_year = |other: &&GlRow| (other.year, other.month) == (row.year, row.month);
            let is_profit = |other: &&GlRow| chart.iter().any(|a| a.number == other.account && a.is_profit_and_loss());
            let profit: Cents = last_months.iter().filter(of_year).filter(is_profit).map(|other| other.ytd).sum();
            let (mtd, ytd) = match row.account {
                _ if account.is_profit_and_loss() => (-row.ytd, 0),
                number if number == self.options.chart.retained_earnings() => (profit, row.ytd + profit),
                _ => continue,
            };
            rows.push(GlRow { month: 13, mtd, ytd, transactions: 1, ..*row });
        }
        rows
    }

    fn year_of(&self, date: NaiveDate) -> NaiveDate {
        fiscal_year_start(date, self.options.fiscal_year_start_month)
    }
}
