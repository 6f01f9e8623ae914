//! DuckDB compute: the macros, the marts on awkward rows, what is refused, and the audits.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use chrono::{DateTime, NaiveDate, Utc};
use marts::audit::{Finding, Severity, audit, split};
use marts::compute::{Compute, Inputs, Pulls, cell, mart_columns, query, script};
use marts::config::{
    Config, Limits, Org, PostgresSettings, SecretRef, Security, Softbase, SqlLogin, SqlServer, SqlTls, StagingSettings,
};
use marts::datasets::{Dataset, dataset};
use marts::jobs::{JOBS, Source, job};
use marts::periods::Partition;
use marts::run::{Plan, Window, plan};
use marts::staging::{Landed, Page, Staging, Value};
use proptest::prelude::*;
use rust_decimal::{Decimal, RoundingStrategy};

fn day(text: &str) -> NaiveDate {
    text.parse().expect("a date in a test")
}

fn softbase() -> Softbase {
    Softbase {
        server: SqlServer {
            host: "localhost".into(),
            port: 1433,
            database: "evo".into(),
            login: SqlLogin::Password { user: "reader".into(), password: SecretRef::Env("PASSWORD".into()) },
            tls: SqlTls::Required,
            ca_file: None,
            timeout_secs: 30,
        },
        schema: "ben002".into(),
        total_includes_tax: false,
        excluded_customers: Vec::new(),
        excluded_branches: Vec::new(),
        excluded_work_orders: Vec::new(),
    }
}

fn org() -> Org {
    Org {
        slug: "acme".into(),
        name: "Acme".into(),
        timezone: "America/Chicago".parse().unwrap(),
        fiscal_year_start_month: 11,
        data_start_date: None,
        excluded_months: Vec::new(),
        softbase: Some(softbase()),
        quickbooks: None,
    }
}

/// A cell of a fixture, owned.
#[derive(Debug, Clone)]
enum Cell {
    Text(String),
    Int(i64),
    Amount(Decimal),
    Bool(bool),
    Day(NaiveDate),
    Null,
}

impl Cell {
    fn value(&self) -> Value<'_> {
        match self {
            Cell::Text(text) => Value::Text(text),
            Cell::Int(int) => Value::Int(*int),
            Cell::Amount(amount) => {
                Value::Decimal { mantissa: amount.mantissa(), scale: u8::try_from(amount.scale()).unwrap() }
            }
            Cell::Bool(bool) => Value::Bool(*bool),
            Cell::Day(day) => Value::Date(*day),
            Cell::Null => Value::Null,
        }
    }
}

/// A row by column names; what is not named is null.
#[derive(Debug, Clone, Default)]
struct Row(BTreeMap<&'static str, Cell>);

impl Row {
    fn text(mut self, name: &'static str, value: &str) -> Self {
        self.0.insert(name, Cell::Text(value.into()));
        self
    }
    fn int(mut self, name: &'static str, value: i64) -> Self {
        self.0.insert(name, Cell::Int(value));
        self
    }
    fn amount(mut self, name: &'static str, value: &str) -> Self {
        self.0.insert(name, Cell::Amount(value.parse().unwrap()));
        self
    }
    fn flag(mut self, name: &'static str, value: bool) -> Self {
        self.0.insert(name, Cell::Bool(value));
        self
    }
    fn day(mut self, name: &'static str, value: &str) -> Self {
        self.0.insert(name, Cell::Day(day(value)));
        self
    }
    fn null(mut self, name: &'static str) -> Self {
        self.0.insert(name, Cell::Null);
        self
    }
    fn date(&self, name: &str) -> NaiveDate {
        match self.0[name] {
            Cell::Day(day) => day,
            _ => panic!("{name} is no date"),
        }
    }
}

/// A landing zone, an organisation, and one job.
struct Scene {
    folder: tempfile::TempDir,
    config: Config,
    org: Org,
    plan: Plan,
    as_of: NaiveDate,
    landed: Vec<Landed>,
}

impl Scene {
    fn new(job_name: &str, org: Org, from: &str, to: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = Config {
            path: folder.path().join("marts.toml"),
            postgres: PostgresSettings::default(),
            staging: StagingSettings { path: folder.path().join("staging 'quoted'") },
            limits: Limits {
                duckdb_memory_mib: 256,
                duckdb_threads: 2,
                http_concurrency: 1,
                http_timeout_secs: 1,
                tries: 1,
                max_backoff_secs: 1,
                first_backoff_millis: 1,
            },
            security: Security::default(),
            orgs: vec![org.clone()],
        };
        let job = job(job_name).unwrap();
        let window = Window { as_of: day(to), range: Some((day(from), day(to))) };
        let plan = plan(job, &job.sources[0], &org, window).unwrap();
        Scene { folder, config, org, plan, as_of: day(to), landed: Vec::new() }
    }

    fn staging(&self) -> Staging {
        Staging::new(&self.config.staging.path)
    }

    fn land(&mut self, dataset: &'static Dataset, partition: Partition, rows: &[Row]) {
        let pulled_at: DateTime<Utc> = "2026-06-01T07:00:00Z".parse().unwrap();
        let mut landing = self.staging().begin(dataset, &self.org.slug, partition, pulled_at).unwrap();
        let page = dataset.pages.then(|| {
            let page =
                Page { method: "GET", url: "https://example.com", status: 200, fetched_at: pulled_at, body: b"{}" };
            landing.page(&page).unwrap()
        });
        for row in rows {
            for name in row.0.keys() {
                assert!(dataset.columns.iter().any(|column| column.name == *name), "{name}");
            }
            let values: Vec<_> =
                dataset.columns.iter().map(|column| row.0.get(column.name).map_or(Value::Null, Cell::value)).collect();
            landing.push(page, &values).unwrap();
        }
        self.landed.push(landing.finish().unwrap());
    }

    /// Lands rows into every month that the plan wants, by the day in `column`.
    fn land_months(&mut self, name: &str, rows: &[Row], column: &str) {
        let dataset = dataset(name).unwrap();
        let wanted = self.plan.wanted.iter().find(|wanted| wanted.dataset.name == name).unwrap();
        for partition in wanted.partitions.clone() {
            let inside = |row: &&Row| Partition::month_of(row.date(column)) == partition;
            let rows: Vec<_> = rows.iter().filter(inside).cloned().collect();
            if !rows.is_empty() || dataset.may_be_empty {
                self.land(dataset, partition, &rows);
            }
        }
    }

    fn compute(&self) -> anyhow::Result<(Compute, Vec<RecordBatch>)> {
        let pulls: Pulls = self.landed.iter().cloned().collect();
        let compute = Compute::open(&self.inputs(&pulls))?;
        let batches = compute.compute()?;
        Ok((compute, batches))
    }

    fn inputs<'a>(&'a self, pulls: &'a Pulls) -> Inputs<'a> {
        Inputs { config: &self.config, org: &self.org, plan: &self.plan, pulls, as_of: self.as_of }
    }

    fn mart(&self) -> Vec<BTreeMap<String, String>> {
        rows(&self.compute().unwrap().1)
    }

    fn findings(&self, published: &[RecordBatch]) -> Vec<Finding> {
        let (compute, _) = self.compute().unwrap();
        audit(&compute, published).unwrap()
    }

    /// Rule and period of each finding.
    fn rules(&self) -> Vec<(String, Option<NaiveDate>)> {
        self.findings(&[]).into_iter().map(|finding| (finding.rule, finding.period)).collect()
    }
}

fn rows(batches: &[RecordBatch]) -> Vec<BTreeMap<String, String>> {
    let mut rows = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let schema = batch.schema();
            let cells = batch.columns().iter().zip(schema.fields()).map(|(column, field)| {
                (field.name().clone(), cell(column, row).unwrap().unwrap_or_else(|| "null".into()))
            });
            rows.push(cells.collect());
        }
    }
    rows
}

