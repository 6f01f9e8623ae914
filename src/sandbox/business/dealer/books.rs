//! The dealer's ledger: each invoice posted, and everything around it that makes a month of a real dealer.

use std::collections::{BTreeMap, VecDeque};

use chrono::{Datelike, Days, NaiveDate, Weekday};

use super::{Chart, DealerOptions, Invoice, LineType, Oddity};
use crate::sandbox::business::calendar::{days, is_business_day, month_end};
use crate::sandbox::business::{Cents, Dice, Ledger, share, usd};

/// The books while they are being written, with the balances later entries depend on.
struct Books {
    ledger: Ledger,
    chart: Chart,
    scale: Cents,
    /// Receivables waiting for their payment: due date, amount.
    receivable: VecDeque<(NaiveDate, Cents)>,
    undeposited: Cents,
    payable: Cents,
    tax_owed: Cents,
    payroll_tax: Cents,
    /// Costs of sales not yet replaced in stock.
    parts_sold: Cents,
    trucks_sold: Cents,
    used_sold: Cents,
    labor_relieved: Cents,
    floor_plan: Cents,
    fleet: Cents,
    fleet_debt: Cents,
    note: Cents,
    lease: Cents,
    prepaid: Cents,
    number: i64,
}

pub(super) fn post_all(options: &DealerOptions, invoices: &[Invoice]) -> Ledger {
    let mut written: BTreeMap<NaiveDate, Vec<&Invoice>> = BTreeMap::new();
    let mut voided: BTreeMap<NaiveDate, Vec<&Invoice>> = BTreeMap::new();
    for invoice in invoices.iter().filter(|invoice| invoice.oddity != Oddity::Ancient) {
        written.entry(invoice.date.date()).or_default().push(invoice);
        if let Some(deleted) = invoice.deleted {
            voided.entry(deleted.date()).or_default().push(invoice);
        }
    }
    let mut books = Books::new(Cents::from(options.invoices_per_day), options.chart);
    for day in days(options.from, options.to) {
        let mut dice = Dice::for_day(options.seed, 4, day);
        if day == options.from {
            books.open(day);
        }
        for invoice in written.get(&day).into_iter().flatten() {
            books.invoice(day, invoice, 1, &mut dice);
        }
        for invoice in voided.get(&day).into_iter().flatten() {
            books.invoice(day, invoice, -1, &mut dice);
        }
        if is_business_day(day) {
            books.settle(day, &mut dice);
        }
        books.calendar(day, &mut dice);
        if day == month_end(day) {
            books.close_month(day);
        }
    }
    books.ledger
}

/// Sales and cost account of a line, and what its cost is taken from.
fn accounts(line: LineType, invoice: &Invoice) -> (&'static str, &'static str, &'static str) {
    let internal = invoice.bill_to_name == "Internal";
    match (line, invoice.sale_dept) {
        (LineType::Labor, _) if internal => ("423000", "510004", "135000"),
        (LineType::Labor, 45) => ("410005", "510004", "135000"),
        (LineType::Labor, 47) => ("410007", "510004", "135000"),
        (LineType::Labor, _) => ("410004", "510004", "135000"),
        (LineType::Parts, 30) => ("410003", "510003", "134000"),
        (LineType::Parts, _) => ("410012", "510003", "134000"),
        (LineType::Misc, _) => ("410010", "510010", "210000"),
        (LineType::Equipment, 20) => ("412002", "512002", "132000"),
        (LineType::Equipment, _) => ("413001", "513001", "131000"),
        (LineType::Rental, _) => ("410008", "510008", "210000"),
    }
}

impl Books {
    fn new(scale: Cents, chart: Chart) -> Self {
        Self {
            ledger: Ledger::default(),
            chart,
            scale,
            receivable: VecDeque::new(),
            undeposited: 0,
            payable: scale * usd(2_000),
            tax_owed: 0,
            payroll_tax: 0,
            parts_sold: 0,
            trucks_sold: 0,
            used_sold: 0,
            labor_relieved: 0,
            floor_plan: scale * usd(25_000),
            fleet: scale * usd(40_000),
            fleet_debt: scale * usd(18_000),
            note: scale * usd(6_000),
            lease: scale * usd(4_000),
            prepaid: 0,
            number: 0,
        }
    }

