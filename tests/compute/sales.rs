//! mart_sales_daily on awkward rows, and its audit.

use marts::audit::{Severity, audit};
use marts::datasets::dataset;
use marts::periods::Partition;

use super::support::*;

#[test]
fn a_day_of_awkward_invoices_adds_up() {
    let scene = sales(org(), "2024-02-29", "2024-03-01", &awkward_invoices(), &[work_order("1450001", "2024-02-01")]);
    let mart = scene.mart();
    assert_eq!(mart.len(), 2);
    assert_row(
        &mart[0],
        &[
            ("sales_date", "2024-02-29"),
            ("year", "2024"),
            ("month", "2"),
            ("day_of_week", "4"),
            ("service_revenue", "100.01"),
            ("parts_revenue", "30.25"),
            ("rental_revenue", "300.10"),
            ("sales_revenue", "1000.00"),
            ("total_revenue", "1440.36"),
            ("service_invoices", "1"),
            ("parts_invoices", "2"),
            ("rental_invoices", "1"),
            ("sales_invoices", "1"),
            ("total_invoices", "5"),
        ],
    );
    assert_row(
        &mart[1],
        &[("sales_date", "2024-03-01"), ("day_of_week", "5"), ("total_revenue", "0.00"), ("total_invoices", "0")],
    );
    assert_eq!(scene.rules(), [], "a good day has no findings");
}

/// The row of 20 January 2026 with one invoice.
fn of_one(invoice: Row) -> std::collections::BTreeMap<String, String> {
    let scene = sales(org(), "2026-01-20", "2026-01-20", &[invoice], &[work_order("1", "2026-01-01")]);
    assert_eq!(scene.rules(), [], "it adds up");
    scene.mart().remove(0)
}

#[test]
fn a_credit_is_taken_off_and_counts_as_an_invoice() {
    let credit = invoice("1", "2026-01-20")
        .amount("parts_taxable", "-100.10")
        .amount("labor_non_tax", "-0.40")
        .amount("total_tax", "-8.04")
        .amount("grand_total", "-108.54");
    let expected = [
        ("parts_revenue", "-100.10"),
        ("service_revenue", "-0.40"),
        ("rental_revenue", "0.00"),
        ("total_revenue", "-100.50"),
        ("parts_invoices", "1"),
        ("service_invoices", "1"),
        ("total_invoices", "1"),
    ];
    assert_row(&of_one(credit.clone()), &expected);
    // An invoice and its credit: a day on which two invoices earned nothing.
    let invoices = [
        invoice("2", "2026-01-20")
            .amount("parts_taxable", "100.10")
            .amount("labor_non_tax", "0.40")
            .amount("total_tax", "8.04")
            .amount("grand_total", "108.54"),
        credit,
    ];
    let mart = sales(org(), "2026-01-20", "2026-01-20", &invoices, &[work_order("1", "2026-01-01")]).mart();
    let expected = [
        ("parts_revenue", "0.00"),
        ("service_revenue", "0.00"),
        ("total_revenue", "0.00"),
        ("parts_invoices", "2"),
        ("service_invoices", "2"),
        ("total_invoices", "2"),
    ];
    assert_row(&mart[0], &expected);
}

#[test]
fn an_invoice_without_any_amount_is_an_invoice_of_zero() {
    let expected = [
        ("service_revenue", "0.00"),
        ("parts_revenue", "0.00"),
        ("rental_revenue", "0.00"),
        ("sales_revenue", "0.00"),
        ("total_revenue", "0.00"),
        ("service_invoices", "0"),
        ("parts_invoices", "0"),
        ("rental_invoices", "0"),
        ("sales_invoices", "0"),
        ("total_invoices", "1"),
    ];
    assert_row(&of_one(invoice("1", "2026-01-20")), &expected);
    // One amount beside nine that are null.
    let expected = [("rental_revenue", "12.34"), ("total_revenue", "12.34"), ("rental_invoices", "1")];
    assert_row(&of_one(invoice("1", "2026-01-20").amount("rental_non_tax", "12.34")), &expected);
}

#[test]
fn an_invoice_of_nothing_but_tax_earns_nothing() {
    let only_tax = invoice("1", "2026-01-20").amount("total_tax", "5.00").amount("grand_total", "5.00");
    let expected = [
        ("service_revenue", "0.00"),
        ("parts_revenue", "0.00"),
        ("rental_revenue", "0.00"),
        ("sales_revenue", "0.00"),
        ("total_revenue", "0.00"),
        ("service_invoices", "0"),
        ("total_invoices", "1"),
    ];
    assert_row(&of_one(only_tax), &expected);
}

