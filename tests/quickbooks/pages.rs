//! `--pages DIR`: saved answers instead of the network.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::bench::*;

async fn bench(files: &[(&str, String)]) -> Bench {
    let mut bench = Bench::new().await;
    let folder = bench.folder.path().join("pages");
    for (name, body) in files {
        let file = folder.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, body).unwrap();
    }
    bench.pages = Some(folder);
    bench
}

fn recorded(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/quickbooks").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// The same without the days in its header, as it comes for the range `all`.
fn undated(name: &str) -> String {
    let mut report: Value = serde_json::from_str(&recorded(name)).unwrap();
    for name in ["StartPeriod", "EndPeriod"] {
        report["Header"].as_object_mut().unwrap().remove(name);
    }
    report.to_string()
}

/// An answer with a column per month and a net income of as many dollars as the month has in its number.
fn by_month(months: &[&str]) -> String {
    let meta = |month: &str| {
        let first = day(&format!("{month}-01"));
        let last = marts::periods::last_of_month(first);
        json!([
            { "Name": "StartDate", "Value": first.to_string() },
            { "Name": "EndDate", "Value": last.to_string() },
        ])
    };
    let mut columns = vec![json!({ "ColType": "Account" })];
    columns.extend(months.iter().map(|month| json!({ "ColType": "Money", "MetaData": meta(month) })));
    columns.push(json!({ "ColType": "Money", "MetaData": [{ "Name": "ColKey", "Value": "total" }] }));
    let mut cells = vec![json!({ "value": "Net Income" })];
    cells.extend(months.iter().map(|month| json!({ "value": format!("{}.00", month[5..].trim_start_matches('0')) })));
    cells.push(json!({ "value": "99.00" }));
    let summary: Value = json!({ "Summary": { "ColData": cells }, "group": "NetIncome" });
    json!({
        "Header": { "ReportName": "ProfitAndLoss", "Currency": "USD" },
        "Columns": { "Column": columns },
        "Rows": { "Row": [summary] },
    })
    .to_string()
}

async fn net_incomes(bench: &Bench, months: &[&str]) -> Vec<i64> {
    let landed = bench.pull(&[PROFIT_AND_LOSS], months).await.unwrap();
    assert!(bench.server.log().is_empty(), "the network is left alone");
    landed.iter().map(|landed| leaves(&rows(landed), "/NetIncome/")).collect()
}

#[tokio::test]
async fn a_file_is_the_month_it_is_named_for() {
    let bench = bench(&[
        ("quickbooks_profit_and_loss/2014-01.json", recorded("derived_json/profitloss.json")),
        ("quickbooks_balance_sheet/2014-12.json", recorded("derived_json/balancesheet.json")),
        ("quickbooks_balance_sheet/2014-01.json", undated("derived_json/balancesheet.json")),
    ])
    .await;
    let landed = bench.pull(&[PROFIT_AND_LOSS], &["2014-01"]).await.unwrap();
    let income = rows(&landed[0]);
    assert_eq!(leaves(&income, "/NetIncome/"), 30_377_500);
    // Its header says 1 to 14 January.
    assert_eq!((income[0]["column_start"].as_str(), income[0]["column_end"].as_str()), ("2014-01-01", "2014-01-14"));
    // The balance sheet's says 1 January to 18 December: the balance is that of its last day.
    let sheets = bench.pull(&[BALANCE_SHEET], &["2014-01", "2014-12"]).await.unwrap();
    for (sheet, last_day) in sheets.iter().map(rows).zip(["2014-01-31", "2014-12-18"]) {
        assert_eq!(leaves(&sheet, "/TotalAssets/"), 2_343_629);
        assert_eq!(sheet[0]["column_end"], last_day, "where no days are stated the name tells the month");
    }
    let page = &read(&landed[0], "pages-0000.parquet")[0];
    assert_eq!((page["method"].as_str(), page["url"].as_str()), ("FILE", "quickbooks_profit_and_loss/2014-01.json"));
}

#[tokio::test]
async fn answers_over_several_months_are_split_by_their_columns() {
    let months = ["2025-10", "2025-11", "2025-12"];
    let one = bench(&[("quickbooks_profit_and_loss/all.json", by_month(&months))]).await;
    assert_eq!(net_incomes(&one, &months).await, [1_000, 1_100, 1_200]);
    let two = bench(&[
        ("quickbooks_profit_and_loss/all-0001.json", by_month(&months[..2])),
        ("quickbooks_profit_and_loss/all-0002.json", by_month(&months[2..])),
        ("quickbooks_profit_and_loss/2025-10-0001.json", by_month(&["2025-09"])),
        ("quickbooks_profit_and_loss/2025-10-0002.json", by_month(&["2025-10"])),
    ])
    .await;
    assert_eq!(net_incomes(&two, &months).await, [1_000, 1_100, 1_200]);
}

#[tokio::test]
async fn what_is_missing_or_ambiguous_is_named() {
    let none = bench(&[]).await;
    let line = none.refusal(&[CASH_FLOW], &["2025-12"]).await;
    let tried: PathBuf = none.pages.clone().unwrap().join("quickbooks_cash_flow/2025-12.json");
    assert!(
        line.contains(&format!("{} does not exist, nor do 2025-12-0001.json, all.json", tried.display())),
        "{line}"
    );

    let all = bench(&[("quickbooks_profit_and_loss/all.json", by_month(&["2025-11"]))]).await;
    let line = all.refusal(&[PROFIT_AND_LOSS], &["2025-12"]).await;
    assert!(line.contains("no column for 2025-12 in ") && line.ends_with("all.json"), "{line}");

    let twice = bench(&[
        ("quickbooks_profit_and_loss/all-0001.json", by_month(&["2025-11", "2025-12"])),
        ("quickbooks_profit_and_loss/all-0002.json", by_month(&["2025-12"])),
    ])
    .await;
    let line = twice.refusal(&[PROFIT_AND_LOSS], &["2025-12"]).await;
    assert!(line.contains("2025-12 is both in quickbooks_profit_and_loss/all-0001.json and in "), "{line}");

    let other = bench(&[("quickbooks_cash_flow/2025-12.json", by_month(&["2025-12"]))]).await;
    let line = other.refusal(&[CASH_FLOW], &["2025-12"]).await;
    assert!(line.ends_with("Header.ReportName is ProfitAndLoss where CashFlow was expected"), "{line}");

    // A total over a year is no month.
    let year = bench(&[("quickbooks_balance_sheet/all.json", recorded("derived_json/balancesheet.json"))]).await;
    let line = year.refusal(&[BALANCE_SHEET], &["2014-11"]).await;
    assert!(line.contains("no column for 2014-11"), "{line}");
}

#[tokio::test]
async fn a_name_makes_no_month_of_other_days_and_no_basis_of_another() {
    let recorded = recorded("derived_json/profitloss.json");
    for (days, said) in [
        (["2025-01-01", "2025-12-31"], "covers 2025-01-01 to 2025-12-31, which is not 2014-01"),
        (["2013-12-01", "2014-01-31"], "covers 2013-12-01 to 2014-01-31, which is not 2014-01"),
        (["2014-01-01", "2014-02-01"], "covers 2014-01-01 to 2014-02-01, which is not 2014-01"),
    ] {
        let mut report: Value = serde_json::from_str(&recorded).unwrap();
        (report["Header"]["StartPeriod"], report["Header"]["EndPeriod"]) = (days[0].into(), days[1].into());
        let bench = bench(&[("quickbooks_profit_and_loss/2014-01.json", report.to_string())]).await;
        let line = bench.refusal(&[PROFIT_AND_LOSS], &["2014-01"]).await;
        assert!(line.contains("2014-01.json: ") && line.contains(said), "{line}");
    }
    let cash = recorded.replace("\"Accrual\"", "\"Cash\"");
    let bench = bench(&[("quickbooks_profit_and_loss/2014-01.json", cash)]).await;
    let line = bench.refusal(&[PROFIT_AND_LOSS], &["2014-01"]).await;
    assert!(line.ends_with("Header.ReportBasis is Cash where [org.quickbooks] has the basis Accrual"), "{line}");
}
