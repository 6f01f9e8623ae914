//! From the wire onto a row of a mart: SQL Server's last instant of a day is three milliseconds before the next.

use marts::config::Org;

use super::*;
use crate::compute::support::{Scene, softbase};

fn labour(number: i64, date: &str, dollars: i128) -> Vec<SqlValue> {
    let amount = amount(dollars * 10_000);
    let values = [
        ("InvoiceNo", SqlValue::Int(number)),
        ("InvoiceDate", at(date)),
        ("LaborTaxable", amount.clone()),
        ("GrandTotal", amount),
    ];
    row(&invoice_columns(), &values)
}

/// Date, revenue and invoices of each day, as the mart has them after a pull over the wire.
async fn days(from: &str, to: &str, months: &[&str], invoices: Vec<Vec<SqlValue>>) -> Vec<String> {
    let dealer = Dealer::new(options(database(invoices))).await;
    let org = Org { softbase: Some(softbase()), ..bare_org("bennett", "America/New_York", 11) };
    let mut scene = Scene::new("etl_sales_daily", org, from, to);
    scene.landed = dealer.pull(dataset("softbase_invoices").unwrap(), months).await.unwrap();
    scene.landed.extend(dealer.pull(dataset("softbase_work_orders").unwrap(), &[to]).await.unwrap());
    let names = ["sales_date", "service_revenue", "total_revenue", "total_invoices"];
    scene.mart().iter().map(|row| names.map(|name| row[name].as_str()).join(" ")).collect()
}

#[tokio::test]
async fn an_invoice_of_the_last_instant_of_a_day_is_on_the_row_of_that_day() {
    let invoices = vec![
        labour(1, "2026-01-19 00:00:00", 1),
        labour(2, "2026-01-19 23:59:59.997", 2),
        labour(3, "2026-01-20 00:00:00", 4),
        labour(4, "2026-01-20 00:00:00.003", 8),
        labour(5, "2026-01-20 23:59:59.997", 16),
        labour(6, "2026-01-21 00:00:00", 32),
    ];
    assert_eq!(
        days("2026-01-19", "2026-01-21", &["2026-01"], invoices).await,
        ["2026-01-19 3.00 3.00 2", "2026-01-20 28.00 28.00 3", "2026-01-21 32.00 32.00 1"]
    );
}

#[tokio::test]
async fn the_last_instant_of_a_month_a_year_and_a_leap_day_is_still_theirs() {
    let invoices = vec![labour(1, "2025-12-31 23:59:59.997", 1), labour(2, "2026-01-01 00:00:00", 2)];
    assert_eq!(
        days("2025-12-31", "2026-01-01", &["2025-12", "2026-01"], invoices).await,
        ["2025-12-31 1.00 1.00 1", "2026-01-01 2.00 2.00 1"]
    );
    let invoices = vec![
        labour(1, "2024-02-28 23:59:59.997", 1),
        labour(2, "2024-02-29 23:59:59.997", 2),
        labour(3, "2024-03-01 00:00:00", 4),
    ];
    assert_eq!(
        days("2024-02-28", "2024-03-01", &["2024-02", "2024-03"], invoices).await,
        ["2024-02-28 1.00 1.00 1", "2024-02-29 2.00 2.00 1", "2024-03-01 4.00 4.00 1"]
    );
}
