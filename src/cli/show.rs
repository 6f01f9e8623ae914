//! `marts show`: one run in full.

use std::fmt::Write as _;

use anyhow::anyhow;
use clap::Args;
use serde::Serialize;

use super::report::RunReport;
use super::{Context, Exit, Failure, Outcome, output, tables};
use crate::accept::{self, Entry};
use crate::ledger;

/// Show one run: its marts, what its audits found, why something failed
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  marts show 20260121T080000Z-3f2a")]
pub struct ShowArgs {
    /// The run, as `marts runs` calls it; its beginning is enough
    #[arg(value_name = "RUN")]
    pub run: String,
}

/// What `--json` shows.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    report: &'a RunReport,
    acceptances: &'a [Entry],
}

/// What was accepted of the run, or by it.
fn accepted(acceptances: &[Entry]) -> String {
    let mut text = String::new();
    for entry in acceptances {
        let Entry { org, mart, run_id, accepted_run, periods, reason, accepted_by, accepted_at } = entry;
        let periods: Vec<_> = periods.iter().map(ToString::to_string).collect();
        let _ = writeln!(
            text,
            "\n{mart} of {org}, {}: held by run {accepted_run}, accepted by {accepted_by} as run {run_id} on {}: {reason}",
            periods.join(", "),
            accepted_at.format("%Y-%m-%d %H:%MZ")
        );
    }
    text
}

/// Prints the run as the ledger has it.
pub fn execute(args: &ShowArgs, context: &Context) -> Outcome {
    let config = context.config()?;
    let entries = context
        .with_database(&config, async |database| ledger::show(&mut *database.connection().await?, &args.run).await)?;
    let mut reports = super::runs::reports(entries);
    let Some(report) = reports.pop() else {
        return Err(Failure::Usage(anyhow!("there is no run {}; `marts runs` lists them", args.run)));
    };
    if !reports.is_empty() {
        return Err(Failure::Usage(anyhow!("{} runs begin with {}; name one of them", reports.len() + 1, args.run)));
    }
    let run = report.run.clone().unwrap_or_default();
    let acceptances = context
        .with_database(&config, async |database| accept::about(&mut *database.connection().await?, &run).await)?;
    if context.global.json {
        output::print_json(&Shown { report: &report, acceptances: &acceptances })?;
    } else {
        output::print(&(tables::show(&report) + &accepted(&acceptances)))?;
    }
    Ok(Exit::Good)
}
