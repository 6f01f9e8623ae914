//! The marts of the general ledger on awkward rows, their audits, and whole simulated ledgers against the dealer's own
//! postings.

mod checks;
mod support;
mod whole;

use std::collections::BTreeMap;

use marts::config::{FloorPlan, Ledger};

use super::support::*;
use support::*;

#[test]
fn every_account_has_one_line_and_the_lines_make_the_change_in_cash() {
    let gl = [
        gl("110000", 2026, 1, "1000.00", "5000.00"),
        gl("120000", 2026, 1, "200.00", "900.00"),
        gl("125000", 2026, 1, "30.00", "30.00"),
        gl("134000", 2026, 1, "-50.00", "700.00"),
        gl("161000", 2026, 1, "5.00", "105.00"),
        gl("183000", 2026, 1, "400.00", "4400.00"),
        gl("193000", 2026, 1, "-40.00", "-440.00"),
        gl("187000", 2026, 1, "-10.00", "90.00"),
        gl("249000", 2026, 1, "10.00", "-90.00"),
        gl("210000", 2026, 1, "-60.00", "-660.00"),
        gl("245000", 2026, 1, "-300.00", "-2300.00"),
        gl("242000", 2026, 1, "20.00", "-980.00"),
        gl("330000", 2026, 1, "25.00", "125.00"),
        gl("340000", 2026, 1, "0", "-4650.00"),
        gl("410008", 2026, 1, "-2000.00", "-6000.00"),
        gl("537001", 2026, 1, "40.00", "120.00"),
        gl("601800", 2026, 1, "700.00", "2100.00"),
        gl("703000", 2026, 1, "30.00", "90.00"),
        gl("706000", 2026, 1, "0", "1460.00"),
    ];
    let scene = cash_flow(bennett(), "2026-01-01", "2026-02-10", &gl);
    let mart = scene.mart();
    assert_row(
        &mart[0],
        &[
            ("year", "2026"),
            ("month", "1"),
            ("period_end", "2026-01-31"),
            ("cash_balance", "5000.00"),
            ("cash_change_mtd", "1000.00"),
            // 1230 of profit, 40 of depreciation, and -200 - 30 + 50 + 10 - 10 + 60 of working capital.
            ("operating_cash_flow", "1150.00"),
            ("ar_change", "200.00"),
            ("inventory_change", "-50.00"),
            ("ap_change", "60.00"),
            ("investing_cash_flow", "-405.00"),
            ("financing_cash_flow", "255.00"),
            ("health_status", "healthy"),
        ],
    );
    let breakdown: serde_json::Value = serde_json::from_str(&mart[0]["non_operating_breakdown"]).unwrap();
    let entry = |category: &str| {
        let entries = breakdown["entries"].as_array().unwrap();
        let found = entries.iter().find(|entry| entry["category"] == category);
        found.map(|entry| format!("{} {} {}", entry["activity"].as_str().unwrap(), entry["amount"], entry["accounts"]))
    };
    assert_eq!(entry("ar").as_deref(), Some("working_capital -200.00 1"));
    // The liability's payment and the asset's use cancel out over two classes.
    assert_eq!(entry("other_current_asset").as_deref(), Some("working_capital -20.00 2"));
    assert_eq!(entry("other_current_liability").as_deref(), Some("working_capital -10.00 1"));
    assert_eq!(entry("fixed_asset").as_deref(), Some("investing -400.00 1"));
    assert_eq!(entry("other_asset").as_deref(), Some("investing -5.00 1"));
    assert_eq!(entry("accumulated_depreciation"), None, "it only took up the depreciation");
    assert_eq!(entry("floor_plan").as_deref(), Some("financing 300.00 1"));
    assert_eq!(entry("debt").as_deref(), Some("financing -20.00 1"));
    assert_eq!(entry("equity").as_deref(), Some("financing -25.00 1"));
    assert_eq!(
        breakdown["summary"].to_string(),
        r#"{"financing":255.00,"investing":-405.00,"other":0.00,"working_capital":-120.00}"#
    );
    // February is open and has no posting yet: its balance stands.
    assert_row(&mart[1], &[("cash_balance", "5000.00"), ("cash_change_mtd", "0.00"), ("health_status", "unknown")]);
    assert_eq!(scene.rules(), [("stale".to_owned(), Some(day("2026-02-01")))]);

    let row = &financials(bennett(), "2026-01-01", "2026-02-10", &gl).mart()[0];
    assert_row(
        row,
        &[
            ("period_start", "2026-01-01"),
            ("period_end", "2026-01-31"),
            ("total_revenue", "1970.00"),
            ("total_expenses", "740.00"),
            ("net_income", "1230.00"),
            ("gross_profit", "1960.00"),
            ("gross_margin_pct", "98.00"),
            ("total_assets", "10785.00"),
            ("total_liabilities", "4030.00"),
            ("total_equity", "6755.00"),
            ("cash_balance", "5000.00"),
            ("accounts_receivable", "900.00"),
            ("accounts_payable", "660.00"),
            ("operating_cash_flow", "1150.00"),
        ],
    );
}

