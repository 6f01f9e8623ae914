//! Fixtures: a landing zone with an organisation, and rows by column name.

use std::collections::BTreeMap;
use std::path::Path;

use arrow::array::RecordBatch;
use chrono::{DateTime, Days, NaiveDate, Utc};
use marts::audit::{Finding, audit};
use marts::compute::{Compute, Inputs, Pulls, cell};
use marts::config::{
    Cases, Config, Limits, Org, PostgresSettings, Rental, SecretRef, Security, Softbase, SqlLogin, SqlServer, SqlTls,
    StagingSettings,
};
use marts::datasets::{Dataset, Grain, dataset};
use marts::jobs::job;
use marts::periods::Partition;
use marts::run::{Plan, Window, plan, source_for};
use marts::staging::{Landed, Page, Staging, Value};
use rust_decimal::Decimal;

pub fn day(text: &str) -> NaiveDate {
    text.parse().expect("a date in a test")
}

pub fn softbase() -> Softbase {
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
        rental: Rental::default(),
        ledger: None,
    }
}

pub fn case_database() -> Cases {
    Cases {
        server: SqlServer { database: "cases".into(), ..softbase().server },
        schema: "dbo".into(),
        table: "Case_Data_Summary_NOPHI".into(),
        category_column: "Solution".into(),
        min_group_size: 5,
        harmless_labels: Vec::new(),
    }
}

/// An organisation with a case database and nothing else.
pub fn case_org() -> Org {
    Org { softbase: None, cases: Some(case_database()), ..org() }
}

/// A dealer whose books nobody has classified.
pub fn org() -> Org {
    Org { softbase: Some(softbase()), ..bare_org("acme", "America/Chicago", 11) }
}

/// An organisation without any source, as it is read from a configuration: whatever it is not told is as by default.
pub fn bare_org(slug: &str, timezone: &str, fiscal_year_start_month: u32) -> Org {
    let text = format!(
        "[[org]]\nslug = \"{slug}\"\nname = \"{slug}\"\ntimezone = \"{timezone}\"\n\
         fiscal_year_start_month = {fiscal_year_start_month}\n"
    );
    Config::parse(&text, Path::new("")).unwrap().orgs.remove(0)
}

/// A cell of a fixture, owned.
#[derive(Debug, Clone)]
pub enum Cell {
    Text(String),
    Int(i64),
    Amount(Decimal),
    Bool(bool),
    Day(NaiveDate),
    At(DateTime<Utc>),
    Null,
}

impl Cell {
    pub fn value(&self) -> Value<'_> {
        match self {
            Cell::Text(text) => Value::Text(text),
            Cell::Int(int) => Value::Int(*int),
            Cell::Amount(amount) => {
                Value::Decimal { mantissa: amount.mantissa(), scale: u8::try_from(amount.scale()).unwrap() }
            }
            Cell::Bool(bool) => Value::Bool(*bool),
            Cell::Day(day) => Value::Date(*day),
            Cell::At(at) => Value::Timestamp(*at),
            Cell::Null => Value::Null,
        }
    }
}

