//! What compute refuses.

use marts::compute::{Compute, Pulls};
use marts::datasets::dataset;
use marts::jobs::Source;
use marts::periods::Partition;

use super::support::*;

/// The error of a computation whose SQL is changed from `from` to `to`.
fn refusal(from: &str, to: &str) -> String {
    let mut scene =
        sales(org(), "2026-01-19", "2026-01-20", &[invoice("1", "2026-01-20")], &[work_order("1", "2026-01-01")]);
    let source = scene.plan.source;
    assert!(source.sql.contains(from), "{from}");
    scene.plan.source = Box::leak(Box::new(Source { sql: source.sql.replace(from, to).leak(), ..*source }));
    format!("{:#}", scene.compute().err().unwrap())
}

#[test]
fn a_period_has_exactly_one_row() {
    const LAST: &str = "select * from final order by";
    const NAME: &str = "computing mart_sales_daily by mart_sales_daily.sql: a period has exactly one row, but ";
    for (to, expected) in [
        ("select * from final where day_of_week = 1 order by", "2026-01-20 has no row"),
        ("select * from final where false order by", "2026-01-19 has no row, 2026-01-20 has no row"),
        ("from final union all from final order by", "2026-01-19 has 2 rows, 2026-01-20 has 2 rows"),
        (
            "select * replace (sales_date + day_of_week as sales_date) from final order by",
            "2026-01-19 has no row, 2026-01-22, which has a row, is no period of this run",
        ),
        (
            "select * replace (nullif(sales_date, '2026-01-19') as sales_date) from final order by",
            "2026-01-19 has no row, null, which has a row, is no period of this run",
        ),
    ] {
        assert_eq!(refusal(LAST, to), format!("{NAME}{expected}"));
    }
    let mut scene = sales(org(), "2026-01-20", "2026-01-20", &[], &[work_order("1", "2026-01-01")]);
    scene.plan.periods.push(scene.plan.periods[0]);
    assert_eq!(scene.compute().err().unwrap().to_string(), "a period comes twice");
}

#[test]
fn a_row_has_the_marts_columns_and_types() {
    let column = "count(contributions.total_amount)::integer ";
    assert!(
        refusal(column, "count(contributions.total_amount) ")
            .ends_with("column 14 is total_invoices BIGINT and should be total_invoices INTEGER")
    );
    assert!(refusal("as year,", "as years,").ends_with("column 2 is years INTEGER and should be year INTEGER"));
    assert!(refusal("as closed_work_orders", "as closed_work_orders, 1 as more").ends_with("17 columns instead of 16"));
    let cents = "coalesce(sum(contributions.total_amount), 0)::decimal(18, 2)";
    assert!(refusal(cents, &cents.replace("18", "19")).contains("should be total_revenue DECIMAL(18,2)"));
}

#[test]
fn nothing_is_computed_from_what_was_never_pulled() {
    let mut scene = Scene::new("etl_sales_daily", org(), "2026-01-31", "2026-02-01");
    scene.land(
        dataset("softbase_work_orders").unwrap(),
        Partition::Day(day("2026-02-01")),
        &[work_order("1", "2026-01-01")],
    );
    assert!(format!("{:#}", scene.compute().err().unwrap()).contains("nothing is staged of softbase_invoices"));
    scene.land(dataset("softbase_invoices").unwrap(), Partition::Month(day("2026-01-01")), &[]);
    let winners = |scene: &Scene| Pulls::winners(&scene.staging(), &scene.org, &scene.plan.wanted, None);
    let error = winners(&scene).unwrap_err().to_string();
    assert_eq!(error, "nothing is staged of softbase_invoices 2026-02");
    scene.land(dataset("softbase_invoices").unwrap(), Partition::Month(day("2026-02-01")), &[]);
    let pulls = winners(&scene).unwrap();
    assert_eq!(pulls.of("softbase_invoices").len(), 2);
    assert_eq!(Compute::open(&scene.inputs(&pulls)).unwrap().compute().unwrap()[0].num_rows(), 2);
    scene.org.slug = "other".into();
    assert!(Compute::open(&scene.inputs(&pulls)).err().unwrap().to_string().contains("is not other's"));
}

#[test]
fn a_connection_reads_its_own_files_and_nothing_else() {
    let scene = sales(org(), "2026-01-20", "2026-01-20", &[], &[work_order("1", "2026-01-01")]);
    let (compute, _) = scene.compute().unwrap();
    let other = scene.folder.path().join("other.csv");
    std::fs::write(&other, "a\n1\n").unwrap();
    for sql in [
        format!("select * from read_csv('{}')", other.display()),
        format!("copy (select 1) to '{}'", scene.folder.path().join("out.csv").display()),
        format!("attach '{}'", scene.folder.path().join("x.duckdb").display()),
        "install httpfs".to_owned(),
        "set enable_external_access = true".to_owned(),
        "set TimeZone = 'Asia/Tokyo'".to_owned(),
    ] {
        assert!(compute.connection().execute_batch(&sql).is_err(), "{sql}");
    }
}

#[test]
fn contributions_name_the_staged_rows_behind_a_figure() {
    let scene = sales(org(), "2024-02-29", "2024-02-29", &awkward_invoices(), &[work_order("1450001", "2024-02-01")]);
    let (compute, _) = scene.compute().unwrap();
    let contributions = compute.contributions().unwrap();
    let keys: Vec<_> = rows(&contributions.batches).iter().map(|row| row["source_key"].clone()).collect();
    assert_eq!(keys, ["1", "2", "3", "4", "5", "1450001"]);
}
