//! mart_rental_fleet on awkward rows, and its audit.

use std::collections::BTreeMap;

use marts::audit::{Severity, audit};
use marts::config::Org;
use marts::datasets::dataset;
use marts::periods::Partition;

use super::support::*;

const TODAY: &str = "2026-01-20";

fn unit(serial: &str, unit_no: &str) -> Row {
    Row::default().text("serial_no", serial).text("unit_no", unit_no).int("inventory_dept", 60)
}

pub(super) fn ready(serial: &str, unit_no: &str) -> Row {
    unit(serial, unit_no).text("rental_status", "Ready To Rent")
}

pub(super) fn line(order: &str, serial: &str, unit_no: &str) -> Row {
    Row::default().text("work_order_no", order).text("serial_no", serial).text("unit_no", unit_no)
}

pub(super) fn order(number: &str) -> Row {
    work_order(number, "2026-01-05").text("work_order_type", "R").text("ship_to", "C1").text("bill_to", "C2")
}

fn rental(number: &str, date: &str, amount: &str) -> Row {
    invoice(number, date).amount("rental_taxable", amount)
}

/// What a scene is made of; each part has one good row unless a test says otherwise.
pub(super) struct Parts {
    pub org: Org,
    pub equipment: Vec<Row>,
    pub lines: Vec<Row>,
    pub orders: Vec<Row>,
    pub invoices: Vec<Row>,
}

impl Parts {
    pub fn new() -> Parts {
        Parts {
            org: org(),
            equipment: vec![ready("S1", "U1")],
            lines: vec![line("1600001", "S1", "U1")],
            // The second is no rental: it says that the day's work is in the source.
            orders: vec![order("1600001"), work_order("1700001", TODAY)],
            invoices: Vec::new(),
        }
    }

    pub fn on(&self, today: &str) -> Scene {
        let mut scene = Scene::new("etl_rental_fleet", self.org.clone(), today, today);
        for (name, rows) in [
            ("softbase_equipment", &self.equipment),
            ("softbase_rental_lines", &self.lines),
            ("softbase_work_orders", &self.orders),
        ] {
            scene.land(dataset(name).unwrap(), Partition::Day(day(today)), rows);
        }
        scene.land_months("softbase_invoices", &self.invoices, "invoice_date");
        scene
    }

    fn row(&self) -> BTreeMap<String, String> {
        self.on(TODAY).mart().remove(0)
    }

    /// Units: all, rented, available, under maintenance.
    fn units(&self) -> [u32; 4] {
        let row = self.row();
        ["total_units", "rented_units", "available_units", "maintenance_units"].map(|name| row[name].parse().unwrap())
    }

    fn rules(&self) -> Vec<String> {
        self.on(TODAY).rules().into_iter().map(|(rule, _)| rule).collect()
    }
}

#[test]
fn a_unit_rented_twice_counts_once() {
    let mut parts = Parts::new();
    parts.equipment.push(ready("S2", "U2"));
    parts.orders.push(order("1600002").text("ship_to", "C3"));
    parts.lines.extend([line("1600002", " s1 ", "U1"), line("1600001", "S1", "U1")]);
    let row = parts.row();
    assert_row(
        &row,
        &[
            ("snapshot_date", TODAY),
            ("year", "2026"),
            ("month", "1"),
            ("total_units", "2"),
            ("rented_units", "1"),
            ("available_units", "1"),
            ("utilization_rate", "50.00"),
            ("active_rental_customers", "2"),
        ],
    );
    assert_eq!(parts.rules(), [] as [&str; 0]);
}

#[test]
fn a_truck_and_its_charger_under_one_number_are_rented_by_serial() {
    let mut parts = Parts::new();
    parts.equipment.push(unit("C9", "U1").text("model", "36V Charger").text("rental_status", "hold "));
    assert_eq!(parts.units(), [2, 1, 0, 1]);
    let objects = &parts.row()["units_by_type"];
    assert_eq!(
        *objects,
        "{\"battery_charger\": {\"available\": 0, \"maintenance\": 1, \"other\": 0, \"rented\": 0, \"total\": 1, \
         \"utilization_rate\": 0.00}, \"forklift\": {\"available\": 0, \"maintenance\": 0, \"other\": 0, \"rented\": 1, \
         \"total\": 1, \"utilization_rate\": 100.00}}"
    );
    assert_eq!(parts.rules(), [] as [&str; 0]);
}

