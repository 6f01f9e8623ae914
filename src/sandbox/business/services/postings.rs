//! One day after the other: what the services company posts.

use std::collections::VecDeque;

use chrono::{Datelike, Days, NaiveDate, Weekday};

use super::ServicesOptions;
use crate::sandbox::business::calendar::{days, is_business_day, month_end};
use crate::sandbox::business::ledger::{Ledger, Settled};
use crate::sandbox::business::{Cents, Dice, share, usd};

/// An invoice or bill waiting for its payment.
struct Open {
    entry: usize,
    due: NaiveDate,
    amount: Cents,
}

/// The books while they are being written, with the balances the next entry depends on.
struct Books<'a> {
    options: &'a ServicesOptions,
    ledger: Ledger,
    receivable: VecDeque<Open>,
    payable: VecDeque<Open>,
    undeposited: Cents,
    card: Cents,
    payroll_owed: Cents,
    deferred: Cents,
    loan: Cents,
    equipment: Cents,
    number: i64,
}

pub(super) fn post_all(options: &ServicesOptions) -> Ledger {
    let mut books = Books {
        options,
        ledger: Ledger::default(),
        receivable: VecDeque::new(),
        payable: VecDeque::new(),
        undeposited: 0,
        card: 0,
        payroll_owed: 0,
        deferred: 0,
        loan: 0,
        equipment: 0,
        number: 1000,
    };
    for day in days(options.from, options.to) {
        books.day(day);
    }
    books.ledger
}

