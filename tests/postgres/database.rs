//! A database for a test: migrated, with two organisations, gone when it is dropped.

use std::str::FromStr;

use marts::config::{PostgresSettings, SecretRef};
use marts::postgres::{Database, OrganizationRow};
use marts::publish::Organization;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tempfile::TempDir;

/// Names the real server, e.g. `postgres://postgres@127.0.0.1:5432/postgres`; its user may create databases.
pub const SERVER: &str = "MARTS_TEST_POSTGRES_URL";

pub struct TestDatabase {
    /// Always there until the test database is dropped.
    database: Option<Database>,
    pub settings: PostgresSettings,
    pub acme: Organization,
    pub globex: Organization,
    /// The real server's maintenance url, and the name of the database made there.
    real: Option<(String, String)>,
    _folder: TempDir,
}

impl TestDatabase {
    /// On the embedded server.
    pub async fn embedded() -> TestDatabase {
        let folder = tempfile::tempdir().unwrap();
        let settings = PostgresSettings { url: None, data_dir: folder.path().join("postgres") };
        TestDatabase::prepare(settings, None, folder).await
    }

    /// In a fresh database on the real server, if there is one.
    pub async fn real() -> Option<TestDatabase> {
        let url = std::env::var(SERVER).ok()?;
        let name = format!("marts_test_{:016x}", rand::random::<u64>());
        maintain(&url, format!("create database {name}")).await;
        let mut own = url::Url::parse(&url).unwrap();
        own.set_path(&name);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("url");
        std::fs::write(&file, own.as_str()).unwrap();
        let settings = PostgresSettings { url: Some(SecretRef::File(file)), data_dir: folder.path().to_owned() };
        Some(TestDatabase::prepare(settings, Some((url, name)), folder).await)
    }

    /// One on each server there is.
    pub async fn each() -> Vec<TestDatabase> {
        let mut all = vec![TestDatabase::embedded().await];
        all.extend(TestDatabase::real().await);
        all
    }

    async fn prepare(settings: PostgresSettings, real: Option<(String, String)>, folder: TempDir) -> TestDatabase {
        let database = Database::connect(&settings, "test").await.unwrap();
        database.migrate().await.unwrap();
        let rows = [organization("acme", "America/Chicago"), organization("globex", "Europe/Berlin")];
        let ids = database.sync_organizations(&rows).await.unwrap();
        let named = |id, slug: &str| Organization { id, slug: slug.to_owned() };
        let (acme, globex) = (named(ids[0], "acme"), named(ids[1], "globex"));
        TestDatabase { database: Some(database), settings, acme, globex, real, _folder: folder }
    }

    pub fn is_real(&self) -> bool {
        self.real.is_some()
    }

    pub fn get(&self) -> &Database {
        self.database.as_ref().unwrap()
    }

    /// The first column of the rows, as text; null is `∅`.
    pub async fn values(&self, sql: &str) -> Vec<String> {
        let answers = self.get().execute(sql).await.unwrap();
        let rows = answers.into_iter().flat_map(|answer| answer.rows);
        rows.map(|row| row[0].clone().unwrap_or_else(|| "∅".to_owned())).collect()
    }

    /// The first value.
    pub async fn value(&self, sql: &str) -> String {
        self.values(sql).await.swap_remove(0)
    }

    /// What the server says against a statement; ends the transaction it may have left open.
    pub async fn refusal(&self, sql: &str) -> String {
        let error = self.get().execute(sql).await.expect_err(sql);
        self.get().execute("rollback; reset role; reset marts.org_id").await.unwrap();
        format!("{error:#}")
    }

    /// Closes the database and opens it again.
    pub async fn reopen(&mut self) {
        self.database.take().unwrap().close().await.unwrap();
        self.database = Some(Database::connect(&self.settings, "test").await.unwrap());
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        drop(self.database.take());
        if let Some((url, name)) = self.real.take() {
            // Dropping is not async, and a failed test must clean up too: a thread with a runtime of its own.
            let dropping = move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(maintain(&url, format!("drop database {name} with (force)")));
            };
            let _ = std::thread::spawn(dropping).join();
        }
    }
}

pub fn organization(slug: &str, timezone: &str) -> OrganizationRow {
    OrganizationRow {
        slug: slug.to_owned(),
        name: slug.to_uppercase(),
        timezone: timezone.to_owned(),
        fiscal_year_start_month: 11,
        data_start_date: None,
    }
}

/// A second connection; only a real server has one.
pub async fn second_connection(settings: &PostgresSettings) -> PgConnection {
    use secrecy::ExposeSecret;
    let url = settings.url.as_ref().unwrap().read().unwrap();
    PgConnectOptions::from_str(url.expose_secret()).unwrap().connect().await.unwrap()
}

async fn maintain(url: &str, statement: String) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}
