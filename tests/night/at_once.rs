//! What of a night goes on at a time.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::time::Duration;

use marts::datasets::Connector;
use marts::jobs::{self, Job};
use marts::sandbox::http::{Fault, FaultPlan};
use marts::sandbox::tds;
use serde_json::Value;

use super::stage::{Stage, as_of};

/// A run whose HubSpot says nothing, and the events it tells until it only waits for that.
struct Waiting {
    run: Child,
    events: Vec<Value>,
}

impl Waiting {
    async fn start(stage: &Stage, until: impl Fn(&[Value]) -> bool) -> Waiting {
        stage.world.hubspot.set_faults(FaultPlan::new().on("GET *", .., Fault::Stall));
        let as_of = as_of().to_string();
        let mut command = stage.command(&["run", "--as-of", &as_of, "--json"]);
        let mut run = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let lines = BufReader::new(run.stdout.take().unwrap()).lines();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| tell.send(line)));
        let mut events = Vec::new();
        while !until(&events) {
            let line = tokio::time::timeout(Duration::from_secs(90), told.recv()).await;
            let Ok(Some(line)) = line else { panic!("it waits for something else: {events:#?}") };
            events.push(serde_json::from_str(&line).unwrap());
        }
        Waiting { run, events }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.run.kill();
        let _ = self.run.wait();
    }
}

/// What was computed of the organisation whose HubSpot says nothing.
fn computed(events: &[Value]) -> BTreeSet<&str> {
    let of_vital = events.iter().filter(|event| event["event"] == "computed" && event["org"] == "vital");
    of_vital.filter_map(|event| event["job"].as_str()).collect()
}

/// The organisations of which a mart is done.
fn done(events: &[Value]) -> BTreeSet<&str> {
    events.iter().filter(|event| event["event"] == "done").filter_map(|event| event["mart"]["org"].as_str()).collect()
}

/// The jobs of that organisation that ask another source than HubSpot.
fn others() -> BTreeSet<&'static str> {
    let asks = [Connector::QuickBooks, Connector::Zoom, Connector::Cases, Connector::BigQuery];
    let is_its = |job: &&Job| job.sources.iter().any(|source| asks.contains(&source.connector));
    jobs::JOBS.iter().filter(is_its).map(|job| job.name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_slow_keeps_neither_other_sources_nor_other_organisations_waiting() {
    let stage = Stage::start().await;
    let rest = others();
    let waiting = Waiting::start(&stage, |events| computed(events) == rest && done(events).contains("bennett")).await;
    assert!(waiting.events.iter().all(|event| event["dataset"] != "hubspot_contacts"), "nobody answered");
    // The organisation's night is whole or not at all, so it is not published yet.
    assert_eq!(done(&waiting.events), BTreeSet::from(["bennett"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_organisations_are_under_way_than_the_limits_let() {
    let stage = Stage::start().await;
    stage.amend("[limits]\norganizations_at_once = 1\n");
    // Last in the configuration, so that it would begin while the other waits.
    let text = std::fs::read_to_string(stage.config()).unwrap();
    let [head, bennett, vital] = text.split("[[org]]").collect::<Vec<_>>()[..] else { panic!("two organisations") };
    let tail = vital.find("[limits]").unwrap();
    let swapped = format!("{head}{}[[org]]{}[[org]]{bennett}", &vital[tail..], &vital[..tail]);
    std::fs::write(stage.config(), swapped).unwrap();
    let waiting = Waiting::start(&stage, |events| computed(events) == others()).await;
    assert_eq!(computed(&waiting.events).len(), 4);
    let orgs: BTreeSet<_> = waiting.events.iter().filter_map(|event| event["org"].as_str()).collect();
    assert_eq!(orgs, BTreeSet::from(["vital"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_in_the_order_of_the_configuration_and_of_a_night() {
    let stage = Stage::start().await;
    // The first job of the first organisation is the last to be done, but for a machine that is slower still.
    let slow = tds::Fault::statement("InvoiceReg", tds::StatementFault::Delay(Duration::from_secs(5)));
    stage.world.softbase.set_faults(tds::FaultPlan::one(slow));
    let (json, _) = stage.night(&["--json"], 0);
    let report: Value = serde_json::from_str(json.lines().last().unwrap()).unwrap();
    let marts = report["report"]["marts"].as_array().unwrap().iter();
    let got: Vec<_> = marts.map(|mart| (mart["org"].as_str().unwrap(), mart["job"].as_str().unwrap())).collect();
    let night = |job: &str| jobs::JOBS.iter().position(|known| known.name == job).unwrap();
    let mut sorted = got.clone();
    sorted.sort_by_key(|(org, job)| (["bennett", "vital"].iter().position(|known| known == org), night(job)));
    assert_eq!(got, sorted);
    assert_eq!(got.len(), super::stage::MARTS);
}