#[test]
fn a_line_without_a_serial_rents_every_unit_of_its_number() {
    let mut parts = Parts::new();
    parts.equipment.extend([unit("C9", "u1"), ready("", "U1"), ready("S3", "U1B"), ready("", "S1")]);
    parts.lines = vec![line("1600001", " ", "U1")];
    // The fourth of them has for its number the serial of the truck: one identity is one unit.
    assert_eq!(parts.units(), [4, 3, 1, 0], "the truck, its charger, and the unit that is only a number");
    assert_eq!(parts.rules(), ["shared_numbers"]);
    // With a serial that nobody has, it rents nothing, whatever number stands beside it.
    parts.lines = vec![line("1600001", "S1-TYPO", "U1")];
    assert_eq!(parts.units()[1], 0);
    assert_eq!(parts.rules(), ["lines_without_unit"]);
    // A serial is never looked for among unit numbers.
    parts.equipment.push(ready("", "S9"));
    parts.lines = vec![line("1600001", "S9", "")];
    assert_eq!(parts.units()[1], 0);
    parts.lines = vec![line("1600001", "S1", "")];
    assert_eq!(parts.units()[1], 1);
}

#[test]
fn blank_and_pseudo_keys_of_lines_never_match() {
    let mut parts = Parts::new();
    parts.equipment = vec![ready("S1", "null"), ready("S2", ""), ready("", "U3"), unit("S4", "RTRSEL")];
    parts.orders.push(work_order("", "2026-01-05").text("work_order_type", "R"));
    parts.lines = vec![
        line("1600001", "", ""),
        line("1600001", "  ", " "),
        line("1600001", "", "NULL"),
        line("1600001", "null", "U3"),
        line("1600001", "", "rtrsel"),
        line("", "S1", "U3"),
        Row::default(),
        Row::default().text("work_order_no", "1600001"),
    ];
    assert_eq!(parts.units(), [4, 0, 3, 0]);
    assert_eq!(parts.row()["active_rental_customers"], "0");
}

#[test]
fn a_sold_unit_that_is_still_in_the_department_is_left_out_by_the_list() {
    let mut parts = Parts::new();
    parts.equipment.extend([ready("S2", "U2"), ready("S3", "U3"), ready("S4", "U3")]);
    assert_eq!(parts.units(), [4, 1, 3, 0]);
    parts.org.softbase.as_mut().unwrap().rental.excluded_units = vec![" s2".into(), "u3 ".into()];
    assert_eq!(parts.units(), [1, 1, 0, 0], "by its serial, or by the number, whoever bears it");
    assert_eq!(parts.rules(), [] as [&str; 0]);
}

#[test]
fn only_standing_equipment_of_the_department_that_is_no_customers_is_the_fleet() {
    let mut parts = Parts::new();
    parts.equipment = vec![
        ready("S1", "U1").flag("is_customers", false),
        ready("S2", "U2").flag("is_customers", true),
        ready("S3", "U3").day("deleted_date", "2025-01-01"),
        ready("S4", "U4").int("inventory_dept", 10),
        ready("S5", "U5").null("inventory_dept"),
        ready("SER01", "U6"),
        ready("", "TugBat "),
        ready("", " "),
        Row::default().int("inventory_dept", 60),
        ready("S7", "null"),
        unit("S8", ""),
    ];
    assert_eq!(parts.units(), [3, 1, 1, 0]);
    assert_eq!(parts.rules(), [] as [&str; 0]);
    let rental = &mut parts.org.softbase.as_mut().unwrap().rental;
    (rental.departments, rental.pseudo_numbers) = (vec![10, 60], vec!["S7".into()]);
    assert_eq!(parts.units(), [5, 1, 3, 0], "with U4, U6 and TugBat, without S7");
}

