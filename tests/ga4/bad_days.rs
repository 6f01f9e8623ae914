//! Days that go wrong: one clear line each, and nothing half-landed.

use marts::config::SecretRef;
use marts::sandbox::http::{Fault, FaultPlan, Reply};
use serde_json::{Value, json};

use super::bench::*;

const LIST: &str = "GET */tables";
const QUERY: &str = "POST */queries";
const PAGE: &str = "GET */queries/*";

fn error(status: u16, reason: &str, message: &str) -> Fault {
    let error = json!({ "message": message, "domain": "global", "reason": reason });
    let body = json!({ "error": { "code": status, "message": message, "errors": [error], "status": "STATUS" } });
    Fault::reply(Reply::json(status, body.to_string()))
}

/// What a pull of one day says when a route always misbehaves.
async fn said(route: &str, fault: Fault) -> String {
    let bench = Bench::start(|options| {
        options.faults = FaultPlan::new().on(route, .., fault);
        options.page_rows = 10;
    })
    .await;
    bench.refusal().await
}

#[tokio::test]
async fn refusals_end_at_once_with_what_bigquery_says() {
    let denied = "Access Denied: Table t: User does not have permission to query table t";
    for (route, fault, expected) in [
        (LIST, error(403, "accessDenied", denied), "403 Forbidden: BigQuery says accessDenied: Access Denied"),
        (QUERY, error(403, "quotaExceeded", "Quota exceeded"), "403 Forbidden: BigQuery says quotaExceeded"),
        (QUERY, error(400, "invalidQuery", "Unrecognized name: x"), "400 Bad Request: BigQuery says invalidQuery"),
        (
            PAGE,
            error(400, "invalid", "Invalid page token"),
            "400 Bad Request: BigQuery says invalid: Invalid page token",
        ),
        (PAGE, error(404, "notFound", "Not found: Job p:j"), "404 Not Found: BigQuery says notFound"),
        (QUERY, error(403, "responseTooLarge", "Response too large"), "responseTooLarge"),
        // Spellings that its client library cannot read.
        (
            QUERY,
            Fault::reply(Reply::json(403, "{\"error\": {\"status\": \"PERMISSION_DENIED\"}}")),
            "PERMISSION_DENIED",
        ),
        (QUERY, Fault::reply(Reply::json(404, "{}")), "404 Not Found"),
        (QUERY, Fault::reply(Reply::new(403, "text/html", "<html>no</html>")), "403 Forbidden with a page of HTML"),
        (QUERY, Fault::ContentType("text/html".into()), "200 OK with a page of HTML where JSON was asked for"),
        (QUERY, Fault::reply(Reply::json(200, "[1]")), "the answer is no result of a query"),
        (LIST, Fault::reply(Reply::json(200, "{}")), "the answer is no list of tables"),
        (QUERY, Fault::reply(Reply::json(200, "{}")), "the dry run gave no estimate"),
    ] {
        let line = said(route, fault).await;
        assert!(line.starts_with("pulling ga4_events"), "{line}");
        assert!(line.contains(expected), "{expected} is not in {line}");
        assert!(!line.contains("gave up"), "{line}");
    }
}

#[tokio::test]
async fn a_query_that_never_ends_is_left_and_its_job_named() {
    let mut bench = Bench::start(|options| options.polls = u32::MAX).await;
    bench.config.orgs[0].bigquery.as_mut().unwrap().query_timeout_secs = 1;
    let line = bench.refusal().await;
    assert!(line.starts_with("pulling ga4_events"), "{line}");
    assert!(line.contains("the query is still running after 1 s (query_timeout_secs); its job is "), "{line}");
    assert!(line.ends_with(", which was told to stop"), "{line}");
    assert_eq!((bench.asked("POST", "/cancel"), bench.server.stopped()), (1, 1));
}

#[tokio::test]
async fn a_query_that_cannot_be_told_to_stop_is_left_all_the_same() {
    for fault in [error(403, "accessDenied", "Access Denied"), Fault::reply(Reply::json(503, "{}")), Fault::Reset] {
        let mut bench = Bench::start(|options| {
            options.polls = u32::MAX;
            options.faults = FaultPlan::new().on("POST */cancel", .., fault);
        })
        .await;
        bench.bigquery().query_timeout_secs = 1;
        let line = bench.refusal().await;
        assert!(line.contains("still running after 1 s") && line.ends_with(", which may go on"), "{line}");
    }
}

