//! A company with a simulated HubSpot, a landing zone and a clock.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::record_batch::RecordBatch;
use chrono::NaiveDate;
use marts::compute::cell;
use marts::config::{Config, HubSpot, Limits, Org, PostgresSettings, SecretRef, Security, StagingSettings};
use marts::datasets::{Dataset, dataset};
use marts::extract::{Context, hubspot};
use marts::periods::Partition;
use marts::sandbox::business::crm::{Crm, CrmOptions};
use marts::sandbox::http::{FaultPlan, ManualClock};
use marts::sandbox::hubspot::{HubSpotOptions, HubSpotServer};
use marts::staging::{Landed, Staging};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::compute::support::bare_org;

pub const TOKEN: &str = "pat-na1-0f1e2d3c-planted";
pub const CONTACTS: &str = "hubspot_contacts";
pub const LIFECYCLE: &str = "hubspot_lifecycle_stages";
pub const DEALS: &str = "hubspot_deals";
pub const STAGES: &str = "hubspot_deal_stages";
pub const ALL: [&str; 4] = [CONTACTS, LIFECYCLE, DEALS, STAGES];

pub struct Bench {
    pub server: HubSpotServer,
    pub clock: ManualClock,
    pub crm: Arc<Crm>,
    pub config: Config,
    pub as_of: NaiveDate,
    pub pages: Option<PathBuf>,
    pub folder: tempfile::TempDir,
}

pub fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// The CRM of a few weeks, with more than four pages of contacts.
pub fn crm() -> CrmOptions {
    CrmOptions::new(7, day("2025-11-01"), day("2026-01-20"))
}

impl Bench {
    pub async fn new() -> Self {
        Self::start(crm(), |_| {}).await
    }

    pub async fn with_faults(faults: FaultPlan) -> Self {
        Self::start(crm(), |options| options.faults = faults).await
    }

    /// The night of 21 January 2026.
    pub async fn start(crm: CrmOptions, change: impl FnOnce(&mut HubSpotOptions)) -> Self {
        let clock = ManualClock::at("2026-01-21T08:00:00Z".parse().unwrap());
        let crm = Arc::new(Crm::generate(crm));
        let mut options = HubSpotOptions::new(TOKEN, Arc::clone(&crm));
        options.clock = clock.clock();
        change(&mut options);
        let server = HubSpotServer::start(options).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), format!("{TOKEN}\n")).unwrap();
        let hubspot = HubSpot {
            base_url: server.url(),
            access_token: SecretRef::File(folder.path().join("token")),
            api_version: "v3".into(),
            home_currency: "USD".into(),
        };
        let org = Org { hubspot: Some(hubspot), ..bare_org("vital", "America/Chicago", 1) };
        let config = Config {
            alerts: Default::default(),
            schedule: Default::default(),
            path: folder.path().join("marts.toml"),
            postgres: PostgresSettings::default(),
            staging: StagingSettings { path: folder.path().join("staging") },
            limits: Limits {
                http_timeout_secs: 20,
                tries: 3,
                max_backoff_secs: 0,
                max_answer_mib: 64,
                first_backoff_millis: 1,
                ..Limits::default()
            },
            security: Security::default(),
            orgs: vec![org],
        };
        Bench { server, clock, crm, config, as_of: day("2026-01-20"), pages: None, folder }
    }

    pub fn settings(&mut self) -> &mut HubSpot {
        self.config.orgs[0].hubspot.as_mut().unwrap()
    }

    pub async fn pull(&self, datasets: &[&str]) -> anyhow::Result<Vec<Landed>> {
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
        let day = vec![Partition::Day(self.as_of)];
        let wanted: Vec<(&'static Dataset, Vec<Partition>)> =
            datasets.iter().map(|name| (dataset(name).unwrap(), day.clone())).collect();
        sendable(hubspot::pull(&context, &wanted)).await?;
        staging.commit()
    }

    /// The error of a pull as one line. It tells no secret, and leaves nothing behind.
    pub async fn refusal(&self, datasets: &[&str]) -> String {
        let error = self.pull(datasets).await.expect_err("the pull should have failed");
        assert_eq!(files(&self.config.staging.path), Vec::<PathBuf>::new(), "a failed pull left files");
        let line = format!("{error:#}");
        for secret in [TOKEN, "Bearer", "properties="] {
            assert!(!line.contains(secret), "{secret} in {line}");
        }
        assert!(!line.contains('\n'), "{line}");
        line
    }

    /// Requests that were made, as method, path and query.
    pub fn asked(&self) -> Vec<String> {
        let requests = self.server.log().into_iter().map(|logged| logged.request);
        requests.map(|it| format!("{} {}?{}", it.method, it.path, it.query)).collect()
    }
}

/// Pulls run in tasks, so their futures must be able to move between threads.
fn sendable<F: Future + Send>(future: F) -> F {
    future
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(self::files(&path)) } else { files.push(path) }
    }
    files
}

fn batches(landed: &Landed, file: &str) -> Vec<RecordBatch> {
    let file = File::open(landed.path().join(file)).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    reader.map(|batch| batch.unwrap()).collect()
}

/// The rows of a pull, as text; what is null is `∅`.
pub fn rows(landed: &Landed) -> Vec<BTreeMap<String, String>> {
    let mut rows = Vec::new();
    for batch in batches(landed, "rows-0000.parquet") {
        let schema = batch.schema();
        for row in 0..batch.num_rows() {
            let cells = batch.columns().iter().zip(schema.fields()).map(|(column, field)| {
                (field.name().clone(), cell(column, row).unwrap().unwrap_or_else(|| "∅".into()))
            });
            rows.push(cells.collect());
        }
    }
    rows
}

/// The kept answers of a pull: method and body.
pub fn kept(landed: &Landed) -> Vec<(String, String)> {
    let mut kept = Vec::new();
    for batch in batches(landed, "pages-0000.parquet") {
        let methods = batch.column_by_name("method").unwrap().as_string::<i32>();
        let bodies = batch.column_by_name("body").unwrap().as_binary::<i32>();
        for row in 0..methods.len() {
            kept.push((methods.value(row).to_owned(), String::from_utf8(bodies.value(row).to_vec()).unwrap()));
        }
    }
    kept
}
