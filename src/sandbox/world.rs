//! All source systems together, with the configuration and the secrets that point `marts` at them.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use chrono::{Datelike, Days, Months, NaiveDate, NaiveTime, TimeDelta};
use rand::RngExt;

use super::business::crm::{Crm, CrmOptions};
use super::business::dealer::{Dealer, DealerOptions};
use super::business::services::{ServicesCompany, ServicesOptions};
use super::business::{Cell, TableData};
use super::hubspot::{HubSpotOptions, HubSpotServer};
use super::quickbooks::{QuickBooksOptions, QuickBooksServer, Realm};
use super::tds::{Database, Rows, SqlType, SqlValue, Table, TableColumn, TdsOptions, TdsServer};
use crate::clock::Clock;

/// The dealer's schema in the simulated SQL Server.
pub const DEALER_SCHEMA: &str = "ben002";
const DATABASE: &str = "evo";
const LOGIN: &str = "marts_reader";
const REALM: &str = "9130350000000001";

/// What to simulate.
#[derive(Debug, Clone)]
pub struct WorldOptions {
    /// The same seed, the same figures.
    pub seed: u64,
    /// First and last day of business.
    pub from: NaiveDate,
    pub to: NaiveDate,
    pub clock: Clock,
    /// Put so many invoices into the month of `to`, in place of the dealer's own: for measuring.
    pub bulk_invoices: Option<u64>,
    /// About so many contacts in the CRM, in place of the company's own: for measuring.
    pub bulk_contacts: Option<u64>,
}

impl WorldOptions {
    /// Fourteen months of history up to `to`.
    pub fn new(seed: u64, to: NaiveDate, clock: Clock) -> Self {
        let from = (to - Days::new(u64::from(to.day0()))).checked_sub_months(Months::new(13)).unwrap_or(to);
        WorldOptions { seed, from, to, clock, bulk_invoices: None, bulk_contacts: None }
    }
}

/// A running world: a dealer behind SQL Server, a services company behind QuickBooks and HubSpot. Dropping it stops the servers.
pub struct World {
    pub dealer: Arc<Dealer>,
    pub company: Arc<ServicesCompany>,
    pub softbase: TdsServer,
    pub quickbooks: QuickBooksServer,
    pub crm: Arc<Crm>,
    pub hubspot: HubSpotServer,
    data_start: NaiveDate,
    secrets: Vec<(&'static str, String)>,
}

impl World {
    /// Starts the servers on free ports of the loopback.
    pub async fn start(options: WorldOptions) -> Result<World> {
        let mut random = rand::rng();
        // New at every start, so that a database that knew an earlier sandbox takes it for a new consent.
        let mut token = || format!("sandbox-{:032x}", random.random::<u128>());
        let (password, client_secret, refresh_token) = (token(), token(), token());
        let access_token = token();
        let key: [u8; 32] = random.random();

        let dealer = Arc::new(Dealer::generate(DealerOptions::new(options.seed, options.from, options.to)));
        let mut tables = dealer.tables().into_iter().map(table).collect::<Result<Vec<_>>>()?;
        if let Some(count) = options.bulk_invoices {
            let register =
                tables.iter_mut().find(|table| table.name == "InvoiceReg").context("there is no register")?;
            register.rows = bulk(register, count, options.to);
        }
        let softbase = TdsServer::start(TdsOptions {
            users: vec![(LOGIN.into(), password.clone())],
            ..TdsOptions::new(Database::new(DATABASE, tables)?)
        })
        .await?;

        let company = Arc::new(ServicesCompany::generate(ServicesOptions::new(options.seed, options.from, options.to)));
        let quickbooks = QuickBooksServer::start(QuickBooksOptions {
            client_secret: client_secret.clone(),
            clock: options.clock.clone(),
            ..QuickBooksOptions::new(vec![Realm::new(REALM, &refresh_token, Arc::clone(&company))])
        })
        .await?;
        let mut crm = CrmOptions::new(options.seed, options.from, options.to);
        if let Some(count) = options.bulk_contacts {
            let days = (options.to - options.from).num_days() + 1;
            crm.contacts_per_day = i64::try_from(count)? / days;
        }
        let crm = Arc::new(Crm::generate(crm));
        let mut hubspot = HubSpotOptions::new(&access_token, Arc::clone(&crm));
        hubspot.clock = options.clock.clone();
        if options.bulk_contacts.is_some() {
            // Measured is the program and not the allowance.
            hubspot.calls = 100_000;
        }
        let hubspot = HubSpotServer::start(hubspot).await?;
        let secrets = vec![
            ("softbase-password", password),
            ("quickbooks-client-id", QuickBooksOptions::new(Vec::new()).client_id),
            ("quickbooks-client-secret", client_secret),
            ("quickbooks-refresh-token", refresh_token),
            ("hubspot-access-token", access_token),
            ("token-key", base64::engine::general_purpose::STANDARD.encode(key)),
        ];
        Ok(World { dealer, company, softbase, quickbooks, crm, hubspot, data_start: options.from, secrets })
    }