fn assert_row(row: &BTreeMap<String, String>, expected: &[(&str, &str)]) {
    for (name, value) in expected {
        assert_eq!(row[*name], *value, "{name} of {row:?}");
    }
}

// ---------------------------------------------------------------------------------------------------- macros

fn macros() -> duckdb::Connection {
    let connection = duckdb::Connection::open_in_memory().unwrap();
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/macros.sql")).unwrap();
    connection.execute_batch(&text).unwrap();
    connection
}

fn scalar(connection: &duckdb::Connection, expression: &str) -> Result<Option<String>, duckdb::Error> {
    connection.query_row(&format!("select ({expression})::varchar"), [], |row| row.get(0))
}

fn decimals(digits: i64, places: std::ops::RangeInclusive<u32>) -> impl Strategy<Value = Decimal> {
    (-digits..=digits, places).prop_map(|(mantissa, scale)| Decimal::new(mantissa, scale))
}

#[test]
fn ratio_pct_and_fits_agree_with_rust_decimal() {
    let connection = macros();
    let cents = |value: Decimal| {
        let mut value = value.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero);
        value.rescale(2);
        if value.is_zero() { "0.00".to_owned() } else { value.to_string() }
    };
    let numerator = decimals(1_000_000_000_000, 0..=4);
    let denominator = prop_oneof![decimals(1_000_000, 0..=4), Just(Decimal::new(8, 0)), Just(Decimal::new(-200, 0))];
    proptest!(ProptestConfig::with_cases(400), |(part in numerator, whole in denominator)| {
        let of = |macro_: &str| scalar(&connection, &format!("{macro_}({part}, {whole})")).unwrap();
        if whole.is_zero() {
            prop_assert_eq!((of("ratio"), of("pct")), (None, None));
        } else {
            prop_assert_eq!(of("ratio"), Some(cents(part / whole)));
            prop_assert_eq!(of("pct"), Some(cents(part * Decimal::ONE_HUNDRED / whole)));
        }
        let rounded = part.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero);
        let fitting = (rounded.abs() < Decimal::new(1000, 0)).then(|| cents(part));
        prop_assert_eq!(scalar(&connection, &format!("fits({part}, 5, 2)")).unwrap(), fitting);
    });
}

#[test]
fn exact_macros_refuse_binary_fractions_and_know_their_bounds() {
    let connection = macros();
    assert!(scalar(&connection, "ratio(1e0, 2)").unwrap_err().to_string().contains("DOUBLE"));
    assert!(scalar(&connection, "pct(1, 2.5::float)").unwrap_err().to_string().contains("FLOAT"));
    for (expression, expected) in [
        ("ratio(1, 8)", "0.13"),
        ("ratio(-1, 8)", "-0.13"),
        ("ratio(1, -8)", "-0.13"),
        ("ratio(9999999999999999.99, 1)", "9999999999999999.99"),
        ("pct(2147483647::integer, 1)", "214748364700.00"),
        ("fits(999.994, 5, 2)", "999.99"),
        ("fits(-999.99, 5, 2)", "-999.99"),
    ] {
        assert_eq!(scalar(&connection, expression).unwrap().as_deref(), Some(expected), "{expression}");
    }
    for expression in
        ["ratio(null, 1)", "ratio(1, null)", "ratio(1, 0)", "pct(0, 0)", "fits(999.995, 5, 2)", "fits(null, 5, 2)"]
    {
        assert_eq!(scalar(&connection, expression).unwrap(), None, "{expression}");
    }
}

