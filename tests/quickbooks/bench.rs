//! A company with a simulated QuickBooks, a landing zone, a token store and a clock.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::NaiveDate;
use marts::config::{Basis, Config, Limits, Org, PostgresSettings, QuickBooks, SecretRef, Security, StagingSettings};
use marts::datasets::{Dataset, dataset};
use marts::extract::oauth::{MemoryTokenStore, TokenOwner, TokenStore};
use marts::extract::{Context, quickbooks};
use marts::periods::Partition;
use marts::sandbox::business::services::{ServicesCompany, ServicesOptions};
use marts::sandbox::http::{FaultPlan, ManualClock};
use marts::sandbox::quickbooks::{QuickBooksOptions, QuickBooksServer, Realm};
use marts::staging::{Landed, Staging};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::compute::support::bare_org;

pub const REALM: &str = "4620816365000001";
pub const SEED: &str = "first-refresh-token";
pub const PROFIT_AND_LOSS: &str = "quickbooks_profit_and_loss";
pub const BALANCE_SHEET: &str = "quickbooks_balance_sheet";
pub const CASH_FLOW: &str = "quickbooks_cash_flow";
pub const ALL: [&str; 3] = [PROFIT_AND_LOSS, BALANCE_SHEET, CASH_FLOW];

/// Generating it takes longer than most tests.
static COMPANY: LazyLock<Arc<ServicesCompany>> = LazyLock::new(|| {
    let options = ServicesOptions::new(7, day("2023-11-06"), day("2026-01-21"));
    Arc::new(ServicesCompany::generate(options))
});

pub struct Bench {
    pub server: QuickBooksServer,
    pub clock: ManualClock,
    pub company: Arc<ServicesCompany>,
    pub config: Config,
    pub store: MemoryTokenStore,
    pub as_of: NaiveDate,
    pub pages: Option<PathBuf>,
    pub folder: tempfile::TempDir,
}

pub fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

pub fn owner() -> TokenOwner {
    TokenOwner { org: "vital".into(), connector: "quickbooks" }
}

impl Bench {
    pub async fn new() -> Self {
        Self::start(|_| {}).await
    }

    pub async fn with_faults(faults: FaultPlan) -> Self {
        Self::start(|options| options.faults = faults).await
    }