#[test]
fn a_profitable_month_has_positive_operating_cash_flow_and_is_healthy() {
    let gl = [gl("110000", 2026, 1, "100.00", "100.00"), gl("410003", 2026, 1, "-100.00", "-100.00")];
    let mart = cash_flow(bennett(), "2026-01-01", "2026-02-01", &gl).mart();
    assert_row(&mart[0], &[("operating_cash_flow", "100.00"), ("health_status", "healthy")]);
}

#[test]
fn the_disposal_of_a_rental_unit_is_investing() {
    // Bought for 800, worn by 560, sold for 300: a gain of 60. In the same month 15 of depreciation.
    let gl = [
        gl("110000", 2026, 1, "300.00", "300.00"),
        gl("183000", 2026, 1, "-800.00", "0"),
        gl("193000", 2026, 1, "545.00", "-15.00"),
        gl("537001", 2026, 1, "15.00", "15.00"),
        gl("701000", 2026, 1, "-60.00", "-60.00"),
    ];
    let mart = cash_flow(bennett(), "2026-01-01", "2026-02-01", &gl).mart();
    assert_row(
        &mart[0],
        &[("operating_cash_flow", "60.00"), ("investing_cash_flow", "240.00"), ("cash_change_mtd", "300.00")],
    );
}

#[test]
fn the_amortisation_of_leases_is_not_added_back() {
    let gl = [
        gl("110000", 2026, 1, "-12.00", "988.00"),
        gl("187000", 2026, 1, "-10.00", "90.00"),
        gl("249000", 2026, 1, "10.00", "-90.00"),
        gl("600950", 2026, 1, "12.00", "12.00"),
    ];
    let mart = cash_flow(bennett(), "2026-01-01", "2026-02-01", &gl).mart();
    assert_row(&mart[0], &[("operating_cash_flow", "-12.00"), ("investing_cash_flow", "0.00")]);
}

#[test]
fn month_13_is_ignored() {
    let year = [
        gl("110000", 2025, 10, "100.00", "100.00"),
        gl("340000", 2025, 10, "0", "0"),
        gl("410003", 2025, 10, "-100.00", "-100.00"),
        gl("110000", 2025, 11, "7.00", "107.00"),
        gl("340000", 2025, 11, "0", "-100.00"),
        gl("410003", 2025, 11, "-7.00", "-7.00"),
    ];
    let closing = [gl("410003", 2025, 13, "100.00", "0"), gl("340000", 2025, 13, "-100.00", "-100.00")];
    let with = [&year[..], &closing[..]].concat();
    let marts = |rows: &[Row]| {
        let scenes = [cash_flow, financials].map(|scene| scene(bennett(), "2025-10-01", "2025-12-01", rows));
        assert_eq!(scenes.each_ref().map(Scene::rules), [Vec::new(), Vec::new()]);
        scenes.map(|scene| scene.mart())
    };
    let [flow, financial] = marts(&with);
    assert_eq!(marts(&year), [flow.clone(), financial.clone()]);
    // The fiscal year turns over: revenue of November is November's, and October's profit is kept by the owners.
    assert_row(&financial[1], &[("total_revenue", "7.00"), ("total_equity", "107.00"), ("total_assets", "107.00")]);
    assert_row(&flow[1], &[("operating_cash_flow", "7.00")]);
}

