//! An app with a simulated BigQuery, a landing zone and a clock.

use std::path::PathBuf;
use std::sync::Arc;

use chrono::NaiveDate;
use marts::config::{BigQuery, Config, Limits, Org, PostgresSettings, SecretRef, Security, StagingSettings};
use marts::datasets::dataset;
use marts::extract::{Context, bigquery};
use marts::periods::Partition;
use marts::sandbox::bigquery::{BigQueryOptions, BigQueryServer};
use marts::sandbox::business::app::{AppOptions, AppUse};
use marts::sandbox::http::{FaultPlan, ManualClock};
use marts::staging::{Landed, Staging};

use crate::compute::support::bare_org;
use crate::night::stage::files;

pub const EVENTS: &str = "ga4_events";
pub const DAY: &str = "2026-01-20";

pub struct Bench {
    pub server: BigQueryServer,
    pub clock: ManualClock,
    pub app: Arc<AppUse>,
    pub config: Config,
    pub pages: Option<PathBuf>,
    pub folder: tempfile::TempDir,
}

pub fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

pub fn app() -> Arc<AppUse> {
    let options = AppOptions::new(7, day("2025-12-01"), day("2026-01-20"));
    Arc::new(AppUse::new(AppOptions { people: 60, ..options }))
}

pub fn settings(server: &BigQueryServer, credentials: SecretRef) -> BigQuery {
    let options = server.options();
    BigQuery {
        project: options.project.clone(),
        dataset: options.dataset.clone(),
        location: options.location.clone(),
        credentials,
        base_url: server.url(),
        token_url: server.token_url(),
        max_billed_mib: 1024,
        query_timeout_secs: 60,
        monthly_days: 30,
    }
}

impl Bench {
    pub async fn new() -> Self {
        Self::start(|_| {}).await
    }

    pub async fn with_faults(faults: FaultPlan) -> Self {
        Self::start(|options| options.faults = faults).await
    }

    /// The morning of 30 January 2026, when all events of the app have arrived.
    pub async fn start(change: impl FnOnce(&mut BigQueryOptions)) -> Self {
        marts::extract::http::install_crypto();
        let clock = ManualClock::at("2026-01-30T14:00:00Z".parse().unwrap());
        let app = app();
        let mut options = BigQueryOptions::new(Arc::clone(&app));
        options.clock = clock.clock();
        change(&mut options);
        let server = BigQueryServer::start(options).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key"), server.key()).unwrap();
        let bigquery = settings(&server, SecretRef::File(folder.path().join("key")));
        let org = Org { bigquery: Some(bigquery), ..bare_org("vital", "America/Chicago", 1) };
        let config = Config {
            alerts: Default::default(),
            schedule: Default::default(),
            path: folder.path().join("marts.toml"),
            postgres: PostgresSettings::default(),
            staging: StagingSettings { path: folder.path().join("staging") },
            limits: Limits {
                http_concurrency: 3,
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
        Bench { server, clock, app, config, pages: None, folder }
    }

    pub fn bigquery(&mut self) -> &mut BigQuery {
        self.config.orgs[0].bigquery.as_mut().unwrap()
    }

    pub async fn pull(&self, days: &[&str]) -> anyhow::Result<Vec<Landed>> {
        let staging = Staging::new(&self.config.staging.path);
        let org = &self.config.orgs[0];
        let context = Context {
            config: &self.config,
            org,
            staging: &staging,
            clock: self.clock.clock(),
            pulled_at: self.clock.now(),
            as_of: day(DAY),
            saved: self.pages.clone().map(marts::extract::Saved::Folder),
            progress: &|_, _, _| {},
        };
        let days = days.iter().map(|text| Partition::Day(day(text))).collect();
        let settings = org.bigquery.as_ref().unwrap();
        sendable(bigquery::pull(&context, settings, &[(dataset(EVENTS).unwrap(), days)])).await
    }

    /// The error of a pull of one day as one line. It tells no secret, and leaves nothing behind.
    pub async fn refusal(&self) -> String {
        let error = self.pull(&[DAY]).await.expect_err("the pull should have failed");
        assert_eq!(files(&self.config.staging.path), Vec::<PathBuf>::new(), "a failed pull left files");
        let line = format!("{error:#}");
        let sent = self.server.log().into_iter().flat_map(|logged| {
            let bearer = logged.request.header("authorization").map(|value| value.replace("Bearer ", ""));
            [bearer, logged.request.form("assertion"), logged.request.param("pageToken")].into_iter().flatten()
        });
        for secret in sent.chain(["PRIVATE KEY".into(), "ya29.".into(), "select".into()]) {
            assert!(!line.contains(&secret), "{secret} in {line}");
        }
        assert!(!line.contains('\n'), "{line}");
        line
    }

    /// Requests that were made, as method and path.
    pub fn asked(&self, method: &str, end: &str) -> usize {
        let log = self.server.log();
        log.iter().filter(|logged| logged.request.method == method && logged.request.path.ends_with(end)).count()
    }

    /// Rows of a question to the landing zone, as text.
    pub fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        let answer = marts::compute::query(&self.config, sql).unwrap();
        let cell = |cell: Option<String>| cell.unwrap_or_else(|| "null".into());
        answer.text().unwrap().into_iter().map(|row| row.into_iter().map(cell).collect()).collect()
    }
}

/// Pulls run in tasks, so their futures must be able to move between threads.
fn sendable<F: Future + Send>(future: F) -> F {
    future
}