#[test]
fn a_breakdown_is_ordered_exact_and_refuses_double_keys() {
    let connection = macros();
    let of = |values: &str| {
        let sql = format!("(select breakdown(list((key, value))) from (values {values}) as pairs(key, value))");
        scalar(&connection, &sql)
    };
    let of_none =
        scalar(&connection, "(select breakdown(list((key, 1))) from (values ('a')) as pairs(key) where false)");
    assert_eq!(
        of("('b', 1.10::decimal(18,2)), ('a\"', 90071992547409931.25)").unwrap().unwrap(),
        r#"{"a\"": 90071992547409931.25, "b": 1.10}"#
    );
    assert_eq!(of("('x', '{\"n\":1.10}'::json), ('n', null)").unwrap().unwrap(), r#"{"n": null, "x": {"n":1.10}}"#);
    assert_eq!(of_none.unwrap().unwrap(), "{}");
    assert!(of("('a', 1), ('a', 2)").unwrap_err().to_string().contains("twice"));
    assert!(of("(null, 1), ('a', 2)").unwrap_err().to_string().contains("null"));
}

// ---------------------------------------------------------------------------------------------------- sales

fn invoice(number: &str, date: &str) -> Row {
    Row::default().text("invoice_no", number).day("invoice_date", date)
}

fn work_order(number: &str, opened: &str) -> Row {
    Row::default().text("work_order_no", number).day("open_date", opened)
}

fn sales(org: Org, from: &str, to: &str, invoices: &[Row], work_orders: &[Row]) -> Scene {
    let mut scene = Scene::new("etl_sales_daily", org, from, to);
    scene.land_months("softbase_invoices", invoices, "invoice_date");
    scene.land(dataset("softbase_work_orders").unwrap(), Partition::Day(day(to)), work_orders);
    scene
}

/// Every awkward invoice of one day.
fn awkward_invoices() -> Vec<Row> {
    vec![
        // Labour and parts on one invoice, with tax and a miscellaneous line.
        invoice("1", "2024-02-29")
            .amount("labor_taxable", "100.0050")
            .amount("parts_non_tax", "50.25")
            .amount("misc_taxable", "10")
            .amount("total_tax", "8.80")
            .amount("grand_total", "169.0550"),
        // A credit.
        invoice("2", "2024-02-29").amount("parts_taxable", "-20.00").amount("grand_total", "-20.00"),
        // Only tax.
        invoice("3", "2024-02-29").amount("total_tax", "5.00").amount("grand_total", "5.00"),
        // No grand total: the lines stand for it, without the tax.
        invoice("4", "2024-02-29")
            .amount("rental_taxable", "300")
            .amount("rental_non_tax", "0.10")
            .amount("equipment_non_tax", "1000")
            .amount("total_tax", "24.00"),
        // Nothing at all.
        invoice("5", "2024-02-29"),
        // Voided.
        invoice("6", "2024-02-29")
            .amount("grand_total", "999")
            .amount("labor_taxable", "999")
            .day("deleted_date", "2024-03-05"),
        // A day that is not asked for.
        invoice("7", "2024-02-28").amount("grand_total", "77").amount("labor_taxable", "77"),
    ]
}

#[test]
fn a_day_of_awkward_invoices_adds_up() {
    let scene = sales(org(), "2024-02-29", "2024-03-01", &awkward_invoices(), &[work_order("1450001", "2024-02-01")]);
    let mart = scene.mart();
    assert_eq!(mart.len(), 2);
    assert_row(
        &mart[0],
        &[
            ("sales_date", "2024-02-29"),
            ("year", "2024"),
            ("month", "2"),
            ("day_of_week", "4"),
            ("service_revenue", "100.01"),
            ("parts_revenue", "30.25"),
            ("rental_revenue", "300.10"),
            ("sales_revenue", "1000.00"),
            ("total_revenue", "1440.36"),
            ("service_invoices", "1"),
            ("parts_invoices", "2"),
            ("rental_invoices", "1"),
            ("sales_invoices", "1"),
            ("total_invoices", "5"),
        ],
    );
    assert_row(
        &mart[1],
        &[("sales_date", "2024-03-01"), ("day_of_week", "5"), ("total_revenue", "0.00"), ("total_invoices", "0")],
    );
    assert_eq!(scene.rules(), [], "a good day has no findings");
}

#[test]
fn tax_stays_in_the_total_where_the_settings_say_so() {
    let mut with_tax = org();
    with_tax.softbase.as_mut().unwrap().total_includes_tax = true;
    let scene = sales(with_tax, "2024-02-29", "2024-02-29", &awkward_invoices(), &[work_order("1", "2024-02-01")]);
    assert_row(&scene.mart()[0], &[("total_revenue", "1478.16"), ("service_revenue", "100.01")]);
    assert_eq!(scene.rules(), []);
}

#[test]
fn rounding_is_once_and_away_from_zero() {
    let thirds = ["-0.0050", "-0.3333", "-0.3333", "-0.3334"];
    let invoices: Vec<_> = thirds
        .iter()
        .enumerate()
        .map(|(number, amount)| {
            invoice(&number.to_string(), "2026-01-18").amount("labor_non_tax", amount).amount("grand_total", amount)
        })
        .collect();
    let scene = sales(org(), "2026-01-18", "2026-01-18", &invoices, &[work_order("1", "2026-01-01")]);
    assert_row(&scene.mart()[0], &[("total_revenue", "-1.01"), ("service_revenue", "-1.01"), ("day_of_week", "0")]);
}

#[test]
fn exclusions_ignore_case_and_padding_and_spare_work_orders() {
    let mut strict = org();
    let settings = strict.softbase.as_mut().unwrap();
    settings.excluded_customers = vec!["int001".into(), "O'Neil ".into()];
    settings.excluded_branches = vec![9];
    settings.excluded_work_orders = vec![" 1450002".into()];
    let paid = |number: &str| invoice(number, "2026-01-20").amount("grand_total", "10").amount("labor_taxable", "10");
    let invoices = [
        paid("1").text("bill_to", "C100").text("ship_to", "C100").int("sale_branch", 1),
        paid("2").text("bill_to", " INT001  ").text("ship_to", "C100"),
        paid("3").text("bill_to", "C100").text("ship_to", "Int001"),
        paid("4").text("bill_to", "o'neil"),
        paid("5").text("bill_to", "C100").int("sale_branch", 9),
        paid("6"),
    ];
    let work_orders = [work_order("1450001", "2026-01-20"), work_order("1450002  ", "2026-01-20")];
    let scene = sales(strict, "2026-01-20", "2026-01-20", &invoices, &work_orders);
    assert_row(
        &scene.mart()[0],
        &[("total_invoices", "2"), ("total_revenue", "20.00"), ("open_work_orders", "1"), ("closed_work_orders", "0")],
    );
    let findings = scene.findings(&[]);
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!((findings[0].rule.as_str(), findings[0].severity), ("excluded_invoices", Severity::Warning));
    assert!(findings[0].detail.starts_with("4 invoices") && findings[0].detail.contains("40.0000"), "{}", findings[0]);
}

#[test]
fn work_orders_are_open_until_the_day_they_close() {
    let work_orders = [
        work_order("1450001", "2019-05-01"),
        work_order("1450002", "2026-01-21").day("closed_date", "2026-01-22"),
        work_order("1450003", "2026-01-21").day("closed_date", "2026-01-21"),
        work_order("1450004", "2026-01-23"),
        // Completed is not closed.
        work_order("1450005", "2026-01-20").day("completed_date", "2026-01-20"),
        work_order("9100001", "2026-01-20"),
        work_order("1450006", "2026-01-20").day("deleted_date", "2026-01-21"),
        work_order("1450007", "2026-01-20").null("open_date"),
        work_order("1450008", "2026-01-20").null("open_date").day("closed_date", "2026-01-20"),
        work_order("1450009", "2026-01-22").day("closed_date", "2026-01-20"),
    ];
    let invoices = [invoice("1", "2026-01-20")];
    let mut scene = sales(org(), "2026-01-20", "2026-01-23", &invoices, &work_orders);
    let counts = |scene: &Scene| -> Vec<_> {
        scene.mart().iter().map(|row| (row["open_work_orders"].clone(), row["closed_work_orders"].clone())).collect()
    };
    let expected = |pairs: &[(i32, i32)]| -> Vec<_> {
        pairs.iter().map(|(open, closed)| (open.to_string(), closed.to_string())).collect()
    };
    assert_eq!(counts(&scene), expected(&[(2, 2), (3, 1), (2, 1), (3, 0)]));
    // Reopened: the past days have it open again.
    let reopened: Vec<_> = work_orders.iter().cloned().map(|row| row.null("closed_date")).collect();
    scene.land(dataset("softbase_work_orders").unwrap(), Partition::Day(day("2026-01-23")), &reopened);
    assert_eq!(counts(&scene)[3], ("6".to_owned(), "0".to_owned()));
}

#[test]
fn the_order_of_rows_and_files_does_not_matter() {
    let mut invoices = awkward_invoices();
    let mart =
        |invoices: &[Row]| sales(org(), "2024-02-28", "2024-03-02", invoices, &[work_order("1", "2024-02-01")]).mart();
    let before = mart(&invoices);
    invoices.reverse();
    assert_eq!(mart(&invoices), before);
}

#[test]
fn sales_checks_fire_on_what_they_are_for() {
    let paid =
        |number: &str, date: &str| invoice(number, date).amount("labor_taxable", "10").amount("grand_total", "10");
    let scene = |invoices: &[Row], work_orders: &[Row]| sales(org(), "2026-01-19", "2026-01-20", invoices, work_orders);
    let orders = [work_order("1", "2026-01-01")];
    let good = [paid("1", "2026-01-19"), paid("2", "2026-01-20")];
    assert_eq!(scene(&good, &orders).rules(), []);

    let on = |date: &str| Some(day(date));
    let twice = [paid("1", "2026-01-19"), paid("1 ", "2026-01-20"), paid("2", "2026-01-20")];
    assert_eq!(
        scene(&twice, &orders).rules(),
        [("invoice_twice".into(), on("2026-01-19")), ("invoice_twice".into(), on("2026-01-20"))]
    );
    let orders_twice = [work_order("1", "2026-01-01"), work_order("1", "2026-01-02")];
    assert_eq!(scene(&good, &orders_twice).rules(), [("work_order_twice".into(), None)]);

    let unequal = [paid("1", "2026-01-19"), paid("2", "2026-01-20").amount("total_tax", "0.02")];
    let findings = scene(&unequal, &orders).findings(&[]);
    assert_eq!(findings.len(), 1);
    assert_eq!(
        findings[0].to_string(),
        "warning lines_and_total 2026-01-20: 1 invoices whose lines and tax are not their grand total: 2 by -0.0200"
    );

    let stale = scene(&[paid("1", "2026-01-15")], &orders);
    assert_eq!(stale.rules(), [("stale".into(), None)]);

    // What SQL cannot break by itself: the mart's own figures.
    let scene = scene(&good, &orders);
    let (compute, published) = scene.compute().unwrap();
    let broken = |update: &str| {
        compute.compute().unwrap();
        compute.connection().execute_batch(&format!("update mart set {update}")).unwrap();
        let findings = audit(&compute, &[]).unwrap();
        findings.into_iter().map(|finding| (finding.rule, finding.period)).collect::<Vec<_>>()
    };
    let first = "where sales_date = '2026-01-19'";
    assert_eq!(broken(&format!("total_revenue = 10.03 {first}")), [("parts_and_total".into(), on("2026-01-19"))]);
    assert_eq!(broken(&format!("service_invoices = 2 {first}")), [("counts".into(), on("2026-01-19"))]);
    assert_eq!(broken(&format!("closed_work_orders = -1 {first}")), [("counts".into(), on("2026-01-19"))]);
    assert_eq!(broken(&format!("total_invoices = 7 {first}")), [("counts".into(), on("2026-01-19"))]);

    compute.compute().unwrap();
    assert_eq!(audit(&compute, &published).unwrap(), []);
}

#[test]
fn a_day_that_lost_its_invoices_is_a_warning() {
    let many: Vec<_> = (0..10)
        .map(|number| {
            invoice(&number.to_string(), "2026-01-20").amount("labor_taxable", "10").amount("grand_total", "10")
        })
        .collect();
    let orders = [work_order("1", "2026-01-01")];
    let published = sales(org(), "2026-01-20", "2026-01-20", &many, &orders).compute().unwrap().1;
    let findings = sales(org(), "2026-01-20", "2026-01-20", &many[..4], &orders).findings(&published);
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].to_string(), "warning volume 2026-01-20: 4 invoices where 10 are published");
    assert_eq!(sales(org(), "2026-01-20", "2026-01-20", &many[..5], &orders).findings(&published), []);
}

