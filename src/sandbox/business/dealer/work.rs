//! Work orders, day by day: opened, completed, closed into an invoice, sometimes voided or re-opened.

use chrono::{Days, NaiveDate, NaiveDateTime, NaiveTime};

use super::fleet;
use super::invoices::{self, invoice};
use super::{CUSTOMERS, DealerOptions, INTERNAL_CUSTOMERS, Invoice, Oddity, WorkOrder};
use crate::sandbox::business::Dice;
use crate::sandbox::business::calendar::{business_day_from, days, is_business_day, month_end, month_start};

/// What is going to happen to a work order. Days after `DealerOptions::to` are the future and show nowhere.
struct Plan {
    order: WorkOrder,
    completed: Option<NaiveDateTime>,
    closed: Option<NaiveDateTime>,
    deleted: Option<NaiveDateTime>,
    /// Re-opened on this day and, if ever, closed again on that.
    reopened: Option<(NaiveDateTime, Option<NaiveDateTime>)>,
}

/// Everything that happens from `from` to `to`, in order of opening and of invoicing.
pub(super) fn work(options: &DealerOptions) -> (Vec<WorkOrder>, Vec<Invoice>) {
    let mut plans = Vec::new();
    let mut numbers = Numbers::default();
    for day in days(options.from, options.to) {
        let mut dice = Dice::for_day(options.seed, 2, day);
        let orders = orders_of_day(options, day, &mut dice);
        plans.extend((0..orders).map(|_| plan(options, pick_kind(&mut dice), day, None, &mut numbers, &mut dice)));
        if day == month_start(day) {
            // Long rentals are opened on the first and billed on the last of the month, whatever day of the week it is.
            let rentals = i64::from(options.invoices_per_day) / 2 + 1;
            plans.extend((0..rentals).map(|_| plan(options, "R", day, Some(month_end(day)), &mut numbers, &mut dice)));
        }
    }
    let until = options.to.and_time(LAST_TICK);
    let mut invoices: Vec<Invoice> = Vec::new();
    let mut billed: Vec<&Plan> = plans.iter().filter(|plan| plan.closed.is_some_and(|at| at <= until)).collect();
    billed.sort_by_key(|plan| (plan.closed, plan.order.number));
    for (n, plan) in billed.into_iter().enumerate() {
        let closed = plan.closed.expect("only closed orders are billed");
        let mut dice = Dice::for_day(options.seed ^ plan.order.number as u64, 3, closed.date());
        let mut invoice = invoice(&plan.order, closed, invoices::oddity(n), &mut dice);
        invoice.deleted = invoice.deleted.filter(|at| *at <= until);
        invoices.push(invoice);
    }
    if let Some(first) = invoices.first() {
        let date = NaiveDate::from_ymd_opt(1900, 1, 1).expect("a date").and_time(NaiveTime::MIN);
        let number = FIRST_NUMBER;
        invoices.insert(0, Invoice { number, date, deleted: None, oddity: Oddity::Ancient, ..first.clone() });
    }
    (plans.into_iter().map(|plan| plan.state_at(until)).collect(), invoices)
}

/// The last instant a SQL Server `datetime` can hold on a day.
pub(super) const LAST_TICK: NaiveTime = NaiveTime::from_hms_milli_opt(23, 59, 59, 997).expect("a time of day");

impl Plan {
    fn state_at(self, until: NaiveDateTime) -> WorkOrder {
        let past = |at: Option<NaiveDateTime>| at.filter(|at| *at <= until);
        let mut order = self.order;
        // A date of 1900 stands for "none" in old rows; it is there from the start.
        order.completed = past(self.completed).or(order.completed);
        order.closed = past(self.closed).or(order.closed);
        order.invoiced = past(self.closed);
        order.deleted = past(self.deleted);
        if let Some((reopened, closed_again)) = self.reopened
            && order.invoiced.is_some()
            && reopened <= until
        {
            order.reopened_after = order.closed;
            order.closed = past(closed_again);
        }
        order
    }
}

/// The invoice of 1900 has a number no work order gets.
const FIRST_NUMBER: i64 = 13_000_001;

/// Running numbers per prefix: 13 parts, 140 field, 145 shop, 147 maintenance, 16 rental and equipment, 9 quotes.
#[derive(Default)]
struct Numbers {
    last: [i64; 6],
}

impl Numbers {
    fn next(&mut self, kind: &str, quote: bool) -> i64 {
        let (series, base) = match kind {
            _ if quote => (5, 91_000_000),
            "P" => (0, 13_000_000),
            "SH" => (2, 14_500_000),
            "PM" => (3, 14_700_000),
            "R" | "E" => (4, 16_000_000),
            _ => (1, 14_000_000),
        };
        self.last[series] += 1;
        base + 10 + self.last[series]
    }
}

/// Orders opened on a day: none on most weekend days and, as it happens, on one working day in fifty or so.
fn orders_of_day(options: &DealerOptions, day: NaiveDate, dice: &mut Dice) -> i64 {
    let usual = i64::from(options.invoices_per_day);
    if !is_business_day(day) {
        return if dice.chance(120) { dice.roll(1, 2) } else { 0 };
    }
    if dice.chance(20) { 0 } else { dice.roll(usual * 3 / 4, usual * 5 / 4) }
}