#[test]
fn tax_stays_in_the_total_where_the_settings_say_so() {
    let mut with_tax = org();
    with_tax.softbase.as_mut().unwrap().total_includes_tax = true;
    let scene = sales(with_tax, "2024-02-29", "2024-02-29", &awkward_invoices(), &[work_order("1", "2024-02-01")]);
    assert_row(&scene.mart()[0], &[("total_revenue", "1478.16"), ("service_revenue", "100.01")]);
    assert_eq!(scene.rules(), []);
}

#[test]
fn rounding_is_once_and_away_from_zero() {
    let thirds = ["-0.0050", "-0.3333", "-0.3333", "-0.3334"];
    let invoices: Vec<_> = thirds
        .iter()
        .enumerate()
        .map(|(number, amount)| {
            invoice(&number.to_string(), "2026-01-18").amount("labor_non_tax", amount).amount("grand_total", amount)
        })
        .collect();
    let scene = sales(org(), "2026-01-18", "2026-01-18", &invoices, &[work_order("1", "2026-01-01")]);
    assert_row(&scene.mart()[0], &[("total_revenue", "-1.01"), ("service_revenue", "-1.01"), ("day_of_week", "0")]);
}

#[test]
fn exclusions_ignore_case_and_padding_and_spare_work_orders() {
    let mut strict = org();
    let settings = strict.softbase.as_mut().unwrap();
    settings.excluded_customers = vec!["int001".into(), "O'Neil ".into()];
    settings.excluded_branches = vec![9];
    settings.excluded_work_orders = vec![" 1450002".into()];
    let paid = |number: &str| invoice(number, "2026-01-20").amount("grand_total", "10").amount("labor_taxable", "10");
    let invoices = [
        paid("1").text("bill_to", "C100").text("ship_to", "C100").int("sale_branch", 1),
        paid("2").text("bill_to", " INT001  ").text("ship_to", "C100"),
        paid("3").text("bill_to", "C100").text("ship_to", "Int001"),
        paid("4").text("bill_to", "o'neil"),
        paid("5").text("bill_to", "C100").int("sale_branch", 9),
        paid("6"),
    ];
    let work_orders = [work_order("1450001", "2026-01-20"), work_order("1450002  ", "2026-01-20")];
    let scene = sales(strict, "2026-01-20", "2026-01-20", &invoices, &work_orders);
    assert_row(
        &scene.mart()[0],
        &[("total_invoices", "2"), ("total_revenue", "20.00"), ("open_work_orders", "1"), ("closed_work_orders", "0")],
    );
    let findings = scene.findings(&[]);
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!((findings[0].rule.as_str(), findings[0].severity), ("excluded_invoices", Severity::Warning));
    assert!(findings[0].detail.starts_with("4 invoices") && findings[0].detail.contains("40.0000"), "{}", findings[0]);
}

#[test]
fn work_orders_are_open_until_the_day_they_close() {
    let work_orders = [
        work_order("1450001", "2019-05-01"),
        work_order("1450002", "2026-01-21").day("closed_date", "2026-01-22"),
        work_order("1450003", "2026-01-21").day("closed_date", "2026-01-21"),
        work_order("1450004", "2026-01-23"),
        // Completed is not closed.
        work_order("1450005", "2026-01-20").day("completed_date", "2026-01-20"),
        work_order("9100001", "2026-01-20"),
        work_order("1450006", "2026-01-20").day("deleted_date", "2026-01-21"),
        work_order("1450007", "2026-01-20").null("open_date"),
        work_order("1450008", "2026-01-20").null("open_date").day("closed_date", "2026-01-20"),
        work_order("1450009", "2026-01-22").day("closed_date", "2026-01-20"),
    ];
    let invoices = [invoice("1", "2026-01-20")];
    let mut scene = sales(org(), "2026-01-20", "2026-01-23", &invoices, &work_orders);
    let counts = |scene: &Scene| -> Vec<_> {
        scene.mart().iter().map(|row| (row["open_work_orders"].clone(), row["closed_work_orders"].clone())).collect()
    };
    let expected = |pairs: &[(i32, i32)]| -> Vec<_> {
        pairs.iter().map(|(open, closed)| (open.to_string(), closed.to_string())).collect()
    };
    assert_eq!(counts(&scene), expected(&[(2, 2), (3, 1), (2, 1), (3, 0)]));
    // Reopened: the past days have it open again.
    let reopened: Vec<_> = work_orders.iter().cloned().map(|row| row.null("closed_date")).collect();
    scene.land(dataset("softbase_work_orders").unwrap(), Partition::Day(day("2026-01-23")), &reopened);
    assert_eq!(counts(&scene)[3], ("6".to_owned(), "0".to_owned()));
}