// ------------------------------------------------------------------------------------------------ financials

/// A line of a QuickBooks report.
#[derive(Debug, Clone, Copy)]
struct Line {
    line_type: &'static str,
    groups: &'static str,
    has_group: bool,
    is_leaf: bool,
    amount: Option<&'static str>,
}

/// An account's line.
fn account(groups: &'static str, amount: &'static str) -> Line {
    Line { line_type: "account", groups, has_group: false, is_leaf: true, amount: Some(amount) }
}

/// The summary of a section that shows its lines.
fn total(groups: &'static str, amount: &'static str) -> Line {
    Line { line_type: "total", groups, has_group: true, is_leaf: false, amount: Some(amount) }
}

/// A line that QuickBooks computes, or the summary of a section without lines.
fn computed(groups: &'static str, amount: &'static str) -> Line {
    Line { line_type: "total", groups, has_group: true, is_leaf: true, amount: Some(amount) }
}

/// The line for a report as a whole.
const REPORT: Line = Line { line_type: "report", groups: "/", has_group: false, is_leaf: false, amount: None };

fn report(month: &str, end: &str, lines: &[Line]) -> Vec<Row> {
    let has_data = lines.iter().any(|line| line.amount.is_some());
    let rows = lines.iter().enumerate().map(|(position, line)| {
        let mut row = Row::default()
            .int("line", i64::try_from(position).unwrap())
            .text("line_type", line.line_type)
            .text("groups", line.groups)
            .int("depth", 0)
            .flag("is_leaf", line.is_leaf)
            .day("column_start", month)
            .day("column_end", end)
            .text("currency", "USD")
            .text("basis", "Accrual")
            .flag("no_report_data", !has_data);
        if line.has_group {
            row = row.text("line_group", line.groups.trim_end_matches('/').rsplit('/').next().unwrap());
        }
        match line.amount {
            Some(amount) if !amount.is_empty() => row.amount("amount", amount),
            _ => row,
        }
    });
    rows.collect()
}

