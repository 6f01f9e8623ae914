//! From what is written to what the rest of the program may rely on.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use chrono::NaiveDate;
use chrono_tz::{TZ_VARIANTS, Tz};
use toml::Spanned;
use url::{Host, Url};

use super::parse::{Fault, nearest};
use super::{
    Audit, Basis, BigQuery, Cases, Config, HubSpot, Limits, Org, PostgresSettings, Publish, QuickBooks, Rental,
    SecretRef, Security, Softbase, SqlLogin, SqlServer, SqlTls, StagingSettings, Verify, Zoom, alerts, audit, ledger,
    schedule, wire,
};
use crate::datasets::cases::CATEGORIES;

pub(super) type Checked<T> = Result<T, Fault>;

/// Checks a whole file; `path` is where it was, and `data` the folder of what it keeps.
pub(super) fn config(file: wire::File, path: &Path, data: &Path) -> Checked<Config> {
    let base = path.parent().unwrap_or(Path::new(""));
    if file.org.is_empty() {
        return Err(Fault { span: None, message: "there is no [[org]], so there is nothing to fill".to_owned() });
    }
    let mut slugs = BTreeSet::new();
    for slug in file.org.iter().map(|org| &org.slug) {
        if !slugs.insert(slug.get_ref()) {
            return Err(Fault::at(slug.span(), format!("two organisations have the slug \"{}\"", slug.get_ref())));
        }
    }
    let every = audit::check(file.audit, Audit::default())?;
    Ok(Config {
        postgres: PostgresSettings {
            url: file.postgres.url.map(|url| secret(url, base)),
            data_dir: data.join(file.postgres.data_dir.unwrap_or_else(|| ".marts/postgres".into())),
        },
        staging: StagingSettings { path: data.join(file.staging.path.unwrap_or_else(|| "staging".into())) },
        limits: limits(file.limits)?,
        security: Security { token_key: file.security.token_key.map(|key| secret(key, base)) },
        schedule: schedule::check(file.schedule)?,
        alerts: alerts::check(file.alerts, base)?,
        orgs: file.org.into_iter().map(|org| organisation(org, base, every)).collect::<Checked<_>>()?,
        path: path.to_owned(),
    })
}

fn limits(written: wire::Limits) -> Checked<Limits> {
    let default = Limits::default();
    Ok(Limits {
        organizations_at_once: at_least(written.organizations_at_once, 1, default.organizations_at_once)?,
        duckdb_memory_mib: at_least(written.duckdb_memory_mib, Limits::LEAST_MEMORY_MIB, default.duckdb_memory_mib)?,
        duckdb_threads: written.duckdb_threads.unwrap_or(default.duckdb_threads),
        http_concurrency: at_least(written.http_concurrency, 1, default.http_concurrency)?,
        http_timeout_secs: at_least(written.http_timeout_secs, 1, default.http_timeout_secs)?,
        tries: at_least(written.tries, 1, default.tries)?,
        max_backoff_secs: written.max_backoff_secs.unwrap_or(default.max_backoff_secs),
        max_answer_mib: at_least(written.max_answer_mib, 1, default.max_answer_mib)?,
        first_backoff_millis: written.first_backoff_millis.unwrap_or(default.first_backoff_millis),
    })
}

/// `every` is what holds for every organisation that does not say otherwise.
fn organisation(written: wire::Org, base: &Path, every: Audit) -> Checked<Org> {
    let slug = matching(
        written.slug,
        |letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-' || letter == '_',
        "a slug is made of lower-case letters, digits, - and _",
    )?;
    let month = written.fiscal_year_start_month;
    if !(1..=12).contains(month.get_ref()) {
        return Err(Fault::at(month.span(), format!("a fiscal year starts in month 1 to 12, not {}", month.get_ref())));
    }
    Ok(Org {
        slug,
        name: filled(written.name)?,
        timezone: timezone(&written.timezone)?,
        fiscal_year_start_month: month.into_inner(),
        data_start_date: written.data_start_date.map(day).transpose()?,
        excluded_months: written.excluded_months.iter().map(month_start).collect::<Checked<_>>()?,
        publish: written.publish.map(publish).transpose()?.unwrap_or_default(),
        audit: audit::check(written.audit, every)?,
        closed: audit::check_closed(written.closed_through.as_ref(), written.close_after_days, month_start)?,
        verify: written.verify.map(verify).transpose()?.unwrap_or_default(),
        schedule: schedule::times(written.schedule)?,
        softbase: written.softbase.map(|softbase| self::softbase(softbase, base)).transpose()?,
        quickbooks: written.quickbooks.map(|quickbooks| self::quickbooks(quickbooks, base)).transpose()?,
        hubspot: written.hubspot.map(|hubspot| self::hubspot(hubspot, base)).transpose()?,
        zoom: written.zoom.map(|zoom| self::zoom(zoom, base)).transpose()?,
        cases: written.cases.map(|cases| self::cases(cases, base)).transpose()?,
        bigquery: written.bigquery.map(|bigquery| self::bigquery(bigquery, base)).transpose()?,
    })
}

