//! Zoom: call history, the daily report, and how many users, phone users and queues there are.
//!
//! Calls are asked for by local day and by instants, a day more on both sides, so that a call whose legs lie on both
//! sides of a midnight is whole.

mod calls;
mod client;
mod counts;
mod fault;
mod field;
mod page;
mod report;
mod saved;
mod token;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail, ensure};
use chrono::{DateTime, Datelike as _, NaiveDate, Utc};

use super::Context;
use crate::datasets::{Dataset, dataset};
use crate::periods::{self, Partition};
use crate::staging::{Landed, Landing, Value};
use calls::Day;
use client::Client;
use page::{Kept, Outcome};
pub(crate) use token::AccountCredentials;

/// Days of calls asked before they are staged: what is held in memory.
const DAYS_AT_ONCE: usize = 7;

/// What is wanted of each dataset.
#[derive(Default)]
struct Wanted {
    call_days: BTreeSet<NaiveDate>,
    report_months: BTreeSet<NaiveDate>,
    count_days: BTreeSet<NaiveDate>,
    coverage_days: BTreeSet<NaiveDate>,
}

impl Wanted {
    fn of(wanted: &[(&'static Dataset, Vec<Partition>)]) -> Result<Self> {
        let mut sorted = Wanted::default();
        for (dataset, partitions) in wanted {
            let days = match dataset.name {
                "zoom_call_legs" => &mut sorted.call_days,
                "zoom_daily_report" => &mut sorted.report_months,
                "zoom_counts" => &mut sorted.count_days,
                "zoom_coverage" => &mut sorted.coverage_days,
                name => bail!("{name} is no dataset of Zoom"),
            };
            days.extend(partitions.iter().map(|partition| partition.start()));
        }
        // What is told of a day is what was asked for it.
        sorted.call_days.extend(sorted.coverage_days.iter().copied());
        sorted.report_months.extend(sorted.coverage_days.iter().map(|day| periods::first_of_month(*day)));
        Ok(sorted)
    }
}

/// Pulls the wanted partitions.
///
/// # Errors
/// Any failure of any request or answer. What the account does not have is no failure: it is landed as not available.
pub async fn pull(context: &Context<'_>, wanted: &[(&'static Dataset, Vec<Partition>)]) -> Result<Vec<Landed>> {
    let wanted = Wanted::of(wanted)?;
    let client = Client::new(context)?;
    let today = client.today().await?;
    calls::check_kept(&wanted.call_days, today)?;
    let mut landed = Vec::new();

    let mut counts = Vec::new();
    for day in &wanted.count_days {
        counts.push((*day, counts::fetch(context, &client, *day).await.with_context(|| asking(COUNTS, day))?));
    }
    let mut reports = BTreeMap::new();
    for month in &wanted.report_months {
        let asked = report::fetch(&client, *month).await.with_context(|| asking(REPORT, &month.format("%Y-%m")))?;
        (context.progress)(REPORT, None, asked.records.len() as u64);
        reports.insert(*month, asked);
    }

    for (day, counted) in counts {
        landed.push(counts::land(context, day, &counted).with_context(|| landing(COUNTS, &day))?);
    }
    for (month, report) in &reports {
        landed.push(report::land(context, *month, report).with_context(|| landing(REPORT, &month.format("%Y-%m")))?);
    }
    let days: Vec<NaiveDate> = wanted.call_days.iter().copied().collect();
    for days in days.chunks(DAYS_AT_ONCE) {
        let fetched = calls::fetch(context, &client, days, today).await?;
        landed.extend(land_days(context, &fetched, &reports, &wanted)?);
    }
    Ok(landed)
}