/// The three reports of a month that hang together; the cash flow statement's operating total is the whole.
struct Month {
    profit_and_loss: Vec<Line>,
    balance_sheet: Vec<Line>,
    cash_flow: Vec<Line>,
}

impl Month {
    fn good() -> Self {
        Month {
            profit_and_loss: vec![
                REPORT,
                account("/Income/", "1000.00"),
                // A parent with own postings and sub-accounts: its total is no leaf and has no group.
                Line { line_type: "own", groups: "/Income/", has_group: false, is_leaf: true, amount: Some("197.50") },
                account("/Income/", "-97.50"),
                Line {
                    line_type: "total",
                    groups: "/Income/",
                    has_group: false,
                    is_leaf: false,
                    amount: Some("100.00"),
                },
                total("/Income/", "1100.00"),
                account("/COGS/", "400.00"),
                total("/COGS/", "400.00"),
                computed("/GrossProfit/", "700.00"),
                account("/Expenses/", "150.00"),
                // An empty cell is no amount.
                account("/Expenses/", ""),
                total("/Expenses/", "150.00"),
                computed("/NetOperatingIncome/", "550.00"),
                // A section that shows its total only.
                computed("/OtherIncome/", "10.00"),
                account("/OtherExpenses/", "20.00"),
                total("/OtherExpenses/", "20.00"),
                computed("/NetOtherIncome/", "-10.00"),
                computed("/NetIncome/", "540.00"),
            ],
            balance_sheet: vec![
                REPORT,
                account("/TotalAssets/CurrentAssets/BankAccounts/", "800.00"),
                total("/TotalAssets/CurrentAssets/BankAccounts/", "800.00"),
                account("/TotalAssets/CurrentAssets/AR/", "300.00"),
                total("/TotalAssets/CurrentAssets/AR/", "300.00"),
                account("/TotalAssets/CurrentAssets/OtherCurrentAssets/", "50.00"),
                total("/TotalAssets/CurrentAssets/OtherCurrentAssets/", "50.00"),
                total("/TotalAssets/CurrentAssets/", "1150.00"),
                total("/TotalAssets/", "1150.00"),
                account("/TotalLiabilitiesAndEquity/Liabilities/CurrentLiabilities/AP/", "110.00"),
                total("/TotalLiabilitiesAndEquity/Liabilities/CurrentLiabilities/AP/", "110.00"),
                total("/TotalLiabilitiesAndEquity/Liabilities/CurrentLiabilities/", "110.00"),
                total("/TotalLiabilitiesAndEquity/Liabilities/", "110.00"),
                account("/TotalLiabilitiesAndEquity/Equity/", "500.00"),
                Line {
                    line_type: "account",
                    groups: "/TotalLiabilitiesAndEquity/Equity/NetIncome/",
                    has_group: true,
                    is_leaf: true,
                    amount: Some("540.00"),
                },
                total("/TotalLiabilitiesAndEquity/Equity/", "1040.00"),
                total("/TotalLiabilitiesAndEquity/", "1150.00"),
            ],
            cash_flow: vec![
                REPORT,
                computed("/OperatingActivities/NetIncome/", "540.00"),
                account("/OperatingActivities/OperatingAdjustments/", "-140.00"),
                total("/OperatingActivities/OperatingAdjustments/", "-140.00"),
                total("/OperatingActivities/", "400.00"),
                account("/InvestingActivities/", "-250.00"),
                total("/InvestingActivities/", "-250.00"),
                account("/FinancingActivities/", "100.00"),
                total("/FinancingActivities/", "100.00"),
                computed("/CashIncrease/", "250.00"),
                computed("/EndingCash/", "900.00"),
            ],
        }
    }

    fn scene(&self) -> Scene {
        financial("2026-01-31", &[("2026-01-01", "2026-01-31", self)])
    }

    /// Gives the first line with these groups another amount.
    fn change(lines: &mut [Line], groups: &str, amount: &'static str) {
        let line = lines.iter_mut().rev().find(|line| line.groups == groups).unwrap();
        line.amount = Some(amount);
    }
}

const REPORTS: [&str; 3] = ["quickbooks_profit_and_loss", "quickbooks_balance_sheet", "quickbooks_cash_flow"];

fn financial(to: &str, months: &[(&str, &str, &Month)]) -> Scene {
    let mut scene = Scene::new("etl_quickbooks_financial", org(), months[0].0, to);
    for (month, end, reports) in months {
        for (name, lines) in REPORTS.iter().zip([&reports.profit_and_loss, &reports.balance_sheet, &reports.cash_flow])
        {
            if !lines.is_empty() {
                scene.land(dataset(name).unwrap(), Partition::Month(day(month)), &report(month, end, lines));
            }
        }
    }
    scene
}

#[test]
fn a_month_of_reports_becomes_a_row() {
    let scene = Month::good().scene();
    assert_row(
        &scene.mart()[0],
        &[
            ("year", "2026"),
            ("month", "1"),
            ("period_start", "2026-01-01"),
            ("period_end", "2026-01-31"),
            ("total_revenue", "1110.00"),
            ("total_expenses", "570.00"),
            ("net_income", "540.00"),
            ("gross_profit", "700.00"),
            ("gross_margin_pct", "63.64"),
            ("total_assets", "1150.00"),
            ("total_liabilities", "110.00"),
            ("total_equity", "1040.00"),
            ("cash_balance", "800.00"),
            ("accounts_receivable", "300.00"),
            ("accounts_payable", "110.00"),
            ("operating_cash_flow", "400.00"),
        ],
    );
    assert_eq!(scene.rules(), []);
}

#[test]
fn the_documented_cash_flow_counts_net_income_once() {
    // The total of the operating section holds the adjustments only; net income is the loss they make up for.
    let mut month = Month::good();
    month.cash_flow = vec![
        REPORT,
        computed("/OperatingActivities/NetIncome/", "-300.00"),
        account("/OperatingActivities/OperatingAdjustments/", "300.00"),
        total("/OperatingActivities/", "300.00"),
        account("/FinancingActivities/", "5000.00"),
        total("/FinancingActivities/", "5000.00"),
        computed("/CashIncrease/", "5000.00"),
    ];
    assert_row(&month.scene().mart()[0], &[("operating_cash_flow", "0.00")]);
    assert_eq!(month.scene().rules(), []);
    // Without the change in cash the leaves of the section say the same.
    month.cash_flow.pop();
    assert_row(&month.scene().mart()[0], &[("operating_cash_flow", "0.00")]);
    assert_eq!(month.scene().rules(), []);
}

