//! Postgres: any server from version 14 on where a URL is configured, else the embedded one. The same code serves both.
//!
//! The whole program uses one connection: the embedded server has no more, and it makes session locks and the run's
//! own transactions one thing.

mod embedded;
mod lock;
mod rows;
mod tokens;

use std::collections::BTreeSet;
use std::str::FromStr;

use anyhow::{Context, Result, anyhow, bail};
use secrecy::ExposeSecret;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, Connection as _};
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};

use crate::config::{Org, PostgresSettings};

pub use embedded::serve;
pub use lock::Holder;
pub use rows::{Answer, execute};

/// The schema: one file per table.
pub static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// The database and the one connection to it.
pub struct Database {
    // Before the server, so that it is closed before the server is asked to stop.
    connection: Mutex<Option<PgConnection>>,
    embedded: std::sync::Mutex<Option<embedded::Server>>,
    options: PgConnectOptions,
    /// How it is called in messages.
    name: String,
    locks: Mutex<BTreeSet<i64>>,
}

/// The connection, held.
pub type Connection<'a> = MappedMutexGuard<'a, PgConnection>;

/// A row of `organizations`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    pub id: i32,
    pub slug: String,
}

impl Database {
    /// Connects, starting the embedded server where no URL is configured. The embedded server's schema is brought up to
    /// date at once; another server's is left to `marts migrate`.
    ///
    /// # Errors
    /// One line that says which server, what failed and what to do; never the password.
    pub async fn open(settings: &PostgresSettings) -> Result<Database> {
        let (embedded, options, name) = match &settings.url {
            None => {
                let server = embedded::Server::start(&settings.data_dir, None).await?;
                let options = PgConnectOptions::from_str(&server.url()).context("the embedded server's address")?;
                let name = format!("the embedded Postgres in {}", settings.data_dir.display());
                (Some(server), options, name)
            }
            Some(reference) => {
                let url = reference.read()?;
                let options = server_options(url.expose_secret())
                    .with_context(|| format!("the Postgres URL at {reference} is not valid"))?;
                let name = format!("Postgres at {}:{}", options.get_host(), options.get_port());
                (None, options, name)
            }
        };
        let is_embedded = embedded.is_some();
        let options = options.application_name(&format!("marts (process {})", std::process::id()));
        let database = Database {
            connection: Mutex::new(None),
            embedded: std::sync::Mutex::new(embedded),
            options,
            name,
            locks: Mutex::default(),
        };
        if is_embedded {
            database.migrate().await?;
        } else {
            drop(database.connection().await?);
        }
        Ok(database)
    }

    /// How it is called in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The connection; whoever asks next waits. One that was lost while idle is made anew, and its locks with it.
    pub async fn connection(&self) -> Result<Connection<'_>> {
        let mut held = self.connection.lock().await;
        let lives = match held.as_mut() {
            Some(connection) => connection.ping().await.is_ok(),
            None => false,
        };
        if !lives {
            *held = None;
            let mut connection = self.connect().await?;
            for key in self.locks.lock().await.iter() {
                lock::retake(&mut connection, *key).await.with_context(|| self.name.clone())?;
            }
            *held = Some(connection);
        }
        MutexGuard::try_map(held, Option::as_mut).map_err(|_| anyhow!("the connection is gone"))
    }

    async fn connect(&self) -> Result<PgConnection> {
        let mut connection =
            PgConnection::connect_with(&self.options).await.map_err(refused).with_context(|| self.name.clone())?;
        sqlx::query("set timezone = 'UTC'").execute(&mut connection).await?;
        Ok(connection)
    }

    /// The migrations that the schema lacks, by name.
    pub async fn pending(&self) -> Result<Vec<String>> {
        pending(&mut *self.connection().await?).await
    }

    /// Brings the schema up to date. Returns the migrations that took.
    pub async fn migrate(&self) -> Result<Vec<String>> {
        let mut connection = self.connection().await?;
        let pending = pending(&mut connection).await?;
        MIGRATIONS.run(&mut *connection).await.with_context(|| format!("migrating {}", self.name))?;
        Ok(pending)
    }

    /// Fails unless the schema is up to date.
    pub async fn require_migrated(&self) -> Result<()> {
        match self.pending().await?.len() {
            0 => Ok(()),
            pending => bail!("{} lacks {pending} of the migrations; run `marts migrate`", self.name),
        }
    }

    /// Writes the configured organisations to `organizations`; returns their rows in the same order.
    pub async fn sync_organizations(&self, orgs: &[Org]) -> Result<Vec<Organization>> {
        self.require_migrated().await?;
        let mut connection = self.connection().await?;
        let mut transaction = connection.begin().await?;
        let mut rows = Vec::with_capacity(orgs.len());
        for org in orgs {
            // The update touches only a row that differs, and then there is nothing to return: hence the union.
            let (id,): (i32,) = sqlx::query_as(
                "with written as (
                    insert into organizations (slug, name, timezone, fiscal_year_start_month, data_start_date)
                    values ($1, $2, $3, $4, $5)
                    on conflict (slug) do update set
                        name = excluded.name, timezone = excluded.timezone,
                        fiscal_year_start_month = excluded.fiscal_year_start_month,
                        data_start_date = excluded.data_start_date, updated_at = current_timestamp
                    where (organizations.name, organizations.timezone, organizations.fiscal_year_start_month,
                           organizations.data_start_date)
                        is distinct from (excluded.name, excluded.timezone, excluded.fiscal_year_start_month,
                           excluded.data_start_date)
                    returning id
                )
                select id from written union all select id from organizations where slug = $1 limit 1",
            )
            .bind(&org.slug)
            .bind(&org.name)
            .bind(org.timezone.name())
            .bind(org.fiscal_year_start_month as i32)
            .bind(org.data_start_date)
            .fetch_one(&mut *transaction)
            .await
            .with_context(|| format!("writing organisation {} to {}", org.slug, self.name))?;
            rows.push(Organization { id, slug: org.slug.clone() });
        }
        transaction.commit().await?;
        Ok(rows)
    }

    /// Takes the lock of a mart of an organisation for this process, or tells who holds it.
    pub async fn lock(&self, mart: &str, org_id: i32) -> Result<Option<Holder>> {
        let mut connection = self.connection().await?;
        let key = lock::key(&mut connection, mart, org_id).await?;
        let holder = lock::take(&mut connection, key).await?;
        if holder.is_none() {
            self.locks.lock().await.insert(key);
        }
        Ok(holder)
    }

    /// Gives the lock back; nothing happens when this process does not hold it.
    pub async fn unlock(&self, mart: &str, org_id: i32) -> Result<()> {
        let mut connection = self.connection().await?;
        let key = lock::key(&mut connection, mart, org_id).await?;
        if self.locks.lock().await.remove(&key) {
            lock::release(&mut connection, key).await?;
        }
        Ok(())
    }

    /// Closes the connection and stops the embedded server, so that everything is on disk.
    pub async fn close(&self) -> Result<()> {
        if let Some(connection) = self.connection.lock().await.take() {
            connection.close().await.context("closing the connection")?;
        }
        let server = self.embedded.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        match server {
            Some(server) => server.stop().await,
            None => Ok(()),
        }
    }
}