/// Proves that the app is admitted and has every scope that pulls need, by the first page of each list. Says in one line what
/// was read, and what the account does not have, which is no failure.
///
/// # Errors
/// The first list that Zoom refuses, in its own words.
pub async fn check(context: &Context<'_>) -> Result<String> {
    let Client::Live(live) = Client::new(context)? else { bail!("saved pages are not Zoom") };
    let day = context.as_of;
    let few = || ("page_size", "1".to_owned());
    let lists = [
        (&counts::USERS, vec![few()]),
        (&counts::PHONE_USERS, vec![few()]),
        (&counts::CALL_QUEUES, vec![few()]),
        (&calls::CALL_HISTORY, vec![("from", day.to_string()), ("to", day.to_string()), few()]),
        (&report::DAILY, vec![("year", day.year().to_string()), ("month", day.month().to_string())]),
    ];
    let (mut read, mut lacking) = (Vec::new(), Vec::new());
    for (endpoint, params) in lists {
        match live.has(endpoint, params).await? {
            true => read.push(endpoint.path),
            false => lacking.push(endpoint.path),
        }
    }
    let mut said = format!("{} can be read", read.join(", "));
    if !lacking.is_empty() {
        said += &format!("; the account does not have {}", lacking.join(", "));
    }
    Ok(said)
}

const CALLS: &str = "zoom_call_legs";
const REPORT: &str = "zoom_daily_report";
const COUNTS: &str = "zoom_counts";
const COVERAGE: &str = "zoom_coverage";

fn asking(dataset: &str, period: &impl std::fmt::Display) -> String {
    format!("pulling {dataset} {period}")
}

fn landing(dataset: &str, period: &impl std::fmt::Display) -> String {
    format!("landing {dataset} {period}")
}

/// Lands days of calls, each with what Zoom had to say of it.
fn land_days(
    context: &Context<'_>,
    days: &[Day],
    reports: &BTreeMap<NaiveDate, page::Listing<report::Reported>>,
    wanted: &Wanted,
) -> Result<Vec<Landed>> {
    let mut landed = Vec::new();
    for day in days {
        landed.push(calls::land(context, day).with_context(|| landing(CALLS, &day.date))?);
        if wanted.coverage_days.contains(&day.date) {
            let report = reports.get(&periods::first_of_month(day.date)).context("no report of the month")?;
            landed.push(cover(context, day, &report.outcome).with_context(|| landing(COVERAGE, &day.date))?);
        }
    }
    Ok(landed)
}

fn cover(context: &Context<'_>, day: &Day, report: &Outcome) -> Result<Landed> {
    let mut landing = begin(context, COVERAGE, Partition::Day(day.date))?;
    for (part, outcome) in [("calls", &day.outcome), ("daily_report", report)] {
        let mut row = vec![Value::Date(day.date), Value::Text(part)];
        row.extend(outcome.values());
        if part == "daily_report" && outcome.is_available() {
            // The report announces nothing.
            row.truncate(row.len() - 2);
            row.extend([Value::Null, Value::Null]);
        }
        landing.push(None, &row)?;
    }
    finish(context, landing, COVERAGE, Partition::Day(day.date))
}

fn begin(context: &Context<'_>, name: &str, partition: Partition) -> Result<Landing> {
    let dataset = dataset(name).with_context(|| format!("{name} is no dataset"))?;
    context.staging.begin(dataset, &context.org.slug, partition, context.pulled_at)
}

/// Keeps pages; returns the number of the first.
fn keep(landing: &mut Landing, pages: &[Kept]) -> Result<i64> {
    let mut first = None;
    for kept in pages {
        let number = landing.page(&kept.page())?;
        first.get_or_insert(number);
    }
    Ok(first.unwrap_or_default())
}

fn finish(context: &Context<'_>, landing: Landing, name: &str, partition: Partition) -> Result<Landed> {
    let rows = landing.rows();
    let landed = landing.finish()?;
    ensure!(landed.manifest().period == partition.to_string(), "{name} was landed under another period");
    (context.progress)(name, Some(partition), rows);
    Ok(landed)
}

/// The local day at an instant, where the organisation is.
fn local_day(context: &Context<'_>, instant: DateTime<Utc>) -> NaiveDate {
    periods::local_day(instant, context.org.timezone)
}
