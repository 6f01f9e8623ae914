//! What is asked, what the answers must say, and how answers go wrong on the wire.

use std::time::{Duration, Instant};

use bytes::Bytes;
use marts::config::Basis;
use marts::sandbox::business::{Basis as Books, calendar};
use marts::sandbox::http::{Fault, FaultPlan, Reply};
use marts::sandbox::quickbooks::faults::{fault, gateway_fault, throttled, unauthenticated};
use serde_json::{Value, json};

use super::bench::*;

const REPORTS: &str = "GET */reports/*";

fn reply((status, body): (u16, Value)) -> Fault {
    Fault::reply(Reply::json(status, body.to_string()))
}

fn now() -> chrono::DateTime<chrono::Utc> {
    "2026-01-21T08:00:00Z".parse().unwrap()
}

/// Fourteen months, the last of them open.
const MONTHS: [&str; 14] = [
    "2024-12", "2025-01", "2025-02", "2025-03", "2025-04", "2025-05", "2025-06", "2025-07", "2025-08", "2025-09",
    "2025-10", "2025-11", "2025-12", "2026-01",
];

#[tokio::test]
async fn a_night_lands_what_the_books_say() {
    let bench = Bench::start(|options| options.misspelt_financing = true).await;
    let landed = bench.pull(&ALL, &MONTHS).await.unwrap();
    assert_eq!(landed.len(), 3 * 14);
    for (landed, month) in landed.iter().zip(MONTHS.iter().cycle()) {
        let rows = rows(landed);
        let first = day(&format!("{month}-01"));
        let last = calendar::month_end(first).min(bench.as_of);
        assert!(rows.iter().all(|row| row["column_end"] == last.to_string() && row["currency"] == "USD"));
        let sum = |group: &str| leaves(&rows, group);
        match landed.manifest().dataset.as_str() {
            PROFIT_AND_LOSS => {
                let books = bench.company.profit_and_loss(first, last, Books::Accrual);
                assert_eq!((sum("/Income/"), sum("/COGS/")), (books.income, books.cogs), "{month}");
                assert_eq!((sum("/Expenses/"), sum("/NetIncome/")), (books.expenses, books.net_income()), "{month}");
                assert!(rows.iter().all(|row| row["basis"] == "Accrual"));
            }
            BALANCE_SHEET => {
                let books = bench.company.balance_sheet(last, Books::Accrual);
                assert_eq!(sum("/BankAccounts/"), books.bank_accounts, "{month}");
                assert_eq!((sum("/AR/"), sum("/AP/")), (books.accounts_receivable, books.accounts_payable), "{month}");
                assert_eq!(sum("/Liabilities/"), books.total_liabilities(), "{month}");
                assert_eq!((sum("/TotalAssets/"), sum("/Equity/")), (books.total_assets(), books.total_equity()));
            }
            _ => {
                let books = bench.company.cash_flow(first, last);
                assert_eq!(sum("/OperatingActivities/"), books.operating(), "{month}");
                assert_eq!(sum("/FinancingActivities/"), books.financing, "{month}");
                assert_eq!(sum("/CashIncrease/"), books.cash_increase(), "{month}");
                assert!(rows.iter().all(|row| row["basis"] == "∅"));
            }
        }
        let pages = read(landed, "pages-0000.parquet");
        assert_eq!((pages.len(), pages[0]["status"].as_str()), (1, "200"));
    }
}

#[tokio::test]
async fn months_are_asked_six_at_a_time_and_the_open_one_up_to_the_day() {
    let bench = Bench::new().await;
    bench.pull(&[PROFIT_AND_LOSS, CASH_FLOW], &MONTHS).await.unwrap();
    let mut asked = bench.asked();
    asked.sort();
    let path = |report: &str| format!("/v3/company/{REALM}/reports/{report}");
    let range = |from: &str, to: &str| format!("?start_date={from}&end_date={to}");
    let rest = "&summarize_column_by=Month&minorversion=75";
    let ranges = [("2024-12-01", "2025-05-31"), ("2025-06-01", "2025-11-30"), ("2025-12-01", "2026-01-20")];
    let flows = ranges.map(|(from, to)| path("CashFlow") + &range(from, to) + rest);
    let incomes =
        ranges.map(|(from, to)| path("ProfitAndLoss") + &range(from, to) + "&accounting_method=Accrual" + rest);
    assert_eq!(asked, [flows, incomes].concat());
    assert_eq!(bench.refreshes(), 1, "one token for all of them");
}

