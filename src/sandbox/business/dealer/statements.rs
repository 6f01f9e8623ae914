//! The dealer's statements straight from its postings: the oracle for SQL over the monthly ledger. What an account is, is
//! known here by its [`Nature`], never by its number.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;

use super::{Dealer, DealerAccount, Nature};
use crate::sandbox::business::{Basis, Cents};

/// A month's income statement, the balances at its end, and its operating cash flow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Financials {
    pub income: Cents,
    pub other_income: Cents,
    pub cost: Cents,
    pub expenses: Cents,
    pub other_expenses: Cents,
    pub assets: Cents,
    pub liabilities: Cents,
    /// Profits of all years are the owners', whether closed or not.
    pub equity: Cents,
    pub cash: Cents,
    pub receivables: Cents,
    pub payables: Cents,
    pub operating_cash_flow: Cents,
}

impl Financials {
    pub fn net_income(&self) -> Cents {
        self.income + self.other_income - self.cost - self.expenses - self.other_expenses
    }
}

/// A month's statement of cash flows by the indirect method.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CashFlow {
    pub cash_balance: Cents,
    pub cash_change: Cents,
    pub operating: Cents,
    pub investing: Cents,
    pub financing: Cents,
    pub ar_change: Cents,
    pub inventory_change: Cents,
    pub ap_change: Cents,
    pub working_capital: Cents,
    /// What moved cash besides profit, by activity and category; none of them zero.
    pub effects: Vec<Effect>,
}

/// One line of what moved cash besides profit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Effect {
    pub activity: &'static str,
    pub category: &'static str,
    pub amount: Cents,
    /// Accounts that moved.
    pub accounts: usize,
}

/// Where a movement belongs: activity and category; none for cash and for profit.
fn place(nature: Nature) -> Option<(&'static str, &'static str)> {
    Some(match nature {
        Nature::Receivable => ("working_capital", "ar"),
        Nature::Inventory => ("working_capital", "inventory"),
        Nature::OtherCurrentAsset => ("working_capital", "other_current_asset"),
        Nature::Payable => ("working_capital", "ap"),
        Nature::OtherCurrentLiability => ("working_capital", "other_current_liability"),
        Nature::FixedAsset => ("investing", "fixed_asset"),
        Nature::AccumulatedDepreciation => ("investing", "accumulated_depreciation"),
        Nature::OtherAsset => ("investing", "other_asset"),
        Nature::FloorPlan => ("financing", "floor_plan"),
        Nature::Debt => ("financing", "debt"),
        Nature::Equity => ("financing", "equity"),
        Nature::Cash
        | Nature::Revenue
        | Nature::Cost
        | Nature::Expense
        | Nature::OtherIncome
        | Nature::OtherExpense => return None,
    })
}

impl Dealer {
    /// Cash flow from `first` to `last`, both included.
    pub fn cash_flow(&self, first: NaiveDate, last: NaiveDate) -> CashFlow {
        let mut flow = CashFlow::default();
        let mut found: BTreeMap<(&str, &str), (Cents, BTreeSet<&str>)> = BTreeMap::new();
        let accounts = self.accounts();
        for entry in self.ledger.entries().iter().filter(|entry| entry.date <= last) {
            let is_within = entry.date >= first;
            for line in &entry.lines {
                let account = accounts[line.account];
                if account.nature == Nature::Cash {
                    flow.cash_balance += line.amount;
                    flow.cash_change += if is_within { line.amount } else { 0 };
                }
                if !is_within {
                    continue;
                }
                match account.nature {
                    Nature::Receivable => flow.ar_change += line.amount,
                    Nature::Inventory => flow.inventory_change += line.amount,
                    Nature::Payable => flow.ap_change -= line.amount,
                    _ => {}
                }
                if let Some(place) = place(account.nature) {
                    found.entry(place).or_default().0 -= line.amount;
                } else if account.is_depreciation() {
                    // It reduced profit and moved no cash: both sides are taken out.
                    found.entry(("investing", "accumulated_depreciation")).or_default().0 -= line.amount;
                } else if account.is_profit_and_loss() {
                    flow.operating -= line.amount;
                }
            }
        }
        for (account, moved) in self.ledger.movements(first, last, Basis::Accrual) {
            if let (Some(place), true) = (place(accounts[account].nature), moved != 0) {
                found.entry(place).or_default().1.insert(account);
            }
        }
        for ((activity, category), (amount, accounts)) in found {
            match activity {
                "working_capital" => flow.working_capital += amount,
                "investing" => flow.investing += amount,
                _ => flow.financing += amount,
            }
            if amount != 0 {
                flow.effects.push(Effect { activity, category, amount, accounts: accounts.len() });
            }
        }
        flow.operating += flow.working_capital;
        flow.effects.sort();
        flow
    }

    /// Income from `first` to `last`, balances at the end of `last`.
    pub fn financials(&self, first: NaiveDate, last: NaiveDate) -> Financials {
        let accounts = self.accounts();
        let operating_cash_flow = self.cash_flow(first, last).operating;
        let mut figures = Financials { operating_cash_flow, ..Financials::default() };
        for (account, moved) in self.ledger.movements(first, last, Basis::Accrual) {
            match accounts[account].nature {
                Nature::Revenue => figures.income -= moved,
                Nature::OtherIncome => figures.other_income -= moved,
                Nature::Cost => figures.cost += moved,
                Nature::Expense => figures.expenses += moved,
                Nature::OtherExpense => figures.other_expenses += moved,
                _ => {}
            }
        }
        for (account, balance) in self.ledger.balances(last, Basis::Accrual) {
            let nature = accounts[account].nature;
            match nature {
                Nature::Cash => figures.cash += balance,
                Nature::Receivable => figures.receivables += balance,
                Nature::Payable => figures.payables -= balance,
                _ => {}
            }
            match nature {
                nature if nature <= Nature::OtherAsset => figures.assets += balance,
                nature if nature < Nature::Equity => figures.liabilities -= balance,
                _ => figures.equity -= balance,
            }
        }
        figures
    }

    fn accounts(&self) -> BTreeMap<&'static str, DealerAccount> {
        self.options.chart.accounts().into_iter().map(|account| (account.number, account)).collect()
    }
}