#[tokio::test]
async fn a_list_of_tables_that_is_not_whole_is_refused() {
    let list = |page: serde_json::Value| Fault::reply(Reply::json(200, page.to_string()));
    let table = json!({ "tableReference": { "projectId": "p", "datasetId": "d", "tableId": "events_20260120" } });
    let first = json!({ "kind": "bigquery#tableList", "tables": [table], "totalItems": 2, "nextPageToken": "again" });
    // Whatever page is asked for, this one comes.
    let line = said(LIST, list(first.clone())).await;
    assert_eq!(line, "pulling ga4_events: listing the tables: the pages go round: a page token came twice");
    // A token that leads nowhere: the simulated server knows only its own.
    let bench = Bench::start(|options| options.faults = FaultPlan::new().on(LIST, 1..=1, list(first))).await;
    let line = bench.refusal().await;
    assert!(
        line.starts_with("pulling ga4_events: listing the tables: ") && line.contains("Invalid page token"),
        "{line}"
    );
    // Empty, though there are tables.
    let line = said(LIST, list(json!({ "kind": "bigquery#tableList", "totalItems": 7 }))).await;
    assert!(line.ends_with("the list of tables is empty, and says that there are 7"), "{line}");
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_given_up() {
    let html = |status| Fault::reply(Reply::new(status, "text/html", "<html>Error</html>"));
    for (route, fault, expected) in [
        (LIST, error(429, "rateLimitExceeded", "slow"), "429 Too Many Requests: BigQuery says rateLimitExceeded: slow"),
        (QUERY, error(403, "rateLimitExceeded", "slow"), "403 Forbidden: BigQuery says rateLimitExceeded"),
        (QUERY, Fault::reply(Reply::json(429, "")), "429 Too Many Requests"),
        (PAGE, html(429), "429 Too Many Requests"),
        (PAGE, error(500, "internalError", "m"), "500 Internal Server Error: BigQuery says internalError"),
        (QUERY, html(502), "502 Bad Gateway"),
        (QUERY, error(503, "backendError", "m"), "503 Service Unavailable: BigQuery says backendError"),
        (QUERY, Fault::CutBody(30), "the answer broke off"),
        (PAGE, Fault::BrokenBody(300), "200 OK with JSON that is cut off"),
        (QUERY, Fault::empty(), "200 OK with an empty answer"),
        (PAGE, Fault::null(), "200 OK with the word null"),
        (PAGE, Fault::reply(Reply::text(200, "OK")), "200 OK with something that is not JSON"),
        (LIST, Fault::Reset, "the answer broke off"),
        ("POST /token", Fault::reply(Reply::text(503, "")), "getting an access token for BigQuery"),
    ] {
        let line = said(route, fault).await;
        assert!(line.contains(expected) && line.ends_with("gave up after 3 tries"), "{expected} is not in {line}");
    }
}

#[tokio::test]
async fn a_token_that_is_never_accepted_is_a_refusal() {
    let line = said("GET */bigquery/*", error(401, "authError", "Invalid credentials")).await;
    assert!(
        line.contains(
            "401 Unauthorized: BigQuery says authError: Invalid credentials, with a renewed access token too"
        ),
        "{line}"
    );
}

#[tokio::test]
async fn a_server_that_says_nothing_is_left_in_time() {
    for route in [LIST, QUERY, PAGE, "POST /token"] {
        let mut bench = Bench::start(|options| {
            options.faults = FaultPlan::new().on(route, .., Fault::Stall);
            options.page_rows = 10;
        })
        .await;
        bench.config.limits.http_timeout_secs = 1;
        bench.config.limits.tries = 1;
        let line = bench.refusal().await;
        assert!(line.contains("no complete answer within 1 s"), "{route}: {line}");
    }
}

/// A page of the day's result as the server gives it, changed.
async fn changed(route: &str, requests: u64, change: impl Fn(&mut Value)) -> String {
    let bench = Bench::start(|options| options.page_rows = 10).await;
    bench.pull(&[DAY]).await.unwrap();
    let log = bench.server.log();
    assert!(log.iter().filter(|logged| logged.request.path.contains("/queries/")).count() > 2);
    // The pages of the first pull are kept as they came.
    let body = page(&bench, if route == QUERY { 0 } else { requests });
    let mut body: Value = serde_json::from_str(&body).unwrap();
    change(&mut body);
    let at = if route == QUERY { 2 } else { requests };
    let faults = FaultPlan::new().on(route, at..=at, Fault::reply(Reply::json(200, body.to_string())));
    let other = Bench::start(|options| (options.faults, options.page_rows) = (faults, 10)).await;
    other.refusal().await
}

fn page(bench: &Bench, number: u64) -> String {
    use arrow::array::{Array as _, AsArray as _};
    let files = crate::night::stage::files(&bench.config.staging.path);
    let file = files.iter().find(|file| file.ends_with("pages-0000.parquet")).unwrap();
    let file = std::fs::File::open(file).unwrap();
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let bodies = reader.map(Result::unwrap).flat_map(|batch| {
        let bodies = batch.column_by_name("body").unwrap().as_binary::<i32>().clone();
        (0..bodies.len()).map(|row| String::from_utf8(bodies.value(row).to_vec()).unwrap()).collect::<Vec<_>>()
    });
    bodies.into_iter().nth(usize::try_from(number).unwrap()).unwrap()
}

#[tokio::test]
async fn cursors_that_go_round_are_noticed() {
    let bench = Bench::start(|options| options.page_rows = 10).await;
    bench.pull(&[DAY]).await.unwrap();
    // Whatever page is asked for, this one comes.
    let line = said(PAGE, Fault::reply(Reply::json(200, page(&bench, 1)))).await;
    assert_eq!(line, "pulling ga4_events 2026-01-20: the pages go round: a page token came twice");
}

#[tokio::test]
async fn answers_that_cannot_be_whole_are_refused() {
    for (route, requests, expected, change) in [
        (PAGE, 1, "totalRows was", (|body| body["totalRows"] = "7".into()) as fn(&mut Value)),
        (PAGE, 2, "rows, and totalRows says", |body| drop(body["rows"].as_array_mut().unwrap().pop())),
        (PAGE, 1, "rows, and totalRows says", |body| drop(body.as_object_mut().unwrap().remove("pageToken"))),
        (PAGE, 1, "rows, and totalRows says", |body| drop(body.as_object_mut().unwrap().remove("rows"))),
        (PAGE, 1, "a page of a finished query says that it still runs", |body| body["jobComplete"] = false.into()),
        (QUERY, 0, "the answer has no schema", |body| drop(body.as_object_mut().unwrap().remove("schema"))),
        (QUERY, 0, "the answer has no totalRows", |body| drop(body.as_object_mut().unwrap().remove("totalRows"))),
        (QUERY, 0, "does not say whether the query is done", |body| {
            drop(body.as_object_mut().unwrap().remove("jobComplete"));
        }),
        (QUERY, 0, "the answer names no job", |body| drop(body.as_object_mut().unwrap().remove("jobReference"))),
        (QUERY, 0, "the result came with internalError", |body| {
            body["errors"] = json!([{ "reason": "internalError", "message": "m" }]);
        }),
        (QUERY, 0, "came back empty, which it never is", |body| {
            let object = body.as_object_mut().unwrap();
            object.remove("rows");
            object.remove("pageToken");
            object["totalRows"] = "0".into();
        }),
    ] {
        let line = changed(route, requests, change).await;
        assert!(line.contains(expected), "{expected} is not in {line}");
    }
}

#[tokio::test]
async fn the_limit_on_bytes_is_enforced_by_the_server() {
    let dry = json!({ "kind": "bigquery#queryResponse", "totalBytesProcessed": "1", "jobComplete": true });
    let bench = Bench::start(|options| {
        let app =
            marts::sandbox::business::app::AppOptions { bulk_events: Some(1_000_000), ..options.app.options.clone() };
        options.app = marts::sandbox::business::app::AppUse::new(app).into();
        // A dry run that is far off.
        let fault = Fault::reply(Reply::json(200, dry.to_string()));
        options.faults = FaultPlan::new().on(QUERY, 1..=1, fault);
    })
    .await;
    let line = bench.refusal().await;
    assert!(line.contains("bytesBilledLimitExceeded: Query exceeded limit for bytes billed: 10485760."), "{line}");
}

#[tokio::test]
async fn a_wrong_project_dataset_or_location_is_no_absence() {
    let mut bench = Bench::new().await;
    bench.bigquery().dataset = "analytics_2".into();
    let line = bench.refusal().await;
    assert!(line.contains("listing the tables") && line.contains("Not found: Dataset"), "{line}");
    let mut bench = Bench::new().await;
    bench.bigquery().project = "another-project".into();
    assert!(bench.refusal().await.contains("accessDenied: Access Denied: Project another-project"));
    let mut bench = Bench::start(|options| options.location = "europe-west3".into()).await;
    bench.bigquery().location = "EU".into();
    assert!(bench.refusal().await.contains("404 Not Found: BigQuery says notFound"));
}

#[tokio::test]
async fn keys_that_are_none_and_accounts_that_are_gone_say_so_without_a_secret() {
    let mut bench = Bench::new().await;
    let write = |text: &str| std::fs::write(bench.folder.path().join("key"), text).unwrap();
    for (text, expected) in [
        ("{\"planted\": \"secret\"}", "is no service account's key"),
        ("planted secret", "is no service account's key"),
        (
            "{\"private_key\": \"planted secret\", \"client_email\": \"a@b\", \"token_uri\": \"u\"}",
            "is no RSA key in PEM",
        ),
    ] {
        write(text);
        let line = bench.refusal().await;
        assert!(line.contains(expected) && !line.contains("planted"), "{line}");
    }
    assert!(bench.server.log().is_empty(), "nobody was asked");
    write(&bench.server.key().replace("marts@", "gone@"));
    let line = bench.refusal().await;
    assert!(line.contains("400 Bad Request: invalid_grant: the service account or its key is gone"), "{line}");
    bench.bigquery().credentials = SecretRef::Env("NO_SUCH_VARIABLE_FOR_GA4".into());
    assert!(bench.refusal().await.contains("NO_SUCH_VARIABLE_FOR_GA4 is not set"));
}