fn publish(written: wire::Text) -> Checked<Publish> {
    match written.get_ref().as_str() {
        "what_passed" => Ok(Publish::WhatPassed),
        "all_or_nothing" => Ok(Publish::AllOrNothing),
        other => {
            Err(Fault::at(written.span(), format!("publish is \"what_passed\" or \"all_or_nothing\", not \"{other}\"")))
        }
    }
}

fn verify(written: wire::Text) -> Checked<Verify> {
    match written.get_ref().as_str() {
        "off" => Ok(Verify::Off),
        "warn" => Ok(Verify::Warn),
        "gate" => Ok(Verify::Gate),
        other => Err(Fault::at(written.span(), format!("verify is \"off\", \"warn\" or \"gate\", not \"{other}\""))),
    }
}

fn softbase(written: wire::Softbase, base: &Path) -> Checked<Softbase> {
    Ok(Softbase {
        server: sql_server(written.server, base)?,
        schema: matching(
            written.schema,
            |letter| letter.is_ascii_alphanumeric() || letter == '_',
            "a schema is made of letters, digits and _",
        )?,
        total_includes_tax: written.total_includes_tax,
        excluded_customers: written.excluded_customers.into_iter().map(filled).collect::<Checked<_>>()?,
        excluded_branches: written.excluded_branches,
        excluded_work_orders: written.excluded_work_orders.into_iter().map(filled).collect::<Checked<_>>()?,
        ledger: written.ledger.map(ledger::check).transpose()?,
        rental: rental(written.rental)?,
    })
}

fn rental(written: wire::Rental) -> Checked<Rental> {
    let texts = |list: Vec<wire::Text>| list.into_iter().map(filled).collect::<Checked<Vec<_>>>();
    let or = |list: Option<Vec<wire::Text>>, default: Vec<String>| list.map_or(Ok(default), texts);
    let default = Rental::default();
    Ok(Rental {
        departments: written.departments.unwrap_or(default.departments),
        allied_departments: written.allied_departments.unwrap_or(default.allied_departments),
        allied_words: or(written.allied_words, default.allied_words)?,
        battery_charger_words: or(written.battery_charger_words, default.battery_charger_words)?,
        pseudo_numbers: or(written.pseudo_numbers, default.pseudo_numbers)?,
        excluded_units: texts(written.excluded_units)?,
        internal_customers: texts(written.internal_customers)?,
    })
}

fn sql_server(written: Spanned<wire::SqlServer>, base: &Path) -> Checked<SqlServer> {
    let span = written.span();
    let written = written.into_inner();
    let host_span = written.host.span();
    let host = filled(written.host)?;
    let parsed = Host::parse(&host).or_else(|_| Host::parse(&format!("[{host}]"))).map_err(|_| {
        Fault::at(host_span, format!("\"{host}\" is not a host name: write it without scheme, port or path"))
    })?;
    let tls_span = written.tls.as_ref().map_or_else(|| span.clone(), Spanned::span);
    let tls = match written.tls.map_or(wire::SqlTls::Required, Spanned::into_inner) {
        wire::SqlTls::Strict => SqlTls::Strict,
        wire::SqlTls::Required => SqlTls::Required,
        wire::SqlTls::TrustAny => SqlTls::TrustAny,
        wire::SqlTls::Off => SqlTls::Off,
    };
    // Either would hand the login to whoever sits in between.
    if matches!(tls, SqlTls::Off | SqlTls::TrustAny) && !is_loopback(&parsed) {
        return Err(Fault::at(
            tls_span,
            "\"off\" and \"trust-any\" are for loopback hosts only; name the authority of a private certificate in \
             ca_file instead",
        ));
    }
    let login = match (written.user, written.password, written.azure_ad) {
        (Some(user), Some(password), None) => {
            SqlLogin::Password { user: filled(user)?, password: secret(password, base) }
        }
        (None, None, Some(azure_ad)) => azure_login(azure_ad.into_inner(), base)?,
        _ => {
            return Err(Fault::at(
                span,
                "the server wants a login: either user and password, or a table azure_ad, and not both",
            ));
        }
    };
    Ok(SqlServer {
        host,
        port: at_least(written.port, 1, 1433)?,
        database: filled(written.database)?,
        login,
        tls,
        ca_file: written.ca_file.map(|path| base.join(path)),
        timeout_secs: at_least(written.timeout_secs, 1, 120)?,
    })
}

