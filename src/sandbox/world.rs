//! All source systems together, with the configuration and the secrets that point `marts` at them.

mod dealers;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use chrono::{Datelike, Days, Months, NaiveDate, NaiveTime, TimeDelta};
use rand::RngExt;

use super::bigquery::{BigQueryOptions, BigQueryServer};
use super::business::app::{AppOptions, AppUse};
use super::business::crm::{Crm, CrmOptions};
use super::business::dealer::{Dealer, DealerOptions, INTERNAL_CUSTOMERS, SOLD_UNIT};
use super::business::services::{CaseBook, CaseOptions, ServicesCompany, ServicesOptions};
use super::business::zoom::{ZoomAccount, ZoomOptions};
use super::business::{Cell, TableData};
use super::cases;
use super::hubspot::{HubSpotOptions, HubSpotServer};
use super::quickbooks::{QuickBooksOptions, QuickBooksServer, Realm};
use super::tds::{Database, Rows, SqlType, SqlValue, Table, TableColumn, TdsOptions, TdsServer};
use super::zoom::{ZoomServer, ZoomServerOptions};
use crate::clock::Clock;

/// The dealer's schema in the simulated SQL Server.
pub const DEALER_SCHEMA: &str = "ben002";
/// The second dealer's schema beside it.
pub const SECOND_DEALER_SCHEMA: &str = "ind004";
const DATABASE: &str = "evo";
const LOGIN: &str = "marts_reader";
/// The company of the services organisation in QuickBooks.
pub const REALM: &str = "9130350000000001";

/// What to simulate.
#[derive(Debug, Clone)]
pub struct WorldOptions {
    /// The same seed, the same figures.
    pub seed: u64,
    /// First and last day of business.
    pub from: NaiveDate,
    pub to: NaiveDate,
    pub clock: Clock,
    /// Say what the dealer's accounts mean, so that its ledger has statements, and add a second dealer: another schema on
    /// the same server, a chart of seven digits, fiscal years from January.
    pub ledgers: bool,
    /// Put so many invoices into the month of `to`, in place of the dealer's own: for measuring.
    pub bulk_invoices: Option<u64>,
    /// About so many contacts in the CRM, in place of the company's own: for measuring.
    pub bulk_contacts: Option<u64>,
    /// Give each day of the app so many events, in place of its own: for measuring.
    pub bulk_events: Option<u64>,
    /// About so many cases, in place of the company's own: for measuring.
    pub bulk_cases: Option<u64>,
    /// About so many people who install the app, in place of its own: for measuring.
    pub people: Option<u32>,
    /// Records of a page at most, of the sources that give theirs page by page; none = what the real ones give.
    pub page_records: Option<u32>,
}

impl WorldOptions {
    /// Fourteen months of history up to `to`.
    pub fn new(seed: u64, to: NaiveDate, clock: Clock) -> Self {
        let from = (to - Days::new(u64::from(to.day0()))).checked_sub_months(Months::new(13)).unwrap_or(to);
        WorldOptions {
            seed,
            from,
            to,
            clock,
            ledgers: false,
            bulk_invoices: None,
            bulk_contacts: None,
            bulk_events: None,
            bulk_cases: None,
            people: None,
            page_records: None,
        }
    }
}

/// A running world: dealers behind SQL Server, a services company behind QuickBooks, HubSpot, Zoom, BigQuery and a case
/// database. Dropping it stops the servers.
pub struct World {
    pub dealer: Arc<Dealer>,
    pub second_dealer: Option<Arc<Dealer>>,
    pub company: Arc<ServicesCompany>,
    pub case_book: Arc<CaseBook>,
    pub crm: Arc<Crm>,
    pub zoom_account: Arc<ZoomAccount>,
    pub softbase: TdsServer,
    pub quickbooks: QuickBooksServer,
    pub hubspot: HubSpotServer,
    pub zoom: ZoomServer,
    pub cases: TdsServer,
    pub app: Arc<AppUse>,
    pub bigquery: BigQueryServer,
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
        let cases_password = token();
        let zoom_secret = token();
        let key: [u8; 32] = random.random();