#[test]
fn a_balance_stands_until_its_account_moves_again() {
    // Capital moved years ago; salaries moved in December only, and in the fiscal year before.
    let gl = [
        gl("110000", 2019, 3, "500.00", "500.00"),
        gl("310000", 2019, 3, "-500.00", "-500.00"),
        gl("340000", 2025, 11, "0", "90.00"),
        gl("602600", 2025, 10, "90.00", "90.00"),
        gl("110000", 2025, 10, "-90.00", "410.00"),
        gl("602600", 2025, 12, "10.00", "10.00"),
        gl("110000", 2025, 12, "-10.00", "400.00"),
        gl("120000", 2026, 1, "1.00", "1.00"),
        gl("410003", 2026, 1, "-1.00", "-1.00"),
    ];
    let mart = financials(bennett(), "2025-11-01", "2026-02-01", &gl).mart();
    let column = |name: &str| mart.iter().map(|row| row[name].clone()).collect::<Vec<_>>();
    assert_eq!(column("total_assets"), ["410.00", "400.00", "401.00", "401.00"]);
    assert_eq!(column("total_equity"), ["410.00", "400.00", "401.00", "401.00"]);
    assert_eq!(column("total_expenses"), ["0.00", "10.00", "0.00", "0.00"]);
    let flow = cash_flow(bennett(), "2025-11-01", "2026-02-01", &gl).mart();
    // January has no cash rows: nothing is said of its health.
    let health: Vec<_> = flow.iter().map(|row| row["health_status"].as_str()).collect();
    assert_eq!(health, ["unknown", "warning", "unknown", "unknown"]);
}

#[test]
fn the_second_chart_has_its_cash_in_1010_and_1011_and_its_stock_in_11() {
    let gl = [
        gl("1010001", 2026, 1, "70.00", "170.00"),
        gl("1011001", 2026, 1, "5.00", "5.00"),
        gl("1110001", 2026, 1, "30.00", "330.00"),
        gl("1030001", 2026, 1, "11.00", "11.00"),
        gl("1016001", 2026, 1, "1.00", "1.00"),
        gl("2050001", 2026, 1, "-40.00", "-40.00"),
        gl("2042201", 2026, 1, "3.00", "-3.00"),
        gl("2042001", 2026, 1, "-10.00", "-10.00"),
        gl("1260401", 2026, 1, "2.00", "2.00"),
        gl("1540001", 2026, 1, "-6.00", "-6.00"),
        gl("6880201", 2026, 1, "6.00", "6.00"),
        gl("6100501", 2026, 1, "50.00", "50.00"),
        gl("4100031", 2026, 1, "-122.00", "-122.00"),
        gl("3940001", 2026, 1, "0", "-394.00"),
    ];
    let mart = cash_flow(ips(), "2026-01-01", "2026-02-01", &gl).mart();
    assert_row(
        &mart[0],
        &[
            ("cash_balance", "175.00"),
            ("cash_change_mtd", "75.00"),
            ("inventory_change", "30.00"),
            ("ar_change", "12.00"),
            ("ap_change", "40.00"),
            // 66 of profit, 6 of depreciation, -30 - 12 + 40 - 3 of working capital.
            ("operating_cash_flow", "67.00"),
            ("investing_cash_flow", "-2.00"),
            ("financing_cash_flow", "10.00"),
        ],
    );
}