fn azure_login(written: wire::AzureAd, base: &Path) -> Checked<SqlLogin> {
    Ok(SqlLogin::AzureAd {
        tenant: filled(written.tenant)?,
        client_id: filled(written.client_id)?,
        client_secret: secret(written.client_secret, base),
        authority: url(written.authority, "https://login.microsoftonline.com")?,
    })
}

fn quickbooks(written: wire::QuickBooks, base: &Path) -> Checked<QuickBooks> {
    Ok(QuickBooks {
        base_url: url(written.base_url, "https://quickbooks.api.intuit.com")?,
        token_url: url(written.token_url, "https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer")?,
        realm_id: matching(written.realm_id, |letter| letter.is_ascii_digit(), "a realm id is made of digits")?,
        client_id: secret(written.client_id, base),
        client_secret: secret(written.client_secret, base),
        authorize_url: url(written.authorize_url, "https://appcenter.intuit.com/connect/oauth2")?,
        refresh_token: written.refresh_token.map(|token| secret(token, base)),
        basis: match written.basis.unwrap_or(wire::Basis::Accrual) {
            wire::Basis::Accrual => Basis::Accrual,
            wire::Basis::Cash => Basis::Cash,
        },
    })
}

fn cases(written: wire::Cases, base: &Path) -> Checked<Cases> {
    let or = |text: Option<wire::Text>, default: &str| text.map_or_else(|| Ok(default.to_owned()), filled);
    let category_span = written.category_column.as_ref().map(Spanned::span);
    let category_column = or(written.category_column, "Solution")?;
    if !CATEGORIES.contains(&category_column.as_str()) {
        return Err(Fault {
            span: category_span,
            message: format!(
                "\"{category_column}\" is no column that may be read as category; those are {}",
                CATEGORIES.join(", ")
            ),
        });
    }
    Ok(Cases {
        server: sql_server(written.server, base)?,
        schema: or(written.schema, "dbo")?,
        table: or(written.table, "Case_Data_Summary_NOPHI")?,
        category_column,
        min_group_size: at_least(written.min_group_size, 1, 5)?,
        harmless_labels: written.harmless_labels.into_iter().map(filled).collect::<Checked<_>>()?,
    })
}

fn hubspot(written: wire::HubSpot, base: &Path) -> Checked<HubSpot> {
    let api_version = match written.api_version {
        None => "v3".to_owned(),
        Some(version) if version.get_ref() == "v3" || month_start(&version).is_ok() => version.into_inner(),
        Some(version) => {
            return Err(Fault::at(
                version.span(),
                "a version of HubSpot's API is \"v3\", or a month as in \"2026-09\"",
            ));
        }
    };
    let home_currency = match written.home_currency {
        None => "USD".to_owned(),
        Some(code) if code.get_ref().len() == 3 => {
            matching(code, |letter| letter.is_ascii_uppercase(), "a currency is written as in \"USD\"")?
        }
        Some(code) => return Err(Fault::at(code.span(), "a currency is written as in \"USD\"")),
    };
    Ok(HubSpot {
        base_url: url(written.base_url, "https://api.hubapi.com")?,
        access_token: secret(written.access_token, base),
        api_version,
        home_currency,
    })
}

fn zoom(written: wire::Zoom, base: &Path) -> Checked<Zoom> {
    let results = |written: Option<Vec<wire::Text>>, default: &[&str]| match written {
        None => Ok(default.iter().map(|result| (*result).to_owned()).collect()),
        Some(written) => written.into_iter().map(result).collect::<Checked<Vec<_>>>(),
    };
    let letters = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    Ok(Zoom {
        base_url: url(written.base_url, "https://api.zoom.us/v2")?,
        token_url: url(written.token_url, "https://zoom.us/oauth/token")?,
        account_id: matching(written.account_id, letters, "an account id is made of letters, digits, - and _")?,
        client_id: secret(written.client_id, base),
        client_secret: secret(written.client_secret, base),
        connected_results: results(written.connected_results, &Zoom::CONNECTED)?,
        missed_results: results(written.missed_results, &Zoom::MISSED)?,
        voicemail_is_missed: written.voicemail_is_missed,
        requests_per_second: at_least(written.requests_per_second, 1, 4)?,
    })
}

/// A result as it is landed: anything else would match no call, without a word.
fn result(written: wire::Text) -> Checked<String> {
    let letters = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
    matching(written, letters, "a result is written in lower case with _ for blanks, as in no_answer")
}

