//! `marts accept`: publish what a run held because its month is closed.

use std::fmt::Write as _;
use std::os::unix::fs::MetadataExt as _;

use anyhow::Context as _;
use clap::Args;
use clap::builder::PossibleValuesParser;

use super::{Context, Exit, Failure, Outcome, output, select_orgs, tables};
use crate::accept::{self, Accepted, Ask};
use crate::jobs::JOBS;
use crate::ledger;

/// Publish what a run held because its month is closed, with the reason why that is right
///
/// The rows are computed again from the pulls of the run, and published only if they come out as they did. What breaks any
/// other rule cannot be accepted.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  marts accept 20260121T0800 --reason 'invoice 4711 was posted to the wrong month' --org bennett"
)]
pub struct AcceptArgs {
    /// The run that held it, as `marts runs` calls it; its beginning is enough
    #[arg(value_name = "RUN")]
    pub run: String,
    /// Why the change is right; it is kept with the acceptance
    #[arg(long, value_name = "TEXT", value_parser = said)]
    pub reason: String,
    /// Only this organisation
    #[arg(long, value_name = "ORG")]
    pub org: Option<String>,
    /// Only this mart
    #[arg(long, value_name = "MART", value_parser = PossibleValuesParser::new(JOBS.iter().map(|job| job.mart)))]
    pub mart: Option<String>,
    /// Who accepts it; kept as well. Without it, the account on the machine
    #[arg(long, value_name = "NAME", value_parser = said)]
    pub by: Option<String>,
}

/// Text that says something, without blanks around it.
fn said(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() { Err("it may not be blank".to_owned()) } else { Ok(text.to_owned()) }
}

/// The account that runs the program: its name where the environment has it, else its number.
fn account() -> anyhow::Result<String> {
    let named = ["USER", "LOGNAME"].iter().filter_map(|name| std::env::var(name).ok());
    if let Some(name) = named.map(|name| name.trim().to_owned()).find(|name| !name.is_empty()) {
        return Ok(name);
    }
    let process = std::fs::metadata("/proc/self").context("the machine does not tell whose account this is")?;
    Ok(format!("uid {}", process.uid()))
}

/// Publishes it, and shows what was published.
pub fn execute(args: &AcceptArgs, context: &Context) -> Outcome {
    let config = context.config()?;
    select_orgs(&config, args.org.as_slice())?;
    let by = match &args.by {
        Some(by) => by.clone(),
        None => account().context("say who accepts it with --by").map_err(Failure::Usage)?,
    };
    let accepted = context.with_database(&config, async |database| {
        let named = {
            let mut connection = database.connection().await?;
            let runs = ledger::runs(&mut connection).await?;
            ledger::run_called(&runs, &args.run).map(|(run, _)| run.clone())
        };
        let run = match named {
            Ok(run) => run,
            Err(error) => return Ok(Err(error)),
        };
        let (org, mart) = (args.org.clone(), args.mart.clone());
        let ask = Ask { run, org, mart, reason: args.reason.clone(), by: by.clone() };
        accept::accept(&config, database, &context.clock, &ask).await.map(Ok)
    })?;
    let accepted = accepted.map_err(Failure::Usage)?;
    if context.global.json {
        output::print_json(&accepted)?;
    } else {
        output::print(&told(&accepted, &args.reason, &by))?;
    }
    Ok(Exit::Good)
}

fn told(accepted: &[Accepted], reason: &str, by: &str) -> String {
    let rows = accepted.iter().map(|accepted| {
        vec![
            accepted.org.clone(),
            accepted.mart.clone(),
            days(&accepted.periods),
            accepted.inserted.to_string(),
            accepted.updated.to_string(),
            accepted.changed_cells.to_string(),
        ]
    });
    let mut text =
        tables::render(&["org", "mart", "periods", "inserted", "updated", "cells"], &[3, 4, 5], rows.into_iter());
    if let Some(Accepted { run, accepted, .. }) = accepted.first() {
        let _ = writeln!(text, "\nheld by run {accepted}, accepted by {by} as run {run}: {reason}");
    }
    for Accepted { org, mart, left, .. } in accepted.iter().filter(|accepted| !accepted.left.is_empty()) {
        let _ = writeln!(text, "{mart} of {org}: {} breaks other rules as well and stays held", days(left));
    }
    text
}

/// `2025-12-03, 2025-12-09`
fn days(days: &[chrono::NaiveDate]) -> String {
    days.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
