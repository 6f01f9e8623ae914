//! `marts postgres`: a way into the database.

use clap::Args;

use super::query::{self, Format};
use super::report::QueryResult;
use super::{Context, Exit, Failure, Outcome};

/// Ask the database, or serve the embedded one alone on a loopback port until interrupted
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct PostgresArgs {
    /// A statement to run; without it, the embedded server is served
    pub sql: Option<String>,
    /// The port to serve on; 0 = any free one
    #[arg(long, value_name = "PORT", default_value_t = 5433, conflicts_with = "sql")]
    pub port: u16,
    /// How to answer a statement
    #[arg(long, value_enum, default_value_t = Format::Table, requires = "sql")]
    pub format: Format,
}

const EXAMPLES: &str = "\
Examples:
  marts postgres 'select * from mart_sales_daily order by sales_date desc limit 5'
  marts postgres                     then, elsewhere: psql -h 127.0.0.1 -p 5433";

/// Prints what `ask` answers to the statement, or lets `serve` serve on the port.
pub fn execute(
    args: &PostgresArgs,
    context: &Context,
    ask: impl FnOnce(&str) -> Result<QueryResult, Failure>,
    serve: impl FnOnce(u16) -> Result<(), Failure>,
) -> Outcome {
    match &args.sql {
        Some(sql) => {
            let format = if context.global.json { Format::Json } else { args.format };
            query::print(&ask(sql)?, format)?;
        }
        None => serve(args.port)?,
    }
    Ok(Exit::Good)
}