impl Books<'_> {
    fn day(&mut self, day: NaiveDate) {
        let mut dice = Dice::for_day(self.options.seed, 1, day);
        if day == self.options.from {
            self.open(day, &mut dice);
        }
        if is_business_day(day) {
            self.trade(day, &mut dice);
            self.settle(day);
        }
        // Calendar days whatever the weekday: month ends and 29 February carry postings.
        self.calendar(day, &mut dice);
        if day == month_end(day) {
            self.close_month(day, &mut dice);
        }
    }

    fn post(&mut self, day: NaiveDate, memo: &'static str, lines: &[(&'static str, Cents)]) {
        self.number += 1;
        self.ledger.post(day, memo, self.number, lines);
    }

    fn invoice(&mut self, day: NaiveDate, due_in: i64, lines: &[(&'static str, Cents)]) {
        let amount = -lines.iter().map(|(_, amount)| amount).sum::<Cents>();
        let mut lines = lines.to_vec();
        lines.push(("80", amount));
        self.number += 1;
        let entry = self.ledger.post_unsettled(day, "invoice", self.number, Settled::NotYet, &lines);
        self.receivable.push_back(Open { entry, due: day + Days::new(due_in as u64), amount });
    }

    fn bill(&mut self, day: NaiveDate, account: &'static str, amount: Cents) {
        if amount == 0 {
            return;
        }
        self.number += 1;
        let lines = [(account, amount), ("100", -amount)];
        let entry = self.ledger.post_unsettled(day, "bill", self.number, Settled::NotYet, &lines);
        self.payable.push_back(Open { entry, due: day + Days::new(10), amount });
    }

    fn card(&mut self, day: NaiveDate, account: &'static str, amount: Cents) {
        self.card += amount;
        self.post(day, "card purchase", &[(account, amount), ("102", -amount)]);
    }

    /// The founders' money, the bank's loan, and what both bought.
    fn open(&mut self, day: NaiveDate, dice: &mut Dice) {
        let equity = dice.roll(usd(180_000), usd(260_000));
        self.loan = dice.roll(usd(60_000), usd(90_000));
        self.equipment = dice.roll(usd(30_000), usd(50_000));
        self.post(day, "opening balance", &[("70", equity - usd(40_000)), ("72", usd(40_000)), ("120", -equity)]);
        self.post(day, "loan", &[("70", self.loan), ("110", -self.loan)]);
        self.post(
            day,
            "equipment",
            &[("91", self.equipment), ("93", usd(12_500)), ("70", -self.equipment - usd(12_500))],
        );
        self.post(day, "deposit on the lease", &[("95", usd(4_200)), ("70", -usd(4_200))]);
    }

    /// Sales and purchases of a business day.
    fn trade(&mut self, day: NaiveDate, dice: &mut Dice) {
        for _ in 0..dice.roll(i64::from(self.options.volume) / 2, i64::from(self.options.volume)) {
            let amount = dice.roll(usd(80), usd(1_900));
            let due_in = dice.roll(7, 70);
            match dice.roll(0, 11) {
                0..=2 => self.invoice(day, due_in, &[("3", -amount), ("5", -share(amount, 60))]),
                3..=5 => self.invoice(day, due_in, &[("4", -amount)]),
                // A parent account with postings of its own, and a discount: contra income is a debit.
                6 => self.invoice(day, due_in, &[("1", -amount), ("8", share(amount, 100))]),
                7 => self.invoice(day, due_in, &[("7", -2 * amount)]),
                8 => {
                    self.undeposited += amount;
                    self.post(day, "sales receipt", &[(super::UNDEPOSITED, amount), ("2", -amount)]);
                }
                9 => self.bill(day, dice.pick(&["22", "23", "23", "21"]), share(amount, 1_500)),
                10 => self.bill(day, dice.pick(&["20", "24", "22"]), share(amount, 500)),
                _ => self.card(day, dice.pick(&["49", "49", "50", "24", "44"]), share(amount, 400)),
            }
        }
        // A credit memo now and then: income reversed, given back at once.
        if dice.chance(40) {
            let amount = dice.roll(usd(50), usd(600));
            self.post(day, "refund", &[("3", amount), ("70", -amount)]);
        }
        if matches!(day.weekday(), Weekday::Tue | Weekday::Fri) && self.undeposited > 0 {
            let amount = std::mem::take(&mut self.undeposited);
            self.post(day, "deposit", &[("70", amount), (super::UNDEPOSITED, -amount)]);
        }
    }

    /// Customers and the company pay what is due; one invoice in some hundred is never paid and written off instead.
    fn settle(&mut self, day: NaiveDate) {
        let due = |open: &Open| open.due <= day;
        let (paid, waiting): (VecDeque<_>, _) = self.receivable.drain(..).partition(due);
        self.receivable = waiting;
        for Open { entry, amount, .. } in paid {
            self.ledger.settle(entry, day);
            if entry % 211 == 0 {
                self.post(day, "write-off", &[("53", amount), ("80", -amount)]);
            } else {
                self.undeposited += amount;
                self.post(day, "customer payment", &[(super::UNDEPOSITED, amount), ("80", -amount)]);
            }
        }
        if day.weekday() == Weekday::Thu {
            let (paid, waiting): (VecDeque<_>, _) = self.payable.drain(..).partition(due);
            self.payable = waiting;
            for Open { entry, amount, .. } in paid {
                self.ledger.settle(entry, day);
                self.post(day, "bill payment", &[("100", amount), ("70", -amount)]);
            }
        }
    }

    fn calendar(&mut self, day: NaiveDate, dice: &mut Dice) {
        let volume = Cents::from(self.options.volume);
        match (day.month(), day.day()) {
            // Retainers are billed for the quarter ahead and earned month by month.
            (1 | 4 | 7 | 10, 2) => {
                let amount = 3 * dice.roll(usd(900), usd(1_400)) * volume / 3;
                self.deferred += amount;
                self.invoice(day, 30, &[("104", -amount)]);
            }
            // Insurance is paid once a year, ahead; ten months of it lie in prepaid expenses at first.
            (2, 10) => self.post(day, "insurance", &[("51", usd(400)), ("82", usd(2_000)), ("70", -usd(2_400))]),
            (8, 10) => self.post(day, "insurance", &[("51", usd(2_000)), ("82", -usd(2_000))]),
            (3, 18) => {
                let amount = dice.roll(usd(2_000), usd(15_000));
                self.post(day, "grant", &[("70", amount), ("61", -amount)]);
            }
            (6 | 12, 20) => {
                let amount = dice.roll(usd(3_000), usd(9_000));
                self.post(day, "distribution", &[("121", amount), ("70", -amount)]);
            }
            (5 | 11, 9) => {
                let amount = dice.roll(usd(1_500), usd(6_000));
                self.equipment += amount;
                self.post(day, "equipment", &[("91", amount), ("70", -amount)]);
            }
            (9, 12) if self.equipment > usd(4_000) => {
                self.equipment -= usd(3_000);
                let lines = [("91", -usd(3_000)), ("92", usd(1_800)), ("70", usd(500)), ("66", usd(700))];
                self.post(day, "equipment sold", &lines);
            }
            _ => {}
        }
        match day.day() {
            1 => self.post(day, "rent", &[("45", usd(3_150)), ("70", -usd(3_150))]),
            5 if self.loan > 0 => {
                let (principal, interest) = (self.loan.min(usd(1_000)), share(self.loan, 5));
                self.loan -= principal;
                let lines = [("110", principal), ("65", interest), ("70", -principal - interest)];
                self.post(day, "loan instalment", &lines);
            }
            12 => {
                self.bill(day, "47", dice.roll(usd(120), usd(380)));
                self.bill(day, "48", dice.roll(usd(90), usd(150)));
                self.bill(day, "46", dice.roll(0, 1) * dice.roll(usd(60), usd(240)));
            }
            15 => self.payroll(day, dice),
            20 if self.card > 0 => {
                let amount = std::mem::take(&mut self.card);
                self.post(day, "card bill", &[("102", amount), ("70", -amount)]);
            }
            28 if self.payroll_owed > 0 => {
                let amount = std::mem::take(&mut self.payroll_owed);
                self.post(day, "payroll taxes paid", &[("103", amount), ("70", -amount)]);
            }
            _ => {}
        }
    }

    fn payroll(&mut self, day: NaiveDate, dice: &mut Dice) {
        let gross = dice.roll(usd(2_300), usd(2_600)) * Cents::from(self.options.volume);
        let (taxes, benefits, withheld) = (share(gross, 77), share(gross, 120), share(gross, 210));
        let net = gross + benefits - withheld;
        self.payroll_owed += taxes + withheld;
        self.post(day, "payroll transfer", &[("71", net), ("70", -net)]);
        let lines = [("41", gross), ("42", taxes), ("43", benefits), ("103", -taxes - withheld), ("71", -net)];
        self.post(day, "payroll", &lines);
    }

    fn close_month(&mut self, day: NaiveDate, dice: &mut Dice) {
        self.payroll(day, dice);
        let worn = share(self.equipment, 1000 / 60);
        self.post(day, "depreciation", &[("54", worn), ("92", -worn)]);
        let earned = self.deferred / Cents::from(3 - (day.month0() % 3));
        self.deferred -= earned;
        self.post(day, "retainers earned", &[("104", earned), ("6", -earned)]);
        let interest = dice.roll(usd(18), usd(95));
        self.post(day, "interest", &[("72", interest), ("60", -interest)]);
        if dice.chance(600) {
            let charge = dice.roll(usd(12), usd(60));
            self.post(day, "bank charges", &[("52", charge), ("70", -charge)]);
        }
    }
}
