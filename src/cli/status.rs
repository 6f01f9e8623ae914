//! `marts status`: how fresh every mart is, and what stands in its way.

use std::collections::BTreeMap;

use anyhow::Context as _;
use chrono::{DateTime, NaiveDate, Utc};
use clap::Args;
use serde::Serialize;
use sqlx::FromRow;

use super::{Context, Exit, Outcome, output, select_orgs, tables};
use crate::jobs::{JOBS, Periods};
use crate::postgres::{OneLine as _, as_admin};
use crate::run::source_for;

/// Show how fresh each mart of each organisation is, and what holds it up
///
/// Ends with exit code 1 when a mart failed, is held, or had no success in 26 hours. Dashboards find the same in the view
/// mart_freshness.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  marts status\n  marts status --org vital --json")]
pub struct StatusArgs {
    /// Only this organisation; may be repeated
    #[arg(long, value_name = "ORG")]
    pub org: Vec<String>,
}

/// A row of `mart_freshness`.
#[derive(Debug, FromRow)]
struct Freshness {
    org: String,
    mart: String,
    newest_period: Option<NaiveDate>,
    as_of: Option<NaiveDate>,
    is_final: Option<bool>,
    last_success_at: Option<DateTime<Utc>>,
    is_late: bool,
    last_failure_at: Option<DateTime<Utc>>,
    last_run: Option<String>,
    last_status: Option<String>,
    held_by: Option<String>,
    error: Option<String>,
}

/// How one mart of one organisation stands.
#[derive(Debug, Serialize)]
pub struct Standing {
    pub org: String,
    pub job: &'static str,
    pub mart: &'static str,
    /// `ok`, `running`, `late`, `partial`, `held`, `failed`, `never`.
    pub state: &'static str,
    /// First day of the period of the newest row.
    pub newest_period: Option<NaiveDate>,
    pub as_of: Option<NaiveDate>,
    /// Whether the newest row will not change any more by itself; none without a row.
    pub is_final: Option<bool>,
    pub last_success_at: Option<DateTime<Utc>>,
    pub last_failure_at: Option<DateTime<Utc>>,
    pub last_run: Option<String>,
    /// When it is next due, by the specification's time or that of `[org.schedule]`.
    pub next_run: Option<DateTime<Utc>>,
    /// What holds it up.
    pub because: Option<String>,
}

/// Shows the standings.
pub fn execute(args: &StatusArgs, context: &Context) -> Outcome {
    let config = context.config()?;
    let orgs = select_orgs(&config, &args.org)?;
    let rows: Vec<Freshness> = context.with_database(&config, async |database| {
        database.require_migrated().await?;
        let mut connection = database.connection().await?;
        let mut transaction = as_admin(&mut connection).await?;
        let rows = sqlx::query_as("select * from mart_freshness").fetch_all(&mut *transaction).await;
        rows.one_line().context("reading mart_freshness")
    })?;
    let mut known: BTreeMap<(String, String), Freshness> =
        rows.into_iter().map(|row| ((row.org.clone(), row.mart.clone()), row)).collect();
    let mut standings = Vec::new();
    for org in orgs {
        for job in JOBS.iter().filter(|job| source_for(job, org).is_some()) {
            let row = known.remove(&(org.slug.clone(), job.mart.to_owned()));
            let next_run = org.cron(job)?.next(context.clock.now(), org.timezone);
            standings.push(Standing { next_run, ..standing(org.slug.clone(), job, row) });
        }
    }
    if context.global.json {
        output::print_json(&standings)?;
    } else {
        output::print(&table(&standings))?;
    }
    let is_well = standings.iter().all(|standing| matches!(standing.state, "ok" | "running"));
    Ok(if is_well { Exit::Good } else { Exit::Failed })
}

fn standing(org: String, job: &'static crate::jobs::Job, row: Option<Freshness>) -> Standing {
    let state = match row.as_ref().and_then(|row| row.last_status.as_deref()) {
        None if row.is_none() => "never",
        Some("failed") => "failed",
        Some("held") => "held",
        Some("partial") => "partial",
        Some("running") => "running",
        _ if row.as_ref().is_none_or(|row| row.is_late) => "late",
        _ => "ok",
    };
    let mut standing = Standing {
        org,
        job: job.name,
        mart: job.mart,
        state,
        newest_period: None,
        as_of: None,
        is_final: None,
        last_success_at: None,
        last_failure_at: None,
        last_run: None,
        next_run: None,
        because: None,
    };
    if let Some(row) = row {
        standing.because = row.error.or(row.held_by).filter(|_| matches!(state, "failed" | "held" | "partial"));
        if state == "late" {
            standing.because = Some("no success in 26 hours".to_owned());
        }
        standing.newest_period = row.newest_period;
        standing.as_of = row.as_of;
        standing.is_final = row.is_final;
        standing.last_success_at = row.last_success_at;
        standing.last_failure_at = row.last_failure_at;
        standing.last_run = row.last_run;
    }
    standing
}

fn table(standings: &[Standing]) -> String {
    let rows = standings.iter().map(|standing| {
        let is_monthly =
            JOBS.iter().any(|job| job.mart == standing.mart && matches!(job.periods, Periods::Months { .. }));
        let period = |day: NaiveDate| day.format(if is_monthly { "%Y-%m" } else { "%Y-%m-%d" }).to_string();
        let instant =
            |at: Option<DateTime<Utc>>| at.map_or_else(String::new, |at| at.format("%Y-%m-%d %H:%MZ").to_string());
        let completeness = match standing.is_final {
            None => "",
            Some(true) => "final",
            Some(false) => "provisional",
        };
        vec![
            standing.org.clone(),
            standing.mart.to_owned(),
            standing.state.to_owned(),
            standing.newest_period.map(period).unwrap_or_default(),
            completeness.to_owned(),
            standing.as_of.map(|day| day.to_string()).unwrap_or_default(),
            instant(standing.last_success_at),
            instant(standing.last_failure_at),
            instant(standing.next_run),
            standing.because.clone().unwrap_or_default(),
        ]
    });
    let heads = ["org", "mart", "state", "newest", "", "as of", "last success", "last failure", "next run", "because"];
    tables::render(&heads, &[], rows)
}
