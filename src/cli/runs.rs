//! `marts runs`: the last nights.

use clap::Args;

use super::report::RunReport;
use super::{Context, Exit, Failure, Outcome, output, tables};

/// List the last runs, newest first
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  marts runs --limit 7")]
pub struct RunsArgs {
    /// How many
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
}

/// Prints the runs that `read` finds in the ledger: the newest so many.
pub fn execute(
    args: &RunsArgs,
    context: &Context,
    read: impl FnOnce(u32) -> Result<Vec<RunReport>, Failure>,
) -> Outcome {
    let runs = read(args.limit)?;
    if context.global.json {
        output::print_json(&runs)?;
    } else {
        output::print(&tables::runs(&runs))?;
    }
    Ok(Exit::Good)
}