#[test]
fn rows_of_one_unit_that_disagree_make_one_unit() {
    let mut parts = Parts::new();
    parts.lines = vec![line("1600001", "S9", "")];
    parts.equipment = vec![unit("S1", "U1"), unit("s1 ", "U1").text("rental_status", " HOLD"), ready(" S1", "U7")];
    assert_eq!(parts.units(), [1, 0, 0, 1]);
    parts.equipment.remove(1);
    assert_eq!(parts.units(), [1, 0, 1, 0]);
    // Rented through the number that only one of its rows bears.
    parts.lines = vec![line("1600001", "", "U7")];
    assert_eq!(parts.units(), [1, 1, 0, 0]);
    assert_eq!(parts.rules(), [] as [&str; 0]);
}

#[test]
fn total_is_rented_available_maintenance_and_other() {
    let mut parts = Parts::new();
    parts.equipment.extend([
        ready("S2", "U2"),
        unit("S3", "U3").text("rental_status", "Hold"),
        unit("S4", "U4"),
        unit("S5", "U5").text("rental_status", "Rented"),
    ]);
    assert_eq!(parts.units(), [5, 1, 1, 1]);
    assert!(parts.row()["units_by_type"].contains("\"other\": 2"), "{}", parts.row()["units_by_type"]);
}

#[test]
fn an_order_rents_while_it_is_open() {
    let cases = [
        (order("1600001"), 1),
        (order("1600001").text("work_order_type", "r "), 1),
        (order("1600001").text("work_order_type", "S"), 0),
        (order("1600001").null("work_order_type"), 0),
        (order("1600001").day("completed_date", "2026-01-10"), 1),
        (order("1600001").day("closed_date", TODAY), 0),
        (order("1600001").day("closed_date", "2026-01-21"), 1),
        (order("1600001").day("open_date", TODAY), 1),
        (order("1600001").day("open_date", "2026-01-21"), 0),
        (order("1600001").day("open_date", "2019-01-01"), 1),
        (order("1600001").null("open_date"), 1),
        (order("1600001").day("deleted_date", "2026-01-06"), 0),
        (order("9100001"), 0),
        (order("1600666"), 0),
    ];
    for (row, rented) in cases {
        let mut parts = Parts::new();
        let settings = parts.org.softbase.as_mut().unwrap();
        settings.excluded_work_orders = vec!["1600666 ".into()];
        let number = match &row.0["work_order_no"] {
            Cell::Text(number) => number.clone(),
            _ => unreachable!(),
        };
        parts.lines = vec![line(&format!("{number}  "), "S1", "U1")];
        parts.orders = vec![row.clone()];
        assert_eq!(parts.units()[1], rented, "{row:?}");
        assert_eq!(parts.row()["active_rental_customers"], rented.to_string(), "{row:?}");
    }
    let mut parts = Parts::new();
    parts.lines = vec![line("1600001", "S1", "U1").day("deleted_date", "2026-01-07")];
    assert_eq!(parts.units()[1], 0, "a line taken off its order");
}

#[test]
fn a_fleet_without_units_has_a_utilization_of_0() {
    let mut parts = Parts::new();
    parts.equipment = vec![ready("S1", "U1").int("inventory_dept", 10)];
    let row = parts.row();
    assert_row(
        &row,
        &[
            ("total_units", "0"),
            ("utilization_rate", "0.00"),
            ("units_by_type", "{}"),
            ("revenue_by_type", "{}"),
            ("rental_revenue_mtd", "0.00"),
            ("rental_revenue_ytd", "0.00"),
            ("active_rental_customers", "0"),
        ],
    );
    assert_eq!(parts.rules(), ["lines_without_unit", "no_fleet"]);
}

