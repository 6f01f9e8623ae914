//! QuickBooks Online: the ProfitAndLoss, BalanceSheet and CashFlow reports, by month.

mod amount;
mod ask;
mod fault;
mod report;
mod saved;
mod tree;

use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, Utc};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

pub use report::{Column, Header, Report};
pub use tree::{Line, LineType};

use super::Context;
use super::http::{Answer, HttpClient, get};
use super::oauth::{Custody, OAuthClient, TokenOwner, TokenStore, Vault};
use crate::config::{QuickBooks, SecretRef};
use crate::datasets::{Connector, Dataset, dataset};
use crate::periods::{self, Partition};
use crate::staging::{Landed, Page, Value};
use ask::{Ask, Place};

/// A month of a report on its way to staging.
struct Month<'a> {
    dataset: &'static Dataset,
    month: Partition,
    report: &'a Report,
    place: Place,
    page: Page<'a>,
}

/// Pulls the wanted months of the reports.
///
/// # Errors
/// Any failure of any request or answer fails the pull, before anything of it is staged.
pub async fn pull(
    context: &Context<'_>,
    tokens: &dyn TokenStore,
    wanted: &[(&'static Dataset, Vec<Partition>)],
) -> Result<Vec<Landed>> {
    match &context.saved {
        Some(saved) => {
            let mut found = Vec::new();
            for (dataset, months) in wanted {
                for month in months {
                    let read = saved::find(context, saved, dataset, *month)
                        .with_context(|| format!("reading the saved pages of {} {month}", dataset.name))?;
                    found.push((*dataset, *month, read));
                }
            }
            let months = found.iter().map(|(dataset, month, found)| Month {
                dataset,
                month: *month,
                report: &found.report,
                place: found.place,
                page: found.answer.page(),
            });
            land_all(context, months.collect())
        }
        None => {
            let settings = context.org.quickbooks.as_ref().context("the organisation has no [org.quickbooks]")?;
            let http = HttpClient::new(&context.config.limits, context.clock.clone())?;
            let custody = custody(context, settings, tokens, &http)?;
            let answered = fetch_all(context, settings, &http, &custody, wanted).await?;
            let mut months = Vec::new();
            for (ask, url, answer, report) in &answered {
                for month in &ask.months {
                    let place = ask.place(report, *month).with_context(|| pulling(ask))?;
                    months.push(Month {
                        dataset: ask.dataset,
                        month: *month,
                        report,
                        place,
                        page: page(url, answer.fetched_at, answer),
                    });
                }
            }
            land_all(context, months)
        }
    }
}

/// Proves that the tokens are accepted and that the company's reports may be read, by one report of the month reported.
/// Says so in one line.
///
/// # Errors
/// What the token endpoint or the company refused.
pub async fn check(context: &Context<'_>, tokens: &dyn TokenStore) -> Result<String> {
    let settings = context.org.quickbooks.as_ref().context("the organisation has no [org.quickbooks]")?;
    let http = HttpClient::new(&context.config.limits, context.clock.clone())?;
    let custody = custody(context, settings, tokens, &http)?;
    let dataset = dataset("quickbooks_profit_and_loss").context("the table of datasets has no such report")?;
    let month = Partition::Month(periods::first_of_month(context.as_of));
    let ask = ask::asks(dataset, &[month], context.as_of)?.pop().context("a month is asked for")?;
    fetch(context, settings, &http, &custody, &ask).await?;
    Ok(format!("company {}: its reports can be read", settings.realm_id))
}

fn page<'a>(url: &'a str, fetched_at: DateTime<Utc>, answer: &'a Answer) -> Page<'a> {
    Page { method: "GET", url, status: answer.status.as_u16(), fetched_at, body: &answer.body }
}

fn pulling(ask: &Ask) -> String {
    format!("pulling {} {}", ask.dataset.name, ask.range())
}

/// The tokens of a company, wherever consent to them came from.
///
/// # Errors
/// Secrets that cannot be read.
pub(crate) fn custody<'a>(
    context: &Context<'_>,
    settings: &QuickBooks,
    tokens: &'a dyn TokenStore,
    http: &'a HttpClient,
) -> Result<Custody<'a>> {
    let owner = TokenOwner { org: context.org.slug.clone(), connector: Connector::QuickBooks.name() };
    let client = OAuthClient {
        token_url: settings.token_url.clone(),
        client_id: settings.client_id.read().context("reading client_id of QuickBooks")?,
        client_secret: settings.client_secret.read().context("reading client_secret of QuickBooks")?,
    };
    let seed = settings.refresh_token.as_ref().map(SecretRef::read).transpose();
    let seed = seed.context("reading refresh_token of QuickBooks")?;
    Ok(Custody::new(http, tokens, Vault::open(context.config)?, owner, client, seed))
}