    /// Writes `marts.toml` into a folder, and beside it the secrets and the certificate it refers to. The key of the
    /// tokens is kept when there is one already, because a database may hold tokens under it.
    pub fn write_config(&self, folder: &Path) -> Result<PathBuf> {
        let secrets = folder.join("secrets");
        fs::create_dir_all(&secrets).with_context(|| format!("cannot create {}", secrets.display()))?;
        for (name, value) in &self.secrets {
            let path = secrets.join(name);
            if *name != "token-key" || !path.exists() {
                write_private(&path, value)?;
            }
        }
        fs::write(folder.join("softbase-ca.pem"), self.softbase.ca_pem())?;
        let path = folder.join("marts.toml");
        fs::write(&path, self.config()).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    fn config(&self) -> String {
        format!(
            r#"# Points marts at its sandbox. Written anew each time the sandbox starts.

[security]
token_key = "file:secrets/token-key"

[[org]]
slug = "bennett"
name = "A dealer of forklifts"
timezone = "America/Chicago"
fiscal_year_start_month = 11
data_start_date = {start}

[org.softbase]
schema = "{DEALER_SCHEMA}"

[org.softbase.server]
host = "localhost"
port = {port}
database = "{DATABASE}"
user = "{LOGIN}"
password = "file:secrets/softbase-password"
tls = "required"
ca_file = "softbase-ca.pem"

[[org]]
slug = "vital"
name = "A services company"
timezone = "America/Chicago"
fiscal_year_start_month = 1

[org.quickbooks]
realm_id = "{REALM}"
client_id = "file:secrets/quickbooks-client-id"
client_secret = "file:secrets/quickbooks-client-secret"
refresh_token = "file:secrets/quickbooks-refresh-token"
base_url = "{base_url}"
token_url = "{token_url}"

[org.hubspot]
access_token = "file:secrets/hubspot-access-token"
base_url = "{hubspot_url}"
"#,
            start = self.data_start,
            port = self.softbase.addr().port(),
            base_url = self.quickbooks.url(),
            token_url = self.quickbooks.token_url(),
            hubspot_url = self.hubspot.url(),
        )
    }
}

/// Writes a file that only its owner can read.
fn write_private(path: &Path, text: &str) -> Result<()> {
    let context = || format!("cannot write {}", path.display());
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path).with_context(context)?;
    file.write_all(text.as_bytes()).with_context(context)
}

/// The ERP's table as the SQL Server simulator holds it.
pub fn table(data: TableData) -> Result<Table> {
    let columns = data.columns.iter().map(|column| {
        let kind = sql_type(column.sql_type)?;
        let column_of = TableColumn::new(column.name, kind);
        Ok(if column.nullable { column_of } else { column_of.not_null() })
    });
    let columns = columns.collect::<Result<_>>()?;
    let rows = data.rows.into_iter().map(|row| row.into_iter().map(value).collect()).collect();
    Ok(Table::new(DEALER_SCHEMA, data.name, columns, rows))
}

fn value(cell: Cell) -> SqlValue {
    match cell {
        Cell::Null => SqlValue::Null,
        Cell::Int(value) => SqlValue::Int(value),
        Cell::Bit(value) => SqlValue::Bit(value),
        // The scale of a rust_decimal is at most 28.
        Cell::Decimal(value) => SqlValue::Decimal { mantissa: value.mantissa(), scale: value.scale() as u8 },
        Cell::DateTime(value) => SqlValue::DateTime(value),
        Cell::Text(value) => SqlValue::Text(value),
    }
}

/// A type as in a `create table`.
fn sql_type(text: &str) -> Result<SqlType> {
    let (name, arguments) = text.trim_end_matches(')').split_once('(').unwrap_or((text, ""));
    let numbers: Vec<u16> = arguments.split(',').filter_map(|number| number.trim().parse().ok()).collect();
    Ok(match (name.trim(), numbers.as_slice()) {
        ("tinyint", _) => SqlType::TinyInt,
        ("smallint", _) => SqlType::SmallInt,
        ("int", _) => SqlType::Int,
        ("bigint", _) => SqlType::BigInt,
        ("bit", _) => SqlType::Bit,
        ("money", _) => SqlType::Money,
        ("datetime", _) => SqlType::DateTime,
        ("date", _) => SqlType::Date,
        ("decimal" | "numeric", [precision, scale]) => {
            SqlType::Decimal { precision: u8::try_from(*precision)?, scale: u8::try_from(*scale)? }
        }
        ("char", [length]) => SqlType::Char(*length),
        ("nchar", [length]) => SqlType::NChar(*length),
        ("varchar", [length]) => SqlType::VarChar(*length),
        ("nvarchar", [length]) => SqlType::NVarChar(*length),
        ("nvarchar", []) => SqlType::NVarCharMax,
        _ => bail!("the simulated SQL Server has no type {text}"),
    })
}

/// So many rows for a register: like its first one, but for number, day and amounts.
fn bulk(register: &Table, count: u64, to: NaiveDate) -> Rows {
    let template: Vec<SqlValue> = match &register.rows {
        Rows::Memory(rows) => rows.first().cloned().unwrap_or_default(),
        Rows::Generated { row, .. } => row(0),
    };
    let names: Vec<String> = register.columns.iter().map(|column| column.name.to_lowercase()).collect();
    let days = u64::from(to.day());
    let first = to - Days::new(days - 1);
    let row = move |number: u64| -> Vec<SqlValue> {
        let cells = names.iter().zip(&template).map(|(name, like)| match (name.as_str(), like) {
            ("invoiceno", SqlValue::Text(_)) => SqlValue::Text(format!("{:09}", 100_000_000 + number)),
            ("invoiceno", _) => SqlValue::Int(100_000_000 + number as i64),
            ("invoicedate", _) => {
                let at = first.and_time(NaiveTime::MIN) + TimeDelta::days((number % days) as i64);
                SqlValue::DateTime(at + TimeDelta::minutes((number % 1_440) as i64))
            }
            ("deletiontime", _) => SqlValue::Null,
            (_, SqlValue::Decimal { scale, .. }) => {
                SqlValue::Decimal { mantissa: i128::from(number % 100_000) + 1, scale: *scale }
            }
            (_, like) => like.clone(),
        });
        cells.collect()
    };
    Rows::Generated { count, row: Arc::new(row), sorted_by: vec!["InvoiceNo".into()] }
}
