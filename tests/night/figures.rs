//! The figures of a night against an oracle: the same figures computed from the generator's own objects, without SQL.

use chrono::{Datelike, Days, Months, NaiveDate};
use marts::sandbox::business::dealer::{Exclusions, LineType};
use marts::sandbox::business::{Basis, Cell, TableData, text};
use marts::sandbox::world::WorldOptions;

use marts::jobs::{JOBS, Periods};

use super::closed::{serve, void};
use super::stage::{Stage, as_of, day};

#[tokio::test(flavor = "multi_thread")]
async fn every_cell_of_the_night_is_what_the_business_says() {
    let stage = Stage::start().await;
    stage.night(&[], 0);
    let found = stage.rows(
        "select sales_date, year, month, day_of_week, service_revenue, parts_revenue, rental_revenue, sales_revenue,
            total_revenue, service_invoices, parts_invoices, rental_invoices, sales_invoices, total_invoices,
            open_work_orders, closed_work_orders, source_system
        from mart_sales_daily order by sales_date",
    );
    let first = as_of() - Days::new(44);
    let expected: Vec<Vec<String>> = first.iter_days().take(45).map(|date| sales_row(&stage, date)).collect();
    assert_eq!(found, expected);

    let found = stage.rows(
        "select year, month, period_start, period_end, total_revenue, total_expenses, net_income, gross_profit,
            gross_margin_pct, total_assets, total_liabilities, total_equity, cash_balance, accounts_receivable,
            accounts_payable, operating_cash_flow, source_system
        from mart_financial_metrics order by year, month",
    );
    let first = day("2024-12-01");
    let months: Vec<NaiveDate> = (0..14).map(|number| first + Months::new(number)).collect();
    let expected: Vec<Vec<String>> = months.iter().map(|month| financial_row(&stage, *month)).collect();
    assert_eq!(found, expected);
}

fn sales_row(stage: &Stage, date: NaiveDate) -> Vec<String> {
    let dealer = &stage.world.dealer;
    let sales = dealer.sales_day(date, &Exclusions::default());
    let departments = [LineType::Labor, LineType::Parts, LineType::Rental, LineType::Equipment];
    let mut row = vec![
        date.to_string(),
        date.year().to_string(),
        date.month().to_string(),
        date.weekday().num_days_from_sunday().to_string(),
    ];
    row.extend(departments.iter().map(|line| text(sales.revenue[*line as usize])));
    row.push(text(sales.total_revenue));
    row.extend(departments.iter().map(|line| sales.invoices_by_type[*line as usize].to_string()));
    row.push(sales.invoices.to_string());
    row.push(dealer.open_work_orders(date).to_string());
    row.push(dealer.closed_work_orders(date).to_string());
    row.push("softbase".into());
    row
}

fn financial_row(stage: &Stage, month: NaiveDate) -> Vec<String> {
    let company = &stage.world.company;
    let last = month + Months::new(1) - Days::new(1);
    let to = last.min(as_of());
    let profit = company.profit_and_loss(month, to, Basis::Accrual);
    let balance = company.balance_sheet(to, Basis::Accrual);
    let cash = company.cash_flow(month, to);
    let mut row = vec![month.year().to_string(), month.month().to_string(), month.to_string(), last.to_string()];
    row.push(text(profit.income + profit.other_income));
    row.push(text(profit.cogs + profit.expenses + profit.other_expenses));
    row.push(text(profit.net_income()));
    row.push(text(profit.gross_profit()));
    // Ten-thousandths, rounded half away from zero.
    let margin = (2 * 10_000 * i128::from(profit.gross_profit()).abs() + i128::from(profit.income))
        / (2 * i128::from(profit.income))
        * i128::from(profit.gross_profit().signum());
    row.push(text(i64::try_from(margin).unwrap()));
    row.push(text(balance.total_assets()));
    row.push(text(balance.total_liabilities()));
    row.push(text(balance.total_equity()));
    row.push(text(balance.bank_accounts));
    row.push(text(balance.accounts_receivable));
    row.push(text(balance.accounts_payable));
    row.push(text(cash.operating()));
    row.push("quickbooks".into());
    row
}

