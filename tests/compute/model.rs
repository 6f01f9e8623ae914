//! mart_sales_daily against the same rules written a second time, in Rust, on random rows.

use chrono::{Datelike, Days, NaiveDate};
use marts::datasets::dataset;
use marts::periods::Partition;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rust_decimal::{Decimal, RoundingStrategy};

use super::support::*;

const FIRST: &str = "2026-01-28";
const DAYS: u64 = 6;

const LINES: [&str; 10] = [
    "labor_taxable",
    "labor_non_tax",
    "parts_taxable",
    "parts_non_tax",
    "rental_taxable",
    "rental_non_tax",
    "equipment_taxable",
    "equipment_non_tax",
    "misc_taxable",
    "misc_non_tax",
];

#[derive(Debug, Clone)]
struct Invoice {
    date: NaiveDate,
    lines: Vec<Option<Decimal>>,
    tax: Option<Decimal>,
    grand_total: Option<Decimal>,
    customers: [Option<&'static str>; 2],
    branch: Option<i64>,
    voided: bool,
}

#[derive(Debug, Clone)]
struct WorkOrder {
    number: String,
    opened: Option<NaiveDate>,
    closed: Option<NaiveDate>,
    voided: bool,
}

fn amount() -> impl Strategy<Value = Option<Decimal>> {
    prop_oneof![
        3 => Just(None),
        1 => Just(Some(Decimal::ZERO)),
        4 => (-20_000_000i64..20_000_000).prop_map(|mantissa| Some(Decimal::new(mantissa, 4))),
        1 => Just(Some("99999999999.9999".parse().unwrap())),
    ]
}

fn date() -> impl Strategy<Value = NaiveDate> {
    (0..DAYS + 4).prop_map(|offset| day(FIRST) - Days::new(2) + Days::new(offset))
}

fn invoices() -> impl Strategy<Value = Vec<Invoice>> {
    let customer = prop::option::of(prop::sample::select(vec!["C1", "int9", "INT9 ", "C2"]));
    let fields = (
        date(),
        prop::collection::vec(amount(), 10),
        amount(),
        amount(),
        [customer.clone(), customer],
        prop::option::of(1i64..4),
        prop::bool::weighted(0.1),
    );
    let invoice = fields.prop_map(|(date, lines, tax, grand_total, customers, branch, voided)| Invoice {
        date,
        lines,
        tax,
        grand_total,
        customers,
        branch,
        voided,
    });
    prop::collection::vec(invoice, 0..40)
}

fn work_orders() -> impl Strategy<Value = Vec<WorkOrder>> {
    let fields = (0..3usize, prop::option::of(date()), prop::option::of(date()), prop::bool::weighted(0.1));
    prop::collection::vec(fields, 1..30).prop_map(|fields| {
        let numbered = fields.into_iter().enumerate();
        let orders = numbered.map(|(serial, (prefix, opened, closed, voided))| WorkOrder {
            number: format!("{}{serial:04}", ["145", "91", "130"][prefix]),
            opened,
            closed,
            voided,
        });
        orders.collect()
    })
}

fn cents(amounts: impl Iterator<Item = Decimal>) -> String {
    let mut sum = amounts.sum::<Decimal>().round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero);
    sum.rescale(2);
    if sum.is_zero() { "0.00".into() } else { sum.to_string() }
}

impl Invoice {
    fn department(&self, at: usize) -> Decimal {
        self.lines[2 * at].unwrap_or_default() + self.lines[2 * at + 1].unwrap_or_default()
    }

    fn total(&self, with_tax: bool) -> Decimal {
        let tax = self.tax.unwrap_or_default();
        match (self.grand_total, with_tax) {
            (Some(total), true) => total,
            (Some(total), false) => total - tax,
            (None, true) => (0..5).map(|at| self.department(at)).sum::<Decimal>() + tax,
            (None, false) => (0..5).map(|at| self.department(at)).sum(),
        }
    }

    fn counts(&self) -> bool {
        let excluded = |customer: &&str| customer.trim().eq_ignore_ascii_case("int9");
        !self.voided && !self.customers.iter().flatten().any(excluded) && self.branch != Some(3)
    }

