//! `marts.toml` and the environment, read once: here is what the rest of the program sees of them, checked.
//!
//! The file as it is written is in `wire`, the checks in `check`, the messages in `parse`.

mod alerts;
mod audit;
mod check;
mod ledger;
mod parse;
mod schedule;
mod wire;

use std::collections::BTreeMap;
use std::env::VarError;
use std::fmt;
use std::path::PathBuf;

use anyhow::{Context, bail};
use chrono::NaiveDate;
use chrono_tz::Tz;
use secrecy::SecretString;

use crate::datasets::Connector;
use crate::jobs::Job;
use crate::schedule::Cron;

pub use alerts::{AlertSettings, Mail, MailTls};
pub use audit::{Audit, Closed};
pub use ledger::{AccountRange, FloorPlan, Ledger};
pub use schedule::ScheduleSettings;

/// Everything `marts.toml` says, checked. Relative paths are relative to the file's folder; those of what it keeps to another
/// where one is named.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the file was, for messages.
    pub path: PathBuf,
    pub postgres: PostgresSettings,
    pub staging: StagingSettings,
    pub limits: Limits,
    pub security: Security,
    pub schedule: ScheduleSettings,
    pub alerts: AlertSettings,
    pub orgs: Vec<Org>,
}

/// `[postgres]`; absent means the embedded server.
#[derive(Debug, Clone, Default)]
pub struct PostgresSettings {
    /// `env:NAME` or `file:PATH` of the connection URL; none = the embedded server under `data_dir`.
    pub url: Option<SecretRef>,
    /// Where the embedded server keeps its data: `.marts/postgres`.
    pub data_dir: PathBuf,
}

/// `[staging]`.
#[derive(Debug, Clone)]
pub struct StagingSettings {
    /// The landing zone: `staging`.
    pub path: PathBuf,
}

/// `[limits]`: what one process may use.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Organisations of a run that are under way at a time.
    pub organizations_at_once: u16,
    /// DuckDB's memory limit, in MiB, for all marts that are computed at a time.
    pub duckdb_memory_mib: u64,
    /// DuckDB's threads, likewise; 0 = as many as the machine has.
    pub duckdb_threads: u16,
    /// Requests in flight to one HTTP source for one organisation.
    pub http_concurrency: u16,
    /// Seconds an HTTP request may take as a whole. QuickBooks cuts reports off at 120 s.
    pub http_timeout_secs: u64,
    /// What an answer of an HTTP source may have when unpacked, in MiB.
    pub max_answer_mib: u64,
    /// Tries for a transient failure, the first included.
    pub tries: u16,
    /// Longest wait between two tries, in seconds.
    pub max_backoff_secs: u64,
    /// First wait between two tries, in milliseconds.
    pub first_backoff_millis: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            organizations_at_once: 4,
            duckdb_memory_mib: 1024,
            duckdb_threads: 0,
            http_concurrency: 4,
            http_timeout_secs: 130,
            max_answer_mib: 64,
            tries: 6,
            max_backoff_secs: 60,
            first_backoff_millis: 500,
        }
    }
}

impl Limits {
    /// DuckDB's threads, in number.
    pub fn threads(&self) -> u16 {
        match self.duckdb_threads {
            0 => std::thread::available_parallelism().ok().and_then(|cores| cores.get().try_into().ok()).unwrap_or(1),
            threads => threads,
        }
    }

    /// What each of `parts` computations at a time may use of DuckDB's memory and threads: together no more than one alone.
    #[must_use]
    pub fn shared_by(&self, parts: u16) -> Limits {
        let parts = parts.max(1);
        Limits {
            duckdb_memory_mib: (self.duckdb_memory_mib / u64::from(parts)).max(Self::LEAST_MEMORY_MIB),
            duckdb_threads: (self.threads() / parts).max(1),
            ..self.clone()
        }
    }

    /// With less DuckDB does not even read a file.
    pub const LEAST_MEMORY_MIB: u64 = 64;
}

