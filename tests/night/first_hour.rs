//! The first hour: consent, every source asked whether it is ready, and a look at what a run would do.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Stdio};

use marts::sandbox::http::{Fault, FaultPlan, Reply};
use marts::sandbox::tds::{self, SqlError, StatementFault};
use marts::sandbox::world::REALM;
use serde_json::Value;

use super::stage::{Stage, as_of};

/// The rows of `marts check --json`, of a job of an organisation.
fn ready(checked: &Value, org: &str, job: &str) -> Value {
    let mut rows = checked.as_array().unwrap().iter();
    rows.find(|row| row["org"] == org && row["subject"] == job)
        .unwrap_or_else(|| panic!("{org} {job}: {checked}"))
        .clone()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_source_is_asked_and_says_that_it_is_ready() {
    let stage = Stage::start().await;
    let checked = json(&stage.ends(&["--json", "check"], 0).0);
    for row in checked.as_array().unwrap() {
        assert_eq!(row["problems"], serde_json::json!([]), "{row}");
        let is_asked = row["left_out"].is_null() && (row["org"] != "" || row["subject"] == "[postgres]");
        assert_eq!(row["answered"].is_string(), is_asked, "{row}");
    }
    for (org, job, said) in [
        ("bennett", "etl_sales_daily", "InvoiceReg"),
        ("vital", "etl_quickbooks_financial", "its reports can be read"),
        (
            "vital",
            "etl_hubspot_contacts",
            "contacts, lifecycle stages, deals, pipelines, archived pipelines can be read, and both searches",
        ),
        ("vital", "etl_zoom_metrics", "phone/call_history, report/daily can be read"),
        ("vital", "etl_case_metrics", "Case_Data_Summary_NOPHI can be read"),
        ("vital", "etl_app_analytics", "daily tables, the newest of "),
    ] {
        let answered = ready(&checked, org, job)["answered"].as_str().unwrap().to_owned();
        assert!(answered.contains(said), "{job}: {answered}");
    }
    // Nothing is landed, no run is written down, and each source was asked once for all jobs that need it.
    assert!(stage.staged().is_empty(), "{:?}", stage.staged());
    assert_eq!(stage.value("select count(*) from etl_runs"), "0");
    assert_eq!(stage.world.hubspot.log().len(), 7, "{:?}", stage.world.hubspot.log());
    assert_eq!(
        stage.world.quickbooks.log().iter().filter(|request| request.request.path.contains("/reports/")).count(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_source_refuses_is_told_in_its_own_words() {
    let stage = Stage::start().await;
    let scopes = r#"{"status":"error","message":"This app hasn't been granted all required scopes to make this call.","category":"MISSING_SCOPES","correlationId":"1"}"#;
    let faults = FaultPlan::new().on("GET */deals*", 1.., Fault::reply(Reply::json(403, scopes)));
    stage.world.hubspot.set_faults(faults);
    let zoom = r#"{"code":4711,"message":"Invalid access token, does not contain scopes:[phone:read:list_call_queues:admin]."}"#;
    stage.world.zoom.set_faults(FaultPlan::new().on(
        "GET */phone/call_queues",
        1..,
        Fault::reply(Reply::json(400, zoom)),
    ));
    stage.world.quickbooks.revoke(REALM);
    let denied = StatementFault::Error(SqlError::known(229));
    stage.world.softbase.set_faults(tds::FaultPlan::one(tds::Fault::statement("[InvoiceReg]", denied).times(99)));
    let (text, error) = stage.ends(&["--json", "check"], 2);
    assert_eq!(error.lines().count(), 1, "{error}");
    let checked = json(&text);
    for (org, job, said) in [
        ("bennett", "etl_sales_daily", "229"),
        ("vital", "etl_quickbooks_financial", "invalid_grant"),
        ("vital", "etl_hubspot_deals", "MISSING_SCOPES"),
        ("vital", "etl_zoom_metrics", "phone:read:list_call_queues:admin"),
    ] {
        let problems = ready(&checked, org, job)["problems"].as_array().unwrap().clone();
        assert!(problems.len() == 1 && problems[0].as_str().unwrap().contains(said), "{job}: {problems:?}");
    }
    // What is ready is said to be, beside it.
    assert!(ready(&checked, "vital", "etl_case_metrics")["answered"].is_string(), "{checked}");
    // Nobody waits for second tries.
    assert_eq!(stage.world.softbase.statements().iter().filter(|sql| sql.contains("[InvoiceReg]")).count(), 1);
    // Whoever wants to know only what is configured asks nobody.
    stage.ends(&["check", "--offline"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_is_told_and_the_sources_are_asked_all_the_same() {
    let stage = Stage::start().await;
    let url = if stage.is_embedded() { "" } else { "secrets/postgres-url" };
    if url.is_empty() {
        stage.amend("[postgres]\nurl = \"file:secrets/postgres-url\"\n");
    }
    std::fs::write(stage.folder.path().join("secrets/postgres-url"), "postgres://nobody@127.0.0.1:1/none").unwrap();
    let checked = json(&stage.ends(&["--json", "check"], 2).0);
    let postgres = ready(&checked, "", "[postgres]")["problems"].as_array().unwrap().clone();
    assert!(postgres.len() == 1 && postgres[0].as_str().unwrap().contains("127.0.0.1"), "{postgres:?}");
    assert!(ready(&checked, "vital", "etl_hubspot_deals")["answered"].is_string());
    let quickbooks = ready(&checked, "vital", "etl_quickbooks_financial")["problems"].as_array().unwrap().clone();
    assert!(quickbooks[0].as_str().unwrap().contains("kept in the database"), "{quickbooks:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_says_what_a_run_then_does() {
    let stage = Stage::start().await;
    let day = as_of().to_string();
    let plan = |arguments: &[&str]| json(&stage.ends(&[&["--json", "plan", "--as-of", &day], arguments].concat(), 0).0);
    let first = plan(&[]);
    let of = |plan: &Value, org: &str, job: &str| {
        let mut jobs = plan.as_array().unwrap().iter();
        jobs.find(|forecast| forecast["org"] == org && forecast["job"] == job).unwrap().clone()
    };
    let pull = |plan: &Value, org: &str, dataset: &str| {
        let mut pulls = plan.as_array().unwrap().iter().filter(|forecast| forecast["org"] == org);
        pulls
            .find_map(|forecast| {
                forecast["pulls"].as_array().unwrap().iter().find(|pull| pull["dataset"] == dataset).cloned()
            })
            .unwrap()
    };
    assert_eq!(of(&first, "bennett", "etl_sales_daily")["rows"], 45);
    // Nobody has been asked yet, so nobody knows; a statement is a statement all the same.
    assert!(pull(&first, "vital", "hubspot_contacts")["requests"].is_null(), "{first}");
    assert_eq!(
        pull(&first, "bennett", "softbase_invoices")["requests"],
        pull(&first, "bennett", "softbase_invoices")["partitions"]
    );
    assert!(stage.world.hubspot.log().is_empty() && stage.staged().is_empty());

    stage.night(&[], 0);
    let pulls = stage.staged().iter().filter(|path| path.ends_with("pull.json")).count();
    let planned = |plan: &Value| -> u64 {
        let forecasts = plan.as_array().unwrap().iter();
        forecasts
            .flat_map(|forecast| forecast["pulls"].as_array().unwrap().clone())
            .map(|pull| pull["partitions"].as_u64().unwrap())
            .sum()
    };
    assert_eq!(planned(&first), pulls as u64, "as many pulls as were planned");

    // The next night costs what this one did: as many requests for the listing, as many bytes to the page.
    let second = plan(&[]);
    let contacts = pull(&second, "vital", "hubspot_contacts");
    let listing =
        stage.world.hubspot.log().iter().filter(|request| request.request.path.ends_with("/contacts")).count();
    let searches =
        stage.world.hubspot.log().iter().filter(|request| request.request.path.ends_with("/contacts/search")).count();
    assert_eq!(contacts["requests"].as_u64().unwrap(), (listing + searches) as u64, "{contacts}");
    let folder = stage.folder.path().join("staging/hubspot_contacts");
    let landed: u64 = super::stage::files(&folder).iter().map(|file| file.metadata().unwrap().len()).sum();
    assert_eq!(contacts["bytes"].as_u64().unwrap(), landed);
    assert!(pull(&second, "vital", "ga4_events")["scanned"].as_u64().unwrap() > 0);
    // From staging nothing is pulled, and for people it reads as a table.
    let staged = plan(&["--from-staging"]);
    assert_eq!(planned(&staged), 0, "{staged}");
    let (text, _) = stage.ends(&["plan", "--as-of", &day, "etl_sales_daily"], 0);
    assert!(text.contains("softbase_invoices") && text.contains(" requests, "), "{text}");
    // A snapshot of a day gone by that was never taken: the run would fail, and so says the plan.
    let (text, _) = stage.ends(&["plan", "etl_hubspot_deals", "--as-of", "2026-01-10"], 1);
    assert!(text.contains("would fail: ") && text.contains("was never taken"), "{text}");
}

/// A consent that has begun: the process, and the address that it shows.
fn auth(stage: &Stage, arguments: &[&str]) -> (Child, BufReader<std::process::ChildStderr>, String) {
    let mut command = stage.command(&[&["auth", "quickbooks", "--org", "vital"], arguments].concat());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("http") {
        line.clear();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "no address is shown");
    }
    (child, stderr, line.trim().to_owned())
}

/// Waits for its end; its code, and what else it said.
fn end(mut child: Child, mut stderr: BufReader<std::process::ChildStderr>) -> (Option<i32>, String) {
    let mut said = String::new();
    stderr.read_to_string(&mut said).unwrap();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap().code(), said)
}

fn browser(follows: bool) -> reqwest::Client {
    let policy = if follows { reqwest::redirect::Policy::default() } else { reqwest::redirect::Policy::none() };
    reqwest::Client::builder().redirect(policy).build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn consent_in_a_browser_is_all_that_quickbooks_needs() {
    let stage = Stage::start().await;
    // No token comes from anywhere else.
    stage.reword("refresh_token = \"file:secrets/quickbooks-refresh-token\"", "");
    let (text, _) = stage.night(&["etl_quickbooks_financial"], 1);
    assert!(text.contains("nobody has given consent yet; `marts auth quickbooks --org vital`"), "{text}");

    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let redirect = format!("http://localhost:{port}/callback");
    let (child, stderr, url) = auth(&stage, &["--redirect-url", &redirect]);
    // Somebody else's page, and a code that nobody asked for, change nothing.
    let stray = browser(true).get(format!("http://127.0.0.1:{port}/favicon.ico")).send().await.unwrap();
    assert_eq!(stray.status(), 404);
    let page = browser(true).get(&url).send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert!(page.text().await.unwrap().contains("You can close this page"));
    let (code, said) = end(child, stderr);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("the tokens of vital/quickbooks are stored, encrypted; unused they end on 20"), "{said}");
    stage.night(&["etl_quickbooks_financial"], 0);

    // Consent again, from another machine: the address is brought by hand. The tokens before it are dead by then.
    let (mut child, stderr, url) = auth(&stage, &["--paste", "--redirect-url", "https://example.com/callback"]);
    let sent = browser(false).get(&url).send().await.unwrap();
    let address = sent.headers()["location"].to_str().unwrap().to_owned();
    assert!(address.starts_with("https://example.com/callback?code="), "{address}");
    writeln!(child.stdin.take().unwrap(), "{address}").unwrap();
    let (code, said) = end(child, stderr);
    assert_eq!(code, Some(0), "{said}");
    stage.night(&["etl_quickbooks_financial"], 0);
    assert_eq!(stage.value("select count(*) from oauth_tokens"), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_tokens_change_their_key_and_go_on() {
    let stage = Stage::start().await;
    let (key, old) = (stage.folder.path().join("secrets/token-key"), stage.folder.path().join("secrets/old-key"));
    let rekey = ["rekey", "--from", &format!("file:{}", old.display())];
    std::fs::copy(&key, &old).unwrap();
    let (_, error) = stage.ends(&rekey, 1);
    assert!(error.contains("no tokens are stored"), "{error}");
    stage.night(&["etl_quickbooks_financial"], 0);
    std::fs::write(&key, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap();
    let (text, _) = stage.night(&["etl_quickbooks_financial"], 1);
    assert!(text.contains("is not the key they were encrypted with"), "{text}");
    let (text, _) = stage.ends(&rekey, 0);
    assert_eq!(text, "1 rows are under the new key now, 0 were already\n");
    stage.night(&["etl_quickbooks_financial"], 0);
    assert_eq!(stage.ends(&rekey, 0).0, "0 rows are under the new key now, 1 were already\n");
    let (_, error) = stage.ends(&["rekey", "--from", "c2VjcmV0"], 2);
    assert!(error.contains("and not the key itself"), "{error}");
    assert_eq!(stage.rows("select version > 1 from oauth_tokens"), [["t"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_that_is_none_stores_nothing() {
    let stage = Stage::start().await;
    for (change, said) in [
        ("state=", "belongs to another request"),
        ("realmId=9", "consent was given for the company 9"),
        ("error=access_denied&x=", "consent was not given: access_denied"),
        ("code=x", "the code was not accepted (invalid_grant)"),
    ] {
        let (mut child, stderr, url) = auth(&stage, &["--paste"]);
        let sent = browser(false).get(&url).send().await.unwrap();
        let mut address = url::Url::parse(sent.headers()["location"].to_str().unwrap()).unwrap();
        let (name, value) = change.split_once('=').unwrap();
        let kept: Vec<(String, String)> = address
            .query_pairs()
            .filter(|(key, _)| key != name)
            .map(|(key, value)| (key.into(), value.into()))
            .collect();
        address.query_pairs_mut().clear().extend_pairs(kept).append_pair(name, value.split('&').next().unwrap());
        writeln!(child.stdin.take().unwrap(), "{address}").unwrap();
        let (code, text) = end(child, stderr);
        assert_eq!(code, Some(1), "{change}: {text}");
        assert!(text.contains(said), "{change}: {text}");
    }
    let (_, error) =
        stage.ends(&["auth", "quickbooks", "--org", "vital", "--redirect-url", "https://example.com/x"], 1);
    assert!(error.contains("give consent with --paste"), "{error}");
    let (_, error) = stage.ends(&["auth", "quickbooks", "--org", "bennett"], 2);
    assert!(error.contains("bennett has no [org.quickbooks]"), "{error}");
    assert_eq!(stage.value("select count(*) from oauth_tokens"), "0");
}
