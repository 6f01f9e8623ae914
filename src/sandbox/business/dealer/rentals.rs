//! The fleet's figures straight from its objects: the oracle for SQL over equipment, rental lines and orders.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;

use super::fleet::{MachineOddity, MachineType, RENTAL_DEPT};
use super::{Dealer, Exclusions, LineType, Machine, RentalLine, WorkOrder};
use crate::sandbox::business::Cents;
use crate::sandbox::business::calendar::{days, fiscal_year_start, month_start};

/// What a tenant says of its fleet and its sales.
#[derive(Debug, Clone, Default)]
pub struct FleetRules {
    /// Numbers of units that are gone.
    pub gone: Vec<String>,
    /// The dealer's own accounts.
    pub internal: Vec<String>,
    pub exclusions: Exclusions,
    pub data_start: Option<NaiveDate>,
    /// First days of months left out.
    pub excluded_months: Vec<NaiveDate>,
}

/// Units of one type by what they are doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Units {
    pub rented: i64,
    pub available: i64,
    pub maintenance: i64,
    pub other: i64,
}

impl Units {
    /// All of them.
    pub fn total(self) -> i64 {
        self.rented + self.available + self.maintenance + self.other
    }
}

/// The fleet at the end of a day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FleetDay {
    pub units: BTreeMap<MachineType, Units>,
    pub revenue_mtd: Cents,
    pub revenue_ytd: Cents,
    /// Of the month to date; none = no machine has the invoice's serial.
    pub revenue: BTreeMap<Option<MachineType>, Cents>,
    pub customers: usize,
}

impl Dealer {
    /// The fleet as it stands at the end of `day`, with the statuses of the last day generated.
    pub fn fleet_day(&self, day: NaiveDate, rules: &FleetRules) -> FleetDay {
        let mut found = FleetDay::default();
        // Every row of a unit, by what identifies it.
        let mut fleet: BTreeMap<String, Vec<&Machine>> = BTreeMap::new();
        for machine in self.machines.iter().filter(|machine| machine.is_of_fleet(rules)) {
            let identity = plain(&machine.serial).or(plain(&machine.unit_no));
            fleet.entry(identity.expect("a unit has a number")).or_default().push(machine);
        }
        let mut rented: BTreeSet<&str> = BTreeSet::new();
        let mut customers: BTreeSet<String> = BTreeSet::new();
        for order in self.work_orders.iter().filter(|order| order.rents_on(day)) {
            for line in self.rental_lines.iter().filter(|line| line.work_order == order.number) {
                for (identity, rows) in &fleet {
                    if rows.iter().any(|machine| line.names(machine)) {
                        rented.insert(identity);
                        customers.extend(order.customer().filter(|number| !listed(&rules.internal, number)));
                    }
                }
            }
        }
        for (identity, rows) in &fleet {
            let units = found.units.entry(rows[0].is).or_default();
            let has = |status: &str| rows.iter().any(|row| row.status.is_some_and(|text| text.trim() == status));
            let state = match () {
                () if rented.contains(identity.as_str()) => &mut units.rented,
                () if has("Hold") => &mut units.maintenance,
                () if has("Ready To Rent") || has("READY TO RENT") => &mut units.available,
                () => &mut units.other,
            };
            *state += 1;
        }
        found.customers = customers.len();
        self.add_revenue(day, rules, &mut found);
        found
    }

    fn add_revenue(&self, day: NaiveDate, rules: &FleetRules, found: &mut FleetDay) {
        let first = fiscal_year_start(day, self.options.fiscal_year_start_month);
        for date in days(first, day) {
            if rules.data_start.is_some_and(|start| date < start) || rules.excluded_months.contains(&month_start(date))
            {
                continue;
            }
            let invoices = self.invoices_of(date).filter(|invoice| !rules.exclusions.leave_out(invoice));
            for invoice in invoices.filter(|invoice| invoice.amount(LineType::Rental) != 0) {
                let amount = invoice.amount(LineType::Rental);
                found.revenue_ytd += amount;
                if date >= month_start(day) {
                    found.revenue_mtd += amount;
                    *found.revenue.entry(self.type_of(&invoice.serial)).or_default() += amount;
                }
            }
        }
    }

    fn type_of(&self, serial: &Option<String>) -> Option<MachineType> {
        let serial = plain(serial)?;
        self.machines.iter().find(|machine| plain(&machine.serial).as_ref() == Some(&serial)).map(|machine| machine.is)
    }
}

impl Machine {
    fn is_of_fleet(&self, rules: &FleetRules) -> bool {
        let is_gone = [&self.unit_no, &self.serial]
            .into_iter()
            .any(|number| plain(number).is_some_and(|number| listed(&rules.gone, &number)));
        let counts = matches!(self.oddity, MachineOddity::None | MachineOddity::Twice | MachineOddity::PseudoUnitNo);
        self.dept == Some(RENTAL_DEPT) && !is_gone && (counts || self.oddity == MachineOddity::Sold)
    }
}

impl RentalLine {
    /// Whether it is about that machine: its serial says so, or without one, its number.
    fn names(&self, machine: &Machine) -> bool {
        if self.deleted.is_some() {
            return false;
        }
        match (plain(&self.serial), plain(&self.unit_no)) {
            (Some(serial), _) => plain(&machine.serial) == Some(serial),
            (None, Some(unit)) if unit != "null" => plain(&machine.unit_no) == Some(unit),
            (None, _) => false,
        }
    }
}

impl WorkOrder {
    fn rents_on(&self, day: NaiveDate) -> bool {
        let is_closed = self
            .closed
            .is_some_and(|at| at.date() <= day && at.date() > NaiveDate::from_ymd_opt(1990, 1, 1).expect("a date"));
        self.kind == "R" && !self.is_quote() && self.deleted.is_none() && self.opened.date() <= day && !is_closed
    }

    /// Who has the machine: whom it is shipped to, else who pays.
    fn customer(&self) -> Option<String> {
        [&self.ship_to, &self.bill_to].into_iter().find_map(|number| plain(&Some(number.clone())))
    }
}

/// A number without padding and in lower case; none where nothing is left.
fn plain(number: &Option<String>) -> Option<String> {
    number.as_deref().map(|number| number.trim().to_lowercase()).filter(|number| !number.is_empty())
}

fn listed(list: &[String], number: &str) -> bool {
    list.iter().any(|entry| entry.trim().eq_ignore_ascii_case(number))
}
