//! Everything about the Postgres server itself: reaching it (or running it inside the process when no url is
//! configured), its one connection, migrations, roles and locks.

mod embedded;
mod guard;
mod lock;
mod message;
mod organizations;
mod roles;
mod serve;
mod target;
mod text;
mod tokens;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, migrate::Migrator, query_scalar};
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};

use crate::config::PostgresSettings;
use embedded::Embedded;
use target::Target;

pub use guard::{Kind, Standing, verify, verify_key};
pub use lock::{Holder, Locked};
pub(crate) use message::OneLine;
pub use organizations::OrganizationRow;
pub use roles::{Role, as_admin, as_loader, as_reader};
pub use serve::serve;
pub use text::Answer;

static MIGRATIONS: Migrator = sqlx::migrate!();

/// How long a session whose connection was lost may go on holding its locks: the server notices when it next wants to
/// read or write.
const LAST_BREATH: Duration = Duration::from_secs(10);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// The database, over the one connection that the whole program shares: the embedded server has no second one.
///
/// The field order matters: the connection closes before its server stops.
#[derive(Debug)]
pub struct Database {
    session: Mutex<Session>,
    server: Mutex<Server>,
    application: String,
}

#[derive(Debug)]
struct Session {
    connection: Option<PgConnection>,
    /// Locks that a new connection must take again.
    locks: Vec<(String, i32)>,
}

#[derive(Debug)]
enum Server {
    Remote(Box<Target>),
    Embedded(Box<Embedded>),
}

impl Database {
    /// Connects to the configured server, or starts the embedded one. `run` becomes part of the application name, so
    /// that others can see who holds a lock.
    ///
    /// # Errors
    /// One line that says where, what and what to do; it never contains the password.
    pub async fn connect(settings: &PostgresSettings, run: &str) -> Result<Database> {
        let server = match &settings.url {
            Some(reference) => Server::Remote(Box::new(Target::read(reference)?)),
            None => Server::Embedded(Box::new(Embedded::start(&settings.data_dir).await?)),
        };
        let database = Database {
            session: Mutex::new(Session { connection: None, locks: Vec::new() }),
            server: Mutex::new(server),
            application: format!("marts {run}").trim_end().to_owned(),
        };
        drop(database.connection().await?);
        Ok(database)
    }

    /// Starts or opens the embedded server of a folder, whatever is configured.
    pub async fn embedded(data_dir: &Path, run: &str) -> Result<Database> {
        let settings = PostgresSettings { url: None, data_dir: data_dir.to_owned() };
        Database::connect(&settings, run).await
    }