#[test]
fn the_customer_is_who_has_the_unit_and_internal_accounts_are_none() {
    let mut parts = Parts::new();
    parts.org.softbase.as_mut().unwrap().rental.internal_customers = vec!["Int900".into()];
    parts.equipment.extend([ready("S2", "U2"), ready("S3", "U3")]);
    let who = |ship_to: &str, bill_to: &str| order("1600001").text("ship_to", ship_to).text("bill_to", bill_to);
    for (row, customers) in [
        (who("C1", "C2"), "1"),
        (who(" ", "C2"), "1"),
        (who("INT900  ", "C2"), "0"),
        (who("", "int900"), "0"),
        (who("C1", "int900"), "1"),
        (who("", ""), "0"),
    ] {
        parts.orders = vec![row];
        assert_row(&parts.row(), &[("active_rental_customers", customers), ("rented_units", "1")]);
    }
    // One customer under two spellings and on three orders is one; an order that rents nothing of ours has none.
    parts.orders = vec![
        who("c1", ""),
        order("1600002").text("ship_to", "C1  "),
        order("1600003").text("ship_to", "").text("bill_to", "C1"),
        order("1600004").text("ship_to", "C7"),
        work_order("1700001", TODAY),
    ];
    parts.lines.extend([line("1600002", "S2", ""), line("1600003", "S3", ""), line("1600004", "S99", "")]);
    assert_row(&parts.row(), &[("active_rental_customers", "1"), ("rented_units", "3")]);
    assert_eq!(parts.rules(), ["lines_without_unit"]);
}

#[test]
fn month_to_date_is_the_sum_of_the_days_of_mart_sales_daily() {
    let mut parts = Parts::new();
    let settings = parts.org.softbase.as_mut().unwrap();
    settings.excluded_customers = vec!["int9".into()];
    settings.excluded_branches = vec![3];
    parts.invoices = vec![
        // Days whose amounts do not end at a cent: each is rounded by itself.
        rental("1", "2026-01-01", "10.0040"),
        rental("2", "2026-01-01", "0.0010"),
        rental("3", "2026-01-02", "10.0050").text("serial_no", "S1"),
        rental("4", "2026-01-03", "-7.0050").text("serial_no", "B1"),
        rental("5", "2026-01-20", "100.3333").text("serial_no", "B1"),
        rental("6", "2026-01-20", "100.3333").text("serial_no", "s1 "),
        rental("7", "2026-01-20", "100.3333").amount("rental_non_tax", "0.5"),
        rental("8", "2026-01-20", "999").day("deleted_date", "2026-01-20"),
        rental("9", "2026-01-20", "999").text("ship_to", "INT9 "),
        rental("10", "2026-01-20", "999").int("sale_branch", 3),
        rental("11", "2026-01-21", "999"),
        rental("12", "2025-12-31", "1000"),
        rental("13", "2025-11-01", "2000.005"),
        rental("14", "2025-11-01", "0.005"),
        invoice("15", "2026-01-20").amount("labor_taxable", "999"),
    ];
    parts.equipment.push(ready("B1", "U1B").text("make", "Enersys Batt."));
    let scene = parts.on(TODAY);
    let row = scene.mart().remove(0);
    let sales = |from: &str| -> rust_decimal::Decimal {
        let mut sales = Scene::new("etl_sales_daily", parts.org.clone(), from, TODAY);
        sales.land_months("softbase_invoices", &parts.invoices, "invoice_date");
        sales.land(dataset("softbase_work_orders").unwrap(), Partition::Day(day(TODAY)), &parts.orders);
        sales.mart().iter().map(|row| row["rental_revenue"].parse::<rust_decimal::Decimal>().unwrap()).sum()
    };
    assert_eq!(row["rental_revenue_mtd"], sales("2026-01-01").to_string());
    assert_eq!(row["rental_revenue_mtd"], "314.51", "10.01 + 10.01 - 7.01 + 301.50");
    assert_eq!(row["rental_revenue_ytd"], sales("2025-11-01").to_string());
    let types = [("battery_charger", 93.32), ("forklift", 110.35), ("unassigned", 110.84)];
    let types = types.map(|(name, amount)| format!("\"{name}\": {amount:.2}")).join(", ");
    assert_eq!(row["revenue_by_type"], format!("{{{types}}}"));
    assert_eq!(scene.rules(), []);
}

