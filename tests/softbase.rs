//! The Softbase extractor and the SQL Server connector, against the simulated server.

mod last_instants;
mod ledger;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::{NaiveDate, NaiveDateTime};
use marts::clock::Clock;
use marts::config::{
    Config, Limits, PostgresSettings, Rental, SecretRef, Security, Softbase, SqlLogin, SqlServer, SqlTls,
    StagingSettings,
};
use marts::datasets::Connector;
use marts::datasets::{Dataset, dataset};
use marts::extract::{Context, softbase, sqlserver};
use marts::periods::Partition;
use marts::sandbox::tds::*;
use marts::staging::{Landed, Staging};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::compute::support::bare_org;

const PASSWORD: &str = "correct-horse-battery";

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn at(text: &str) -> SqlValue {
    let time = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f");
    SqlValue::DateTime(time.unwrap_or_else(|_| day(text).and_hms_opt(0, 0, 0).unwrap()))
}

fn amount(mantissa: i128) -> SqlValue {
    SqlValue::Decimal { mantissa, scale: 4 }
}

/// The columns of a dealer's register, in types that dealers really have.
fn invoice_columns() -> Vec<TableColumn> {
    let mut columns = vec![
        TableColumn::new("InvoiceNo", SqlType::Int).not_null(),
        TableColumn::new("InvoiceDate", SqlType::DateTime),
        TableColumn::new("BillTo", SqlType::Char(12)),
        TableColumn::new("BillToName", SqlType::NVarChar(80)),
        TableColumn::new("ShipTo", SqlType::NVarChar(12)),
        TableColumn::new("SerialNo", SqlType::NVarChar(30)),
        TableColumn::new("SaleCode", SqlType::VarChar(10)),
        TableColumn::new("SaleBranch", SqlType::SmallInt),
        TableColumn::new("SaleDept", SqlType::SmallInt),
        TableColumn::new("GrandTotal", SqlType::Money),
        TableColumn::new("TotalTax", SqlType::Decimal { precision: 18, scale: 2 }),
    ];
    for line in ["Labor", "Parts", "Misc", "Equipment", "Rental"] {
        columns.push(TableColumn::new(&format!("{line}Taxable"), SqlType::Money));
        columns.push(TableColumn::new(&format!("{line}NonTax"), SqlType::SmallMoney));
    }
    columns.push(TableColumn::new("DeletionTime", SqlType::DateTime));
    columns
}

/// A row with the columns given, all others NULL.
fn row(columns: &[TableColumn], values: &[(&str, SqlValue)]) -> Vec<SqlValue> {
    let mut row = vec![SqlValue::Null; columns.len()];
    for (name, value) in values {
        row[columns.iter().position(|column| column.name == *name).unwrap()] = value.clone();
    }
    row
}

fn invoice(number: i64, date: &str) -> Vec<SqlValue> {
    row(&invoice_columns(), &[("InvoiceNo", SqlValue::Int(number)), ("InvoiceDate", at(date))])
}

fn work_orders() -> Table {
    let columns = vec![
        TableColumn::new("WONo", SqlType::NVarChar(10)).not_null(),
        TableColumn::new("Type", SqlType::Char(2)),
        TableColumn::new("BillTo", SqlType::Char(10)),
        TableColumn::new("ShipTo", SqlType::Char(10)),
        TableColumn::new("OpenDate", SqlType::DateTime),
        TableColumn::new("CompletedDate", SqlType::DateTime),
        TableColumn::new("ClosedDate", SqlType::DateTime),
    ];
    let rows = vec![
        row(&columns, &[("WONo", "140001".into()), ("Type", "S".into()), ("OpenDate", at("2026-01-05"))]),
        row(&columns, &[("WONo", "140002".into()), ("OpenDate", at("1899-12-30")), ("ClosedDate", at("2031-01-01"))]),
    ];
    Table::new("ben002", "WO", columns, rows)
}

fn database(invoices: Vec<Vec<SqlValue>>) -> Database {
    let invoices = Table::new("ben002", "InvoiceReg", invoice_columns(), invoices);
    let (equipment, lines) = (equipment(Vec::new()), rental_lines(Vec::new()));
    Database::new("evo", vec![invoices, work_orders(), equipment, lines]).unwrap()
}

/// Equipment, in types that dealers really have; this dealer's view marks no deleted rows.
fn equipment(rows: Vec<Vec<(&str, SqlValue)>>) -> Table {
    let columns = vec![
        TableColumn::new("UnitNo", SqlType::NVarChar(20)),
        TableColumn::new("SerialNo", SqlType::Char(20)),
        TableColumn::new("Make", SqlType::VarChar(20)),
        TableColumn::new("Model", SqlType::NVarChar(20)),
        TableColumn::new("RentalStatus", SqlType::NVarChar(20)),
        TableColumn::new("InventoryDept", SqlType::SmallInt),
        TableColumn::new("Customer", SqlType::Bit),
    ];
    let rows = rows.iter().map(|values| row(&columns, values)).collect();
    Table::new("ben002", "Equipment", columns, rows)
}

