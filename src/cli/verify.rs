//! `marts verify`: whether the live sources, asked something else, say what the marts say.

use std::fmt::Write as _;

use anyhow::{Context as _, anyhow};
use chrono::NaiveDate;
use clap::Args;
use clap::builder::PossibleValuesParser;
use rust_decimal::Decimal;
use serde::Serialize;

use super::{Context, Exit, Failure, Outcome, output, select_orgs, tables};
use crate::clock::Clock;
use crate::config::{Config, Org};
use crate::extract::http::HttpClient;
use crate::jobs::{JOBS, Job, Periods};
use crate::ledger::RunId;
use crate::periods::Partition;
use crate::postgres::{Database, OrganizationRow};
use crate::run::source_for;
use crate::verify::{self, Around, Compared, NotAsked, Sources, Verified};

/// Put an independent question to the live source about what is published, and compare
///
/// Without --period it is about the newest row of each mart. Every outcome is kept in etl_verifications. A difference, and a
/// question without an answer, end with exit code 1.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct VerifyArgs {
    /// The jobs whose marts to verify; all of them when none is named
    #[arg(value_name = "JOB", value_parser = PossibleValuesParser::new(JOBS.iter().map(|job| job.name)), hide_possible_values = true)]
    pub jobs: Vec<String>,
    /// Only this organisation; may be repeated
    #[arg(long, value_name = "ORG")]
    pub org: Vec<String>,
    /// The rows of this month or day, as in 2026-01 or 2026-01-20
    #[arg(long, value_name = "PERIOD")]
    pub period: Option<String>,
    /// Show every cell, not only those that are not equal
    #[arg(long)]
    pub all: bool,
}

const EXAMPLES: &str = "\
Examples:
  marts verify                                     the newest row of every mart
  marts verify etl_sales_daily --period 2026-01    every day of that month
  marts verify --org vital --all                   every cell that was asked about";

/// What `marts verify` answers.
#[derive(Debug, Serialize)]
struct Answer {
    /// Its number in the ledger.
    verification: String,
    #[serde(flatten)]
    verified: Verified,
}

