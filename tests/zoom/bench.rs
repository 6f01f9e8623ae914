//! An account with a simulated Zoom, a landing zone and a clock.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use arrow::array::{Array as _, TimestampMicrosecondArray};
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::{DateTime, Days, NaiveDate};
use marts::config::{Config, Limits, Org, PostgresSettings, SecretRef, Security, StagingSettings, Zoom};
use marts::datasets::{Dataset, dataset};
use marts::extract::{Context, zoom};
use marts::periods::Partition;
use marts::sandbox::business::zoom::{ZoomAccount, ZoomOptions};
use marts::sandbox::http::{FaultPlan, ManualClock};
use marts::sandbox::zoom::{ZoomServer, ZoomServerOptions};
use marts::staging::{Landed, Staging};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::compute::support::bare_org;

pub const CALLS: &str = "zoom_call_legs";
pub const REPORT: &str = "zoom_daily_report";
pub const COUNTS: &str = "zoom_counts";
pub const COVERAGE: &str = "zoom_coverage";
pub const ALL: [&str; 4] = [CALLS, REPORT, COUNTS, COVERAGE];
pub const SECRET: &str = "sandbox-zoom-secret";

static ACCOUNT: LazyLock<Arc<ZoomAccount>> =
    LazyLock::new(|| Arc::new(ZoomAccount::generate(ZoomOptions::new(7, day("2025-07-01"), day("2026-01-20")))));

pub struct Bench {
    pub server: ZoomServer,
    pub clock: ManualClock,
    pub account: Arc<ZoomAccount>,
    pub config: Config,
    pub as_of: NaiveDate,
    pub pages: Option<PathBuf>,
    pub folder: tempfile::TempDir,
}

pub fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

impl Bench {
    pub async fn new() -> Self {
        Self::start(|_| {}).await
    }

    pub async fn with_faults(faults: FaultPlan) -> Self {
        Self::start(|options| options.faults = faults).await
    }

    /// The night of 21 January 2026.
    pub async fn start(change: impl FnOnce(&mut ZoomServerOptions)) -> Self {
        let clock = ManualClock::at("2026-01-21T10:00:00Z".parse().unwrap());
        let account = ACCOUNT.clone();
        let mut options = ZoomServerOptions::new(account.clone(), clock.clock());
        // The clock stands still, so that all requests of a test are of one second.
        options.per_second = [10_000; 3];
        change(&mut options);
        let server = ZoomServer::start(options).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let secret = |name: &str, value: &str| {
            std::fs::write(folder.path().join(name), format!("{value}\n")).unwrap();
            SecretRef::File(folder.path().join(name))
        };
        let zoom = Zoom {
            base_url: server.base_url(),
            token_url: server.token_url(),
            account_id: "sandbox-account".into(),
            client_id: secret("client_id", "sandbox-zoom-client"),
            client_secret: secret("client_secret", SECRET),
            connected_results: Zoom::CONNECTED.map(str::to_owned).to_vec(),
            missed_results: Zoom::MISSED.map(str::to_owned).to_vec(),
            voicemail_is_missed: false,
            requests_per_second: 1_000,
        };
        let org = Org { zoom: Some(zoom), ..bare_org("vital", "America/Chicago", 1) };
        let config = Config {
            alerts: Default::default(),
            schedule: Default::default(),
            path: folder.path().join("marts.toml"),
            postgres: PostgresSettings::default(),
            staging: StagingSettings { path: folder.path().join("staging") },
            limits: Limits {
                http_timeout_secs: 2,
                tries: 3,
                max_backoff_secs: 1,
                max_answer_mib: 64,
                first_backoff_millis: 1,
                ..Limits::default()
            },
            security: Security::default(),
            orgs: vec![org],
        };
        Bench { server, clock, account, config, as_of: day("2026-01-20"), pages: None, folder }
    }

    pub fn zoom(&mut self) -> &mut Zoom {
        self.config.orgs[0].zoom.as_mut().unwrap()
    }