/// Asks everything before anything is staged, a few requests at a time, and keeps the order asked.
async fn fetch_all(
    context: &Context<'_>,
    settings: &QuickBooks,
    http: &HttpClient,
    custody: &Custody<'_>,
    wanted: &[(&'static Dataset, Vec<Partition>)],
) -> Result<Vec<(Ask, String, Answer, Report)>> {
    let mut asks = Vec::new();
    for (dataset, months) in wanted {
        asks.extend(ask::asks(dataset, months, context.as_of).with_context(|| format!("pulling {}", dataset.name))?);
    }
    let requests = asks.into_iter().map(async |ask: Ask| {
        let outcome = fetch(context, settings, http, custody, &ask).await.with_context(|| pulling(&ask));
        outcome.map(|(url, answer, report)| (ask, url, answer, report))
    });
    stream::iter(requests).buffered(usize::from(context.config.limits.http_concurrency.max(1))).try_collect().await
}

async fn fetch(
    context: &Context<'_>,
    settings: &QuickBooks,
    http: &HttpClient,
    custody: &Custody<'_>,
    ask: &Ask,
) -> Result<(String, Answer, Report)> {
    let url = ask.url(settings)?;
    let answer = http.send_with(get(url.clone(), "application/json"), custody, &fault::classify).await?;
    let report = Report::parse(&answer.body)?;
    ask.check_echo(&report, settings.basis.name())?;
    (context.progress)(ask.dataset.name, None, 0);
    Ok((url.into(), answer, report))
}

/// Stages the months, once it is sure that all their amounts are in one currency.
fn land_all(context: &Context<'_>, months: Vec<Month<'_>>) -> Result<Vec<Landed>> {
    let mut currency: Option<(&str, &Month<'_>)> = None;
    for month in &months {
        let Some(code) = month.report.header.currency.as_deref() else { continue };
        if let Some((other, first)) = currency {
            ensure!(
                code == other,
                "the currency changes from {other} ({} {}) to {code} ({} {}): the reports cannot be put together",
                first.dataset.name,
                first.month,
                month.dataset.name,
                month.month
            );
        }
        currency.get_or_insert((code, month));
    }
    months
        .iter()
        .map(|month| land(context, month).with_context(|| format!("landing {} {}", month.dataset.name, month.month)))
        .collect()
}

fn land(context: &Context<'_>, month: &Month<'_>) -> Result<Landed> {
    let Month { dataset, month: partition, report, place, page } = month;
    let lines = match place.column {
        Some(column) => report.lines(column)?,
        None => report.no_lines(),
    };
    let mut landing = context.staging.begin(dataset, &context.org.slug, *partition, context.pulled_at)?;
    let number = landing.page(page)?;
    for line in &lines {
        let header = &report.header;
        landing.push(
            Some(number),
            &[
                Value::Int(line.line),
                Value::Text(line.line_type.name()),
                Value::Text(line.groups),
                text_or_null(line.group),
                text_or_null(line.account_id),
                text_or_null(line.label),
                Value::Int(line.depth),
                Value::Bool(line.is_leaf),
                line.amount.map_or(Value::Null, |cents| Value::Decimal { mantissa: cents.into(), scale: 2 }),
                Value::Date(place.start),
                Value::Date(place.end),
                text_or_null(header.currency.as_deref()),
                text_or_null(header.basis.as_deref()),
                Value::Bool(header.no_report_data),
            ],
        )?;
    }
    let rows = landing.rows();
    let landed = landing.finish()?;
    (context.progress)(dataset.name, Some(*partition), rows);
    Ok(landed)
}

fn text_or_null(text: Option<&str>) -> Value<'_> {
    text.map_or(Value::Null, Value::Text)
}