fn pick_kind(dice: &mut Dice) -> &'static str {
    dice.pick(&["P", "P", "P", "P", "P", "S", "S", "S", "S", "SH", "PM", "PM", "R", "E", "I", "W"])
}

fn plan(
    options: &DealerOptions,
    kind: &'static str,
    day: NaiveDate,
    billed: Option<NaiveDate>,
    numbers: &mut Numbers,
    dice: &mut Dice,
) -> Plan {
    let quote = billed.is_none() && dice.chance(150);
    let opened = at(day, dice);
    let (work, wait) = match kind {
        "P" => (0, 0),
        "E" => (dice.roll(3, 20), dice.roll(0, 9)),
        _ => (dice.roll(0, 12), dice.roll(0, 8)),
    };
    let later = |from: NaiveDate, days: i64| match days {
        0 => from,
        days => business_day_from(from + Days::new(days as u64)),
    };
    let completed = at(billed.unwrap_or(later(day, work)), dice).max(opened);
    let closed = at(later(completed.date(), if billed.is_some() { 0 } else { wait }), dice).max(completed);
    // A quote is neither worked on nor billed; some orders are forgotten and stay open.
    let forgotten = quote || (billed.is_none() && kind != "P" && dice.chance(25));
    let deleted = (forgotten && dice.chance(400)).then(|| at(later(day, 4), dice));
    let reopened = dice.chance(15).then(|| {
        let reopened = at(later(closed.date(), dice.roll(1, 20)), dice);
        (reopened, dice.chance(600).then(|| at(later(reopened.date(), dice.roll(1, 15)), dice)))
    });
    let ancient = NaiveDate::from_ymd_opt(1900, 1, 1).expect("a date").and_time(NaiveTime::MIN);
    let sentinel = (forgotten && dice.chance(200)).then_some(ancient);

    let internal = kind == "I";
    let (bill_to, _) = if internal { (dice.pick(&INTERNAL_CUSTOMERS), "") } else { dice.pick(CUSTOMERS) };
    let (ship_to, ship_name) = if dice.chance(850) && !internal {
        CUSTOMERS.iter().copied().find(|(number, _)| *number == bill_to).expect("a customer of the list")
    } else {
        dice.pick(CUSTOMERS)
    };
    let (sale_code, sale_dept) = match kind {
        "P" => (dice.pick(&["PARTS", "PARTSNT", "CSTPRT"]), 30),
        "SH" => ("SHPCST", 45),
        "PM" => ("PM", 47),
        "R" => (dice.pick(&["RENTAL", "STRENT"]), 60),
        "E" => dice.pick(&[("NEWEQ", 10), ("NEWEQ", 10), ("USEDEQ", 20)]),
        _ => (dice.pick(&["RDCST", "FMROAD"]), 40),
    };
    let truck = (kind != "P").then(|| dice.roll(100, 999));
    let number = numbers.next(kind, quote);
    let truck = truck.map(|truck| if kind == "R" { fleet::rented_truck(truck, options) } else { truck });
    let (mut bill_to, mut ship_to) = (char10(bill_to, dice), char10(ship_to, dice));
    let sale_branch = dice.pick(&[1, 1, 1, 2, 3]);
    // Some machines are on rent to the dealer itself, and some orders do not say where they went.
    match (kind, number % 12) {
        ("R", 4) => [bill_to, ship_to] = [bill_to, format!("{:<10}", INTERNAL_CUSTOMERS[0])],
        ("R", 7 | 10) => ship_to = " ".repeat(10),
        ("R", 11) => [bill_to, ship_to] = [format!("{:<10}", INTERNAL_CUSTOMERS[1]), ship_to],
        _ => {}
    }
    let order = WorkOrder {
        number,
        kind,
        opened,
        completed: sentinel,
        closed: sentinel,
        invoiced: None,
        deleted: None,
        reopened_after: None,
        bill_to,
        ship_to,
        ship_name,
        sale_code,
        sale_branch,
        sale_dept,
        unit: truck.map(fleet::truck_unit),
        serial: truck.and_then(|truck| match kind {
            "R" => fleet::billed_serial(truck, number),
            _ => Some(fleet::truck_serial(truck)),
        }),
    };
    Plan {
        order,
        completed: (!forgotten).then_some(completed),
        closed: (!forgotten).then_some(closed),
        deleted,
        reopened: reopened.filter(|_| !forgotten),
    }
}

/// A CHAR(10) value: padded with blanks; every so often typed in the other case.
fn char10(number: &str, dice: &mut Dice) -> String {
    let number = if dice.chance(300) { number.to_uppercase() } else { number.to_owned() };
    format!("{number:<10}")
}

/// A time on that day: midnight often, the last tick of the day sometimes, office hours else.
fn at(day: NaiveDate, dice: &mut Dice) -> NaiveDateTime {
    match dice.roll(0, 19) {
        0..=7 => day.and_time(NaiveTime::MIN),
        8 => day.and_time(LAST_TICK),
        _ => {
            let seconds = dice.roll(7 * 3600, 18 * 3600) as u32;
            day.and_time(NaiveTime::from_num_seconds_from_midnight_opt(seconds, 0).expect("before midnight"))
        }
    }
}
