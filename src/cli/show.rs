//! `marts show`: one run in full.

use anyhow::anyhow;
use clap::Args;

use super::report::RunReport;
use super::{Context, Exit, Failure, Outcome, output, tables};

/// Show one run: its marts, what its audits found, why something failed
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  marts show 42")]
pub struct ShowArgs {
    /// The run, as `marts runs` numbers it
    #[arg(value_name = "RUN")]
    pub run: String,
}

/// Prints the run that `read` finds in the ledger.
pub fn execute(
    args: &ShowArgs,
    context: &Context,
    read: impl FnOnce(&str) -> Result<Option<RunReport>, Failure>,
) -> Outcome {
    let Some(report) = read(&args.run)? else {
        return Err(Failure::Usage(anyhow!("there is no run {}; `marts runs` lists them", args.run)));
    };
    if context.global.json {
        output::print_json(&report)?;
    } else {
        output::print(&tables::show(&report))?;
    }
    Ok(Exit::Good)
}