#[test]
fn a_month_with_nothing_to_report_is_a_month_of_zeros() {
    let nothing = Month { profit_and_loss: vec![REPORT], balance_sheet: vec![REPORT], cash_flow: vec![REPORT] };
    let skeleton = Month {
        profit_and_loss: vec![
            REPORT,
            computed("/Income/", ""),
            computed("/GrossProfit/", "0.00"),
            computed("/NetIncome/", "0.00"),
        ],
        balance_sheet: vec![REPORT],
        cash_flow: vec![REPORT, computed("/OperatingActivities/NetIncome/", ""), computed("/CashIncrease/", "")],
    };
    let scene =
        financial("2026-02-15", &[("2026-01-01", "2026-01-31", &nothing), ("2026-02-01", "2026-02-15", &skeleton)]);
    let mart = scene.mart();
    for row in &mart {
        for (name, value) in row {
            let expected = match name.as_str() {
                "year" | "month" | "period_start" | "period_end" => continue,
                "gross_margin_pct" => "null",
                _ => "0.00",
            };
            assert_eq!(value, expected, "{name}");
        }
    }
    assert_row(&mart[1], &[("period_end", "2026-02-28")]);
    assert_eq!(scene.rules(), []);
}

#[test]
fn a_missing_report_and_a_missing_net_income_are_not_zeros() {
    let mut month = Month::good();
    month.cash_flow.clear();
    let good = Month::good();
    let scene = financial("2026-02-28", &[("2026-01-01", "2026-01-31", &good), ("2026-02-01", "2026-02-28", &month)]);
    let error = format!("{:#}", scene.compute().err().unwrap());
    assert!(error.contains("2026-02-01 has no row"), "{error}");
    assert!(!error.contains("2026-01-01"), "{error}");

    let mut month = Month::good();
    month.profit_and_loss.pop();
    let findings = month.scene().findings(&[]);
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].detail.ends_with("net_income is missing in the report"), "{}", findings[0]);
}

#[test]
fn margins_are_null_without_income_or_without_room() {
    let mut month = Month::good();
    month.profit_and_loss = vec![
        REPORT,
        account("/Income/", "1.00"),
        total("/Income/", "1.00"),
        account("/COGS/", "11.00"),
        total("/COGS/", "11.00"),
        computed("/NetIncome/", "-10.00"),
    ];
    let scene = month.scene();
    assert_row(&scene.mart()[0], &[("gross_profit", "-10.00"), ("gross_margin_pct", "null")]);
    assert_eq!(scene.rules(), [("gross_margin_pct".into(), Some(day("2026-01-01")))]);

    month.profit_and_loss =
        vec![REPORT, account("/COGS/", "11.00"), total("/COGS/", "11.00"), computed("/NetIncome/", "-11.00")];
    let scene = month.scene();
    assert_row(&scene.mart()[0], &[("gross_profit", "-11.00"), ("gross_margin_pct", "null")]);
    assert_eq!(scene.rules(), []);
}

#[test]
fn financial_checks_fire_on_what_they_are_for() {
    let january = Some(day("2026-01-01"));
    let broken = |change: &dyn Fn(&mut Month)| {
        let mut month = Month::good();
        change(&mut month);
        let rules = month.scene().rules();
        assert!(rules.iter().all(|(_, period)| *period == january), "{rules:?}");
        rules.into_iter().map(|(rule, _)| rule).collect::<Vec<_>>()
    };
    assert_eq!(broken(&|month| Month::change(&mut month.profit_and_loss, "/NetIncome/", "540.01")), ["net_income"]);
    assert_eq!(broken(&|month| Month::change(&mut month.profit_and_loss, "/GrossProfit/", "700.01")), ["gross_profit"]);
    assert_eq!(broken(&|month| Month::change(&mut month.profit_and_loss, "/Expenses/", "150.01")), ["section_total"]);
    assert_eq!(
        broken(&|month| Month::change(
            &mut month.balance_sheet,
            "/TotalLiabilitiesAndEquity/Equity/NetIncome/",
            "540.01"
        )),
        ["balance", "section_total", "section_total"]
    );
    assert_eq!(
        broken(&|month| Month::change(&mut month.cash_flow, "/CashIncrease/", "250.01")),
        ["cash_increase", "operating_cash_flow"]
    );
    assert_eq!(
        broken(&|month| Month::change(&mut month.cash_flow, "/OperatingActivities/", "399.99")),
        ["operating_cash_flow", "section_total"]
    );
}

#[test]
fn reports_must_cover_the_month_in_one_currency() {
    let good = Month::good();
    // Pulled on the 20th, reported when the month is over.
    let half = financial("2026-01-31", &[("2026-01-01", "2026-01-20", &good)]);
    let findings = half.findings(&[]);
    assert_eq!(findings.len(), 3, "{findings:?}");
    assert_eq!(
        findings[0].to_string(),
        "error report_window 2026-01-01: BalanceSheet covers 2026-01-01 to 2026-01-20, and the month goes to 2026-01-31"
    );
    assert_eq!(financial("2026-01-20", &[("2026-01-01", "2026-01-20", &good)]).rules(), []);

    let mut scene =
        financial("2026-02-28", &[("2026-01-01", "2026-01-31", &good), ("2026-02-01", "2026-02-28", &good)]);
    let euros: Vec<_> = report("2026-02-01", "2026-02-28", &good.cash_flow)
        .into_iter()
        .map(|row| row.text("currency", "EUR"))
        .collect();
    scene.land(dataset(REPORTS[2]).unwrap(), Partition::Month(day("2026-02-01")), &euros);
    let findings = scene.findings(&[]);
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0].to_string(), "error mixed: the reports are in EUR and USD, on Accrual");
    assert!(split(findings, &scene.plan.periods).mart);

    let mut twice = report("2026-01-01", "2026-01-31", &good.balance_sheet);
    twice.push(twice[1].clone());
    let mut scene = good.scene();
    scene.land(dataset(REPORTS[1]).unwrap(), Partition::Month(day("2026-01-01")), &twice);
    let rules: Vec<_> = scene.rules().into_iter().map(|(rule, _)| rule).collect();
    assert!(rules.contains(&"line_twice".to_owned()) && rules.contains(&"balance".to_owned()), "{rules:?}");
}