#[test]
fn the_year_to_date_is_fiscal_and_skips_what_has_no_row() {
    let revenue = |start: u32, today: &str, from: Option<&str>, excluded: &[&str]| {
        let mut parts = Parts::new();
        parts.org.fiscal_year_start_month = start;
        parts.org.data_start_date = from.map(day);
        parts.org.excluded_months = excluded.iter().map(|month| day(month)).collect();
        parts.invoices = [
            ("2024-11-01", "1"),
            ("2025-01-01", "2"),
            ("2025-02-28", "4"),
            ("2025-10-31", "8"),
            ("2025-11-01", "16"),
            ("2025-12-31", "32"),
            ("2026-01-01", "64"),
            ("2026-01-20", "128"),
        ]
        .iter()
        .enumerate()
        .map(|(number, (date, amount))| rental(&number.to_string(), date, amount))
        .filter(|row| {
            let scene = Scene::new("etl_rental_fleet", parts.org.clone(), today, today);
            let wanted = &scene.plan.wanted[3].partitions;
            wanted.contains(&Partition::month_of(row.date("invoice_date")))
        })
        .collect();
        let scene = parts.on(today);
        assert_eq!(scene.rules(), [], "{today}");
        let row = scene.mart().remove(0);
        (row["rental_revenue_mtd"].clone(), row["rental_revenue_ytd"].clone())
    };
    let both = |mtd: &str, ytd: &str| (mtd.to_owned(), ytd.to_owned());
    assert_eq!(revenue(11, "2026-01-20", None, &[]), both("192.00", "240.00"));
    assert_eq!(revenue(1, "2026-01-20", None, &[]), both("192.00", "192.00"));
    assert_eq!(revenue(11, "2025-10-31", None, &[]), both("8.00", "15.00"));
    assert_eq!(revenue(11, "2025-11-01", None, &[]), both("16.00", "16.00"));
    assert_eq!(revenue(1, "2025-12-31", None, &[]), both("32.00", "62.00"));
    assert_eq!(revenue(2, "2026-01-20", None, &[]), both("192.00", "252.00"));
    assert_eq!(revenue(11, "2026-01-20", Some("2026-01-02"), &[]), both("128.00", "128.00"));
    assert_eq!(revenue(11, "2026-01-20", None, &["2025-12-01"]), both("192.00", "208.00"));
}

#[test]
fn revenue_goes_to_the_type_of_its_serial_among_all_equipment() {
    let mut parts = Parts::new();
    let machine = |serial: &str| unit(serial, "X").int("inventory_dept", 20);
    parts.equipment.extend([
        machine("A1").text("make", "ALLIED products"),
        machine("A2").int("inventory_dept", 30).text("model", "battery"),
        machine("B1").text("model", "Super-CHARGE 36"),
        machine("F1").flag("is_customers", true),
        machine("F2").day("deleted_date", "2025-01-01").text("make", "Linde"),
        // A row that stands says more than one that is deleted.
        machine("F3").text("make", "Linde"),
        machine("F3").text("make", "Allied").day("deleted_date", "2025-01-01"),
        machine("SER01"),
        machine("").text("make", "Allied"),
    ]);
    let serials = ["a1 ", "A2", "B1", "F1", "F2", "F3", "SER01", "", "nobody", "X"];
    parts.invoices = (0..)
        .zip(serials)
        .map(|(at, serial)| rental(&at.to_string(), TODAY, &(1 << at).to_string()).text("serial_no", serial))
        .collect();
    assert_eq!(
        parts.row()["revenue_by_type"],
        "{\"allied\": 3.00, \"battery_charger\": 4.00, \"forklift\": 56.00, \"unassigned\": 960.00}"
    );
    assert_eq!(parts.rules(), [] as [&str; 0]);
    // Other words, other types.
    let rental = &mut parts.org.softbase.as_mut().unwrap().rental;
    (rental.allied_departments, rental.allied_words) = (Vec::new(), Vec::new());
    rental.battery_charger_words = vec!["Linde".into(), "allied".into()];
    assert_eq!(
        parts.row()["revenue_by_type"],
        "{\"battery_charger\": 49.00, \"forklift\": 14.00, \"unassigned\": 960.00}"
    );
}