#[tokio::test]
async fn months_apart_are_asked_apart_and_only_once() {
    let bench = Bench::new().await;
    let landed = bench.pull(&[BALANCE_SHEET], &["2025-12", "2025-03", "2025-04"]).await.unwrap();
    assert_eq!(landed.len(), 3);
    assert_eq!(bench.asked().len(), 2);
    let line = bench.pull(&[BALANCE_SHEET], &["2026-02"]).await.unwrap_err();
    assert_eq!(
        format!("{line:#}"),
        "pulling quickbooks_balance_sheet: 2026-02 begins after 2026-01-20, the last day reported"
    );
}

#[tokio::test]
async fn the_basis_is_asked_whatever_the_company_prefers() {
    let mut bench = Bench::new().await;
    bench.quickbooks().basis = Basis::Cash;
    let landed = bench.pull(&[BALANCE_SHEET], &["2025-12"]).await.unwrap();
    let rows = rows(&landed[0]);
    assert!(rows.iter().all(|row| row["basis"] == "Cash"));
    assert_eq!(leaves(&rows, "/AR/"), 0);
}

/// An answer for December 2025, with a change.
fn answer(change: impl FnOnce(&mut Value)) -> Bytes {
    let mut body = json!({
        "Header": {
            "ReportName": "ProfitAndLoss", "ReportBasis": "Accrual", "StartPeriod": "2025-12-01",
            "EndPeriod": "2025-12-31", "SummarizeColumnsBy": "Month", "Currency": "USD",
            "Option": [{ "Name": "NoReportData", "Value": "false" }],
        },
        "Columns": { "Column": [
            { "ColTitle": "", "ColType": "Account" },
            { "ColTitle": "déc. 2025", "ColType": "Money", "MetaData": [
                { "Name": "StartDate", "Value": "2025-12-01" }, { "Name": "EndDate", "Value": "2025-12-31" } ] },
            { "ColTitle": "Total", "ColType": "Money", "MetaData": [{ "Name": "ColKey", "Value": "total" }] },
        ]},
        "Rows": { "Row": [{ "group": "NetIncome", "type": "Section", "Summary": { "ColData": [
            { "value": "Bénéfice net" }, { "value": "5.00" }, { "value": "9.00" } ] } }] },
    });
    change(&mut body);
    body.to_string().into()
}

async fn replay(body: Bytes) -> Bench {
    Bench::start(|options| drop(options.replay.insert("ProfitAndLoss".into(), body))).await
}

#[tokio::test]
async fn an_answer_to_another_question_is_refused_by_field() {
    for (field, value) in [
        ("ReportName", json!("BalanceSheet")),
        ("StartPeriod", json!("2025-01-01")),
        ("EndPeriod", json!("2025-12-30")),
        ("EndPeriod", json!(null)),
        ("SummarizeColumnsBy", json!("Total")),
        ("ReportBasis", json!("Cash")),
    ] {
        let bench = replay(answer(|body| body["Header"][field] = value)).await;
        let line = bench.refusal(&[PROFIT_AND_LOSS], &["2025-12"]).await;
        assert!(
            line.starts_with("pulling quickbooks_profit_and_loss 2025-12: QuickBooks answered another question"),
            "{line}"
        );
        assert!(line.contains(&format!("Header.{field} is ")), "{line}");
    }
}

#[tokio::test]
async fn a_month_is_its_dated_column_whatever_the_titles_say() {
    let bench = replay(answer(|_| {})).await;
    let rows_of = |landed: Vec<marts::staging::Landed>| rows(&landed[0]);
    assert_eq!(leaves(&rows_of(bench.night().await.unwrap()), "/NetIncome/"), 500);

    let bench = replay(answer(|body| body["Columns"]["Column"][1]["MetaData"][1]["Value"] = json!("2025-12-30"))).await;
    let line = bench.refusal(&[PROFIT_AND_LOSS], &["2025-12"]).await;
    assert!(line.ends_with("the column of 2025-12 ends on 2025-12-30 where 2025-12-31 was asked"), "{line}");

    let of_november = |body: &mut Value| {
        body["Columns"]["Column"][1]["MetaData"] =
            json!([{ "Name": "StartDate", "Value": "2025-11-01" }, { "Name": "EndDate", "Value": "2025-11-30" }]);
    };
    let bench = replay(answer(of_november)).await;
    let line = bench.refusal(&[PROFIT_AND_LOSS], &["2025-12"]).await;
    assert!(line.ends_with("the report has no column for 2025-12, which was asked"), "{line}");

    // Without dates the column of a single month is known by the header.
    let undated = |body: &mut Value| drop(body["Columns"]["Column"][1].as_object_mut().unwrap().remove("MetaData"));
    let bench = replay(answer(undated)).await;
    assert_eq!(leaves(&rows_of(bench.night().await.unwrap()), "/NetIncome/"), 500);
}

