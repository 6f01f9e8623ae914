//! The simulated QuickBooks on the wire: reports, tokens, limits, planned faults.

use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use marts::sandbox::business::services::ServicesCompany;
use marts::sandbox::business::{Basis, Cents, calendar, text};
use marts::sandbox::http::{Fault, FaultPlan, ManualClock, Reply};
use marts::sandbox::quickbooks::{QuickBooksOptions, QuickBooksServer, Realm, Rotation, faults};
use serde_json::Value;

use super::{company, day};

/// A server with one or two companies, a clock that stands at 1 March 2025, and a client.
struct Bench {
    server: QuickBooksServer,
    clock: ManualClock,
    client: reqwest::Client,
    company: Arc<ServicesCompany>,
}

const REALM: &str = "4620816365000001";
const OTHER: &str = "4620816365000002";

impl Bench {
    async fn start(change: impl FnOnce(&mut QuickBooksOptions)) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let clock = ManualClock::at("2025-03-01T08:00:00Z".parse::<DateTime<Utc>>().unwrap());
        let company = Arc::new(company(7));
        let realms = vec![
            Realm::new(REALM, "first-one", company.clone()),
            Realm::new(OTHER, "first-two", Arc::new(super::company(8))),
        ];
        let mut options = QuickBooksOptions::new(realms);
        options.clock = clock.clock();
        change(&mut options);
        let server = QuickBooksServer::start(options).await.unwrap();
        Self { server, clock, client: reqwest::Client::new(), company }
    }

    async fn refresh_as(&self, secret: &str, token: &str) -> (u16, Value) {
        let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
        let request = self.client.post(self.server.token_url()).basic_auth("sandbox-client", Some(secret));
        let response = request.form(&form).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    async fn refresh(&self, token: &str) -> (u16, Value) {
        self.refresh_as("sandbox-secret", token).await
    }

    async fn access(&self) -> String {
        let (_, answer) = self.refresh(&self.server.refresh_token(REALM).unwrap()).await;
        answer["access_token"].as_str().unwrap().to_owned()
    }

    fn get(&self, token: &str, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}/v3/company/{REALM}/{path}", self.server.url());
        self.client.get(url).bearer_auth(token).header("Accept", "application/json")
    }

    async fn report(&self, token: &str, path: &str) -> (u16, Value) {
        let response = self.get(token, &format!("reports/{path}")).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }
}

fn amount(cell: &Value) -> Cents {
    let text = cell["value"].as_str().expect("a cell is text");
    if text.is_empty() {
        return 0;
    }
    let (whole, cents) = text.split_once('.').expect("two decimals");
    assert_eq!(cents.len(), 2);
    let sign = if text.starts_with('-') { -1 } else { 1 };
    sign * (whole.trim_start_matches('-').parse::<Cents>().unwrap() * 100 + cents.parse::<Cents>().unwrap())
}

fn amounts(row: &Value, member: &str) -> Vec<Cents> {
    row[member]["ColData"].as_array().into_iter().flatten().skip(1).map(amount).collect()
}

/// Walk a report: collects each group's summary (or data) amounts and checks that sections add up.
fn groups(row: &Value, found: &mut std::collections::BTreeMap<String, Vec<Cents>>) -> Vec<Cents> {
    let children: Vec<Vec<Cents>> =
        row["Rows"]["Row"].as_array().into_iter().flatten().map(|child| groups(child, found)).collect();
    let shown = if row["type"] == "Data" {
        row["ColData"].as_array().unwrap().iter().skip(1).map(amount).collect()
    } else {
        let mut sum = amounts(row, "Header");
        for child in &children {
            sum.iter_mut().zip(child).for_each(|(sum, child)| *sum += child);
        }
        match row.get("Summary") {
            Some(_) if children.is_empty() => amounts(row, "Summary"),
            Some(_) => {
                assert_eq!(sum, amounts(row, "Summary"), "own and children are not the total: {row}");
                sum
            }
            None => sum,
        }
    };
    if let Some(group) = row["group"].as_str() {
        found.insert(group.to_owned(), shown.clone());
    }
    shown
}

fn figures(report: &Value) -> std::collections::BTreeMap<String, Vec<Cents>> {
    let mut found = Default::default();
    for row in report["Rows"]["Row"].as_array().unwrap() {
        groups(row, &mut found);
    }
    found
}