    /// The night of 21 January 2026, with books since November 2023.
    pub async fn start(change: impl FnOnce(&mut QuickBooksOptions)) -> Self {
        let clock = ManualClock::at("2026-01-21T08:00:00Z".parse().unwrap());
        let company = COMPANY.clone();
        let mut options = QuickBooksOptions::new(vec![Realm::new(REALM, SEED, company.clone())]);
        options.clock = clock.clock();
        change(&mut options);
        let server = QuickBooksServer::start(options).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let secret = |name: &str, value: &str| {
            std::fs::write(folder.path().join(name), format!("{value}\n")).unwrap();
            SecretRef::File(folder.path().join(name))
        };
        let quickbooks = QuickBooks {
            base_url: server.url(),
            token_url: server.token_url(),
            realm_id: REALM.into(),
            client_id: secret("client_id", "sandbox-client"),
            client_secret: secret("client_secret", "sandbox-secret"),
            authorize_url: server.authorize_url(),
            refresh_token: Some(secret("refresh_token", SEED)),
            basis: Basis::Accrual,
        };
        let token_key = Some(secret("token_key", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="));
        let org = Org { quickbooks: Some(quickbooks), ..bare_org("vital", "America/Chicago", 1) };
        let config = Config {
            alerts: Default::default(),
            schedule: Default::default(),
            path: folder.path().join("marts.toml"),
            postgres: PostgresSettings::default(),
            staging: StagingSettings { path: folder.path().join("staging") },
            limits: Limits {
                http_concurrency: 4,
                http_timeout_secs: 20,
                tries: 3,
                max_backoff_secs: 0,
                max_answer_mib: 64,
                first_backoff_millis: 1,
                ..Limits::default()
            },
            security: Security { token_key },
            orgs: vec![org],
        };
        let as_of = day("2026-01-20");
        Bench { server, clock, company, config, store: MemoryTokenStore::default(), as_of, pages: None, folder }
    }

    pub fn quickbooks(&mut self) -> &mut QuickBooks {
        self.config.orgs[0].quickbooks.as_mut().unwrap()
    }

    /// Writes one of the secret files anew: client_id, client_secret, refresh_token or token_key.
    pub fn set_secret(&self, name: &str, value: &str) {
        std::fs::write(self.folder.path().join(name), value).unwrap();
    }

    pub async fn pull_from(
        &self,
        store: &dyn TokenStore,
        datasets: &[&str],
        months: &[&str],
    ) -> anyhow::Result<Vec<Landed>> {
        let staging = Staging::new(&self.config.staging.path);
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
        let months: Vec<Partition> = months.iter().map(|month| month.parse().unwrap()).collect();
        let wanted: Vec<(&'static Dataset, Vec<Partition>)> =
            datasets.iter().map(|name| (dataset(name).unwrap(), months.clone())).collect();
        sendable(quickbooks::pull(&context, store, &wanted)).await
    }

    pub async fn pull(&self, datasets: &[&str], months: &[&str]) -> anyhow::Result<Vec<Landed>> {
        self.pull_from(&self.store, datasets, months).await
    }

    /// One month of profit and loss.
    pub async fn night(&self) -> anyhow::Result<Vec<Landed>> {
        self.pull(&[PROFIT_AND_LOSS], &["2025-12"]).await
    }

    /// The error of a pull as one line. It tells no secret, and leaves nothing behind.
    pub async fn refusal(&self, datasets: &[&str], months: &[&str]) -> String {
        let error = self.pull(datasets, months).await.expect_err("the pull should have failed");
        assert_eq!(files(&self.config.staging.path), Vec::<PathBuf>::new(), "a failed pull left files");
        let line = format!("{error:#}");
        let access = self.server.log().iter().filter_map(|logged| bearer(&logged.request)).collect::<Vec<_>>();
        let secrets = access.iter().map(String::as_str).chain([SEED, "sandbox-secret", "Basic ", "start_date"]);
        for secret in secrets {
            assert!(!line.contains(secret), "{secret} in {line}");
        }
        assert!(!line.contains('\n'), "{line}");
        line
    }

    /// Report requests that were made, as path and query.
    pub fn asked(&self) -> Vec<String> {
        let requests = self.server.log().into_iter().map(|logged| logged.request);
        requests.filter(|request| request.method == "GET").map(|it| format!("{}?{}", it.path, it.query)).collect()
    }

    pub fn refreshes(&self) -> usize {
        self.server.log().iter().filter(|logged| logged.request.method == "POST").count()
    }
}

fn bearer(request: &marts::sandbox::http::Request) -> Option<String> {
    request.header("authorization")?.strip_prefix("Bearer ").map(str::to_owned)
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

/// The rows of a pull, as text.
pub fn rows(landed: &Landed) -> Vec<BTreeMap<String, String>> {
    read(landed, "rows-0000.parquet")
}

pub fn read(landed: &Landed, file: &str) -> Vec<BTreeMap<String, String>> {
    let file = File::open(landed.path().join(file)).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let mut rows = Vec::new();
    for batch in reader {
        let batch = batch.unwrap();
        let options = FormatOptions::default().with_null("∅");
        let schema = batch.schema();
        let columns: Vec<_> = schema
            .fields()
            .iter()
            .zip(batch.columns())
            // The formatter knows no named time zones.
            .filter(|(field, _)| !matches!(field.data_type(), DataType::Timestamp(..)))
            .map(|(field, column)| (field.name(), ArrayFormatter::try_new(column, &options).unwrap()))
            .collect();
        for index in 0..batch.num_rows() {
            rows.push(columns.iter().map(|(name, cells)| ((*name).clone(), cells.value(index).to_string())).collect());
        }
    }
    rows
}

/// The sum of the leaves within a group, in cents.
pub fn leaves(rows: &[BTreeMap<String, String>], group: &str) -> i64 {
    let within = |row: &&BTreeMap<String, String>| row["is_leaf"] == "true" && row["groups"].contains(group);
    rows.iter().filter(within).filter(|row| row["amount"] != "∅").map(|row| cents(&row["amount"])).sum()
}

pub fn cents(text: &str) -> i64 {
    text.replace('.', "").parse().unwrap()
}