#[tokio::test]
async fn nothing_to_report_lands_one_line() {
    let nothing = |body: &mut Value| {
        body["Header"]["Option"][0]["Value"] = json!("true");
        body["Columns"] = json!({});
        body["Rows"] = json!({});
    };
    let bench = replay(answer(nothing)).await;
    let rows = rows(&bench.night().await.unwrap()[0]);
    assert_eq!(rows.len(), 1);
    let row = &rows[0];
    assert_eq!((row["line_type"].as_str(), row["amount"].as_str()), ("report", "∅"));
    assert_eq!((row["no_report_data"].as_str(), row["column_end"].as_str()), ("true", "2025-12-31"));

    let silent = |body: &mut Value| {
        body["Columns"] = json!({});
        body["Rows"] = json!({});
    };
    let line = replay(answer(silent)).await.refusal(&[PROFIT_AND_LOSS], &["2025-12"]).await;
    assert!(line.contains("no column for 2025-12"), "{line}");

    // Before the company's first posting the simulator says NoReportData, with the skeleton.
    let bench = Bench::new().await;
    for landed in bench.pull(&ALL, &["2023-05"]).await.unwrap() {
        assert!(super::bench::rows(&landed).iter().all(|row| row["no_report_data"] == "true"));
    }
}

#[tokio::test]
async fn a_change_of_currency_fails_the_pull() {
    let bench = replay(answer(|body| body["Header"]["Currency"] = json!("CAD"))).await;
    let line = bench.refusal(&[BALANCE_SHEET, PROFIT_AND_LOSS], &["2025-12"]).await;
    assert!(line.contains("the currency changes from USD (quickbooks_balance_sheet 2025-12) to CAD"), "{line}");
}

#[tokio::test]
async fn passing_conditions_pass() {
    let system = || reply((200, fault("SystemFault", "10000", "An application error has occurred", "x", now())));
    let xml = include_bytes!("../fixtures/quickbooks/faults/throttle_exceeded_error.xml");
    let faults = [
        reply(throttled(now())),
        reply((403, throttled(now()).1)),
        Fault::reply(Reply::new(403, "application/xml", Bytes::from_static(xml))),
        Fault::reply(Reply::text(429, "slow down")),
        Fault::reply(Reply::text(500, "")),
        Fault::reply(Reply::text(502, "<html>bad gateway</html>")),
        Fault::reply(Reply::text(503, "")),
        Fault::reply(Reply::text(504, "")),
        Fault::reply(Reply::text(408, "")),
        Fault::reply(Reply::text(425, "")),
        Fault::reply(Reply::text(400, "")),
        reply((400, fault("ValidationFault", "4001", "Invalid query", "", now()))),
        Fault::empty(),
        Fault::null(),
        Fault::BrokenBody(200),
        Fault::CutBody(200),
        Fault::Reset,
        Fault::LoseAnswer,
        system(),
        reply(unauthenticated(now())),
        reply((401, gateway_fault("AUTHENTICATION", "003200", "expired", "", now()))),
        Fault::reply(Reply::text(401, "")),
    ];
    for fault in faults {
        let bench = Bench::with_faults(FaultPlan::new().on(REPORTS, 1..=1, fault.clone())).await;
        let landed = bench.night().await.unwrap_or_else(|error| panic!("{fault:?}: {error:#}"));
        assert!(rows(&landed[0]).len() > 10, "{fault:?}");
        assert_eq!(bench.asked().len(), 2, "{fault:?}");
    }
}