#[tokio::test]
async fn reports_agree_with_the_books_month_by_month() {
    let bench = Bench::start(|_| {}).await;
    let token = bench.access().await;
    let query = "start_date=2024-08-01&end_date=2025-01-20&accounting_method=Accrual&summarize_column_by=Month";
    let months: Vec<_> = calendar::months(day("2024-08-01"), day("2025-01-20"))
        .map(|first| (first, calendar::month_end(first).min(day("2025-01-20"))))
        .collect();

    let (status, report) = bench.report(&token, &format!("ProfitAndLoss?{query}")).await;
    assert_eq!(status, 200);
    assert_eq!(report["Header"]["ReportBasis"], "Accrual");
    assert_eq!(report["Header"]["SummarizeColumnsBy"], "Month");
    assert_eq!(report["Columns"]["Column"].as_array().unwrap().len(), 1 + 6 + 1);
    assert_eq!(report["Columns"]["Column"][6]["MetaData"][1]["Value"], "2025-01-20");
    let found = figures(&report);
    for (column, (first, last)) in months.iter().chain([&(months[0].0, months[5].1)]).enumerate() {
        let books = bench.company.profit_and_loss(*first, *last, Basis::Accrual);
        let shown = |group: &str| found.get(group).map_or(0, |amounts| amounts[column]);
        assert_eq!(shown("Income"), books.income);
        assert_eq!(shown("COGS"), books.cogs);
        assert_eq!(shown("GrossProfit"), books.gross_profit());
        assert_eq!(shown("Expenses"), books.expenses);
        assert_eq!(shown("OtherIncome"), books.other_income);
        assert_eq!(shown("OtherExpenses"), books.other_expenses);
        assert_eq!(shown("NetIncome"), books.net_income());
    }

    let (_, report) = bench.report(&token, &format!("BalanceSheet?{query}")).await;
    assert_eq!(report["Columns"]["Column"].as_array().unwrap().len(), 1 + 6, "balances have no total column");
    let found = figures(&report);
    for (column, (_, last)) in months.iter().enumerate() {
        let books = bench.company.balance_sheet(*last, Basis::Accrual);
        let shown = |group: &str| found.get(group).map_or(0, |amounts| amounts[column]);
        assert_eq!(shown("TotalAssets"), books.total_assets());
        assert_eq!(shown("TotalLiabilitiesAndEquity"), books.total_assets());
        assert_eq!(shown("Liabilities"), books.total_liabilities());
        assert_eq!(shown("Equity"), books.total_equity());
        assert_eq!(shown("NetIncome"), books.net_income);
        assert_eq!(shown("BankAccounts"), books.bank_accounts);
        assert_eq!(shown("AR"), books.accounts_receivable);
        assert_eq!(shown("AP"), books.accounts_payable);
    }

    let (_, report) = bench.report(&token, &format!("CashFlow?{query}")).await;
    assert!(report["Header"].get("ReportBasis").is_none());
    let found = figures(&report);
    for (column, (first, last)) in months.iter().chain([&(months[0].0, months[5].1)]).enumerate() {
        let books = bench.company.cash_flow(*first, *last);
        let shown = |group: &str| found.get(group).map_or(0, |amounts| amounts[column]);
        assert_eq!(shown("NetIncome"), books.net_income);
        assert_eq!(shown("OperatingActivities"), books.operating());
        assert_eq!(shown("InvestingActivities"), books.investing);
        assert_eq!(shown("FinancingActivities"), books.financing);
        assert_eq!(shown("CashIncrease"), books.cash_increase());
        assert_eq!(shown("BeginningCash"), books.beginning_cash);
        assert_eq!(shown("EndingCash"), books.ending_cash());
    }
}

#[tokio::test]
async fn before_the_first_posting_there_is_a_skeleton() {
    let bench = Bench::start(|_| {}).await;
    let token = bench.access().await;
    for name in ["ProfitAndLoss", "BalanceSheet", "CashFlow"] {
        let (status, report) = bench.report(&token, &format!("{name}?start_date=2023-09-01&end_date=2023-09-30")).await;
        assert_eq!(status, 200);
        assert_eq!(report["Header"]["Option"][1]["Value"], "true", "{report}");
        assert!(figures(&report).values().flatten().all(|amount| *amount == 0));
    }
    let (_, report) = bench.report(&token, "ProfitAndLoss?start_date=2023-09-01&end_date=2023-09-30").await;
    assert_eq!(report["Rows"]["Row"][0]["Summary"]["ColData"][1]["value"], "");
}

