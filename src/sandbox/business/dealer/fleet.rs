//! The dealer's machines: a rental fleet of trucks with their batteries and chargers, everybody else's trucks, and the
//! rows that a careless count trips over.

use chrono::{Days, NaiveDateTime, NaiveTime};

use super::{CUSTOMERS, DealerOptions, WorkOrder};

/// What a machine is, as anybody who sees it would say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MachineType {
    Allied,
    BatteryCharger,
    Forklift,
}

/// What is odd about a row of Equipment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MachineOddity {
    None,
    /// A second row of a truck, with another status.
    Twice,
    /// No unit: its number is one of those that people enter for want of one, or blank.
    Pseudo,
    /// A pseudo unit number beside a real serial: a unit.
    PseudoUnitNo,
    /// Sold, and still in the rental department.
    Sold,
    /// Marked as deleted.
    Deleted,
    /// In the rental department, and a customer's.
    CustomerOwned,
}

/// A row of Equipment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Text as the ERP gives it: padded, in either case.
    pub unit_no: Option<String>,
    pub serial: Option<String>,
    pub make: &'static str,
    pub model: &'static str,
    pub status: Option<&'static str>,
    pub dept: Option<i64>,
    pub customers: Option<bool>,
    pub customer_no: Option<&'static str>,
    pub deleted: Option<NaiveDateTime>,
    pub is: MachineType,
    pub oddity: MachineOddity,
}

/// A row of WORental.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RentalLine {
    pub work_order: i64,
    pub unit_no: Option<String>,
    pub serial: Option<String>,
    pub deleted: Option<NaiveDateTime>,
}

/// The department of the rental fleet.
pub const RENTAL_DEPT: i64 = 60;

/// The number of the unit that was sold and is still in the rental department: for settings to leave out.
pub const SOLD_UNIT: &str = "U0042";

/// Trucks are numbered from here up to 999, the rental fleet first.
const FIRST_TRUCK: i64 = 100;

/// The truck that a rental order is about, made of any number from 100 to 999.
pub(super) fn rented_truck(number: i64, options: &DealerOptions) -> i64 {
    FIRST_TRUCK + (number - FIRST_TRUCK) % i64::from(options.fleet_trucks)
}

pub(super) fn truck_unit(truck: i64) -> String {
    format!("U{truck}")
}

/// No two trucks share one: 7919 is prime.
pub(super) fn truck_serial(truck: i64) -> String {
    format!("SN{:06}", truck * 7919 % 1_000_000)
}

fn is_electric(truck: i64) -> bool {
    truck % 3 == 0
}

/// Half of the batteries and chargers bear their truck's number, the others one that ends in B or C.
fn part_unit(truck: i64, suffix: char) -> String {
    if truck % 2 == 0 { truck_unit(truck) } else { format!("{}{suffix}", truck_unit(truck)) }
}

/// Some batteries have no serial.
fn battery_serial(truck: i64) -> Option<String> {
    (truck % 4 != 0).then(|| format!("BT{truck:05}"))
}

/// The serial that a rental invoice names: mostly the truck's, at times its battery's, that of a machine long gone, one
/// that nobody knows, or none.
pub(super) fn billed_serial(truck: i64, order: i64) -> Option<String> {
    match order % 10 {
        1 => None,
        3 => Some("NOBODY-KNOWS".into()),
        5 => Some(GONE_SERIAL.into()),
        6 | 8 if is_electric(truck) => battery_serial(truck).map(|serial| serial.to_lowercase()),
        _ => Some(truck_serial(truck)),
    }
}

const GONE_SERIAL: &str = "SWP-1998";

impl Machine {
    fn truck(truck: i64) -> Machine {
        let (make, model, is) = match truck % 10 {
            4 => ("Allied", "Sweeper 60", MachineType::Allied),
            1 | 6 => ("Linde", "H25", MachineType::Forklift),
            2 => ("", "", MachineType::Forklift),
            _ => ("Komatsu", "FG25", MachineType::Forklift),
        };
        Machine {
            unit_no: Some(truck_unit(truck)),
            serial: Some(truck_serial(truck)),
            make,
            model,
            status: None,
            dept: None,
            customers: None,
            customer_no: None,
            deleted: None,
            is,
            oddity: MachineOddity::None,
        }
    }

    fn of_fleet(self, status: i64) -> Machine {
        let statuses = [Some("Ready To Rent"), Some("Hold"), Some("READY TO RENT  "), None, Some("Ready To Rent")];
        let customers = [None, Some(false)][status.unsigned_abs() as usize % 2];
        Machine { dept: Some(RENTAL_DEPT), status: statuses[status.unsigned_abs() as usize % 5], customers, ..self }
    }

    fn part(truck: i64, suffix: char, serial: Option<String>, make: &'static str, model: &'static str) -> Machine {
        let unit_no = Some(part_unit(truck, suffix));
        let is = MachineType::BatteryCharger;
        Machine { unit_no, serial, make, model, is, ..Machine::truck(truck) }.of_fleet(truck / 3)
    }

    fn odd(oddity: MachineOddity, unit_no: Option<&str>, serial: Option<&str>) -> Machine {
        let [unit_no, serial] = [unit_no, serial].map(|number| number.map(str::to_owned));
        Machine { unit_no, serial, oddity, ..Machine::truck(105) }.of_fleet(0)
    }
}

