//! One stage, once, in this process alone: what `make compare` holds against other programs, which are processes too.
//!
//! `MARTS_MEASURE` names the stage, the other variables say on what. One line of JSON tells what it took.

use std::env::var;
use std::fs::File;
use std::path::Path;
use std::time::Instant;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::cast;
use marts::cli::output::print;
use marts::compute::{Compute, Inputs, Pulls, mart_schema};
use marts::config::{Config, Org, PostgresSettings, SecretRef};
use marts::extract::{self, oauth::MemoryTokenStore};
use marts::jobs::job;
use marts::ledger::RunId;
use marts::postgres::Database;
use marts::publish::{self, Organization};
use marts::run::{Plan, Window, plan, source_for};
use marts::staging::{Landed, Staging};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::runtime::Runtime;

use crate::events;
use crate::ground::{as_of, context, size};

/// Rows of a batch, as DuckDB hands a mart's rows over.
const BATCH_ROWS: usize = 2048;

/// The stage that is asked for, if one is.
pub fn stage() -> Option<String> {
    var("MARTS_MEASURE").ok().filter(|stage| !stage.is_empty())
}

/// Runs a stage and prints its line.
pub fn run(stage: &str) {
    extract::http::install_crypto();
    let runtime = Runtime::new().expect("a runtime");
    let mut line = match stage {
        "events" => land_events(),
        "compute" => compute(),
        "land_json" => runtime.block_on(land("etl_hubspot_contacts")),
        "land_sql" => runtime.block_on(land("etl_sales_daily")),
        "migrate" => runtime.block_on(migrate()),
        "copy" => runtime.block_on(copy()),
        "publish" => runtime.block_on(publish()),
        other => panic!("there is no stage {other}"),
    };
    line["stage"] = stage.into();
    line["peak_mib"] = peak_mib().into();
    print(&format!("{line}\n")).expect("stdout is there");
}

/// What a stage is given by name.
fn given(name: &str) -> String {
    var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

fn config() -> Config {
    Config::load(Path::new(&given("MARTS_MEASURE_CONFIG"))).expect("a configuration")
}

/// What it took since a stage began.
struct Clock {
    began: Instant,
    cpu_ms: u64,
}

impl Clock {
    fn start() -> Clock {
        Clock { began: Instant::now(), cpu_ms: cpu_ms() }
    }

    fn line(&self, rows: u64, bytes: u64) -> Value {
        let (wall_ms, cpu_ms) = (self.began.elapsed().as_millis(), cpu_ms() - self.cpu_ms);
        json!({ "wall_ms": u64::try_from(wall_ms).expect("a duration"), "cpu_ms": cpu_ms, "rows": rows, "bytes": bytes })
    }
}

/// Milliseconds that this process had a processor, all threads together. The kernel counts in hundredths of a second.
fn cpu_ms() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    // The name in brackets may hold anything, blanks too. Behind it user and system time are the twelfth and the next.
    let (_, fields) = stat.rsplit_once(')').expect("a name");
    let ticks = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().expect("ticks"));
    ticks.sum::<u64>() * 10
}

fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("KiB") / 1024
}

/// The plan of a job for the first organisation that has a source for it.
fn planned<'a>(config: &'a Config, name: &str) -> (&'a Org, Plan) {
    let job = job(name).expect("a job");
    let window = Window { as_of: as_of(), range: None, is_present: true };
    let of = |org: &'a Org| Some((org, plan(job, source_for(job, org)?, org, window).expect("a plan")));
    config.orgs.iter().find_map(of).expect("an organisation that has its source")
}

/// Makes what `compute` reads.
fn land_events() -> Value {
    let config = config();
    let (org, plan) = planned(&config, "etl_app_analytics");
    let clock = Clock::start();
    let events = given("MARTS_MEASURE_ROWS").parse().expect("a number");
    let landed = events::land(&config, org, &plan.wanted[0], events);
    let (rows, bytes) = size(landed.iter());
    clock.line(rows, bytes)
}