#[test]
fn a_closed_month_that_moves_far_is_a_warning_and_an_error_holds_its_month() {
    let good = Month::good();
    let months: [(&str, &str, &Month); 2] = [("2026-01-01", "2026-01-31", &good), ("2026-02-01", "2026-02-20", &good)];
    let scene = financial("2026-02-20", &months);
    let (compute, published) = scene.compute().unwrap();
    assert_eq!(audit(&compute, &published).unwrap(), []);
    let update = |sql: &str| compute.connection().execute_batch(&format!("update mart set {sql}")).unwrap();
    update("total_assets = total_assets + 600, total_equity = total_equity + 600");
    let findings = audit(&compute, &published).unwrap();
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0].to_string(), "warning jump 2026-01-01: total_assets is 1750.00 where 1150.00 is published");

    update("total_equity = 0 where month = 2");
    let held = split(audit(&compute, &[]).unwrap(), &scene.plan.periods);
    assert!(!held.mart && !held.is_nothing());
    assert_eq!(held.periods.iter().copied().collect::<Vec<_>>(), [day("2026-02-01")]);
    let passed = rows(&compute.rows_except(&held.periods).unwrap());
    assert_eq!(passed.iter().map(|row| row["month"].as_str()).collect::<Vec<_>>(), ["1"]);
}

// ---------------------------------------------------------------------------------------------- what is refused

/// The error of a computation whose SQL is changed from `from` to `to`.
fn refusal(from: &str, to: &str) -> String {
    let mut scene =
        sales(org(), "2026-01-19", "2026-01-20", &[invoice("1", "2026-01-20")], &[work_order("1", "2026-01-01")]);
    let source = scene.plan.source;
    assert!(source.sql.contains(from), "{from}");
    scene.plan.source = Box::leak(Box::new(Source { sql: source.sql.replace(from, to).leak(), ..*source }));
    format!("{:#}", scene.compute().err().unwrap())
}

#[test]
fn a_period_has_exactly_one_row() {
    const LAST: &str = "select * from final order by";
    const NAME: &str = "computing mart_sales_daily by mart_sales_daily.sql: a period has exactly one row, but ";
    for (to, expected) in [
        ("select * from final where day_of_week = 1 order by", "2026-01-20 has no row"),
        ("select * from final where false order by", "2026-01-19 has no row, 2026-01-20 has no row"),
        ("from final union all from final order by", "2026-01-19 has 2 rows, 2026-01-20 has 2 rows"),
        (
            "select * replace (sales_date + day_of_week as sales_date) from final order by",
            "2026-01-19 has no row, 2026-01-22, which has a row, is no period of this run",
        ),
        (
            "select * replace (nullif(sales_date, '2026-01-19') as sales_date) from final order by",
            "2026-01-19 has no row, null, which has a row, is no period of this run",
        ),
    ] {
        assert_eq!(refusal(LAST, to), format!("{NAME}{expected}"));
    }
    let mut scene = sales(org(), "2026-01-20", "2026-01-20", &[], &[work_order("1", "2026-01-01")]);
    scene.plan.periods.push(scene.plan.periods[0]);
    assert_eq!(scene.compute().err().unwrap().to_string(), "a period comes twice");
}

#[test]
fn a_row_has_the_marts_columns_and_types() {
    let column = "count(contributions.total_amount)::integer ";
    assert!(
        refusal(column, "count(contributions.total_amount) ")
            .ends_with("column 14 is total_invoices BIGINT and should be total_invoices INTEGER")
    );
    assert!(refusal("as year,", "as years,").ends_with("column 2 is years INTEGER and should be year INTEGER"));
    assert!(refusal("as closed_work_orders", "as closed_work_orders, 1 as more").ends_with("17 columns instead of 16"));
    let cents = "coalesce(sum(contributions.total_amount), 0)::decimal(18, 2)";
    assert!(refusal(cents, &cents.replace("18", "19")).contains("should be total_revenue DECIMAL(18,2)"));
}

#[test]
fn nothing_is_computed_from_what_was_never_pulled() {
    let mut scene = Scene::new("etl_sales_daily", org(), "2026-01-31", "2026-02-01");
    scene.land(
        dataset("softbase_work_orders").unwrap(),
        Partition::Day(day("2026-02-01")),
        &[work_order("1", "2026-01-01")],
    );
    assert!(format!("{:#}", scene.compute().err().unwrap()).contains("nothing is staged of softbase_invoices"));
    scene.land(dataset("softbase_invoices").unwrap(), Partition::Month(day("2026-01-01")), &[]);
    let winners = |scene: &Scene| Pulls::winners(&scene.staging(), "acme", &scene.plan.wanted, None);
    let error = winners(&scene).unwrap_err().to_string();
    assert_eq!(error, "nothing is staged of softbase_invoices 2026-02");
    scene.land(dataset("softbase_invoices").unwrap(), Partition::Month(day("2026-02-01")), &[]);
    let pulls = winners(&scene).unwrap();
    assert_eq!(pulls.of("softbase_invoices").len(), 2);
    assert_eq!(Compute::open(&scene.inputs(&pulls)).unwrap().compute().unwrap()[0].num_rows(), 2);
    scene.org.slug = "other".into();
    assert!(Compute::open(&scene.inputs(&pulls)).err().unwrap().to_string().contains("is not other's"));
}

#[test]
fn a_connection_reads_its_own_files_and_nothing_else() {
    let scene = sales(org(), "2026-01-20", "2026-01-20", &[], &[work_order("1", "2026-01-01")]);
    let (compute, _) = scene.compute().unwrap();
    let other = scene.folder.path().join("other.csv");
    std::fs::write(&other, "a\n1\n").unwrap();
    for sql in [
        format!("select * from read_csv('{}')", other.display()),
        format!("copy (select 1) to '{}'", scene.folder.path().join("out.csv").display()),
        format!("attach '{}'", scene.folder.path().join("x.duckdb").display()),
        "install httpfs".to_owned(),
        "set enable_external_access = true".to_owned(),
        "set TimeZone = 'Asia/Tokyo'".to_owned(),
    ] {
        assert!(compute.connection().execute_batch(&sql).is_err(), "{sql}");
    }
}

#[test]
fn contributions_name_the_staged_rows_behind_a_figure() {
    let scene = sales(org(), "2024-02-29", "2024-02-29", &awkward_invoices(), &[work_order("1450001", "2024-02-01")]);
    let (compute, _) = scene.compute().unwrap();
    let contributions = compute.contributions().unwrap();
    let keys: Vec<_> = rows(&contributions.batches).iter().map(|row| row["source_key"].clone()).collect();
    assert_eq!(keys, ["1", "2", "3", "4", "5", "1450001"]);
}