#[test]
fn a_work_order_that_is_opened_again_is_open_on_the_days_past() {
    let order = work_order("1450002", "2026-01-19").day("closed_date", "2026-01-20");
    let invoices = [invoice("1", "2026-01-20")];
    let open = |order: Row| -> Vec<_> {
        let mart = sales(org(), "2026-01-19", "2026-01-22", &invoices, &[order]).mart();
        mart.iter().map(|row| row["open_work_orders"].clone() + &row["closed_work_orders"]).collect()
    };
    assert_eq!(open(order.clone()), ["10", "01", "00", "00"]);
    assert_eq!(open(order.null("closed_date")), ["10", "10", "10", "10"]);
}

#[test]
fn quotes_are_no_work_orders() {
    let closed = |number: &str| work_order(number, "2026-01-19").day("closed_date", "2026-01-20");
    let work_orders = [
        work_order("1450001", "2026-01-19"),
        // Nine is how the number of a quote begins, with blanks before it or not.
        work_order("9000001", "2026-01-19"),
        work_order("9199999", "2026-01-19"),
        work_order(" 9200001 ", "2026-01-19"),
        work_order("9", "2026-01-19"),
        closed("9300001"),
        // These have a nine elsewhere.
        closed("1490009"),
    ];
    let mart = sales(org(), "2026-01-19", "2026-01-20", &[invoice("1", "2026-01-20")], &work_orders).mart();
    assert_row(&mart[0], &[("open_work_orders", "2"), ("closed_work_orders", "0")]);
    assert_row(&mart[1], &[("open_work_orders", "1"), ("closed_work_orders", "1")]);
}

#[test]
fn a_deleted_invoice_leaves_its_day_with_zeros() {
    let paid = invoice("1", "2026-01-20").amount("labor_taxable", "10").amount("grand_total", "10");
    let work_orders = [work_order("1", "2026-01-01")];
    let mart = |invoice: Row| sales(org(), "2026-01-20", "2026-01-20", &[invoice], &work_orders).mart();
    assert_row(&mart(paid.clone())[0], &[("total_revenue", "10.00"), ("total_invoices", "1")]);
    let zeros =
        [("service_revenue", "0.00"), ("total_revenue", "0.00"), ("total_invoices", "0"), ("service_invoices", "0")];
    assert_row(&mart(paid.day("deleted_date", "2026-01-21"))[0], &zeros);
}

#[test]
fn a_window_without_invoices_has_a_row_of_zeros_a_day() {
    let mart = sales(org(), "2026-01-18", "2026-01-20", &[], &[work_order("1", "2026-01-01")]).mart();
    assert_eq!(mart.len(), 3);
    for row in &mart {
        assert_row(row, &[("total_revenue", "0.00"), ("total_invoices", "0"), ("open_work_orders", "1")]);
    }
}

#[test]
fn weekdays_count_from_sunday() {
    // 29 February 2024 was a Thursday; 2 March 2024 a Saturday, and the day after it a Sunday.
    let mart = sales(org(), "2024-02-29", "2024-03-03", &[], &[work_order("1", "2024-01-01")]).mart();
    let days: Vec<_> = mart.iter().map(|row| row["day_of_week"].as_str()).collect();
    assert_eq!(days, ["4", "5", "6", "0"]);
}

#[test]
fn the_29th_of_february_is_a_day_of_its_own() {
    let paid =
        |number: &str, date: &str| invoice(number, date).amount("labor_taxable", number).amount("grand_total", number);
    let invoices = [paid("1", "2024-02-28"), paid("2", "2024-02-29"), paid("4", "2024-02-29"), paid("8", "2024-03-01")];
    let work_orders = [work_order("1450001", "2024-02-29").day("closed_date", "2024-03-01")];
    let shown = |from: &str, to: &str| -> Vec<String> {
        let mart = sales(org(), from, to, &invoices, &work_orders).mart();
        let names = ["sales_date", "month", "day_of_week", "total_revenue", "open_work_orders"];
        mart.iter().map(|row| names.map(|name| row[name].as_str()).join(" ")).collect()
    };
    let expected = ["2024-02-28 2 3 1.00 0", "2024-02-29 2 4 6.00 1", "2024-03-01 3 5 8.00 0"];
    assert_eq!(shown("2024-02-28", "2024-03-01"), expected);
    // The day alone, and a year that has none.
    assert_eq!(shown("2024-02-29", "2024-02-29"), expected[1..2]);
    assert_eq!(
        sales(org(), "2025-02-28", "2025-03-01", &[], &work_orders)
            .mart()
            .iter()
            .map(|row| row["sales_date"].as_str())
            .collect::<Vec<_>>(),
        ["2025-02-28", "2025-03-01"]
    );
}

