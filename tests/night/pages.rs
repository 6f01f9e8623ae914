//! Recorded and documented answers of QuickBooks through `--pages`, against figures read off them by hand.

use std::fs;
use std::path::{Path, PathBuf};

use super::stage::Stage;

const MART: &str = "select total_revenue, total_expenses, net_income, gross_profit, gross_margin_pct, total_assets, \
    total_liabilities, total_equity, cash_balance, accounts_receivable, accounts_payable, operating_cash_flow \
    from mart_financial_metrics order by year, month";

fn recorded(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/quickbooks").join(name);
    fs::read_to_string(path).unwrap()
}

/// A recorded answer as that of a month: where its header states other days it states none, so that its name decides.
fn of_month(month: &str, body: &str) -> String {
    let Ok(mut report) = serde_json::from_str::<serde_json::Value>(body) else { return body.to_owned() };
    let Some(header) = report.get_mut("Header").and_then(|header| header.as_object_mut()) else {
        return body.to_owned();
    };
    let days = ["StartPeriod", "EndPeriod"];
    let is_of_another = |day: &&str| header.get(*day).is_some_and(|day| !day.as_str().unwrap().starts_with(month));
    if days.iter().any(is_of_another) {
        header.retain(|name, _| !days.contains(&name.as_str()));
        return report.to_string();
    }
    body.to_owned()
}

/// Files three reports as the answers for a month.
fn file(folder: &Path, month: &str, profit: &str, balance: &str, cash: &str) {
    let reports =
        [("quickbooks_profit_and_loss", profit), ("quickbooks_balance_sheet", balance), ("quickbooks_cash_flow", cash)];
    for (dataset, body) in reports {
        fs::create_dir_all(folder.join(dataset)).unwrap();
        fs::write(folder.join(dataset).join(format!("{month}.json")), of_month(month, body)).unwrap();
    }
}

fn replay<'a>(pages: &'a str, from: &'a str, to: &'a str) -> [&'a str; 8] {
    ["run", "etl_quickbooks_financial", "--pages", pages, "--from", from, "--to", to]
}

struct Pages {
    stage: Stage,
    folder: PathBuf,
}

impl Pages {
    async fn start() -> Pages {
        let stage = Stage::start().await;
        let folder = stage.folder.path().join("pages");
        Pages { stage, folder }
    }

