//! The simulated businesses: do their numbers hang together? How they answer on the wire is in `business/wire.rs`.

mod wire;

use chrono::{Datelike, Days, NaiveDate};
use marts::sandbox::business::dealer::{
    Dealer, DealerOptions, Exclusions, FleetDay, FleetRules, Invoice, LineType, Machine, MachineOddity, Oddity,
    SOLD_UNIT, TrialBalance, WorkOrder,
};
use marts::sandbox::business::services::{ServicesCompany, ServicesOptions};
use marts::sandbox::business::{Basis, Cell, Cents, calendar};
use proptest::prelude::*;

fn day(text: &str) -> NaiveDate {
    text.parse().expect("a date in a test")
}

fn company(seed: u64) -> ServicesCompany {
    ServicesCompany::generate(ServicesOptions::new(seed, day("2023-11-06"), day("2025-02-20")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn services_statements_hang_together(seed: u64, start_month in 1u32..=12) {
        let mut options = ServicesOptions::new(seed, day("2023-11-06"), day("2025-02-20"));
        options.fiscal_year_start_month = start_month;
        let company = ServicesCompany::generate(options);
        for first in calendar::months(day("2023-10-01"), day("2025-02-20")) {
            let last = calendar::month_end(first);
            for basis in [Basis::Accrual, Basis::Cash] {
                let sheet = company.balance_sheet(last, basis);
                prop_assert_eq!(sheet.total_assets(), sheet.total_liabilities() + sheet.total_equity());
                let sums = company.ledger.movements(first, last, basis);
                prop_assert_eq!(sums.values().sum::<Cents>(), 0);
                if basis == Basis::Cash {
                    prop_assert_eq!((sheet.accounts_receivable, sheet.accounts_payable), (0, 0));
                }
            }
            let flow = company.cash_flow(first, last);
            prop_assert_eq!(flow.cash_increase(), company.cash(last) - company.cash(first - Days::new(1)));
            prop_assert_eq!(flow.net_income, company.profit_and_loss(first, last, Basis::Accrual).net_income());
        }
    }

    #[test]
    fn one_more_day_leaves_the_past_alone(seed: u64, days in 1u64..40) {
        let (from, to) = (day("2024-01-01"), day("2024-02-10"));
        let short = ServicesCompany::generate(ServicesOptions::new(seed, from, to));
        let long = ServicesCompany::generate(ServicesOptions::new(seed, from, to + Days::new(days)));
        prop_assert_eq!(short.ledger.balances(to, Basis::Accrual), long.ledger.balances(to, Basis::Accrual));
    }
}

#[test]
fn a_services_company_has_what_parsers_trip_over() {
    let company = company(7);
    let (first, last) = calendar::month(2024, 2);
    let sums = company.ledger.movements(first, last, Basis::Accrual);
    assert!(sums["8"] > 0, "discounts are contra income: {sums:?}");
    assert!(sums["1"] != 0 && sums["3"] != 0, "a parent and its grandchild both have postings");
    assert!(!sums.contains_key("61"), "no grant in February");
    let before = company.profit_and_loss(day("2023-01-01"), day("2023-11-05"), Basis::Accrual);
    assert_eq!(before, Default::default());
    let accrual = company.profit_and_loss(first, last, Basis::Accrual);
    assert_ne!(accrual, company.profit_and_loss(first, last, Basis::Cash));
    assert!(accrual.income > 0 && accrual.cogs > 0 && accrual.other_income > 0 && accrual.other_expenses > 0);
}

fn dealer(seed: u64) -> Dealer {
    Dealer::generate(DealerOptions::new(seed, day("2023-09-04"), day("2025-01-17")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn the_dealers_ledger_balances_every_month(seed: u64, start_month in 1u32..=12, volume in 3u32..25) {
        let mut options = DealerOptions::new(seed, day("2023-09-04"), day("2025-01-17"));
        (options.fiscal_year_start_month, options.invoices_per_day) = (start_month, volume);
        let dealer = Dealer::generate(options);
        let mut before = TrialBalance::new();
        for first in calendar::months(day("2023-09-04"), day("2025-01-17")) {
            let last = calendar::month_end(first).min(day("2025-01-17"));
            let trial = dealer.trial_balance(first.year(), first.month());
            prop_assert_eq!(trial.values().map(|(mtd, _)| mtd).sum::<Cents>(), 0);
            prop_assert_eq!(trial.values().map(|(_, ytd)| ytd).sum::<Cents>(), 0, "assets, claims and profit");
            let balances = dealer.ledger.balances(last, Basis::Accrual);
            let new_year = first.month() == start_month;
            for (account, (mtd, ytd)) in &trial {
                let profit_and_loss = matches!(account.as_bytes()[0], b'4'..=b'9');
                let carried = before.get(account).map_or(0, |(_, ytd)| *ytd);
                match *account {
                    _ if profit_and_loss => prop_assert_eq!(*ytd, mtd + if new_year { 0 } else { carried }),
                    "340000" if new_year => {}
                    _ => prop_assert_eq!(*ytd, mtd + carried),
                }
                if !profit_and_loss && *account != "340000" {
                    prop_assert_eq!(*ytd, balances[account]);
                }
            }
            before = trial;
        }
        let closing: Cents = dealer.gl().iter().filter(|row| row.month == 13).map(|row| row.mtd).sum();
        prop_assert_eq!(closing, 0);
    }

    #[test]
    fn the_dealers_past_stays_but_for_what_changes(seed: u64) {
        let (from, to) = (day("2024-01-02"), day("2024-03-01"));
        let short = Dealer::generate(DealerOptions::new(seed, from, to));
        let long = Dealer::generate(DealerOptions::new(seed, from, to + Days::new(30)));
        for (now, later) in short.invoices.iter().zip(&long.invoices) {
            let voided_later = now.deleted.is_none() && later.deleted.is_some();
            let later = Invoice { deleted: now.deleted, ..later.clone() };
            prop_assert!(*now == later, "voided later: {voided_later}");
        }
        prop_assert_eq!(short.ledger.balances(to, Basis::Accrual), long.ledger.balances(to, Basis::Accrual));
        prop_assert_eq!(short.open_work_orders(day("2024-01-10")) > 0, true);
    }
}

#[test]
fn revenue_in_the_ledger_is_that_of_the_register() {
    let dealer = dealer(3);
    for first in calendar::months(day("2023-10-01"), day("2024-12-31")) {
        let last = calendar::month_end(first);
        let sums = dealer.ledger.movements(first, last, Basis::Accrual);
        let posted: Cents = -sums.iter().filter(|(no, _)| no.starts_with('4')).map(|(_, sum)| sum).sum::<Cents>();
        // A voided invoice is in the ledger on its day and taken back on the day it is voided.
        let within = |at: NaiveDate| first <= at && at <= last;
        let registered: Cents = dealer.invoices.iter().filter(|i| within(i.date.date())).map(Invoice::lines).sum();
        let taken_back = dealer.invoices.iter().filter(|i| i.deleted.is_some_and(|at| within(at.date())));
        assert_eq!(posted, registered - taken_back.map(Invoice::lines).sum::<Cents>());
        let days: Cents = calendar::days(first, last)
            .map(|day| dealer.sales_day(day, &Exclusions::default()).revenue.iter().sum::<Cents>())
            .sum();
        assert_eq!(
            days,
            registered
                - dealer
                    .invoices
                    .iter()
                    .filter(|i| within(i.date.date()) && i.deleted.is_some())
                    .map(Invoice::lines)
                    .sum::<Cents>()
        );
    }
}

#[test]
fn the_register_has_each_oddity() {
    let dealer = dealer(3);
    let one = |oddity| dealer.invoices.iter().find(|i| i.oddity == oddity && i.deleted.is_none());
    assert!(one(Oddity::Credit).unwrap().revenue() < 0);
    assert!(one(Oddity::NullAmounts).unwrap().taxable.contains(&None));
    let only_tax = one(Oddity::OnlyTax).unwrap();
    assert!(only_tax.lines() == 0 && only_tax.grand_total == only_tax.total_tax && only_tax.total_tax > Some(0));
    assert_eq!(one(Oddity::NoGrandTotal).unwrap().grand_total, None);
    assert_eq!(one(Oddity::Ancient).unwrap().date.year(), 1900);
    assert!(dealer.invoices.iter().all(|i| i.disagrees() == (i.oddity == Oddity::Disagrees)));
    assert!(dealer.invoices.iter().any(|i| i.oddity == Oddity::Voided && i.deleted.is_some()));
    assert!(dealer.invoices.iter().any(|i| i.date.time().to_string().starts_with("23:59:59.997")));
    assert!(dealer.invoices.iter().any(|i| i.date.date() == day("2024-02-29")));
    assert!(dealer.invoices.iter().all(|i| i.bill_to.len() == 10 && i.ship_to.len() == 10));
    assert!(dealer.invoices.iter().any(|i| i.bill_to.starts_with("AB")));
    assert!(dealer.invoices.iter().any(|i| i.bill_to.starts_with("ab")));
    let quiet =
        calendar::days(day("2023-09-04"), day("2025-01-17")).filter(|day| dealer.invoices_of(*day).count() == 0);
    assert!(quiet.count() > 10);
    let mut numbers: Vec<i64> = dealer.invoices.iter().map(|i| i.number).collect();
    numbers.sort_unstable();
    assert!(numbers.windows(2).all(|pair| pair[0] != pair[1]), "InvoiceNo is a key");

    let orders = &dealer.work_orders;
    assert!(orders.iter().any(|o| o.is_quote() && o.closed.is_none()));
    assert!(orders.iter().any(|o| !o.is_quote() && o.deleted.is_some()));
    assert!(orders.iter().any(|o| o.reopened_after.is_some() && o.closed.is_none()));
    assert!(orders.iter().any(|o| o.closed.is_some_and(|at| at.year() == 1900)));
    let exclusions = Exclusions { customers: vec!["INT900 ".into()], branches: vec![3] };
    let month = || calendar::days(day("2024-05-01"), day("2024-05-31"));
    let all: i64 = month().map(|day| dealer.sales_day(day, &Exclusions::default()).invoices).sum();
    let some: i64 = month().map(|day| dealer.sales_day(day, &exclusions).invoices).sum();
    assert!(0 < some && some < all);
    let closed: usize = month().map(|day| dealer.closed_work_orders(day)).sum();
    assert!(closed > 100 && dealer.open_work_orders(day("2024-05-31")) > 10);
}

#[test]
fn a_fleet_has_what_counts_trip_over() {
    let dealer = dealer(3);
    let odd = |oddity| dealer.machines.iter().filter(move |machine| machine.oddity == oddity);
    for oddity in [
        MachineOddity::Twice,
        MachineOddity::Pseudo,
        MachineOddity::PseudoUnitNo,
        MachineOddity::Sold,
        MachineOddity::Deleted,
        MachineOddity::CustomerOwned,
    ] {
        assert!(odd(oddity).count() > 0, "{oddity:?}");
    }
    // A truck, its battery and its charger share a number, or nearly.
    let parts = |number: &str| {
        let of_number = |machine: &&Machine| machine.unit_no.as_deref().is_some_and(|unit| unit.starts_with(number));
        dealer.machines.iter().filter(of_number).map(|machine| machine.unit_no.as_deref().unwrap()).collect::<Vec<_>>()
    };
    // This one is listed twice besides.
    assert_eq!(parts("U102"), ["U102"; 4]);
    assert_eq!(parts("U105"), ["U105", "U105B", "U105C"]);

    let order = |number: i64| dealer.work_orders.iter().find(|order| order.number == number).unwrap();
    let lines = |wanted: fn(&WorkOrder) -> bool| dealer.rental_lines.iter().any(|line| wanted(order(line.work_order)));
    assert!(lines(|order| order.kind == "S"));
    assert!(lines(WorkOrder::is_quote));
    assert!(lines(|order| order.kind == "R" && order.deleted.is_some()));
    assert!(lines(|order| order.kind == "R" && order.ship_to.trim().is_empty()));
    assert!(dealer.rental_lines.iter().any(|line| line.deleted.is_some()));
    let serials: Vec<_> =
        dealer.invoices.iter().filter(|i| i.amount(LineType::Rental) != 0).map(|i| &i.serial).collect();
    assert!(serials.iter().any(|serial| serial.is_none()));

    let today = dealer.options.to;
    let fleet = |rules: &FleetRules| dealer.fleet_day(today, rules);
    let found = fleet(&FleetRules::default());
    assert_eq!(found.revenue.values().sum::<Cents>(), found.revenue_mtd);
    let days = calendar::days(calendar::month_start(today), today);
    let rental = |day| dealer.sales_day(day, &Exclusions::default()).revenue[LineType::Rental as usize];
    assert_eq!(days.map(rental).sum::<Cents>(), found.revenue_mtd);
    let total = |found: &FleetDay| found.units.values().map(|units| units.total()).sum::<i64>();
    let without = fleet(&FleetRules { gone: vec![SOLD_UNIT.into()], ..FleetRules::default() });
    assert_eq!(total(&found), total(&without) + 1);
    // Sixty trucks, twenty batteries, twenty chargers, and two whose unit number is none.
    assert_eq!(total(&without), 60 + 20 + 20 + 2);
}

#[test]
fn tables_are_rectangular() {
    for table in dealer(3).tables() {
        assert!(!table.rows.is_empty());
        for row in &table.rows {
            assert_eq!(row.len(), table.columns.len(), "{}", table.name);
            for (column, cell) in table.columns.iter().zip(row) {
                assert!(column.nullable || *cell != Cell::Null, "{}.{}", table.name, column.name);
            }
        }
    }
    let register = dealer(3).invoice_register();
    assert_eq!(register.columns[register.position("RentalNonTax").unwrap()].sql_type, "decimal(18,2)");
}
