//! Ledgers for tests, with the classes of the example configuration.

use std::path::Path;

use marts::config::{Config, Org};
use marts::datasets::dataset;
use marts::periods::Partition;

use crate::compute::support::*;

/// The organisation of that name in the example, with its classes of accounts and its fiscal year.
fn example(slug: &str) -> Org {
    let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/marts.example.toml"));
    let config = Config::parse(text, Path::new("/")).unwrap();
    let mut org = config.orgs.into_iter().find(|org| org.slug == slug).unwrap();
    org.data_start_date = None;
    org.excluded_months = Vec::new();
    org
}

pub fn bennett() -> Org {
    example("bennett")
}

pub fn ips() -> Org {
    example("ips")
}

pub fn gl(account: &str, year: i64, month: i64, moved: &str, closing: &str) -> Row {
    Row::default()
        .text("account_no", account)
        .int("year", year)
        .int("month", month)
        .amount("mtd", moved)
        .amount("ytd", closing)
}

pub fn account(number: &str, kind: &str) -> Row {
    Row::default().text("account_no", number).text("account_type", kind)
}

pub fn scene(job: &str, org: Org, from: &str, to: &str, gl: &[Row], chart: &[Row]) -> Scene {
    let mut scene = Scene::new(job, org, from, to);
    let partition = Partition::Day(day(to));
    scene.land(dataset("softbase_gl").unwrap(), partition, gl);
    scene.land(dataset("softbase_chart_of_accounts").unwrap(), partition, chart);
    scene
}

/// mart_cash_flow of the months from `from` to `to`, which is also the last day reported.
pub fn cash_flow(org: Org, from: &str, to: &str, gl: &[Row]) -> Scene {
    scene("etl_cash_flow", org, from, to, gl, &[account("110000", "A")])
}

/// mart_financial_metrics of the same.
pub fn financials(org: Org, from: &str, to: &str, gl: &[Row]) -> Scene {
    scene("etl_quickbooks_financial", org, from, to, gl, &[account("110000", "A")])
}