        let dealer = Arc::new(Dealer::generate(DealerOptions::new(options.seed, options.from, options.to)));
        let of_dealer = |data| table(DEALER_SCHEMA, data);
        let mut tables = dealer.tables().into_iter().map(of_dealer).collect::<Result<Vec<_>>>()?;
        if let Some(count) = options.bulk_invoices {
            let register =
                tables.iter_mut().find(|table| table.name == "InvoiceReg").context("there is no register")?;
            register.rows = bulk(register, count, options.to);
        }
        let second_dealer = options.ledgers.then(|| dealers::second(options.seed, options.from, options.to));
        for data in second_dealer.iter().flat_map(|dealer| dealer.tables()) {
            tables.push(table(SECOND_DEALER_SCHEMA, data)?);
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
        hubspot.searches_per_second = Some(5);
        if options.bulk_contacts.is_some() || options.page_records.is_some() {
            // Measured is the program and not the allowance; and small pages are many calls.
            hubspot.calls = 100_000;
        }
        if let Some(records) = options.page_records {
            hubspot.page_limit = usize::try_from(records)?;
        }
        let hubspot = HubSpotServer::start(hubspot).await?;
        let mut cases = CaseOptions::new(options.seed, options.from, options.to);
        if let Some(count) = options.bulk_cases {
            cases.cases_per_day = cases.per_day(count);
        }
        let case_book = Arc::new(CaseBook::generate(cases));
        let cases = cases::start(&case_book, &cases_password).await?;
        let zoom_account = Arc::new(ZoomAccount::generate(ZoomOptions::new(options.seed, options.from, options.to)));
        let mut zoom = ZoomServerOptions {
            client_secret: zoom_secret.clone(),
            // Generous, so that a demonstration need not wait.
            per_second: [1_000; 3],
            ..ZoomServerOptions::new(Arc::clone(&zoom_account), morning_after(options.to, &options.clock))
        };
        if let Some(records) = options.page_records {
            zoom.page_limit = usize::try_from(records)?;
        }
        let zoom = ZoomServer::start(zoom).await?;
        let mut app = AppOptions::new(options.seed, options.from, options.to);
        app.bulk_events = options.bulk_events;
        app.people = options.people.unwrap_or(app.people);
        let app = Arc::new(AppUse::new(app));
        let mut bigquery = BigQueryOptions { clock: options.clock.clone(), ..BigQueryOptions::new(Arc::clone(&app)) };
        if let Some(records) = options.page_records {
            bigquery.page_rows = records.into();
        }
        let bigquery = BigQueryServer::start(bigquery).await?;
        let secrets = vec![
            ("bigquery-key", bigquery.key()),
            ("zoom-client-id", "sandbox-zoom-client".to_owned()),
            ("zoom-client-secret", zoom_secret),
            ("softbase-password", password),
            ("quickbooks-client-id", QuickBooksOptions::new(Vec::new()).client_id),
            ("quickbooks-client-secret", client_secret),
            ("quickbooks-refresh-token", refresh_token),
            ("cases-password", cases_password),
            ("hubspot-access-token", access_token),
            ("token-key", base64::engine::general_purpose::STANDARD.encode(key)),
        ];
        Ok(World {
            dealer,
            second_dealer,
            company,
            case_book,
            crm,
            zoom_account,
            app,
            softbase,
            quickbooks,
            hubspot,
            zoom,
            cases,
            bigquery,
            data_start: options.from,
            secrets,
        })
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
        fs::write(folder.join("cases-ca.pem"), self.cases.ca_pem())?;
        let path = folder.join("marts.toml");
        fs::write(&path, self.config()).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    fn config(&self) -> String {
        let port = self.softbase.addr().port();
        let (ledger, second) = match self.second_dealer {
            Some(_) => (dealers::LEDGER, dealers::second_config(port)),
            None => ("", String::new()),
        };
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

[org.softbase.rental]
excluded_units = ["{SOLD_UNIT}"]
internal_customers = ["{internal}"]

{ledger}
{server}
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
authorize_url = "{authorize_url}"

[org.hubspot]
access_token = "file:secrets/hubspot-access-token"
base_url = "{hubspot_url}"

[org.zoom]
account_id = "sandbox-account"
client_id = "file:secrets/zoom-client-id"
client_secret = "file:secrets/zoom-client-secret"
base_url = "{zoom_url}"
token_url = "{zoom_token_url}"
requests_per_second = 500

[org.bigquery]
project = "{project}"
dataset = "{dataset}"
location = "{location}"
credentials = "file:secrets/bigquery-key"
base_url = "{bigquery_url}"
token_url = "{bigquery_token_url}"
{cases}
{second}"#,
            start = self.data_start,
            internal = INTERNAL_CUSTOMERS.join("\", \""),
            server = dealers::server_config(port),
            base_url = self.quickbooks.url(),
            token_url = self.quickbooks.token_url(),
            authorize_url = self.quickbooks.authorize_url(),
            hubspot_url = self.hubspot.url(),
            cases = cases::config(&self.cases),
            zoom_url = self.zoom.base_url(),
            zoom_token_url = self.zoom.token_url(),
            project = self.bigquery.options().project,
            dataset = self.bigquery.options().dataset,
            location = self.bigquery.options().location,
            bigquery_url = self.bigquery.url(),
            bigquery_token_url = self.bigquery.token_url(),
        )
    }
}

/// A clock that starts in the morning after the last day of business and runs on from there, for sources that give
/// only the present or forget the past.
fn morning_after(to: NaiveDate, clock: &Clock) -> Clock {
    let morning = (to + Days::new(1)).and_time(NaiveTime::MIN).and_utc() + TimeDelta::hours(15);
    let (clock, began) = (clock.clone(), clock.now());
    Clock::from_fn(move || morning + (clock.now() - began))
}

/// Writes a file that only its owner can read.
fn write_private(path: &Path, text: &str) -> Result<()> {
    let context = || format!("cannot write {}", path.display());
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path).with_context(context)?;
    file.write_all(text.as_bytes()).with_context(context)
}

/// The ERP's table as the SQL Server simulator holds it.
pub fn table(schema: &str, data: TableData) -> Result<Table> {
    let columns = data.columns.iter().map(|column| {
        let kind = sql_type(column.sql_type)?;
        let column_of = TableColumn::new(column.name, kind);
        Ok(if column.nullable { column_of } else { column_of.not_null() })
    });
    let columns = columns.collect::<Result<_>>()?;
    let rows = data.rows.into_iter().map(|row| row.into_iter().map(value).collect()).collect();
    Ok(Table::new(schema, data.name, columns, rows))
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