#[test]
fn the_order_of_rows_and_files_does_not_matter() {
    let mut invoices = awkward_invoices();
    let mart =
        |invoices: &[Row]| sales(org(), "2024-02-28", "2024-03-02", invoices, &[work_order("1", "2024-02-01")]).mart();
    let before = mart(&invoices);
    invoices.reverse();
    assert_eq!(mart(&invoices), before);
}

#[test]
fn sales_checks_fire_on_what_they_are_for() {
    let paid =
        |number: &str, date: &str| invoice(number, date).amount("labor_taxable", "10").amount("grand_total", "10");
    let scene = |invoices: &[Row], work_orders: &[Row]| sales(org(), "2026-01-19", "2026-01-20", invoices, work_orders);
    let orders = [work_order("1", "2026-01-01")];
    let good = [paid("1", "2026-01-19"), paid("2", "2026-01-20")];
    assert_eq!(scene(&good, &orders).rules(), []);

    let on = |date: &str| Some(day(date));
    let twice = [paid("1", "2026-01-19"), paid("1 ", "2026-01-20"), paid("2", "2026-01-20")];
    assert_eq!(
        scene(&twice, &orders).rules(),
        [("invoice_twice".into(), on("2026-01-19")), ("invoice_twice".into(), on("2026-01-20"))]
    );
    let orders_twice = [work_order("1", "2026-01-01"), work_order("1", "2026-01-02")];
    assert_eq!(scene(&good, &orders_twice).rules(), [("work_order_twice".into(), None)]);

    let unequal = [paid("1", "2026-01-19"), paid("2", "2026-01-20").amount("total_tax", "0.02")];
    let findings = scene(&unequal, &orders).findings(&[]);
    assert_eq!(findings.len(), 1);
    assert_eq!(
        findings[0].to_string(),
        "warning lines_and_total 2026-01-20: 1 invoices whose lines and tax are not their grand total: 2 by -0.0200"
    );

    let stale = scene(&[paid("1", "2026-01-15")], &orders);
    assert_eq!(stale.rules(), [("stale".into(), None)]);

    // What SQL cannot break by itself: the mart's own figures.
    let scene = scene(&good, &orders);
    let (compute, published) = scene.compute().unwrap();
    let broken = |update: &str| {
        compute.compute().unwrap();
        compute.connection().execute_batch(&format!("update mart set {update}")).unwrap();
        let findings = audit(&compute, &[]).unwrap();
        findings.into_iter().map(|finding| (finding.rule, finding.period)).collect::<Vec<_>>()
    };
    let first = "where sales_date = '2026-01-19'";
    assert_eq!(broken(&format!("total_revenue = 10.03 {first}")), [("parts_and_total".into(), on("2026-01-19"))]);
    assert_eq!(broken(&format!("service_invoices = 2 {first}")), [("counts".into(), on("2026-01-19"))]);
    assert_eq!(broken(&format!("closed_work_orders = -1 {first}")), [("counts".into(), on("2026-01-19"))]);
    assert_eq!(broken(&format!("total_invoices = 7 {first}")), [("counts".into(), on("2026-01-19"))]);

    compute.compute().unwrap();
    assert_eq!(audit(&compute, &published).unwrap(), []);
}

#[test]
fn a_day_that_lost_its_invoices_is_a_warning() {
    let many: Vec<_> = (0..10)
        .map(|number| {
            invoice(&number.to_string(), "2026-01-20").amount("labor_taxable", "10").amount("grand_total", "10")
        })
        .collect();
    let orders = [work_order("1", "2026-01-01")];
    let published = sales(org(), "2026-01-20", "2026-01-20", &many, &orders).compute().unwrap().1;
    let findings = sales(org(), "2026-01-20", "2026-01-20", &many[..4], &orders).findings(&published);
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].to_string(), "warning volume 2026-01-20: 4 invoices where 10 are published");
    assert_eq!(sales(org(), "2026-01-20", "2026-01-20", &many[..5], &orders).findings(&published), []);
}
