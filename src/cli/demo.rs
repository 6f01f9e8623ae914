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
        from mart_sales_daily inner join organizations on organizations.id = org_id and slug = 'bennett'
        order by sales_date desc limit 7",
    ),
    (
        "mart_rental_fleet",
        "select snapshot_date, total_units, rented_units, available_units, maintenance_units, utilization_rate,
            rental_revenue_mtd, rental_revenue_ytd, active_rental_customers
        from mart_rental_fleet order by snapshot_date desc limit 7",
    ),
    (
        "mart_financial_metrics",
        "select slug, year, month, total_revenue, total_expenses, net_income, gross_margin_pct, total_assets, cash_balance,
            operating_cash_flow
        from mart_financial_metrics inner join organizations on organizations.id = org_id
        order by year desc, month desc, slug limit 15",
    ),
    (
        "mart_cash_flow",
        "select slug, year, month, cash_balance, cash_change_mtd, operating_cash_flow, investing_cash_flow,
            financing_cash_flow, health_status
        from mart_cash_flow inner join organizations on organizations.id = org_id
        order by slug, year desc, month desc limit 28",
    ),
    (
        "mart_case_metrics",
        "select snapshot_date, total_cases, new_cases_30d, closed_cases_30d, cases_by_category
        from mart_case_metrics order by snapshot_date desc limit 7",
    ),
    (
        "mart_crm_contacts",
        "select snapshot_date, total_contacts, new_contacts_30d, new_contacts_7d, subscribers, leads, customers,
            other_lifecycle
        from mart_crm_contacts order by snapshot_date desc limit 1",
    ),
    (
        "mart_crm_deals",
        "select snapshot_date, total_deals, open_deals, won_deals, lost_deals, total_pipeline_value, won_value,
            average_deal_size
        from mart_crm_deals order by snapshot_date desc limit 1",
    ),
    (
        "mart_zoom_metrics",
        "select metric_date, total_users, phone_users, total_meetings, total_meeting_minutes, total_calls, missed_calls,
            total_call_minutes, avg_call_duration_mins, queue_count
        from mart_zoom_metrics order by metric_date desc limit 7",
    ),
    (
        "mart_app_analytics",
        "select metric_date, daily_active_users, weekly_active_users, monthly_active_users, new_users, returning_users,
            total_sessions, avg_session_duration_secs, screens_per_session, ios_downloads, android_downloads
        from mart_app_analytics order by metric_date desc limit 7",
    ),
];

/// Runs the night and shows what it filled.
pub fn execute(args: &DemoArgs, context: &Context) -> Outcome {
    let progress = context.progress();
    let to = super::sandbox::yesterday(context);
    let (report, shown) = context.runtime()?.block_on(async {
        let options = WorldOptions { ledgers: true, ..WorldOptions::new(args.seed, to, context.clock.clone()) };
        let world = World::start(options).await?;
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
  {marts} explain mart_sales_daily.total_revenue --org bennett --period {to}
  {marts} run --from-staging --dry-run
  {program} datasets
"
    );
    output::print(&text)?;
    Ok(report.exit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demonstration_shows_every_mart() {
        for job in JOBS {
            assert!(SHOWN.iter().any(|(mart, _)| *mart == job.mart), "SHOWN has nothing of {}", job.mart);
        }
    }
}