// --------------------------------------------------------------------------------------------- query and script

#[test]
fn queries_read_everything_that_is_staged_and_change_nothing() {
    let scene = sales(
        org(),
        "2026-01-31",
        "2026-02-01",
        &[invoice("7", "2026-02-01").amount("grand_total", "0.10")],
        &[work_order("1", "2026-01-01")],
    );
    let ask = |sql: &str| query(&scene.config, sql);
    let answer = ask("select invoice_no, grand_total, invoice_date, org, period from softbase_invoices").unwrap();
    let cells: Vec<_> = answer.text().unwrap().remove(0).into_iter().map(Option::unwrap).collect();
    assert_eq!(cells, ["7", "0.1000", "2026-02-01", "acme", "2026-02"]);
    // A dataset of which nothing is staged is empty, and an instant is in UTC.
    let answer = ask("select count(*), timestamptz '2026-01-20 12:00:00+02', null from quickbooks_cash_flow").unwrap();
    assert_eq!(answer.text().unwrap(), [[Some("0".to_owned()), Some("2026-01-20T10:00:00Z".to_owned()), None]]);
    assert_eq!(answer.rows(), 1);
    for sql in [
        "copy softbase_invoices to '/tmp/out.csv'",
        "create table x (y int)",
        "select 1; select 2",
        "attach ':memory:' as x",
        "set threads = 1",
        "drop view softbase_invoices",
        "select * from read_text('/etc/hostname')",
        "selec 1",
        "",
    ] {
        assert!(ask(sql).is_err(), "{sql}");
    }
    assert!(ask("delete from softbase_invoices").unwrap_err().to_string().contains("only a SELECT"));
}

#[test]
fn the_printed_script_runs_as_it_is() {
    let scene = sales(org(), "2024-02-29", "2024-02-29", &awkward_invoices(), &[work_order("1450001", "2024-02-01")]);
    let pulls: Pulls = scene.landed.iter().cloned().collect();
    let script = script(&scene.inputs(&pulls)).unwrap();
    let connection = duckdb::Connection::open_in_memory().unwrap();
    let select = script.rfind("\nwith\n").unwrap();
    connection.execute_batch(&script[..select]).unwrap();
    let total: String = connection
        .query_row(
            &format!("select total_revenue::varchar from ({})", script[select..].trim_end().trim_end_matches(';')),
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(total, "1440.36");
}

// ---------------------------------------------------------------------------------------------- the sql folder

fn sql_files(folder: &str) -> Vec<(String, String)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("sql").join(folder);
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(&path).unwrap()))
        .collect();
    files.sort();
    files
}

/// The code of a file: comments out, and texts out, whose contents are not SQL.
fn code(text: &str) -> String {
    let lines = text.lines().map(|line| line.split("--").next().unwrap_or_default());
    lines
        .map(|line| {
            let outside = line.split('\'').enumerate().filter(|(part, _)| part % 2 == 0);
            outside.map(|(_, text)| text).collect::<Vec<_>>().join("''")
        })
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn sql_files_follow_the_guide() {
    let mut problems = Vec::new();
    for folder in ["marts", "checks"] {
        for (name, text) in sql_files(folder) {
            let mut wrong = |what: String| problems.push(format!("sql/{folder}/{name}.sql: {what}"));
            let subject = if folder == "marts" { format!("-- {name}: ") } else { format!("-- checks of {name}: ") };
            if !text.starts_with(&subject) {
                wrong(format!("the first line is to begin with {subject:?}"));
            }
            let code = code(&text);
            for (number, line) in text.lines().enumerate() {
                if line.chars().count() > 120 || line.contains('\t') || line.ends_with(' ') {
                    wrong(format!("line {}: longer than 120, a tab, or a blank at its end", number + 1));
                }
            }
            if code != code.to_lowercase() {
                let line = code.lines().find(|line| **line != line.to_lowercase()).unwrap();
                wrong(format!("upper case: {}", line.trim()));
            }
            for banned in
                ["avg(", " / ", "json_group_object", "org_id", "union\n", ".*", "double", "float", "at time zone"]
            {
                if code.contains(banned) {
                    wrong(format!("{banned:?} is banned, see the guide"));
                }
            }
            let last = code.trim_end().lines().last().unwrap();
            if !last.starts_with("select * from final order by ") {
                wrong("the last line is to be `select * from final order by <key>`".into());
            }
            if code.matches("select *").count() != 1 {
                wrong("`select *` is for the last line only".into());
            }
            let commas = code.lines().filter(|line| line.trim_start().starts_with(','));
            if commas.count() > 0 {
                wrong("commas trail".into());
            }
        }
    }
    assert_eq!(problems, Vec::<String>::new());
}

#[test]
fn sql_files_and_the_table_of_jobs_agree() {
    let reads = |text: &str| -> Vec<String> {
        let line = text.lines().find_map(|line| line.strip_prefix("-- reads: ")).unwrap_or_default();
        line.split(", ").map(str::to_owned).collect()
    };
    let mut marts = Vec::new();
    let mut checks = Vec::new();
    for job in JOBS {
        for source in job.sources {
            let expected: Vec<_> = source.reads.iter().map(|read| read.dataset.to_owned()).collect();
            assert_eq!(reads(source.sql), expected, "{}", source.sql_name);
            marts.push((source.sql_name.to_owned(), source.sql.to_owned()));
        }
        let expected: Vec<_> = job.sources[0].reads.iter().map(|read| read.dataset.to_owned()).collect();
        assert_eq!(reads(job.checks), expected, "checks of {}", job.mart);
        checks.push((job.mart.to_owned(), job.checks.to_owned()));
    }
    marts.sort();
    checks.sort();
    assert_eq!(sql_files("marts"), marts, "a file without a job, or a job without its file");
    assert_eq!(sql_files("checks"), checks);
}

#[test]
fn every_sql_file_gives_its_marts_columns_over_empty_relations() {
    for job in JOBS {
        let columns = mart_columns(job.mart).unwrap();
        for key in job.key {
            assert!(columns.iter().any(|column| column.name == *key), "{} has no {key}", job.mart);
        }
        let scene = Scene::new(job.name, org(), "2026-01-01", "2026-01-31");
        let pulls = Pulls::default();
        let compute = Compute::dry(&scene.inputs(&pulls)).unwrap();
        compute.check_sql().unwrap();
        audit(&compute, &[]).unwrap();
    }
}