/// Asks, compares, writes down and shows.
pub fn execute(args: &VerifyArgs, context: &Context) -> Outcome {
    let config = context.config()?;
    let orgs = select_orgs(&config, &args.org)?;
    let period: Option<Partition> = args.period.as_deref().map(str::parse).transpose().map_err(Failure::Usage)?;
    let named = |job: &&'static Job| args.jobs.is_empty() || args.jobs.iter().any(|name| name == job.name);
    let todo: Vec<(&Org, &'static Job)> = orgs
        .iter()
        .flat_map(|org| JOBS.iter().filter(named).map(|job| (*org, job)))
        .filter(|(org, job)| source_for(job, org).is_some())
        .collect();
    if todo.is_empty() {
        return Err(Failure::Usage(anyhow!("nothing to ask: no organisation has a connector that the jobs can use")));
    }
    let between = period.map(|period| (period.start(), period.end()));
    let verification = RunId::new(context.clock.now());
    let verified = context.with_database(&config, async |database| {
        verified(&config, database, &context.clock, &verification, &todo, between).await
    })?;
    if verified.compared.is_empty() {
        let reason = match (verified.not_asked.first(), &args.period) {
            (Some(not_asked), _) => format!("{} of {}: {}", not_asked.mart, not_asked.period, not_asked.reason),
            (None, Some(period)) => format!("no mart has a row of {period}"),
            (None, None) => "nothing is published yet: run `marts run`".to_owned(),
        };
        return Err(Failure::Usage(anyhow!("nothing was asked: {reason}")));
    }
    let is_good = verified.is_good();
    if context.global.json {
        output::print_json(&Answer { verification: verification.as_str().to_owned(), verified })?;
    } else {
        output::print(&told(&verified, &verification, args.all))?;
    }
    Ok(if is_good { Exit::Good } else { Exit::Failed })
}

/// Asks about each mart, and writes down what came of it before the next one is asked about.
async fn verified(
    config: &Config,
    database: &Database,
    clock: &Clock,
    verification: &RunId,
    todo: &[(&Org, &'static Job)],
    between: Option<(NaiveDate, NaiveDate)>,
) -> anyhow::Result<Verified> {
    database.require_migrated().await?;
    let rows: Vec<_> = config.orgs.iter().map(OrganizationRow::from).collect();
    let ids = database.sync_organizations(&rows).await?;
    let http = HttpClient::new(&config.limits, clock.clone())?;
    let mut all = Verified::default();
    for (org, id) in config.orgs.iter().zip(ids) {
        let around = Around { config, org, http: &http, clock, tokens: database };
        let mut sources = Sources::new(&around);
        for (_, job) in todo.iter().filter(|(of, _)| of.slug == org.slug) {
            let source = source_for(job, org).context("the job has no source for the organisation")?;
            let rows = {
                let mut connection = database.connection().await?;
                let between = between.map(|(first, last)| verify::between(job, first, last));
                verify::rows(&mut connection, id, job, source.connector, between).await?
            };
            let mut found = verify::verify(&mut sources, job, source.connector, &rows).await;
            verify::record(&mut *database.connection().await?, id, verification, None, &found.compared).await?;
            all.compared.append(&mut found.compared);
            all.not_asked.append(&mut found.not_asked);
        }
    }
    Ok(all)
}

/// A line for each row of a mart, then each cell that is not equal, then why there are no answers.
fn told(verified: &Verified, verification: &RunId, all: bool) -> String {
    let mut text = String::new();
    let shown: Vec<&Compared> =
        verified.compared.iter().filter(|cell| all || cell.outcome != verify::Outcome::Equal).collect();
    if !shown.is_empty() {
        let heads =
            ["org", "mart", "period", "column", "published", "source says", "difference", "tolerance", "outcome"];
        let lines = shown.iter().map(|cell| {
            vec![
                cell.org.clone(),
                cell.mart.to_owned(),
                period(cell.job, cell.period),
                cell.column.clone(),
                number(cell.published),
                number(cell.source),
                cell.difference.map(signed).unwrap_or_default(),
                cell.tolerance.normalize().to_string(),
                cell.outcome.name().to_owned(),
            ]
        });
        text += &tables::render(&heads, &[4, 5, 6, 7], lines);
        text.push('\n');
    }
    let mut silent: Vec<((&str, &str, &str), usize)> = Vec::new();
    for cell in &verified.compared {
        let Some(error) = &cell.error else { continue };
        let of = (cell.job, cell.org.as_str(), error.strip_prefix(verify::NOT_ASKED_AGAIN).unwrap_or(error));
        match silent.iter_mut().find(|(known, _)| *known == of) {
            Some((_, cells)) => *cells += 1,
            None => silent.push((of, 1)),
        }
    }
    for ((job, org, error), cells) in silent {
        let plural = if cells == 1 { "cell" } else { "cells" };
        let _ = writeln!(text, "unanswered  {job}/{org}: {error} ({cells} {plural})");
    }
    for NotAsked { org, job, period: day, columns, reason, .. } in &verified.not_asked {
        let _ = writeln!(text, "not asked   {job}/{org} {}: {}: {reason}", period(job, *day), columns.join(", "));
    }
    let count = |outcome| verified.compared.iter().filter(|cell| cell.outcome == outcome).count();
    let _ = write!(text, "{} cells asked about: {} equal", verified.compared.len(), count(verify::Outcome::Equal));
    for (outcome, words) in [
        (verify::Outcome::Within, "within the tolerance"),
        (verify::Outcome::Differs, "DIFFER"),
        (verify::Outcome::Unanswered, "without an answer"),
    ] {
        if count(outcome) > 0 {
            let _ = write!(text, ", {} {words}", count(outcome));
        }
    }
    let _ = writeln!(text, "; kept as {verification}");
    text
}

/// The period of a row as it is written.
fn period(job: &str, first: NaiveDate) -> String {
    let is_monthly = JOBS.iter().any(|one| one.name == job && matches!(one.periods, Periods::Months { .. }));
    first.format(if is_monthly { "%Y-%m" } else { "%Y-%m-%d" }).to_string()
}

fn number(number: Option<Decimal>) -> String {
    number.map_or_else(|| "-".to_owned(), |number| number.to_string())
}

fn signed(difference: Decimal) -> String {
    if difference > Decimal::ZERO { format!("+{difference}") } else { difference.to_string() }
}
