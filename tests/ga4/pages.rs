//! Recorded and saved answers through `--pages`, against values read off them by hand.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::bench::*;

const COLUMNS: [(&str, &str); 10] = [
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

fn recorded(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// The answer to a day's query, with rows of cells in the order of the columns.
fn answer(rows: &[Vec<Value>]) -> Value {
    let fields: Vec<_> =
        COLUMNS.iter().map(|(name, kind)| json!({ "name": name, "type": kind, "mode": "NULLABLE" })).collect();
    let cells = |row: &Vec<Value>| json!({ "f": row.iter().map(|cell| json!({ "v": cell })).collect::<Vec<_>>() });
    json!({
        "kind": "bigquery#queryResponse",
        "schema": { "fields": fields },
        "jobReference": { "projectId": "p", "jobId": "j", "location": "US" },
        "totalRows": rows.len().to_string(),
        "rows": rows.iter().map(cells).collect::<Vec<_>>(),
        "jobComplete": true,
    })
}

/// The recorded event, as a query over its table answers it.
fn event() -> Vec<Value> {
    let event = recorded("ga4/event.json");
    let param = |name: &str| {
        let params = event["event_params"].as_array().unwrap();
        let found = params.iter().find(|param| param["key"] == name);
        found.map_or(Value::Null, |param| param["value"]["int_value"].clone())
    };
    vec![
        "20210406".into(),
        event["event_timestamp"].clone(),
        event["event_name"].clone(),
        event["client_id"].clone(),
        param("ga_session_id"),
        param("engagement_time_msec"),
        Value::Null,
        Value::Null,
        Value::Null,
        event["device"]["operating_system"].clone(),
    ]
}

async fn bench_with(name: &str, body: &Value) -> Bench {
    let mut bench = Bench::new().await;
    let folder = bench.folder.path().join("pages");
    fs::create_dir_all(folder.join(EVENTS)).unwrap();
    fs::write(folder.join(EVENTS).join(name), body.to_string()).unwrap();
    bench.pages = Some(folder);
    bench
}

/// What is landed of one row: its cells but the first.
async fn landed(row: Vec<Value>) -> Result<Vec<String>, String> {
    let bench = bench_with("2021-04-06.json", &answer(&[row])).await;
    match bench.pull(&["2021-04-06"]).await {
        Ok(_) => Ok(bench.rows("select * exclude (event_no, page, org, period) from ga4_events").swap_remove(0)),
        Err(error) => {
            assert!(crate::night::stage::files(&bench.config.staging.path).is_empty());
            Err(format!("{error:#}"))
        }
    }
}

#[tokio::test]
async fn the_recorded_event_is_read() {
    let expected = [
        "2021-04-06",
        "2021-04-06T06:49:50.431476Z",
        "first_visit",
        "1166526666.1617691776",
        "1617691775",
        "null",
        "null",
        "null",
        "null",
        "windows",
    ];
    assert_eq!(landed(event()).await.unwrap(), expected);
}

#[tokio::test]
async fn a_field_that_is_null_empty_retyped_or_missing_gives_what_is_documented() {
    let with = |at: usize, value: Value| {
        let mut row = event();
        row[at] = value;
        row
    };
    // Null and empty optional fields are null.
    assert_eq!(landed(with(3, Value::Null)).await.unwrap()[3], "null");
    assert_eq!(landed(with(6, " ".into())).await.unwrap()[6], "null");
    assert_eq!(landed(with(6, " Home ".into())).await.unwrap()[6], "Home");
    // A clock that is far off says no instant.
    assert_eq!(landed(with(1, "86400000000".into())).await.unwrap()[1], "null");
    assert_eq!(landed(with(1, "9223372036854775807".into())).await.unwrap()[1], "null");
    assert_eq!(landed(with(1, Value::Null)).await.unwrap()[1], "null");
    for (row, expected) in [
        (with(0, Value::Null), "row 0 has no event_date"),
        (with(0, "20210407".into()), "the table gave a row of another day, event_date 20210407"),
        (with(2, Value::Null), "column event_name is varchar, which may not be null"),
        (with(4, "1.5".into()), "ga_session_id of row 0 is no whole number"),
        (with(4, json!(12)), "ga_session_id of row 0 is no text: cells are written as texts"),
        (with(3, json!({ "f": [] })), "user_pseudo_id of row 0 is no text"),
        (event()[..9].to_vec(), "row 0 has no cell for operating_system"),
    ] {
        let line = landed(row).await.unwrap_err();
        assert!(line.contains(expected), "{expected} is not in {line}");
        assert!(!line.contains("1166526666"), "a user's id is personal: {line}");
    }
}

#[tokio::test]
async fn a_column_that_is_unknown_moved_missing_or_retyped_gives_what_is_documented() {
    // Unknown columns are passed over, and the order is the schema's.
    let mut body = answer(&[event()]);
    let mut move_last = |member: &str, new: Value| {
        let list = body.pointer_mut(member).unwrap().as_array_mut().unwrap();
        let last = list.pop().unwrap();
        list.insert(0, last);
        list.insert(1, new);
    };
    move_last("/schema/fields", json!({ "name": "is_active_user", "type": "BOOLEAN" }));
    move_last("/rows/0/f", json!({ "v": "true" }));
    let bench = bench_with("2021-04-06.json", &body).await;
    bench.pull(&["2021-04-06"]).await.unwrap();
    assert_eq!(bench.rows("select event_name, operating_system from ga4_events"), [["first_visit", "windows"]]);

    for (change, expected) in [
        (json!({ "name": "session", "type": "INTEGER" }), "the answer has no column ga_session_id"),
        (json!({ "name": "ga_session_id", "type": "STRING" }), "ga_session_id is String where Integer was asked for"),
        (json!({ "name": "ga_session_id", "type": "INTEGER", "mode": "REPEATED" }), "ga_session_id is a list"),
    ] {
        let mut body = answer(&[event()]);
        body["schema"]["fields"][4] = change;
        let bench = bench_with("2021-04-06.json", &body).await;
        let line = format!("{:#}", bench.pull(&["2021-04-06"]).await.unwrap_err());
        assert!(line.contains(expected), "{line}");
    }
}

#[tokio::test]
async fn pages_of_a_day_are_read_in_order_and_other_days_are_absent() {
    let mut bench = bench_with("2021-04-06-0001.json", &Value::Null).await;
    let folder = bench.pages.clone().unwrap().join(EVENTS);
    let second = |name: &str| [event()[..2].to_vec(), vec![name.into()], event()[3..].to_vec()].concat();
    for (number, name) in [(1, "one"), (2, "two")] {
        let mut body = answer(&[second(name)]);
        body["totalRows"] = "2".into();
        fs::write(folder.join(format!("2021-04-06-000{number}.json")), body.to_string()).unwrap();
    }
    let landed = bench.pull(&["2021-04-05", "2021-04-06"]).await.unwrap();
    assert!(landed[0].is_absent() && !landed[1].is_absent());
    assert_eq!(bench.rows("select event_no, event_name, page from ga4_events"), [["0", "one", "0"], ["1", "two", "1"]]);
    assert!(bench.server.log().is_empty(), "nobody was asked");

    fs::remove_file(folder.join("2021-04-06-0002.json")).unwrap();
    let line = format!("{:#}", bench.pull(&["2021-04-06"]).await.unwrap_err());
    assert!(line.ends_with("the pages have 1 rows, and totalRows says 2"), "{line}");
    bench.pages = Some(bench.folder.path().join("elsewhere"));
    let line = format!("{:#}", bench.pull(&["2021-04-06"]).await.unwrap_err());
    assert!(line.contains("no saved answers") && line.contains("2021-04-06.json"), "{line}");
}

#[tokio::test]
async fn recorded_answers_of_bigquery_are_told_from_events() {
    for (name, expected) in [
        // Whole answers, to other questions.
        ("page_empty_result_set", "the answer has no column event_date"),
        ("page_walk_to_end_no_more_token", "the answer has no column event_date"),
        ("tables_list_basic", "the answer has no totalRows"),
        ("dryrun_invalid_query", "the answer has no totalRows"),
    ] {
        let body = recorded(&format!("bigquery/{name}.json"))["body"].to_string();
        // A recording says that it may vary here.
        let body = body.replace("\"<*>\"", "null");
        let bench = bench_with("2021-04-06.json", &serde_json::from_str(&body).unwrap()).await;
        let line = format!("{:#}", bench.pull(&["2021-04-06"]).await.unwrap_err());
        assert!(line.contains(expected), "{name}: {line}");
    }
}
