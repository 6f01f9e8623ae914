//! Published pages through the parser, and what becomes of members that are missing, null, retyped or new.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::bench::*;

fn example(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/zoom/openapi_examples").join(name);
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// A bench that reads saved pages: one day of October 2021.
async fn saved(files: &[(&str, &Value)]) -> Bench {
    let mut bench = Bench::new().await;
    let folder = bench.folder.path().join("pages");
    for (name, body) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, body.to_string()).unwrap();
    }
    bench.pages = Some(folder);
    bench.as_of = day("2021-10-08");
    bench
}

async fn legs(body: &Value) -> anyhow::Result<Vec<Row>> {
    let bench = saved(&[("zoom_call_legs/2021-10-08.json", body)]).await;
    let landed = bench.pull(&[CALLS], &["2021-10-08"]).await?;
    Ok(rows(&landed[0]))
}

fn columns(row: &Row, names: &[&str]) -> Vec<String> {
    names.iter().map(|name| row[*name].clone()).collect()
}

const LEG: [&str; 8] = ["leg_id", "call_id", "direction", "started_at", "answered_at", "ended_at", "seconds", "result"];

#[tokio::test]
async fn a_published_page_of_call_history_is_one_leg_though_it_is_there_under_two_names() {
    let found = legs(&example("phone_call_history.json")).await.unwrap();
    assert_eq!(found.len(), 1);
    let expected = [
        "20211008-48c1dfd4-91ce-4df5-8495-7c9e33d10869",
        "7018317023722949162",
        "inbound",
        "2021-10-08T16:12:04+00:00",
        "2021-10-08T16:12:10+00:00",
        "2021-10-08T16:12:15+00:00",
        "20",
        "answered",
    ];
    assert_eq!(columns(&found[0], &LEG), expected);
}

/// Facts of job 4: both array names.
#[tokio::test]
async fn both_names_of_the_list_are_read() {
    let mut body = example("phone_call_history.json");
    body.as_object_mut().unwrap().remove("call_history");
    let found = legs(&body).await.unwrap();
    assert_eq!(columns(&found[0], &["leg_id", "seconds"]), ["20211001-48c1dfd4-91ce-4df5-8495-7c9e33d10869", "20"]);
    // The older list, with its own names for the beginning and the result.
    let found = legs(&example("phone_call_logs.json")).await.unwrap();
    let expected = ["48c1dfd4-91ce-4df5-8495-7c9e33d10869", "2021-10-08T16:23:34+00:00", "25", "call_connected"];
    assert_eq!(columns(&found[0], &["leg_id", "started_at", "seconds", "result"]), expected);
    body["call_log"] = body["call_logs"].take();
    assert_eq!(legs(&body).await.unwrap().len(), 1);
    body.as_object_mut().unwrap().retain(|name, _| name != "call_log" && name != "call_logs");
    let error = format!("{:#}", legs(&body).await.unwrap_err());
    assert!(error.ends_with("the answer has no member call_history or call_logs or call_log"), "{error}");
}

#[tokio::test]
async fn members_that_are_new_missing_null_or_retyped_have_the_documented_result() {
    let page = |change: &dyn Fn(&mut Value)| {
        let mut body = example("phone_call_history.json");
        body.as_object_mut().unwrap().remove("call_logs");
        change(&mut body["call_history"][0]);
        body
    };
    let row = async |change: &dyn Fn(&mut Value)| legs(&page(change)).await.unwrap().remove(0);
    let error = async |change: &dyn Fn(&mut Value)| format!("{:#}", legs(&page(change)).await.unwrap_err());

    let plain = row(&|_| {}).await;
    assert_eq!(row(&|leg| leg["hold_music"] = json!({ "title": "x" })).await, plain, "a new member changes nothing");
    // Facts of job 4: a call without a result, unanswered.
    let unanswered = |leg: &mut Value| {
        for name in ["call_result", "answer_time", "direction"] {
            leg.as_object_mut().unwrap().remove(name);
        }
    };
    assert_eq!(columns(&row(&unanswered).await, &["result", "answered_at", "direction"]), ["∅", "∅", "∅"]);
    let nulls = |leg: &mut Value| {
        for name in ["call_result", "answer_time", "end_time", "duration", "call_id"] {
            leg[name] = Value::Null;
        }
    };
    let leg = row(&nulls).await;
    assert_eq!(columns(&leg, &["result", "answered_at", "ended_at", "seconds"]), ["∅"; 4]);
    assert_eq!(leg["call_id"], leg["leg_id"], "a leg of no call is a call of its own");
    // Numbers as text, and an id as a number keeps its nineteen digits.
    let retyped = |leg: &mut Value| {
        leg["duration"] = json!("20");
        leg["call_id"] = serde_json::from_str("7018317023722949162").unwrap();
        leg["call_result"] = json!(" Answered");
    };
    assert_eq!(row(&retyped).await, plain);
    assert_eq!(row(&|leg| leg["start_time"] = json!("2021-10-08T11:12:04-05:00")).await, plain);

    for (name, value, said) in [
        ("duration", json!("a while"), "call_history[0]: duration is no whole number"),
        ("duration", json!(20.5), "call_history[0]: duration is no whole number"),
        ("duration", json!(-1), "call_history[0]: duration is below zero"),
        ("duration", json!(true), "duration is a boolean where a whole number is expected"),
        ("start_time", json!("2021-10-08 16:12:04"), "start_time is no instant with an offset"),
        ("start_time", json!(null), "start_time is missing"),
        ("call_history_uuid", json!(""), "call_history_uuid is missing"),
        ("call_id", json!({ "id": 1 }), "call_id is an object where text is expected"),
    ] {
        let said_of = error(&|leg| leg[name] = value.clone()).await;
        assert!(said_of.ends_with(said), "{name}: {said_of}");
        assert!(said_of.contains("2021-10-08.json"), "{said_of}");
    }
    assert!(error(&|leg| *leg = json!("leg")).await.ends_with("call_history[0]: it is text and no object"));
    let mut body = page(&|_| {});
    body["call_history"] = json!({ "0": 1 });
    let said = format!("{:#}", legs(&body).await.unwrap_err());
    assert!(said.ends_with("call_history is an object where a list is expected"), "{said}");
}