    /// The connection, for as long as the guard lives. One that was lost while idle is replaced, once.
    ///
    /// # Errors
    /// When the server cannot be reached, or a lock that this program held was taken by another meanwhile.
    pub async fn connection(&self) -> Result<MappedMutexGuard<'_, PgConnection>> {
        let mut session = self.session.lock().await;
        let alive = match &mut session.connection {
            Some(connection) => connection.ping().await.is_ok(),
            None => false,
        };
        if !alive {
            session.connection = None;
            let mut connection = self.dial().await?;
            for (mart, org_id) in &session.locks {
                let deadline = tokio::time::Instant::now() + LAST_BREATH;
                while let Locked::HeldBy(holder) = lock::take(&mut connection, mart, *org_id).await? {
                    let is_ours = holder.application_name.as_ref() == Some(&self.application);
                    if !is_ours || tokio::time::Instant::now() >= deadline {
                        bail!(
                            "the connection to postgres was lost, and with it the lock on {mart}: now held by {holder}"
                        );
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            session.connection = Some(connection);
        }
        MutexGuard::try_map(session, |session| session.connection.as_mut())
            .map_err(|_| anyhow::anyhow!("the connection to postgres is gone"))
    }

    async fn dial(&self) -> Result<PgConnection> {
        let mut server = self.server.lock().await;
        let (options, place) = match &mut *server {
            Server::Remote(target) => (target.options(), target.place()),
            Server::Embedded(embedded) => {
                embedded.revive().await?;
                (embedded.options(), embedded.place())
            }
        };
        let options = options.application_name(&self.application).options([("timezone", "UTC")]);
        let mut connected = tokio::time::timeout(CONNECT_TIMEOUT, PgConnection::connect_with(&options)).await;
        if let (Server::Embedded(embedded), Ok(Err(sqlx::Error::Io(_)))) = (&mut *server, &connected) {
            // It was going down when it was looked at.
            embedded.revive().await?;
            connected = tokio::time::timeout(CONNECT_TIMEOUT, PgConnection::connect_with(&options)).await;
        }
        let mut connection = match connected {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => bail!("cannot connect to postgres at {place}: {}", message::message(&error)),
            Err(_) => bail!("cannot connect to postgres at {place}: no answer within {CONNECT_TIMEOUT:?}"),
        };
        // A pooler between us and the server may ignore the start-up option.
        sqlx::raw_sql("set timezone to 'UTC'")
            .execute(&mut connection)
            .await
            .one_line()
            .context("setting the time zone")?;
        if connection.server_version_num().is_some_and(|version| version < 140_000) {
            bail!("postgres at {place} is older than version 14, the oldest supported");
        }
        Ok(connection)
    }

    /// The migrations that the schema lacks, by number and name.
    pub async fn pending(&self) -> Result<Vec<String>> {
        let mut connection = self.connection().await?;
        let known: bool =
            query_scalar("select to_regclass('_sqlx_migrations') is not null").fetch_one(&mut *connection).await?;
        let applied: Vec<i64> = if known {
            query_scalar("select version from _sqlx_migrations where success").fetch_all(&mut *connection).await?
        } else {
            Vec::new()
        };
        let lacking = MIGRATIONS.iter().filter(|migration| !applied.contains(&migration.version));
        Ok(lacking.map(|migration| format!("{:04} {}", migration.version, migration.description)).collect())
    }

    /// Fails unless the schema is up to date.
    pub async fn require_migrated(&self) -> Result<()> {
        match self.pending().await?.len() {
            0 => Ok(()),
            pending => bail!("postgres lacks {pending} migrations of this version of marts: run `marts migrate`"),
        }
    }

    /// Brings the schema up to date and checks that row-level security stands. Safe to run at any time, and from
    /// several processes at once.
    ///
    /// # Errors
    /// A migration that fails is rolled back as a whole.
    pub async fn migrate(&self) -> Result<()> {
        let mut connection = self.connection().await?;
        let before = Standing::of(&mut connection).await?;
        // Not `run`: its future cannot be spawned ("implementation of `Acquire` is not general enough").
        MIGRATIONS.run_direct(None, &mut *connection, false).await.map_err(|error| match error {
            sqlx::migrate::MigrateError::VersionMissing(version) => anyhow::anyhow!(
                "the database has migration {version}, which this version of marts does not know: use a newer marts"
            ),
            // Its own words name the migration, and then say everything twice.
            sqlx::migrate::MigrateError::ExecuteMigration(error, version) => {
                anyhow::anyhow!("migration {version}: {}", message::message(&error))
            }
            error => anyhow::Error::new(error),
        })?;
        guard::verify_all(&mut connection).await.context("after migrating")?;
        before.must_outlast(&Standing::of(&mut connection).await?).context("after migrating")
    }

    /// Makes `organizations` say what marts.toml says; returns the ids in the order given. Organisations that
    /// marts.toml no longer names keep their rows.
    pub async fn sync_organizations(&self, organizations: &[OrganizationRow]) -> Result<Vec<i32>> {
        organizations::sync(&mut *self.connection().await?, organizations).await
    }

    /// Locks a mart of an organisation until it is unlocked or the database is closed.
    ///
    /// # Errors
    /// Only when the question cannot be asked: a lock held by another is an answer.
    pub async fn lock(&self, mart: &str, org_id: i32) -> Result<Locked> {
        Ok(self.lock_all(&[mart], org_id).await?.into_iter().next().unwrap_or(Locked::Taken))
    }

    /// Locks marts of an organisation together: of two programs that want the same ones at once, one gets them all. Those
    /// that this program holds already count as taken.
    ///
    /// # Errors
    /// As [`Database::lock`].
    pub async fn lock_all(&self, marts: &[&str], org_id: i32) -> Result<Vec<Locked>> {
        let held = |locks: &[(String, i32)], mart: &str| locks.iter().any(|(name, id)| name == mart && *id == org_id);
        let before = self.session.lock().await.locks.clone();
        let mut connection = self.connection().await?;
        let mut transaction = connection.begin().await.one_line().context("locking marts")?;
        lock::stand_in_line(&mut transaction, org_id).await?;
        let mut answers = Vec::with_capacity(marts.len());
        for mart in marts {
            let is_ours = held(&before, mart);
            answers.push(if is_ours { Locked::Taken } else { lock::take(&mut transaction, mart, org_id).await? });
        }
        transaction.commit().await.one_line().context("locking marts")?;
        drop(connection);
        let locks = &mut self.session.lock().await.locks;
        for (mart, _) in marts.iter().zip(&answers).filter(|(_, answer)| matches!(answer, Locked::Taken)) {
            if !held(locks, mart) {
                locks.push(((*mart).to_owned(), org_id));
            }
        }
        Ok(answers)
    }

    /// Gives a lock back.
    pub async fn unlock(&self, mart: &str, org_id: i32) -> Result<()> {
        let mut session = self.session.lock().await;
        if let Some(place) = session.locks.iter().position(|(name, id)| name == mart && *id == org_id) {
            session.locks.swap_remove(place);
        }
        match &mut session.connection {
            Some(connection) => lock::release(connection, mart, org_id).await,
            None => Ok(()),
        }
    }

    /// Runs statements as they are typed, and returns each answer as text.
    pub async fn execute(&self, sql: &str) -> Result<Vec<Answer>> {
        text::execute(&mut *self.connection().await?, sql).await
    }

    /// Has what was committed outlast a power failure. A server elsewhere sees to that itself, at every commit; the
    /// embedded one needs to be told, and is when it is closed.
    pub async fn flush(&self) -> Result<()> {
        match &*self.server.lock().await {
            Server::Remote(_) => Ok(()),
            Server::Embedded(embedded) => embedded.flush().await,
        }
    }

    /// Closes the connection and stops the embedded server.
    pub async fn close(self) -> Result<()> {
        if let Some(mut connection) = self.session.into_inner().connection {
            // The server may be gone already: there is nothing left to lose. Pinging first sends what sqlx has queued,
            // whose answers the embedded server could no longer deliver.
            let _ = connection.ping().await;
            let _ = connection.close().await;
        }
        match self.server.into_inner() {
            Server::Remote(_) => Ok(()),
            Server::Embedded(embedded) => embedded.stop().await,
        }
    }
}
