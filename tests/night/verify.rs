//! `marts verify` through the front door: sources that agree, numbers that were tampered with, sources that fall silent, or
//! know only the present.

use std::collections::BTreeSet;

use chrono::Days;
use marts::jobs::JOBS;
use marts::sandbox::business::{Cell, TableData};
use marts::sandbox::http::{Fault, FaultPlan, Reply};
use marts::sandbox::tds::{self, SqlError, StatementFault};
use marts::sandbox::world::WorldOptions;
use marts::verify::questions::QUESTIONS;
use rust_decimal::Decimal;
use serde_json::Value;

use super::closed::{serve, void};
use super::stage::{Stage, as_of};

/// Few tries and no waits, so that giving up takes no time.
pub const IMPATIENT: &str = "[limits]\ntries = 2\nfirst_backoff_millis = 1\nmax_backoff_secs = 1\n";

async fn stage() -> Stage {
    Stage::with(WorldOptions { ledgers: true, ..Stage::options(7, as_of()) }).await
}

fn verified(stage: &Stage, arguments: &[&str], code: i32) -> Value {
    let output = stage.marts(&[&["verify", "--json"], arguments].concat());
    let answer: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {:#?}", apart(&answer));
    answer
}

/// The cells of an answer that are not equal: organisation, column, what is published, what the source says, outcome.
fn apart(answer: &Value) -> Vec<[String; 5]> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let cells = answer["compared"].as_array().unwrap().iter().filter(|cell| cell["outcome"] != "equal");
    cells.map(|cell| ["org", "column", "published", "source", "outcome"].map(|name| text(&cell[name]))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_good_night_every_source_confirms_every_number_it_is_asked_about() {
    let stage = stage().await;
    stage.night(&[], 0);
    let answer = verified(&stage, &[], 0);
    assert_eq!(apart(&answer), Vec::<[String; 5]>::new());
    assert_eq!(answer["not_asked"], serde_json::json!([]));

    // Each question was put, to each organisation whose mart it is about; nothing was passed over.
    let cells = answer["compared"].as_array().unwrap();
    let asked: BTreeSet<(&str, &str, &str)> = cells
        .iter()
        .map(|cell| {
            let column = cell["column"].as_str().unwrap();
            let column = column.split(" / ").next().unwrap();
            (cell["org"].as_str().unwrap(), cell["job"].as_str().unwrap(), column)
        })
        .collect();
    let mut expected = BTreeSet::new();
    for question in QUESTIONS {
        let orgs: &[&str] = match question.connector.name() {
            "softbase" | "softbase.ledger" => &["bennett", "ips"],
            _ => &["vital"],
        };
        for org in orgs {
            expected.extend(question.columns.iter().map(|column| (*org, question.job, *column)));
        }
    }
    assert_eq!(asked, expected);
    // Numbers that are all zero would agree by accident.
    let zeros = cells.iter().filter(|cell| cell["published"].as_str().unwrap().parse::<f64>().unwrap() == 0.0).count();
    assert!(zeros * 5 < cells.len(), "{zeros} of {} are zero", cells.len());

    // What was answered is kept, for the organisation's own eyes.
    let verification = answer["verification"].as_str().unwrap();
    let kept = stage.rows(&format!(
        "select outcome, count(*), count(published_value), count(source_value), count(error), count(run_id)
        from etl_verifications where verification_id = '{verification}' group by 1"
    ));
    let count = cells.len().to_string();
    assert_eq!(kept, [["equal", &count, &count, &count, "0", "0"]]);

    // A month is all of its days, or that month of a monthly mart; the source is asked about each.
    let answer = verified(&stage, &["etl_sales_daily", "etl_cash_flow", "--org", "bennett", "--period", "2026-01"], 0);
    let days: BTreeSet<_> =
        answer["compared"].as_array().unwrap().iter().map(|cell| cell["period"].to_string()).collect();
    assert_eq!(days.len(), 20);
    let months = verified(&stage, &["etl_quickbooks_financial", "--period", "2025-03"], 0);
    assert_eq!(months["compared"].as_array().unwrap().len(), 11 * 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_was_tampered_with_is_told_by_every_source() {
    let stage = stage().await;
    stage.night(&[], 0);
    let own = |org: &str| format!("org_id = (select id from organizations where slug = '{org}')");
    let tampered = [
        ("bennett", "mart_sales_daily", "total_revenue", "0.01", "sales_date = '2026-01-20'"),
        ("bennett", "mart_sales_daily", "open_work_orders", "1", "sales_date = '2026-01-20'"),
        ("ips", "mart_rental_fleet", "rented_units", "-1", "true"),
        ("bennett", "mart_rental_fleet", "rental_revenue_ytd", "2.50", "true"),
        ("vital", "mart_financial_metrics", "total_liabilities", "-0.01", "year = 2026"),
        ("bennett", "mart_financial_metrics", "total_equity", "0.01", "year = 2026"),
        ("ips", "mart_cash_flow", "operating_cash_flow", "0.01", "year = 2026"),
        ("vital", "mart_crm_contacts", "leads", "7", "true"),
        ("vital", "mart_crm_deals", "won_deals", "3", "true"),
        ("vital", "mart_zoom_metrics", "total_users", "5", "metric_date = '2026-01-20'"),
        ("vital", "mart_zoom_metrics", "total_participants", "1", "metric_date = '2026-01-20'"),
        ("vital", "mart_case_metrics", "new_cases_30d", "1", "true"),
        ("vital", "mart_app_analytics", "new_users", "1", "metric_date = '2026-01-20'"),
    ];
    let published: Vec<_> = (0_usize..)
        .zip(tampered)
        .map(|(at, (org, mart, column, _, row))| {
            format!("select {at} as at, {column}::text from {mart} where {} and {row}", own(org))
        })
        .collect();
    let published = stage.rows(&format!("{} order by at", published.join(" union all ")));
    let updates = tampered.map(|(org, mart, column, by, row)| {
        format!("update {mart} set {column} = {column} + {by} where {} and {row}", own(org))
    });
    stage.ends(&["postgres", &updates.join("; ")], 0);
    let number = |text: &str| text.parse::<Decimal>().unwrap().normalize().to_string();
    let expected: BTreeSet<_> = tampered
        .into_iter()
        .zip(&published)
        .map(|((org, _, column, by, _), was)| {
            let was: Decimal = was[1].parse().unwrap();
            let is = was + by.parse::<Decimal>().unwrap();
            [org.to_owned(), column.to_owned(), number(&is.to_string()), number(&was.to_string()), "differs".to_owned()]
        })
        .collect();
    let found = apart(&verified(&stage, &[], 1))
        .into_iter()
        .map(|[org, column, is, source, outcome]| [org, column, number(&is), number(&source), outcome]);
    assert_eq!(found.collect::<BTreeSet<_>>(), expected);

    // A label that the source does not have, and one that is missing, differ too.
    let first =
        stage.value("select min(label) from mart_case_metrics, jsonb_object_keys(cases_by_status) as it (label)");
    stage.rows(&format!(
        "update mart_case_metrics set cases_by_status = (cases_by_status - '{first}') || '{{\"Invented\": 2}}' returning 1"
    ));
    let answer = verified(&stage, &["etl_case_metrics"], 1);
    let found = apart(&answer).into_iter().map(|[_, column, published, source, _]| (column, published, source == "-"));
    let entry = |label: &str| format!("cases_by_status / {label}");
    let new = stage.value("select new_cases_30d from mart_case_metrics");
    assert_eq!(
        found.collect::<Vec<_>>(),
        [
            ("new_cases_30d".to_owned(), new, false),
            (entry("invented"), "2".to_owned(), true),
            (entry("(not in the mart)"), "-".to_owned(), false),
        ]
    );

    // One contact more or less is within what HubSpot's search trails behind: it is shown, and no difference.
    stage.rows("update mart_crm_contacts set leads = leads - 7, customers = customers - 1 returning 1");
    let answer = verified(&stage, &["etl_hubspot_contacts"], 0);
    let found: Vec<_> = apart(&answer).into_iter().map(|[_, column, _, _, outcome]| (column, outcome)).collect();
    assert_eq!(found, [("customers".to_owned(), "within".to_owned())]);

    // The same for people: a table of what is apart, and how it stands.
    let (table, _) = stage.ends(&["verify", "etl_sales_daily", "--org", "bennett"], 1);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("ORG") && lines[0].ends_with("OUTCOME"), "{table}");
    let words: Vec<_> = lines[1].split_whitespace().collect();
    assert_eq!((words[0], words[1], words[2]), ("bennett", "mart_sales_daily", "2026-01-20"));
    assert!(table.contains("+0.01") && table.contains("12 cells asked about: 10 equal, 2 DIFFER"), "{table}");
    let kept =
        stage.value("select count(*) from etl_verifications where outcome = 'differs' and mart = 'mart_sales_daily'");
    assert_eq!(kept, "4", "two of both verifications");
}

/// The cases of the stage, of which the one in the middle has this status.
fn with_status(stage: &Stage, status: &str) -> tds::Database {
    let mut book = (*stage.world.case_book).clone();
    book.options.planted = Some(("Workflow Status", status.to_owned()));
    marts::sandbox::cases::database(&book).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_typed_after_the_pull_is_counted_and_never_named() {
    let stage = Stage::start().await;
    stage.night(&["etl_case_metrics"], 0);
    stage.world.cases.set_database(with_status(&stage, "Waiting for Jane Quillfeather"));
    let (shown, told) = stage.ends(&["verify", "etl_case_metrics"], 1);
    let answer = verified(&stage, &["etl_case_metrics"], 1);
    let new = [
        "vital".to_owned(),
        "cases_by_status / (not in the mart)".to_owned(),
        "-".to_owned(),
        "1".to_owned(),
        "differs".to_owned(),
    ];
    let apart = apart(&answer);
    assert!(apart.len() == 2 && apart.contains(&new), "and one less of the status it had: {apart:?}");
    let kept = stage.rows("select column_name, error from etl_verifications").concat().join("|");
    assert!(kept.contains("(not in the mart)"), "{kept}");
    for text in [shown, told, answer.to_string(), kept] {
        assert!(!text.to_lowercase().contains("quillfeather"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_of_blanks_is_unknown_to_the_mart_and_to_the_question() {
    let stage = Stage::start().await;
    let unknown = "select cases_by_status ->> 'Unknown' from mart_case_metrics";
    stage.night(&["etl_case_metrics"], 0);
    let before: u32 = stage.value(unknown).parse().unwrap();
    for status in ["\t", "\u{a0} \t"] {
        stage.world.cases.set_database(with_status(&stage, status));
        stage.night(&["etl_case_metrics"], 0);
        assert_eq!(stage.value(unknown), (before + 1).to_string());
        assert_eq!(apart(&verified(&stage, &["etl_case_metrics"], 0)), Vec::<[String; 5]>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_silent_confirms_nothing_and_the_others_are_asked_all_the_same() {
    let stage = Stage::start().await;
    stage.amend(IMPATIENT);
    stage.night(&[], 0);
    let refused = StatementFault::Error(SqlError::known(1205));
    stage.world.softbase.set_faults(tds::FaultPlan::one(tds::Fault::statement("COUNT_BIG", refused).times(99)));
    let broken = FaultPlan::new().on("GET */reports/BalanceSheet", .., Fault::reply(Reply::json(503, "{}")));
    stage.world.quickbooks.set_faults(broken);
    stage.world.hubspot.set_faults(FaultPlan::new().on("POST *", .., Fault::reply(Reply::json(500, "{}"))));
    stage.world.bigquery.set_missing([as_of()]);
    let answer = verified(&stage, &[], 1);
    let silent: BTreeSet<_> = apart(&answer).into_iter().map(|[_, column, _, _, outcome]| (column, outcome)).collect();
    for column in
        ["total_revenue", "total_units", "total_assets", "total_contacts", "total_deals", "daily_active_users"]
    {
        assert!(silent.contains(&(column.to_owned(), "unanswered".to_owned())), "{column}: {silent:?}");
    }
    let all = answer["compared"].as_array().unwrap();
    let of = |outcome: &str| all.iter().filter(|cell| cell["outcome"] == outcome).count();
    assert_eq!(of("equal") + of("unanswered"), all.len());
    // The other reports of QuickBooks, Zoom and the cases have answered.
    let equal: BTreeSet<_> =
        all.iter().filter(|cell| cell["outcome"] == "equal").map(|cell| cell["job"].as_str().unwrap()).collect();
    assert_eq!(equal, BTreeSet::from(["etl_quickbooks_financial", "etl_zoom_metrics", "etl_case_metrics"]));
    let kept = stage.value("select count(*) from etl_verifications where outcome = 'unanswered' and error is not null");
    assert_eq!(kept, of("unanswered").to_string());

    let (table, _) = stage.ends(&["verify", "etl_quickbooks_financial"], 1);
    let line = table.lines().find(|line| line.starts_with("unanswered")).unwrap();
    assert!(
        line.contains("etl_quickbooks_financial/vital: asking BalanceSheet: GET http")
            && line.ends_with("503 Service Unavailable, gave up after 2 tries (6 cells)"),
        "{table}"
    );
    // An answer to another question is none.
    stage.world.quickbooks.set_faults(FaultPlan::new());
    let other = r#"{"Header": {"ReportName": "ProfitAndLoss", "StartPeriod": "2025-01-01"}}"#;
    stage.world.quickbooks.set_faults(FaultPlan::new().on("GET *", .., Fault::reply(Reply::json(200, other))));
    let (table, _) = stage.ends(&["verify", "etl_quickbooks_financial"], 1);
    assert!(table.contains("QuickBooks answered another question"), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_day_gone_by_only_what_sources_keep_can_be_asked() {
    let stage = Stage::start().await;
    stage.night(&[], 0);
    stage.turn_to(as_of() + Days::new(3));
    for job in ["etl_hubspot_contacts", "etl_hubspot_deals", "etl_case_metrics", "etl_rental_fleet"] {
        let (_, said) = stage.ends(&["verify", job], 2);
        assert!(said.contains("nothing was asked") && said.contains("the source knows only the present"), "{said}");
    }
    let answer = verified(&stage, &["etl_sales_daily", "etl_zoom_metrics"], 0);
    let columns: BTreeSet<_> =
        answer["compared"].as_array().unwrap().iter().map(|cell| cell["column"].as_str().unwrap()).collect();
    assert!(columns.contains("open_work_orders") && columns.contains("total_meetings"), "{columns:?}");
    assert!(!columns.contains("total_users"), "{columns:?}");
    let not_asked: Vec<_> = answer["not_asked"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|it| it["columns"].as_array().unwrap().clone())
        .collect();
    assert_eq!(not_asked, ["total_users", "phone_users", "queue_count"]);
    // It is told, and kept nowhere as if it were an answer.
    let (table, _) = stage.ends(&["verify", "etl_zoom_metrics"], 0);
    assert!(
        table.contains("not asked   etl_zoom_metrics/vital 2026-01-20: total_users: the source knows only"),
        "{table}"
    );
    assert_eq!(stage.value("select count(*) from etl_verifications where column_name = 'total_users'"), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_asked_is_a_mistake_of_whoever_asks() {
    let stage = Stage::start().await;
    for (arguments, said) in [
        (&["verify"][..], "nothing is published yet"),
        (&["verify", "etl_nothing"], "etl_nothing"),
        (&["verify", "--org", "nobody"], "nobody"),
        (&["verify", "--period", "January"], "not a period"),
        (&["verify", "etl_cash_flow"], "no organisation has a connector"),
    ] {
        let (_, stderr) = stage.ends(arguments, 2);
        assert!(stderr.contains(said), "{arguments:?}: {stderr}");
    }
    stage.night(&["etl_sales_daily"], 0);
    let (_, stderr) = stage.ends(&["verify", "--period", "2024-06"], 2);
    assert!(stderr.contains("no mart has a row of 2024-06"), "{stderr}");
}

#[test]
fn every_job_has_a_question_for_each_of_its_sources_and_every_question_a_reason() {
    for job in JOBS {
        let columns: BTreeSet<_> =
            marts::compute::mart_columns(job.mart).unwrap().into_iter().map(|it| it.name).collect();
        for source in job.sources {
            let questions: Vec<_> = marts::verify::questions::of(job.name, source.connector).collect();
            assert!(!questions.is_empty(), "{} from {} is asked about nothing", job.name, source.connector.name());
            let mut seen = BTreeSet::new();
            for question in questions {
                assert!(question.because.len() > 10 && question.text.len() > 10, "{question:?}");
                for column in question.columns {
                    assert!(columns.contains(*column), "{} has no column {column}", job.mart);
                    assert!(seen.insert(column), "{} is asked about {column} twice", job.name);
                }
            }
        }
    }
    let known: BTreeSet<_> =
        JOBS.iter().flat_map(|job| job.sources.iter().map(|it| (job.name, it.connector.name()))).collect();
    for question in QUESTIONS {
        assert!(known.contains(&(question.job, question.connector.name())), "{question:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_voided_years_after_its_day_is_void_and_the_source_says_so_too() {
    let stage = Stage::start().await;
    let on = "2026-01-12";
    let of_day = |register: &TableData, row: &[Cell]| {
        let at = |name: &str| register.position(name).unwrap();
        matches!(&row[at("InvoiceDate")], Cell::DateTime(instant) if instant.date().to_string() == on)
    };
    let sql = format!("select total_invoices, total_revenue from mart_sales_daily where sales_date = '{on}'");
    let run = ["run", "etl_sales_daily", "--as-of", "2026-01-20"];
    stage.ends(&run, 0);
    assert_ne!(stage.rows(&sql), [["0", "0.00"]]);
    // Two years and some weeks after the last day that is reported, and half a year before the source is asked.
    serve(&stage, |register| assert!(void(register, "2028-03-05", of_day) >= 5));
    stage.turn_to("2028-12-01".parse().unwrap());
    stage.ends(&run, 0);
    assert_eq!(stage.rows(&sql), [["0", "0.00"]]);
    let answer = verified(&stage, &["etl_sales_daily", "--period", on], 0);
    assert_eq!(apart(&answer), Vec::<[String; 5]>::new());
    // More than two years ahead of the day on which it is asked, it is a slip of the pen.
    serve(&stage, |register| assert!(void(register, "2030-12-03", of_day) >= 5));
    stage.ends(&run, 0);
    assert_ne!(stage.rows(&sql), [["0", "0.00"]]);
    let answer = verified(&stage, &["etl_sales_daily", "--period", on], 0);
    assert_eq!(apart(&answer), Vec::<[String; 5]>::new());
}

/// What verification may use of the crate: the transport, the calendar, the settings, the ledgers. Neither what pulls,
/// nor what is pulled, nor the SQL that makes marts of it.
#[test]
fn verification_shares_no_code_with_extraction_and_transforms() {
    const ALLOWED: &[&str] = &[
        "clock::",
        "compute::cell",
        "config::",
        "datasets::Connector",
        "extract::bigquery::one_row",
        "extract::http::",
        "extract::oauth::",
        "extract::sqlserver::",
        "extract::zoom::AccountCredentials",
        "jobs::",
        "ledger::RunId",
        "periods",
        "postgres::",
        // The driver's cells as plain values.
        "staging::Value",
    ];
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/verify");
    let mut files = 0;
    for path in super::stage::files(&folder) {
        let text = std::fs::read_to_string(&path).unwrap();
        files += 1;
        assert!(!text.contains("include_str!"), "{}", path.display());
        for part in text.split("crate::").skip(1) {
            assert!(ALLOWED.iter().any(|allowed| part.starts_with(allowed)), "{}: crate::{:.40}", path.display(), part);
        }
        for forbidden in ["job.sources", ".checks", ".explain", ".sql_name", "Catalog", "Select {", "sqlserver::Select"]
        {
            assert!(!text.contains(forbidden), "{} has {forbidden}", path.display());
        }
    }
    assert!(files >= 10, "{files}");
}
