//! `marts sql`: a job's computation, to run by hand.

use chrono::NaiveDate;
use clap::Args;
use clap::builder::PossibleValuesParser;

use super::{Context, Exit, Failure, Outcome, day, output};
use crate::jobs::{JOBS, Job, job};

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

/// Prints what `script` makes of the job, the organisation's slug and the last day to report.
pub fn execute(
    args: &SqlArgs,
    _context: &Context,
    script: impl FnOnce(&'static Job, &str, Option<NaiveDate>) -> Result<String, Failure>,
) -> Outcome {
    // The argument's parser knows only jobs of the table.
    let Some(job) = job(&args.job) else {
        return Err(Failure::Usage(anyhow::anyhow!("there is no job {}", args.job)));
    };
    output::print(&script(job, &args.org, args.as_of)?)?;
    Ok(Exit::Good)
}
