//! The company's figures straight from its entries: the oracle for the reports, the parser and the mart.

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};

use super::ServicesCompany;
use super::chart::{Activity, CHART, Kind, account};
use crate::sandbox::business::calendar::fiscal_year_start;
use crate::sandbox::business::{Basis, Cents};

/// Profit and loss of a span. Income and other income are positive when earned, the rest when spent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProfitAndLoss {
    pub income: Cents,
    pub cogs: Cents,
    pub expenses: Cents,
    pub other_income: Cents,
    pub other_expenses: Cents,
}

impl ProfitAndLoss {
    pub fn gross_profit(&self) -> Cents {
        self.income - self.cogs
    }

    pub fn net_operating_income(&self) -> Cents {
        self.gross_profit() - self.expenses
    }

    pub fn net_income(&self) -> Cents {
        self.net_operating_income() + self.other_income - self.other_expenses
    }
}

/// Balances at the end of a day, each shown positive on its own side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BalanceSheet {
    pub bank_accounts: Cents,
    pub accounts_receivable: Cents,
    pub other_current_assets: Cents,
    pub fixed_assets: Cents,
    pub other_assets: Cents,
    pub accounts_payable: Cents,
    pub credit_cards: Cents,
    pub other_current_liabilities: Cents,
    pub long_term_liabilities: Cents,
    /// Postings to equity accounts.
    pub paid_in: Cents,
    /// Profit of the fiscal years before.
    pub retained_earnings: Cents,
    /// Profit of the fiscal year so far.
    pub net_income: Cents,
}

impl BalanceSheet {
    pub fn total_assets(&self) -> Cents {
        self.bank_accounts
            + self.accounts_receivable
            + self.other_current_assets
            + self.fixed_assets
            + self.other_assets
    }

    pub fn total_liabilities(&self) -> Cents {
        self.accounts_payable + self.credit_cards + self.other_current_liabilities + self.long_term_liabilities
    }

    pub fn total_equity(&self) -> Cents {
        self.paid_in + self.retained_earnings + self.net_income
    }
}

/// Cash flow of a span, indirect method.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CashFlow {
    pub net_income: Cents,
    pub operating_adjustments: Cents,
    pub investing: Cents,
    pub financing: Cents,
    /// Bank accounts and undeposited funds at the start of the first day.
    pub beginning_cash: Cents,
}

impl CashFlow {
    pub fn operating(&self) -> Cents {
        self.net_income + self.operating_adjustments
    }

    pub fn cash_increase(&self) -> Cents {
        self.operating() + self.investing + self.financing
    }

    pub fn ending_cash(&self) -> Cents {
        self.beginning_cash + self.cash_increase()
    }
}

fn of_kind(sums: &BTreeMap<&'static str, Cents>, kind: Kind) -> Cents {
    let sign = if kind.is_credit() { -1 } else { 1 };
    let accounts = CHART.iter().filter(|account| account.kind == kind);
    sign * accounts.filter_map(|account| sums.get(account.id)).sum::<Cents>()
}

impl ServicesCompany {
    /// Income, costs and expenses from `from` to `to`, both included.
    pub fn profit_and_loss(&self, from: NaiveDate, to: NaiveDate, basis: Basis) -> ProfitAndLoss {
        let sums = self.ledger.movements(from, to, basis);
        ProfitAndLoss {
            income: of_kind(&sums, Kind::Income),
            cogs: of_kind(&sums, Kind::CostOfGoodsSold),
            expenses: of_kind(&sums, Kind::Expense),
            other_income: of_kind(&sums, Kind::OtherIncome),
            other_expenses: of_kind(&sums, Kind::OtherExpense),
        }
    }

    /// Balances at the end of `date`. Profit of earlier fiscal years is retained earnings, of this one net income.
    pub fn balance_sheet(&self, date: NaiveDate, basis: Basis) -> BalanceSheet {
        let sums = self.ledger.balances(date, basis);
        let year = fiscal_year_start(date, self.options.fiscal_year_start_month);
        let earned = |from, to| self.profit_and_loss(from, to, basis).net_income();
        BalanceSheet {
            bank_accounts: of_kind(&sums, Kind::Bank),
            accounts_receivable: of_kind(&sums, Kind::AccountsReceivable),
            other_current_assets: of_kind(&sums, Kind::OtherCurrentAsset),
            fixed_assets: of_kind(&sums, Kind::FixedAsset),
            other_assets: of_kind(&sums, Kind::OtherAsset),
            accounts_payable: of_kind(&sums, Kind::AccountsPayable),
            credit_cards: of_kind(&sums, Kind::CreditCard),
            other_current_liabilities: of_kind(&sums, Kind::OtherCurrentLiability),
            long_term_liabilities: of_kind(&sums, Kind::LongTermLiability),
            paid_in: of_kind(&sums, Kind::Equity),
            retained_earnings: earned(NaiveDate::MIN, year - Days::new(1)),
            net_income: earned(year, date),
        }
    }

    /// Cash flow from `from` to `to`, both included. Always accrual: the report has no cash basis.
    pub fn cash_flow(&self, from: NaiveDate, to: NaiveDate) -> CashFlow {
        let sums = self.ledger.movements(from, to, Basis::Accrual);
        // A debit to a non-cash account is cash gone elsewhere, hence the minus.
        let effect = |activity: Activity| {
            let lines = sums.iter().filter(|(id, _)| account(id).activity() == activity);
            -lines.map(|(_, amount)| amount).sum::<Cents>()
        };
        CashFlow {
            net_income: effect(Activity::NetIncome),
            operating_adjustments: effect(Activity::Operating),
            investing: effect(Activity::Investing),
            financing: effect(Activity::Financing),
            beginning_cash: self.cash(from - Days::new(1)),
        }
    }

    /// Bank accounts plus undeposited funds at the end of `date`.
    pub fn cash(&self, date: NaiveDate) -> Cents {
        let balances = self.ledger.balances(date, Basis::Accrual);
        balances.iter().filter(|(id, _)| account(id).activity() == Activity::Cash).map(|(_, amount)| amount).sum()
    }
}
