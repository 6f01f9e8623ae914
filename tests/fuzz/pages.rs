//! Pages of HubSpot, Zoom and BigQuery, changed: every row that is landed is what stands there, or the pull is refused.

use std::path::{Path, PathBuf};

use chrono::{DateTime, NaiveDate, Utc};
use marts::extract::http::install_crypto;
use marts::sandbox::http::{Fault, FaultPlan, Reply};
use marts::staging::Landed;
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::{change, must_be_a_line, trials};
use crate::{ga4, hubspot, zoom};

fn fixture(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A folder of saved pages of which one is written anew for every trial.
struct Pages {
    folder: PathBuf,
    staging: PathBuf,
}

impl Pages {
    fn new(folder: &Path, staging: &Path) -> Pages {
        Pages { folder: folder.join("pages"), staging: staging.to_owned() }
    }

    fn write(&self, name: &str, body: &[u8]) {
        let file = self.folder.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, body).unwrap();
    }

    /// What was landed; none where it was refused, in a line and without a trace.
    fn landed(&self, pulled: anyhow::Result<Vec<Landed>>) -> Option<Vec<Landed>> {
        match pulled {
            Ok(landed) => Some(landed),
            Err(error) => {
                must_be_a_line(&error);
                assert!(crate::night::stage::files(&self.staging).is_empty(), "a refused pull left files: {error:#}");
                None
            }
        }
    }

    /// The page as JSON, and an empty landing zone for the next trial. None where members that nobody reads are nested so
    /// deeply that this reading cannot hold them.
    fn done(&self, body: &[u8]) -> Option<Value> {
        let _ = std::fs::remove_dir_all(&self.staging);
        match serde_json::from_slice(body) {
            Ok(page) => Some(page),
            Err(error) => {
                assert!(error.to_string().starts_with("recursion limit exceeded"), "{error}");
                None
            }
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    install_crypto();
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// The text of a member that may be text or a number; `Err` where it is anything else.
fn text(value: Option<&Value>) -> Result<Option<String>, ()> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(_) => Err(()),
    }
}

/// As a cell reads.
fn cell(text: Option<String>) -> String {
    text.unwrap_or_else(|| "∅".into())
}

/// An amount, where it has no more digits than this reading can hold.
fn decimal(text: &str) -> Option<Decimal> {
    let exact = if text.contains(['e', 'E']) { Decimal::from_scientific(text) } else { Decimal::from_str_exact(text) };
    exact.ok()
}

#[test]
fn changed_pages_of_deals_are_refused_or_read_as_they_stand() {
    let runtime = runtime();
    let mut bench = runtime.block_on(hubspot::bench::Bench::new());
    let pages = Pages::new(bench.folder.path(), &bench.config.staging.path);
    bench.pages = Some(pages.folder.clone());
    let page = fixture("hubspot/mock_deals_data.json");
    let mut read = 0;
    trials("HubSpot's deals", 4, |die| {
        let body = change::page(&page, die);
        pages.write("hubspot_deals/2026-01-20-0001.json", &body);
        let Some(landed) = pages.landed(runtime.block_on(bench.pull(&[hubspot::bench::DEALS]))) else { return };
        read += 1;
        let rows = hubspot::bench::rows(&landed[0]);
        let Some(page) = pages.done(&body) else { return };
        let records = page["results"].as_array().unwrap();
        assert_eq!(rows.len(), records.len(), "{page}");
        for (row, record) in rows.iter().zip(records) {
            let property = |name: &str| text(record["properties"].get(name)).unwrap();
            assert_eq!(row["deal_id"], text(record.get("id")).unwrap().unwrap(), "{record}");
            assert_eq!(row["pipeline_id"], cell(property("pipeline")), "{record}");
            assert_eq!(row["stage_id"], cell(property("dealstage")), "{record}");
            for (column, name) in [("amount", "amount"), ("home_amount", "amount_in_home_currency")] {
                match property(name) {
                    None => assert_eq!(row[column], "∅", "{record}"),
                    Some(text) => {
                        assert_ne!(row[column], "∅", "{record}");
                        if let Some(amount) = decimal(&text) {
                            let landed: Decimal = row[column].parse().unwrap();
                            assert_eq!(
                                landed,
                                amount.round_dp_with_strategy(18, rust_decimal::RoundingStrategy::MidpointAwayFromZero),
                                "{record}"
                            );
                        }
                    }
                }
            }
            if let Some(created) = property("createdate").and_then(|text| DateTime::parse_from_rfc3339(&text).ok()) {
                // What is before 1990 or more than two years ahead is no date.
                let created = created.to_utc();
                let is_sane = created >= "1990-01-01T00:00:00Z".parse::<DateTime<Utc>>().unwrap()
                    && created.date_naive() <= "2028-01-20".parse::<NaiveDate>().unwrap();
                assert_eq!(row["created_at"] != "∅", is_sane, "{record}");
            }
        }
    });
    assert!(read > 0, "some changes leave a listing");
}

#[test]
fn changed_properties_and_pipelines_are_refused_or_read_as_they_stand() {
    let runtime = runtime();
    let mut bench = runtime.block_on(hubspot::bench::Bench::new());
    let pages = Pages::new(bench.folder.path(), &bench.config.staging.path);
    bench.pages = Some(pages.folder.clone());
    let stages = json!({ "options": [
        { "value": "lead", "label": "Lead", "displayOrder": 0, "hidden": false },
        { "value": "customer", "label": "Customer", "displayOrder": "1", "hidden": "true" },
    ]});
    let pipelines = json!({ "results": [{ "id": "default", "label": "Sales", "archived": false, "stages": [
        { "id": "won", "label": "Won", "displayOrder": 5, "archived": false, "metadata": { "isClosed": "true", "probability": "1.0" } },
        { "id": "lost", "label": "Lost", "displayOrder": 6, "metadata": { "isClosed": "true", "probability": "0.0" } },
    ]}]});
    trials("HubSpot's properties and pipelines", 4, |die| {
        let is_property: bool = die.random();
        let (dataset, page) =
            if is_property { (hubspot::bench::LIFECYCLE, &stages) } else { (hubspot::bench::STAGES, &pipelines) };
        let body = change::page(page, die);
        pages.write(&format!("{dataset}/2026-01-20-0001.json"), &body);
        let Some(landed) = pages.landed(runtime.block_on(bench.pull(&[dataset]))) else { return };
        let rows = hubspot::bench::rows(&landed[0]);
        let Some(page) = pages.done(&body) else { return };
        if is_property {
            let options = page["options"].as_array().unwrap();
            assert_eq!(rows.len(), options.len(), "{page}");
            for (row, option) in rows.iter().zip(options) {
                assert_eq!(row["stage_id"], text(option.get("value")).unwrap().unwrap(), "{option}");
                // A number, of which `-0` is one too.
                let order =
                    text(option.get("displayOrder")).unwrap().map(|text| text.parse::<i64>().unwrap().to_string());
                assert_eq!(row["display_order"], cell(order), "{option}");
            }
        } else {
            for row in &rows {
                let is = |one: &Value, name: &str| text(one.get("id")) == Ok(Some(row[name].clone()));
                // A pipeline may be there twice, each time with other stages.
                let mut pipelines = page["results"].as_array().unwrap().iter().filter(|one| is(one, "pipeline_id"));
                let has_stage =
                    |pipeline: &Value| pipeline["stages"].as_array().unwrap().iter().any(|stage| is(stage, "stage_id"));
                assert!(pipelines.any(has_stage), "{row:?} is not in {page}");
            }
        }
    });
}

/// Several legs of a day.
fn legs() -> Value {
    let mut page = fixture("zoom/openapi_examples/phone_call_history.json");
    page.as_object_mut().unwrap().remove("call_logs");
    let leg = page["call_history"][0].clone();
    for at in 1..4 {
        let mut leg = leg.clone();
        leg["call_history_uuid"] = json!(format!("leg-{at}"));
        leg["call_id"] = json!(format!("call-{}", at / 2));
        leg["duration"] = json!(at * 7);
        page["call_history"].as_array_mut().unwrap().push(leg);
    }
    page
}

/// A count: none where nothing is said, `Err` where it is no whole number from zero on.
fn count(value: Option<&Value>) -> Result<Option<i64>, ()> {
    let count = match text(value)? {
        None => return Ok(None),
        Some(text) => text.parse::<i64>().map_err(|_| ())?,
    };
    if count < 0 { Err(()) } else { Ok(Some(count)) }
}

#[test]
fn changed_pages_of_calls_are_refused_or_read_as_they_stand() {
    let runtime = runtime();
    let mut bench = runtime.block_on(zoom::bench::Bench::new());
    let pages = Pages::new(bench.folder.path(), &bench.config.staging.path);
    bench.pages = Some(pages.folder.clone());
    bench.as_of = zoom::bench::day("2021-10-08");
    let page = legs();
    let mut read = 0;
    trials("Zoom's call history", 4, |die| {
        let body = change::page(&page, die);
        pages.write("zoom_call_legs/2021-10-08.json", &body);
        let pulled = runtime.block_on(bench.pull(&[zoom::bench::CALLS], &["2021-10-08"]));
        let Some(landed) = pages.landed(pulled) else { return };
        let rows = zoom::bench::rows(&landed[0]);
        let Some(page) = pages.done(&body) else { return };
        let list =
            ["call_history", "call_logs", "call_log"].iter().find_map(|name| page.get(name)?.as_array()).unwrap();
        // Where a leg comes twice, the last counts.
        let of = |leg_id: &str| {
            let id = |leg: &Value| text(leg.get("call_history_uuid")).unwrap().or(text(leg.get("id")).unwrap());
            list.iter()
                .rev()
                .find(|leg| id(leg).as_deref() == Some(leg_id))
                .unwrap_or_else(|| panic!("{leg_id} of {page}"))
        };
        read += rows.len();
        for row in &rows {
            let leg = of(&row["leg_id"]);
            assert_eq!(
                row["seconds"],
                cell(count(leg.get("duration")).unwrap().map(|count| count.to_string())),
                "{leg}"
            );
            let answered = text(leg.get("answer_time")).unwrap();
            let answered = answered.map(|text| DateTime::parse_from_rfc3339(&text).unwrap().to_utc());
            assert_eq!(row["answered_at"] != "∅", answered.is_some(), "{leg}");
        }
    });
    assert!(read > 0, "some changes leave legs");
}

#[test]
fn changed_daily_reports_and_lists_are_refused_or_read_as_they_stand() {
    let runtime = runtime();
    let mut bench = runtime.block_on(zoom::bench::Bench::new());
    let pages = Pages::new(bench.folder.path(), &bench.config.staging.path);
    bench.pages = Some(pages.folder.clone());
    let report = fixture("zoom/openapi_examples/report_daily.json");
    let first = report["dates"][0]["date"].as_str().unwrap().to_owned();
    bench.as_of = zoom::bench::day(&first);
    let users = fixture("zoom/openapi_examples/users.json");
    trials("Zoom's daily report", 4, |die| {
        let body = change::page(&report, die);
        pages.write("zoom_daily_report/all.json", &body);
        let Some(landed) = pages.landed(runtime.block_on(bench.pull(&[zoom::bench::REPORT], &[&first]))) else {
            return;
        };
        let rows = zoom::bench::rows(&landed[0]);
        let Some(page) = pages.done(&body) else { return };
        let month = &first[..7];
        let days: Vec<_> = page
            .get("dates")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter(|day| {
                text(day.get("date"))
                    .unwrap()
                    .is_some_and(|date| date.parse::<NaiveDate>().unwrap().to_string().starts_with(month))
            })
            .collect();
        assert_eq!(rows.len(), days.len(), "{page}");
        for (row, day) in rows.iter().zip(days) {
            for name in ["meetings", "participants", "meeting_minutes", "new_users"] {
                assert_eq!(
                    row[name],
                    cell(count(day.get(name)).unwrap().map(|count| count.to_string())),
                    "{name} of {day}"
                );
            }
        }
    });
    let lists = [
        ("users-active", &users),
        ("users-inactive", &users),
        ("users-pending", &users),
        ("phone_users-activate", &fixture("zoom/openapi_examples/phone_users.json")),
        ("phone_users-deactivate", &fixture("zoom/openapi_examples/phone_users.json")),
        ("phone_users-pending", &fixture("zoom/openapi_examples/phone_users.json")),
        ("call_queues-all", &fixture("zoom/openapi_examples/phone_call_queues.json")),
    ];
    trials("Zoom's lists", 2, |die| {
        for (name, page) in lists {
            let body = if die.random() { change::page(page, die) } else { page.to_string().into_bytes() };
            pages.write(&format!("zoom_counts/all-{name}.json"), &body);
        }
        let Some(landed) = pages.landed(runtime.block_on(bench.pull(&[zoom::bench::COUNTS], &[&first]))) else {
            return;
        };
        for row in zoom::bench::rows(&landed[0]) {
            let file = format!("zoom_counts/all-{}-{}.json", row["list_name"], row["status"]);
            let Ok(page) = serde_json::from_slice::<Value>(&std::fs::read(pages.folder.join(file)).unwrap()) else {
                continue;
            };
            if row["is_available"] == "true" {
                let list = ["users", "call_queues"].iter().find_map(|name| page.get(name)?.as_array());
                assert_eq!(row["received"], list.unwrap().len().to_string(), "{page}");
                let announced = count(page.get("total_records")).unwrap();
                assert_eq!(row["announced"], cell(announced.map(|count| count.to_string())), "{page}");
            }
        }
        let _ = std::fs::remove_dir_all(&pages.staging);
    });
}

/// The answer to a day's query with a few events.
fn events(die: &mut ChaCha8Rng) -> Value {
    let columns = [
        ("event_date", "STRING"),
        ("event_timestamp", "INTEGER"),
        ("event_name", "STRING"),
        ("user_pseudo_id", "STRING"),
        ("ga_session_id", "INTEGER"),
        ("engagement_time_msec", "INTEGER"),
        ("firebase_screen", "STRING"),
        ("firebase_screen_class", "STRING"),
        ("firebase_screen_id", "STRING"),
        ("operating_system", "STRING"),
    ];
    let fields: Vec<_> =
        columns.iter().map(|(name, kind)| json!({ "name": name, "type": kind, "mode": "NULLABLE" })).collect();
    let rows: Vec<_> = (0..4)
        .map(|at| {
            let cells = json!([
                "20210406",
                "1617691790431476",
                "screen_view",
                format!("person-{at}"),
                (at * 1000).to_string(),
                die.random_range(0..100_000).to_string(),
                null,
                "Home",
                "1",
                "ANDROID"
            ]);
            json!({ "f": cells.as_array().unwrap().iter().map(|cell| json!({ "v": cell })).collect::<Vec<_>>() })
        })
        .collect();
    json!({
        "kind": "bigquery#queryResponse",
        "schema": { "fields": fields },
        "jobReference": { "projectId": "p", "jobId": "j", "location": "US" },
        "totalRows": "4",
        "rows": rows,
        "jobComplete": true,
    })
}

#[test]
fn changed_answers_of_events_are_refused_or_read_as_they_stand() {
    let runtime = runtime();
    let mut bench = runtime.block_on(ga4::bench::Bench::new());
    let pages = Pages::new(bench.folder.path(), &bench.config.staging.path);
    bench.pages = Some(pages.folder.clone());
    let mut read = 0;
    trials("BigQuery's answers", 4, |die| {
        let body = change::page(&events(die), die);
        pages.write("ga4_events/2021-04-06.json", &body);
        let Some(landed) = pages.landed(runtime.block_on(bench.pull(&["2021-04-06"]))) else { return };
        let found = zoom::bench::rows(&landed[0]);
        let Some(page) = pages.done(&body) else { return };
        let rows = page.get("rows").and_then(Value::as_array).cloned().unwrap_or_default();
        assert_eq!(found.len(), rows.len(), "{page}");
        read += rows.len();
        let fields = page["schema"]["fields"].as_array().cloned().unwrap_or_default();
        for (found, row) in found.iter().zip(&rows) {
            for (column, name) in
                [("user_pseudo_id", "user_pseudo_id"), ("engagement_time_msec", "engagement_time_msec")]
            {
                let at = fields.iter().position(|field| field["name"] == name).unwrap();
                assert_eq!(found[column], cell(text(row["f"][at].get("v")).unwrap()), "{name} of {row}");
            }
        }
    });
    assert!(read > 0, "some changes leave events");
}

#[test]
fn changed_lists_of_tables_are_refused_or_read_as_they_stand() {
    let runtime = runtime();
    let bench = runtime.block_on(ga4::bench::Bench::new());
    let pages = Pages::new(bench.folder.path(), &bench.config.staging.path);
    let wanted = "events_20260120";
    let table = |id: &str| {
        let reference = json!({ "projectId": "p", "datasetId": "d", "tableId": id });
        json!({ "kind": "bigquery#table", "id": format!("p:d.{id}"), "tableReference": reference, "type": "TABLE" })
    };
    let list = json!({
        "kind": "bigquery#tableList",
        "tables": [table("events_20260119"), table(wanted), table("events_intraday_20260121")],
        "totalItems": 3,
    });
    let mut read = 0;
    trials("BigQuery's lists of tables", 1, |die| {
        // Among the changes by chance few take out the day and leave the list a good one.
        let mut list = list.clone();
        if die.random() {
            list["tables"].as_array_mut().unwrap().swap_remove(1);
        }
        let body = change::page(&list, die);
        let reply = Fault::reply(Reply::json(200, body.clone()));
        bench.server.set_faults(FaultPlan::new().on("GET */tables", .., reply));
        let Some(landed) = pages.landed(runtime.block_on(bench.pull(&[ga4::bench::DAY]))) else { return };
        let is_absent = landed[0].is_absent();
        let Some(page) = pages.done(&body) else { return };
        let tables = page["tables"].as_array().cloned().unwrap_or_default();
        assert_eq!(!is_absent, tables.iter().any(|table| table["tableReference"]["tableId"] == wanted), "{page}");
        assert!(!tables.is_empty() || page["totalItems"].as_i64().unwrap_or(0) == 0, "{page}");
        read += 1;
    });
    assert!(read > 0, "some changes leave a list");
}
