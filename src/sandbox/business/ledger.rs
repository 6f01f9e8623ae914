//! A double-entry ledger. Debit is positive and credit negative, as in the ERP's own GL, so a balanced entry sums to zero.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use super::Cents;

/// One account's part in an entry; debit positive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub account: &'static str,
    pub amount: Cents,
}

/// One balanced journal entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub date: NaiveDate,
    pub memo: &'static str,
    /// What the entry is about: an invoice number in the dealer's books, a running number elsewhere.
    pub reference: i64,
    /// For a bill or an invoice: has it been paid or written off, and when. Entries that wait for nobody's payment have
    /// `Settled::AtOnce`.
    pub settled: Settled,
    pub lines: Vec<Line>,
}

/// When an entry counts under the cash basis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    AtOnce,
    On(NaiveDate),
    NotYet,
}

/// Which day an entry counts on. Cash basis moves a whole invoice or bill to the day it is settled, which is how
/// QuickBooks treats documents paid in one go; receivables and payables then never show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    Accrual,
    Cash,
}

impl Entry {
    /// The day the entry counts on, or `None` while it does not.
    pub fn counts_on(&self, basis: Basis) -> Option<NaiveDate> {
        match (basis, self.settled) {
            (Basis::Accrual, _) | (Basis::Cash, Settled::AtOnce) => Some(self.date),
            (Basis::Cash, Settled::On(day)) => Some(day),
            (Basis::Cash, Settled::NotYet) => None,
        }
    }
}

/// All entries of a business, by date.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    entries: Vec<Entry>,
}

impl Ledger {
    /// Post an entry; lines of the same account are kept apart and lines of zero dropped.
    ///
    /// # Panics
    /// When the lines do not sum to zero or the entry is older than the one before it: a generator that does either is wrong.
    pub fn post(&mut self, date: NaiveDate, memo: &'static str, reference: i64, lines: &[(&'static str, Cents)]) {
        self.post_unsettled(date, memo, reference, Settled::AtOnce, lines);
    }

    /// As [`Ledger::post`], for an entry whose payment comes later; returns where to find it for [`Ledger::settle`].
    pub fn post_unsettled(
        &mut self,
        date: NaiveDate,
        memo: &'static str,
        reference: i64,
        settled: Settled,
        lines: &[(&'static str, Cents)],
    ) -> usize {
        let sum: Cents = lines.iter().map(|(_, amount)| amount).sum();
        assert_eq!(sum, 0, "{memo} of {date} does not balance: {lines:?}");
        assert!(self.entries.last().is_none_or(|last| last.date <= date), "{memo} of {date} comes late");
        let lines = lines
            .iter()
            .filter(|(_, amount)| *amount != 0)
            .map(|&(account, amount)| Line { account, amount })
            .collect();
        self.entries.push(Entry { date, memo, reference, settled, lines });
        self.entries.len() - 1
    }

    /// Mark an entry as paid on `date`.
    pub fn settle(&mut self, entry: usize, date: NaiveDate) {
        self.entries[entry].settled = Settled::On(date);
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Sum of the postings per account from `from` to `to`, both included. Accounts without a posting are absent, those
    /// whose postings cancel out are there with zero.
    pub fn movements(&self, from: NaiveDate, to: NaiveDate, basis: Basis) -> BTreeMap<&'static str, Cents> {
        let mut sums = BTreeMap::new();
        for entry in &self.entries {
            if entry.counts_on(basis).is_some_and(|day| from <= day && day <= to) {
                for line in &entry.lines {
                    *sums.entry(line.account).or_insert(0) += line.amount;
                }
            }
        }
        sums
    }

    /// Balance per account at the end of `date`.
    pub fn balances(&self, date: NaiveDate, basis: Basis) -> BTreeMap<&'static str, Cents> {
        self.movements(NaiveDate::MIN, date, basis)
    }

    /// One account's balance at the end of `date`, accrual.
    pub fn balance(&self, account: &str, date: NaiveDate) -> Cents {
        let until = self.entries.partition_point(|entry| entry.date <= date);
        let lines = self.entries[..until].iter().flat_map(|entry| &entry.lines);
        lines.filter(|line| line.account == account).map(|line| line.amount).sum()
    }

    /// The first day anything was posted.
    pub fn first_day(&self) -> Option<NaiveDate> {
        self.entries.first().map(|entry| entry.date)
    }
}
