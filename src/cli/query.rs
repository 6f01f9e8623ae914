//! `marts query`: ask the landing zone.

use clap::{Args, ValueEnum};

use super::report::QueryResult;
use super::{Context, Exit, Failure, Outcome, output, tables};
use crate::compute;

/// Ask the landing zone in DuckDB's SQL: a view for each dataset, with the newest complete pull of each period
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct QueryArgs {
    /// One SELECT
    pub sql: String,
    /// How to answer
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

const EXAMPLES: &str = "\
Examples:
  marts query 'select org, count(*) from softbase_invoices group by all'
  marts query --format csv 'from quickbooks_balance_sheet' > balance.csv";

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Table,
    Csv,
    Json,
}

/// Prints the answer.
pub fn execute(args: &QueryArgs, context: &Context) -> Outcome {
    let config = context.config()?;
    let format = if context.global.json { Format::Json } else { args.format };
    compute::check_select(&args.sql).map_err(Failure::Usage)?;
    let answer = compute::query(&config, &args.sql)?;
    print(&QueryResult::from_batches(&answer.schema, &answer.batches)?, format)?;
    Ok(Exit::Good)
}

/// Prints an answer.
///
/// # Errors
/// When stdout cannot be written.
pub fn print(result: &QueryResult, format: Format) -> anyhow::Result<()> {
    match format {
        Format::Table => output::print(&tables::query(result)),
        Format::Csv => output::print(&tables::csv(result)),
        Format::Json => output::print_json(&tables::json(result)),
    }
}
