//! Landing: from a source's answers to committed Parquet.

use std::fs;
use std::path::Path;

use chrono::NaiveDate;
use criterion::{BatchSize, Criterion, Throughput};
use marts::datasets::{Connector, dataset};
use marts::extract;
use marts::extract::oauth::MemoryTokenStore;
use marts::periods::Partition;
use marts::run::Wanted;
use marts::staging::Staging;
use serde_json::{Value, json};

use crate::ground::{Ground, context, size, sizes};

const RECORDED: &str = include_str!("../tests/fixtures/quickbooks/intuit-docs-samples/profitandloss_2015-06.json");

/// A recorded report of QuickBooks, made longer, through the parser into the landing zone. From a file, so that no
/// network is in the figure.
pub fn json(criterion: &mut Criterion, ground: &Ground) {
    let mut group = criterion.benchmark_group("land_json");
    let scene = &ground.night;
    let org = scene.config.orgs.iter().find(|org| org.quickbooks.is_some()).expect("it has QuickBooks");
    let month = Partition::month_of(NaiveDate::from_ymd_opt(2015, 6, 1).expect("a day"));
    let wanted = [Wanted {
        dataset: dataset("quickbooks_profit_and_loss").expect("the dataset"),
        partitions: vec![month],
        settled: Vec::new(),
        settled_after: 0,
        may_be_absent: false,
        staged: Vec::new(),
        may_lack: false,
    }];
    // A report of a million lines there is none.
    for lines in sizes().into_iter().filter(|lines| *lines <= 100_000) {
        let pages = scene.folder();
        let page = report(lines);
        let folder = pages.path().join(wanted[0].dataset.name);
        fs::create_dir(&folder).expect("a folder");
        fs::write(folder.join(format!("{month}.json")), &page).expect("a page");
        let land = |staging: &Path| {
            let staging = Staging::new(staging);
            let context = context(&scene.config, org, &staging, Some(pages.path().to_owned()));
            let tokens = MemoryTokenStore::default();
            let landing = extract::land(&context, &tokens, Connector::QuickBooks, &wanted);
            ground.runtime.block_on(landing).expect("it lands")
        };
        let once = scene.folder();
        let (elements, _) = size(land(once.path()).iter());
        group.throughput(Throughput::ElementsAndBytes { elements, bytes: page.len() as u64 });
        if lines > 10_000 {
            group.sample_size(20);
        }
        group.bench_function(lines.to_string(), |bencher| {
            let land_in = |staging: tempfile::TempDir| {
                land(staging.path());
                staging
            };
            bencher.iter_batched(|| scene.folder(), land_in, BatchSize::PerIteration);
        });
    }
    group.finish();
}

/// The recorded report with so many lines more.
fn report(lines: u64) -> Vec<u8> {
    let mut report: Value = serde_json::from_str(RECORDED).expect("a report");
    let rows = report["Rows"]["Row"].as_array_mut().expect("rows");
    rows.extend((0..lines).map(|number| {
        let amount = format!("{}.{:02}", number % 100_000, number % 100);
        json!({ "ColData": [{ "value": format!("Account {number}"), "id": number.to_string() }, { "value": amount }], "type": "Data" })
    }));
    serde_json::to_vec(&report).expect("it is JSON")
}

/// Rows of a SQL Server into the landing zone, over TLS on the loopback. The simulated server is in this process and
/// takes its share of the processors.
pub fn sql(criterion: &mut Criterion, ground: &Ground) {
    let mut group = criterion.benchmark_group("land_sql");
    group.sample_size(10);
    for scene in &ground.bulks {
        let once = scene.folder();
        let (elements, bytes) = size(ground.runtime.block_on(scene.land_month(once.path())).iter());
        group.throughput(Throughput::ElementsAndBytes { elements, bytes });
        group.bench_function(scene.rows.to_string(), |bencher| {
            let land_in = |staging: tempfile::TempDir| {
                ground.runtime.block_on(scene.land_month(staging.path()));
                staging
            };
            bencher.iter_batched(|| scene.folder(), land_in, BatchSize::PerIteration);
        });
    }
    group.finish();
}