fn rental_lines(rows: Vec<Vec<(&str, SqlValue)>>) -> Table {
    let columns = vec![
        TableColumn::new("WONo", SqlType::Int),
        TableColumn::new("SerialNo", SqlType::NVarChar(30)),
        TableColumn::new("UnitNo", SqlType::NVarChar(20)),
        TableColumn::new("DeletionTime", SqlType::DateTime),
    ];
    let rows = rows.iter().map(|values| row(&columns, values)).collect();
    Table::new("ben002", "WORental", columns, rows)
}

/// Four invoices of January.
fn january() -> Database {
    database((1..=4).map(|number| invoice(number, "2026-01-10 08:00:00")).collect())
}

fn options(database: Database) -> TdsOptions {
    TdsOptions { users: vec![("reader".into(), PASSWORD.into())], ..TdsOptions::new(database) }
}

/// A dealer with a simulated server and a landing zone of its own.
struct Dealer {
    server: TdsServer,
    config: Config,
    softbase: Softbase,
    folder: tempfile::TempDir,
    progress: Mutex<Vec<(String, Option<Partition>, u64)>>,
}

impl Dealer {
    async fn new(options: TdsOptions) -> Dealer {
        // `main` does this once; the token call needs it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let server = TdsServer::start(options).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let ca_file = folder.path().join("ca.pem");
        std::fs::write(&ca_file, server.ca_pem()).unwrap();
        let password = folder.path().join("password");
        std::fs::write(&password, PASSWORD).unwrap();
        let softbase = Softbase {
            server: SqlServer {
                host: "127.0.0.1".into(),
                port: server.addr().port(),
                database: "evo".into(),
                login: SqlLogin::Password { user: "reader".into(), password: SecretRef::File(password) },
                tls: SqlTls::Required,
                ca_file: Some(ca_file),
                timeout_secs: 1,
            },
            schema: "ben002".into(),
            total_includes_tax: false,
            excluded_customers: Vec::new(),
            excluded_branches: Vec::new(),
            excluded_work_orders: Vec::new(),
            rental: Rental::default(),
            ledger: None,
        };
        let config = Config {
            alerts: Default::default(),
            schedule: Default::default(),
            path: folder.path().join("marts.toml"),
            postgres: PostgresSettings::default(),
            staging: StagingSettings { path: folder.path().join("staging") },
            limits: Limits {
                organizations_at_once: 1,
                duckdb_memory_mib: 100,
                duckdb_threads: 1,
                http_concurrency: 1,
                http_timeout_secs: 1,
                tries: 3,
                max_backoff_secs: 1,
                max_answer_mib: 64,
                first_backoff_millis: 1,
            },
            security: Security::default(),
            orgs: Vec::new(),
        };
        Dealer { server, config, softbase, folder, progress: Mutex::new(Vec::new()) }
    }

    async fn with_faults(faults: FaultPlan) -> Dealer {
        Dealer::new(TdsOptions { faults, ..options(january()) }).await
    }

    async fn pull(&self, dataset: &'static Dataset, partitions: &[&str]) -> anyhow::Result<Vec<Landed>> {
        let org = bare_org("bennett", "America/New_York", 11);
        let staging = Staging::new(&self.config.staging.path);
        let pulled_at = "2026-01-21T06:00:00Z".parse().unwrap();
        let context = Context {
            config: &self.config,
            org: &org,
            staging: &staging,
            clock: Clock::fixed(pulled_at),
            pulled_at,
            as_of: day("2026-01-20"),
            saved: None,
            progress: &|dataset, partition, rows| {
                self.progress.lock().unwrap().push((dataset.into(), partition, rows));
            },
        };
        let partitions = partitions.iter().map(|text| text.parse().unwrap()).collect();
        let wanted = [(dataset, partitions)];
        sendable(softbase::pull(&context, &self.softbase, &wanted)).await
    }

    async fn invoices(&self, month: &str) -> anyhow::Result<Vec<BTreeMap<String, String>>> {
        Ok(rows(&self.pull(dataset("softbase_invoices").unwrap(), &[month]).await?[0]))
    }

    /// The error of pulling January's invoices, as one line, after which nothing may have been left behind.
    async fn refusal(&self) -> String {
        let error = self.invoices("2026-01").await.expect_err("the pull should have failed");
        assert_eq!(self.files(), Vec::<PathBuf>::new(), "a failed pull left files");
        let line = format!("{error:#}");
        assert!(!line.contains(PASSWORD), "{line}");
        line
    }