#[test]
fn order_of_rows_and_rows_given_twice_do_not_matter() {
    let mut parts = Parts::new();
    parts.equipment.extend([ready("S2", "U1"), unit("", "U3").text("rental_status", "Hold"), unit("S1", "U9")]);
    parts.lines.extend([line("1600002", "", "U1"), line("1600002", "S2", "U1")]);
    parts.orders.push(order("1600002").text("ship_to", "C9"));
    parts.invoices = (0..20)
        .map(|number| rental(&number.to_string(), TODAY, "3.3333").text("serial_no", ["S1", "S2", "none"][number % 3]))
        .collect();
    let before = parts.row();
    for rows in [&mut parts.equipment, &mut parts.lines] {
        rows.extend(rows.clone());
    }
    assert_eq!(parts.row(), before);
    for rows in [&mut parts.equipment, &mut parts.lines, &mut parts.orders, &mut parts.invoices] {
        rows.reverse();
    }
    assert_eq!(parts.row(), before);
}

#[test]
fn days_are_taken_from_their_own_snapshots() {
    let parts = Parts::new();
    let mut scene = Scene::new("etl_rental_fleet", parts.org.clone(), "2026-01-19", TODAY);
    for (on, status) in [("2026-01-19", "Hold"), (TODAY, "Ready To Rent")] {
        let equipment = [unit("S1", "U1"), unit("S2", "U2").text("rental_status", status)];
        scene.land(dataset("softbase_equipment").unwrap(), Partition::Day(day(on)), &equipment);
        scene.land(dataset("softbase_rental_lines").unwrap(), Partition::Day(day(on)), &parts.lines);
        let closing = [order("1600001").day("closed_date", TODAY), work_order("1700001", "2026-01-18")];
        scene.land(dataset("softbase_work_orders").unwrap(), Partition::Day(day(on)), &closing);
    }
    scene.land_months("softbase_invoices", &[rental("1", TODAY, "5")], "invoice_date");
    let mart = scene.mart();
    assert_row(&mart[0], &[("rented_units", "1"), ("maintenance_units", "1"), ("rental_revenue_mtd", "0.00")]);
    assert_row(&mart[1], &[("rented_units", "0"), ("available_units", "1"), ("rental_revenue_mtd", "5.00")]);
    assert_eq!(scene.rules(), []);
}

#[test]
fn fleet_checks_fire_on_what_they_are_for() {
    let mut parts = Parts::new();
    parts.equipment.extend([ready("S2", "U2"), unit("S3", "U3")]);
    parts.invoices = vec![rental("1", TODAY, "10"), rental("2", "2025-12-01", "5")];
    let scene = parts.on(TODAY);
    assert_eq!(scene.rules(), [], "a good day has no findings");

    // What SQL cannot break by itself: the mart's own figures.
    let (compute, published) = scene.compute().unwrap();
    let broken = |update: &str| {
        compute.compute().unwrap();
        compute.connection().execute_batch(&format!("update mart set {update}")).unwrap();
        let findings = audit(&compute, &[]).unwrap();
        assert!(findings.iter().all(|finding| finding.period == Some(day(TODAY))));
        findings.into_iter().map(|finding| finding.rule).collect::<Vec<_>>()
    };
    assert_eq!(broken("available_units = 2"), ["states_and_total", "types_and_states"]);
    assert_eq!(broken("rented_units = 4"), ["states_and_total", "types_and_states", "utilization"]);
    assert_eq!(broken("utilization_rate = 33.34"), ["utilization"]);
    assert_eq!(broken("utilization_rate = null"), ["utilization"]);
    let twice = "replace(units_by_type::varchar, '\"total\": 3', '\"total\": 2')::json";
    assert_eq!(broken(&format!("units_by_type = {twice}")), ["types_and_states"]);
    let other = "replace(units_by_type::varchar, '\"other\": 1', '\"other\": 0')::json";
    assert_eq!(broken(&format!("units_by_type = {other}")), ["states_and_total"]);
    assert_eq!(broken("rental_revenue_mtd = 10.01"), ["revenue_and_days", "revenue_and_types"]);
    assert_eq!(broken("rental_revenue_ytd = 15.01"), ["revenue_and_days"]);
    assert_eq!(broken("revenue_by_type = '{}'"), ["revenue_and_types"]);
    assert_eq!(broken("active_rental_customers = 2"), ["customers_and_orders"]);
    let all = "total_units = 4, available_units = 2, utilization_rate = 25, units_by_type = replace(replace(\
        units_by_type::varchar, '\"total\": 3', '\"total\": 4'), '\"available\": 1', '\"available\": 2')::json";
    assert_eq!(broken(all), ["units_and_equipment"]);
    compute.compute().unwrap();
    assert_eq!(audit(&compute, &published).unwrap(), []);

    parts.invoices.push(rental(" 1", TODAY, "1"));
    assert_eq!(parts.rules(), ["invoice_twice"]);
    parts.invoices.pop();
    parts.orders.push(order("1600001 "));
    assert_eq!(parts.rules(), ["work_order_twice"]);
    parts.orders.pop();
    parts.lines.clear();
    let findings = parts.on(TODAY).findings(&[]);
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!((findings[0].rule.as_str(), findings[0].severity), ("no_rental_lines", Severity::Error));
}

