//! The table `oauth_tokens` as the store that token custody works with.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use tokio::sync::MappedMutexGuard;

use super::{Database, Locked as Lock, as_loader, lock};
use crate::extract::BoxFuture;
use crate::extract::oauth::{LockedTokens, TokenOwner, TokenRow, TokenStore};

/// How long to wait for another process that refreshes the same tokens: it needs one request.
const PATIENCE: Duration = Duration::from_secs(60);
const BETWEEN_TRIES: Duration = Duration::from_millis(200);

impl TokenStore for Database {
    fn lock<'a>(&'a self, owner: &'a TokenOwner) -> BoxFuture<'a, Result<Box<dyn LockedTokens + 'a>>> {
        Box::pin(async move {
            let mut connection = self.connection().await?;
            let (org_id,): (i32,) = sqlx::query_as("select id from organizations where slug = $1")
                .bind(&owner.org)
                .fetch_optional(&mut *connection)
                .await?
                .with_context(|| format!("{} is not in the table organizations; run `marts migrate`", owner.org))?;
            let name = format!("oauth_tokens.{}", owner.connector);
            let deadline = tokio::time::Instant::now() + PATIENCE;
            while let Lock::HeldBy(holder) = lock::take(&mut connection, &name, org_id).await? {
                if tokio::time::Instant::now() >= deadline {
                    bail!("the tokens of {owner} are held by {holder}");
                }
                tokio::time::sleep(BETWEEN_TRIES).await;
            }
            let database = self;
            let locked = Locked { database, connection, org_id, connector: owner.connector, lock: name };
            Ok(Box::new(locked) as Box<dyn LockedTokens + 'a>)
        })
    }
}

/// A row of `oauth_tokens` under its lock, which belongs to the session: where it is not given back, because a task
/// was dropped, the same process may take it again, and every other waits until this one ends.
struct Locked<'a> {
    database: &'a Database,
    connection: MappedMutexGuard<'a, PgConnection>,
    org_id: i32,
    connector: &'static str,
    lock: String,
}

impl LockedTokens for Locked<'_> {
    fn load(&mut self) -> BoxFuture<'_, Result<Option<TokenRow>>> {
        Box::pin(load(&mut self.connection, self.org_id, self.connector))
    }

    fn store<'a>(&'a mut self, row: &'a TokenRow, expected_version: Option<i64>) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            store(&mut self.connection, self.org_id, self.connector, row, expected_version).await?;
            // The token it keeps may be the only one that still works.
            self.database.flush().await
        })
    }

    fn release<'a>(mut self: Box<Self>) -> BoxFuture<'a, Result<()>>
    where
        Self: 'a,
    {
        Box::pin(async move { lock::release(&mut self.connection, &self.lock, self.org_id).await })
    }
}

async fn load(connection: &mut PgConnection, org_id: i32, connector: &str) -> Result<Option<TokenRow>> {
    #[derive(sqlx::FromRow)]
    struct Row {
        ciphertext: Vec<u8>,
        previous_ciphertext: Option<Vec<u8>>,
        seed_fingerprint: Vec<u8>,
        issued_at: DateTime<Utc>,
        expires_at: Option<DateTime<Utc>>,
        hard_expires_at: Option<DateTime<Utc>>,
        version: i64,
    }
    let mut transaction = as_loader(connection, org_id).await?;
    let row: Option<Row> = sqlx::query_as(
        "select ciphertext, previous_ciphertext, seed_fingerprint, issued_at, expires_at, hard_expires_at, version
        from oauth_tokens where org_id = $1 and connector = $2",
    )
    .bind(org_id)
    .bind(connector)
    .fetch_optional(&mut *transaction)
    .await?;
    Ok(row.map(|row| TokenRow {
        ciphertext: row.ciphertext,
        previous_ciphertext: row.previous_ciphertext,
        seed_fingerprint: hex::encode(row.seed_fingerprint),
        issued_at: row.issued_at,
        expires_at: row.expires_at,
        hard_expires_at: row.hard_expires_at,
        version: row.version,
    }))
}

/// One transaction, committed before it returns.
async fn store(
    connection: &mut PgConnection,
    org_id: i32,
    connector: &str,
    row: &TokenRow,
    expected_version: Option<i64>,
) -> Result<()> {
    let mut transaction = as_loader(connection, org_id).await?;
    let stored = sqlx::query(
        "insert into oauth_tokens as tokens (org_id, connector, ciphertext, previous_ciphertext, seed_fingerprint,
            issued_at, expires_at, hard_expires_at, version)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        on conflict (org_id, connector) do update set
            ciphertext = excluded.ciphertext, previous_ciphertext = excluded.previous_ciphertext,
            seed_fingerprint = excluded.seed_fingerprint, issued_at = excluded.issued_at,
            expires_at = excluded.expires_at, hard_expires_at = excluded.hard_expires_at,
            version = excluded.version, updated_at = current_timestamp
        where tokens.version = $10",
    )
    .bind(org_id)
    .bind(connector)
    .bind(&row.ciphertext)
    .bind(&row.previous_ciphertext)
    .bind(hex::decode(&row.seed_fingerprint).context("the fingerprint of the seed")?)
    .bind(row.issued_at)
    .bind(row.expires_at)
    .bind(row.hard_expires_at)
    .bind(row.version)
    .bind(expected_version)
    .execute(&mut *transaction)
    .await
    .context("storing the tokens")?;
    ensure!(stored.rows_affected() == 1, "the stored tokens have changed meanwhile; nothing was overwritten");
    transaction.commit().await.context("storing the tokens")
}