    /// Files in the landing zone.
    fn files(&self) -> Vec<PathBuf> {
        fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() { walk(&path, files) } else { files.push(path) }
            }
        }
        let mut files = Vec::new();
        walk(&self.config.staging.path, &mut files);
        files
    }

    fn connections(&self) -> usize {
        self.server.log().iter().filter(|entry| matches!(entry, LogEntry::Connected { .. })).count()
    }

    fn logins(&self) -> Vec<Login> {
        let login = |entry: LogEntry| match entry {
            LogEntry::Login { login, .. } => Some(login),
            _ => None,
        };
        self.server.log().into_iter().filter_map(login).collect()
    }
}

/// Pulls run in tasks, so their futures must be able to move between threads.
fn sendable<F: Future + Send>(future: F) -> F {
    future
}

/// The rows of a pull as text; NULLs are left out.
fn rows(landed: &Landed) -> Vec<BTreeMap<String, String>> {
    let mut rows = Vec::new();
    for file in landed.row_files() {
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(file).unwrap()).unwrap().build().unwrap();
        for batch in reader {
            let batch = batch.unwrap();
            let schema = batch.schema();
            for at in 0..batch.num_rows() {
                let cell = |(field, column): (&Arc<arrow::datatypes::Field>, &Arc<dyn arrow::array::Array>)| {
                    let text =
                        ArrayFormatter::try_new(column, &FormatOptions::default()).unwrap().value(at).to_string();
                    column.is_valid(at).then(|| (field.name().clone(), text))
                };
                rows.push(schema.fields().iter().zip(batch.columns()).filter_map(cell).collect());
            }
        }
    }
    rows
}

