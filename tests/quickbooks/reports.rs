//! The parser against recorded and documented answers, with figures read off them by hand.

use marts::extract::quickbooks::{Line, LineType, Report};
use serde_json::{Value, json};

use super::bench::day;

fn fixture(name: &str) -> Report {
    let path = format!("{}/tests/fixtures/quickbooks/{name}.json", env!("CARGO_MANIFEST_DIR"));
    Report::parse(&std::fs::read(path).unwrap()).unwrap()
}

fn parse(body: &Value) -> Report {
    Report::parse(body.to_string().as_bytes()).unwrap()
}

fn refusal(body: &Value) -> String {
    format!("{:#}", Report::parse(body.to_string().as_bytes()).unwrap_err())
}

/// The sum of the leaves in a group, which is what a bookkeeper would add up.
fn leaves(lines: &[Line<'_>], group: &str) -> i64 {
    lines.iter().filter(|line| line.is_leaf && line.groups.contains(group)).filter_map(|line| line.amount).sum()
}

fn total(lines: &[Line<'_>], group: &str) -> Option<i64> {
    let mut found = lines.iter().filter(|line| line.line_type == LineType::Total && line.group == Some(group));
    let line = found.next().unwrap_or_else(|| panic!("no total of {group}"));
    assert_eq!(found.next(), None, "{group} has two totals");
    line.amount
}

fn account<'a>(lines: &'a [Line<'a>], label: &str) -> &'a Line<'a> {
    lines.iter().find(|line| line.label == Some(label)).unwrap_or_else(|| panic!("no line {label}"))
}

/// A report of one money column with these rows.
fn report(rows: Value) -> Value {
    json!({
        "Header": { "ReportName": "ProfitAndLoss" },
        "Columns": { "Column": [{ "ColType": "Account" }, { "ColType": "Money" }] },
        "Rows": rows,
    })
}

fn data(id: &str, amount: &str) -> Value {
    json!({ "ColData": [{ "value": id, "id": id }, { "value": amount }], "type": "Data" })
}

#[test]
fn a_recorded_profit_and_loss_counts_a_parent_account_once() {
    let report = fixture("derived_json/profitloss");
    assert_eq!(report.header.report_name, "ProfitAndLoss");
    assert_eq!(report.header.basis.as_deref(), Some("Accrual"));
    assert_eq!((report.header.start, report.header.end), (Some(day("2014-01-01")), Some(day("2014-01-14"))));
    assert_eq!(report.header.time.as_deref(), Some("1389691233181"));
    let lines = report.lines(0).unwrap();
    // 162,000.00 + 56,000.00 of its own + 56,070.00 + 3,405.00.
    assert_eq!((leaves(&lines, "/Income/"), total(&lines, "Income")), (27_747_500, Some(27_747_500)));
    assert_eq!((leaves(&lines, "/COGS/"), total(&lines, "COGS")), (250_000, Some(250_000)));
    assert_eq!((leaves(&lines, "/Expenses/"), total(&lines, "Expenses")), (290_000, Some(290_000)));
    assert_eq!((leaves(&lines, "/OtherIncome/"), total(&lines, "OtherIncome")), (3_850_000, Some(3_850_000)));
    assert_eq!((leaves(&lines, "/OtherExpenses/"), total(&lines, "OtherExpenses")), (680_000, Some(680_000)));
    assert_eq!(total(&lines, "NetIncome"), Some(27_747_500 - 250_000 - 290_000 + 3_850_000 - 680_000));
    let services: Vec<_> = lines.iter().filter(|line| line.account_id == Some("1")).collect();
    let seen: Vec<_> = services.iter().map(|line| (line.line_type, line.amount, line.is_leaf)).collect();
    assert_eq!(seen, [(LineType::Own, Some(5_600_000), true), (LineType::Total, Some(11_207_000), false)]);
    assert_eq!((services[0].groups, services[0].depth), ("/Income/", 1));
    let child = account(&lines, "Maintainance");
    assert_eq!((child.account_id, child.groups, child.depth), (Some("43"), "/Income/", 2));
    assert!(lines.windows(2).all(|pair| pair[0].line < pair[1].line));
    let of_the_whole: Vec<_> = lines.iter().filter(|line| line.line_type == LineType::Report).collect();
    assert_eq!(of_the_whole, [&lines[0]]);
    assert_eq!((lines[0].line, lines[0].groups, lines[0].amount, lines[0].is_leaf), (0, "/", None, false));
}

#[test]
fn a_recorded_balance_sheet_balances_at_any_depth() {
    let report = fixture("derived_json/balancesheet");
    let lines = report.lines(0).unwrap();
    assert_eq!(leaves(&lines, "/TotalAssets/"), 2_343_629);
    assert_eq!(leaves(&lines, "/TotalLiabilitiesAndEquity/"), 2_343_629);
    assert_eq!((leaves(&lines, "/BankAccounts/"), total(&lines, "BankAccounts")), (200_100, Some(200_100)));
    assert_eq!((leaves(&lines, "/AR/"), leaves(&lines, "/AP/")), (528_152, 160_267));
    assert_eq!((leaves(&lines, "/Liabilities/"), total(&lines, "Liabilities")), (3_113_133, Some(3_113_133)));
    assert_eq!((leaves(&lines, "/Equity/"), total(&lines, "Equity")), (-769_504, Some(-769_504)));
    assert_eq!(account(&lines, "Checking").groups, "/TotalAssets/CurrentAssets/BankAccounts/");
    let net_income = account(&lines, "Net Income");
    assert_eq!(net_income.groups, "/TotalLiabilitiesAndEquity/Equity/NetIncome/");
    assert_eq!((net_income.group, net_income.account_id), (Some("NetIncome"), None));
    // An empty cell is no amount, and no zero.
    assert_eq!(account(&lines, "Retained Earnings").amount, None);
}

#[test]
fn columns_are_dated_and_each_shows_its_own_leaves() {
    let report = fixture("derived_json/balance_sheet_with_year_summary");
    assert_eq!((report.header.start, report.header.end), (None, None), "the macro `all` states no range");
    let dates: Vec<_> = report.columns.iter().map(|column| (column.start.unwrap(), column.end.unwrap())).collect();
    assert_eq!(dates[0], (day("2013-07-04"), day("2013-12-31")));
    assert_eq!(dates[2], (day("2015-01-01"), day("2015-06-21")));
    assert!(report.columns.iter().all(|column| column.money && !column.total));
    let of = |column: usize| report.lines(column).unwrap();
    assert_eq!(leaves(&of(0), "/BankAccounts/"), 1_999);
    assert_eq!(leaves(&of(2), "/TotalAssets/"), 2_347_029);
    assert_eq!(leaves(&of(2), "/TotalLiabilitiesAndEquity/"), 2_347_029);
    assert_eq!(leaves(&of(2), "/Equity/"), -766_104);
    // The truck shows no accounts before 2015, so its total is the leaf; those around it are not.
    let leaf = |column: usize, label: &str| account(&of(column), label).is_leaf;
    assert!(leaf(0, "Total Truck") && !leaf(2, "Total Truck"));
    assert!(!leaf(0, "Total Fixed Assets") && !leaf(0, "TOTAL ASSETS"));
    // Positions are those of the tree, whichever column is shown.
    assert_eq!(account(&of(0), "Total Truck").line, account(&of(2), "Total Truck").line);
}

#[test]
fn a_recorded_cash_flow_reconciles_and_its_misspelt_group_is_mended() {
    let report = fixture("derived_json/cashflow");
    assert_eq!(report.header.basis, None);
    let lines = report.lines(0).unwrap();
    assert_eq!(
        (leaves(&lines, "/OperatingActivities/"), total(&lines, "OperatingActivities")),
        (-2_671_900, Some(-2_671_900))
    );
    assert_eq!(total(&lines, "FinancingActivities"), Some(2_900_000));
    assert_eq!(total(&lines, "CashIncrease"), Some(-2_671_900 + 2_900_000));
    assert_eq!(account(&lines, "B Payable").groups, "/OperatingActivities/OperatingAdjustments/");
    assert_eq!(account(&lines, "Opening Balance Equity").groups, "/FinancingActivities/");
}

#[test]
fn the_documented_cash_flow_is_kept_as_it_is() {
    let report = fixture("intuit-docs-samples/cashflow_2015");
    let lines = report.lines(0).unwrap();
    // The section's total holds the adjustments only; its lines give the operating cash flow.
    assert_eq!(total(&lines, "OperatingActivities"), Some(30_000));
    assert_eq!(leaves(&lines, "/OperatingActivities/"), -30_000 + 30_000);
    assert_eq!((total(&lines, "CashIncrease"), total(&lines, "FinancingActivities")), (Some(500_000), Some(500_000)));
    let computed = lines.iter().find(|line| line.group == Some("CashIncrease")).unwrap();
    assert!(computed.is_leaf, "a computed line shows no lines below");
    assert!(!report.header.no_report_data);
}

#[test]
fn the_documented_profit_and_loss_nests_three_deep_and_has_an_empty_total() {
    let report = fixture("intuit-docs-samples/profitandloss_2015-06");
    assert!(report.columns[0].total);
    let lines = report.lines(0).unwrap();
    assert_eq!((leaves(&lines, "/Income/"), total(&lines, "Income")), (32_500, Some(32_500)));
    assert_eq!(leaves(&lines, "/Expenses/"), 0);
    assert_eq!(total(&lines, "Expenses"), None);
    let fountains = account(&lines, "Fountains and Garden Lighting");
    assert_eq!((fountains.depth, fountains.account_id), (3, Some("48")));
    assert_eq!(account(&lines, "Total Job Materials").account_id, Some("46"), "named by its header");
    assert!(!lines.iter().any(|line| line.line_type == LineType::Own), "empty headers are no lines");
}

#[test]
fn other_recorded_reports_do_not_trip_the_parser() {
    // The last column is an amount in both.
    for (name, lines) in [("age_payable_detail", 5), ("transaction_list_report", 2)] {
        let report = fixture(&format!("derived_json/{name}"));
        assert_eq!(report.lines(report.columns.len() - 1).unwrap().len(), lines, "{name}");
    }
}

#[test]
fn a_section_of_empty_lines_is_counted_by_its_total() {
    let section = |rows: Value, total: &str| json!({ "Rows": rows, "Summary": { "ColData": [{ "value": "T" }, { "value": total }] }, "group": "Income" });
    let parsed = parse(&report(json!({ "Row": section(json!({ "Row": [data("1", ""), data("2", "")] }), "12.30") })));
    assert_eq!(leaves(&parsed.lines(0).unwrap(), "/Income/"), 1_230);
    let nested = section(json!({ "Row": section(json!({}), "7.00") }), "7.00");
    let parsed = parse(&report(json!({ "Row": nested })));
    assert_eq!(leaves(&parsed.lines(0).unwrap(), "/Income/"), 700, "the inner total is the leaf");
}

#[test]
fn shapes_that_vary_are_read_alike() {
    let body = report(json!({ "Row": {
        "group": "Income",
        "Summary": { "ColData": [{ "value": "Total" }, { "value": "3.00" }] },
        "Header": { "ColData": { "value": "Income" } },
        "Rows": { "Row": [
            { "ColData": [{ "id": 5, "value": "five" }, { "value": "1.00", "href": "https://x" }] },
            { "type": "Section", "Rows": null, "Header": { "ColData": [{ "value": "six", "id": "" }, { "value": "2.00" }] } },
            { "type": "Section", "Rows": {}, "group": "SomethingNew" },
            { "type": "Section", "group": "NewToo", "Unknown": 1, "Summary": { "ColData": [{ "value": "n" }, { "value": null }] } },
        ]},
    }}));
    let parsed = parse(&body);
    let lines = parsed.lines(0).unwrap();
    let seen: Vec<_> =
        lines[1..].iter().map(|line| (line.line_type, line.account_id, line.groups, line.amount)).collect();
    assert_eq!(
        seen,
        [
            (LineType::Account, Some("5"), "/Income/", Some(100)),
            (LineType::Own, None, "/Income/", Some(200)),
            (LineType::Total, None, "/Income/NewToo/", None),
            (LineType::Total, None, "/Income/", Some(300)),
        ]
    );
    for empty in [json!({}), json!(null), json!({ "Row": [] }), json!({ "Row": null })] {
        assert_eq!(parse(&report(empty)).lines(0).unwrap().len(), 1);
    }
}

/// A parent to which nothing was posted shows a zero in its header, and its children in its total alone.
#[test]
fn a_header_of_zero_hides_no_total() {
    let section = |own: &str, rows: Value| {
        let body = report(json!({ "Row": {
            "group": "Income",
            "Header": { "ColData": [{ "value": "Income" }, { "value": own }] },
            "Rows": rows,
            "Summary": { "ColData": [{ "value": "Total" }, { "value": "500.00" }] },
        }}));
        leaves(&parse(&body).lines(0).unwrap(), "/Income/")
    };
    for own in ["0.00", "0", "-0.00", ""] {
        assert_eq!(section(own, json!({})), 50_000, "{own:?}");
        assert_eq!(section(own, json!({ "Row": [data("7", "500.00")] })), 50_000, "{own:?}");
    }
    assert_eq!(section("500.00", json!({})), 50_000);
    assert_eq!(section("200.00", json!({ "Row": [data("7", "300.00")] })), 50_000);
}

#[test]
fn an_amount_that_is_none_names_its_line_and_not_its_text() {
    for text in ["12 USD", "1.005", "1,5", "J. Doe"] {
        let body = report(json!({ "Row": [data("7", "1.00"), data("84", text)] }));
        let error = parse(&body).lines(0).unwrap_err().to_string();
        assert!(error.starts_with("line 2 (account in /, account id 84): its amount is no decimal"), "{error}");
        assert!(!error.contains(text), "{error}");
    }
}

#[test]
fn answers_that_are_no_reports_are_refused() {
    let fault = json!({ "Fault": { "Error": [{ "Message": "Stale", "Detail": "J. Doe", "code": "5010" }], "type": "ValidationFault" } });
    assert_eq!(refusal(&fault), "QuickBooks says ValidationFault 5010: Stale");
    let fault =
        json!({ "fault": { "error": { "message": "no", "code": "003200" }, "type": "AUTHENTICATION" }, "time": 1 });
    assert_eq!(refusal(&fault), "QuickBooks says AUTHENTICATION 3200: no");
    assert!(refusal(&json!({ "QueryResponse": {} })).contains("no Header"));
    assert!(
        refusal(&report(json!({ "Row": { "ColData": [{ "value": "a" }, { "value": "1" }, { "value": "2" }] } })))
            .contains("has 3 cells where the report has 2 columns")
    );
    let cut =
        json!({ "Row": { "ColData": [{ "value": "Unable to display more data. Please reduce the date range." }] } });
    assert!(refusal(&report(cut)).contains("cut the report off"));
    let error = Report::parse(br#"{"Header": {"ReportName": "Pro"#).unwrap_err().to_string();
    assert_eq!(error, "not JSON, or cut off, at line 1 column 30");
}