/// `[security]`.
#[derive(Debug, Clone, Default)]
pub struct Security {
    /// 32 bytes in base64, by reference: encrypts `oauth_tokens`.
    pub token_key: Option<SecretRef>,
}

/// What of an organisation's night is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Publish {
    /// Every mart that passed its audit, and of one that is held in part the periods that passed.
    #[default]
    WhatPassed,
    /// Everything, or nothing at all where a mart failed or any of its rows is held.
    AllOrNothing,
}

/// Whether a night asks the live sources about its rows before they are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verify {
    /// It does not: `marts verify` does.
    #[default]
    Off,
    /// What differs is reported and published.
    Warn,
    /// A row that differs, or about which there is no answer, is held.
    Gate,
}

/// One `[[org]]`.
#[derive(Debug, Clone)]
pub struct Org {
    /// Lower-case letters, digits, `-` and `_`: its name in paths and on the command line.
    pub slug: String,
    pub name: String,
    pub timezone: Tz,
    /// 1 to 12.
    pub fiscal_year_start_month: u32,
    /// Nothing before it has a row.
    pub data_start_date: Option<NaiveDate>,
    /// First days of months that have no rows.
    pub excluded_months: Vec<NaiveDate>,
    pub publish: Publish,
    /// From where on its audits warn.
    pub audit: Audit,
    /// Which of its months are closed.
    pub closed: Closed,
    pub verify: Verify,
    /// When its jobs are due, where that is not the job's own time: by job.
    pub schedule: BTreeMap<&'static str, Cron>,
    pub softbase: Option<Softbase>,
    pub quickbooks: Option<QuickBooks>,
    pub hubspot: Option<HubSpot>,
    pub zoom: Option<Zoom>,
    pub cases: Option<Cases>,
    pub bigquery: Option<BigQuery>,
}

impl Org {
    /// Whether the organisation has that connector.
    pub fn has(&self, connector: Connector) -> bool {
        match connector {
            Connector::Softbase => self.softbase.is_some(),
            Connector::SoftbaseLedger => self.ledger().is_some(),
            Connector::QuickBooks => self.quickbooks.is_some(),
            Connector::HubSpot => self.hubspot.is_some(),
            Connector::Zoom => self.zoom.is_some(),
            Connector::Cases => self.cases.is_some(),
            Connector::BigQuery => self.bigquery.is_some(),
        }
    }

    /// When a job is due for it, in its time zone.
    ///
    /// # Errors
    /// A time of the job that is none, which a test rules out.
    pub fn cron(&self, job: &Job) -> anyhow::Result<Cron> {
        self.schedule.get(job.name).map_or_else(|| Cron::daily(job.schedule), |cron| Ok(cron.clone()))
    }

    /// What the accounts of its ledger mean, where it has one.
    pub fn ledger(&self) -> Option<&Ledger> {
        self.softbase.as_ref()?.ledger.as_ref()
    }

    /// Why a connector that it has cannot be used; none when it can.
    pub fn lacks(&self, connector: Connector) -> Option<&'static str> {
        match connector {
            Connector::SoftbaseLedger => self.ledger()?.lacks(),
            _ => None,
        }
    }
}

/// `[org.softbase]`: the dealer's ERP, a SQL Server database.
#[derive(Debug, Clone)]
pub struct Softbase {
    pub server: SqlServer,
    /// The dealer's schema, e.g. `ben002`.
    pub schema: String,
    /// Whether `total_revenue` keeps the sales tax in. Default false: tax is a liability, not revenue.
    pub total_includes_tax: bool,
    /// Customers whose invoices are left out when either ShipTo or BillTo names them.
    pub excluded_customers: Vec<String>,
    /// Branches whose invoices are left out.
    pub excluded_branches: Vec<i64>,
    /// Work orders known to be corrupt.
    pub excluded_work_orders: Vec<String>,
    /// What the accounts of its ledger mean; none = no statements from the ledger.
    pub ledger: Option<Ledger>,
    pub rental: Rental,
}