#[test]
fn revenue_of_the_year_that_fell_far_is_a_warning_and_one_without_invoices_is_held() {
    let of = |invoices: &[Row], today: &str| {
        let mut parts = Parts::new();
        parts.orders.push(work_order("1700002", today));
        parts.invoices = invoices.to_vec();
        parts.on(today)
    };
    // The fiscal year began on 1 November.
    let [old, new] = [rental("1", "2025-11-03", "900"), rental("2", "2026-01-05", "100")];
    let published = of(&[old.clone(), new.clone()], "2026-01-19").compute().unwrap().1;
    let found = |invoices: &[Row], today: &str| -> Vec<String> {
        of(invoices, today).findings(&published).into_iter().map(|finding| finding.to_string()).collect()
    };
    let more = |amount: &str, on: &str| vec![old.clone(), new.clone(), rental("3", on, amount)];
    assert_eq!(found(&more("-500", TODAY), TODAY), [] as [&str; 0], "half is the limit");
    let told = "where 1000.00 is published of 2026-01-19";
    let fell = format!("warning jump 2026-01-20: rental revenue of the year is 499.99 {told}");
    assert_eq!(found(&more("-500.01", TODAY), TODAY), [fell]);
    // A year grows; the same day asked again does not.
    assert_eq!(found(&more("700", TODAY), TODAY), [] as [&str; 0]);
    let rose = format!("warning jump 2026-01-19: rental revenue of the year is 1700.00 {told}");
    assert_eq!(found(&more("700", "2026-01-19"), "2026-01-19"), [rose]);

    let none = "error no_invoices 2026-01-20: the register gave not one invoice of the fiscal year, and 1000.00 of rental \
                revenue is published of 2026-01-19";
    let zero = format!("warning jump 2026-01-20: rental revenue of the year is 0.00 {told}");
    assert_eq!(found(&[], TODAY), [none.to_owned(), zero.clone()]);
    // Of voided invoices the register speaks, and of another year nothing is asked.
    let voided = [old.day("deleted_date", TODAY), new.day("deleted_date", TODAY)];
    assert_eq!(found(&voided, TODAY), [zero]);
    let next_year = found(&[], "2026-11-01");
    assert!(next_year.len() == 1 && next_year[0].starts_with("warning gap: "), "{next_year:?}");
}

#[test]
fn a_fleet_that_shrank_or_stopped_renting_is_a_warning() {
    let many = |count: usize, rented: usize, today: &str| {
        let mut parts = Parts::new();
        parts.equipment = (0..count).map(|n| ready(&format!("S{n}"), "")).collect();
        parts.lines = (0..rented).map(|n| line("1600001", &format!("S{n}"), "")).collect();
        parts.lines.push(line("1600000", "S0", ""));
        parts.on(today)
    };
    let published = many(10, 10, "2026-01-19").compute().unwrap().1;
    let rules = |scene: Scene| -> Vec<String> {
        scene.findings(&published).into_iter().map(|finding| finding.to_string()).collect()
    };
    assert_eq!(rules(many(6, 5, TODAY)), [] as [&str; 0]);
    let told = "where 10 and 10 are published of 2026-01-19";
    assert_eq!(rules(many(4, 4, TODAY)), [format!("warning volume 2026-01-20: 4 units and 4 rented {told}")]);
    assert_eq!(rules(many(9, 4, TODAY)), [format!("warning volume 2026-01-20: 9 units and 4 rented {told}")]);
}
