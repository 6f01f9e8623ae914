//! `marts sql`: a job's computation, to run by hand.

use anyhow::anyhow;
use chrono::NaiveDate;
use clap::Args;
use clap::builder::PossibleValuesParser;

use super::{Context, Exit, Failure, Outcome, day, output, select_orgs};
use crate::compute::{self, Inputs, Pulls};
use crate::jobs::{JOBS, job};
use crate::run::{Window, plan, source_for};
use crate::staging::Staging;

/// Print the script that computes a mart, ready for the duckdb shell
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  marts sql etl_sales_daily --org bennett | duckdb")]
pub struct SqlArgs {
    /// The job
    #[arg(value_name = "JOB", value_parser = PossibleValuesParser::new(JOBS.iter().map(|job| job.name)), hide_possible_values = true)]
    pub job: String,
    /// The organisation
    #[arg(long, value_name = "ORG")]
    pub org: String,
    /// The last day to report
    #[arg(long, value_name = "DATE", value_parser = day)]
    pub as_of: Option<NaiveDate>,
}

/// Prints the script over what is staged.
pub fn execute(args: &SqlArgs, context: &Context) -> Outcome {
    let config = context.config()?;
    let orgs = select_orgs(&config, std::slice::from_ref(&args.org))?;
    // The argument's parser knows only jobs of the table, and the selection only organisations of the configuration.
    let (Some(job), [org]) = (job(&args.job), orgs.as_slice()) else {
        return Err(Failure::Usage(anyhow!("there is no job {} of {}", args.job, args.org)));
    };
    let Some(source) = source_for(job, org) else {
        return Err(Failure::Usage(anyhow!(
            "{} has no connector that {} can use; see `marts jobs`",
            org.slug,
            job.name
        )));
    };
    let window = Window::resolve(org, context.clock.now(), args.as_of, None).map_err(Failure::Usage)?;
    let mut plan = plan(job, source, org, window)?;
    let staging = Staging::new(&config.staging.path);
    let pulls = Pulls::winners(&staging, org, &plan.wanted, None)?;
    plan.leave_out_absent(&pulls);
    let inputs = Inputs { config: &config, org, plan: &plan, pulls: &pulls, as_of: window.as_of };
    output::print(&compute::script(&inputs)?)?;
    Ok(Exit::Good)
}