fn cells(cells: &[(&str, &str)]) -> BTreeMap<String, String> {
    cells.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

#[tokio::test]
async fn values_land_as_they_are() {
    let columns = invoice_columns();
    let full = row(
        &columns,
        &[
            ("InvoiceNo", SqlValue::Int(16000286)),
            ("InvoiceDate", at("2026-01-31 23:59:59.997")),
            ("BillTo", "  C1".into()),
            ("ShipTo", "   ".into()),
            ("SaleCode", "CAFÉ".into()),
            ("SaleBranch", SqlValue::Int(-3)),
            ("SaleDept", SqlValue::Int(40)),
            ("GrandTotal", amount(i64::MAX.into())),
            ("TotalTax", SqlValue::Decimal { mantissa: -123, scale: 2 }),
            ("LaborTaxable", amount(i64::MIN.into())),
            ("LaborNonTax", amount(1)),
            ("PartsTaxable", amount(0)),
            ("DeletionTime", at("2026-02-01 07:00:00")),
        ],
    );
    let bare = row(
        &columns,
        &[("InvoiceNo", SqlValue::Int(2)), ("InvoiceDate", at("2026-01-01")), ("DeletionTime", at("1900-01-01"))],
    );
    let dealer = Dealer::new(options(database(vec![full, bare]))).await;
    let invoices = dealer.invoices("2026-01").await.unwrap();
    assert_eq!(invoices[0], cells(&[("invoice_no", "2"), ("invoice_date", "2026-01-01")]));
    assert_eq!(
        invoices[1],
        cells(&[
            ("invoice_no", "16000286"),
            ("invoice_date", "2026-01-31"),
            ("bill_to", "C1"),
            ("sale_code", "CAFÉ"),
            ("sale_branch", "-3"),
            ("sale_dept", "40"),
            ("grand_total", "922337203685477.5807"),
            ("total_tax", "-1.2300"),
            ("labor_taxable", "-922337203685477.5808"),
            ("labor_non_tax", "0.0001"),
            ("parts_taxable", "0.0000"),
            ("deleted_date", "2026-02-01"),
        ])
    );
    assert_eq!(invoices.len(), 2);
}

#[tokio::test]
async fn months_are_half_open_and_share_one_connection() {
    let dates = ["2025-12-31 23:59:59.997", "2026-01-01", "2026-01-31 23:59:59.997", "2026-02-01"];
    let invoices = dates.iter().enumerate().map(|(at, date)| invoice(at as i64, date)).collect();
    let dealer = Dealer::new(options(database(invoices))).await;
    let months = ["2025-12", "2026-01", "2026-02", "2026-03"];
    let landed = dealer.pull(dataset("softbase_invoices").unwrap(), &months).await.unwrap();
    let numbers: Vec<Vec<String>> =
        landed.iter().map(|pull| rows(pull).iter().map(|row| row["invoice_no"].clone()).collect()).collect();
    assert_eq!(numbers, [vec!["0"], vec!["1", "2"], vec!["3"], vec![]]);

    assert_eq!(dealer.connections(), 1);
    let login = &dealer.logins()[0];
    assert_eq!((login.application.as_str(), login.read_only_intent), ("marts", true));
    let statements = dealer.server.statements();
    assert_eq!(statements[0], "SET LOCK_TIMEOUT 30000; SET DEADLOCK_PRIORITY LOW");
    let typed = dealer.server.log().into_iter().any(|entry| match entry {
        LogEntry::Statement { parameters, .. } => {
            parameters.iter().any(|p| p.sql_type == SqlType::Date && p.value == SqlValue::Date(day("2026-02-01")))
        }
        _ => false,
    });
    assert!(typed, "days are sent as days");
    let progress = dealer.progress.lock().unwrap().clone();
    assert_eq!(progress[1], ("softbase_invoices".into(), Some("2026-01".parse().unwrap()), 2));
}

#[tokio::test]
async fn work_orders_land_as_one_snapshot_without_impossible_dates() {
    let dealer = Dealer::new(options(january())).await;
    let landed = dealer.pull(dataset("softbase_work_orders").unwrap(), &["2026-01-20"]).await.unwrap();
    assert_eq!(
        rows(&landed[0]),
        [
            cells(&[("work_order_no", "140001"), ("work_order_type", "S"), ("open_date", "2026-01-05")]),
            cells(&[("work_order_no", "140002")]),
        ]
    );
}

#[tokio::test]
async fn what_the_catalog_does_not_promise_fails_the_pull() {
    let changed = |change: fn(&mut Vec<TableColumn>)| {
        let mut columns = invoice_columns();
        change(&mut columns);
        options(Database::new("evo", vec![Table::new("ben002", "InvoiceReg", columns, vec![])]).unwrap())
    };
    let retyped = |columns: &mut Vec<TableColumn>, name: &str, sql_type| {
        columns.iter_mut().find(|column| column.name == name).unwrap().sql_type = sql_type;
    };

    // Voided rows are marked in some views only.
    let dealer = Dealer::new(changed(|columns| columns.retain(|column| column.name != "DeletionTime"))).await;
    assert_eq!(dealer.invoices("2026-01").await.unwrap().len(), 0);

    let dealer = Dealer::new(changed(|columns| columns.retain(|column| column.name != "ShipTo"))).await;
    let line = dealer.refusal().await;
    assert!(line.contains("ben002.InvoiceReg has no column ShipTo, which ship_to needs"), "{line}");

    let mut columns = invoice_columns();
    retyped(&mut columns, "GrandTotal", SqlType::NVarChar(20));
    let table = Table::new("ben002", "InvoiceReg", columns, vec![]);
    let dealer = Dealer::new(options(Database::new("evo", vec![table]).unwrap())).await;
    let line = dealer.refusal().await;
    assert!(
        line.contains("InvoiceReg.GrandTotal is nvarchar(20), which is not what grand_total expects: decimal(19,4)"),
        "{line}"
    );

    let dealer = Dealer::new(options(Database::new("evo", vec![work_orders()]).unwrap())).await;
    let line = dealer.refusal().await;
    assert!(line.contains("there is no ben002.InvoiceReg, or the login may not see it"), "{line}");
    assert!(softbase::check(&dealer.softbase, Connector::Softbase).await.is_err());
}

#[tokio::test]
async fn a_view_that_doubles_rows_fails_the_pull() {
    let twice = vec![invoice(777001, "2026-01-05"), invoice(777001, "2026-01-05")];
    let dealer = Dealer::new(options(database(twice))).await;
    let line = dealer.refusal().await;
    assert!(line.contains("ben002.InvoiceReg gives the same InvoiceNo in more than one row"), "{line}");
    assert!(!line.contains("777001"), "{line}");
}

#[tokio::test]
async fn equipment_and_rental_lines_have_no_key_and_land_row_by_row() {
    let truck = vec![
        ("UnitNo", "U1".into()),
        ("SerialNo", "SN1".into()),
        ("InventoryDept", SqlValue::Int(60)),
        ("Customer", SqlValue::Bit(false)),
        ("RentalStatus", "  ".into()),
    ];
    let battery = vec![("UnitNo", " U1 ".into()), ("Make", "GNB".into()), ("Customer", SqlValue::Bit(true))];
    let equipment = equipment(vec![truck.clone(), Vec::new(), battery, truck]);
    let lines = rental_lines(vec![
        vec![("WONo", SqlValue::Int(1_600_001)), ("SerialNo", "SN1".into())],
        vec![("WONo", SqlValue::Int(1_600_001)), ("SerialNo", "SN1".into()), ("DeletionTime", at("2026-01-03"))],
    ]);
    let dealer = Dealer::new(options(Database::new("evo", vec![equipment, lines]).unwrap())).await;
    let landed = dealer.pull(dataset("softbase_equipment").unwrap(), &["2026-01-20"]).await.unwrap();
    let truck = [("unit_no", "U1"), ("serial_no", "SN1"), ("inventory_dept", "60"), ("is_customers", "false")];
    let mut found = rows(&landed[0]);
    found.sort();
    let battery = cells(&[("unit_no", "U1"), ("make", "GNB"), ("is_customers", "true")]);
    let mut expected = [cells(&[]), battery, cells(&truck), cells(&truck)];
    expected.sort();
    assert_eq!(found, expected);
    let landed = dealer.pull(dataset("softbase_rental_lines").unwrap(), &["2026-01-20"]).await.unwrap();
    let line = [("work_order_no", "1600001"), ("serial_no", "SN1")];
    let deleted = [&line[..], &[("deleted_date", "2026-01-03")]].concat();
    let found = rows(&landed[0]);
    assert!(found.len() == 2 && found.contains(&cells(&line)) && found.contains(&cells(&deleted)), "{found:?}");
}

#[tokio::test]
async fn a_fleet_that_is_not_what_it_was_fails_its_pull() {
    let changed = |change: fn(&mut Table)| {
        let mut table = equipment(vec![vec![("UnitNo", "U1".into())]]);
        change(&mut table);
        options(Database::new("evo", vec![table]).unwrap())
    };
    let refusal = async |options: TdsOptions| {
        let dealer = Dealer::new(options).await;
        let pulled = dealer.pull(dataset("softbase_equipment").unwrap(), &["2026-01-20"]).await;
        assert_eq!(dealer.files(), Vec::<PathBuf>::new());
        format!("{:#}", pulled.unwrap_err())
    };
    let line = refusal(changed(|table| table.columns[4].name = "Status".into())).await;
    assert!(line.contains("ben002.Equipment has no column RentalStatus, which rental_status needs"), "{line}");
    let line = refusal(changed(|table| table.columns[5].sql_type = SqlType::NVarChar(4))).await;
    assert!(line.contains("InventoryDept is nvarchar(4), which is not what inventory_dept expects: bigint"), "{line}");
    let line = refusal(changed(|table| table.rows = Rows::Memory(Vec::new()))).await;
    assert!(line.contains("softbase_equipment of 2026-01-20 came back empty, which it never is"), "{line}");
    let line = refusal(options(Database::new("evo", vec![work_orders()]).unwrap())).await;
    assert!(line.contains("there is no ben002.Equipment, or the login may not see it"), "{line}");
    // Nothing on rent, ever, may be.
    let dealer = Dealer::new(options(january())).await;
    let landed = dealer.pull(dataset("softbase_rental_lines").unwrap(), &["2026-01-20"]).await.unwrap();
    assert_eq!(landed[0].manifest().rows, 0);
}

#[tokio::test]
async fn an_empty_month_is_a_pull_and_an_empty_snapshot_is_not() {
    let mut orders = work_orders();
    orders.rows = Rows::Memory(Vec::new());
    let dealer = Dealer::new(options(Database::new("evo", vec![orders]).unwrap())).await;
    let pulled = dealer.pull(dataset("softbase_work_orders").unwrap(), &["2026-01-20"]).await;
    assert!(pulled.is_err());
    assert_eq!(dealer.files(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn transient_errors_are_tried_again_on_a_fresh_connection() {
    for code in [1205, 1222, 4060, 10928, 10929, 40197, 40501, 40613, 49918, 49919, 49920] {
        let error = SqlError::known(code);
        let plans = [
            Fault::connection(ConnectionFault::RefuseLogin(error.clone())),
            Fault::statement("InvoiceReg", StatementFault::Error(error.clone())),
            Fault::statement("InvoiceReg", StatementFault::AfterRows(3, Break::Error(error))),
        ];
        for fault in plans {
            let dealer = Dealer::with_faults(FaultPlan::one(fault)).await;
            assert_eq!(dealer.invoices("2026-01").await.unwrap().len(), 4, "{code}");
            assert_eq!(dealer.connections(), 2, "{code}");
        }
    }
}

#[tokio::test]
async fn broken_connections_are_tried_again_with_nothing_half_landed() {
    let plans = [
        Fault::connection(ConnectionFault::Close),
        Fault::connection(ConnectionFault::Reset),
        Fault::connection(ConnectionFault::StallHandshake(Duration::from_secs(5))),
        Fault::statement("InvoiceReg", StatementFault::AfterRows(3, Break::Close)),
        Fault::statement("InvoiceReg", StatementFault::AfterRows(3, Break::Reset)),
        Fault::statement("InvoiceReg", StatementFault::AfterRows(3, Break::StallUntilAttention)),
        Fault::statement("InvoiceReg", StatementFault::Delay(Duration::from_secs(5))),
        Fault::statement("COLUMNS", StatementFault::AfterRows(3, Break::Close)),
        Fault::statement("SET LOCK_TIMEOUT", StatementFault::Error(SqlError::known(40197))),
    ];
    for fault in plans {
        let what = format!("{fault:?}");
        let dealer = Dealer::with_faults(FaultPlan::one(fault)).await;
        let started = Instant::now();
        assert_eq!(dealer.invoices("2026-01").await.unwrap().len(), 4, "{what}");
        assert_eq!(dealer.connections(), 2, "{what}");
        assert!(started.elapsed() < Duration::from_secs(4), "{what}");
        let pulls = dealer.files().iter().filter(|file| file.ends_with("pull.json")).count();
        assert_eq!(pulls, 1, "{what}");
    }
}

#[tokio::test]
async fn tries_end() {
    let fault = Fault::statement("InvoiceReg", StatementFault::AfterRows(3, Break::Reset)).times(99);
    let dealer = Dealer::with_faults(FaultPlan::one(fault)).await;
    let line = dealer.refusal().await;
    assert!(
        line.starts_with("pulling softbase_invoices 2026-01: SQL Server 127.0.0.1: the connection broke"),
        "{line}"
    );
    assert!(line.ends_with("gave up after 3 tries"), "{line}");
    assert_eq!(dealer.connections(), 3);
}

#[tokio::test]
async fn a_busy_server_is_left_alone_as_long_as_the_limits_let() {
    let fault = Fault::statement("InvoiceReg", StatementFault::Error(SqlError::known(40501)));
    let dealer = Dealer::with_faults(FaultPlan::one(fault)).await;
    let started = Instant::now();
    dealer.invoices("2026-01").await.unwrap();
    // Ten seconds are asked for; this configuration waits one at most.
    assert!(started.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn permanent_errors_end_the_pull_at_once_in_plain_words() {
    let login = |error: SqlError| Fault::connection(ConnectionFault::RefuseLogin(error)).times(99);
    let statement = |error: SqlError| Fault::statement("InvoiceReg", StatementFault::Error(error)).times(99);
    let denied = "The SELECT permission was denied on the object 'InvoiceReg', database 'evo', schema 'ben002'.";
    let value = "Conversion failed when converting the varchar value 'Jane Doe' to data type int.";
    let cases = [
        (login(SqlError::known(40615)), "firewall does not admit this machine's address (127.0.0.1); ask"),
        (login(SqlError::known(18456)), "it refused the login of user reader: the name or its secret is wrong"),
        (statement(SqlError::new(208, 1, 16, "Invalid object name 'x'.")), "Invalid object name 'x'. (error 208)"),
        (statement(SqlError::new(207, 1, 16, "Invalid column name 'y'.")), "Invalid column name 'y'. (error 207)"),
        (statement(SqlError::new(229, 5, 14, denied)), "user reader lacks a right; ask whoever runs the server"),
        (statement(SqlError::new(245, 1, 16, value)), "the varchar value '…' to data type int. (error 245)"),
    ];
    for (fault, expected) in cases {
        let dealer = Dealer::with_faults(FaultPlan::one(fault)).await;
        let line = dealer.refusal().await;
        assert!(line.contains(expected), "{line}");
        assert_eq!(dealer.connections(), 1, "{line}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_told_without_it() {
    let dealer =
        Dealer::new(TdsOptions { users: vec![("reader".into(), "another one".into())], ..TdsOptions::new(january()) })
            .await;
    let line = dealer.refusal().await;
    assert!(line.contains("it refused the login of user reader"), "{line}");
    let SqlLogin::Password { password: SecretRef::File(file), .. } = &dealer.softbase.server.login else { panic!() };
    std::fs::remove_file(file).unwrap();
    let line = dealer.refusal().await;
    assert!(line.contains("cannot read the secret file"), "{line}");
    assert_eq!(dealer.connections(), 1, "without a secret nothing is sent");
}

#[tokio::test]
async fn redirections_are_followed_and_the_server_at_their_end_is_verified() {
    let last = Dealer::new(options(january())).await;
    let route = |host: &str, port| Fault::connection(ConnectionFault::Route { host: host.into(), port }).times(99);
    let mut first = Dealer::with_faults(FaultPlan::one(route("localhost", last.server.addr().port()))).await;
    let both = first.folder.path().join("both.pem");
    std::fs::write(&both, format!("{}{}", first.server.ca_pem(), last.server.ca_pem())).unwrap();
    first.softbase.server.ca_file = Some(both);
    assert_eq!(first.invoices("2026-01").await.unwrap().len(), 4);
    assert_eq!(last.logins()[0].server, "127.0.0.1", "the login names the server first asked for");

    // The same, with an instance name as managed instances send it.
    first.server.set_faults(FaultPlan::one(route("localhost\\instance", last.server.addr().port())));
    assert_eq!(first.pull(dataset("softbase_work_orders").unwrap(), &["2026-01-20"]).await.unwrap().len(), 1);

    // A certificate for another name than the one redirected to.
    let other =
        TdsServer::start(TdsOptions { bind: "127.0.0.2:0".parse().unwrap(), ..options(january()) }).await.unwrap();
    let dealer = Dealer::with_faults(FaultPlan::one(route("127.0.0.2", other.addr().port()))).await;
    std::fs::write(
        dealer.softbase.server.ca_file.as_ref().unwrap(),
        format!("{}{}", dealer.server.ca_pem(), other.ca_pem()),
    )
    .unwrap();
    let line = dealer.refusal().await;
    assert!(line.contains("its certificate is not made out to 127.0.0.2"), "{line}");

    let dealer = Dealer::new(options(january())).await;
    dealer.server.set_faults(FaultPlan::one(route("localhost", dealer.server.addr().port())));
    let line = dealer.refusal().await;
    assert!(line.contains("it redirected more than 3 times"), "{line}");
    assert_eq!(dealer.connections(), 4);
}

#[tokio::test]
async fn connections_are_encrypted_as_configured() {
    let mut dealer = Dealer::new(TdsOptions { encryption: Encryption::Strict, ..options(january()) }).await;
    for tls in [SqlTls::Strict, SqlTls::Required, SqlTls::TrustAny] {
        dealer.softbase.server.tls = tls;
        let line = softbase::check(&dealer.softbase, Connector::Softbase).await.unwrap();
        assert_eq!(line, "127.0.0.1/evo: ben002.InvoiceReg, ben002.WO, ben002.Equipment, ben002.WORental can be read");
    }
    // Authorities that did not sign this certificate: one of another name, and one that only bears the same.
    let other = rcgen::generate_simple_self_signed(["authority.example".to_owned()]).unwrap().cert.pem();
    let namesake = Dealer::new(options(january())).await.server.ca_pem();
    for (ca, tls) in [(&other, SqlTls::Strict), (&other, SqlTls::Required), (&namesake, SqlTls::Required)] {
        std::fs::write(dealer.softbase.server.ca_file.as_ref().unwrap(), ca).unwrap();
        dealer.softbase.server.tls = tls;
        let before = dealer.connections();
        let line = dealer.refusal().await;
        assert!(line.contains("signed by an authority that this machine does not know"), "{line}");
        assert_eq!(dealer.connections(), before + 1, "trying again would not help");
    }
    dealer.softbase.server.tls = SqlTls::TrustAny;
    softbase::check(&dealer.softbase, Connector::Softbase).await.unwrap();

    let mut dealer = Dealer::new(TdsOptions { bind: "127.0.0.2:0".parse().unwrap(), ..options(january()) }).await;
    dealer.softbase.server.host = "127.0.0.2".into();
    let line = dealer.refusal().await;
    assert!(line.contains("its certificate is not made out to 127.0.0.2"), "{line}");
    dealer.softbase.server.ca_file = Some(dealer.folder.path().join("nowhere.pem"));
    let line = dealer.refusal().await;
    assert!(line.contains("cannot read ca_file"), "{line}");
}

#[tokio::test]
async fn plain_connections_stay_on_this_machine() {
    let mut dealer = Dealer::new(TdsOptions { encryption: Encryption::None, ..options(january()) }).await;
    // A server without encryption gets no login unless that is asked for.
    let line = dealer.refusal().await;
    assert!(line.contains("disagree about encryption"), "{line}");
    assert_eq!(dealer.logins().len(), 0);
    dealer.softbase.server.tls = SqlTls::Off;
    softbase::check(&dealer.softbase, Connector::Softbase).await.unwrap();

    dealer.softbase.server.host = "192.0.2.1".into();
    for (tls, name) in [(SqlTls::Off, "off"), (SqlTls::TrustAny, "trust-any")] {
        dealer.softbase.server.tls = tls;
        let line = dealer.refusal().await;
        assert!(line.contains(&format!("`tls = \"{name}\"` is for this machine only")), "{line}");
    }

    let mut dealer = Dealer::new(TdsOptions {
        encryption: Encryption::None,
        faults: FaultPlan::one(Fault::connection(ConnectionFault::Route { host: "192.0.2.1".into(), port: 1433 })),
        ..options(january())
    })
    .await;
    dealer.softbase.server.tls = SqlTls::Off;
    let line = dealer.refusal().await;
    assert!(line.contains("SQL Server 192.0.2.1: `tls = \"off\"` is for this machine only"), "{line}");
}

#[tokio::test]
async fn an_abandoned_connection_is_not_used_again() {
    let dealer = Dealer::new(options(january())).await;
    let mut server = sqlserver::Server::new(&dealer.softbase.server, &dealer.config.limits);
    let catalog = |schema: &str| sqlserver::catalog_statement(schema, "InvoiceReg");
    let count = |rows: &mut usize, _: &sqlserver::Row| {
        *rows += 1;
        Ok(())
    };
    // Whoever reads the rows stops.
    let stopped = server.query(&catalog("ben002"), || Ok(()), |(), _| anyhow::bail!("enough")).await;
    assert_eq!(stopped.unwrap_err().to_string(), "enough");
    assert_eq!(server.query(&catalog("ben002"), || Ok(0), count).await.unwrap(), invoice_columns().len());
    assert_eq!(dealer.connections(), 2);
    // Nobody waits any longer.
    let stall = Fault::statement("COLUMNS", StatementFault::AfterRows(3, Break::StallUntilAttention));
    dealer.server.set_faults(FaultPlan::one(stall));
    let statement = catalog("ben002");
    let query = server.query(&statement, || Ok(0), count);
    assert!(tokio::time::timeout(Duration::from_millis(200), query).await.is_err());
    assert_eq!(server.query(&catalog("nobody"), || Ok(0), count).await.unwrap(), 0);
    assert_eq!(dealer.connections(), 3);
    assert_eq!(server.query(&catalog("ben002"), || Ok(0), count).await.unwrap(), invoice_columns().len());
    assert_eq!(dealer.connections(), 3, "a connection that served well is kept");
}

/// Answers HTTP requests with `answers`, one connection each; gives back what was asked.
async fn authority(answers: Vec<(u16, &'static str)>) -> (String, tokio::task::JoinHandle<Vec<String>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = tokio::spawn(async move {
        let mut asked = Vec::new();
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !String::from_utf8_lossy(&request).contains("scope=") {
                let mut part = [0; 4096];
                let read = stream.read(&mut part).await.unwrap();
                request.extend(&part[..read]);
            }
            asked.push(String::from_utf8(request).unwrap());
            let answer = format!(
                "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        asked
    });
    (url, asked)
}

#[tokio::test]
async fn azure_ad_logs_in_with_a_token() {
    let mut dealer =
        Dealer::new(TdsOptions { access_tokens: vec!["token-1".into()], ..TdsOptions::new(january()) }).await;
    let SqlLogin::Password { password, .. } = dealer.softbase.server.login.clone() else { panic!() };
    let login = |authority: String| SqlLogin::AzureAd {
        tenant: "tenant-1".into(),
        client_id: "client-1".into(),
        client_secret: password.clone(),
        authority,
    };
    let (url, asked) = authority(vec![(503, "{}"), (200, r#"{"access_token":"token-1","expires_in":3599}"#)]).await;
    dealer.softbase.server.login = login(url);
    assert_eq!(dealer.invoices("2026-01").await.unwrap().len(), 4);
    assert!(dealer.logins()[0].access_token);
    let asked = asked.await.unwrap();
    assert!(asked[1].starts_with("POST /tenant-1/oauth2/v2.0/token "), "{}", asked[1]);
    assert!(asked[1].contains("scope=https%3A%2F%2Fdatabase.windows.net%2F.default"), "{}", asked[1]);

    let refused =
        r#"{"error":"invalid_client","error_description":"secret correct-horse-battery","error_codes":[7000215]}"#;
    let mut stranger = Dealer::new(TdsOptions::new(january())).await;
    let (url, _) = authority(vec![(401, refused)]).await;
    stranger.softbase.server.login = login(url);
    let line = stranger.refusal().await;
    assert!(line.contains("refused a token for application client-1: 401 Unauthorized, invalid_client AADSTS7000215"));
    assert_eq!(stranger.connections(), 0);
    let (url, _) = authority(vec![(200, r#"{"access_token":"token-2"}"#)]).await;
    stranger.softbase.server.login = login(url);
    let line = stranger.refusal().await;
    assert!(line.contains("it refused the login of application client-1"), "{line}");
    assert!(!line.contains("token-2"), "{line}");
}

#[tokio::test]
async fn a_check_finds_missing_rights_and_tries_once() {
    let denied = SqlError::new(229, 5, 14, "The SELECT permission was denied on the object 'WO'.");
    let dealer = Dealer::with_faults(FaultPlan::one(Fault::statement("[WO]", StatementFault::Error(denied)))).await;
    let line = format!("{:#}", softbase::check(&dealer.softbase, Connector::Softbase).await.unwrap_err());
    assert!(line.contains("user reader lacks a right"), "{line}");
    let asleep = Fault::connection(ConnectionFault::RefuseLogin(SqlError::known(40613)));
    let dealer = Dealer::with_faults(FaultPlan::one(asleep)).await;
    let line = format!("{:#}", softbase::check(&dealer.softbase, Connector::Softbase).await.unwrap_err());
    assert!(line.contains("database evo is not available just now"), "{line}");
    assert_eq!(dealer.connections(), 1);
}
