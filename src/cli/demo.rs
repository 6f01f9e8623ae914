//! `marts demo`: everything at once, with nothing to set up.

use std::path::PathBuf;

use clap::Args;

use super::report::QueryResult;
use super::{Context, Outcome, output, tables};
use crate::config::Config;
use crate::jobs::JOBS;
use crate::postgres::Database;
use crate::run::{self, Request};
use crate::sandbox::world::{World, WorldOptions};

/// Run a night against simulated sources and a PostgreSQL of its own: nothing to configure, nothing leaves the machine
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  marts demo && marts --config .marts/demo/marts.toml runs")]
pub struct DemoArgs {
    /// Where the demonstration keeps its configuration, its landing zone and its database
    #[arg(long, value_name = "DIR", default_value = ".marts/demo")]
    pub dir: PathBuf,
    /// Which invented business to simulate: the same seed, the same figures
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

/// What the demonstration shows of a mart.
const SHOWN: &[(&str, &str)] = &[
    (
        "mart_sales_daily",
        "select sales_date, service_revenue, parts_revenue, rental_revenue, sales_revenue, total_revenue, total_invoices,
            open_work_orders, closed_work_orders
        from mart_sales_daily order by sales_date desc limit 7",
    ),
    (
        "mart_financial_metrics",
        "select year, month, total_revenue, total_expenses, net_income, gross_margin_pct, total_assets, cash_balance,
            operating_cash_flow
        from mart_financial_metrics order by year desc, month desc limit 14",
    ),
];

/// Runs the night and shows what it filled.
pub fn execute(args: &DemoArgs, context: &Context) -> Outcome {
    let progress = context.progress();
    let (report, shown) = context.runtime()?.block_on(async {
        let to = super::sandbox::yesterday(context);
        let world = World::start(WorldOptions::new(args.seed, to, context.clock.clone())).await?;
        let config = Config::load(&world.write_config(&args.dir)?)?;
        let database = Database::connect(&config.postgres, "demo").await?;
        database.migrate().await?;
        let request = Request { jobs: JOBS.iter().collect(), as_of: Some(to), ..Request::default() };
        let report = run::run(&config, &database, &context.clock, &request, &|event| progress.tell(event)).await?;
        let mut shown = Vec::new();
        for (mart, sql) in SHOWN {
            let answers = database.execute(sql).await?;
            shown.extend(answers.into_iter().map(|answer| (*mart, QueryResult::from(answer))));
        }
        database.close().await?;
        anyhow::Ok((report, shown))
    })?;
    progress.finish();
    if context.global.json {
        output::print_json(&report)?;
        return Ok(report.exit());
    }
    let mut text = String::new();
    for (mart, rows) in &shown {
        text += &format!("{mart}\n{}\n", tables::query(rows));
    }
    let marts = super::program(&args.dir.join("marts.toml"));
    let program = super::program(std::path::Path::new("marts.toml"));
    text += &tables::closing(&report, &marts);
    text += &format!(
        "
Try next:
  {marts} postgres 'select * from mart_sales_daily limit 5'
  {marts} query 'select org, period, count(*) from softbase_invoices group by all order by all'
  {marts} runs
  {marts} run --from-staging --dry-run
  {program} datasets
"
    );
    output::print(&text)?;
    Ok(report.exit())
}
