//! Transactions as one of the three roles. Whatever user the program logs in as, what it does to tenants' rows it does
//! as a role that row-level security binds.

use super::OneLine;
use anyhow::{Context, Result};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Postgres, Transaction, query};

/// The roles of `migrations/0001_roles.sql`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Reader,
    Admin,
    Loader,
}

impl Role {
    /// Its name in Postgres.
    pub fn name(self) -> &'static str {
        match self {
            Role::Reader => "marts_reader",
            Role::Admin => "marts_admin",
            Role::Loader => "marts_loader",
        }
    }
}

/// A transaction that may write the rows of one organisation, and see no others.
pub async fn as_loader(connection: &mut PgConnection, org_id: i32) -> Result<Transaction<'_, Postgres>> {
    begin(connection, Role::Loader, Some(org_id)).await
}

/// A transaction that sees the rows of one organisation.
pub async fn as_reader(connection: &mut PgConnection, org_id: i32) -> Result<Transaction<'_, Postgres>> {
    begin(connection, Role::Reader, Some(org_id)).await
}

/// A transaction that sees the rows of all organisations.
pub async fn as_admin(connection: &mut PgConnection) -> Result<Transaction<'_, Postgres>> {
    begin(connection, Role::Admin, None).await
}

async fn begin(connection: &mut PgConnection, role: Role, org_id: Option<i32>) -> Result<Transaction<'_, Postgres>> {
    let context = || format!("starting a transaction as {}", role.name());
    let mut transaction = connection.begin().await.one_line().with_context(context)?;
    query(
        "select set_config('role', $1, true), set_config('marts.org_id', $2, true), \
         set_config('timezone', 'UTC', true), set_config('synchronous_commit', 'on', true), \
         set_config('lock_timeout', '60s', true)",
    )
    .bind(role.name())
    .bind(org_id.map(|id| id.to_string()).unwrap_or_default())
    .execute(&mut *transaction)
    .await
    .one_line()
    .with_context(context)?;
    Ok(transaction)
}
