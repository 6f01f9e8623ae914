//! `marts demo`: everything at once, with nothing to set up.

use std::path::PathBuf;

use clap::Args;

use super::progress::Progress;
use super::report::RunReport;
use super::{Context, Failure, Outcome, output, tables};

/// Run a night against simulated sources and a PostgreSQL of its own: nothing to configure, nothing leaves the machine
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  marts demo && marts --config .marts/demo/marts.toml runs")]
pub struct DemoArgs {
    /// Where the demonstration keeps its configuration, its landing zone and its database
    #[arg(long, value_name = "DIR", default_value = ".marts/demo")]
    pub dir: PathBuf,
}

/// Shows how the night that `work` runs in the folder ended.
pub fn execute(
    args: &DemoArgs,
    context: &Context,
    work: impl FnOnce(&DemoArgs, &Progress) -> Result<RunReport, Failure>,
) -> Outcome {
    let progress = context.progress();
    let report = work(args, &progress);
    progress.finish();
    let report = report?;
    if context.global.json {
        output::print_json(&report)?;
    } else {
        output::print(&tables::closing(&report))?;
    }
    Ok(report.exit())
}