#[tokio::test]
async fn parameters_are_read_as_the_service_reads_them() {
    let bench = Bench::start(|options| {
        options.misspelt_financing = true;
        options.operating_summary_is_adjustments = true;
        options.replay.insert("BalanceSheet".into(), r#"{"recorded":true}"#.into());
    })
    .await;
    let token = bench.access().await;
    let span = "start_date=2024-02-01&end_date=2024-02-29";
    let (_, typo) = bench.report(&token, &format!("ProfitAndLoss?{span}&summarize_columns_by=Month")).await;
    assert_eq!(typo["Header"]["SummarizeColumnsBy"], "Total");
    assert_eq!(typo["Header"]["ReportBasis"], "Cash", "the company prefers the cash basis");
    let cash = bench.company.profit_and_loss(day("2024-02-01"), day("2024-02-29"), Basis::Cash);
    assert_eq!(figures(&typo)["NetIncome"], [cash.net_income()]);

    for wrong in ["start_date=2024-02-30&end_date=2024-03-01", "start_date=2024-02-02&end_date=2024-02-01"] {
        let (status, fault) = bench.report(&token, &format!("ProfitAndLoss?{wrong}")).await;
        assert_eq!((status, &fault["Fault"]["type"]), (400, &Value::from("ValidationFault")));
    }

    let (_, flow) = bench.report(&token, &format!("CashFlow?{span}")).await;
    let books = bench.company.cash_flow(day("2024-02-01"), day("2024-02-29"));
    let operating = &flow["Rows"]["Row"][0];
    assert_eq!(operating["Summary"]["ColData"][1]["value"], text(books.operating_adjustments));
    let flow = flow.to_string();
    assert!(flow.contains("FinancingActivites"));

    assert_eq!(bench.report(&token, "BalanceSheet?end_date=2024-02-29").await.1["recorded"], true);
    let (_, info) = {
        let response = bench.get(&token, &format!("companyinfo/{REALM}")).send().await.unwrap();
        (response.status(), response.json::<Value>().await.unwrap())
    };
    assert_eq!(info["CompanyInfo"]["FiscalYearStartMonth"], "January");

    let url = format!("{}/v3/company/{REALM}/reports/ProfitAndLoss?{span}", bench.server.url());
    let xml = bench.client.get(url).bearer_auth(&token).send().await.unwrap();
    assert!(xml.headers()["content-type"].to_str().unwrap().starts_with("application/xml"));
    assert!(xml.text().await.unwrap().contains(r#"<Row type="Section" group="Income">"#));
}

#[tokio::test]
async fn tokens_expire_and_rotate() {
    let bench = Bench::start(|_| {}).await;
    let path = "ProfitAndLoss?start_date=2024-02-01&end_date=2024-02-29";
    assert_eq!(bench.refresh_as("wrong", "first-one").await.0, 401);
    let (status, answer) = bench.refresh("first-one").await;
    assert_eq!((status, answer["expires_in"].as_i64()), (200, Some(3600)));
    let access = answer["access_token"].as_str().unwrap().to_owned();
    assert_eq!(bench.report(&access, path).await.0, 200);
    let (status, error) = bench.refresh("first-one").await;
    assert_eq!((status, &error["error"]), (400, &Value::from("invalid_grant")), "the former token is dead");

    let other = format!("{}/v3/company/{OTHER}/reports/{path}", bench.server.url());
    let other = bench.client.get(other).bearer_auth(&access).header("Accept", "application/json").send().await;
    assert_eq!(other.unwrap().status().as_u16(), 403);

    bench.clock.advance(Duration::seconds(3599));
    assert_eq!(bench.report(&access, path).await.0, 200);
    bench.clock.advance(Duration::seconds(1));
    let (status, fault) = bench.report(&access, path).await;
    assert_eq!((status, &fault["Fault"]["Error"][0]["code"]), (401, &Value::from("3200")));

    let current = bench.server.refresh_token(REALM).unwrap();
    assert_eq!(bench.refresh(&current).await.0, 200);
    bench.server.revoke(REALM);
    assert_eq!(bench.refresh(&bench.server.refresh_token(REALM).unwrap()).await.0, 400);
}

#[tokio::test]
async fn a_grace_and_a_daily_rotation() {
    let bench = Bench::start(|options| {
        options.rotation = Rotation::Daily;
        options.grace = Duration::hours(1);
    })
    .await;
    assert_eq!(bench.refresh("first-one").await.1["refresh_token"], "first-one");
    bench.clock.advance(Duration::hours(25));
    let second = bench.refresh("first-one").await.1["refresh_token"].clone();
    assert_ne!(second, "first-one");
    assert_eq!(bench.refresh("first-one").await.1["refresh_token"], second, "within its grace");
    bench.clock.advance(Duration::hours(1));
    assert_eq!(bench.refresh("first-one").await.0, 400);
}

#[tokio::test]
async fn limits_are_per_realm() {
    let bench = Bench::start(|options| {
        options.requests_per_minute = 3;
        options.requests_at_once = 2;
        // Long enough for three requests to meet on a busy machine.
        options.work = std::time::Duration::from_millis(500);
    })
    .await;
    let token = bench.access().await;
    let path = "CashFlow?start_date=2024-02-01&end_date=2024-02-29";
    let (a, b, c) = tokio::join!(bench.report(&token, path), bench.report(&token, path), bench.report(&token, path));
    let mut at_once = [a.0, b.0, c.0];
    at_once.sort_unstable();
    assert_eq!(at_once, [200, 200, 429]);
    assert_eq!(bench.report(&token, path).await.0, 200);
    let (status, fault) = bench.report(&token, path).await;
    assert_eq!((status, &fault["Fault"]["Error"][0]["code"]), (429, &Value::from("3001")));
    bench.clock.advance(Duration::seconds(60));
    assert_eq!(bench.report(&token, path).await.0, 200);
}

#[tokio::test]
async fn faults_reach_the_client() {
    let bench = Bench::start(|_| {}).await;
    let token = bench.access().await;
    let path = "reports/CashFlow?start_date=2024-02-01&end_date=2024-02-29";
    let get = || bench.get(&token, path).timeout(std::time::Duration::from_secs(10)).send();
    let plan = |fault| bench.server.set_faults(FaultPlan::new().on("GET */reports/CashFlow", 1..=1, fault));

    let fault =
        faults::fault("SystemFault", "10000", "An application error", "System Failure Error", bench.clock.now());
    plan(Fault::reply(Reply::json(200, fault.to_string())));
    let response = get().await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    assert_eq!(response.json::<Value>().await.unwrap()["Fault"]["Error"][0]["code"], "10000");
    assert_eq!(get().await.unwrap().json::<Value>().await.unwrap()["Header"]["ReportName"], "CashFlow", "only once");

    plan(Fault::empty());
    assert_eq!(get().await.unwrap().text().await.unwrap(), "");
    plan(Fault::null());
    assert_eq!(get().await.unwrap().text().await.unwrap(), "null");
    plan(Fault::ContentType("text/html".into()));
    assert_eq!(get().await.unwrap().headers()["content-type"], "text/html");
    plan(Fault::BrokenBody(40));
    let broken = get().await.unwrap().text().await.unwrap();
    assert!(broken.len() == 40 && serde_json::from_str::<Value>(&broken).is_err());
    plan(Fault::CutBody(40));
    let mut cut = get().await.unwrap();
    assert!(cut.content_length().unwrap() > 40);
    assert_eq!(cut.chunk().await.unwrap().unwrap().len(), 40);
    assert!(cut.chunk().await.is_err(), "the rest never comes");
    plan(Fault::Reset);
    assert!(!get().await.unwrap_err().is_timeout());
    plan(Fault::Stall);
    let impatient = bench.get(&token, path).timeout(std::time::Duration::from_millis(300)).send();
    assert!(impatient.await.unwrap_err().is_timeout());
    plan(Fault::Delay(std::time::Duration::from_millis(50)));
    assert_eq!(get().await.unwrap().status().as_u16(), 200);

    let last = bench.server.log().pop().unwrap();
    assert_eq!(
        (last.request.path.as_str(), last.status, last.faulted),
        (&*format!("/v3/company/{REALM}/reports/CashFlow"), Some(200), true)
    );
    assert_eq!(last.request.param("start_date").as_deref(), Some("2024-02-01"));
    assert!(last.request.header("authorization").unwrap().starts_with("Bearer AT-"));

    // The refresh took effect, its answer was lost: the old token is dead and the new one known to nobody.
    bench.server.set_faults(FaultPlan::new().on("POST *", 1..=1, Fault::LoseAnswer));
    let before = bench.server.refresh_token(REALM).unwrap();
    let form = [("grant_type", "refresh_token"), ("refresh_token", &before)];
    let request = bench.client.post(bench.server.token_url()).basic_auth("sandbox-client", Some("sandbox-secret"));
    assert!(request.form(&form).send().await.is_err());
    assert_ne!(bench.server.refresh_token(REALM).unwrap(), before);
    assert_eq!(bench.refresh(&before).await.0, 400);
}