    pub async fn pull(&self, datasets: &[&str], days: &[&str]) -> anyhow::Result<Vec<Landed>> {
        let staging = Staging::new(&self.config.staging.path).batch();
        let context = Context {
            config: &self.config,
            org: &self.config.orgs[0],
            staging: &staging,
            clock: self.clock.clock(),
            pulled_at: self.clock.now(),
            as_of: self.as_of,
            saved: self.pages.clone().map(marts::extract::Saved::Folder),
            progress: &|_, _, _| {},
        };
        let days: Vec<NaiveDate> = days.iter().map(|text| day(text)).collect();
        let wanted = datasets.iter().map(|name| {
            let partitions = match *name {
                REPORT => {
                    days.iter().map(|day| Partition::month_of(*day)).collect::<BTreeSet<_>>().into_iter().collect()
                }
                COUNTS => vec![Partition::Day(self.as_of)],
                _ => days.iter().map(|day| Partition::Day(*day)).collect(),
            };
            (dataset(name).unwrap(), partitions)
        });
        let wanted: Vec<(&'static Dataset, Vec<Partition>)> = wanted.collect();
        sendable(zoom::pull(&context, &wanted)).await?;
        staging.commit()
    }

    /// What a night pulls: three days.
    pub async fn night(&self) -> anyhow::Result<Vec<Landed>> {
        let days: Vec<String> = (0..3).rev().map(|back| (self.as_of - Days::new(back)).to_string()).collect();
        self.pull(&ALL, &days.iter().map(String::as_str).collect::<Vec<_>>()).await
    }

    /// The error of a night as one line. It tells no secret and nothing about anybody, and leaves nothing behind.
    pub async fn refusal(&self) -> String {
        let error = self.night().await.expect_err("the night should have failed");
        assert_eq!(files(&self.config.staging.path), Vec::<PathBuf>::new(), "a failed pull left files");
        let line = format!("{error:#}");
        for secret in [SECRET, "Basic ", "zoom-access-", "next_page_token=", "@"] {
            assert!(!line.contains(secret), "{secret} in {line}");
        }
        assert!(!line.contains('\n'), "{line}");
        line
    }

    /// Requests for lists that were made, as path and query.
    pub fn asked(&self) -> Vec<String> {
        let requests = self.server.log().into_iter().map(|logged| logged.request);
        requests.filter(|request| request.method == "GET").map(|it| format!("{}?{}", it.path, it.query)).collect()
    }

    pub fn tokens(&self) -> usize {
        self.server.log().iter().filter(|logged| logged.request.method == "POST").count()
    }
}

/// Pulls run in tasks, so their futures must be able to move between threads.
fn sendable<F: Future + Send>(future: F) -> F {
    future
}

pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(self::files(&path)) } else { files.push(path) }
    }
    files
}

/// The pull of a dataset and a period.
pub fn pull_of<'a>(landed: &'a [Landed], dataset: &str, period: &str) -> &'a Landed {
    let is_it = |landed: &&Landed| landed.manifest().dataset == dataset && landed.manifest().period == period;
    landed.iter().find(is_it).unwrap_or_else(|| panic!("no pull of {dataset} {period}"))
}

pub type Row = BTreeMap<String, String>;

/// The rows of a pull, as text.
pub fn rows(landed: &Landed) -> Vec<Row> {
    read(landed, "rows-0000.parquet")
}

/// The bodies of a pull's pages.
pub fn bodies(landed: &Landed) -> Vec<String> {
    let pages = read(landed, "pages-0000.parquet");
    let text = |row: &Row| String::from_utf8(hex::decode(&row["body"]).unwrap()).unwrap();
    pages.iter().map(text).collect()
}

pub fn read(landed: &Landed, file: &str) -> Vec<Row> {
    let file = File::open(landed.path().join(file)).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let mut rows = Vec::new();
    for batch in reader {
        let batch = batch.unwrap();
        let options = FormatOptions::default().with_null("∅");
        for index in 0..batch.num_rows() {
            let schema = batch.schema();
            let cells = schema.fields().iter().zip(batch.columns()).map(|(field, column)| {
                // The formatter knows no named time zones.
                let cell = match field.data_type() {
                    DataType::Timestamp(..) => {
                        let column = column.as_any().downcast_ref::<TimestampMicrosecondArray>().unwrap();
                        let at = |micros| DateTime::from_timestamp_micros(micros).unwrap().to_rfc3339();
                        if column.is_null(index) { "∅".into() } else { at(column.value(index)) }
                    }
                    _ => ArrayFormatter::try_new(column, &options).unwrap().value(index).to_string(),
                };
                (field.name().clone(), cell)
            });
            rows.push(cells.collect());
        }
    }
    rows
}
