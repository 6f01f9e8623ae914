//! Publishing: a mart's rows as COPY takes them, and the whole transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Instant;

use arrow::array::{ArrayRef, Date32Array, Decimal128Array, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use criterion::{BenchmarkId, Criterion, Throughput};
use marts::compute::mart_schema;
use marts::config::{PostgresSettings, SecretRef};
use marts::jobs::{Job, job};
use marts::ledger::{self, Finished, RunId, Started, Status};
use marts::postgres::{Database, OrganizationRow};
use marts::publish::{self, Column, MartRows, Mode, Organization, Published};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::ground::{Ground, as_of, sizes};

/// Names a real server; without it only the embedded one is measured.
const SERVER: &str = "MARTS_TEST_POSTGRES_URL";

fn sales() -> &'static Job {
    job("etl_sales_daily").expect("the job")
}

/// So many days of sales. Between two versions one amount of each day differs.
fn days(count: u64, version: i32) -> RecordBatch {
    let schema = mart_schema(sales().mart).expect("the mart's schema");
    let count = i32::try_from(count).expect("so many days");
    let arrays = schema.fields().iter().map(|field| -> ArrayRef {
        match field.data_type() {
            DataType::Date32 => Arc::new(Date32Array::from_iter_values(0..count)),
            DataType::Int32 => Arc::new(Int32Array::from_iter_values((0..count).map(|day| day % 100))),
            DataType::Decimal128(precision, scale) => {
                let version = if field.name() == "total_revenue" { version } else { 0 };
                let cents = (0..count).map(|day| i128::from(day) * 1_237 + i128::from(version));
                let amounts = Decimal128Array::from_iter_values(cents).with_precision_and_scale(*precision, *scale);
                Arc::new(amounts.expect("an amount"))
            }
            _ => Arc::new((0..count).map(|_| Some("{}")).collect::<StringArray>()),
        }
    });
    let arrays = arrays.collect();
    RecordBatch::try_new(schema, arrays).expect("a batch")
}

/// What COPY is told. Type names tell JSON from text, and days of sales have neither.
fn columns(batch: &RecordBatch) -> Vec<Column> {
    let schema = batch.schema();
    let column = |name: &String| Column { name: name.clone(), type_name: String::new() };
    schema.fields().iter().map(|field| column(field.name())).collect()
}

/// Writing what COPY sends, which goes nowhere.
pub fn copy(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("copy");
    for rows in sizes() {
        let batch = days(rows, 0);
        let columns = columns(&batch);
        let bytes = encoded(&batch).len() as u64;
        group.throughput(Throughput::ElementsAndBytes { elements: rows, bytes });
        if rows > 100_000 {
            group.sample_size(10);
        }
        group.bench_function(rows.to_string(), |bencher| {
            let mut bytes = Vec::new();
            bencher.iter(|| {
                bytes.clear();
                publish::encode(&batch, &columns, &mut bytes).expect("it is encoded");
            });
        });
    }
    group.finish();
}

fn encoded(batch: &RecordBatch) -> Vec<u8> {
    let mut bytes = Vec::new();
    publish::encode(batch, &columns(batch), &mut bytes).expect("it is encoded");
    bytes
}

/// The transaction of one mart: COPY, a line in the change ledger for each row, an upsert of each row, the run ledger.
pub fn publish(criterion: &mut Criterion, ground: &Ground) {
    let mut group = criterion.benchmark_group("publish");
    group.sample_size(10);
    for server in Server::each(ground) {
        for rows in sizes().into_iter().filter(|rows| *rows <= 100_000) {
            let versions = [0, 1].map(|version| days(rows, version));
            let bytes = encoded(&versions[0]).len() as u64;
            group.throughput(Throughput::ElementsAndBytes { elements: rows, bytes });
            group.bench_function(BenchmarkId::new(server.name, rows), |bencher| {
                bencher.iter(|| {
                    let number = server.runs.fetch_add(1, Ordering::Relaxed);
                    let batch = versions[usize::from(number % 2 == 0)].clone();
                    ground.runtime.block_on(server.publish(batch, number));
                });
            });
        }
        ground.runtime.block_on(server.remove());
    }
    group.finish();
}