#[test]
fn health_changes_exactly_at_its_thresholds() {
    let health = |amount: &str, change: &dyn Fn(&mut Ledger)| {
        let mut org = bennett();
        change(org.softbase.as_mut().unwrap().ledger.as_mut().unwrap());
        let negated = amount.strip_prefix('-').map_or(format!("-{amount}"), str::to_owned);
        let gl = [gl("110000", 2026, 1, amount, amount), gl("410003", 2026, 1, &negated, &negated)];
        cash_flow(org, "2026-01-01", "2026-02-01", &gl).mart()[0]["health_status"].clone()
    };
    let same = |_: &mut Ledger| {};
    for (amount, expected) in [
        ("0.01", "healthy"),
        ("0.00", "warning"),
        ("-49999.99", "warning"),
        ("-50000.00", "critical"),
        ("-50000.01", "critical"),
    ] {
        assert_eq!(health(amount, &same), expected, "{amount}");
    }
    let demanding = |ledger: &mut Ledger| (ledger.healthy_above, ledger.warning_above) = (100, 50);
    assert_eq!(
        ["100.01", "100.00", "50.00"].map(|amount| health(amount, &demanding)),
        ["healthy", "warning", "critical"]
    );
    assert_eq!(health("0.01", &|ledger| ledger.close_lag_days = 1), "unknown", "1 February is still in the lag");
}

#[test]
fn floor_plan_goes_by_the_setting() {
    let gl = [
        gl("110000", 2026, 1, "10.00", "10.00"),
        gl("245000", 2026, 1, "-4.00", "-4.00"),
        gl("250000", 2026, 1, "-3.00", "-3.00"),
        gl("252000", 2026, 1, "-3.00", "-3.00"),
    ];
    for (setting, operating, financing) in
        [(FloorPlan::Financing, "0.00", "10.00"), (FloorPlan::Operating, "7.00", "3.00")]
    {
        let mut org = bennett();
        org.softbase.as_mut().unwrap().ledger.as_mut().unwrap().floor_plan = setting;
        let mart = cash_flow(org, "2026-01-01", "2026-02-01", &gl).mart();
        assert_row(&mart[0], &[("operating_cash_flow", operating), ("financing_cash_flow", financing)]);
    }
}

#[test]
fn an_account_without_a_class_goes_by_its_type_and_is_named() {
    let gl = [
        gl("110000", 2026, 1, "10.00", "10.00"),
        gl("820000", 2026, 1, "-13.00", "-13.00"),
        gl("830000", 2026, 1, "4.00", "4.00"),
        gl("840000", 2026, 1, "2.00", "2.00"),
        gl("850000", 2026, 1, "5.00", "5.00"),
        gl("860000", 2026, 1, "-8.00", "-8.00"),
    ];
    let chart = [
        account("820000", "S"),
        account("830000", "C"),
        account("840000", "E "),
        account("850000", "a"),
        account("860000", "L"),
        account("110000", "A"),
    ];
    let scene = support::scene("etl_cash_flow", bennett(), "2026-01-01", "2026-02-01", &gl, &chart);
    let mart = scene.mart();
    assert_row(
        &mart[0],
        &[("operating_cash_flow", "7.00"), ("investing_cash_flow", "0.00"), ("financing_cash_flow", "0.00")],
    );
    let breakdown: serde_json::Value = serde_json::from_str(&mart[0]["non_operating_breakdown"]).unwrap();
    assert_eq!(breakdown["summary"]["other"].to_string(), "3.00");
    let said: Vec<_> = scene.findings(&[]).iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "warning unclassified: no class matches 5 accounts, which go by their type in the chart: 820000 S, \
             830000 C, 840000 E, 850000 A, 860000 L",
            "warning other 2026-01-01: 3.0000 of cash is explained by accounts that have no class: 860000 8.0000, \
             850000 -5.0000",
        ]
    );
    let financial = support::scene("etl_quickbooks_financial", bennett(), "2026-01-01", "2026-01-31", &gl, &chart);
    assert_row(
        &financial.mart()[0],
        &[
            ("total_revenue", "13.00"),
            ("total_expenses", "6.00"),
            ("gross_profit", "9.00"),
            ("total_assets", "15.00"),
            ("total_liabilities", "8.00"),
            ("total_equity", "7.00"),
        ],
    );
}