/// `[org.softbase.rental]`: what the rental fleet is, and how its machines are told apart.
#[derive(Debug, Clone)]
pub struct Rental {
    /// The `InventoryDept`s whose equipment is the rental fleet.
    pub departments: Vec<i64>,
    /// The `InventoryDept`s whose equipment is allied, whatever make and model say.
    pub allied_departments: Vec<i64>,
    /// A machine whose make or model holds one of these is allied.
    pub allied_words: Vec<String>,
    /// One whose make or model holds one of these is a battery or a charger; every other machine is a forklift.
    pub battery_charger_words: Vec<String>,
    /// Entries in serial or unit number that stand for none.
    pub pseudo_numbers: Vec<String>,
    /// Units sold or moved that are still in a rental department, by serial or unit number.
    pub excluded_units: Vec<String>,
    /// The dealer's own accounts, which are no customers of the fleet.
    pub internal_customers: Vec<String>,
}

impl Default for Rental {
    fn default() -> Self {
        let texts = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        Rental {
            departments: vec![60],
            allied_departments: vec![30],
            allied_words: texts(&["allied"]),
            battery_charger_words: texts(&["battery", "charger", "batt", "charge"]),
            pseudo_numbers: texts(&["null", "RTRSEL", "TUGBAT", "PBATRO1", "SER01"]),
            excluded_units: Vec::new(),
            internal_customers: Vec::new(),
        }
    }
}

/// `[org.cases]`: the case database, a SQL Server with one summary table.
#[derive(Debug, Clone)]
pub struct Cases {
    pub server: SqlServer,
    /// `dbo`
    pub schema: String,
    /// `Case_Data_Summary_NOPHI`
    pub table: String,
    /// The column that is counted as category: one of [`crate::datasets::cases::CATEGORIES`], `Solution` by default.
    pub category_column: String,
    /// Categories of fewer new cases are merged, because a small group may point at a person. 1 = none are.
    pub min_group_size: u32,
    /// Labels that look like personal data to the tripwire, and that somebody has found to be none.
    pub harmless_labels: Vec<String>,
}

/// How to reach a SQL Server.
#[derive(Debug, Clone)]
pub struct SqlServer {
    pub host: String,
    /// 1433.
    pub port: u16,
    pub database: String,
    pub login: SqlLogin,
    pub tls: SqlTls,
    /// A PEM file with the authority that signed the server's certificate; none = the system's authorities.
    pub ca_file: Option<PathBuf>,
    /// Seconds of silence after which a statement is given up.
    pub timeout_secs: u64,
}

/// Who logs in.
#[derive(Debug, Clone)]
pub enum SqlLogin {
    Password {
        user: String,
        password: SecretRef,
    },
    /// Azure AD, client credentials grant.
    AzureAd {
        tenant: String,
        client_id: String,
        client_secret: SecretRef,
        /// `https://login.microsoftonline.com`
        authority: String,
    },
}

impl SqlLogin {
    /// The secret that the login needs.
    pub fn secret(&self) -> &SecretRef {
        match self {
            SqlLogin::Password { password, .. } => password,
            SqlLogin::AzureAd { client_secret, .. } => client_secret,
        }
    }
}

/// How the connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SqlTls {
    /// TDS 8: TLS before anything else.
    Strict,
    /// TDS 7.4 with TLS and a verified certificate: the default.
    Required,
    /// TLS with any certificate. Refused unless the host is loopback.
    TrustAny,
    /// No TLS. Refused unless the host is loopback.
    Off,
}

/// `[org.quickbooks]`.
#[derive(Debug, Clone)]
pub struct QuickBooks {
    /// `https://quickbooks.api.intuit.com`
    pub base_url: String,
    /// `https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer`
    pub token_url: String,
    pub realm_id: String,
    pub client_id: SecretRef,
    pub client_secret: SecretRef,
    /// Where a person gives consent, `https://appcenter.intuit.com/connect/oauth2`
    pub authorize_url: String,
    /// A refresh token from elsewhere, where consent was not given by `marts auth`. Only the seed: the rotated ones live in
    /// `oauth_tokens`.
    pub refresh_token: Option<SecretRef>,
    pub basis: Basis,
}

