//! How the dashboards read: by organisation and day, and through an index.

use super::database::TestDatabase;

/// Five years of ten organisations in the largest marts, about 18,000 rows each.
#[tokio::test]
async fn dashboards_read_five_years_of_ten_organisations_through_an_index() {
    for test in TestDatabase::each().await {
        test.get()
            .execute(
                "insert into organizations (slug, name, timezone, fiscal_year_start_month)
                 select 'org-' || number, 'Org', 'America/Chicago', 1 from generate_series(1, 8) as number;
                 insert into mart_sales_daily (org_id, sales_date, year, month, day_of_week)
                 select organizations.id, day, extract(year from day), extract(month from day), extract(dow from day)
                 from organizations, generate_series(date '2021-01-21', '2026-01-20', '1 day') as day;
                 insert into mart_app_analytics (org_id, metric_date)
                 select organizations.id, day
                 from organizations, generate_series(date '2021-01-21', '2026-01-20', '1 day') as day;
                 insert into mart_cash_flow (org_id, year, month, period_end)
                 select organizations.id, extract(year from day), extract(month from day), day
                 from organizations, generate_series(date '2021-01-31', '2025-12-31', '1 month') as day;
                 analyze",
            )
            .await
            .unwrap();
        assert_eq!(test.value("select count(*) from mart_sales_daily").await, (10 * 1826).to_string());
        let org = test.acme.id;
        for (what, sql) in [
            (
                "a range of days",
                format!(
                    "select * from mart_sales_daily where org_id = {org} and sales_date between '2025-12-01' and '2026-01-20' order by sales_date"
                ),
            ),
            (
                "a year by months",
                format!(
                    "select year, month, sum(total_revenue) from mart_sales_daily where org_id = {org} and sales_date >= '2025-02-01' group by year, month"
                ),
            ),
            ("the newest day", format!("select max(sales_date) from mart_sales_daily where org_id = {org}")),
            (
                "the last thirty days of the app",
                format!(
                    "select * from mart_app_analytics where org_id = {org} and metric_date >= '2025-12-21' order by metric_date desc"
                ),
            ),
        ] {
            let plan = test.values(&format!("explain (costs off) {sql}")).await.join("\n");
            assert!(plan.contains("Index") && !plan.contains("Seq Scan"), "{what}: {plan}");
        }
        // Sixty rows an organisation lie on few pages, which an index may or may not shorten: it is there.
        let key = "select count(*) from pg_indexes where tablename = 'mart_cash_flow' and indexdef like '%(org_id, year, month)'";
        assert_eq!(test.value(key).await, "1");
    }
}