#[test]
fn months_before_the_first_posting_have_zeros() {
    let gl = [gl("110000", 2026, 1, "10.00", "10.00"), gl("310000", 2026, 1, "-10.00", "-10.00")];
    let flow = cash_flow(bennett(), "2025-12-01", "2026-01-31", &gl);
    assert_row(
        &flow.mart()[0],
        &[
            ("cash_balance", "0.00"),
            ("operating_cash_flow", "0.00"),
            ("health_status", "unknown"),
            ("non_operating_breakdown", "{}"),
        ],
    );
    assert_eq!(flow.rules(), []);
    let financial = financials(bennett(), "2025-12-01", "2026-01-31", &gl);
    assert_row(&financial.mart()[0], &[("total_assets", "0.00"), ("net_income", "0.00"), ("gross_margin_pct", "null")]);
    assert_eq!(financial.rules(), []);
}

#[test]
fn without_a_class_cash_there_is_no_statement() {
    let mut org = bennett();
    org.softbase.as_mut().unwrap().ledger.as_mut().unwrap().accounts.retain(|range| range.class != "cash");
    for name in ["etl_cash_flow", "etl_quickbooks_financial"] {
        let job = marts::jobs::job(name).unwrap();
        let source = marts::run::source_for(job, &org).unwrap();
        let window = marts::run::Window { as_of: day("2026-01-20"), range: None, is_present: true };
        let refused = marts::run::plan(job, source, &org, window).unwrap_err().to_string();
        assert!(refused.contains("no class cash"), "{refused}");
    }
}

#[test]
fn the_order_of_rows_does_not_matter_and_a_row_delivered_twice_is_held() {
    let mut gl = vec![
        gl("110000", 2026, 1, "10.00", "10.00"),
        gl("310000 ", 2026, 1, "-10.00", "-10.00"),
        gl("110000", 2026, 2, "-3.00", "7.00"),
        gl("600900", 2026, 2, "3.00", "3.00"),
    ];
    let mart = |rows: &[Row]| cash_flow(bennett(), "2026-01-01", "2026-03-01", rows).mart();
    let before: Vec<BTreeMap<String, String>> = mart(&gl);
    gl.reverse();
    assert_eq!(mart(&gl), before);
    gl.push(gl[1].clone());
    let held = cash_flow(bennett(), "2026-01-01", "2026-03-01", &gl).rules();
    assert!(held.contains(&("row_twice".into(), Some(day("2026-02-01")))), "{held:?}");
}

#[test]
fn sub_cent_amounts_are_rounded_once() {
    let gl = [
        gl("110000", 2026, 1, "0.0100", "0.0100"),
        gl("410003", 2026, 1, "-0.0050", "-0.0050"),
        gl("410004", 2026, 1, "-0.0050", "-0.0050"),
    ];
    let scene = financials(bennett(), "2026-01-01", "2026-01-31", &gl);
    assert_row(&scene.mart()[0], &[("total_revenue", "0.01"), ("net_income", "0.01"), ("operating_cash_flow", "0.01")]);
    assert_eq!(scene.rules(), []);
}