    fn row(&self, number: usize) -> Row {
        let mut row = invoice(&number.to_string(), &self.date.to_string());
        let amounts = LINES.into_iter().zip(&self.lines);
        for (name, amount) in amounts.chain([("total_tax", &self.tax), ("grand_total", &self.grand_total)]) {
            if let Some(amount) = amount {
                row = row.amount(name, &amount.to_string());
            }
        }
        for (name, customer) in ["bill_to", "ship_to"].into_iter().zip(self.customers) {
            if let Some(customer) = customer {
                row = row.text(name, customer);
            }
        }
        if let Some(branch) = self.branch {
            row = row.int("sale_branch", branch);
        }
        if self.voided { row.day("deleted_date", "2026-02-20") } else { row }
    }
}

impl WorkOrder {
    fn row(&self) -> Row {
        let mut row = Row::default().text("work_order_no", &self.number);
        for (name, date) in [("open_date", self.opened), ("closed_date", self.closed)] {
            if let Some(date) = date {
                row = row.day(name, &date.to_string());
            }
        }
        if self.voided { row.day("deleted_date", "2026-02-20") } else { row }
    }
}

/// The mart's row of a day.
fn expected(
    on: NaiveDate,
    invoices: &[Invoice],
    work_orders: &[WorkOrder],
    with_tax: bool,
) -> Vec<(&'static str, String)> {
    let of_day: Vec<_> = invoices.iter().filter(|invoice| invoice.date == on && invoice.counts()).collect();
    let orders = || work_orders.iter().filter(|order| !order.voided && !order.number.starts_with('9'));
    let is_open = |order: &&WorkOrder| {
        order.opened.is_some_and(|opened| opened <= on) && order.closed.is_none_or(|closed| closed > on)
    };
    let mut row = vec![
        ("sales_date", on.to_string()),
        ("day_of_week", on.weekday().num_days_from_sunday().to_string()),
        ("total_revenue", cents(of_day.iter().map(|invoice| invoice.total(with_tax)))),
        ("total_invoices", of_day.len().to_string()),
        ("open_work_orders", orders().filter(is_open).count().to_string()),
        ("closed_work_orders", orders().filter(|order| order.closed == Some(on)).count().to_string()),
    ];
    let departments = [
        ("service_revenue", "service_invoices"),
        ("parts_revenue", "parts_invoices"),
        ("rental_revenue", "rental_invoices"),
        ("sales_revenue", "sales_invoices"),
    ];
    for (at, (revenue, count)) in departments.into_iter().enumerate() {
        row.push((revenue, cents(of_day.iter().map(|invoice| invoice.department(at)))));
        row.push((count, of_day.iter().filter(|invoice| !invoice.department(at).is_zero()).count().to_string()));
    }
    row
}

#[test]
fn the_sales_mart_agrees_with_a_second_writing_of_its_rules() {
    let last = day(FIRST) + Days::new(DAYS - 1);
    let mut runner = TestRunner::new(ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() });
    let strategy = (invoices(), work_orders(), any::<bool>());
    let outcome = runner.run(&strategy, |(invoices, work_orders, with_tax)| {
        let mut org = org();
        let settings = org.softbase.as_mut().unwrap();
        settings.total_includes_tax = with_tax;
        settings.excluded_customers = vec!["Int9".into()];
        settings.excluded_branches = vec![3];
        let mut scene = Scene::new("etl_sales_daily", org, FIRST, &last.to_string());
        let rows: Vec<_> = invoices.iter().enumerate().map(|(number, invoice)| invoice.row(number)).collect();
        scene.land_months("softbase_invoices", &rows, "invoice_date");
        let rows: Vec<_> = work_orders.iter().map(WorkOrder::row).collect();
        scene.land(dataset("softbase_work_orders").unwrap(), Partition::Day(last), &rows);
        let (compute, batches) = scene.compute().unwrap();
        for (row, on) in super::support::rows(&batches).iter().zip(day(FIRST).iter_days()) {
            for (name, value) in expected(on, &invoices, &work_orders, with_tax) {
                prop_assert_eq!(&row[name], &value, "{} of {}", name, on);
            }
        }
        // The audit's own arithmetic comes to the same, so whatever the rows, it finds no error.
        let findings = marts::audit::audit(&compute, &batches).unwrap();
        let errors = findings.iter().filter(|finding| finding.severity == marts::audit::Severity::Error);
        prop_assert_eq!(errors.count(), 0, "{:?}", findings);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}
