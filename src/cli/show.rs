//! `marts show`: one run in full.

use anyhow::anyhow;
use clap::Args;

use super::{Context, Exit, Failure, Outcome, output, tables};
use crate::ledger;

/// Show one run: its marts, what its audits found, why something failed
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  marts show 20260121T080000Z-3f2a")]
pub struct ShowArgs {
    /// The run, as `marts runs` calls it; its beginning is enough
    #[arg(value_name = "RUN")]
    pub run: String,
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
    if context.global.json {
        output::print_json(&report)?;
    } else {
        output::print(&tables::show(&report))?;
    }
    Ok(Exit::Good)
}