/// Each figure is rounded as the sum that it is, but for one of each identity, which is what the others leave.
#[test]
fn what_is_rounded_still_adds_up() {
    let flow = |gl: &[Row]| {
        let scene = cash_flow(bennett(), "2026-01-01", "2026-01-31", gl);
        assert_eq!(scene.rules(), []);
        let row = scene.mart().remove(0);
        let breakdown: serde_json::Value = serde_json::from_str(&row["non_operating_breakdown"]).unwrap();
        let entries = breakdown["entries"].as_array().unwrap().iter();
        let entries =
            entries.map(|it| format!("{} {} {}", it["category"].as_str().unwrap(), it["amount"], it["accounts"]));
        let figures = ["operating_cash_flow", "investing_cash_flow", "financing_cash_flow", "cash_change_mtd"]
            .map(|name| row[name].clone());
        (figures, entries.collect::<Vec<_>>(), breakdown["summary"]["working_capital"].to_string())
    };
    let figures = |texts: [&str; 4]| texts.map(str::to_owned);
    // Half a cent each from receivables and fixed assets makes a cent of cash, and each by itself would be one.
    let (found, entries, working_capital) = flow(&[
        gl("110000", 2026, 1, "0.0100", "0.0100"),
        gl("120000", 2026, 1, "-0.0050", "-0.0050"),
        gl("183000", 2026, 1, "-0.0050", "-0.0050"),
    ]);
    assert_eq!(found, figures(["0.00", "0.01", "0.00", "0.01"]));
    assert_eq!(entries, ["fixed_asset 0.01 1", "ar 0.01 1"]);
    assert_eq!(working_capital, "0.01");
    // Two entries of one activity: the larger is what the smaller leaves, and is shown no more when that is nothing.
    let (found, entries, _) = flow(&[
        gl("110000", 2026, 1, "0.0110", "0.0110"),
        gl("161000", 2026, 1, "-0.0050", "-0.0050"),
        gl("183000", 2026, 1, "-0.0060", "-0.0060"),
    ]);
    assert_eq!(found, figures(["0.00", "0.01", "0.00", "0.01"]));
    assert_eq!(entries, ["other_asset 0.01 1"]);
    // Cash by itself may round to less than balances of two months differ by.
    let scene = cash_flow(
        bennett(),
        "2025-12-01",
        "2026-01-31",
        &[
            gl("110000", 2025, 12, "0.0040", "0.0040"),
            gl("310000", 2025, 12, "-0.0040", "-0.0040"),
            gl("110000", 2026, 1, "0.0040", "0.0080"),
            gl("310000", 2026, 1, "-0.0040", "-0.0080"),
        ],
    );
    assert_eq!(scene.rules(), []);
    assert_row(&scene.mart()[1], &[("cash_balance", "0.01"), ("cash_change_mtd", "0.00")]);

    let scene = financials(
        bennett(),
        "2026-01-01",
        "2026-01-31",
        &[
            gl("110000", 2026, 1, "0.0040", "0.0040"),
            gl("410003", 2026, 1, "-0.0050", "-0.0050"),
            gl("600900", 2026, 1, "0.0010", "0.0010"),
            gl("120000", 2026, 1, "0", "0.0100"),
            gl("210000", 2026, 1, "0", "-0.0050"),
            gl("310000", 2026, 1, "0", "-0.0050"),
        ],
    );
    assert_eq!(scene.rules(), []);
    assert_row(
        &scene.mart()[0],
        &[
            ("total_revenue", "0.01"),
            ("total_expenses", "0.00"),
            ("net_income", "0.01"),
            ("total_assets", "0.01"),
            ("total_liabilities", "0.01"),
            ("total_equity", "0.00"),
        ],
    );
}

/// Rounding hides no gap: what does not add up below a cent is held, and what does not add up is not rounded away.
#[test]
fn a_gap_below_a_cent_is_one() {
    let gl = [
        gl("110000", 2026, 1, "0.0140", "0.0140"),
        gl("120000", 2026, 1, "-0.0050", "-0.0050"),
        gl("310000", 2026, 1, "0", "-0.0051"),
    ];
    let rules = |scene: Scene| {
        let rules = scene.rules().into_iter().map(|(rule, _)| rule);
        rules.collect::<Vec<_>>()
    };
    assert_eq!(rules(cash_flow(bennett(), "2026-01-01", "2026-01-31", &gl)), ["month_balance"]);
    let scene = financials(bennett(), "2026-01-01", "2026-01-31", &gl);
    assert_row(&scene.mart()[0], &[("total_assets", "0.01"), ("total_liabilities", "0.00"), ("total_equity", "0.01")]);
    assert_eq!(rules(scene), ["balance", "month_balance"]);
}

/// As text "111" lies between "110000" and "115000", and an account of three digits is none of six all the same.
#[test]
fn an_account_with_fewer_digits_than_a_range_does_not_lie_in_it() {
    let gl = [
        gl("110000", 2026, 1, "-5.00", "95.00"),
        gl("111", 2026, 1, "5.00", "5.00"),
        gl("310000", 2026, 1, "0", "-100.00"),
    ];
    let chart = [account("111", "E")];
    let scene = support::scene("etl_cash_flow", bennett(), "2026-01-01", "2026-01-31", &gl, &chart);
    assert_row(&scene.mart()[0], &[("cash_balance", "95.00"), ("operating_cash_flow", "-5.00")]);
    assert_eq!(scene.rules(), [("unclassified".to_owned(), None)]);
}
