//! What a night staged, landed again in another shape.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use arrow::array::{
    Array, AsArray as _, BooleanArray, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::compute::concat_batches;
use arrow::datatypes::DataType;
use chrono::{DateTime, NaiveDate, TimeDelta};
use marts::compute::{Compute, Inputs, Pulls};
use marts::config::{Config, Org};
use marts::datasets::dataset;
use marts::jobs::JOBS;
use marts::run::{Plan, Window, plan, source_for};
use marts::staging::{Landed, Page, Staging, Value};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::compute::support::rows;
use crate::night::stage::{Stage, as_of};

/// Datasets whose records a source may give twice: lists that are read page by page while they change. A table in SQL
/// Server and a report give each once; rows of the app's export count as delivered, because nothing tells a duplicate
/// from a repetition.
const MAY_COME_TWICE: [&str; 5] =
    ["hubspot_contacts", "hubspot_deals", "hubspot_deal_stages", "hubspot_lifecycle_stages", "zoom_call_legs"];

/// Datasets whose records say when they were last changed. A record that is listed twice, once as it was before, counts
/// as it was last changed.
const HAVE_VERSIONS: [&str; 2] = ["hubspot_contacts", "hubspot_deals"];

/// What is done to the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Shuffle,
    /// Their pages are numbered as if so many records made one.
    NumberPages(usize),
    Repeat,
    /// Each record that has versions comes two more times, before and after, as if it had said nothing that many seconds
    /// after it was last changed.
    Version(i64),
    /// The rows lie in so many files, in another order.
    Files(usize),
}

/// What leaves every mart as it is.
pub const CHANGES: &[(&str, Change)] = &[
    ("in another order", Change::Shuffle),
    ("with three records a page", Change::NumberPages(3)),
    ("on one page", Change::NumberPages(usize::MAX)),
    ("with records that come twice", Change::Repeat),
    ("with records as they were a second before, too", Change::Version(-1)),
    ("in three files", Change::Files(3)),
];

/// A night's configuration, and room to land things again.
pub struct Night {
    config: Config,
    folder: TempDir,
}

/// A mart of an organisation: what to compute, from which pulls.
pub struct Task {
    org: Org,
    plan: Plan,
    pulls: Pulls,
}

impl Night {
    pub fn staged(stage: &Stage) -> Night {
        Night { config: Config::load(&stage.config()).unwrap(), folder: tempfile::tempdir().unwrap() }
    }

    /// Every job of every organisation, by each source that some organisation has.
    pub fn tasks(&self) -> Vec<Task> {
        let staging = Staging::new(&self.config.staging.path);
        let window = Window { as_of: as_of(), range: None, is_present: true };
        let mut tasks = Vec::new();
        for org in &self.config.orgs {
            for job in JOBS {
                let Some(source) = source_for(job, org) else { continue };
                let mut plan = plan(job, source, org, window).unwrap();
                let pulls = Pulls::winners(&staging, org, &plan.wanted, None).unwrap();
                plan.leave_out_absent(&pulls);
                tasks.push(Task { org: org.clone(), plan, pulls });
            }
        }
        for source in JOBS.iter().flat_map(|job| job.sources) {
            let is_run = tasks.iter().any(|task| task.plan.source.sql_name == source.sql_name);
            assert!(is_run, "no organisation of the simulation fills {}", source.sql_name);
        }
        tasks
    }
}

impl Task {
    pub fn name(&self) -> String {
        format!("{} of {}", self.plan.source.sql_name, self.org.slug)
    }

    pub fn pulls(&self) -> &Pulls {
        &self.pulls
    }

    /// The mart's rows from some pulls.
    pub fn rows(&self, night: &Night, pulls: &Pulls) -> Vec<BTreeMap<String, String>> {
        self.rows_by(night, &self.plan, pulls)
    }

    fn rows_by(&self, night: &Night, plan: &Plan, pulls: &Pulls) -> Vec<BTreeMap<String, String>> {
        let inputs = Inputs { config: &night.config, org: &self.org, plan, pulls, as_of: as_of() };
        rows(&Compute::open(&inputs).unwrap().compute().unwrap())
    }

    /// How many periods a night restates.
    pub fn periods(&self) -> usize {
        self.plan.periods.len()
    }

    /// The rows of some of the periods, as a run with `--from` and `--to` computes them.
    pub fn rows_of(&self, night: &Night, periods: RangeInclusive<usize>) -> Vec<BTreeMap<String, String>> {
        let (first, last) = (self.plan.periods[*periods.start()], self.plan.periods[*periods.end()]);
        let range = Some((first.start, last.end.min(as_of())));
        let window = Window { as_of: as_of(), range, is_present: true };
        let mut plan = plan(self.plan.job, self.plan.source, &self.org, window).unwrap();
        let staging = Staging::new(&night.config.staging.path);
        let pulls = Pulls::winners(&staging, &self.org, &plan.wanted, None).unwrap();
        plan.leave_out_absent(&pulls);
        self.rows_by(night, &plan, &pulls)
    }

    /// Whether it reads records that have versions.
    pub fn has_versions(&self) -> bool {
        self.pulls.all().any(|landed| HAVE_VERSIONS.contains(&landed.manifest().dataset.as_str()))
    }

    /// The pulls, each landed again with its records changed.
    pub fn relanded(&self, night: &Night, seed: u64, change: Change) -> Pulls {
        let folder = tempfile::tempdir_in(night.folder.path()).unwrap().keep();
        let staging = Staging::new(folder);
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        self.pulls
            .all()
            .map(
                |landed| if landed.is_absent() { landed.clone() } else { again(&staging, landed, change, &mut random) },
            )
            .collect()
    }
}