#[tokio::test(flavor = "multi_thread")]
async fn running_again_changes_nothing() {
    let stage = Stage::start().await;
    let (table, _) = stage.night(&[], 0);
    let all = super::stage::MARTS;
    assert!(table.contains(&format!("{all} of {all} marts published")), "{table}");
    let everything = "select * from mart_sales_daily order by id";
    let months = "select * from mart_financial_metrics order by id";
    let before = (stage.rows(everything), stage.rows(months), stage.value("select count(*) from etl_changes"));
    let (json, _) = stage.night(&["--json"], 0);
    let last: serde_json::Value = serde_json::from_str(json.lines().last().unwrap()).unwrap();
    for mart in last["report"]["marts"].as_array().unwrap() {
        let counts = [&mart["inserted"], &mart["updated"], &mart["unchanged"]].map(|count| count.as_u64().unwrap());
        let job = JOBS.iter().find(|job| mart["mart"] == job.mart).unwrap();
        let rows = match job.periods {
            Periods::Days { count } | Periods::Months { count } => u64::from(count),
        };
        assert_eq!(counts, [0, 0, rows], "{mart}");
    }
    let after = (stage.rows(everything), stage.rows(months), stage.value("select count(*) from etl_changes"));
    assert_eq!(before, after, "ids, created_at and updated_at included");
    assert_eq!(stage.value("select count(*) from etl_runs where status = 'success'"), (2 * all).to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_counts_and_publishes_nothing() {
    let stage = Stage::start().await;
    let (table, _) = stage.night(&["--dry-run"], 0);
    assert!(table.contains("not published"), "{table}");
    assert!(table.contains(" 45 ") && table.contains(" 14 "), "{table}");
    for table in ["mart_sales_daily", "mart_financial_metrics", "etl_runs", "etl_changes"] {
        assert_eq!(stage.value(&format!("select count(*) from {table}")), "0", "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_night_is_rebuilt_from_staging_without_asking_a_source() {
    let stage = Stage::start().await;
    stage.night(&[], 0);
    let statements = stage.world.softbase.statements().len();
    let requests = stage.world.quickbooks.log().len();
    stage.rows("update mart_sales_daily set total_revenue = 1 where sales_date = '2026-01-20' returning 1");
    let (table, _) = stage.night(&["--from-staging"], 0);
    let row = table.lines().find(|line| line.contains("mart_sales_daily")).unwrap();
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(cells[3..6], ["0", "1", "44"], "inserted, updated, unchanged in {row}");
    assert_eq!(
        sales_row(&stage, as_of())[8],
        stage.value("select total_revenue from mart_sales_daily where sales_date = '2026-01-20'")
    );
    assert_eq!(stage.world.softbase.statements().len(), statements);
    assert_eq!(stage.world.quickbooks.log().len(), requests);
    let (_, error) = stage.ends(&["run", "etl_sales_daily", "--from-staging", "--as-of", "2025-06-30"], 1);
    assert!(error.contains("nothing is staged of softbase_invoices 2025-05"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_restates_exactly_its_days() {
    let stage = Stage::start().await;
    stage.night(&["etl_sales_daily", "--from", "2025-02-27", "--to", "2025-03-02"], 0);
    let days = stage.rows("select sales_date from mart_sales_daily order by 1");
    assert_eq!(days.concat(), ["2025-02-27", "2025-02-28", "2025-03-01", "2025-03-02"]);
    let found = stage
        .rows("select sales_date, total_revenue, total_invoices, open_work_orders from mart_sales_daily order by 1");
    for row in found {
        let expected = sales_row(&stage, day(&row[0]));
        assert_eq!(row, [&expected[0], &expected[8], &expected[13], &expected[14]].map(Clone::clone));
    }
    // The first day of business, and a day before it that has no row.
    let (_, error) = stage.night(&["etl_sales_daily", "--from", "2024-01-01", "--to", "2024-01-31"], 1);
    assert!(error.contains("where the data of bennett start"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn invoices_that_are_voided_leave_zeros_where_their_day_was_published() {
    let stage = Stage::start().await;
    stage.night(&["etl_sales_daily"], 0);
    let sql = "select sales_date, total_revenue, service_revenue, parts_revenue, total_invoices from mart_sales_daily
        order by 1";
    let before = stage.rows(sql);
    let of_day = |register: &TableData, row: &[Cell]| {
        let at = register.position("InvoiceDate").unwrap();
        matches!(&row[at], Cell::DateTime(instant) if instant.date() == day("2026-01-12"))
    };
    serve(&stage, |register| assert!(void(register, "2026-01-21", of_day) > 1));
    stage.night(&["etl_sales_daily"], 0);
    let (mut voided, after) = (0, stage.rows(sql));
    for (was, is) in before.iter().zip(&after) {
        if is[0] == "2026-01-12" {
            assert_ne!(was[1..], is[1..]);
            assert_eq!(is[1..], ["0.00", "0.00", "0.00", "0"]);
            voided += 1;
        } else {
            assert_eq!(was, is);
        }
    }
    assert_eq!((voided, after.len()), (1, before.len()));
}

#[tokio::test(flavor = "multi_thread")]
async fn february_2024_has_no_row_for_the_dealer_whose_books_are_a_bulk_copy_then() {
    let options = WorldOptions { from: day("2023-11-01"), ..Stage::options(7, day("2024-03-10")) };
    let stage = Stage::with(options).await;
    stage.reword("data_start_date", "excluded_months = [\"2024-02\"]\ndata_start_date");
    stage.ends(&["run", "etl_sales_daily", "--as-of", "2024-03-10"], 0);
    let found = stage.rows("select sales_date, total_revenue, total_invoices from mart_sales_daily order by 1");
    // 45 days that end with 10 March begin with 26 January; February had 29.
    let days: Vec<_> = found.iter().map(|row| row[0].as_str()).collect();
    assert_eq!((days.len(), days[0], days[5], days[6]), (45 - 29, "2024-01-26", "2024-01-31", "2024-03-01"));
    for row in found {
        let sales = stage.world.dealer.sales_day(day(&row[0]), &Exclusions::default());
        assert_eq!(row[1..], [text(sales.total_revenue), sales.invoices.to_string()]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn excluded_customers_branches_and_months_are_left_out() {
    let stage = Stage::start().await;
    let dealer = &stage.world.dealer;
    let invoice = dealer.invoices.iter().rfind(|invoice| !invoice.bill_to.trim().is_empty()).unwrap();
    let exclusions =
        Exclusions { customers: vec![invoice.bill_to.trim().to_lowercase()], branches: vec![invoice.sale_branch] };
    stage.reword(
        "schema = \"ben002\"",
        &format!(
            "schema = \"ben002\"\nexcluded_customers = [\"{}\"]\nexcluded_branches = [{}]",
            exclusions.customers[0], exclusions.branches[0]
        ),
    );
    stage.reword("data_start_date", "excluded_months = [\"2025-12\"]\ndata_start_date");
    stage.night(&["etl_sales_daily"], 0);
    let found = stage.rows("select sales_date, total_revenue, total_invoices from mart_sales_daily order by 1");
    assert_eq!(found.len(), 20, "January alone");
    let mut left_out = 0;
    for row in found {
        let sales = dealer.sales_day(day(&row[0]), &exclusions);
        assert_eq!(row[1..], [text(sales.total_revenue), sales.invoices.to_string()]);
        left_out += dealer.sales_day(day(&row[0]), &Exclusions::default()).invoices - sales.invoices;
    }
    assert!(left_out > 0, "the exclusions must matter in this test");
}
