//! `marts.toml` as it is written: unchecked, and seen by nobody but [`super::check`]. Every table refuses keys it does
//! not know; values that are checked later carry their place in the file.

use std::path::PathBuf;

use serde::Deserialize;
use serde::de::{Deserializer, Error};
use toml::{Spanned, Value};

use super::SecretRef;

pub(super) type Text = Spanned<String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    pub postgres: Postgres,
    #[serde(default)]
    pub staging: Staging,
    #[serde(default)]
    pub limits: Limits,
    #[serde(default)]
    pub security: Security,
    #[serde(default)]
    pub audit: super::audit::Written,
    #[serde(default)]
    pub schedule: super::schedule::Written,
    #[serde(default)]
    pub alerts: super::alerts::Written,
    #[serde(default)]
    pub org: Vec<Org>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Postgres {
    pub url: Option<Secret>,
    pub data_dir: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Staging {
    pub path: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    pub organizations_at_once: Option<Spanned<u16>>,
    pub duckdb_memory_mib: Option<Spanned<u64>>,
    pub duckdb_threads: Option<u16>,
    pub http_concurrency: Option<Spanned<u16>>,
    pub http_timeout_secs: Option<Spanned<u64>>,
    pub tries: Option<Spanned<u16>>,
    pub max_backoff_secs: Option<u64>,
    pub max_answer_mib: Option<Spanned<u64>>,
    pub first_backoff_millis: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Security {
    pub token_key: Option<Secret>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Org {
    pub slug: Text,
    pub name: Text,
    pub timezone: Text,
    pub fiscal_year_start_month: Spanned<u32>,
    pub data_start_date: Option<Spanned<Day>>,
    #[serde(default)]
    pub excluded_months: Vec<Text>,
    pub publish: Option<Text>,
    pub closed_through: Option<Text>,
    pub close_after_days: Option<Spanned<u32>>,
    #[serde(default)]
    pub audit: super::audit::Written,
    pub verify: Option<Text>,
    #[serde(default)]
    pub schedule: super::schedule::Times,
    pub softbase: Option<Softbase>,
    pub quickbooks: Option<QuickBooks>,
    pub hubspot: Option<HubSpot>,
    pub zoom: Option<Zoom>,
    pub cases: Option<Cases>,
    pub bigquery: Option<BigQuery>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Softbase {
    pub schema: Text,
    #[serde(default)]
    pub total_includes_tax: bool,
    #[serde(default)]
    pub excluded_customers: Vec<Text>,
    #[serde(default)]
    pub excluded_branches: Vec<i64>,
    #[serde(default)]
    pub excluded_work_orders: Vec<Text>,
    #[serde(default)]
    pub rental: Rental,
    pub ledger: Option<super::ledger::Written>,
    pub server: Spanned<SqlServer>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rental {
    pub departments: Option<Vec<i64>>,
    pub allied_departments: Option<Vec<i64>>,
    pub allied_words: Option<Vec<Text>>,
    pub battery_charger_words: Option<Vec<Text>>,
    pub pseudo_numbers: Option<Vec<Text>>,
    #[serde(default)]
    pub excluded_units: Vec<Text>,
    #[serde(default)]
    pub internal_customers: Vec<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cases {
    pub schema: Option<Text>,
    pub table: Option<Text>,
    pub category_column: Option<Text>,
    pub min_group_size: Option<Spanned<u32>>,
    #[serde(default)]
    pub harmless_labels: Vec<Text>,
    pub server: Spanned<SqlServer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SqlServer {
    pub host: Text,
    pub port: Option<Spanned<u16>>,
    pub database: Text,
    pub user: Option<Text>,
    pub password: Option<Secret>,
    pub azure_ad: Option<Spanned<AzureAd>>,
    pub tls: Option<Spanned<SqlTls>>,
    pub ca_file: Option<PathBuf>,
    pub timeout_secs: Option<Spanned<u64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AzureAd {
    pub tenant: Text,
    pub client_id: Text,
    pub client_secret: Secret,
    pub authority: Option<Text>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum SqlTls {
    Strict,
    Required,
    TrustAny,
    Off,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct QuickBooks {
    pub base_url: Option<Text>,
    pub token_url: Option<Text>,
    pub realm_id: Text,
    pub client_id: Secret,
    pub client_secret: Secret,
    pub authorize_url: Option<Text>,
    pub refresh_token: Option<Secret>,
    pub basis: Option<Basis>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HubSpot {
    pub base_url: Option<Text>,
    pub access_token: Secret,
    pub api_version: Option<Text>,
    pub home_currency: Option<Text>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Basis {
    Accrual,
    Cash,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Zoom {
    pub base_url: Option<Text>,
    pub token_url: Option<Text>,
    pub account_id: Text,
    pub client_id: Secret,
    pub client_secret: Secret,
    pub connected_results: Option<Vec<Text>>,
    pub missed_results: Option<Vec<Text>>,
    #[serde(default)]
    pub voicemail_is_missed: bool,
    pub requests_per_second: Option<Spanned<u32>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BigQuery {
    pub project: Text,
    pub dataset: Text,
    pub location: Option<Text>,
    pub credentials: Secret,
    pub base_url: Option<Text>,
    pub token_url: Option<Text>,
    pub max_billed_mib: Option<Spanned<u64>>,
    pub query_timeout_secs: Option<Spanned<u64>>,
    pub monthly_days: Option<Spanned<u16>>,
}

/// A reference to a secret; its path is not yet relative to the file's folder.
pub(super) struct Secret(pub SecretRef);

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Read as any value, so that no message of serde's can quote what somebody pasted here.
        let value = Value::deserialize(deserializer)?;
        let text = value.as_str().unwrap_or_default();
        if let Some(name) = text.strip_prefix("env:") {
            let mut letters = name.chars();
            let starts_well = letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
            if starts_well && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_') {
                return Ok(Secret(SecretRef::Env(name.to_owned())));
            }
            return Err(D::Error::custom(
                "env: wants the name of an environment variable, as in env:SOFTBASE_PASSWORD",
            ));
        }
        match text.strip_prefix("file:") {
            Some(path) if !path.trim().is_empty() => Ok(Secret(SecretRef::File(path.into()))),
            Some(_) => Err(D::Error::custom("file: wants the path of a file that holds the secret")),
            None => Err(D::Error::custom("a secret is never written here: refer to it as env:NAME or file:PATH")),
        }
    }
}

/// A day, written as a TOML date or as text.
pub(super) struct Day(pub String);

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Day(text)),
            Value::Datetime(date) => Ok(Day(date.to_string())),
            _ => Err(D::Error::custom("expected a date, as in 2025-03-01")),
        }
    }
}