    fn post(&mut self, day: NaiveDate, memo: &'static str, lines: &[(&'static str, Cents)]) {
        self.number += 1;
        self.enter(day, memo, self.number, lines);
    }

    /// Posts under the chart's own numbers; everything else here speaks of accounts by those of six digits.
    fn enter(&mut self, day: NaiveDate, memo: &'static str, reference: i64, lines: &[(&'static str, Cents)]) {
        let lines: Vec<_> = lines.iter().map(|(account, amount)| (self.chart.number(account), *amount)).collect();
        self.ledger.post(day, memo, reference, &lines);
    }

    /// Balances taken over from the system before; what is left over is retained earnings.
    fn open(&mut self, day: NaiveDate) {
        let scale = self.scale;
        let mut lines = vec![
            ("110000", scale * usd(25_000)),
            ("131000", scale * usd(30_000)),
            ("132000", scale * usd(9_000)),
            ("134000", scale * usd(11_000)),
            ("150000", usd(7_500)),
            ("161000", usd(61_200)),
            ("180000", scale * usd(3_000)),
            ("183000", self.fleet),
            ("187000", self.lease),
            ("190100", -scale * usd(900)),
            ("193000", -scale * usd(9_000)),
            ("210000", -self.payable),
            ("242000", -self.note),
            ("245000", -self.floor_plan),
            ("249000", -self.lease),
            ("250000", -self.fleet_debt),
            ("310000", -usd(100_000)),
        ];
        let left_over: Cents = lines.iter().map(|(_, amount)| amount).sum();
        lines.push(("340000", -left_over));
        self.post(day, "balances taken over", &lines);
    }

    /// Post an invoice, or with `sign` −1 take a voided one back. The ledger follows the lines, so an invoice whose total
    /// disagrees with them still balances here.
    fn invoice(&mut self, day: NaiveDate, invoice: &Invoice, sign: Cents, dice: &mut Dice) {
        let tax = sign * invoice.total_tax.unwrap_or(0);
        let owed = sign * invoice.lines() + tax;
        let mut lines = vec![("120000", owed), ("221000", -tax)];
        for line in LineType::ALL {
            let (sales, cost_account, from) = accounts(line, invoice);
            let cost = sign * invoice.cost[line as usize].unwrap_or(0);
            lines.extend([(sales, -sign * invoice.amount(line)), (cost_account, cost), (from, -cost)]);
            match from {
                "134000" => self.parts_sold += cost,
                "131000" => self.trucks_sold += cost,
                "132000" => self.used_sold += cost,
                "135000" => self.labor_relieved += cost,
                _ => self.payable += cost,
            }
        }
        self.tax_owed += tax;
        self.receivable.push_back((day + Days::new(dice.roll(10, 75) as u64), owed));
        let memo = if sign > 0 { "invoice" } else { "invoice voided" };
        self.enter(day, memo, invoice.number, &lines);
    }

    /// Customers pay what is due, some less a discount; the bank gets it the next day; suppliers are paid on Fridays.
    fn settle(&mut self, day: NaiveDate, dice: &mut Dice) {
        let banked = std::mem::take(&mut self.undeposited);
        self.post(day, "deposit", &[("110000", banked), ("125000", -banked)]);
        let (due, waiting): (VecDeque<_>, VecDeque<_>) = self.receivable.drain(..).partition(|(due, _)| *due <= day);
        self.receivable = waiting;
        let paid: Cents = due.iter().map(|(_, amount)| amount).sum();
        let discount = if dice.chance(200) { share(paid, 10) } else { 0 };
        self.undeposited = paid - discount;
        self.post(day, "receipts", &[("125000", paid - discount), ("703000", discount), ("120000", -paid)]);
        if day.weekday() == Weekday::Fri {
            let restock = std::mem::take(&mut self.parts_sold);
            self.payable += restock;
            self.post(day, "parts received", &[("134000", restock), ("210000", -restock)]);
            let paid = share(self.payable, 400);
            self.payable -= paid;
            self.post(day, "suppliers paid", &[("210000", paid), ("110000", -paid)]);
        }
    }

    fn calendar(&mut self, day: NaiveDate, dice: &mut Dice) {
        match day.day() {
            1 => self.post(day, "rent", &[("603000", usd(14_200)), ("110000", -usd(14_200))]),
            5 => {
                let (principal, interest) = (share(self.note, 20), share(self.note, 6));
                self.note -= principal;
                let lines = [("242000", principal), ("601800", interest), ("110000", -principal - interest)];
                self.post(day, "note instalment", &lines);
            }
            // Trucks come in on the floor plan, and the maker is paid for those sold.
            10 => {
                let (new, used) = (std::mem::take(&mut self.trucks_sold), std::mem::take(&mut self.used_sold));
                let paid = share(self.floor_plan, 300);
                self.floor_plan += new - paid;
                self.post(day, "trucks received", &[("131000", new), ("245000", -new)]);
                self.post(day, "trades taken", &[("132000", used), ("110000", -used)]);
                self.post(day, "floor plan paid", &[("245000", paid), ("110000", -paid)]);
            }
            15 => self.payroll(day),
            20 => {
                let (sales_tax, payroll_tax) =
                    (std::mem::take(&mut self.tax_owed), std::mem::take(&mut self.payroll_tax));
                let lines = [("221000", sales_tax), ("240000", payroll_tax), ("110000", -sales_tax - payroll_tax)];
                self.post(day, "taxes paid", &lines);
            }
            _ => {}
        }
        match (day.month(), day.day()) {
            (1, 8) => {
                self.prepaid += usd(36_000);
                self.post(day, "insurance paid", &[("140000", usd(36_000)), ("110000", -usd(36_000))]);
            }
            // The rental fleet grows on credit and sheds old units at a gain or a loss.
            (2 | 6 | 10, 17) => {
                let bought = self.scale * dice.roll(usd(1_200), usd(2_600));
                self.fleet += bought;
                self.fleet_debt += bought;
                self.post(day, "rental units bought", &[("183000", bought), ("250000", -bought)]);
            }
            (4 | 9, 22) => {
                let cost = self.scale * usd(800);
                let (worn, price) = (share(cost, 700), share(cost, dice.roll(200, 420)));
                self.fleet -= cost;
                let gain = price + worn - cost;
                let lines = [("183000", -cost), ("193000", worn), ("110000", price), ("701000", -gain)];
                self.post(day, "rental unit sold", &lines);
            }
            (3, 14) => self.post(day, "shop equipment", &[("180000", usd(18_750)), ("110000", -usd(18_750))]),
            (7, 7) => self.post(day, "lease deposit", &[("150000", usd(2_500)), ("110000", -usd(2_500))]),
            (12, 16) => self.post(day, "distribution", &[("330000", usd(40_000)), ("110000", -usd(40_000))]),
            _ => {}
        }
    }

    fn payroll(&mut self, day: NaiveDate) {
        let gross = self.scale * usd(4_000);
        let tax = share(gross, 77);
        let net = gross - share(gross, 200);
        self.payroll_tax += tax + gross - net;
        self.post(day, "payroll transfer", &[("111000", net), ("110000", -net)]);
        let lines = [("602600", gross), ("602700", tax), ("240000", -(tax + gross - net)), ("111000", -net)];
        self.post(day, "payroll", &lines);
    }

    /// Second payroll, technicians' time into work in process, depreciation, leases, interest, accruals.
    fn close_month(&mut self, day: NaiveDate) {
        self.payroll(day);
        let labor = std::mem::take(&mut self.labor_relieved);
        self.post(day, "technicians' time", &[("135000", labor), ("110000", -labor)]);
        let rental = share(self.fleet, 12);
        self.post(day, "rental depreciation", &[("537001", rental), ("193000", -rental)]);
        let shop = share(self.scale * usd(3_000), 8);
        self.post(day, "depreciation", &[("600900", shop), ("190100", -shop)]);
        let lease = share(self.lease, 15);
        self.lease -= lease;
        self.post(day, "lease", &[("249000", lease), ("187000", -lease)]);
        let interest = share(self.fleet_debt, 5);
        let principal = share(self.fleet_debt, 20);
        self.fleet_debt -= principal;
        let lines = [("539000", interest), ("250000", principal), ("110000", -interest - principal)];
        self.post(day, "contracts", &lines);
        let insurance = self.prepaid.min(usd(3_000));
        self.prepaid -= insurance;
        self.post(day, "insurance", &[("604000", insurance), ("140000", -insurance)]);
        self.post(day, "admin fund", &[("706000", usd(350)), ("110000", -usd(350))]);
        if day.month().is_multiple_of(3) {
            self.post(day, "federal tax accrued", &[("601400", usd(9_000)), ("230000", -usd(9_000))]);
        }
    }
}