/// A row by column names; what is not named is null.
#[derive(Debug, Clone, Default)]
pub struct Row(pub BTreeMap<&'static str, Cell>);

impl Row {
    pub fn text(mut self, name: &'static str, value: &str) -> Self {
        self.0.insert(name, Cell::Text(value.into()));
        self
    }
    pub fn int(mut self, name: &'static str, value: i64) -> Self {
        self.0.insert(name, Cell::Int(value));
        self
    }
    pub fn amount(mut self, name: &'static str, value: &str) -> Self {
        self.0.insert(name, Cell::Amount(value.parse().unwrap()));
        self
    }
    pub fn flag(mut self, name: &'static str, value: bool) -> Self {
        self.0.insert(name, Cell::Bool(value));
        self
    }
    pub fn day(mut self, name: &'static str, value: &str) -> Self {
        self.0.insert(name, Cell::Day(day(value)));
        self
    }
    pub fn at(mut self, name: &'static str, value: &str) -> Self {
        self.0.insert(name, Cell::At(value.parse().unwrap()));
        self
    }
    pub fn null(mut self, name: &'static str) -> Self {
        self.0.insert(name, Cell::Null);
        self
    }
    pub fn date(&self, name: &str) -> NaiveDate {
        match self.0[name] {
            Cell::Day(day) => day,
            _ => panic!("{name} is no date"),
        }
    }
}

/// A landing zone, an organisation, and one job.
pub struct Scene {
    pub folder: tempfile::TempDir,
    pub config: Config,
    pub org: Org,
    pub plan: Plan,
    pub as_of: NaiveDate,
    pub landed: Vec<Landed>,
}

impl Scene {
    pub fn new(job_name: &str, org: Org, from: &str, to: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = Config {
            alerts: Default::default(),
            schedule: Default::default(),
            path: folder.path().join("marts.toml"),
            postgres: PostgresSettings::default(),
            staging: StagingSettings { path: folder.path().join("staging 'quoted'") },
            limits: Limits {
                organizations_at_once: 1,
                duckdb_memory_mib: 256,
                duckdb_threads: 2,
                http_concurrency: 1,
                http_timeout_secs: 1,
                tries: 1,
                max_backoff_secs: 1,
                max_answer_mib: 64,
                first_backoff_millis: 1,
            },
            security: Security::default(),
            orgs: vec![org.clone()],
        };
        let job = job(job_name).unwrap();
        let window = Window { as_of: day(to), range: Some((day(from), day(to))), is_present: true };
        let source = source_for(job, &org).unwrap_or(&job.sources[0]);
        let plan = plan(job, source, &org, window).unwrap();
        Scene { folder, config, org, plan, as_of: day(to), landed: Vec::new() }
    }

    pub fn staging(&self) -> Staging {
        Staging::new(&self.config.staging.path)
    }

    pub fn land(&mut self, dataset: &'static Dataset, partition: Partition, rows: &[Row]) {
        // A snapshot is taken in the night after its day, or it is none of that day.
        let night = (partition.end() + Days::new(1)).and_hms_opt(7, 0, 0).unwrap().and_utc();
        let pulled_at = if dataset.grain == Grain::Snapshot { night } else { "2026-06-01T07:00:00Z".parse().unwrap() };
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
    pub fn land_months(&mut self, name: &str, rows: &[Row], column: &str) {
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

    pub fn compute(&self) -> anyhow::Result<(Compute, Vec<RecordBatch>)> {
        let pulls: Pulls = self.landed.iter().cloned().collect();
        let compute = Compute::open(&self.inputs(&pulls))?;
        let batches = compute.compute()?;
        Ok((compute, batches))
    }

    pub fn inputs<'a>(&'a self, pulls: &'a Pulls) -> Inputs<'a> {
        Inputs { config: &self.config, org: &self.org, plan: &self.plan, pulls, as_of: self.as_of }
    }

    pub fn mart(&self) -> Vec<BTreeMap<String, String>> {
        rows(&self.compute().unwrap().1)
    }

    pub fn findings(&self, published: &[RecordBatch]) -> Vec<Finding> {
        let (compute, _) = self.compute().unwrap();
        audit(&compute, published).unwrap()
    }

    /// Rule and period of each finding.
    pub fn rules(&self) -> Vec<(String, Option<NaiveDate>)> {
        self.findings(&[]).into_iter().map(|finding| (finding.rule, finding.period)).collect()
    }
}

pub fn rows(batches: &[RecordBatch]) -> Vec<BTreeMap<String, String>> {
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

pub fn assert_row(row: &BTreeMap<String, String>, expected: &[(&str, &str)]) {
    for (name, value) in expected {
        assert_eq!(row[*name], *value, "{name} of {row:?}");
    }
}

pub fn invoice(number: &str, date: &str) -> Row {
    Row::default().text("invoice_no", number).day("invoice_date", date)
}

pub fn work_order(number: &str, opened: &str) -> Row {
    Row::default().text("work_order_no", number).day("open_date", opened)
}

pub fn sales(org: Org, from: &str, to: &str, invoices: &[Row], work_orders: &[Row]) -> Scene {
    let mut scene = Scene::new("etl_sales_daily", org, from, to);
    scene.land_months("softbase_invoices", invoices, "invoice_date");
    scene.land(dataset("softbase_work_orders").unwrap(), Partition::Day(day(to)), work_orders);
    scene
}

/// Every awkward invoice of one day.
pub fn awkward_invoices() -> Vec<Row> {
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