/// The accounting basis asked of QuickBooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    Accrual,
    Cash,
}

impl Basis {
    /// As QuickBooks writes it.
    pub fn name(self) -> &'static str {
        match self {
            Basis::Accrual => "Accrual",
            Basis::Cash => "Cash",
        }
    }
}

/// `[org.hubspot]`.
#[derive(Debug, Clone)]
pub struct HubSpot {
    /// `https://api.hubapi.com`
    pub base_url: String,
    /// The token of a private app.
    pub access_token: SecretRef,
    /// Which paths are asked: `v3`, or a version named by its month, as `2026-09`.
    pub api_version: String,
    /// The account's own currency, ISO 4217: an amount in another one without its home amount is reported.
    pub home_currency: String,
}

/// `[org.zoom]`.
#[derive(Debug, Clone)]
pub struct Zoom {
    /// `https://api.zoom.us/v2`
    pub base_url: String,
    /// `https://zoom.us/oauth/token`
    pub token_url: String,
    /// The account's id, from the page of the server-to-server OAuth app.
    pub account_id: String,
    pub client_id: SecretRef,
    pub client_secret: SecretRef,
    /// Results that make a call connected when any of its legs has one.
    pub connected_results: Vec<String>,
    /// Results that make an inbound call missed when its last leg has one and no leg connected.
    pub missed_results: Vec<String>,
    /// Whether a call that ended in voicemail counts as missed.
    pub voicemail_is_missed: bool,
    /// Requests in a second, at most; Zoom counts them for the account, all its apps together.
    pub requests_per_second: u32,
}

impl Zoom {
    /// What makes a call connected, unless the configuration says otherwise.
    pub const CONNECTED: [&str; 6] = ["answered", "accepted", "picked_up", "connected", "call_connected", "succeeded"];
    /// What makes an unconnected inbound call missed, unless the configuration says otherwise.
    pub const MISSED: [&str; 5] = ["missed", "no_answer", "ring_timeout", "abandoned", "busy"];
}

/// `[org.bigquery]`: the export of a GA4 property.
#[derive(Debug, Clone)]
pub struct BigQuery {
    /// The Google Cloud project that holds the dataset and pays for the queries.
    pub project: String,
    /// `analytics_<property>`.
    pub dataset: String,
    /// Where the dataset is: `US`, `EU`, or a region.
    pub location: String,
    /// The service account's key, a JSON document.
    pub credentials: SecretRef,
    /// `https://bigquery.googleapis.com/bigquery/v2`
    pub base_url: String,
    /// `https://oauth2.googleapis.com/token`
    pub token_url: String,
    /// No query may bill more than so many MiB.
    pub max_billed_mib: u64,
    /// Seconds that a query may run before it is given up.
    pub query_timeout_secs: u64,
    /// The days over which a monthly active user is counted: 30, or 28.
    pub monthly_days: u16,
}

/// Where a secret is kept: `env:NAME` or `file:PATH`. A literal secret is refused.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretRef {
    Env(String),
    File(PathBuf),
}

impl SecretRef {
    /// Reads the secret; the error names the reference, never a value. Trailing newlines are cut.
    pub fn read(&self) -> anyhow::Result<SecretString> {
        let value = match self {
            SecretRef::Env(name) => match std::env::var(name) {
                Ok(value) => value,
                Err(VarError::NotPresent) => bail!("the environment variable {name} is not set"),
                Err(VarError::NotUnicode(_)) => bail!("the environment variable {name} is not UTF-8"),
            },
            SecretRef::File(path) => std::fs::read_to_string(path)
                .with_context(|| format!("cannot read the secret file {}", path.display()))?,
        };
        let value = value.trim_end_matches(['\r', '\n']);
        if value.is_empty() {
            bail!("the secret at {self} is empty");
        }
        Ok(SecretString::from(value.to_owned()))
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretRef::Env(name) => write!(out, "env:{name}"),
            SecretRef::File(path) => write!(out, "file:{}", path.display()),
        }
    }
}

impl fmt::Debug for SecretRef {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}
