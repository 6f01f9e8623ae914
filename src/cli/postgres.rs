//! `marts postgres`: a way into the database.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::anyhow;
use clap::Args;

use super::query::{self, Format};
use super::report::{Cell, QueryResult};
use super::{Context, Exit, Failure, Outcome, output};
use crate::config::PostgresSettings;
use crate::postgres;

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

/// Prints the answer to the statement, or serves until interrupted.
pub fn execute(args: &PostgresArgs, context: &Context) -> Outcome {
    let config = context.config()?;
    let Some(sql) = &args.sql else { return serve(args, context, &config.postgres) };
    let format = if context.global.json { Format::Json } else { args.format };
    let answers = context.with_database(&config, async |database| database.execute(sql).await)?;
    for answer in answers {
        if answer.columns.is_empty() {
            output::print(&format!("{} rows\n", answer.affected))?;
        } else {
            query::print(&answer.into(), format)?;
        }
    }
    Ok(Exit::Good)
}

fn serve(args: &PostgresArgs, context: &Context, settings: &PostgresSettings) -> Outcome {
    if let Some(url) = &settings.url {
        return Err(Failure::Usage(anyhow!(
            "only the embedded server is served, and [postgres] url ({url}) names another; connect to that one"
        )));
    }
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
    let started = |address: SocketAddr| {
        // Nothing is lost when nobody reads it.
        let _ = output::print(&format!(
            "Serving one client at a time at postgres://postgres@{address}/postgres\nCtrl-C ends it.\n"
        ));
    };
    context.runtime()?.block_on(postgres::serve(&settings.data_dir, address, started, super::interrupted()))?;
    Ok(Exit::Good)
}

impl From<postgres::Answer> for QueryResult {
    fn from(answer: postgres::Answer) -> Self {
        let numeric = answer.numeric;
        let cell = |(at, cell): (usize, Option<String>)| match cell {
            None => Cell::Null,
            Some(digits) if numeric[at] => Cell::Number(digits),
            Some(text) => Cell::Text(text),
        };
        let rows = answer.rows.into_iter().map(|row| row.into_iter().enumerate().map(cell).collect()).collect();
        QueryResult { columns: answer.columns, rows }
    }
}
