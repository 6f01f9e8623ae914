//! The rental fleet of a night against an oracle: the same figures read off the generator's own machines, orders, lines
//! and invoices, without SQL.

use std::collections::BTreeMap;

use chrono::{Datelike, Days};
use marts::sandbox::business::dealer::{
    Exclusions, FleetDay, FleetRules, INTERNAL_CUSTOMERS, MachineType, SOLD_UNIT, Units,
};
use marts::sandbox::business::{Cell, TableData, text};
use marts::sandbox::tds::{Break, Fault, FaultPlan, SqlError, StatementFault};

use super::closed::{serve, serve_table, void};
use super::stage::{Stage, as_of, day};

const MART: &str = "select snapshot_date, year, month, total_units, available_units, rented_units, maintenance_units,
        utilization_rate, rental_revenue_mtd, rental_revenue_ytd, active_rental_customers, source_system
    from mart_rental_fleet order by snapshot_date";

const TYPES: [&str; 4] = ["allied", "battery_charger", "forklift", "unassigned"];

fn rules() -> FleetRules {
    FleetRules {
        gone: vec![SOLD_UNIT.into()],
        internal: INTERNAL_CUSTOMERS.map(str::to_owned).to_vec(),
        ..FleetRules::default()
    }
}

fn name(machine: Option<MachineType>) -> &'static str {
    match machine {
        Some(MachineType::Allied) => TYPES[0],
        Some(MachineType::BatteryCharger) => TYPES[1],
        Some(MachineType::Forklift) => TYPES[2],
        None => TYPES[3],
    }
}

/// Hundredths of a percent, half away from zero.
fn rate(units: Units) -> String {
    text(if units.total() == 0 { 0 } else { (2 * 10_000 * units.rented + units.total()) / (2 * units.total()) })
}

/// What must be published of a day: its row, its units by type and its revenue by type.
fn expected(on: chrono::NaiveDate, fleet: &FleetDay) -> (Vec<String>, BTreeMap<String, Vec<String>>, Vec<String>) {
    let mut all = Units::default();
    for units in fleet.units.values() {
        all.rented += units.rented;
        all.available += units.available;
        all.maintenance += units.maintenance;
        all.other += units.other;
    }
    let row = vec![
        on.to_string(),
        on.year().to_string(),
        on.month().to_string(),
        all.total().to_string(),
        all.available.to_string(),
        all.rented.to_string(),
        all.maintenance.to_string(),
        rate(all),
        text(fleet.revenue_mtd),
        text(fleet.revenue_ytd),
        fleet.customers.to_string(),
        "softbase".into(),
    ];
    let units = fleet.units.iter().map(|(machine, units)| {
        let counts = [units.total(), units.rented, units.available, units.maintenance, units.other];
        let mut counts: Vec<String> = counts.iter().map(ToString::to_string).collect();
        counts.push(rate(*units));
        (name(Some(*machine)).to_owned(), counts)
    });
    let mut revenue: BTreeMap<&str, String> = BTreeMap::new();
    for (machine, amount) in &fleet.revenue {
        revenue.insert(name(*machine), text(*amount));
    }
    let revenue = TYPES.map(|name| revenue.get(name).cloned().unwrap_or_default());
    (row, units.collect(), revenue.to_vec())
}