    fn path(&self) -> &str {
        self.folder.to_str().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_reports_give_what_a_bookkeeper_reads_off_them() {
    let pages = Pages::start().await;
    let balance = recorded("derived_json/balancesheet.json");
    let balances = ["23436.29", "31131.33", "-7695.04", "2001.00", "5281.52", "1602.67"];
    let row = |profit: [&'static str; 5], cash: &'static str| [&profit[..], &balances, &[cash]].concat();

    // The profit and loss was recorded on 14 January, so it is held unless that is the day reported.
    let (profit, cash) = (recorded("derived_json/profitloss.json"), recorded("derived_json/cashflow.json"));
    file(&pages.folder, "2014-01", &profit, &balance, &cash);
    let (table, _) = pages.stage.ends(&replay(pages.path(), "2014-01-01", "2014-01-14"), 1);
    assert!(table.contains("2014-01-01 to 2014-01-14, and the month goes to 2014-01-31"), "{table}");
    // Income 162,000.00 + 56,000.00 + 56,070.00 + 3,405.00, the parent's own postings and its child's once each, and
    // 38,500.00 of other income; costs 2,500.00, expenses 2,900.00, other expenses 6,800.00. Cash rose by 2,281.00, of
    // which 29,000.00 were financed.
    let then = [&replay(pages.path(), "2014-01-01", "2014-01-14")[..], &["--as-of", "2014-01-14"]].concat();
    pages.stage.ends(&then, 0);
    let january = row(["315975.00", "12200.00", "303775.00", "274975.00", "99.10"], "-26719.00");
    assert_eq!(pages.stage.rows(MART), std::slice::from_ref(&january));

    // The documentation's samples: income 275.00 + 150.00 - 100.00, no expenses; and the cash flow whose operating
    // summary shows 300.00, which are the adjustments alone: cash rose by 5,000.00, all of it paid in.
    let (profit, cash) = (
        recorded("intuit-docs-samples/profitandloss_2015-06.json"),
        recorded("intuit-docs-samples/cashflow_2015.json"),
    );
    file(&pages.folder, "2015-06", &profit, &balance, &cash);
    pages.stage.ends(&replay(pages.path(), "2015-06-01", "2015-06-30"), 0);
    let june = row(["325.00", "0.00", "325.00", "325.00", "100.00"], "0.00");
    assert_eq!(pages.stage.rows(MART), [january, june]);

    // Nobody was asked, and the rows know the page they came from.
    assert!(pages.stage.world.quickbooks.log().is_empty());
    let counts = "select count(*) as lines, count(distinct page) as pages from quickbooks_profit_and_loss";
    let (json, _) = pages.stage.ends(&["query", "--json", counts], 0);
    let counted: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(counted[0]["lines"].as_u64().unwrap() > 20 && counted[0]["pages"] == 1, "{json}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_that_breaks_an_identity_is_held_and_the_others_are_published() {
    let pages = Pages::start().await;
    let profit = recorded("intuit-docs-samples/profitandloss_2015-06.json");
    let cash = recorded("intuit-docs-samples/cashflow_2015.json");
    let balance = recorded("derived_json/balancesheet.json");
    let broken = balance.replace("-9337.50", "-9337.49").replace("-7695.04", "-7695.03");
    assert_ne!(broken, balance);
    file(&pages.folder, "2015-06", &profit, &broken, &cash);
    let (table, _) = pages.stage.ends(&replay(pages.path(), "2015-06-01", "2015-06-30"), 1);
    assert!(table.contains("held") && table.contains("2015-06-01"), "{table}");
    assert!(table.contains("23436.29") && table.contains("23436.30"), "both figures are shown: {table}");
    assert_eq!(pages.stage.value("select count(*) from mart_financial_metrics"), "0");
    assert_eq!(pages.stage.value("select status from etl_runs"), "held");

    file(&pages.folder, "2015-07", &profit, &balance, &cash);
    let (table, _) = pages.stage.ends(&replay(pages.path(), "2015-06-01", "2015-07-31"), 3);
    assert!(table.contains("partly held"), "{table}");
    assert_eq!(pages.stage.rows("select year, month from mart_financial_metrics"), [["2015", "7"]]);

    // Mended, both are published.
    file(&pages.folder, "2015-06", &profit, &balance, &cash);
    pages.stage.ends(&replay(pages.path(), "2015-06-01", "2015-07-31"), 0);
    assert_eq!(pages.stage.value("select count(*) from mart_financial_metrics"), "2");

    // Broken again, what is published stays as it was.
    let before = pages.stage.rows("select * from mart_financial_metrics order by id");
    file(&pages.folder, "2015-06", &profit, &broken, &cash);
    let (table, _) = pages.stage.ends(&replay(pages.path(), "2015-06-01", "2015-07-31"), 3);
    assert_eq!(pages.stage.rows("select * from mart_financial_metrics order by id"), before);
    let run = table.lines().find_map(|line| line.split_once("by run ")).unwrap().1.split(' ').next().unwrap();
    let (shown, _) = pages.stage.ends(&["show", run], 0);
    assert!(shown.contains("partly held") && shown.contains("23436.30"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_month_that_breaks_an_identity_as_well_is_not_for_anybody_to_accept() {
    let pages = Pages::start().await;
    let close = "fiscal_year_start_month = 1\nclosed_through = \"2015-12\"\n";
    pages.stage.reword("fiscal_year_start_month = 1\n", close);
    let profit = recorded("intuit-docs-samples/profitandloss_2015-06.json");
    let cash = recorded("intuit-docs-samples/cashflow_2015.json");
    let balance = recorded("derived_json/balancesheet.json");
    let broken = balance.replace("-9337.50", "-9337.49").replace("-7695.04", "-7695.03");
    for month in ["2015-06", "2015-07"] {
        file(&pages.folder, month, &profit, &balance, &cash);
    }
    let run = || pages.stage.value("select run_id from etl_runs order by started_at desc limit 1");
    let months = replay(pages.path(), "2015-06-01", "2015-07-31");
    pages.stage.ends(&months, 0);
    pages.stage.ends(&months, 0);

    file(&pages.folder, "2015-06", &profit, &broken, &cash);
    pages.stage.ends(&months, 3);
    let (_, error) = pages.stage.ends(&["accept", &run(), "--reason", "the accountant said so"], 1);
    assert!(
        error.contains("breaks other rules, and cannot be accepted: mart_financial_metrics of vital (balance)"),
        "{error}"
    );
    // Of two months the one that is only closed is published; the other stays as it is.
    pages.stage.ends(&["postgres", "update mart_financial_metrics set net_income = 0 where month = 7"], 0);
    let (said, _) = pages.stage.ends(&months, 1);
    assert!(said.contains("error closed 2015-07-01: 2015-07 is closed: net_income 0.00 → 325.00\n"), "{said}");
    let (said, _) = pages.stage.ends(&["accept", &run(), "--reason", "the accountant said so"], 0);
    let left = "mart_financial_metrics of vital: 2015-06-01 breaks other rules as well and stays held";
    assert!(said.contains(left), "{said}");
    let equity = "select month, net_income, total_equity from mart_financial_metrics order by month";
    assert_eq!(pages.stage.rows(equity), [["6", "325.00", "-7695.04"], ["7", "325.00", "-7695.04"]]);
    assert_eq!(pages.stage.rows("select unnest(periods) from etl_acceptances"), [["2015-07-01"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn saved_answers_that_are_missing_or_no_answers_fail_in_one_line() {
    let pages = Pages::start().await;
    fs::create_dir_all(&pages.folder).unwrap();
    let refusal = |code| {
        let (table, _) = pages.stage.ends(&replay(pages.path(), "2015-06-01", "2015-06-30"), code);
        assert_eq!(pages.stage.value("select count(*) from mart_financial_metrics"), "0");
        table
    };
    let table = refusal(1);
    assert!(table.contains("quickbooks_profit_and_loss/2015-06.json"), "{table}");
    let profit = recorded("intuit-docs-samples/profitandloss_2015-06.json");
    let cash = recorded("intuit-docs-samples/cashflow_2015.json");
    let balance = recorded("derived_json/balancesheet.json");
    for (body, said) in [
        ("null", "no Header"),
        ("", "JSON"),
        ("{\"Header\": {\"ReportName\": \"BalanceSheet\"", "JSON"),
        (balance.as_str(), "ProfitAndLoss"),
        ("{\"Fault\": {\"Error\": [{\"Message\": \"m\", \"code\": \"3200\"}], \"type\": \"AUTHENTICATION\"}}", "3200"),
    ] {
        file(&pages.folder, "2015-06", body, &balance, &cash);
        let table = refusal(1);
        assert!(table.contains(said), "{said} is not in: {table}");
        assert_eq!(pages.stage.staged(), [] as [PathBuf; 0], "after {said}");
    }
    file(&pages.folder, "2015-06", &profit, &balance, &cash);
    pages.stage.ends(&replay(pages.path(), "2015-06-01", "2015-06-30"), 0);
    // A dealer's database answers in no pages.
    let (table, _) = pages.stage.ends(&["run", "etl_sales_daily", "--pages", pages.path()], 1);
    assert!(table.contains("does not answer in pages"), "{table}");
}
