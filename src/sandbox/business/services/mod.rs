//! A company that sells sessions, retainers and training, and keeps its books in QuickBooks Online.

mod cases;
mod chart;
mod figures;
mod postings;

pub use cases::{CASE_SCHEMA, CASE_TABLE, Case, CaseBook, CaseFigures, CaseOptions};
pub use chart::{Account, Activity, CHART, Kind, RETAINED_EARNINGS, UNDEPOSITED, account, full_name};
pub use figures::{BalanceSheet, CashFlow, ProfitAndLoss};

use chrono::NaiveDate;

use super::Ledger;

/// What to generate.
#[derive(Debug, Clone)]
pub struct ServicesOptions {
    pub seed: u64,
    pub name: String,
    /// First posting day; before it the company has no figures at all.
    pub from: NaiveDate,
    pub to: NaiveDate,
    /// 1 = January.
    pub fiscal_year_start_month: u32,
    /// Invoices, bills and card purchases of a business day, about.
    pub volume: u32,
}

impl ServicesOptions {
    /// A small company on calendar years.
    pub fn new(seed: u64, from: NaiveDate, to: NaiveDate) -> Self {
        let name = format!("Harbor Wellbeing {seed}");
        Self { seed, name, from, to, fiscal_year_start_month: 1, volume: 12 }
    }
}

/// The generated company. Its figures are methods: [`ServicesCompany::profit_and_loss`], `balance_sheet`, `cash_flow`.
#[derive(Debug, Clone)]
pub struct ServicesCompany {
    pub options: ServicesOptions,
    pub ledger: Ledger,
}

impl ServicesCompany {
    /// Generate the company's books from `options.from` to `options.to`.
    pub fn generate(options: ServicesOptions) -> Self {
        let ledger = postings::post_all(&options);
        Self { options, ledger }
    }
}