/// The same, as it is published.
fn published(stage: &Stage, on: chrono::NaiveDate) -> (Vec<String>, BTreeMap<String, Vec<String>>, Vec<String>) {
    let row = stage.rows(MART).into_iter().find(|row| row[0] == on.to_string()).unwrap();
    let of = format!("from mart_rental_fleet where snapshot_date = '{on}'");
    let units = stage.rows(&format!(
        "select type, units->>'total', units->>'rented', units->>'available', units->>'maintenance', units->>'other',
            units->>'utilization_rate'
        from (select (jsonb_each(units_by_type)).key as type, (jsonb_each(units_by_type)).value as units {of}) as types
        order by type"
    ));
    let units = units.into_iter().map(|mut row| (row.remove(0), row)).collect();
    let columns = TYPES.map(|name| format!("coalesce(revenue_by_type->>'{name}', '')")).join(", ");
    let revenue = stage.rows(&format!("select {columns} {of}")).remove(0);
    (row, units, revenue)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cell_of_the_fleet_is_what_the_business_says() {
    let stage = Stage::start().await;
    stage.night(&["etl_sales_daily", "etl_rental_fleet"], 0);
    let fleet = stage.world.dealer.fleet_day(as_of(), &rules());
    assert_eq!(published(&stage, as_of()), expected(as_of(), &fleet));
    // The figures are those of a dealer, and of every kind there is something.
    assert_eq!(fleet.units.len(), 3);
    assert_eq!(fleet.revenue.len(), 4);
    let forklifts = fleet.units[&MachineType::Forklift];
    assert!(forklifts.rented > 5 && forklifts.available > 5 && forklifts.maintenance > 2 && forklifts.other > 0);
    assert!(fleet.customers > 3 && fleet.revenue_ytd > fleet.revenue_mtd);

    // Both marts, as readers see them, say the same of the month.
    let month = "select sum(rental_revenue) from mart_sales_daily where year = 2026 and month = 1";
    assert_eq!(stage.value(month), stage.value("select rental_revenue_mtd from mart_rental_fleet"));
    assert_eq!(stage.value("select count(*) from etl_runs where status = 'success'"), "2");

    // Again, nothing changes.
    let before = stage.rows("select * from mart_rental_fleet");
    stage.night(&["etl_rental_fleet"], 0);
    assert_eq!(stage.rows("select * from mart_rental_fleet"), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_under_other_settings_follows_them() {
    let stage = Stage::with(Stage::options(23, day("2025-11-03"))).await;
    stage.reword("fiscal_year_start_month = 11", "fiscal_year_start_month = 10\nexcluded_months = [\"2025-10\"]");
    stage.reword(&format!("excluded_units = [\"{SOLD_UNIT}\"]"), "excluded_units = [\"u107\", \"CH00102\"]");
    stage.reword("internal_customers = [", "internal_customers = [\"AB1204\", ");
    stage.reword(
        "[org.softbase.rental]",
        "excluded_customers = [\"10021\"]\nexcluded_branches = [2]\n[org.softbase.rental]",
    );
    stage.ends(&["run", "etl_rental_fleet", "--as-of", "2025-11-03"], 0);
    let mut rules = rules();
    rules.gone = vec!["U107".into(), "CH00102".into()];
    rules.internal.push("ab1204".into());
    rules.exclusions = Exclusions { customers: vec!["10021".into()], branches: vec![2] };
    rules.excluded_months = vec![day("2025-10-01")];
    let mut dealer = (*stage.world.dealer).clone();
    dealer.options.fiscal_year_start_month = 10;
    let fleet = dealer.fleet_day(day("2025-11-03"), &rules);
    assert_eq!(fleet.revenue_ytd, fleet.revenue_mtd, "October is left out");
    assert_eq!(published(&stage, day("2025-11-03")), expected(day("2025-11-03"), &fleet));
}

#[tokio::test(flavor = "multi_thread")]
async fn days_gone_by_come_from_their_snapshots_only() {
    let stage = Stage::start().await;
    let yesterday = as_of() - Days::new(1);
    let (from, to) = (yesterday.to_string(), as_of().to_string());
    let range = ["run", "etl_rental_fleet", "--from", &from, "--to", &to, "--as-of", &to];
    let (table, _) = stage.ends(&range, 1);
    assert!(table.contains("2026-01-19 was never taken, and the source gives only the present"), "{table}");
    assert_eq!(stage.value("select count(*) from mart_rental_fleet"), "0");
    // The same for the night before, when it is asked for a day late.
    let (table, _) = stage.ends(&["run", "etl_rental_fleet", "--as-of", &from], 1);
    assert!(table.contains("2026-01-19 was never taken, and the source gives only the present"), "{table}");
    // Had it run then, it would be there.
    stage.turn_to(yesterday);
    stage.ends(&["run", "etl_rental_fleet", "--as-of", &from], 0);
    stage.turn_to(as_of());
    let (_, said) = stage.ends(&["run", "etl_rental_fleet", "--as-of", &from], 0);
    assert!(said.contains("bennett: softbase_equipment 2026-01-19 is the snapshot taken 2026-01-20 14:0"), "{said}");
    stage.ends(&range, 0);
    let fleet = stage.world.dealer.fleet_day(yesterday, &rules());
    assert_eq!(published(&stage, yesterday), expected(yesterday, &fleet));
    assert_eq!(stage.rows(MART).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_gone_by_keeps_its_work_orders_when_sales_ask_for_them_anew() {
    let stage = Stage::start().await;
    let (then, text) = (day("2026-01-10"), "2026-01-10");
    let jobs = ["etl_sales_daily", "etl_rental_fleet"];
    let both = [&["run", "--as-of", text], &jobs[..]].concat();
    stage.turn_to(then);
    stage.ends(&both, 0);
    let fleet = stage.world.dealer.fleet_day(then, &rules());
    assert_eq!(published(&stage, then), expected(then, &fleet));
    let open_orders = || -> u32 {
        let sql = format!("select open_work_orders from mart_sales_daily where sales_date = '{then}'");
        stage.value(&sql).parse().unwrap()
    };
    let before = open_orders();

    // Five days later every rental order is voided, and five days after that the day is reported again.
    serve_table(&stage, "WO", |orders| {
        let is_rental = |orders: &TableData, row: &[Cell]| matches!(&row[orders.position("Type").unwrap()], Cell::Text(text) if text.trim() == "R");
        assert!(void(orders, "2026-01-15", is_rental) > 5);
    });
    stage.turn_to(as_of());
    let (_, said) = stage.ends(&both, 0);
    let its_own = "bennett: softbase_work_orders 2026-01-10 is the snapshot taken 2026-01-11 14:0";
    assert!(said.contains(its_own), "{said}");
    assert!(open_orders() < before, "sales say what the source says now: {before}");
    assert_eq!(published(&stage, then), expected(then, &fleet), "and the fleet what it said then");
    let (explained, _) = stage.ends(&["explain", "mart_rental_fleet", "--org", "bennett"], 0);
    assert!(!explained.contains("DIFFERS"), "{explained}");

    let from_staging = |more: &[&str]| {
        stage.ends(&["postgres", "delete from mart_rental_fleet"], 0);
        let (_, said) = stage.ends(&[&both[..], &["--from-staging"], more].concat(), 0);
        assert_eq!(published(&stage, then), expected(then, &fleet), "{more:?}");
        said.contains(its_own)
    };
    assert!(from_staging(&[]) && from_staging(&["--as-of-pull", "2026-01-21T20:00:00Z"]));
    assert!(!from_staging(&["--as-of-pull", "2026-01-11T20:00:00Z"]), "then the day was the present");

    // Nor does it go when no row rests on it any more, as after a night whose fleet failed.
    let failed = "update etl_runs set status = 'failed'
        where job = 'etl_rental_fleet' or detail ->> 'as_of_pull' is not null";
    stage.ends(&["postgres", failed], 0);
    stage.ends(&["staging", "gc", "--keep", "0d"], 0);
    let (list, _) = stage.ends(&["staging", "ls", "softbase_work_orders"], 0);
    assert_eq!(list.matches(" counts ").count(), 2, "{list}");
    assert!(from_staging(&[]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_that_is_not_the_days_of_sales_is_told_of_unless_one_run_publishes_both() {
    let stage = Stage::start().await;
    let jobs = ["etl_sales_daily", "etl_rental_fleet"];
    let month = "select sum(rental_revenue) from mart_sales_daily where year = 2026 and month = 1";
    stage.night(&jobs[..1], 0);
    let before = stage.value(month);
    // Between the two jobs an invoice of the month is voided.
    serve(&stage, |register| {
        let rents = |register: &TableData, row: &[Cell]| {
            let cell = |name: &str| &row[register.position(name).unwrap()];
            matches!(cell("InvoiceDate"), Cell::DateTime(at) if at.date() == day("2026-01-12"))
                && matches!(cell("RentalTaxable"), Cell::Decimal(amount) if !amount.is_zero())
        };
        assert!(void(register, "2026-01-21", rents) > 0);
    });
    let (said, _) = stage.night(&jobs[1..], 0);
    let after = stage.value("select rental_revenue_mtd from mart_rental_fleet");
    assert_ne!(after, before);
    let warning = format!(
        "warning month_and_sales 2026-01-20: rental revenue of the month is {after}, and the days of mart_sales_daily \
         come to {before}: "
    );
    assert!(said.contains(&warning), "{warning}: {said}");
    // What the run is about to publish counts, not what it replaces.
    let (said, _) = stage.night(&jobs, 0);
    assert!(!said.contains("month_and_sales"), "{said}");
    assert_eq!(stage.value(month), after);
    let (said, _) = stage.night(&jobs[1..], 0);
    assert!(!said.contains("month_and_sales"), "{said}");
    // Where a day of the month is not published there is nothing to compare.
    stage.ends(&["postgres", "delete from mart_sales_daily where sales_date = '2026-01-12'"], 0);
    let (said, _) = stage.night(&jobs[1..], 0);
    assert!(!said.contains("month_and_sales"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_register_that_gives_nothing_holds_what_is_published_of_it() {
    let stage = Stage::start().await;
    let jobs = ["etl_sales_daily", "etl_rental_fleet"];
    stage.night(&jobs, 0);
    let sales = "select sales_date, total_revenue, total_invoices from mart_sales_daily order by 1";
    let before = (stage.rows(sales), stage.rows(MART));
    serve(&stage, |register| register.rows.clear());
    let (said, _) = stage.night(&jobs, 1);
    assert!(said.contains("error no_invoices: the register gave not one invoice, and "), "{said}");
    assert!(
        said.contains("error no_invoices 2026-01-20: the register gave not one invoice of the fiscal year, and "),
        "{said}"
    );
    assert_eq!((stage.rows(sales), stage.rows(MART)), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_pull_of_any_of_the_four_leaves_the_fleet_as_it_was() {
    let stage = Stage::start().await;
    stage.amend("[limits]\ntries = 2\nfirst_backoff_millis = 1\nmax_backoff_secs = 1\n");
    stage.night(&["etl_rental_fleet"], 0);
    let before = stage.rows("select * from mart_rental_fleet");
    for (view, dataset) in [
        ("[Equipment]", "softbase_equipment 2026-01-20"),
        ("[WORental]", "softbase_rental_lines 2026-01-20"),
        ("[WO]", "softbase_work_orders 2026-01-20"),
        ("[InvoiceReg]", "softbase_invoices 2025-11"),
    ] {
        let broken = StatementFault::AfterRows(20, Break::Error(SqlError::known(1205)));
        stage.world.softbase.set_faults(FaultPlan::one(Fault::statement(view, broken).times(9)));
        let (table, _) = stage.night(&["etl_rental_fleet"], 1);
        let said = format!("pulling {dataset}: ");
        assert!(table.contains(&said) && table.contains("gave up after 2 tries"), "{said}: {table}");
        assert_eq!(stage.rows("select * from mart_rental_fleet"), before);
    }
}