#[tokio::test]
async fn the_daily_report_is_read_as_published() {
    let pull = async |body: &Value| {
        let bench = saved(&[("zoom_daily_report/2022-03.json", body)]).await;
        bench.pull(&[REPORT], &["2022-03-01"]).await.map(|landed| rows(&landed[0]))
    };
    let mut body = example("report_daily.json");
    let names = ["report_date", "meetings", "participants", "meeting_minutes", "new_users"];
    assert_eq!(columns(&pull(&body).await.unwrap()[0], &names), ["2022-03-01", "2", "4", "34", "3"]);
    body["dates"][0]["meetings"] = Value::Null;
    body["dates"][0].as_object_mut().unwrap().remove("participants");
    assert_eq!(columns(&pull(&body).await.unwrap()[0], &names), ["2022-03-01", "∅", "∅", "34", "3"]);
    body["dates"].as_array_mut().unwrap().push(json!({ "date": "2022-03-01" }));
    let error = format!("{:#}", pull(&body).await.unwrap_err());
    assert!(error.ends_with("the report holds 2022-03-01 twice"), "{error}");
    body["dates"] = json!([{ "date": "1 March" }]);
    assert!(format!("{:#}", pull(&body).await.unwrap_err()).ends_with("dates[0]: date is no day"));
    body["dates"] = json!([]);
    assert_eq!(pull(&body).await.unwrap(), Vec::<Row>::new());
}

#[tokio::test]
async fn nobody_is_in_what_is_staged() {
    let empty = json!({ "users": [], "total_records": 0, "next_page_token": "" });
    let (users, phone, queues) =
        (example("users.json"), example("phone_users.json"), example("phone_call_queues.json"));
    let (calls, report) = (example("phone_call_history.json"), example("report_daily.json"));
    let bench = saved(&[
        ("zoom_call_legs/all.json", &calls),
        ("zoom_daily_report/all.json", &report),
        ("zoom_counts/all-users-active.json", &users),
        ("zoom_counts/all-users-inactive.json", &empty),
        ("zoom_counts/all-users-pending.json", &empty),
        ("zoom_counts/2021-10-08-phone_users-activate.json", &phone),
        ("zoom_counts/all-phone_users-deactivate.json", &empty),
        ("zoom_counts/all-phone_users-pending.json", &empty),
        ("zoom_counts/all-call_queues-all.json", &queues),
    ])
    .await;
    let landed = bench.pull(&ALL, &["2021-10-08"]).await.unwrap();
    let counts = rows(pull_of(&landed, COUNTS, "2021-10-08"));
    let counted: Vec<_> = counts
        .iter()
        .map(|row| {
            columns(row, &["list_name", "status", "records", "created_later", "announced", "received"]).join(" ")
        })
        .collect();
    let expected = [
        "users active 1 0 8482 1",
        "users inactive 0 0 0 0",
        "users pending 0 0 0 0",
        "phone_users activate 1 0 45 1",
        "phone_users deactivate 0 0 0 0",
        "phone_users pending 0 0 0 0",
        "call_queues all 1 0 1 1",
    ];
    assert_eq!(counted, expected);
    let mut texts = Vec::new();
    for pull in &landed {
        texts.extend(rows(pull).iter().map(|row| format!("{row:?}")));
        if pull.manifest().dataset != COVERAGE {
            texts.extend(bodies(pull));
        }
    }
    let everything = texts.join("\n");
    for personal in [
        "Jill",
        "jchill",
        "@",
        "+1",
        "14232058798",
        "Caller",
        "Callee",
        "101229",
        "APITA",
        "ApiTA",
        "web-api1",
        "6589310093",
        "HqDyI037Qjili1kNsSIrIg",
        "ATu63--9TjudZetpf4UuQg",
        "1000001036",
        "cost-center1",
    ] {
        assert!(!everything.contains(personal), "{personal} is staged");
    }
    // What was left out is named, so that a new member shows.
    let page: Value = serde_json::from_str(&bodies(pull_of(&landed, CALLS, "2021-10-08"))[0]).unwrap();
    assert!(page["removed"].as_array().unwrap().contains(&json!("caller_name")));
    assert_eq!(page["call_history"][0]["call_result"], "answered");
    assert!(page.get("next_page_token").is_none());
}