/// Opening DuckDB over the pulls and running the mart's SQL, as `compute` in compute.rs.
fn compute() -> Value {
    let config = config();
    let (org, plan) = planned(&config, "etl_app_analytics");
    let staging = Staging::new(&config.staging.path);
    let pulls = Pulls::winners(&staging, org, &plan.wanted, None).expect("it is staged");
    let (rows, bytes) = size(pulls.all());
    let inputs = Inputs { config: &config, org, plan: &plan, pulls: &pulls, as_of: as_of() };
    let clock = Clock::start();
    let compute = Compute::open(&inputs).expect("it opens");
    let batches = compute.compute().expect("it computes");
    // Giving the memory back does not count: with the others it comes after their clock too.
    let mut line = clock.line(rows, bytes);
    line["made"] = batches.iter().map(RecordBatch::num_rows).sum::<usize>().into();
    line
}

/// Lands the newest partition of each dataset that a job reads first, from the sandbox of the configuration.
async fn land(name: &str) -> Value {
    let config = config();
    let (org, mut plan) = planned(&config, name);
    plan.wanted.truncate(1);
    plan.wanted[0].partitions.retain(|partition| partition.end() >= as_of());
    let folder = tempfile::tempdir_in(given("MARTS_MEASURE_DIR")).expect("a folder");
    let staging = Staging::new(folder.path());
    let clock = Clock::start();
    let context = context(&config, org, &staging, None);
    let tokens = MemoryTokenStore::default();
    let landing = extract::land(&context, &tokens, plan.source.connector, &plan.wanted);
    let landed: Vec<Landed> = landing.await.expect("it lands");
    let (rows, bytes) = size(landed.iter());
    clock.line(rows, bytes)
}

/// The rows of the file that is given, in the types of the mart.
fn rows() -> Vec<RecordBatch> {
    let file = File::open(given("MARTS_MEASURE_FILE")).expect("a file of rows");
    let schema = mart_schema("mart_sales_daily").expect("the mart's schema");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("a Parquet file");
    let typed = |batch: RecordBatch| {
        let columns = schema.fields().iter().map(|field| -> ArrayRef {
            let column = batch.column_by_name(field.name()).expect("the mart's column");
            cast(column, field.data_type()).expect("the mart's type")
        });
        RecordBatch::try_new(schema.clone(), columns.collect()).expect("a batch")
    };
    let batches = reader.with_batch_size(BATCH_ROWS).build().expect("it reads");
    batches.map(|batch| typed(batch.expect("a batch"))).collect()
}

/// Encoding rows and copying them into a temporary table of the mart's columns: what publishing does first.
async fn copy() -> Value {
    let batches = rows();
    let bytes = batches.iter().map(|batch| batch.get_array_memory_size() as u64).sum();
    let mart = "mart_sales_daily";
    let mut connection = PgConnection::connect(&given("MARTS_MEASURE_URL")).await.expect("the server");
    let mut columns = publish::columns_of(&mut connection, mart).await.expect("the mart's columns");
    columns.retain(|column| batches[0].column_by_name(&column.name).is_some());
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let stage = format!("create temporary table staged as select {} from {mart} limit 0", names.join(", "));
    sqlx::query(AssertSqlSafe(stage)).execute(&mut connection).await.expect("a table");
    let clock = Clock::start();
    let copied = publish::copy_rows(&mut connection, "staged", &batches, &columns).await.expect("it is copied");
    clock.line(copied, bytes)
}

/// The database that is given, with the marts' tables and an organisation.
async fn prepared() -> (Database, Organization) {
    let url = Some(SecretRef::Env("MARTS_MEASURE_URL".into()));
    crate::publish::organisation(&PostgresSettings { url, ..PostgresSettings::default() }).await
}

/// Makes the tables that `copy` and `publish` need.
async fn migrate() -> Value {
    let clock = Clock::start();
    prepared().await;
    clock.line(0, 0)
}

/// The whole transaction: COPY, change ledger, upsert, run ledger.
async fn publish() -> Value {
    let (database, org) = prepared().await;
    let batches = rows();
    let bytes = batches.iter().map(|batch| batch.get_array_memory_size() as u64).sum();
    let run = RunId::from(format!("compare-{:016x}", rand::random::<u64>()));
    let clock = Clock::start();
    let done = crate::publish::whole(&database, &org, &run, batches).await;
    let rows = u64::try_from(done.inserted + done.updated + done.unchanged).expect("a count");
    let mut line = clock.line(rows, bytes);
    line["inserted"] = done.inserted.into();
    line["updated"] = done.updated.into();
    line["changed_cells"] = done.changed_cells.into();
    line
}