/// Begins a transaction that sees and writes one organisation's rows only, as the role `marts_loader`.
pub(crate) async fn as_loader(connection: &mut PgConnection, org_id: i32) -> Result<sqlx::PgTransaction<'_>> {
    let mut transaction = connection.begin().await?;
    sqlx::query("set local role marts_loader").execute(&mut *transaction).await?;
    sqlx::query("select set_config('marts.org_id', $1, true)")
        .bind(org_id.to_string())
        .execute(&mut *transaction)
        .await?;
    Ok(transaction)
}

/// Begins a transaction that reads every organisation's rows, as the role `marts_admin`.
pub(crate) async fn as_admin(connection: &mut PgConnection) -> Result<sqlx::PgTransaction<'_>> {
    let mut transaction = connection.begin().await?;
    sqlx::query("set local role marts_admin").execute(&mut *transaction).await?;
    Ok(transaction)
}

/// Migrations that the database lacks.
async fn pending(connection: &mut PgConnection) -> Result<Vec<String>> {
    let (known,): (bool,) =
        sqlx::query_as("select to_regclass('_sqlx_migrations') is not null").fetch_one(&mut *connection).await?;
    let applied: Vec<(i64,)> = if known {
        sqlx::query_as("select version from _sqlx_migrations where success").fetch_all(&mut *connection).await?
    } else {
        Vec::new()
    };
    let applied: BTreeSet<i64> = applied.into_iter().map(|(version,)| version).collect();
    let lacking = MIGRATIONS.iter().filter(|migration| !applied.contains(&migration.version));
    Ok(lacking.map(|migration| format!("{:04} {}", migration.version, migration.description)).collect())
}

/// What a URL asks for. A server that is not on this machine is spoken to over verified TLS, unless the URL says otherwise.
fn server_options(url: &str) -> Result<PgConnectOptions> {
    // The error of the parser may quote the URL, and with it the password.
    let options =
        PgConnectOptions::from_str(url).map_err(|_| anyhow!("expected postgres://USER:PASSWORD@HOST:PORT/DATABASE"))?;
    let host = options.get_host().to_owned();
    let is_local = host.starts_with('/') || matches!(host.as_str(), "localhost" | "127.0.0.1" | "::1" | "[::1]");
    let names_mode = url.contains("sslmode=") || url.contains("ssl-mode=");
    Ok(if is_local || names_mode { options } else { options.ssl_mode(PgSslMode::VerifyFull) })
}

/// A connection error in plain words.
fn refused(error: sqlx::Error) -> anyhow::Error {
    let advice = match &error {
        sqlx::Error::Io(_) => "is it running, and may this machine reach it?",
        sqlx::Error::Tls(_) => "a server without a certificate that can be verified needs sslmode= in its URL",
        sqlx::Error::Database(error) => match error.code().as_deref() {
            Some("28P01" | "28000") => "check user and password in the URL",
            Some("3D000") => "create the database first, as in `createdb`",
            Some("53300") => "it has no connection left",
            _ => return anyhow!(error.message().to_owned()),
        },
        _ => return anyhow!(error),
    };
    anyhow!("{error}; {advice}")
}

/// SQL put together from names that the catalog gave, quoted.
pub(crate) fn assembled(sql: String) -> AssertSqlSafe<String> {
    AssertSqlSafe(sql)
}