/// Seconds that it takes to publish 45 changed days where so many days are published: the median of five times.
pub fn beside(ground: &Ground, published: u64) -> f64 {
    ground.runtime.block_on(async {
        let server = Server::start(std::env::var(SERVER).ok()).await;
        server.publish(days(published, 0), 0).await;
        let mut seconds = Vec::new();
        for number in 1..=5 {
            let began = Instant::now();
            server.publish(days(45, number), number).await;
            seconds.push(began.elapsed().as_secs_f64());
        }
        server.remove().await;
        seconds.sort_by(f64::total_cmp);
        seconds[2]
    })
}

/// A database of our own: on the real server where one is named, or embedded.
pub struct Place {
    pub settings: PostgresSettings,
    /// The real server's url, and the name of the database made there.
    made: Option<(String, String)>,
    _folder: tempfile::TempDir,
}

impl Place {
    pub async fn make() -> Place {
        Self::at(std::env::var(SERVER).ok()).await
    }

    async fn at(url: Option<String>) -> Place {
        let folder = tempfile::tempdir().expect("a folder");
        let mut settings = PostgresSettings { url: None, data_dir: folder.path().join("postgres") };
        let mut made = None;
        if let Some(url) = url {
            let name = format!("marts_bench_{:016x}", rand::random::<u64>());
            maintain(&url, &format!("create database {name}")).await;
            let mut own = url::Url::parse(&url).expect("a url");
            own.set_path(&name);
            let file = folder.path().join("url");
            std::fs::write(&file, own.as_str()).expect("a file");
            settings.url = Some(SecretRef::File(file));
            made = Some((url, name));
        }
        Place { settings, made, _folder: folder }
    }

    pub async fn remove(self) {
        if let Some((url, name)) = self.made {
            maintain(&url, &format!("drop database {name} with (force)")).await;
        }
    }
}

/// Such a database with an organisation to publish for.
struct Server {
    name: &'static str,
    database: Database,
    org: Organization,
    runs: AtomicI32,
    place: Place,
}

impl Server {
    fn each(ground: &Ground) -> impl Iterator<Item = Server> {
        let real = std::env::var(SERVER).ok();
        [None].into_iter().chain(real.map(Some)).map(|url| ground.runtime.block_on(Server::start(url)))
    }

    async fn start(url: Option<String>) -> Server {
        let place = Place::at(url).await;
        let (database, org) = organisation(&place.settings).await;
        let name = if place.made.is_some() { "server" } else { "embedded" };
        Server { name, database, org, runs: AtomicI32::new(0), place }
    }

    async fn publish(&self, batch: RecordBatch, number: i32) {
        let rows = batch.num_rows();
        let run = RunId::from(format!("bench-{number}"));
        let done = whole(&self.database, &self.org, &run, vec![batch]).await;
        // Otherwise something else than it says is measured.
        assert_eq!(done.unchanged, 0, "of {rows} rows");
    }

    async fn remove(self) {
        self.database.close().await.expect("it closes");
        self.place.remove().await;
    }
}

/// A database with the marts' tables and an organisation.
pub async fn organisation(settings: &PostgresSettings) -> (Database, Organization) {
    let database = Database::connect(settings, "bench").await.expect("a database");
    database.migrate().await.expect("it migrates");
    let row = OrganizationRow {
        slug: "acme".into(),
        name: "Acme".into(),
        timezone: "America/Chicago".into(),
        fiscal_year_start_month: 1,
        data_start_date: None,
    };
    let id = database.sync_organizations(&[row]).await.expect("an organisation")[0];
    (database, Organization { id, slug: "acme".into() })
}

/// The whole publication of days of sales: COPY, change ledger, upsert, run ledger.
pub async fn whole(database: &Database, org: &Organization, run: &RunId, batches: Vec<RecordBatch>) -> Published {
    let job = sales();
    let finished = Finished {
        job: job.name.to_owned(),
        status: Status::Success,
        rows_landed: None,
        error: None,
        detail: json!({}),
    };
    let source_system = job.sources[0].source_system;
    let marts = [MartRows { mart: job.mart, key: job.key, source_system, batches, finished }];
    let mut connection = database.connection().await.expect("a connection");
    let periods = Some((as_of(), as_of()));
    let started = Started { run, org_id: org.id, job: job.name, mart: job.mart, as_of: as_of(), periods };
    ledger::start(&mut connection, &started).await.expect("it starts");
    let done = publish::publish(&mut connection, org, run, &marts, Mode::Commit).await.expect("it is published");
    done.into_iter().next().expect("one mart")
}

async fn maintain(url: &str, statement: &str) {
    let mut connection = PgConnection::connect(url).await.expect("the server");
    sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.expect("it is done");
    connection.close().await.expect("it closes");
}