fn again(staging: &Staging, landed: &Landed, change: Change, random: &mut ChaCha8Rng) -> Landed {
    let manifest = landed.manifest();
    let dataset = dataset(&manifest.dataset).unwrap();
    let batches = batches(landed);
    // A record, and whether it is the version that says nothing.
    let mut order: Vec<(&RecordBatch, usize, bool)> =
        batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| (batch, row, false))).collect();
    match change {
        Change::Shuffle | Change::Files(_) => order.shuffle(random),
        Change::Repeat if MAY_COME_TWICE.contains(&dataset.name) => {
            order = order.iter().flat_map(|record| [*record, *record]).collect();
        }
        Change::Version(_) if HAVE_VERSIONS.contains(&dataset.name) => {
            let of = |(batch, row, _)| [(batch, row, true), (batch, row, false), (batch, row, true)];
            order = order.into_iter().flat_map(of).collect();
        }
        Change::Repeat | Change::NumberPages(_) | Change::Version(_) => {}
    }
    let partition = landed.partition().unwrap();
    let mut landing = staging.begin(dataset, &manifest.org, partition, manifest.pulled_at).unwrap();
    let mut pages = 0;
    for (at, (batch, row, says_nothing)) in order.into_iter().enumerate() {
        let page = batch.column_by_name("page").map(|pages| match change {
            Change::NumberPages(size) => i64::try_from(at / size).unwrap(),
            _ => pages.as_primitive::<arrow::datatypes::Int64Type>().value(row),
        });
        while dataset.pages && page.is_some_and(|page| pages <= page) {
            let (method, url, fetched_at) = ("GET", "https://example.com", manifest.pulled_at);
            pages = landing.page(&Page { method, url, status: 200, fetched_at, body: b"{}" }).unwrap() + 1;
        }
        let values: Vec<_> = dataset
            .columns
            .iter()
            .map(|column| {
                let found = value(batch.column_by_name(column.name).unwrap().as_ref(), row);
                match (found, change) {
                    (found, _) if !says_nothing || dataset.key.contains(&column.name) => found,
                    (Value::Timestamp(at), Change::Version(seconds)) if column.name == "modified_at" => {
                        Value::Timestamp(at + TimeDelta::seconds(seconds))
                    }
                    (found @ Value::Bool(_), _) => found,
                    (_, _) if column.name == "modified_at" => panic!("a record without an instant of its last change"),
                    _ => Value::Null,
                }
            })
            .collect();
        landing.push(page, &values).unwrap();
    }
    let landed = landing.finish().unwrap();
    match change {
        Change::Files(count) => in_files(&landed, count),
        _ => landed,
    }
}

fn batches(landed: &Landed) -> Vec<RecordBatch> {
    let of_file = |file: &PathBuf| {
        let file = File::open(file).unwrap();
        ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap().map(Result::unwrap)
    };
    landed.row_files().iter().flat_map(of_file).collect()
}

/// A pull with its rows spread over several files, which a manifest may list.
fn in_files(landed: &Landed, count: usize) -> Landed {
    let batches = batches(landed);
    let Some(first) = batches.first() else { return landed.clone() };
    let all = concat_batches(&first.schema(), &batches).unwrap();
    let path = landed.path().join("pull.json");
    let mut manifest: serde_json::Value = serde_json::from_reader(File::open(&path).unwrap()).unwrap();
    let files = manifest["files"].as_array_mut().unwrap();
    files.retain(|file| !file["name"].as_str().unwrap().starts_with("rows-"));
    let size = all.num_rows().div_ceil(count);
    for (number, start) in (0..all.num_rows()).step_by(size).enumerate() {
        let name = format!("rows-{number:04}.parquet");
        let part = landed.path().join(&name);
        let mut writer = ArrowWriter::try_new(File::create(&part).unwrap(), all.schema(), None).unwrap();
        writer.write(&all.slice(start, size.min(all.num_rows() - start))).unwrap();
        writer.close().unwrap();
        let bytes = std::fs::read(&part).unwrap();
        files.push(json!({ "name": name, "bytes": bytes.len(), "sha256": hex::encode(Sha256::digest(&bytes)) }));
    }
    // A manifest without a checksum of its own is one of an earlier version.
    manifest.as_object_mut().unwrap().remove("sha256");
    std::fs::write(&path, manifest.to_string()).unwrap();
    let landed = Landed::open(landed.path()).unwrap();
    assert_eq!(landed.row_files().len(), all.num_rows().div_ceil(size));
    landed
}

/// A staged cell, to be landed again.
fn value(array: &dyn Array, row: usize) -> Value<'_> {
    if array.is_null(row) {
        return Value::Null;
    }
    let any = array.as_any();
    match array.data_type() {
        DataType::Utf8 => Value::Text(any.downcast_ref::<StringArray>().unwrap().value(row)),
        DataType::Int64 => Value::Int(any.downcast_ref::<Int64Array>().unwrap().value(row)),
        DataType::Decimal128(_, scale) => Value::Decimal {
            mantissa: any.downcast_ref::<Decimal128Array>().unwrap().value(row),
            scale: u8::try_from(*scale).unwrap(),
        },
        DataType::Boolean => Value::Bool(any.downcast_ref::<BooleanArray>().unwrap().value(row)),
        DataType::Date32 => {
            let days = any.downcast_ref::<Date32Array>().unwrap().value(row);
            Value::Date(NaiveDate::from_ymd_opt(1970, 1, 1).unwrap() + TimeDelta::days(i64::from(days)))
        }
        DataType::Timestamp(..) => {
            let micros = any.downcast_ref::<TimestampMicrosecondArray>().unwrap().value(row);
            Value::Timestamp(DateTime::from_timestamp_micros(micros).unwrap())
        }
        kind => panic!("nothing is staged as {kind}"),
    }
}