#[tokio::test]
async fn lasting_conditions_end_in_one_clear_line() {
    let forbidden = (403, fault("AuthorizationFault", "3100", "no", "x", now()));
    let ended = (200, fault("ValidationFault", "6190", "Subscription period has ended", "x", now()));
    let html = Reply::new(200, "text/html; charset=utf-8", "<!DOCTYPE html><title>Sign in</title>");
    let tid = |reply: Reply| Fault::Reply(reply.with("intuit_tid", "1-5f-abc"));
    for (fault, requests, end) in [
        (tid(Reply::text(429, "")), 3, ": 429 Too Many Requests (intuit_tid 1-5f-abc), gave up after 3 tries"),
        (reply((403, throttled(now()).1)), 3, ": 403 Forbidden (throttled), gave up after 3 tries"),
        (tid(Reply::text(503, "")), 3, ": 503 Service Unavailable (intuit_tid 1-5f-abc), gave up after 3 tries"),
        (Fault::null(), 3, ": 200 OK with the word null, gave up after 3 tries"),
        (Fault::empty(), 3, ": 200 OK with an empty answer, gave up after 3 tries"),
        (
            Fault::BrokenBody(300),
            3,
            ": 200 OK with JSON that is cut off (intuit_tid 1-69708780-sandbox), gave up after 3 tries",
        ),
        (Fault::reply(Reply::text(400, "")), 2, ": 400 Bad Request, gave up after 2 tries"),
        (Fault::reply(Reply::text(404, "")), 1, ": 404 Not Found"),
        (Fault::reply(Reply::text(302, "")), 1, ": 302 Found"),
        (
            Fault::Reply(html),
            1,
            ": 200 OK with a page of HTML where JSON was asked for: a login page or a proxy answered",
        ),
        (
            reply(forbidden),
            1,
            ": 403 Forbidden: QuickBooks says AuthorizationFault 3100: no (the token belongs to another company, or to \
             the other of sandbox and production)",
        ),
        (
            reply(ended),
            1,
            ": QuickBooks says ValidationFault 6190: Subscription period has ended (the company's subscription has ended)",
        ),
        (Fault::reply(Reply::json(401, "")), 2, ": 401 Unauthorized, with a renewed access token too"),
    ] {
        let bench = Bench::with_faults(FaultPlan::new().on(REPORTS, 1.., fault)).await;
        let line = bench.refusal(&[PROFIT_AND_LOSS], &["2025-12"]).await;
        let start = format!(
            "pulling quickbooks_profit_and_loss 2025-12: GET {}/v3/company/{REALM}/reports/ProfitAndLoss: ",
            bench.server.url()
        );
        assert!(line.starts_with(&start) && line.ends_with(end), "{line}\nwanted {end}");
        assert_eq!(bench.asked().len(), requests, "{line}");
    }
}

#[tokio::test]
async fn a_connection_that_is_refused_resets_or_stalls_is_told_apart() {
    let mut bench = Bench::with_faults(FaultPlan::new().on(REPORTS, 1.., Fault::CutBody(100))).await;
    let line = bench.refusal(&[PROFIT_AND_LOSS], &["2025-12"]).await;
    assert!(
        line.contains("/ProfitAndLoss: the answer broke off: ") && line.ends_with("gave up after 3 tries"),
        "{line}"
    );

    bench.server.set_faults(FaultPlan::new().on(REPORTS, 1.., Fault::Stall));
    bench.config.limits.http_timeout_secs = 1;
    bench.config.limits.tries = 2;
    let started = Instant::now();
    let line = bench.refusal(&[PROFIT_AND_LOSS], &["2025-12"]).await;
    assert!(line.ends_with("no complete answer within 1 s, gave up after 2 tries"), "{line}");
    assert!(started.elapsed() < Duration::from_secs(10));

    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    bench.quickbooks().base_url = format!("http://{free}");
    let line = bench.refusal(&[PROFIT_AND_LOSS], &["2025-12"]).await;
    assert!(line.contains("/ProfitAndLoss: cannot connect: ") && line.ends_with("gave up after 2 tries"), "{line}");
}

#[tokio::test]
async fn the_servers_wish_to_wait_is_honoured_up_to_the_limit() {
    // The clock stands at 08:00:00.
    for wish in ["1", "Wed, 21 Jan 2026 08:00:01 GMT", "2026-01-21T02:00:01-06:00"] {
        let busy = Fault::Reply(Reply::text(429, "").with("Retry-After", wish));
        let mut bench = Bench::with_faults(FaultPlan::new().on(REPORTS, 1..=1, busy)).await;
        bench.config.limits.max_backoff_secs = 5;
        let started = Instant::now();
        bench.night().await.unwrap();
        let waited = started.elapsed();
        assert!(waited >= Duration::from_secs(1) && waited < Duration::from_secs(5), "{wish}: {waited:?}");
    }
    let busy = Fault::Reply(Reply::text(503, "").with("Retry-After", "3600"));
    let mut bench = Bench::with_faults(FaultPlan::new().on(REPORTS, 1..=1, busy)).await;
    bench.config.limits.max_backoff_secs = 1;
    let started = Instant::now();
    bench.night().await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test]
async fn requests_in_flight_are_limited() {
    let mut bench = Bench::start(|options| {
        options.work = Duration::from_millis(100);
        options.requests_at_once = 2;
    })
    .await;
    bench.config.limits.http_concurrency = 2;
    bench.config.limits.tries = 1;
    bench.pull(&ALL, &MONTHS).await.unwrap();
    assert_eq!(bench.asked().len(), 9);
}
