//! Nights that go wrong: what fails fails alone, says why, and leaves everything as it was.

use std::process::Stdio;
use std::time::{Duration, Instant};

use chrono::Days;
use marts::sandbox::http::{Fault, FaultPlan, Reply};
use marts::sandbox::tds::{self, Break, SqlError, StatementFault};
use marts::sandbox::world::REALM;
use rust_decimal::Decimal;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::closed::{more_labour, revenue, serve};
use super::stage::{Stage, as_of};

/// Few tries and no waits, so that giving up takes no time.
const IMPATIENT: &str = "[limits]\ntries = 2\nfirst_backoff_millis = 1\nmax_backoff_secs = 1\nhttp_timeout_secs = 2\n";

/// Rows of the two marts with the number of changes, in one answer; and the landing zone's files.
type Everything = (String, Vec<std::path::PathBuf>);

fn everything(stage: &Stage) -> Everything {
    let sql = "select 'sales' as what, id, to_jsonb(m)::text as cells from mart_sales_daily m
               union all select 'metrics', id, to_jsonb(m)::text from mart_financial_metrics m
               union all select 'changes', count(*), '' from etl_changes
               order by what, id";
    (stage.ends(&["postgres", "--format", "json", sql], 0).0, stage.staged())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_fails_leaves_the_mart_and_the_winners_as_they_were() {
    let stage = Stage::start().await;
    stage.amend(IMPATIENT);
    stage.night(&[], 0);
    let before = everything(&stage);

    let http = |fault: Fault| FaultPlan::new().on("GET *", .., fault);
    let bad_days: Vec<(&str, FaultPlan, &str)> = vec![
        ("500", http(Fault::reply(Reply::json(500, "{}"))), "500 Internal Server Error, gave up after 2 tries"),
        ("429", http(Fault::reply(Reply::json(429, "{}"))), "429 Too Many Requests, gave up after 2 tries"),
        ("cut", http(Fault::CutBody(40)), "gave up after 2 tries"),
        ("empty", http(Fault::empty()), "gave up after 2 tries"),
        ("null", http(Fault::null()), "gave up after 2 tries"),
        ("reset", http(Fault::Reset), "gave up after 2 tries"),
        ("stall", http(Fault::Stall), "gave up after 2 tries"),
    ];
    for (name, faults, said) in bad_days {
        stage.world.quickbooks.set_faults(faults);
        let (table, _) = stage.night(&["etl_quickbooks_financial"], 1);
        assert!(table.contains("FAILED") && table.contains(said), "{name}: {table}");
        assert_eq!(everything(&stage), before, "{name}");
    }
    stage.world.quickbooks.set_faults(FaultPlan::new());

    // Rows that end in an error are no rows.
    let broken = StatementFault::AfterRows(100, Break::Error(SqlError::known(1205)));
    stage.world.softbase.set_faults(tds::FaultPlan::one(tds::Fault::statement("InvoiceReg", broken).times(99)));
    let (table, _) = stage.night(&["etl_sales_daily"], 1);
    assert!(table.contains("pulling softbase_invoices"), "{table}");
    assert_eq!(everything(&stage), before);
    // Nor are those that came before, when what belongs to them does not come.
    let broken = StatementFault::AfterRows(100, Break::Error(SqlError::known(1205)));
    stage.world.softbase.set_faults(tds::FaultPlan::one(tds::Fault::statement("[WO]", broken).times(99)));
    let (table, _) = stage.night(&["etl_sales_daily"], 1);
    assert!(table.contains("pulling softbase_work_orders"), "{table}");
    assert_eq!(everything(&stage), before);
    let reason = stage.value("select error from etl_runs where status = 'failed' and job = 'etl_sales_daily' limit 1");
    assert!(reason.contains("etl_sales_daily/bennett 2026-01-20"), "{reason}");
    assert_eq!(stage.value("select count(*) from etl_runs where status = 'running'"), "0");

    // The same night with one of the two broken is published in part.
    stage.world.softbase.set_faults(tds::FaultPlan::default());
    stage.world.quickbooks.set_faults(http(Fault::reply(Reply::json(500, "{}"))));
    let (table, _) = stage.night(&[], 3);
    let all = super::stage::MARTS;
    assert!(table.contains(&format!("{} of {all} marts published", all - 1)), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_that_pass_are_outlived() {
    let stage = Stage::start().await;
    stage.amend("[limits]\ntries = 4\nfirst_backoff_millis = 1\nmax_backoff_secs = 1\n");
    let plan = FaultPlan::new()
        .on("GET */reports/ProfitAndLoss", 1..=1, Fault::reply(Reply::json(503, "{}")))
        .on("GET */reports/BalanceSheet", 1..=1, Fault::CutBody(100))
        .on("GET */reports/CashFlow", 1..=1, Fault::null());
    stage.world.quickbooks.set_faults(plan);
    let fault = |text: &str, broken: Break| tds::Fault::statement(text, StatementFault::AfterRows(50, broken));
    let plan = tds::FaultPlan::one(fault("InvoiceReg", Break::Reset)).and(fault("[WO]", Break::Close));
    stage.world.softbase.set_faults(plan);
    let (table, _) = stage.night(&[], 0);
    let all = super::stage::MARTS;
    assert!(table.contains(&format!("{all} of {all} marts published")), "{table}");
    let invoices = stage
        .ends(&["query", "--format", "csv", "select count(*) - count(distinct invoice_no) from softbase_invoices"], 0);
    assert_eq!(invoices.0.lines().nth(1), Some("0"), "nothing was landed twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organisation_without_credentials_fails_alone() {
    let stage = Stage::start().await;
    std::fs::remove_file(stage.folder.path().join("secrets/softbase-password")).unwrap();
    let (table, _) = stage.night(&[], 3);
    assert!(table.contains("softbase-password"), "{table}");
    assert_eq!(stage.value("select count(*) from mart_sales_daily"), "0");
    assert_eq!(stage.value("select count(*) from mart_financial_metrics"), "14");
    let (checked, _) = stage.ends(&["check"], 2);
    assert!(checked.contains("softbase-password"), "{checked}");
    let wrong = stage.folder.path().join("secrets/softbase-password");
    std::fs::write(wrong, "not-the-password").unwrap();
    let (table, _) = stage.night(&["etl_sales_daily"], 1);
    assert!(table.contains("18456") || table.to_lowercase().contains("login"), "{table}");
    assert!(!table.contains("not-the-password"), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_is_told_who_holds_the_mart() {
    let stage = Stage::start().await;
    // The first run waits in the middle of a pull.
    let slow = tds::Fault::statement("InvoiceReg", StatementFault::Delay(Duration::from_secs(6)));
    stage.world.softbase.set_faults(tds::FaultPlan::one(slow));
    let as_of = as_of().to_string();
    let mut first = stage
        .command(&["run", "etl_sales_daily", "--as-of", &as_of])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while !stage.world.softbase.statements().iter().any(|sql| sql.contains("InvoiceReg]")) {
        assert!(began.elapsed() < Duration::from_secs(30), "the first run never asked");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let output = stage.marts(&["run", "etl_sales_daily", "--as-of", &as_of]);
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    if stage.is_embedded() {
        assert!(said.contains(&format!("in use by process {}", first.id())), "{said}");
    } else {
        assert!(said.contains("is being filled by another run: marts"), "{said}");
    }
    let ended = tokio::task::block_in_place(|| first.wait()).unwrap();
    assert_eq!(ended.code(), Some(0), "the first run is not disturbed");
    assert_eq!(stage.value("select count(*) from mart_sales_daily"), "45");
    assert_eq!(stage.value("select count(*) from etl_runs"), "1", "the second one did nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_killed_leaves_nothing_but_what_the_next_one_sweeps() {
    let stage = Stage::start().await;
    stage.night(&[], 0);
    let before = everything(&stage);
    let stall = StatementFault::AfterRows(10, Break::Stall(Duration::from_secs(60)));
    stage.world.softbase.set_faults(tds::FaultPlan::one(tds::Fault::statement("InvoiceReg", stall)));
    let as_of = as_of().to_string();
    let mut run = stage.command(&["run", "etl_sales_daily", "--as-of", &as_of]).stderr(Stdio::null()).spawn().unwrap();
    let staging = stage.folder.path().join("staging");
    let half = |stage: &Stage| super::stage::files(&staging).len() > stage.staged().len();
    let began = Instant::now();
    while !half(&stage) {
        assert!(began.elapsed() < Duration::from_secs(30), "the run never landed anything");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    run.kill().unwrap();
    run.wait().unwrap();
    assert!(half(&stage), "the kill came too late");
    assert_eq!(everything(&stage), before);
    stage.world.softbase.set_faults(tds::FaultPlan::default());
    stage.night(&["etl_sales_daily"], 0);
    assert!(!half(&stage), "what was cut short is swept");
    assert_eq!(everything(&stage).0, before.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_killed_while_it_publishes_leaves_the_rows_as_they_were() {
    let stage = Stage::start().await;
    // Somebody else has to hold a row, and the embedded server has room for the binary alone: see faults::kills.
    let Some(url) = stage.database_url() else { return };
    stage.night(&[], 0);
    let (before, paid) = (everything(&stage), revenue(&stage, "2026-01-12"));
    serve(&stage, |register| more_labour(register, "2026-01-12"));
    let mut holder = PgConnection::connect(&url).await.unwrap();
    let mut watcher = PgConnection::connect(&url).await.unwrap();
    let mut hold = holder.begin().await.unwrap();
    let held = sqlx::query("select 1 from mart_sales_daily where sales_date = '2026-01-12' for update");
    assert_eq!(held.fetch_all(&mut *hold).await.unwrap().len(), 1);

    let as_of = as_of().to_string();
    let mut run =
        stage.command(&["run", "--as-of", &as_of]).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let mut others = async |condition: &str| -> i64 {
        let sql = format!(
            "select count(*) from pg_stat_activity
             where datname = current_database() and application_name like 'marts%' and {condition}"
        );
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut watcher).await.unwrap()
    };
    let began = Instant::now();
    while others("wait_event_type = 'Lock' and query ilike '%mart_sales_daily%'").await == 0 {
        assert!(began.elapsed() < Duration::from_secs(60), "the run never came to publish");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    run.kill().unwrap();
    run.wait().unwrap();
    hold.rollback().await.unwrap();
    // The server goes on with the statement, and finds nobody to tell.
    while others("true").await > 0 {
        assert!(began.elapsed() < Duration::from_secs(60), "the server never noticed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(everything(&stage).0, before.0);
    // The next night publishes what this one did not.
    stage.night(&[], 0);
    assert_eq!(revenue(&stage, "2026-01-12"), paid + Decimal::from(100));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_token_is_there_when_the_next_process_starts() {
    let stage = Stage::start().await;
    let alive = || stage.world.quickbooks.refresh_token(REALM).unwrap();
    let seed = alive();
    stage.night(&["etl_quickbooks_financial"], 0);
    let rotated = alive();
    assert_ne!(rotated, seed);
    // A day later, so that the access token has died as well.
    stage.turn_to(as_of() + Days::new(1));
    stage.night(&["etl_quickbooks_financial"], 0);
    let log = stage.world.quickbooks.log();
    let refreshed: Vec<String> = log.iter().filter_map(|it| it.request.form("refresh_token")).collect();
    assert_eq!(refreshed, [seed, rotated], "what the first process was given, and not what marts.toml says");
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_mistakes_end_with_2_and_one_line() {
    let stage = Stage::start().await;
    for (arguments, said) in [
        (vec!["run", "--org", "vitall"], "vitall"),
        (vec!["run", "etl_nothing"], "etl_nothing"),
        (vec!["run", "--as-of", "2026-02-30"], "2026-02-30"),
        (vec!["run", "--from", "2026-01-02", "--to", "2026-01-01"], "before"),
        (vec!["run", "--as-of", "2999-01-01"], "2999-01-01"),
        (vec!["run", "etl_sales_daily", "--org", "vital"], "nothing to do"),
        (vec!["show", "20000101"], "no run"),
        (vec!["query", "copy (select 1) to 'x.csv'"], "SELECT"),
        (vec!["sql", "etl_sales_daily", "--org", "vital"], "connector"),
    ] {
        let (_, error) = stage.ends(&arguments, 2);
        assert!(error.contains(said), "{arguments:?}: {error}");
    }
    stage.reword("timezone", "tmezone");
    let (_, error) = stage.ends(&["run"], 2);
    assert!(error.contains("tmezone") && error.contains("did you mean"), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}