fn bigquery(written: wire::BigQuery, base: &Path) -> Checked<BigQuery> {
    let monthly_days = match written.monthly_days {
        Some(days) if !matches!(days.get_ref(), 28 | 30) => {
            return Err(Fault::at(days.span(), "a month of users is 30 days, or 28 as Google counts"));
        }
        days => days.map_or(30, Spanned::into_inner),
    };
    Ok(BigQuery {
        // These stand in SQL and in URLs.
        project: matching(
            written.project,
            |letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-',
            "a project id is made of lower-case letters, digits and -",
        )?,
        dataset: matching(
            written.dataset,
            |letter| letter.is_ascii_alphanumeric() || letter == '_',
            "a dataset is made of letters, digits and _",
        )?,
        location: match written.location {
            Some(location) => matching(
                location,
                |letter| letter.is_ascii_alphanumeric() || letter == '-',
                "a location is written as in US, EU or europe-west3",
            )?,
            None => "US".to_owned(),
        },
        credentials: secret(written.credentials, base),
        base_url: url(written.base_url, "https://bigquery.googleapis.com/bigquery/v2")?,
        token_url: url(written.token_url, "https://oauth2.googleapis.com/token")?,
        max_billed_mib: at_least(written.max_billed_mib, 10, 102_400)?,
        query_timeout_secs: at_least(written.query_timeout_secs, 1, 3600)?,
        monthly_days,
    })
}

pub(super) fn secret(written: wire::Secret, base: &Path) -> SecretRef {
    match written.0 {
        SecretRef::File(path) => SecretRef::File(base.join(path)),
        name @ SecretRef::Env(_) => name,
    }
}

/// Text that says something, without blanks around it.
pub(super) fn filled(written: wire::Text) -> Checked<String> {
    let text = written.get_ref().trim();
    if text.is_empty() { Err(Fault::at(written.span(), "this may not be empty")) } else { Ok(text.to_owned()) }
}

fn matching(written: wire::Text, allowed: fn(char) -> bool, rule: &str) -> Checked<String> {
    if written.get_ref().is_empty() || !written.get_ref().chars().all(allowed) {
        return Err(Fault::at(written.span(), format!("\"{}\": {rule}", written.get_ref())));
    }
    Ok(written.into_inner())
}

pub(super) fn at_least<T: PartialOrd + std::fmt::Display>(
    written: Option<Spanned<T>>,
    least: T,
    default: T,
) -> Checked<T> {
    match written {
        Some(number) if *number.get_ref() < least => Err(Fault::at(number.span(), format!("at least {least}, please"))),
        Some(number) => Ok(number.into_inner()),
        None => Ok(default),
    }
}

fn timezone(written: &wire::Text) -> Checked<Tz> {
    let name = written.get_ref();
    name.parse().map_err(|_| {
        let hint = match nearest(name, TZ_VARIANTS.iter().map(|zone| zone.name())) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => "write it as in \"America/Chicago\"".to_owned(),
        };
        Fault::at(written.span(), format!("no time zone is called \"{name}\"; {hint}"))
    })
}

fn day(written: Spanned<wire::Day>) -> Checked<NaiveDate> {
    let text = &written.get_ref().0;
    iso_day(text, written.span(), "is not a date: write it as in 2025-03-01")
}

fn month_start(written: &wire::Text) -> Checked<NaiveDate> {
    let text = format!("{}-01", written.get_ref());
    iso_day(&text, written.span(), "is not a month: write it as in \"2024-02\"").map_err(|mut fault| {
        fault.message = fault.message.replacen("-01\"", "\"", 1);
        fault
    })
}

/// Strictly YYYY-MM-DD; chrono alone would take 2025-3-1 too.
fn iso_day(text: &str, span: Range<usize>, otherwise: &str) -> Checked<NaiveDate> {
    match NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        Ok(day) if day.to_string() == text => Ok(day),
        _ => Err(Fault::at(span, format!("\"{text}\" {otherwise}"))),
    }
}

/// An absolute address without a trailing slash. Plain HTTP is for loopback hosts only: tokens travel on it.
fn url(written: Option<wire::Text>, default: &str) -> Checked<String> {
    let Some(written) = written else { return Ok(default.to_owned()) };
    let refuse = |message: &str| Err(Fault::at(written.span(), message));
    let Ok(url) = Url::parse(written.get_ref()) else {
        return refuse("this is not a URL: write it as in \"https://host/path\"");
    };
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("a URL here carries no user or password");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return refuse("a URL here carries no query or fragment");
    }
    let Some(host) = url.host().map(|host| host.to_owned()) else { return refuse("this URL names no host") };
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&host) => {}
        "http" => return refuse("http is for loopback hosts only; use https"),
        _ => return refuse("only https is spoken here"),
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

pub(super) fn is_loopback(host: &Host<String>) -> bool {
    match host {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}