/// All equipment.
pub(super) fn machines(options: &DealerOptions) -> Vec<Machine> {
    let fleet = i64::from(options.fleet_trucks);
    let mut machines = Vec::new();
    for truck in FIRST_TRUCK..=999 {
        if truck >= FIRST_TRUCK + fleet {
            machines.push(elsewhere(truck));
            continue;
        }
        machines.push(Machine::truck(truck).of_fleet(truck / 2));
        if is_electric(truck) {
            machines.push(Machine::part(truck, 'B', battery_serial(truck), "GNB", "18-85 BATTERY"));
            machines.push(Machine::part(truck, 'C', Some(format!("CH{truck:05}")), "Ametek Chargers", "36V"));
        }
        if truck % 17 == 0 {
            let serial = Some(format!("{}  ", truck_serial(truck).to_lowercase()));
            machines.push(Machine { serial, oddity: MachineOddity::Twice, ..Machine::truck(truck) }.of_fleet(1));
        }
    }
    let cut_over = options.from.and_time(NaiveTime::MIN);
    machines.extend([
        Machine::odd(MachineOddity::Pseudo, Some("null"), None),
        Machine::odd(MachineOddity::Pseudo, Some("RTRSEL"), Some("  ")),
        Machine::odd(MachineOddity::Pseudo, Some("U0007"), Some("ser01")),
        Machine::odd(MachineOddity::Pseudo, None, Some("")),
        Machine::odd(MachineOddity::PseudoUnitNo, Some("null"), Some("SN-NULL-1")),
        Machine::odd(MachineOddity::PseudoUnitNo, Some("null"), Some("SN-NULL-2")),
        Machine::odd(MachineOddity::Sold, Some(SOLD_UNIT), Some("SN-SOLD-1")),
        Machine {
            deleted: Some(cut_over + Days::new(3)),
            ..Machine::odd(MachineOddity::Deleted, Some("U0043"), Some("SN-VOID-1"))
        },
        Machine {
            customers: Some(true),
            customer_no: Some(CUSTOMERS[0].0),
            ..Machine::odd(MachineOddity::CustomerOwned, Some("U0044"), Some("SN-THEIRS-1"))
        },
        // Long gone, and still billed: what it was is known from its deleted row alone.
        Machine {
            make: "Tennant",
            model: "Allied sweeper",
            dept: Some(20),
            deleted: Some(cut_over),
            is: MachineType::Allied,
            ..Machine::odd(MachineOddity::Deleted, Some("U0045"), Some(GONE_SERIAL))
        },
    ]);
    machines
}

/// A truck that is not of the fleet: most are customers', others stand in the yard for sale.
fn elsewhere(truck: i64) -> Machine {
    let (dept, customers) = match truck % 7 {
        0 => (Some(10), Some(false)),
        1 => (Some(20), None),
        2 => (Some(30), Some(false)),
        _ => (None, Some(true)),
    };
    let customer_no = customers.filter(|owned| *owned).map(|_| CUSTOMERS[truck as usize % CUSTOMERS.len()].0);
    let machine = Machine::truck(truck);
    let is = if dept == Some(30) { MachineType::Allied } else { machine.is };
    Machine { dept, customers, customer_no, is, status: (truck % 5 == 0).then_some("Ready To Rent"), ..machine }
}

/// The lines of the rental orders, and a few that stand on others. Counted out instead of drawn, so that a month has
/// some of each kind.
pub(super) fn lines(orders: &[WorkOrder]) -> Vec<RentalLine> {
    let mut lines = Vec::new();
    for order in orders {
        let Some(truck) = order.unit.as_deref().and_then(|unit| unit[1..].parse::<i64>().ok()) else { continue };
        let n = order.number;
        if order.kind != "R" {
            // A service order may have the line of the rental it was written for; that rents nothing.
            if n % 9 == 0 {
                lines.push(line(order, Some(truck_unit(truck)), Some(truck_serial(truck))));
            }
            continue;
        }
        let (unit, serial) = (truck_unit(truck), truck_serial(truck));
        lines.push(match n % 6 {
            0 => line(order, Some(unit.clone()), None),
            1 => line(order, Some("  ".into()), Some(serial.to_lowercase())),
            2 => line(order, Some(unit.clone()), Some(format!("{serial}   "))),
            _ => line(order, Some(unit.clone()), Some(serial.clone())),
        });
        if is_electric(truck) && n % 2 == 0 {
            lines.push(line(order, Some(part_unit(truck, 'B')), battery_serial(truck)));
            lines.push(line(order, Some(part_unit(truck, 'C')), Some(format!("CH{truck:05}"))));
        }
        match n % 11 {
            0 => lines.push(line(order, Some(unit), Some(serial))),
            // Taken off the order again.
            1 => lines.push(RentalLine {
                deleted: Some(order.opened),
                ..line(order, Some(truck_unit(truck + 1)), Some(truck_serial(truck + 1)))
            }),
            2 => lines.push(line(order, None, Some("".into()))),
            3 => lines.push(line(order, Some("RTRSEL".into()), None)),
            4 => lines.push(line(order, Some("NULL".into()), Some(" ".into()))),
            // A slip of the pen.
            5 => lines.push(line(order, Some(truck_unit(truck + 1)), Some(format!("{serial}O")))),
            6 => lines.push(line(order, Some(SOLD_UNIT.into()), Some("SN-SOLD-1".into()))),
            _ => {}
        }
    }
    lines
}

fn line(order: &WorkOrder, unit_no: Option<String>, serial: Option<String>) -> RentalLine {
    RentalLine { work_order: order.number, unit_no, serial, deleted: None }
}
